/*
 * What the configuration puts on requests: who pays, how an object is to be kept (storage class,
 * access list, encryption), and the key of the caller's own encryption. And what a copy has to
 * bring along, because S3 does not take it over by itself.
 *
 *                      payer  class  ACL  SSE-S3/KMS  SSE-C  SSE-C of the source
 *   HEAD, GET            x                              x
 *   PUT                  x      x     x       x         x
 *   COPY                 x      x     x       x         x            x
 *   MPU_BEGIN            x      x     x       x         x
 *   MPU_PART             x                              x
 *   MPU_COPY             x                              x            x
 *   MPU_COMPLETE         x                              x
 *   LIST, DELETE, ABORT  x
 *
 * SSE-C on MPU_COMPLETE is what S3 wants of uploads whose parts carry checksums.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cloud/s3_int.h"

#define CLASS "x-amz-storage-class"
#define SSE "x-amz-server-side-encryption"
#define SSE_KEY_ID SSE "-aws-kms-key-id"
#define SSE_BUCKET_KEY SSE "-bucket-key-enabled"
#define SSE_C SSE "-customer-"
#define SSE_C_SOURCE "x-amz-copy-source-server-side-encryption-customer-"

/* ---- what an object has beside its metadata ---- */

static const struct {
    const char *name;
    bool kept; /* not by a copy, even if it leaves the metadata as it is */
} content_names[] = {
    {"cache-control", false},
    {"content-disposition", false},
    {"content-encoding", false},
    {"content-language", false},
    {"content-type", false},
    {"expires", false},
    {"x-amz-website-redirect-location", true},
    {CLASS, true},
    {SSE, true},
    {SSE_KEY_ID, true},
    {SSE_BUCKET_KEY, true},
};
_Static_assert(sizeof(content_names) / sizeof(content_names[0]) == S3_CONTENT_MAX, "one for each");

void s3_content_read(const struct http_request *http, struct s3_content *ret)
{
    const char *sse = http_header_get(http, SSE);
    /* Anything but KMS is what the bucket does by itself, or cannot be asked for. */
    bool kms = sse && strncmp(sse, "aws:kms", 7) == 0;

    s3_content_clear(ret);
    for (size_t i = 0; i < S3_CONTENT_MAX; i++) {
        const char *value = http_header_get(http, content_names[i].name);
        bool about_sse = strncmp(content_names[i].name, SSE, strlen(SSE)) == 0;
        if (value && *value && (!about_sse || kms))
            ret->values[i] = mem_strdup(value);
    }
}

void s3_content_clear(struct s3_content *content)
{
    for (size_t i = 0; i < S3_CONTENT_MAX; i++)
        free(content->values[i]);
    *content = (struct s3_content){0};
}

void s3_content_send(struct s3_call *call, const struct s3_content *content, const char *type)
{
    for (size_t i = 0; i < S3_CONTENT_MAX; i++) {
        bool is_type = strcmp(content_names[i].name, "content-type") == 0;
        const char *value = is_type && type ? type : content ? content->values[i] : NULL;
        if (value && !content_names[i].kept)
            s3_call_header(call, content_names[i].name, value);
    }
}

/* The value that content has for one of the kept ones, or NULL. */
static const char *content_get(const struct s3_content *content, const char *name)
{
    for (size_t i = 0; content && i < S3_CONTENT_MAX; i++)
        if (strcmp(content_names[i].name, name) == 0)
            return content->values[i];
    return NULL;
}

/* ---- how an object is to be kept ---- */

/* Classes that bill every object as if it had at least 128 KiB, or from which a small one that is
 * read at every step (a directory, a symlink) cannot be read at once. */
static bool class_is_cold(const char *class)
{
    static const char *const cold[] = {"STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER",
                                       "DEEP_ARCHIVE"};

    for (size_t i = 0; i < sizeof(cold) / sizeof(cold[0]); i++)
        if (strcmp(class, cold[i]) == 0)
            return true;
    return false;
}

/* The class to make an object of that size with, or NULL: the bucket's own. */
static const char *class_for(const struct s3_options *o, uint64_t size)
{
    uint64_t min = o->cold_min_size;

    if (min == 0 && class_is_cold(o->storage_class))
        min = S3_COLD_MIN_SIZE;
    return size < min ? NULL : o->storage_class;
}

static void optional_send(struct s3_call *call, const char *name, const char *value)
{
    if (value)
        s3_call_header(call, name, value);
}

static void sse_send(struct s3_call *call, const struct s3_content *source)
{
    const struct s3_options *o = &call->s3->options;

    switch (o->sse) {
    case STORE_SSE_NONE:
        optional_send(call, SSE, content_get(source, SSE));
        optional_send(call, SSE_KEY_ID, content_get(source, SSE_KEY_ID));
        optional_send(call, SSE_BUCKET_KEY, content_get(source, SSE_BUCKET_KEY));
        break;
    case STORE_SSE_S3:
        s3_call_header(call, SSE, "AES256");
        break;
    case STORE_SSE_KMS:
        s3_call_header(call, SSE, "aws:kms");
        optional_send(call, SSE_KEY_ID, o->kms_key);
        if (o->bucket_key)
            s3_call_header(call, SSE_BUCKET_KEY, "true");
        break;
    case STORE_SSE_C:
        break; /* its own headers */
    }
}

void s3_options_make_send(struct s3_call *call, const struct s3_content *source, uint64_t size)
{
    const struct s3_options *o = &call->s3->options;
    const char *redirect = "x-amz-website-redirect-location";

    optional_send(call, CLASS, o->storage_class ? class_for(o, size) : content_get(source, CLASS));
    optional_send(call, "x-amz-acl", o->acl);
    optional_send(call, redirect, content_get(source, redirect));
    sse_send(call, source);
    s3_options_key_send(call);
}

/* ---- keys, and who pays ---- */

static void key_send(struct s3_call *call, const char *prefix)
{
    const struct s3_options *o = &call->s3->options;
    char name[96];

    if (o->sse != STORE_SSE_C)
        return;
    (void)snprintf(name, sizeof(name), "%salgorithm", prefix);
    s3_call_header(call, name, "AES256");
    (void)snprintf(name, sizeof(name), "%skey", prefix);
    s3_call_header(call, name, o->sse_c_key);
    (void)snprintf(name, sizeof(name), "%skey-md5", prefix);
    s3_call_header(call, name, o->sse_c_md5);
}

void s3_options_key_send(struct s3_call *call)
{
    key_send(call, SSE_C);
}

void s3_options_source_key_send(struct s3_call *call)
{
    key_send(call, SSE_C_SOURCE);
}

void s3_options_payer_send(struct s3_call *call)
{
    if (call->s3->options.requester_pays)
        s3_call_header(call, "x-amz-request-payer", "requester");
}

/* ---- from the configuration ---- */

static int options_fail(const struct s3 *s3, const char *why, struct store_error *reterr)
{
    (void)snprintf(reterr->text, sizeof(reterr->text), "%.200s: %s", s3->addr.url, why);
    return -EINVAL;
}

/* What can be the value of a header: no spaces at the ends, no control characters. */
static bool header_value_valid(const char *value)
{
    if (!value)
        return true;
    for (const char *p = value; *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return false;
    return *value;
}

static bool is_loopback(const char *host)
{
    return host && (strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
                    strncmp(host, "[::1]", 5) == 0);
}

static int options_check(const struct s3 *s3, const struct store_config *config,
                         struct store_error *reterr)
{
    if (!header_value_valid(config->storage_class))
        return options_fail(s3, "the storage class is not a name", reterr);
    if (!header_value_valid(config->acl))
        return options_fail(s3, "the access list is not a name such as bucket-owner-full-control",
                            reterr);
    if (!header_value_valid(config->sse_kms_key))
        return options_fail(s3, "the id of the KMS key is not one", reterr);
    if (config->sse == STORE_SSE_C && !s3->addr.tls && !is_loopback(s3->addr.endpoint_host))
        return options_fail(s3,
                            "SSE-C sends the key with every request, and S3 takes it over TLS "
                            "only: use an https:// endpoint",
                            reterr);
    if (config->requester_pays && s3->anonymous)
        return options_fail(s3, "who pays for requests has to sign them: no keys were found",
                            reterr);
    return 0;
}

int s3_options_set(struct s3 *s3, const struct store_config *config, struct store_error *reterr)
{
    struct s3_options *o = &s3->options;
    int err = options_check(s3, config, reterr);

    if (err)
        return err;
    o->storage_class = mem_strdup(config->storage_class);
    o->cold_min_size = config->cold_min_size;
    o->acl = mem_strdup(config->acl);
    o->sse = config->sse;
    o->kms_key = mem_strdup(config->sse_kms_key);
    o->bucket_key = config->sse_bucket_key;
    o->requester_pays = config->requester_pays;
    if (o->sse == STORE_SSE_C) {
        (void)EVP_EncodeBlock((unsigned char *)o->sse_c_key, config->sse_c_key,
                              STORE_SSE_C_KEY_SIZE);
        checksum_md5_base64(config->sse_c_key, STORE_SSE_C_KEY_SIZE, o->sse_c_md5);
    }
    return 0;
}

void s3_options_clear(struct s3_options *options)
{
    free(options->storage_class);
    free(options->acl);
    free(options->kms_key);
    explicit_bzero(options, sizeof(*options));
}
