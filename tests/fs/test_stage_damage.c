/*
 * The stage's checksums: bytes that are not what was written are never returned, whatever happened
 * to the files, and all others are.
 */
#include "fs/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIECE = 64 << 10, DATA = 5 * PIECE / 2, SMALL = 100 };

struct fixture {
    char dir[64];
    struct stage *stage;
    uint8_t *data;
};

struct place {
    uint64_t segment, pos, mark;
};

static void fixture_open(struct fixture *f)
{
    struct stage_error error;

    stage_close(f->stage);
    f->stage = NULL;
    if (stage_open(f->dir, UINT64_C(1) << 40, &f->stage, &error))
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)stpcpy(f->dir, "/tmp/pailfs-damage-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->data = malloc(DATA);
    for (size_t i = 0; i < DATA; i++)
        f->data[i] = (uint8_t)(i * 7 + i / 256 * 13 + 5);
    fixture_open(f);
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
    free(f->data);
    free(f);
    return 0;
}

static struct place append(struct fixture *f, size_t len)
{
    /* In odd parts, so that pieces lie over their borders. */
    struct iovec iov[3] = {{f->data, len / 3}, {NULL, 0}, {f->data + len / 3, len - len / 3}};
    struct place p;

    assert_int_equal(stage_append(f->stage, iov, 3, &p.segment, &p.pos, &p.mark), 0);
    assert_int_equal(stage_sync(f->stage, p.mark, p.mark), 0);
    return p;
}

static int segment_file(struct fixture *f, uint64_t segment)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/stage/%016llx.seg", f->dir, (unsigned long long)segment);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void flip(struct fixture *f, uint64_t segment, uint64_t pos)
{
    int fd = segment_file(f, segment);
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)pos), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)pos), 1);
    (void)close(fd);
}

static int read_at(struct fixture *f, struct place p, uint64_t off, size_t len)
{
    uint8_t *buf = malloc(len);
    int err = stage_read(f->stage, p.segment, p.pos + off, buf, len);

    if (!err)
        assert_memory_equal(buf, f->data + off, len);
    free(buf);
    return err;
}

static void test_flipped(void **state)
{
    struct fixture *f = *state;
    struct place a = append(f, DATA), b = append(f, SMALL);

    assert_int_equal(read_at(f, a, 0, DATA), 0);
    flip(f, a.segment, a.pos + PIECE + 1000);
    assert_int_equal(read_at(f, a, 0, DATA), -EIO);
    assert_int_equal(read_at(f, a, PIECE + 5, 1), -EIO); /* in that piece, another byte */
    assert_int_equal(read_at(f, a, 0, PIECE), 0);
    assert_int_equal(read_at(f, a, 3, 10), 0);
    assert_int_equal(read_at(f, a, PIECE - 1, 2), -EIO);
    assert_int_equal(read_at(f, a, 2 * PIECE, DATA - 2 * PIECE), 0);
    assert_int_equal(read_at(f, a, 2 * PIECE + 77, 1000), 0);
    assert_int_equal(read_at(f, b, 0, SMALL), 0);
    flip(f, a.segment, a.pos + PIECE + 1000);
    assert_int_equal(read_at(f, a, 0, DATA), 0);
}

static int adopt(struct fixture *f, struct place p, uint64_t off, uint64_t len)
{
    return stage_adopt(f->stage, p.segment, p.pos + off, len);
}

static void test_found_again(void **state)
{
    struct fixture *f = *state;
    struct place p[40];

    for (size_t i = 0; i < 40; i++)
        p[i] = append(f, i % 5 ? SMALL + i : DATA);
    fixture_open(f);
    for (size_t i = 0; i < 40; i++) {
        uint64_t len = i % 5 ? SMALL + i : DATA;
        assert_int_equal(adopt(f, p[i], 3, len - 3), 0);
        assert_int_equal(stage_verify(f->stage, p[i].segment, p[i].pos + 3, len - 3), 0);
    }
    assert_int_equal(adopt(f, p[1], 0, SMALL + 2), -EIO); /* beyond the append */
    assert_int_equal(stage_adopt(f->stage, UINT64_MAX, 0, 1), -EINVAL);
    assert_int_equal(stage_adopt(f->stage, 1, UINT64_MAX - 3, 4), -EINVAL);
    assert_int_equal(stage_adopt(f->stage, STAGE_NOWHERE, 0, 10), -ENOENT);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    assert_int_equal(read_at(f, p[5], 10, DATA - 10), 0);
    struct place next = append(f, SMALL);
    assert_true(next.segment > p[0].segment && next.segment < STAGE_NOWHERE);
}

/* Damage found at a start: that range cannot be read, the others can; it can be given back. */
static void test_damage_at_start(void **state)
{
    struct fixture *f = *state;
    struct place a = append(f, DATA), b = append(f, SMALL), c = append(f, SMALL);

    flip(f, a.segment, a.pos + 17);
    flip(f, b.segment, b.pos - 1); /* its head */
    fixture_open(f);
    assert_int_equal(adopt(f, a, 0, DATA), 0);
    assert_int_equal(adopt(f, b, 0, SMALL), -EIO);
    assert_int_equal(adopt(f, c, 0, SMALL), 0);
    assert_int_equal(stage_verify(f->stage, a.segment, a.pos, DATA), -EBADMSG);
    assert_int_equal(stage_verify(f->stage, a.segment, a.pos + PIECE, DATA - PIECE), 0);
    assert_int_equal(stage_verify(f->stage, b.segment, b.pos, SMALL), -EBADMSG);
    assert_int_equal(stage_verify(f->stage, c.segment, c.pos, SMALL), 0);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    assert_int_equal(read_at(f, b, 0, SMALL), -EIO);
    assert_int_equal(read_at(f, c, 0, SMALL), 0);
    stage_ref(f->stage, b.segment, b.pos, SMALL);
    stage_unref(f->stage, b.segment, b.pos, SMALL);
    stage_unref(f->stage, b.segment, b.pos, SMALL);
    stage_unref(f->stage, a.segment, a.pos, DATA);
    assert_int_equal(read_at(f, c, 0, SMALL), 0);
}

static void test_missing_short_foreign(void **state)
{
    struct fixture *f = *state;
    struct place a = append(f, DATA), b = append(f, SMALL);
    struct place gone = {.segment = a.segment + 7, .pos = 32};
    char path[128];

    int fd = segment_file(f, a.segment);
    assert_int_equal(ftruncate(fd, (off_t)(a.pos + 2 * PIECE + 1)), 0);
    (void)close(fd);
    fixture_open(f);
    assert_int_equal(adopt(f, gone, 0, SMALL), -ENOENT);
    assert_int_equal(adopt(f, a, 0, DATA), -EIO);
    assert_int_equal(adopt(f, b, 0, SMALL), -EIO);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    assert_int_equal(read_at(f, gone, 0, SMALL), -EIO);
    assert_int_equal(read_at(f, a, 0, 2 * PIECE), 0);
    assert_int_equal(read_at(f, a, 2 * PIECE, 1), -EIO);
    assert_int_equal(read_at(f, b, 0, SMALL), -EIO);
    struct place next = append(f, SMALL);
    assert_true(next.segment > gone.segment); /* rows still point there */
    stage_unref(f->stage, gone.segment, gone.pos, SMALL);
    stage_unref(f->stage, next.segment, next.pos, SMALL);

    fixture_open(f);
    (void)snprintf(path, sizeof(path), "%s/stage/%016llx.seg", f->dir,
                   (unsigned long long)a.segment);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, f->data, DATA), DATA);
    (void)close(fd);
    assert_int_equal(adopt(f, a, 0, SMALL), -EIO);
    assert_int_equal(read_at(f, a, 0, SMALL), -EIO);
}

/* A crash leaves records that were not written; those behind them may be durable. */
static void test_gaps(void **state)
{
    struct fixture *f = *state;
    struct place a = append(f, DATA), b = append(f, SMALL), c = append(f, DATA);
    struct place d = append(f, SMALL), e = append(f, SMALL);
    static const uint8_t zeros[DATA + 200];

    int fd = segment_file(f, a.segment);
    assert_int_equal(pwrite(fd, zeros, b.pos - 32 - 32, 32), b.pos - 32 - 32);
    assert_int_equal(pwrite(fd, zeros, 1, (off_t)d.pos - 32), 1);
    assert_int_equal(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)c.pos - 40, DATA), 0);
    (void)close(fd);
    fixture_open(f);
    assert_int_equal(adopt(f, a, 0, 10), -EIO);
    assert_int_equal(adopt(f, b, 0, SMALL), 0);
    assert_int_equal(adopt(f, c, 0, 10), -EIO);
    assert_int_equal(adopt(f, d, 0, SMALL), -EIO);
    assert_int_equal(adopt(f, e, 0, SMALL), 0);
    assert_int_equal(stage_recovered(f->stage, false), 0);
    assert_int_equal(read_at(f, b, 0, SMALL), 0);
    assert_int_equal(read_at(f, e, 0, SMALL), 0);
}

/* A client's data that looks like a segment is data, even where a search comes by. */
static void test_no_forgery(void **state)
{
    struct fixture *f = *state;
    struct place a = append(f, SMALL), inner, outer;
    uint8_t head[64];
    struct iovec iov = {head, sizeof(head)};

    int fd = segment_file(f, a.segment);
    assert_int_equal(pread(fd, head, sizeof(head), (off_t)a.pos - 32), sizeof(head));
    assert_int_equal(stage_append(f->stage, &iov, 1, &outer.segment, &outer.pos, &outer.mark), 0);
    assert_int_equal(stage_sync(f->stage, outer.mark, outer.mark), 0);
    assert_int_equal(pwrite(fd, "", 1, (off_t)outer.pos - 32), 1); /* so that it is searched */
    /* The forged head says where it really lies. */
    assert_int_equal(pwrite(fd, &outer.pos, 8, (off_t)outer.pos + 8), 8);
    (void)close(fd);
    fixture_open(f);
    inner = (struct place){.segment = outer.segment, .pos = outer.pos + 32};
    assert_int_equal(adopt(f, a, 0, SMALL), 0);
    assert_int_equal(adopt(f, inner, 0, 8), -EIO);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* --- the redo log's part: bytes that a power loss took come back --- */

static int restore(struct fixture *f, struct place p, uint64_t salt, size_t len)
{
    return stage_restore(f->stage, p.segment, salt, p.pos, f->data, len);
}

/* How the file of the segment is found at the start. */
enum loss { LOSS_NONE, LOSS_FILE, LOSS_ALL_BYTES, LOSS_END, LOSS_ZEROS, LOSSES };

static void lose(struct fixture *f, uint64_t segment, uint64_t keep, enum loss loss)
{
    int fd = segment_file(f, segment);
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    if (loss == LOSS_ALL_BYTES || loss == LOSS_ZEROS)
        assert_int_equal(ftruncate(fd, 0), 0);
    if (loss == LOSS_ZEROS) /* the size was written, the bytes were not */
        assert_int_equal(ftruncate(fd, st.st_size), 0);
    if (loss == LOSS_END)
        assert_int_equal(ftruncate(fd, (off_t)keep), 0);
    (void)close(fd);
    if (loss == LOSS_FILE) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/stage/%016llx.seg", f->dir,
                       (unsigned long long)segment);
        assert_int_equal(unlink(path), 0);
    }
}

static void test_restored(void **state)
{
    struct fixture *f = *state;

    for (enum loss loss = 0; loss < LOSSES; loss++) {
        struct place a = append(f, SMALL), lost = append(f, DATA), b = append(f, SMALL + 1);
        uint64_t salt = stage_salt(f->stage, a.segment);
        int fd = segment_file(f, a.segment);
        struct stat before, after;

        assert_int_equal(fstat(fd, &before), 0);
        (void)close(fd);
        fixture_open(f);
        lose(f, a.segment, lost.pos, loss);
        fixture_open(f);
        assert_int_equal(restore(f, b, salt, SMALL + 1), 0); /* in any order */
        assert_int_equal(restore(f, a, salt, SMALL), 0);
        assert_int_equal(restore(f, a, salt, SMALL), 0); /* and more than once */
        assert_int_equal(stage_adopt(f->stage, a.segment, a.pos, SMALL), 0);
        assert_int_equal(stage_adopt(f->stage, b.segment, b.pos, SMALL + 1), 0);
        int err = stage_adopt(f->stage, lost.segment, lost.pos, DATA);
        if (!err) /* its head may be there */
            err = stage_verify(f->stage, lost.segment, lost.pos, DATA);
        assert_true(loss == LOSS_NONE ? err == 0 : err == -EIO || err == -EBADMSG);
        assert_int_equal(stage_verify(f->stage, a.segment, a.pos, SMALL), 0);
        assert_int_equal(read_at(f, a, 0, SMALL), 0);
        assert_int_equal(read_at(f, b, 0, SMALL + 1), 0);
        fd = segment_file(f, a.segment);
        assert_int_equal(fstat(fd, &after), 0);
        (void)close(fd);
        if (loss == LOSS_NONE) /* what is there is not written again */
            assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
        assert_int_equal(stage_recovered(f->stage, false), 0);
        stage_unref(f->stage, a.segment, a.pos, SMALL);
        stage_unref(f->stage, b.segment, b.pos, SMALL + 1);
        stage_unref(f->stage, lost.segment, lost.pos, DATA);
    }
}

static void test_restore_of_nonsense(void **state)
{
    struct fixture *f = *state;
    struct place a = append(f, SMALL);
    uint64_t salt = stage_salt(f->stage, a.segment);

    fixture_open(f);
    assert_int_equal(restore(f, a, salt + 1, SMALL), -EINVAL);
    assert_int_equal(restore(f, a, salt, 0), -EINVAL);
    a.pos++;
    assert_int_equal(restore(f, a, salt, SMALL), -EINVAL);
    a.pos = 8;
    assert_int_equal(restore(f, a, salt, SMALL), -EINVAL);
    a.pos = UINT64_MAX;
    assert_int_equal(restore(f, a, salt, SMALL), -EINVAL);
    a.segment = 0;
    assert_int_equal(restore(f, a, salt, SMALL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_flipped),
        TEST(test_found_again),
        TEST(test_damage_at_start),
        TEST(test_missing_short_foreign),
        TEST(test_gaps),
        TEST(test_no_forgery),
        TEST(test_restored),
        TEST(test_restore_of_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
