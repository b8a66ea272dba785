/* Opening a bucket: what is found out, what is said, and what is left behind. */
#include "tests/cloud/fault_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

static void test_nobody_there(void **state)
{
    (void)state;
    struct store_error error;
    struct store *none = NULL;
    struct store_config config = {.endpoint = "http://127.0.0.1:1"};
    int64_t start = clock_mono_ns();

    assert_int_equal(store_open("s3://bkt", &config, &none, &error), -EAGAIN);
    assert_true(clock_mono_ns() - start < 8 * CLOCK_S);
    assert_non_null(strstr(error.text, "does not answer"));
}

/* ---- opening ---- */

static void open_again(const struct fault_step *script, int err, struct store_caps *caps,
                       struct store_error *error)
{
    struct store *other = NULL;
    char endpoint[64];

    fault_server_script(fault_server, script);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u",
                   fault_server_port(fault_server));
    struct store_config config = {.endpoint = endpoint};
    assert_int_equal(store_open("s3://bkt", &config, &other, error), err);
    if (err)
        return;
    store_get_caps(other, caps);
    store_close(other);
}

static void test_open_unsigned(void **state)
{
    (void)state;
    static const struct fault_step script[] = {LIST_STEP, GOOD_GET, {0}};
    struct store *other = NULL;
    struct store_error error;
    char endpoint[64];

    fault_server_script(fault_server, script);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u",
                   fault_server_port(fault_server));
    struct store_config config = {
        .endpoint = endpoint, .read_only = true, .unsigned_requests = true};
    assert_int_equal(store_open("s3://bkt", &config, &other, &error), 0);
    struct store_req req = {.op = STORE_GET,
                            .key = "key",
                            .buf = fault_buf,
                            .range_len = 10,
                            .deadline_ns = clock_mono_ns() + 5 * CLOCK_S};
    assert_int_equal(store_call(other, &req), 0);
    store_req_clear(&req);
    store_close(other);
    assert_int_equal(fault_server_count(fault_server), 2);
    for (unsigned i = 0; i < 2; i++)
        assert_null(strcasestr(fault_server_request(fault_server, i), "authorization"));
}

static void test_open_read_only(void **state)
{
    (void)state;
    static const struct fault_step script[] = {LIST_STEP,
                                               {.match = "PUT /bkt/.pailfs-probe-",
                                                .status = "403 Forbidden",
                                                .body = ERROR("AccessDenied"),
                                                .times = FAULT_ALWAYS},
                                               {0}};
    struct store_caps caps;
    struct store_error error;

    open_again(script, 0, &caps, &error);
    assert_false(caps.writable);
    assert_false(caps.cond_put);
    assert_int_equal(fault_server_count(fault_server), 2);
}

/* A store that takes everything and looks at nothing. */
static void test_open_simple_store(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET /bkt/?", .status = "200 OK", .body = EMPTY_LIST, .times = FAULT_ALWAYS},
        {.match = "PUT", .status = "200 OK", .headers = "ETag: \"e\"\r\n", .times = FAULT_ALWAYS},
        {.match = "POST",
         .status = "501 N",
         .body = ERROR("NotImplemented"),
         .times = FAULT_ALWAYS},
        {.match = "DELETE", .status = "204 No", .times = FAULT_ALWAYS},
        {.match = "HEAD", .status = "404 N", .times = FAULT_ALWAYS},
        {0}};
    struct store_caps caps;
    struct store_error error;

    open_again(script, 0, &caps, &error);
    assert_true(caps.writable);
    assert_false(caps.cond_put);
    assert_false(caps.cond_copy);
    assert_false(caps.cond_delete);
    assert_false(caps.part_copy);
}

/* Everything that was written is removed, whatever happened in between. */
static void test_open_cleans_up(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        LIST_STEP,
        {.match = "PUT /bkt/.pailfs-probe-", .status = "200 OK", .headers = "ETag: \"e\"\r\n"},
        {.match = "DELETE /bkt/.pailfs-probe-", .status = "204 No", .times = FAULT_ALWAYS},
        {.match = "", .status = "400 Bad", .times = FAULT_ALWAYS},
        {0}};
    struct store_caps caps;
    struct store_error error;
    unsigned deletes = 0;

    open_again(script, 0, &caps, &error);
    for (unsigned i = 0; i < fault_server_count(fault_server); i++)
        deletes += strncmp(fault_server_request(fault_server, i), "DELETE", 6) == 0;
    assert_true(deletes >= 3);
}

static void test_open_refused(void **state)
{
    (void)state;
    static const struct {
        const char *status, *body;
        int err;
        const char *words;
    } table[] = {
        {"404 N", ERROR("NoSuchBucket"), -ENOENT, "bucket does not exist"},
        {"403 F", ERROR("InvalidAccessKeyId"), -EACCES, "does not know the access key"},
        {"403 F", ERROR("SignatureDoesNotMatch"), -EACCES, "secret key"},
        {"403 F", ERROR("AccessDenied"), -EACCES, "may not list"},
        {"400 B", ERROR("ExpiredToken"), -EACCES, "session token"},
        {"200 OK", "<html/>", -EIO, "as an S3 store does"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct fault_step script[] = {{.match = "GET",
                                       .status = table[i].status,
                                       .body = table[i].body,
                                       .times = FAULT_ALWAYS},
                                      {0}};
        struct store_error error = {{0}};
        open_again(script, table[i].err, NULL, &error);
        assert_non_null(strstr(error.text, table[i].words));
        assert_non_null(strstr(error.text, "s3://bkt"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_nobody_there),   FAULT_TEST(test_open_unsigned),
        FAULT_TEST(test_open_read_only), FAULT_TEST(test_open_simple_store),
        FAULT_TEST(test_open_cleans_up), FAULT_TEST(test_open_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
