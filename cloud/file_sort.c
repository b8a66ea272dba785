/*
 * Sorting names: three-way radix quicksort (Bentley and Sedgewick), which looks at each byte of a
 * common beginning once instead of in every comparison; names in one directory are often alike.
 */
#include "cloud/file_sort.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SORT_SMALL = 12 };

static inline int sort_byte(const char *arena, uint32_t offset, size_t depth)
{
    return (unsigned char)arena[offset + depth];
}

static inline void sort_swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

static void sort_insertion(const char *arena, uint32_t *offsets, size_t count, size_t depth)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i;
             j > 0 && strcmp(arena + offsets[j - 1] + depth, arena + offsets[j] + depth) > 0; j--)
            sort_swap(&offsets[j - 1], &offsets[j]);
    }
}

static int sort_pivot(const char *arena, const uint32_t *offsets, size_t count, size_t depth)
{
    int a = sort_byte(arena, offsets[0], depth);
    int b = sort_byte(arena, offsets[count / 2], depth);
    int c = sort_byte(arena, offsets[count - 1], depth);

    if (a > b) {
        int t = a;
        a = b;
        b = t;
    }
    return c < a ? a : c > b ? b : c;
}

/* Splits by the byte at depth: [0, *lt) less, [*lt, *gt) equal to the pivot, [*gt, count) greater.
 */
static int sort_split(const char *arena, uint32_t *offsets, size_t count, size_t depth, size_t *lt,
                      size_t *gt)
{
    int pivot = sort_pivot(arena, offsets, count, depth);
    size_t i = 0;

    *lt = 0;
    *gt = count;
    while (i < *gt) {
        int byte = sort_byte(arena, offsets[i], depth);
        if (byte < pivot)
            sort_swap(&offsets[(*lt)++], &offsets[i++]);
        else if (byte > pivot)
            sort_swap(&offsets[i], &offsets[--*gt]);
        else
            i++;
    }
    return pivot;
}

/* Recurses into the two smaller of the three parts, so only log2(count) deep. */
static void sort_range(const char *arena, uint32_t *offsets, size_t count, size_t depth)
{
    while (count > SORT_SMALL) {
        size_t lt, gt;
        int pivot = sort_split(arena, offsets, count, depth, &lt, &gt);
        size_t greater = count - gt;
        /* Those in the middle that have ended are the same name. */
        size_t equal = pivot == 0 ? 0 : gt - lt;
        if (equal >= lt && equal >= greater) {
            sort_range(arena, offsets, lt, depth);
            sort_range(arena, offsets + gt, greater, depth);
            offsets += lt;
            count = equal;
            depth++;
            continue;
        }
        sort_range(arena, offsets + lt, equal, depth + 1);
        if (lt >= greater) {
            sort_range(arena, offsets + gt, greater, depth);
            count = lt;
        } else {
            sort_range(arena, offsets, lt, depth);
            offsets += gt;
            count = greater;
        }
    }
    sort_insertion(arena, offsets, count, depth);
}

void file_sort_names(const char *arena, uint32_t *offsets, size_t count)
{
    sort_range(arena, offsets, count, 0);
}

void file_sort_select(const char *arena, uint32_t *offsets, size_t count, size_t k)
{
    size_t depth = 0, lt, gt;

    assert(k < count);
    for (;;) {
        if (count <= SORT_SMALL) {
            sort_insertion(arena, offsets, count, depth);
            return;
        }
        int pivot = sort_split(arena, offsets, count, depth, &lt, &gt);
        if (k < lt) {
            count = lt;
        } else if (k >= gt) {
            offsets += gt;
            count -= gt;
            k -= gt;
        } else if (pivot == 0) {
            return;
        } else {
            offsets += lt;
            count = gt - lt;
            k -= lt;
            depth++;
        }
    }
}

static int sort_compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

void file_sort_numbers(uint32_t *numbers, size_t count)
{
    qsort(numbers, count, sizeof(*numbers), sort_compare_numbers);
}
