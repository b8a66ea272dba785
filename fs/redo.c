/*
 * The redo log. A small stable write would need two syncs, one after the other: the stage's, then
 * the database's. Instead its bytes go into the database too, in the transaction that has the
 * extent, and one sync makes both durable. The stage has the bytes all the same, only not for
 * certain on the disk yet. A thread syncs the stage now and then and removes the rows that are not
 * needed any more; at start, what is left of them is written into the segments once more.
 *
 * Rows are numbered anew after each start: none of an earlier run is left by then.
 *
 * Lock: redo->lock, a leaf.
 */
#include "fs/redo.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    REDO_BYTES_MAX = 8 << 20, /* in the log; beyond, writes wait for the stage's sync themselves */
    REDO_TRIM = 1 << 20,      /* bytes after which the stage is synced */
    REDO_TRIM_MS = 1000,      /* or after so long */
    REDO_ROW = 256,           /* what a row costs beside its bytes */
};

struct redo {
    struct fs *fs;
    pthread_mutex_t lock;
    pthread_cond_t work;
    uint64_t last_id;     /* given to a row */
    uint64_t bytes;       /* of the rows that are there */
    uint64_t first, last; /* marks of those that no sync has begun on; first = UINT64_MAX: none */
    bool failed;          /* a sync of the stage: the rows stay, for the next start */
    bool stop, started;
    pthread_t thread;
};

struct redo *redo_new(struct fs *fs)
{
    struct redo *redo = mem_zalloc(sizeof(*redo));

    redo->fs = fs;
    redo->first = UINT64_MAX;
    (void)pthread_mutex_init(&redo->lock, NULL);
    thread_cond_init(&redo->work);
    return redo;
}

void redo_free(struct redo *redo)
{
    if (!redo)
        return;
    (void)pthread_mutex_destroy(&redo->lock);
    (void)pthread_cond_destroy(&redo->work);
    free(redo);
}

/* --- at start --- */

struct redo_load {
    struct fs *fs;
    uint64_t count;
    int err;
};

static bool redo_load_row(void *ctx, const struct db_redo *row)
{
    struct redo_load *load = ctx;
    int err =
        stage_restore(load->fs->stage, row->segment, row->salt, row->pos, row->data, row->len);

    load->count++;
    if (err == -EINVAL) { /* damage; if somebody needs it, adopting the extent will tell */
        log_event(LOG_ERROR, "redo_damaged", "segment=%016" PRIx64 " pos=%" PRIu64 " len=%zu",
                  row->segment, row->pos, row->len);
        return true;
    }
    load->err = err;
    return !err;
}

int redo_load(struct redo *redo, struct fs_error *reterr)
{
    struct redo_load load = {.fs = redo->fs};
    int err = db_each_redo(redo->fs->db, redo_load_row, &load);

    if (!err)
        err = load.err;
    if (err)
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%s/stage: bytes that the database has cannot be put back: %s",
                       redo->fs->state_dir, strerrordesc_np(-err));
    if (err || load.count == 0)
        return err;
    struct db_txn *txn = db_txn_new(redo->fs->db);
    db_del_redo(txn, UINT64_MAX);
    (void)db_submit(redo->fs->db, txn); /* before the first new row: the order holds */
    return 0;
}

/* --- writing --- */

bool redo_has_room(struct redo *redo, uint64_t len)
{
    LOCK_SCOPE(&redo->lock);
    return !redo->failed && redo->bytes + len + REDO_ROW <= REDO_BYTES_MAX;
}

/* A number for a row of so many bytes. */
static uint64_t redo_count(struct redo *redo, uint64_t mark, uint64_t bytes)
{
    LOCK_SCOPE(&redo->lock);
    if (mark < redo->first)
        redo->first = mark;
    if (mark > redo->last)
        redo->last = mark;
    if (redo->bytes == 0 || redo->bytes + bytes >= REDO_TRIM)
        (void)pthread_cond_signal(&redo->work);
    redo->bytes += bytes;
    return ++redo->last_id;
}

void redo_put(struct redo *redo, struct change *c, uint64_t segment, uint64_t pos, uint64_t mark,
              const struct iovec *iov, int iov_count)
{
    char data[REDO_MAX];
    struct db_redo row = {
        .segment = segment, .salt = stage_salt(redo->fs->stage, segment), .pos = pos, .data = data};

    for (int i = 0; i < iov_count; i++) {
        assert(row.len + iov[i].iov_len <= sizeof(data));
        memcpy(data + row.len, iov[i].iov_base, iov[i].iov_len);
        row.len += iov[i].iov_len;
    }
    row.id = redo_count(redo, mark, row.len + REDO_ROW);
    db_put_redo(c->txn, &row);
}

/* --- trimming --- */

/* With the lock held, which is let go meanwhile. */
static void redo_trim(struct redo *redo)
{
    uint64_t bytes = redo->bytes, id = redo->last_id, first = redo->first, last = redo->last;

    redo->first = UINT64_MAX;
    (void)pthread_mutex_unlock(&redo->lock);
    int err = stage_sync(redo->fs->stage, first, last);
    if (err) {
        log_event(LOG_ERROR, "redo_sync_failed", "err=%s note=%s", strerrordesc_np(-err),
                  LOG_Q("the bytes are kept in the database until the next start"));
    } else {
        struct db_txn *txn = db_txn_new(redo->fs->db);
        db_del_redo(txn, id);
        (void)db_submit(redo->fs->db, txn);
    }
    (void)pthread_mutex_lock(&redo->lock);
    redo->failed = redo->failed || err != 0;
    redo->bytes -= bytes;
}

static void *redo_main(void *arg)
{
    struct redo *redo = arg;

    (void)pthread_mutex_lock(&redo->lock);
    while (!redo->failed && (!redo->stop || redo->bytes > 0)) {
        if (redo->bytes == 0) {
            (void)thread_cond_wait_until(&redo->work, &redo->lock, CLOCK_NEVER);
            continue;
        }
        int64_t until = clock_mono_ns() + REDO_TRIM_MS * CLOCK_MS;
        while (!redo->stop && redo->bytes < REDO_TRIM &&
               thread_cond_wait_until(&redo->work, &redo->lock, until))
            ;
        redo_trim(redo);
    }
    (void)pthread_mutex_unlock(&redo->lock);
    return NULL;
}

int redo_start(struct redo *redo)
{
    int err = thread_start(&redo->thread, "fs-redo", redo_main, redo);

    redo->started = err == 0;
    return err;
}

void redo_stop(struct redo *redo)
{
    if (!redo->started)
        return;
    (void)pthread_mutex_lock(&redo->lock);
    redo->stop = true;
    (void)pthread_cond_signal(&redo->work);
    (void)pthread_mutex_unlock(&redo->lock);
    (void)pthread_join(redo->thread, NULL);
    redo->started = false;
}
