/*
 * The XML of the S3 protocol. Functions from bytes to values and back, without state; the bytes may
 * be anything. Documents with a DTD are refused, nothing is fetched, and sizes are bounded.
 *
 * They return 0 or -EBADMSG, and then have nothing to free.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cloud/store.h"

enum { S3_XML_MAX = 16 << 20 };

struct s3_xml_error {
    char code[64], message[160], region[64], endpoint[160];
};
/* True if the document is an <Error>. */
bool s3_xml_error_parse(const char *data, size_t len, struct s3_xml_error *ret);

struct s3_xml_list {
    struct store_object *objects; /* sorted by key; prefixes among them */
    size_t count;
    bool v2; /* an answer to list-type=2 */
    bool truncated;
    char *next_token;  /* V2 */
    char *next_marker; /* V1, decoded; made from the last name if the store gave none */
};
int s3_xml_list_parse(const char *data, size_t len, struct s3_xml_list *ret);
void s3_xml_list_clear(struct s3_xml_list *list);

/* CopyObjectResult, CopyPartResult, CompleteMultipartUploadResult: the parts that matter. */
struct s3_xml_result {
    char etag[STORE_ETAG_MAX];
    char crc32c[16];
};
int s3_xml_result_parse(const char *data, size_t len, struct s3_xml_result *ret);

int s3_xml_initiate_parse(const char *data, size_t len, char **ret_upload_id);

/* The keys that DeleteObjects did not delete, with S3's error codes. */
struct s3_xml_delete {
    char *key;
    char code[64];
};
int s3_xml_delete_parse(const char *data, size_t len, struct s3_xml_delete **ret,
                        size_t *ret_count);
void s3_xml_delete_clear(struct s3_xml_delete *errors, size_t count);

/* Bodies of requests. New memory. */
char *s3_xml_delete_make(const char *const *keys, size_t count);
char *s3_xml_complete_make(const struct store_part *parts, size_t count);
/* False if XML 1.0 has no way to write the key (control characters, invalid UTF-8). */
bool s3_xml_key_writable(const char *key);
