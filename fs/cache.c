/*
 * The block cache: table, budget, eviction.
 *
 * Invariants, under the lock: a block in the table is LOADING or VALID; a VALID block is in exactly
 * one list, a LOADING one in none. bytes is the cost of all blocks that exist plus what is
 * reserved; it exceeds limit never. A block whose only reference is the table's is evictable; since
 * references grow only under the lock, seeing 1 there means that nobody can get at the block
 * meanwhile.
 */
#include "fs/cache.h"

#include <assert.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    USES_MAX = 3,
    PROBATION_SHARE = 4,    /* a quarter */
    BUCKET_BYTES = 8 << 10, /* of limit per bucket */
    BUCKET_COUNT_MIN = 1 << 10,
    LIMIT_MIN = 4 << 20, /* less could not hold one read of FS_IO_MAX and its neighbours */
};

struct cache *cache_new(uint64_t limit)
{
    struct cache *cache = mem_zalloc(sizeof(*cache));
    size_t count = BUCKET_COUNT_MIN;

    cache->limit = limit < LIMIT_MIN ? LIMIT_MIN : limit;
    while (count < cache->limit / BUCKET_BYTES)
        count *= 2;
    cache->buckets = mem_array(count, sizeof(struct cache_block *));
    cache->bucket_mask = count - 1;
    (void)pthread_mutex_init(&cache->lock, NULL);
    thread_cond_init(&cache->memory);
    TAILQ_INIT(&cache->probation);
    TAILQ_INIT(&cache->protected);
    return cache;
}

uint64_t cache_cost(uint32_t len)
{
    uint64_t grain = len > CACHE_MALLOC_MAX ? 4096 : 64;
    return (len + grain - 1) / grain * grain + sizeof(struct cache_block);
}

static size_t bucket_index(const struct cache *cache, uint64_t content, uint64_t number)
{
    /* The finaliser of splitmix64: content ids and block numbers are both small and dense. */
    uint64_t h = content * UINT64_C(0x9e3779b97f4a7c15) + number;
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(h ^ (h >> 31)) & cache->bucket_mask;
}

struct cache_block *cache_find_locked(struct cache *cache, uint64_t content, uint64_t number)
{
    struct cache_block *block = cache->buckets[bucket_index(cache, content, number)];

    while (block && (block->content != content || block->number != number))
        block = block->chain;
    return block;
}

static void table_remove(struct cache_block *block)
{
    struct cache *cache = block->cache;
    struct cache_block **at = &cache->buckets[bucket_index(cache, block->content, block->number)];

    while (*at != block)
        at = &(*at)->chain;
    *at = block->chain;
    block->chain = NULL;
}

static void list_insert(struct cache_block *block, bool protect)
{
    struct cache *cache = block->cache;

    block->protect = protect;
    if (protect) {
        TAILQ_INSERT_HEAD(&cache->protected, block, link);
    } else {
        TAILQ_INSERT_HEAD(&cache->probation, block, link);
        cache->probation_bytes += cache_cost(block->len);
    }
}

static void list_remove(struct cache_block *block)
{
    struct cache *cache = block->cache;

    if (block->protect) {
        TAILQ_REMOVE(&cache->protected, block, link);
    } else {
        TAILQ_REMOVE(&cache->probation, block, link);
        cache->probation_bytes -= cache_cost(block->len);
    }
}

struct cache_block *cache_add_locked(struct cache *cache, uint64_t content, uint64_t number,
                                     uint32_t len, struct reader_get *get)
{
    struct cache_block *block = mem_zalloc(sizeof(*block));
    struct cache_block **bucket = &cache->buckets[bucket_index(cache, content, number)];

    assert(len > 0 && len <= READER_BLOCK);
    block->cache = cache;
    block->content = content;
    block->number = number;
    block->len = len;
    block->get = get;
    block->state = CACHE_LOADING;
    atomic_init(&block->refs, 2);
    block->chain = *bucket;
    *bucket = block;
    cache->block_count++;
    return block;
}

static void memory_signal_locked(struct cache *cache)
{
    if (atomic_load(&cache->memory_waiters))
        (void)pthread_cond_broadcast(&cache->memory);
}

void cache_mark_unread_locked(struct cache_block *block)
{
    block->unread = true;
    block->cache->unread_bytes += block->len;
}

static void clear_unread(struct cache_block *block)
{
    if (block->unread)
        block->cache->unread_bytes -= block->len;
    block->unread = false;
}

void cache_settle_locked(struct cache_block *block, int err)
{
    assert(block->state == CACHE_LOADING && atomic_load(&block->refs) >= 2);
    block->get = NULL;
    if (err) {
        block->state = CACHE_FAILED;
        block->err = err;
        clear_unread(block);
        table_remove(block);
        atomic_fetch_sub(&block->refs, 1); /* the table's; the GET still has its own */
    } else {
        block->state = CACHE_VALID;
        list_insert(block, false);
    }
}

void cache_ref_locked(struct cache_block *block)
{
    atomic_fetch_add(&block->refs, 1);
}

void cache_use_locked(struct cache_block *block, uint32_t from, uint32_t to)
{
    cache_ref_locked(block);
    clear_unread(block);
    if (from < block->high && block->uses < USES_MAX)
        block->uses++;
    block->high = to;
}

/* Gives back the memory of a block that nobody can reach any more. */
static void block_release_memory(struct cache_block *block)
{
    if (block->slab)
        cache_slab_drop(block->slab, block->data, block->len);
    free(block);
}

/* The last reference of a failed block is gone. */
static void block_destroy(struct cache_block *block)
{
    struct cache *cache = block->cache;
    uint64_t cost = cache_cost(block->len);

    assert(block->state == CACHE_FAILED);
    block_release_memory(block);
    LOCK_SCOPE(&cache->lock);
    cache->bytes -= cost;
    cache->block_count--;
    memory_signal_locked(cache);
}

void cache_unref(void *arg)
{
    struct cache_block *block = arg;
    struct cache *cache = block->cache;
    unsigned before = atomic_fetch_sub(&block->refs, 1);

    assert(before > 0);
    if (before == 1) {
        block_destroy(block);
    } else if (before == 2 && atomic_load(&cache->memory_waiters)) {
        /* It may just have become evictable (and may be gone by now). Whoever waits for memory
         * counted itself before it looked at refs: either it saw our 1 or we see it here. */
        LOCK_SCOPE(&cache->lock);
        memory_signal_locked(cache);
    }
}

static void block_evict(struct cache_block *block, struct cache_block **victims)
{
    struct cache *cache = block->cache;

    clear_unread(block);
    table_remove(block);
    list_remove(block);
    block->state = CACHE_GONE;
    atomic_store(&block->refs, 0);
    cache->bytes -= cache_cost(block->len);
    cache->block_count--;
    block->chain = *victims;
    *victims = block;
}

/* Looks at the oldest block of a list: evicts it, gives it another round, or skips it when it is in
 * use. True if it was evicted. */
static bool evict_step(struct cache *cache, struct cache_list *list, struct cache_block **victims)
{
    struct cache_block *block = TAILQ_LAST(list, cache_list);
    bool evict = false, protect = list == &cache->protected;

    if (atomic_load(&block->refs) == 1 && !block->pinned) {
        evict = block->uses == 0;
        if (!evict) {
            /* Read again while on probation: worth protecting. Protected: one use is forgotten. */
            block->uses = protect ? (uint8_t)(block->uses - 1) : 0;
            protect = true;
        }
    }
    if (evict) {
        block_evict(block, victims);
    } else {
        list_remove(block);
        list_insert(block, protect);
    }
    return evict;
}

static bool evict_from(struct cache *cache, struct cache_list *list, uint64_t steps,
                       struct cache_block **victims)
{
    while (steps-- > 0 && !TAILQ_EMPTY(list))
        if (evict_step(cache, list, victims))
            return true;
    return false;
}

/* Evicts one block. False if every block is in use. */
static bool evict_one(struct cache *cache, struct cache_block **victims)
{
    uint64_t all = cache->block_count; /* so often each block of a list is looked at */
    bool probation_first = cache->probation_bytes > cache->limit / PROBATION_SHARE;

    if (probation_first && evict_from(cache, &cache->probation, all, victims))
        return true;
    return evict_from(cache, &cache->protected, all * (USES_MAX + 1), victims) ||
           evict_from(cache, &cache->probation, all, victims) ||
           evict_from(cache, &cache->protected, all, victims); /* what was promoted just now */
}

bool cache_reserve_locked(struct cache *cache, uint64_t bytes, struct cache_block **victims)
{
    while (cache->bytes + bytes > cache->limit)
        if (!evict_one(cache, victims))
            return false;
    cache->bytes += bytes;
    return true;
}

void cache_bury(struct cache_block *victims)
{
    while (victims) {
        struct cache_block *block = victims;
        victims = block->chain;
        block_release_memory(block);
    }
}

bool cache_wait_memory_locked(struct cache *cache, int64_t deadline_ns)
{
    return thread_cond_wait_until(&cache->memory, &cache->lock, deadline_ns);
}

void cache_free(struct cache *cache)
{
    struct cache_block *victims = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    while (cache->block_count > 0)
        if (!evict_one(cache, &victims))
            break;
    assert(cache->block_count == 0); /* else somebody still holds data of a read */
    (void)pthread_mutex_unlock(&cache->lock);
    cache_bury(victims);
    (void)pthread_mutex_destroy(&cache->lock);
    (void)pthread_cond_destroy(&cache->memory);
    free(cache->buckets);
    free(cache);
}
