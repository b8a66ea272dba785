/*
 * The threads that take requests from the kernel. There is always one more than there are requests
 * under way, up to a limit, so that cached work goes on while others wait for a dead store.
 *
 * libfuse's own loop does the same, but can be ended from outside only by a signal or an unmount; a
 * lazily unmounted file system that is still in use would keep it for ever.
 */
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fuse/front_int.h"

#define LOOP_SIGNAL (SIGRTMIN + 4) /* blocked in all threads but these */
enum { LOOP_WAKE_MS = 10 };

struct worker {
    TAILQ_ENTRY(worker) link;
    struct front *front;
    pthread_t thread;
    struct fuse_buf buf;
};

static void worker_end(struct worker *w)
{
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
    sigset_t wake;
    int got;

    (void)sigemptyset(&wake);
    (void)sigaddset(&wake, LOOP_SIGNAL);
    (void)pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
    while (!atomic_load(&front->stopping)) {
        got = fuse_session_receive_buf(front->session, &w->buf);
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
    worker_end(w);
    return NULL;
}

static void loop_woken(int sig)
{
    (void)sig; /* it was to interrupt read(2), no more */
}

int loop_start(struct front *front)
{
    const struct sigaction action = {.sa_handler = loop_woken}; /* no SA_RESTART */

    if (sigaction(LOOP_SIGNAL, &action, NULL))
        return -errno;
    (void)pthread_mutex_lock(&front->loop_lock);
    int err = worker_start(front);
    (void)pthread_mutex_unlock(&front->loop_lock);
    return err;
}

void loop_stop(struct front *front)
{
    struct worker *w;

    (void)pthread_mutex_lock(&front->loop_lock);
    while (front->worker_count > 0) {
        /* Again and again: one may just be on its way into read(2). None can have ended: that needs
         * the lock. */
        TAILQ_FOREACH (w, &front->workers, link) {
            (void)pthread_kill(w->thread, LOOP_SIGNAL);
        }
        (void)thread_cond_wait_until(&front->loop_cond, &front->loop_lock,
                                     clock_mono_ns() + LOOP_WAKE_MS * CLOCK_MS);
    }
    (void)pthread_mutex_unlock(&front->loop_lock);
}
