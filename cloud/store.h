/*
 * An object store behind one table of operations. fs/ knows stores only through this header; what a
 * store can and cannot do it learns from struct store_caps, never from which cloud it is.
 *
 * Every call is a struct store_req: the caller fills the inputs of its operation, submits it, and
 * gets it back through done(), once, from a thread of the store (never from inside store_submit).
 * done() must not block. The request and everything it points at belong to the caller and must stay
 * until then. Retries, back-off, redirects and re-signing happen inside, until deadline_ns.
 *
 * Results in err:
 *   0           done
 *   -ENOENT     no such object (or bucket gone)
 *   -ESTALE     a precondition did not hold: if_match named another version, or if_none_match found
 *               an object. Nothing was changed.
 *   -EAGAIN     the store did not answer, or throttled, until the deadline. It may still have
 *               carried the request out.
 *   -EACCES     refused: credentials or policy
 *   -EFBIG, -ENAMETOOLONG, -EINVAL, -ENOTSUP, -ENOSPC, -EROFS   as their names say
 *   -EIO        the store answered nonsense, or bytes that fail their checksum, to every try
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_KEY_MAX = 1024,  /* bytes of a key (S3 user guide, "object key names") */
    STORE_ETAG_MAX = 128,  /* with the terminating NUL; without quotes */
    STORE_ERROR_MAX = 256, /* text of an error, for the log */
    STORE_CLASS_MAX = 40,  /* name of a storage class, with the terminating NUL */
};

enum store_op {
    STORE_HEAD,
    STORE_LIST,
    STORE_GET,
    STORE_PUT,
    STORE_COPY,
    STORE_DELETE,
    STORE_MPU_BEGIN,
    STORE_MPU_PART,
    STORE_MPU_COPY,
    STORE_MPU_COMPLETE,
    STORE_MPU_ABORT,
};

/* Foreground requests go first when connections are short. */
enum store_prio { STORE_PRIO_READ, STORE_PRIO_READAHEAD, STORE_PRIO_UPLOAD, STORE_PRIO_DRAIN };

/* User metadata, names in lower case without the x-amz-meta- prefix. */
struct store_meta_pair {
    char *name, *value;
};
struct store_meta {
    struct store_meta_pair *pairs;
    size_t count;
};
void store_meta_set(struct store_meta *meta, const char *name, const char *value); /* copies */
const char *store_meta_get(const struct store_meta *meta, const char *name);       /* or NULL */
void store_meta_copy(struct store_meta *dst, const struct store_meta *src);
void store_meta_clear(struct store_meta *meta); /* frees; leaves it empty */

/* What is known of one object. */
struct store_object {
    char *key;      /* whole key below the store's prefix; in LIST a prefix ends in '/' */
    bool is_prefix; /* LIST with delimiter: a common prefix, nothing else is set */
    bool has_meta;  /* meta is complete (HEAD always; LIST if caps.list_meta) */
    uint64_t size;
    int64_t mtime_ns; /* Last-Modified, since the epoch */
    char etag[STORE_ETAG_MAX];
    char storage_class[STORE_CLASS_MAX]; /* HEAD, LIST; "" = not told, on S3: STANDARD */
    char *content_type;                  /* HEAD, GET; NULL = not told */
    char *version_id; /* HEAD, GET; NULL = not told: the bucket keeps no versions */
    struct store_meta meta;
};
void store_object_clear(struct store_object *obj);

struct store_part { /* for MPU_COMPLETE; numbers from 1, ascending */
    uint32_t number;
    char etag[STORE_ETAG_MAX];
    char checksum[16]; /* base64 crc32c if the store gave or took one, else "" */
};

struct store_delete { /* one key of a DELETE */
    const char *key;
    const char *if_match; /* or NULL */
    int err;              /* result for this key; a key that is not there is 0 */
};

struct store_req {
    enum store_op op;
    enum store_prio prio;
    int64_t deadline_ns; /* monotonic; must be set */
    void (*done)(struct store_req *req);
    void *ctx; /* the caller's */

    /* --- inputs --- */
    const char *key; /* all but LIST and DELETE; target of COPY and MPU_COPY */
    const char
        *if_match;      /* GET, HEAD, PUT, COPY, MPU_COMPLETE: ETag of key it must have, or NULL */
    bool if_none_match; /* PUT, COPY, MPU_COMPLETE: key must not exist */

    uint64_t range_off, range_len; /* GET, MPU_COPY: bytes; range_len > 0 */
    void *buf;                     /* GET: receives range_len bytes. PUT, MPU_PART: the body */
    size_t buf_len;                /* PUT, MPU_PART: its length */
    const struct store_meta *meta; /* PUT, MPU_BEGIN: NULL = none. COPY: NULL = as the source.
                                      MPU_COMPLETE: see object_size */
    const char *content_type;      /* PUT, MPU_BEGIN: NULL = none. COPY with meta: NULL = as the
                                      source */
    uint64_t object_size; /* MPU_BEGIN: of the object to be. MPU_COMPLETE: the same, and meta too:
                             to know it again after a lost reply. 0 = not known */

    const char *src_key;      /* COPY, MPU_COPY */
    const char *src_if_match; /* COPY, MPU_COPY: or NULL */
    uint64_t src_size; /* COPY: size of the source; above caps.copy_size_max it goes by parts */

    const char *upload_id;          /* MPU_PART, MPU_COPY, MPU_COMPLETE, MPU_ABORT */
    uint32_t part_number;           /* MPU_PART, MPU_COPY: from 1 */
    const struct store_part *parts; /* MPU_COMPLETE */
    size_t part_count;

    const char *prefix;      /* LIST: "" or anything; usually ends in '/' */
    bool delimiter;          /* LIST: fold below the next '/' */
    const char *start_after; /* LIST: only keys greater than this (bytewise), or NULL */
    const char *token; /* LIST: next_token of the page before, or NULL; wins over start_after */
    uint32_t max_keys; /* LIST: 0 = the store's own page size */

    struct store_delete *deletes; /* DELETE: at most caps.delete_max */
    size_t delete_count;          /* every key gets an err of its own; that of the request is 0 */

    /* --- results; store_req_clear frees them --- */
    int err;
    char error_text[STORE_ERROR_MAX]; /* what the store said, for the log; "" if nothing */
    struct store_object object;   /* HEAD: all. GET: etag, size (of the whole object), meta, mtime.
                                     PUT, COPY, MPU_COMPLETE: etag. key is not set. */
    size_t got;                   /* GET: bytes in buf; less than asked only at the object's end */
    struct store_object *objects; /* LIST: in key order if caps.list_sorted */
    size_t object_count;
    char *next_token;           /* LIST: NULL at the end */
    char *ret_upload_id;        /* MPU_BEGIN */
    struct store_part ret_part; /* MPU_PART, MPU_COPY */

    /* --- the store's own while the request is with it --- */
    struct store_req *next;
    void *priv;
};
/* Frees the results and zeroes them; inputs stay. */
void store_req_clear(struct store_req *req);

struct store_caps {
    bool list_sorted; /* pages come in bytewise key order */
    bool list_meta;   /* LIST gives metadata too */
    bool cond_put;    /* PUT and MPU_COMPLETE honour if_match and if_none_match */
    bool cond_copy;   /* COPY does, for its target */
    bool cond_delete; /* DELETE honours if_match */
    bool part_copy;   /* MPU_COPY */
    bool meta_patch;  /* COPY of a key onto itself with new meta moves no data, keeps the ETag */
    bool real_dirs;   /* "d/" is a real directory: needed before, and kept after, its children */
    bool one_kind;    /* "a" and "a/b" exclude each other: so it is with real directories, and with
                         servers that keep objects in files */
    uint32_t delete_max;         /* keys per DELETE */
    uint64_t part_min, part_max; /* bytes of a part but the last */
    uint32_t part_count_max;
    uint64_t put_max;       /* bytes of one PUT */
    uint64_t copy_size_max; /* COPY does larger objects by parts itself */
    uint64_t object_max;
    bool writable; /* false: the store said that these credentials may only read */
};

struct store;
struct store_ops {
    void (*submit)(struct store *store, struct store_req *req);
    void (*caps)(struct store *store, struct store_caps *ret);
    void (*space)(struct store *store, uint64_t *ret_total,
                  uint64_t *ret_free);                 /* bytes; 0 = endless */
    void (*close)(struct store *store);                /* no request may be out; frees */
    void (*cut)(struct store *store, int64_t when_ns); /* or NULL: see store_cut */
};

/* How the store has been answering, try by try: retries that go on inside a request show here long
 * before the request ends. All zero is a good start. */
struct store_health_state {
    _Atomic uint64_t failures;
    _Atomic int64_t failing_since_ns; /* wall clock; 0: the last try was answered */
    char text[STORE_ERROR_MAX];       /* under a lock of health.c */
};

/* The head of every store. */
struct store {
    const struct store_ops *ops;
    char *url; /* normalised; names the data in logs and in the state directory's identity */
    struct store_health_state health;
};

enum store_sse { STORE_SSE_NONE, STORE_SSE_S3, STORE_SSE_KMS, STORE_SSE_C };
enum { STORE_SSE_C_KEY_SIZE = 32 };
enum store_list { STORE_LIST_AUTO, STORE_LIST_V1, STORE_LIST_V2 };

/* All zero is a good start: what is not set is the store's own choice. */
struct store_config {
    const char *endpoint;    /* S3: NULL = AWS */
    const char *region;      /* NULL = from environment, profile, or discovery */
    const char *profile;     /* NULL = AWS_PROFILE or "default" */
    const char *passwd_file; /* keys as s3fs has them, instead of all of those; or NULL */
    const char *ca_file;     /* PEM of own certificate authority, or NULL */
    bool no_verify;          /* accept any TLS certificate: only when asked for in so many words */
    bool path_style;         /* true = bucket in the path; false = let the store decide */
    bool virtual_style;      /* true = bucket in the host name, whatever else */
    bool unsigned_requests;  /* public bucket, no credentials */
    bool read_only;          /* probe nothing that writes */
    uint32_t connections;    /* at most this many at once; 0 = default */
    uint64_t probe_id;       /* in the names of what is written to try the store: whoever opens it
                                again after a crash uses the same and removes it. 0: a random one */

    const char *storage_class; /* of objects that are written; NULL = the bucket's default */
    uint64_t cold_min_size;    /* smaller ones go without storage_class */
    const char *acl;           /* canned ACL of what is written, or NULL */
    enum store_sse sse;
    const char *sse_kms_key;                 /* STORE_SSE_KMS: NULL = the account's own key */
    bool sse_bucket_key;                     /* STORE_SSE_KMS: S3 Bucket Key, fewer KMS calls */
    uint8_t sse_c_key[STORE_SSE_C_KEY_SIZE]; /* STORE_SSE_C */
    bool requester_pays;
    bool no_detect;   /* ask nobody for the bucket's region */
    bool no_checksum; /* leave out the checksums of bodies that are no part of the signature */
    enum store_list list;
    int64_t connect_timeout_ns;         /* 0 = default, as for all below */
    int64_t stall_timeout_ns;           /* a try on which no byte moves for so long has failed */
    uint32_t tries_max;                 /* of a request; 0 = until its deadline */
    int64_t retry_min_ns, retry_max_ns; /* pauses between tries */
};

/* What went wrong, in one sentence for a person ("s3://b: the bucket does not exist ..."). */
struct store_error {
    char text[512];
};

/*
 * Opens the store that url names (s3://bucket[/prefix], file:///path), checks that it answers, that
 * the bucket is there and the credentials are good, and probes what it can do. Blocks, at most
 * 30 seconds. Negative errno and a sentence in reterr on failure.
 */
int store_open(const char *url, const struct store_config *config, struct store **ret,
               struct store_error *reterr);
void store_close(struct store *store); /* NULL is fine */

/* From when_ns on every request ends with -EAGAIN, those under way too: for whoever is about to
 * close and has waited long enough. For good. */
void store_cut(struct store *store, int64_t when_ns);

/* May return before or after done() ran on another thread; never calls done() itself. */
void store_submit(struct store *store, struct store_req *req);

/* Submits and waits: sets done and ctx itself. Returns req->err. Not from done(). */
int store_call(struct store *store, struct store_req *req);

void store_get_caps(struct store *store, struct store_caps *ret);
void store_get_space(struct store *store, uint64_t *ret_total, uint64_t *ret_free);

struct store_health {
    uint64_t failures;          /* tries that failed, since the start */
    int64_t failing_since_ns;   /* wall clock; 0: the last try was answered */
    char text[STORE_ERROR_MAX]; /* what the last one that failed said */
};
void store_get_health(struct store *store, struct store_health *ret);
/* For stores: a try was answered (even if by "no such object"); or not, or refused. Any thread. */
void store_health_ok(struct store *store);
void store_health_failed(struct store *store, const char *text);
