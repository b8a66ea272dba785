/*
 * Two names that change places in one step (RENAME_EXCHANGE), and the rules of renameat2(2) about
 * it: files, directories, one of each; while they are uploaded, again and again, with an end of the
 * process in between. Over a real directory of files, in which "a" and "a/" are one name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/fault.h"
#include "tests/fs/volume_rig.h"

enum { SWAPS = 25, CHILDREN = 40 };

static int rename_with(uint64_t from_dir, const char *from, uint64_t to_dir, const char *to,
                       uint32_t flags)
{
    struct fs_req req = rig_request();
    struct fs_wcc a, b;
    int err = fs_rename_with(rig_vol, &req, from_dir, from, to_dir, to, flags, &a, &b);

    if (!err)
        rig_durable(&req);
    return err;
}

static void exchange(uint64_t from_dir, const char *from, uint64_t to_dir, const char *to)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    int err;

    /* A directory that lies in too many places at once has to wait for its drains. */
    while ((err = rename_with(from_dir, from, to_dir, to, FS_RENAME_EXCHANGE)) == -EAGAIN) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(20 * 1000);
    }
    assert_int_equal(err, 0);
}

static void bucket_is(const char *path, const char *want)
{
    CLEANUP_FREE char *full = mem_printf("%s/%s", rig_bucket, path);
    char buf[256];
    FILE *f = fopen(full, "re");

    assert_non_null(f);
    buf[fread(buf, 1, sizeof(buf) - 1, f)] = '\0';
    assert_int_equal(fclose(f), 0);
    assert_string_equal(buf, want);
}

static void again(int64_t for_ns)
{
    rig_stop(for_ns);
    rig_start();
}

static void test_files(void **state)
{
    uint64_t root = fs_root(rig_vol), dir = rig_make_dir(root, "fd"), a, b, got;

    (void)state;
    a = rig_put(root, "fa", "was fa");
    b = rig_put(dir, "fb", "was fb");
    rig_settled();
    exchange(root, "fa", dir, "fb");
    assert_int_equal(rig_look(root, "fa", &got), 0);
    assert_int_equal(got, b);
    assert_int_equal(rig_look(dir, "fb", &got), 0);
    assert_int_equal(got, a);
    rig_check_body(root, "fa", "was fb");
    rig_check_body(dir, "fb", "was fa");
    rig_settled();
    bucket_is("fa", "was fb");
    bucket_is("fd/fb", "was fa");
    rig_check_body(root, "fa", "was fb");
    assert_int_equal(rig_list(dir), 1);
}

/* Before their first upload, while one is on its way, and written to after it. */
static void test_files_being_uploaded(void **state)
{
    uint64_t root = fs_root(rig_vol), a = rig_put(root, "ua", "was ua");
    char text[] = "has";
    struct iovec iov = {.iov_base = text, .iov_len = 3};
    struct fs_wcc wcc;

    (void)state;
    (void)rig_put(root, "ub", "was ub");
    exchange(root, "ua", root, "ub");
    rig_settled();
    bucket_is("ua", "was ub");
    bucket_is("ub", "was ua");
    assert_int_equal(fault_rules_set("store.put key=ub stall"), 0);
    struct fs_req req = rig_request();
    assert_int_equal(fs_write(rig_vol, &req, a, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
    for (int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S; fault_rule_hits(0) == 0;) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(2000);
    }
    exchange(root, "ub", root, "ua");
    assert_int_equal(fault_rules_set(NULL), 0);
    rig_settled();
    bucket_is("ua", "has ua");
    bucket_is("ub", "was ub");
    rig_check_body(root, "ua", "has ua");
    rig_check_body(root, "ub", "was ub");
}

static void fill(uint64_t dir, const char *body)
{
    for (int i = 0; i < CHILDREN; i++) {
        CLEANUP_FREE char *name = mem_printf("f%d", i);
        (void)rig_put(dir, name, body);
    }
}

static void all_are(uint64_t dir, const char *body)
{
    for (int i = 0; i < CHILDREN; i++) {
        CLEANUP_FREE char *name = mem_printf("f%d", i);
        rig_check_body(dir, name, body);
    }
}

static void test_directories(void **state)
{
    uint64_t root = fs_root(rig_vol), a = rig_make_dir(root, "da"), b = rig_make_dir(root, "db"), n;

    (void)state;
    fill(a, "of a");
    fill(b, "of b");
    (void)rig_put(b, "only", "here");
    rig_settled();
    (void)rig_put(a, "late", "not in the bucket yet");
    exchange(root, "da", root, "db");
    assert_int_equal(rig_look(root, "da", &n), 0);
    assert_int_equal(n, b);
    all_are(a, "of a");
    all_are(b, "of b");
    (void)rig_put(a, "f0", "of a");
    rig_settled();
    all_are(a, "of a");
    all_are(b, "of b");
    bucket_is("da/f7", "of b");
    bucket_is("db/f7", "of a");
    bucket_is("da/only", "here");
    bucket_is("db/late", "not in the bucket yet");
    assert_int_equal(rig_bucket_files("da"), CHILDREN + 1);
    assert_int_equal(rig_bucket_files("db"), CHILDREN + 1);
}

static void test_file_and_directory(void **state)
{
    uint64_t root = fs_root(rig_vol), d = rig_make_dir(root, "md");

    (void)state;
    (void)rig_put(d, "x", "in the directory");
    (void)rig_put(root, "mf", "the file");
    rig_settled();
    exchange(root, "md", root, "mf");
    rig_check_body(root, "md", "the file");
    rig_check_body(d, "x", "in the directory");
    rig_settled();
    bucket_is("md", "the file");
    bucket_is("mf/x", "in the directory");
    exchange(root, "md", root, "mf"); /* now "from" is the file */
    rig_settled();
    bucket_is("mf", "the file");
    bucket_is("md/x", "in the directory");
}

/* To and fro, faster than anything can move; an odd number of times; with ends of the process. */
static void test_again_and_again(void **state)
{
    uint64_t root = fs_root(rig_vol), a = rig_make_dir(root, "ra"), b = rig_make_dir(root, "rb");

    (void)state;
    (void)rig_put(root, "r1", "was r1");
    (void)rig_put(root, "r2", "was r2");
    (void)rig_put(a, "x", "of a");
    (void)rig_put(b, "x", "of b");
    for (int i = 0; i < SWAPS; i++) {
        exchange(root, "r1", root, "r2");
        exchange(root, "ra", root, "rb");
        if (i % 10 == 4)
            rig_settled();
        if (i % 10 == 7)
            again(0);
    }
    rig_check_body(a, "x", "of a");
    rig_settled();
    bucket_is("r1", "was r2");
    bucket_is("r2", "was r1");
    bucket_is("rb/x", "of a");
    bucket_is("ra/x", "of b");
    assert_int_equal(rig_bucket_files("ra"), 1);
    assert_int_equal(rig_bucket_files("rb"), 1);
}

static void test_end_in_between(void **state)
{
    uint64_t root = fs_root(rig_vol), a = rig_make_dir(root, "ea"), b = rig_make_dir(root, "eb");

    (void)state;
    fill(a, "of a");
    fill(b, "of b");
    (void)rig_put(root, "e1", "was e1");
    (void)rig_put(root, "e2", "was e2");
    rig_settled();
    exchange(root, "ea", root, "eb");
    exchange(root, "e1", root, "e2");
    again(0);
    rig_check_body(root, "e1", "was e2");
    rig_settled();
    assert_int_equal(rig_look(root, "eb", &a), 0);
    all_are(a, "of a");
    bucket_is("e1", "was e2");
    bucket_is("e2", "was e1");
    bucket_is("ea/f1", "of b");
    again(RIG_WAIT_S * CLOCK_S);
    rig_check_body(root, "e2", "was e1");
}

static void test_rules(void **state)
{
    uint64_t root = fs_root(rig_vol), p = rig_make_dir(root, "pp"), q = rig_make_dir(p, "q");

    (void)state;
    (void)rig_put(q, "f", "below");
    (void)rig_put(root, "pf", "beside");
    assert_int_equal(rename_with(root, "pp", q, "f", FS_RENAME_EXCHANGE), -EINVAL);
    assert_int_equal(rename_with(q, "f", root, "pp", FS_RENAME_EXCHANGE), -EINVAL);
    assert_int_equal(rename_with(root, "pp", p, "q", FS_RENAME_EXCHANGE), -EINVAL);
    assert_int_equal(rename_with(root, "pf", root, "none", FS_RENAME_EXCHANGE), -ENOENT);
    assert_int_equal(rename_with(root, "none", root, "pf", FS_RENAME_EXCHANGE), -ENOENT);
    assert_int_equal(rename_with(root, "pf", root, "pf", FS_RENAME_EXCHANGE), 0);
    assert_int_equal(rename_with(root, "pf", q, "f", FS_RENAME_EXCHANGE | FS_RENAME_NOREPLACE),
                     -EINVAL);
    assert_int_equal(rename_with(root, "pf", q, "f", 8), -EINVAL);
    assert_int_equal(rename_with(root, "pf", q, "f", FS_RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rename_with(root, "pf", root, "pf", FS_RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rename_with(root, "pf", q, "g", FS_RENAME_NOREPLACE), 0);
    rig_check_body(q, "g", "beside");
    rig_check_body(q, "f", "below");
    rig_settled();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),           cmocka_unit_test(test_files_being_uploaded),
        cmocka_unit_test(test_directories),     cmocka_unit_test(test_file_and_directory),
        cmocka_unit_test(test_again_and_again), cmocka_unit_test(test_end_in_between),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
