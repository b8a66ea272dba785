/* Threads and condition variables, with errors that are bugs turned into aborts. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = pthread_create(ret, NULL, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return -err;
    (void)pthread_setname_np(*ret, name);
    return 0;
}

void thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    if (pthread_condattr_init(&attr) || pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) ||
        pthread_cond_init(cond, &attr))
        abort();
    (void)pthread_condattr_destroy(&attr);
}

bool thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns)
{
    struct timespec ts;
    int err;

    if (deadline_ns == CLOCK_NEVER) {
        err = pthread_cond_wait(cond, mutex);
    } else {
        ts.tv_sec = (time_t)(deadline_ns / CLOCK_S);
        ts.tv_nsec = (long)(deadline_ns % CLOCK_S);
        err = pthread_cond_timedwait(cond, mutex, &ts);
    }
    if (err && err != ETIMEDOUT)
        abort();
    return err == 0;
}
