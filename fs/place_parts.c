/*
 * One file by parts, PARTS_IN_FLIGHT (or as configured) at once: ranges that the stage does not
 * touch are copied inside the store, others are sent from memory, and what the store has already
 * from an earlier try is left as it is. The records are mpu.c's, and so is the reasoning why this
 * is safe.
 */
#include "fs/place_int.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    PARTS_DEADLINE_S = 60,
    PARTS_SLOW_BYTES_S = 256 << 10, /* and this speed is slow, but not too slow */
};

struct parts;
struct parts_slot {
    struct store_req r;
    struct parts *parts;
    struct mpu_part part; /* what becomes of it */
    uint64_t memory;      /* bytes taken for it */
    bool busy, finished;
};

struct parts {
    struct place *p;
    struct mpu *mpu;
    uint32_t next, total, running;
    int err;
    pthread_mutex_t lock; /* finished of the slots */
    pthread_cond_t cond;
    size_t slot_count;
    struct parts_slot slots[];
};

/* --- what a part is made from --- */

enum sign_kind { SIGN_STAGE = 1, SIGN_BASE, SIGN_ZEROS };

struct sign_run { /* of the file, from one source */
    uint64_t kind, off, len, segment, pos;
};

static void sign_flush(XXH3_state_t *state, const struct place *p, const struct sign_run *run)
{
    if (run->len == 0)
        return;
    (void)XXH3_128bits_update(state, run, sizeof(*run));
    if (run->kind == SIGN_BASE)
        (void)XXH3_128bits_update(state, p->base_etag, strlen(p->base_etag) + 1);
}

/* How the map is cut into extents does not matter: neighbours that continue each other are one. */
static void sign_add(XXH3_state_t *state, const struct place *p, struct sign_run *run,
                     const struct sign_run *next)
{
    bool continues = run->len > 0 && run->kind == next->kind && run->segment == next->segment &&
                     run->pos + (next->kind == SIGN_STAGE ? run->len : 0) == next->pos;

    if (next->len == 0)
        return;
    if (continues) {
        run->len += next->len;
        return;
    }
    sign_flush(state, p, run);
    *run = *next;
}

static void sign_gap(XXH3_state_t *state, const struct place *p, struct sign_run *run, uint64_t at,
                     uint64_t end)
{
    uint64_t base_end = !p->base_etag ? at : p->base_len < end ? p->base_len : end;

    if (at < base_end) {
        sign_add(state, p, run, &(struct sign_run){SIGN_BASE, at, base_end - at, 0, 0});
        at = base_end;
    }
    if (at < end)
        sign_add(state, p, run, &(struct sign_run){SIGN_ZEROS, at, end - at, 0, 0});
}

static void place_sign(const struct place *p, uint64_t off, uint64_t len, uint64_t ret[2])
{
    XXH3_state_t *state = XXH3_createState();
    struct sign_run run = {0};
    uint64_t at = off, end = off + len;

    assert(state);
    (void)XXH3_128bits_reset(state);
    for (size_t i = place_first(p, off); i < p->snapshot.count && at < end; i++) {
        const struct extent *e = &p->snapshot.extents[i];
        uint64_t from = e->off > at ? e->off : at;
        uint64_t to = e->off + e->len < end ? e->off + e->len : end;
        if (from >= end)
            break;
        sign_gap(state, p, &run, at, from);
        sign_add(
            state, p, &run,
            &(struct sign_run){SIGN_STAGE, from, to - from, e->segment, e->pos + (from - e->off)});
        at = to;
    }
    sign_gap(state, p, &run, at, end);
    sign_flush(state, p, &run);
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    (void)XXH3_freeState(state);
    ret[0] = hash.low64;
    ret[1] = hash.high64;
}

/* --- sending --- */

static void parts_done(struct store_req *r)
{
    struct parts_slot *slot = r->ctx;
    struct parts *s = slot->parts;

    /* Signalled under the lock: once that is free the waiter may be gone. */
    (void)pthread_mutex_lock(&s->lock);
    slot->finished = true;
    (void)pthread_cond_signal(&s->cond);
    (void)pthread_mutex_unlock(&s->lock);
}

static uint64_t parts_len(const struct parts *s, uint32_t number)
{
    uint64_t off = (uint64_t)(number - 1) * s->mpu->part_size;

    return s->p->size - off < s->mpu->part_size ? s->p->size - off : s->mpu->part_size;
}

/* Counts bytes that the store has. False: there is no use in going on. */
static bool parts_progress(struct parts *s, uint64_t len)
{
    struct place *p = s->p;

    vol_lock(p->vol);
    p->ino->upload_done += len;
    bool gone = p->ino->flags & (INODE_GONE | INODE_ORPHAN);
    vol_unlock(p->vol);
    return !gone && !upload_stopping(p->vol->fs);
}

static struct parts_slot *parts_slot_free(struct parts *s)
{
    for (size_t i = 0; i < s->slot_count; i++)
        if (!s->slots[i].busy)
            return &s->slots[i];
    return NULL;
}

static void parts_submit(struct parts *s, struct parts_slot *slot)
{
    struct store_req *r = &slot->r;

    r->prio = STORE_PRIO_UPLOAD;
    r->deadline_ns = clock_mono_ns() + PARTS_DEADLINE_S * CLOCK_S +
                     (int64_t)(slot->part.len / PARTS_SLOW_BYTES_S) * CLOCK_S;
    r->key = s->p->target;
    r->upload_id = s->mpu->upload_id;
    r->part_number = slot->part.done.number;
    r->done = parts_done;
    r->ctx = slot;
    slot->parts = s;
    slot->busy = true;
    s->running++;
    store_submit(s->p->vol->store, r);
}

/* From memory. False if others' parts have to be done before there is room. */
static bool parts_send(struct parts *s, struct parts_slot *slot, uint64_t off)
{
    struct fs *fs = s->p->vol->fs;
    uint64_t len = slot->part.len;

    if (s->running == 0)
        place_take_memory(fs, len);
    else if (!place_try_memory(fs, len))
        return false;
    slot->memory = len;
    slot->r.op = STORE_MPU_PART;
    slot->r.buf = mem_alloc(len);
    slot->r.buf_len = len;
    s->p->deadline_ns = clock_mono_ns() + PARTS_DEADLINE_S * CLOCK_S;
    s->err = place_fill(s->p, off, len, slot->r.buf);
    if (!s->err) {
        parts_submit(s, slot);
        return true;
    }
    free(slot->r.buf);
    place_give_memory(fs, len);
    return false;
}

/* The store may copy so much for the next part. The last one may be short, the source not. */
static bool parts_can_copy(const struct parts *s, uint64_t len)
{
    const struct store_caps *caps = &s->p->vol->caps;

    return caps->part_copy &&
           (len >= caps->part_min || (s->next == s->total && s->p->base_size > caps->part_min));
}

/* Starts the next part, or passes over it. False if nothing can be started now. */
static bool parts_start(struct parts *s)
{
    struct place *p = s->p;
    struct parts_slot *slot = parts_slot_free(s);
    uint64_t off = (uint64_t)(s->next - 1) * s->mpu->part_size, len = parts_len(s, s->next);
    const struct mpu_part *had = mpu_part_find(s->mpu, s->next);

    if (!slot)
        return false;
    *slot = (struct parts_slot){.part = {.len = len, .done.number = s->next}};
    place_sign(p, off, len, slot->part.sign);
    if (had && had->len == len && memcmp(had->sign, slot->part.sign, sizeof(had->sign)) == 0) {
        s->next++;
        if (!parts_progress(s, len))
            s->err = -ECANCELED;
        return !s->err;
    }
    if (parts_can_copy(s, len) && place_untouched(p, off, len)) {
        slot->part.copied = true;
        slot->r.op = STORE_MPU_COPY;
        slot->r.src_key = p->base_key;
        slot->r.src_if_match = p->base_etag;
        slot->r.src_size = p->base_size;
        slot->r.range_off = off;
        slot->r.range_len = len;
        parts_submit(s, slot);
    } else if (!parts_send(s, slot, off)) {
        return false;
    }
    s->next++;
    return true;
}

/* -ENOENT for a copy: is it the source that is not there, or the upload? */
static int parts_copy_error(struct place *p, int err)
{
    struct store_req head = {.op = STORE_HEAD, .key = p->base_key};

    if (err == -ENOENT) {
        p->deadline_ns = clock_mono_ns() + PARTS_DEADLINE_S * CLOCK_S;
        int head_err = place_call(p, &head);
        bool there = !head_err && strcmp(head.object.etag, p->base_etag) == 0;
        store_req_clear(&head);
        if (there)
            return -ENOENT;
        err = head_err && head_err != -ENOENT ? head_err : -ESTALE;
    }
    p->base_lost = p->base_lost || err == -ESTALE;
    return err;
}

static void parts_settle(struct parts *s, struct parts_slot *slot)
{
    struct place *p = s->p;
    int err = slot->r.err;

    if (!err) {
        slot->part.done = slot->r.ret_part;
        slot->part.done.number = slot->r.part_number;
        mpu_part_done(p->vol, s->mpu, &slot->part);
        p->progress = true;
        if (!parts_progress(s, slot->part.len))
            err = -ECANCELED;
    } else if (!s->err) {
        memcpy(p->error_text, slot->r.error_text, sizeof(p->error_text));
        if (slot->r.op == STORE_MPU_COPY)
            err = parts_copy_error(p, err);
    }
    s->err = s->err ? s->err : err;
    if (slot->memory) {
        free(slot->r.buf);
        place_give_memory(p->vol->fs, slot->memory);
    }
    store_req_clear(&slot->r);
    slot->busy = false;
    s->running--;
}

/* Waits for one that is on its way. */
static void parts_wait(struct parts *s)
{
    struct parts_slot *slot = NULL;

    (void)pthread_mutex_lock(&s->lock);
    while (!slot) {
        for (size_t i = 0; i < s->slot_count && !slot; i++)
            if (s->slots[i].busy && s->slots[i].finished)
                slot = &s->slots[i];
        if (!slot)
            (void)thread_cond_wait_until(&s->cond, &s->lock, CLOCK_NEVER);
    }
    (void)pthread_mutex_unlock(&s->lock);
    parts_settle(s, slot);
}

static int parts_run(struct place *p)
{
    size_t slot_count = p->vol->config.parts ? p->vol->config.parts : PARTS_IN_FLIGHT;
    struct parts *s = mem_zalloc(sizeof(*s) + slot_count * sizeof(s->slots[0]));

    s->slot_count = slot_count;
    s->p = p;
    s->mpu = p->ino->mpu;
    s->next = 1;
    s->total = (uint32_t)((p->size + s->mpu->part_size - 1) / s->mpu->part_size);
    (void)pthread_mutex_init(&s->lock, NULL);
    thread_cond_init(&s->cond);
    for (;;) {
        while (!s->err && s->next <= s->total && parts_start(s))
            ;
        if (s->running == 0)
            break;
        parts_wait(s);
    }
    int err = s->err;
    (void)pthread_cond_destroy(&s->cond);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    return err;
}

/* --- beginning and end --- */

static int parts_durable(struct place *p, uint64_t seq)
{
    p->deadline_ns = clock_mono_ns() + PARTS_DEADLINE_S * CLOCK_S;
    return db_wait(p->vol->fs->db, seq, p->deadline_ns);
}

static int parts_begin(struct place *p)
{
    struct store_req r = {.op = STORE_MPU_BEGIN,
                          .key = p->target,
                          .meta = &p->meta,
                          .content_type = place_content_type(p),
                          .object_size = p->size};
    uint64_t part_size = mpu_part_size(p->vol, p->size);
    int err = part_size ? place_call(p, &r) : -EFBIG;

    if (!err) {
        struct mpu *m = mem_zalloc(sizeof(*m));
        *m = (struct mpu){.key = mem_strdup(p->target),
                          .upload_id = mem_strdup(r.ret_upload_id),
                          .part_size = part_size,
                          .mtime_ns = p->mtime_ns,
                          .meta = mpu_meta_hash(&p->meta),
                          .begun_ns = clock_wall_ns()};
        vol_lock(p->vol);
        uint64_t seq = mpu_begun(p->vol, p->ino, m);
        vol_unlock(p->vol);
        err = parts_durable(p, seq);
        log_event(LOG_DEBUG, "upload_begun", "ino=%lu key=%s upload=%s err=%d",
                  (unsigned long)p->ino->id, LOG_Q(p->target), LOG_Q(m->upload_id), err);
    }
    store_req_clear(&r);
    return err;
}

static int parts_complete(struct place *p)
{
    struct mpu *m = p->ino->mpu;
    uint32_t total = (uint32_t)((p->size + m->part_size - 1) / m->part_size);
    CLEANUP_FREE struct store_part *parts = mem_array(total, sizeof(*parts));
    struct store_req r = {.op = STORE_MPU_COMPLETE,
                          .key = p->target,
                          .upload_id = m->upload_id,
                          .parts = parts,
                          .part_count = total,
                          .meta = p->meta_old ? NULL : &p->meta,
                          .object_size = p->size,
                          .if_match = p->if_match,
                          .if_none_match = p->if_none_match};

    for (uint32_t i = 0; i < total; i++)
        parts[i] = mpu_part_find(m, i + 1)->done;
    vol_lock(p->vol);
    bool gone = p->ino->flags & (INODE_GONE | INODE_ORPHAN);
    uint64_t seq = gone ? 0 : mpu_completing(p->vol, m, p->change);
    vol_unlock(p->vol);
    int err = gone ? -ECANCELED : parts_durable(p, seq);
    if (!err)
        err = place_call(p, &r);
    if (!err) {
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
        p->mpu_over = true;
    }
    store_req_clear(&r);
    return err;
}

/* After these the same upload may get through yet. */
static bool parts_may_go_on(int err)
{
    return !err || err == -EAGAIN || err == -EACCES || err == -ENOSPC || err == -EIO ||
           err == -ECANCELED;
}

int place_multipart(struct place *p)
{
    bool resumed = p->ino->mpu != NULL;
    int err = resumed ? 0 : parts_begin(p);

    if (err)
        return err;
    p->meta_old = p->ino->mpu->meta != mpu_meta_hash(&p->meta);
    err = parts_run(p);
    if (!err)
        err = parts_complete(p);
    p->mpu_dead = !parts_may_go_on(err);
    log_event(LOG_DEBUG, "upload_parts", "ino=%lu key=%s upload=%s resumed=%d err=%d",
              (unsigned long)p->ino->id, LOG_Q(p->target), LOG_Q(p->ino->mpu->upload_id), resumed,
              err);
    /* The store does not know the upload, or its parts, any more: once more from the start. */
    if (err == -ENOENT || err == -EINVAL)
        err = -EAGAIN;
    return err;
}
