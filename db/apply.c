/* Operations of transactions as SQL: the statements of the writer's connection. */
#include <assert.h>
#include <string.h>

#include "db/internal.h"

enum { REPLY_SLACK = 1024 /* replies put between trims */ };

#define PUT_INODE                                                                                 \
    "INSERT OR REPLACE INTO inode (id, volume, type, flags, mode, uid, gid, size, atime, mtime, " \
    "ctime, change, parent, base_epoch, base_key, base_etag, base_size, base_len, verf, target, " \
    "extra_meta, flight_key, flight_size, flight_len, flight_mtime) VALUES (?1, ?2, ?3, ?4, ?5, " \
    "?6, "                                                                                        \
    "?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)"

const char *const db_op_sql[DB_OP_COUNT] = {
    [DB_OP_PUT_INODE] = PUT_INODE,
    [DB_OP_DEL_INODE] = "DELETE FROM inode WHERE id = ?1",
    [DB_OP_DEL_INODE_EXTENTS] = "DELETE FROM extent WHERE inode = ?1",
    [DB_OP_DEL_INODE_REDIRECTS] = "DELETE FROM redirect WHERE inode = ?1",
    [DB_OP_DEL_INODE_PARTS] =
        "DELETE FROM part WHERE upload IN (SELECT id FROM upload WHERE inode = ?1)",
    [DB_OP_DEL_INODE_UPLOADS] = "UPDATE upload SET inode = 0 WHERE inode = ?1",
    [DB_OP_PUT_DIRENT] =
        "INSERT OR REPLACE INTO dirent (parent, name, id, inode) VALUES (?1, ?2, ?3, ?4)",
    [DB_OP_DEL_DIRENT] = "DELETE FROM dirent WHERE parent = ?1 AND name = ?2",
    [DB_OP_PUT_EXTENT] = "INSERT OR REPLACE INTO extent (inode, off, len, version, segment, pos) "
                         "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [DB_OP_DEL_EXTENT] = "DELETE FROM extent WHERE inode = ?1 AND off = ?2",
    [DB_OP_DEL_EXTENTS] = "DELETE FROM extent WHERE inode = ?1 AND version <= ?2",
    [DB_OP_PUT_INTENT] = "INSERT OR REPLACE INTO intent (id, volume, kind, inode, arg, key, etag) "
                         "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [DB_OP_DEL_INTENT] = "DELETE FROM intent WHERE id = ?1",
    [DB_OP_PUT_UPLOAD] =
        "INSERT OR REPLACE INTO upload (id, volume, inode, key, upload_id, part_size, version, "
        "mtime, meta, begun) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [DB_OP_DEL_UPLOAD] = "DELETE FROM upload WHERE id = ?1",
    [DB_OP_DEL_UPLOAD_PARTS] = "DELETE FROM part WHERE upload = ?1",
    [DB_OP_PUT_PART] = "INSERT OR REPLACE INTO part (upload, number, len, sign_lo, sign_hi, "
                       "copied, etag, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [DB_OP_PUT_REDIRECT] = "INSERT OR REPLACE INTO redirect (inode, epoch, volume, prefix) "
                           "VALUES (?1, ?2, ?3, ?4)",
    [DB_OP_DEL_REDIRECT] = "DELETE FROM redirect WHERE inode = ?1 AND epoch = ?2",
    [DB_OP_PUT_REPLY] = "INSERT INTO reply (key, reply) VALUES (?1, ?2)",
    [DB_OP_TRIM_REPLIES] = "DELETE FROM reply WHERE id <= "
                           "(SELECT id FROM reply ORDER BY id DESC LIMIT 1 OFFSET ?1)",
    [DB_OP_PUT_REDO] = "INSERT OR REPLACE INTO redo (id, segment, salt, pos, data) "
                       "VALUES (?1, ?2, ?3, ?4, ?5)",
    [DB_OP_DEL_REDO] = "DELETE FROM redo WHERE id <= ?1",
    [DB_OP_PUT_META] = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)",
    [DB_OP_PUT_VOLUME] = "INSERT OR IGNORE INTO volume (identity, root) VALUES (?1, ?2)",
};

static int apply_wal_grew(void *arg, sqlite3 *sql, const char *name, int pages)
{
    struct db_writer *writer = arg;

    (void)sql;
    (void)name;
    if (pages < writer->wal_pages)
        writer->wal_pages_attempted = 0; /* the log began anew */
    writer->wal_pages = pages;
    return SQLITE_OK;
}

int db_apply_open(struct db *db, struct db_error *reterr)
{
    struct db_writer *writer = &db->writer;

    /* Some systems' SQLite writes zeros over what is deleted: that doubles what a commit writes. */
    int rc = db_sqlite_exec(writer->sql, "PRAGMA synchronous = FULL;"
                                         "PRAGMA secure_delete = OFF;"
                                         "PRAGMA journal_size_limit = 67108864");
    for (int i = 0; rc == SQLITE_OK && i < DB_OP_COUNT; i++) {
        rc = db_sqlite_prepare(writer->sql, db_op_sql[i], &writer->stmts[i]);
        writer->param_counts[i] = sqlite3_bind_parameter_count(writer->stmts[i]);
    }
    if (rc != SQLITE_OK)
        return db_sqlite_fail(writer->sql, rc, "cannot be set up for writing", reterr);
    (void)sqlite3_wal_hook(writer->sql, apply_wal_grew, writer); /* also ends autocheckpoint */
    writer->untrimmed = REPLY_SLACK; /* an earlier run may have left that many too many */
    return 0;
}

void db_apply_close(struct db *db)
{
    for (int i = 0; i < DB_OP_COUNT; i++)
        (void)sqlite3_finalize(db->writer.stmts[i]);
    (void)sqlite3_close(db->writer.sql);
}

/* Binds one parameter from p; where the next one is. The bytes stay where they are. */
static const uint8_t *apply_bind(sqlite3_stmt *stmt, int param, const uint8_t *p)
{
    uint8_t tag = *p++;
    uint64_t value = 0;
    uint32_t len;

    if (tag <= DB_TAG_INT_MAX) {
        for (unsigned i = 0; i < tag; i++)
            value |= (uint64_t)p[i] << (8 * i);
        if (tag > 0 && tag < DB_TAG_INT_MAX && (p[tag - 1] & 0x80))
            value |= UINT64_MAX << (8 * tag);
        (void)sqlite3_bind_int64(stmt, param, (int64_t)value);
        return p + tag;
    }
    if (tag == DB_TAG_NULL) {
        (void)sqlite3_bind_null(stmt, param);
        return p;
    }
    memcpy(&len, p, sizeof(len));
    p += sizeof(len);
    if (tag == DB_TAG_TEXT)
        (void)sqlite3_bind_text(stmt, param, (const char *)p, (int)len, SQLITE_STATIC);
    else
        (void)sqlite3_bind_blob(stmt, param, p, (int)len, SQLITE_STATIC);
    return p + len;
}

static int apply_step(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    (void)sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int db_apply(struct db_writer *writer, const struct db_txn *txn)
{
    const uint8_t *p = txn->buf, *end = txn->buf + txn->len;

    while (p < end) {
        uint8_t op = *p++;
        assert(op < DB_OP_COUNT);
        for (int i = 1; i <= writer->param_counts[op]; i++)
            p = apply_bind(writer->stmts[op], i, p);
        assert(p <= end);
        int rc = apply_step(writer->stmts[op]);
        if (rc != SQLITE_OK)
            return rc;
        writer->untrimmed += op == DB_OP_PUT_REPLY;
    }
    return SQLITE_OK;
}

int db_apply_trim(struct db_writer *writer)
{
    sqlite3_stmt *stmt = writer->stmts[DB_OP_TRIM_REPLIES];

    if (writer->untrimmed < REPLY_SLACK)
        return SQLITE_OK;
    (void)sqlite3_bind_int(stmt, 1, DB_REPLY_MAX);
    int rc = apply_step(stmt);
    if (rc == SQLITE_OK)
        writer->untrimmed = 0; /* if the group fails now, the next trim takes its excess too */
    return rc;
}
