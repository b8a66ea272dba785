/*
 * The duplicate request cache; see drc.h. One lock, held for a few instructions; it is a leaf but
 * for the rebind hook, which may take no lock.
 *
 * Invariant: an entry is in the hash from drc_begin on. Exactly when it has a reply it is on one
 * list: its client's, if it is among the newest of that client, otherwise `spare`. A client is
 * there as long as its list is not empty. bytes is the sum over all of that.
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

enum { DRC_BUCKETS_MIN = 1024, DRC_ENTRY_TYPICAL = 512, DRC_CLIENT_BUCKETS = 256 };

struct drc_reply {
    atomic_uint refs;
    uint32_t len;
    uint8_t data[];
};

TAILQ_HEAD(drc_entries, drc_entry);

struct drc_client {
    uint8_t addr[sizeof(((struct drc_key *)0)->addr)];
    struct drc_client *next;      /* in the bucket */
    TAILQ_ENTRY(drc_client) link; /* by the time of its last reply */
    struct drc_entries newest;    /* at most DRC_CLIENT_KEEP, oldest first */
    uint32_t count;
};

struct drc_entry {
    struct drc_key key;
    struct drc_entry *next; /* in the bucket */
    TAILQ_ENTRY(drc_entry) link;
    void *owner;               /* busy */
    struct drc_reply *reply;   /* done */
    struct drc_client *client; /* whose list it is on, or NULL: spare */
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
    struct drc_client *client_buckets[DRC_CLIENT_BUCKETS];
    TAILQ_HEAD(, drc_client) clients; /* the longest quiet first */
    struct drc_entries spare;         /* oldest first */
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
    TAILQ_INIT(&drc->clients);
    TAILQ_INIT(&drc->spare);
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
    for (struct drc_client *client; (client = TAILQ_FIRST(&drc->clients));) {
        TAILQ_REMOVE(&drc->clients, client, link);
        free(client);
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

/* --- which replies stay --- */

static struct drc_client **client_bucket(struct drc *drc, const uint8_t *addr)
{
    return &drc->client_buckets[XXH3_64bits(addr, sizeof(((struct drc_client *)0)->addr)) %
                                DRC_CLIENT_BUCKETS];
}

/* Now the last one that was heard of. */
static struct drc_client *client_heard(struct drc *drc, const uint8_t *addr)
{
    struct drc_client **bucket = client_bucket(drc, addr), *client = *bucket;

    while (client && memcmp(client->addr, addr, sizeof(client->addr)) != 0)
        client = client->next;
    if (client) {
        TAILQ_REMOVE(&drc->clients, client, link);
    } else {
        client = mem_zalloc(sizeof(*client));
        memcpy(client->addr, addr, sizeof(client->addr));
        TAILQ_INIT(&client->newest);
        client->next = *bucket;
        *bucket = client;
        drc->bytes += sizeof(*client);
    }
    TAILQ_INSERT_TAIL(&drc->clients, client, link);
    return client;
}

static void client_forget(struct drc *drc, struct drc_client *client)
{
    struct drc_client **at = client_bucket(drc, client->addr);

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    TAILQ_REMOVE(&drc->clients, client, link);
    drc->bytes -= sizeof(*client);
    free(client);
}

static void leave_client(struct drc *drc, struct drc_entry *entry)
{
    struct drc_client *client = entry->client;

    TAILQ_REMOVE(&client->newest, entry, link);
    entry->client = NULL;
    if (--client->count == 0)
        client_forget(drc, client);
}

static void drop(struct drc *drc, struct drc_entry *entry)
{
    if (entry->client)
        leave_client(drc, entry);
    else
        TAILQ_REMOVE(&drc->spare, entry, link);
    drc->bytes -= entry_bytes(entry);
    unhash(drc, entry);
    entry_free(entry);
}

static void drop_one(struct drc *drc)
{
    struct drc_entry *oldest = TAILQ_FIRST(&drc->spare);

    drop(drc, oldest ? oldest : TAILQ_FIRST(&TAILQ_FIRST(&drc->clients)->newest));
}

static void set_done(struct drc *drc, struct drc_entry *entry, const void *reply, size_t len)
{
    struct drc_client *client = client_heard(drc, entry->key.addr);

    assert(!entry->reply);
    entry->owner = NULL;
    entry->reply = reply_new(reply, len);
    entry->client = client;
    drc->bytes += entry_bytes(entry);
    TAILQ_INSERT_TAIL(&client->newest, entry, link);
    if (++client->count > DRC_CLIENT_KEEP) {
        struct drc_entry *oldest = TAILQ_FIRST(&client->newest);

        leave_client(drc, oldest);
        TAILQ_INSERT_TAIL(&drc->spare, oldest, link);
    }
    while (drc->bytes > drc->bytes_max)
        drop_one(drc);
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

void drc_load(struct drc *drc, const struct drc_key *key, const void *reply, size_t len)
{
    struct drc_entry *old;

    LOCK_SCOPE(&drc->lock);
    old = find(drc, key);
    if (old)
        drop(drc, old);
    set_done(drc, add(drc, key, NULL), reply, len);
}

void drc_get_usage(struct drc *drc, struct drc_usage *ret)
{
    LOCK_SCOPE(&drc->lock);
    ret->entries = drc->entries;
    ret->bytes = drc->bytes;
    ret->bytes_max = drc->bytes_max;
}
