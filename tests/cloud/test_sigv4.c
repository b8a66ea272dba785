/* Signatures against the examples that Amazon publishes ("Examples: Signature Calculations"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cloud/checksum.h"
#include "cloud/sigv4.h"

#define ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define DATE "20130524T000000Z"
#define HOST "examplebucket.s3.amazonaws.com"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void expect_signature(const struct sigv4_request *req, const char *signature)
{
    struct sigv4_key key = {0};

    sigv4_key_update(&key, SECRET_KEY, DATE, "us-east-1");
    CLEANUP_FREE char *auth = sigv4_authorization(req, &key, ACCESS_KEY, DATE);
    const char *at = strstr(auth, "Signature=");
    assert_non_null(at);
    assert_string_equal(at + strlen("Signature="), signature);
    assert_non_null(strstr(auth, "Credential=" ACCESS_KEY "/20130524/us-east-1/s3/aws4_request,"));
}

static void test_get_object(void **state)
{
    (void)state;
    static const struct sigv4_header headers[] = {
        {"host", HOST},
        {"range", "bytes=0-9"},
        {"x-amz-content-sha256", EMPTY},
        {"x-amz-date", DATE},
    };
    static const struct sigv4_request req = {
        .method = "GET",
        .path = "/test.txt",
        .query = "",
        .headers = headers,
        .header_count = 4,
        .payload_hash = EMPTY,
    };
    expect_signature(&req, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_put_object(void **state)
{
    (void)state;
    char hash[CHECKSUM_HEX_SHA256];
    static const char body[] = "Welcome to Amazon S3.";
    checksum_sha256_hex(body, strlen(body), hash);
    const struct sigv4_header headers[] = {
        {"date", "Fri, 24 May 2013 00:00:00 GMT"},
        {"host", HOST},
        {"x-amz-content-sha256", hash},
        {"x-amz-date", DATE},
        {"x-amz-storage-class", "  REDUCED_REDUNDANCY "},
    };
    const struct sigv4_request req = {
        .method = "PUT",
        .path = "/test%24file.text",
        .query = "",
        .headers = headers,
        .header_count = 5,
        .payload_hash = hash,
    };
    expect_signature(&req, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_bucket_queries(void **state)
{
    (void)state;
    static const struct sigv4_header headers[] = {
        {"host", HOST},
        {"x-amz-content-sha256", EMPTY},
        {"x-amz-date", DATE},
    };
    struct sigv4_request req = {
        .method = "GET",
        .path = "/",
        .query = "lifecycle=",
        .headers = headers,
        .header_count = 3,
        .payload_hash = EMPTY,
    };
    expect_signature(&req, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    req.query = "max-keys=2&prefix=J";
    expect_signature(&req, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void test_key_changes_with_day_and_region(void **state)
{
    (void)state;
    struct sigv4_key key = {0}, other = {0};

    sigv4_key_update(&key, SECRET_KEY, DATE, "us-east-1");
    struct sigv4_key first = key;
    sigv4_key_update(&key, SECRET_KEY, "20130524T235959Z", "us-east-1");
    assert_memory_equal(&key, &first, sizeof(key));
    sigv4_key_update(&key, SECRET_KEY, "20130525T000000Z", "us-east-1");
    assert_memory_not_equal(key.key, first.key, sizeof(key.key));
    sigv4_key_update(&other, SECRET_KEY, DATE, "eu-west-1");
    assert_memory_not_equal(other.key, first.key, sizeof(key.key));
}

static void test_date(void **state)
{
    (void)state;
    char date[SIGV4_DATE_MAX];

    sigv4_date(INT64_C(1369353600) * 1000000000 + 999, date);
    assert_string_equal(date, DATE);
}

static void test_crc32c(void **state)
{
    (void)state;
    char text[CHECKSUM_BASE64_CRC32C];
    uint8_t zero[32] = {0};

    /* RFC 3720, B.4 */
    assert_int_equal(checksum_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(checksum_crc32c(0, zero, sizeof(zero)), 0x8a9136aa);
    uint32_t part = checksum_crc32c(0, "1234", 4);
    assert_int_equal(checksum_crc32c(part, "56789", 5), 0xe3069283);
    checksum_crc32c_base64(0xe3069283, text);
    assert_string_equal(text, "4waSgw==");
}

static void test_md5(void **state)
{
    (void)state;
    char text[CHECKSUM_BASE64_MD5];

    checksum_md5_base64("", 0, text);
    assert_string_equal(text, "1B2M2Y8AsgTpgAmY7PhCfg==");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_object),
        cmocka_unit_test(test_put_object),
        cmocka_unit_test(test_bucket_queries),
        cmocka_unit_test(test_key_changes_with_day_and_region),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_md5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
