/* A file:// store in a directory of its own, and one-line requests, for the tests of it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cloud/store.h"

struct env {
    char dir[64], url[80];
    struct store *store;
};

static struct store *env_open_url(const char *url, bool read_only)
{
    struct store_config config = {.read_only = read_only};
    struct store_error error = {""};
    struct store *store = NULL;

    if (store_open(url, &config, &store, &error))
        fail_msg("open %s: %s", url, error.text);
    return store;
}

static int env_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct env *env = mem_zalloc(sizeof(*env));

    (void)snprintf(env->dir, sizeof(env->dir), "%s/pailfs-file-XXXXXX",
                   tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    assert_non_null(mkdtemp(env->dir));
    (void)snprintf(env->url, sizeof(env->url), "file://%s", env->dir);
    env->store = env_open_url(env->url, false);
    *state = env;
    return 0;
}

static int env_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

static int env_teardown(void **state)
{
    struct env *env = *state;

    store_close(env->store);
    (void)nftw(env->dir, env_remove, 32, FTW_DEPTH | FTW_PHYS);
    free(env);
    return 0;
}

static inline void env_reopen(struct env *env)
{
    store_close(env->store);
    env->store = env_open_url(env->url, false);
}

/* The path of a key, in one of a few buffers. */
static inline const char *env_path(const struct env *env, const char *key)
{
    static char bufs[4][4096];
    static int turn;
    char *buf = bufs[turn++ % 4];

    (void)snprintf(buf, sizeof(bufs[0]), "%s/%s", env->dir, key);
    return buf;
}

static inline void env_write(const struct env *env, const char *key, const char *text)
{
    FILE *f = fopen(env_path(env, key), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static inline bool env_exists(const struct env *env, const char *key)
{
    struct stat st;

    return lstat(env_path(env, key), &st) == 0;
}

static int req_run(struct env *env, struct store_req *req)
{
    req->deadline_ns = clock_mono_ns() + 60 * CLOCK_S;
    return store_call(env->store, req);
}

/* Puts text; the new ETag goes to etag if that is not NULL. */
static inline int put_full(struct env *env, const char *key, const char *text, size_t len,
                           const struct store_meta *meta, const char *if_match, bool if_none_match,
                           char *etag)
{
    struct store_req req = {.op = STORE_PUT,
                            .key = key,
                            .buf = (void *)(uintptr_t)text,
                            .buf_len = len,
                            .meta = meta,
                            .if_match = if_match,
                            .if_none_match = if_none_match};
    int err = req_run(env, &req);

    if (!err) {
        assert_true(req.object.etag[0] != '\0');
        if (etag)
            memcpy(etag, req.object.etag, STORE_ETAG_MAX);
    }
    store_req_clear(&req);
    return err;
}

static inline int put(struct env *env, const char *key, const char *text)
{
    return put_full(env, key, text, strlen(text), NULL, NULL, false, NULL);
}

/* HEAD; ret must be cleared by the caller when this gives 0. */
static inline int head(struct env *env, const char *key, struct store_object *ret)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    int err = req_run(env, &req);

    if (err) {
        store_req_clear(&req);
        return err;
    }
    assert_true(req.object.has_meta);
    *ret = req.object;
    return 0;
}

/* The ETag of a key, in one of a few buffers; "" if it is not there. */
static inline const char *etag_of(struct env *env, const char *key)
{
    static char bufs[4][STORE_ETAG_MAX];
    static int turn;
    char *buf = bufs[turn++ % 4];
    struct store_object obj;

    buf[0] = '\0';
    if (head(env, key, &obj) == 0) {
        memcpy(buf, obj.etag, STORE_ETAG_MAX);
        store_object_clear(&obj);
    }
    return buf;
}

/* GET of a range; the number of bytes, or the error. */
static inline ssize_t get_range(struct env *env, const char *key, uint64_t off, void *buf,
                                size_t len, const char *if_match)
{
    struct store_req req = {.op = STORE_GET,
                            .key = key,
                            .range_off = off,
                            .range_len = len,
                            .buf = buf,
                            .buf_len = len,
                            .if_match = if_match};
    int err = req_run(env, &req);
    ssize_t got = err ? err : (ssize_t)req.got;

    store_req_clear(&req);
    return got;
}

/* Fails unless the whole object is text. */
static inline void assert_body(struct env *env, const char *key, const char *text)
{
    char buf[4096];
    ssize_t n = get_range(env, key, 0, buf, sizeof(buf) - 1, NULL);

    if (n < 0)
        fail_msg("GET %s: %s", key, strerror((int)-n));
    buf[n] = '\0';
    assert_string_equal(buf, text);
}

static inline int delete_key(struct env *env, const char *key, const char *if_match)
{
    struct store_delete del = {.key = key, .if_match = if_match, .err = -1};
    struct store_req req = {.op = STORE_DELETE, .deletes = &del, .delete_count = 1};
    int err = req_run(env, &req);

    store_req_clear(&req);
    return err ? err : del.err;
}

static inline void assert_meta(struct env *env, const char *key, const char *name,
                               const char *value)
{
    struct store_object obj;
    int err = head(env, key, &obj);

    if (err)
        fail_msg("HEAD %s: %s", key, strerror(-err));
    const char *have = store_meta_get(&obj.meta, name);
    if (!value)
        assert_null(have);
    else if (!have)
        fail_msg("%s has no %s", key, name);
    else
        assert_string_equal(have, value);
    store_object_clear(&obj);
}
