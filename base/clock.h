/* The two clocks. All durations and points in time inside pailfs are int64_t nanoseconds. */
#pragma once

#include <stdint.h>

#define CLOCK_MS INT64_C(1000000)
#define CLOCK_S INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX

int64_t clock_mono_ns(void);   /* CLOCK_MONOTONIC: deadlines, ages */
int64_t clock_wall_ns(void);   /* CLOCK_REALTIME: file times */
int64_t clock_coarse_ns(void); /* CLOCK_MONOTONIC_COARSE: a few ms behind, cheap */

/* Seconds since the epoch and nanoseconds from 0 to a second, as others give them; what does not
 * fit (years after 2261 or before 1678) becomes the nearest that does. */
static inline int64_t clock_from_s(int64_t s, int64_t ns)
{
    int64_t whole;

    if (__builtin_mul_overflow(s, CLOCK_S, &whole) || __builtin_add_overflow(whole, ns, &whole))
        return s < 0 ? INT64_MIN : CLOCK_NEVER - 1;
    return whole;
}
