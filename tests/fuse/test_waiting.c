/* Requests that wait: for the disk without a thread, for a store that does not answer with a way
 * out, and the end of a mount meanwhile. */
#include "tests/fuse/front_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 40, HELD = 8 };

static uint64_t stalled_gets(void)
{
    return fault_rule_hits(0);
}

static void *change_mode(void *arg)
{
    return chmod(arg, 0600) ? arg : NULL;
}

/* Changes are durable before they are acknowledged; what needs no disk goes on meanwhile. */
static void test_held(void **state)
{
    pthread_t threads[HELD];
    char paths[HELD][160];
    void *failed;

    (void)state;
    rig_config.threads_max = 2; /* held replies have no threads */
    rig_start();
    for (int i = 0; i < HELD; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s", rig_path("f%d", i));
        rig_put(strrchr(paths[i], '/') + 1, "body");
    }
    assert_true(rig_body_is(paths[0], "body"));
    assert_int_equal(fault_rules_set("db.sync delay=1s"), 0);
    int64_t before = clock_mono_ns();
    for (int i = 0; i < HELD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, change_mode, paths[i]), 0);
    AWAIT(fault_rule_hits(0) > 0);
    assert_true(rig_body_is(paths[0], "body"));
    for (int i = 0; i < HELD; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_true(clock_mono_ns() - before >= CLOCK_S); /* not before the sync */
}

static int read_one(void *arg)
{
    char buf[16];
    int fd = open(arg, O_RDONLY);

    return fd >= 0 && pread(fd, buf, 4, 0) == 4 && memcmp(buf, "body", 4) == 0 ? 0
           : errno == EIO                                                      ? 5
                                                                               : 1;
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

/* Signals with a handler disturb nobody. */
static int read_with_alarms(void *arg)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {{0, 20000}, {0, 20000}};

    (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &timer, NULL);
    return read_one(arg);
}

static void test_interrupted(void **state)
{
    (void)state;
    rig_bucket_put("f", "body");
    rig_start();
    /* Which version its pages are of is known then: opens side by side have none to drop, which the
     * kernel does only after the reads that are under way. */
    int fd = open(rig_path("f"), O_RDONLY);
    assert_int_equal(fault_rules_set("store.get stall"), 0);
    void *path = (void *)(uintptr_t)rig_path("f");
    pid_t killed = rig_child(read_one, path), ended = rig_child(read_one, path),
          alarmed = rig_child(read_with_alarms, path);
    AWAIT(stalled_gets() > 0);
    (void)poll(NULL, 0, 100);
    assert_int_equal(kill(killed, SIGKILL), 0);
    assert_int_equal(rig_child_wait(killed), -SIGKILL);
    assert_int_equal(kill(ended, SIGTERM), 0);
    assert_int_equal(rig_child_wait(ended), -SIGTERM);
    assert_int_equal(waitpid(alarmed, NULL, WNOHANG), 0);
    assert_int_equal(fault_rules_set(NULL), 0);
    assert_int_equal(rig_child_wait(alarmed), 0);
    (void)close(fd);
}

static void test_gives_up(void **state)
{
    (void)state;
    rig_bucket_put("f", "body");
    rig_config.deadline_ns = CLOCK_S;
    rig_start();
    assert_int_equal(fault_rules_set("store.get stall"), 0);
    void *path = (void *)(uintptr_t)rig_path("f");
    assert_int_equal(rig_child_wait(rig_child(read_one, path)), 5);
    assert_int_equal(fault_rules_set(NULL), 0);
    assert_int_equal(rig_child_wait(rig_child(read_one, path)), 0);
}

/* Many wait for a dead store; what is cached is answered as ever. */
static void test_dead_store(void **state)
{
    pid_t pids[MANY];
    char name[16];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        rig_bucket_put(name, "body");
    }
    rig_start();
    /* In a directory of its own: the kernel makes no name where it looks others up. */
    assert_int_equal(mkdir(rig_path("d"), 0755), 0);
    rig_put("d/own", "body");
    assert_true(rig_body_is(rig_path("d/own"), "body"));
    assert_int_equal(fault_rules_set("store.* stall"), 0);
    for (int i = 0; i < MANY; i++)
        pids[i] = rig_child(read_one, (void *)(uintptr_t)rig_path("f%d", i));
    AWAIT(stalled_gets() >= MANY);
    assert_true(rig_body_is(rig_path("d/own"), "body"));
    int fd = open(rig_path("d/new"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "body", 4), 4);
    assert_int_equal(fsync(fd), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(kill(pids[i], SIGKILL), 0);
        assert_int_equal(rig_child_wait(pids[i]), -SIGKILL);
    }
    assert_int_equal(fault_rules_set(NULL), 0);
    assert_int_equal(close(fd), 0);
}

static atomic_uint ends;

static void on_end(void *ctx)
{
    (void)ctx;
    (void)atomic_fetch_add(&ends, 1);
}

static void test_unmounted(void **state)
{
    (void)state;
    rig_start();
    atomic_store(&ends, 0);
    front_on_end(rig_front, on_end, NULL);
    rig_put("f", "body");
    assert_int_equal(umount2(rig_mnt, 0), 0);
    AWAIT(atomic_load(&ends) == 1);
    rig_stop();
    assert_int_equal(atomic_load(&ends), 1);
    assert_int_equal(access(rig_path("f"), F_OK), -1);
    rig_start(); /* and once more in the same place */
    assert_true(rig_body_is(rig_path("f"), "body"));
}

static int mount_and_die(void *arg)
{
    (void)arg;
    rig_start();
    (void)kill(getpid(), SIGKILL);
    return 0;
}

static void test_takeover(void **state)
{
    struct front_error err;
    struct front *other;
    struct stat st;

    (void)state;
    assert_int_equal(rig_child_wait(rig_child(mount_and_die, NULL)), -SIGKILL);
    assert_int_equal(stat(rig_mnt, &st), -1);
    assert_int_equal(errno, ENOTCONN);
    assert_true(front_is_dead_mount(rig_mnt));
    rig_start();
    assert_false(front_is_dead_mount(rig_mnt));
    assert_int_equal(stat(rig_mnt, &st), 0);
    assert_int_equal(rig_front_start(&other, &err), -EBUSY);
    assert_non_null(strstr(err.text, "already"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_held),       TEST(test_interrupted), TEST(test_gives_up),
        TEST(test_dead_store), TEST(test_unmounted),   TEST(test_takeover),
    };

    return rig_main(tests, sizeof(tests) / sizeof(tests[0]));
}
