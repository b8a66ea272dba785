/* Holes: what SEEK_DATA and SEEK_HOLE find, and what fallocate makes, against a model of bytes;
 * over a base, while dirty, after a restart, and in the bucket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fs/check.h"
#include "tests/fs/volume_rig.h"

enum { MODEL_MAX = 1 << 20, ROUNDS = 300 };

static uint64_t make(const char *name)
{
    return rig_put(fs_root(rig_vol), name, "");
}

static void put(uint64_t ino, uint64_t off, const void *data, size_t len, enum fs_stable stable)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    assert_int_equal(fs_write(rig_vol, &req, ino, off, &iov, 1, stable, &wcc), 0);
    rig_durable(&req);
}

static void commit(uint64_t ino)
{
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    assert_int_equal(fs_commit(rig_vol, &req, ino, 0, 0, &wcc), 0);
    rig_durable(&req);
}

static int allocate(uint64_t ino, uint64_t off, uint64_t len, uint32_t flags)
{
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    return fs_allocate(rig_vol, &req, ino, off, len, flags, &wcc);
}

static uint64_t size_of(uint64_t ino)
{
    struct fs_req req = rig_request();
    struct fs_attr attr;

    assert_int_equal(fs_getattr(rig_vol, &req, ino, &attr), 0);
    return attr.size;
}

/* Where it is, or a negative errno. */
static int64_t seek(uint64_t ino, uint64_t off, bool hole)
{
    struct fs_req req = rig_request();
    uint64_t at;
    int err = fs_seek(rig_vol, &req, ino, off, hole, &at);

    return err ? err : (int64_t)at;
}

static void check_bytes(uint64_t ino, const char *want, size_t len)
{
    struct fs_node node;
    struct fs_data data;
    bool eof = false;

    assert_int_equal(size_of(ino), len);
    for (size_t at = 0; at < len;) {
        struct fs_req req = rig_request();
        assert_int_equal(fs_read(rig_vol, &req, ino, at, FS_IO_MAX, &data, &eof, &node), 0);
        assert_true(data.len > 0);
        for (uint32_t i = 0; i < data.count; at += data.iov[i++].iov_len)
            assert_memory_equal(data.iov[i].iov_base, want + at, data.iov[i].iov_len);
        fs_data_release(&data);
    }
}

static void check_bucket(const char *name, const char *want, size_t len)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", rig_bucket, name);
    CLEANUP_FREE char *have = mem_alloc(len + 1);
    FILE *f = fopen(path, "re");

    assert_non_null(f);
    assert_int_equal(fread(have, 1, len + 1, f), len);
    assert_int_equal(fclose(f), 0);
    assert_memory_equal(have, want, len);
}

static void test_seek(void **state)
{
    uint64_t ino = make("seek");

    (void)state;
    assert_int_equal(seek(ino, 0, false), -ENXIO);
    assert_int_equal(seek(ino, 0, true), -ENXIO);
    put(ino, 10000, "data", 4, FS_UNSTABLE);
    put(ino, 20000, "more", 4, FS_UNSTABLE);
    assert_int_equal(seek(ino, 0, false), 10000);
    assert_int_equal(seek(ino, 0, true), 0);
    assert_int_equal(seek(ino, 10001, true), 10004);
    assert_int_equal(seek(ino, 10004, false), 20000);
    assert_int_equal(seek(ino, 20002, true), 20004); /* the end is one */
    assert_int_equal(seek(ino, 20004, true), -ENXIO);
    assert_int_equal(allocate(ino, 0, 30000, 0), 0);
    assert_int_equal(seek(ino, 20004, false), -ENXIO);
    assert_int_equal(seek(ino, 20004, true), 20004);
    assert_int_equal(seek(ino, 29999, true), 29999);
    /* In the bucket there are none. */
    commit(ino);
    rig_settled();
    assert_int_equal(seek(ino, 0, false), 0);
    assert_int_equal(seek(ino, 0, true), 30000);
    /* Over a base. */
    assert_int_equal(allocate(ino, 5000, 1000, FS_ALLOCATE_PUNCH | FS_ALLOCATE_KEEP_SIZE), 0);
    assert_int_equal(seek(ino, 0, true), 5000);
    assert_int_equal(seek(ino, 5500, false), 6000);
    put(ino, 5200, "x", 1, FS_UNSTABLE);
    assert_int_equal(seek(ino, 5000, false), 5200);
    assert_int_equal(seek(ino, 5200, true), 5201);
    assert_int_equal(seek(ino, 6000, true), 30000);
    commit(ino);
    rig_settled();
}

static void test_seek_refused(void **state)
{
    (void)state;
    assert_int_equal(seek(fs_root(rig_vol), 0, true), -EISDIR);
    assert_int_equal(seek(UINT64_C(1) << 60, 0, true), -ESTALE);
}

static void test_allocate(void **state)
{
    uint64_t ino = make("alloc");

    (void)state;
    put(ino, 0, "0123456789", 10, FS_UNSTABLE);
    assert_int_equal(allocate(ino, 2, 4, 0), 0);
    assert_int_equal(allocate(ino, 0, 1 << 20, FS_ALLOCATE_KEEP_SIZE), 0);
    check_bytes(ino, "0123456789", 10);
    assert_int_equal(allocate(ino, 8, 4, 0), 0);
    check_bytes(ino, "0123456789\0\0", 12);
    assert_int_equal(allocate(ino, 2, 2, FS_ALLOCATE_ZERO), 0);
    check_bytes(ino,
                "01\0\0"
                "456789\0\0",
                12);
    assert_int_equal(allocate(ino, 8, 6, FS_ALLOCATE_ZERO | FS_ALLOCATE_KEEP_SIZE), 0);
    check_bytes(ino,
                "01\0\0"
                "4567\0\0\0\0",
                12);
    assert_int_equal(allocate(ino, 7, 6, FS_ALLOCATE_ZERO), 0);
    check_bytes(ino,
                "01\0\0"
                "456\0\0\0\0\0\0",
                13);
    assert_int_equal(allocate(ino, 100, 6, FS_ALLOCATE_PUNCH | FS_ALLOCATE_KEEP_SIZE), 0);
    check_bytes(ino,
                "01\0\0"
                "456\0\0\0\0\0\0",
                13);
    assert_int_equal(allocate(ino, 0, 1, FS_ALLOCATE_PUNCH), -ENOTSUP);
    assert_int_equal(allocate(ino, 0, 1, 8), -ENOTSUP);
    assert_int_equal(allocate(ino, 0, 0, 0), -EINVAL);
    assert_int_equal(allocate(ino, FS_FILE_MAX, 1, 0), -EFBIG);
    assert_int_equal(allocate(fs_root(rig_vol), 0, 1, 0), -EISDIR);
    struct fs_req req = rig_request();
    struct fs_space space;
    struct fs_node node;
    assert_int_equal(fs_statfs(rig_vol, &req, ino, &space, &node), 0);
    if (space.free < UINT64_C(1) << 42)
        assert_int_equal(allocate(ino, 0, space.free + (1 << 30), 0), -ENOSPC);
    assert_int_equal(size_of(ino), 13);
    commit(ino);
    rig_settled();
    check_bucket("alloc",
                 "01\0\0"
                 "456\0\0\0\0\0\0",
                 13);
}

static void hear(void *ctx, enum fs_check_kind kind, const char *sentence)
{
    (void)ctx;
    if (kind == FS_CHECK_PROBLEM)
        print_message("%s\n", sentence);
}

/* What lies in the state directory is as it should be. */
static void check_state(void)
{
    struct fs_check_config config = {.state_dir = rig_state_dir()};
    struct fs_check_counts counts;
    struct fs_error error;

    assert_int_equal(fs_check(&config, hear, NULL, &counts, &error), 0);
    assert_int_equal(counts.problems, 0);
}

/* A hole that is larger than the stage takes no room in it; what it is in survives a restart. */
static void test_large_hole(void **state)
{
    uint64_t ino = make("large"), size = UINT64_C(256) << 20;
    struct fs_req req = rig_request();
    struct fs_sattr set = {.set = FS_SET_SIZE, .size = size};
    struct fs_wcc wcc;
    uint64_t again;

    (void)state;
    put(ino, 0, "begin", 5, FS_UNSTABLE);
    put(ino, 1 << 20, "middle", 6, FS_UNSTABLE);
    assert_int_equal(fs_setattr(rig_vol, &req, ino, &set, NULL, &wcc), 0);
    assert_int_equal(allocate(ino, 3, size - 4, FS_ALLOCATE_PUNCH | FS_ALLOCATE_KEEP_SIZE), 0);
    assert_int_equal(seek(ino, 3, false), -ENXIO);
    commit(ino);
    rig_stop(0);
    check_state();
    rig_start();
    assert_int_equal(rig_look(fs_root(rig_vol), "large", &again), 0);
    assert_int_equal(again, ino);
    assert_int_equal(size_of(ino), size);
    assert_int_equal(seek(ino, 0, true), 3);
    assert_int_equal(seek(ino, 3, false), -ENXIO);
    set.size = 8;
    req = rig_request();
    assert_int_equal(fs_setattr(rig_vol, &req, ino, &set, NULL, &wcc), 0);
    check_bytes(ino, "beg\0\0\0\0\0", 8);
    rig_settled();
    check_bucket("large", "beg\0\0\0\0\0", 8);
}

struct random_file {
    uint64_t ino, size;
    char bytes[MODEL_MAX];
};

static void random_zero(struct random_file *f, uint64_t off, uint64_t len, bool punch, bool keep)
{
    uint32_t flags = (punch ? FS_ALLOCATE_PUNCH : FS_ALLOCATE_ZERO) |
                     (punch || keep ? FS_ALLOCATE_KEEP_SIZE : 0);
    uint64_t end = off + len;

    assert_int_equal(allocate(f->ino, off, len, flags), 0);
    if (end > f->size && !punch && !keep)
        f->size = end;
    if (off < f->size)
        memset(f->bytes + off, 0, (end < f->size ? end : f->size) - off);
}

static void random_cut(struct random_file *f, uint64_t size)
{
    struct fs_req req = rig_request();
    struct fs_sattr set = {.set = FS_SET_SIZE, .size = size};
    struct fs_wcc wcc;

    assert_int_equal(fs_setattr(rig_vol, &req, f->ino, &set, NULL, &wcc), 0);
    if (size < f->size)
        memset(f->bytes + size, 0, f->size - size);
    f->size = size;
}

static void random_step(struct random_file *f)
{
    uint64_t off = (uint64_t)rand() % (MODEL_MAX / 2), len = (uint64_t)rand() % (MODEL_MAX / 4) + 1;
    char *data = f->bytes + off;

    switch (rand() % 7) {
    case 0:
    case 1:
        memset(data, 'a' + rand() % 26, len);
        put(f->ino, off, data, len, rand() % 4 ? FS_UNSTABLE : FS_FILE_SYNC);
        f->size = off + len > f->size ? off + len : f->size;
        break;
    case 2:
    case 3:
        random_zero(f, off, len, true, true);
        break;
    case 4:
        random_zero(f, off, len, false, rand() % 2);
        break;
    case 5:
        random_cut(f, off);
        break;
    default:
        commit(f->ino);
        if (rand() % 3 == 0)
            rig_settled();
    }
}

/* Everything mixed, also while uploads are on their way and over restarts. */
static void test_random(void **state)
{
    struct random_file *f = mem_zalloc(sizeof(*f));

    (void)state;
    srand(4711);
    f->ino = make("random");
    for (int i = 0; i < ROUNDS; i++) {
        random_step(f);
        if (i % 10 == 9)
            check_bytes(f->ino, f->bytes, f->size);
        if (i % 60 == 59) {
            commit(f->ino);
            rig_stop(0);
            check_state();
            rig_start();
            check_bytes(f->ino, f->bytes, f->size);
        }
    }
    commit(f->ino);
    rig_settled();
    check_bytes(f->ino, f->bytes, f->size);
    check_bucket("random", f->bytes, f->size);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seek),     cmocka_unit_test(test_seek_refused),
        cmocka_unit_test(test_allocate), cmocka_unit_test(test_large_hole),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
