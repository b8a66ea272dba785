/* No read or delete scans a table, but those that run once at start and want most of it. */
#include <stdio.h>
#include <string.h>

#include "db/internal.h"
#include "tests/db/db_fixture.h"

static bool may_scan(const char *text)
{
    return text == db_read_sql[DB_READ_FLAGGED_SLOW] || text == db_read_sql[DB_READ_INTENTS] ||
           text == db_read_sql[DB_READ_REDIRECTS] || text == db_read_sql[DB_READ_UPLOADS] ||
           text == db_read_sql[DB_READ_ALL_EXTENTS] || text == db_read_sql[DB_READ_REPLIES] ||
           text == db_op_sql[DB_OP_TRIM_REPLIES];
}

/* Fails for a step that scans, or sorts what it found. */
static void check_plan(sqlite3 *sql, const char *text)
{
    char explain[2048];
    sqlite3_stmt *stmt;

    (void)snprintf(explain, sizeof(explain), "EXPLAIN QUERY PLAN %s", text);
    assert_int_equal(sqlite3_prepare_v2(sql, explain, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *step = (const char *)sqlite3_column_text(stmt, 3);
        bool scan = strncmp(step, "SCAN ", 5) == 0 && !strstr(step, "(subquery") &&
                    !strstr(step, "SCAN CONSTANT");
        if ((scan && !may_scan(text)) || strstr(step, "TEMP B-TREE"))
            fail_msg("%s: %s", text, step);
    }
    (void)sqlite3_finalize(stmt);
}

/* The index that a statement must use. */
static void check_uses(sqlite3 *sql, const char *text, const char *used)
{
    char explain[2048];
    sqlite3_stmt *stmt;
    bool found = false;

    (void)snprintf(explain, sizeof(explain), "EXPLAIN QUERY PLAN %s", text);
    assert_int_equal(sqlite3_prepare_v2(sql, explain, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        found = found || strstr((const char *)sqlite3_column_text(stmt, 3), used);
    (void)sqlite3_finalize(stmt);
    if (!found)
        fail_msg("%s: does not use %s", text, used);
}

static void test_plans(void **state)
{
    struct fixture *f = *state;
    char path[128];
    sqlite3 *sql;

    (void)snprintf(path, sizeof(path), "%s/pailfs.db", f->dir);
    assert_int_equal(sqlite3_open_v2(path, &sql, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    for (int i = 0; i < DB_READ_COUNT; i++)
        check_plan(sql, db_read_sql[i]);
    for (int i = 0; i < DB_OP_COUNT; i++)
        check_plan(sql, db_op_sql[i]);
    check_uses(sql, db_read_sql[DB_READ_LIST_DIRENTS],
               "COVERING INDEX dirent_order (parent=? AND id>?)");
    check_uses(sql, db_read_sql[DB_READ_FIND_AFTER],
               "COVERING INDEX dirent_order (parent=? AND id>?)");
    check_uses(sql, db_read_sql[DB_READ_FIND_BEFORE],
               "COVERING INDEX dirent_order (parent=? AND id<?)");
    check_uses(sql, db_read_sql[DB_READ_RANGE_DIRENTS],
               "PRIMARY KEY (parent=? AND name>? AND name<?)");
    check_uses(sql, db_read_sql[DB_READ_FLAGGED], "inode_dirty (volume=? AND rowid>?)");
    check_uses(sql, db_read_sql[DB_READ_ALL_EXTENTS], "PRIMARY KEY ((inode,off)>(?,?))");
    check_uses(sql, db_read_sql[DB_READ_EXTENTS], "PRIMARY KEY (inode=? AND off>?)");
    (void)sqlite3_close(sql);
}

/* The test above can fail. */
static void test_a_scan_is_seen(void **state)
{
    (void)state;
    sqlite3 *sql;
    sqlite3_stmt *stmt;

    assert_int_equal(sqlite3_open(":memory:", &sql), SQLITE_OK);
    assert_int_equal(db_sqlite_exec(sql, "CREATE TABLE t (a, b)"), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(sql, "EXPLAIN QUERY PLAN SELECT * FROM t WHERE a = 1", -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(strncmp((const char *)sqlite3_column_text(stmt, 3), "SCAN ", 5), 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plans, fixture_setup, fixture_teardown),
        cmocka_unit_test(test_a_scan_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
