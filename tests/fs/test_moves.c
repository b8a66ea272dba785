/*
 * What has to wait for something else before it can be brought to the bucket: names that change
 * places, files and directories too, directories that move into each other's place, what a moved
 * directory had in it; and what removing a tree costs. Over a real directory of files, in which "a"
 * and "a/" are one name.
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
#include "base/thread.h"
#include "tests/fault/fault.h"
#include "tests/fs/volume_rig.h"

enum {
    MANY = 1500, /* more than a drain has on its way at a time */
    REMOVED = 10000,
    REMOVED_DIRS = 10,
    LOOKERS = 4,
    LOOKED = 20,
    LISTED = 5000, /* pages of a thousand */
};

static uint64_t calls(enum fault_point point)
{
    return fault_counts()[point].calls;
}

static void wait_gone(const char *path)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;

    while (rig_bucket_has(path)) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(10 * 1000);
    }
    rig_settled();
}

static void fill_bucket(const char *dir, int count, const char *body)
{
    rig_bucket_mkdir(dir);
    for (int i = 0; i < count; i++) {
        CLEANUP_FREE char *path = mem_printf("%s/f%d", dir, i);
        rig_bucket_put(path, body);
    }
}

/* mv d t; mv f d; mv t f */
static void test_file_and_directory_swap(void **state)
{
    uint64_t root = fs_root(rig_vol), d = rig_make_dir(root, "sd");

    (void)state;
    (void)rig_put(d, "x", "in the directory");
    (void)rig_put(root, "sf", "the file");
    rig_settled();
    rig_rename(root, "sd", root, "st");
    rig_rename(root, "sf", root, "sd");
    rig_rename(root, "st", root, "sf");
    rig_check_body(root, "sd", "the file");
    rig_check_body(d, "x", "in the directory");
    rig_settled();
    rig_check_body(root, "sd", "the file");
    rig_check_body(d, "x", "in the directory");
    assert_int_equal(rig_bucket_files("sf"), 1);
    assert_false(rig_bucket_has("st"));
}

/* mv q p/f; mv p q: the file lies where a directory above it is to be. */
static void test_into_its_own_place(void **state)
{
    uint64_t root = fs_root(rig_vol), p = rig_make_dir(root, "ip");

    (void)state;
    (void)rig_put(root, "iq", "was iq");
    rig_settled();
    rig_rename(root, "iq", p, "f");
    rig_rename(root, "ip", root, "iq");
    rig_check_body(p, "f", "was iq");
    rig_settled();
    rig_check_body(p, "f", "was iq");
    assert_true(rig_bucket_has("iq/f"));
    assert_false(rig_bucket_has("ip"));
}

/* Two files, each of which is to go below the place where the other lies. */
static void test_below_each_other(void **state)
{
    uint64_t root = fs_root(rig_vol), a, b;

    (void)state;
    (void)rig_put(root, "ba", "was ba");
    (void)rig_put(root, "bb", "was bb");
    rig_settled();
    rig_rename(root, "ba", root, "ta");
    rig_rename(root, "bb", root, "tb");
    a = rig_make_dir(root, "ba");
    b = rig_make_dir(root, "bb");
    rig_rename(root, "ta", b, "x");
    rig_rename(root, "tb", a, "x");
    rig_settled();
    rig_check_body(b, "x", "was ba");
    rig_check_body(a, "x", "was bb");
    assert_int_equal(rig_bucket_files("ba"), 1);
    assert_int_equal(rig_bucket_files("bb"), 1);
}

static void test_circle(void **state)
{
    uint64_t root = fs_root(rig_vol);
    char name[16], to[16], body[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        (void)rig_put(root, name, name);
    }
    rig_settled();
    rig_rename(root, "c99", root, "ct");
    for (int i = 98; i >= 0; i--) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        (void)snprintf(to, sizeof(to), "c%d", i + 1);
        rig_rename(root, name, root, to);
    }
    rig_rename(root, "ct", root, "c0");
    rig_settled();
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        (void)snprintf(body, sizeof(body), "c%d", (i + 99) % 100);
        rig_check_body(root, name, body);
    }
    assert_false(rig_bucket_has("ct"));
}

/* Two directories, each with more than a drain has on its way at a time, swap names; and files are
 * made that have to wait for both. */
static void test_large_directories_swap(void **state)
{
    uint64_t root = fs_root(rig_vol), a, b;

    (void)state;
    fill_bucket("la", MANY, "was a");
    fill_bucket("lb", MANY, "was b");
    assert_int_equal(rig_look(root, "la", &a), 0);
    assert_int_equal(rig_look(root, "lb", &b), 0);
    rig_rename(root, "la", root, "lt");
    rig_rename(root, "lb", root, "la");
    rig_rename(root, "lt", root, "lb");
    for (int i = 0; i < 20; i++) {
        CLEANUP_FREE char *name = mem_printf("new%d", i);
        (void)rig_put(a, name, "new in b");
    }
    assert_int_equal(rig_list(a), MANY + 20);
    wait_gone("la/new0");
    rig_settled();
    assert_int_equal(rig_list(a), MANY + 20);
    assert_int_equal(rig_bucket_files("la"), MANY);
    assert_int_equal(rig_bucket_files("lb"), MANY + 20);
    rig_check_body(a, "f7", "was a");
    rig_check_body(b, "f7", "was b");
    assert_false(rig_bucket_has("lt"));
}

/* Directories that nobody has looked into yet, empty ones among them, are there after a move. */
static void test_unseen_directories_move(void **state)
{
    uint64_t root = fs_root(rig_vol), top, ino;

    (void)state;
    rig_bucket_mkdir("ua");
    rig_bucket_mkdir("ua/empty");
    rig_bucket_mkdir("ua/deep");
    rig_bucket_mkdir("ua/deep/empty");
    rig_bucket_put("ua/deep/f", "body");
    assert_int_equal(rig_look(root, "ua", &top), 0);
    rig_rename(root, "ua", root, "ub");
    wait_gone("ua");
    assert_true(rig_bucket_has("ub/empty"));
    assert_true(rig_bucket_has("ub/deep/empty"));
    assert_true(rig_bucket_has("ub/deep/f"));
    assert_int_equal(rig_look(top, "empty", NULL), 0);
    assert_int_equal(rig_look(top, "deep", &ino), 0);
    assert_int_equal(rig_list(ino), 2);
}

/* There and back while the drain is on its way: what it takes for left over is not. */
static void test_there_and_back(void **state)
{
    uint64_t root = fs_root(rig_vol), top;

    (void)state;
    rig_bucket_mkdir("ha");
    rig_bucket_mkdir("ha/empty");
    rig_bucket_put("ha/f", "body");
    assert_int_equal(rig_look(root, "ha", &top), 0);
    assert_int_equal(fault_rules_set("store.list delay=20ms\n"), 0);
    for (int i = 0; i < 20; i++) {
        rig_rename(root, "ha", root, "hb");
        (void)usleep((unsigned)i * 5000);
        rig_rename(root, "hb", root, "ha");
        assert_int_equal(rig_look(top, "empty", NULL), 0);
    }
    assert_int_equal(fault_rules_set(NULL), 0);
    rig_settled();
    wait_gone("hb");
    assert_true(rig_bucket_has("ha/empty"));
    assert_int_equal(rig_list(top), 2);
    rig_check_body(top, "f", "body");
}

struct looker {
    uint64_t dir;
    _Atomic bool stop;
    _Atomic int answers, wrong;
};

static void *look_main(void *arg)
{
    struct looker *looker = arg;

    while (!looker->stop) {
        for (int i = 0; i < LOOKED; i++) {
            CLEANUP_FREE char *name = mem_printf("f%d", i);
            int err = rig_look(looker->dir, name, NULL);
            looker->answers++;
            if (err)
                looker->wrong = err;
        }
    }
    return NULL;
}

/* Somebody asks the store for a file where it lay, just before the drain takes it from there: the
 * answer "not there", while the deletion of the old key has not been told yet, says nothing. */
static void test_looked_at_while_it_moves(void **state)
{
    uint64_t root = fs_root(rig_vol);
    struct looker looker = {0};
    pthread_t threads[LOOKERS];

    (void)state;
    fill_bucket("ka", LOOKED, "body");
    assert_int_equal(rig_look(root, "ka", &looker.dir), 0);
    assert_int_equal(rig_list(looker.dir), LOOKED);
    assert_int_equal(fault_rules_set("store.head delay=20ms\nstore.delete lose p=0.7 seed=1\n"), 0);
    for (int i = 0; i < LOOKERS; i++)
        assert_int_equal(thread_start(&threads[i], "look", look_main, &looker), 0);
    for (int i = 0; i < 12; i++) {
        rig_rename(root, i % 2 ? "kb" : "ka", root, i % 2 ? "ka" : "kb");
        (void)usleep(150 * 1000);
    }
    looker.stop = true;
    for (int i = 0; i < LOOKERS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(fault_rules_set(NULL), 0);
    assert_int_equal(looker.wrong, 0);
    assert_true(looker.answers > 0);
    assert_int_equal(rig_list(looker.dir), LOOKED);
    rig_settled();
    assert_int_equal(rig_bucket_files("ka"), LOOKED);
    assert_false(rig_bucket_has("kb"));
}

/* A listing of several pages while a drain brings in what is listed. */
static void test_listed_while_it_moves(void **state)
{
    uint64_t root = fs_root(rig_vol), dir;

    (void)state;
    fill_bucket("va", LISTED, "body");
    assert_int_equal(rig_look(root, "va", &dir), 0);
    assert_int_equal(rig_list(dir), LISTED);
    rig_rename(root, "va", root, "vb");
    for (int i = 0; i < 100 && rig_bucket_has("va"); i++)
        assert_int_equal(rig_list(dir), LISTED);
    rig_settled();
    assert_int_equal(rig_list(dir), LISTED);
    assert_int_equal(rig_bucket_files("vb"), LISTED);
}

static void test_removal_in_batches(void **state)
{
    uint64_t root = fs_root(rig_vol), top, dir;

    (void)state;
    rig_bucket_mkdir("rm");
    for (int d = 0; d < REMOVED_DIRS; d++) {
        CLEANUP_FREE char *path = mem_printf("rm/d%d", d);
        fill_bucket(path, REMOVED / REMOVED_DIRS, "");
    }
    assert_int_equal(rig_look(root, "rm", &top), 0);
    fault_counts_reset();
    for (int d = 0; d < REMOVED_DIRS; d++) {
        CLEANUP_FREE char *name = mem_printf("d%d", d);
        assert_int_equal(rig_look(top, name, &dir), 0);
        assert_int_equal(rig_list(dir), REMOVED / REMOVED_DIRS);
        for (int i = 0; i < REMOVED / REMOVED_DIRS; i++) {
            CLEANUP_FREE char *file = mem_printf("f%d", i);
            rig_remove(dir, file, false);
        }
        rig_remove(top, name, true);
    }
    rig_remove(root, "rm", true);
    rig_settled();
    assert_false(rig_bucket_has("rm"));
    print_message("%lu requests for %lu deletions\n", (unsigned long)calls(FAULT_STORE_DELETE),
                  (unsigned long)fault_counts()[FAULT_STORE_DELETE].keys);
    assert_true(calls(FAULT_STORE_DELETE) <= 10 + REMOVED / 1000);
}

/* What comes and goes before it is due is never sent. */
static void test_nothing_sent(void **state)
{
    uint64_t root, dir;

    (void)state;
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_quiet_ns = 3600 * CLOCK_S;
    rig_start();
    root = fs_root(rig_vol);
    fault_counts_reset();
    dir = rig_make_dir(root, "brief");
    (void)rig_put(dir, "f", "body");
    rig_remove(dir, "f", false);
    rig_remove(root, "brief", true);
    rig_settled();
    assert_int_equal(calls(FAULT_STORE_PUT), 0);
    assert_false(rig_bucket_has("brief"));
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_quiet_ns = 10 * CLOCK_MS;
    rig_start();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_and_directory_swap),
        cmocka_unit_test(test_into_its_own_place),
        cmocka_unit_test(test_below_each_other),
        cmocka_unit_test(test_circle),
        cmocka_unit_test(test_large_directories_swap),
        cmocka_unit_test(test_unseen_directories_move),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_looked_at_while_it_moves),
        cmocka_unit_test(test_listed_while_it_moves),
        cmocka_unit_test(test_removal_in_batches),
        cmocka_unit_test(test_nothing_sent),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
