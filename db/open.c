/*
 * Opening and closing the database.
 *
 * After an unclean end (its log file is still there) the database is looked over for damage, for
 * DB_CHECK_MS or so: SQLite recovers by itself from a crash, the check is for disks that lied,
 * and must not hold up a restart. Damage elsewhere is found when the damaged page is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/internal.h"

static void open_global(void)
{
    /* Memory statistics would put one global lock into every allocation of every connection. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_initialize();
}

/* Makes the file if it is missing, for its owner only, and its directory entry durable. */
static int open_file(const char *state_dir, const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    CLEANUP_CLOSE int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 || fsync(dir) ? -errno : 0;
}

static bool open_was_unclean(const char *path)
{
    CLEANUP_FREE char *wal = mem_printf("%s-wal", path);
    struct stat st;

    return stat(wal, &st) == 0 && st.st_size > 0;
}

static int open_wal(struct db *db, struct db_error *reterr)
{
    sqlite3 *sql = db->writer.sql;
    sqlite3_stmt *stmt = NULL;
    int err = 0;

    int rc = sqlite3_prepare_v2(sql, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        err = db_sqlite_fail(sql, rc, "cannot be written", reterr);
    else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
        err =
            db_fail(reterr, -ENOTSUP,
                    "database %s: this file system has no shared memory; the state directory must "
                    "be on a local disk",
                    db->path);
    (void)sqlite3_finalize(stmt);
    return err;
}

static int open_prepare(struct db *db, struct db_error *reterr)
{
    bool unclean = open_was_unclean(db->path);
    sqlite3 *sql;

    int err = db_sqlite_open(db->path, SQLITE_OPEN_READWRITE, DB_WRITE_CACHE_KIB, &db->writer.sql);
    if (err)
        return db_fail(reterr, err, "database %s %s: %s", db->path,
                       err == -EUCLEAN ? "is damaged or not a database" : "cannot be opened",
                       strerrordesc_np(-err));
    sql = db->writer.sql;
    err = db_schema_migrate(sql, db_migrations, db_migration_count, reterr);
    if (err)
        return err;
    err = open_wal(db, reterr);
    if (err)
        return err;
    if (unclean) {
        err = db_schema_check(sql, clock_mono_ns() + DB_CHECK_MS * CLOCK_MS, reterr);
        if (err)
            return err;
    }
    err = db_apply_open(db, reterr);
    if (err)
        return err;
    err = db_ids_load(db);
    if (err)
        return db_fail(reterr, err, "database %s: its id counter cannot be read: %s", db->path,
                       strerrordesc_np(-err));
    return db_writer_begin(db, reterr);
}

static void open_free(struct db *db)
{
    db_pool_close(&db->pool);
    db_apply_close(db); /* last: folds the log into the database and removes it */
    (void)pthread_cond_destroy(&db->work);
    (void)pthread_cond_destroy(&db->done);
    (void)pthread_mutex_destroy(&db->lock);
    (void)close(db->lock_fd);
    free(db->path);
    free(db);
}

int db_open(const char *state_dir, struct db **ret, struct db_error *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int lock_fd;

    (void)pthread_once(&once, open_global);
    int err = db_dir_make(state_dir, reterr);
    if (err == 0)
        err = db_lock_take(state_dir, &lock_fd, reterr);
    if (err)
        return err;

    struct db *db = mem_zalloc(sizeof(*db));
    db->path = mem_printf("%s/pailfs.db", state_dir);
    db->lock_fd = lock_fd;
    (void)pthread_mutex_init(&db->lock, NULL);
    thread_cond_init(&db->work);
    thread_cond_init(&db->done);
    STAILQ_INIT(&db->queue);
    db_pool_init(&db->pool);

    err = open_file(state_dir, db->path);
    if (err)
        (void)db_fail(reterr, err, "database %s cannot be opened: %s", db->path,
                      strerrordesc_np(-err));
    else
        err = open_prepare(db, reterr);
    if (err == 0) {
        err = thread_start(&db->writer_thread, "db-writer", db_writer_main, db);
        if (err)
            (void)db_fail(reterr, err, "cannot start a thread: %s", strerrordesc_np(-err));
    }
    if (err) {
        open_free(db);
        return err;
    }
    *ret = db;
    return 0;
}

bool db_close(struct db *db)
{
    if (!db)
        return true;
    (void)pthread_mutex_lock(&db->lock);
    db->stop = true;
    (void)pthread_cond_broadcast(&db->work);
    (void)pthread_mutex_unlock(&db->lock);
    (void)pthread_join(db->writer_thread, NULL);
    bool durable = atomic_load(&db->durable) >= db->submitted;
    open_free(db);
    return durable;
}
