/* Finding records in a stream that arrives in pieces of any size. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nfsd/record.h"

enum { TEST_MAX = 2 << 20 };

struct stream {
    uint8_t *bytes;
    size_t len;
};

static void put_mark(struct stream *s, uint32_t mark)
{
    s->bytes = mem_realloc(s->bytes, s->len + 4);
    for (int i = 0; i < 4; i++)
        s->bytes[s->len++] = (uint8_t)(mark >> (24 - 8 * i));
}

static void put_fragment(struct stream *s, uint32_t len, bool last, uint8_t first)
{
    put_mark(s, len | (last ? 0x80000000u : 0));
    s->bytes = mem_realloc(s->bytes, s->len + len + 1);
    for (uint32_t i = 0; i < len; i++)
        s->bytes[s->len++] = (uint8_t)(first + i);
}

struct found {
    unsigned count;
    uint32_t lens[64];
    bool right;
    int error;
};

/* Feeds the stream in pieces of at most piece bytes; records must count up from `first`. */
static struct found feed(const struct stream *s, size_t piece, uint8_t first, uint32_t max)
{
    struct buf_pool *pool = buf_pool_new(UINT64_MAX);
    struct found found = {.right = true};
    struct record_reader reader;
    size_t at = 0;

    record_reader_init(&reader, pool, max);
    while (at < s->len && found.error == 0) {
        struct record rec;
        uint8_t *room;
        size_t n;
        int r;

        assert_int_equal(record_room(&reader, &room, &n), 0);
        assert_true(n > 0);
        n = n < piece ? n : piece;
        n = n < s->len - at ? n : s->len - at;
        memcpy(room, s->bytes + at, n);
        at += n;
        record_received(&reader, n);
        while ((r = record_next(&reader, &rec)) == RECORD_READY) {
            for (uint32_t i = 0; i < rec.len; i++)
                if (rec.data[i] != (uint8_t)(first + i))
                    found.right = false;
            if (found.count < 64)
                found.lens[found.count] = rec.len;
            found.count++;
            buf_unref(rec.buf);
        }
        found.error = r;
    }
    record_reader_clear(&reader);
    buf_pool_free(pool);
    return found;
}

/* One record in two fragments cut at every place, received byte by byte and at once. */
static void test_split_everywhere(void **state)
{
    (void)state;
    for (uint32_t cut = 0; cut <= 100; cut++)
        for (size_t piece = 1; piece < 300; piece = piece * 3) {
            struct stream s = {0};
            struct found found;

            put_fragment(&s, cut, false, 5);
            put_fragment(&s, 100 - cut, true, (uint8_t)(5 + cut));
            put_fragment(&s, 33, true, 5);
            found = feed(&s, piece, 5, TEST_MAX);
            assert_int_equal(found.count, 2);
            assert_int_equal(found.lens[0], 100);
            assert_int_equal(found.lens[1], 33);
            assert_true(found.right);
            free(s.bytes);
        }
}

static void test_received_at_every_boundary(void **state)
{
    struct stream s = {0};

    (void)state;
    for (int i = 0; i < 20; i++)
        put_fragment(&s, 64, true, 9);
    for (size_t piece = 1; piece <= s.len; piece++) {
        struct found found = feed(&s, piece, 9, TEST_MAX);

        assert_int_equal(found.count, 20);
        assert_true(found.right);
    }
    free(s.bytes);
}

static void test_large(void **state)
{
    static const size_t pieces[] = {1000, 65536, 100000, SIZE_MAX};

    (void)state;
    for (size_t p = 0; p < 4; p++) {
        struct stream s = {0};
        struct found found;

        put_fragment(&s, 10, true, 1);
        for (int i = 0; i < 3; i++)
            put_fragment(&s, (1 << 20) + 200, true, 1);
        put_fragment(&s, 700000, false, 1);
        put_fragment(&s, 700000, true, (uint8_t)(1 + 700000));
        put_fragment(&s, 10, true, 1);
        found = feed(&s, pieces[p], 1, TEST_MAX);
        assert_int_equal(found.count, 6);
        assert_int_equal(found.lens[4], 1400000);
        assert_true(found.right);
        free(s.bytes);
    }
}

/* The longest record is taken, one byte more is not, in one fragment or in many. */
static void test_limit(void **state)
{
    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++) {
        struct stream s = {0};
        struct found found;

        put_fragment(&s, 1000 + extra, true, 0);
        found = feed(&s, 100, 0, 1000);
        assert_int_equal(found.count, 1 - extra);
        assert_int_equal(found.error, extra ? -EMSGSIZE : 0);
        free(s.bytes);
        s = (struct stream){0};
        put_fragment(&s, 600, false, 0);
        put_fragment(&s, 400 + extra, true, (uint8_t)600);
        found = feed(&s, 100, 0, 1000);
        assert_int_equal(found.count, 1 - extra);
        assert_int_equal(found.error, extra ? -EMSGSIZE : 0);
        free(s.bytes);
    }
}

static void test_absurd_length(void **state)
{
    static const uint32_t marks[] = {0xffffffffu, 0x7fffffffu, 0x80000000u | (TEST_MAX + 1)};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stream s = {0};

        put_mark(&s, marks[i]);
        assert_int_equal(feed(&s, 100, 0, TEST_MAX).error, -EMSGSIZE);
        free(s.bytes);
    }
}

static void test_empty_fragments(void **state)
{
    struct stream s = {0};
    struct found found;

    (void)state;
    put_fragment(&s, 3, false, 0);
    for (int i = 0; i < RECORD_EMPTY_MAX - 1; i++)
        put_fragment(&s, 0, false, 0);
    put_fragment(&s, 0, true, 0);
    found = feed(&s, 7, 0, TEST_MAX);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.lens[0], 3);
    free(s.bytes);
    s = (struct stream){0};
    for (int i = 0; i <= RECORD_EMPTY_MAX; i++)
        put_fragment(&s, 0, false, 0);
    assert_int_equal(feed(&s, 7, 0, TEST_MAX).error, -EPROTO);
    free(s.bytes);
}

static void test_many_fragments(void **state)
{
    struct stream s = {0};

    (void)state;
    for (int i = 0; i < RECORD_FRAGMENTS_MAX - 1; i++)
        put_fragment(&s, 1, false, (uint8_t)i);
    put_fragment(&s, 1, true, (uint8_t)(RECORD_FRAGMENTS_MAX - 1));
    assert_int_equal(feed(&s, 1000, 0, TEST_MAX).count, 1);
    free(s.bytes);
    s = (struct stream){0};
    for (int i = 0; i <= RECORD_FRAGMENTS_MAX; i++)
        put_fragment(&s, 1, false, (uint8_t)i);
    assert_int_equal(feed(&s, 1000, 0, TEST_MAX).error, -EPROTO);
    free(s.bytes);
}

/* A record that somebody still reads is not written over by what comes next. */
static void test_records_stay(void **state)
{
    struct buf_pool *pool = buf_pool_new(UINT64_MAX);
    struct record_reader reader;
    struct record recs[200];
    unsigned count = 0;

    (void)state;
    record_reader_init(&reader, pool, TEST_MAX);
    while (count < 200) {
        struct stream s = {0};
        uint8_t *room;
        size_t n;

        put_fragment(&s, 2000, true, (uint8_t)count);
        for (size_t at = 0; at < s.len; at += n) {
            assert_int_equal(record_room(&reader, &room, &n), 0);
            n = n < s.len - at ? n : s.len - at;
            memcpy(room, s.bytes + at, n);
            record_received(&reader, n);
            if (record_next(&reader, &recs[count]) == RECORD_READY)
                count++;
        }
        free(s.bytes);
    }
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(recs[i].len, 2000);
        assert_int_equal(recs[i].data[0], (uint8_t)i);
        assert_int_equal(recs[i].data[1999], (uint8_t)(i + 1999));
        buf_unref(recs[i].buf);
    }
    record_reader_clear(&reader);
    assert_int_equal(buf_pool_used(pool), 0);
    buf_pool_free(pool);
}

/* When no large buffer is to be had, the reader says so and goes on later. */
static void test_no_buffer(void **state)
{
    struct buf_pool *pool = buf_pool_new(BUF_LARGE + BUF_SMALL + 100);
    struct buf *taken = buf_get(pool, BUF_LARGE);
    struct record_reader reader;
    uint8_t mark[] = {0x80, 0x0f, 0, 0}, *room;
    struct record rec;
    size_t n;

    (void)state;
    assert_non_null(taken);
    record_reader_init(&reader, pool, TEST_MAX);
    assert_int_equal(record_room(&reader, &room, &n), 0);
    memcpy(room, mark, 4);
    record_received(&reader, 4);
    assert_int_equal(record_next(&reader, &rec), RECORD_MORE);
    assert_int_equal(record_room(&reader, &room, &n), -ENOBUFS);
    assert_true(record_partial(&reader));
    buf_unref(taken);
    assert_int_equal(record_room(&reader, &room, &n), 0);
    record_reader_clear(&reader);
    buf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_everywhere),
        cmocka_unit_test(test_received_at_every_boundary),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_absurd_length),
        cmocka_unit_test(test_empty_fragments),
        cmocka_unit_test(test_many_fragments),
        cmocka_unit_test(test_records_stay),
        cmocka_unit_test(test_no_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
