/* What the S3 store does when the other side misbehaves: retries, deadlines, refusals. */
#include "tests/cloud/fault_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static const char wrong_sum[] = RANGE_10 "x-amz-checksum-crc32c: AAAAAA==\r\n";

static const struct store_req get = {.op = STORE_GET};

static void test_busy_then_good(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "503 Slow Down", .body = ERROR("SlowDown"), .times = 2},
        {.match = "GET", .status = "500 Oops", .body = "<html>not xml"},
        {.match = "GET", .status = "429 Too Many"},
        {.match = "GET", .status = "400 Bad", .body = ERROR("RequestTimeout")},
        {.match = "GET"},
        GOOD_GET,
        {0},
    };

    fault_expect(script, get, 0, 7);
    assert_memory_equal(fault_buf, "0123456789", 10);
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "503 Busy", .headers = "Retry-After: 1\r\n"}, GOOD_GET, {0}};
    static const struct fault_step later[] = {
        {.match = "GET", .status = "503 Busy", .headers = "Retry-After: 60\r\n"}, GOOD_GET, {0}};
    int64_t start = clock_mono_ns();

    fault_expect(script, get, 0, 2);
    assert_true(clock_mono_ns() - start >= CLOCK_S);
    /* longer than there is time: no use in waiting */
    start = clock_mono_ns();
    fault_expect(later, get, -EAGAIN, 1);
    assert_true(clock_mono_ns() - start < 5 * CLOCK_S);
}

static void test_broken_body(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "206 P", .headers = RANGE_10, .body = "01234", .length = 10},
        {.match = "GET",
         .status = "206 P",
         .headers = RANGE_10,
         .body = "xxxxx",
         .length = 10,
         .reset = true},
        GOOD_GET,
        {0},
    };

    fault_expect(script, get, 0, 3);
    assert_memory_equal(fault_buf, "0123456789", 10);
}

static void test_busy_for_ever(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "503 Slow Down", .times = FAULT_ALWAYS}, {0}};
    struct store_req req = get;
    int64_t start = clock_mono_ns();

    req.deadline_ns = 2 * CLOCK_S;
    req = fault_play(script, req);
    int64_t took = clock_mono_ns() - start;
    assert_int_equal(req.err, -EAGAIN);
    assert_true(took > CLOCK_S && took < 3 * CLOCK_S);
    assert_in_range(fault_server_count(fault_server), 3, 100);
    assert_non_null(strstr(req.error_text, "503"));
    store_req_clear(&req);
}

static void test_hang(void **state)
{
    (void)state;
    static const struct fault_step for_ever[] = {
        {.match = "GET", .hang = true, .times = FAULT_ALWAYS}, {0}};
    static const struct fault_step once[] = {{.match = "GET", .hang = true}, GOOD_GET, {0}};
    struct store_req req = get;
    int64_t start = clock_mono_ns();

    req.deadline_ns = CLOCK_S;
    fault_expect(for_ever, req, -EAGAIN, 1);
    int64_t took = clock_mono_ns() - start;
    assert_true(took > CLOCK_S - 100 * CLOCK_MS && took < 3 * CLOCK_S);
    /* a stalled try is given up in time for another one */
    s3_of(fault_store)->stall_read_ns = 300 * CLOCK_MS;
    fault_expect(once, get, 0, 2);
    s3_of(fault_store)->stall_read_ns = S3_STALL_READ_NS;
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *status, *body;
        int err;
    } rows[] = {
        {"403 Forbidden", ERROR("AccessDenied"), -EACCES},
        {"403 Forbidden", "", -EACCES},
        {"403 Forbidden", ERROR("InvalidAccessKeyId"), -EACCES},
        {"403 Forbidden", ERROR("SignatureDoesNotMatch"), -EACCES},
        {"400 Bad", ERROR("ExpiredToken"), -EACCES},
        {"403 Forbidden", ERROR("InvalidObjectState"), -EACCES},
        {"404 Not Found", ERROR("NoSuchKey"), -ENOENT},
        {"404 Not Found", "", -ENOENT},
        {"412 Precondition", "", -ESTALE},
        {"400 Bad", ERROR("InvalidArgument"), -EINVAL},
        {"400 Bad", ERROR("KeyTooLongError"), -ENAMETOOLONG},
        {"400 Bad", ERROR("EntityTooLarge"), -EFBIG},
        {"403 Forbidden", ERROR("QuotaExceeded"), -ENOSPC},
        {"507 Full", "", -ENOSPC},
        {"501 Not Implemented", ERROR("NotImplemented"), -ENOTSUP},
        {"405 Not Allowed", "", -ENOTSUP},
        {"301 Moved", "", -EIO},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fault_step script[] = {
            {.match = "GET", .status = rows[i].status, .body = rows[i].body}, {0}};
        fault_expect(script, get, rows[i].err, 1);
    }
}

static void test_nonsense(void **state)
{
    (void)state;
    static const char *const headers[] = {"",
                                          "Content-Range: bytes 5-14/20\r\n",
                                          "Content-Range: bytes 0-9\r\n",
                                          "Content-Range: bytes 0-4/20\r\n",
                                          "Content-Range: pages 0-9/10\r\n",
                                          wrong_sum};

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct fault_step script[] = {{.match = "GET",
                                       .status = "206 P",
                                       .headers = headers[i],
                                       .body = "0123456789",
                                       .times = FAULT_ALWAYS},
                                      {0}};
        fault_expect(script, get, -EIO, S3_NONSENSE_TRIES);
    }
    /* a store that sends more than was asked for */
    static const struct fault_step more[] = {
        {.match = "GET", .status = "200 OK", .body = "0123456789ABCDEF", .times = FAULT_ALWAYS},
        {0}};
    fault_expect(more, get, -EIO, S3_NONSENSE_TRIES);
    assert_memory_equal(fault_buf + 10, "\0\0\0\0\0\0", 6);
    static const struct fault_step html[] = {
        {.match = "GET", .status = "200 OK", .body = "<html/>", .times = FAULT_ALWAYS}, {0}};
    fault_expect(html, (struct store_req){.op = STORE_LIST}, -EIO, S3_NONSENSE_TRIES);
    /* once is forgiven */
    static const struct fault_step once[] = {
        {.match = "GET", .status = "206 P", .body = "0123456789"}, GOOD_GET, {0}};
    fault_expect(once, get, 0, 2);
}

static void test_checksum_right(void **state)
{
    (void)state;
    char sum[CHECKSUM_BASE64_CRC32C], headers[128];

    checksum_crc32c_base64(checksum_crc32c(0, "0123456789", 10), sum);
    (void)snprintf(headers, sizeof(headers), RANGE_10 "x-amz-checksum-crc32c: %s\r\n", sum);
    struct fault_step script[] = {
        {.match = "GET", .status = "206 P", .headers = headers, .body = "0123456789"}, {0}};
    fault_expect(script, get, 0, 1);
}

static void test_other_version(void **state)
{
    (void)state;
    /* a store that does not know If-Match on GET */
    static const struct fault_step script[] = {GOOD_GET, {0}};
    struct store_req req = get;

    req.if_match = "another";
    fault_expect(script, req, -ESTALE, 1);
}

static void test_clock(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET",
         .status = "403 Forbidden",
         .headers = "Date: Tue, 01 Jan 2030 00:00:05 GMT\r\n",
         .body = ERROR("RequestTimeTooSkewed")},
        GOOD_GET,
        {0}};

    fault_expect(script, get, 0, 2);
    assert_null(strstr(fault_server_request(fault_server, 0), "20300101T0000"));
    assert_non_null(strstr(fault_server_request(fault_server, 1), "x-amz-date: 20300101T0000"));
    assert_non_null(strstr(fault_server_request(fault_server, 1), "key/20300101/"));
    /* and a HEAD, whose 403 has no body */
    char headers[64];
    time_t now = time(NULL);
    struct tm tm;
    (void)strftime(headers, sizeof(headers), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
                   gmtime_r(&now, &tm));
    struct fault_step back[] = {
        {.match = "HEAD", .status = "403 Forbidden", .headers = headers},
        {.match = "HEAD", .status = "200 OK", .length = 5, .headers = "ETag: \"e\"\r\n"},
        {0}};
    fault_expect(back, (struct store_req){.op = STORE_HEAD}, 0, 2);
    assert_null(strstr(fault_server_request(fault_server, 1), "20300101T0000"));
}

static void test_region(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET",
         .status = "400 Bad",
         .body = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-here-1</Region>"
                 "</Error>"},
        GOOD_GET,
        {0}};
    static const struct fault_step head[] = {
        {.match = "HEAD", .status = "301 M", .headers = "x-amz-bucket-region: eu-there-2\r\n"},
        {.match = "HEAD", .status = "200 OK", .length = 5},
        {0}};
    static const struct fault_step circle[] = {
        {.match = "GET", .status = "301 M", .headers = "x-amz-bucket-region: a-1\r\n"},
        {.match = "GET", .status = "301 M", .headers = "x-amz-bucket-region: b-1\r\n"},
        {.match = "GET", .status = "301 M", .headers = "x-amz-bucket-region: a-1\r\n"},
        {.match = "GET", .status = "301 M", .headers = "x-amz-bucket-region: b-1\r\n"},
        GOOD_GET,
        {0}};

    fault_expect(script, get, 0, 2);
    assert_non_null(strstr(fault_server_request(fault_server, 0), "/us-west-1/s3/"));
    assert_non_null(strstr(fault_server_request(fault_server, 1), "/eu-here-1/s3/"));
    fault_expect(head, (struct store_req){.op = STORE_HEAD}, 0, 2);
    assert_non_null(strstr(fault_server_request(fault_server, 1), "/eu-there-2/s3/"));
    fault_expect(circle, get, -EIO, 4);
}

static void keys_file(const char *path, const char *token)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fprintf(file, "[p]\naws_access_key_id=k\naws_secret_access_key=s\naws_session_token=%s\n",
                  token);
    assert_int_equal(fclose(file), 0);
}

/* Keys that are replaced in their file while the store is open. */
static void test_new_keys(void **state)
{
    (void)state;
    struct s3 *s3 = s3_of(fault_store);
    static const struct fault_step expired[] = {
        {.match = "GET", .status = "400 Bad", .body = ERROR("ExpiredToken")}, GOOD_GET, {0}};
    static const struct fault_step mute[] = {{.match = "HEAD", .status = "403 F"},
                                             {.match = "HEAD", .status = "200 OK", .length = 5},
                                             {0}};
    char path[] = "/tmp/test_s3_faults.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    (void)close(fd);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the engine's thread is idle */
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    s3->profile = mem_strdup("p");
    keys_file(path, "token-1");
    fault_expect(expired, get, 0, 2);
    assert_non_null(strstr(fault_server_request(fault_server, 0), "token: token\r\n"));
    assert_non_null(strstr(fault_server_request(fault_server, 1), "token: token-1\r\n"));
    keys_file(path, "token-2");
    fault_expect(expired, get, -EACCES, 1); /* not so soon again */
    s3->creds_read_ns = 0;
    fault_expect(mute, (struct store_req){.op = STORE_HEAD}, 0, 2);
    assert_non_null(strstr(fault_server_request(fault_server, 1), "token: token-2\r\n"));
    s3->creds_read_ns = 0;
    fault_expect(expired, get, -EACCES, 1); /* no other keys there */
    (void)unlink(path);
}

static void test_signed_headers(void **state)
{
    (void)state;
    static const struct fault_step script[] = {GOOD_GET, {0}};

    fault_expect(script, get, 0, 1);
    const char *request = fault_server_request(fault_server, 0);
    assert_non_null(strstr(request, "x-amz-security-token: token\r\n"));
    assert_non_null(strstr(request, "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;"
                                    "x-amz-security-token,"));
    assert_null(strcasestr(request, "expect:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_busy_then_good), FAULT_TEST(test_retry_after),
        FAULT_TEST(test_broken_body),    FAULT_TEST(test_busy_for_ever),
        FAULT_TEST(test_hang),           FAULT_TEST(test_refused),
        FAULT_TEST(test_nonsense),       FAULT_TEST(test_checksum_right),
        FAULT_TEST(test_other_version),  FAULT_TEST(test_clock),
        FAULT_TEST(test_region),         FAULT_TEST(test_new_keys),
        FAULT_TEST(test_signed_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
