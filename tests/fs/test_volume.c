/* The file system over a real directory of files: names that move while they drain, restarts,
 * conflicts. */
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
#include "base/mem.h"
#include "tests/fs/volume_rig.h"

enum { FILES = 200 };

static void fill(uint64_t dir, const char *body)
{
    char name[16];

    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        (void)rig_put(dir, name, body);
    }
}

static void test_rename_directory(void **state)
{
    uint64_t root = fs_root(rig_vol), a = rig_make_dir(root, "a"), sub = rig_make_dir(a, "sub"),
             ino;

    (void)state;
    fill(a, "one");
    (void)rig_put(sub, "deep", "down");
    rig_settled();
    rig_rename(root, "a", root, "b");
    assert_int_equal(rig_look(root, "a", NULL), -ENOENT);
    assert_int_equal(rig_look(root, "b", &ino), 0);
    assert_int_equal(ino, a); /* the handle goes on */
    assert_int_equal(rig_list(a), FILES + 1);
    rig_check_body(a, "f7", "one");
    rig_check_body(sub, "deep", "down");
    rig_settled();
    assert_int_equal(rig_list(a), FILES + 1);
    assert_int_equal(rig_bucket_files("b"), FILES + 1);
    assert_int_equal(rig_bucket_files("b/sub"), 1);
    assert_int_equal(rig_bucket_files("a"), 0);
}

/* The old name is taken again before the objects have left it. */
static void test_old_name_again(void **state)
{
    uint64_t root = fs_root(rig_vol), c = rig_make_dir(root, "c"), again;

    (void)state;
    fill(c, "old");
    rig_settled();
    rig_rename(root, "c", root, "d");
    again = rig_make_dir(root, "c");
    assert_int_equal(rig_list(again), 0);
    (void)rig_put(again, "f3", "new");
    rig_check_body(again, "f3", "new");
    rig_check_body(c, "f3", "old");
    assert_int_equal(rig_look(again, "f4", NULL), -ENOENT);
    rig_settled();
    rig_check_body(again, "f3", "new");
    rig_check_body(c, "f3", "old");
    assert_int_equal(rig_bucket_files("c"), 1);
    assert_int_equal(rig_bucket_files("d"), FILES);
}

static void test_rename_back(void **state)
{
    uint64_t root = fs_root(rig_vol), e = rig_make_dir(root, "e");

    (void)state;
    fill(e, "body");
    rig_settled();
    rig_rename(root, "e", root, "g");
    (void)rig_put(e, "f1", "while away");
    (void)rig_put(e, "more", "of it");
    rig_rename(root, "g", root, "e");
    assert_int_equal(rig_list(e), FILES + 1);
    rig_settled();
    rig_check_body(e, "f0", "body");
    rig_check_body(e, "f1", "while away");
    rig_check_body(e, "more", "of it");
    assert_int_equal(rig_bucket_files("e"), FILES + 1);
    assert_int_equal(rig_bucket_files("g"), 0);
}

/* Moved into a directory that itself moves, which was renamed before, and a restart in between. */
static void test_moves_and_restart(void **state)
{
    uint64_t root = fs_root(rig_vol), p = rig_make_dir(root, "p"), q = rig_make_dir(root, "q");

    (void)state;
    fill(q, "cargo");
    rig_settled();
    rig_rename(root, "p", root, "p2");
    rig_rename(root, "q", p, "q2");
    rig_rename(root, "p2", root, "p3");
    rig_stop(0);
    rig_start();
    assert_int_equal(rig_list(q), FILES);
    rig_check_body(q, "f11", "cargo");
    rig_rename(p, "q2", root, "q");
    rig_settled();
    rig_check_body(q, "f11", "cargo");
    assert_int_equal(rig_list(q), FILES);
    assert_int_equal(rig_bucket_files("q"), FILES);
    assert_int_equal(rig_bucket_files("p3"), 0);
}

static void test_swap(void **state)
{
    uint64_t root = fs_root(rig_vol);

    (void)state;
    (void)rig_put(root, "x", "was x");
    (void)rig_put(root, "y", "was y");
    rig_settled();
    rig_rename(root, "x", root, "t");
    rig_rename(root, "y", root, "x");
    rig_rename(root, "t", root, "y");
    rig_check_body(root, "x", "was y");
    rig_check_body(root, "y", "was x");
    rig_settled();
    rig_check_body(root, "x", "was y");
    rig_check_body(root, "y", "was x");
}

/* A file that was deleted while a client had it open keeps its bytes when its old name is used
 * again. */
static void test_silly(void **state)
{
    uint64_t root = fs_root(rig_vol), s = rig_make_dir(root, "s");
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    (void)state;
    (void)rig_put(s, "log", "held open");
    rig_settled();
    rig_rename(s, "log", s, ".nfs0001");
    (void)rig_put(s, "log", "rotated");
    rig_settled();
    rig_check_body(s, ".nfs0001", "held open");
    rig_check_body(s, "log", "rotated");
    assert_int_equal(rig_bucket_files("s"), 1);
    assert_int_equal(fs_remove(rig_vol, &req, s, ".nfs0001", &wcc), 0);
    rig_durable(&req);
    rig_settled();
    rig_check_body(s, "log", "rotated");
    assert_int_equal(rig_bucket_files("s"), 1);
}

/* Somebody else replaces an object while we have a version of our own. */
static void test_conflict(void **state)
{
    uint64_t root = fs_root(rig_vol), k = rig_make_dir(root, "k");
    CLEANUP_FREE char *path = mem_printf("%s/k/file", rig_bucket);
    CLEANUP_FREE char *part = mem_printf("%s/k/.part", rig_bucket);

    (void)state;
    (void)rig_put(k, "file", "first");
    rig_settled();
    (void)rig_put(k, "file", "ours");
    FILE *f = fopen(part, "w");
    assert_non_null(f);
    (void)fputs("theirs", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(part, path), 0);
    rig_settled();
    rig_check_body(k, "file", "theirs");
    /* Either ours was there before theirs replaced it, or it stands beside it: never is theirs
     * lost. */
    assert_in_range(rig_list(k), 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rename_directory),
        cmocka_unit_test(test_old_name_again),
        cmocka_unit_test(test_rename_back),
        cmocka_unit_test(test_moves_and_restart),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_silly),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
