/*
 * The writer thread: takes what is queued, makes it one SQLite transaction, announces it.
 *
 * Invariants:
 * - A sequence number is announced only after the COMMIT that holds it has returned, synced.
 * - A group that failed is tried again before anything newer is, so effects keep their order.
 * - Ids are handed out only below a limit that is durable (ids.c).
 *
 * SQLite's own checkpointing would run inside COMMIT; here it runs between groups, when there is
 * nothing to do or when the log has grown, so that those who wait for a commit seldom wait for it.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "db/internal.h"

enum {
    WAL_PAGES_IDLE = 256,   /* checkpoint when there is nothing to do */
    WAL_PAGES_BUSY = 8192,  /* checkpoint between groups, each time so many were added */
    WAL_PAGES_MUCH = 65536, /* ... and wait for readers, so that the log can begin anew */
    IDLE_MS = 100,
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 10000,
};

static int writer_reserve(struct db *db, uint64_t id_limit)
{
    struct db_txn *txn = db_txn_new(db);

    db_put_number(txn, "id_limit", id_limit);
    int rc = db_apply(&db->writer, txn);
    db_txn_free(txn);
    return rc;
}

/* One attempt at one group. ret_id_limit: 0, or the ids that are reserved now. */
static int writer_commit(struct db *db, const struct db_txn_list *group, uint64_t *ret_id_limit)
{
    struct db_writer *writer = &db->writer;
    const struct db_txn *txn;
    uint64_t id_limit = 0;

    int rc = db_sqlite_exec(writer->sql, "BEGIN IMMEDIATE");
    STAILQ_FOREACH (txn, group, next) {
        if (rc == SQLITE_OK)
            rc = db_apply(writer, txn);
    }
    if (rc == SQLITE_OK)
        rc = db_apply_trim(writer);
    if (rc == SQLITE_OK && db_ids_low(db)) {
        id_limit = db_ids_target(db);
        rc = writer_reserve(db, id_limit);
    }
    if (rc == SQLITE_OK)
        rc = db_sqlite_exec(writer->sql, "COMMIT");
    if (rc != SQLITE_OK) {
        if (!sqlite3_get_autocommit(writer->sql))
            (void)db_sqlite_exec(writer->sql, "ROLLBACK");
        return rc;
    }
    *ret_id_limit = id_limit;
    return SQLITE_OK;
}

int db_writer_begin(struct db *db, struct db_error *reterr)
{
    struct db_txn_list none = STAILQ_HEAD_INITIALIZER(none);
    uint64_t id_limit = 0;

    int rc = writer_commit(db, &none, &id_limit);
    if (rc != SQLITE_OK)
        return db_sqlite_fail(db->writer.sql, rc, "cannot be written", reterr);
    LOCK_SCOPE(&db->lock);
    db_ids_grown(db, id_limit);
    return 0;
}

static void writer_checkpoint(struct db_writer *writer, int mode)
{
    /* A checkpoint that fails loses nothing: the log keeps what it has, and it is tried again. */
    writer->wal_pages_attempted = writer->wal_pages;
    int rc = sqlite3_wal_checkpoint_v2(writer->sql, NULL, mode, NULL, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY)
        log_event(LOG_WARN, "db_checkpoint_failed", "err=%s", LOG_Q(sqlite3_errmsg(writer->sql)));
}

static bool writer_has_work(struct db *db)
{
    return !STAILQ_EMPTY(&db->queue) || db_ids_low(db);
}

/* Waits for work. False: told to stop, and there is none. */
static bool writer_wait(struct db *db)
{
    struct db_writer *writer = &db->writer;

    (void)pthread_mutex_lock(&db->lock);
    while (!writer_has_work(db) && !db->stop) {
        if (writer->wal_pages - writer->wal_pages_attempted < WAL_PAGES_IDLE) {
            (void)thread_cond_wait_until(&db->work, &db->lock, CLOCK_NEVER);
        } else if (!thread_cond_wait_until(&db->work, &db->lock,
                                           clock_mono_ns() + IDLE_MS * CLOCK_MS)) {
            (void)pthread_mutex_unlock(&db->lock);
            writer_checkpoint(writer, SQLITE_CHECKPOINT_PASSIVE);
            (void)pthread_mutex_lock(&db->lock);
        }
    }
    bool work = writer_has_work(db);
    (void)pthread_mutex_unlock(&db->lock);
    return work;
}

/* Moves the next group out of the queue; the sequence number of its last, or 0 if there is none. */
static uint64_t writer_take(struct db *db, struct db_txn_list *group)
{
    uint32_t ops = 0;
    uint64_t seq = 0;
    struct db_txn *txn;

    LOCK_SCOPE(&db->lock);
    while ((txn = STAILQ_FIRST(&db->queue)) && (seq == 0 || ops + txn->ops <= DB_GROUP_OPS)) {
        STAILQ_REMOVE_HEAD(&db->queue, next);
        STAILQ_INSERT_TAIL(group, txn, next);
        ops += txn->ops;
        seq = txn->seq;
    }
    return seq;
}

static void writer_announce(struct db *db, uint64_t seq, uint64_t id_limit)
{
    (void)pthread_mutex_lock(&db->lock);
    if (id_limit > 0)
        db_ids_grown(db, id_limit);
    if (seq > 0) {
        atomic_store(&db->durable, seq);
        (void)pthread_cond_broadcast(&db->done);
    }
    void (*fn)(void *, uint64_t) = db->durable_fn;
    void *ctx = db->durable_ctx;
    (void)pthread_mutex_unlock(&db->lock);
    if (seq > 0 && fn)
        fn(ctx, seq);
}

/* Waits before the next attempt. False: told to stop meanwhile. */
static bool writer_pause(struct db *db, int64_t delay_ms)
{
    int64_t until = clock_mono_ns() + delay_ms * CLOCK_MS;

    (void)pthread_mutex_lock(&db->lock);
    while (!db->stop && thread_cond_wait_until(&db->work, &db->lock, until))
        ;
    bool stop = db->stop;
    (void)pthread_mutex_unlock(&db->lock);
    return !stop;
}

/* Until it has been written. False: told to stop, and tried once more in vain. */
static bool writer_write(struct db *db, const struct db_txn_list *group, uint64_t *ret_id_limit)
{
    int64_t delay_ms = RETRY_MS_MIN;
    bool last = false, failed = false;

    for (;;) {
        int rc = writer_commit(db, group, ret_id_limit);
        if (rc == SQLITE_OK) {
            atomic_store(&db->disk_err, 0);
            if (failed)
                log_event(LOG_INFO, "db_write_recovered", "path=%s", LOG_Q(db->path));
            return true;
        }
        if (!failed)
            atomic_store(&db->disk_err_ns, clock_wall_ns());
        failed = true;
        atomic_store(&db->disk_err, db_sqlite_errno(db->writer.sql, rc));
        log_event(LOG_ERROR, "db_write_failed", "path=%s err=%s code=%d retry_ms=%" PRId64,
                  LOG_Q(db->path), LOG_Q(sqlite3_errstr(rc)), rc, last ? 0 : delay_ms);
        if (last)
            return false;
        last = !writer_pause(db, delay_ms);
        delay_ms = delay_ms * 2 < RETRY_MS_MAX ? delay_ms * 2 : RETRY_MS_MAX;
    }
}

static uint64_t writer_bytes(const struct db_txn *txn)
{
    return sizeof(*txn) + txn->cap;
}

static void writer_free(struct db *db, struct db_txn_list *group)
{
    struct db_txn *txn;

    while ((txn = STAILQ_FIRST(group))) {
        STAILQ_REMOVE_HEAD(group, next);
        atomic_fetch_sub(&db->queued_bytes, writer_bytes(txn));
        db_txn_free(txn);
    }
}

static void writer_give_up(struct db *db, struct db_txn_list *group)
{
    LOCK_SCOPE(&db->lock);
    log_event(LOG_ERROR, "db_lost", "path=%s transactions=%" PRIu64, LOG_Q(db->path),
              db->submitted - atomic_load(&db->durable));
    writer_free(db, group);
    writer_free(db, &db->queue);
}

void *db_writer_main(void *arg)
{
    struct db *db = arg;
    struct db_writer *writer = &db->writer;

    while (writer_wait(db)) {
        struct db_txn_list group = STAILQ_HEAD_INITIALIZER(group);
        uint64_t id_limit = 0;
        uint64_t seq = writer_take(db, &group);

        if (!writer_write(db, &group, &id_limit)) {
            writer_give_up(db, &group);
            break;
        }
        writer_announce(db, seq, id_limit);
        writer_free(db, &group);
        if (writer->wal_pages - writer->wal_pages_attempted >= WAL_PAGES_BUSY)
            writer_checkpoint(writer, writer->wal_pages >= WAL_PAGES_MUCH
                                          ? SQLITE_CHECKPOINT_RESTART
                                          : SQLITE_CHECKPOINT_PASSIVE);
    }
    return NULL;
}

uint64_t db_submit(struct db *db, struct db_txn *txn)
{
    LOCK_SCOPE(&db->lock);
    assert(txn->db == db && !db->stop);
    uint64_t seq = ++db->submitted;
    txn->seq = seq;
    atomic_fetch_add(&db->queued_bytes, writer_bytes(txn));
    if (STAILQ_EMPTY(&db->queue))
        (void)pthread_cond_signal(&db->work);
    STAILQ_INSERT_TAIL(&db->queue, txn, next);
    return seq;
}

uint64_t db_durable(struct db *db)
{
    return atomic_load(&db->durable);
}

int db_health(struct db *db, struct db_health *ret)
{
    int err = atomic_load(&db->disk_err);
    uint64_t queued = atomic_load(&db->queued_bytes);

    if (ret)
        *ret = (struct db_health){.err = err,
                                  .since_ns = err ? atomic_load(&db->disk_err_ns) : 0,
                                  .queued_bytes = queued};
    return err ? err : queued > DB_QUEUE_BYTES_MAX ? -EAGAIN : 0;
}

int db_wait(struct db *db, uint64_t seq, int64_t deadline_ns)
{
    int err = 0;

    if (atomic_load(&db->durable) >= seq)
        return 0;
    (void)pthread_mutex_lock(&db->lock);
    while (err == 0 && atomic_load(&db->durable) < seq)
        if (!thread_cond_wait_until(&db->done, &db->lock, deadline_ns))
            err = atomic_load(&db->durable) >= seq ? 0 : -EAGAIN;
    (void)pthread_mutex_unlock(&db->lock);
    return err;
}

void db_on_durable(struct db *db, void (*fn)(void *ctx, uint64_t seq), void *ctx)
{
    LOCK_SCOPE(&db->lock);
    db->durable_fn = fn;
    db->durable_ctx = ctx;
}
