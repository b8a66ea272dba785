/*
 * What a bucket can do, found by trying on small objects named .pailfs-probe-<number>.
 *
 * Everything is first taken to work, so that requests are sent as they would be, and then switched
 * off where the store did not do what was asked. Blocks; runs before anyone else has the store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cloud/s3_int.h"

#define REACH_NS (5 * CLOCK_S)   /* to get through to the endpoint at all, */
#define ANSWER_NS (12 * CLOCK_S) /* and to be answered */
#define STEP_NS (8 * CLOCK_S)
#define CLEAN_NS (4 * CLOCK_S)
#define WRONG_ETAG "00000000000000000000000000000000"
#define WRONG_CRC32C "AAAAAA=="

enum { PROBE_KEYS = 4 };

struct probe {
    struct s3 *s3;
    int64_t deadline_ns;
    char plain[64], odd[80], large[80], below[80]; /* keys */
    char etag[STORE_ETAG_MAX];                     /* of plain */
    char error_text[STORE_ERROR_MAX];
};

static char probe_body[] = "pailfs looks what this bucket can do; this object may be deleted\n";

/* ---- reaching the bucket ---- */

static int reach_fail(const struct s3 *s3, int err, const char *text, struct store_error *reterr)
{
    const char *why;
    const char *url = s3->addr.url, *source = s3->creds.source ? s3->creds.source : "";

    if (strstr(text, "NoSuchBucket") || err == -ENOENT)
        why = "the bucket does not exist";
    else if (strstr(text, "InvalidAccessKeyId") || strstr(text, "UserNotFound"))
        why = "the store does not know the access key";
    else if (strstr(text, "SignatureDoesNotMatch"))
        why = "the secret key does not belong to the access key";
    else if (strstr(text, "ExpiredToken") || strstr(text, "InvalidToken"))
        why = "the session token is not valid (any more)";
    else if (err == -EACCES && s3->anonymous)
        why = "the bucket is not public, and no keys were found in the environment or ~/.aws";
    else if (err == -EACCES && strstr(text, " 403"))
        why = "these credentials may not list the bucket";
    else if (err == -EACCES)
        why = "the certificate of the endpoint is not accepted";
    else if (err == -EAGAIN)
        why = "the endpoint does not answer";
    else
        why = "the endpoint does not answer as an S3 store does";
    (void)snprintf(reterr->text, sizeof(reterr->text), "%.160s: %s%s%.60s%s: %.180s", url, why,
                   *source ? " (keys from " : "", source, *source ? ")" : "", text);
    return err;
}

int s3_probe_reach(struct s3 *s3, struct store_error *reterr)
{
    int64_t now = clock_mono_ns();
    struct store_req req = {
        .op = STORE_LIST,
        .prefix = "",
        .max_keys = 1,
        .deadline_ns = now + ANSWER_NS,
    };

    s3->reach_deadline_ns = now + REACH_NS;
    int err = store_call(&s3->store, &req);
    s3->reach_deadline_ns = 0;
    if (err)
        (void)reach_fail(s3, err, req.error_text, reterr);
    store_req_clear(&req);
    return err;
}

/* ---- one step ---- */

static int probe_call(struct probe *probe, struct store_req *req)
{
    int64_t now = clock_mono_ns();

    req->deadline_ns = now + STEP_NS < probe->deadline_ns ? now + STEP_NS : probe->deadline_ns;
    int err = store_call(&probe->s3->store, req);
    (void)snprintf(probe->error_text, sizeof(probe->error_text), "%s", req->error_text);
    return err;
}

static int probe_put(struct probe *probe, const char *if_match, bool if_none_match)
{
    struct store_req req = {
        .op = STORE_PUT,
        .key = probe->plain,
        .buf = probe_body,
        .buf_len = sizeof(probe_body) - 1,
        .if_match = if_match,
        .if_none_match = if_none_match,
    };
    int err = probe_call(probe, &req);

    if (err == 0)
        memcpy(probe->etag, req.object.etag, sizeof(probe->etag));
    store_req_clear(&req);
    return err;
}

static int probe_copy(struct probe *probe, const char *if_match, bool if_none_match)
{
    struct store_req req = {
        .op = STORE_COPY,
        .key = probe->odd,
        .src_key = probe->plain,
        .src_size = sizeof(probe_body) - 1,
        .if_match = if_match,
        .if_none_match = if_none_match,
    };
    int err = probe_call(probe, &req);

    store_req_clear(&req);
    return err;
}

static int probe_delete(struct probe *probe, const char *if_match)
{
    struct store_delete del = {.key = probe->plain, .if_match = if_match};
    struct store_req req = {.op = STORE_DELETE, .deletes = &del, .delete_count = 1};
    (void)probe_call(probe, &req);

    store_req_clear(&req);
    return del.err;
}

/* ---- what is looked for ---- */

static void probe_cond_put(struct probe *probe)
{
    struct store_caps *caps = &probe->s3->caps;

    caps->cond_put = probe_put(probe, NULL, true) == -ESTALE &&
                     probe_put(probe, WRONG_ETAG, false) == -ESTALE &&
                     probe_put(probe, probe->etag, false) == 0;
    if (!caps->cond_put)
        (void)probe_put(probe, NULL, false); /* whatever has become of it, it is there again */
}

static void probe_cond_copy(struct probe *probe)
{
    struct store_caps *caps = &probe->s3->caps;

    int first = probe_copy(probe, NULL, true);
    int second = first == 0 ? probe_copy(probe, NULL, true) : first;
    caps->cond_copy = second == -ESTALE && probe_copy(probe, WRONG_ETAG, false) == -ESTALE;
    if (!caps->cond_copy)
        (void)probe_copy(probe, NULL, false);
}

static void probe_cond_delete(struct probe *probe)
{
    struct store_caps *caps = &probe->s3->caps;

    caps->cond_delete =
        probe_delete(probe, WRONG_ETAG) == -ESTALE && probe_delete(probe, probe->etag) == 0;
}

struct crc_waiter {
    pthread_mutex_t lock; /* guards err */
    pthread_cond_t cond;
    int err; /* 1 = not yet */
};

static void crc_done(struct s3_call *call)
{
    struct crc_waiter *waiter = call->ctx;
    int err = call->err;

    s3_call_free(call);
    (void)pthread_mutex_lock(&waiter->lock);
    waiter->err = err;
    (void)pthread_cond_signal(&waiter->cond);
    (void)pthread_mutex_unlock(&waiter->lock);
}

/* Does the store refuse a body that does not fit its checksum, and take one that does? */
static void probe_crc32c(struct probe *probe)
{
    struct s3 *s3 = probe->s3;
    struct crc_waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1};
    struct s3_call *call = s3_call_new(s3, NULL, "PUT", probe->plain);

    s3_call_body(call, probe_body, sizeof(probe_body) - 1);
    s3_call_header(call, "x-amz-checksum-crc32c", WRONG_CRC32C);
    call->ctx = &waiter;
    call->prio = STORE_PRIO_READ;
    call->deadline_ns = clock_mono_ns() + STEP_NS / 4;
    s3_call_start(call, crc_done);
    (void)pthread_mutex_lock(&waiter.lock);
    while (waiter.err == 1)
        (void)pthread_cond_wait(&waiter.cond, &waiter.lock);
    (void)pthread_mutex_unlock(&waiter.lock);
    if (waiter.err != -EINVAL && waiter.err != -EIO)
        return;
    atomic_store(&s3->crc32c, true);
    if (probe_put(probe, NULL, false) == 0)
        return;
    atomic_store(&s3->crc32c, false);
    (void)probe_put(probe, NULL, false);
}

/* A multipart upload of one copied part. etag may be NULL. */
static int probe_upload(struct probe *probe, const char *key, const char *src, const char *etag)
{
    struct store_req begin = {.op = STORE_MPU_BEGIN, .key = key};
    int err = probe_call(probe, &begin);

    if (err) {
        store_req_clear(&begin);
        return err;
    }
    struct store_req part = {
        .op = STORE_MPU_COPY,
        .key = key,
        .src_key = src,
        .src_if_match = etag,
        .upload_id = begin.ret_upload_id,
        .part_number = 1,
    };
    struct store_req complete = {
        .op = STORE_MPU_COMPLETE,
        .key = key,
        .upload_id = begin.ret_upload_id,
        .parts = &part.ret_part,
        .part_count = 1,
    };
    struct store_req abandon = {
        .op = STORE_MPU_ABORT,
        .key = key,
        .upload_id = begin.ret_upload_id,
    };
    err = probe_call(probe, &part);
    if (err == 0)
        err = probe_call(probe, &complete);
    if (err)
        (void)probe_call(probe, &abandon);
    store_req_clear(&begin);
    store_req_clear(&part);
    store_req_clear(&complete);
    store_req_clear(&abandon);
    return err;
}

static void probe_part_copy(struct probe *probe)
{
    struct s3 *s3 = probe->s3;
    bool sums = atomic_load(&s3->crc32c);

    atomic_store(&s3->crc32c_parts, sums);
    int err = probe_upload(probe, probe->large, probe->plain, probe->etag);
    /* Some stores have no checksum for a copied part; some give it that of the source, which is of
     * no use if that was put together from parts itself. */
    if (!err && sums)
        err = probe_upload(probe, probe->odd, probe->large, NULL);
    if (err && sums) {
        atomic_store(&s3->crc32c_parts, false);
        err = probe_upload(probe, probe->large, probe->plain, probe->etag);
    }
    s3->caps.part_copy = err == 0;
}

/* How many objects of the probe a listing shows, and whether the oddly named one is among them. */
static int probe_list(struct probe *probe, bool *ret_odd)
{
    struct store_req req = {.op = STORE_LIST, .prefix = probe->plain};
    int err = probe_call(probe, &req);
    int count = err ? err : (int)req.object_count;

    *ret_odd = false;
    for (size_t i = 0; i < req.object_count; i++)
        *ret_odd |= strcmp(req.objects[i].key, probe->odd) == 0;
    store_req_clear(&req);
    return count;
}

static void probe_listing(struct probe *probe)
{
    struct s3 *s3 = probe->s3;
    bool odd;

    if (probe_list(probe, &odd) >= 0 && odd)
        return;
    atomic_store(&s3->list_plain, true);
    if (probe_list(probe, &odd) < 0 || !odd)
        atomic_store(&s3->list_plain, false); /* it is not that */
}

/* Removes all, by DeleteObjects if that works. */
static void probe_clean(struct probe *probe)
{
    struct store_delete dels[] = {
        {.key = probe->plain}, {.key = probe->odd}, {.key = probe->large}, {.key = probe->below}};
    struct store_req req = {.op = STORE_DELETE, .deletes = dels, .delete_count = PROBE_KEYS};
    bool odd;

    if (probe->deadline_ns < clock_mono_ns() + CLEAN_NS)
        probe->deadline_ns = clock_mono_ns() + CLEAN_NS;
    (void)probe_call(probe, &req);
    store_req_clear(&req);
    bool gone = true;
    for (size_t i = 0; i < PROBE_KEYS; i++)
        gone = gone && dels[i].err == 0;
    if (gone && probe_list(probe, &odd) <= 0)
        return;
    atomic_store(&probe->s3->no_delete_batch, true);
    (void)probe_call(probe, &req);
    store_req_clear(&req);
    /* Not a reason to refuse service, but somebody should know where these objects come from. */
    for (size_t i = 0; i < PROBE_KEYS; i++)
        if (dels[i].err)
            log_event(LOG_WARN, "probe_not_removed", "store=%s key=%s err=%s text=%s",
                      LOG_Q(probe->s3->addr.url), LOG_Q(dels[i].key), strerrordesc_np(-dels[i].err),
                      LOG_Q(probe->error_text));
}

/* Does an object stand in the way of others "below" it? */
static void probe_one_kind(struct probe *probe)
{
    struct store_req req = {
        .op = STORE_PUT,
        .key = probe->below,
        .buf = probe_body,
        .buf_len = sizeof(probe_body) - 1,
    };

    probe->s3->caps.one_kind = probe_call(probe, &req) != 0;
    store_req_clear(&req);
}

/* What a crash left of an earlier probe of ours would be shown to clients as files. */
static void probe_left_over(struct probe *probe)
{
    bool odd;

    if (probe_list(probe, &odd) > 0)
        probe_clean(probe);
}

static void caps_none(struct store_caps *caps)
{
    caps->cond_put = caps->cond_copy = caps->cond_delete = caps->part_copy = false;
}

int s3_probe_caps(struct s3 *s3, uint64_t id, int64_t deadline_ns, struct store_error *reterr)
{
    struct probe probe = {.s3 = s3, .deadline_ns = deadline_ns};
    struct store_caps *caps = &s3->caps;

    (void)snprintf(probe.plain, sizeof(probe.plain), ".pailfs-probe-%016llx",
                   (unsigned long long)(id ? id : retry_random()));
    (void)snprintf(probe.odd, sizeof(probe.odd), "%s +%%41&", probe.plain);
    (void)snprintf(probe.large, sizeof(probe.large), "%s-large", probe.plain);
    (void)snprintf(probe.below, sizeof(probe.below), "%s/below", probe.plain);
    caps->cond_put = caps->cond_copy = caps->cond_delete = caps->part_copy = true;
    if (id)
        probe_left_over(&probe);
    int err = probe_put(&probe, NULL, true);
    if (err == -ENOTSUP || err == -EINVAL) /* perhaps it is the condition that it does not know */
        err = probe_put(&probe, NULL, false);
    if (err) {
        caps_none(caps);
        caps->writable = false;
        if (err == -EACCES || err == -ENOTSUP || err == -EROFS)
            return 0;
        probe_clean(&probe);
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%.160s: the bucket can be listed, but a test object cannot be written: "
                       "%.200s",
                       s3->addr.url, probe.error_text);
        return err;
    }
    probe_cond_put(&probe);
    if (!s3->no_checksum)
        probe_crc32c(&probe);
    probe_cond_copy(&probe);
    probe_listing(&probe);
    probe_part_copy(&probe);
    probe_one_kind(&probe);
    probe_cond_delete(&probe);
    probe_clean(&probe);
    return 0;
}
