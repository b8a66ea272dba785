/*
 * The elastic pool of threads for calls that wait. A thread is started when a call comes and nobody
 * is idle; one that was idle for a while ends. Slots keep what is needed to join them.
 *
 * Lock: pool->lock, a leaf. Invariant: idle counts threads in the wait; a slot is free, running, or
 * ended (to be joined before it is used again).
 */
#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "nfsd/server_int.h"

enum slot_state { SLOT_FREE, SLOT_RUNNING, SLOT_ENDED };

struct worker {
    struct worker_pool *pool;
    pthread_t thread;
    enum slot_state state;
};

struct worker_pool {
    uint32_t threads_max;
    int64_t idle_ns;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct call_queue queue;
    uint32_t queued, threads, idle;
    bool stopping;
    struct worker *workers;
};

struct worker_pool *worker_pool_new(uint32_t threads_max, int64_t idle_ns)
{
    struct worker_pool *pool = mem_zalloc(sizeof(*pool));

    pool->threads_max = threads_max;
    pool->idle_ns = idle_ns;
    pool->workers = mem_array(threads_max, sizeof(*pool->workers));
    STAILQ_INIT(&pool->queue);
    pthread_mutex_init(&pool->lock, NULL);
    thread_cond_init(&pool->cond);
    return pool;
}

void worker_pool_free(struct worker_pool *pool)
{
    if (!pool)
        return;
    assert(pool->threads == 0 && pool->queued == 0);
    pthread_cond_destroy(&pool->cond);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
}

/* With the lock held: the next call, or NULL when this thread shall end. */
static struct call *next_call(struct worker_pool *pool)
{
    struct call *call;

    while (pool->queued == 0 && !pool->stopping) {
        bool signalled;

        pool->idle++;
        signalled =
            thread_cond_wait_until(&pool->cond, &pool->lock, clock_mono_ns() + pool->idle_ns);
        pool->idle--;
        if (!signalled && pool->queued == 0)
            return NULL;
    }
    if (pool->stopping)
        return NULL;
    call = STAILQ_FIRST(&pool->queue);
    STAILQ_REMOVE_HEAD(&pool->queue, link);
    pool->queued--;
    return call;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct worker_pool *pool = worker->pool;
    struct call *call;

    pthread_mutex_lock(&pool->lock);
    while ((call = next_call(pool))) {
        pthread_mutex_unlock(&pool->lock);
        call_work(call);
        pthread_mutex_lock(&pool->lock);
    }
    worker->state = SLOT_ENDED;
    pool->threads--;
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* With the lock held. Joining an ended thread does not wait: it has let go of the lock for good. */
static bool start_thread(struct worker_pool *pool)
{
    for (uint32_t i = 0; i < pool->threads_max; i++) {
        struct worker *worker = &pool->workers[i];

        if (worker->state == SLOT_RUNNING)
            continue;
        if (worker->state == SLOT_ENDED)
            pthread_join(worker->thread, NULL);
        worker->pool = pool;
        worker->state = SLOT_RUNNING;
        if (thread_start(&worker->thread, "nfsd-worker", worker_main, worker) < 0) {
            worker->state = SLOT_FREE;
            return false;
        }
        pool->threads++;
        return true;
    }
    return false;
}

bool worker_pool_submit(struct worker_pool *pool, struct call *call)
{
    LOCK_SCOPE(&pool->lock);
    if (pool->idle <= pool->queued && pool->threads < pool->threads_max && !pool->stopping)
        (void)start_thread(pool); /* if not, those that run take it later */
    if (pool->threads == 0)
        return false;
    STAILQ_INSERT_TAIL(&pool->queue, call, link);
    pool->queued++;
    pthread_cond_signal(&pool->cond);
    return true;
}

uint32_t worker_pool_threads(struct worker_pool *pool)
{
    LOCK_SCOPE(&pool->lock);
    return pool->threads;
}

void worker_pool_stop(struct worker_pool *pool)
{
    struct call_queue left = STAILQ_HEAD_INITIALIZER(left);

    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->cond);
    STAILQ_CONCAT(&left, &pool->queue);
    pool->queued = 0;
    pthread_mutex_unlock(&pool->lock);
    while (!STAILQ_EMPTY(&left)) {
        struct call *call = STAILQ_FIRST(&left);

        STAILQ_REMOVE_HEAD(&left, link);
        call_free(call);
    }
    for (uint32_t i = 0; i < pool->threads_max; i++) {
        bool used;

        pthread_mutex_lock(&pool->lock);
        used = pool->workers[i].state != SLOT_FREE;
        pool->workers[i].state = SLOT_FREE;
        pthread_mutex_unlock(&pool->lock);
        if (used)
            pthread_join(pool->workers[i].thread, NULL);
    }
}
