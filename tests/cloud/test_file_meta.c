/* The file:// store: metadata, copies, symlinks. */
#include "test_file_util.h"

#include <sys/xattr.h>

static void test_meta_round_trip(void **state)
{
    struct env *env = *state;
    struct store_meta meta = {0};
    struct stat st;
    char etag[STORE_ETAG_MAX];

    store_meta_set(&meta, "file-permissions", "0100640");
    store_meta_set(&meta, "file-mtime", "1595002920000000123ns");
    store_meta_set(&meta, "file-atime", "1595002920000000777ns");
    store_meta_set(&meta, "user-agent", "x y\xc3\xa9");
    assert_int_equal(put_full(env, "m", "body", 4, &meta, NULL, false, etag), 0);
    assert_meta(env, "m", "file-permissions", "0100640");
    assert_meta(env, "m", "file-mtime", "1595002920000000123ns");
    assert_meta(env, "m", "user-agent", "x y\xc3\xa9");
    assert_body(env, "m", "body"); /* which does not count as an access */
    assert_meta(env, "m", "file-atime", "1595002920000000777ns");
    char names[256];
    ssize_t len = listxattr(env_path(env, "m"), names, sizeof(names));
    assert_int_equal(len, sizeof("user.pailfs.file-mtime") + sizeof("user.pailfs.user-agent"));
    assert_int_equal(stat(env_path(env, "m"), &st), 0);
    assert_int_equal(st.st_mode, 0100640);
    assert_true(st.st_mtim.tv_sec > 1700000000); /* the real mtime is when it was stored */

    /* What others do to the file is the truth from then on. */
    assert_int_equal(chmod(env_path(env, "m"), 0604), 0);
    assert_meta(env, "m", "file-permissions", "0100604");
    assert_string_equal(etag_of(env, "m"), etag);
    env_write(env, "m", "new body");
    struct store_object obj;
    char text[64];
    assert_int_equal(stat(env_path(env, "m"), &st), 0);
    assert_int_equal(head(env, "m", &obj), 0);
    (void)snprintf(text, sizeof(text), "%lldns",
                   (long long)st.st_mtim.tv_sec * CLOCK_S + st.st_mtim.tv_nsec);
    assert_string_equal(store_meta_get(&obj.meta, "file-mtime"), text);
    assert_string_not_equal(obj.etag, etag);
    store_object_clear(&obj);

    /* A PUT replaces all of it. */
    assert_int_equal(put(env, "m", "z"), 0);
    assert_meta(env, "m", "user-agent", NULL);
    store_meta_clear(&meta);
}

static void test_meta_of_plain_files(void **state)
{
    struct env *env = *state;
    char text[32];

    env_write(env, "plain", "x");
    assert_int_equal(chmod(env_path(env, "plain"), 0751), 0);
    assert_int_equal(mkdir(env_path(env, "pd"), 0700), 0);
    assert_int_equal(chmod(env_path(env, "pd"), 01711), 0);
    assert_meta(env, "plain", "file-permissions", "0100751");
    assert_meta(env, "pd/", "file-permissions", "0041711");
    (void)snprintf(text, sizeof(text), "%u", geteuid());
    assert_meta(env, "plain", "file-owner", text);
    if (geteuid() == 0) {
        assert_int_equal(chown(env_path(env, "plain"), 1234, 4321), 0);
        assert_meta(env, "plain", "file-owner", "1234");
        assert_meta(env, "plain", "file-group", "4321");
    }
}

static void test_meta_owner_applied(void **state)
{
    struct env *env = *state;
    struct store_meta meta = {0};
    struct stat st;

    store_meta_set(&meta, "file-permissions", "0104755");
    store_meta_set(&meta, "file-owner", "1234");
    store_meta_set(&meta, "file-group", "4321");
    assert_int_equal(put_full(env, "o", "x", 1, &meta, NULL, false, NULL), 0);
    assert_meta(env, "o", "file-owner", "1234"); /* with or without the privilege to chown */
    assert_meta(env, "o", "file-group", "4321");
    assert_meta(env, "o", "file-permissions", "0104755");
    assert_int_equal(stat(env_path(env, "o"), &st), 0);
    if (geteuid() == 0)
        assert_int_equal(st.st_uid, 1234);
    store_meta_set(&meta, "file-permissions", "0100000"); /* and still readable for us */
    assert_int_equal(put_full(env, "o", "y", 1, &meta, NULL, false, NULL), 0);
    assert_meta(env, "o", "file-permissions", "0100000");
    assert_body(env, "o", "y");
    store_meta_set(&meta, "file-permissions", "not octal");
    store_meta_set(&meta, "file-owner", "-5");
    assert_int_equal(put_full(env, "o", "y", 1, &meta, NULL, false, NULL), 0);
    assert_meta(env, "o", "file-permissions", "not octal");
    assert_meta(env, "o", "file-owner", "-5");
    store_meta_clear(&meta);
}

static void test_meta_limits(void **state)
{
    struct env *env = *state;
    struct store_meta meta = {0};
    char value[2100];

    memset(value, 'v', sizeof(value));
    value[2048 - 4] = '\0';
    store_meta_set(&meta, "name", value);
    assert_int_equal(put_full(env, "big", "", 0, &meta, NULL, false, NULL), 0);
    assert_meta(env, "big", "name", value);
    value[2048 - 4] = 'v';
    value[2048 - 3] = '\0';
    store_meta_set(&meta, "name", value);
    assert_int_equal(put_full(env, "big2", "", 0, &meta, NULL, false, NULL), -EINVAL);
    assert_false(env_exists(env, "big2"));
    store_meta_clear(&meta);
}

static int copy_full(struct env *env, const char *src, const char *dst, struct store_req extra,
                     char *etag)
{
    struct store_req req = extra;

    req.op = STORE_COPY;
    req.src_key = src;
    req.key = dst;
    int err = req_run(env, &req);
    if (!err && etag)
        memcpy(etag, req.object.etag, STORE_ETAG_MAX);
    store_req_clear(&req);
    return err;
}

static void test_copy(void **state)
{
    struct env *env = *state;
    struct store_meta meta = {0};
    char etag[STORE_ETAG_MAX], copied[STORE_ETAG_MAX];

    store_meta_set(&meta, "file-permissions", "0100600");
    store_meta_set(&meta, "file-mtime", "77ns");
    assert_int_equal(put_full(env, "s", "content", 7, &meta, NULL, false, etag), 0);
    assert_int_equal(copy_full(env, "s", "x/t", (struct store_req){.if_none_match = true}, copied),
                     0);
    assert_body(env, "x/t", "content");
    assert_meta(env, "x/t", "file-permissions", "0100600");
    assert_meta(env, "x/t", "file-mtime", "77ns");
    assert_string_equal(etag_of(env, "x/t"), copied);
    assert_int_equal(copy_full(env, "s", "x/t", (struct store_req){.if_none_match = true}, NULL),
                     -ESTALE);
    assert_int_equal(copy_full(env, "s", "x/t", (struct store_req){.if_match = "no"}, NULL),
                     -ESTALE);
    assert_int_equal(copy_full(env, "s", "x/t", (struct store_req){.src_if_match = "no"}, NULL),
                     -ESTALE);
    assert_int_equal(copy_full(env, "none", "x/t", (struct store_req){0}, NULL), -ENOENT);
    store_meta_set(&meta, "file-mtime", "88ns");
    assert_int_equal(
        copy_full(env, "s", "x/t",
                  (struct store_req){.if_match = copied, .src_if_match = etag, .meta = &meta},
                  NULL),
        0);
    assert_meta(env, "x/t", "file-mtime", "88ns");
    assert_meta(env, "s", "file-mtime", "77ns");
    assert_int_equal(copy_full(env, "x/", "y/", (struct store_req){0}, NULL), 0);
    assert_true(env_exists(env, "y"));
    assert_int_equal(copy_full(env, "s", "y/z/", (struct store_req){0}, NULL), -EINVAL);
    store_meta_clear(&meta);
}

static void test_copy_large(void **state)
{
    struct env *env = *state;
    size_t len = (5 << 20) + 123;
    char *body = mem_alloc(len), *back = mem_alloc(len);

    for (size_t i = 0; i < len; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    assert_int_equal(put_full(env, "s", body, len, NULL, NULL, false, NULL), 0);
    assert_int_equal(copy_full(env, "s", "t", (struct store_req){.src_size = len}, NULL), 0);
    assert_int_equal(get_range(env, "t", 0, back, len, NULL), len);
    assert_memory_equal(body, back, len);
    free(body);
    free(back);
}

static void test_patch(void **state)
{
    struct env *env = *state;
    struct store_meta meta = {0};
    struct stat before, after;
    char etag[STORE_ETAG_MAX], patched[STORE_ETAG_MAX];

    store_meta_set(&meta, "file-mtime", "1ns");
    store_meta_set(&meta, "old", "1");
    assert_int_equal(put_full(env, "k", "body", 4, &meta, NULL, false, etag), 0);
    assert_int_equal(stat(env_path(env, "k"), &before), 0);
    store_meta_clear(&meta);
    store_meta_set(&meta, "file-permissions", "0100444");
    store_meta_set(&meta, "file-mtime", "2ns");
    assert_int_equal(
        copy_full(env, "k", "k", (struct store_req){.meta = &meta, .src_if_match = etag}, patched),
        0);
    assert_string_equal(patched, etag);
    assert_string_equal(etag_of(env, "k"), etag);
    assert_meta(env, "k", "file-permissions", "0100444");
    assert_meta(env, "k", "file-mtime", "2ns");
    assert_meta(env, "k", "old", NULL);
    assert_int_equal(stat(env_path(env, "k"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(
        copy_full(env, "k", "k", (struct store_req){.meta = &meta, .src_if_match = "no"}, NULL),
        -ESTALE);
    assert_int_equal(copy_full(env, "none", "none", (struct store_req){.meta = &meta}, NULL),
                     -ENOENT);
    assert_int_equal(put(env, "d/", ""), 0);
    store_meta_set(&meta, "file-permissions", "0040511");
    assert_int_equal(copy_full(env, "d/", "d/", (struct store_req){.meta = &meta}, NULL), 0);
    assert_meta(env, "d/", "file-permissions", "0040511");
    store_meta_clear(&meta);
}

/* --- symlinks --- */

static void test_symlinks(void **state)
{
    struct env *env = *state;
    struct store_meta meta = {0};
    struct store_object obj;
    char target[64] = {0}, etag[STORE_ETAG_MAX];

    store_meta_set(&meta, "file-permissions", "0120777");
    store_meta_set(&meta, "file-mtime", "1595002920000000123ns");
    assert_int_equal(put_full(env, "d/l", "../some/where", 13, &meta, NULL, true, etag), 0);
    assert_int_equal(readlink(env_path(env, "d/l"), target, sizeof(target) - 1), 13);
    assert_string_equal(target, "../some/where");
    assert_int_equal(head(env, "d/l", &obj), 0);
    assert_int_equal(obj.size, 13);
    assert_string_equal(obj.etag, etag);
    assert_string_equal(store_meta_get(&obj.meta, "file-permissions"), "0120777");
    assert_string_equal(store_meta_get(&obj.meta, "file-mtime"), "1595002920000000123ns");
    store_object_clear(&obj);
    assert_body(env, "d/l", "../some/where");
    assert_int_equal(get_range(env, "d/l", 3, target, 4, etag), 4);
    assert_memory_equal(target, "some", 4);
    assert_int_equal(put_full(env, "d/l", "x", 1, &meta, NULL, true, NULL), -ESTALE);
    assert_int_equal(put_full(env, "e", "", 0, &meta, NULL, false, NULL), -EINVAL);
    assert_int_equal(put_full(env, "e", "a\0b", 3, &meta, NULL, false, NULL), -EINVAL);

    assert_int_equal(copy_full(env, "d/l", "l2", (struct store_req){0}, NULL), 0);
    assert_body(env, "l2", "../some/where");
    assert_meta(env, "l2", "file-permissions", "0120777");
    store_meta_set(&meta, "file-mtime", "5000000000ns");
    assert_int_equal(copy_full(env, "l2", "l2", (struct store_req){.meta = &meta}, etag), 0);
    assert_string_equal(etag_of(env, "l2"), etag);
    assert_meta(env, "l2", "file-mtime", "5000000000ns");

    assert_int_equal(put(env, "l2", "a file now"), 0); /* the link goes, its target is untouched */
    assert_body(env, "l2", "a file now");
    assert_int_equal(
        copy_full(env, "d/l", "d/l", (struct store_req){.meta = &(struct store_meta){0}}, NULL), 0);
    assert_body(env, "d/l", "../some/where");
    assert_meta(env, "d/l", "file-permissions", "0100644"); /* it said it is no link any more */
    store_meta_clear(&meta);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_meta_round_trip),
        TEST(test_meta_of_plain_files),
        TEST(test_meta_owner_applied),
        TEST(test_meta_limits),
        TEST(test_copy),
        TEST(test_copy_large),
        TEST(test_patch),
        TEST(test_symlinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
