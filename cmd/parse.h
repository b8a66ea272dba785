/* Values of options: strict readers. Each returns 0, or -EINVAL with a static phrase in ret_why
 * that says what was expected ("expected a size such as ..."). */
#pragma once

#include <stdint.h>

/* Bytes: digits with an optional K, M, G or T (also KiB, MiB, GiB, TiB), powers of 1024. */
int parse_size(const char *text, uint64_t *ret, const char **ret_why);

/* Nanoseconds: digits with ms, s, m or h. Only 0 needs no unit. At most ten years. */
int parse_duration(const char *text, int64_t *ret, const char **ret_why);

/* Digits only, min to max. The phrase does not name the bounds. */
int parse_uint(const char *text, uint32_t min, uint32_t max, uint32_t *ret, const char **ret_why);
