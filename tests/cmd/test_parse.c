/* Readers of option values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/clock.h"
#include "cmd/parse.h"

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"4K", 4096},
        {"4KiB", 4096},
        {"512M", 512 << 20},
        {"10G", UINT64_C(10) << 30},
        {"2GiB", UINT64_C(2) << 30},
        {"1T", UINT64_C(1) << 40},
        {"7TiB", UINT64_C(7) << 40},
        {"9223372036854775807", INT64_MAX},
    };
    static const char *const bad[] = {"",         "M",
                                      "-1",       "+1",
                                      " 1",       "1 ",
                                      "1.5G",     "1k",
                                      "1KB",      "1MB",
                                      "1Gi",      "0x10",
                                      "1P",       "9223372036854775808",
                                      "8388608T", "99999999999999999999"};
    const char *why;
    uint64_t value;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse_size(good[i].text, &value, &why), 0);
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        value = 42;
        why = NULL;
        assert_int_equal(parse_size(bad[i], &value, &why), -EINVAL);
        assert_int_equal(value, 42);
        assert_non_null(strstr(why, "expected"));
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"500ms", 500 * CLOCK_MS},
        {"60s", 60 * CLOCK_S},
        {"5m", 300 * CLOCK_S},
        {"1h", 3600 * CLOCK_S},
        {"1m30s", 90 * CLOCK_S},
        {"1h0m0s", 3600 * CLOCK_S},
        {"1s500ms", 1500 * CLOCK_MS},
        {"87600h", 87600 * 3600 * CLOCK_S},
    };
    static const char *const bad[] = {"",
                                      "60",
                                      "s",
                                      "-1s",
                                      "1.5s",
                                      "1d",
                                      "1 s",
                                      "1S",
                                      "1sx",
                                      "1s5",
                                      "00",
                                      "1mm",
                                      "1hms",
                                      "43800h43800h1h",
                                      "87601h",
                                      "99999999999999999999s",
                                      "9223372036854775807h"};
    const char *why;
    int64_t value;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse_duration(good[i].text, &value, &why), 0);
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        value = 42;
        why = NULL;
        assert_int_equal(parse_duration(bad[i], &value, &why), -EINVAL);
        assert_int_equal(value, 42);
        assert_non_null(strstr(why, "expected"));
    }
}

static void test_numbers(void **state)
{
    (void)state;
    const char *why;
    uint32_t value = 42;

    assert_int_equal(parse_uint("0", 1, 10, &value, &why), -EINVAL);
    assert_int_equal(parse_uint("11", 1, 10, &value, &why), -EINVAL);
    assert_int_equal(parse_uint("", 0, 10, &value, &why), -EINVAL);
    assert_int_equal(parse_uint("1x", 0, 10, &value, &why), -EINVAL);
    assert_int_equal(parse_uint("-1", 0, UINT32_MAX, &value, &why), -EINVAL);
    assert_int_equal(parse_uint("4294967296", 0, UINT32_MAX, &value, &why), -EINVAL);
    assert_int_equal(value, 42);
    assert_int_equal(parse_uint("1", 1, 10, &value, &why), 0);
    assert_int_equal(value, 1);
    assert_int_equal(parse_uint("4294967295", 0, UINT32_MAX, &value, &why), 0);
    assert_int_equal(value, UINT32_MAX);
}

static void test_flags(void **state)
{
    (void)state;
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false",
                                                                                "off", "0"};
    const char *why = NULL;
    bool value;

    for (int i = 0; i < 4; i++) {
        value = false;
        assert_int_equal(parse_bool(yes[i], &value, &why), 0);
        assert_true(value);
        assert_int_equal(parse_bool(no[i], &value, &why), 0);
        assert_false(value);
    }
    static const char *const bad[] = {"", "Yes", "y", "2", "yes ", "noo"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse_bool(bad[i], &value, &why), -EINVAL);
        assert_non_null(strstr(why, "expected"));
    }
}

static void test_modes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t mode;
    } good[] = {{"0", 0},        {"644", 0644},   {"0644", 0644},
                {"0o755", 0755}, {"1777", 01777}, {"07777", 07777}};
    static const char *const bad[] = {"",   "0o", "8",     "0888", "10000",
                                      "rw", "-1", "0x1ff", "644 ", "000644"};
    const char *why = NULL;
    uint32_t mode = 5;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse_mode(good[i].text, &mode, &why), 0);
        assert_int_equal(mode, good[i].mode);
    }
    mode = 5;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse_mode(bad[i], &mode, &why) == 0)
            fail_msg("%s is a mode", bad[i]);
        assert_int_equal(mode, 5);
    }
}

static int gather(void *ctx, const char *part, const char **ret_why)
{
    if (strcmp(part, "bad") == 0) {
        *ret_why = "expected no bad one";
        return -EINVAL;
    }
    char *text = ctx;
    size_t len = strlen(text);
    (void)snprintf(text + len, 64 - len, "%s;", part);
    return 0;
}

static void test_lists(void **state)
{
    (void)state;
    char parts[64] = "";
    const char *why = NULL;

    assert_int_equal(parse_each(" a,b, c\td,,", gather, parts, &why), 0);
    assert_string_equal(parts, "a;b;c;d;");
    assert_int_equal(parse_each("a, bad, c", gather, parts, &why), -EINVAL);
    assert_string_equal(why, "expected no bad one");
    assert_int_equal(parse_each("", gather, parts, &why), -EINVAL);
    assert_int_equal(parse_each(" , ", gather, parts, &why), -EINVAL);
    assert_string_equal(why, "expected a value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),   cmocka_unit_test(test_durations),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_flags),
        cmocka_unit_test(test_modes),   cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
