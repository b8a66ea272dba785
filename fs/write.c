/* Writing: payload into the stage, extent into the map. */
#include "fs/fs_int.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "fs/redo.h"
#include "fs/write.h"

enum { WRITE_INLINE_MAX = 64 << 10 }; /* above this a copy goes to a worker thread */

struct write_args {
    uint64_t ino, off, len;
    enum fs_stable stable;
    struct fs_wcc *wcc;
    const struct iovec *iov;
    int iov_count;
    uint64_t segment, pos, mark;
    bool staged, inserted;
};

void write_wcc_before(const struct inode *ino, const struct fs_volume *vol, struct fs_wcc *wcc)
{
    struct fs_attr attr;

    inode_attr(ino, vol, &attr);
    wcc->before_valid = true;
    wcc->before_size = attr.size;
    wcc->before_mtime_ns = attr.mtime_ns;
    wcc->before_ctime_ns = attr.ctime_ns;
}

int write_check(struct fs_volume *vol, struct fs_req *req, const struct inode *ino, uint64_t off,
                uint64_t len)
{
    if (ino->type != FS_REG)
        return ino->type == FS_DIR ? -EISDIR : -EINVAL;
    int err = pressure_change(vol, req);
    if (err)
        return err;
    /* The owner may, whatever the bits say (open, then chmod; cp of a 0444 file). */
    if (req->cred.uid != ino->uid && access_check(ino, req, 2))
        return -EACCES;
    uint64_t max = vol->caps.object_max && vol->caps.object_max < FS_FILE_MAX ? vol->caps.object_max
                                                                              : FS_FILE_MAX;
    if (off > max || len > max - off)
        return -EFBIG;
    return 0;
}

void write_changed(struct fs_volume *vol, struct fs_req *req, struct inode *ino, uint64_t end)
{
    if (end > ino->size)
        ino->size = end;
    if (req->cred.uid != 0)
        attr_drop_setid(ino); /* written to: no longer what was trusted */
    inode_stamp(ino, true);
    ino->flags |= INODE_DIRTY | INODE_META_KNOWN;
    dirty_update(vol, ino, WRITE_UNSTABLE_DELAY_MS * CLOCK_MS);
    invalid_content(vol, req, ino);
}

static void write_insert(struct fs_volume *vol, struct fs_req *req, struct write_args *a,
                         struct inode *ino)
{
    if (!ino->extents)
        ino->extents = extent_map_new(vol->fs->stage);
    extent_map_insert(ino->extents, a->off, a->len, ++ino->write_version, a->segment, a->pos);
    commit_note_mark(ino, a->mark);
    write_changed(vol, req, ino, a->off + a->len);
    a->inserted = true;
}

/* Whether the database's sync alone can make it durable. That is so if nothing else of the file
 * waits for the stage's. */
static bool write_may_redo(struct fs_volume *vol, const struct write_args *a,
                           const struct inode *ino)
{
    return a->stable != FS_UNSTABLE && a->len > 0 && a->len <= REDO_MAX &&
           ino->synced_mark >= ino->stage_mark && (!a->staged || a->mark > ino->stage_mark) &&
           redo_has_room(vol->fs->redo, a->len);
}

/* The bytes go into the database, together with the extent. */
static void write_redo(struct fs_volume *vol, const struct write_args *a, struct inode *ino)
{
    struct change c;

    change_begin(&c, vol);
    redo_put(vol->fs->redo, &c, a->segment, a->pos, a->mark, a->iov, a->iov_count);
    commit_flush(&c, ino);
    change_end(&c, NULL);
    ino->synced_mark = a->mark;
    ino->first_mark = a->mark + 1;
}

/* Looks whether it may be written, and if it is staged, does so. */
static int write_take(struct fs_volume *vol, struct fs_req *req, struct write_args *a,
                      struct inode *ino)
{
    int err = write_check(vol, req, ino, a->off, a->len);
    bool redo = write_may_redo(vol, a, ino);

    if (!err)
        err = commit_take_late(ino);
    if (!err && a->stable != FS_UNSTABLE && !redo && (req->flags & FS_NOWAIT))
        return -EAGAIN;
    if (err || !a->staged)
        return err;
    write_wcc_before(ino, vol, a->wcc);
    if (a->len > 0)
        write_insert(vol, req, a, ino);
    a->inserted = true;
    if (redo)
        write_redo(vol, a, ino);
    return 0;
}

static int write_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct write_args *a = args;
    struct inode *ino;
    uint64_t seq = 0;
    int err = a->inserted ? need_inode(vol, req, a->ino, &ino) : need_fresh(vol, req, a->ino, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    if (!a->inserted)
        err = write_take(vol, req, a, ino);
    inode_attr(ino, vol, &a->wcc->after);
    a->wcc->after_valid = true;
    if (err || !a->inserted || a->stable == FS_UNSTABLE)
        return err;
    err = commit_inode(vol, req, ino, &seq);
    if (err && err != -ERESTART && err != -EAGAIN)
        (void)commit_take_late(ino); /* told by this */
    if (!err)
        dirty_update(vol, ino, vol->fs->config.quiet_ns);
    req->seq = seq;
    return err;
}

static int write_stage(struct fs_volume *vol, struct fs_req *req, struct write_args *a,
                       const struct iovec *iov, int iov_count)
{
    int err = pressure_slow(vol->fs, req);

    while (!err) {
        err = stage_append(vol->fs->stage, iov, iov_count, &a->segment, &a->pos, &a->mark);
        if (err != -ENOSPC)
            return err;
        err = pressure_full(vol, req);
        if (err == -ERESTART)
            err = 0;
    }
    return err;
}

int fs_write(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
             const struct iovec *iov, int iov_count, enum fs_stable stable, struct fs_wcc *wcc)
{
    struct write_args a = {
        .ino = ino, .off = off, .stable = stable, .wcc = wcc, .iov = iov, .iov_count = iov_count};

    for (int i = 0; i < iov_count; i++)
        a.len += iov[i].iov_len;
    *wcc = (struct fs_wcc){0};
    if ((req->flags & FS_NOWAIT) &&
        a.len > (stable == FS_UNSTABLE ? (uint64_t)WRITE_INLINE_MAX : (uint64_t)REDO_MAX))
        return -EAGAIN;
    int err = op_run(vol, req, write_try, &a);
    if (err)
        return err;
    if (a.len > 0)
        err = write_stage(vol, req, &a, iov, iov_count);
    a.staged = true;
    if (!err)
        err = op_run(vol, req, write_try, &a);
    if (a.len > 0 && a.mark && !a.inserted && err != 0)
        stage_unref(vol->fs->stage, a.segment, a.pos, a.len);
    return err;
}
