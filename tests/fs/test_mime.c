/* Content-Type by extension. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "fs/mime.h"

static void test_get_mime_type(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"foo.css", "text/css"},
        {"index.html", "text/html"},
        {"x.jpg", "image/jpeg"},
        {"X.JPG", "image/jpeg"},
        {"a/b.c/x.png", "image/png"},
        {"x.tar.gz", "application/gzip"},
        {"x.parquet", "application/vnd.apache.parquet"},
        {".hidden.pdf", "application/pdf"},
        {"foo", NULL},
        {"foo.", NULL},
        {"foo.unknownExtension", NULL},
        {".css", NULL},
        {"a.css/b", NULL},
        {"", NULL},
        {"x.css;", NULL},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const char *type = mime_of_name(table[i][0]);
        if (!table[i][1])
            assert_null(type);
        else
            assert_string_equal(type, table[i][1]);
    }
}

static void test_other_extension(void **state)
{
    (void)state;
    assert_false(mime_other_extension("a.jpg", "b.JPG"));
    assert_false(mime_other_extension("a", "b"));
    assert_false(mime_other_extension("a.", "b"));
    assert_true(mime_other_extension("a.jpg", "a.png"));
    assert_true(mime_other_extension("a.jpg", "a"));
    assert_true(mime_other_extension("a", "d/a.jpg"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_mime_type),
        cmocka_unit_test(test_other_extension),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
