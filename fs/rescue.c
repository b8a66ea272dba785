/*
 * After a failed sync the kernel may have dropped what it could not write. But as long as we live
 * the bytes are mostly still in its page cache, and a checksum tells whether they are what was
 * written: they are appended again, to a new segment. What cannot be read any more is lost; the
 * write verifier changes, the file's client is told once, and reading the range gives EIO until it
 * is overwritten.
 */
#include "fs/fs_int.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

/* Those parts of old that the map still has go to their new place. Lock held. */
static void rescue_insert(struct fs_volume *vol, struct inode *ino, const struct extent *old,
                          uint64_t segment, uint64_t pos)
{
    uint64_t at = old->off, end = old->off + old->len;

    while (at < end) {
        const struct extent *e = extent_map_find(ino->extents, at);
        if (!e || e->off >= end)
            break;
        uint64_t from = e->off > at ? e->off : at;
        uint64_t to = e->off + e->len < end ? e->off + e->len : end;
        uint64_t in_old = from - old->off;
        at = to;
        if (e->kept || e->version != old->version || e->segment != old->segment ||
            e->pos + (from - e->off) != old->pos + in_old)
            continue; /* newer */
        stage_ref(vol->fs->stage, segment, pos + in_old, to - from);
        extent_map_insert(ino->extents, from, to - from, old->version, segment, pos + in_old);
    }
}

/* One extent, without the lock. Counts bytes that are lost. */
static int rescue_extent(struct fs_volume *vol, struct inode *ino, const struct extent *old,
                         uint64_t *lost)
{
    CLEANUP_FREE char *buf = mem_alloc(old->len);
    struct iovec iov = {.iov_base = buf, .iov_len = old->len};
    uint64_t segment, pos, mark;

    int err = stage_try_read(vol->fs->stage, old->segment, old->pos, buf, old->len);
    if (err == -EBADMSG) {
        *lost += old->len;
        return 0;
    }
    if (!err)
        err = stage_append(vol->fs->stage, &iov, 1, &segment, &pos, &mark);
    if (err)
        return err;
    vol_lock(vol);
    if (ino->extents && !(ino->flags & INODE_GONE)) {
        rescue_insert(vol, ino, old, segment, pos);
        commit_note_mark(ino, mark);
    }
    vol_unlock(vol);
    stage_unref(vol->fs->stage, segment, pos, old->len); /* the map has references of its own */
    return 0;
}

int rescue_run(struct fs_volume *vol, struct inode *ino)
{
    struct extent_snapshot old;
    uint64_t lost = 0;
    int err = 0;

    extent_map_unkept(ino->extents, &old);
    size_t count = old.count;
    ino->flags |= INODE_RESCUING;
    ino->rescue_mark = UINT64_MAX;
    vol_unlock(vol);
    for (size_t i = 0; i < old.count && !err; i++) {
        if (old.extents[i].segment == STAGE_ZEROS)
            continue; /* nothing of them could be lost */
        err = rescue_extent(vol, ino, &old.extents[i], &lost);
    }
    extent_snapshot_clear(&old);
    vol_lock(vol);
    ino->flags &= ~(uint32_t)INODE_RESCUING;
    (void)pthread_cond_broadcast(&vol->cond);
    log_event(err || lost ? LOG_ERROR : LOG_WARN, "stage_rescue",
              "ino=%lu extents=%zu lost_bytes=%lu err=%s", (unsigned long)ino->id, count,
              (unsigned long)lost, err ? strerrordesc_np(-err) : "none");
    if (lost > 0) {
        commit_lost(vol->fs);
        ino->sticky_err = -EIO;
    }
    if (err)
        return err;
    if (ino->rescue_mark == UINT64_MAX)
        ino->synced_mark = ino->stage_mark; /* nothing is left that a sync could help */
    else
        ino->first_mark = ino->rescue_mark;
    return 0;
}
