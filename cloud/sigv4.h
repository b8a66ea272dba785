/* AWS Signature Version 4 for S3, in the Authorization header. Pure functions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

enum {
    SIGV4_DATE_MAX = 17, /* "20130524T000000Z" and NUL */
    SIGV4_KEY_LEN = 32,
};

struct sigv4_header {
    const char *name, *value; /* the name in lower case */
};

struct sigv4_request {
    const char *method;
    const char *path;                   /* encoded, begins with '/' */
    const char *query;                  /* encoded, sorted by name; "" for none */
    const struct sigv4_header *headers; /* sorted by name, one of each; all are signed */
    size_t header_count;
    const char *payload_hash; /* hex, or SIGV4_UNSIGNED_PAYLOAD */
};

/* The signing key of one (secret, day, region). Zeroed = none yet. */
struct sigv4_key {
    char day[9];
    char region[64];
    uint8_t key[SIGV4_KEY_LEN];
};

/* wall_ns as x-amz-date has it. */
void sigv4_date(int64_t wall_ns, char ret[SIGV4_DATE_MAX]);

/* Makes key the one for date (x-amz-date form) and region, unless it already is. */
void sigv4_key_update(struct sigv4_key *key, const char *secret, const char *date,
                      const char *region);

/* The value of the Authorization header. New memory. date is the x-amz-date that is among the
 * headers; key must be for its day. */
char *sigv4_authorization(const struct sigv4_request *req, const struct sigv4_key *key,
                          const char *access_key, const char *date);
