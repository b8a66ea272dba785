/* store_conformance: listings, and keys that are hard to write down. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/cloud/conformance.h"

enum { MANY = 2500, FLIGHT = 32 };

/* ---- many objects at once ---- */

struct flight {
    pthread_mutex_t lock; /* guards running and failed */
    pthread_cond_t cond;
    unsigned running, failed;
};

static void put_landed(struct store_req *req)
{
    struct flight *flight = req->ctx;

    (void)pthread_mutex_lock(&flight->lock);
    flight->running--;
    flight->failed += req->err != 0;
    (void)pthread_cond_signal(&flight->cond);
    (void)pthread_mutex_unlock(&flight->lock);
    free((char *)req->key);
    store_req_clear(req);
    free(req);
}

static void put_many(const char *format, unsigned count)
{
    struct flight flight = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    char name[64];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "%s%05u", format, i);
        struct store_req *req = mem_zalloc(sizeof(*req));
        *req = (struct store_req){
            .op = STORE_PUT,
            .prio = STORE_PRIO_UPLOAD,
            .key = mem_strdup(conf_key(name)),
            .buf = name,
            .deadline_ns = clock_mono_ns() + 60 * CLOCK_S,
            .done = put_landed,
            .ctx = &flight,
        };
        (void)pthread_mutex_lock(&flight.lock);
        while (flight.running >= FLIGHT)
            (void)pthread_cond_wait(&flight.cond, &flight.lock);
        flight.running++;
        (void)pthread_mutex_unlock(&flight.lock);
        store_submit(conf_store, req);
    }
    (void)pthread_mutex_lock(&flight.lock);
    while (flight.running > 0)
        (void)pthread_cond_wait(&flight.cond, &flight.lock);
    (void)pthread_mutex_unlock(&flight.lock);
    assert_int_equal(flight.failed, 0);
}

/* Lists all pages; counts entries, and fails on disorder. */
static size_t list_all(const char *prefix, bool delimiter, const char *start_after,
                       uint32_t max_keys, size_t *ret_pages)
{
    char *token = NULL, *last = NULL;
    size_t count = 0, pages = 0;

    do {
        struct store_req req = conf_do((struct store_req){
            .op = STORE_LIST,
            .prefix = prefix,
            .delimiter = delimiter,
            .start_after = start_after,
            .token = token,
            .max_keys = max_keys,
        });
        assert_int_equal(req.err, 0);
        if (max_keys)
            assert_true(req.object_count <= max_keys);
        for (size_t i = 0; i < req.object_count; i++) {
            const char *key = req.objects[i].key;
            assert_int_equal(strncmp(key, prefix, strlen(prefix)), 0);
            if (conf_caps.list_sorted && last)
                assert_true(strcmp(last, key) < 0);
            free(last);
            last = mem_strdup(key);
            count += !conf_is_directory(&req.objects[i]);
        }
        pages++;
        free(token);
        token = mem_strdup(req.next_token);
        store_req_clear(&req);
    } while (token);
    free(last);
    if (ret_pages)
        *ret_pages = pages;
    return count;
}

static void test_pages(void **state)
{
    (void)state;
    size_t pages;
    char prefix[128], start[128];

    put_many("many/k", MANY);
    (void)snprintf(prefix, sizeof(prefix), "%s", conf_key("many/"));
    assert_int_equal(list_all(prefix, false, NULL, 0, &pages), MANY);
    assert_int_equal(list_all(prefix, true, NULL, 100, &pages), MANY);
    assert_in_range(pages, MANY / 100, MANY / 100 + 1);
    (void)snprintf(start, sizeof(start), "%s", conf_key("many/k00999"));
    assert_int_equal(list_all(prefix, false, start, 700, NULL), MANY - 1000);
    assert_int_equal(list_all(prefix, true, start, 0, NULL), MANY - 1000);
    (void)snprintf(start, sizeof(start), "%s", conf_key("many/k00999x"));
    assert_int_equal(list_all(prefix, true, start, 0, NULL), MANY - 1000);
    (void)snprintf(start, sizeof(start), "%s", conf_key("many/z"));
    assert_int_equal(list_all(prefix, true, start, 0, NULL), 0);
}

static void test_delete_pages(void **state)
{
    (void)state;
    size_t deleted = 0;

    while (deleted < MANY) {
        struct store_req list = conf_do((struct store_req){
            .op = STORE_LIST, .prefix = conf_key("many/"), .max_keys = conf_caps.delete_max});
        assert_int_equal(list.err, 0);
        assert_true(list.object_count > 0);
        struct store_delete *dels = mem_array(list.object_count, sizeof(*dels));
        for (size_t i = 0; i < list.object_count; i++) {
            dels[i].key = list.objects[i].key;
            deleted += !conf_is_directory(&list.objects[i]);
        }
        struct store_req req = conf_do((struct store_req){
            .op = STORE_DELETE, .deletes = dels, .delete_count = list.object_count});
        assert_int_equal(req.err, 0);
        store_req_clear(&req);
        store_req_clear(&list);
        free(dels);
    }
    assert_int_equal(deleted, MANY);
    assert_int_equal(list_all(conf_key("many/"), false, NULL, 0, NULL), 0);
}

static void test_delimiter(void **state)
{
    (void)state;
    static const char *const names[] = {"tree/a", "tree/d/1", "tree/d/2", "tree/d/e/3", "tree/z"};
    static const char *const folded[] = {"tree/a", "tree/d/", "tree/z"};
    char key[128];

    for (size_t i = 0; i < 5; i++)
        assert_int_equal(conf_put(conf_key(names[i]), "12345", i, (struct conf_put){0}, NULL), 0);
    struct store_req req = conf_do(
        (struct store_req){.op = STORE_LIST, .prefix = conf_key("tree/"), .delimiter = true});
    assert_int_equal(req.err, 0);
    size_t skip = req.object_count > 0 && conf_is_directory(&req.objects[0]);
    struct store_object *objects = req.objects + skip;
    assert_int_equal(req.object_count - skip, 3);
    assert_null(req.next_token);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(key, sizeof(key), "%s", conf_key(folded[i]));
        assert_string_equal(objects[i].key, key);
        assert_int_equal(objects[i].is_prefix, i == 1);
    }
    assert_int_equal(objects[2].size, 4);
    assert_true(objects[2].etag[0]);
    int64_t age = clock_wall_ns() - objects[2].mtime_ns;
    assert_true(age > -5 * CLOCK_S && age < 60 * CLOCK_S);
    store_req_clear(&req);
    assert_int_equal(list_all(conf_key("tree/"), true, NULL, 1, NULL), 3);
    assert_int_equal(list_all(conf_key("tree/d"), false, NULL, 2, NULL), 3);
    assert_int_equal(list_all(conf_key("tree/d"), true, NULL, 0, NULL), 1);
    assert_int_equal(list_all(conf_key("nothing/"), true, NULL, 0, NULL), 0);
    for (size_t i = 5; i > 0; i--)
        assert_int_equal(conf_delete(conf_key(names[i - 1]), NULL), 0);
}

/* HEAD and LIST agree on the ETag. */
static void test_list_etag(void **state)
{
    (void)state;
    char etag[STORE_ETAG_MAX];

    assert_int_equal(conf_put(conf_key("etag/x"), "x", 1, (struct conf_put){0}, etag), 0);
    struct store_req req =
        conf_do((struct store_req){.op = STORE_LIST, .prefix = conf_key("etag/")});
    assert_true(req.object_count > 0);
    assert_string_equal(req.objects[req.object_count - 1].etag, etag);
    store_req_clear(&req);
}

static void test_marker(void **state)
{
    (void)state;
    struct store_object obj;
    struct store_meta meta = {0};

    store_meta_set(&meta, "file-permissions", "0040755");
    assert_int_equal(conf_put(conf_key("dir/"), "", 0, (struct conf_put){.meta = &meta}, NULL), 0);
    assert_int_equal(conf_head(conf_key("dir/"), &obj), 0);
    assert_int_equal(obj.size, 0);
    assert_string_equal(store_meta_get(&obj.meta, "file-permissions"), "0040755");
    store_object_clear(&obj);
    struct store_req req =
        conf_do((struct store_req){.op = STORE_LIST, .prefix = conf_key("dir"), .delimiter = true});
    assert_int_equal(req.object_count, 1);
    assert_true(req.objects[0].is_prefix);
    store_req_clear(&req);
    req = conf_do(
        (struct store_req){.op = STORE_LIST, .prefix = conf_key("dir/"), .delimiter = true});
    assert_int_equal(req.object_count, 1);
    assert_false(req.objects[0].is_prefix);
    store_req_clear(&req);
    /* the marker stays when its last child goes */
    assert_int_equal(conf_put(conf_key("dir/x"), "x", 1, (struct conf_put){0}, NULL), 0);
    assert_int_equal(conf_delete(conf_key("dir/x"), NULL), 0);
    assert_int_equal(conf_head(conf_key("dir/"), NULL), 0);
    assert_int_equal(conf_delete(conf_key("dir/"), NULL), 0);
    assert_int_equal(conf_head(conf_key("dir/"), NULL), -ENOENT);
    store_meta_clear(&meta);
}

static const char *const odd_names[] = {
    "with space",
    " edge ",
    "plus+plus",
    "per%cent",
    "per%41cent",
    "hash#hash",
    "amp&amp;",
    "quest?ion",
    "equal=s",
    "single'quote",
    "double\"quote",
    "til~de",
    "st*r",
    "comma,semi;colon:",
    "back\\slash",
    "dollar$at@bang!",
    "(round)[square]{curly}",
    "<less>",
    "pipe|caret^grave`",
    "\xc3\xa4\xc3\xb6\xc3\xbc",
    "\xe4\xb8\x96\xe7\x95\x8c",
    "\xf0\x9f\xaa\xa3",
    "e\xcc\x81",
    "...",
    ".hidden",
    "trailing.",
    "-dash",
    "deep/er/and/deep er",
};

static void expect_key_works(const char *key)
{
    char buf[8];
    size_t got;
    struct store_object obj;

    assert_int_equal(conf_put(key, "odd", 3, (struct conf_put){0}, NULL), 0);
    assert_int_equal(conf_get(key, 0, buf, sizeof(buf), NULL, &got), 0);
    assert_int_equal(got, 3);
    assert_int_equal(conf_head(key, &obj), 0);
    assert_int_equal(obj.size, 3);
    store_object_clear(&obj);
    struct store_req req = conf_do((struct store_req){.op = STORE_LIST, .prefix = key});
    assert_int_equal(req.err, 0);
    assert_int_equal(req.object_count, 1);
    assert_string_equal(req.objects[0].key, key);
    store_req_clear(&req);
    assert_int_equal(conf_delete(key, NULL), 0);
    assert_int_equal(conf_head(key, NULL), -ENOENT);
}

static void test_odd_keys(void **state)
{
    (void)state;
    char name[128];

    for (size_t i = 0; i < sizeof(odd_names) / sizeof(odd_names[0]); i++) {
        (void)snprintf(name, sizeof(name), "odd/%s", odd_names[i]);
        expect_key_works(conf_key(name));
    }
}

static void test_long_key(void **state)
{
    (void)state;
    char name[STORE_KEY_MAX];
    size_t room = 1000 - strlen(conf_key(""));

    /* In pieces of 200, since some stores keep objects in a file system. */
    for (size_t i = 0; i < room; i++)
        name[i] = i % 200 == 199 ? '/' : (char)('a' + i % 26);
    name[room - 1] = 'z';
    name[room] = '\0';
    assert_int_equal(strlen(conf_key(name)), 1000);
    expect_key_works(conf_key(name));
}

const struct CMUnitTest conf_list_tests[] = {
    cmocka_unit_test(test_delimiter),    cmocka_unit_test(test_list_etag),
    cmocka_unit_test(test_marker),       cmocka_unit_test(test_odd_keys),
    cmocka_unit_test(test_long_key),     cmocka_unit_test(test_pages),
    cmocka_unit_test(test_delete_pages),
};
const size_t conf_list_count = sizeof(conf_list_tests) / sizeof(conf_list_tests[0]);
