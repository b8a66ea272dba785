/* store_conformance: single objects. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/cloud/conformance.h"

#define WRONG_ETAG "0123456789abcdef0123456789abcdef"

static void expect_content(const char *key, const void *data, size_t len)
{
    uint8_t *buf = malloc(len + 1);
    size_t got;

    assert_non_null(buf);
    assert_int_equal(conf_get(key, 0, buf, len + 1, NULL, &got), 0);
    assert_int_equal(got, len);
    assert_memory_equal(buf, data, len);
    free(buf);
}

static void test_put_get_head(void **state)
{
    (void)state;
    char etag[STORE_ETAG_MAX];
    struct store_object obj;
    const char *key = conf_key("hello.txt");

    assert_int_equal(conf_put(key, "hello, world\n", 13, (struct conf_put){0}, etag), 0);
    assert_true(etag[0] && etag[0] != '"');
    expect_content(key, "hello, world\n", 13);
    assert_int_equal(conf_head(key, &obj), 0);
    assert_int_equal(obj.size, 13);
    assert_string_equal(obj.etag, etag);
    assert_true(obj.has_meta);
    int64_t age = clock_wall_ns() - obj.mtime_ns;
    assert_true(age > -5 * CLOCK_S && age < 60 * CLOCK_S);
    store_object_clear(&obj);
    /* another content is another version */
    char etag2[STORE_ETAG_MAX];
    assert_int_equal(conf_put(key, "hello, there\n", 13, (struct conf_put){0}, etag2), 0);
    assert_string_not_equal(etag, etag2);
    expect_content(key, "hello, there\n", 13);
}

static void test_empty_object(void **state)
{
    (void)state;
    const char *key = conf_key("empty");
    struct store_object obj;
    char buf[4];
    size_t got = 9;

    assert_int_equal(conf_put(key, "", 0, (struct conf_put){0}, NULL), 0);
    assert_int_equal(conf_head(key, &obj), 0);
    assert_int_equal(obj.size, 0);
    store_object_clear(&obj);
    assert_int_equal(conf_get(key, 0, buf, sizeof(buf), NULL, &got), 0);
    assert_int_equal(got, 0);
}

static void test_large_put(void **state)
{
    (void)state;
    size_t len = 9 << 20;
    uint8_t *data = malloc(len);

    assert_non_null(data);
    conf_fill(data, len, 1);
    assert_int_equal(conf_put(conf_key("large"), data, len, (struct conf_put){0}, NULL), 0);
    expect_content(conf_key("large"), data, len);
    free(data);
}

static void test_ranges(void **state)
{
    (void)state;
    uint8_t data[10000], buf[10000];
    const char *key = conf_key("ranges");
    char etag[STORE_ETAG_MAX];
    size_t got;
    static const struct {
        uint64_t off;
        size_t len, got;
    } rows[] = {{0, 1, 1},        {0, 10000, 10000},  {1, 9999, 9999}, {9999, 1, 1},
                {5000, 100, 100}, {9000, 5000, 1000}, {10000, 100, 0}, {20000, 100, 0}};

    conf_fill(data, sizeof(data), 2);
    assert_int_equal(conf_put(key, data, sizeof(data), (struct conf_put){0}, etag), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(conf_get(key, rows[i].off, buf, rows[i].len, etag, &got), 0);
        assert_int_equal(got, rows[i].got);
        if (got > 0)
            assert_memory_equal(buf, data + rows[i].off, got);
    }
    struct store_req req = conf_do((struct store_req){
        .op = STORE_GET, .key = key, .buf = buf, .buf_len = 10, .range_off = 50, .range_len = 10});
    assert_int_equal(req.err, 0);
    assert_int_equal(req.object.size, sizeof(data));
    assert_string_equal(req.object.etag, etag);
    store_req_clear(&req);
}

static void test_not_there(void **state)
{
    (void)state;
    char buf[4];
    size_t got;

    assert_int_equal(conf_head(conf_key("nobody"), NULL), -ENOENT);
    assert_int_equal(conf_get(conf_key("nobody"), 0, buf, 4, NULL, &got), -ENOENT);
    assert_int_equal(conf_delete(conf_key("nobody"), NULL), 0);
    struct store_req req = conf_do((struct store_req){
        .op = STORE_COPY, .key = conf_key("target"), .src_key = conf_key("nobody")});
    assert_int_equal(req.err, -ENOENT);
    store_req_clear(&req);
}

static void test_bad_keys(void **state)
{
    (void)state;
    char longest[STORE_KEY_MAX + 2];

    memset(longest, 'k', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    int err = conf_head(longest, NULL);
    assert_true(err == -ENAMETOOLONG || err == -ENOENT);
    assert_int_equal(conf_put(longest, "x", 1, (struct conf_put){0}, NULL), -ENAMETOOLONG);
    assert_int_equal(conf_delete(longest, NULL), 0); /* such a thing is not there */
}

static void test_read_conditions(void **state)
{
    (void)state;
    const char *key = conf_key("conditions");
    char etag[STORE_ETAG_MAX], buf[4];
    size_t got;

    assert_int_equal(conf_put(key, "one", 3, (struct conf_put){0}, etag), 0);
    assert_int_equal(conf_get(key, 0, buf, 3, etag, &got), 0);
    assert_int_equal(conf_get(key, 0, buf, 3, WRONG_ETAG, &got), -ESTALE);
    struct store_req req =
        conf_do((struct store_req){.op = STORE_HEAD, .key = key, .if_match = WRONG_ETAG});
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
}

static void test_put_conditions(void **state)
{
    (void)state;
    const char *key = conf_key("create-once");
    char etag[STORE_ETAG_MAX], etag2[STORE_ETAG_MAX];

    assert_int_equal(conf_put(key, "one", 3, (struct conf_put){.if_none_match = true}, etag), 0);
    assert_int_equal(conf_put(key, "two", 3, (struct conf_put){.if_none_match = true}, NULL),
                     -ESTALE);
    expect_content(key, "one", 3);
    assert_int_equal(conf_put(key, "two", 3, (struct conf_put){.if_match = WRONG_ETAG}, NULL),
                     -ESTALE);
    expect_content(key, "one", 3);
    assert_int_equal(conf_put(key, "two", 3, (struct conf_put){.if_match = etag}, etag2), 0);
    expect_content(key, "two", 3);
    assert_int_equal(conf_put(key, "six", 3, (struct conf_put){.if_match = etag}, NULL), -ESTALE);
    /* gone is another version, too */
    assert_int_equal(conf_delete(key, NULL), 0);
    assert_int_equal(conf_put(key, "six", 3, (struct conf_put){.if_match = etag2}, NULL), -ESTALE);
    assert_int_equal(conf_head(key, NULL), -ENOENT);
}

static void test_delete_conditions(void **state)
{
    (void)state;
    const char *key = conf_key("delete-once");
    char etag[STORE_ETAG_MAX];

    assert_int_equal(conf_put(key, "one", 3, (struct conf_put){0}, etag), 0);
    assert_int_equal(conf_delete(key, WRONG_ETAG), -ESTALE);
    assert_int_equal(conf_head(key, NULL), 0);
    assert_int_equal(conf_delete(key, etag), 0);
    assert_int_equal(conf_head(key, NULL), -ENOENT);
    assert_int_equal(conf_delete(key, etag), 0);
}

static void meta_make(struct store_meta *meta)
{
    store_meta_set(meta, "file-permissions", "0100644");
    store_meta_set(meta, "file-mtime", "1595002920000000000ns");
    store_meta_set(meta, "note", "gr\xc3\xbc\xc3\x9f dich, \xe4\xb8\x96\xe7\x95\x8c");
    store_meta_set(meta, "blanks", " two  blanks ");
    store_meta_set(meta, "odd", "a=b;c,\"d\" \\ 'e' %41 +");
}

static void expect_meta(const char *key, const struct store_meta *meta)
{
    struct store_object obj;

    assert_int_equal(conf_head(key, &obj), 0);
    /* A store of files may have more to tell. */
    if (!conf_caps.list_meta)
        assert_int_equal(obj.meta.count, meta->count);
    for (size_t i = 0; i < meta->count; i++) {
        const char *value = store_meta_get(&obj.meta, meta->pairs[i].name);
        assert_non_null(value);
        assert_string_equal(value, meta->pairs[i].value);
    }
    store_object_clear(&obj);
}

static void test_meta(void **state)
{
    (void)state;
    struct store_meta meta = {0}, none = {0};
    const char *key = conf_key("meta");

    meta_make(&meta);
    assert_int_equal(conf_put(key, "x", 1, (struct conf_put){.meta = &meta}, NULL), 0);
    expect_meta(key, &meta);
    /* a GET brings it as well */
    char buf[1];
    struct store_req req = conf_do(
        (struct store_req){.op = STORE_GET, .key = key, .buf = buf, .buf_len = 1, .range_len = 1});
    assert_string_equal(store_meta_get(&req.object.meta, "file-permissions"), "0100644");
    store_req_clear(&req);
    /* writing without metadata writes none */
    assert_int_equal(conf_put(key, "x", 1, (struct conf_put){0}, NULL), 0);
    expect_meta(key, &none);
    struct store_object obj;
    assert_int_equal(conf_head(key, &obj), 0);
    assert_null(store_meta_get(&obj.meta, "note"));
    store_object_clear(&obj);
    /* a name that no header can carry */
    store_meta_set(&meta, "bad name\r\nx", "v");
    int err = conf_put(key, "x", 1, (struct conf_put){.meta = &meta}, NULL);
    assert_true(err == -EINVAL || conf_caps.real_dirs);
    store_meta_clear(&meta);
}

static struct store_req copy(const char *from, const char *to, struct store_req more)
{
    more.op = STORE_COPY;
    more.src_key = from;
    more.key = to;
    return conf_do(more);
}

static void test_copy(void **state)
{
    (void)state;
    const char *from = conf_key("copy from %41+ &"), *to = conf_key("copy to?#");
    struct store_meta meta = {0}, other = {0};
    char etag[STORE_ETAG_MAX];
    struct store_object obj;

    meta_make(&meta);
    store_meta_set(&other, "file-permissions", "0100600");
    assert_int_equal(conf_put(from, "copied", 6, (struct conf_put){.meta = &meta}, etag), 0);
    struct store_req req = copy(from, to, (struct store_req){.src_size = 6});
    assert_int_equal(req.err, 0);
    expect_content(to, "copied", 6);
    expect_meta(to, &meta);
    assert_int_equal(conf_head(to, &obj), 0);
    assert_string_equal(req.object.etag, obj.etag);
    store_object_clear(&obj);
    store_req_clear(&req);
    /* other metadata, and onto itself */
    req = copy(from, to, (struct store_req){.src_size = 6, .meta = &other, .src_if_match = etag});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_meta(to, &other);
    req = copy(from, from, (struct store_req){.src_size = 6, .meta = &other});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_meta(from, &other);
    expect_content(from, "copied", 6);
    req = copy(from, to, (struct store_req){.src_size = 6, .src_if_match = WRONG_ETAG});
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    store_meta_clear(&meta);
    store_meta_clear(&other);
}

static void expect_type(const char *key, const char *type)
{
    struct store_object obj;

    assert_int_equal(conf_head(key, &obj), 0);
    assert_non_null(obj.content_type);
    assert_string_equal(obj.content_type, type);
    store_object_clear(&obj);
}

/* The type of content goes with the object, and with its copies unless another one is told. */
static void test_content_type(void **state)
{
    (void)state;
    const char *from = conf_key("type.jpg"), *to = conf_key("type");
    struct store_meta meta = {0};

    if (strncmp(conf_store->url, "s3://", 5) != 0)
        skip();
    store_meta_set(&meta, "note", "x");
    struct store_req req = conf_do((struct store_req){.op = STORE_PUT,
                                                      .key = from,
                                                      .buf = (void *)(uintptr_t) "jpeg",
                                                      .buf_len = 4,
                                                      .meta = &meta,
                                                      .content_type = "image/jpeg"});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_type(from, "image/jpeg");
    req = copy(from, to, (struct store_req){.src_size = 4, .meta = &meta});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_type(to, "image/jpeg");
    req =
        copy(to, to, (struct store_req){.src_size = 4, .meta = &meta, .content_type = "image/png"});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_type(to, "image/png");
    req = copy(to, from, (struct store_req){.src_size = 4});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_type(from, "image/png");
    store_meta_clear(&meta);
}

static void test_copy_conditions(void **state)
{
    (void)state;
    const char *from = conf_key("cc-from"), *to = conf_key("cc-to");
    char etag[STORE_ETAG_MAX];

    assert_int_equal(conf_put(from, "from", 4, (struct conf_put){0}, NULL), 0);
    assert_int_equal(conf_put(to, "to", 2, (struct conf_put){0}, etag), 0);
    struct store_req req = copy(from, to, (struct store_req){.src_size = 4, .if_none_match = true});
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    req = copy(from, to, (struct store_req){.src_size = 4, .if_match = WRONG_ETAG});
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    expect_content(to, "to", 2);
    req = copy(from, to, (struct store_req){.src_size = 4, .if_match = etag});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_content(to, "from", 4);
    assert_int_equal(conf_delete(to, NULL), 0);
    req = copy(from, to, (struct store_req){.src_size = 4, .if_match = etag});
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    req = copy(from, to, (struct store_req){.src_size = 4, .if_none_match = true});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    expect_content(to, "from", 4);
}

static void test_delete_many(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    static char keys[COUNT][128];
    struct store_delete dels[COUNT];
    char etag[STORE_ETAG_MAX];

    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%s", conf_key("batch/<&>\"' +%41 "));
        (void)snprintf(keys[i] + strlen(keys[i]), 16, "%d", i);
        dels[i] = (struct store_delete){.key = keys[i], .err = 77};
        if (i % 10 != 9) /* the others are not there */
            assert_int_equal(conf_put(keys[i], "x", 1, (struct conf_put){0}, i == 5 ? etag : NULL),
                             0);
    }
    dels[5].if_match = etag;
    dels[6].if_match = WRONG_ETAG;
    struct store_req req =
        conf_do((struct store_req){.op = STORE_DELETE, .deletes = dels, .delete_count = COUNT});
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(dels[i].err, i == 6 ? -ESTALE : 0);
        assert_int_equal(conf_head(keys[i], NULL), i == 6 ? 0 : -ENOENT);
    }
    assert_int_equal(conf_delete(keys[6], NULL), 0);
}

const struct CMUnitTest conf_object_tests[] = {
    cmocka_unit_test(test_put_get_head),
    cmocka_unit_test(test_empty_object),
    cmocka_unit_test(test_large_put),
    cmocka_unit_test(test_ranges),
    cmocka_unit_test(test_not_there),
    cmocka_unit_test(test_bad_keys),
    cmocka_unit_test(test_read_conditions),
    cmocka_unit_test(test_put_conditions),
    cmocka_unit_test(test_delete_conditions),
    cmocka_unit_test(test_meta),
    cmocka_unit_test(test_copy),
    cmocka_unit_test(test_content_type),
    cmocka_unit_test(test_copy_conditions),
    cmocka_unit_test(test_delete_many),
};
const size_t conf_object_count = sizeof(conf_object_tests) / sizeof(conf_object_tests[0]);
