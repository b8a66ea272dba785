/*
 * Reference-counted receive buffers. A record stays where it was received: the requests in a buffer
 * hold references on it. Two sizes are pooled: small ones for batches of requests, large ones for
 * one WRITE of full size. The pool counts all bytes; large buffers are refused beyond its limit,
 * small ones never (their number is bounded by the limits on connections and calls).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BUF_SMALL = 64 << 10,
    BUF_LARGE = (1 << 20) + (64 << 10),
};

struct buf_pool;

struct buf {
    atomic_uint refs;
    uint32_t size;
    struct buf_pool *pool;
    struct buf *next; /* in the pool */
    uint8_t data[] __attribute__((aligned(16)));
};

struct buf_pool *buf_pool_new(uint64_t limit);
void buf_pool_free(struct buf_pool *pool); /* all buffers must be back; NULL is fine */
uint64_t buf_pool_used(struct buf_pool *pool);
bool buf_pool_full(struct buf_pool *pool);

/* At least size bytes, with one reference. NULL: size is above BUF_SMALL and the limit is reached.
 */
struct buf *buf_get(struct buf_pool *pool, size_t size);
struct buf *buf_ref(struct buf *buf);
void buf_unref(struct buf *buf); /* NULL is fine */
/* True if the caller's reference is the only one. */
bool buf_is_mine(struct buf *buf);
