/* What "pailfs status" and "pailfs flush" print: numbers for a person, the table, the progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/flush_progress.h"
#include "cmd/status_print.h"
#include "cmd/text.h"

static void test_bytes(void **state)
{
    (void)state;
    assert_string_equal(TEXT_BYTES(0), "0 B");
    assert_string_equal(TEXT_BYTES(1023), "1023 B");
    assert_string_equal(TEXT_BYTES(1024), "1.0 KiB");
    assert_string_equal(TEXT_BYTES(UINT64_C(1048575)), "1.0 MiB"); /* never "1024.0 KiB" */
    assert_string_equal(TEXT_BYTES(UINT64_C(5) << 40), "5.0 TiB");
    assert_string_equal(TEXT_BYTES(UINT64_MAX), "16.0 EiB");
}

static void test_time(void **state)
{
    (void)state;
    assert_string_equal(TEXT_TIME(0), "0 s");
    assert_string_equal(TEXT_TIME(59), "59 s");
    assert_string_equal(TEXT_TIME(60), "1 min 0 s");
    assert_string_equal(TEXT_TIME(3 * 3600 + 12 * 60 + 5), "3 h 12 min");
    assert_string_equal(TEXT_TIME(50 * 3600), "2 d 2 h");
}

/* The table for this JSON; to free. */
static char *table_of(const char *text)
{
    json_error_t error;
    json_t *status = json_loads(text, 0, &error);
    char *table = NULL;
    size_t len;
    FILE *out = open_memstream(&table, &len);

    assert_non_null(status);
    assert_non_null(out);
    status_print(status, out);
    assert_int_equal(fclose(out), 0);
    json_decref(status);
    return table;
}

static void expect(const char *table, const char *words)
{
    if (!strstr(table, words))
        fail_msg("\"%s\" is not in:\n%s", words, table);
}

static void test_table_clean(void **state)
{
    (void)state;
    char *table = table_of(
        "{\"version\": \"1\", \"pid\": 7, \"uptime_seconds\": 61, \"in_bucket\": true,"
        " \"exports\": [{\"name\": \"/media\", \"url\": \"s3://media\", \"in_bucket\": true,"
        "                \"store\": {\"answering\": true}}],"
        " \"state\": {\"directory\": \"/s\", \"stage_limit\": 1024}, \"nfs\": {}}");

    expect(table, "pailfs 1, process 7, up 1 min 1 s, state in /s");
    expect(table, "/media  s3://media\n  everything is in the bucket\n\n");
    expect(table, "\nEverything is in the bucket.\n");
    free(table);
}

static void test_table_trouble(void **state)
{
    (void)state;
    char *table = table_of(
        "{\"in_bucket\": false, \"exports\": [{\"name\": \"/m\", \"in_bucket\": false, \"files\": "
        "1,"
        " \"bytes\": 2048, \"deletes\": 2, \"moves\": 1,"
        " \"oldest\": [{\"path\": \"/m/a\\u001b[2J\", \"size\": 5, \"age_seconds\": 42}],"
        " \"uploads\": [{\"path\": \"/m/b\", \"upload_total\": 200, \"upload_done\": 50}],"
        " \"moving\": [{\"path\": \"/m/new/\", \"from\": \"/m/old/\"}],"
        " \"failed\": [{\"path\": \"/m/c\", \"failed_tries\": 3, \"error\": \"Permission denied\","
        "               \"error_text\": \"AccessDenied\", \"error_time\": \"T\"}],"
        " \"store\": {\"answering\": false, \"failing_since\": \"S\", \"last_error\": \"refused\"},"
        " \"conflicts\": 1, \"last_conflicts\": [{\"time\": \"T\", \"path\": \"/m/x\","
        "                                         \"kept_as\": \"/m/x.conflict\"}],"
        " \"hidden_keys\": 4, \"damaged_bytes\": 3072}],"
        " \"state\": {\"error\": \"No space left on device\", \"error_since\": \"E\"}}");

    expect(table,
           "not in the bucket: 1 file (2.0 KiB), 2 deletes, 1 renamed directory being moved");
    expect(table, "42 s        5 B        /m/a?[2J\n"); /* names do not move the cursor */
    expect(table, " 25%        200 B      /m/b\n");
    expect(table, "/m/old/ to /m/new/");
    expect(table, "/m/c, 3 times, the last at T: Permission denied: AccessDenied");
    expect(table, "no request has succeeded since S: refused");
    expect(table, "/m/x, ours is /m/x.conflict");
    expect(table, "3.0 KiB that clients wrote were missing or damaged");
    expect(table, "4 keys that cannot be file names");
    expect(table, "REFUSES TO WRITE since E: No space left on device");
    expect(table, "Not everything is in the bucket yet.");
    free(table);
}

/* What a progress prints for these states, on a terminal or not; to free. */
static char *progress_of(bool terminal, const struct flush_left *left, size_t count)
{
    struct flush_progress p = {.terminal = terminal};
    char *text = NULL;
    size_t len;

    p.out = open_memstream(&text, &len);
    assert_non_null(p.out);
    for (size_t i = 0; i < count; i++)
        flush_progress_show(&p, &left[i]);
    flush_progress_clear(&p);
    assert_int_equal(fclose(p.out), 0);
    return text;
}

static void test_progress(void **state)
{
    /* The second has more than the first: others write on. */
    static const struct flush_left left[] = {
        {.files = 4, .bytes = 1000, .deletes = 1},
        {.files = 4, .bytes = 2000},
        {.files = 1, .bytes = 500},
    };

    (void)state;
    char *bar = progress_of(true, left, 3);
    expect(bar,
           "[........................]   0%  0 B of 1000 B, 0 of 4 files, 1 deletes, 0 moves left");
    expect(bar, "[##################......]  75%  1.5 KiB of 2.0 KiB, 3 of 4 files");
    assert_string_equal(bar + strlen(bar) - 4, "\r\033[K"); /* the line is left empty */
    free(bar);
    char *lines = progress_of(false, left, 3);
    assert_string_equal(lines, "not in the bucket: 4 files (1000 B), 1 deletes, 0 moves\n");
    free(lines);
    static const struct flush_left things[] = {{.deletes = 4}, {.deletes = 1}};
    bar = progress_of(true, things, 2);
    expect(bar, " 75%"); /* without bytes things count */
    free(bar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),       cmocka_unit_test(test_time),
        cmocka_unit_test(test_table_clean), cmocka_unit_test(test_table_trouble),
        cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
