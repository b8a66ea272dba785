/*
 * The block cache under the reader: a table of blocks keyed by (content id, block number), one
 * memory budget, and the choice of what has to go. Private to reader*.c.
 *
 * Functions that end in _locked want cache->lock held. That lock protects everything here but what
 * says otherwise; it is never held over a wait (but the condition variables' own), a system call or
 * a copy of data. It is a leaf lock: nothing else is taken under it.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/reader.h"

struct reader_get;

enum cache_state {
    CACHE_LOADING, /* in the table, in no list; block->get fills it and holds a reference */
    CACHE_VALID,   /* in the table and in a list; data does not change any more */
    CACHE_FAILED,  /* in neither: err says why */
    CACHE_GONE,    /* in neither: evicted, only references keep it */
};

/* The memory of one GET, shared by its blocks; each gives its pages back when it goes. */
struct cache_slab {
    atomic_uint refs; /* blocks that live in it */
    bool mapped;      /* mmap, else malloc (small, then it has one block only) */
    size_t size;
    uint8_t *mem;
};

struct cache_block {
    struct cache *cache;
    uint64_t content, number;
    struct cache_block *chain; /* next in the bucket */
    TAILQ_ENTRY(cache_block) link;
    struct reader_get *get;  /* while CACHE_LOADING */
    struct cache_slab *slab; /* from when the GET has its memory */
    uint8_t *data;           /* in slab; readable while CACHE_VALID */
    uint32_t len;
    uint32_t high; /* end of the last read inside the block; one that starts below it is a re-use */
    uint8_t uses;  /* re-uses since the block was last considered for eviction, at most 3 */
    bool protect;  /* in which list */
    bool unread;   /* read ahead, and nobody has come for it yet */
    bool pinned;   /* by a read that is making room, in the same hold of the lock */
    enum cache_state state;
    int err;          /* of CACHE_FAILED */
    atomic_uint refs; /* one for the table; grows under the lock only, shrinks anywhere */
};
TAILQ_HEAD(cache_list, cache_block);

struct cache {
    pthread_mutex_t lock;
    pthread_cond_t memory; /* something became evictable or was freed, while memory_waiters */
    atomic_uint memory_waiters;

    struct cache_block **buckets;
    size_t bucket_mask;
    uint64_t limit, bytes; /* bytes: all blocks that exist, in flight and held by replies too */
    uint64_t block_count;
    uint64_t unread_bytes; /* of blocks with unread set */
    uint64_t hits, misses;

    /* Scan resistance: blocks start on probation, first in first out; one that is read again while
     * there moves to the protected list (a clock). Probation is kept to about a quarter of the
     * limit once there is something to protect, so a scan cannot drive the protected blocks out. */
    struct cache_list probation, protected;
    uint64_t probation_bytes;
};

struct cache *cache_new(uint64_t limit);
/* No GET may be out and no block referenced. */
void cache_free(struct cache *cache);

/* What a block of len bytes takes of the budget. */
uint64_t cache_cost(uint32_t len);

/* Makes room for blocks that cost bytes and charges them; cache_add_locked must follow. False, and
 * nothing charged, when what can be evicted is not enough. Evicted blocks are put before *victims,
 * for cache_bury after unlocking. */
bool cache_reserve_locked(struct cache *cache, uint64_t bytes, struct cache_block **victims);
void cache_bury(struct cache_block *victims);

/* The block, whatever its state, or NULL. */
struct cache_block *cache_find_locked(struct cache *cache, uint64_t content, uint64_t number);
/* A new CACHE_LOADING block with two references: the table's and the GET's. Its cost has been
 * reserved. */
struct cache_block *cache_add_locked(struct cache *cache, uint64_t content, uint64_t number,
                                     uint32_t len, struct reader_get *get);
/* The block is not for somebody who waits, but for who may come. */
void cache_mark_unread_locked(struct cache_block *block);
/* The GET is done: err 0 makes the block valid, else it leaves the table. Keeps the GET's
 * reference. */
void cache_settle_locked(struct cache_block *block, int err);

/* A reference for a reader that touches [from, to) of the block. */
void cache_use_locked(struct cache_block *block, uint32_t from, uint32_t to);
void cache_ref_locked(struct cache_block *block);
void cache_unref(void *block); /* any thread, without the lock: the shape of fs_data.unref */

/* Waits until something may have become evictable; the caller has counted itself in memory_waiters
 * before it looked. False = deadline passed. */
bool cache_wait_memory_locked(struct cache *cache, int64_t deadline_ns);

/* cache_slab.c: memory of size bytes with count references, or NULL if the system has none to give.
 */
enum { CACHE_MALLOC_MAX = 64 << 10 };
struct cache_slab *cache_slab_new(size_t size, unsigned count);
/* One reference less; its pages, [data, data+len), go back to the system at once. */
void cache_slab_drop(struct cache_slab *slab, void *data, size_t len);
