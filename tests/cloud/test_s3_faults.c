/* What the S3 store does when the other side misbehaves: retries, deadlines, lost replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cloud/s3_int.h"
#include "tests/cloud/fault_server.h"

#define EMPTY_LIST \
    "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
#define LIST_STEP                                                     \
    {                                                                 \
        .match = "GET /bkt/?", .status = "200 OK", .body = EMPTY_LIST \
    }
#define ERROR(code) "<Error><Code>" code "</Code><Message>as told</Message></Error>"
#define RANGE_10 "Content-Range: bytes 0-9/10\r\nETag: \"e\"\r\n"
#define OTHER_ETAG "\"0123456789abcdef0123456789abcdef\""
#define HELLO_ETAG "\"5d41402abc4b2a76b9719d911017c592\"" /* MD5 of "hello" */

static struct fault_server *server;
static struct store *store;
static char buf[64];

static int setup(void **state)
{
    (void)state;
    static const struct fault_step script[] = {LIST_STEP, {0}};
    struct store_error error;
    char endpoint[64];

    (void)setenv("AWS_ACCESS_KEY_ID", "key", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    (void)setenv("AWS_SESSION_TOKEN", "token", 1);
    (void)setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    server = fault_server_start(script);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", fault_server_port(server));
    struct store_config config = {.endpoint = endpoint, .read_only = true, .region = "us-west-1"};
    if (store_open("s3://bkt", &config, &store, &error)) {
        print_error("%s\n", error.text);
        return -1;
    }
    s3_of(store)->caps.cond_put = true;
    s3_of(store)->caps.cond_copy = true;
    s3_of(store)->caps.cond_delete = true;
    s3_of(store)->caps.part_copy = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    fault_server_stop(server);
    return 0;
}

/* Plays the script against one request; the caller clears it. */
static struct store_req play(const struct fault_step *script, struct store_req req)
{
    fault_server_script(server, script);
    if (!req.deadline_ns)
        req.deadline_ns = 20 * CLOCK_S;
    req.deadline_ns += clock_mono_ns();
    if (req.op == STORE_GET) {
        req.buf = buf;
        req.buf_len = 10;
        req.range_len = 10;
    }
    if (!req.key && req.op != STORE_LIST && req.op != STORE_DELETE)
        req.key = "key";
    (void)store_call(store, &req);
    return req;
}

static void expect(const struct fault_step *script, struct store_req req, int err, unsigned tries)
{
    req = play(script, req);
    if (req.err != err)
        print_error("%s\n", req.error_text);
    assert_int_equal(req.err, err);
    assert_int_equal(fault_server_count(server), tries);
    store_req_clear(&req);
}

static const struct store_req get = {.op = STORE_GET};
static char hello[] = "hello";
static const struct store_req put_new = {
    .op = STORE_PUT, .buf = hello, .buf_len = 5, .if_none_match = true};

#define GOOD_GET                                                               \
    {                                                                          \
        .match = "GET /bkt/key", .status = "206 Partial", .headers = RANGE_10, \
        .body = "0123456789"                                                   \
    }

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

    expect(script, get, 0, 7);
    assert_memory_equal(buf, "0123456789", 10);
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "503 Busy", .headers = "Retry-After: 1\r\n"}, GOOD_GET, {0}};
    static const struct fault_step later[] = {
        {.match = "GET", .status = "503 Busy", .headers = "Retry-After: 60\r\n"}, GOOD_GET, {0}};
    int64_t start = clock_mono_ns();

    expect(script, get, 0, 2);
    assert_true(clock_mono_ns() - start >= CLOCK_S);
    /* longer than there is time: no use in waiting */
    start = clock_mono_ns();
    expect(later, get, -EAGAIN, 1);
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

    expect(script, get, 0, 3);
    assert_memory_equal(buf, "0123456789", 10);
}

static void test_busy_for_ever(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "503 Slow Down", .times = FAULT_ALWAYS}, {0}};
    struct store_req req = get;
    int64_t start = clock_mono_ns();

    req.deadline_ns = 2 * CLOCK_S;
    req = play(script, req);
    int64_t took = clock_mono_ns() - start;
    assert_int_equal(req.err, -EAGAIN);
    assert_true(took > CLOCK_S && took < 3 * CLOCK_S);
    assert_in_range(fault_server_count(server), 3, 100);
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
    expect(for_ever, req, -EAGAIN, 1);
    int64_t took = clock_mono_ns() - start;
    assert_true(took > CLOCK_S - 100 * CLOCK_MS && took < 3 * CLOCK_S);
    /* a stalled try is given up in time for another one */
    s3_of(store)->stall_read_ns = 300 * CLOCK_MS;
    expect(once, get, 0, 2);
    s3_of(store)->stall_read_ns = S3_STALL_READ_NS;
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
        expect(script, get, rows[i].err, 1);
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
                                          RANGE_10 "x-amz-checksum-crc32c: AAAAAA==\r\n"};

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct fault_step script[] = {{.match = "GET",
                                       .status = "206 P",
                                       .headers = headers[i],
                                       .body = "0123456789",
                                       .times = FAULT_ALWAYS},
                                      {0}};
        expect(script, get, -EIO, S3_NONSENSE_TRIES);
    }
    /* a store that sends more than was asked for */
    static const struct fault_step more[] = {
        {.match = "GET", .status = "200 OK", .body = "0123456789ABCDEF", .times = FAULT_ALWAYS},
        {0}};
    expect(more, get, -EIO, S3_NONSENSE_TRIES);
    assert_memory_equal(buf + 10, "\0\0\0\0\0\0", 6);
    static const struct fault_step html[] = {
        {.match = "GET", .status = "200 OK", .body = "<html/>", .times = FAULT_ALWAYS}, {0}};
    expect(html, (struct store_req){.op = STORE_LIST}, -EIO, S3_NONSENSE_TRIES);
    /* once is forgiven */
    static const struct fault_step once[] = {
        {.match = "GET", .status = "206 P", .body = "0123456789"}, GOOD_GET, {0}};
    expect(once, get, 0, 2);
}

static void test_checksum_right(void **state)
{
    (void)state;
    char sum[CHECKSUM_BASE64_CRC32C], headers[128];

    checksum_crc32c_base64(checksum_crc32c(0, "0123456789", 10), sum);
    (void)snprintf(headers, sizeof(headers), RANGE_10 "x-amz-checksum-crc32c: %s\r\n", sum);
    struct fault_step script[] = {
        {.match = "GET", .status = "206 P", .headers = headers, .body = "0123456789"}, {0}};
    expect(script, get, 0, 1);
}

static void test_other_version(void **state)
{
    (void)state;
    /* a store that does not know If-Match on GET */
    static const struct fault_step script[] = {GOOD_GET, {0}};
    struct store_req req = get;

    req.if_match = "another";
    expect(script, req, -ESTALE, 1);
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

    expect(script, get, 0, 2);
    assert_null(strstr(fault_server_request(server, 0), "20300101T0000"));
    assert_non_null(strstr(fault_server_request(server, 1), "x-amz-date: 20300101T0000"));
    assert_non_null(strstr(fault_server_request(server, 1), "key/20300101/"));
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
    expect(back, (struct store_req){.op = STORE_HEAD}, 0, 2);
    assert_null(strstr(fault_server_request(server, 1), "20300101T0000"));
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

    expect(script, get, 0, 2);
    assert_non_null(strstr(fault_server_request(server, 0), "/us-west-1/s3/"));
    assert_non_null(strstr(fault_server_request(server, 1), "/eu-here-1/s3/"));
    expect(head, (struct store_req){.op = STORE_HEAD}, 0, 2);
    assert_non_null(strstr(fault_server_request(server, 1), "/eu-there-2/s3/"));
    expect(circle, get, -EIO, 4);
}

/* ---- replies that get lost ---- */

static void test_put_lost_reply(void **state)
{
    (void)state;
    static const struct fault_step ours[] = {
        {.match = "PUT"},
        {.match = "PUT", .status = "412 P"},
        {.match = "HEAD", .status = "200 OK", .headers = "ETag: " HELLO_ETAG "\r\n", .length = 5},
        {0}};
    static const struct fault_step theirs[] = {
        {.match = "PUT"},
        {.match = "PUT", .status = "412 P"},
        {.match = "HEAD",
         .status = "200 OK",
         .headers = "ETag: " OTHER_ETAG "\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
         .length = 5},
        {0}};
    static const struct fault_step at_once[] = {{.match = "PUT", .status = "412 P"}, {0}};
    static const struct fault_step conflict[] = {
        {.match = "PUT",
         .status = "409 C",
         .body = ERROR("ConditionalRequestConflict"),
         .times = 2},
        {.match = "PUT", .status = "200 OK", .headers = "ETag: \"e\"\r\n"},
        {0}};

    expect(ours, put_new, 0, 3);
    expect(theirs, put_new, -ESTALE, 3);
    expect(at_once, put_new, -ESTALE, 1);
    expect(conflict, put_new, 0, 3);
}

static void test_complete_lost_reply(void **state)
{
    (void)state;
    static const struct store_part parts[] = {
        {.number = 1, .etag = "5d41402abc4b2a76b9719d911017c592"}};
    static const struct store_req complete = {
        .op = STORE_MPU_COMPLETE, .upload_id = "up", .parts = parts, .part_count = 1};
    /* md5 of the binary md5 of "hello" */
    static const char right[] = "ETag: \"62109206880d38a4010a98e11243924a-1\"\r\n";
    struct fault_step lost[] = {
        {.match = "POST"},
        {.match = "POST", .status = "404 N", .body = ERROR("NoSuchUpload")},
        {.match = "HEAD", .status = "200 OK", .headers = right, .length = 5},
        {0}};
    struct fault_step restarted[] = {
        {.match = "POST", .status = "404 N", .body = ERROR("NoSuchUpload")},
        {.match = "HEAD", .status = "200 OK", .headers = right, .length = 5},
        {0}};
    struct fault_step aborted[] = {
        {.match = "POST", .status = "404 N", .body = ERROR("NoSuchUpload")},
        {.match = "HEAD", .status = "200 OK", .headers = "ETag: " OTHER_ETAG "\r\n", .length = 5},
        {0}};
    struct fault_step in_200[] = {
        {.match = "POST", .status = "200 OK", .body = "\r\n\r\n" ERROR("InternalError")},
        {.match = "POST", .status = "200 OK", .body = ERROR("SlowDown")},
        {.match = "POST",
         .status = "200 OK",
         .body = "<CompleteMultipartUploadResult><ETag>x-1</ETag></CompleteMultipartUploadResult>"},
        {0}};
    struct fault_step conflict[] = {
        {.match = "POST", .status = "409 C", .body = ERROR("ConditionalRequestConflict")}, {0}};

    expect(lost, complete, 0, 3);
    expect(restarted, complete, 0, 2);
    expect(aborted, complete, -ENOENT, 2);
    expect(in_200, complete, 0, 3);
    expect(conflict, complete, -ESTALE, 1);
}

static void test_copy_errors(void **state)
{
    (void)state;
    struct store_req copy = {.op = STORE_COPY, .src_key = "src", .src_size = 5};
    static const struct fault_step in_200[] = {
        {.match = "PUT", .status = "200 OK", .body = ERROR("InternalError")},
        {.match = "PUT",
         .status = "200 OK",
         .body = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>"},
        {0}};
    static const struct fault_step source_gone[] = {
        {.match = "PUT", .status = "404 N", .body = ERROR("NoSuchKey")},
        {.match = "HEAD /bkt/src", .status = "404 N"},
        {0}};
    static const struct fault_step target_gone[] = {
        {.match = "PUT", .status = "404 N", .body = ERROR("NoSuchKey")},
        {.match = "HEAD /bkt/src", .status = "200 OK", .length = 5},
        {0}};

    expect(in_200, copy, 0, 2);
    copy.if_match = "t";
    expect(source_gone, copy, -ENOENT, 2);
    expect(target_gone, copy, -ESTALE, 2);
}

/* ---- copies by parts ---- */

#define PART_ETAG(e) "<CopyPartResult><ETag>\"" e "\"</ETag></CopyPartResult>"

static void test_copy_by_parts(void **state)
{
    (void)state;
    struct s3 *s3 = s3_of(store);
    static const struct fault_step good[] = {
        {.match = "HEAD /bkt/src",
         .status = "200 OK",
         .length = 25,
         .headers = "ETag: \"src\"\r\nContent-Type: text/x-test\r\nx-amz-meta-a: b\r\n"},
        {.match = "POST /bkt/key?uploads=",
         .status = "200 OK",
         .body = "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                 "</InitiateMultipartUploadResult>"},
        {.match = "PUT /bkt/key?partNumber=1&", .status = "200 OK", .body = PART_ETAG("e1")},
        {.match = "PUT /bkt/key?partNumber=2&", .status = "503 Slow Down"},
        {.match = "PUT /bkt/key?partNumber=2&", .status = "200 OK", .body = PART_ETAG("e2")},
        {.match = "PUT /bkt/key?partNumber=3&", .status = "200 OK", .body = PART_ETAG("e3")},
        {.match = "POST /bkt/key?uploadId=u",
         .status = "200 OK",
         .body = "<CompleteMultipartUploadResult><ETag>all-3</ETag>"
                 "</CompleteMultipartUploadResult>"},
        {0}};
    struct fault_step bad[8];
    memcpy(bad, good, sizeof(good));
    bad[2] = (struct fault_step){.match = "PUT /bkt/key?partNumber=1&", .status = "412 P"};
    bad[6] = (struct fault_step){.match = "DELETE /bkt/key?uploadId=u", .status = "204 No"};
    struct store_req copy = {.op = STORE_COPY, .src_key = "src", .src_size = 25};

    s3->caps.copy_size_max = 20;
    s3->copy_part_size = 10;
    struct store_req req = play(good, copy);
    assert_int_equal(req.err, 0);
    assert_string_equal(req.object.etag, "all-3");
    store_req_clear(&req);
    const char *begin = fault_server_request(server, 1);
    assert_non_null(strstr(begin, "content-type: text/x-test"));
    assert_non_null(strstr(begin, "x-amz-meta-a: b"));
    unsigned ranges = 0;
    for (unsigned i = 2; i < fault_server_count(server); i++) {
        const char *request = fault_server_request(server, i);
        if (strncmp(request, "PUT", 3) != 0)
            continue;
        assert_non_null(strstr(request, "x-amz-copy-source-if-match: \"src\""));
        ranges += strstr(request, "bytes=0-9\r") || strstr(request, "bytes=10-19\r") ||
                  strstr(request, "bytes=20-24\r");
    }
    assert_int_equal(ranges, 4);
    req = play(bad, copy);
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    assert_int_equal(
        strncmp(fault_server_request(server, fault_server_count(server) - 1), "DELETE", 6), 0);
}

/* ---- deletes and listings ---- */

static void test_delete_batch(void **state)
{
    (void)state;
    struct store_delete dels[] = {{.key = "a"}, {.key = "b"}, {.key = "c"}};
    struct store_req del = {.op = STORE_DELETE, .deletes = dels, .delete_count = 3};
    static const struct fault_step partly[] = {
        {.match = "POST /bkt/?delete=",
         .status = "200 OK",
         .body = "<DeleteResult><Error><Key>a</Key><Code>InternalError</Code></Error>"
                 "<Error><Key>c</Key><Code>AccessDenied</Code></Error></DeleteResult>"},
        {.match = "DELETE /bkt/a", .status = "204 No"},
        {0}};
    static const struct fault_step singly[] = {
        {.match = "POST", .status = "501 N", .body = ERROR("NotImplemented")},
        {.match = "DELETE", .status = "204 No", .times = 2},
        {.match = "DELETE", .status = "404 N", .body = ERROR("NoSuchKey")},
        {0}};

    expect(partly, del, 0, 2);
    assert_int_equal(dels[0].err, 0);
    assert_int_equal(dels[1].err, 0);
    assert_int_equal(dels[2].err, -EACCES);
    expect(singly, del, 0, 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(dels[i].err, 0);
    expect(singly + 1, del, 0, 3); /* it is remembered */
    atomic_store(&s3_of(store)->no_delete_batch, false);
}

static void test_list_v1(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET /bkt/?delimiter=%2F&encoding-type=url&list-type=2&start-after=b",
         .status = "200 OK",
         .body = "<ListBucketResult><Marker/><Contents><Key>a</Key><Size>1</Size></Contents>"
                 "</ListBucketResult>"},
        {.match = "GET /bkt/?delimiter=%2F&encoding-type=url&marker=b",
         .status = "200 OK",
         .body = "<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>c</NextMarker>"
                 "<Contents><Key>c</Key><Size>1</Size></Contents></ListBucketResult>"},
        {.match = "GET /bkt/?delimiter=%2F&encoding-type=url&marker=c",
         .status = "200 OK",
         .body = "<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>c</NextMarker>"
                 "<Contents><Key>c</Key><Size>1</Size></Contents></ListBucketResult>",
         .times = FAULT_ALWAYS},
        {0}};
    struct store_req list = {.op = STORE_LIST, .start_after = "b", .delimiter = true};
    struct store_req req = play(script, list);

    assert_int_equal(req.err, 0);
    assert_int_equal(req.object_count, 1);
    assert_string_equal(req.objects[0].key, "c");
    char *token = mem_strdup(req.next_token);
    store_req_clear(&req);
    list.token = token;
    expect(script + 2, list, -EIO, S3_NONSENSE_TRIES); /* a store that goes round in circles */
    free(token);
    atomic_store(&s3_of(store)->list_v1, false);
}

static void test_signed_headers(void **state)
{
    (void)state;
    static const struct fault_step script[] = {GOOD_GET, {0}};

    expect(script, get, 0, 1);
    const char *request = fault_server_request(server, 0);
    assert_non_null(strstr(request, "x-amz-security-token: token\r\n"));
    assert_non_null(strstr(request, "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;"
                                    "x-amz-security-token,"));
    assert_null(strcasestr(request, "expect:"));
}

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

    fault_server_script(server, script);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", fault_server_port(server));
    struct store_config config = {.endpoint = endpoint};
    assert_int_equal(store_open("s3://bkt", &config, &other, error), err);
    if (err)
        return;
    store_get_caps(other, caps);
    store_close(other);
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
    assert_int_equal(fault_server_count(server), 2);
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
    for (unsigned i = 0; i < fault_server_count(server); i++)
        deletes += strncmp(fault_server_request(server, i), "DELETE", 6) == 0;
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

#define FAULT_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_busy_then_good),
        FAULT_TEST(test_retry_after),
        FAULT_TEST(test_broken_body),
        FAULT_TEST(test_busy_for_ever),
        FAULT_TEST(test_hang),
        FAULT_TEST(test_refused),
        FAULT_TEST(test_nonsense),
        FAULT_TEST(test_checksum_right),
        FAULT_TEST(test_other_version),
        FAULT_TEST(test_clock),
        FAULT_TEST(test_region),
        FAULT_TEST(test_put_lost_reply),
        FAULT_TEST(test_complete_lost_reply),
        FAULT_TEST(test_copy_errors),
        FAULT_TEST(test_copy_by_parts),
        FAULT_TEST(test_delete_batch),
        FAULT_TEST(test_list_v1),
        FAULT_TEST(test_signed_headers),
        FAULT_TEST(test_nobody_there),
        FAULT_TEST(test_open_read_only),
        FAULT_TEST(test_open_simple_store),
        FAULT_TEST(test_open_cleans_up),
        FAULT_TEST(test_open_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
