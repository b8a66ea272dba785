/* store_conformance: multipart uploads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cloud/s3_int.h"
#include "tests/cloud/conformance.h"

#define MIB ((size_t)1 << 20)
#define PART (5 * MIB)

static char *begin(const char *key, const struct store_meta *meta)
{
    struct store_req req = conf_do((struct store_req){
        .op = STORE_MPU_BEGIN, .key = key, .meta = meta, .content_type = "text/x-parts"});
    char *id = mem_strdup(req.ret_upload_id);

    assert_int_equal(req.err, 0);
    assert_non_null(id);
    store_req_clear(&req);
    return id;
}

static struct store_part part(const char *key, const char *id, uint32_t number, void *data,
                              size_t len)
{
    struct store_req req = conf_do((struct store_req){.op = STORE_MPU_PART,
                                                      .key = key,
                                                      .upload_id = id,
                                                      .part_number = number,
                                                      .buf = data,
                                                      .buf_len = len});
    struct store_part ret = req.ret_part;

    assert_int_equal(req.err, 0);
    assert_int_equal(ret.number, number);
    assert_true(ret.etag[0]);
    store_req_clear(&req);
    return ret;
}

static int complete(const char *key, const char *id, const struct store_part *parts, size_t count,
                    struct store_req more, char *ret_etag)
{
    more.op = STORE_MPU_COMPLETE;
    more.key = key;
    more.upload_id = id;
    more.parts = parts;
    more.part_count = count;
    struct store_req req = conf_do(more);
    int err = req.err;
    if (ret_etag)
        memcpy(ret_etag, req.object.etag, STORE_ETAG_MAX);
    store_req_clear(&req);
    return err;
}

static int abandon(const char *key, const char *id)
{
    struct store_req req =
        conf_do((struct store_req){.op = STORE_MPU_ABORT, .key = key, .upload_id = id});
    int err = req.err;

    store_req_clear(&req);
    return err;
}

static void expect_bytes(const char *key, const uint8_t *data, size_t len)
{
    uint8_t *buf = mem_alloc(len + 1);
    size_t got;

    assert_int_equal(conf_get(key, 0, buf, len + 1, NULL, &got), 0);
    assert_int_equal(got, len);
    assert_memory_equal(buf, data, len);
    free(buf);
}

static void test_upload(void **state)
{
    (void)state;
    size_t len = 2 * PART + 12345;
    uint8_t *data = mem_alloc(len);
    struct store_meta meta = {0};
    struct store_part parts[3];
    struct store_object obj;
    char etag[STORE_ETAG_MAX];
    const char *key = conf_key("multi part+");

    conf_fill(data, len, 3);
    store_meta_set(&meta, "file-permissions", "0100640");
    char *id = begin(key, &meta);
    parts[1] = part(key, id, 2, data + PART, PART); /* in any order */
    parts[0] = part(key, id, 1, data, PART);
    parts[2] = part(key, id, 3, data + 2 * PART, len - 2 * PART);
    parts[0] = part(key, id, 1, data, PART); /* and again */
    assert_int_equal(conf_head(key, NULL), -ENOENT);
    assert_int_equal(complete(key, id, parts, 3, (struct store_req){0}, etag), 0);
    assert_int_equal(conf_head(key, &obj), 0);
    assert_int_equal(obj.size, len);
    assert_string_equal(obj.etag, etag);
    assert_string_equal(store_meta_get(&obj.meta, "file-permissions"), "0100640");
    if (strncmp(conf_store->url, "s3://", 5) == 0)
        assert_string_equal(obj.content_type, "text/x-parts");
    store_object_clear(&obj);
    expect_bytes(key, data, len);
    /* Asked again, as after a lost answer, it is not an error that matters. */
    int err = complete(key, id, parts, 3, (struct store_req){0}, NULL);
    assert_true(err == 0 || err == -ENOENT);
    expect_bytes(key, data, len);
    free(id);
    free(data);
    store_meta_clear(&meta);
}

static void test_part_copy(void **state)
{
    (void)state;
    size_t len = 3 * PART;
    const char *from = conf_key("pc-from %41+"), *to = conf_key("pc-to");
    struct store_part parts[3];
    char etag[STORE_ETAG_MAX];

    if (!conf_caps.part_copy)
        skip();
    uint8_t *data = mem_alloc(len);
    conf_fill(data, len, 4);
    assert_int_equal(conf_put(from, data, len, (struct conf_put){0}, etag), 0);
    char *id = begin(to, NULL);
    for (unsigned i = 0; i < 3; i += 2) {
        struct store_req req = conf_do((struct store_req){.op = STORE_MPU_COPY,
                                                          .key = to,
                                                          .src_key = from,
                                                          .src_if_match = etag,
                                                          .upload_id = id,
                                                          .part_number = i + 1,
                                                          .range_off = i * PART,
                                                          .range_len = PART});
        assert_int_equal(req.err, 0);
        assert_int_equal(req.ret_part.number, i + 1);
        parts[i] = req.ret_part;
        store_req_clear(&req);
    }
    conf_fill(data + PART, PART, 5);
    parts[1] = part(to, id, 2, data + PART, PART);
    struct store_req req = conf_do((struct store_req){.op = STORE_MPU_COPY,
                                                      .key = to,
                                                      .src_key = from,
                                                      .src_if_match = "0123",
                                                      .upload_id = id,
                                                      .part_number = 3,
                                                      .range_len = PART});
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    assert_int_equal(complete(to, id, parts, 3, (struct store_req){0}, NULL), 0);
    expect_bytes(to, data, len);
    free(id);
    free(data);
}

/* What S3 does above 5 GiB, with less. */
static void test_copy_by_parts(void **state)
{
    (void)state;
    if (strncmp(conf_store->url, "s3://", 5) != 0 || !conf_caps.part_copy)
        skip();
    struct s3 *s3 = s3_of(conf_store);
    uint64_t copy_size_max = s3->caps.copy_size_max, copy_part_size = s3->copy_part_size;
    size_t len = 2 * PART + 777;
    uint8_t *data = mem_alloc(len);
    const char *from = conf_key("large-from"), *to = conf_key("large-to");
    struct store_meta meta = {0};
    struct store_object obj;

    conf_fill(data, len, 6);
    store_meta_set(&meta, "note", "gr\xc3\xbc\xc3\x9f");
    assert_int_equal(conf_put(from, data, len, (struct conf_put){.meta = &meta}, NULL), 0);
    s3->caps.copy_size_max = PART;
    s3->copy_part_size = PART;
    struct store_req req =
        conf_do((struct store_req){.op = STORE_COPY, .key = to, .src_key = from, .src_size = len});
    assert_int_equal(req.err, 0);
    expect_bytes(to, data, len);
    assert_int_equal(conf_head(to, &obj), 0);
    assert_string_equal(obj.etag, req.object.etag);
    assert_string_equal(store_meta_get(&obj.meta, "note"), "gr\xc3\xbc\xc3\x9f");
    store_object_clear(&obj);
    store_req_clear(&req);
    req = conf_do((struct store_req){
        .op = STORE_COPY, .key = to, .src_key = from, .src_size = len, .if_none_match = true});
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    req = conf_do((struct store_req){
        .op = STORE_COPY, .key = to, .src_key = conf_key("nobody"), .src_size = len});
    assert_int_equal(req.err, -ENOENT);
    store_req_clear(&req);
    s3->caps.copy_size_max = copy_size_max;
    s3->copy_part_size = copy_part_size;
    store_meta_clear(&meta);
    free(data);
}

static void test_abort(void **state)
{
    (void)state;
    const char *key = conf_key("aborted");
    char data[] = "never seen";
    char *id = begin(key, NULL);
    struct store_part one = part(key, id, 1, data, sizeof(data));

    assert_int_equal(abandon(key, id), 0);
    assert_int_equal(conf_head(key, NULL), -ENOENT);
    assert_int_equal(complete(key, id, &one, 1, (struct store_req){0}, NULL), -ENOENT);
    assert_int_equal(conf_head(key, NULL), -ENOENT);
    assert_int_equal(abandon(key, id), 0);
    free(id);
}

static void test_complete_conditions(void **state)
{
    (void)state;
    const char *key = conf_key("mc");
    char data[] = "by parts", buf[16], etag[STORE_ETAG_MAX];
    size_t got;

    assert_int_equal(conf_put(key, "there", 5, (struct conf_put){0}, etag), 0);
    char *id = begin(key, NULL);
    struct store_part one = part(key, id, 1, data, 8);
    assert_int_equal(complete(key, id, &one, 1, (struct store_req){.if_none_match = true}, NULL),
                     -ESTALE);
    assert_int_equal(complete(key, id, &one, 1, (struct store_req){.if_match = "0123"}, NULL),
                     -ESTALE);
    assert_int_equal(conf_get(key, 0, buf, sizeof(buf), etag, &got), 0);
    assert_int_equal(complete(key, id, &one, 1, (struct store_req){.if_match = etag}, NULL), 0);
    assert_int_equal(conf_get(key, 0, buf, sizeof(buf), NULL, &got), 0);
    assert_int_equal(got, 8);
    assert_memory_equal(buf, "by parts", 8);
    free(id);
}

const struct CMUnitTest conf_multi_tests[] = {
    cmocka_unit_test(test_upload),
    cmocka_unit_test(test_part_copy),
    cmocka_unit_test(test_copy_by_parts),
    cmocka_unit_test(test_abort),
    cmocka_unit_test(test_complete_conditions),
};
const size_t conf_multi_count = sizeof(conf_multi_tests) / sizeof(conf_multi_tests[0]);
