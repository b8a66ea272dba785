/* Extended attributes as object metadata: any bytes, other programs' ones, kept over everything
 * that happens to a file; what is told read-only; and forgetting what is believed of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/store.h"
#include "fs/facts.h"
#include "fs/mounts.h"
#include "fs/xattr.h"
#include "tests/fs/volume_rig.h"

static int set(uint64_t ino, const char *name, const void *value, size_t len, int flags)
{
    struct fs_req req = rig_request();
    int err = fs_setxattr(rig_vol, &req, ino, name, value, len, flags);

    rig_durable(&req);
    return err;
}

static int set_text(uint64_t ino, const char *name, const char *value)
{
    return set(ino, name, value, strlen(value), 0);
}

static int remove_one(uint64_t ino, const char *name)
{
    struct fs_req req = rig_request();
    int err = fs_removexattr(rig_vol, &req, ino, name);

    rig_durable(&req);
    return err;
}

/* Its length, or a negative errno. */
static int get(uint64_t ino, const char *name, char *buf, size_t size)
{
    struct fs_req req = rig_request();
    size_t len = 0;
    int err = fs_getxattr(rig_vol, &req, ino, name, buf, size, &len);

    return err ? err : (int)len;
}

static void check(uint64_t ino, const char *name, const void *want, size_t len)
{
    char buf[4096];

    assert_int_equal(get(ino, name, NULL, 0), len);
    assert_int_equal(get(ino, name, buf, sizeof(buf)), len);
    assert_memory_equal(buf, want, len);
}

static void check_text(uint64_t ino, const char *name, const char *want)
{
    check(ino, name, want, strlen(want));
}

static int list(uint64_t ino, char *buf, size_t size)
{
    struct fs_req req = rig_request();
    size_t len = 0;
    int err = fs_listxattr(rig_vol, &req, ino, buf, size, &len);

    return err ? err : (int)len;
}

static bool listed(uint64_t ino, const char *name)
{
    char names[4096];
    int len = list(ino, names, sizeof(names));

    assert_true(len >= 0);
    for (int at = 0; at < len; at += (int)strlen(names + at) + 1) {
        if (strcmp(names + at, name) == 0)
            return true;
    }
    return false;
}

/* As it lies in the bucket, or NULL. */
static char *in_bucket(const char *path, const char *meta_name)
{
    CLEANUP_FREE char *full = mem_printf("%s/%s", rig_bucket, path);
    CLEANUP_FREE char *name = mem_printf("user.pailfs.%s", meta_name);
    char value[4096];
    ssize_t n = getxattr(full, name, value, sizeof(value));

    return n < 0 ? NULL : mem_strndup(value, (size_t)n);
}

static void bucket_set(const char *path, const char *meta_name, const char *value)
{
    CLEANUP_FREE char *full = mem_printf("%s/%s", rig_bucket, path);
    CLEANUP_FREE char *name = mem_printf("user.pailfs.%s", meta_name);

    assert_int_equal(setxattr(full, name, value, strlen(value), 0), 0);
}

static void check_bucket(const char *path, const char *meta_name, const char *want)
{
    CLEANUP_FREE char *have = in_bucket(path, meta_name);

    if (!want)
        assert_null(have);
    else
        assert_string_equal(have, want);
}

/* --- the encoding --- */

static void check_round_trip(const void *value, size_t len)
{
    CLEANUP_FREE char *text = xattr_value_encode(value, len);
    CLEANUP_FREE char *back = mem_alloc(strlen(text) + 1);

    for (const char *p = text; *p; p++)
        assert_true(*p >= 0x20 && *p < 0x7f);
    assert_int_equal(xattr_value_decode(text, back), len);
    assert_memory_equal(back, value, len);
}

static void test_encoding(void **state)
{
    char all[256], random[64], buf[64];

    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    check_round_trip(all, sizeof(all));
    check_round_trip("", 0);
    check_round_trip("%", 1);
    check_round_trip("%41", 3);
    check_round_trip(" a  b ", 6);
    check_round_trip("=?UTF-8?B?YQ==?=", 16);
    srand(1);
    for (int round = 0; round < 1000; round++) {
        size_t len = (size_t)rand() % sizeof(random);
        for (size_t i = 0; i < len; i++)
            random[i] = (char)rand();
        check_round_trip(random, len);
    }
    /* What is no escape of ours is as it is. */
    assert_int_equal(xattr_value_decode("100%", buf), 4);
    assert_string_equal(buf, "100%");
    assert_int_equal(xattr_value_decode("%41 and 5%", buf), 10);
    assert_string_equal(buf, "%41 and 5%");
    /* As goofys writes it. */
    assert_int_equal(xattr_value_decode("file1+/#%00", buf), 9);
    assert_memory_equal(buf, "file1+/#\0", 9);
}

static void check_name(const char *name, const char *meta)
{
    CLEANUP_FREE char *text = xattr_name_encode(name);
    CLEANUP_FREE char *back = mem_alloc(strlen(text) + 1);

    assert_string_equal(text, meta);
    (void)xattr_name_decode(text, back);
    assert_string_equal(back, name);
}

static void test_lists(void **state)
{
    CLEANUP_FREE char *one = xattr_list_set(NULL, "a", "1");
    CLEANUP_FREE char *two = xattr_list_set(one, "b", "2=\xc3\xa4");
    CLEANUP_FREE char *turned = xattr_list_set(two, "a", "1");
    CLEANUP_FREE char *other = xattr_list_set(two, "a", "3");
    CLEANUP_FREE char *back = xattr_list_set(two, "b", NULL);

    (void)state;
    assert_string_equal(turned, "b=2=\xc3\xa4\na=1\n");
    assert_true(xattr_list_same(two, turned));
    assert_true(xattr_list_same(NULL, NULL));
    assert_true(xattr_list_same(one, back));
    assert_false(xattr_list_same(one, two));
    assert_false(xattr_list_same(two, one));
    assert_false(xattr_list_same(two, other));
    assert_false(xattr_list_same(NULL, one));
    assert_null(xattr_list_set(one, "a", NULL));
}

static void check_s3fs(const char *before, const char *after)
{
    char *list = mem_strdup(before);

    xattr_list_from_s3fs(&list);
    assert_string_equal(list, after);
    free(list);
}

static void test_s3fs(void **state)
{
    (void)state;
    /* {"user.a":"aGVsbG8=","user.B":"AAo="} */
    check_s3fs("color=blue\n"
               "xattr=%7B%22user.a%22%3A%22aGVsbG8%3D%22%2C%22user.B%22%3A%22AAo%3D%22%7D\n",
               "color=blue\na=hello\n%42=%00%0A\n");
    /* What is no user.* stays; what has been set since wins. */
    check_s3fs("a=new\nxattr={\"user.a\":\"aGVsbG8=\",\"system.x\":\"AAo=\"}\n",
               "a=new\nxattr=%7B%22system.x%22%3A%22AAo%3D%22%7D\n");
    static const char *const others[] = {"xattr=x\n",
                                         "xattr={}\n",
                                         "xattr={\"user.a\":1}\n",
                                         "xattr={\"user.a\":\"a\"}\n",
                                         "xattr={\"user.a\":\"YQ==\",}\n",
                                         "xattr={\"user.a\":\"YQ==\"} \n",
                                         "xattr={\"user.a\":\"YQ==\"\n",
                                         "xattr=\n",
                                         "xattr={\"\n"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        check_s3fs(others[i], others[i]);
}

static void test_names(void **state)
{
    (void)state;
    check_name("color", "color");
    check_name("Color.X", "%43olor.%58");
    check_name("a=b c", "a%3db%20c");
    check_name("mode", "%6dode"); /* s3fs's, and would be taken for ours */
    check_name("MODE", "%4d%4f%44%45");
    check_name("file-mtime", "%66ile-mtime");
    check_name("\xc3\xa4", "%c3%a4");
    check_name("100%", "100%25");
}

/* --- goofys's tests, by their names --- */

static uint64_t fixture(const char *name)
{
    uint64_t ino;

    rig_bucket_put(name, name);
    CLEANUP_FREE char *value = mem_printf("%s+/#%%00", name);
    bucket_set(name, "name", value);
    assert_int_equal(rig_look(fs_root(rig_vol), name, &ino), 0);
    return ino;
}

static void test_TestXAttrGet(void **state)
{
    uint64_t ino = fixture("file1");
    char names[64];

    (void)state;
    assert_int_equal(list(ino, names, sizeof(names)), sizeof("user.name"));
    assert_string_equal(names, "user.name");
    check(ino, "user.name", "file1+/#\0", 9);
    assert_int_equal(get(ino, "user.foobar", NULL, 0), -ENODATA);
    assert_true(get(ino, "file.etag", NULL, 0) > 2);
    assert_int_equal(get(ino, "user.name", names, 8), -ERANGE);
    assert_int_equal(list(ino, names, 9), -ERANGE);
    assert_int_equal(list(ino, NULL, 0), sizeof("user.name"));
}

static void test_TestXAttrGetCached(void **state)
{
    uint64_t ino = fixture("file2");
    struct fs_req req = rig_request();
    char buf[64];
    size_t len;

    (void)state;
    /* From memory: nobody may wait. A file of ours that is dirty is never asked for. */
    assert_int_equal(set_text(ino, "user.x", "y"), 0);
    req.flags = FS_NOWAIT;
    assert_int_equal(fs_getxattr(rig_vol, &req, ino, "user.name", buf, sizeof(buf), &len), 0);
    assert_int_equal(len, 9);
    rig_settled();
}

static void test_TestXAttrCopied(void **state)
{
    uint64_t ino = fixture("file3"), root = fs_root(rig_vol);

    (void)state;
    rig_rename(root, "file3", root, "file0");
    check(ino, "user.name", "file3+/#\0", 9);
    rig_settled();
    assert_int_equal(rig_look(root, "file0", &ino), 0);
    check(ino, "user.name", "file3+/#\0", 9);
    check_bucket("file0", "name", "file3+/#%00");
}

static void test_TestXAttrRemove(void **state)
{
    uint64_t ino = fixture("file4");

    (void)state;
    assert_int_equal(remove_one(ino, "user.name"), 0);
    assert_int_equal(get(ino, "user.name", NULL, 0), -ENODATA);
    assert_int_equal(remove_one(ino, "user.name"), -ENODATA);
    assert_int_equal(list(ino, NULL, 0), 0);
    rig_settled();
    check_bucket("file4", "name", NULL);
    assert_int_equal(get(ino, "user.name", NULL, 0), -ENODATA);
}

static void test_TestXAttrSet(void **state)
{
    uint64_t ino = fixture("file5");

    (void)state;
    assert_int_equal(set(ino, "user.bar", "hello", 5, FS_XATTR_REPLACE), -ENODATA);
    assert_int_equal(set(ino, "user.bar", "hello", 5, FS_XATTR_CREATE), 0);
    assert_int_equal(set(ino, "user.bar", "hello", 5, FS_XATTR_CREATE), -EEXIST);
    check_text(ino, "user.bar", "hello");
    assert_int_equal(set(ino, "user.bar", "file1+/#\0", 9, 0), 0);
    check(ino, "user.bar", "file1+/#\0", 9);
    rig_settled();
    check(ino, "user.bar", "file1+/#\0", 9);
    check_bucket("file5", "bar", "file1+/#%00");
    assert_int_equal(set(ino, "user.bar", "", 0, FS_XATTR_REPLACE), 0);
    check(ino, "user.bar", "", 0);
    rig_settled();
    check(ino, "user.bar", "", 0);
    assert_int_equal(set(ino, "file.etag", "hello", 5, 0), -EPERM);
    assert_int_equal(set(ino, "user.bar", "x", 1, 8), -EINVAL);
}

/* --- what else there is --- */

static void test_refused(void **state)
{
    uint64_t ino = rig_put(fs_root(rig_vol), "refused", "x");
    char large[4096], name[300] = "user.";

    (void)state;
    memset(large, 'x', sizeof(large));
    memset(name + 5, 'n', sizeof(name) - 5);
    name[256] = '\0';
    assert_int_equal(set(ino, name, "", 0, 0), -ERANGE);
    assert_int_equal(set(ino, "user.", "", 0, 0), -EINVAL);
    static const char *const no[] = {"security.capability", "system.posix_acl_access", "trusted.x",
                                     "nothing", NULL};
    for (const char *const *n = no; *n; n++) {
        assert_int_equal(set(ino, *n, "", 0, 0), -ENOTSUP);
        assert_int_equal(get(ino, *n, NULL, 0), -ENOTSUP);
        assert_int_equal(remove_one(ino, *n), -ENOTSUP);
    }
    assert_int_equal(set(ino, "user.large", large, sizeof(large), 0), -E2BIG);
    assert_int_equal(set(ino, "user.a", large, 1000, 0), 0);
    assert_int_equal(set(ino, "user.b", large, 1000, 0), -ENOSPC);
    assert_int_equal(set(ino, "user.a", large, 1500, 0), 0);
    assert_int_equal(remove_one(ino, "pailfs.state"), -EPERM);
    for (int i = 0; i < XATTR_COUNT_MAX - 1; i++) {
        CLEANUP_FREE char *more = mem_printf("user.%d", i);
        assert_int_equal(set(ino, more, "", 0, 0), 0);
    }
    assert_int_equal(set(ino, "user.one-more", "", 0, 0), -ENOSPC);
    rig_settled(); /* so much can be stored */
    check(ino, "user.a", large, 1500);
}

static void test_permission(void **state)
{
    uint64_t root = fs_root(rig_vol), ino = rig_put(root, "mine", "x");
    struct fs_req req = rig_request();
    struct fs_node node;
    struct fs_wcc wcc;
    size_t len;

    (void)state;
    req.cred.uid = 4711;
    assert_int_equal(fs_setxattr(rig_vol, &req, ino, "user.a", "", 0, 0), -EACCES);
    assert_int_equal(fs_getxattr(rig_vol, &req, ino, "user.a", NULL, 0, &len), -ENODATA);
    req = rig_request();
    assert_int_equal(
        fs_symlink(rig_vol, &req, root, "link", "target", &(struct fs_sattr){0}, &node, &wcc), 0);
    assert_int_equal(set_text(node.ino, "user.a", "b"), -EPERM);
    assert_int_equal(get(node.ino, "user.a", NULL, 0), -ENODATA);
    assert_int_equal(list(node.ino, NULL, 0), 0);
    /* A directory that many write to. */
    uint64_t dir = rig_make_dir(root, "sticky");
    struct fs_sattr mode = {.set = FS_SET_MODE, .mode = 01777};
    req = rig_request();
    assert_int_equal(fs_setattr(rig_vol, &req, dir, &mode, NULL, &wcc), 0);
    req = rig_request();
    req.cred.uid = 4711;
    assert_int_equal(fs_setxattr(rig_vol, &req, dir, "user.a", "", 0, 0), -EPERM);
    req.flags = FS_CHECKED;
    assert_int_equal(fs_setxattr(rig_vol, &req, dir, "user.a", "", 0, 0), 0);
}

static void test_directory(void **state)
{
    uint64_t root = fs_root(rig_vol), dir = rig_make_dir(root, "dir");

    (void)state;
    assert_int_equal(set_text(dir, "user.Project", "\xc3\xa4\n"), 0);
    rig_settled();
    check_bucket("dir", "%50roject", "%C3%A4%0A");
    check_text(dir, "user.Project", "\xc3\xa4\n");
    rig_rename(root, "dir", root, "dir2");
    rig_settled();
    check_bucket("dir2", "%50roject", "%C3%A4%0A");
    /* The root has no object: its own are kept in the state directory. */
    assert_int_equal(set_text(root, "user.root", "x"), 0);
    check_text(root, "user.root", "x");
}

/* Written to, renamed, cut off by a stop at each point: they stay. */
static void test_kept(void **state)
{
    uint64_t root = fs_root(rig_vol), ino = rig_put(root, "kept", "one"), again;

    (void)state;
    assert_int_equal(set_text(ino, "user.a", "1"), 0); /* before its object is there */
    rig_stop(0);
    rig_start();
    assert_int_equal(rig_look(root, "kept", &again), 0);
    assert_int_equal(again, ino);
    check_text(ino, "user.a", "1");
    rig_settled();
    check_bucket("kept", "a", "1");
    assert_int_equal(set_text(ino, "user.b", "2"), 0); /* after */
    rig_stop(0);
    rig_start();
    check_text(ino, "user.b", "2");
    rig_settled();
    check_bucket("kept", "b", "2");
    (void)rig_put(root, "kept", "two");
    rig_settled();
    rig_check_body(root, "kept", "two");
    check_bucket("kept", "a", "1");
    check_bucket("kept", "b", "2");
    assert_true(listed(ino, "user.a"));
    assert_true(listed(ino, "user.b"));
    rig_remove(root, "kept", false);
    assert_int_equal(get(ino, "user.a", NULL, 0), -ESTALE);
}

/* Others change nothing but the metadata. */
static void test_changed_by_others(void **state)
{
    uint64_t root = fs_root(rig_vol), ino = rig_put(root, "theirs", "x"), dir;

    (void)state;
    rig_settled();
    struct fs_req req = rig_request();
    struct fs_attr before, after;
    assert_int_equal(fs_getattr(rig_vol, &req, ino, &before), 0);
    req = rig_request();
    assert_int_equal(fs_getattr(rig_vol, &req, ino, &after), 0);
    assert_int_equal(after.ctime_ns, before.ctime_ns);
    bucket_set("theirs", "seen", "now 100%");
    bucket_set("theirs", "mode", "33188"); /* an attribute of s3fs */
    check_text(ino, "user.seen", "now 100%");
    req = rig_request();
    assert_int_equal(fs_getattr(rig_vol, &req, ino, &after), 0);
    assert_true(after.ctime_ns > before.ctime_ns);
    assert_int_equal(after.mtime_ns, before.mtime_ns);
    assert_false(listed(ino, "user.mode"));
    assert_int_equal(get(ino, "user.mode", NULL, 0), -ENODATA);
    assert_int_equal(set_text(ino, "user.mode", "fast"), 0);
    rig_settled();
    check_text(ino, "user.mode", "fast");
    check_bucket("theirs", "seen", "now 100%"); /* not touched */
    check_bucket("theirs", "%6dode", "fast");
    /* s3fs's, which become ours when we write the object. */
    bucket_set("theirs", "xattr", "%7B%22user.old%22%3A%22aGVsbG8%3D%22%7D");
    check_text(ino, "user.old", "hello");
    assert_false(listed(ino, "user.xattr"));
    assert_int_equal(set_text(ino, "user.new", "1"), 0);
    rig_settled();
    check_bucket("theirs", "old", "hello");
    check_bucket("theirs", "xattr", NULL);
    /* Of a directory that only a listing has shown. */
    rig_bucket_mkdir("tdir");
    bucket_set("tdir", "seen", "there");
    assert_true(rig_list(root) > 0);
    assert_int_equal(rig_look(root, "tdir", &dir), 0);
    check_text(dir, "user.seen", "there");
}

struct found {
    const char *name;
    char value[256];
};

static bool find_fact(void *ctx, const char *name, const char *value)
{
    struct found *f = ctx;

    if (strcmp(name, f->name) == 0)
        (void)snprintf(f->value, sizeof(f->value), "%s", value);
    return true;
}

static void check_fact(uint64_t ino, const char *name, const char *want)
{
    struct fs_req req = rig_request();
    struct found f = {.name = name};

    assert_int_equal(fs_facts(rig_vol, &req, ino, find_fact, &f), 0);
    assert_string_equal(f.value, want);
    if (want[0] && !strstr(name, ".etag"))
        check_text(ino, name, want);
    else if (!want[0])
        assert_int_equal(get(ino, name, NULL, 0), -ENODATA);
    assert_false(listed(ino, name)); /* or copies of the file would try to set it */
}

static void test_facts(void **state)
{
    uint64_t root = fs_root(rig_vol), dir = rig_make_dir(root, "fd"), ino;
    char etag[128], again[128];
    int len;

    (void)state;
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_quiet_ns = 60 * CLOCK_S;
    rig_start();
    ino = rig_put(dir, "f", "12345");
    check_fact(ino, "pailfs.state", "dirty");
    check_fact(ino, "pailfs.staged", "5");
    check_fact(ino, "pailfs.key", "fd/f");
    check_fact(ino, "pailfs.source", "");
    check_fact(ino, "file.etag", "");
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_quiet_ns = 10 * CLOCK_MS;
    rig_start();
    check_fact(ino, "pailfs.state", "clean");
    check_fact(ino, "pailfs.staged", "");
    check_fact(ino, "file.size", "5");
    CLEANUP_FREE char *source = mem_printf("file://%s/fd/f", rig_bucket);
    check_fact(ino, "pailfs.source", source);
    len = get(ino, "file.etag", etag, sizeof(etag));
    assert_true(len > 2 && etag[0] == '"' && etag[len - 1] == '"');
    assert_int_equal(get(ino, "file.last-modified", again, sizeof(again)), 20);
    (void)rig_put(dir, "f", "123456");
    rig_settled();
    assert_true(get(ino, "file.etag", again, sizeof(again)) != len ||
                memcmp(etag, again, (size_t)len) != 0);
    check_fact(dir, "pailfs.key", "fd/");
    check_fact(dir, "pailfs.state", "clean");
}

/* What is below includes other buckets that are mounted there. */
static void test_refresh_mounts(uint64_t dir)
{
    CLEANUP_FREE char *below = mem_printf("%s-below", rig_bucket);
    CLEANUP_FREE char *url = mem_printf("file://%s", below);
    CLEANUP_FREE char *file = mem_printf("%s/new", below);
    struct fs_mount mount = {.path = "/rd/mounted", .url = url, .store = &(struct store_config){0}};
    struct fs_req req = rig_request();
    struct fs_node node, at, dir_node;
    struct fs_error err;

    assert_int_equal(mkdir(below, 0755), 0);
    assert_int_equal(fs_mount(rig_fs, rig_vol, &mount, 1, req.deadline_ns, &err), 0);
    assert_int_equal(fs_lookup(rig_vol, &req, dir, "mounted", &at, &dir_node), 0);
    assert_true(at.vol != rig_vol);
    req = rig_request();
    assert_int_equal(fs_lookup(at.vol, &req, at.ino, "new", &node, &dir_node), -ENOENT);
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    req = rig_request();
    assert_int_equal(fs_lookup(at.vol, &req, at.ino, "new", &node, &dir_node), -ENOENT);
    assert_int_equal(set(dir, "pailfs.invalidate", "", 0, 0), 0);
    req = rig_request();
    assert_int_equal(fs_lookup(at.vol, &req, at.ino, "new", &node, &dir_node), 0);
    req = rig_request();
    assert_int_equal(fs_unmount(rig_fs, rig_vol, "/rd/mounted", false, req.deadline_ns, &err), 0);
}

/* What is believed for an hour is forgotten when somebody says so. */
static void test_refresh(void **state)
{
    uint64_t root = fs_root(rig_vol), dir, sub, ino;

    (void)state;
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_attr_ttl_ns = 3600 * CLOCK_S;
    rig_start();
    dir = rig_make_dir(root, "rd");
    sub = rig_make_dir(dir, "sub");
    ino = rig_put(sub, "f", "old");
    rig_settled();
    assert_int_equal(rig_look(sub, "new", NULL), -ENOENT);
    rig_bucket_put("rd/sub/new", "new");
    bucket_set("rd/sub/f", "seen", "yes");
    bucket_set("rd/sub", "seen", "yes");
    assert_int_equal(rig_look(sub, "new", NULL), -ENOENT);
    assert_int_equal(get(ino, "user.seen", NULL, 0), -ENODATA);
    assert_int_equal(set(rig_make_dir(root, "other"), ".invalidate", "", 0, 0), 0);
    assert_int_equal(get(ino, "user.seen", NULL, 0), -ENODATA);
    assert_int_equal(set(dir, "pailfs.invalidate", "", 0, 0), 0);
    check_text(ino, "user.seen", "yes");
    check_text(sub, "user.seen", "yes");
    rig_check_body(sub, "new", "new");
    test_refresh_mounts(dir);
    /* One file alone; another one lies there now. */
    rig_bucket_put("rd/sub/f", "another");
    assert_int_equal(set(ino, ".invalidate", "", 0, 0), 0);
    rig_check_body(sub, "f", "another");
    assert_int_equal(get(ino, ".invalidate", NULL, 0), -ENODATA);
    rig_stop(RIG_WAIT_S * CLOCK_S);
    rig_attr_ttl_ns = 0;
    rig_start();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_s3fs),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_TestXAttrGet),
        cmocka_unit_test(test_TestXAttrGetCached),
        cmocka_unit_test(test_TestXAttrCopied),
        cmocka_unit_test(test_TestXAttrRemove),
        cmocka_unit_test(test_TestXAttrSet),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_permission),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_changed_by_others),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_refresh),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
