/* Multipart uploads of the file:// store. */
#include "test_file_util.h"

#include <pthread.h>

static char *mpu_begin(struct env *env, const char *key, const struct store_meta *meta)
{
    struct store_req req = {.op = STORE_MPU_BEGIN, .key = key, .meta = meta};

    assert_int_equal(req_run(env, &req), 0);
    char *id = mem_strdup(req.ret_upload_id);
    store_req_clear(&req);
    return id;
}

static int mpu_part(struct env *env, const char *id, uint32_t number, const char *text,
                    struct store_part *ret)
{
    struct store_req req = {.op = STORE_MPU_PART,
                            .upload_id = id,
                            .part_number = number,
                            .buf = (void *)(uintptr_t)text,
                            .buf_len = strlen(text)};
    int err = req_run(env, &req);

    if (!err) {
        assert_int_equal(req.ret_part.number, number);
        *ret = req.ret_part;
    }
    store_req_clear(&req);
    return err;
}

static int mpu_copy(struct env *env, const char *id, uint32_t number, const char *src,
                    const char *src_if_match, uint64_t off, uint64_t len, struct store_part *ret)
{
    struct store_req req = {.op = STORE_MPU_COPY,
                            .upload_id = id,
                            .part_number = number,
                            .src_key = src,
                            .src_if_match = src_if_match,
                            .range_off = off,
                            .range_len = len};
    int err = req_run(env, &req);

    if (!err)
        *ret = req.ret_part;
    store_req_clear(&req);
    return err;
}

static int mpu_complete(struct env *env, const char *id, const char *key,
                        const struct store_part *parts, size_t count, const char *if_match,
                        bool if_none_match)
{
    struct store_req req = {.op = STORE_MPU_COMPLETE,
                            .key = key,
                            .upload_id = id,
                            .parts = parts,
                            .part_count = count,
                            .if_match = if_match,
                            .if_none_match = if_none_match};
    int err = req_run(env, &req);

    if (!err)
        assert_string_equal(req.object.etag, etag_of(env, key));
    store_req_clear(&req);
    return err;
}

static int mpu_abort(struct env *env, const char *id)
{
    struct store_req req = {.op = STORE_MPU_ABORT, .key = "k", .upload_id = id};
    int err = req_run(env, &req);

    store_req_clear(&req);
    return err;
}

/* How many uploads there are on disk. */
static int mpu_count(const struct env *env)
{
    DIR *dir = opendir(env_path(env, ".pailfs-tmp"));
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += strncmp(e->d_name, "m-", 2) == 0;
    (void)closedir(dir);
    return n;
}

static void test_equal_parts(void **state)
{
    struct env *env = *state;
    struct store_part parts[3];
    struct store_meta meta = {0};

    store_meta_set(&meta, "file-permissions", "0100600");
    store_meta_set(&meta, "file-mtime", "5ns");
    store_meta_set(&meta, "empty", "");
    char *id = mpu_begin(env, "d/k", &meta);
    /* The slot size is that of the first to come; the last is shorter. Any order. */
    assert_int_equal(mpu_part(env, id, 2, "bbbb", &parts[1]), 0);
    assert_int_equal(mpu_part(env, id, 3, "cc", &parts[2]), 0);
    assert_int_equal(mpu_part(env, id, 1, "xxxx", &parts[0]), 0);
    assert_int_equal(mpu_part(env, id, 1, "aaaa", &parts[0]), 0); /* again */
    assert_int_equal(mpu_complete(env, id, "d/k", parts, 3, NULL, true), 0);
    assert_body(env, "d/k", "aaaabbbbcc");
    assert_meta(env, "d/k", "file-permissions", "0100600");
    assert_meta(env, "d/k", "file-mtime", "5ns");
    assert_meta(env, "d/k", "empty", "");
    assert_int_equal(mpu_count(env), 0);
    assert_int_equal(mpu_complete(env, id, "d/k", parts, 3, NULL, false), -ENOENT);
    assert_int_equal(mpu_part(env, id, 1, "aaaa", &parts[0]), -ENOENT);
    assert_int_equal(mpu_abort(env, id), 0);
    store_meta_clear(&meta);
    free(id);
}

static void test_odd_parts(void **state)
{
    struct env *env = *state;
    struct store_part parts[5];

    char *id = mpu_begin(env, "k", NULL);
    assert_int_equal(mpu_part(env, id, 1, "aa", &parts[0]), 0);
    assert_int_equal(mpu_part(env, id, 2, "bbbbb", &parts[1]), 0);
    assert_int_equal(mpu_part(env, id, 3, "c", &parts[2]), 0);
    assert_int_equal(mpu_part(env, id, 7, "dd", &parts[3]), 0);
    assert_int_equal(mpu_part(env, id, 9, "", &parts[4]), 0);
    assert_int_equal(mpu_complete(env, id, "k", parts, 5, NULL, false), 0);
    assert_body(env, "k", "aabbbbbcdd");
    free(id);

    /* Parts that came but are not named stay out. */
    id = mpu_begin(env, "k", NULL);
    assert_int_equal(mpu_part(env, id, 1, "aa", &parts[0]), 0);
    assert_int_equal(mpu_part(env, id, 2, "bb", &parts[1]), 0);
    assert_int_equal(mpu_part(env, id, 3, "cc", &parts[2]), 0);
    assert_int_equal(mpu_complete(env, id, "k", parts, 2, NULL, false), 0);
    assert_body(env, "k", "aabb");
    free(id);

    id = mpu_begin(env, "k", NULL);
    assert_int_equal(mpu_part(env, id, 4, "z", &parts[0]), 0);
    assert_int_equal(mpu_complete(env, id, "k", parts, 1, NULL, false), 0);
    assert_body(env, "k", "z");
    free(id);
    assert_int_equal(mpu_count(env), 0);
}

static void test_refused(void **state)
{
    struct env *env = *state;
    struct store_part parts[2], old;
    struct store_req req = {.op = STORE_MPU_BEGIN, .key = "d/"};

    assert_int_equal(req_run(env, &req), -EINVAL);
    store_req_clear(&req);
    char *id = mpu_begin(env, "k", NULL);
    assert_int_equal(mpu_part(env, id, 0, "x", &parts[0]), -EINVAL);
    assert_int_equal(mpu_part(env, id, 10001, "x", &parts[0]), -EINVAL);
    assert_int_equal(mpu_part(env, "../../etc", 1, "x", &parts[0]), -ENOENT);
    assert_int_equal(mpu_part(env, "0123456789abcdef0123456789abcdef", 1, "x", &parts[0]), -ENOENT);
    assert_int_equal(mpu_complete(env, id, "k", parts, 0, NULL, false), -EINVAL);
    assert_int_equal(mpu_part(env, id, 1, "old", &old), 0);
    assert_int_equal(mpu_part(env, id, 1, "aaa", &parts[0]), 0);
    assert_int_equal(mpu_part(env, id, 2, "bbb", &parts[1]), 0);
    assert_int_equal(mpu_complete(env, id, "k", &old, 1, NULL, false), -EINVAL);
    struct store_part swapped[2] = {parts[1], parts[0]};
    assert_int_equal(mpu_complete(env, id, "k", swapped, 2, NULL, false), -EINVAL);
    assert_int_equal(mpu_complete(env, id, "other", parts, 2, NULL, false), -EINVAL);
    assert_int_equal(mpu_complete(env, id, "k", parts, 2, "not there", false), -ESTALE);
    assert_int_equal(put(env, "k", "1"), 0);
    assert_int_equal(mpu_complete(env, id, "k", parts, 2, NULL, true), -ESTALE);
    assert_int_equal(mpu_complete(env, id, "k", parts, 2, "wrong", false), -ESTALE);
    assert_body(env, "k", "1");
    assert_int_equal(mpu_complete(env, id, "k", parts, 2, etag_of(env, "k"), false), 0);
    assert_body(env, "k", "aaabbb");
    free(id);
}

static void test_restart(void **state)
{
    struct env *env = *state;
    struct store_part parts[3];
    struct store_meta meta = {0};

    store_meta_set(&meta, "note", "kept");
    char *id = mpu_begin(env, "k", &meta);
    char *gone = mpu_begin(env, "gone", NULL);
    assert_int_equal(mpu_part(env, id, 1, "aaaa", &parts[0]), 0);
    assert_int_equal(mpu_part(env, id, 3, "ccccccc", &parts[2]), 0);
    env_reopen(env);
    assert_int_equal(mpu_part(env, id, 2, "bbbb", &parts[1]), 0);
    env_reopen(env);
    assert_int_equal(mpu_complete(env, id, "k", parts, 3, NULL, true), 0);
    assert_body(env, "k", "aaaabbbbccccccc");
    assert_meta(env, "k", "note", "kept");
    assert_int_equal(mpu_count(env), 1);
    assert_int_equal(mpu_abort(env, gone), 0);
    assert_int_equal(mpu_count(env), 0);
    store_meta_clear(&meta);
    free(id);
    free(gone);
}

static void test_part_copy(void **state)
{
    struct env *env = *state;
    struct store_part parts[3];
    char etag[STORE_ETAG_MAX];

    assert_int_equal(put_full(env, "s", "0123456789", 10, NULL, NULL, false, etag), 0);
    char *id = mpu_begin(env, "s", NULL);
    assert_int_equal(mpu_copy(env, id, 1, "s", etag, 0, 4, &parts[0]), 0);
    assert_int_equal(mpu_part(env, id, 2, "XY", &parts[1]), 0);
    assert_int_equal(mpu_copy(env, id, 3, "s", etag, 6, 4, &parts[2]), 0);
    assert_int_equal(mpu_copy(env, id, 3, "s", "wrong", 6, 4, &parts[2]), -ESTALE);
    assert_int_equal(mpu_copy(env, id, 3, "s", etag, 7, 4, &parts[2]), -EINVAL);
    assert_int_equal(mpu_copy(env, id, 3, "none", NULL, 0, 4, &parts[2]), -ENOENT);
    assert_int_equal(mpu_copy(env, id, 3, "s", etag, 6, 4, &parts[2]), 0);
    assert_int_equal(mpu_complete(env, id, "s", parts, 3, etag, false), 0); /* onto its source */
    assert_body(env, "s", "0123XY6789");
    free(id);
}

/* Parts from several threads, as uploads send them. */
enum { SENDERS = 4, PARTS = 32, PART_SIZE = 65536 };

struct sender {
    struct env *env;
    const char *id;
    uint32_t first;
    struct store_part *parts;
    int err;
};

static void *send_parts(void *arg)
{
    struct sender *sender = arg;
    char *text = mem_alloc(PART_SIZE + 1);

    text[PART_SIZE] = '\0';
    for (uint32_t n = sender->first; n <= PARTS && !sender->err; n += SENDERS) {
        memset(text, 'A' + (int)n, PART_SIZE);
        sender->err = mpu_part(sender->env, sender->id, n, text, &sender->parts[n - 1]);
    }
    free(text);
    return NULL;
}

static void test_parallel(void **state)
{
    struct env *env = *state;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    struct store_part parts[PARTS];
    char *id = mpu_begin(env, "big", NULL), *back = mem_alloc(PART_SIZE);

    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.env = env, .id = id, .first = i + 1, .parts = parts};
        assert_int_equal(pthread_create(&threads[i], NULL, send_parts, &senders[i]), 0);
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(senders[i].err, 0);
    }
    assert_int_equal(mpu_complete(env, id, "big", parts, PARTS, NULL, true), 0);
    for (uint32_t n = 1; n <= PARTS; n++) {
        assert_int_equal(
            get_range(env, "big", (n - 1) * (uint64_t)PART_SIZE, back, PART_SIZE, NULL), PART_SIZE);
        for (size_t i = 0; i < PART_SIZE; i++)
            assert_true(back[i] == (char)('A' + (int)n));
    }
    free(back);
    free(id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, env_setup, env_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_equal_parts), TEST(test_odd_parts), TEST(test_refused),
        TEST(test_restart),     TEST(test_part_copy), TEST(test_parallel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
