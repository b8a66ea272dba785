/* copy_file_range: whole objects are copied by the store, in one piece for who asks in many; all
 * else by bytes; what goes wrong in between, and crashes, lose nothing and leave nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/fault.h"
#include "tests/fs/volume_rig.h"

enum { SIZE = 3 << 20 };

static char body[SIZE];

static uint64_t calls(enum fault_point point)
{
    return fault_counts()[point].calls;
}

static uint64_t make(const char *name)
{
    return rig_put(fs_root(rig_vol), name, "");
}

static void put(uint64_t ino, uint64_t off, const char *data, size_t len)
{
    struct fs_wcc wcc;

    for (size_t at = 0; at < len; at += FS_IO_MAX) {
        struct iovec iov = {.iov_base = (char *)(uintptr_t)data + at,
                            .iov_len = len - at < FS_IO_MAX ? len - at : FS_IO_MAX};
        struct fs_req req = rig_request();
        assert_int_equal(fs_write(rig_vol, &req, ino, off + at, &iov, 1, FS_UNSTABLE, &wcc), 0);
    }
}

static void commit(uint64_t ino)
{
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    assert_int_equal(fs_commit(rig_vol, &req, ino, 0, 0, &wcc), 0);
    rig_durable(&req);
}

/* A clean file of SIZE bytes. */
static uint64_t make_source(const char *name)
{
    uint64_t ino = make(name);

    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)(i * 31 + i / 251 + (size_t)name[0]);
    put(ino, 0, body, SIZE);
    commit(ino);
    rig_settled();
    return ino;
}

/* What it gives, or a negative errno. */
static int64_t copy(uint64_t from, uint64_t from_off, uint64_t to, uint64_t to_off, uint64_t len)
{
    struct fs_req req = rig_request();
    uint64_t done = 0;
    int err = fs_copy_range(rig_vol, &req, from, from_off, to, to_off, len, &done);

    return err ? err : (int64_t)done;
}

static uint64_t size_of(uint64_t ino)
{
    struct fs_req req = rig_request();
    struct fs_attr attr;

    assert_int_equal(fs_getattr(rig_vol, &req, ino, &attr), 0);
    return attr.size;
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

/* No byte goes through us, whatever the target was before, if it is empty. */
static void test_whole(void **state)
{
    uint64_t root = fs_root(rig_vol), from = make_source("whole"), to = make("whole2"), again;
    uint64_t gets = calls(FAULT_STORE_GET), puts;

    (void)state;
    assert_int_equal(copy(from, 0, to, 0, UINT64_MAX / 2), SIZE);
    assert_true(rig_bucket_has("whole2")); /* already */
    commit(to);
    puts = calls(FAULT_STORE_PUT);
    rig_settled();
    assert_int_equal(calls(FAULT_STORE_PUT), puts);
    assert_int_equal(calls(FAULT_STORE_GET), gets);
    check_bytes(to, body, SIZE);
    check_bytes(from, body, SIZE);
    assert_int_equal(rig_look(root, "whole2", &again), 0);
    assert_int_equal(again, to);
    /* Over one that was cut to nothing, and one whose empty object is there. */
    struct fs_req req = rig_request();
    struct fs_sattr set = {.set = FS_SET_SIZE, .size = 0};
    struct fs_wcc wcc;
    assert_int_equal(fs_setattr(rig_vol, &req, to, &set, NULL, &wcc), 0);
    assert_int_equal(copy(from, 0, to, 0, SIZE), SIZE);
    rig_settled();
    check_bytes(to, body, SIZE);
    to = make("whole3");
    rig_settled();
    uint64_t copies = calls(FAULT_STORE_COPY);
    assert_int_equal(copy(from, 0, to, 0, SIZE), SIZE);
    assert_int_equal(calls(FAULT_STORE_COPY), copies + 1);
    rig_remove(root, "whole", false); /* they are not one file */
    rig_settled();
    check_bytes(to, body, SIZE);
    check_bucket("whole3", body, SIZE);
}

/* It has its own attributes, not the source's. */
static void test_attributes(void **state)
{
    uint64_t from = make_source("attr"), to = make("attr2");
    struct fs_sattr mode = {.set = FS_SET_MODE, .mode = 0600};
    struct fs_req req = rig_request();
    struct fs_attr attr;
    struct fs_wcc wcc;
    size_t len;

    (void)state;
    assert_int_equal(fs_setattr(rig_vol, &req, to, &mode, NULL, &wcc), 0);
    req = rig_request();
    assert_int_equal(fs_setxattr(rig_vol, &req, from, "user.from", "1", 1, 0), 0);
    req = rig_request();
    assert_int_equal(fs_setxattr(rig_vol, &req, to, "user.to", "1", 1, 0), 0);
    assert_int_equal(copy(from, 0, to, 0, SIZE), SIZE);
    rig_settled();
    rig_stop(0);
    rig_start();
    req = rig_request();
    assert_int_equal(fs_getattr(rig_vol, &req, to, &attr), 0);
    assert_int_equal(attr.mode, 0600);
    req = rig_request();
    assert_int_equal(fs_getxattr(rig_vol, &req, to, "user.to", NULL, 0, &len), 0);
    req = rig_request();
    assert_int_equal(fs_getxattr(rig_vol, &req, to, "user.from", NULL, 0, &len), -ENODATA);
}

/* A large file comes in several calls: the first does it all, the others show more of it. */
static void test_in_calls(void **state)
{
    uint64_t from = make_source("calls"), to = make("calls2"), off = 0;
    uint64_t copies = calls(FAULT_STORE_COPY), gets = calls(FAULT_STORE_GET);

    (void)state;
    for (int64_t n; (n = copy(from, off, to, off, 1 << 20)) != 0; off += (uint64_t)n) {
        assert_int_equal(n, 1 << 20);
        assert_int_equal(size_of(to), off + (1 << 20));
    }
    assert_int_equal(off, SIZE);
    commit(to);
    rig_settled();
    assert_int_equal(calls(FAULT_STORE_COPY), copies + 1);
    assert_int_equal(calls(FAULT_STORE_GET), gets);
    check_bytes(to, body, SIZE);
    /* Only a part of it was wanted. */
    to = make("calls3");
    assert_int_equal(copy(from, 0, to, 0, 1 << 20), 1 << 20);
    check_bytes(to, body, 1 << 20);
    commit(to);
    rig_settled();
    check_bytes(to, body, 1 << 20);
    check_bucket("calls3", body, 1 << 20);
    /* After that the rest goes by bytes. */
    assert_int_equal(copy(from, 1 << 20, to, 1 << 20, SIZE), SIZE - (1 << 20));
    check_bytes(to, body, SIZE);
    commit(to);
    rig_settled();
    check_bucket("calls3", body, SIZE);
}

static void test_by_bytes(void **state)
{
    uint64_t root = fs_root(rig_vol), from = make_source("bytes"), to = make("bytes2");
    CLEANUP_FREE char *want = mem_zalloc(SIZE + 100);

    (void)state;
    put(to, 0, "0123456789", 10);
    assert_int_equal(copy(from, 5, to, 2, 4), 4);
    memcpy(want, "0123456789", 10);
    memcpy(want + 2, body + 5, 4);
    check_bytes(to, want, 10);
    assert_int_equal(copy(from, SIZE - 10, to, 50, 100), 10); /* not more than there is */
    memcpy(want + 50, body + SIZE - 10, 10);
    check_bytes(to, want, 60);
    assert_int_equal(copy(from, SIZE, to, 0, 100), 0);
    assert_int_equal(copy(to, 0, to, 100, 60), 60); /* within one file */
    memcpy(want + 100, want, 60);
    check_bytes(to, want, 160);
    assert_int_equal(copy(to, 0, to, 100, 120), -EINVAL); /* over itself */
    commit(to);
    /* A source that is not in the bucket as it is. */
    put(from, 7, "dirty", 5);
    commit(from);
    memcpy(want, body, SIZE);
    memcpy(want + 7, "dirty", 5);
    to = make("bytes3");
    assert_int_equal(copy(from, 0, to, 0, SIZE), SIZE);
    check_bytes(to, want, SIZE);
    commit(to);
    rig_settled();
    check_bucket("bytes3", want, SIZE);
    assert_int_equal(copy(root, 0, to, 0, 1), -EISDIR);
    assert_int_equal(copy(from, 0, root, 0, 1), -EISDIR);
    struct fs_req req = rig_request();
    uint64_t done;
    req.cred.uid = 4711;
    assert_int_equal(fs_copy_range(rig_vol, &req, from, 0, to, 0, SIZE, &done), -EACCES);
}

/* The store refuses, or does not say: the bytes are copied all the same. */
static void test_store_fails(void **state)
{
    static const char *const rules[] = {
        "store.copy nth=1 error=EACCES", "store.copy nth=1 error=EIO",
        "store.copy nth=1 error=EAGAIN", "store.copy nth=1 lose", "store.copy nth=1 error=ESTALE"};
    uint64_t from = make_source("fails");

    (void)state;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        CLEANUP_FREE char *name = mem_printf("fails%zu", i);
        uint64_t to = make(name);
        assert_int_equal(fault_rules_set(rules[i]), 0);
        assert_int_equal(copy(from, 0, to, 0, SIZE), SIZE);
        assert_int_equal(fault_rule_hits(0), 1);
        check_bytes(to, body, SIZE);
        commit(to);
        rig_settled();
        assert_int_equal(fault_rules_set(NULL), 0);
        check_bytes(to, body, SIZE);
        check_bucket(name, body, SIZE);
    }
    assert_int_equal(rig_list(fs_root(rig_vol)), rig_bucket_files(""));
}

/* Somebody else changed the source, or took the target's name. */
static void test_others(void **state)
{
    uint64_t root = fs_root(rig_vol), from, to;

    (void)state;
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_attr_ttl_ns = 3600 * CLOCK_S;
    rig_start();
    from = make_source("theirs");
    to = make("theirs2");
    rig_bucket_put("theirs", "something else");
    /* What is in the cache may still be copied, as it may be read. */
    int64_t n = copy(from, 0, to, 0, SIZE);
    assert_true(n == SIZE || n == -ESTALE || n == -EIO);
    if (n == SIZE)
        check_bytes(to, body, SIZE);
    rig_remove(root, "theirs2", false);
    from = make_source("mine");
    to = make("mine2");
    rig_bucket_put("mine2", "theirs");
    assert_int_equal(copy(from, 0, to, 0, SIZE), SIZE);
    check_bytes(to, body, SIZE); /* under which name, is seen at the upload */
    commit(to);
    rig_settled();
    check_bucket("mine2", "theirs", 6);
    check_bytes(to, body, SIZE);
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_attr_ttl_ns = 0;
    rig_start();
}

/* The object is there, and known to be ours, but nobody was told: whoever makes the file longer
 * sees none of it. */
static void check_nothing_shows(uint64_t ino)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    struct fs_sattr set = {.set = FS_SET_SIZE, .size = 100};
    struct fs_req req = rig_request();
    struct fs_wcc wcc;
    char zeros[100] = {0};

    while (fault_rule_hits(0) == 0) { /* its upload, which has asked for the object before */
        assert_true(clock_mono_ns() < end);
        (void)usleep(1000);
    }
    assert_int_equal(fs_setattr(rig_vol, &req, ino, &set, NULL, &wcc), 0);
    check_bytes(ino, zeros, sizeof(zeros));
    set.size = 0;
    req = rig_request();
    assert_int_equal(fs_setattr(rig_vol, &req, ino, &set, NULL, &wcc), 0);
    assert_int_equal(fault_rules_set(NULL), 0);
}

/* Killed before the store has made it, after, and when it is said to be done. */
static void test_killed(void **state)
{
    static const char *const rules[] = {"store.copy kill", "store.copy kill_after", ""};
    uint64_t root = fs_root(rig_vol), from = make_source("killed"), to[3];
    int status;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        CLEANUP_FREE char *name = mem_printf("killed%zu", i);
        to[i] = make(name);
        rig_settled();
        rig_stop(RIG_WAIT_S * CLOCK_S);
        pid_t pid = fork();
        if (pid == 0) {
            rig_start();
            (void)fault_rules_set(rules[i]);
            (void)copy(from, 0, to[i], 0, SIZE);
            commit(to[i]);
            fault_kill();
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(fault_rules_set(i == 1 ? "store.put key=killed1 stall" : NULL), 0);
        rig_start();
        if (i == 1)
            check_nothing_shows(to[i]);
        if (i == 2)
            check_bytes(to[i], body, SIZE);
        else
            assert_int_equal(size_of(to[i]), 0);
        rig_settled();
        check_bucket(name, body, i == 2 ? SIZE : 0);
        check_bytes(to[i], body, i == 2 ? SIZE : 0);
        assert_int_equal(copy(from, 0, to[i], 0, SIZE), SIZE);
        commit(to[i]);
        rig_settled();
        check_bucket(name, body, SIZE);
    }
    assert_int_equal(rig_list(root), rig_bucket_files(""));
}

/* What somebody else does to the target while the store copies. */
static void during_write(uint64_t to)
{
    put(to, 100, "meanwhile", 9);
}

static void during_rename(uint64_t to)
{
    (void)to;
    rig_rename(fs_root(rig_vol), "during", fs_root(rig_vol), "during-moved");
}

static void during_chmod(uint64_t to)
{
    struct fs_sattr mode = {.set = FS_SET_MODE, .mode = 0640};
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    assert_int_equal(fs_setattr(rig_vol, &req, to, &mode, NULL, &wcc), 0);
}

static void during_remove(uint64_t to)
{
    (void)to;
    rig_remove(fs_root(rig_vol), "during", false);
}

static uint64_t during_from, during_to;

static void *during_copy(void *ret)
{
    *(int64_t *)ret = copy(during_from, 0, during_to, 0, SIZE);
    return NULL;
}

static int64_t run_during(void (*fn)(uint64_t to))
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S, ret = 0;
    pthread_t thread;

    during_to = make("during");
    assert_int_equal(fault_rules_set("store.copy key=during stall"), 0);
    assert_int_equal(pthread_create(&thread, NULL, during_copy, &ret), 0);
    while (fault_rule_hits(0) == 0) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(1000);
    }
    fn(during_to);
    assert_int_equal(fault_rules_set(NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return ret;
}

static void test_during(void **state)
{
    uint64_t root = fs_root(rig_vol), ino;

    (void)state;
    during_from = make_source("source");
    assert_int_equal(run_during(during_write), SIZE);
    check_bytes(during_to, body, SIZE); /* the copy came last */
    commit(during_to);
    rig_settled();
    check_bucket("during", body, SIZE);
    rig_remove(root, "during", false);
    assert_int_equal(run_during(during_rename), SIZE);
    rig_settled();
    assert_false(rig_bucket_has("during"));
    check_bucket("during-moved", body, SIZE);
    assert_int_equal(run_during(during_chmod), SIZE);
    rig_settled();
    check_bucket("during", body, SIZE);
    rig_remove(root, "during", false);
    rig_settled();
    (void)run_during(during_remove);
    rig_settled();
    assert_false(rig_bucket_has("during"));
    assert_int_equal(rig_look(root, "during", &ino), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),       cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_in_calls),    cmocka_unit_test(test_by_bytes),
        cmocka_unit_test(test_store_fails), cmocka_unit_test(test_others),
        cmocka_unit_test(test_killed),      cmocka_unit_test(test_during),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
