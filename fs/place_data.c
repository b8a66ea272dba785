/*
 * Making the object. Small ones by one PUT from memory; large ones by parts, where a range that the
 * stage does not touch is copied inside the store; content that did not change by a copy of the
 * whole.
 */
#include "fs/place_int.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/thread.h"

enum { PLACE_PARALLEL = 4, PLACE_PARTS_AIM = 9000 };

int place_call(struct place *p, struct store_req *r)
{
    r->prio = STORE_PRIO_UPLOAD;
    r->deadline_ns = p->deadline_ns;
    int err = store_call(p->vol->store, r);
    if (err)
        memcpy(p->error_text, r->error_text, sizeof(p->error_text));
    return err;
}

/* Bytes [off, off+len) of the frozen file. */
static int place_fill(struct place *p, uint64_t off, size_t len, char *buf)
{
    uint64_t end = off + len, base_end = p->base_len < end ? p->base_len : end;
    uint64_t at = off;
    int err = 0;

    /* What the stage has is read over the base; ranges of the base that it covers are not fetched.
     */
    for (size_t i = 0; i <= p->snapshot.count && !err; i++) {
        const struct extent *e = i < p->snapshot.count ? &p->snapshot.extents[i] : NULL;
        if (e && e->off + e->len <= at)
            continue;
        uint64_t gap_end = e && e->off < end ? e->off : end;
        if (at < gap_end) {
            uint64_t base_to = base_end < gap_end ? base_end : gap_end;
            if (at < base_to) {
                err = p->base
                          ? reader_copy(p->base, at, base_to - at, p->deadline_ns, buf + (at - off))
                          : -EIO;
                if (err == -ESTALE)
                    p->base_lost = true;
                at = base_to;
            }
            memset(buf + (at - off), 0, gap_end - at);
            at = gap_end;
        }
        if (!e || at >= end || err)
            break;
        uint64_t to = e->off + e->len < end ? e->off + e->len : end;
        err = stage_read(p->vol->fs->stage, e->segment, e->pos + (at - e->off), buf + (at - off),
                         to - at);
        at = to;
    }
    return err;
}

static int place_put(struct place *p, const void *body, size_t len)
{
    struct store_req r = {.op = STORE_PUT,
                          .key = p->target,
                          .buf = (void *)(uintptr_t)body,
                          .buf_len = len,
                          .meta = &p->meta,
                          .if_match = p->if_match,
                          .if_none_match = p->if_none_match};
    int err = place_call(p, &r);

    if (!err)
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
    store_req_clear(&r);
    return err;
}

static int place_copy(struct place *p)
{
    struct store_req r = {.op = STORE_COPY,
                          .key = p->target,
                          .src_key = p->base_key,
                          .src_if_match = p->base_etag,
                          .src_size = p->base_size,
                          .meta = &p->meta};
    bool self = strcmp(p->target, p->base_key) == 0;

    if (p->vol->caps.cond_copy && !self) {
        r.if_match = p->if_match;
        r.if_none_match = p->if_none_match;
    }
    int err = place_call(p, &r);
    if (!err)
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
    if (err == -ENOENT || (err == -ESTALE && self)) {
        p->base_lost = true;
        err = -ESTALE;
    }
    store_req_clear(&r);
    return err;
}

/* The whole of [off, off+len) is unchanged base. */
static bool place_untouched(const struct place *p, uint64_t off, uint64_t len)
{
    if (!p->base || off + len > p->base_len)
        return false;
    for (size_t i = 0; i < p->snapshot.count; i++) {
        const struct extent *e = &p->snapshot.extents[i];
        if (e->off < off + len && e->off + e->len > off)
            return false;
    }
    return true;
}

/* Memory for parts is limited over all uploads together. */
static void place_take_memory(struct fs *fs, uint64_t bytes)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    while (fs->part_buffers > 0 && fs->part_buffers + bytes > fs->part_limit)
        (void)thread_cond_wait_until(&fs->pool_cond, &fs->pool_lock, CLOCK_NEVER);
    fs->part_buffers += bytes;
    (void)pthread_mutex_unlock(&fs->pool_lock);
}

static void place_give_memory(struct fs *fs, uint64_t bytes)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    fs->part_buffers -= bytes;
    (void)pthread_cond_broadcast(&fs->pool_cond);
    (void)pthread_mutex_unlock(&fs->pool_lock);
}

static int place_single(struct place *p)
{
    uint64_t len = p->size;

    place_take_memory(p->vol->fs, len);
    CLEANUP_FREE char *buf = mem_alloc(len ? len : 1);
    int err = place_fill(p, 0, len, buf);
    if (!err)
        err = place_put(p, buf, len);
    place_give_memory(p->vol->fs, len);
    return err;
}

/* A few parts side by side: first..first+count-1, numbered from 1. */
static int place_parts(struct place *p, const char *upload_id, uint64_t part_size, uint32_t first,
                       uint32_t count, char *buffers, struct store_part *parts)
{
    struct store_req reqs[PLACE_PARALLEL] = {0};
    int err = 0;

    for (uint32_t i = 0; i < count && !err; i++) {
        uint64_t off = (uint64_t)(first + i - 1) * part_size;
        uint64_t len = p->size - off < part_size ? p->size - off : part_size;
        struct store_req *r = &reqs[i];
        r->prio = STORE_PRIO_UPLOAD;
        r->deadline_ns = p->deadline_ns;
        r->key = p->target;
        r->upload_id = upload_id;
        r->part_number = first + i;
        if (p->vol->caps.part_copy && place_untouched(p, off, len) &&
            len >= p->vol->caps.part_min) {
            r->op = STORE_MPU_COPY;
            r->src_key = p->base_key;
            r->src_if_match = p->base_etag;
            r->src_size = p->base_size;
            r->range_off = off;
            r->range_len = len;
        } else {
            r->op = STORE_MPU_PART;
            r->buf = buffers + i * part_size;
            r->buf_len = len;
            err = place_fill(p, off, len, r->buf);
        }
    }
    if (err)
        return err;
    ask_all(p->vol->store, reqs, count);
    for (uint32_t i = 0; i < count; i++) {
        if (reqs[i].err && !err) {
            err = reqs[i].err;
            memcpy(p->error_text, reqs[i].error_text, sizeof(p->error_text));
            if (reqs[i].op == STORE_MPU_COPY && (err == -ESTALE || err == -ENOENT)) {
                p->base_lost = true;
                err = -ESTALE;
            }
        }
        parts[first + i - 1] = reqs[i].ret_part;
        parts[first + i - 1].number = first + i;
        store_req_clear(&reqs[i]);
    }
    return err;
}

static int place_complete(struct place *p, const char *upload_id, const struct store_part *parts,
                          uint32_t count)
{
    struct store_req r = {.op = STORE_MPU_COMPLETE,
                          .key = p->target,
                          .upload_id = upload_id,
                          .parts = parts,
                          .part_count = count,
                          .if_match = p->if_match,
                          .if_none_match = p->if_none_match};
    int err = place_call(p, &r);

    if (!err)
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
    store_req_clear(&r);
    return err;
}

static int place_multipart_parts(struct place *p, const char *upload_id, uint64_t part_size)
{
    uint32_t total = (uint32_t)((p->size + part_size - 1) / part_size);
    CLEANUP_FREE struct store_part *parts = mem_array(total, sizeof(*parts));
    uint64_t memory = part_size * PLACE_PARALLEL;
    int err = 0;

    for (uint32_t first = 1; first <= total && !err; first += PLACE_PARALLEL) {
        uint32_t count = total - first + 1 < PLACE_PARALLEL ? total - first + 1 : PLACE_PARALLEL;
        /* Each batch has its own time: a large file must not run out of it by its size. */
        p->deadline_ns = clock_mono_ns() + 60 * CLOCK_S;
        place_take_memory(p->vol->fs, memory);
        char *buffers = mem_alloc(memory);
        err = place_parts(p, upload_id, part_size, first, count, buffers, parts);
        free(buffers);
        place_give_memory(p->vol->fs, memory);
    }
    p->deadline_ns = clock_mono_ns() + 60 * CLOCK_S;
    return err ? err : place_complete(p, upload_id, parts, total);
}

static int place_multipart(struct place *p)
{
    const struct store_caps *caps = &p->vol->caps;
    uint64_t part_size = PART_BYTES;
    struct store_req begin = {.op = STORE_MPU_BEGIN, .key = p->target, .meta = &p->meta};

    while (p->size / part_size >= PLACE_PARTS_AIM ||
           p->size / part_size + 1 > caps->part_count_max || part_size < caps->part_min)
        part_size *= 2;
    if (caps->part_max && part_size > caps->part_max)
        return -EFBIG;
    int err = place_call(p, &begin);
    if (err) {
        store_req_clear(&begin);
        return err;
    }
    err = place_multipart_parts(p, begin.ret_upload_id, part_size);
    if (err) {
        struct store_req abort = {
            .op = STORE_MPU_ABORT, .key = p->target, .upload_id = begin.ret_upload_id};
        char text[STORE_ERROR_MAX];
        memcpy(text, p->error_text, sizeof(text));
        (void)place_call(p, &abort); /* the store's own clean-up gets what this misses */
        memcpy(p->error_text, text, sizeof(text));
        store_req_clear(&abort);
    }
    store_req_clear(&begin);
    return err;
}

int place_data(struct place *p)
{
    if (p->type == FS_DIR)
        return place_put(p, "", 0);
    if (p->type == FS_LNK && p->symlink)
        return place_put(p, p->symlink, strlen(p->symlink));
    if (!p->content)
        return place_copy(p);
    if (p->size <= 2 * PART_BYTES || p->vol->caps.part_count_max == 0)
        return place_single(p);
    return place_multipart(p);
}
