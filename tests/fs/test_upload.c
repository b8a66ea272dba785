/*
 * Large files on their way to a real directory of files, with faults at the store's door: what is
 * sent, what is copied, what is not sent again, what is aborted; and many copies at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/store.h"
#include "fs/fs.h"
#include "fs/status.h"
#include "tests/fault/fault.h"

enum { WAIT_S = 60, PART = 8 << 20, SIZE = 5 * PART + 1000, FILES = 200, IO = 1 << 20 };

static char top[64], bucket[128], state_dir[128], url[160], other_url[160];
static uint8_t *body;
static struct fs *fs;
static struct fs_volume *vol, *other;
static struct fs_volume_config volume_config; /* for the next start, */
static uint32_t uploads_max;                  /* and how many uploads at once */

static void start(void)
{
    struct fs_config config = {.state_dir = state_dir,
                               .memory_limit = 256 << 20,
                               .stage_limit = 512 << 20,
                               .attr_ttl_ns = 1000 * CLOCK_S,
                               .quiet_ns = 20 * CLOCK_MS,
                               .uploads = uploads_max};
    struct store_config store = {0};
    struct fs_error err = {{0}};

    if (fs_start(&config, &fs, &err) ||
        fs_add_volume(fs, url, &store, &volume_config, &vol, &err) ||
        fs_add_volume(fs, other_url, &store, NULL, &other, &err) || fs_run(fs, &err))
        fail_msg("%s", err.text);
}

static void stop(int64_t for_ns)
{
    fs_stop(fs, clock_mono_ns() + for_ns, NULL);
    fs = NULL;
}

static int setup(void **state)
{
    char other_dir[192];

    (void)state;
    (void)stpcpy(top, "/tmp/pailfs-test-upload-XXXXXX");
    assert_non_null(mkdtemp(top));
    (void)snprintf(bucket, sizeof(bucket), "%s/bucket", top);
    (void)snprintf(other_dir, sizeof(other_dir), "%s/other", top);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
    (void)snprintf(url, sizeof(url), "file://%s", bucket);
    (void)snprintf(other_url, sizeof(other_url), "file://%.100s", other_dir);
    assert_int_equal(mkdir(bucket, 0755) | mkdir(other_dir, 0755), 0);
    body = mem_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (uint8_t)(i ^ i >> 8 ^ (i >> 16) * 7);
    assert_int_equal(fault_rules_set(NULL), 0);
    volume_config = FS_VOLUME_CONFIG_DEFAULT;
    uploads_max = 0;
    start();
    fault_counts_reset();
    return 0;
}

static int teardown(void **state)
{
    CLEANUP_FREE char *command = mem_printf("rm -rf %s", top);

    (void)state;
    (void)fault_rules_set(NULL);
    if (fs)
        stop(0);
    free(body);
    return system(command);
}

static struct fs_req request(void)
{
    return (struct fs_req){.deadline_ns = clock_mono_ns() + WAIT_S * CLOCK_S};
}

static uint64_t calls(enum fault_point point)
{
    return atomic_load(&fault_counts()[point].calls);
}

static uint64_t create(struct fs_volume *where, uint64_t dir, const char *name)
{
    struct fs_req req = request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(
        fs_create(where, &req, dir, name, FS_CREATE_UNCHECKED, &set, NULL, &node, &wcc), 0);
    return node.ino;
}

static void put(struct fs_volume *where, uint64_t ino, uint64_t off, const uint8_t *data,
                size_t len)
{
    for (size_t at = 0; at < len; at += IO) {
        struct iovec iov = {.iov_base = (void *)(uintptr_t)(data + at),
                            .iov_len = len - at < IO ? len - at : IO};
        struct fs_req req = request();
        struct fs_wcc wcc;
        assert_int_equal(fs_write(where, &req, ino, off + at, &iov, 1, FS_UNSTABLE, &wcc), 0);
    }
    struct fs_req req = request();
    struct fs_wcc wcc;
    assert_int_equal(fs_commit(where, &req, ino, 0, 0, &wcc), 0);
    while (fs_durable(fs) < req.seq)
        (void)usleep(1000);
}

/* Until cond holds, with a limit. */
#define UNTIL(cond)                                                     \
    for (int64_t end_ = clock_mono_ns() + WAIT_S * CLOCK_S; !(cond);) { \
        assert_true(clock_mono_ns() < end_);                            \
        (void)usleep(2000);                                             \
    }

static bool settled(void)
{
    struct fs_left left;

    fs_get_left(fs, &left);
    return left.files + left.intents == 0;
}

/* The multipart uploads that lie in the bucket. */
static size_t uploads(void)
{
    CLEANUP_FREE char *path = mem_printf("%s/.pailfs-tmp", bucket);
    DIR *dir = opendir(path);
    size_t count = 0;

    for (struct dirent *e; dir && (e = readdir(dir));)
        count += strncmp(e->d_name, "m-", 2) == 0;
    if (dir)
        (void)closedir(dir);
    return count;
}

static void check_bucket(const char *name)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", bucket, name);
    CLEANUP_FREE uint8_t *got = mem_alloc(SIZE + 1);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t have = 0;
    ssize_t n;

    assert_true(fd >= 0);
    while ((n = read(fd, got + have, SIZE + 1 - have)) > 0)
        have += (size_t)n;
    assert_int_equal(have, SIZE);
    assert_memory_equal(got, body, SIZE);
    UNTIL(uploads() == 0);
}

/* Stopped in the middle, without waiting for anything: the next start sends what was not sent. */
static void test_goes_on(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");

    (void)state;
    assert_int_equal(fault_rules_set("store.mpu_part from=4 error=EAGAIN"), 0);
    put(vol, ino, 0, body, SIZE);
    UNTIL(fault_rule_hits(0) >= 3);
    stop(0);
    assert_int_equal(uploads(), 1);
    assert_int_equal(fault_rules_set(NULL), 0);
    start();
    fault_counts_reset();
    UNTIL(settled());
    check_bucket("large");
    assert_int_equal(calls(FAULT_STORE_MPU_BEGIN), 0);
    assert_int_equal(calls(FAULT_STORE_MPU_PART), 3);
}

/* One that was begun too long ago is aborted, and begun again. */
static void test_too_old(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");

    (void)state;
    assert_int_equal(fault_rules_set("store.mpu_part from=4 error=EAGAIN"), 0);
    put(vol, ino, 0, body, SIZE);
    UNTIL(fault_rule_hits(0) >= 3);
    stop(0);
    assert_int_equal(fault_rules_set(NULL), 0);
    volume_config.multipart_age_ns = 1;
    start();
    fault_counts_reset();
    UNTIL(settled());
    check_bucket("large");
    assert_true(calls(FAULT_STORE_MPU_ABORT) >= 1);
    assert_true(calls(FAULT_STORE_MPU_BEGIN) >= 1);
    assert_true(calls(FAULT_STORE_MPU_PART) >= 6);
}

/* Parts as large, and as many at once, as configured; and so with files. */
static void test_limits(void **state)
{
    char name[16];

    (void)state;
    stop(0);
    volume_config.part_size = 6 << 20;
    volume_config.parts = 2;
    uploads_max = 3;
    start();
    fault_counts_reset();
    assert_int_equal(fault_rules_set("store.mpu_part delay=50ms\nstore.put delay=20ms"), 0);
    put(vol, create(vol, fs_root(vol), "large"), 0, body, SIZE);
    UNTIL(settled());
    check_bucket("large");
    assert_int_equal(calls(FAULT_STORE_MPU_PART), 7);
    assert_in_range(atomic_load(&fault_counts()[FAULT_STORE_MPU_PART].in_flight_max), 1, 2);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        put(vol, create(vol, fs_root(vol), name), 0, body, 10);
    }
    UNTIL(settled());
    assert_in_range(atomic_load(&fault_counts()[FAULT_STORE_PUT].in_flight_max), 1, 3);
}

/* The end of the process does not wait for parts that hang. */
static void test_stop_is_quick(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");

    (void)state;
    assert_int_equal(fault_rules_set("store.mpu_part nth=1 delay=100ms"), 0);
    put(vol, ino, 0, body, SIZE);
    UNTIL(calls(FAULT_STORE_MPU_PART) > 0);
    stop(0);
    start();
    UNTIL(settled());
    check_bucket("large");
    assert_int_equal(calls(FAULT_STORE_MPU_BEGIN), 1);
    assert_int_equal(calls(FAULT_STORE_MPU_PART), 6);
}

/* A few bytes in the middle of a large object: one part is sent, the store copies the others. */
static void test_overwrite(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");

    (void)state;
    put(vol, ino, 0, body, SIZE);
    UNTIL(settled());
    fault_counts_reset();
    memset(body + 2 * PART + 100, 'x', 5000);
    put(vol, ino, 2 * PART + 100, body + 2 * PART + 100, 5000);
    UNTIL(settled());
    check_bucket("large");
    assert_int_equal(calls(FAULT_STORE_MPU_PART), 1);
    assert_int_equal(calls(FAULT_STORE_MPU_COPY), 5);
}

/* The same again and again while it is uploaded, with parts that fail now and then. */
static void test_written_during(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");

    (void)state;
    assert_int_equal(fault_rules_set("store.mpu_part p=0.2 seed=4 error=EAGAIN\n"
                                     "store.mpu_part delay=20ms\n"
                                     "store.mpu_complete nth=2 lose\n"),
                     0);
    put(vol, ino, 0, body, SIZE);
    for (size_t i = 0; i < 20; i++) {
        size_t at = i * 1999993;
        memset(body + at, (int)i, 4000);
        put(vol, ino, at, body + at, 4000);
        (void)usleep(30 * 1000); /* not to wait for anything: it only spreads the writes */
    }
    assert_int_equal(fault_rules_set(NULL), 0);
    UNTIL(settled());
    check_bucket("large");
}

/* Removed while its parts are on their way: nothing is completed, the upload is aborted, also by a
 * later run. */
static void test_removed_during(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");
    struct fs_req req = request();
    struct fs_wcc wcc;

    (void)state;
    assert_int_equal(fault_rules_set("store.mpu_part delay=200ms\n"
                                     "store.mpu_abort error=EAGAIN"),
                     0);
    put(vol, ino, 0, body, SIZE);
    UNTIL(calls(FAULT_STORE_MPU_PART) > 0);
    assert_int_equal(fs_remove(vol, &req, fs_root(vol), "large", &wcc), 0);
    UNTIL(calls(FAULT_STORE_MPU_ABORT) > 0);
    stop(0);
    assert_int_equal(uploads(), 1);
    assert_int_equal(calls(FAULT_STORE_MPU_COMPLETE), 0);
    assert_int_equal(fault_rules_set(NULL), 0);
    start();
    UNTIL(uploads() == 0);
}

/* Each file that grows, shrinks below the size for parts, or gets another name. */
static void test_not_wanted_any_more(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");
    struct fs_sattr set = {.set = FS_SET_SIZE, .size = 1000};
    struct fs_req req = request();
    struct fs_node node;
    struct fs_wcc wcc, wcc2;

    (void)state;
    assert_int_equal(fault_rules_set("store.mpu_part from=3 error=EAGAIN"), 0);
    put(vol, ino, 0, body, SIZE);
    UNTIL(fault_rule_hits(0) >= 3);
    assert_int_equal(fs_rename(vol, &req, fs_root(vol), "large", fs_root(vol), "b", &wcc, &wcc2),
                     0);
    UNTIL(calls(FAULT_STORE_MPU_BEGIN) == 2);
    UNTIL(uploads() == 1); /* the one to the old name is gone */
    req = request();
    assert_int_equal(fs_setattr(vol, &req, ino, &set, NULL, &wcc), 0);
    assert_int_equal(fault_rules_set(NULL), 0);
    UNTIL(settled());
    UNTIL(uploads() == 0);
    struct fs_data data;
    bool eof;
    req = request();
    assert_int_equal(fs_read(vol, &req, ino, 0, 2000, &data, &eof, &node), 0);
    assert_int_equal(data.len, 1000);
    fs_data_release(&data);
}

/* Of the one file: three parts of six are there. */
static bool is_half_done(void)
{
    struct fs_status status;

    fs_get_status(vol, &status);
    bool half = status.running.count == 1 && status.running.file[0].upload_total == SIZE &&
                status.running.file[0].upload_done == (uint64_t)3 * PART;
    fs_status_clear(&status);
    return half;
}

static bool is_refused(void)
{
    struct fs_status status;

    fs_get_status(vol, &status);
    bool refused = status.failed.count == 1 && status.failed.file[0].err == -EACCES;
    fs_status_clear(&status);
    return refused;
}

/* How far it is can be seen, and what went wrong. */
static void test_progress(void **state)
{
    uint64_t ino = create(vol, fs_root(vol), "large");

    (void)state;
    assert_int_equal(fault_rules_set("store.mpu_part from=4 stall"), 0);
    put(vol, ino, 0, body, SIZE);
    UNTIL(is_half_done());
    assert_int_equal(fault_rules_set("store.mpu_complete error=EACCES"), 0);
    UNTIL(is_refused());
    assert_int_equal(fault_rules_set(NULL), 0);
    UNTIL(settled());
    check_bucket("large");
}

/* Copies inside the store cost us nothing: many are under way at once. */
static void test_many_copies(void **state)
{
    struct fs_req req = request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc, wcc2;
    char name[16];

    (void)state;
    assert_int_equal(fs_mkdir(vol, &req, fs_root(vol), "a", &set, &node, &wcc), 0);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        put(vol, create(vol, node.ino, name), 0, body, 10);
    }
    UNTIL(settled());
    fault_counts_reset();
    assert_int_equal(fault_rules_set("store.copy delay=300ms"), 0);
    req = request();
    assert_int_equal(fs_rename(vol, &req, fs_root(vol), "a", fs_root(vol), "b", &wcc, &wcc2), 0);
    UNTIL(calls(FAULT_STORE_COPY) >= FILES && settled());
    assert_true(atomic_load(&fault_counts()[FAULT_STORE_COPY].in_flight_max) >= 64);
}

/* A store that does not answer does not get all uploaders. */
static void test_other_volume(void **state)
{
    CLEANUP_FREE char *path = mem_printf("%s/other/seen", top);
    char name[16];

    (void)state;
    assert_int_equal(fault_rules_set("store.put key=f* stall"), 0);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        put(vol, create(vol, fs_root(vol), name), 0, body, 10);
    }
    UNTIL(atomic_load(&fault_counts()[FAULT_STORE_PUT].in_flight_max) >= 64);
    put(other, create(other, fs_root(other), "seen"), 0, body, 10);
    UNTIL(access(path, F_OK) == 0);
    assert_int_equal(fault_rules_set(NULL), 0);
    UNTIL(settled());
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_goes_on),        TEST(test_too_old),
        TEST(test_limits),         TEST(test_stop_is_quick),
        TEST(test_overwrite),      TEST(test_written_during),
        TEST(test_removed_during), TEST(test_not_wanted_any_more),
        TEST(test_progress),       TEST(test_many_copies),
        TEST(test_other_volume),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
