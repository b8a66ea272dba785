/* The arithmetic of retries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cloud/retry.h"

static const struct retry_pauses usual;

static void test_delay_doubles_to_the_cap(void **state)
{
    (void)state;
    /* random = the ceiling gives the longest delay */
    assert_int_equal(retry_delay_ns(&usual, 1, false, (uint64_t)RETRY_BASE_NS), RETRY_BASE_NS);
    assert_int_equal(retry_delay_ns(&usual, 2, false, (uint64_t)RETRY_BASE_NS * 2),
                     RETRY_BASE_NS * 2);
    assert_int_equal(retry_delay_ns(&usual, 1000, false, (uint64_t)RETRY_CAP_NS), RETRY_CAP_NS);
    for (unsigned attempt = 1; attempt < 40; attempt++) {
        int64_t delay = retry_delay_ns(&usual, attempt, false, retry_random());
        assert_in_range(delay, 0, RETRY_CAP_NS);
        assert_in_range(retry_delay_ns(&usual, attempt, true, retry_random()), RETRY_CAP_NS / 2,
                        RETRY_CAP_NS);
    }
    assert_int_equal(retry_delay_ns(&usual, 5, false, 0), 0);
}

static void test_next_respects_the_deadline(void **state)
{
    (void)state;
    int64_t now = 1000 * CLOCK_S;

    assert_true(retry_next_ns(&usual, 1, false, 0, now, now, 0) == CLOCK_NEVER);
    assert_true(retry_next_ns(&usual, 1, false, 0, now, now - CLOCK_S, 0) == CLOCK_NEVER);
    assert_true(retry_next_ns(&usual, 1, false, 0, now, now + RETRY_LEFT_MIN_NS, 0) == now);
    assert_true(retry_next_ns(&usual, 1, false, 0, now, now + RETRY_LEFT_MIN_NS - 1, 0) ==
                CLOCK_NEVER);
    assert_true(retry_next_ns(&usual, 1, false, 7 * CLOCK_MS, now, CLOCK_NEVER, 0) ==
                now + 7 * CLOCK_MS);
    for (unsigned attempt = 1; attempt < 40; attempt++) {
        int64_t next = retry_next_ns(&usual, attempt, true, retry_random(), now, now + CLOCK_S, 0);
        assert_true(next >= now && next < now + CLOCK_S);
    }
}

static void test_next_obeys_the_server(void **state)
{
    (void)state;
    int64_t now = 1000 * CLOCK_S;

    assert_true(retry_next_ns(&usual, 1, false, 0, now, now + 10 * CLOCK_S, 3 * CLOCK_S) ==
                now + 3 * CLOCK_S);
    assert_true(retry_next_ns(&usual, 1, false, 0, now, now + 10 * CLOCK_S, 8 * CLOCK_S) ==
                now + 8 * CLOCK_S);
    assert_true(retry_next_ns(&usual, 1, false, 0, now, now + 10 * CLOCK_S, 10 * CLOCK_S) ==
                CLOCK_NEVER);
}

static void test_retry_after(void **state)
{
    (void)state;
    int64_t wall = INT64_C(784111777) * CLOCK_S; /* Sun, 06 Nov 1994 08:49:37 GMT */

    assert_int_equal(retry_after_parse("0", wall), 0);
    assert_int_equal(retry_after_parse("3", wall), 3 * CLOCK_S);
    assert_int_equal(retry_after_parse("99999999999999999999999", wall), RETRY_AFTER_MAX_NS);
    assert_int_equal(retry_after_parse("3 apples", wall), 0);
    assert_int_equal(retry_after_parse("-3", wall), 0);
    assert_int_equal(retry_after_parse("", wall), 0);
    assert_int_equal(retry_after_parse("Sun, 06 Nov 1994 08:49:39 GMT", wall), 2 * CLOCK_S);
    assert_int_equal(retry_after_parse("Sun, 06 Nov 1994 08:49:30 GMT", wall), 0);
    assert_int_equal(retry_date_parse("Sun, 06 Nov 1994 08:49:37 GMT"), wall);
    assert_int_equal(retry_date_parse("yesterday"), -1);
    assert_int_equal(retry_date_parse("Sun, 06 Nov 3988 08:49:35 GMT"), CLOCK_NEVER - 1);
    assert_int_equal(retry_after_parse("Sun, 06 Nov 3988 08:49:35 GMT", wall), RETRY_AFTER_MAX_NS);
}

static void test_budget(void **state)
{
    (void)state;
    struct retry_budget budget = {0};
    int taken = 0;

    while (retry_budget_take(&budget))
        taken++;
    assert_int_equal(taken, RETRY_BUDGET_FULL / RETRY_BUDGET_COST);
    for (int i = 0; i < RETRY_BUDGET_COST / RETRY_BUDGET_GAIN; i++) {
        assert_false(retry_budget_take(&budget));
        retry_budget_succeed(&budget);
    }
    assert_true(retry_budget_take(&budget));
    assert_false(retry_budget_take(&budget));
    for (int i = 0; i < 2 * RETRY_BUDGET_FULL; i++)
        retry_budget_succeed(&budget);
    assert_int_equal(budget.spent, 0);
}

static void test_own_pauses(void **state)
{
    (void)state;
    static const struct retry_pauses own = {10 * CLOCK_MS, 40 * CLOCK_MS};

    assert_int_equal(retry_delay_ns(&own, 1, false, 10 * CLOCK_MS), 10 * CLOCK_MS);
    assert_int_equal(retry_delay_ns(&own, 2, false, 20 * CLOCK_MS), 20 * CLOCK_MS);
    assert_int_equal(retry_delay_ns(&own, 100, false, 40 * CLOCK_MS), 40 * CLOCK_MS);
    for (unsigned attempt = 1; attempt < 100; attempt++)
        assert_in_range(retry_delay_ns(&own, attempt, true, retry_random()), 20 * CLOCK_MS,
                        40 * CLOCK_MS);
    /* a cap below the base holds */
    static const struct retry_pauses low = {.cap_ns = CLOCK_MS};
    assert_int_equal(retry_delay_ns(&low, 1, false, CLOCK_MS), CLOCK_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_pauses),
        cmocka_unit_test(test_delay_doubles_to_the_cap),
        cmocka_unit_test(test_next_respects_the_deadline),
        cmocka_unit_test(test_next_obeys_the_server),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
