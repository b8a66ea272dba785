/* The XML of the S3 protocol: what stores send, and what they should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_xml.h"

#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static int list_parse(const char *text, struct s3_xml_list *ret)
{
    return s3_xml_list_parse(text, strlen(text), ret);
}

static void test_list_v2(void **state)
{
    (void)state;
    struct s3_xml_list list;
    static const char text[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult" NS ">"
        "<Name>b</Name><Prefix/><KeyCount>3</KeyCount><MaxKeys>3</MaxKeys>"
        "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        "<Contents><Key>z%2By+x%25</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
        "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        "<Contents><Key>a</Key><LastModified>x</LastModified><Size>0</Size></Contents>"
        "<CommonPrefixes><Prefix>m%2Fn/</Prefix></CommonPrefixes>"
        "<NextContinuationToken>1u+a=</NextContinuationToken></ListBucketResult>";

    assert_int_equal(list_parse(text, &list), 0);
    assert_int_equal(list.count, 3);
    assert_true(list.v2);
    assert_true(list.truncated);
    assert_string_equal(list.next_token, "1u+a=");
    assert_string_equal(list.objects[0].key, "a");
    assert_int_equal(list.objects[0].size, 0);
    assert_string_equal(list.objects[0].etag, "");
    assert_string_equal(list.objects[1].key, "m/n/");
    assert_true(list.objects[1].is_prefix);
    assert_string_equal(list.objects[2].key, "z+y x%");
    assert_int_equal(list.objects[2].size, 434234);
    assert_string_equal(list.objects[2].etag, "fba9dede5f27731c9771645a39863328");
    assert_int_equal(list.objects[2].mtime_ns, INT64_C(1255369830000000000));
    s3_xml_list_clear(&list);
}

static void test_list_v1(void **state)
{
    (void)state;
    struct s3_xml_list list;
    static const char bare[] =
        "<ListBucketResult><Marker/><IsTruncated>true</IsTruncated>"
        "<Contents><Key>a+b&amp;%41</Key><Size>1</Size></Contents></ListBucketResult>";
    static const char marked[] =
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>p/</NextMarker>"
        "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>";

    assert_int_equal(list_parse(bare, &list), 0);
    assert_false(list.v2);
    assert_null(list.next_token);
    assert_string_equal(list.objects[0].key, "a+b&%41");
    assert_string_equal(list.next_marker, "a+b&%41");
    s3_xml_list_clear(&list);
    assert_int_equal(list_parse(marked, &list), 0);
    assert_string_equal(list.next_marker, "p/");
    s3_xml_list_clear(&list);
}

static void test_list_end(void **state)
{
    (void)state;
    struct s3_xml_list list;

    assert_int_equal(list_parse("<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false"
                                "</IsTruncated></ListBucketResult>",
                                &list),
                     0);
    assert_int_equal(list.count, 0);
    assert_null(list.next_marker);
    s3_xml_list_clear(&list);
}

static const char long_size[] =
    "<ListBucketResult><Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>"
    "</ListBucketResult>";
static const char entity[] =
    "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult><Contents><Key>&a;</Key><Size>1</Size>"
    "</Contents></ListBucketResult>";

static void test_list_nonsense(void **state)
{
    (void)state;
    struct s3_xml_list list = {0};
    static const char *const broken[] = {
        "",
        "   ",
        "<html><body>It works!</body></html>",
        "<ListBucketResult><Contents><Key>a</Key><Size>1",
        "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>1x</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        long_size,
        /* truncated, but with no way to go on */
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        entity,
        "<!DOCTYPE x SYSTEM \"http://127.0.0.1:1/x.dtd\"><ListBucketResult/>",
    };

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        assert_int_equal(list_parse(broken[i], &list), -EBADMSG);
    assert_int_equal(s3_xml_list_parse("<ListBucketResult/>\0", 20, &list), -EBADMSG);
}

static void test_error(void **state)
{
    (void)state;
    struct s3_xml_error error;
    static const char plain[] =
        "<?xml version=\"1.0\"?><Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong; "
        "expecting &apos;eu-west-1&apos;</Message><Region>eu-west-1</Region></Error>";
    static const char late[] = "\r\n \r\n<?xml version=\"1.0\"?><Error><Code>InternalError</Code>"
                               "</Error>";
    static const char wrapped[] =
        "<ErrorResponse><Error><Code>SlowDown</Code></Error></ErrorResponse>";

    assert_true(s3_xml_error_parse(plain, strlen(plain), &error));
    assert_string_equal(error.code, "AuthorizationHeaderMalformed");
    assert_string_equal(error.message, "wrong; expecting 'eu-west-1'");
    assert_string_equal(error.region, "eu-west-1");
    assert_true(s3_xml_error_parse(late, strlen(late), &error));
    assert_string_equal(error.code, "InternalError");
    assert_true(s3_xml_error_parse(wrapped, strlen(wrapped), &error));
    assert_string_equal(error.code, "SlowDown");
    assert_false(s3_xml_error_parse("<CopyObjectResult/>", 19, &error));
    assert_string_equal(error.code, "");
    assert_false(s3_xml_error_parse("nothing", 7, &error));
}

static void test_results(void **state)
{
    (void)state;
    struct s3_xml_result result;
    char *id = NULL;
    static const char copy[] = "<CopyPartResult" NS "><LastModified>x</LastModified><ETag>\"abc\""
                               "</ETag><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></CopyPartResult>";
    static const char begin[] = "<InitiateMultipartUploadResult><UploadId>VXBs&amp;b2Fk</UploadId>"
                                "</InitiateMultipartUploadResult>";

    assert_int_equal(s3_xml_result_parse(copy, strlen(copy), &result), 0);
    assert_string_equal(result.etag, "abc");
    assert_string_equal(result.crc32c, "4waSgw==");
    assert_int_equal(s3_xml_result_parse("<Error/>", 8, &result), -EBADMSG);
    assert_int_equal(s3_xml_initiate_parse(begin, strlen(begin), &id), 0);
    assert_string_equal(id, "VXBs&b2Fk");
    free(id);
    assert_int_equal(s3_xml_initiate_parse("<InitiateMultipartUploadResult/>", 32, &id), -EBADMSG);
}

static void test_delete(void **state)
{
    (void)state;
    struct s3_xml_delete *errors;
    size_t count;
    static const char text[] = "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b&lt;c"
                               "</Key><Code>AccessDenied</Code><Message>m</Message></Error>"
                               "</DeleteResult>";

    assert_int_equal(s3_xml_delete_parse(text, strlen(text), &errors, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(errors[0].key, "b<c");
    assert_string_equal(errors[0].code, "AccessDenied");
    s3_xml_delete_clear(errors, count);
    assert_int_equal(s3_xml_delete_parse("<DeleteResult/>", 15, &errors, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(s3_xml_delete_parse("<Result/>", 9, &errors, &count), -EBADMSG);
}

static void test_write(void **state)
{
    (void)state;
    static const char *const keys[] = {"a&b", "<\">"};
    static const struct store_part parts[] = {
        {.number = 1, .etag = "e1"},
        {.number = 2, .etag = "e2", .checksum = "4waSgw=="},
    };
    CLEANUP_FREE char *deletes = s3_xml_delete_make(keys, 2);
    CLEANUP_FREE char *complete = s3_xml_complete_make(parts, 2);

    assert_non_null(strstr(deletes, "<Object><Key>a&amp;b</Key></Object>"
                                    "<Object><Key>&lt;&quot;&gt;</Key></Object></Delete>"));
    assert_non_null(strstr(complete,
                           "<Part><PartNumber>1</PartNumber><ETag>&quot;e1&quot;</ETag></Part>"
                           "<Part><PartNumber>2</PartNumber><ETag>&quot;e2&quot;</ETag>"
                           "<ChecksumCRC32C>4waSgw==</ChecksumCRC32C></Part>"));
    assert_true(s3_xml_key_writable("plain \xc3\xa4"));
    assert_false(s3_xml_key_writable("a\tb"));
    assert_false(s3_xml_key_writable("a\xff"));
    assert_false(s3_xml_key_writable("a\xef\xbf\xbf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_v2),  cmocka_unit_test(test_list_v1),
        cmocka_unit_test(test_list_end), cmocka_unit_test(test_list_nonsense),
        cmocka_unit_test(test_error),    cmocka_unit_test(test_results),
        cmocka_unit_test(test_delete),   cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
