/* Strict readers for the values of options: whole text or nothing, no signs, no blanks. */
#include "cmd/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"

struct unit {
    const char *suffix;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"K", UINT64_C(1) << 10},
    {"KiB", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"MiB", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"GiB", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
    {"TiB", UINT64_C(1) << 40},
};

static const struct unit duration_units[] = {
    {"ms", CLOCK_MS},
    {"s", CLOCK_S},
    {"m", 60 * CLOCK_S},
    {"h", 3600 * CLOCK_S},
};

#define DURATION_MAX (UINT64_C(10) * 365 * 24 * 3600 * CLOCK_S)

/* The digits at the start of text. False if there are none or they do not fit. */
static bool read_digits(const char *text, uint64_t *ret, const char **ret_end)
{
    uint64_t value = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    *ret = value;
    *ret_end = p;
    return p != text;
}

static bool apply_unit(const struct unit *units, size_t count, const char *suffix, uint64_t *value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].suffix, suffix) == 0)
            return !__builtin_mul_overflow(*value, units[i].factor, value);
    }
    return false;
}

int parse_size(const char *text, uint64_t *ret, const char **ret_why)
{
    uint64_t value;
    const char *end;

    *ret_why = "expected a size such as 512M, 10G or 1T";
    if (!read_digits(text, &value, &end) ||
        !apply_unit(size_units, sizeof(size_units) / sizeof(size_units[0]), end, &value) ||
        value > INT64_MAX)
        return -EINVAL;
    *ret = value;
    return 0;
}

int parse_duration(const char *text, int64_t *ret, const char **ret_why)
{
    uint64_t value;
    const char *end;

    *ret_why = "expected a time with its unit, such as 500ms, 60s, 5m or 1h";
    if (!read_digits(text, &value, &end))
        return -EINVAL;
    bool bare_zero = value == 0 && *end == '\0';
    if (!bare_zero && !apply_unit(duration_units,
                                  sizeof(duration_units) / sizeof(duration_units[0]), end, &value))
        return -EINVAL;
    if (value > DURATION_MAX) {
        *ret_why = "expected at most ten years";
        return -EINVAL;
    }
    *ret = (int64_t)value;
    return 0;
}

int parse_uint(const char *text, uint32_t min, uint32_t max, uint32_t *ret, const char **ret_why)
{
    uint64_t value;
    const char *end;

    *ret_why = "expected a whole number";
    if (!read_digits(text, &value, &end) || *end)
        return -EINVAL;
    if (value < min || value > max) {
        *ret_why = "expected a whole number within the allowed range";
        return -EINVAL;
    }
    *ret = (uint32_t)value;
    return 0;
}
