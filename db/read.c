/* Reads of one row, the statements of all reads, and rows out of statements. */
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/internal.h"

/*
 * Those of listings take the key after which they go on and the most rows to give. CROSS JOIN fixes
 * the order: names first, then each one's inode. The query of DB_READ_FLAGGED repeats the condition
 * of the partial index, which is how SQLite knows that it may use it.
 */
const char *const db_read_sql[DB_READ_COUNT] = {
    [DB_READ_META] = "SELECT value FROM meta WHERE name = ?1",
    [DB_READ_VOLUME] = "SELECT id, root FROM volume WHERE identity = ?1",
    [DB_READ_INODE] = "SELECT " DB_INODE_COLUMNS " FROM inode i WHERE i.id = ?1",
    [DB_READ_DIRENT] = "SELECT id, inode FROM dirent WHERE parent = ?1 AND name = ?2",
    [DB_READ_DIRENT_INODE] = "SELECT d.id, d.inode, " DB_INODE_COLUMNS
                             " FROM dirent d CROSS JOIN inode i ON i.id = d.inode"
                             " WHERE d.parent = ?1 AND d.name = ?2",
    [DB_READ_FIND_AFTER] =
        "SELECT d.id, d.parent, d.name FROM inode i CROSS JOIN dirent d INDEXED BY dirent_order"
        " ON d.parent = i.parent AND d.id > ?1 AND d.inode = ?1"
        " WHERE i.id = ?1 ORDER BY d.id LIMIT 1",
    [DB_READ_FIND_BEFORE] =
        "SELECT d.id, d.parent, d.name FROM inode i CROSS JOIN dirent d INDEXED BY dirent_order"
        " ON d.parent = i.parent AND d.id < ?1 AND d.inode = ?1"
        " WHERE i.id = ?1 ORDER BY d.id DESC LIMIT 1",
    [DB_READ_COUNT_DIRENTS] =
        "SELECT count(*) FROM (SELECT 1 FROM dirent INDEXED BY dirent_order WHERE parent = ?1"
        " LIMIT ?2)",
    [DB_READ_LIST_DIRENTS] =
        "SELECT d.id, d.inode, d.name, " DB_INODE_COLUMNS
        " FROM dirent d INDEXED BY dirent_order CROSS JOIN inode i ON i.id = d.inode"
        " WHERE d.parent = ?1 AND d.id > ?2 ORDER BY d.id LIMIT ?3",
    [DB_READ_RANGE_DIRENTS] = "SELECT d.id, d.inode, d.name, " DB_INODE_COLUMNS
                              " FROM dirent d CROSS JOIN inode i ON i.id = d.inode"
                              " WHERE d.parent = ?1 AND d.name > ?2 AND d.name <= ?4"
                              " ORDER BY d.name LIMIT ?3",
    [DB_READ_FLAGGED] = "SELECT " DB_INODE_COLUMNS " FROM inode i INDEXED BY inode_dirty"
                        " WHERE i.volume = ?1 AND i.id > ?2 AND i.flags & 7 AND i.flags & ?4"
                        " ORDER BY i.id LIMIT ?3",
    [DB_READ_FLAGGED_SLOW] =
        "SELECT " DB_INODE_COLUMNS " FROM inode i NOT INDEXED"
        " WHERE i.volume = ?1 AND i.id > ?2 AND i.flags & ?4 ORDER BY i.id LIMIT ?3",
    [DB_READ_EXTENTS] = "SELECT inode, off, len, version, segment, pos FROM extent"
                        " WHERE inode = ?1 AND off > ?2 ORDER BY off LIMIT ?3",
    [DB_READ_ALL_EXTENTS] = "SELECT inode, off, len, version, segment, pos FROM extent"
                            " WHERE (inode, off) > (?1, ?2) ORDER BY inode, off LIMIT ?3",
    [DB_READ_INTENTS] = "SELECT id, volume, kind, inode, arg, key, etag FROM intent"
                        " WHERE volume = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    [DB_READ_UPLOADS] = "SELECT id, volume, inode, key, upload_id, part_size, version, mtime, meta,"
                        " begun FROM upload WHERE volume = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    [DB_READ_PARTS] = "SELECT upload, number, len, sign_lo, sign_hi, copied, etag, checksum"
                      " FROM part WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    [DB_READ_REDIRECTS] =
        "SELECT inode, epoch, volume, prefix FROM redirect"
        " WHERE (inode, epoch) > (?1, ?2) AND volume = ?4 ORDER BY inode, epoch LIMIT ?3",
    [DB_READ_REPLIES] =
        "SELECT id, key, reply FROM reply WHERE id > ?1 AND id > coalesce("
        "(SELECT id FROM reply ORDER BY id DESC LIMIT 1 OFFSET ?2), 0) ORDER BY id LIMIT ?3",
    [DB_READ_REDO] = "SELECT id, segment, salt, pos, data FROM redo WHERE id > ?1"
                     " ORDER BY id LIMIT ?3",
};

void db_bind_u64(sqlite3_stmt *stmt, int param, uint64_t value)
{
    (void)sqlite3_bind_int64(stmt, param, (int64_t)value);
}

uint64_t db_column_u64(sqlite3_stmt *stmt, int column)
{
    return (uint64_t)sqlite3_column_int64(stmt, column);
}

static uint32_t column_u32(sqlite3_stmt *stmt, int column)
{
    return (uint32_t)sqlite3_column_int64(stmt, column);
}

char *db_column_strdup(sqlite3_stmt *stmt, int column)
{
    return mem_strdup((const char *)sqlite3_column_text(stmt, column));
}

void db_column_name(sqlite3_stmt *stmt, int column, char ret[DB_NAME_MAX + 1])
{
    const char *name = (const char *)sqlite3_column_text(stmt, column);
    size_t len = (size_t)sqlite3_column_bytes(stmt, column);

    if (len > DB_NAME_MAX) /* not written by db_put_dirent */
        len = DB_NAME_MAX;
    if (len > 0)
        memcpy(ret, name, len);
    ret[len] = '\0';
}

void db_read_inode_row(sqlite3_stmt *stmt, int column, struct db_inode *ret)
{
    int c = column;

    memset(ret, 0, sizeof(*ret));
    ret->id = db_column_u64(stmt, c++);
    ret->volume = column_u32(stmt, c++);
    ret->type = (uint8_t)column_u32(stmt, c++);
    ret->flags = column_u32(stmt, c++);
    ret->mode = column_u32(stmt, c++);
    ret->uid = column_u32(stmt, c++);
    ret->gid = column_u32(stmt, c++);
    ret->size = db_column_u64(stmt, c++);
    ret->atime_ns = sqlite3_column_int64(stmt, c++);
    ret->mtime_ns = sqlite3_column_int64(stmt, c++);
    ret->ctime_ns = sqlite3_column_int64(stmt, c++);
    ret->change = db_column_u64(stmt, c++);
    ret->parent = db_column_u64(stmt, c++);
    ret->base_epoch = db_column_u64(stmt, c++);
    ret->base_key = db_column_strdup(stmt, c++);
    ret->base_etag = db_column_strdup(stmt, c++);
    ret->base_size = db_column_u64(stmt, c++);
    ret->base_len = db_column_u64(stmt, c++);
    if (sqlite3_column_bytes(stmt, c) == DB_VERF_SIZE)
        memcpy(ret->verf, sqlite3_column_blob(stmt, c), DB_VERF_SIZE);
    c++;
    ret->target = db_column_strdup(stmt, c++);
    ret->extra_meta = db_column_strdup(stmt, c++);
    ret->flight_key = db_column_strdup(stmt, c++);
    ret->flight_size = db_column_u64(stmt, c++);
    ret->flight_len = db_column_u64(stmt, c++);
    ret->flight_mtime_ns = sqlite3_column_int64(stmt, c);
}

void db_inode_clear(struct db_inode *row)
{
    free(row->base_key);
    free(row->base_etag);
    free(row->target);
    free(row->extra_meta);
    free(row->flight_key);
    row->base_key = row->base_etag = row->target = row->extra_meta = row->flight_key = NULL;
}

void db_inode_copy(struct db_inode *dst, const struct db_inode *src)
{
    *dst = *src;
    dst->base_key = mem_strdup(src->base_key);
    dst->base_etag = mem_strdup(src->base_etag);
    dst->target = mem_strdup(src->target);
    dst->extra_meta = mem_strdup(src->extra_meta);
    dst->flight_key = mem_strdup(src->flight_key);
}

/* One row was asked for: 0 if there is one, -ENOENT if not. */
static int one_row(struct db_cursor *cursor)
{
    int rows = db_cursor_next(cursor);

    return rows < 0 ? rows : rows == 0 ? -ENOENT : 0;
}

int db_meta_get(struct db *db, const char *name, void *buf, size_t cap)
{
    CLEANUP_CURSOR struct db_cursor cursor = {0};

    int err = db_cursor_open(db, DB_READ_META, &cursor);
    if (err)
        return err;
    (void)sqlite3_bind_text(cursor.stmt, 1, name, -1, SQLITE_STATIC);
    err = one_row(&cursor);
    if (err)
        return err;
    size_t len = (size_t)sqlite3_column_bytes(cursor.stmt, 0);
    if (len > 0 && cap > 0)
        memcpy(buf, sqlite3_column_blob(cursor.stmt, 0), len < cap ? len : cap);
    return (int)len;
}

int db_get_inode(struct db *db, uint64_t id, struct db_inode *ret)
{
    CLEANUP_CURSOR struct db_cursor cursor = {0};

    int err = db_cursor_open(db, DB_READ_INODE, &cursor);
    if (err)
        return err;
    db_bind_u64(cursor.stmt, 1, id);
    err = one_row(&cursor);
    if (err == 0)
        db_read_inode_row(cursor.stmt, 0, ret);
    return err;
}

int db_get_dirent(struct db *db, uint64_t parent, const char *name, struct db_dirent *ret,
                  struct db_inode *ret_inode)
{
    CLEANUP_CURSOR struct db_cursor cursor = {0};

    if (strlen(name) > DB_NAME_MAX)
        return -ENOENT;
    int err = db_cursor_open(db, ret_inode ? DB_READ_DIRENT_INODE : DB_READ_DIRENT, &cursor);
    if (err)
        return err;
    db_bind_u64(cursor.stmt, 1, parent);
    (void)sqlite3_bind_text(cursor.stmt, 2, name, -1, SQLITE_STATIC);
    err = one_row(&cursor);
    if (err)
        return err;
    ret->id = db_column_u64(cursor.stmt, 0);
    ret->parent = parent;
    ret->inode = db_column_u64(cursor.stmt, 1);
    (void)strlcpy(ret->name, name, DB_NAME_MAX + 1);
    if (ret_inode)
        db_read_inode_row(cursor.stmt, 2, ret_inode);
    return 0;
}

static int find_dirent(struct db *db, enum db_read which, uint64_t inode, struct db_dirent *ret)
{
    CLEANUP_CURSOR struct db_cursor cursor = {0};

    int err = db_cursor_open(db, which, &cursor);
    if (err)
        return err;
    db_bind_u64(cursor.stmt, 1, inode);
    err = one_row(&cursor);
    if (err)
        return err;
    ret->id = db_column_u64(cursor.stmt, 0);
    ret->parent = db_column_u64(cursor.stmt, 1);
    ret->inode = inode;
    db_column_name(cursor.stmt, 2, ret->name);
    return 0;
}

int db_find_dirent(struct db *db, uint64_t inode, struct db_dirent *ret)
{
    /* A name gets its id when it is made: at once after its inode's, as a rule. */
    int err = find_dirent(db, DB_READ_FIND_AFTER, inode, ret);

    return err == -ENOENT ? find_dirent(db, DB_READ_FIND_BEFORE, inode, ret) : err;
}

int db_count_dirents(struct db *db, uint64_t parent, uint32_t max, uint32_t *ret)
{
    CLEANUP_CURSOR struct db_cursor cursor = {0};

    int err = db_cursor_open(db, DB_READ_COUNT_DIRENTS, &cursor);
    if (err)
        return err;
    db_bind_u64(cursor.stmt, 1, parent);
    db_bind_u64(cursor.stmt, 2, max);
    err = one_row(&cursor);
    if (err == 0)
        *ret = column_u32(cursor.stmt, 0);
    return err;
}
