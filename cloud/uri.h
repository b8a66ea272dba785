/* Percent-encoding (RFC 3986) the way S3 signs it: all but unreserved characters, once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Encodes len bytes at s. keep_slash leaves '/' as it is (paths). New memory. */
char *uri_encode_bytes(const char *s, size_t len, bool keep_slash);
char *uri_encode(const char *s, bool keep_slash);

/* Decodes %XX in place, and '+' as a space if plus is set. False if the encoding is broken or a NUL
 * byte would come out; the text is then half decoded. */
bool uri_decode(char *s, bool plus);
