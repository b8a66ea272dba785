/*
 * The tables, as migrations from each version to the next, and the check for damage.
 *
 * The version is SQLite's user_version; application_id tells our databases from others. A migration
 * that has been released is never edited: a change of the tables is a new one at the end.
 *
 * dirent has its rows twice: in the table by (parent, name), and in dirent_order by (parent, id)
 * with all columns, which is what a listing reads. There is no index from inode to dirent: the
 * inode's row names its parent, and there its entry is found near the inode's own id
 * (DB_READ_FIND_AFTER). inode_dirty has only the inodes that wait for something, so it stays small.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "db/internal.h"

enum { DB_APPLICATION_ID = 0x5041494c }; /* "PAIL" */

const struct db_migration db_migrations[] = {
    {1, "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
        "CREATE TABLE volume (id INTEGER PRIMARY KEY AUTOINCREMENT, identity TEXT UNIQUE,"
        "  root INTEGER);"
        "CREATE TABLE inode (id INTEGER PRIMARY KEY, volume INTEGER, type INTEGER, flags INTEGER,"
        "  mode INTEGER, uid INTEGER, gid INTEGER, size INTEGER, atime INTEGER, mtime INTEGER,"
        "  ctime INTEGER, change INTEGER, parent INTEGER, base_epoch INTEGER, base_key TEXT,"
        "  base_etag TEXT, base_size INTEGER, base_len INTEGER, verf BLOB, target TEXT,"
        "  extra_meta TEXT, flight_key TEXT, flight_size INTEGER, flight_len INTEGER,"
        "  flight_mtime INTEGER);"
        "CREATE INDEX inode_dirty ON inode (volume) WHERE flags & 7;"
        "CREATE TABLE dirent (parent INTEGER, name TEXT, id INTEGER, inode INTEGER,"
        "  PRIMARY KEY (parent, name)) WITHOUT ROWID;"
        "CREATE INDEX dirent_order ON dirent (parent, id, inode);"
        "CREATE TABLE extent (inode INTEGER, off INTEGER, len INTEGER, version INTEGER,"
        "  segment INTEGER, pos INTEGER, PRIMARY KEY (inode, off)) WITHOUT ROWID;"
        "CREATE TABLE intent (id INTEGER PRIMARY KEY, volume INTEGER, kind INTEGER, inode INTEGER,"
        "  arg INTEGER, key TEXT, etag TEXT);"
        "CREATE TABLE redirect (inode INTEGER, epoch INTEGER, volume INTEGER, prefix TEXT,"
        "  PRIMARY KEY (inode, epoch)) WITHOUT ROWID;"
        "CREATE TABLE reply (id INTEGER PRIMARY KEY, key BLOB UNIQUE, reply BLOB);"
        "PRAGMA application_id = 1346455884;"},
    {2, "CREATE TABLE upload (id INTEGER PRIMARY KEY, volume INTEGER, inode INTEGER, key TEXT,"
        "  upload_id TEXT, part_size INTEGER, version INTEGER, mtime INTEGER, meta INTEGER);"
        "CREATE INDEX upload_inode ON upload (inode);"
        "CREATE TABLE part (upload INTEGER, number INTEGER, len INTEGER, sign_lo INTEGER,"
        "  sign_hi INTEGER, copied INTEGER, etag TEXT, checksum TEXT,"
        "  PRIMARY KEY (upload, number)) WITHOUT ROWID;"},
    {3, "CREATE TABLE redo (id INTEGER PRIMARY KEY, segment INTEGER, salt INTEGER, pos INTEGER,"
        "  data BLOB);"},
    /* Without the index on the key: each reply put one of its pages, some page, into the log. */
    {4, "CREATE TABLE kept (id INTEGER PRIMARY KEY, key BLOB, reply BLOB);"
        "INSERT INTO kept SELECT id, key, reply FROM reply;"
        "DROP TABLE reply;"
        "ALTER TABLE kept RENAME TO reply;"},
    {5, "ALTER TABLE upload ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;"},
};
const size_t db_migration_count = sizeof(db_migrations) / sizeof(db_migrations[0]);
_Static_assert(DB_APPLICATION_ID == 1346455884, "the same number in the first migration");

static int migrate_one(sqlite3 *sql, const struct db_migration *migration)
{
    char version[64];

    (void)snprintf(version, sizeof(version), "PRAGMA user_version = %d", migration->version);
    int rc = db_sqlite_exec(sql, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK)
        rc = db_sqlite_exec(sql, migration->sql);
    if (rc == SQLITE_OK)
        rc = db_sqlite_exec(sql, version);
    if (rc == SQLITE_OK)
        rc = db_sqlite_exec(sql, "COMMIT");
    return rc;
}

int db_schema_ours(sqlite3 *sql, int64_t *ret_version, struct db_error *reterr)
{
    int64_t application = 0, tables = 0;

    int rc = db_sqlite_int(sql, "PRAGMA user_version", ret_version);
    if (rc == SQLITE_OK)
        rc = db_sqlite_int(sql, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = db_sqlite_int(sql, "SELECT count(*) FROM sqlite_master", &tables);
    if (rc != SQLITE_OK)
        return db_sqlite_fail(sql, rc, "cannot be read", reterr);
    if (tables > 0 && application != DB_APPLICATION_ID)
        return db_fail(reterr, -EUCLEAN, "database %s was not made by pailfs",
                       sqlite3_db_filename(sql, "main"));
    return 0;
}

int db_schema_migrate(sqlite3 *sql, const struct db_migration *migrations, size_t count,
                      struct db_error *reterr)
{
    int64_t version = 0;
    int newest = migrations[count - 1].version;

    int rc = db_schema_ours(sql, &version, reterr);
    if (rc)
        return rc;
    if (version > newest)
        return db_fail(reterr, -EPROTO,
                       "database %s has version %" PRId64
                       ", made by a newer pailfs; this one knows "
                       "versions up to %d",
                       sqlite3_db_filename(sql, "main"), version, newest);
    for (size_t i = 0; i < count; i++) {
        if (migrations[i].version <= version)
            continue;
        rc = migrate_one(sql, &migrations[i]);
        if (rc != SQLITE_OK) {
            int err = db_sqlite_fail(sql, rc, "cannot be brought to its new version", reterr);
            (void)db_sqlite_exec(sql, "ROLLBACK");
            return err;
        }
    }
    return 0;
}

static int check_expired(void *deadline_ns)
{
    return clock_mono_ns() > *(const int64_t *)deadline_ns;
}

static int check_table(sqlite3 *sql, const char *table, struct db_error *reterr)
{
    sqlite3_stmt *stmt = NULL;
    char pragma[64];
    int err = 0;

    (void)snprintf(pragma, sizeof(pragma), "PRAGMA quick_check('%s')", table);
    int rc = sqlite3_prepare_v2(sql, pragma, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0)
        err = db_fail(reterr, -EUCLEAN, "database %s is damaged: %s",
                      sqlite3_db_filename(sql, "main"), sqlite3_column_text(stmt, 0));
    else if (rc != SQLITE_ROW && (rc & 0xff) != SQLITE_INTERRUPT)
        err = db_sqlite_fail(sql, rc, "cannot be checked", reterr);
    (void)sqlite3_finalize(stmt);
    return err;
}

int db_schema_check(sqlite3 *sql, int64_t deadline_ns, struct db_error *reterr)
{
    /* First what only the database knows; the last two are large, and a listing finds them again.
     */
    static const char *const tables[] = {"meta",  "volume", "intent", "redirect", "extent",
                                         "reply", "upload", "part",   "inode",    "dirent"};
    enum { TABLES = sizeof(tables) / sizeof(tables[0]), LARGE_FROM = 8 };
    int64_t pages = 0;
    int err = 0;

    if (db_sqlite_int(sql, "PRAGMA page_count", &pages) != SQLITE_OK)
        pages = 0;
    sqlite3_progress_handler(sql, 10000, check_expired, &deadline_ns);
    /* Within one table older versions of SQLite do not look at the clock: the size limits it too.
     */
    for (int i = 0; err == 0 && i < TABLES && !check_expired(&deadline_ns); i++)
        if (i < LARGE_FROM || pages <= DB_CHECK_PAGES)
            err = check_table(sql, tables[i], reterr);
    sqlite3_progress_handler(sql, 0, NULL, NULL);
    return err;
}
