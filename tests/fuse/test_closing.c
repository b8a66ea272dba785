/* What close() and fsync() wait for and tell, and whose close() counts. */
#include "tests/fuse/front_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int make(const char *name)
{
    int fd = open(rig_path("%s", name), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    return fd;
}

static unsigned store_commits(void)
{
    return atomic_load(&rig_store_commits);
}

static void test_close_is_stored(void **state)
{
    (void)state;
    rig_config.quiet_ns = 3600 * CLOCK_S; /* nothing goes by itself */
    rig_start();
    for (int i = 0; i < 10; i++) {
        char body[16];
        (void)snprintf(body, sizeof(body), "body %d", i);
        rig_put("f", body);
        assert_true(rig_body_is(rig_bucket_path("f"), body));
    }
    rig_put("empty", "");
    assert_true(rig_body_is(rig_bucket_path("empty"), ""));
    int fd = open(rig_path("f"), O_RDWR);
    assert_int_equal(ftruncate(fd, 4), 0);
    unsigned before = store_commits();
    assert_int_equal(close(fd), 0);
    assert_int_equal(store_commits(), before + 1);
    assert_true(rig_body_is(rig_bucket_path("f"), "body"));
}

/* Nothing was written: nobody waits for anything, also while the store is dead. */
static void test_close_of_readers(void **state)
{
    char buf[8];

    (void)state;
    rig_start();
    rig_put("f", "body");
    unsigned before = atomic_load(&rig_commits);
    int fd = open(rig_path("f"), O_RDWR);
    assert_int_equal(read(fd, buf, 4), 4);
    assert_int_equal(close(fd), 0);
    fd = open(rig_path("f"), O_RDONLY);
    assert_int_equal(close(fd), 0);
    assert_int_equal(atomic_load(&rig_commits), before);
}

static void test_commit_local(void **state)
{
    (void)state;
    rig_config.commit = FRONT_COMMIT_LOCAL;
    rig_config.quiet_ns = 3600 * CLOCK_S;
    rig_start();
    assert_int_equal(fault_rules_set("store.put stall"), 0);
    unsigned before = store_commits();
    int fd = make("f");
    assert_int_equal(write(fd, "body", 4), 4);
    assert_int_equal(fsync(fd) | close(fd), 0);
    assert_true(rig_body_is(rig_path("f"), "body"));
    assert_int_equal(access(rig_bucket_path("f"), F_OK), -1);
    assert_int_equal(store_commits(), before);
}

static void test_commit_store(void **state)
{
    (void)state;
    rig_config.commit = FRONT_COMMIT_STORE;
    rig_config.quiet_ns = 3600 * CLOCK_S;
    rig_start();
    int fd = make("f");
    assert_int_equal(write(fd, "body", 4), 4);
    assert_int_equal(fsync(fd), 0);
    assert_true(rig_body_is(rig_bucket_path("f"), "body"));
    assert_int_equal(close(fd), 0);
}

/* The store refuses: close() says so, fsync() (for this host's disk) does not; the bytes stay, and
 * get there when the store has changed its mind. */
static void test_close_tells(void **state)
{
    (void)state;
    rig_start();
    assert_int_equal(fault_rules_set("store.put error=EACCES"), 0);
    int fd = make("f");
    assert_int_equal(write(fd, "body", 4), 4);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(close(fd), -1);
    assert_int_equal(errno, EACCES);
    assert_true(rig_body_is(rig_path("f"), "body"));
    assert_int_equal(fault_rules_set(NULL), 0);
    AWAIT(rig_body_is(rig_bucket_path("f"), "body"));
}

/* The store does not answer: EIO in the end, and not before. */
static void test_close_gives_up(void **state)
{
    (void)state;
    rig_config.deadline_ns = CLOCK_S;
    rig_start();
    assert_int_equal(fault_rules_set("store.put error=EAGAIN"), 0);
    int fd = make("f");
    assert_int_equal(write(fd, "body", 4), 4);
    int64_t before = clock_mono_ns();
    assert_int_equal(close(fd), -1);
    assert_int_equal(errno, EIO);
    assert_true(clock_mono_ns() - before >= CLOCK_S);
    assert_int_equal(fault_rules_set(NULL), 0);
    AWAIT(rig_body_is(rig_bucket_path("f"), "body"));
}

/* An upload that takes longer than the deadline, but gets on, is waited for. */
static void test_close_is_patient(void **state)
{
    (void)state;
    rig_config.deadline_ns = CLOCK_S;
    rig_start();
    assert_int_equal(fault_rules_set("store.put delay=2s"), 0);
    int fd = make("f");
    assert_int_equal(write(fd, "body", 4), 4);
    assert_int_equal(close(fd), 0);
    assert_true(rig_body_is(rig_bucket_path("f"), "body"));
}

static int just_end(void *arg)
{
    (void)arg;
    return 0; /* which closes all it has */
}

static int write_and_end(void *arg)
{
    return write(*(int *)arg, "x", 1) == 1 && close(*(int *)arg) == 0 ? 0 : 1;
}

/* Children that inherited the descriptor end: no upload of half a file, no error lost, and the
 * opener goes on writing. */
static void test_inherited(void **state)
{
    (void)state;
    rig_config.quiet_ns = 3600 * CLOCK_S;
    rig_start();
    int fd = make("f");
    assert_int_equal(write(fd, "some", 4), 4);
    unsigned before = store_commits();
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_child_wait(rig_child(just_end, NULL)), 0);
    assert_int_equal(rig_child_wait(rig_child(write_and_end, &fd)), 0);
    assert_int_equal(store_commits(), before);
    assert_int_equal(write(fd, "more", 4), 4);
    assert_int_equal(close(fd), 0);
    assert_int_equal(store_commits(), before + 1);
    assert_true(rig_body_is(rig_bucket_path("f"), "somexmore"));
}

/* A shell's redirection: opened, moved to another number, inherited by who writes; then the shell
 * closes. */
static void test_moved(void **state)
{
    (void)state;
    rig_config.quiet_ns = 3600 * CLOCK_S;
    rig_start();
    unsigned before = store_commits();
    int fd = make("f");
    int moved = fcntl(fd, F_DUPFD, 100);
    assert_int_equal(close(fd), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_child_wait(rig_child(write_and_end, &moved)), 0);
    assert_int_equal(store_commits(), before);
    assert_int_equal(close(moved), 0);
    assert_true(rig_body_is(rig_bucket_path("f"), "xxx"));
}

/* The opener has gone: whoever has the descriptor now is the one who wants to know. */
static int open_and_leave(void *arg)
{
    int fd = open(rig_path("f"), O_RDWR | O_CREAT, 0644), pipe_fd = *(int *)arg;
    pid_t parent = getpid();
    char go;

    if (fd < 0)
        return 1;
    if (fork() > 0) /* the device is closed already */
        _exit(0);
    while (getppid() == parent)
        (void)poll(NULL, 0, AWAIT_STEP_MS);
    char result =
        write(fd, "x", 1) == 1 && close(fd) == 0 && rig_body_is(rig_bucket_path("f"), "x");
    go = result ? 'y' : 'n';
    return write(pipe_fd, &go, 1) == 1 ? 0 : 2;
}

static void test_opener_gone(void **state)
{
    int fds[2];
    char went = 0;

    (void)state;
    rig_config.quiet_ns = 3600 * CLOCK_S;
    rig_start();
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(rig_child_wait(rig_child(open_and_leave, &fds[1])), 0);
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &went, 1), 1);
    assert_int_equal(went, 'y');
    (void)close(fds[0]);
}

static void *close_it(void *arg)
{
    return close(*(int *)arg) ? arg : NULL;
}

/* Another thread of the process that opened it. */
static void test_other_thread(void **state)
{
    pthread_t thread;
    void *failed;

    (void)state;
    rig_config.quiet_ns = 3600 * CLOCK_S;
    rig_start();
    int fd = make("f");
    assert_int_equal(write(fd, "body", 4), 4);
    assert_int_equal(pthread_create(&thread, NULL, close_it, &fd), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_true(rig_body_is(rig_bucket_path("f"), "body"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_close_is_stored),  TEST(test_close_of_readers), TEST(test_commit_local),
        TEST(test_commit_store),     TEST(test_close_tells),      TEST(test_close_gives_up),
        TEST(test_close_is_patient), TEST(test_inherited),        TEST(test_moved),
        TEST(test_opener_gone),      TEST(test_other_thread),
    };

    return rig_main(tests, sizeof(tests) / sizeof(tests[0]));
}
