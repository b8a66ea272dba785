/*
 * When to try again. One policy for every store: exponential back-off with full jitter, a server's
 * Retry-After obeyed, never beyond the deadline, and a budget that slows all requests of a store
 * down together when most of what they do is retrying.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define RETRY_BASE_NS (100 * CLOCK_MS)    /* the first delay is somewhere below this */
#define RETRY_CAP_NS (20 * CLOCK_S)       /* no delay is longer, unless the server asks for it */
#define RETRY_LEFT_MIN_NS (50 * CLOCK_MS) /* in less time before the deadline no try is useful */
#define RETRY_AFTER_MAX_NS (300 * CLOCK_S)

enum {
    RETRY_BUDGET_FULL = 1000, /* tokens, in tenths of a retry */
    RETRY_BUDGET_COST = 10,   /* of a retry */
    RETRY_BUDGET_GAIN = 1,    /* of a request that succeeded */
};

/* Tokens of one store. All zero is a full budget. */
struct retry_budget {
    _Atomic int spent;
};
void retry_budget_succeed(struct retry_budget *budget);
/* Takes the cost of one retry; false when there was not enough (the retry is then a slow one). */
bool retry_budget_take(struct retry_budget *budget);

/* How long the pauses are: all zero is RETRY_BASE_NS and RETRY_CAP_NS. */
struct retry_pauses {
    int64_t base_ns, cap_ns;
};

/* Delay before try number attempt + 1 (attempt counts from 1): random in [0, base * 2^(attempt-1)],
 * or in the upper half of [0, cap] for a slow one. */
int64_t retry_delay_ns(const struct retry_pauses *pauses, unsigned attempt, bool slow,
                       uint64_t random);

/*
 * Point in time (monotonic) of the next try, or CLOCK_NEVER to give up: nothing useful would be
 * left of the time until the deadline. after_ns is what the server asked for; 0 = nothing.
 */
int64_t retry_next_ns(const struct retry_pauses *pauses, unsigned attempt, bool slow,
                      uint64_t random, int64_t now_ns, int64_t deadline_ns, int64_t after_ns);

/* The value of a Retry-After header, seconds or an HTTP date, as a duration; 0 if it is neither or
 * lies in the past. wall_ns is the time now. */
int64_t retry_after_parse(const char *value, int64_t wall_ns);

/* An HTTP date as ns since the epoch, or -1. */
int64_t retry_date_parse(const char *value);

uint64_t retry_random(void);
