/* Cleanup attributes, so that every path out of a function frees what it took. */
#pragma once

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_ptr(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void cleanup_unlock_mutex(pthread_mutex_t **m)
{
    if (*m)
        (void)pthread_mutex_unlock(*m);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_ptr)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_fd)))

/* Locks M until the enclosing scope ends. Not for scopes that wait on a condition or do I/O. */
#define LOCK_SCOPE(m)                                                                        \
    __attribute__((cleanup(cleanup_unlock_mutex), unused)) pthread_mutex_t *LOCK_SCOPE_NAME( \
        __LINE__) = lock_scope_enter(m)
#define LOCK_SCOPE_NAME(line) LOCK_SCOPE_PASTE(lock_scope_, line)
#define LOCK_SCOPE_PASTE(a, b) a##b

static inline pthread_mutex_t *lock_scope_enter(pthread_mutex_t *m)
{
    (void)pthread_mutex_lock(m);
    return m;
}
