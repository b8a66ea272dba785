/* The S3 store as a struct store: opening, closing, and the way from an operation to its code. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_int.h"
#include "cloud/s3_store.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define PROBE_NS (12 * CLOCK_S)

/* ---- requests ---- */

static int submit_check_key(const struct s3 *s3, const char *key)
{
    if (!key)
        return 0;
    if (!*key)
        return -EINVAL;
    return strlen(s3->addr.prefix) + strlen(key) > STORE_KEY_MAX ? -ENAMETOOLONG : 0;
}

static int submit_check(const struct s3 *s3, const struct store_req *req)
{
    bool keyless = req->op == STORE_LIST || req->op == STORE_DELETE;
    int err = keyless ? 0 : submit_check_key(s3, req->key);

    if (!err && (req->op == STORE_COPY || req->op == STORE_MPU_COPY))
        err = submit_check_key(s3, req->src_key);
    if (!err && (req->op == STORE_PUT || req->op == STORE_COPY || req->op == STORE_MPU_BEGIN))
        err = s3_meta_check(req->meta);
    return err;
}

struct refusal {
    struct http_post post;
    struct store_req *req;
    int err;
};

static void refusal_run(struct http_post *post)
{
    struct refusal refusal = *(struct refusal *)post;

    free(post);
    s3_req_finish(refusal.req, NULL, refusal.err);
}

/* done() is never called from inside submit: the answer comes from the engine's thread. */
static void submit_refuse(struct s3 *s3, struct store_req *req, int err)
{
    struct refusal *refusal = mem_zalloc(sizeof(*refusal));

    *refusal = (struct refusal){.post = {.fn = refusal_run}, .req = req, .err = err};
    http_post(s3->http, &refusal->post);
}

static void s3_submit(struct store *store, struct store_req *req)
{
    static void (*const starts[])(struct s3 *, struct store_req *) = {
        [STORE_HEAD] = s3_head_start,
        [STORE_LIST] = s3_list_start,
        [STORE_GET] = s3_get_start,
        [STORE_PUT] = s3_put_start,
        [STORE_COPY] = s3_copy_start,
        [STORE_DELETE] = s3_delete_start,
        [STORE_MPU_BEGIN] = s3_mpu_begin_start,
        [STORE_MPU_PART] = s3_mpu_part_start,
        [STORE_MPU_COPY] = s3_mpu_copy_start,
        [STORE_MPU_COMPLETE] = s3_mpu_complete_start,
        [STORE_MPU_ABORT] = s3_mpu_abort_start,
    };
    struct s3 *s3 = s3_of(store);

    store_req_clear(req);
    assert((size_t)req->op < sizeof(starts) / sizeof(starts[0]));
    int err = submit_check(s3, req);
    if (err)
        submit_refuse(s3, req, err);
    else
        starts[req->op](s3, req);
}

static void s3_caps(struct store *store, struct store_caps *ret)
{
    *ret = s3_of(store)->caps;
}

static void s3_space(struct store *store, uint64_t *ret_total, uint64_t *ret_free)
{
    (void)store;
    *ret_total = *ret_free = 0;
}

static void s3_close(struct store *store)
{
    struct s3 *s3 = s3_of(store);

    http_engine_close(s3->http);
    s3_address_clear(&s3->addr);
    credentials_clear(&s3->creds);
    s3_options_clear(&s3->options);
    free(s3->profile);
    free(s3->passwd_file);
    explicit_bzero(&s3->key, sizeof(s3->key));
    (void)pthread_mutex_destroy(&s3->lock);
    free(store->url);
    free(s3);
}

static void s3_cut(struct store *store, int64_t when_ns)
{
    http_cut(s3_of(store)->http, when_ns);
}

static const struct store_ops s3_ops = {
    .submit = s3_submit,
    .caps = s3_caps,
    .space = s3_space,
    .close = s3_close,
    .cut = s3_cut,
};

/* ---- opening ---- */

int s3_load_credentials(const struct s3 *s3, const char *url, struct credentials *ret,
                        struct store_error *reterr)
{
    static const char scheme[] = "s3://";
    const char *part = strncmp(url, scheme, strlen(scheme)) == 0 ? url + strlen(scheme) : url;
    CLEANUP_FREE char *bucket = mem_strndup(part, strcspn(part, "/?"));

    return s3->passwd_file ? passwd_file_load(s3->passwd_file, bucket, ret, reterr)
                           : credentials_load(s3->profile, ret, reterr);
}

static int open_credentials(struct s3 *s3, const struct store_config *config, const char *url,
                            struct store_error *reterr)
{
    struct store_error why = {{0}};

    if (config->unsigned_requests) {
        s3->anonymous = true;
        return 0;
    }
    s3->profile = mem_strdup(config->profile);
    s3->passwd_file = mem_strdup(config->passwd_file);
    int err = s3_load_credentials(s3, url, &s3->creds, &why);
    if (err)
        (void)snprintf(reterr->text, sizeof(reterr->text), "%.120s: %.380s", url, why.text);
    s3->anonymous = !s3->creds.access_key;
    return err;
}

static int open_region(struct s3 *s3, const struct store_config *config, struct store_error *reterr)
{
    const char *region = config->region ? config->region : s3->creds.region;

    if (!region || !*region)
        region = "us-east-1"; /* and the store will say which it is */
    if (strlen(region) >= sizeof(s3->region) ||
        region[strspn(region,
                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")]) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "%.160s: \"%.100s\" is not a region",
                       s3->addr.url, region);
        return -EINVAL;
    }
    (void)snprintf(s3->region, sizeof(s3->region), "%s", region);
    return 0;
}

/* Directory buckets (S3 Express One Zone) are signed in another way, for sessions. */
static int open_refuse_express(const struct s3 *s3, struct store_error *reterr)
{
    size_t len = strlen(s3->addr.bucket);

    if (!s3->addr.aws || len < 6 || strcmp(s3->addr.bucket + len - 6, "--x-s3") != 0)
        return 0;
    (void)snprintf(reterr->text, sizeof(reterr->text),
                   "%.300s: directory buckets (S3 Express One Zone) are not supported by this "
                   "version; use a general purpose bucket",
                   s3->addr.url);
    return -ENOTSUP;
}

static void open_limits(struct s3 *s3, const struct store_config *config)
{
    s3->stall_fixed = config->stall_timeout_ns > 0;
    s3->stall_read_ns = s3->stall_fixed ? config->stall_timeout_ns : S3_STALL_READ_NS;
    s3->stall_write_ns = s3->stall_fixed ? config->stall_timeout_ns : S3_STALL_WRITE_NS;
    s3->tries_max = config->tries_max;
    s3->pauses = (struct retry_pauses){config->retry_min_ns, config->retry_max_ns};
    s3->no_detect = config->no_detect;
    s3->no_checksum = config->no_checksum;
    s3->list = config->list;
    atomic_store(&s3->list_v1, config->list == STORE_LIST_V1);
}

static void open_caps(struct s3 *s3, bool read_only)
{
    s3->caps = (struct store_caps){
        .list_sorted = true,
        .delete_max = S3_DELETE_BATCH,
        .part_min = 5 * MIB,
        .part_max = 5 * GIB,
        .part_count_max = 10000,
        .put_max = 5 * GIB,
        .copy_size_max = 5 * GIB,
        .object_max = s3->addr.aws ? 10000 * 5 * GIB : 5 * 1024 * GIB,
        .writable = !read_only,
    };
    s3->copy_part_size = 256 * MIB;
}

static int open_engine(struct s3 *s3, const struct store_config *config, struct store_error *reterr)
{
    struct http_config http = {
        .ca_file = config->ca_file,
        .no_verify = config->no_verify,
        .connections = config->connections,
        .connect_timeout_ns = config->connect_timeout_ns,
    };
    if (config->ca_file && access(config->ca_file, R_OK) != 0) {
        int no_file = -errno;
        (void)snprintf(reterr->text, sizeof(reterr->text), "%.160s: cannot read %.200s: %s",
                       s3->addr.url, config->ca_file, strerrordesc_np(-no_file));
        return no_file;
    }
    int err = http_engine_open(&http, &s3->http);
    if (err)
        (void)snprintf(reterr->text, sizeof(reterr->text), "%.160s: cannot start the network: %s",
                       s3->addr.url, strerrordesc_np(-err));
    return err;
}

int s3_store_open(const char *url, const struct store_config *config, struct store **ret,
                  struct store_error *reterr)
{
    struct s3 *s3 = mem_zalloc(sizeof(*s3));

    s3->store.ops = &s3_ops;
    (void)pthread_mutex_init(&s3->lock, NULL);
    int err = open_credentials(s3, config, url, reterr);
    const char *endpoint = config->endpoint ? config->endpoint : s3->creds.endpoint;
    if (!err)
        err = s3_address_parse(url, config, endpoint, &s3->addr, reterr);
    if (!err)
        err = open_refuse_express(s3, reterr);
    if (!err)
        err = s3_options_set(s3, config, reterr);
    if (!err)
        err = open_region(s3, config, reterr);
    if (!err)
        err = open_engine(s3, config, reterr);
    if (!err) {
        s3->store.url = mem_strdup(s3->addr.url);
        open_caps(s3, config->read_only);
        open_limits(s3, config);
        err = s3_probe_reach(s3, reterr);
    }
    if (!err && !config->read_only)
        err = s3_probe_caps(s3, config->probe_id, clock_mono_ns() + PROBE_NS, reterr);
    if (err) {
        s3_close(&s3->store);
        return err;
    }
    if (s3->caps.part_copy) /* many parts at once are faster than one long copy */
        s3->caps.copy_size_max = GIB;
    *ret = &s3->store;
    return 0;
}
