/* Reading part of a base for an upload: what is cached is copied, the rest comes by GETs straight
 * into the caller's buffer and leaves the cache alone. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/reader_int.h"

/* One copy under way. lock protects what the GETs' completions change. */
struct copy {
    struct reader_file *file;
    uint64_t off, end;
    int64_t deadline_ns;
    uint8_t *buf;
    char *key, *etag;
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned out; /* GETs on their way */
    int err;      /* the first */
};

struct copy_get {
    struct store_req req;
    struct copy *copy;
};

static void copy_get_done(struct store_req *req)
{
    struct copy_get *get = req->ctx;
    struct copy *copy = get->copy;
    int err = reader_get_result(req, copy->etag, copy->file->size);

    store_req_clear(req);
    free(get);
    LOCK_SCOPE(&copy->lock);
    if (err && !copy->err)
        copy->err = err;
    copy->out--;
    (void)pthread_cond_broadcast(&copy->done);
}

/* Waits until fewer than max GETs are out. The error so far. */
static int copy_wait(struct copy *copy, unsigned max)
{
    LOCK_SCOPE(&copy->lock); /* released while waiting */

    while (copy->out >= max)
        (void)thread_cond_wait_until(&copy->done, &copy->lock, CLOCK_NEVER);
    return copy->err;
}

static void copy_get_start(struct copy *copy, uint64_t from, uint64_t to)
{
    struct copy_get *get = mem_zalloc(sizeof(*get));

    get->copy = copy;
    get->req.op = STORE_GET;
    get->req.prio = STORE_PRIO_UPLOAD;
    get->req.deadline_ns = copy->deadline_ns;
    get->req.done = copy_get_done;
    get->req.ctx = get;
    get->req.key = copy->key;
    get->req.if_match = copy->etag;
    get->req.range_off = from;
    get->req.range_len = to - from;
    get->req.buf = copy->buf + (from - copy->off);
    {
        LOCK_SCOPE(&copy->lock);
        copy->out++;
    }
    store_submit(copy->file->store, &get->req);
}

static uint64_t block_end(const struct copy *copy, uint64_t at)
{
    uint64_t end = (at / READER_BLOCK + 1) * READER_BLOCK;

    return end < copy->end ? end : copy->end;
}

/* Copies the block around at from the cache. False if it is not there. */
static bool copy_cached(struct copy *copy, uint64_t at)
{
    struct cache *cache = copy->file->reader->cache;
    struct cache_block *block;

    {
        LOCK_SCOPE(&cache->lock);
        block = cache_find_locked(cache, copy->file->content, at / READER_BLOCK);
        if (!block || block->state != CACHE_VALID)
            return false;
        cache_ref_locked(block);
    }
    memcpy(copy->buf + (at - copy->off), block->data + at % READER_BLOCK, block_end(copy, at) - at);
    cache_unref(block);
    return true;
}

/* All of it: cached blocks at once, the runs between them by GETs, a few at a time. */
static int copy_run(struct copy *copy)
{
    uint64_t at = copy->off, missing = copy->off; /* [missing, at) is still to be asked for */
    int err = 0;

    while (at < copy->end && !err) {
        bool cached = copy_cached(copy, at);
        uint64_t next = block_end(copy, at), run_end = cached ? at : next;

        if (run_end > missing && (cached || next == copy->end ||
                                  next - missing >= READER_GET_BLOCKS * (uint64_t)READER_BLOCK)) {
            err = copy_wait(copy, READER_COPY_GETS);
            if (!err)
                copy_get_start(copy, missing, run_end);
            missing = run_end;
        }
        if (cached)
            missing = next;
        at = next;
    }
    return copy_wait(copy, 1);
}

int reader_copy(struct reader_file *file, uint64_t off, size_t len, int64_t deadline_ns, void *buf)
{
    struct copy copy = {
        .file = file, .off = off, .end = off + len, .deadline_ns = deadline_ns, .buf = buf};
    uint64_t moves;
    int err;
    bool moved = true;

    assert(off <= file->size && len <= file->size - off);
    (void)pthread_mutex_init(&copy.lock, NULL);
    thread_cond_init(&copy.done);
    for (int tries = 0; tries < 2 && moved; tries++) {
        struct cache *cache = file->reader->cache;
        {
            LOCK_SCOPE(&cache->lock);
            copy.key = mem_strdup(file->key);
            copy.etag = mem_strdup(file->etag);
            moves = file->moves;
        }
        copy.err = 0;
        err = copy_run(&copy);
        free(copy.key);
        free(copy.etag);
        {
            LOCK_SCOPE(&cache->lock);
            moved = err && moves != file->moves;
        }
    }
    (void)pthread_mutex_destroy(&copy.lock);
    (void)pthread_cond_destroy(&copy.done);
    return err;
}
