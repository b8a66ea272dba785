/* Reading through the cache: the right bytes whatever happens at the same time, GETs shared and
 * joined, the budget kept, errors passed on and recovered from, streams read ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/fs.h"
#include "fs/reader.h"
#include "tests/fs/fake_store.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

static int64_t in_ms(int64_t ms)
{
    return clock_mono_ns() + ms * CLOCK_MS;
}

struct fixture {
    struct fake_store *fake;
    struct reader *reader;
};

static struct fixture *fixture_new(uint64_t limit, unsigned threads)
{
    struct fixture *fx = mem_zalloc(sizeof(*fx));

    fx->fake = fake_store_new(threads, 1);
    fx->reader = reader_new(limit);
    return fx;
}

static void fixture_free(struct fixture *fx)
{
    reader_free(fx->reader);
    fake_store_free(fx->fake);
    free(fx);
}

/* An object in the fake store, opened. */
static struct reader_file *open_object(struct fixture *fx, const char *key, unsigned version,
                                       uint64_t size)
{
    char etag[16];

    (void)snprintf(etag, sizeof(etag), "v%u", version);
    fake_store_put(fx->fake, key, version, size);
    return reader_file_new(fx->reader, fake_store_get(fx->fake), version, key, etag, size);
}

static bool data_matches(const struct fs_data *data, unsigned version, uint64_t off, size_t len)
{
    static _Thread_local uint8_t want[FS_IO_MAX];
    size_t at = 0;

    fake_fill(version, off, want, len);
    if (data->len != len)
        return false;
    for (uint32_t i = 0; i < data->count; i++) {
        if (data->iov[i].iov_len == 0)
            continue;
        if (at + data->iov[i].iov_len > len ||
            memcmp(data->iov[i].iov_base, want + at, data->iov[i].iov_len) != 0)
            return false;
        at += data->iov[i].iov_len;
    }
    return at == len;
}

/* Reads and compares. The error, or 1 for wrong bytes. */
static int read_check(struct reader_file *file, unsigned version, uint64_t off, size_t len,
                      bool nowait)
{
    struct fs_data data = {0};
    int err = reader_read(file, off, len, nowait, in_ms(30000), &data);

    if (err)
        return data.count == 0 && data.len == 0 ? err : 1;
    if (!data_matches(&data, version, off, len))
        err = 1;
    fs_data_release(&data);
    return err;
}

/* ---- a read in a thread of its own ---- */

struct reading {
    struct reader_file *file;
    unsigned version;
    uint64_t off;
    size_t len;
    pthread_t thread;
    int err;
};

static void *reading_run(void *arg)
{
    struct reading *r = arg;

    r->err = read_check(r->file, r->version, r->off, r->len, false);
    return NULL;
}

static void reading_start(struct reading *r, struct reader_file *file, unsigned version,
                          uint64_t off, size_t len)
{
    *r = (struct reading){.file = file, .version = version, .off = off, .len = len};
    assert_int_equal(thread_start(&r->thread, "reading", reading_run, r), 0);
}

static int reading_join(struct reading *r)
{
    (void)pthread_join(r->thread, NULL);
    return r->err;
}

/* ---- exactness ---- */

enum { FILES = 6, STRESS_READS = 1500, STRESS_THREADS = 4 };
static const uint64_t stress_sizes[FILES] = {1, 4097, 131072, 1 << 20, (5 << 20) + 77, 40 << 20};

struct stress {
    struct fixture *fx;
    struct reader_file *files[FILES];
    unsigned seed;
    pthread_t thread;
    unsigned wrong, over, again;
};

static void stress_one(struct stress *s)
{
    unsigned which = (unsigned)rand_r(&s->seed) % FILES, how = (unsigned)rand_r(&s->seed) % 16;
    uint64_t size = stress_sizes[which], off = (uint64_t)rand_r(&s->seed) % size;
    uint64_t max = how < 12 ? 64 * KIB : FS_IO_MAX, left = size - off;
    size_t len = 1 + (size_t)((uint64_t)rand_r(&s->seed) % (left < max ? left : max));
    struct reader_usage usage;
    int err;

    if (how == 15) {
        uint8_t *got = mem_alloc(len), *want = mem_alloc(len);
        err = reader_copy(s->files[which], off, len, in_ms(30000), got);
        fake_fill(which + 1, off, want, len);
        err = err ? err : memcmp(got, want, len) != 0;
        free(got);
        free(want);
    } else {
        err = read_check(s->files[which], which + 1, off, len, how % 2 == 0);
    }
    if (err == -EAGAIN && how % 2 == 0)
        s->again++;
    else
        s->wrong += err != 0;
    reader_get_usage(s->fx->reader, &usage);
    s->over += usage.bytes > usage.limit;
}

static void *stress_run(void *arg)
{
    struct stress *s = arg;

    for (int i = 0; i < STRESS_READS; i++)
        stress_one(s);
    return NULL;
}

static void test_bytes_are_exact_under_pressure(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(10 * MIB, 6);
    struct stress s[STRESS_THREADS] = {{0}};
    struct reader_file *files[FILES];
    char key[16];

    fake_store_delay(fx->fake, 200);
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        files[i] = open_object(fx, key, i + 1, stress_sizes[i]);
    }
    for (unsigned t = 0; t < STRESS_THREADS; t++) {
        s[t].fx = fx;
        s[t].seed = t + 100;
        memcpy(s[t].files, files, sizeof(files));
        assert_int_equal(thread_start(&s[t].thread, "stress", stress_run, &s[t]), 0);
    }
    for (unsigned t = 0; t < STRESS_THREADS; t++) {
        (void)pthread_join(s[t].thread, NULL);
        assert_int_equal(s[t].wrong, 0);
        assert_int_equal(s[t].over, 0);
        assert_true(s[t].again < STRESS_READS);
    }
    for (unsigned i = 0; i < FILES; i++)
        reader_file_unref(files[i]);
    fixture_free(fx);
}

static void test_versions_do_not_mix(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *old = open_object(fx, "k", 1, 3 * MIB), *new;

    assert_int_equal(read_check(old, 1, 0, 4 * KIB, false), 0);
    new = open_object(fx, "k", 2, 3 * MIB);
    assert_int_equal(read_check(old, 1, 0, 4 * KIB, true), 0); /* still cached */
    assert_int_equal(read_check(old, 1, 2 * MIB, 4 * KIB, false), -ESTALE);
    assert_int_equal(read_check(old, 1, 100 * KIB, 100 * KIB, false), -ESTALE);
    assert_int_equal(read_check(new, 2, 0, 4 * KIB, true), -EAGAIN);
    assert_int_equal(read_check(new, 2, 2 * MIB, 4 * KIB, false), 0);
    fake_store_ignore_match(fx->fake);
    assert_int_equal(read_check(old, 1, MIB, 4 * KIB, false), -ESTALE);
    reader_file_unref(old);
    reader_file_unref(new);
    fixture_free(fx);
}

/* ---- sharing ---- */

static void test_misses_share_one_get(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);
    struct reading r[8];

    fake_store_hold(fx->fake, true);
    for (unsigned i = 0; i < 8; i++)
        reading_start(&r[i], file, 1, 10 * MIB + 512, 4 * KIB);
    assert_true(fake_store_wait_queued(fx->fake, 1));
    assert_int_equal(read_check(file, 1, 10 * MIB, 4 * KIB, true), -EAGAIN);
    fake_store_hold(fx->fake, false);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(reading_join(&r[i]), 0);
    assert_int_equal(fake_store_counts(fx->fake).gets, 1);
    assert_int_equal(fake_store_counts(fx->fake).bytes, READER_BLOCK);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_neighbours_come_in_one_get(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);

    assert_int_equal(read_check(file, 1, 8 * MIB + 5, FS_IO_MAX, false), 0);
    assert_int_equal(fake_store_counts(fx->fake).gets, 1);
    assert_int_equal(fake_store_counts(fx->fake).bytes, 9 * READER_BLOCK);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_small_object_comes_whole(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 900 * KIB);

    assert_int_equal(read_check(file, 1, 500 * KIB, 1, false), 0);
    for (uint64_t off = 0; off < 900 * KIB; off += 100 * KIB)
        assert_int_equal(read_check(file, 1, off, 100 * KIB, true), 0);
    assert_int_equal(fake_store_counts(fx->fake).gets, 1);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_late_get_still_fills(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);
    struct fs_data data = {0};
    struct reading r;

    fake_store_hold(fx->fake, true);
    assert_int_equal(reader_read(file, 5 * MIB, 4 * KIB, false, in_ms(20), &data), -EAGAIN);
    assert_int_equal(data.count, 0);
    reading_start(&r, file, 1, 5 * MIB, 4 * KIB);
    fake_store_hold(fx->fake, false);
    assert_int_equal(reading_join(&r), 0);
    assert_int_equal(read_check(file, 1, 5 * MIB, 4 * KIB, true), 0);
    assert_int_equal(fake_store_counts(fx->fake).gets, 1);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_free_waits_for_gets(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);
    struct fs_data data = {0};

    fake_store_delay(fx->fake, 20000);
    for (uint64_t i = 0; i < 8; i++)
        (void)reader_read(file, i * 7 * MIB, 4 * KIB, false, in_ms(0), &data);
    reader_file_unref(file);
    fs_data_release(&data);
    fixture_free(fx); /* ASan and TSan look on */
}

/* ---- budget ---- */

static unsigned fill_memory(struct reader_file *file, struct fs_data *held, unsigned max)
{
    unsigned count = 0;

    while (count < max &&
           reader_read(file, count * MIB, FS_IO_MAX, false, in_ms(1500), &held[count]) == 0)
        count++;
    return count;
}

static void test_reads_wait_for_memory(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(8 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);
    struct fs_data held[64] = {0}, none = {0};
    unsigned count = fill_memory(file, held, 64);
    struct reader_usage usage;
    struct reading r;

    assert_in_range(count, 6, 8);
    assert_int_equal(reader_read(file, 60 * MIB, FS_IO_MAX, false, in_ms(20), &none), -EAGAIN);
    reader_get_usage(fx->reader, &usage);
    assert_true(usage.bytes <= usage.limit);
    reading_start(&r, file, 1, 60 * MIB, FS_IO_MAX);
    for (unsigned i = 0; i < count; i++) {
        assert_true(data_matches(&held[i], 1, i * MIB, FS_IO_MAX));
        fs_data_release(&held[i]);
    }
    assert_int_equal(reading_join(&r), 0);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_read_ahead_takes_only_free_memory(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(8 * MIB, 2);
    struct reader_file *file = open_object(fx, "a", 1, 64 * MIB),
                       *other = open_object(fx, "b", 2, 64 * MIB);
    struct fs_data held[6] = {0};
    struct reader_usage usage;

    for (unsigned i = 0; i < 6; i++) /* far apart: no stream */
        assert_int_equal(
            reader_read(file, i * 10 * MIB + MIB / 2, FS_IO_MAX, false, in_ms(5000), &held[i]), 0);
    for (uint64_t i = 0; i < 64; i++) {
        assert_int_equal(read_check(other, 2, i * 256 * KIB, 256 * KIB, false), 0);
        reader_get_usage(fx->reader, &usage);
        assert_true(usage.bytes <= usage.limit);
    }
    for (unsigned i = 0; i < 6; i++)
        fs_data_release(&held[i]);
    reader_file_unref(file);
    reader_file_unref(other);
    fixture_free(fx);
}

/* ---- errors ---- */

static void test_errors_pass_and_recover(void **state)
{
    (void)state;
    static const struct {
        int store, want;
    } cases[] = {{-EIO, -EIO},       {-EACCES, -EACCES}, {-ENOENT, -ESTALE},
                 {-ESTALE, -ESTALE}, {-EAGAIN, -EAGAIN}, {-EINVAL, -EIO}};
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t off = (i * 9 + 1) * MIB;
        fake_store_fail(fx->fake, 1, cases[i].store);
        assert_int_equal(read_check(file, 1, off, 4 * KIB, false), cases[i].want);
        assert_int_equal(read_check(file, 1, off, 4 * KIB, true), -EAGAIN);
        assert_int_equal(read_check(file, 1, off, 4 * KIB, false), 0);
    }
    fake_store_cut(fx->fake, 1);
    assert_int_equal(read_check(file, 1, 62 * MIB, 4 * KIB, false), -EIO);
    assert_int_equal(read_check(file, 1, 62 * MIB, 4 * KIB, false), 0);
    fake_store_put(fx->fake, "k", 1, MIB); /* same ETag, cut off */
    assert_int_equal(read_check(file, 1, 40 * MIB, 4 * KIB, false), -ESTALE);
    fake_store_remove(fx->fake, "k");
    assert_int_equal(read_check(file, 1, 40 * MIB, 4 * KIB, false), -ESTALE);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_errors_leave_data_alone(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);
    struct fs_data data = {0};
    struct reader_usage before, after;
    int64_t deadline = in_ms(10000);

    assert_int_equal(reader_read(file, 0, 4 * KIB, false, in_ms(5000), &data), 0);
    reader_get_usage(fx->reader, &before);
    fake_store_fail(fx->fake, 1, -EIO);
    assert_int_equal(reader_read(file, 20 * MIB, FS_IO_MAX, false, in_ms(5000), &data), -EIO);
    assert_int_equal(data.count, 1);
    assert_true(data_matches(&data, 1, 0, 4 * KIB));
    fs_data_release(&data);
    do { /* the GET gives its memory back a moment after it has told its readers */
        (void)sched_yield();
        reader_get_usage(fx->reader, &after);
    } while (before.bytes != after.bytes && clock_mono_ns() < deadline);
    assert_int_equal(before.bytes, after.bytes);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_failed_read_ahead_is_tried_again(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 1);
    struct reader_file *file = open_object(fx, "k", 1, MIB + 256 * KIB);
    struct reading r;

    assert_int_equal(read_check(file, 1, 0, 128 * KIB, false), 0);
    fake_store_hold(fx->fake, true);
    reading_start(&r, file, 1, 128 * KIB, 128 * KIB);
    assert_true(fake_store_wait_queued(fx->fake, 2)); /* the read and its read-ahead */
    struct reading joined;
    reading_start(&joined, file, 1, 512 * KIB, 4 * KIB);
    fake_store_fail(fx->fake, 2, -EIO);
    while (true) { /* until the second reader is among the waiters: it counts as a hit */
        struct reader_usage usage;
        reader_get_usage(fx->reader, &usage);
        if (usage.hits > 0)
            break;
        (void)sched_yield();
    }
    fake_store_hold(fx->fake, false);
    assert_int_equal(reading_join(&r), -EIO);
    assert_int_equal(reading_join(&joined), 0);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_move_while_reading(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "old", 1, 64 * MIB);
    struct reading r;
    uint8_t *copy = mem_alloc(MIB);

    fake_store_hold(fx->fake, true);
    reading_start(&r, file, 1, 9 * MIB, 4 * KIB);
    assert_true(fake_store_wait_queued(fx->fake, 1));
    fake_store_remove(fx->fake, "old");
    fake_store_put(fx->fake, "new", 1, 64 * MIB);
    reader_file_move(file, "new", "v1");
    fake_store_hold(fx->fake, false);
    assert_int_equal(reading_join(&r), 0);
    assert_int_equal(reader_copy(file, 3 * MIB, MIB, in_ms(5000), copy), 0);
    assert_int_equal(copy[77], fake_byte(1, 3 * MIB + 77));
    free(copy);
    reader_file_unref(file);
    fixture_free(fx);
}

/* ---- streams ---- */

struct shuffle {
    struct reader_file *file;
    atomic_uint *next;
    unsigned wrong;
    pthread_t thread;
};

/* Like the slots of an NFS client: each thread takes the next 1 MiB and sends it when it can. */
static void *shuffle_run(void *arg)
{
    struct shuffle *s = arg;
    unsigned i;

    while ((i = atomic_fetch_add(s->next, 1)) < 64) {
        if (i % 3 == 0)
            (void)sched_yield();
        s->wrong += read_check(s->file, 1, i * (uint64_t)MIB, MIB, false) != 0;
    }
    return NULL;
}

static void test_sequential_by_many_threads(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(256 * MIB, 4);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);
    struct shuffle s[8];
    atomic_uint next = 0;

    fake_store_delay(fx->fake, 3000);
    for (unsigned i = 0; i < 8; i++) {
        s[i] = (struct shuffle){.file = file, .next = &next};
        assert_int_equal(thread_start(&s[i].thread, "shuffle", shuffle_run, &s[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        (void)pthread_join(s[i].thread, NULL);
        assert_int_equal(s[i].wrong, 0);
    }
    struct fake_counts counts = fake_store_counts(fx->fake);
    print_message("64 MiB by 8 threads: %lu GETs\n", (unsigned long)counts.gets);
    assert_int_equal(counts.bytes, 64 * MIB); /* every byte once */
    assert_in_range(counts.gets, 8, 40);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_random_reads_fetch_only_their_blocks(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(256 * MIB, 4);
    struct reader_file *file = open_object(fx, "k", 1, UINT64_C(8) << 30);
    unsigned seed = 5;

    for (int i = 0; i < 400; i++) {
        uint64_t off = ((uint64_t)rand_r(&seed) << 12) % (UINT64_C(8) << 30);
        assert_int_equal(read_check(file, 1, off, 4 * KIB, false), 0);
    }
    struct fake_counts counts = fake_store_counts(fx->fake);
    assert_true(counts.gets <= 402);
    assert_true(counts.bytes <= counts.gets * READER_BLOCK);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_memory_pressure_stops_no_stream(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(4 * MIB, 4); /* four streams, no room for their windows */
    struct reader_file *file = open_object(fx, "k", 1, 256 * MIB);

    for (uint64_t i = 0; i < 64; i++)
        for (uint64_t k = 0; k < 4; k++)
            assert_int_equal(read_check(file, 1, k * 64 * MIB + i * 256 * KIB, 256 * KIB, false),
                             0);
    struct fake_counts counts = fake_store_counts(fx->fake);
    print_message("64 MiB in 4 streams, 4 MiB of memory: %lu bytes fetched\n",
                  (unsigned long)counts.bytes);
    assert_true(counts.bytes < 160 * MIB);
    reader_file_unref(file);
    fixture_free(fx);
}

/* ---- the rest ---- */

static void test_copy_uses_cache_and_leaves_it(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 4);
    struct reader_file *file = open_object(fx, "k", 1, 64 * MIB);
    uint8_t *got = mem_alloc(20 * MIB), *want = mem_alloc(20 * MIB);
    struct reader_usage before, after;

    assert_int_equal(read_check(file, 1, 15 * MIB, MIB, false), 0);
    reader_get_usage(fx->reader, &before);
    assert_int_equal(reader_copy(file, 7 * MIB + 3, 20 * MIB - 5, in_ms(20000), got), 0);
    fake_fill(1, 7 * MIB + 3, want, 20 * MIB - 5);
    assert_memory_equal(got, want, 20 * MIB - 5);
    reader_get_usage(fx->reader, &after);
    assert_int_equal(before.bytes, after.bytes);
    assert_int_equal(fake_store_counts(fx->fake).bytes, MIB + 19 * MIB - 5);
    fake_store_fail(fx->fake, 1, -EACCES);
    assert_int_equal(reader_copy(file, 40 * MIB, 9 * MIB, in_ms(20000), got), -EACCES);
    assert_int_equal(reader_copy(file, 0, 0, in_ms(20000), got), 0);
    free(got);
    free(want);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_full_data_gets_a_copy(void **state)
{
    (void)state;
    struct fixture *fx = fixture_new(32 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 4 * MIB);
    struct fs_data data = {.count = FS_DATA_IOV_MAX - 1};

    assert_int_equal(reader_read(file, 100, MIB, false, in_ms(5000), &data), 0);
    assert_int_equal(data.count, FS_DATA_IOV_MAX);
    assert_true(data_matches(&data, 1, 100, MIB));
    fs_data_release(&data);
    assert_int_equal(reader_read(file, 5, 0, true, in_ms(5000), &data), 0);
    assert_int_equal(data.count, 0);
    reader_file_unref(file);
    fixture_free(fx);
}

static void test_hit_speed(void **state)
{
    (void)state;
    enum { COUNT = 200000 };
    struct fixture *fx = fixture_new(64 * MIB, 2);
    struct reader_file *file = open_object(fx, "k", 1, 16 * MIB);
    struct fs_data data = {0};
    unsigned seed = 1;

    for (uint64_t i = 0; i < 16; i++)
        assert_int_equal(read_check(file, 1, i * MIB, MIB, false), 0);
    int64_t start = clock_mono_ns();
    for (int i = 0; i < COUNT; i++) {
        uint64_t off = (uint64_t)rand_r(&seed) % 4096 * 4096;
        assert_int_equal(reader_read(file, off, 4096, true, 0, &data), 0);
        fs_data_release(&data);
    }
    print_message("a 4 KiB hit takes %ld ns\n", (long)((clock_mono_ns() - start) / COUNT));
    reader_file_unref(file);
    fixture_free(fx);
}

/* The same against a real store: plain files in a directory. */
static void test_file_store(void **state)
{
    (void)state;
    enum { LEN = 20 * MIB + 123 };
    char dir[] = "/tmp/pailfs-reader-XXXXXX", *url, *path;
    struct store_config config = {0};
    struct store_error error;
    struct store *store;
    struct store_req req = {.op = STORE_PUT, .key = "dir/object", .buf_len = LEN};

    assert_non_null(mkdtemp(dir));
    url = mem_printf("file://%s", dir);
    if (store_open(url, &config, &store, &error)) {
        print_message("%s\n", error.text);
        fail();
    }
    req.buf = mem_alloc(LEN);
    fake_fill(9, 0, req.buf, LEN);
    req.deadline_ns = in_ms(20000);
    assert_int_equal(store_call(store, &req), 0);
    struct reader *reader = reader_new(16 * MIB);
    struct reader_file *file =
        reader_file_new(reader, store, 9, "dir/object", req.object.etag, LEN);
    for (uint64_t off = 0; off < LEN; off += 700 * KIB)
        assert_int_equal(
            read_check(file, 9, off, LEN - off < 700 * KIB ? LEN - off : 700 * KIB, false), 0);
    reader_file_unref(file);
    file = reader_file_new(reader, store, 10, "dir/object", "0-other", LEN);
    assert_int_equal(read_check(file, 9, 0, 4 * KIB, false), -ESTALE);
    reader_file_unref(file);
    reader_free(reader);
    store_close(store);
    free(req.buf);
    store_req_clear(&req);
    path = mem_printf("rm -rf '%s'", dir);
    assert_int_equal(system(path), 0);
    free(path);
    free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_exact_under_pressure),
        cmocka_unit_test(test_versions_do_not_mix),
        cmocka_unit_test(test_misses_share_one_get),
        cmocka_unit_test(test_neighbours_come_in_one_get),
        cmocka_unit_test(test_small_object_comes_whole),
        cmocka_unit_test(test_late_get_still_fills),
        cmocka_unit_test(test_free_waits_for_gets),
        cmocka_unit_test(test_reads_wait_for_memory),
        cmocka_unit_test(test_read_ahead_takes_only_free_memory),
        cmocka_unit_test(test_errors_pass_and_recover),
        cmocka_unit_test(test_errors_leave_data_alone),
        cmocka_unit_test(test_failed_read_ahead_is_tried_again),
        cmocka_unit_test(test_move_while_reading),
        cmocka_unit_test(test_sequential_by_many_threads),
        cmocka_unit_test(test_random_reads_fetch_only_their_blocks),
        cmocka_unit_test(test_memory_pressure_stops_no_stream),
        cmocka_unit_test(test_copy_uses_cache_and_leaves_it),
        cmocka_unit_test(test_full_data_gets_a_copy),
        cmocka_unit_test(test_hit_speed),
        cmocka_unit_test(test_file_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
