/* The two clocks. All durations and points in time inside pailfs are int64_t nanoseconds. */
#pragma once

#include <stdint.h>

#define CLOCK_MS INT64_C(1000000)
#define CLOCK_S INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX

int64_t clock_mono_ns(void);   /* CLOCK_MONOTONIC: deadlines, ages */
int64_t clock_wall_ns(void);   /* CLOCK_REALTIME: file times */
int64_t clock_coarse_ns(void); /* CLOCK_MONOTONIC_COARSE: a few ms behind, cheap */
