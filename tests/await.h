/* Waiting in tests for what gives no event that a test could wait for. */
#pragma once

#include <poll.h>
#include <stdint.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { AWAIT_S = 20, AWAIT_STEP_MS = 1 };

static inline int64_t await_now_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

/* Looks again and again until expr is true; the test fails when that takes too long. */
#define AWAIT(expr)                                       \
    do {                                                  \
        int64_t await_end = await_now_s() + AWAIT_S;      \
        while (!(expr)) {                                 \
            if (await_now_s() > await_end)                \
                fail_msg("waited in vain for %s", #expr); \
            (void)poll(NULL, 0, AWAIT_STEP_MS);           \
        }                                                 \
    } while (0)
