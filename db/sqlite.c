/* Opening connections of SQLite, small statements, and its results as errnos. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "db/internal.h"

int db_sqlite_errno(sqlite3 *sql, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
        return -EUCLEAN;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        break;
    }
    int err = sql ? sqlite3_system_errno(sql) : 0;
    return err > 0 ? -err : -EIO;
}

int db_fail(struct db_error *reterr, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap);
    va_end(ap);
    return err;
}

int db_sqlite_fail(sqlite3 *sql, int rc, const char *doing, struct db_error *reterr)
{
    int err = db_sqlite_errno(sql, rc);
    const char *path = sqlite3_db_filename(sql, "main");

    if (err == -EUCLEAN)
        return db_fail(reterr, err, "database %s is damaged or not a database: %s", path,
                       sqlite3_errmsg(sql));
    return db_fail(reterr, err, "database %s %s: %s%s", path, doing,
                   err == -EIO ? sqlite3_errmsg(sql) : strerrordesc_np(-err),
                   err == -ENOSPC ? "; free some space there" : "");
}

int db_sqlite_open(const char *path, int flags, int cache_kib, sqlite3 **ret)
{
    char pragma[64];
    sqlite3 *sql = NULL;

    /* A connection is used by one thread at a time (writer; pool), so it needs no mutex. */
    int rc = sqlite3_open_v2(path, &sql, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(sql, 1);
        (void)sqlite3_busy_timeout(sql, DB_BUSY_MS);
        (void)snprintf(pragma, sizeof(pragma), "PRAGMA cache_size = -%d", cache_kib);
        rc = db_sqlite_exec(sql, pragma);
    }
    /* No memory map: an I/O error on a map is a signal, on a read it is an error to handle. */
    if (rc == SQLITE_OK)
        rc = db_sqlite_exec(sql, "PRAGMA mmap_size = 0");
    if (rc != SQLITE_OK) {
        int err = db_sqlite_errno(sql, rc);
        (void)sqlite3_close(sql);
        return err;
    }
    *ret = sql;
    return 0;
}

int db_sqlite_exec(sqlite3 *sql, const char *text)
{
    return sqlite3_exec(sql, text, NULL, NULL, NULL);
}

int db_sqlite_int(sqlite3 *sql, const char *text, int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;

    int rc = sqlite3_prepare_v2(sql, text, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    int finalized = sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : finalized != SQLITE_OK ? finalized : SQLITE_ERROR;
}

int db_sqlite_prepare(sqlite3 *sql, const char *text, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v3(sql, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
}
