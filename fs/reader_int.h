/* What reader.c, reader_get.c and reader_copy.c share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cloud/store.h"
#include "fs/cache.h"
#include "fs/reader.h"
#include "fs/reader_stream.h"

enum {
    READER_GET_BLOCKS = 32, /* of one GET: 4 MiB */
    READER_COPY_GETS = 4,   /* at once for one reader_copy */
    READER_GET_SECONDS = 30,
    READER_WHOLE_MAX = 1 << 20, /* objects up to this are fetched whole on the first touch */
};

/* Protected by cache->lock, but for what never changes. */
struct reader {
    struct cache *cache;
    pthread_cond_t idle; /* gets_out came to 0 */
    unsigned gets_out;
    uint64_t gets;
    uint64_t ahead_max; /* bytes read ahead for which nobody has come yet, in all */
    uint64_t window_max;
};

struct reader_file {
    struct reader *reader;
    struct store *store;
    uint64_t content, size;
    atomic_uint refs;
    /* protected by cache->lock: */
    char *key, *etag;
    uint64_t moves; /* how often they changed */
    struct streams streams;
};

/* One ranged GET into blocks [first, first+count). Waiters wait on cond with cache->lock. */
struct reader_get {
    struct store_req req;
    struct reader *reader;
    struct store *store;
    struct cache_slab *slab;
    struct reader_get *next; /* to be submitted */
    uint64_t object_size;
    uint32_t count;
    bool done;
    unsigned refs; /* the GET while it is out, and each waiter */
    pthread_cond_t cond;
    char *key, *etag; /* as they were when it began */
    struct cache_block *blocks[READER_GET_BLOCKS];
};

/* reader_get.c */

/* Bytes of the budget for blocks [first, first+count) of an object. */
uint64_t reader_get_cost(const struct reader_file *file, uint64_t first, uint32_t count);
/* Puts the blocks into the table as CACHE_LOADING; their cost has been reserved, none was there.
 * The GET goes before *queue, for reader_get_submit once the lock is free. */
void reader_get_prepare_locked(struct reader_file *file, uint64_t first, uint32_t count, bool ahead,
                               struct reader_get **queue);
void reader_get_submit(struct reader_get *queue);
/* Until the block is no longer loading. 0 or -EAGAIN. */
int reader_get_wait_locked(struct cache_block *block, int64_t deadline_ns);
/* What a finished GET of [off, off+len) means for a reader: 0, -ESTALE, -EAGAIN, -EACCES or -EIO.
 */
int reader_get_result(const struct store_req *req, const char *etag, uint64_t object_size);
