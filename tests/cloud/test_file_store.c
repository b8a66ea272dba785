/* The file:// store: opening, objects, conditions, directories, leftovers. */
#include "test_file_util.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* --- opening --- */

static void open_must_fail(const char *url, const char *part)
{
    struct store_config config = {0};
    struct store_error error = {""};
    struct store *store = NULL;

    assert_true(store_open(url, &config, &store, &error) < 0);
    assert_null(store);
    if (!strstr(error.text, part))
        fail_msg("%s: \"%s\" does not say \"%s\"", url, error.text, part);
    assert_null(strchr(error.text, '\n'));
}

static void test_open_errors(void **state)
{
    struct env *env = *state;
    char url[256];

    open_must_fail("file://relative/path", "absolute");
    open_must_fail("file:///no/such/directory/anywhere", "does not exist");
    open_must_fail("file:///tmp/%zz", "hexadecimal");
    open_must_fail("file:///tmp/%00x", "hexadecimal");
    env_write(env, "plain", "x");
    (void)snprintf(url, sizeof(url), "%s/plain", env->url);
    open_must_fail(url, "not a directory");
    (void)snprintf(url, sizeof(url), "%s/plain/more", env->url);
    open_must_fail(url, "not a directory");
}

static void test_open_decodes(void **state)
{
    struct env *env = *state;
    char url[256];

    assert_int_equal(mkdir(env_path(env, "a b%c"), 0755), 0);
    env_write(env, "a b%c/x", "inside");
    (void)snprintf(url, sizeof(url), "file://localhost%s/a%%20b%%25c///", env->dir);
    struct env other = {.store = env_open_url(url, false)};
    assert_body(&other, "x", "inside");
    (void)snprintf(url, sizeof(url), "file://%s/a%%20b%%25c", env->dir);
    assert_string_equal(other.store->url, url);
    store_close(other.store);
}

static void test_read_only(void **state)
{
    struct env *env = *state;
    struct store_caps caps;

    assert_int_equal(put(env, "x", "1"), 0);
    store_close(env->store);
    env->store = env_open_url(env->url, true);
    store_get_caps(env->store, &caps);
    assert_false(caps.writable);
    assert_body(env, "x", "1");
    assert_int_equal(put(env, "x", "2"), -EROFS);
    assert_int_equal(delete_key(env, "x", NULL), -EROFS);
    assert_false(env_exists(env, ".pailfs-tmp"));
    env_reopen(env);
    store_get_caps(env->store, &caps);
    assert_true(caps.writable && caps.list_sorted && caps.list_meta && caps.cond_put &&
                caps.cond_copy && caps.cond_delete && caps.part_copy && caps.meta_patch &&
                caps.real_dirs);
}

/* As nobody, in a directory that only root may write to. Exit status of the child. */
static int look_as_nobody(const char *url)
{
    struct store_config config = {0};
    struct store_error error;
    struct store_caps caps;
    struct store *store;

    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
        return 1;
    if (store_open(url, &config, &store, &error))
        return 2;
    store_get_caps(store, &caps);
    struct env env = {.store = store};
    bool good = !caps.writable && put(&env, "y", "2") == -EROFS;
    assert_body(&env, "x", "1");
    store_close(store);
    return good ? 0 : 3;
}

static void test_no_permission(void **state)
{
    struct env *env = *state;
    int status;

    if (geteuid() != 0)
        skip();
    assert_int_equal(put(env, "x", "1"), 0);
    assert_int_equal(chmod(env->dir, 0755), 0);
    store_close(env->store); /* no threads while we fork */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(look_as_nobody(env->url));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    env->store = env_open_url(env->url, false);
    assert_int_equal(status, 0);
}

static void test_no_xattrs(void **state)
{
    struct env *env = *state;
    const char *dir = env_path(env, "ramfs");
    char url[128];

    (void)snprintf(url, sizeof(url), "%s/ramfs", env->url);
    assert_int_equal(mkdir(dir, 0755), 0);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", dir, "ramfs", 0, NULL))
        skip();
    env_write(env, "ramfs/x", "readable");
    open_must_fail(url, "extended attributes");
    struct env other = {.store = env_open_url(url, true)};
    assert_body(&other, "x", "readable");
    assert_meta(&other, "x", "file-permissions", "0100644");
    store_close(other.store);
    assert_int_equal(umount(dir), 0);
}

static void test_space(void **state)
{
    struct env *env = *state;
    uint64_t total, available;

    store_get_space(env->store, &total, &available);
    assert_true(total > 0 && available <= total);
}

/* --- objects --- */

static void test_put_get(void **state)
{
    struct env *env = *state;
    struct store_object obj;
    char etag[STORE_ETAG_MAX], buf[16];

    assert_int_equal(put_full(env, "a/b/c.txt", "hello", 5, NULL, NULL, false, etag), 0);
    assert_body(env, "a/b/c.txt", "hello");
    assert_int_equal(head(env, "a/b/c.txt", &obj), 0);
    assert_int_equal(obj.size, 5);
    assert_string_equal(obj.etag, etag);
    store_object_clear(&obj);
    assert_int_equal(get_range(env, "a/b/c.txt", 1, buf, 3, etag), 3);
    assert_memory_equal(buf, "ell", 3);
    assert_int_equal(get_range(env, "a/b/c.txt", 3, buf, 10, NULL), 2);
    assert_int_equal(get_range(env, "a/b/c.txt", 5, buf, 10, NULL), 0);
    assert_int_equal(get_range(env, "a/b/c.txt", UINT64_MAX - 5, buf, 10, NULL), 0);
    assert_int_equal(get_range(env, "a/b/c.txt", 0, buf, 10, "other"), -ESTALE);
    assert_int_equal(get_range(env, "a/b", 0, buf, 10, NULL), -ENOENT);
    assert_int_equal(get_range(env, "a/b/c.txt/d", 0, buf, 10, NULL), -ENOENT);
    assert_int_equal(get_range(env, "missing", 0, buf, 10, NULL), -ENOENT);
    assert_int_equal(put(env, "a/b/c.txt", "other"), 0);
    assert_string_not_equal(etag_of(env, "a/b/c.txt"), etag);
    assert_int_equal(get_range(env, "a/b/c.txt", 0, buf, 10, etag), -ESTALE);
}

static void test_etag_never_repeats(void **state)
{
    struct env *env = *state;
    char etags[64][STORE_ETAG_MAX];

    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(put_full(env, "k", "same", 4, NULL, NULL, false, etags[i]), 0);
        assert_string_equal(etag_of(env, "k"), etags[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(etags[j], etags[i]);
    }
}

static void test_conditions(void **state)
{
    struct env *env = *state;
    char first[STORE_ETAG_MAX], second[STORE_ETAG_MAX];

    assert_int_equal(put_full(env, "k", "1", 1, NULL, "anything", false, NULL), -ESTALE);
    assert_int_equal(put_full(env, "k", "1", 1, NULL, NULL, true, first), 0);
    assert_int_equal(put_full(env, "k", "2", 1, NULL, NULL, true, NULL), -ESTALE);
    assert_body(env, "k", "1");
    assert_int_equal(put_full(env, "k", "2", 1, NULL, first, false, second), 0);
    assert_int_equal(put_full(env, "k", "3", 1, NULL, first, false, NULL), -ESTALE);
    assert_body(env, "k", "2");
    assert_int_equal(delete_key(env, "k", first), -ESTALE);
    assert_true(env_exists(env, "k"));
    assert_int_equal(delete_key(env, "k", second), 0);
    assert_false(env_exists(env, "k"));
    assert_int_equal(delete_key(env, "k", second), 0);
    assert_false(env_exists(env, ".pailfs-tmp/t0"));
}

static void test_bad_keys(void **state)
{
    struct env *env = *state;
    static const char *const bad[] = {
        "",
        "/",
        "/a",
        "a//b",
        "../x",
        "a/../b",
        ".",
        "./a",
        "a/.",
        "..",
        "//",
        "a/./",
        "a/b//",
        ".pailfs-tmp",
        ".pailfs-tmp/xy",
        ".pailfs-tmp/",
    };
    struct store_object obj;
    char name[2000];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(put(env, bad[i], ""), -EINVAL);
        assert_int_equal(head(env, bad[i], &obj), -ENOENT);
        assert_int_equal(delete_key(env, bad[i], NULL), 0);
    }
    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    assert_int_equal(put(env, name, "x"), -ENAMETOOLONG);
    assert_int_equal(head(env, name, &obj), -ENOENT);
    name[255] = '\0';
    assert_int_equal(put(env, name, "x"), 0);
    assert_body(env, name, "x");
    for (size_t i = 100; i < sizeof(name); i += 100)
        name[i] = '/';
    name[255] = name[256] = 'n';
    name[1025] = '\0';
    assert_int_equal(put(env, name, "x"), -ENAMETOOLONG);
    name[1024] = '\0';
    assert_int_equal(put(env, name, "x"), 0);
    assert_body(env, name, "x");
}

static void test_names_in_the_way(void **state)
{
    struct env *env = *state;

    assert_int_equal(put(env, "file", "x"), 0);
    assert_int_equal(put(env, "file/below", "x"), -EINVAL);
    assert_int_equal(put(env, "file/", ""), -EINVAL);
    assert_int_equal(put_full(env, "file/", "", 0, NULL, NULL, true, NULL), -ESTALE);
    assert_int_equal(put(env, "dir/", ""), 0);
    assert_int_equal(put(env, "dir", "x"), -EINVAL);
    assert_int_equal(put_full(env, "dir", "x", 1, NULL, NULL, true, NULL), -ESTALE);
    assert_body(env, "file", "x");
}

/* --- directories --- */

static void test_directories(void **state)
{
    struct env *env = *state;
    struct store_object obj;
    struct stat st;
    char etag[STORE_ETAG_MAX];

    assert_int_equal(put_full(env, "d/e/", "", 0, NULL, NULL, true, etag), 0);
    assert_int_equal(stat(env_path(env, "d/e"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(head(env, "d/e/", &obj), 0);
    assert_int_equal(obj.size, 0);
    assert_string_equal(obj.etag, etag);
    store_object_clear(&obj);
    assert_int_equal(head(env, "d/e", &obj), -ENOENT);
    assert_int_equal(put_full(env, "d/e/", "", 0, NULL, NULL, true, NULL), -ESTALE);
    assert_int_equal(put(env, "d/e/f", "x"), 0);
    assert_int_equal(head(env, "d/e/f/", &obj), -ENOENT);
    assert_string_equal(etag_of(env, "d/e/"), etag);
    assert_int_equal(delete_key(env, "d/e/", NULL), 0); /* not empty: stays */
    assert_body(env, "d/e/f", "x");
    assert_int_equal(delete_key(env, "d/e", NULL), 0); /* no such object */
    assert_int_equal(delete_key(env, "d/e/f/", NULL), 0);
    assert_body(env, "d/e/f", "x");
    assert_int_equal(delete_key(env, "d/e/f", NULL), 0);
    assert_true(env_exists(env, "d/e"));
    assert_int_equal(delete_key(env, "d/e/", "other"), -ESTALE);
    assert_int_equal(delete_key(env, "d/e/", etag), 0);
    assert_false(env_exists(env, "d/e"));
    assert_true(env_exists(env, "d"));
    assert_int_equal(delete_key(env, "d/e/", NULL), 0);
}

static void test_delete_many(void **state)
{
    struct env *env = *state;
    struct store_delete dels[] = {
        {.key = "p/a", .err = 7},     {.key = "p/..", .err = 7},
        {.key = "p/b", .err = 7},     {.key = "q/c", .err = 7},
        {.key = "none/x", .err = 7},  {.key = "p/d", .err = 7},
        {.key = "top", .err = 7},     {.key = "q/", .err = 7},
        {.key = "p/keep/", .err = 7}, {.key = "p/e", .if_match = "wrong", .err = 7},
    };
    struct store_req req = {.op = STORE_DELETE, .deletes = dels, .delete_count = 10};

    assert_int_equal(put(env, "p/a", ""), 0);
    assert_int_equal(put(env, "p/b", ""), 0);
    assert_int_equal(put(env, "q/c", ""), 0);
    assert_int_equal(put(env, "p/d", ""), 0);
    assert_int_equal(put(env, "p/e", ""), 0);
    assert_int_equal(put(env, "top", ""), 0);
    assert_int_equal(put(env, "p/keep/x", ""), 0);
    assert_int_equal(req_run(env, &req), 0);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(dels[i].err, 0);
    assert_int_equal(dels[9].err, -ESTALE);
    assert_false(env_exists(env, "p/a") || env_exists(env, "p/b") || env_exists(env, "p/d"));
    assert_false(env_exists(env, "q") || env_exists(env, "top"));
    assert_true(env_exists(env, "p/e") && env_exists(env, "p/keep/x"));
    store_req_clear(&req);
}

/* --- what others put there --- */

static void test_no_escape(void **state)
{
    struct env *env = *state;
    char outside[96], buf[16];
    struct store_object obj;
    struct store_req req = {.op = STORE_LIST, .prefix = "out/"};

    (void)snprintf(outside, sizeof(outside), "%s-outside", env->dir);
    assert_int_equal(mkdir(outside, 0755), 0);
    assert_int_equal(symlink(outside, env_path(env, "out")), 0);
    assert_int_equal(symlink("..", env_path(env, "up")), 0);
    assert_int_equal(symlink("/etc/passwd", env_path(env, "pw")), 0);
    assert_int_equal(put(env, "out/x", "stolen"), -EINVAL);
    assert_int_equal(put(env, "out/new/", ""), -EINVAL);
    assert_int_equal(put(env, "out/", ""), -EINVAL);
    assert_int_equal(get_range(env, "up/../etc/passwd", 0, buf, 16, NULL), -ENOENT);
    assert_int_equal(head(env, "out/", &obj), -ENOENT);
    assert_int_equal(head(env, "up/", &obj), -ENOENT);
    assert_body(env, "pw", "/etc/passwd");
    assert_int_equal(req_run(env, &req), 0);
    assert_int_equal(req.object_count, 0);
    store_req_clear(&req);
    assert_int_equal(delete_key(env, "out/", NULL), 0);
    assert_int_equal(delete_key(env, "out/x", NULL), 0);
    assert_int_equal(rmdir(outside), 0); /* nothing got in */
}

static void test_special_files_hidden(void **state)
{
    struct env *env = *state;
    struct store_object obj;
    struct store_req req = {.op = STORE_LIST, .prefix = ""};
    char buf[4];

    assert_int_equal(mkfifo(env_path(env, "fifo"), 0644), 0);
    assert_int_equal(head(env, "fifo", &obj), -ENOENT);
    assert_int_equal(get_range(env, "fifo", 0, buf, 4, NULL), -ENOENT);
    assert_int_equal(req_run(env, &req), 0);
    assert_int_equal(req.object_count, 0);
    store_req_clear(&req);
}

/* --- leftovers --- */

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

static void test_leftovers(void **state)
{
    struct env *env = *state;

    /* A dead process's work directory goes; a live one's (another store on the directory) stays. */
    struct store *other = env_open_url(env->url, false);
    assert_int_equal(mkdir(env_path(env, ".pailfs-tmp/w-dead"), 0700), 0);
    env_write(env, ".pailfs-tmp/w-dead/t1", "half a file");
    assert_int_equal(symlink("x", env_path(env, ".pailfs-tmp/w-dead/t2")), 0);
    assert_int_equal(mkdir(env_path(env, ".pailfs-tmp/w-dead/m-half"), 0700), 0);
    env_write(env, ".pailfs-tmp/w-dead/m-half/info", "");
    assert_int_equal(mkdir(env_path(env, ".pailfs-tmp/m-over"), 0700), 0);
    env_write(env, ".pailfs-tmp/m-over/f1", "");
    assert_int_equal(mkdir(env_path(env, ".pailfs-tmp/m-live"), 0700), 0);
    env_write(env, ".pailfs-tmp/m-live/info", "");
    env_reopen(env);
    assert_false(env_exists(env, ".pailfs-tmp/w-dead"));
    assert_false(env_exists(env, ".pailfs-tmp/m-over"));
    assert_true(env_exists(env, ".pailfs-tmp/m-live"));
    assert_int_equal(count_entries(env_path(env, ".pailfs-tmp")), 3);
    struct env second = {.store = other};
    assert_int_equal(put(&second, "from-other", "x"), 0);
    assert_body(env, "from-other", "x");
    store_close(other);
    assert_int_equal(unlink(env_path(env, ".pailfs-tmp/m-live/info")), 0);
    store_close(env->store);
    env->store = env_open_url(env->url, false);
    store_close(env->store);
    assert_false(env_exists(env, ".pailfs-tmp"));
    env->store = env_open_url(env->url, false);
}

static void late_done(struct store_req *req)
{
    atomic_store((atomic_bool *)req->ctx, true);
}

static void test_deadline(void **state)
{
    struct env *env = *state;
    atomic_bool done = false;
    struct store_req req = {
        .op = STORE_HEAD, .key = "x", .deadline_ns = 1, .done = late_done, .ctx = &done};

    store_submit(env->store, &req);
    for (int64_t end = clock_mono_ns() + 10 * CLOCK_S; !atomic_load(&done);)
        assert_true(clock_mono_ns() < end);
    assert_int_equal(req.err, -EAGAIN);
    store_req_clear(&req);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open_errors),   TEST(test_open_decodes),       TEST(test_read_only),
        TEST(test_no_permission), TEST(test_no_xattrs),          TEST(test_space),
        TEST(test_put_get),       TEST(test_etag_never_repeats), TEST(test_conditions),
        TEST(test_bad_keys),      TEST(test_names_in_the_way),   TEST(test_directories),
        TEST(test_delete_many),   TEST(test_no_escape),          TEST(test_special_files_hidden),
        TEST(test_leftovers),     TEST(test_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
