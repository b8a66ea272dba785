/* Sorting names that lie in an arena, by their offsets in it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* By bytes. */
void file_sort_names(const char *arena, uint32_t *offsets, size_t count);
/* Moves the k smallest names to the front, unordered, and the next one to offsets[k]; k < count. */
void file_sort_select(const char *arena, uint32_t *offsets, size_t count, size_t k);
void file_sort_numbers(uint32_t *numbers, size_t count);
