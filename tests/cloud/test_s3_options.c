/* What the configuration puts on S3 requests: each option, each kind of request, header by header.
 */
#include "tests/cloud/fault_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#define CLASS "x-amz-storage-class: "
#define SSE "x-amz-server-side-encryption: "
#define KEY_ID "x-amz-server-side-encryption-aws-kms-key-id: "
#define BUCKET_KEY "x-amz-server-side-encryption-bucket-key-enabled: "
#define SSE_C "x-amz-server-side-encryption-customer-"
#define SOURCE_C "x-amz-copy-source-server-side-encryption-customer-"
#define ACL "x-amz-acl: "
#define PAYER "x-amz-request-payer: requester\r\n"
#define TYPE "content-type: "
/* 32 bytes "0123...": base64, and that of their MD5 */
#define KEY "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
#define KEY_MD5 "KYvwGXoFFJ42a2u2GDWhwQ=="

static char body[300 << 10];

/* ---- the kinds of requests ---- */

enum kind { HEAD, GET, LIST, PUT, COPY, BEGIN, PART, PART_COPY, COMPLETE, ABORT, DELETE, KINDS };
static const char *const kind_names[KINDS] = {"HEAD",     "GET",   "LIST",  "PUT",
                                              "COPY",     "BEGIN", "PART",  "PART_COPY",
                                              "COMPLETE", "ABORT", "DELETE"};

#define COPIED(kind) "<" kind "><ETag>\"e\"</ETag></" kind ">"

/* Answers to all of them; the source of copies has a type and a class of its own. */
static const struct fault_step answers[] = {
    {.match = "HEAD /bkt/src",
     .status = "200 OK",
     .headers = "ETag: \"s\"\r\nContent-Type: text/x-src\r\nCache-Control: no-store\r\n"
                "x-amz-storage-class: INTELLIGENT_TIERING\r\n"
                "x-amz-website-redirect-location: /elsewhere\r\n",
     .length = 204800,
     .times = FAULT_ALWAYS},
    {.match = "HEAD /bkt/key", .status = "200 OK", .headers = "ETag: \"e\"\r\n", .length = 5},
    GOOD_GET,
    {.match = "GET /bkt/?", .status = "200 OK", .body = EMPTY_LIST, .times = FAULT_ALWAYS},
    {.match = "PUT /bkt/key?partNumber=1&",
     .status = "200 OK",
     .headers = "ETag: \"e\"\r\n",
     .body = COPIED("CopyPartResult")},
    {.match = "PUT /bkt/key",
     .status = "200 OK",
     .headers = "ETag: \"e\"\r\n",
     .body = COPIED("CopyObjectResult")},
    {.match = "POST /bkt/key?uploads=",
     .status = "200 OK",
     .body = "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
             "</InitiateMultipartUploadResult>"},
    {.match = "POST /bkt/key?uploadId=",
     .status = "200 OK",
     .body = COPIED("CompleteMultipartUploadResult")},
    {.match = "DELETE /bkt/key", .status = "204 No"},
    {0}};

static const struct store_part parts[] = {{.number = 1, .etag = "e"}};
static struct store_delete deletes[] = {{.key = "key"}};
static const struct store_meta no_meta = {0};

static struct store_req request(enum kind kind, uint64_t size)
{
    static const enum store_op ops[KINDS] = {STORE_HEAD,      STORE_GET,      STORE_LIST,
                                             STORE_PUT,       STORE_COPY,     STORE_MPU_BEGIN,
                                             STORE_MPU_PART,  STORE_MPU_COPY, STORE_MPU_COMPLETE,
                                             STORE_MPU_ABORT, STORE_DELETE};
    struct store_req req = {.op = ops[kind], .upload_id = "u", .part_number = 1};

    if (kind == PUT || kind == PART) {
        req.buf = body;
        req.buf_len = size;
    }
    if (kind == COPY || kind == PART_COPY) {
        req.src_key = "src";
        req.src_size = size;
        req.range_len = kind == PART_COPY ? 10 : 0;
        req.meta = kind == COPY ? &no_meta : NULL;
    }
    if (kind == BEGIN)
        req.object_size = size;
    if (kind == COMPLETE) {
        req.parts = parts;
        req.part_count = 1;
    }
    if (kind == DELETE) {
        req.deletes = deletes;
        req.delete_count = 1;
    }
    return req;
}

/* Sends it, and gives the head of the request that is not the look at the source. */
static const char *sent(struct store_req req)
{
    req = fault_play(answers, req);
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    return fault_server_request(fault_server, fault_server_count(fault_server) - 1);
}

static void reopen(struct store_config config)
{
    struct store_error error;
    char endpoint[64];

    store_close(fault_store);
    fault_server_script(fault_server, answers);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u",
                   fault_server_port(fault_server));
    config.endpoint = endpoint;
    config.read_only = true; /* nothing is tried */
    config.region = "us-west-1";
    assert_int_equal(store_open("s3://bkt", &config, &fault_store, &error), 0);
    struct store_caps *caps = &s3_of(fault_store)->caps;
    caps->cond_put = caps->cond_copy = caps->cond_delete = caps->part_copy = true;
}

/* ---- the table ---- */

#define BIT(kind) (1U << (kind))
enum {
    ALL = (1 << KINDS) - 1,
    MAKE = 1 << PUT | 1 << COPY | 1 << BEGIN,
    KEYED = MAKE | 1 << HEAD | 1 << GET | 1 << PART | 1 << PART_COPY | 1 << COMPLETE,
    SOURCED = 1 << COPY | 1 << PART_COPY,
};

static const struct row {
    struct store_config config;
    uint64_t size;
    const char *header; /* beginning of a line, or all of it with its end */
    unsigned kinds;     /* on which it has to be; on the others it must not */
} rows[] = {
    {{0}, 5, PAYER, 0},
    {{0}, 5, ACL, 0},
    {{0}, 5, SSE, 0},
    {{0}, 5, SSE_C, 0},
    {{0}, 5, CLASS "INTELLIGENT_TIERING\r\n", BIT(COPY)}, /* as the source has it */
    {{.requester_pays = true}, 5, PAYER, ALL},
    {{.acl = "bucket-owner-full-control"}, 5, ACL "bucket-owner-full-control\r\n", MAKE},
    {{.sse = STORE_SSE_S3}, 5, SSE "AES256\r\n", MAKE},
    {{.sse = STORE_SSE_S3}, 5, KEY_ID, 0},
    {{.sse = STORE_SSE_S3}, 5, SSE_C, 0},
    {{.sse = STORE_SSE_KMS}, 5, SSE "aws:kms\r\n", MAKE},
    {{.sse = STORE_SSE_KMS}, 5, KEY_ID, 0},
    {{.sse = STORE_SSE_KMS}, 5, BUCKET_KEY, 0},
    {{.sse = STORE_SSE_KMS, .sse_kms_key = "arn:k/1"}, 5, KEY_ID "arn:k/1\r\n", MAKE},
    {{.sse = STORE_SSE_KMS, .sse_bucket_key = true}, 5, BUCKET_KEY "true\r\n", MAKE},
    {{.sse = STORE_SSE_C}, 5, SSE_C "algorithm: AES256\r\n", KEYED},
    {{.sse = STORE_SSE_C}, 5, SSE_C "key: " KEY "\r\n", KEYED},
    {{.sse = STORE_SSE_C}, 5, SSE_C "key-md5: " KEY_MD5 "\r\n", KEYED},
    {{.sse = STORE_SSE_C}, 5, SOURCE_C "algorithm: AES256\r\n", SOURCED},
    {{.sse = STORE_SSE_C}, 5, SOURCE_C "key: " KEY "\r\n", SOURCED},
    {{.sse = STORE_SSE_C}, 5, SOURCE_C "key-md5: " KEY_MD5 "\r\n", SOURCED},
    {{.sse = STORE_SSE_C}, 5, SSE, 0},
    /* The source of the copy has 200 KiB, whatever size says. */
    {{.storage_class = "STANDARD_IA"}, 5, CLASS "STANDARD_IA\r\n", BIT(COPY)},
    {{.storage_class = "STANDARD_IA"}, 128 << 10, CLASS "STANDARD_IA\r\n", MAKE},
    {{.storage_class = "STANDARD_IA"}, (128 << 10) - 1, CLASS "STANDARD_IA\r\n", BIT(COPY)},
    {{.storage_class = "ONEZONE_IA"}, 5, CLASS "ONEZONE_IA\r\n", BIT(COPY)},
    {{.storage_class = "GLACIER_IR"}, 5, CLASS "GLACIER_IR\r\n", BIT(COPY)},
    {{.storage_class = "GLACIER"}, 5, CLASS "GLACIER\r\n", BIT(COPY)},
    {{.storage_class = "DEEP_ARCHIVE"}, 5, CLASS "DEEP_ARCHIVE\r\n", BIT(COPY)},
    {{.storage_class = "INTELLIGENT_TIERING"}, 5, CLASS "INTELLIGENT_TIERING\r\n", MAKE},
    {{.storage_class = "REDUCED_REDUNDANCY"}, 5, CLASS "REDUCED_REDUNDANCY\r\n", MAKE},
    {{.storage_class = "COLD", .cold_min_size = 6}, 5, CLASS "COLD\r\n", BIT(COPY)},
    {{.storage_class = "COLD", .cold_min_size = 5}, 5, CLASS "COLD\r\n", MAKE},
    {{.storage_class = "STANDARD_IA", .cold_min_size = 1 << 20}, 300 << 10, CLASS, 0},
    {{.storage_class = "STANDARD_IA", .cold_min_size = 5}, 5, CLASS "STANDARD_IA\r\n", MAKE},
};

static bool has_line(const char *head, const char *line)
{
    const char *at = strstr(head, line);

    return at && at[-1] == '\n';
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct store_config config = rows[i].config;
        if (config.sse == STORE_SSE_C)
            memcpy(config.sse_c_key, "01234567890123456789012345678901", STORE_SSE_C_KEY_SIZE);
        reopen(config);
        for (enum kind kind = HEAD; kind < KINDS; kind++) {
            const char *head = sent(request(kind, rows[i].size));
            bool want = rows[i].kinds & BIT(kind);
            if (has_line(head, rows[i].header) == want)
                continue;
            print_error("row %zu, %s: \"%s\" %s\n%s\n", i, kind_names[kind], rows[i].header,
                        want ? "is not there" : "is there", head);
            fail();
        }
    }
}

/* Every header that is sent has to be signed: S3 refuses x-amz- headers that are not. */
static void test_signed(void **state)
{
    (void)state;
    struct store_config config = {.sse = STORE_SSE_C,
                                  .acl = "private",
                                  .requester_pays = true,
                                  .storage_class = "INTELLIGENT_TIERING"};

    reopen(config);
    const char *head = sent(request(COPY, 5));
    const char *list = strstr(head, "SignedHeaders=");
    assert_non_null(list);
    static const char *const names[] = {"x-amz-acl;", "x-amz-request-payer;", "x-amz-storage-class",
                                        SSE_C "key;", SOURCE_C "key-md5;",    "content-type;"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_non_null(strstr(list, names[i]));
}

/* ---- what a copy brings along ---- */

static void test_copy_keeps(void **state)
{
    (void)state;
    struct store_req copy = request(COPY, 5);
    const char *head = sent(copy);

    assert_true(has_line(head, "x-amz-metadata-directive: REPLACE\r\n"));
    assert_true(has_line(head, TYPE "text/x-src\r\n"));
    assert_true(has_line(head, "cache-control: no-store\r\n"));
    assert_true(has_line(head, "x-amz-website-redirect-location: /elsewhere\r\n"));
    assert_true(has_line(head, "x-amz-copy-source-if-match: \"s\"\r\n"));
    copy.content_type = "image/jpeg";
    head = sent(copy);
    assert_true(has_line(head, TYPE "image/jpeg\r\n"));
    assert_null(strstr(head, "text/x-src"));
    /* as the source: S3 takes the metadata over, but not the class */
    copy.content_type = NULL;
    copy.meta = NULL;
    head = sent(copy);
    assert_null(strstr(head, "x-amz-metadata-directive"));
    assert_null(strstr(head, "text/x-src"));
    assert_true(has_line(head, CLASS "INTELLIGENT_TIERING\r\n"));
}

static void test_copy_keeps_kms(void **state)
{
    (void)state;
    static const struct fault_step kms[] = {
        {.match = "HEAD /bkt/src",
         .status = "200 OK",
         .headers = SSE "aws:kms\r\n" KEY_ID "arn:k/9\r\n" BUCKET_KEY "true\r\n",
         .length = 5},
        {.match = "PUT /bkt/key", .status = "200 OK", .body = COPIED("CopyObjectResult")},
        {0}};
    static const struct fault_step plain[] = {
        {.match = "HEAD /bkt/src", .status = "200 OK", .headers = SSE "AES256\r\n", .length = 5},
        {.match = "PUT /bkt/key", .status = "200 OK", .body = COPIED("CopyObjectResult")},
        {0}};
    struct store_req req = fault_play(kms, request(COPY, 5));
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    const char *head = fault_server_request(fault_server, 1);
    assert_true(has_line(head, SSE "aws:kms\r\n"));
    assert_true(has_line(head, KEY_ID "arn:k/9\r\n"));
    assert_true(has_line(head, BUCKET_KEY "true\r\n"));
    /* what a bucket does by itself need not be asked for */
    req = fault_play(plain, request(COPY, 5));
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    assert_null(strstr(fault_server_request(fault_server, 1), SSE));
    /* the configuration wins */
    reopen((struct store_config){.sse = STORE_SSE_S3});
    req = fault_play(kms, request(COPY, 5));
    assert_int_equal(req.err, 0);
    store_req_clear(&req);
    head = fault_server_request(fault_server, 1);
    assert_true(has_line(head, SSE "AES256\r\n"));
    assert_null(strstr(head, KEY_ID));
}

/* A copy by parts is begun with what the source has, and each part has both keys. */
static void test_copy_by_parts(void **state)
{
    (void)state;
    struct store_req copy = request(COPY, 25);

    reopen((struct store_config){.sse = STORE_SSE_C, .acl = "private"});
    s3_of(fault_store)->caps.copy_size_max = 20;
    (void)sent(copy);
    assert_int_equal(fault_server_count(fault_server), 4);
    const char *begin = fault_server_request(fault_server, 1);
    assert_true(has_line(begin, TYPE "text/x-src\r\n"));
    assert_true(has_line(begin, CLASS "INTELLIGENT_TIERING\r\n"));
    assert_true(has_line(begin, ACL "private\r\n"));
    for (unsigned i = 0; i < 4; i++)
        assert_true(has_line(fault_server_request(fault_server, i), SSE_C "key: "));
    assert_true(has_line(fault_server_request(fault_server, 2), SOURCE_C "key: "));
}

static void test_content_type(void **state)
{
    (void)state;
    static const enum kind kinds[] = {PUT, BEGIN};

    for (size_t i = 0; i < 2; i++) {
        struct store_req req = request(kinds[i], 5);
        assert_false(has_line(sent(req), TYPE));
        req.content_type = "text/css";
        assert_true(has_line(sent(req), TYPE "text/css\r\n"));
    }
}

static void test_object_told(void **state)
{
    (void)state;
    static const struct fault_step script[] = {{.match = "HEAD",
                                                .status = "200 OK",
                                                .headers = "Content-Type: a/b\r\n"
                                                           "x-amz-storage-class: GLACIER\r\n"
                                                           "x-amz-version-id: v7\r\n",
                                                .length = 5},
                                               {.match = "HEAD", .status = "200 OK", .length = 5},
                                               {0}};
    struct store_req req = fault_play(script, (struct store_req){.op = STORE_HEAD});

    assert_string_equal(req.object.storage_class, "GLACIER");
    assert_string_equal(req.object.content_type, "a/b");
    assert_string_equal(req.object.version_id, "v7");
    store_req_clear(&req);
    req = fault_play(script + 1, (struct store_req){.op = STORE_HEAD});
    assert_string_equal(req.object.storage_class, "STANDARD");
    assert_null(req.object.content_type);
    assert_null(req.object.version_id);
    store_req_clear(&req);
}

/* ---- encrypted objects ---- */

/* Their ETags are no MD5s: after a lost reply our object is known by size, metadata and time. */
static void test_ambiguous_put(void **state)
{
    (void)state;
    static char ours[] = "x-amz-meta-m: 1\r\nETag: \"ffffffffffffffffffffffffffffffff\"\r\n"
                         "Last-Modified: Fri, 01 Jan 2038 00:00:00 GMT\r\n";
    static char theirs[] = "x-amz-meta-m: 2\r\nETag: \"ffffffffffffffffffffffffffffffff\"\r\n"
                           "Last-Modified: Fri, 01 Jan 2038 00:00:00 GMT\r\n";
    struct store_meta meta = {0};
    struct store_req put = request(PUT, 5);
    struct fault_step script[] = {{.match = "PUT"},
                                  {.match = "PUT", .status = "412 P"},
                                  {.match = "HEAD", .status = "200 OK", .length = 5},
                                  {0}};

    reopen((struct store_config){.sse = STORE_SSE_KMS});
    store_meta_set(&meta, "m", "1");
    put.meta = &meta;
    put.if_none_match = true;
    script[2].headers = ours;
    fault_expect(script, put, 0, 3);
    script[2].headers = theirs;
    fault_expect(script, put, -ESTALE, 3);
    script[2].headers = ours;
    script[2].length = 6;
    fault_expect(script, put, -ESTALE, 3);
    /* and so with the end of an upload by parts */
    struct store_req complete = request(COMPLETE, 5);
    script[0] = (struct fault_step){.match = "POST"};
    script[1] =
        (struct fault_step){.match = "POST", .status = "404 N", .body = ERROR("NoSuchUpload")};
    complete.meta = &meta;
    complete.object_size = 6;
    fault_expect(script, complete, 0, 3);
    complete.object_size = 5;
    fault_expect(script, complete, -ENOENT, 3);
    complete.object_size = 6;
    script[2].headers = theirs;
    fault_expect(script, complete, -ENOENT, 3);
    store_meta_clear(&meta);
}

static void test_other_key(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "", .status = "400 Bad", .times = FAULT_ALWAYS}, {0}};

    fault_expect(script, (struct store_req){.op = STORE_HEAD}, -EINVAL, 1);
    reopen((struct store_config){.sse = STORE_SSE_C});
    fault_expect(script, (struct store_req){.op = STORE_HEAD}, -EACCES, 1);
    fault_expect(script, (struct store_req){.op = STORE_GET}, -EACCES, 1);
}

/* ---- what is refused at the start ---- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        struct store_config config;
        const char *words;
    } table[] = {
        {{.sse = STORE_SSE_C, .endpoint = "http://s3.example.net"}, "TLS"},
        {{.storage_class = "A B"}, "storage class"},
        {{.storage_class = ""}, "storage class"},
        {{.acl = "private\r\nx-evil: 1"}, "access list"},
        {{.sse_kms_key = "a\nb", .sse = STORE_SSE_KMS}, "KMS"},
        {{.requester_pays = true, .unsigned_requests = true}, "pays"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct store_error error = {{0}};
        struct store *none = NULL;
        assert_int_equal(store_open("s3://bkt", &table[i].config, &none, &error), -EINVAL);
        assert_non_null(strstr(error.text, table[i].words));
    }
}

/* ---- limits, and finding out ---- */

static void test_tries(void **state)
{
    (void)state;
    static const struct fault_step busy[] = {
        {.match = "", .status = "503 Busy", .times = FAULT_ALWAYS}, {0}};

    reopen((struct store_config){
        .tries_max = 3, .retry_min_ns = CLOCK_MS, .retry_max_ns = 2 * CLOCK_MS});
    fault_expect(busy, request(GET, 0), -EAGAIN, 3);
    reopen((struct store_config){.tries_max = 1});
    fault_expect(busy, request(HEAD, 0), -EAGAIN, 1);
}

static void test_stall(void **state)
{
    (void)state;
    static const struct fault_step hangs[] = {{.match = "GET", .hang = true, .times = FAULT_ALWAYS},
                                              {0}};

    /* every try has as long as the first */
    reopen((struct store_config){
        .stall_timeout_ns = 20 * CLOCK_MS, .tries_max = 3, .retry_max_ns = CLOCK_MS});
    fault_expect(hangs, request(GET, 0), -EAGAIN, 3);
}

static void test_region(void **state)
{
    (void)state;
    static const struct fault_step moved[] = {{.match = "GET",
                                               .status = "400 Bad",
                                               .headers = "x-amz-bucket-region: eu-central-1\r\n",
                                               .body = ERROR("AuthorizationHeaderMalformed")},
                                              GOOD_GET,
                                              {0}};

    fault_expect(moved, request(GET, 0), 0, 2);
    assert_non_null(strstr(fault_server_request(fault_server, 1), "/eu-central-1/s3/"));
    reopen((struct store_config){.no_detect = true});
    fault_expect(moved, request(GET, 0), -EACCES, 1);
}

static void test_list_type(void **state)
{
    (void)state;
    static const struct fault_step unknown[] = {
        {.match = "GET /bkt/?encoding-type=url&list-type=2", .status = "501 N"},
        {.match = "GET /bkt/?", .status = "200 OK", .body = EMPTY_LIST, .times = FAULT_ALWAYS},
        {0}};

    reopen((struct store_config){.list = STORE_LIST_V1});
    assert_null(strstr(sent(request(LIST, 0)), "list-type"));
    reopen((struct store_config){.list = STORE_LIST_V2});
    assert_non_null(strstr(sent(request(LIST, 0)), "list-type=2"));
    fault_expect(unknown, request(LIST, 0), -ENOTSUP, 1);
    reopen((struct store_config){0});
    fault_expect(unknown, request(LIST, 0), 0, 2);
}

/* Proxies are those of the environment, as libcurl understands them. */
static void test_proxy(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET http://s3.invalid/bkt/?", .status = "200 OK", .body = EMPTY_LIST}, {0}};
    struct store_config config = {.endpoint = "http://s3.invalid", .read_only = true};
    struct store_error error;
    struct store *other = NULL;
    char proxy[64];

    fault_server_script(fault_server, script);
    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", fault_server_port(fault_server));
    /* NOLINTBEGIN(concurrency-mt-unsafe): the other store's thread sleeps */
    (void)setenv("http_proxy", proxy, 1);
    int err = store_open("s3://bkt", &config, &other, &error);
    (void)unsetenv("http_proxy");
    /* NOLINTEND(concurrency-mt-unsafe) */
    assert_int_equal(err, 0);
    assert_int_equal(fault_server_count(fault_server), 1);
    store_close(other);
}

/* ---- names ---- */

/* Keys that need care arrive as they are: once encoded, with a signature over that. */
static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key, *path;
    } table[] = {
        {"a+b", "/bkt/a%2Bb "},
        {"a@b", "/bkt/a%40b "},
        {"a#b", "/bkt/a%23b "},
        {"a=b", "/bkt/a%3Db "},
        {"100%", "/bkt/100%25 "},
        {"%41", "/bkt/%2541 "},
        {"a b", "/bkt/a%20b "},
        {"\303\244", "/bkt/%C3%A4 "},
        {"a&b?c", "/bkt/a%26b%3Fc "},
        {"a/b~c", "/bkt/a/b~c "},
        {"'(*)!", "/bkt/%27%28%2A%29%21 "},
    };
    static const struct fault_step head[] = {
        {.match = "HEAD /bkt/", .status = "200 OK", .length = 5}, {0}};
    static const struct fault_step copy[] = {
        {.match = "HEAD /bkt/", .status = "200 OK", .length = 5},
        {.match = "PUT /bkt/key", .status = "200 OK", .body = COPIED("CopyObjectResult")},
        {0}};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct store_req req = {.op = STORE_HEAD, .key = table[i].key};
        fault_expect(head, req, 0, 1);
        const char *first = fault_server_request(fault_server, 0) + strlen("HEAD ");
        assert_int_equal(strncmp(first, table[i].path, strlen(table[i].path)), 0);
        req = request(COPY, 5);
        req.src_key = table[i].key;
        fault_expect(copy, req, 0, 2);
        CLEANUP_FREE char *line = mem_printf("x-amz-copy-source: %.*s\r\n",
                                             (int)strlen(table[i].path) - 2, table[i].path + 1);
        assert_true(has_line(fault_server_request(fault_server, 1), line));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_table),         FAULT_TEST(test_signed),
        FAULT_TEST(test_copy_keeps),    FAULT_TEST(test_copy_keeps_kms),
        FAULT_TEST(test_copy_by_parts), FAULT_TEST(test_content_type),
        FAULT_TEST(test_object_told),   FAULT_TEST(test_ambiguous_put),
        FAULT_TEST(test_other_key),     FAULT_TEST(test_refused),
        FAULT_TEST(test_tries),         FAULT_TEST(test_stall),
        FAULT_TEST(test_region),        FAULT_TEST(test_list_type),
        FAULT_TEST(test_keys),          FAULT_TEST(test_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
