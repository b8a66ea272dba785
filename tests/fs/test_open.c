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
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fs/status.h"
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

/* What can be done is done; what waits for the file that is open is not missing. */
static void until_all_in(uint64_t local)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    struct fs_status status;
    bool in;

    do {
        assert_true(clock_mono_ns() < end);
        (void)usleep(10 * 1000);
        fs_get_status(rig_vol, &status);
        in = fs_status_all_in(&status);
        assert_int_equal(status.local, local);
        fs_status_clear(&status);
    } while (!in);
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
    until_all_in(1);
    rig_settled();
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

/* Its object goes some time later, also while it stays open. */
static void test_open_for_long(void **state)
{
    uint64_t root = fs_root(rig_vol), ino;
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;

    (void)state;
    (void)rig_put(root, "l", "body of l");
    again();
    ino = open_name(root, "l");
    rig_remove(root, "l", false);
    while (rig_bucket_has("l")) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(50 * 1000);
    }
    use_without_name(ino, "body of l");
    fs_release(rig_vol, ino);
    stale(ino);
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

/* The same, but ours was written to: it goes on under the name of a conflict. */
static void test_replaced_while_written(void **state)
{
    CLEANUP_FREE char *from = mem_printf("%s/.part", rig_bucket);
    CLEANUP_FREE char *to = mem_printf("%s/w", rig_bucket);
    uint64_t root = fs_root(rig_vol), ino;
    size_t names = rig_list(root);

    (void)state;
    (void)rig_put(root, "w", "ours");
    rig_settled();
    ino = open_name(root, "w");
    write_at(ino, 0, "ours and more", FS_UNSTABLE); /* what lay in theirs would be lost */
    rig_bucket_put(".part", "theirs");
    assert_int_equal(rename(from, to), 0);
    has(ino, "ours and more");
    (void)sync_to(ino, FS_TO_STORE);
    rig_settled();
    has(ino, "ours and more");
    assert_int_equal(attr(ino).nlink, 1);
    rig_check_body(root, "w", "theirs");
    assert_int_equal(rig_list(root), names + 2);
    fs_release(rig_vol, ino);
    has(ino, "ours and more");
}

/* Whoever did not close it before the end does not keep its object from going. */
static void test_open_at_the_end(void **state)
{
    uint64_t root = fs_root(rig_vol);

    (void)state;
    (void)rig_put(root, "e", "body of e");
    again();
    (void)open_name(root, "e");
    rig_remove(root, "e", false);
    rig_stop(RIG_WAIT_S * CLOCK_S);
    assert_false(rig_bucket_has("e"));
    rig_start();
}

/* --- who is told what --- */

enum { HEARD_MAX = 256 };
static struct heard {
    void *ctx;
    uint64_t ino;
    char name[32];
} heard[HEARD_MAX];
static size_t heard_count;
static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER;

static void listen_to(void *ctx, void *req_ctx, struct fs_volume *vol, uint64_t ino,
                      const char *name)
{
    assert_ptr_equal(ctx, heard);
    assert_ptr_equal(vol, rig_vol);
    (void)pthread_mutex_lock(&heard_lock);
    assert_true(heard_count < HEARD_MAX);
    heard[heard_count] = (struct heard){.ctx = req_ctx, .ino = ino};
    (void)snprintf(heard[heard_count++].name, sizeof(heard[0].name), "%s", name ? name : "");
    (void)pthread_mutex_unlock(&heard_lock);
}

/* True if that was said since the last call that found something; then all of it is forgotten. */
static bool was_told(void *ctx, uint64_t ino, const char *name)
{
    bool found = false;

    (void)pthread_mutex_lock(&heard_lock);
    for (size_t i = 0; i < heard_count; i++)
        found = found ||
                (heard[i].ctx == ctx && heard[i].ino == ino && strcmp(heard[i].name, name) == 0);
    if (found)
        heard_count = 0;
    (void)pthread_mutex_unlock(&heard_lock);
    return found;
}

static uint64_t version(uint64_t ino)
{
    struct fs_req req = rig_request();
    struct fs_open got;

    assert_int_equal(fs_open(rig_vol, &req, ino, FS_ACCESS_READ, &got), 0);
    fs_release(rig_vol, ino);
    return got.version;
}

static void change_as(void *ctx, uint32_t flags, uint64_t ino)
{
    char text[] = "changed";
    struct iovec iov = {.iov_base = text, .iov_len = 7};
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    req.ctx = ctx;
    req.flags = flags;
    assert_int_equal(fs_write(rig_vol, &req, ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
    rig_durable(&req);
}

static void test_told_of_our_own(void **state)
{
    uint64_t root = fs_root(rig_vol), ino = rig_put(root, "i", "body"), before;
    struct fs_sattr set = {.set = FS_SET_MODE, .mode = 0600};
    struct fs_req req = rig_request();
    struct fs_wcc wcc, wcc2;
    struct fs_node node;

    (void)state;
    fs_on_invalid(rig_fs, listen_to, heard);
    before = version(ino);
    assert_int_equal(version(ino), before);
    change_as(&req, FS_CHECKED, ino); /* through a kernel here: its pages are right */
    assert_true(was_told(&req, ino, ""));
    assert_int_equal(version(ino), before);
    change_as(&wcc, 0, ino);
    assert_true(was_told(&wcc, ino, ""));
    assert_int_not_equal(version(ino), before);
    before = version(ino);
    req.ctx = &set;
    assert_int_equal(fs_setattr(rig_vol, &req, ino, &set, NULL, &wcc), 0);
    assert_true(was_told(&set, ino, ""));
    assert_int_equal(version(ino), before); /* its content is as it was */
    truncate_to(ino, 2);
    assert_true(was_told(NULL, ino, ""));
    assert_int_not_equal(version(ino), before);
    before = version(ino);
    rig_settled(); /* its upload is no change */
    assert_int_equal(version(ino), before);
    req = rig_request();
    req.ctx = &set;
    assert_int_equal(
        fs_create(rig_vol, &req, root, "i2", FS_CREATE_GUARDED, NULL, NULL, &node, &wcc), 0);
    assert_true(was_told(&set, root, "i2"));
    assert_int_equal(fs_rename(rig_vol, &req, root, "i2", root, "i3", &wcc, &wcc2), 0);
    assert_true(was_told(&set, root, "i2"));
    assert_int_equal(fs_rename(rig_vol, &req, root, "i3", root, "i2", &wcc, &wcc2), 0);
    assert_true(was_told(&set, root, "i2"));
    assert_int_equal(fs_remove(rig_vol, &req, root, "i2", &wcc), 0);
    assert_true(was_told(&set, root, "i2"));
    assert_int_equal(fs_mkdir(rig_vol, &req, root, "i4", &set, &node, &wcc), 0);
    assert_true(was_told(&set, root, "")); /* the directory has other times */
    rig_settled();
}

static void test_told_of_others(void **state)
{
    CLEANUP_FREE char *from = mem_printf("%s/.part", rig_bucket);
    CLEANUP_FREE char *to = mem_printf("%s/j", rig_bucket);
    uint64_t root = fs_root(rig_vol), ino = rig_put(root, "j", "ours"), now;

    (void)state;
    again();
    fs_on_invalid(rig_fs, listen_to, heard);
    assert_int_equal(rig_look(root, "j", &ino), 0);
    heard_count = 0;
    rig_bucket_put(".part", "of others");
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(rig_look(root, "j", &now), 0);
    assert_int_not_equal(now, ino);
    assert_true(heard_count > 0 && heard[0].ino == ino && heard[0].ctx == NULL);
    assert_true(was_told(NULL, root, "j"));
    assert_int_equal(unlink(to), 0);
    assert_int_equal(rig_look(root, "j", NULL), -ENOENT);
    assert_true(was_told(NULL, root, "j"));
    /* What nobody asked for is not told; what somebody was told is not there is. */
    rig_bucket_put("j", "back");
    rig_bucket_put("j2", "new");
    (void)rig_list(root);
    assert_true(was_told(NULL, root, "j"));
    rig_bucket_put("j3", "new");
    (void)rig_list(root);
    assert_true(was_told(NULL, root, ""));
    assert_false(was_told(NULL, root, "j3"));
}

/* For how long answers may be believed. */
static void test_validity(void **state)
{
    uint64_t root, dir;
    struct fs_node node, dir_node;
    struct fs_req req;

    (void)state;
    rig_settled();
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_attr_ttl_ns = 1000 * CLOCK_S;
    rig_start();
    root = fs_root(rig_vol);
    dir = rig_make_dir(root, "v");
    (void)rig_put(dir, "f", "body");
    req = rig_request();
    assert_int_equal(fs_lookup(rig_vol, &req, dir, "f", &node, &dir_node), 0);
    assert_int_equal(node.valid_ns, rig_attr_ttl_ns); /* ahead of the store */
    rig_settled();
    (void)usleep(10 * 1000);
    req = rig_request();
    assert_int_equal(fs_lookup(rig_vol, &req, dir, "f", &node, &dir_node), 0);
    assert_in_range(node.valid_ns, 1, rig_attr_ttl_ns - 5 * CLOCK_MS);
    assert_in_range(dir_node.valid_ns, 1, rig_attr_ttl_ns);
    req = rig_request();
    assert_int_equal(fs_lookup(rig_vol, &req, dir, "none", &node, &dir_node), -ENOENT);
    assert_in_range(node.valid_ns, 1, rig_attr_ttl_ns);
    assert_false(node.attr_valid);
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_attr_ttl_ns = 0;
    rig_start();
    req = rig_request();
    assert_int_equal(fs_lookup(rig_vol, &req, dir, "f", &node, &dir_node), 0);
    assert_int_equal(node.valid_ns, 0);
    req = rig_request();
    assert_int_equal(fs_lookup(rig_vol, &req, dir, "none", &node, &dir_node), -ENOENT);
    assert_int_equal(node.valid_ns, 0);
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
        cmocka_unit_test(test_open_for_long),
        cmocka_unit_test(test_left_at_a_crash),
        cmocka_unit_test(test_removed_in_flight),
        cmocka_unit_test(test_replaced_by_others),
        cmocka_unit_test(test_replaced_while_written),
        cmocka_unit_test(test_open_at_the_end),
        cmocka_unit_test(test_told_of_our_own),
        cmocka_unit_test(test_told_of_others),
        cmocka_unit_test(test_validity),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
