/*
 * The threads that run requests. The queue has no limit of its own: who submits bounds how much is
 * out. Reads go first, and two threads take nothing else, so that uploads and drains, which wait
 * for the disk, never hold up a reader.
 */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/thread.h"
#include "cloud/file_int.h"

enum { POOL_RESERVED = 2 };

/* The next request this thread may take, or NULL. Lock held. */
static struct store_req *pool_take(struct file_pool *pool)
{
    bool low =
        pool->thread_count <= POOL_RESERVED || pool->busy_low < pool->thread_count - POOL_RESERVED;

    for (int prio = 0; prio < FILE_PRIOS; prio++) {
        struct file_queue *queue = &pool->queues[prio];
        struct store_req *req = queue->head;
        if (prio != STORE_PRIO_READ && !low)
            break;
        if (!req)
            continue;
        queue->head = req->next;
        if (!queue->head)
            queue->tail = &queue->head;
        pool->busy_low += prio != STORE_PRIO_READ;
        return req;
    }
    return NULL;
}

static void pool_run(struct file_store *fs, struct store_req *req)
{
    if (clock_mono_ns() > req->deadline_ns)
        req->err = file_fail(req, -EAGAIN, "still queued at its deadline");
    else
        req->err = file_run(fs, req);
    /* What the disk says, as far as it is about the disk. */
    if (req->err == -EIO || req->err == -ENOSPC || req->err == -EACCES || req->err == -EROFS ||
        req->err == -EAGAIN)
        store_health_failed(&fs->base, req->error_text);
    else
        store_health_ok(&fs->base);
    req->done(req); /* it is the caller's again from here on */
}

static void *pool_thread(void *arg)
{
    struct file_store *fs = arg;
    struct file_pool *pool = &fs->pool;

    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        struct store_req *req = pool_take(pool);
        if (!req) {
            (void)thread_cond_wait_until(&pool->work, &pool->lock, CLOCK_NEVER);
            continue;
        }
        bool was_low = req->prio != STORE_PRIO_READ;
        (void)pthread_mutex_unlock(&pool->lock);
        pool_run(fs, req);
        (void)pthread_mutex_lock(&pool->lock);
        pool->busy_low -= was_low;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

void file_pool_submit(struct file_store *fs, struct store_req *req)
{
    struct file_pool *pool = &fs->pool;

    assert((int)req->prio < (int)FILE_PRIOS && req->deadline_ns > 0 && req->done);
    req->next = NULL;
    (void)pthread_mutex_lock(&pool->lock);
    assert(!pool->stop);
    *pool->queues[req->prio].tail = req;
    pool->queues[req->prio].tail = &req->next;
    (void)pthread_cond_signal(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
}

int file_pool_start(struct file_store *fs, unsigned threads)
{
    struct file_pool *pool = &fs->pool;
    int err = 0;

    (void)pthread_mutex_init(&pool->lock, NULL);
    thread_cond_init(&pool->work);
    for (int prio = 0; prio < FILE_PRIOS; prio++)
        pool->queues[prio].tail = &pool->queues[prio].head;
    (void)pthread_mutex_lock(&pool->lock); /* thread_count is read under it */
    while (!err && pool->thread_count < threads) {
        err = thread_start(&pool->threads[pool->thread_count], "pailfs-file", pool_thread, fs);
        if (!err)
            pool->thread_count++;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (err)
        file_pool_stop(fs);
    return err;
}

void file_pool_stop(struct file_store *fs)
{
    struct file_pool *pool = &fs->pool;

    (void)pthread_mutex_lock(&pool->lock);
    for (int prio = 0; prio < FILE_PRIOS; prio++)
        assert(!pool->queues[prio].head);
    pool->stop = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_mutex_destroy(&pool->lock);
}
