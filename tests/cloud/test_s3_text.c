/* Percent-encoding, ETags, dates and metadata values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/s3_text.h"
#include "cloud/uri.h"

static void expect_encoded(const char *text, bool keep_slash, const char *expected)
{
    CLEANUP_FREE char *got = uri_encode(text, keep_slash);

    assert_string_equal(got, expected);
    assert_true(uri_decode(got, false));
    assert_string_equal(got, text);
}

static void test_uri_encode(void **state)
{
    (void)state;
    expect_encoded("", true, "");
    expect_encoded("AZaz09-._~", true, "AZaz09-._~");
    expect_encoded("a b/c+d", true, "a%20b/c%2Bd");
    expect_encoded("a b/c+d", false, "a%20b%2Fc%2Bd");
    expect_encoded("%#&?='\"*()!", true, "%25%23%26%3F%3D%27%22%2A%28%29%21");
    expect_encoded("\xc3\xa4\x01\x7f\xff", true, "%C3%A4%01%7F%FF");
    expect_encoded("..//./", true, "..//./");
}

static void test_uri_decode(void **state)
{
    (void)state;
    char plus[] = "a+b%2Bc%2fd", keep[] = "a+b";

    assert_true(uri_decode(plus, true));
    assert_string_equal(plus, "a b+c/d");
    assert_true(uri_decode(keep, false));
    assert_string_equal(keep, "a+b");
    static const char *const broken[] = {"%", "%4", "%zz", "a%4", "%00", "x%"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        CLEANUP_FREE char *copy = mem_strdup(broken[i]);
        assert_false(uri_decode(copy, true));
    }
}

static void test_etag(void **state)
{
    (void)state;
    char etag[STORE_ETAG_MAX];

    s3_etag_copy(etag, "\"abc-2\"");
    assert_string_equal(etag, "abc-2");
    s3_etag_copy(etag, "abc");
    assert_string_equal(etag, "abc");
    s3_etag_copy(etag, " W/\"abc\" ");
    assert_string_equal(etag, "abc");
    s3_etag_copy(etag, "\"");
    assert_string_equal(etag, "");
    char longest[STORE_ETAG_MAX + 1];
    memset(longest, 'e', sizeof(longest) - 1);
    longest[STORE_ETAG_MAX - 1] = '\0';
    s3_etag_copy(etag, longest);
    assert_string_equal(etag, longest);
    longest[STORE_ETAG_MAX - 1] = 'e';
    longest[STORE_ETAG_MAX] = '\0';
    s3_etag_copy(etag, longest);
    assert_string_equal(etag, "");
}

static void test_iso_date(void **state)
{
    (void)state;
    assert_int_equal(s3_iso_date_parse("1970-01-01T00:00:01.250Z"), CLOCK_S + 250 * CLOCK_MS);
    assert_int_equal(s3_iso_date_parse("2009-10-12T17:50:30Z"), INT64_C(1255369830) * CLOCK_S);
    assert_int_equal(s3_iso_date_parse("1970-01-01T00:00:01.123456789123Z"), 1123456789);
    assert_int_equal(s3_iso_date_parse("9999-12-31T23:59:59.5Z"), CLOCK_NEVER - 1);
    assert_int_equal(s3_iso_date_parse(""), 0);
    assert_int_equal(s3_iso_date_parse("soon"), 0);
}

static void expect_meta(const char *value, bool plain)
{
    CLEANUP_FREE char *sent = s3_meta_value_encode(value);
    CLEANUP_FREE char *back = s3_meta_value_decode(sent);

    assert_int_equal(strcmp(sent, value) == 0, plain);
    for (const char *p = sent; *p; p++)
        assert_in_range(*p, 0x20, 0x7e);
    assert_string_equal(back, value);
}

static void test_meta_value(void **state)
{
    (void)state;
    expect_meta("", true);
    expect_meta("0100644", true);
    expect_meta("a b \"c\" = ?", true);
    expect_meta(" edge", false);
    expect_meta("edge ", false);
    expect_meta("two  blanks", false);
    expect_meta("gr\xc3\xbc\xc3\x9f", false);
    expect_meta("tab\there", false);
    expect_meta("line\nbreak\r\nx-amz-acl: public-read", false);
    expect_meta("=?UTF-8?B?Zm9v?=", false);
}

static void expect_decoded(const char *text, const char *expected)
{
    CLEANUP_FREE char *got = s3_meta_value_decode(text);

    assert_string_equal(got, expected);
}

static void test_meta_value_from_others(void **state)
{
    (void)state;
    expect_decoded("=?utf-8?q?caf=C3=A9_au_lait?=", "caf\xc3\xa9 au lait");
    expect_decoded("=?UTF-8?B?Zm9v?= =?UTF-8?B?YmFy?=", "foobar");
    expect_decoded("=?UTF-8?B?Zm9v?= x =?UTF-8?B?YmFy?=", "foo x bar");
    expect_decoded("=?UTF-8?B?Zm9v", "=?UTF-8?B?Zm9v");
    expect_decoded("=?UTF-8?B?Zm9?=", "=?UTF-8?B?Zm9?=");
    expect_decoded("=?UTF-8?Q?=4?=", "=?UTF-8?Q?=4?=");
    expect_decoded("=?UTF-8?X?Zm9v?=", "=?UTF-8?X?Zm9v?=");
    expect_decoded("=?UTF-8?", "=?UTF-8?");
    expect_decoded("=?UTF-8?B?"
                   "?=",
                   "");
}

static void test_meta_name(void **state)
{
    (void)state;
    assert_true(s3_meta_name_valid("file-permissions"));
    assert_true(s3_meta_name_valid("mtime"));
    assert_false(s3_meta_name_valid(""));
    assert_false(s3_meta_name_valid("Upper"));
    assert_false(s3_meta_name_valid("a b"));
    assert_false(s3_meta_name_valid("a:b"));
    assert_false(s3_meta_name_valid("a\r\nb"));
    assert_false(s3_meta_name_valid("gr\xc3\xbc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri_encode), cmocka_unit_test(test_uri_decode),
        cmocka_unit_test(test_etag),       cmocka_unit_test(test_iso_date),
        cmocka_unit_test(test_meta_value), cmocka_unit_test(test_meta_value_from_others),
        cmocka_unit_test(test_meta_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
