/* The file system over a real directory of files: names that move while they drain, restarts,
 * conflicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
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

enum { FILES = 200, WAIT_S = 60 };

static char top[] = "/tmp/pailfs-test-volume-XXXXXX";
static char bucket[128], state_dir[128], url[160];
static struct fs *fs;
static struct fs_volume *vol;

static struct fs_req request(void)
{
    return (struct fs_req){.deadline_ns = clock_mono_ns() + WAIT_S * CLOCK_S};
}

static void start(void)
{
    struct fs_config config = {.state_dir = state_dir,
                               .memory_limit = 64 << 20,
                               .stage_limit = 256 << 20,
                               .attr_ttl_ns = 0,
                               .quiet_ns = 10 * CLOCK_MS};
    struct store_config store = {0};
    struct fs_error err = {{0}};

    if (fs_start(&config, &fs, &err) || fs_add_volume(fs, url, &store, false, &vol, &err) ||
        fs_run(fs, &err))
        fail_msg("%s", err.text);
}

static void stop(int64_t for_ns)
{
    fs_stop(fs, clock_mono_ns() + for_ns, NULL);
    fs = NULL;
}

/* Waits for what the last request changed. */
static void durable(const struct fs_req *req)
{
    int64_t end = clock_mono_ns() + WAIT_S * CLOCK_S;

    while (fs_durable(fs) < req->seq) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(1000);
    }
}

/* Everything is in the bucket, and nothing has to move or go any more. */
static void settled(void)
{
    int64_t end = clock_mono_ns() + WAIT_S * CLOCK_S;
    struct fs_left left;

    do {
        assert_true(clock_mono_ns() < end);
        (void)usleep(10 * 1000);
        fs_get_left(fs, &left);
    } while (left.files + left.intents > 0);
}

static uint64_t make_dir(uint64_t dir, const char *name)
{
    struct fs_req req = request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(fs_mkdir(vol, &req, dir, name, &set, &node, &wcc), 0);
    durable(&req);
    return node.ino;
}

static uint64_t put(uint64_t dir, const char *name, const char *body)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)body, .iov_len = strlen(body)};
    struct fs_req req = request();
    struct fs_sattr set = {.set = FS_SET_SIZE};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(fs_create(vol, &req, dir, name, FS_CREATE_UNCHECKED, &set, NULL, &node, &wcc),
                     0);
    req = request();
    assert_int_equal(fs_write(vol, &req, node.ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
    durable(&req);
    return node.ino;
}

static int look(uint64_t dir, const char *name, uint64_t *ret)
{
    struct fs_req req = request();
    struct fs_node node, dir_node;
    int err = fs_lookup(vol, &req, dir, name, &node, &dir_node);

    if (!err && ret)
        *ret = node.ino;
    return err;
}

static void check_body(uint64_t dir, const char *name, const char *want)
{
    struct fs_req req = request();
    struct fs_node node;
    struct fs_data data;
    uint64_t ino;
    bool eof;

    assert_int_equal(look(dir, name, &ino), 0);
    assert_int_equal(fs_read(vol, &req, ino, 0, 1000, &data, &eof, &node), 0);
    assert_int_equal(data.len, strlen(want));
    if (data.len > 0)
        assert_memory_equal(data.iov[0].iov_base, want, data.len);
    assert_true(eof);
    fs_data_release(&data);
}

static void rename_to(uint64_t from_dir, const char *from, uint64_t to_dir, const char *to)
{
    struct fs_req req = request();
    struct fs_wcc a, b;

    assert_int_equal(fs_rename(vol, &req, from_dir, from, to_dir, to, &a, &b), 0);
    durable(&req);
}

static bool count_entry(void *ctx, const struct fs_dir_entry *entry)
{
    if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
        ++*(size_t *)ctx;
    return true;
}

static size_t list(uint64_t dir)
{
    struct fs_req req = request();
    struct fs_node node;
    size_t count = 0;
    bool eof = false;

    assert_int_equal(fs_readdir(vol, &req, dir, 0, false, count_entry, &count, &eof, &node), 0);
    assert_true(eof);
    return count;
}

/* Of the bucket itself, without what the store keeps for itself. */
static size_t bucket_files(const char *dir)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", bucket, dir);
    DIR *d = opendir(path);
    size_t count = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return count;
}

static void fill(uint64_t dir, const char *body)
{
    char name[16];

    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        (void)put(dir, name, body);
    }
}

static void test_rename_directory(void **state)
{
    uint64_t root = fs_root(vol), a = make_dir(root, "a"), sub = make_dir(a, "sub"), ino;

    (void)state;
    fill(a, "one");
    (void)put(sub, "deep", "down");
    settled();
    rename_to(root, "a", root, "b");
    assert_int_equal(look(root, "a", NULL), -ENOENT);
    assert_int_equal(look(root, "b", &ino), 0);
    assert_int_equal(ino, a); /* the handle goes on */
    assert_int_equal(list(a), FILES + 1);
    check_body(a, "f7", "one");
    check_body(sub, "deep", "down");
    settled();
    assert_int_equal(list(a), FILES + 1);
    assert_int_equal(bucket_files("b"), FILES + 1);
    assert_int_equal(bucket_files("b/sub"), 1);
    assert_int_equal(bucket_files("a"), 0);
}

/* The old name is taken again before the objects have left it. */
static void test_old_name_again(void **state)
{
    uint64_t root = fs_root(vol), c = make_dir(root, "c"), again;

    (void)state;
    fill(c, "old");
    settled();
    rename_to(root, "c", root, "d");
    again = make_dir(root, "c");
    assert_int_equal(list(again), 0);
    (void)put(again, "f3", "new");
    check_body(again, "f3", "new");
    check_body(c, "f3", "old");
    assert_int_equal(look(again, "f4", NULL), -ENOENT);
    settled();
    check_body(again, "f3", "new");
    check_body(c, "f3", "old");
    assert_int_equal(bucket_files("c"), 1);
    assert_int_equal(bucket_files("d"), FILES);
}

static void test_rename_back(void **state)
{
    uint64_t root = fs_root(vol), e = make_dir(root, "e");

    (void)state;
    fill(e, "body");
    settled();
    rename_to(root, "e", root, "g");
    (void)put(e, "f1", "while away");
    (void)put(e, "more", "of it");
    rename_to(root, "g", root, "e");
    assert_int_equal(list(e), FILES + 1);
    settled();
    check_body(e, "f0", "body");
    check_body(e, "f1", "while away");
    check_body(e, "more", "of it");
    assert_int_equal(bucket_files("e"), FILES + 1);
    assert_int_equal(bucket_files("g"), 0);
}

/* Moved into a directory that itself moves, which was renamed before, and a restart in between. */
static void test_moves_and_restart(void **state)
{
    uint64_t root = fs_root(vol), p = make_dir(root, "p"), q = make_dir(root, "q");

    (void)state;
    fill(q, "cargo");
    settled();
    rename_to(root, "p", root, "p2");
    rename_to(root, "q", p, "q2");
    rename_to(root, "p2", root, "p3");
    stop(0);
    start();
    assert_int_equal(list(q), FILES);
    check_body(q, "f11", "cargo");
    rename_to(p, "q2", root, "q");
    settled();
    check_body(q, "f11", "cargo");
    assert_int_equal(list(q), FILES);
    assert_int_equal(bucket_files("q"), FILES);
    assert_int_equal(bucket_files("p3"), 0);
}

static void test_swap(void **state)
{
    uint64_t root = fs_root(vol);

    (void)state;
    (void)put(root, "x", "was x");
    (void)put(root, "y", "was y");
    settled();
    rename_to(root, "x", root, "t");
    rename_to(root, "y", root, "x");
    rename_to(root, "t", root, "y");
    check_body(root, "x", "was y");
    check_body(root, "y", "was x");
    settled();
    check_body(root, "x", "was y");
    check_body(root, "y", "was x");
}

/* A file that was deleted while a client had it open keeps its bytes when its old name is used
 * again. */
static void test_silly(void **state)
{
    uint64_t root = fs_root(vol), s = make_dir(root, "s");
    struct fs_req req = request();
    struct fs_wcc wcc;

    (void)state;
    (void)put(s, "log", "held open");
    settled();
    rename_to(s, "log", s, ".nfs0001");
    (void)put(s, "log", "rotated");
    settled();
    check_body(s, ".nfs0001", "held open");
    check_body(s, "log", "rotated");
    assert_int_equal(bucket_files("s"), 1);
    assert_int_equal(fs_remove(vol, &req, s, ".nfs0001", &wcc), 0);
    durable(&req);
    settled();
    check_body(s, "log", "rotated");
    assert_int_equal(bucket_files("s"), 1);
}

/* Somebody else replaces an object while we have a version of our own. */
static void test_conflict(void **state)
{
    uint64_t root = fs_root(vol), k = make_dir(root, "k");
    CLEANUP_FREE char *path = mem_printf("%s/k/file", bucket);
    CLEANUP_FREE char *part = mem_printf("%s/k/.part", bucket);

    (void)state;
    (void)put(k, "file", "first");
    settled();
    (void)put(k, "file", "ours");
    FILE *f = fopen(part, "w");
    assert_non_null(f);
    (void)fputs("theirs", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(part, path), 0);
    settled();
    check_body(k, "file", "theirs");
    /* Either ours was there before theirs replaced it, or it stands beside it: never is theirs
     * lost. */
    assert_in_range(list(k), 1, 2);
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(top));
    (void)snprintf(bucket, sizeof(bucket), "%s/bucket", top);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
    (void)snprintf(url, sizeof(url), "file://%s", bucket);
    assert_int_equal(mkdir(bucket, 0700), 0);
    start();
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    if (fs)
        stop(WAIT_S * CLOCK_S);
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rename_directory),
        cmocka_unit_test(test_old_name_again),
        cmocka_unit_test(test_rename_back),
        cmocka_unit_test(test_moves_and_restart),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_silly),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
