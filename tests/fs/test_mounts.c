/*
 * Sub-mounts, in one process: what goofys's tests of that name ask for (TestVFS, TestMounts...,
 * TestNestedMountUnmountSimple, TestUnmountBucketWithChild), and what comes with handles, restarts
 * and stores that fail.
 */
#include "tests/fs/volume_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fs/mounts.h"
#include "fs/status.h"

enum { LIST_MAX = 2048, BUCKETS_MAX = 10 };

/* --- other buckets: directories beside the rig's --- */

static char *bucket_path(const char *name)
{
    return mem_printf("%s-%s", rig_bucket, name);
}

static void bucket_mkdir(const char *bucket, const char *path)
{
    CLEANUP_FREE char *base = bucket_path(bucket);
    CLEANUP_FREE char *full = mem_printf("%s/%s", base, path);

    (void)mkdir(base, 0755);
    for (char *p = full + strlen(base) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        (void)mkdir(full, 0755);
        *p = '/';
    }
    if (path[0])
        assert_int_equal(mkdir(full, 0755), 0);
}

static void bucket_put(const char *bucket, const char *path, const char *body)
{
    CLEANUP_FREE char *base = bucket_path(bucket);
    CLEANUP_FREE char *full = mem_printf("%s/%s", base, path);
    FILE *f = fopen(full, "we");

    assert_non_null(f);
    (void)fputs(body, f);
    assert_int_equal(fclose(f), 0);
}

static bool bucket_has(const char *bucket, const char *path)
{
    CLEANUP_FREE char *base = bucket_path(bucket);
    CLEANUP_FREE char *full = mem_printf("%s/%s", base, path);

    return access(full, F_OK) == 0;
}

/* --- paths, as a client goes along them --- */

static int look(const char *path, struct fs_node *ret)
{
    CLEANUP_FREE char *copy = mem_strdup(path);
    struct fs_node node = {.vol = rig_vol, .ino = fs_root(rig_vol)}, dir;
    char *rest = NULL;
    int err = 0;

    for (char *name = strtok_r(copy, "/", &rest); name && !err; name = strtok_r(NULL, "/", &rest)) {
        struct fs_req req = rig_request();
        err = fs_lookup(node.vol, &req, node.ino, name, &node, &dir);
    }
    if (!err)
        *ret = node;
    return err;
}

static struct fs_node found(const char *path)
{
    struct fs_node node;
    int err = look(path, &node);

    if (err)
        fail_msg("%s: %s", path, strerrordesc_np(-err));
    return node;
}

static bool same_place(const struct fs_node *a, const struct fs_node *b)
{
    return a->vol == b->vol && a->ino == b->ino;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char *names[64];
    size_t count;
};

static bool add_name(void *ctx, const struct fs_dir_entry *entry)
{
    struct names *n = ctx;

    if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0) {
        assert_true(n->count < 64);
        n->names[n->count++] = mem_strdup(entry->name);
    }
    return true;
}

/* What a listing of path shows, sorted, with blanks between. */
static void assert_list(const char *path, const char *want)
{
    struct fs_node dir = found(path), node;
    struct fs_req req = rig_request();
    struct names n = {.count = 0};
    char got[LIST_MAX] = "", *end = got;
    bool eof = false;

    assert_int_equal(fs_readdir(dir.vol, &req, dir.ino, 0, true, add_name, &n, &eof, &node), 0);
    assert_true(eof);
    qsort(n.names, n.count, sizeof(n.names[0]), compare_names);
    for (size_t i = 0; i < n.count; i++) {
        end += snprintf(end, (size_t)(got + sizeof(got) - end), "%s%s", i ? " " : "", n.names[i]);
        free(n.names[i]);
    }
    assert_string_equal(got, want);
}

static struct fs_node parent_of(const char *path, const char **ret_name)
{
    CLEANUP_FREE char *copy = mem_strdup(path);

    *strrchr(copy, '/') = '\0';
    *ret_name = strrchr(path, '/') + 1;
    return found(copy);
}

static int put(const char *path, const char *body)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)body, .iov_len = strlen(body)};
    struct fs_req req = rig_request();
    struct fs_sattr set = {.set = FS_SET_SIZE};
    const char *name;
    struct fs_node dir = parent_of(path, &name), node;
    struct fs_wcc wcc;
    int err = fs_create(dir.vol, &req, dir.ino, name, FS_CREATE_UNCHECKED, &set, NULL, &node, &wcc);

    req = rig_request();
    if (!err)
        err = fs_write(node.vol, &req, node.ino, 0, &iov, 1, FS_FILE_SYNC, &wcc);
    return err;
}

static int make_dir(const char *path)
{
    struct fs_req req = rig_request();
    struct fs_sattr set = {0};
    const char *name;
    struct fs_node dir = parent_of(path, &name), node;
    struct fs_wcc wcc;

    return fs_mkdir(dir.vol, &req, dir.ino, name, &set, &node, &wcc);
}

static int remove_dir(const char *path)
{
    struct fs_req req = rig_request();
    const char *name;
    struct fs_node dir = parent_of(path, &name);
    struct fs_wcc wcc;

    return fs_rmdir(dir.vol, &req, dir.ino, name, &wcc);
}

/* As a front end does it. */
static int move(const char *from, const char *to)
{
    struct fs_req req = rig_request();
    const char *from_name, *to_name;
    struct fs_node a = parent_of(from, &from_name), b = parent_of(to, &to_name);
    struct fs_wcc x, y;

    if (a.vol != b.vol)
        return -EXDEV;
    return fs_rename(a.vol, &req, a.ino, from_name, b.ino, to_name, &x, &y);
}

static int read_node(const struct fs_node *node, char *ret, size_t size)
{
    struct fs_req req = rig_request();
    struct fs_node after;
    struct fs_data data;
    bool eof;
    int err = fs_read(node->vol, &req, node->ino, 0, (uint32_t)size - 1, &data, &eof, &after);

    ret[0] = '\0';
    if (err)
        return err;
    if (data.len > 0)
        memcpy(ret, data.iov[0].iov_base, data.len);
    ret[data.len] = '\0';
    fs_data_release(&data);
    return 0;
}

static void assert_body(const char *path, const char *want)
{
    struct fs_node node = found(path);
    char got[1024];

    assert_int_equal(read_node(&node, got, sizeof(got)), 0);
    assert_string_equal(got, want);
}

/* --- mounts --- */

static struct fs_error mount_error;

static int mount_at(const char *path, const char *bucket, const char *prefix)
{
    CLEANUP_FREE char *base = bucket_path(bucket);
    CLEANUP_FREE char *url = mem_printf("file://%s%s", base, prefix);
    struct fs_mount what = {.path = path, .url = url, .options = "", .keep = true};

    return fs_mount(rig_fs, rig_vol, &what, 1, rig_request().deadline_ns, &mount_error);
}

static void mounted(const char *path, const char *bucket, const char *prefix)
{
    if (mount_at(path, bucket, prefix))
        fail_msg("%s", mount_error.text);
}

static int unmount(const char *path, bool force)
{
    return fs_unmount(rig_fs, rig_vol, path, force, rig_request().deadline_ns, &mount_error);
}

static void unmounted(const char *path)
{
    if (unmount(path, false))
        fail_msg("%s", mount_error.text);
}

static int setup(void **state)
{
    int err = rig_setup(state);

    /* goofys's fixture. */
    rig_bucket_put("file1", "file1");
    rig_bucket_put("file2", "file2");
    rig_bucket_mkdir("dir1");
    rig_bucket_put("dir1/file3", "dir1/file3");
    rig_bucket_mkdir("dir2");
    rig_bucket_mkdir("dir2/dir3");
    rig_bucket_put("dir2/dir3/file4", "dir2/dir3/file4");
    rig_bucket_mkdir("dir4");
    rig_bucket_put("dir4/file5", "dir4/file5");
    rig_bucket_mkdir("empty_dir");
    rig_bucket_mkdir("empty_dir2");
    rig_bucket_put("zero", "");
    return err;
}

static int teardown(void **state)
{
    rig_before_run = NULL;
    return rig_teardown(state);
}

/* --- goofys's --- */

static void test_vfs(void **state)
{
    (void)state;
    bucket_mkdir("two", "sub");
    bucket_put("two", "other", "of two");
    assert_body("/dir1/file3", "dir1/file3");
    mounted("/dir1", "two", "");
    assert_list("/dir1", "other sub"); /* what was there is hidden */
    assert_body("/dir1/other", "of two");
    assert_list("/", "dir1 dir2 dir4 empty_dir empty_dir2 file1 file2 zero");
    assert_int_equal(put("/dir1/new", "new"), 0);
    assert_int_equal(make_dir("/dir1/made"), 0);
    assert_int_equal(move("/dir1/new", "/dir1/made/moved"), 0);
    assert_int_equal(move("/dir1/made/moved", "/moved"), -EXDEV);
    assert_int_equal(move("/file1", "/dir1/file1"), -EXDEV);
    assert_int_equal(move("/dir1/sub", "/dir2/sub"), -EXDEV);
    assert_body("/dir1/made/moved", "new");
    rig_settled();
    assert_true(bucket_has("two", "made/moved"));
    assert_false(rig_bucket_has("dir1/made"));
    /* The way up. */
    struct fs_node root = found("/"), up = found("/dir1/.."), sub_up = found("/dir1/sub/../..");
    assert_true(up.ino == fs_root(rig_vol) && up.vol == rig_vol);
    assert_true(same_place(&up, &sub_up) && root.ino == up.ino);
    struct fs_node here = found("/dir1/."), dir1 = found("/dir1");
    assert_true(same_place(&here, &dir1));
    assert_int_not_equal(dir1.attr.fsid, up.attr.fsid);
}

static void test_mounts_list(void **state)
{
    (void)state;
    bucket_mkdir("two", "");
    bucket_mkdir("three", "");
    bucket_put("two", "x", "in two");
    bucket_put("three", "y", "in three");
    mounted("/dir4/cloud1", "two", "");
    mounted("/dir4/cloud2", "three", "");
    assert_list("/dir4", "cloud1 cloud2 file5");
    rig_bucket_put("dir4/later", ""); /* what the store shows is listed anew, the mounts stay */
    assert_list("/dir4", "cloud1 cloud2 file5 later");
    assert_list("/dir4/cloud1", "x");
    assert_list("/dir4/cloud2", "y");
    rig_settled();
    assert_false(rig_bucket_has("dir4/cloud1")); /* the place is only here */
    assert_int_equal(remove_dir("/dir4/cloud1"), -EBUSY);
    assert_int_equal(remove_dir("/dir4"), -EBUSY);
    assert_int_equal(move("/dir4", "/dir5"), -EBUSY);
    assert_int_equal(move("/dir4/cloud1", "/dir4/cloud3"), -EBUSY);
    assert_int_equal(move("/empty_dir", "/dir4/cloud1"), -EBUSY);
    unmounted("/dir4/cloud1");
    assert_list("/dir4", "cloud2 file5 later");
    unmounted("/dir4/cloud2");
    assert_list("/dir4", "file5 later");
}

static void test_mounts_new_dir(void **state)
{
    (void)state;
    bucket_mkdir("two", "");
    bucket_put("two", "x", "in two");
    assert_int_equal(look("/dir5/in", &(struct fs_node){0}), -ENOENT);
    mounted("/dir5/in", "two", "");
    assert_list("/dir5", "in");
    assert_list("/dir5/in", "x");
    /* Something made in a directory that was only on the way makes it a real one. */
    assert_int_equal(put("/dir5/file", "beside"), 0);
    rig_settled();
    assert_true(rig_bucket_has("dir5/file"));
    unmounted("/dir5/in");
    assert_list("/dir5", "file");
}

static void test_mounts_new_mounts(void **state)
{
    (void)state;
    bucket_mkdir("two", "");
    bucket_mkdir("three", "");
    mounted("/dir1/a", "two", "");
    assert_list("/dir1", "a file3");
    mounted("/dir1/b", "three", "");
    assert_list("/dir1", "a b file3");
    assert_int_equal(mount_at("/dir1/a", "three", ""), -EEXIST);
    assert_int_equal(mount_at("/dir1/c", "three", ""), -EEXIST); /* a store once */
    assert_int_equal(mount_at("/file1", "four", ""), -ENOTDIR);
    assert_int_equal(mount_at("/", "four", ""), -EINVAL);
    assert_int_equal(mount_at("/a/../b", "four", ""), -EINVAL);
    assert_int_equal(mount_at("/a\tb", "four", ""), -EINVAL);
    assert_list("/dir1", "a b file3");
}

static void test_mounts_multi_level(void **state)
{
    (void)state;
    bucket_mkdir("two", "deep/er");
    bucket_put("two", "deep/er/x", "deep");
    mounted("/dir4/sub1/sub2/sub3", "two", "/deep");
    assert_list("/dir4", "file5 sub1");
    assert_list("/dir4/sub1", "sub2");
    assert_list("/dir4/sub1/sub2", "sub3");
    assert_body("/dir4/sub1/sub2/sub3/er/x", "deep");
    unmounted("/dir4/sub1/sub2/sub3");
    assert_list("/dir4", "file5");
}

/* The child is reached through its parent, whichever came first. */
static void check_nested(void)
{
    assert_list("/dir5", "in");
    assert_list("/dir5/in", "a top");
    assert_list("/dir5/in/a", "dir");
    assert_list("/dir5/in/a/dir", "low");
    assert_int_equal(put("/dir5/in/new", "high"), 0);
    assert_int_equal(put("/dir5/in/a/dir/new", "low"), 0);
    struct fs_node up = found("/dir5/in/a/dir/.."), a = found("/dir5/in/a"), in = found("/dir5/in");
    assert_true(same_place(&up, &a) && a.vol == in.vol);
    rig_settled();
    assert_true(bucket_has("two", "new"));
    assert_true(bucket_has("three", "new"));
    assert_false(bucket_has("two", "a"));
}

static void test_mounts_nested(void **state)
{
    (void)state;
    bucket_mkdir("two", "");
    bucket_put("two", "top", "");
    bucket_mkdir("three", "");
    bucket_put("three", "low", "");
    mounted("/dir5/in", "two", "");
    mounted("/dir5/in/a/dir", "three", "");
    check_nested();
}

static void test_mounts_nested_reversed(void **state)
{
    (void)state;
    bucket_mkdir("two", "");
    bucket_put("two", "top", "");
    bucket_mkdir("three", "");
    bucket_put("three", "low", "");
    mounted("/dir5/in/a/dir", "three", "");
    struct fs_node low = found("/dir5/in/a/dir/low");
    mounted("/dir5/in", "two", "");
    check_nested();
    struct fs_node again = found("/dir5/in/a/dir/low");
    assert_true(same_place(&low, &again));
}

static void wait_mounted(const char *path, bool want)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    bool failed = true;

    do {
        struct fs_mount_info *infos;
        size_t count;
        assert_true(clock_mono_ns() < end);
        (void)usleep(10 * 1000);
        fs_mounts_get(rig_fs, &infos, &count);
        for (size_t i = 0; i < count; i++) {
            if (strcmp(infos[i].path, path) == 0)
                failed = infos[i].failed;
        }
        fs_mounts_free(infos, count);
    } while (failed == want);
}

static void test_mounts_error(void **state)
{
    struct fs_node err_file;
    char text[1024];

    (void)state;
    bucket_mkdir("three", "");
    bucket_put("three", "low", "");
    mounted("/dir1/gone", "notthere", "");
    assert_list("/dir1", "file3 gone");
    assert_list("/dir1/gone", "mount.err");
    err_file = found("/dir1/gone/mount.err");
    assert_int_equal(err_file.attr.mode & 0222, 0);
    assert_int_equal(read_node(&err_file, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "notthere"));
    assert_int_equal(put("/dir1/gone/x", "x"), -EROFS);
    assert_int_equal(make_dir("/dir1/gone/x"), -EROFS);
    /* Below it others can be mounted all the same. */
    mounted("/dir1/gone/below", "three", "");
    assert_list("/dir1/gone", "below mount.err");
    assert_list("/dir1/gone/below", "low");
    struct fs_node low = found("/dir1/gone/below/low");
    /* It is tried again, and comes in its place. */
    bucket_mkdir("notthere", "");
    bucket_put("notthere", "back", "here");
    wait_mounted("/dir1/gone", true);
    assert_list("/dir1/gone", "back below");
    assert_body("/dir1/gone/back", "here");
    struct fs_node again = found("/dir1/gone/below/low");
    assert_true(same_place(&low, &again));
    assert_int_equal(put("/dir1/gone/x", "x"), 0);
    rig_settled();
    assert_true(bucket_has("notthere", "x"));
}

static void test_nested_mount_unmount_simple(void **state)
{
    (void)state;
    bucket_mkdir("two", "");
    bucket_put("two", "file3", "of two");
    mounted("/dir1", "two", "");
    assert_body("/dir1/file3", "of two");
    unmounted("/dir1");
    assert_body("/dir1/file3", "dir1/file3");
    mounted("/dir1", "two", "");
    assert_body("/dir1/file3", "of two");
}

static void test_unmount_bucket_with_child(void **state)
{
    (void)state;
    bucket_mkdir("two", "b");
    bucket_put("two", "b/hidden", "");
    bucket_mkdir("three", "");
    bucket_put("three", "low", "child");
    mounted("/a", "two", "");
    mounted("/a/b", "three", "");
    assert_list("/a/b", "low");
    struct fs_node low = found("/a/b/low");
    unmounted("/a");
    assert_list("/a", "b");
    assert_body("/a/b/low", "child");
    struct fs_node again = found("/a/b/low");
    assert_true(same_place(&low, &again));
    mounted("/a", "two", "");
    assert_body("/a/b/low", "child");
    unmounted("/a/b");
    assert_list("/a/b", "hidden");
    unmounted("/a");
    assert_list("/", "dir1 dir2 dir4 empty_dir empty_dir2 file1 file2 zero");
}

/* --- ours --- */

/* A handle stays a handle while its mount comes and goes, and over a restart; what is mounted at
 * run time is there again. */
static void mount_kept(void);
static bool kept_one(void *ctx, const struct fs_mount *kept)
{
    struct fs_error error;

    (void)ctx;
    assert_int_equal(fs_mount(rig_fs, rig_vol, kept, 1, rig_request().deadline_ns, &error), 0);
    return true;
}

static void mount_kept(void)
{
    assert_int_equal(fs_mounts_kept(rig_fs, rig_vol, kept_one, NULL), 0);
}

static void test_handles(void **state)
{
    uint8_t handle[FS_HANDLE_SIZE], again[FS_HANDLE_SIZE];
    struct fs_volume *vol;
    struct fs_attr attr;
    uint64_t ino;

    (void)state;
    bucket_mkdir("two", "");
    mounted("/new/place", "two", "");
    assert_int_equal(put("/new/place/file", "kept"), 0);
    struct fs_node node = found("/new/place/file");
    fs_handle_encode(node.vol, node.ino, handle);
    assert_ptr_equal(fs_volume_top(node.vol), rig_vol);
    unmounted("/new/place");
    struct fs_req req = rig_request();
    assert_null(fs_volume_top(node.vol));
    assert_int_equal(fs_getattr(node.vol, &req, node.ino, &attr), -ESTALE);
    mounted("/dir2/elsewhere", "two", "");
    req = rig_request();
    assert_int_equal(fs_getattr(node.vol, &req, node.ino, &attr), 0);
    rig_stop(0);
    rig_before_run = mount_kept;
    rig_start();
    assert_int_equal(fs_handle_decode(rig_fs, handle, sizeof(handle), &vol, &ino), 0);
    req = rig_request();
    assert_int_equal(fs_getattr(vol, &req, ino, &attr), 0);
    assert_body("/dir2/elsewhere/file", "kept");
    node = found("/dir2/elsewhere/file");
    fs_handle_encode(node.vol, node.ino, again);
    assert_memory_equal(handle, again, sizeof(handle));
    assert_int_equal(look("/new", &node), -ENOENT);
}

/* What was not uploaded when a mount was removed by force, or was not there at a start, goes on
 * when it comes back. */
static void test_forced(void **state)
{
    struct fs_left left;

    (void)state;
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_quiet_ns = 3600 * CLOCK_S;
    rig_start();
    bucket_mkdir("two", "");
    mounted("/dir1/in", "two", "");
    assert_int_equal(put("/dir1/in/one", "first"), 0);
    assert_int_equal(put("/dir1/in/two", "second"), 0);
    assert_int_equal(unmount("/dir1/in", true), 0);
    assert_false(bucket_has("two", "one"));
    fs_get_left(rig_fs, &left);
    assert_int_equal(left.files, 2);
    mounted("/dir1/in", "two", "");
    assert_body("/dir1/in/one", "first");
    assert_int_equal(unmount("/dir1/in", true), 0);
    rig_stop(0);
    rig_start(); /* without it */
    mounted("/dir1/in", "two", "");
    assert_body("/dir1/in/one", "first");
    assert_body("/dir1/in/two", "second");
    rig_quiet_ns = 10 * CLOCK_MS;
    unmounted("/dir1/in"); /* waits */
    assert_true(bucket_has("two", "one") && bucket_has("two", "two"));
}

/* Open files keep a mount where it is. */
static void test_open_files(void **state)
{
    struct fs_open open;

    (void)state;
    bucket_mkdir("two", "");
    mounted("/dir1/in", "two", "");
    assert_int_equal(put("/dir1/in/file", "x"), 0);
    struct fs_node node = found("/dir1/in/file");
    struct fs_req req = rig_request();
    assert_int_equal(fs_open(node.vol, &req, node.ino, FS_ACCESS_READ, &open), 0);
    assert_int_equal(unmount("/dir1/in", false), -EBUSY);
    assert_int_equal(unmount("/dir1/in", true), -EBUSY);
    fs_release(node.vol, node.ino);
    assert_int_equal(unmount("/dir1/in", false), 0);
    assert_int_equal(unmount("/dir1/in", false), -ENOENT);
}

/* What others do in the store to the directory that something is mounted on. */
static void test_place_goes(void **state)
{
    (void)state;
    bucket_mkdir("two", "");
    bucket_put("two", "x", "");
    mounted("/empty_dir", "two", "");
    CLEANUP_FREE char *place = mem_printf("%s/empty_dir", rig_bucket);
    assert_int_equal(rmdir(place), 0);
    assert_list("/", "dir1 dir2 dir4 empty_dir empty_dir2 file1 file2 zero");
    assert_list("/empty_dir", "x");
    rig_bucket_put("empty_dir", "a file");
    assert_list("/", "dir1 dir2 dir4 empty_dir empty_dir2 file1 file2 zero");
    assert_list("/empty_dir", "x");
    unmounted("/empty_dir");
    (void)look("/empty_dir", &(struct fs_node){0}); /* the directory is gone, */
    assert_body("/empty_dir", "a file");            /* and it is a file */
}

/* Kept for a store that does not answer at the start: its handles are for later, not gone. */
static void test_down_at_start(void **state)
{
    uint8_t handle[FS_HANDLE_SIZE];
    struct fs_volume *vol;
    uint64_t ino;

    (void)state;
    bucket_mkdir("two", "");
    mounted("/dir1/in", "two", "");
    assert_int_equal(put("/dir1/in/file", "there"), 0);
    struct fs_node node = found("/dir1/in/file");
    fs_handle_encode(node.vol, node.ino, handle);
    rig_settled();
    rig_stop(RIG_WAIT_S * CLOCK_S);
    CLEANUP_FREE char *two = bucket_path("two");
    CLEANUP_FREE char *away = bucket_path("away");
    assert_int_equal(rename(two, away), 0);
    rig_before_run = mount_kept;
    rig_start();
    assert_list("/dir1/in", "mount.err");
    assert_int_equal(fs_handle_decode(rig_fs, handle, sizeof(handle), &vol, &ino), -EAGAIN);
    assert_int_equal(rename(away, two), 0);
    wait_mounted("/dir1/in", true);
    assert_int_equal(fs_handle_decode(rig_fs, handle, sizeof(handle), &vol, &ino), 0);
    assert_body("/dir1/in/file", "there");
}

int main(void)
{
#define MOUNT_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        MOUNT_TEST(test_vfs),
        MOUNT_TEST(test_mounts_list),
        MOUNT_TEST(test_mounts_new_dir),
        MOUNT_TEST(test_mounts_new_mounts),
        MOUNT_TEST(test_mounts_multi_level),
        MOUNT_TEST(test_mounts_nested),
        MOUNT_TEST(test_mounts_nested_reversed),
        MOUNT_TEST(test_mounts_error),
        MOUNT_TEST(test_nested_mount_unmount_simple),
        MOUNT_TEST(test_unmount_bucket_with_child),
        MOUNT_TEST(test_handles),
        MOUNT_TEST(test_forced),
        MOUNT_TEST(test_open_files),
        MOUNT_TEST(test_place_goes),
        MOUNT_TEST(test_down_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
