/* URLs and endpoints to hosts and paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cloud/s3_int.h"

struct row {
    const char *url, *endpoint;
    struct store_config config;
    const char *region, *key; /* asked for */
    const char *host, *path, *normal;
};

static const struct row rows[] = {
    {.url = "s3://bucket",
     .region = "us-east-1",
     .key = "a b",
     .host = "bucket.s3.us-east-1.amazonaws.com",
     .path = "/a%20b",
     .normal = "s3://bucket"},
    {.url = "S3://bucket//pre/fix//",
     .region = "cn-north-1",
     .host = "bucket.s3.cn-north-1.amazonaws.com.cn",
     .path = "/",
     .normal = "s3://bucket/pre/fix"},
    {.url = "s3://dotted.bucket/",
     .region = "eu-west-1",
     .key = "k",
     .host = "s3.eu-west-1.amazonaws.com",
     .path = "/dotted.bucket/k",
     .normal = "s3://dotted.bucket"},
    {.url = "s3://dotted.bucket/",
     .config = {.virtual_style = true},
     .region = "eu-west-1",
     .key = "k",
     .host = "dotted.bucket.s3.eu-west-1.amazonaws.com",
     .path = "/k",
     .normal = "s3://dotted.bucket"},
    {.url = "s3://bucket",
     .endpoint = "HTTP://LocalHost:9000/",
     .region = "x",
     .key = "../x",
     .host = "localhost:9000",
     .path = "/bucket/../x",
     .normal = "s3://bucket?endpoint=http://localhost:9000"},
    {.url = "s3://bucket/p",
     .endpoint = "https://gw.example.com:443/s3//",
     .config = {.virtual_style = true},
     .region = "x",
     .key = "p/k",
     .host = "bucket.gw.example.com",
     .path = "/s3/p/k",
     .normal = "s3://bucket/p?endpoint=https://gw.example.com/s3"},
    {.url = "s3://bucket",
     .endpoint = "http://[::1]:80",
     .region = "x",
     .key = "k",
     .host = "[::1]",
     .path = "/bucket/k",
     .normal = "s3://bucket?endpoint=http://[::1]"},
    {.url = "s3://bucket",
     .endpoint = "https://s3.dualstack.us-west-2.amazonaws.com",
     .region = "us-west-2",
     .key = "k",
     .host = "bucket.s3.dualstack.us-west-2.amazonaws.com",
     .path = "/k",
     .normal = "s3://bucket?endpoint=https://s3.dualstack.us-west-2.amazonaws.com"},
    {.url = "s3://bucket",
     .config = {.path_style = true},
     .region = "us-west-2",
     .host = "s3.us-west-2.amazonaws.com",
     .path = "/bucket/",
     .normal = "s3://bucket"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct s3_address addr;
        struct store_error error;
        assert_int_equal(s3_address_parse(row->url, &row->config, row->endpoint, &addr, &error), 0);
        CLEANUP_FREE char *host = s3_address_host(&addr, row->region);
        CLEANUP_FREE char *path = s3_address_path(&addr, row->key);
        assert_string_equal(host, row->host);
        assert_string_equal(path, row->path);
        assert_string_equal(addr.url, row->normal);
        s3_address_clear(&addr);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {"s3://",     "s3:///key",       "s3://ab",     "s3://a b c",
                                       "s3://.abc", "s3://bucket?x/y", "s3://bu\xff", "s3://b@ckt"};
    static const char *const endpoints[] = {"",          "host",         "ftp://host", "http://",
                                            "http:///x", "http://u@h/x", "http://h?x", "https://#"};
    struct s3_address addr;
    struct store_config config = {0};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct store_error error = {{0}};
        assert_int_equal(s3_address_parse(urls[i], &config, NULL, &addr, &error), -EINVAL);
        assert_non_null(strstr(error.text, urls[i]));
    }
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        struct store_error error = {{0}};
        assert_int_equal(s3_address_parse("s3://bucket", &config, endpoints[i], &addr, &error),
                         -EINVAL);
        assert_non_null(strstr(error.text, "endpoint"));
    }
}

static void test_schemes(void **state)
{
    (void)state;
    static const char *const urls[] = {"gs://b",  "az://c",      "wasb://c",     "abfs://c",
                                       "adl://c", "webhdfs://h", "http://host/b"};
    struct store_config config = {0};
    struct store *store = NULL;

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct store_error error = {{0}};
        assert_int_equal(store_open(urls[i], &config, &store, &error), -ENOTSUP);
        assert_non_null(strstr(error.text, urls[i]));
    }
    struct store_error error = {{0}};
    config.unsigned_requests = true;
    assert_int_equal(store_open("s3://b--use1-az4--x-s3", &config, &store, &error), -ENOTSUP);
    assert_non_null(strstr(error.text, "directory buckets"));
    assert_int_equal(store_open("bucket", &config, &store, &error), -EINVAL);
    assert_non_null(strstr(error.text, "s3://BUCKET"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_schemes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
