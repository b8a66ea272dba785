/*
 * Errors that come after the reply: a sync of the stage that fails, an upload that fails. What can
 * be saved is saved; what cannot is told once, by the next WRITE or COMMIT of that file, and never
 * read as something else.
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

#include "base/clock.h"
#include "cloud/store.h"
#include "fs/fs.h"

enum { WAIT_S = 60, BODY = 200000 };

static char top[64], bucket[128], state_dir[128], url[160];
static uint8_t body[BODY], other[BODY];
static struct fs *fs;
static struct fs_volume *vol;

/* --- faults: syncs of the stage, so many of them --- */

static _Atomic int sync_failures;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    char link[64], path[256] = "";

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    if (strstr(path, "/stage/") && atomic_load(&sync_failures) > 0) {
        atomic_fetch_sub(&sync_failures, 1);
        errno = EIO;
        return -1;
    }
    return __real_fdatasync(fd);
}

/* --- fixture --- */

static void start(int64_t quiet_ns, bool accept_damage)
{
    struct fs_config config = {.state_dir = state_dir,
                               .memory_limit = 64 << 20,
                               .stage_limit = 256 << 20,
                               .attr_ttl_ns = 1000 * CLOCK_S,
                               .quiet_ns = quiet_ns,
                               .accept_damage = accept_damage};
    struct store_config store = {0};
    struct fs_error err = {{0}};

    if (fs_start(&config, &fs, &err) || fs_add_volume(fs, url, &store, NULL, &vol, &err) ||
        fs_run(fs, &err))
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    (void)state;
    (void)stpcpy(top, "/tmp/pailfs-test-late-XXXXXX");
    assert_non_null(mkdtemp(top));
    (void)snprintf(bucket, sizeof(bucket), "%s/bucket", top);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
    (void)snprintf(url, sizeof(url), "file://%s", bucket);
    assert_int_equal(mkdir(bucket, 0755), 0);
    srandom(5);
    for (size_t i = 0; i < BODY; i++) {
        body[i] = (uint8_t)random();
        other[i] = (uint8_t)(i * 5 + 1);
    }
    atomic_store(&sync_failures, 0);
    start(1000 * CLOCK_S, false);
    return 0;
}

static int teardown(void **state)
{
    char command[256];

    (void)state;
    atomic_store(&sync_failures, 0);
    if (fs)
        fs_stop(fs, 0, NULL);
    fs = NULL;
    (void)snprintf(command, sizeof(command), "chmod -R u+w %s; rm -rf %s", top, top);
    return system(command);
}

static struct fs_req request(void)
{
    return (struct fs_req){.deadline_ns = clock_mono_ns() + WAIT_S * CLOCK_S};
}

static uint64_t create(const char *name)
{
    struct fs_req req = request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(
        fs_create(vol, &req, fs_root(vol), name, FS_CREATE_UNCHECKED, &set, NULL, &node, &wcc), 0);
    return node.ino;
}

static int put(uint64_t ino, uint64_t off, const uint8_t *data, size_t len, enum fs_stable stable)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct fs_req req = request();
    struct fs_wcc wcc;

    return fs_write(vol, &req, ino, off, &iov, 1, stable, &wcc);
}

static int commit(uint64_t ino)
{
    struct fs_req req = request();
    struct fs_wcc wcc;
    int err = fs_commit(vol, &req, ino, 0, 0, &wcc);

    while (!err && fs_durable(fs) < req.seq)
        (void)usleep(1000);
    return err;
}

static int get(uint64_t ino, uint64_t off, const uint8_t *want, uint32_t len)
{
    struct fs_req req = request();
    struct fs_node node;
    struct fs_data data;
    bool eof;
    int err = fs_read(vol, &req, ino, off, len, &data, &eof, &node);

    if (err)
        return err;
    assert_int_equal(data.len, len);
    assert_memory_equal(data.iov[0].iov_base, want, len);
    fs_data_release(&data);
    return 0;
}

static uint64_t verifier(void)
{
    uint64_t v;

    fs_write_verifier(fs, (uint8_t *)&v);
    return v;
}

/* Other bytes where the stage has body from off on. */
static void spoil(size_t off)
{
    char path[512];
    static uint8_t file[1 << 20];
    struct dirent *e;

    (void)snprintf(path, sizeof(path), "%s/stage", state_dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int done = 0;
    while ((e = readdir(dir))) {
        (void)snprintf(path, sizeof(path), "%s/stage/%s", state_dir, e->d_name);
        int fd = e->d_name[0] == '.' ? -1 : open(path, O_RDWR);
        ssize_t n = fd < 0 ? 0 : pread(fd, file, sizeof(file), 0);
        uint8_t *at = n > 0 ? memmem(file, (size_t)n, body + off, 1000) : NULL;
        if (at)
            done += pwrite(fd, "spoiled", 7, at - file) == 7;
        if (fd >= 0)
            (void)close(fd);
    }
    (void)closedir(dir);
    assert_int_equal(done, 1);
}

/* --- tests --- */

/* The bytes are there still: nobody hears of it, and they survive a restart. */
static void test_rescued(void **state)
{
    (void)state;
    uint64_t a = create("a"), b = create("b"), before = verifier();

    assert_int_equal(put(a, 0, body, BODY, FS_UNSTABLE), 0);
    assert_int_equal(put(a, 1000, other, 5000, FS_UNSTABLE), 0);
    assert_int_equal(put(b, 0, other, BODY, FS_UNSTABLE), 0);
    atomic_store(&sync_failures, 1);
    assert_int_equal(commit(a), 0);
    assert_int_equal(atomic_load(&sync_failures), 0);
    assert_int_equal(commit(b), 0); /* its marks were in the sync that failed */
    assert_int_equal(verifier(), before);
    fs_stop(fs, 0, NULL);
    start(1000 * CLOCK_S, false);
    assert_int_equal(get(a, 0, body, 1000), 0);
    assert_int_equal(get(a, 1000, other, 5000), 0);
    assert_int_equal(get(a, 6000, body + 6000, BODY - 6000), 0);
    assert_int_equal(get(b, 0, other, BODY), 0);
    assert_true(verifier() != before); /* each start has its own */
}

/* A write after the sync that failed must not hide it. */
static void test_later_write_hides_nothing(void **state)
{
    (void)state;
    uint64_t a = create("a"), b = create("b");

    assert_int_equal(put(a, 0, body, 70000, FS_UNSTABLE), 0);
    assert_int_equal(put(b, 0, other, 100, FS_UNSTABLE), 0);
    atomic_store(&sync_failures, 2);
    assert_int_equal(commit(b), -EIO); /* and with it what a had written */
    spoil(0);
    assert_int_equal(put(a, 100000, body, 10, FS_UNSTABLE), 0);
    assert_int_equal(commit(a), -EIO);
    assert_int_equal(get(a, 0, body, 10), -EIO);
}

static void test_disk_that_refuses(void **state)
{
    (void)state;
    uint64_t a = create("a"), before = verifier();

    assert_int_equal(put(a, 0, body, BODY, FS_UNSTABLE), 0);
    atomic_store(&sync_failures, 1000);
    assert_int_equal(commit(a), -EIO);
    assert_true(verifier() != before);
    assert_int_equal(commit(a), -EIO); /* it is not durable: COMMIT cannot say so */
    assert_int_equal(put(a, 0, other, 100, FS_FILE_SYNC), -EIO);
    atomic_store(&sync_failures, 0);
    assert_int_equal(put(a, 0, other, 100, FS_FILE_SYNC), 0);
    assert_int_equal(commit(a), 0);
    assert_int_equal(get(a, 0, other, 100), 0);
    assert_int_equal(get(a, 100, body + 100, BODY - 100), 0);
}

/* The kernel dropped the bytes: told once; the rest of the file goes on; overwriting mends. */
static void test_lost(void **state)
{
    (void)state;
    uint64_t a = create("a"), before = verifier();

    assert_int_equal(put(a, 0, body, 70000, FS_UNSTABLE), 0);
    assert_int_equal(put(a, 70000, body + 70000, BODY - 70000, FS_UNSTABLE), 0);
    spoil(1000);
    atomic_store(&sync_failures, 1);
    assert_int_equal(commit(a), -EIO);
    assert_true(verifier() != before);
    assert_int_equal(commit(a), 0);
    assert_int_equal(get(a, 1000, body, 10), -EIO);
    assert_int_equal(get(a, 70000, body + 70000, BODY - 70000), 0);
    assert_int_equal(put(a, 0, other, 70000, FS_UNSTABLE), 0);
    assert_int_equal(commit(a), 0);
    assert_int_equal(get(a, 0, other, 70000), 0);
}

static bool in_bucket(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", bucket, name);
    return access(path, F_OK) == 0;
}

/* What the stage cannot give back unchanged never gets to the bucket; the client hears of it. */
static void test_spoiled_is_not_uploaded(void **state)
{
    (void)state;
    uint64_t a = create("a");
    int64_t end = clock_mono_ns() + WAIT_S * CLOCK_S;
    int err;

    assert_int_equal(put(a, 0, body, BODY, FS_UNSTABLE), 0);
    assert_int_equal(commit(a), 0);
    spoil(100000);
    fs_stop(fs, 0, NULL);
    fs = NULL;
    start(1000 * CLOCK_S, false);
    assert_int_equal(put(a, BODY, other, 1, FS_UNSTABLE), -EROFS);
    assert_int_equal(get(a, 0, body, 65536), 0);
    assert_int_equal(get(a, 65536, body + 65536, 1), -EIO);
    fs_stop(fs, 0, NULL);
    fs = NULL;
    start(0, true);
    while ((err = commit(a)) == 0 && clock_mono_ns() < end)
        (void)usleep(10000);
    assert_int_equal(err, -EIO);
    assert_false(in_bucket("a"));
    assert_int_equal(put(a, 65536, other, 100000, FS_UNSTABLE), 0);
    do
        err = commit(a);
    while (!in_bucket("a") && clock_mono_ns() < end && !usleep(10000));
    assert_true(in_bucket("a"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rescued), TEST(test_later_write_hides_nothing), TEST(test_disk_that_refuses),
        TEST(test_lost),    TEST(test_spoiled_is_not_uploaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
