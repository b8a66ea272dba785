/* Pooled receive buffers. Lock: pool->lock protects the free lists only; counters are atomic. */
#include "nfsd/record_buf.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { POOL_SMALL_KEPT = 64, POOL_LARGE_KEPT = 24, POOL_EXACT_BELOW = 16 << 10 };

struct buf_list {
    struct buf *first;
    unsigned count;
};

struct buf_pool {
    uint64_t limit;
    atomic_uint_fast64_t used;
    pthread_mutex_t lock;
    struct buf_list small, large;
};

struct buf_pool *buf_pool_new(uint64_t limit)
{
    struct buf_pool *pool = mem_zalloc(sizeof(*pool));

    pool->limit = limit;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

static void list_free(struct buf_list *list)
{
    while (list->first) {
        struct buf *buf = list->first;

        list->first = buf->next;
        free(buf);
    }
}

void buf_pool_free(struct buf_pool *pool)
{
    if (!pool)
        return;
    assert(atomic_load(&pool->used) == 0);
    list_free(&pool->small);
    list_free(&pool->large);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

uint64_t buf_pool_used(struct buf_pool *pool)
{
    return atomic_load(&pool->used);
}

bool buf_pool_full(struct buf_pool *pool)
{
    return atomic_load(&pool->used) + BUF_LARGE > pool->limit;
}

static struct buf_list *list_of(struct buf_pool *pool, size_t size)
{
    return size == BUF_SMALL ? &pool->small : size == BUF_LARGE ? &pool->large : NULL;
}

static struct buf *list_take(struct buf_pool *pool, struct buf_list *list)
{
    struct buf *buf;

    if (!list)
        return NULL;
    LOCK_SCOPE(&pool->lock);
    buf = list->first;
    if (buf) {
        list->first = buf->next;
        list->count--;
    }
    return buf;
}

static bool list_put(struct buf_pool *pool, struct buf_list *list, struct buf *buf)
{
    if (!list)
        return false;
    LOCK_SCOPE(&pool->lock);
    if (list->count >= (list == &pool->small ? POOL_SMALL_KEPT : POOL_LARGE_KEPT))
        return false;
    buf->next = list->first;
    list->first = buf;
    list->count++;
    return true;
}

struct buf *buf_get(struct buf_pool *pool, size_t size)
{
    bool limited = size > BUF_SMALL;
    struct buf *buf;

    if (size > POOL_EXACT_BELOW && size <= BUF_SMALL)
        size = BUF_SMALL;
    else if (size > BUF_SMALL && size <= BUF_LARGE)
        size = BUF_LARGE;
    if (atomic_fetch_add(&pool->used, size) + size > pool->limit && limited) {
        atomic_fetch_sub(&pool->used, size);
        return NULL;
    }
    buf = list_take(pool, list_of(pool, size));
    if (!buf) {
        buf = mem_alloc(sizeof(*buf) + size);
        buf->size = (uint32_t)size;
        buf->pool = pool;
    }
    atomic_init(&buf->refs, 1);
    buf->next = NULL;
    return buf;
}

struct buf *buf_ref(struct buf *buf)
{
    atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    return buf;
}

void buf_unref(struct buf *buf)
{
    struct buf_pool *pool;

    if (!buf || atomic_fetch_sub(&buf->refs, 1) != 1)
        return;
    pool = buf->pool;
    atomic_fetch_sub(&pool->used, buf->size);
    if (!list_put(pool, list_of(pool, buf->size), buf))
        free(buf);
}

bool buf_is_mine(struct buf *buf)
{
    return atomic_load(&buf->refs) == 1;
}
