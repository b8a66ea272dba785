/* What a volume says is not in its bucket, and pushing it there: counts, paths, points in time, and
 * all of that while others change what is counted. Nothing is uploaded by itself here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "fs/fs.h"
#include "fs/status.h"
#include "tests/fault/fault.h"
#include "tests/fs/volume_rig.h"

enum { WRITERS = 3, FILES_EACH = 150 };

static struct fs_mark now(void)
{
    return fs_mark_now(rig_fs);
}

/* What is missing below path of what was there before mark; pushes it. */
static struct fs_flush flush_at(const char *path, struct fs_mark mark)
{
    struct fs_flush flush;

    assert_int_equal(
        fs_flush(rig_vol, path, mark, false, clock_mono_ns() + RIG_WAIT_S * CLOCK_S, &flush), 0);
    fs_flush_clear(&flush);
    return flush;
}

static uint64_t missing_at(const char *path, struct fs_mark mark)
{
    struct fs_flush flush = flush_at(path, mark);

    return flush.files + flush.deletes + flush.drains;
}

static void wait_in(const char *path)
{
    struct fs_mark mark = now();
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;

    while (missing_at(path, mark) > 0) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(2000);
    }
}

/* Waits until what the volume says of itself is what the test waits for. */
static void wait_status(bool (*is)(const struct fs_status *s))
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    bool found = false;

    while (!found) {
        struct fs_status status;
        assert_true(clock_mono_ns() < end);
        fs_get_status(rig_vol, &status);
        found = is(&status);
        fs_status_clear(&status);
        (void)usleep(2000);
    }
}

static void rules(const char *text)
{
    assert_int_equal(fault_rules_set(text), 0);
}

static void test_paths(void **state)
{
    uint64_t root = fs_root(rig_vol), a = rig_make_dir(root, "a"), b = rig_make_dir(root, "b");
    struct fs_flush flush;
    struct fs_status status;

    (void)state;
    wait_in("");
    (void)rig_put(a, "one", "12345");
    (void)rig_put(a, "two", "123");
    (void)rig_put(b, "three", "1");
    fs_get_status(rig_vol, &status);
    assert_int_equal(status.files, 3);
    assert_int_equal(status.bytes, 9);
    assert_false(fs_status_all_in(&status));
    assert_int_equal(status.oldest.count, 3);
    assert_string_equal(status.oldest.file[0].path, "/a/one");
    assert_string_equal(status.oldest.file[2].path, "/b/three");
    assert_int_equal(status.oldest.file[0].size, 5);
    fs_status_clear(&status);
    assert_int_equal(rig_bucket_files("a"), 0);
    wait_in("a/two");
    assert_int_equal(rig_bucket_files("a"), 1);
    wait_in("/a/");
    assert_int_equal(rig_bucket_files("a"), 2);
    assert_int_equal(rig_bucket_files("b"), 0);
    int64_t deadline_ns = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    assert_int_equal(fs_flush(rig_vol, "a/none", now(), false, deadline_ns, &flush), -ENOENT);
    assert_int_equal(fs_flush(rig_vol, "a/one/x", now(), false, deadline_ns, &flush), -ENOTDIR);
    assert_int_equal(fs_flush(rig_vol, "a/../b", now(), false, deadline_ns, &flush), -EINVAL);
    wait_in("");
    assert_int_equal(rig_bucket_files("b"), 1);
    fs_get_status(rig_vol, &status);
    assert_true(fs_status_all_in(&status));
    assert_int_equal(status.uploads_failed, 0);
    fs_status_clear(&status);
}

/* What comes after the mark does not count, and is not pushed. */
static void test_mark(void **state)
{
    uint64_t root = fs_root(rig_vol);
    struct fs_mark before = now();

    (void)state;
    (void)rig_put(root, "later", "x");
    assert_int_equal(missing_at("", before), 0);
    assert_false(rig_bucket_has("later"));
    assert_int_equal(missing_at("", now()), 1);
    wait_in("");
    assert_true(rig_bucket_has("later"));
}

static bool is_uploading(const struct fs_status *s)
{
    return s->uploading == 1 && s->running.count == 1;
}

/* A write during the upload is older than the mark of somebody who asks then: the end of that
 * upload is not the end of his wait. */
static void test_write_during_upload(void **state)
{
    uint64_t root = fs_root(rig_vol), bytes = 0;
    struct fs_status status;

    (void)state;
    (void)rig_put(root, "twice", "first");
    rules("store.put stall");
    assert_int_equal(missing_at("", now()), 1);
    wait_status(is_uploading);
    while (fault_rule_seen(0) == 0) /* its state is frozen when the store gets it */
        (void)usleep(1000);
    (void)rig_put(root, "twice", "second, longer");
    struct fs_mark mark = now();
    rules(NULL);
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    do {
        assert_true(clock_mono_ns() < end);
    } while (missing_at("", mark) > 0);
    fs_get_status(rig_vol, &status);
    assert_true(fs_status_all_in(&status));
    bytes = status.bytes;
    fs_status_clear(&status);
    assert_int_equal(bytes, 0);
    rig_check_body(root, "twice", "second, longer");
    rig_stop(0); /* without time to upload anything more */
    rig_start();
    rig_check_body(fs_root(rig_vol), "twice", "second, longer");
    fs_get_status(rig_vol, &status);
    assert_true(fs_status_all_in(&status));
    fs_status_clear(&status);
}

static bool is_failing(const struct fs_status *s)
{
    return s->failing == 1 && s->failed.count == 1 && s->errors[0].at_ns > 0;
}

static void test_failing(void **state)
{
    uint64_t root = fs_root(rig_vol);
    struct fs_status status;
    struct fs_flush flush;

    (void)state;
    rules("store.put key=bad error=EACCES");
    (void)rig_put(root, "bad", "x");
    (void)missing_at("", now());
    wait_status(is_failing);
    fs_get_status(rig_vol, &status);
    assert_string_equal(status.failed.file[0].path, "/bad");
    assert_int_equal(status.failed.file[0].err, -EACCES);
    assert_string_equal(status.errors[0].what, "upload");
    assert_string_equal(status.errors[0].name, "bad");
    assert_int_equal(status.errors[0].err, -EACCES);
    fs_status_clear(&status);
    assert_int_equal(
        fs_flush(rig_vol, "", now(), true, clock_mono_ns() + RIG_WAIT_S * CLOCK_S, &flush), 0);
    assert_int_equal(flush.failing, 1);
    assert_string_equal(flush.failed.file[0].path, "/bad");
    fs_flush_clear(&flush);
    rules(NULL);
    wait_in("");
    assert_true(rig_bucket_has("bad"));
    fs_get_status(rig_vol, &status);
    assert_int_equal(status.failing, 0);
    assert_true(status.uploads_failed > 0);
    fs_status_clear(&status);
}

/* Deletions and moves: of the path asked for, and not of others. */
static void test_deletes_and_moves(void **state)
{
    uint64_t root = fs_root(rig_vol), c = rig_make_dir(root, "c"), d = rig_make_dir(root, "d");
    struct fs_status status;

    (void)state;
    (void)rig_put(c, "x", "x");
    (void)rig_put(c, "y", "y");
    (void)rig_put(d, "x", "x");
    wait_in("");
    rules("store.delete stall\nstore.copy stall\nstore.list key=c/ stall");
    rig_remove(c, "x", false);
    assert_int_equal(flush_at("d", now()).deletes, 0);
    assert_int_equal(flush_at("c", now()).deletes, 1);
    assert_int_equal(flush_at("", now()).deletes, 1);
    rig_rename(root, "c", root, "e");
    assert_int_equal(flush_at("d", now()).drains, 0);
    assert_int_equal(flush_at("e", now()).drains, 1);
    assert_int_equal(flush_at("e/y", now()).drains, 1); /* it lies in the old place yet */
    fs_get_status(rig_vol, &status);
    assert_int_equal(status.drains, 1);
    assert_int_equal(status.drain_count, 1);
    assert_string_equal(status.drain[0].path, "/e/");
    assert_string_equal(status.drain[0].from, "/c/");
    fs_status_clear(&status);
    rules(NULL);
    wait_in("");
    wait_in(""); /* what the end of the move left */
    assert_int_equal(rig_bucket_files("e"), 1);
    assert_false(rig_bucket_has("c/y"));
}

/* What NFS clients make of open files that are removed stays here, and is not missing. */
static void test_silly(void **state)
{
    uint64_t root = fs_root(rig_vol);
    struct fs_status status;

    (void)state;
    (void)rig_put(root, "open", "x");
    wait_in("");
    rig_rename(root, "open", root, ".nfs01");
    fs_get_status(rig_vol, &status);
    assert_int_equal(status.local, 1);
    assert_true(fs_status_all_in(&status));
    fs_status_clear(&status);
    assert_int_equal(missing_at("", now()), 0);
    rig_remove(root, ".nfs01", false);
    wait_in("");
    assert_false(rig_bucket_has("open"));
}

static atomic_uint writers_left;

static void *write_main(void *arg)
{
    uint64_t dir = *(uint64_t *)arg;
    char name[32];

    for (unsigned i = 0; i < FILES_EACH; i++) {
        (void)snprintf(name, sizeof(name), "f%u", i);
        (void)rig_put(dir, name, "some bytes");
        if (i % 3 == 2)
            rig_remove(dir, name, false);
    }
    atomic_fetch_sub(&writers_left, 1);
    return NULL;
}

/* Walks over lists that others change under them. */
static void test_busy(void **state)
{
    static const char *const names[WRITERS] = {"w0", "w1", "w2"};
    pthread_t threads[WRITERS];
    uint64_t dirs[WRITERS], rounds = 0;
    struct fs_status status;

    (void)state;
    atomic_store(&writers_left, WRITERS);
    for (unsigned i = 0; i < WRITERS; i++)
        dirs[i] = rig_make_dir(fs_root(rig_vol), names[i]);
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(thread_start(&threads[i], "write", write_main, &dirs[i]), 0);
    while (atomic_load(&writers_left) > 0) {
        fs_get_status(rig_vol, &status);
        assert_true(status.oldest.count <= FS_STATUS_FILES_MAX);
        assert_true(status.files >= status.oldest.count);
        for (size_t i = 1; i < status.oldest.count; i++)
            assert_true(status.oldest.file[i - 1].age_ns >= status.oldest.file[i].age_ns);
        fs_status_clear(&status);
        (void)flush_at(names[rounds++ % WRITERS], now());
    }
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    wait_in("");
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(rig_bucket_files(names[i]), FILES_EACH - FILES_EACH / 3);
    fs_get_status(rig_vol, &status);
    assert_true(fs_status_all_in(&status));
    fs_status_clear(&status);
}

static int setup(void **state)
{
    rig_quiet_ns = 3600 * CLOCK_S;
    return rig_setup(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_write_during_upload),
        cmocka_unit_test(test_failing),
        cmocka_unit_test(test_deletes_and_moves),
        cmocka_unit_test(test_silly),
        cmocka_unit_test(test_busy),
    };
    return cmocka_run_group_tests(tests, setup, rig_teardown);
}
