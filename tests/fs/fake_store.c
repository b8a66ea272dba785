/* The fake store of fake_store.h: a queue and some threads that take from it in random order. */
#include "tests/fs/fake_store.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

enum { OBJECTS_MAX = 64, THREADS_MAX = 16 };

struct fake_object {
    char *key;
    unsigned version;
    uint64_t size;
};

struct fake_store {
    struct store store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fake_object objects[OBJECTS_MAX];
    size_t object_count;
    struct store_req *queue;
    unsigned queued, seed, delay_us;
    bool hold, stop, ignore_match;
    unsigned fail_count, cut_count;
    int fail_err;
    struct fake_counts counts;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count;
};

static uint64_t fake_word(unsigned version, uint64_t index)
{
    uint64_t h = (index + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
                 (uint64_t)version * UINT64_C(0xbf58476d1ce4e5b9);
    return h ^ (h >> 29);
}

uint8_t fake_byte(unsigned version, uint64_t off)
{
    return (uint8_t)(fake_word(version, off / 8) >> (off % 8 * 8));
}

void fake_fill(unsigned version, uint64_t off, void *buf, size_t len)
{
    uint8_t *p = buf;
    size_t i = 0;

    for (; i < len && (off + i) % 8; i++)
        p[i] = fake_byte(version, off + i);
    for (; i + 8 <= len; i += 8) {
        uint64_t w = fake_word(version, (off + i) / 8);
        for (int k = 0; k < 8; k++)
            p[i + k] = (uint8_t)(w >> (k * 8));
    }
    for (; i < len; i++)
        p[i] = fake_byte(version, off + i);
}

static struct fake_object *find_object(struct fake_store *fake, const char *key)
{
    for (size_t i = 0; i < fake->object_count; i++)
        if (strcmp(fake->objects[i].key, key) == 0)
            return &fake->objects[i];
    return NULL;
}

/* With the lock held. What the answer will be; *ret_version for the bytes. */
static void decide(struct fake_store *fake, struct store_req *req, unsigned *ret_version)
{
    struct fake_object *object = find_object(fake, req->key);

    assert(req->op == STORE_GET && req->range_len > 0);
    fake->counts.gets++;
    fake->counts.bytes += req->range_len;
    if (req->priv || fake->fail_count > 0) {
        if (!req->priv)
            fake->fail_count--;
        req->err = fake->fail_err;
        return;
    }
    req->err = object ? 0 : -ENOENT;
    if (!object)
        return;
    (void)snprintf(req->object.etag, sizeof(req->object.etag), "v%u", object->version);
    req->object.size = object->size;
    if (req->if_match && strcmp(req->if_match, req->object.etag) != 0 && !fake->ignore_match)
        req->err = -ESTALE;
    req->got = req->range_off < object->size ? object->size - req->range_off : 0;
    if (req->got > req->range_len)
        req->got = req->range_len;
    if (fake->cut_count > 0) {
        fake->cut_count--;
        req->got /= 2;
    }
    *ret_version = object->version;
}

static struct store_req *take(struct fake_store *fake)
{
    struct store_req **at = &fake->queue;
    struct store_req *req;

    for (unsigned skip = (unsigned)rand_r(&fake->seed) % fake->queued; skip > 0; skip--)
        at = &(*at)->next;
    req = *at;
    *at = req->next;
    fake->queued--;
    return req;
}

static void *fake_thread(void *arg)
{
    struct fake_store *fake = arg;

    (void)pthread_mutex_lock(&fake->lock);
    for (;;) {
        while (!fake->stop && (fake->hold || !fake->queue))
            (void)thread_cond_wait_until(&fake->changed, &fake->lock, CLOCK_NEVER);
        if (!fake->queue && fake->stop)
            break;
        struct store_req *req = take(fake);
        struct timespec delay = {0};
        unsigned version = 0;
        decide(fake, req, &version);
        if (fake->delay_us)
            delay.tv_nsec = rand_r(&fake->seed) % (long)fake->delay_us * 1000;
        (void)pthread_mutex_unlock(&fake->lock);
        if (delay.tv_nsec) /* the latency that a real store has */
            (void)nanosleep(&delay, NULL);
        if (!req->err)
            fake_fill(version, req->range_off, req->buf, req->got);
        req->done(req);
        (void)pthread_mutex_lock(&fake->lock);
    }
    (void)pthread_mutex_unlock(&fake->lock);
    return NULL;
}

static void fake_submit(struct store *store, struct store_req *req)
{
    struct fake_store *fake = (struct fake_store *)store; /* its first member */
    LOCK_SCOPE(&fake->lock);

    assert(req->deadline_ns > 0 && req->buf);
    req->next = fake->queue;
    fake->queue = req;
    fake->queued++;
    (void)pthread_cond_broadcast(&fake->changed);
}

static const struct store_ops fake_ops = {.submit = fake_submit};

struct fake_store *fake_store_new(unsigned threads, unsigned seed)
{
    struct fake_store *fake = mem_zalloc(sizeof(*fake));

    fake->store.ops = &fake_ops;
    fake->seed = seed;
    (void)pthread_mutex_init(&fake->lock, NULL);
    thread_cond_init(&fake->changed);
    assert(threads <= THREADS_MAX);
    for (; fake->thread_count < threads; fake->thread_count++)
        if (thread_start(&fake->threads[fake->thread_count], "fake", fake_thread, fake))
            abort();
    return fake;
}

void fake_store_free(struct fake_store *fake)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->stop = true;
    (void)pthread_cond_broadcast(&fake->changed);
    (void)pthread_mutex_unlock(&fake->lock);
    for (unsigned i = 0; i < fake->thread_count; i++)
        (void)pthread_join(fake->threads[i], NULL);
    for (size_t i = 0; i < fake->object_count; i++)
        free(fake->objects[i].key);
    (void)pthread_mutex_destroy(&fake->lock);
    (void)pthread_cond_destroy(&fake->changed);
    free(fake);
}

struct store *fake_store_get(struct fake_store *fake)
{
    return &fake->store;
}

void fake_store_put(struct fake_store *fake, const char *key, unsigned version, uint64_t size)
{
    LOCK_SCOPE(&fake->lock);
    struct fake_object *object = find_object(fake, key);

    if (!object) {
        assert(fake->object_count < OBJECTS_MAX);
        object = &fake->objects[fake->object_count++];
        object->key = mem_strdup(key);
    }
    object->version = version;
    object->size = size;
}

void fake_store_remove(struct fake_store *fake, const char *key)
{
    LOCK_SCOPE(&fake->lock);
    struct fake_object *object = find_object(fake, key);

    assert(object);
    free(object->key);
    *object = fake->objects[--fake->object_count];
}

void fake_store_hold(struct fake_store *fake, bool hold)
{
    LOCK_SCOPE(&fake->lock);
    fake->hold = hold;
    (void)pthread_cond_broadcast(&fake->changed);
}

bool fake_store_wait_queued(struct fake_store *fake, unsigned count)
{
    int64_t deadline = clock_mono_ns() + 10 * CLOCK_S;
    bool in_time = true;
    LOCK_SCOPE(&fake->lock);

    while (fake->queued < count && in_time)
        in_time = thread_cond_wait_until(&fake->changed, &fake->lock, deadline);
    return fake->queued >= count;
}

void fake_store_fail(struct fake_store *fake, unsigned count, int err)
{
    LOCK_SCOPE(&fake->lock);
    for (struct store_req *req = fake->queue; req && count > 0; req = req->next, count--)
        req->priv = fake;
    fake->fail_count = count;
    fake->fail_err = err;
}

void fake_store_cut(struct fake_store *fake, unsigned count)
{
    LOCK_SCOPE(&fake->lock);
    fake->cut_count = count;
}

void fake_store_ignore_match(struct fake_store *fake)
{
    LOCK_SCOPE(&fake->lock);
    fake->ignore_match = true;
}

void fake_store_delay(struct fake_store *fake, unsigned us_max)
{
    LOCK_SCOPE(&fake->lock);
    fake->delay_us = us_max;
}

struct fake_counts fake_store_counts(struct fake_store *fake)
{
    LOCK_SCOPE(&fake->lock);
    return fake->counts;
}
