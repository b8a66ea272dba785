/* Values of options: strict readers. Each returns 0, or -EINVAL with a static phrase in ret_why
 * that says what was expected ("expected a size such as ..."). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Bytes: digits with an optional K, M, G or T (also KiB, MiB, GiB, TiB), powers of 1024. */
int parse_size(const char *text, uint64_t *ret, const char **ret_why);

/* Nanoseconds: digits with ms, s, m or h, one or more of these ("1m30s"). Only 0 needs no unit. At
 * most ten years. */
int parse_duration(const char *text, int64_t *ret, const char **ret_why);

/* Digits only, min to max. The phrase does not name the bounds. */
int parse_uint(const char *text, uint32_t min, uint32_t max, uint32_t *ret, const char **ret_why);

/* yes, true, on, 1; no, false, off, 0. */
int parse_bool(const char *text, bool *ret, const char **ret_why);

/* Permission bits in octal digits: 644, 0644, 0o644. */
int parse_mode(const char *text, uint32_t *ret, const char **ret_why);

/* Which of names, which end with NULL, text is; -1: none. */
int parse_word(const char *text, const char *const *names);

/* Calls fn for each part of a list, which is separated by commas or blanks; at least one. */
int parse_each(const char *text, int (*fn)(void *ctx, const char *part, const char **ret_why),
               void *ctx, const char **ret_why);
