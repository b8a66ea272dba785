/* Strict readers for the values of options: whole text or nothing, no signs, no blanks. */
#include "cmd/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

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

/* One number with its unit, added to sum. */
static bool add_duration(const char **text, uint64_t *sum)
{
    char unit[4] = "";
    const char *end;
    uint64_t value;

    if (!read_digits(*text, &value, &end))
        return false;
    size_t len = strspn(end, "msh");
    if (len == 0 || len >= sizeof(unit))
        return false;
    memcpy(unit, end, len);
    *text = end + len;
    return apply_unit(duration_units, sizeof(duration_units) / sizeof(duration_units[0]), unit,
                      &value) &&
           !__builtin_add_overflow(*sum, value, sum);
}

int parse_duration(const char *text, int64_t *ret, const char **ret_why)
{
    uint64_t sum = 0;

    *ret_why = "expected a time with its unit, such as 500ms, 60s, 5m or 1h";
    if (strcmp(text, "0") != 0) {
        do {
            if (!add_duration(&text, &sum))
                return -EINVAL;
        } while (*text);
    }
    if (sum > DURATION_MAX) {
        *ret_why = "expected at most ten years";
        return -EINVAL;
    }
    *ret = (int64_t)sum;
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

int parse_word(const char *text, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0)
            return i;
    }
    return -1;
}

int parse_bool(const char *text, bool *ret, const char **ret_why)
{
    static const char *const names[] = {"yes", "true", "on", "1", "no", "false", "off", "0", NULL};
    int at = parse_word(text, names);

    *ret_why = "expected yes or no";
    if (at < 0)
        return -EINVAL;
    *ret = at < 4;
    return 0;
}

int parse_mode(const char *text, uint32_t *ret, const char **ret_why)
{
    uint32_t mode = 0;

    *ret_why = "expected permission bits in octal, such as 0644";
    if (text[0] == '0' && text[1] == 'o')
        text += 2;
    if (!*text || text[strspn(text, "01234567")] || strlen(text) > 5)
        return -EINVAL;
    for (; *text; text++)
        mode = mode * 8 + (uint32_t)(*text - '0');
    if (mode > 07777)
        return -EINVAL;
    *ret = mode;
    return 0;
}

int parse_each(const char *text, int (*fn)(void *ctx, const char *part, const char **ret_why),
               void *ctx, const char **ret_why)
{
    static const char separators[] = ", \t";
    bool any = false;

    for (;;) {
        text += strspn(text, separators);
        if (!*text)
            break;
        size_t len = strcspn(text, separators);
        CLEANUP_FREE char *part = mem_strndup(text, len);
        int err = fn(ctx, part, ret_why);
        if (err)
            return err;
        any = true;
        text += len;
    }
    *ret_why = "expected a value";
    return any ? 0 : -EINVAL;
}
