/*
 * Reading base objects through the block cache.
 *
 * A read looks up all its blocks in one hold of the lock: those that are there get a reference, for
 * those that are not room is made and GETs are prepared, all or nothing, so a read that waits for
 * memory holds none. Then, without the lock, GETs are submitted and what is on its way is awaited.
 */
#include "fs/reader.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/reader_int.h"

enum {
    READ_BLOCKS_MAX = FS_IO_MAX / READER_BLOCK + 1,
    READ_TRIES = 4, /* a GET that others started, or that a rename overtook, failed: once more */
};

/* One read and its blocks; those it has, it holds a reference on. */
struct read_plan {
    struct reader_file *file;
    uint64_t off, len;
    uint64_t first; /* block */
    uint32_t count;
    struct cache_block *blocks[READ_BLOCKS_MAX];
    struct cache_block *victims;
    struct reader_get *queue;
    uint64_t moves; /* file->moves when the GETs were prepared */
    bool joined;    /* waits for a GET that somebody else started */
    bool noted;     /* the streams know of this read */
};

struct reader *reader_new(uint64_t memory_limit)
{
    struct reader *reader = mem_zalloc(sizeof(*reader));
    uint64_t window;

    reader->cache = cache_new(memory_limit);
    thread_cond_init(&reader->idle);
    reader->ahead_max = reader->cache->limit / 2;
    window = reader->cache->limit / 8;
    if (window > STREAM_WINDOW_MAX)
        window = STREAM_WINDOW_MAX;
    reader->window_max = window < STREAM_WINDOW_MIN ? STREAM_WINDOW_MIN : window;
    return reader;
}

void reader_free(struct reader *reader)
{
    if (!reader)
        return;
    (void)pthread_mutex_lock(&reader->cache->lock);
    while (reader->gets_out > 0)
        (void)thread_cond_wait_until(&reader->idle, &reader->cache->lock, CLOCK_NEVER);
    (void)pthread_mutex_unlock(&reader->cache->lock);
    cache_free(reader->cache);
    (void)pthread_cond_destroy(&reader->idle);
    free(reader);
}

struct reader_file *reader_file_new(struct reader *reader, struct store *store, uint64_t content_id,
                                    const char *key, const char *etag, uint64_t size)
{
    struct reader_file *file = mem_zalloc(sizeof(*file));

    file->reader = reader;
    file->store = store;
    file->content = content_id;
    file->size = size;
    file->key = mem_strdup(key);
    file->etag = mem_strdup(etag);
    atomic_init(&file->refs, 1);
    return file;
}

struct reader_file *reader_file_ref(struct reader_file *file)
{
    atomic_fetch_add(&file->refs, 1);
    return file;
}

void reader_file_unref(struct reader_file *file)
{
    if (!file || atomic_fetch_sub(&file->refs, 1) > 1)
        return;
    free(file->key);
    free(file->etag);
    free(file);
}

void reader_file_move(struct reader_file *file, const char *key, const char *etag)
{
    char *new_key = mem_strdup(key), *new_etag = mem_strdup(etag), *old_key, *old_etag;

    {
        LOCK_SCOPE(&file->reader->cache->lock);
        old_key = file->key;
        old_etag = file->etag;
        file->key = new_key;
        file->etag = new_etag;
        file->moves++;
    }
    free(old_key);
    free(old_etag);
}

void reader_get_usage(struct reader *reader, struct reader_usage *ret)
{
    struct cache *cache = reader->cache;
    LOCK_SCOPE(&cache->lock);

    ret->bytes = cache->bytes;
    ret->limit = cache->limit;
    ret->hits = cache->hits;
    ret->misses = cache->misses;
    ret->gets = reader->gets;
}

static void plan_init(struct read_plan *plan, struct reader_file *file, uint64_t off, size_t len)
{
    memset(plan, 0, sizeof(*plan));
    plan->file = file;
    plan->off = off;
    plan->len = len;
    plan->first = off / READER_BLOCK;
    plan->count = (uint32_t)((off + len - 1) / READER_BLOCK - plan->first + 1);
    assert(plan->count <= READ_BLOCKS_MAX);
}

/* Which bytes of its i-th block the read wants. */
static void plan_range(const struct read_plan *plan, uint32_t i, uint32_t *ret_from,
                       uint32_t *ret_to)
{
    uint64_t start = (plan->first + i) * READER_BLOCK, end = plan->off + plan->len;

    *ret_from = plan->off > start ? (uint32_t)(plan->off - start) : 0;
    *ret_to = end - start < READER_BLOCK ? (uint32_t)(end - start) : READER_BLOCK;
}

static void plan_use_locked(struct read_plan *plan, uint32_t i, struct cache_block *block)
{
    uint32_t from, to;

    plan_range(plan, i, &from, &to);
    cache_use_locked(block, from, to);
    plan->blocks[i] = block;
}

static void plan_release(struct read_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->blocks[i])
            cache_unref(plan->blocks[i]);
        plan->blocks[i] = NULL;
    }
}

/* Hands the blocks' references over to data. */
static void plan_give(struct read_plan *plan, struct fs_data *data)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t from, to;
        plan_range(plan, i, &from, &to);
        assert(to <= plan->blocks[i]->len);
        data->iov[data->count].iov_base = plan->blocks[i]->data + from;
        data->iov[data->count].iov_len = to - from;
        data->ref[data->count] = plan->blocks[i];
        data->unref[data->count] = cache_unref;
        data->count++;
    }
    data->len += plan->len;
}

/* The same as one copy, when data has not enough places left. */
static int plan_give_copy(struct read_plan *plan, struct fs_data *data)
{
    char *copy = malloc(plan->len), *at = copy;

    assert(data->count < FS_DATA_IOV_MAX);
    if (!copy)
        return -EAGAIN;
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t from, to;
        plan_range(plan, i, &from, &to);
        memcpy(at, plan->blocks[i]->data + from, to - from);
        at += to - from;
    }
    data->iov[data->count].iov_base = copy;
    data->iov[data->count].iov_len = plan->len;
    data->ref[data->count] = copy;
    data->unref[data->count] = free;
    data->count++;
    data->len += plan->len;
    plan_release(plan);
    return 0;
}

/* Prepares GETs for what is not there of [from, to), as far as limits and memory allow. Returns how
 * far it came. */
static uint64_t ahead_locked(struct read_plan *plan, uint64_t from, uint64_t to)
{
    struct reader_file *file = plan->file;
    struct reader *reader = file->reader;
    uint64_t at = from / READER_BLOCK, end = (to + READER_BLOCK - 1) / READER_BLOCK;

    while (at < end) {
        uint64_t unread = reader->cache->unread_bytes, run_max, run = 0;
        run_max = unread < reader->ahead_max ? (reader->ahead_max - unread) / READER_BLOCK : 0;
        if (run_max > READER_GET_BLOCKS)
            run_max = READER_GET_BLOCKS;
        if (cache_find_locked(reader->cache, file->content, at)) {
            at++;
            continue;
        }
        while (at + run < end && run < run_max &&
               !cache_find_locked(reader->cache, file->content, at + run))
            run++;
        if (run == 0 ||
            !cache_reserve_locked(reader->cache, reader_get_cost(file, at, (uint32_t)run),
                                  &plan->victims))
            break;
        reader_get_prepare_locked(file, at, (uint32_t)run, true, &plan->queue);
        at += run;
    }
    return at * READER_BLOCK;
}

static void note_locked(struct read_plan *plan, bool stalled, uint64_t absent)
{
    struct reader_file *file = plan->file;
    struct stream_read read = {plan->off, plan->len, stalled, absent};
    uint64_t from, to, reached;
    struct stream *stream;

    if (plan->noted || file->size <= READER_WHOLE_MAX)
        return;
    plan->noted = true;
    stream = streams_note(&file->streams, &read, file->size, file->reader->window_max, &from, &to);
    if (!stream)
        return;
    reached = ahead_locked(plan, from, to);
    if (reached > from)
        stream->issued = reached;
}

/* Submits and frees what was decided under the lock. */
static void plan_launch(struct read_plan *plan)
{
    cache_bury(plan->victims);
    plan->victims = NULL;
    reader_get_submit(plan->queue);
    plan->queue = NULL;
}

/* All from the cache, or -EAGAIN with nothing changed. */
static int read_cached(struct read_plan *plan)
{
    struct cache *cache = plan->file->reader->cache;
    struct cache_block *found[READ_BLOCKS_MAX];
    LOCK_SCOPE(&cache->lock);

    for (uint32_t i = 0; i < plan->count; i++) {
        found[i] = cache_find_locked(cache, plan->file->content, plan->first + i);
        if (!found[i] || found[i]->state != CACHE_VALID)
            return -EAGAIN;
    }
    for (uint32_t i = 0; i < plan->count; i++)
        plan_use_locked(plan, i, found[i]);
    cache->hits += plan->count;
    note_locked(plan, false, UINT64_MAX);
    return 0;
}

/* The blocks to fetch for this read: those it touches, or all of a small object. */
static void fetch_range(const struct read_plan *plan, uint64_t *ret_first, uint64_t *ret_end)
{
    uint64_t size = plan->file->size;
    bool whole = size <= READER_WHOLE_MAX;

    *ret_first = whole ? 0 : plan->first;
    *ret_end = whole ? (size + READER_BLOCK - 1) / READER_BLOCK : plan->first + plan->count;
}

/* The next run of blocks in [*first, end) that nobody has asked for; its length, 0 = none. */
static uint32_t next_missing(const struct reader_file *file, uint64_t *first, uint64_t end)
{
    uint32_t run = 0;

    while (*first < end && cache_find_locked(file->reader->cache, file->content, *first))
        (*first)++;
    while (*first + run < end && run < READER_GET_BLOCKS &&
           !cache_find_locked(file->reader->cache, file->content, *first + run))
        run++;
    return run;
}

/* Keeps what is there of [first, end) from being evicted by this read's own need for memory. */
static void pin_locked(const struct reader_file *file, uint64_t first, uint64_t end, bool pinned)
{
    for (uint64_t at = first; at < end; at++) {
        struct cache_block *block = cache_find_locked(file->reader->cache, file->content, at);
        if (block)
            block->pinned = pinned;
    }
}

/* Room in the budget for what is missing of [first, end), and GETs for it. */
static bool fetch_locked(struct read_plan *plan, uint64_t first, uint64_t end)
{
    struct reader_file *file = plan->file;
    uint64_t at, need = 0;
    uint32_t run;
    bool ok = true;

    for (at = first; (run = next_missing(file, &at, end)) > 0; at += run)
        need += reader_get_cost(file, at, run);
    if (need > 0) {
        pin_locked(file, first, end, true);
        ok = cache_reserve_locked(file->reader->cache, need, &plan->victims);
        pin_locked(file, first, end, false);
    }
    for (at = first; ok && (run = next_missing(file, &at, end)) > 0; at += run)
        reader_get_prepare_locked(file, at, run, false, &plan->queue);
    return ok;
}

/* References on all blocks of the read, and GETs for those that were not there. False, with nothing
 * held, if there is no memory for them. */
static bool gather_locked(struct read_plan *plan)
{
    struct reader_file *file = plan->file;
    struct cache *cache = file->reader->cache;
    uint64_t first, end, absent = UINT64_MAX;
    uint32_t missing = 0;
    bool joined = false;

    for (uint32_t i = 0; i < plan->count; i++) {
        struct cache_block *block = cache_find_locked(cache, file->content, plan->first + i);
        if (!block && missing++ == 0)
            absent = (plan->first + i) * READER_BLOCK;
        joined |= block && block->state == CACHE_LOADING;
    }
    fetch_range(plan, &first, &end);
    if (!fetch_locked(plan, first, end))
        return false;
    for (uint32_t i = 0; i < plan->count; i++)
        plan_use_locked(plan, i, cache_find_locked(cache, file->content, plan->first + i));
    plan->joined = joined;
    plan->moves = file->moves;
    cache->misses += missing;
    cache->hits += plan->count - missing;
    note_locked(plan, joined || missing > 0, absent);
    return true;
}

/* Waits for memory and gathers. What was evicted meanwhile is given back before each wait. */
static bool gather_waiting_locked(struct read_plan *plan, int64_t deadline_ns)
{
    struct cache *cache = plan->file->reader->cache;
    bool ok = false, in_time = true;

    atomic_fetch_add(&cache->memory_waiters, 1);
    while (!(ok = gather_locked(plan)) && in_time) {
        if (plan->victims) {
            (void)pthread_mutex_unlock(&cache->lock);
            cache_bury(plan->victims);
            plan->victims = NULL;
            (void)pthread_mutex_lock(&cache->lock);
        } else {
            in_time = cache_wait_memory_locked(cache, deadline_ns);
        }
    }
    atomic_fetch_sub(&cache->memory_waiters, 1);
    return ok;
}

static int gather(struct read_plan *plan, int64_t deadline_ns)
{
    struct cache *cache = plan->file->reader->cache;
    bool ok;

    (void)pthread_mutex_lock(&cache->lock);
    ok = gather_locked(plan) || gather_waiting_locked(plan, deadline_ns);
    (void)pthread_mutex_unlock(&cache->lock);
    plan_launch(plan);
    return ok ? 0 : -EAGAIN;
}

/* Until all blocks are there. *ret_again: it failed, but not by a GET that this read began with the
 * location as it is now. */
static int await(struct read_plan *plan, int64_t deadline_ns, bool *ret_again)
{
    struct cache *cache = plan->file->reader->cache;
    int err = 0;
    LOCK_SCOPE(&cache->lock); /* released while waiting */

    *ret_again = false;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (reader_get_wait_locked(plan->blocks[i], deadline_ns) < 0)
            return -EAGAIN;
        if (plan->blocks[i]->state == CACHE_FAILED && !err)
            err = plan->blocks[i]->err;
    }
    *ret_again = err && (plan->joined || plan->moves != plan->file->moves);
    return err;
}

static int read_waiting(struct read_plan *plan, int64_t deadline_ns)
{
    int err = 0;
    bool again = true;

    for (int tries = 0; tries < READ_TRIES && again; tries++) {
        plan_release(plan);
        err = gather(plan, deadline_ns);
        if (err)
            return err;
        err = await(plan, deadline_ns, &again);
    }
    if (err)
        plan_release(plan);
    return err;
}

int reader_read(struct reader_file *file, uint64_t off, size_t len, bool nowait,
                int64_t deadline_ns, struct fs_data *data)
{
    struct read_plan plan;
    int err;

    assert(len <= FS_IO_MAX && off <= file->size && len <= file->size - off);
    if (len == 0)
        return 0;
    plan_init(&plan, file, off, len);
    err = nowait ? read_cached(&plan) : read_waiting(&plan, deadline_ns);
    if (err)
        return err;
    plan_launch(&plan);
    if (data->count + plan.count > FS_DATA_IOV_MAX)
        return plan_give_copy(&plan, data);
    plan_give(&plan, data);
    return 0;
}
