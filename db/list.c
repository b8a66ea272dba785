/*
 * Reads of many rows. Each is a walk: a chunk of rows is read on a connection, which is given back;
 * then the callbacks run; then the walk goes on after the last key. So callbacks may take their
 * time and may read, and rows that are added or removed meanwhile are seen or not.
 */
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "db/internal.h"

struct walk;

/* How one kind of row is read. */
struct walk_kind {
    size_t row_size;
    void (*bind)(const struct walk *walk, sqlite3_stmt *stmt); /* all but the limit */
    void (*read)(const struct walk *walk, sqlite3_stmt *stmt, void *row);
    bool (*emit)(struct walk *walk, const void *row); /* also notes the key; false = stop */
    void (*clear)(void *row);                         /* or NULL */
    int limit_param;
};

struct walk {
    const struct walk_kind *kind;
    enum db_read which;
    uint64_t arg, arg2;         /* what is asked for: parent, volume, inode, flags */
    uint64_t key, key2;         /* of the last row given out */
    char name[DB_NAME_MAX + 1]; /* the same, for names */
    const char *hi;
    void *fn_ctx;
    union {
        db_dirent_fn *dirent;
        db_inode_fn *inode;
        db_extent_fn *extent;
        db_intent_fn *intent;
        db_upload_fn *upload;
        db_part_fn *part;
        db_redirect_fn *redirect;
        db_reply_fn *reply;
        db_redo_fn *redo;
    } fn;
};

/* Reads up to max rows. Their number, or -errno (then none is left to clear). */
static int walk_read(struct db *db, const struct walk *walk, uint32_t max, char *rows)
{
    const struct walk_kind *kind = walk->kind;
    CLEANUP_CURSOR struct db_cursor cursor = {0};
    int count = 0;

    int err = db_cursor_open(db, walk->which, &cursor);
    if (err)
        return err;
    kind->bind(walk, cursor.stmt);
    (void)sqlite3_bind_int64(cursor.stmt, kind->limit_param, max);
    while ((err = db_cursor_next(&cursor)) > 0)
        kind->read(walk, cursor.stmt, rows + (size_t)count++ * kind->row_size);
    if (err == 0)
        return count;
    for (int i = 0; kind->clear && i < count; i++)
        kind->clear(rows + (size_t)i * kind->row_size);
    return err;
}

static int walk_run(struct db *db, struct walk *walk, uint64_t max)
{
    const struct walk_kind *kind = walk->kind;
    CLEANUP_FREE char *rows = NULL;
    bool more = max > 0;

    while (more) {
        uint32_t want = max < DB_CHUNK_ROWS ? (uint32_t)max : DB_CHUNK_ROWS;
        if (!rows)
            rows = mem_array(want, kind->row_size);
        int count = walk_read(db, walk, want, rows);
        if (count < 0)
            return count;
        max -= (uint64_t)count;
        more = count == (int)want && max > 0;
        bool going = true;
        for (int i = 0; i < count; i++) {
            char *row = rows + (size_t)i * kind->row_size;
            going = going && kind->emit(walk, row);
            if (kind->clear)
                kind->clear(row);
        }
        more = more && going;
    }
    return 0;
}

/* --- names with their inodes --- */

struct dirent_row {
    struct db_dirent dirent;
    struct db_inode inode;
};

static void dirent_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct dirent_row *r = row;

    r->dirent.id = db_column_u64(stmt, 0);
    r->dirent.parent = walk->arg;
    r->dirent.inode = db_column_u64(stmt, 1);
    db_column_name(stmt, 2, r->dirent.name);
    db_read_inode_row(stmt, 3, &r->inode);
}

static void dirent_clear(void *row)
{
    db_inode_clear(&((struct dirent_row *)row)->inode);
}

static void list_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->arg);
    db_bind_u64(stmt, 2, walk->key);
}

static bool list_emit(struct walk *walk, const void *row)
{
    const struct dirent_row *r = row;

    walk->key = r->dirent.id;
    return walk->fn.dirent(walk->fn_ctx, &r->dirent, &r->inode);
}

int db_list_dirents(struct db *db, uint64_t parent, uint64_t after, uint32_t max, db_dirent_fn *fn,
                    void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct dirent_row), list_bind, dirent_read, list_emit, dirent_clear, 3};
    struct walk walk = {.kind = &kind,
                        .which = DB_READ_LIST_DIRENTS,
                        .arg = parent,
                        .key = after < INT64_MAX ? after : INT64_MAX,
                        .fn.dirent = fn,
                        .fn_ctx = ctx};

    return walk_run(db, &walk, max);
}

static void range_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->arg);
    (void)sqlite3_bind_text(stmt, 2, walk->name, -1, SQLITE_STATIC);
    if (walk->hi)
        (void)sqlite3_bind_text(stmt, 4, walk->hi, -1, SQLITE_STATIC);
    else
        (void)sqlite3_bind_zeroblob(stmt, 4, 0); /* SQLite sorts every blob after every text */
}

static bool range_emit(struct walk *walk, const void *row)
{
    const struct dirent_row *r = row;

    (void)strlcpy(walk->name, r->dirent.name, DB_NAME_MAX + 1);
    return walk->fn.dirent(walk->fn_ctx, &r->dirent, &r->inode);
}

int db_range_dirents(struct db *db, uint64_t parent, const char *lo, const char *hi,
                     db_dirent_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct dirent_row), range_bind, dirent_read, range_emit, dirent_clear, 3};
    struct walk walk = {.kind = &kind,
                        .which = DB_READ_RANGE_DIRENTS,
                        .arg = parent,
                        .hi = hi,
                        .fn.dirent = fn,
                        .fn_ctx = ctx};

    /* No name is longer than name: what a longer lo has beyond only puts it after its own start. */
    if (lo)
        (void)stpncpy(walk.name, lo, DB_NAME_MAX);
    return walk_run(db, &walk, UINT64_MAX);
}

/* --- inodes by flags --- */

static void inode_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->arg);
    db_bind_u64(stmt, 2, walk->key);
    db_bind_u64(stmt, 4, walk->arg2);
}

static void inode_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    (void)walk;
    db_read_inode_row(stmt, 0, row);
}

static bool inode_emit(struct walk *walk, const void *row)
{
    const struct db_inode *inode = row;

    walk->key = inode->id;
    return walk->fn.inode(walk->fn_ctx, inode);
}

static void inode_clear(void *row)
{
    db_inode_clear(row);
}

int db_each_flagged(struct db *db, uint32_t volume, uint32_t flags_any, db_inode_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct db_inode), inode_bind, inode_read, inode_emit, inode_clear, 3};
    struct walk walk = {.kind = &kind,
                        .which = flags_any & ~UINT32_C(7) ? DB_READ_FLAGGED_SLOW : DB_READ_FLAGGED,
                        .arg = volume,
                        .arg2 = flags_any,
                        .fn.inode = fn,
                        .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}

/* --- extents --- */

static void extent_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->key);
    db_bind_u64(stmt, 2, walk->key2);
}

static void extent_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct db_extent *r = row;

    (void)walk;
    r->inode = db_column_u64(stmt, 0);
    r->off = db_column_u64(stmt, 1);
    r->len = db_column_u64(stmt, 2);
    r->version = db_column_u64(stmt, 3);
    r->segment = db_column_u64(stmt, 4);
    r->pos = db_column_u64(stmt, 5);
}

static bool extent_emit(struct walk *walk, const void *row)
{
    const struct db_extent *r = row;

    walk->key = r->inode;
    walk->key2 = r->off;
    return walk->fn.extent(walk->fn_ctx, r);
}

int db_each_extent(struct db *db, uint64_t inode, db_extent_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct db_extent), extent_bind, extent_read, extent_emit, NULL, 3};
    /* The first offset is 0, so the key to start after is -1. */
    struct walk walk = {.kind = &kind,
                        .which = inode ? DB_READ_EXTENTS : DB_READ_ALL_EXTENTS,
                        .key = inode,
                        .key2 = UINT64_MAX,
                        .fn.extent = fn,
                        .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}

/* --- intents --- */

static void intent_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->arg);
    db_bind_u64(stmt, 2, walk->key);
}

static void intent_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct db_intent *r = row;

    (void)walk;
    r->id = db_column_u64(stmt, 0);
    r->volume = (uint32_t)db_column_u64(stmt, 1);
    r->kind = (uint32_t)db_column_u64(stmt, 2);
    r->inode = db_column_u64(stmt, 3);
    r->arg = db_column_u64(stmt, 4);
    r->key = db_column_strdup(stmt, 5);
    r->etag = db_column_strdup(stmt, 6);
}

static bool intent_emit(struct walk *walk, const void *row)
{
    const struct db_intent *r = row;

    walk->key = r->id;
    return walk->fn.intent(walk->fn_ctx, r);
}

static void intent_clear(void *row)
{
    struct db_intent *r = row;

    free(r->key);
    free(r->etag);
}

int db_each_intent(struct db *db, uint32_t volume, db_intent_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct db_intent), intent_bind, intent_read, intent_emit, intent_clear, 3};
    struct walk walk = {
        .kind = &kind, .which = DB_READ_INTENTS, .arg = volume, .fn.intent = fn, .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}

/* --- uploads and their parts --- */

static void upload_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct db_upload *r = row;

    (void)walk;
    r->id = db_column_u64(stmt, 0);
    r->volume = (uint32_t)db_column_u64(stmt, 1);
    r->inode = db_column_u64(stmt, 2);
    r->key = db_column_strdup(stmt, 3);
    r->upload_id = db_column_strdup(stmt, 4);
    r->part_size = db_column_u64(stmt, 5);
    r->version = db_column_u64(stmt, 6);
    r->mtime_ns = sqlite3_column_int64(stmt, 7);
    r->meta = db_column_u64(stmt, 8);
    r->begun_ns = sqlite3_column_int64(stmt, 9);
}

static bool upload_emit(struct walk *walk, const void *row)
{
    const struct db_upload *r = row;

    walk->key = r->id;
    return walk->fn.upload(walk->fn_ctx, r);
}

static void upload_clear(void *row)
{
    struct db_upload *r = row;

    free(r->key);
    free(r->upload_id);
}

int db_each_upload(struct db *db, uint32_t volume, db_upload_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct db_upload), intent_bind, upload_read, upload_emit, upload_clear, 3};
    struct walk walk = {
        .kind = &kind, .which = DB_READ_UPLOADS, .arg = volume, .fn.upload = fn, .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}

static void part_text(sqlite3_stmt *stmt, int column, char *ret, size_t cap)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    (void)strlcpy(ret, text ? text : "", cap);
}

static void part_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct db_part *r = row;

    (void)walk;
    r->upload = db_column_u64(stmt, 0);
    r->number = (uint32_t)db_column_u64(stmt, 1);
    r->len = db_column_u64(stmt, 2);
    r->sign[0] = db_column_u64(stmt, 3);
    r->sign[1] = db_column_u64(stmt, 4);
    r->copied = db_column_u64(stmt, 5) != 0;
    part_text(stmt, 6, r->etag, sizeof(r->etag));
    part_text(stmt, 7, r->checksum, sizeof(r->checksum));
}

static bool part_emit(struct walk *walk, const void *row)
{
    const struct db_part *r = row;

    walk->key = r->number;
    return walk->fn.part(walk->fn_ctx, r);
}

int db_each_part(struct db *db, uint64_t upload, db_part_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct db_part), intent_bind, part_read, part_emit, NULL, 3};
    struct walk walk = {
        .kind = &kind, .which = DB_READ_PARTS, .arg = upload, .fn.part = fn, .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}

/* --- redirects --- */

static void redirect_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->key);
    db_bind_u64(stmt, 2, walk->key2);
    db_bind_u64(stmt, 4, walk->arg);
}

static void redirect_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct db_redirect *r = row;

    (void)walk;
    r->inode = db_column_u64(stmt, 0);
    r->epoch = db_column_u64(stmt, 1);
    r->volume = (uint32_t)db_column_u64(stmt, 2);
    r->prefix = db_column_strdup(stmt, 3);
}

static bool redirect_emit(struct walk *walk, const void *row)
{
    const struct db_redirect *r = row;

    walk->key = r->inode;
    walk->key2 = r->epoch;
    return walk->fn.redirect(walk->fn_ctx, r);
}

static void redirect_clear(void *row)
{
    free(((struct db_redirect *)row)->prefix);
}

int db_each_redirect(struct db *db, uint32_t volume, db_redirect_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct db_redirect), redirect_bind, redirect_read, redirect_emit, redirect_clear, 3};
    struct walk walk = {
        .kind = &kind, .which = DB_READ_REDIRECTS, .arg = volume, .fn.redirect = fn, .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}

/* --- replies --- */

struct reply_row {
    uint64_t id;
    uint8_t *bytes; /* key, then reply */
    struct db_reply reply;
};

static void reply_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->key);
    (void)sqlite3_bind_int(stmt, 2, DB_REPLY_MAX);
}

static void reply_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct reply_row *r = row;
    size_t key_len = (size_t)sqlite3_column_bytes(stmt, 1);
    size_t reply_len = (size_t)sqlite3_column_bytes(stmt, 2);

    (void)walk;
    r->id = db_column_u64(stmt, 0);
    r->bytes = mem_alloc(key_len + reply_len + 1);
    if (key_len > 0)
        memcpy(r->bytes, sqlite3_column_blob(stmt, 1), key_len);
    if (reply_len > 0)
        memcpy(r->bytes + key_len, sqlite3_column_blob(stmt, 2), reply_len);
    r->reply = (struct db_reply){r->bytes, key_len, r->bytes + key_len, reply_len};
}

static bool reply_emit(struct walk *walk, const void *row)
{
    const struct reply_row *r = row;

    walk->key = r->id;
    return walk->fn.reply(walk->fn_ctx, &r->reply);
}

static void reply_clear(void *row)
{
    free(((struct reply_row *)row)->bytes);
}

int db_each_reply(struct db *db, db_reply_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct reply_row), reply_bind, reply_read, reply_emit, reply_clear, 3};
    struct walk walk = {.kind = &kind, .which = DB_READ_REPLIES, .fn.reply = fn, .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}

/* --- redo --- */

static void redo_bind(const struct walk *walk, sqlite3_stmt *stmt)
{
    db_bind_u64(stmt, 1, walk->key);
}

static void redo_read(const struct walk *walk, sqlite3_stmt *stmt, void *row)
{
    struct db_redo *r = row;

    (void)walk;
    r->id = db_column_u64(stmt, 0);
    r->segment = db_column_u64(stmt, 1);
    r->salt = db_column_u64(stmt, 2);
    r->pos = db_column_u64(stmt, 3);
    r->len = (size_t)sqlite3_column_bytes(stmt, 4);
    r->data = r->len > 0 ? mem_dup(sqlite3_column_blob(stmt, 4), r->len) : NULL;
}

static bool redo_emit(struct walk *walk, const void *row)
{
    const struct db_redo *r = row;

    walk->key = r->id;
    return walk->fn.redo(walk->fn_ctx, r);
}

static void redo_clear(void *row)
{
    free((void *)(uintptr_t)((struct db_redo *)row)->data);
}

int db_each_redo(struct db *db, db_redo_fn *fn, void *ctx)
{
    static const struct walk_kind kind = {
        sizeof(struct db_redo), redo_bind, redo_read, redo_emit, redo_clear, 3};
    struct walk walk = {.kind = &kind, .which = DB_READ_REDO, .fn.redo = fn, .fn_ctx = ctx};

    return walk_run(db, &walk, UINT64_MAX);
}
