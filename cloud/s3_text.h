/* Small texts of the S3 protocol: ETags, dates, metadata values. Pure functions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cloud/store.h"

/* An ETag without quotes and without the W/ of a weak one. One that is too long is left out ("").
 */
void s3_etag_copy(char ret[STORE_ETAG_MAX], const char *text);

/* "2009-10-12T17:50:30.000Z" as ns since the epoch, or 0. */
int64_t s3_iso_date_parse(const char *text);

/*
 * Metadata travels in HTTP headers, which carry plain ASCII. Other values are written as RFC 2047
 * encoded words, the form in which S3 itself gives non-ASCII metadata back. New memory.
 */
char *s3_meta_value_encode(const char *value);
char *s3_meta_value_decode(const char *text);
bool s3_meta_name_valid(const char *name); /* an HTTP token in lower case */
