/*
 * GETs that fill blocks. Everybody who wants a block that is on its way waits for the GET that
 * fetches it. A GET outlives the patience of who started it: what it brings enters the cache.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/reader_int.h"

static uint32_t block_len(uint64_t size, uint64_t number)
{
    uint64_t left = size - number * READER_BLOCK;

    return left < READER_BLOCK ? (uint32_t)left : READER_BLOCK;
}

uint64_t reader_get_cost(const struct reader_file *file, uint64_t first, uint32_t count)
{
    uint64_t cost = 0;

    for (uint32_t i = 0; i < count; i++)
        cost += cache_cost(block_len(file->size, first + i));
    return cost;
}

int reader_get_result(const struct store_req *req, const char *etag, uint64_t object_size)
{
    switch (req->err) {
    case 0:
        break;
    case -ENOENT:
    case -ESTALE:
        return -ESTALE;
    case -EAGAIN:
    case -EACCES:
        return req->err;
    default:
        return -EIO;
    }
    /* A store that does not know If-Match still tells which version it sent. */
    if (etag && req->object.etag[0] && strcmp(req->object.etag, etag) != 0)
        return -ESTALE;
    if (req->got == req->range_len)
        return 0;
    return req->object.size < object_size && req->object.size > 0 ? -ESTALE : -EIO;
}

static void get_unref_locked(struct reader_get *get)
{
    assert(get->refs > 0);
    if (--get->refs > 0)
        return;
    (void)pthread_cond_destroy(&get->cond);
    store_req_clear(&get->req);
    free(get->key);
    free(get->etag);
    free(get);
}

static void get_finish(struct reader_get *get, int err)
{
    struct reader *reader = get->reader;
    struct cache *cache = reader->cache;
    uint32_t count = get->count;
    struct cache_block *blocks[READER_GET_BLOCKS];

    memcpy(blocks, get->blocks, count * sizeof(struct cache_block *));
    (void)pthread_mutex_lock(&cache->lock);
    for (uint32_t i = 0; i < count; i++)
        cache_settle_locked(blocks[i], err);
    get->done = true;
    (void)pthread_cond_broadcast(&get->cond);
    get_unref_locked(get);
    (void)pthread_mutex_unlock(&cache->lock);

    for (uint32_t i = 0; i < count; i++)
        cache_unref(blocks[i]);

    LOCK_SCOPE(&cache->lock); /* last: reader_free may go on as soon as the lock is free */
    if (--reader->gets_out == 0)
        (void)pthread_cond_broadcast(&reader->idle);
}

static void get_done(struct store_req *req)
{
    struct reader_get *get = req->ctx;

    get_finish(get, reader_get_result(req, get->etag, get->object_size));
}

void reader_get_prepare_locked(struct reader_file *file, uint64_t first, uint32_t count, bool ahead,
                               struct reader_get **queue)
{
    struct reader *reader = file->reader;
    struct reader_get *get = mem_zalloc(sizeof(*get));
    uint64_t end = (first + count) * READER_BLOCK;

    assert(count > 0 && count <= READER_GET_BLOCKS);
    get->reader = reader;
    get->store = file->store;
    get->count = count;
    get->object_size = file->size;
    get->refs = 1;
    thread_cond_init(&get->cond);
    get->key = mem_strdup(file->key);
    get->etag = mem_strdup(file->etag);
    for (uint32_t i = 0; i < count; i++) {
        get->blocks[i] = cache_add_locked(reader->cache, file->content, first + i,
                                          block_len(file->size, first + i), get);
        if (ahead)
            cache_mark_unread_locked(get->blocks[i]);
    }
    get->req.op = STORE_GET;
    get->req.prio = ahead ? STORE_PRIO_READAHEAD : STORE_PRIO_READ;
    get->req.done = get_done;
    get->req.ctx = get;
    get->req.key = get->key;
    get->req.if_match = get->etag;
    get->req.range_off = first * READER_BLOCK;
    get->req.range_len = (end < file->size ? end : file->size) - get->req.range_off;
    reader->gets_out++;
    reader->gets++;
    get->next = *queue;
    *queue = get;
}

/* Memory for the blocks. They are LOADING: nobody else looks at slab and data yet. */
static bool get_alloc(struct reader_get *get)
{
    struct cache_slab *slab = cache_slab_new(get->req.range_len, get->count);

    if (!slab)
        return false;
    for (uint32_t i = 0; i < get->count; i++) {
        get->blocks[i]->slab = slab;
        get->blocks[i]->data = slab->mem + (size_t)i * READER_BLOCK;
    }
    get->req.buf = slab->mem;
    return true;
}

void reader_get_submit(struct reader_get *queue)
{
    while (queue) {
        struct reader_get *get = queue;
        queue = get->next;
        get->req.deadline_ns = clock_mono_ns() + READER_GET_SECONDS * CLOCK_S;
        if (get_alloc(get))
            store_submit(get->store, &get->req);
        else
            get_finish(get, -EAGAIN);
    }
}

int reader_get_wait_locked(struct cache_block *block, int64_t deadline_ns)
{
    struct cache *cache = block->cache;

    while (block->state == CACHE_LOADING) {
        struct reader_get *get = block->get;
        bool in_time = true;

        get->refs++;
        while (!get->done && in_time)
            in_time = thread_cond_wait_until(&get->cond, &cache->lock, deadline_ns);
        in_time = get->done;
        get_unref_locked(get);
        if (!in_time)
            return -EAGAIN;
    }
    return 0;
}
