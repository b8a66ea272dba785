/*
 * Inside the S3 store.
 *
 * s3_address.c   which bucket, at which host, by which style of URL
 * s3_error.c     what an answer means
 * s3_call.c      one S3 request until it succeeds or cannot: retries, region, clock
 * s3_sign.c      one try of it: URL, headers, signature
 * s3_read.c      HEAD, GET, LIST
 * s3_write.c     PUT, COPY
 * s3_mpu.c       the operations of multipart uploads
 * s3_delete.c    DELETE
 * s3_copy.c      COPY of what is too large for one request
 * s3_guard.c     preconditions that the store does not know, and replies that got lost
 * s3_probe.c     what the bucket can do
 * s3_options.c   what the configuration puts on requests, and what a copy has to bring along
 * s3_open.c      puts it together
 *
 * A store_req becomes one s3_call after another. Each call ends by its done(), on the engine's
 * thread, which starts the next one or gives the request back. Nothing here waits.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "cloud/checksum.h"
#include "cloud/credentials.h"
#include "cloud/http.h"
#include "cloud/retry.h"
#include "cloud/s3_xml.h"
#include "cloud/sigv4.h"
#include "cloud/store.h"

#define S3_KEYS_AGE_NS (5 * CLOCK_S)   /* do not look for new keys more often */
#define S3_STALL_READ_NS (5 * CLOCK_S) /* first try; later ones wait longer */
#define S3_STALL_WRITE_NS (10 * CLOCK_S)
#define S3_STALL_SLOW_NS (600 * CLOCK_S) /* copies and completions: the store works in silence */

enum {
    S3_STALL_DOUBLINGS = 4,
    S3_REDIRECTS_MAX = 3,  /* changes of region, clock or keys for one call */
    S3_NONSENSE_TRIES = 3, /* then it is -EIO */
    S3_DELETE_BATCH = 1000,
    S3_PARALLEL = 8,              /* requests at once for one store_req */
    S3_COLD_MIN_SIZE = 128 << 10, /* smaller objects do not go into a cold storage class */
};

/* ---- s3_address.c ---- */

struct s3_address {
    char *bucket, *prefix; /* prefix: "" or ends in '/' */
    char *url;             /* normalised */
    bool tls;
    bool aws;            /* Amazon's own host, which follows the region */
    bool path;           /* bucket in the path */
    char *endpoint_host; /* host[:port], without a default port; NULL if aws */
    char *endpoint_path; /* "" or "/..." */
};
int s3_address_parse(const char *url, const struct store_config *config, const char *endpoint,
                     struct s3_address *ret, struct store_error *reterr);
void s3_address_clear(struct s3_address *addr);
/* Value of the Host header; new memory. */
char *s3_address_host(const struct s3_address *addr, const char *region);
/* Encoded path of a whole key, or of the bucket for NULL; new memory. */
char *s3_address_path(const struct s3_address *addr, const char *key);

/* ---- s3_error.c ---- */

enum s3_verdict {
    S3_FAIL,     /* err, at once */
    S3_RETRY,    /* until the deadline, then -EAGAIN */
    S3_NONSENSE, /* a few times, then -EIO */
    S3_CLOCK,    /* our clock is wrong */
    S3_REGION,   /* wrong region, if one is named; else err */
    S3_KEYS,     /* these keys are no good (any more): perhaps there are new ones */
};
struct s3_judgement {
    enum s3_verdict verdict;
    int err;
};
/* status: of HTTP; code: of the error document, or "". */
struct s3_judgement s3_error_judge(int status, const char *code);

/* ---- the store ---- */

struct s3_options {                      /* constant once open */
    char *storage_class, *acl, *kms_key; /* or NULL */
    uint64_t cold_min_size;
    enum store_sse sse;
    bool bucket_key, requester_pays;
    char sse_c_key[STORE_SSE_C_KEY_SIZE * 4 / 3 + 4]; /* base64 */
    char sse_c_md5[CHECKSUM_BASE64_MD5];
};

struct s3 {
    struct store store;
    struct s3_address addr;
    struct s3_options options;
    char *profile, *passwd_file; /* as configured, or NULL */
    bool anonymous;              /* requests are not signed */
    struct http_engine *http;
    struct retry_budget budget;
    struct store_caps caps;  /* constant once open */
    uint64_t copy_part_size; /* bytes per part of a large COPY */
    int64_t stall_read_ns, stall_write_ns;
    bool stall_fixed;   /* as configured: later tries do not wait longer */
    uint32_t tries_max; /* of a request; 0 = until its deadline */
    struct retry_pauses pauses;
    bool no_detect;   /* the region is as configured, whatever answers say */
    bool no_checksum; /* no CRC-32C, and no hash of bodies that go over TLS */
    enum store_list list;
    int64_t reach_deadline_ns; /* while opening: by then something must be reached. Else 0 */

    /* Learned while running. */
    atomic_bool list_v1;         /* ListObjectsV2 is not known */
    atomic_bool list_plain;      /* encoding-type=url is not understood */
    atomic_bool no_delete_batch; /* DeleteObjects is not known */
    atomic_bool crc32c;          /* x-amz-checksum-crc32c is checked by the store, */
    atomic_bool crc32c_parts;    /* and in multipart uploads too, with copied parts */

    pthread_mutex_t lock; /* guards what follows; held for moments only */
    struct credentials creds;
    int64_t creds_read_ns; /* when they were looked for last */
    char region[64];
    int64_t clock_offset_ns;
    struct sigv4_key key;
};

/* The keys as configured, as they are now; url names the bucket. */
int s3_load_credentials(const struct s3 *s3, const char *url, struct credentials *ret,
                        struct store_error *reterr);

static inline struct s3 *s3_of(struct store *store)
{
    return (struct s3 *)store;
}

/* ---- s3_call.c ---- */

enum { S3_CALL_HEADERS_MAX = 64 };

struct s3_pair {
    char *name, *value;
};

struct s3_call {
    struct s3 *s3;
    struct store_req *req; /* whom it is for, or NULL */
    void *ctx;             /* of the op */

    /* What is asked, the same for every try. */
    const char *method;
    char *key; /* whole key, or NULL = the bucket */
    struct s3_pair *query, *headers;
    size_t query_count, header_count;
    const void *body;
    size_t body_len;
    char *own_body;
    char payload_hash[CHECKSUM_HEX_SHA256];
    void *recv; /* where a 2xx body goes */
    size_t recv_len;
    unsigned prio;
    int64_t deadline_ns, stall_ns;
    bool error_in_200; /* a 200 may carry an <Error> */
    int conflict_err;  /* what ConditionalRequestConflict means; 0 = try again */
    /* Looks at a 2xx, sets results. 0; -EBADMSG for nonsense, which is worth another try; or the
     * error to end with. NULL = any 2xx will do. */
    int (*parse)(struct s3_call *call);
    void (*done)(struct s3_call *call); /* frees the call */

    /* State. */
    unsigned attempts, redirects, nonsense;
    bool ambiguous; /* an earlier try may have been carried out */
    int64_t start_wall_ns;
    struct http_timer retry;
    struct curl_slist *slist;
    char *url;

    /* Results: http holds the last answer. */
    int err;
    char why[STORE_ERROR_MAX]; /* of the last try that tells something */
    struct http_request http;
    struct s3_xml_error error;
};

/* key: relative to the prefix of the URL, or NULL. Takes priority and deadline from req. */
struct s3_call *s3_call_new(struct s3 *s3, struct store_req *req, const char *method,
                            const char *key);
void s3_call_free(struct s3_call *call); /* NULL is fine */
void s3_call_query(struct s3_call *call, const char *name, const char *value);
void s3_call_header(struct s3_call *call, const char *name, const char *value);
void s3_call_header_etag(struct s3_call *call, const char *name, const char *etag); /* quotes it */
void s3_call_body(struct s3_call *call, const void *body, size_t len); /* the caller's memory */
void s3_call_body_text(struct s3_call *call, char *text);              /* takes it */
/* done: called once, on the engine's thread. */
void s3_call_start(struct s3_call *call, void (*done)(struct s3_call *call));

/* s3_sign.c: makes url and slist of the call for a try at this moment. */
void s3_call_sign(struct s3_call *call);
/* Hashes the body, as the signature wants it. */
void s3_call_hash(struct s3_call *call);

/* Sets err and the text of it, and gives the request back. call may be NULL. */
void s3_req_finish(struct store_req *req, const struct s3_call *call, int err);
/* The usual done(): frees the call, finishes its request. */
void s3_call_finish(struct s3_call *call);

/* ---- operations ---- */

void s3_head_start(struct s3 *s3, struct store_req *req);
void s3_get_start(struct s3 *s3, struct store_req *req);
void s3_list_start(struct s3 *s3, struct store_req *req);
void s3_put_start(struct s3 *s3, struct store_req *req);
void s3_copy_start(struct s3 *s3, struct store_req *req);
void s3_delete_start(struct s3 *s3, struct store_req *req);
void s3_mpu_begin_start(struct s3 *s3, struct store_req *req);
void s3_mpu_part_start(struct s3 *s3, struct store_req *req);
void s3_mpu_copy_start(struct s3 *s3, struct store_req *req);
void s3_mpu_complete_start(struct s3 *s3, struct store_req *req);
void s3_mpu_abort_start(struct s3 *s3, struct store_req *req);

/* ---- s3_options.c ---- */

/*
 * Content-Type and the other headers that belong to an object beside its metadata. A HEAD with priv
 * set to one fills it in, an MPU_BEGIN with priv set sends it.
 */
enum { S3_CONTENT_MAX = 11 };
struct s3_content {
    char *values[S3_CONTENT_MAX]; /* NULL = none */
};
void s3_content_read(const struct http_request *http, struct s3_content *ret);
void s3_content_clear(struct s3_content *content);
/* Those that metadata goes with. content may be NULL; type replaces its Content-Type, or NULL. */
void s3_content_send(struct s3_call *call, const struct s3_content *content, const char *type);

/* For whatever makes an object of that size: how it is to be kept, from the configuration, else as
 * the source of the copy (or NULL). With the SSE-C key. */
void s3_options_make_send(struct s3_call *call, const struct s3_content *source, uint64_t size);
/* The SSE-C key, if there is one: of the object that is named, of the source of a copy. */
void s3_options_key_send(struct s3_call *call);
void s3_options_source_key_send(struct s3_call *call);
void s3_options_payer_send(struct s3_call *call); /* every request */
int s3_options_set(struct s3 *s3, const struct store_config *config, struct store_error *reterr);
void s3_options_clear(struct s3_options *options);

/* s3_read.c: size, ETag, mtime, metadata of an object from the headers of an answer. */
void s3_object_read(const struct http_request *http, struct store_object *ret);
/* s3_write.c */
void s3_meta_send(struct s3_call *call, const struct store_meta *meta);
void s3_conditions_send(struct s3_call *call);
void s3_copy_source_send(struct s3_call *call);
/* The body of PUT and MPU_PART; with_sum: and its CRC-32C, also to ret_sum if given. */
void s3_body_send(struct s3_call *call, const struct store_req *req, bool with_sum, char *ret_sum);
/* parse() for CopyObject, UploadPartCopy and CompleteMultipartUpload. */
int s3_result_parse(struct s3_call *call);
/* -ESTALE for a 404 that says that the target of a conditional request is gone. */
int s3_target_gone(const struct s3_call *call);
int s3_meta_check(const struct store_meta *meta);

/* s3_copy.c: COPY by parts. */
void s3_copy_parts_start(struct s3 *s3, struct store_req *req);

/* ---- s3_guard.c ---- */

/* Calls start at once, or when a HEAD has shown that the preconditions of req hold, if honoured is
 * false and there are any. */
void s3_guard_before(struct s3 *s3, struct store_req *req, bool honoured,
                     void (*start)(struct s3 *s3, struct store_req *req));

/*
 * For a call whose last try failed with err although an earlier one may have been carried out:
 * looks whether the object is the one that the call would have made. etag and size are what is
 * known of it ("" and UINT64_MAX: nothing), meta is compared if given. Gives the request back with
 * 0 and the object's ETag, or with err. Frees the call.
 */
struct s3_expected {
    char etag[STORE_ETAG_MAX];
    uint64_t size;
    const struct store_meta *meta;
};
void s3_guard_after(struct s3_call *call, int err, const struct s3_expected *expected);

/* ---- s3_probe.c ---- */

/* Reaches the bucket. Sentence and errno on failure. */
int s3_probe_reach(struct s3 *s3, struct store_error *reterr);
/* Sets caps by trying. Leaves nothing behind. */
int s3_probe_caps(struct s3 *s3, uint64_t id, int64_t deadline_ns, struct store_error *reterr);
