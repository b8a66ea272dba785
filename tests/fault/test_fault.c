/* The faults themselves: each does what its rule says, to the calls it is meant for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/fault.h"

static char top[] = "/tmp/pailfs-test-fault-XXXXXX";
static struct store *store;

static void remove_tree(void)
{
    CLEANUP_FREE char *command = mem_printf("rm -rf '%s'", top);

    (void)!system(command); /* NOLINT(concurrency-mt-unsafe,cert-env33-c): a test's own directory */
}

static struct store_req request(enum store_op op, const char *key)
{
    return (struct store_req){
        .op = op, .key = key, .deadline_ns = clock_mono_ns() + 20 * CLOCK_S, .prefix = ""};
}

static int put(const char *key, const char *body)
{
    struct store_req req = request(STORE_PUT, key);

    req.buf = (void *)(uintptr_t)body;
    req.buf_len = strlen(body);
    req.if_none_match = true;
    int err = store_call(store, &req);
    store_req_clear(&req);
    return err;
}

static int head(const char *key)
{
    struct store_req req = request(STORE_HEAD, key);
    int err = store_call(store, &req);

    store_req_clear(&req);
    return err;
}

static int kill_status[2];

/* A process that is killed at its PUT: how it ended. Only while there are no threads here. */
static int run_killed(const char *url, const char *key, const char *rule)
{
    struct store_config config = {0};
    struct store_error error;
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        if (store_open(url, &config, &store, &error) == 0 && fault_rules_set(rule) == 0)
            (void)put(key, "x");
        _exit(1);
    }
    (void)waitpid(child, &status, 0);
    return status;
}

static int setup(void **state)
{
    struct store_error error;
    struct store_config config = {0};

    (void)state;
    if (!mkdtemp(top))
        return -1;
    CLEANUP_FREE char *bucket = mem_printf("%s/bucket", top);
    CLEANUP_FREE char *url = mem_printf("file://%s", bucket);
    CLEANUP_FREE char *stage = mem_printf("%s/state/stage", top);
    CLEANUP_FREE char *state_dir = mem_printf("%s/state", top);
    if (mkdir(bucket, 0755) || mkdir(state_dir, 0755) || mkdir(stage, 0755))
        return -1;
    for (int after = 0; after < 2; after++)
        kill_status[after] = run_killed(url, after ? "after" : "before",
                                        after ? "store.put kill_after" : "store.put kill");
    return store_open(url, &config, &store, &error);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    remove_tree();
    return 0;
}

static void test_nth(void **state)
{
    (void)state;
    assert_int_equal(fault_rules_set("store.put key=a* nth=2 error=EACCES\nstore.get error=EIO"),
                     0);
    assert_int_equal(put("a1", "x"), 0);
    assert_int_equal(put("b1", "x"), 0);
    assert_int_equal(put("a2", "x"), -EACCES);
    assert_int_equal(head("a2"), -ENOENT);
    assert_int_equal(put("a2", "x"), 0);
    assert_int_equal(fault_rule_seen(0), 3);
    assert_int_equal(fault_rule_hits(0), 1);
}

static void test_range(void **state)
{
    (void)state;
    assert_int_equal(fault_rules_set("store.* from=2 count=2 error=EIO # a comment"), 0);
    assert_int_equal(head("none"), -ENOENT);
    assert_int_equal(head("none"), -EIO);
    assert_int_equal(head("none"), -EIO);
    assert_int_equal(head("none"), -ENOENT);
}

/* The same seed strikes the same calls. */
static void test_chance(void **state)
{
    uint64_t first = 0, second = 0;

    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fault_rules_set("store.head p=0.3 seed=5 error=EIO"), 0);
        for (int i = 0; i < 60; i++)
            *(round ? &second : &first) |= (uint64_t)(head("none") == -EIO) << i;
    }
    assert_int_equal(first, second);
    assert_true(first != 0 && first != (UINT64_C(1) << 60) - 1);
}

static void test_lose(void **state)
{
    (void)state;
    assert_int_equal(fault_rules_set("store.put lose"), 0);
    assert_int_equal(put("lost", "x"), -EAGAIN);
    assert_int_equal(head("lost"), 0);
}

/* The second PUT finds the object of the first: its result is not the one that is told. */
static void test_twice(void **state)
{
    (void)state;
    assert_int_equal(fault_rules_set("store.put twice"), 0);
    assert_int_equal(put("two", "x"), 0);
    assert_int_equal(head("two"), 0);
}

static void test_cut(void **state)
{
    struct store_req req = request(STORE_GET, "long");
    char buf[10];

    (void)state;
    assert_int_equal(fault_rules_set("store.get cut"), 0);
    assert_int_equal(put("long", "0123456789"), 0);
    req.buf = buf;
    req.range_len = sizeof(buf);
    assert_int_equal(store_call(store, &req), 0);
    assert_int_equal(req.got, 5);
    store_req_clear(&req);
}

static void test_deletes(void **state)
{
    struct store_delete keys[3] = {{.key = "d/1"}, {.key = "e/2"}, {.key = "d/3"}};
    struct store_req req = request(STORE_DELETE, NULL);

    (void)state;
    assert_int_equal(put("d/1", "x") | put("e/2", "x") | put("d/3", "x"), 0);
    assert_int_equal(fault_rules_set("store.delete key=d/* nth=2 error=EACCES"), 0);
    req.deletes = keys;
    req.delete_count = 3;
    assert_int_equal(store_call(store, &req), 0);
    assert_int_equal(keys[0].err, 0);
    assert_int_equal(keys[1].err, 0);
    assert_int_equal(keys[2].err, -EACCES);
    store_req_clear(&req);
    assert_int_equal(head("d/1"), -ENOENT);
    assert_int_equal(head("d/3"), 0);
    assert_int_equal(fault_rules_set("store.delete nth=1 lose"), 0);
    assert_int_equal(store_call(store, &req), 0);
    assert_int_equal(keys[0].err, -EAGAIN);
    assert_int_equal(head("d/3"), -ENOENT);
}

static void count_down(struct store_req *req)
{
    atomic_fetch_sub((_Atomic int *)req->ctx, 1);
}

/* Delayed requests wait side by side, and stalled ones go on when the fault is gone. */
static void test_delay_and_stall(void **state)
{
    struct store_req reqs[8];
    _Atomic int left = 8;
    int64_t began = clock_mono_ns();

    (void)state;
    fault_counts_reset();
    assert_int_equal(fault_rules_set("store.head delay=100ms"), 0);
    for (int i = 0; i < 8; i++) {
        reqs[i] = request(STORE_HEAD, "none");
        reqs[i].done = count_down;
        reqs[i].ctx = &left;
        store_submit(store, &reqs[i]);
    }
    while (atomic_load(&left) > 0)
        (void)usleep(1000);
    assert_true(clock_mono_ns() - began >= 100 * CLOCK_MS);
    assert_int_equal(fault_counts()[FAULT_STORE_HEAD].calls, 8);
    assert_int_equal(fault_counts()[FAULT_STORE_HEAD].in_flight, 0);
    assert_int_equal(fault_counts()[FAULT_STORE_HEAD].in_flight_max, 8);

    atomic_store(&left, 1);
    assert_int_equal(fault_rules_set("store.head stall"), 0);
    store_submit(store, &reqs[0]);
    assert_int_equal(fault_counts()[FAULT_STORE_HEAD].in_flight, 1);
    assert_int_equal(fault_rules_set(NULL), 0);
    while (atomic_load(&left) > 0)
        (void)usleep(1000);
    assert_int_equal(reqs[0].err, -ENOENT);
    for (int i = 0; i < 8; i++)
        store_req_clear(&reqs[i]);
}

static void test_caps(void **state)
{
    struct store_caps caps;

    (void)state;
    assert_int_equal(fault_rules_set("caps cond_put=0 delete_max=7"), 0);
    store_get_caps(store, &caps);
    assert_false(caps.cond_put);
    assert_int_equal(caps.delete_max, 7);
    assert_int_equal(fault_rules_set("store.nothing error=EIO"), -EINVAL);
    assert_int_equal(fault_rules_set("store.put eror=EIO"), -EINVAL);
}

/* ---- files ---- */

static int sql(sqlite3 *db, const char *text)
{
    return sqlite3_exec(db, text, NULL, NULL, NULL);
}

static void test_sqlite(void **state)
{
    CLEANUP_FREE char *path = mem_printf("%s/state/pailfs.db", top);
    sqlite3 *db;

    (void)state;
    assert_int_equal(fault_rules_set(NULL), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sql(db, "PRAGMA journal_mode = WAL; CREATE TABLE t (x)"), SQLITE_OK);
    assert_int_equal(fault_rules_set("db.write nth=1 error=ENOSPC"), 0);
    assert_int_equal(sql(db, "INSERT INTO t VALUES (1)"), SQLITE_FULL);
    assert_int_equal(fault_rules_set("db.sync nth=1 error=EIO"), 0);
    assert_int_not_equal(sql(db, "PRAGMA synchronous = FULL; INSERT INTO t VALUES (1)"), SQLITE_OK);
    assert_int_equal(fault_rules_set("db.write nth=1 cut"), 0); /* it writes the rest by itself */
    assert_int_equal(sql(db, "INSERT INTO t VALUES (1)"), SQLITE_OK);
    assert_int_equal(fault_rule_hits(0), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_stage_files(void **state)
{
    CLEANUP_FREE char *path = mem_printf("%s/state", top);
    char bytes[] = "abcdefgh";
    struct iovec iov[2] = {{bytes, 4}, {bytes + 4, 4}};

    (void)state;
    CLEANUP_CLOSE int parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int dir = openat(parent, "stage", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int fd = openat(dir, "1.seg", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CLEANUP_CLOSE int other = openat(parent, "other", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && other >= 0);
    assert_int_equal(
        fault_rules_set("stage.write from=2 cut error=ENOSPC\nstage.sync nth=2 error=EIO\n"
                        "stage.unlink error=EROFS"),
        0);
    assert_int_equal(pwritev(fd, iov, 2, 0), 8);
    assert_int_equal(pwritev(fd, iov, 2, 8), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(pwritev(other, iov, 2, 0), 8);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(fdatasync(fd), 0);
    assert_int_equal(fsync(dir), -1);
    assert_int_equal(unlinkat(dir, "1.seg", 0), -1);
    assert_int_equal(errno, EROFS);
}

/* Killed before, or after, the call. */
static void test_kill(void **state)
{
    (void)state;
    for (int after = 0; after < 2; after++)
        assert_true(WIFSIGNALED(kill_status[after]) && WTERMSIG(kill_status[after]) == SIGKILL);
    assert_int_equal(fault_rules_set(NULL), 0);
    assert_int_equal(head("before"), -ENOENT);
    assert_int_equal(head("after"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nth),     cmocka_unit_test(test_range),
        cmocka_unit_test(test_chance),  cmocka_unit_test(test_lose),
        cmocka_unit_test(test_twice),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_deletes), cmocka_unit_test(test_delay_and_stall),
        cmocka_unit_test(test_caps),    cmocka_unit_test(test_sqlite),
        cmocka_unit_test(test_kill),    cmocka_unit_test(test_stage_files),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
