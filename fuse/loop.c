/*
 * The threads that take requests from the kernel. There is always one more than there are requests
 * under way, up to a limit, so that cached work goes on while others wait for a dead store.
 *
 * libfuse's own loop does the same, but can be ended from outside only by a signal or an unmount; a
 * lazily unmounted file system that is still in use would keep it for ever.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fuse/front_int.h"

struct worker {
    TAILQ_ENTRY(worker) link;
    struct front *front;
    pthread_t thread;
    struct fuse_buf buf;
};

static void worker_end(void *arg)
{
    struct worker *w = arg;
    struct front *front = w->front;

    free(w->buf.mem);
    (void)pthread_mutex_lock(&front->loop_lock);
    TAILQ_REMOVE(&front->workers, w, link);
    front->worker_count--;
    (void)pthread_cond_broadcast(&front->loop_cond);
    (void)pthread_mutex_unlock(&front->loop_lock);
    free(w);
}

static void *worker_main(void *arg);

/* One more, with the lock held. */
static int worker_start(struct front *front)
{
    struct worker *w = mem_zalloc(sizeof(*w));

    w->front = front;
    TAILQ_INSERT_TAIL(&front->workers, w, link);
    int err = thread_start(&w->thread, "pailfs-fuse", worker_main, w);
    if (err) {
        TAILQ_REMOVE(&front->workers, w, link);
        free(w);
        return err;
    }
    (void)pthread_detach(w->thread);
    front->worker_count++;
    front->workers_idle++;
    return 0;
}

/* This one has a request now: somebody has to take the next. */
static void worker_busy(struct front *front)
{
    (void)pthread_mutex_lock(&front->loop_lock);
    front->workers_idle--;
    if (front->workers_idle == 0 && front->worker_count < front->config.threads_max &&
        !atomic_load(&front->stopping) && worker_start(front))
        log_event(LOG_WARN, "fuse_threads", "count=%u", front->worker_count);
    (void)pthread_mutex_unlock(&front->loop_lock);
}

/* False: there are enough without it. */
static bool worker_idle(struct front *front)
{
    bool stay;

    (void)pthread_mutex_lock(&front->loop_lock);
    stay = front->workers_idle < THREADS_IDLE_MAX && !atomic_load(&front->stopping);
    if (stay)
        front->workers_idle++;
    (void)pthread_mutex_unlock(&front->loop_lock);
    return stay;
}

/* Waits for a request. It may be cancelled meanwhile, and only then. */
static int worker_receive(struct worker *w)
{
    int got;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    got = fuse_session_receive_buf(w->front->session, &w->buf);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return got;
}

static void worker_unmounted(struct front *front)
{
    (void)pthread_mutex_lock(&front->loop_lock);
    bool told = atomic_exchange(&front->ended, true) || atomic_load(&front->stopping);
    void (*fn)(void *ctx) = told ? NULL : front->end_fn;
    (void)pthread_mutex_unlock(&front->loop_lock);
    if (!told)
        log_event(LOG_INFO, "fuse_unmounted", "mountpoint=%s", LOG_Q(front->mountpoint));
    if (fn)
        fn(front->end_ctx);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct front *front = w->front;
    int got;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_push(worker_end, w);
    for (;;) {
        got = worker_receive(w);
        if (got == -EINTR || got == -EAGAIN)
            continue;
        if (got <= 0) {
            worker_unmounted(front);
            break;
        }
        worker_busy(front);
        fuse_session_process_buf(front->session, &w->buf);
        if (!worker_idle(front))
            break;
    }
    pthread_cleanup_pop(1);
    return NULL;
}

int loop_start(struct front *front)
{
    (void)pthread_mutex_lock(&front->loop_lock);
    int err = worker_start(front);
    (void)pthread_mutex_unlock(&front->loop_lock);
    return err;
}

void loop_stop(struct front *front)
{
    struct worker *w;

    (void)pthread_mutex_lock(&front->loop_lock);
    TAILQ_FOREACH (w, &front->workers, link) {
        (void)pthread_cancel(w->thread); /* it cannot have ended: that needs the lock */
    }
    while (front->worker_count > 0)
        (void)thread_cond_wait_until(&front->loop_cond, &front->loop_lock, CLOCK_NEVER);
    (void)pthread_mutex_unlock(&front->loop_lock);
}
