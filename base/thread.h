/* Threads and condition variables on the monotonic clock. Errors here are bugs: they abort. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts fn(arg) with all signals blocked; name (15 bytes at most) is what ps and gdb show.
 * 0, or -EAGAIN when the system has no thread to give. */
int thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg);

void thread_cond_init(pthread_cond_t *cond); /* waits by CLOCK_MONOTONIC */

/* Waits until signalled or deadline_ns (monotonic; CLOCK_NEVER = no limit). False = timed out. */
bool thread_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns);
