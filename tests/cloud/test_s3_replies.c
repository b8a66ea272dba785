/* Replies of S3 stores that are lost, late, or not what they seem, for requests that change things.
 */
#include "tests/cloud/fault_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define OTHER_ETAG "\"0123456789abcdef0123456789abcdef\""
#define HELLO_ETAG "\"5d41402abc4b2a76b9719d911017c592\"" /* MD5 of "hello" */

static char hello[] = "hello";
static const struct store_req put_new = {
    .op = STORE_PUT, .buf = hello, .buf_len = 5, .if_none_match = true};

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

    fault_expect(ours, put_new, 0, 3);
    fault_expect(theirs, put_new, -ESTALE, 3);
    fault_expect(at_once, put_new, -ESTALE, 1);
    fault_expect(conflict, put_new, 0, 3);
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

    fault_expect(lost, complete, 0, 3);
    fault_expect(restarted, complete, 0, 2);
    fault_expect(aborted, complete, -ENOENT, 2);
    fault_expect(in_200, complete, 0, 3);
    fault_expect(conflict, complete, -ESTALE, 1);
}

#define SOURCE                                                    \
    {                                                             \
        .match = "HEAD /bkt/src", .status = "200 OK", .length = 5 \
    }

static void test_copy_errors(void **state)
{
    (void)state;
    struct store_req copy = {.op = STORE_COPY, .src_key = "src", .src_size = 5};
    static const struct fault_step in_200[] = {
        SOURCE,
        {.match = "PUT", .status = "200 OK", .body = ERROR("InternalError")},
        {.match = "PUT",
         .status = "200 OK",
         .body = "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>"},
        {0}};
    static const struct fault_step source_gone[] = {
        SOURCE,
        {.match = "PUT", .status = "404 N", .body = ERROR("NoSuchKey")},
        {.match = "HEAD /bkt/src", .status = "404 N"},
        {0}};
    static const struct fault_step never_there[] = {{.match = "HEAD /bkt/src", .status = "404 N"},
                                                    {0}};
    static const struct fault_step target_gone[] = {
        SOURCE,
        {.match = "PUT", .status = "404 N", .body = ERROR("NoSuchKey")},
        {.match = "HEAD /bkt/src", .status = "200 OK", .length = 5},
        {0}};

    fault_expect(in_200, copy, 0, 3);
    fault_expect(never_there, copy, -ENOENT, 1);
    copy.if_match = "t";
    fault_expect(source_gone, copy, -ENOENT, 3);
    fault_expect(target_gone, copy, -ESTALE, 3);
}

/* ---- copies by parts ---- */

#define PART_ETAG(e) "<CopyPartResult><ETag>\"" e "\"</ETag></CopyPartResult>"

static void test_copy_by_parts(void **state)
{
    (void)state;
    struct s3 *s3 = s3_of(fault_store);
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
    struct store_req req = fault_play(good, copy);
    assert_int_equal(req.err, 0);
    assert_string_equal(req.object.etag, "all-3");
    store_req_clear(&req);
    const char *begin = fault_server_request(fault_server, 1);
    assert_non_null(strstr(begin, "content-type: text/x-test"));
    assert_non_null(strstr(begin, "x-amz-meta-a: b"));
    unsigned ranges = 0;
    for (unsigned i = 2; i < fault_server_count(fault_server); i++) {
        const char *request = fault_server_request(fault_server, i);
        if (strncmp(request, "PUT", 3) != 0)
            continue;
        assert_non_null(strstr(request, "x-amz-copy-source-if-match: \"src\""));
        ranges += strstr(request, "bytes=0-9\r") || strstr(request, "bytes=10-19\r") ||
                  strstr(request, "bytes=20-24\r");
    }
    assert_int_equal(ranges, 4);
    req = fault_play(bad, copy);
    assert_int_equal(req.err, -ESTALE);
    store_req_clear(&req);
    assert_int_equal(
        strncmp(fault_server_request(fault_server, fault_server_count(fault_server) - 1), "DELETE",
                6),
        0);
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

    fault_expect(partly, del, 0, 2);
    assert_int_equal(dels[0].err, 0);
    assert_int_equal(dels[1].err, 0);
    assert_int_equal(dels[2].err, -EACCES);
    fault_expect(singly, del, 0, 4);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(dels[i].err, 0);
    fault_expect(singly + 1, del, 0, 3); /* it is remembered */
    atomic_store(&s3_of(fault_store)->no_delete_batch, false);
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
    struct store_req req = fault_play(script, list);

    assert_int_equal(req.err, 0);
    assert_int_equal(req.object_count, 1);
    assert_string_equal(req.objects[0].key, "c");
    char *token = mem_strdup(req.next_token);
    store_req_clear(&req);
    list.token = token;
    fault_expect(script + 2, list, -EIO,
                 S3_NONSENSE_TRIES); /* a store that goes round in circles */
    free(token);
    atomic_store(&s3_of(fault_store)->list_v1, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_put_lost_reply), FAULT_TEST(test_complete_lost_reply),
        FAULT_TEST(test_copy_errors),    FAULT_TEST(test_copy_by_parts),
        FAULT_TEST(test_delete_batch),   FAULT_TEST(test_list_v1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
