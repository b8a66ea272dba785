/* What the kernel may keep: pages across opens, names and attributes, until others change them. */
#include "tests/fuse/front_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* True if that was read without asking fs for bytes. */
static bool cached(const char *path, const char *body)
{
    unsigned before = atomic_load(&rig_reads);

    assert_true(rig_body_is(path, body));
    return atomic_load(&rig_reads) == before;
}

static uint64_t store_calls(void)
{
    const struct fault_count *counts = fault_counts();

    return counts[FAULT_STORE_HEAD].calls + counts[FAULT_STORE_LIST].calls;
}

static void test_kept(void **state)
{
    (void)state;
    rig_bucket_put("f", "in the bucket");
    rig_start();
    assert_false(cached(rig_path("f"), "in the bucket"));
    assert_true(cached(rig_path("f"), "in the bucket"));
    rig_put("g", "written here");
    (void)cached(rig_path("g"), "written here");
    assert_true(cached(rig_path("g"), "written here"));
    /* What this kernel writes is in its pages already. */
    int fd = open(rig_path("g"), O_WRONLY);
    assert_int_equal(pwrite(fd, "W", 1, 0), 1);
    assert_int_equal(close(fd), 0);
    assert_true(cached(rig_path("g"), "Written here"));
    assert_true(cached(rig_path("f"), "in the bucket"));
}

static void test_replaced_outside(void **state)
{
    (void)state;
    rig_config.attr_ttl_ns = 0;
    rig_bucket_put("f", "old");
    rig_start();
    assert_true(rig_body_is(rig_path("f"), "old"));
    int fd = open(rig_path("f"), O_RDONLY);
    rig_bucket_put("f", "new");
    assert_true(rig_body_is(rig_path("f"), "new"));
    rig_bucket_put("f", "newer one");
    assert_true(rig_body_is(rig_path("f"), "newer one"));
    assert_int_equal(unlink(rig_bucket_path("f")), 0);
    assert_int_equal(open(rig_path("f"), O_RDONLY), -1);
    assert_int_equal(errno, ENOENT);
    rig_bucket_put("f", "again");
    assert_true(rig_body_is(rig_path("f"), "again"));
    (void)close(fd);
}

static bool listed(const char *name)
{
    DIR *dir = opendir(rig_mnt);
    bool found = false;

    for (struct dirent *e; (e = readdir(dir));)
        found = found || strcmp(e->d_name, name) == 0;
    (void)closedir(dir);
    return found;
}

static void test_listed_outside(void **state)
{
    (void)state;
    rig_config.attr_ttl_ns = 0;
    rig_start();
    rig_put("own", "x");
    assert_false(listed("theirs"));
    rig_bucket_put("theirs", "y");
    assert_true(listed("theirs"));
    assert_int_equal(unlink(rig_bucket_path("theirs")), 0);
    assert_false(listed("theirs"));
    assert_true(listed("own"));
}

/* With a time to live the kernel answers alone, and believes it no longer than that. */
static void test_time_to_live(void **state)
{
    struct stat st;

    (void)state;
    rig_config.attr_ttl_ns = CLOCK_S;
    rig_bucket_put("f", "old");
    rig_start();
    assert_true(rig_body_is(rig_path("f"), "old"));
    rig_bucket_put("f", "new one");
    AWAIT(rig_body_is(rig_path("f"), "new one"));
    assert_int_equal(stat(rig_path("none"), &st), -1);
    rig_bucket_put("none", "come");
    AWAIT(stat(rig_path("none"), &st) == 0);
    assert_int_equal(unlink(rig_bucket_path("none")), 0);
    AWAIT(stat(rig_path("none"), &st) != 0);
}

static void test_asks_little(void **state)
{
    struct stat st;

    (void)state;
    rig_bucket_put("f", "body");
    rig_start();
    assert_true(rig_body_is(rig_path("f"), "body"));
    assert_int_equal(stat(rig_path("none"), &st), -1);
    uint64_t calls = store_calls();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(stat(rig_path("f"), &st), 0);
        assert_true(rig_body_is(rig_path("f"), "body"));
        assert_int_equal(stat(rig_path("none"), &st), -1);
    }
    assert_int_equal(store_calls(), calls);
}

/* A change through another front end (here: fs itself, as NFS calls it) is told to the kernel, even
 * if it may believe what it has for an hour. */
static void test_other_front_end(void **state)
{
    char there[] = "THERE";
    struct iovec iov = {.iov_base = there, .iov_len = 5};
    struct fs_node node, dir_node;
    struct fs_wcc wcc, to_wcc;
    struct stat st;
    char buf[8];

    (void)state;
    rig_config.attr_ttl_ns = 3600 * CLOCK_S;
    rig_start();
    rig_put("f", "here ");
    assert_true(rig_body_is(rig_path("f"), "here "));
    int fd = open(rig_path("f"), O_RDONLY); /* its pages are dropped, too */
    struct fs_req req = {.deadline_ns = clock_mono_ns() + RIG_WAIT_S * CLOCK_S};
    assert_int_equal(fs_lookup(rig_vol, &req, fs_root(rig_vol), "f", &node, &dir_node), 0);
    assert_int_equal(fs_write(rig_vol, &req, node.ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
    AWAIT(pread(fd, buf, 5, 0) == 5 && memcmp(buf, "THERE", 5) == 0);
    assert_true(rig_body_is(rig_path("f"), "THERE"));
    assert_int_equal(fs_write(rig_vol, &req, node.ino, 5, &iov, 1, FS_FILE_SYNC, &wcc), 0);
    AWAIT(fstat(fd, &st) == 0 && st.st_size == 10);
    (void)close(fd);
    assert_int_equal(stat(rig_path("g"), &st), -1);
    assert_int_equal(
        fs_rename(rig_vol, &req, fs_root(rig_vol), "f", fs_root(rig_vol), "g", &wcc, &to_wcc), 0);
    AWAIT(stat(rig_path("f"), &st) == -1);
    AWAIT(stat(rig_path("g"), &st) == 0);
    assert_int_equal(fs_remove(rig_vol, &req, fs_root(rig_vol), "g", &wcc), 0);
    AWAIT(stat(rig_path("g"), &st) == -1);
}

/* NFS clients use the volume too: the very next look sees what they did. */
static void test_shared(void **state)
{
    struct fs_node node, dir_node;
    struct fs_wcc wcc;

    (void)state;
    rig_config.shared = true;
    rig_start();
    rig_put("f", "here ");
    struct fs_req req = {.deadline_ns = clock_mono_ns() + RIG_WAIT_S * CLOCK_S};
    assert_int_equal(fs_lookup(rig_vol, &req, fs_root(rig_vol), "f", &node, &dir_node), 0);
    for (int i = 0; i < 50; i++) {
        char body[16];
        struct iovec iov = {.iov_base = body};
        iov.iov_len = (size_t)snprintf(body, sizeof(body), "n%04d", i);
        assert_int_equal(fs_write(rig_vol, &req, node.ino, 0, &iov, 1, FS_UNSTABLE, &wcc), 0);
        assert_true(rig_body_is(rig_path("f"), body));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kept),         TEST(test_replaced_outside), TEST(test_listed_outside),
        TEST(test_time_to_live), TEST(test_asks_little),      TEST(test_other_front_end),
        TEST(test_shared),
    };

    return rig_main(tests, sizeof(tests) / sizeof(tests[0]));
}
