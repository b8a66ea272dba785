/*
 * The stage: appending, reading back, references, restarts, giving space back, and what happens
 * when the disk fails. The system calls that write, sync and punch go through wrappers here
 * (--wrap).
 */
#include "fs/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { MIB = 1 << 20, PAGE = 4096, PIECE = 64 << 10, HEADS = 4096 };

/* --- faults --- */

static struct {
    _Atomic int sync_err, write_err, punch_err;
    _Atomic bool write_short; /* half of what was asked for */
    _Atomic bool hold_sync;   /* syncs wait while it is set */
    _Atomic int syncs, syncs_held;
} fault;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    atomic_fetch_add(&fault.syncs, 1);
    atomic_fetch_add(&fault.syncs_held, 1);
    while (atomic_load(&fault.hold_sync))
        (void)usleep(100);
    atomic_fetch_sub(&fault.syncs_held, 1);
    errno = atomic_load(&fault.sync_err);
    return errno ? -1 : __real_fdatasync(fd);
}

ssize_t __real_pwritev64(int fd, const struct iovec *iov, int count, off_t pos);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t pos);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t pos)
{
    errno = atomic_load(&fault.write_err);
    if (errno)
        return -1;
    if (atomic_load(&fault.write_short) && iov[0].iov_len > 1) {
        struct iovec half = {iov[0].iov_base, iov[0].iov_len / 2};
        return __real_pwritev64(fd, &half, 1, pos);
    }
    return __real_pwritev64(fd, iov, count, pos);
}

int __real_fallocate64(int fd, int mode, off_t pos, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t pos, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t pos, off_t len)
{
    errno = atomic_load(&fault.punch_err);
    return errno ? -1 : __real_fallocate64(fd, mode, pos, len);
}

/* --- fixture --- */

struct fixture {
    char dir[64];
    struct stage *stage;
};

struct place {
    uint64_t segment, pos, mark;
};

static void fixture_open(struct fixture *f, uint64_t limit)
{
    struct stage_error error;

    stage_close(f->stage);
    f->stage = NULL;
    if (stage_open(f->dir, limit, &f->stage, &error))
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    memset(&fault, 0, sizeof(fault));
    (void)stpcpy(f->dir, "/tmp/pailfs-stage-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    fixture_open(f, UINT64_C(1) << 40);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    stage_close(f->stage);
    (void)snprintf(command, sizeof(command), "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* What byte pos of a segment holds in these tests. */
static uint8_t pattern(uint64_t segment, uint64_t pos)
{
    return (uint8_t)(pos * 31 + pos / 251 + segment * 7 + 1);
}

static int append_bytes(struct fixture *f, const void *data, size_t len, struct place *ret)
{
    struct iovec iov = {(void *)data, len};

    return stage_append(f->stage, &iov, 1, &ret->segment, &ret->pos, &ret->mark);
}

static struct place append_zeroes(struct fixture *f, size_t len)
{
    uint8_t *data = calloc(1, len);
    struct place place;

    assert_int_equal(append_bytes(f, data, len, &place), 0);
    free(data);
    return place;
}

static int sync_upto(struct fixture *f, uint64_t mark)
{
    return stage_sync(f->stage, mark, mark);
}

static uint64_t live(struct fixture *f)
{
    struct stage_usage usage;

    stage_get_usage(f->stage, &usage);
    return usage.live;
}

static void segment_path(struct fixture *f, uint64_t segment, char path[128])
{
    (void)snprintf(path, 128, "%s/stage/%016llx.seg", f->dir, (unsigned long long)segment);
}

static bool segment_exists(struct fixture *f, uint64_t segment)
{
    char path[128];

    segment_path(f, segment, path);
    return access(path, F_OK) == 0;
}

static uint64_t segment_blocks(struct fixture *f, uint64_t segment)
{
    char path[128];
    struct stat st;

    segment_path(f, segment, path);
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

#define WAIT_UNTIL(condition)                              \
    do {                                                   \
        int64_t wait_end = clock_mono_ns() + 20 * CLOCK_S; \
        while (!(condition)) {                             \
            assert_true(clock_mono_ns() < wait_end);       \
            (void)usleep(1000);                            \
        }                                                  \
    } while (0)

/* --- appending, reading, syncing --- */

static void test_append_and_read(void **state)
{
    struct fixture *f = *state;
    struct iovec iov[3] = {{(void *)"abc", 3}, {NULL, 0}, {(void *)"defgh", 5}};
    struct place a, b;
    char buf[8];

    assert_int_equal(stage_append(f->stage, iov, 3, &a.segment, &a.pos, &a.mark), 0);
    assert_int_equal(append_bytes(f, "xyz", 3, &b), 0);
    assert_true(b.mark > a.mark);
    assert_int_equal(b.segment, a.segment);
    assert_true(b.pos >= a.pos + 8);
    assert_int_equal(stage_read(f->stage, a.segment, a.pos, buf, 8), 0);
    assert_memory_equal(buf, "abcdefgh", 8);
    assert_int_equal(stage_read(f->stage, b.segment, b.pos + 1, buf, 2), 0);
    assert_memory_equal(buf, "yz", 2);
    assert_int_equal(stage_read(f->stage, b.segment, b.pos, buf, 4), -EIO);
    assert_int_equal(stage_read(f->stage, b.segment + 9, 0, buf, 1), -EIO);
    assert_int_equal(live(f), 2 * PAGE); /* a page at least for each */
    assert_int_equal(stage_append(f->stage, iov, 0, &a.segment, &a.pos, &a.mark), -EINVAL);
    assert_int_equal(sync_upto(f, b.mark), 0);
    assert_int_equal(atomic_load(&fault.syncs), 1);
    assert_int_equal(sync_upto(f, a.mark), 0);
    assert_int_equal(atomic_load(&fault.syncs), 1); /* was in the first */
}

static void test_short_writes(void **state)
{
    struct fixture *f = *state;
    struct iovec iov[3] = {{(void *)"abcd", 4}, {(void *)"", 0}, {(void *)"efghijk", 7}};
    struct place a;
    char buf[11];

    atomic_store(&fault.write_short, true);
    assert_int_equal(stage_append(f->stage, iov, 3, &a.segment, &a.pos, &a.mark), 0);
    assert_int_equal(stage_read(f->stage, a.segment, a.pos, buf, 11), 0);
    assert_memory_equal(buf, "abcdefghijk", 11);
}

static void test_limit(void **state)
{
    struct fixture *f = *state;
    static char data[100000];
    struct place a, b;

    fixture_open(f, 250000 + 3 * HEADS);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    assert_int_equal(append_bytes(f, data, 100000, &a), 0);
    assert_int_equal(append_bytes(f, data, 100000, &b), 0);
    assert_int_equal(append_bytes(f, data, 50000 + 3 * HEADS, &b), -ENOSPC);
    assert_int_equal(append_bytes(f, data, 50000, &b), 0);
    stage_unref(f->stage, a.segment, a.pos, 99999);
    assert_int_equal(append_bytes(f, data, 100000 + 3 * HEADS, &b), -ENOSPC);
    assert_int_equal(append_bytes(f, data, 99999, &b), 0);
}

/* Small appends count as a page: no more of them are taken than that. */
static void test_limit_of_small_ones(void **state)
{
    struct fixture *f = *state;
    struct place p[10];

    fixture_open(f, 8 * PAGE);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(append_bytes(f, "x", 1, &p[i]), 0);
    assert_int_equal(append_bytes(f, "x", 1, &p[8]), -ENOSPC);
    stage_unref(f->stage, p[3].segment, p[3].pos, 1);
    assert_int_equal(append_bytes(f, "x", 1, &p[8]), 0);
}

static void test_segments_follow_each_other(void **state)
{
    struct fixture *f = *state;
    struct place p[5];

    for (int i = 0; i < 5; i++)
        p[i] = append_zeroes(f, 15 * MIB);
    assert_int_equal(p[3].segment, p[0].segment);
    assert_true(p[4].segment > p[0].segment);
    assert_int_equal(p[4].pos, p[0].pos);
    for (int i = 0; i < 4; i++)
        stage_unref(f->stage, p[i].segment, p[i].pos, 15 * MIB);
    WAIT_UNTIL(!segment_exists(f, p[0].segment));
    assert_true(segment_exists(f, p[4].segment));
    assert_int_equal(sync_upto(f, p[4].mark), 0);

    /* The one that is appended to goes when it has died and nobody writes. */
    stage_unref(f->stage, p[4].segment, p[4].pos, 15 * MIB);
    WAIT_UNTIL(!segment_exists(f, p[4].segment));
    assert_int_equal(live(f), 0);
    p[0] = append_zeroes(f, 10);
    assert_true(p[0].segment > p[4].segment);
    assert_int_equal(sync_upto(f, p[0].mark), 0);
}

/* --- references --- */

static void test_references(void **state)
{
    struct fixture *f = *state;
    struct place a = append_zeroes(f, 1000);

    const uint64_t rest = PAGE - 1000;
    stage_ref(f->stage, a.segment, a.pos + 100, 800);
    stage_unref(f->stage, a.segment, a.pos, 500);
    assert_int_equal(live(f), rest + 900);
    stage_ref(f->stage, a.segment, a.pos + 300, 100);
    stage_unref(f->stage, a.segment, a.pos + 500, 500);
    assert_int_equal(live(f), rest + 800);
    stage_unref(f->stage, a.segment, a.pos + 100, 800);
    assert_int_equal(live(f), rest + 100);
    stage_unref(f->stage, a.segment, a.pos + 300, 100);
    assert_int_equal(live(f), 0);
}

static void test_dead_pages_are_punched(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[MIB], got[MIB];
    struct place a;

    for (uint64_t i = 0; i < sizeof(data); i++)
        data[i] = pattern(1, i);
    assert_int_equal(append_bytes(f, data, sizeof(data), &a), 0);
    assert_int_equal(sync_upto(f, a.mark), 0);
    uint64_t before = segment_blocks(f, a.segment);

    /* All but the first and the last 10 bytes, in odd pieces and out of order. */
    uint64_t end = a.pos + sizeof(data) - 10;
    for (uint64_t at = a.pos + 10 + 3000; at < end; at += 6000)
        stage_unref(f->stage, a.segment, at, at + 3000 < end ? 3000 : end - at);
    for (uint64_t at = a.pos + 10; at < end; at += 6000)
        stage_unref(f->stage, a.segment, at, at + 3000 < end ? 3000 : end - at);
    WAIT_UNTIL(segment_blocks(f, a.segment) <= before - sizeof(data) + 2 * PIECE + 4 * PAGE);
    assert_int_equal(stage_read(f->stage, a.segment, a.pos, got, 10), 0);
    assert_memory_equal(got, data, 10);
    assert_int_equal(stage_read(f->stage, a.segment, end, got, 10), 0);
    assert_memory_equal(got, data + sizeof(data) - 10, 10);
    /* What was given back is gone, and nobody gets zeros for it. */
    assert_int_equal(stage_read(f->stage, a.segment, a.pos, got, sizeof(got)), -EIO);
}

static void test_no_punching(void **state)
{
    struct fixture *f = *state;
    struct place a = append_zeroes(f, MIB);

    atomic_store(&fault.punch_err, EOPNOTSUPP);
    stage_unref(f->stage, a.segment, a.pos, MIB / 2);
    (void)append_zeroes(f, 10);
    stage_unref(f->stage, a.segment, a.pos + MIB / 2, MIB / 2);
    assert_int_equal(live(f), PAGE);
}

/* Random references against a count per byte; what is live can be read, whatever is punched. */
enum { MODEL_SIZE = 1 << 18, MODEL_RECORDS = 4000 };
struct model {
    uint8_t refs[MODEL_SIZE];
    uint64_t segment, size;
    struct model_record {
        uint64_t at, len, pos; /* in refs, in the segment */
    } records[MODEL_RECORDS];
    size_t count;
};

static void model_append(struct fixture *f, struct model *m)
{
    uint8_t data[20000];
    size_t len = 1 + (size_t)random() % (random() % 4 ? 600 : sizeof(data));
    struct place a;

    len = len < MODEL_SIZE - m->size ? len : MODEL_SIZE - m->size;
    if (len == 0)
        return;
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(0, m->size + i);
    assert_int_equal(append_bytes(f, data, len, &a), 0);
    m->segment = a.segment;
    memset(m->refs + m->size, 1, len);
    m->records[m->count++] = (struct model_record){.at = m->size, .len = len, .pos = a.pos};
    m->size += len;
}

static void model_change(struct fixture *f, struct model *m)
{
    const struct model_record *r = &m->records[(size_t)random() % m->count];
    uint64_t at = (uint64_t)random() % r->len, len = 0;
    uint64_t max = 1 + (uint64_t)random() % 9000;
    bool more = random() % 5 < 2;

    at += r->at == 0 && at == 0; /* byte 0 stays live */
    while (len < max && at + len < r->len && m->refs[r->at + at + len] > 0 &&
           (!more || m->refs[r->at + at + len] < 200))
        len++;
    if (len == 0)
        return;
    for (uint64_t i = r->at + at; i < r->at + at + len; i++)
        m->refs[i] = (uint8_t)(more ? m->refs[i] + 1 : m->refs[i] - 1);
    if (more)
        stage_ref(f->stage, m->segment, r->pos + at, len);
    else
        stage_unref(f->stage, m->segment, r->pos + at, len);
}

/* Each run of live bytes can be read and is right. */
static void model_check(struct fixture *f, const struct model *m)
{
    static uint8_t got[MODEL_SIZE];

    for (size_t n = 0; n < m->count; n++) {
        const struct model_record *r = &m->records[n];
        for (uint64_t at = 0, end; at < r->len; at = end + 1) {
            for (end = at; end < r->len && m->refs[r->at + end] > 0; end++)
                ;
            if (end == at)
                continue;
            assert_int_equal(stage_read(f->stage, m->segment, r->pos + at, got, end - at), 0);
            for (uint64_t i = at; i < end; i++)
                assert_int_equal(got[i - at], pattern(0, r->at + i));
        }
    }
}

static void test_references_random(void **state)
{
    struct fixture *f = *state;
    struct model *m = calloc(1, sizeof(*m));
    int64_t end = clock_mono_ns() + 2 * CLOCK_S; /* several rounds of punching */

    srandom(7);
    model_append(f, m);
    for (int i = 0; i < 3000 || clock_mono_ns() < end; i++) {
        if (i % 8 == 0)
            model_append(f, m);
        if (i < 3000)
            model_change(f, m);
        else
            (void)usleep(20000);
        if (i % 100 == 0 || i >= 3000)
            model_check(f, m);
    }
    for (size_t n = 0; n < m->count; n++)
        for (uint64_t i = 0; i < m->records[n].len; i++)
            for (; m->refs[m->records[n].at + i] > 0; m->refs[m->records[n].at + i]--)
                stage_unref(f->stage, m->segment, m->records[n].pos + i, 1);
    assert_int_equal(live(f), 0);
    free(m);
}

/* --- restarts --- */

static void test_restart(void **state)
{
    struct fixture *f = *state;
    struct place keep, drop;
    char buf[8];

    keep = append_zeroes(f, 15 * MIB);
    for (int i = 0; i < 3; i++)
        (void)append_zeroes(f, 15 * MIB);
    struct place more = append_zeroes(f, 6 * MIB);
    assert_int_equal(append_bytes(f, "survivor", 8, &drop), 0);
    more = append_zeroes(f, 15 * MIB);
    assert_true(drop.segment > keep.segment);
    assert_int_equal(sync_upto(f, more.mark), 0);

    /* A start that fails before stage_recovered removes nothing. */
    fixture_open(f, UINT64_C(1) << 40);
    assert_int_equal(live(f), 0);
    fixture_open(f, UINT64_C(1) << 40);
    assert_true(segment_exists(f, keep.segment));

    assert_int_equal(stage_adopt(f->stage, drop.segment, drop.pos, 8), 0);
    assert_int_equal(live(f), PAGE);
    /* Given back and adopted again before the end of the start. */
    assert_int_equal(stage_adopt(f->stage, keep.segment, keep.pos, 10), 0);
    stage_unref(f->stage, keep.segment, keep.pos, 10);
    assert_int_equal(stage_adopt(f->stage, keep.segment, keep.pos, 10), 0);
    stage_unref(f->stage, keep.segment, keep.pos, 10);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    WAIT_UNTIL(!segment_exists(f, keep.segment));
    WAIT_UNTIL(segment_blocks(f, drop.segment) <= 4 * PAGE); /* nobody adopted the rest */
    assert_int_equal(stage_read(f->stage, drop.segment, drop.pos, buf, 8), 0);
    assert_memory_equal(buf, "survivor", 8);

    struct place next = append_zeroes(f, 8);
    assert_true(next.segment > drop.segment);
    stage_unref(f->stage, drop.segment, drop.pos, 8);
    WAIT_UNTIL(!segment_exists(f, drop.segment));
}

static void test_open_errors(void **state)
{
    struct fixture *f = *state;
    struct stage *stage;
    struct stage_error error;

    assert_int_equal(stage_open("/nonexistent/dir", 100, &stage, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/dir"));
    stage_close(f->stage);
    f->stage = NULL;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/stage", f->dir);
    assert_int_equal(rmdir(path), 0); /* an empty stage leaves nothing */
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(stage_open(f->dir, 100, &stage, &error), -ENOTDIR);
}

/* --- a disk that fails --- */

static void test_sync_failure_stays(void **state)
{
    struct fixture *f = *state;
    struct place good = append_zeroes(f, 10), bad, later;

    assert_int_equal(sync_upto(f, good.mark), 0);
    bad = append_zeroes(f, 10);
    atomic_store(&fault.sync_err, EIO);
    assert_int_equal(sync_upto(f, bad.mark), -EIO);
    atomic_store(&fault.sync_err, 0);
    assert_int_equal(sync_upto(f, bad.mark), -EIO);
    assert_int_equal(sync_upto(f, good.mark), 0);

    later = append_zeroes(f, 10);
    assert_true(later.segment > bad.segment);
    assert_int_equal(sync_upto(f, later.mark), 0);
    assert_int_equal(sync_upto(f, bad.mark), -EIO);
}

/* More failures than are remembered singly: none may be forgotten. */
static void test_many_sync_failures(void **state)
{
    struct fixture *f = *state;
    struct place bad[400], good;

    for (int i = 0; i < 400; i++) {
        bad[i] = append_zeroes(f, 1);
        atomic_store(&fault.sync_err, ENOSPC);
        assert_int_equal(sync_upto(f, bad[i].mark), -ENOSPC);
        atomic_store(&fault.sync_err, 0);
        good = append_zeroes(f, 1);
        assert_int_equal(sync_upto(f, good.mark), 0);
    }
    for (int i = 0; i < 400; i++)
        assert_int_equal(sync_upto(f, bad[i].mark), -ENOSPC);
    assert_int_equal(sync_upto(f, good.mark), 0);
}

static void test_write_failure(void **state)
{
    struct fixture *f = *state;
    struct place good = append_zeroes(f, 10), next;

    atomic_store(&fault.write_err, ENOSPC);
    assert_int_equal(append_bytes(f, "abc", 3, &next), -ENOSPC);
    atomic_store(&fault.write_err, EIO);
    assert_int_equal(append_bytes(f, "abc", 3, &next), -EIO);
    atomic_store(&fault.write_err, 0);
    assert_int_equal(live(f), PAGE);
    assert_int_equal(append_bytes(f, "abc", 3, &next), 0);
    assert_true(next.segment > good.segment);
    assert_int_equal(sync_upto(f, next.mark), 0);
    assert_int_equal(sync_upto(f, good.mark), 0);
}

/* --- many threads --- */

struct syncer {
    struct fixture *f;
    uint64_t mark;
    int err;
    pthread_t thread;
};

static void *sync_main(void *arg)
{
    struct syncer *s = arg;

    s->err = sync_upto(s->f, s->mark);
    return NULL;
}

static void test_waiters_share_a_sync(void **state)
{
    struct fixture *f = *state;
    struct syncer first, others[8];

    atomic_store(&fault.hold_sync, true);
    first = (struct syncer){.f = f, .mark = append_zeroes(f, 10).mark, .err = 1};
    assert_int_equal(pthread_create(&first.thread, NULL, sync_main, &first), 0);
    WAIT_UNTIL(atomic_load(&fault.syncs_held) == 1);
    for (int i = 0; i < 8; i++) {
        others[i] = (struct syncer){.f = f, .mark = append_zeroes(f, 10).mark, .err = 1};
        assert_int_equal(pthread_create(&others[i].thread, NULL, sync_main, &others[i]), 0);
    }
    atomic_store(&fault.hold_sync, false);
    assert_int_equal(pthread_join(first.thread, NULL), 0);
    assert_int_equal(first.err, 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(others[i].thread, NULL), 0);
        assert_int_equal(others[i].err, 0);
    }
    assert_int_equal(atomic_load(&fault.syncs), 2);
}

enum { WORKERS = 6, WORKER_ROUNDS = 300 };

static void worker_round(struct fixture *f, unsigned *seed, struct place *held, size_t *held_len)
{
    size_t len = 1 + (size_t)rand_r(seed) % 60000;
    uint8_t *data = malloc(len), *got = malloc(len);
    struct place p;

    memset(data, rand_r(seed), len);
    assert_int_equal(append_bytes(f, data, len, &p), 0);
    stage_ref(f->stage, p.segment, p.pos, len);
    if (rand_r(seed) % 8 == 0)
        assert_int_equal(sync_upto(f, p.mark), 0);
    stage_unref(f->stage, p.segment, p.pos, len);
    if (*held_len > 0)
        stage_unref(f->stage, held->segment, held->pos, *held_len);
    assert_int_equal(stage_read(f->stage, p.segment, p.pos, got, len), 0);
    assert_memory_equal(got, data, len);
    *held = p;
    *held_len = len;
    free(data);
    free(got);
}

static void *worker_main(void *arg)
{
    static _Atomic unsigned next_seed;
    unsigned seed = atomic_fetch_add(&next_seed, 1);
    struct place held;
    size_t held_len = 0;

    for (int i = 0; i < WORKER_ROUNDS; i++)
        worker_round(arg, &seed, &held, &held_len);
    stage_unref(((struct fixture *)arg)->stage, held.segment, held.pos, held_len);
    return NULL;
}

static void test_many_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[WORKERS];
    struct stage_usage usage;

    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, f), 0);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(live(f), 0);
    WAIT_UNTIL((stage_get_usage(f->stage, &usage), usage.segments == 0));
}

/* More segments than files that may stay open. */
static void test_many_segments(void **state)
{
    struct fixture *f = *state;
    struct place p[160];
    uint8_t got;

    for (int i = 0; i < 160; i++) {
        uint8_t data = (uint8_t)i;
        assert_int_equal(append_bytes(f, &data, 1, &p[i]), 0);
        atomic_store(&fault.write_err, EIO); /* so that the next one goes to a new segment */
        assert_int_equal(append_bytes(f, &data, 1, &(struct place){0}), -EIO);
        atomic_store(&fault.write_err, 0);
    }
    assert_int_equal(sync_upto(f, p[159].mark), 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 160; i++) {
            assert_int_equal(stage_read(f->stage, p[i].segment, p[i].pos, &got, 1), 0);
            assert_int_equal(got, i);
        }
    }
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    assert_true(count < 145);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_append_and_read),
        TEST(test_short_writes),
        TEST(test_limit),
        TEST(test_limit_of_small_ones),
        TEST(test_segments_follow_each_other),
        TEST(test_references),
        TEST(test_dead_pages_are_punched),
        TEST(test_no_punching),
        TEST(test_references_random),
        TEST(test_restart),
        TEST(test_open_errors),
        TEST(test_sync_failure_stays),
        TEST(test_many_sync_failures),
        TEST(test_write_failure),
        TEST(test_waiters_share_a_sync),
        TEST(test_many_threads),
        TEST(test_many_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
