/* From "written" to "durable": stage synced, extent map and row in the database. */
#include "fs/fs_int.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"

void commit_lost(struct fs *fs)
{
    atomic_fetch_add(&fs->verifier, 1);
}

void commit_note_mark(struct inode *ino, uint64_t mark)
{
    if (ino->synced_mark >= ino->stage_mark || mark < ino->first_mark)
        ino->first_mark = mark;
    if (mark <= ino->synced_mark)
        ino->synced_mark = mark - 1; /* of an append that came late: its sync may have failed */
    if (mark > ino->stage_mark)
        ino->stage_mark = mark;
    if (mark < ino->rescue_mark)
        ino->rescue_mark = mark;
}

void commit_late_error(struct inode *ino, int err)
{
    if (err != ino->told_err || ino->write_version != ino->told_version)
        ino->sticky_err = err;
}

int commit_take_late(struct inode *ino)
{
    int err = ino->sticky_err;

    if (err) {
        ino->told_err = err;
        ino->told_version = ino->write_version;
        ino->sticky_err = 0;
        ino->lost_bytes = false;
    }
    return err;
}

void commit_clear_late(struct inode *ino)
{
    if (!ino->lost_bytes)
        ino->sticky_err = ino->told_err = 0;
}

struct commit_rows {
    struct change *c;
    struct inode *ino;
};

static void commit_del(void *ctx, uint64_t off)
{
    struct commit_rows *rows = ctx;

    db_del_extent(rows->c->txn, rows->ino->id, off);
}

static void commit_put(void *ctx, const struct extent *e)
{
    struct commit_rows *rows = ctx;
    struct db_extent row = {.inode = rows->ino->id,
                            .off = e->off,
                            .len = e->len,
                            .version = e->version,
                            .segment = e->segment,
                            .pos = e->pos};
    db_put_extent(rows->c->txn, &row);
}

void commit_flush(struct change *c, struct inode *ino)
{
    struct commit_rows rows = {.c = c, .ino = ino};

    if (ino->flags & INODE_ORPHAN) {
        orphan_changed(c->vol, ino);
        return;
    }
    if (ino->extents)
        change_grave(c, extent_map_flush(ino->extents, commit_del, commit_put, &rows));
    ino->disk_size = ino->size;
    change_row(c, ino);
}

/* A sync of ino's bytes failed. Once they are staged again and looked at again; if that fails too
 * the caller is told. */
static int commit_sync_failed(struct fs_volume *vol, struct inode *ino, int err)
{
    log_event(LOG_ERROR, "stage_sync_failed", "ino=%lu err=%s", (unsigned long)ino->id,
              strerrordesc_np(-err));
    if (!(ino->flags & (INODE_RESCUED | INODE_GONE)) && ino->extents) {
        ino->flags |= INODE_RESCUED;
        err = rescue_run(vol, ino);
        if (!err)
            return -ERESTART;
    }
    ino->flags &= ~(uint32_t)INODE_RESCUED;
    commit_lost(vol->fs);
    return err == -ENOSPC ? -ENOSPC : -EIO;
}

/* What is written of ino goes to the disk; -ERESTART when it is there. */
static int commit_sync(struct fs_volume *vol, struct fs_req *req, struct inode *ino)
{
    uint64_t first = ino->first_mark, mark = ino->stage_mark;

    if (ino->flags & INODE_RESCUING)
        return op_wait(vol, req);
    if ((req->flags & FS_NOWAIT) || clock_mono_ns() >= req->deadline_ns)
        return -EAGAIN;
    inode_pin(vol, ino);
    vol_unlock(vol);
    int err = stage_sync(vol->fs->stage, first, mark);
    vol_lock(vol);
    if (err && !(ino->flags & INODE_RESCUING)) {
        err = commit_sync_failed(vol, ino, err);
    } else if (!err) {
        ino->flags &= ~(uint32_t)INODE_RESCUED;
        if (ino->synced_mark < mark && ino->first_mark >= first) {
            ino->synced_mark = mark;
            ino->first_mark = mark + 1;
        }
        err = -ERESTART; /* writes that came meanwhile are not synced yet: look again */
    } else {
        err = -ERESTART; /* somebody else saves what can be saved */
    }
    inode_unpin(vol, ino);
    return err;
}

/* There is something to tell the database. */
static bool commit_waits(const struct inode *ino)
{
    return ino->disk_size != ino->size || (ino->extents && extent_map_unflushed(ino->extents));
}

int commit_inode(struct fs_volume *vol, struct fs_req *req, struct inode *ino, uint64_t *ret_seq)
{
    bool unflushed = ino->extents && extent_map_unflushed(ino->extents);
    struct change c;

    if (ino->flags & INODE_ORPHAN) { /* no crash would leave anything of it */
        *ret_seq = 0;
        return 0;
    }
    if (unflushed && ino->synced_mark < ino->stage_mark)
        return commit_sync(vol, req, ino);
    if (commit_waits(ino)) {
        change_begin(&c, vol);
        commit_flush(&c, ino);
        change_end(&c, NULL);
    }
    *ret_seq = ino->seq;
    return 0;
}

struct commit_args {
    uint64_t ino;
    struct fs_wcc *wcc;
    bool kicked;
};

/* The answer waits for the object in the store. */
static bool commit_to_store(const struct fs_volume *vol, const struct fs_req *req)
{
    return (req->flags & FS_TO_STORE) || (vol->fs->config.commit_store && !(req->flags & FS_LOCAL));
}

static int commit_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct commit_args *a = p;
    struct inode *ino;
    uint64_t seq = 0;
    int err = need_inode(vol, req, a->ino, &ino);

    if (err)
        return err;
    err = need_path(vol, req, ino);
    if (err)
        return err;
    write_wcc_before(ino, vol, a->wcc); /* COMMIT changes no attribute: before is after */
    inode_attr(ino, vol, &a->wcc->after);
    a->wcc->after_valid = true;
    if (ino->type != FS_REG)
        return -EINVAL;
    /* "No space" would make the client forget bytes that the stage has. */
    err = commit_waits(ino) && pressure_db(vol->fs) ? -EAGAIN : 0;
    if (!err)
        err = commit_inode(vol, req, ino, &seq);
    if (err != -ERESTART && err != -EAGAIN) {
        int late = commit_take_late(ino);
        err = err ? err : late;
    }
    if (err)
        return err;
    req->seq = seq;
    if ((ino->flags & INODE_TO_STORE) && !(ino->flags & INODE_UPLOADING) && !a->kicked &&
        !((req->flags & FS_AGAIN) && ino->tries > 0)) {
        dirty_update(vol, ino, commit_to_store(vol, req) ? 0 : vol->fs->config.quiet_ns);
        a->kicked = true;
        if (commit_to_store(vol, req))
            upload_kick(vol->fs);
    }
    if (!commit_to_store(vol, req) || dirty_silly(ino) ||
        !(ino->flags & (INODE_TO_STORE | INODE_UPLOADING)))
        return 0;
    return op_wait(vol, req); /* the upload's end is announced on vol->cond */
}

int fs_commit(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint32_t count,
              struct fs_wcc *wcc)
{
    struct commit_args a = {.ino = ino, .wcc = wcc};

    (void)off; /* whole files: a range costs the same sync */
    (void)count;
    *wcc = (struct fs_wcc){0};
    return op_run(vol, req, commit_try, &a);
}
