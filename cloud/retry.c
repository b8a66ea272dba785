/* Retry policy: pure arithmetic but for the budget, which is one atomic counter. */
#include "cloud/retry.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

void retry_budget_succeed(struct retry_budget *budget)
{
    int spent = atomic_load_explicit(&budget->spent, memory_order_relaxed);

    while (spent > 0) {
        int left = spent > RETRY_BUDGET_GAIN ? spent - RETRY_BUDGET_GAIN : 0;
        if (atomic_compare_exchange_weak(&budget->spent, &spent, left))
            return;
    }
}

bool retry_budget_take(struct retry_budget *budget)
{
    int spent = atomic_load_explicit(&budget->spent, memory_order_relaxed);

    while (spent + RETRY_BUDGET_COST <= RETRY_BUDGET_FULL) {
        if (atomic_compare_exchange_weak(&budget->spent, &spent, spent + RETRY_BUDGET_COST))
            return true;
    }
    return false;
}

int64_t retry_delay_ns(const struct retry_pauses *pauses, unsigned attempt, bool slow,
                       uint64_t random)
{
    int64_t ceiling = pauses->base_ns > 0 ? pauses->base_ns : RETRY_BASE_NS;
    int64_t cap = pauses->cap_ns > 0 ? pauses->cap_ns : RETRY_CAP_NS;

    assert(attempt > 0);
    if (slow)
        return cap / 2 + (int64_t)(random % ((uint64_t)cap / 2 + 1));
    for (unsigned i = 1; i < attempt && ceiling < cap; i++)
        ceiling *= 2;
    if (ceiling > cap)
        ceiling = cap;
    return (int64_t)(random % (uint64_t)(ceiling + 1));
}

int64_t retry_next_ns(const struct retry_pauses *pauses, unsigned attempt, bool slow,
                      uint64_t random, int64_t now_ns, int64_t deadline_ns, int64_t after_ns)
{
    int64_t left = deadline_ns == CLOCK_NEVER ? CLOCK_NEVER : deadline_ns - now_ns;
    int64_t delay = retry_delay_ns(pauses, attempt, slow, random);

    if (after_ns >= left || left < RETRY_LEFT_MIN_NS)
        return CLOCK_NEVER;
    if (delay < after_ns) /* all that were told the same time should not come back together */
        delay = after_ns + delay / 4;
    /* The last stretch before the deadline is worth one more try. */
    if (delay > left / 2)
        delay = after_ns > left / 2 ? after_ns : left / 2;
    return now_ns + delay;
}

int64_t retry_date_parse(const char *value)
{
    struct tm tm = {0};
    const char *end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm);

    if (!end || *end)
        return -1;
    time_t t = timegm(&tm);
    return t < 0 ? -1 : clock_from_s(t, 0);
}

int64_t retry_after_parse(const char *value, int64_t wall_ns)
{
    int64_t after_ns;

    if (isdigit((unsigned char)value[0])) {
        char *end;
        errno = 0;
        unsigned long long s = strtoull(value, &end, 10);
        if (*end)
            return 0;
        if (errno || s > (unsigned long long)(RETRY_AFTER_MAX_NS / CLOCK_S))
            return RETRY_AFTER_MAX_NS;
        after_ns = (int64_t)s * CLOCK_S;
    } else {
        int64_t at_ns = retry_date_parse(value);
        if (at_ns < 0 || at_ns <= wall_ns)
            return 0;
        after_ns = at_ns - wall_ns;
    }
    return after_ns < RETRY_AFTER_MAX_NS ? after_ns : RETRY_AFTER_MAX_NS;
}

uint64_t retry_random(void)
{
    uint64_t r;

    if (getrandom(&r, sizeof(r), 0) != sizeof(r))
        r = (uint64_t)clock_mono_ns() * UINT64_C(0x9e3779b97f4a7c15);
    return r;
}
