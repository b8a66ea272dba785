/* The block cache by itself: budget, what is evicted and what is not, streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/cache.h"
#include "fs/reader_stream.h"

enum { LIMIT = 8 << 20 };

/* A valid block whose only reference is the table's, or NULL if there was no memory. */
static struct cache_block *add(struct cache *cache, uint64_t content, uint64_t number, uint32_t len)
{
    struct cache_block *block = NULL, *victims = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    if (cache_reserve_locked(cache, cache_cost(len), &victims)) {
        block = cache_add_locked(cache, content, number, len, NULL);
        block->slab = cache_slab_new(len, 1);
        block->data = block->slab->mem;
        memset(block->data, (int)number, len);
        cache_settle_locked(block, 0);
    }
    assert_true(cache->bytes <= cache->limit);
    (void)pthread_mutex_unlock(&cache->lock);
    cache_bury(victims);
    if (block)
        cache_unref(block);
    return block;
}

static bool has(struct cache *cache, uint64_t content, uint64_t number)
{
    LOCK_SCOPE(&cache->lock);
    return cache_find_locked(cache, content, number) != NULL;
}

/* One read of the whole block. The caller drops the reference. */
static struct cache_block *use(struct cache *cache, uint64_t content, uint64_t number)
{
    LOCK_SCOPE(&cache->lock);
    struct cache_block *block = cache_find_locked(cache, content, number);

    assert_non_null(block);
    cache_use_locked(block, 0, block->len);
    return block;
}

static void test_found_by_content_and_number(void **state)
{
    (void)state;
    struct cache *cache = cache_new(LIMIT);

    assert_non_null(add(cache, 1, 0, 100));
    assert_non_null(add(cache, 1, 1, 100));
    assert_non_null(add(cache, 2, 0, 100));
    assert_true(has(cache, 1, 0) && has(cache, 1, 1) && has(cache, 2, 0));
    assert_false(has(cache, 2, 1) || has(cache, 0, 0) || has(cache, 3, 0));
    cache_free(cache);
}

static void test_small_blocks_take_their_size(void **state)
{
    (void)state;
    struct cache *cache = cache_new(LIMIT);

    for (uint64_t i = 0; i < 1000; i++)
        assert_non_null(add(cache, i, 0, 1000));
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(has(cache, i, 0));
    assert_true(cache->bytes < 1000 * 1400);
    cache_free(cache);
}

static void test_oldest_goes_first(void **state)
{
    (void)state;
    struct cache *cache = cache_new(LIMIT);
    uint64_t count = LIMIT / READER_BLOCK * 3;

    for (uint64_t i = 0; i < count; i++)
        assert_non_null(add(cache, 1, i, READER_BLOCK));
    assert_true(has(cache, 1, count - 1) && has(cache, 1, count - 50));
    assert_false(has(cache, 1, 0) || has(cache, 1, count - LIMIT / READER_BLOCK - 1));
    cache_free(cache);
}

static void test_scan_leaves_what_is_used(void **state)
{
    (void)state;
    struct cache *cache = cache_new(LIMIT);

    for (uint64_t i = 0; i < 20; i++) {
        assert_non_null(add(cache, 1, i, READER_BLOCK));
        cache_unref(use(cache, 1, i));
        cache_unref(use(cache, 1, i));
    }
    for (uint64_t i = 0; i < 1000; i++) { /* each read once, in halves */
        assert_non_null(add(cache, 2, i, READER_BLOCK));
        LOCK_SCOPE(&cache->lock);
        struct cache_block *block = cache_find_locked(cache, 2, i);
        cache_use_locked(block, 0, READER_BLOCK / 2);
        cache_use_locked(block, READER_BLOCK / 2, READER_BLOCK);
        atomic_fetch_sub(&block->refs, 2);
    }
    for (uint64_t i = 0; i < 20; i++)
        assert_true(has(cache, 1, i));
    cache_free(cache);
}

static void test_protected_blocks_age(void **state)
{
    (void)state;
    struct cache *cache = cache_new(LIMIT);
    unsigned left = 0;

    for (uint64_t i = 0; i < 60; i++) {
        assert_non_null(add(cache, 1, i, READER_BLOCK));
        cache_unref(use(cache, 1, i));
        cache_unref(use(cache, 1, i));
    }
    for (int round = 0; round < 40; round++) /* a new working set, used again and again */
        for (uint64_t i = 0; i < 40; i++) {
            if (!has(cache, 2, i))
                assert_non_null(add(cache, 2, i, READER_BLOCK));
            cache_unref(use(cache, 2, i));
            cache_unref(use(cache, 2, i));
        }
    for (uint64_t i = 0; i < 40; i++)
        left += has(cache, 2, i);
    assert_int_equal(left, 40);
    cache_free(cache);
}

static void test_referenced_blocks_stay(void **state)
{
    (void)state;
    struct cache *cache = cache_new(LIMIT);
    struct cache_block *held[200];
    unsigned count = 0;

    while (add(cache, 1, count, READER_BLOCK)) {
        held[count] = use(cache, 1, count);
        count++;
        assert_true(count < 200);
    }
    assert_true(count >= LIMIT / READER_BLOCK - 2);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(held[i]->data[READER_BLOCK - 1], (uint8_t)i);
    cache_unref(held[count / 2]);
    assert_non_null(add(cache, 2, 0, READER_BLOCK));
    assert_false(has(cache, 1, count / 2));
    for (unsigned i = 0; i < count; i++)
        if (i != count / 2)
            cache_unref(held[i]);
    cache_free(cache);
}

static void test_failed_block_leaves(void **state)
{
    (void)state;
    struct cache *cache = cache_new(LIMIT);
    struct cache_block *block, *victims = NULL;

    {
        LOCK_SCOPE(&cache->lock);
        assert_true(cache_reserve_locked(cache, cache_cost(READER_BLOCK), &victims));
        block = cache_add_locked(cache, 1, 0, READER_BLOCK, NULL);
        cache_settle_locked(block, -5);
        assert_null(cache_find_locked(cache, 1, 0));
        assert_int_equal(cache->bytes, cache_cost(READER_BLOCK));
    }
    cache_unref(block);
    assert_int_equal(cache->bytes, 0);
    cache_free(cache);
}

/* ---- streams ---- */

enum { KIB = 1 << 10, MIB = 1 << 20 };
static const uint64_t size = UINT64_C(1) << 30;

static bool note(struct streams *streams, uint64_t off, uint64_t len, bool stalled)
{
    struct stream_read read = {off, len, stalled, UINT64_MAX};
    uint64_t from, to;
    struct stream *stream = streams_note(streams, &read, size, STREAM_WINDOW_MAX, &from, &to);

    if (!stream)
        return false;
    assert_true(from % READER_BLOCK == 0 && from < to && to <= size);
    stream->issued = to;
    return true;
}

static void test_stream_second_read_starts(void **state)
{
    (void)state;
    struct streams streams = {0};

    assert_false(note(&streams, 0, 128 * KIB, true));
    assert_true(note(&streams, 128 * KIB, 128 * KIB, true));
    assert_int_equal(streams.slots[0].issued + streams.slots[1].issued, 256 * KIB + MIB);
}

static void test_stream_window_grows_when_stalled(void **state)
{
    (void)state;
    struct streams waiting = {0}, content = {0};

    for (uint64_t i = 0; i < 512; i++) {
        (void)note(&waiting, i * MIB, MIB, true);
        (void)note(&content, i * MIB, MIB, i < 2);
    }
    for (int i = 0; i < STREAM_COUNT; i++) {
        if (waiting.slots[i].used)
            assert_int_equal(waiting.slots[i].window, STREAM_WINDOW_MAX);
        if (content.slots[i].used)
            assert_true(content.slots[i].window <= 2 * STREAM_WINDOW_MIN);
    }
}

static void test_stream_window_shrinks_in_vain(void **state)
{
    (void)state;
    struct streams streams = {0};
    uint64_t from, to;

    for (uint64_t i = 0; i < 100; i++)
        (void)note(&streams, i * MIB, MIB, true);
    struct stream_read read = {100 * MIB, MIB, true, 100 * MIB};
    (void)streams_note(&streams, &read, size, STREAM_WINDOW_MAX, &from, &to);
    for (int i = 0; i < STREAM_COUNT; i++)
        if (streams.slots[i].used)
            assert_int_equal(streams.slots[i].window, STREAM_WINDOW_MAX / 2);
}

static void test_stream_random_stays_quiet(void **state)
{
    (void)state;
    struct streams streams = {0};
    unsigned seed = 7, started = 0;

    for (int i = 0; i < 10000; i++)
        started += note(&streams, (uint64_t)rand_r(&seed) % (size / 4096) * 4096, 4096, true);
    assert_true(started <= 10); /* two neighbours by chance */
}

static void test_stream_interleaved_and_shuffled(void **state)
{
    (void)state;
    struct streams streams = {0};
    unsigned seed = 3, order[8], started = 0;

    for (uint64_t batch = 0; batch < 32; batch++) /* four readers, each 8 reads in flight */
        for (uint64_t reader = 0; reader < 4; reader++) {
            for (unsigned i = 0; i < 8; i++) {
                unsigned j = (unsigned)rand_r(&seed) % (i + 1);
                order[i] = order[j];
                order[j] = i;
            }
            for (unsigned i = 0; i < 8; i++)
                started += note(&streams, reader * (size / 4) + (batch * 8 + order[i]) * 256 * KIB,
                                256 * KIB, true);
        }
    assert_true(started >= 4 * 4 && started < 4 * 40);
    for (uint64_t reader = 0; reader < 4; reader++) {
        bool found = false;
        for (int i = 0; i < STREAM_COUNT; i++)
            found |= streams.slots[i].end == reader * (size / 4) + 64 * MIB &&
                     streams.slots[i].issued > streams.slots[i].end;
        assert_true(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_content_and_number),
        cmocka_unit_test(test_small_blocks_take_their_size),
        cmocka_unit_test(test_oldest_goes_first),
        cmocka_unit_test(test_scan_leaves_what_is_used),
        cmocka_unit_test(test_protected_blocks_age),
        cmocka_unit_test(test_referenced_blocks_stay),
        cmocka_unit_test(test_failed_block_leaves),
        cmocka_unit_test(test_stream_second_read_starts),
        cmocka_unit_test(test_stream_window_grows_when_stalled),
        cmocka_unit_test(test_stream_window_shrinks_in_vain),
        cmocka_unit_test(test_stream_random_stays_quiet),
        cmocka_unit_test(test_stream_interleaved_and_shuffled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
