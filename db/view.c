/*
 * Reading a state directory without changing it.
 *
 * SQLite wants to make files beside a database in WAL mode even for reading, and to fold the log
 * into the database at the end. Both are avoided: without a log the file is opened as immutable;
 * with one (a gateway that was killed) by the VFS that takes no locks of its own, in exclusive
 * mode, where the index of the log is kept in memory, and without the checkpoint at closing. Other
 * processes are kept out by the directory's lock instead.
 */
#include "db/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "db/internal.h"

enum { VIEW_CACHE_KIB = 16384 };

struct db_view {
    sqlite3 *sql;
    char *path;
    int lock_fd; /* -1: the directory never had a lock file */
    int err;
    struct db_error error;
};

struct db_query {
    struct db_view *view;
    sqlite3_stmt *stmt; /* NULL: could not be prepared */
};

static void view_fail(struct db_view *view, int rc)
{
    if (!view->err)
        view->err = db_sqlite_fail(view->sql, rc, "cannot be read", &view->error);
}

int db_view_error(struct db_view *view, struct db_error *reterr)
{
    int err = view->err;

    if (err)
        *reterr = view->error;
    view->err = 0;
    return err;
}

/* --- opening --- */

static int view_lock(const char *state_dir, int *ret_fd, struct db_error *reterr)
{
    CLEANUP_FREE char *path = mem_printf("%s/lock", state_dir);
    char pid[24] = "";
    struct stat st;

    if (stat(state_dir, &st))
        return db_fail(reterr, -errno, "state directory %s: %s", state_dir, strerrordesc_np(errno));
    if (!S_ISDIR(st.st_mode))
        return db_fail(reterr, -ENOTDIR, "state directory %s is not a directory", state_dir);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return db_fail(reterr, -errno, "state directory %s: cannot open its lock file: %s",
                       state_dir, strerrordesc_np(errno));
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
            pid[0] = '\0';
        pid[strspn(pid, "0123456789")] = '\0';
        return db_fail(reterr, -EBUSY,
                       "state directory %s is in use by a pailfs that runs (process %s): stop it "
                       "first",
                       state_dir, pid[0] ? pid : "unknown");
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* Size of the file named path and suffix; 0 if it is not there. */
static uint64_t view_file_size(const char *path, const char *suffix)
{
    CLEANUP_FREE char *name = mem_printf("%s%s", path, suffix);
    struct stat st;

    return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* The path as a URI that SQLite takes for "nobody changes this file". */
static char *view_uri(const char *path)
{
    char *uri = mem_alloc(3 * strlen(path) + 32), *at = stpcpy(uri, "file:");

    for (; *path; path++) {
        if (strchr("?#%", *path))
            at += snprintf(at, 4, "%%%02x", (unsigned)(unsigned char)*path);
        else
            *at++ = *path;
    }
    (void)stpcpy(at, "?immutable=1");
    return uri;
}

static int view_connect(struct db_view *view)
{
    char pragma[64];
    bool log = view_file_size(view->path, "-wal") > 0;
    CLEANUP_FREE char *uri = view_uri(view->path);
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;

    int rc = log ? sqlite3_open_v2(view->path, &view->sql, flags, "unix-none")
                 : sqlite3_open_v2(uri, &view->sql, flags | SQLITE_OPEN_URI, NULL);
    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_extended_result_codes(view->sql, 1);
    rc = sqlite3_db_config(view->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == SQLITE_OK && log)
        rc = db_sqlite_exec(view->sql, "PRAGMA locking_mode = EXCLUSIVE");
    (void)snprintf(pragma, sizeof(pragma), "PRAGMA cache_size = -%d", VIEW_CACHE_KIB);
    if (rc == SQLITE_OK)
        rc = db_sqlite_exec(view->sql, pragma);
    if (rc == SQLITE_OK)
        rc = db_sqlite_exec(view->sql, "PRAGMA mmap_size = 0");
    return rc;
}

static int view_version(struct db_view *view, struct db_error *reterr)
{
    int64_t version = 0;
    int known = db_migrations[db_migration_count - 1].version;

    int err = db_schema_ours(view->sql, &version, reterr);
    if (err)
        return err;
    if (version > known)
        return db_fail(reterr, -EPROTO,
                       "database %s has version %" PRId64
                       ", made by a newer pailfs; this one knows versions up to %d",
                       view->path, version, known);
    if (version == 0)
        return db_fail(reterr, -ENOENT, "state directory %.*s holds no state yet",
                       (int)(strrchr(view->path, '/') - view->path), view->path);
    if (version < known)
        return db_fail(reterr, -EPROTO,
                       "database %s has version %" PRId64
                       ", made by an older pailfs; this one checks version %d, which the next "
                       "\"pailfs serve\" makes of it",
                       view->path, version, known);
    return 0;
}

static int view_prepare(struct db_view *view, const char *state_dir, struct db_error *reterr)
{
    int err = view_lock(state_dir, &view->lock_fd, reterr);

    if (err)
        return err;
    if (view_file_size(view->path, "") == 0)
        return db_fail(reterr, -ENOENT, "state directory %s holds no state: it has no %s",
                       state_dir, strrchr(view->path, '/') + 1);
    if (view_file_size(view->path, "-journal") > 0)
        return db_fail(reterr, -ENOENT,
                       "state directory %s holds no state yet: its first start did not end",
                       state_dir);
    int rc = view_connect(view);
    if (rc != SQLITE_OK && view->sql)
        return db_sqlite_fail(view->sql, rc, "cannot be opened", reterr);
    return rc != SQLITE_OK ? db_fail(reterr, -ENOMEM, "database %s cannot be opened", view->path)
                           : view_version(view, reterr);
}

int db_view_open(const char *state_dir, struct db_view **ret, struct db_error *reterr)
{
    struct db_view *view = mem_zalloc(sizeof(*view));

    view->path = mem_printf("%s/pailfs.db", state_dir);
    view->lock_fd = -1;
    int err = view_prepare(view, state_dir, reterr);
    if (err) {
        db_view_close(view);
        return err;
    }
    *ret = view;
    return 0;
}

void db_view_close(struct db_view *view)
{
    if (!view)
        return;
    (void)sqlite3_close(view->sql);
    if (view->lock_fd >= 0)
        (void)close(view->lock_fd);
    free(view->path);
    free(view);
}

/* --- questions --- */

void db_view_damage(struct db_view *view, uint32_t max, db_view_damage_fn *fn, void *ctx)
{
    char pragma[64];

    (void)snprintf(pragma, sizeof(pragma), "PRAGMA main.integrity_check(%u)", max);
    struct db_query *query = db_query_new(view, pragma);
    while (db_query_next(query)) {
        const char *text = db_row_text(query, 0);
        if (text && strcmp(text, "ok") != 0)
            fn(ctx, text);
    }
    db_query_free(query);
}

void db_view_exec(struct db_view *view, const char *sql)
{
    int rc = db_sqlite_exec(view->sql, sql);

    if (rc != SQLITE_OK)
        view_fail(view, rc);
}

bool db_view_has_table(struct db_view *view, const char *name)
{
    struct db_query *query =
        db_query_new(view, "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?1");

    db_query_text(query, 1, name);
    bool has = db_query_next(query);
    db_query_free(query);
    return has;
}

struct db_query *db_query_new(struct db_view *view, const char *sql)
{
    struct db_query *query = mem_zalloc(sizeof(*query));

    query->view = view;
    int rc = sqlite3_prepare_v2(view->sql, sql, -1, &query->stmt, NULL);
    if (rc != SQLITE_OK)
        view_fail(view, rc);
    return query;
}

void db_query_free(struct db_query *query)
{
    if (!query)
        return;
    (void)sqlite3_finalize(query->stmt);
    free(query);
}

void db_query_u64(struct db_query *query, int param, uint64_t value)
{
    if (query->stmt)
        db_bind_u64(query->stmt, param, value);
}

void db_query_text(struct db_query *query, int param, const char *value)
{
    if (query->stmt)
        (void)sqlite3_bind_text(query->stmt, param, value, -1, SQLITE_STATIC);
}

bool db_query_next(struct db_query *query)
{
    int rc = query->stmt ? sqlite3_step(query->stmt) : SQLITE_DONE;

    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        view_fail(query->view, rc);
    return rc == SQLITE_ROW;
}

void db_query_reset(struct db_query *query)
{
    (void)sqlite3_reset(query->stmt);
}

void db_query_run(struct db_query *query)
{
    while (db_query_next(query))
        continue;
    db_query_reset(query);
}

uint64_t db_row_u64(const struct db_query *query, int column)
{
    return db_column_u64(query->stmt, column);
}

int64_t db_row_i64(const struct db_query *query, int column)
{
    return sqlite3_column_int64(query->stmt, column);
}

const char *db_row_text(const struct db_query *query, int column)
{
    return (const char *)sqlite3_column_text(query->stmt, column);
}

size_t db_row_bytes(const struct db_query *query, int column)
{
    return (size_t)sqlite3_column_bytes(query->stmt, column);
}

const void *db_row_blob(const struct db_query *query, int column)
{
    return sqlite3_column_blob(query->stmt, column);
}

bool db_row_null(const struct db_query *query, int column)
{
    return sqlite3_column_type(query->stmt, column) == SQLITE_NULL;
}
