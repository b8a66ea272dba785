/*
 * Files that are open while their names go: removed, replaced by a rename, by others, with a crash.
 * What is open goes on, what others see is as if it were not.
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

static uint64_t open_name(uint64_t dir, const char *name)
{
    struct fs_req req = rig_request();
    struct fs_open got;
    uint64_t ino;

    assert_int_equal(rig_look(dir, name, &ino), 0);
    assert_int_equal(fs_open(rig_vol, &req, ino, FS_ACCESS_READ | FS_ACCESS_MODIFY, &got), 0);
    assert_int_equal(got.node.ino, ino);
    return ino;
}

static struct fs_attr attr(uint64_t ino)
{
    struct fs_req req = rig_request();
    struct fs_attr got;

    assert_int_equal(fs_getattr(rig_vol, &req, ino, &got), 0);
    return got;
}

/* All of it. */
static int read_all(uint64_t ino, char buf[256])
{
    struct fs_req req = rig_request();
    struct fs_node node;
    struct fs_data data;
    bool eof;
    int err = fs_read(rig_vol, &req, ino, 0, 255, &data, &eof, &node);
    size_t len = 0;

    for (uint32_t i = 0; !err && i < data.count; i++) {
        memcpy(buf + len, data.iov[i].iov_base, data.iov[i].iov_len);
        len += data.iov[i].iov_len;
    }
    buf[len] = '\0';
    if (!err)
        fs_data_release(&data);
    return err;
}

static void has(uint64_t ino, const char *want)
{
    char buf[256];

    assert_int_equal(read_all(ino, buf), 0);
    assert_string_equal(buf, want);
}

static void stale(uint64_t ino)
{
    char buf[256];

    assert_int_equal(read_all(ino, buf), -ESTALE);
}

static void write_at(uint64_t ino, uint64_t off, const char *text, enum fs_stable stable)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    assert_int_equal(fs_write(rig_vol, &req, ino, off, &iov, 1, stable, &wcc), 0);
    rig_durable(&req);
}

static void truncate_to(uint64_t ino, uint64_t size)
{
    struct fs_sattr set = {.set = FS_SET_SIZE, .size = size};
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    assert_int_equal(fs_setattr(rig_vol, &req, ino, &set, NULL, &wcc), 0);
    rig_durable(&req);
}

static int sync_to(uint64_t ino, uint32_t flags)
{
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    req.flags = flags;
    int err = fs_commit(rig_vol, &req, ino, 0, 0, &wcc);
    rig_durable(&req);
    return err;
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

/* Nothing is in memory but what a start brings. */
static void again(void)
{
    rig_settled();
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_start();
}

static void use_without_name(uint64_t ino, const char *body)
{
    CLEANUP_FREE char *longer = mem_printf("%s and more", body);

    assert_int_equal(attr(ino).nlink, 0);
    assert_int_equal(attr(ino).size, strlen(body));
    has(ino, body);
    write_at(ino, strlen(body), " and less", FS_UNSTABLE);
    write_at(ino, strlen(body), " and more", FS_FILE_SYNC);
    has(ino, longer);
    assert_int_equal(sync_to(ino, FS_TO_STORE), 0);
    assert_int_equal(sync_to(ino, FS_LOCAL), 0);
    truncate_to(ino, 4);
    truncate_to(ino, 6);
    has(ino, "body"); /* and two zeros */
    assert_int_equal(attr(ino).size, 6);
    assert_int_equal(attr(ino).nlink, 0);
}

static void test_removed(void **state)
{
    uint64_t root = fs_root(rig_vol), dir = rig_make_dir(root, "r"), ino;

    (void)state;
    (void)rig_put(dir, "f", "body of f");
    again();
    assert_int_equal(rig_look(root, "r", &dir), 0);
    ino = open_name(dir, "f");
    assert_int_equal(fs_reopen(rig_vol, ino), 0);
    rig_remove(dir, "f", false);
    rig_remove(root, "r", true); /* though a file in it is open */
    assert_int_equal(rig_look(root, "r", NULL), -ENOENT);
    use_without_name(ino, "body of f");
    rig_settled(); /* what can be done is done */
    has(ino, "body");
    fs_release(rig_vol, ino);
    has(ino, "body"); /* the other still has it */
    fs_release(rig_vol, ino);
    stale(ino);
    rig_settled();
    assert_false(rig_bucket_has("r"));
}

/* Never uploaded at all: as programs do it that want a file for themselves. */
static void test_temporary(void **state)
{
    uint64_t root = fs_root(rig_vol), ino = rig_put(root, "tmp", "body 1");

    (void)state;
    assert_int_equal(fs_reopen(rig_vol, ino), 0);
    rig_remove(root, "tmp", false);
    use_without_name(ino, "body 1");
    for (int i = 0; i < 100; i++)
        write_at(ino, 0, "over and over", FS_UNSTABLE);
    has(ino, "over and over");
    rig_settled();
    assert_false(rig_bucket_has("tmp"));
    fs_release(rig_vol, ino);
    stale(ino);
}

/* The name is used again at once; the old bytes are still in the store, and nowhere else. */
static void test_name_again(void **state)
{
    uint64_t root = fs_root(rig_vol), ino;

    (void)state;
    (void)rig_put(root, "n", "body before");
    again();
    ino = open_name(root, "n");
    rig_remove(root, "n", false);
    (void)rig_put(root, "n", "after");
    rig_check_body(root, "n", "after");
    rig_settled();
    bucket_is("n", "after");
    use_without_name(ino, "body before");
    fs_release(rig_vol, ino);
    rig_settled();
    bucket_is("n", "after");
    stale(ino);
}

static void test_directory_there(void **state)
{
    uint64_t root = fs_root(rig_vol), ino, dir;

    (void)state;
    (void)rig_put(root, "k", "body of a file");
    again();
    ino = open_name(root, "k");
    rig_remove(root, "k", false);
    dir = rig_make_dir(root, "k");
    (void)rig_put(dir, "x", "below");
    rig_settled();
    bucket_is("k/x", "below");
    use_without_name(ino, "body of a file");
    fs_release(rig_vol, ino);
    rig_settled();
    bucket_is("k/x", "below");
}

static void test_renamed_over(void **state)
{
    uint64_t root = fs_root(rig_vol), old, moved;

    (void)state;
    (void)rig_put(root, "o", "body of old");
    (void)rig_put(root, "o.new", "body of new");
    again();
    old = open_name(root, "o");
    moved = open_name(root, "o.new");
    rig_rename(root, "o.new", root, "o");
    assert_int_equal(attr(moved).nlink, 1);
    has(moved, "body of new");
    rig_settled();
    bucket_is("o", "body of new");
    use_without_name(old, "body of old");
    fs_release(rig_vol, old);
    fs_release(rig_vol, moved);
    rig_settled();
    bucket_is("o", "body of new");
    assert_false(rig_bucket_has("o.new"));
}

/* Renamed, and removed before it was moved; its name is used again as well. */
static void test_moved_and_removed(void **state)
{
    uint64_t root = fs_root(rig_vol), ino;

    (void)state;
    (void)rig_put(root, "m", "body of m");
    again();
    ino = open_name(root, "m");
    rig_rename(root, "m", root, "m2");
    rig_remove(root, "m2", false);
    (void)rig_put(root, "m2", "second");
    (void)rig_put(root, "m", "first");
    rig_settled();
    bucket_is("m", "first");
    bucket_is("m2", "second");
    use_without_name(ino, "body of m");
    fs_release(rig_vol, ino);
    rig_settled();
    bucket_is("m", "first");
    bucket_is("m2", "second");
}

/* The end of the process, before anybody let go: nothing is left. */
static void test_left_at_a_crash(void **state)
{
    uint64_t root = fs_root(rig_vol), ino, other;
    struct fs_left left;

    (void)state;
    (void)rig_put(root, "c", "body of c");
    again();
    ino = open_name(root, "c");
    rig_remove(root, "c", false);
    write_at(ino, 0, "more", FS_FILE_SYNC);
    other = rig_put(root, "c2", "never seen");
    assert_int_equal(fs_reopen(rig_vol, other), 0);
    rig_remove(root, "c2", false);
    rig_put(root, "c3", "stays");
    rig_stop(0);
    rig_start();
    assert_int_equal(rig_look(root, "c", NULL), -ENOENT);
    assert_int_equal(rig_look(root, "c2", NULL), -ENOENT);
    stale(ino);
    stale(other);
    rig_settled();
    fs_get_left(rig_fs, &left);
    assert_int_equal(left.files + left.bytes + left.intents, 0);
    assert_false(rig_bucket_has("c"));
    assert_false(rig_bucket_has("c2"));
    bucket_is("c3", "stays");
}

static void until_rule_hit(size_t rule)
{
    for (int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S; fault_rule_hits(rule) == 0;) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(2000);
    }
}

/* Removed while its second version is on its way; rule: what becomes of that. */
static void removed_in_flight(const char *name, const char *rule)
{
    uint64_t root = fs_root(rig_vol), ino = rig_put(root, name, "body, the first");
    CLEANUP_FREE char *stall = mem_printf("store.put key=%s stall", name);

    rig_settled();
    assert_int_equal(open_name(root, name), ino);
    assert_int_equal(fault_rules_set(stall), 0);
    write_at(ino, 6, "the other", FS_FILE_SYNC);
    until_rule_hit(0);
    rig_remove(root, name, false);
    has(ino, "body, the other");
    (void)rig_put(root, name, "next");
    assert_int_equal(fault_rules_set(rule), 0);
    if (rule)
        until_rule_hit(0);
    assert_int_equal(fault_rules_set(NULL), 0);
    rig_settled();
    bucket_is(name, "next");
    use_without_name(ino, "body, the other");
    fs_release(rig_vol, ino);
    rig_settled();
    bucket_is(name, "next");
}

static void test_removed_in_flight(void **state)
{
    (void)state;
    removed_in_flight("fl", NULL);
    /* It gets through, and nobody hears of it. */
    removed_in_flight("fl2", "store.put key=fl2 nth=1 lose");
}

/* Others put another object in its place: whoever has it open does not get a mixture, nor the new
 * one. */
static void test_replaced_by_others(void **state)
{
    uint64_t root = fs_root(rig_vol), ino, now;

    (void)state;
    (void)rig_put(root, "x", "ours");
    again();
    ino = open_name(root, "x");
    rig_bucket_put("x.part", "theirs, longer");
    CLEANUP_FREE char *from = mem_printf("%s/x.part", rig_bucket);
    CLEANUP_FREE char *to = mem_printf("%s/x", rig_bucket);
    assert_int_equal(rename(from, to), 0);
    stale(ino);
    now = open_name(root, "x");
    assert_int_not_equal(now, ino);
    fs_release(rig_vol, ino);
    /* Removed here and replaced by others before the bytes were fetched: gone, not mixed. */
    rig_remove(root, "x", false);
    rig_bucket_put("x.part", "theirs again");
    assert_int_equal(rename(from, to), 0);
    char buf[256];
    assert_int_not_equal(read_all(now, buf), 0);
    fs_release(rig_vol, now);
    rig_settled();
    rig_check_body(root, "x", "theirs again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_removed),
        cmocka_unit_test(test_temporary),
        cmocka_unit_test(test_name_again),
        cmocka_unit_test(test_directory_there),
        cmocka_unit_test(test_renamed_over),
        cmocka_unit_test(test_moved_and_removed),
        cmocka_unit_test(test_left_at_a_crash),
        cmocka_unit_test(test_removed_in_flight),
        cmocka_unit_test(test_replaced_by_others),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
