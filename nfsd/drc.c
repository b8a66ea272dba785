/*
 * The duplicate request cache; see drc.h. One lock, held for a few instructions; it is a leaf but
 * for the rebind hook, which may take no lock. Invariant: an entry is in the hash from drc_begin
 * on; it is on the list `done` exactly when it has a reply; bytes is the sum over that list.
 */
#include "nfsd/drc.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { DRC_BUCKETS_MIN = 1024, DRC_ENTRY_TYPICAL = 512 };

struct drc_reply {
    atomic_uint refs;
    uint32_t len;
    uint8_t data[];
};

struct drc_entry {
    struct drc_key key;
    struct drc_entry *next; /* in the bucket */
    TAILQ_ENTRY(drc_entry) link;
    void *owner;             /* busy */
    struct drc_reply *reply; /* done */
};

struct drc_bucket {
    struct drc_entry *first;
};

struct drc {
    uint64_t bytes_max;
    drc_rebind_fn *rebind;
    size_t mask;
    pthread_mutex_t lock;
    struct drc_bucket *buckets;
    TAILQ_HEAD(, drc_entry) done; /* oldest first */
    uint64_t entries, bytes;
};

const void *drc_reply_data(const struct drc_reply *reply, size_t *ret_len)
{
    *ret_len = reply->len;
    return reply->data;
}

void drc_reply_unref(struct drc_reply *reply)
{
    if (reply && atomic_fetch_sub(&reply->refs, 1) == 1)
        free(reply);
}

static struct drc_reply *reply_new(const void *data, size_t len)
{
    struct drc_reply *reply = mem_alloc(sizeof(*reply) + len);

    atomic_init(&reply->refs, 1);
    reply->len = (uint32_t)len;
    memcpy(reply->data, data, len);
    return reply;
}

static uint64_t entry_bytes(const struct drc_entry *entry)
{
    return sizeof(*entry) + sizeof(*entry->reply) + entry->reply->len;
}

struct drc *drc_new(uint64_t bytes_max, drc_rebind_fn *rebind)
{
    struct drc *drc = mem_zalloc(sizeof(*drc));
    size_t buckets = DRC_BUCKETS_MIN;

    while (buckets < bytes_max / DRC_ENTRY_TYPICAL)
        buckets *= 2;
    drc->mask = buckets - 1;
    drc->buckets = mem_array(buckets, sizeof(*drc->buckets));
    drc->bytes_max = bytes_max;
    drc->rebind = rebind;
    TAILQ_INIT(&drc->done);
    pthread_mutex_init(&drc->lock, NULL);
    return drc;
}

static void entry_free(struct drc_entry *entry)
{
    drc_reply_unref(entry->reply);
    free(entry);
}

void drc_free(struct drc *drc)
{
    if (!drc)
        return;
    for (size_t i = 0; i <= drc->mask; i++)
        while (drc->buckets[i].first) {
            struct drc_entry *entry = drc->buckets[i].first;

            drc->buckets[i].first = entry->next;
            entry_free(entry);
        }
    pthread_mutex_destroy(&drc->lock);
    free(drc->buckets);
    free(drc);
}

static struct drc_entry **bucket_of(struct drc *drc, const struct drc_key *key)
{
    return &drc->buckets[XXH3_64bits(key, sizeof(*key)) & drc->mask].first;
}

static struct drc_entry *find(struct drc *drc, const struct drc_key *key)
{
    for (struct drc_entry *e = *bucket_of(drc, key); e; e = e->next)
        if (memcmp(&e->key, key, sizeof(*key)) == 0)
            return e;
    return NULL;
}

static struct drc_entry *add(struct drc *drc, const struct drc_key *key, void *owner)
{
    struct drc_entry *entry = mem_zalloc(sizeof(*entry));
    struct drc_entry **bucket = bucket_of(drc, key);

    entry->key = *key;
    entry->owner = owner;
    entry->next = *bucket;
    *bucket = entry;
    drc->entries++;
    return entry;
}

static void unhash(struct drc *drc, struct drc_entry *entry)
{
    struct drc_entry **at = bucket_of(drc, &entry->key);

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    drc->entries--;
}

static void set_done(struct drc *drc, struct drc_entry *entry, const void *reply, size_t len)
{
    assert(!entry->reply);
    entry->owner = NULL;
    entry->reply = reply_new(reply, len);
    drc->bytes += entry_bytes(entry);
    TAILQ_INSERT_TAIL(&drc->done, entry, link);
    while (drc->bytes > drc->bytes_max) {
        struct drc_entry *oldest = TAILQ_FIRST(&drc->done);

        TAILQ_REMOVE(&drc->done, oldest, link);
        drc->bytes -= entry_bytes(oldest);
        unhash(drc, oldest);
        entry_free(oldest);
    }
}

enum drc_state drc_begin(struct drc *drc, const struct drc_key *key, void *owner,
                         struct drc_entry **ret_entry, struct drc_reply **ret_reply)
{
    struct drc_entry *entry;

    LOCK_SCOPE(&drc->lock);
    entry = find(drc, key);
    if (!entry) {
        *ret_entry = add(drc, key, owner);
        return DRC_NEW;
    }
    if (entry->owner) {
        drc->rebind(entry->owner, owner);
        return DRC_BUSY;
    }
    atomic_fetch_add(&entry->reply->refs, 1);
    *ret_reply = entry->reply;
    return DRC_DONE;
}

void drc_done(struct drc *drc, struct drc_entry *entry, const void *reply, size_t len)
{
    LOCK_SCOPE(&drc->lock);
    set_done(drc, entry, reply, len);
}

void drc_cancel(struct drc *drc, struct drc_entry *entry)
{
    LOCK_SCOPE(&drc->lock);
    assert(entry->owner);
    unhash(drc, entry);
    entry_free(entry);
}

bool drc_load(struct drc *drc, const struct drc_key *key, const void *reply, size_t len)
{
    LOCK_SCOPE(&drc->lock);
    if (find(drc, key))
        return false;
    set_done(drc, add(drc, key, NULL), reply, len);
    return true;
}

void drc_get_usage(struct drc *drc, struct drc_usage *ret)
{
    LOCK_SCOPE(&drc->lock);
    ret->entries = drc->entries;
    ret->bytes = drc->bytes;
    ret->bytes_max = drc->bytes_max;
}
