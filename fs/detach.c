/*
 * Taking a file off its base. A renamed file keeps its base under the old key until it is placed;
 * now and then it cannot be placed while somebody else needs that key: two files that swapped names
 * wait for each other, and a file that stays local (.nfs*, or open and removed) is never placed at
 * all. Then the bytes of the base that still count are fetched into the stage, and the base is let
 * go.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { DETACH_CHUNK = 1 << 20, DETACH_DEADLINE_S = 60 };

struct detach {
    struct inode *ino;
    char *etag;   /* of the base that is being fetched */
    uint64_t off; /* fetched so far */
    struct reader_file *file;
    uint64_t len; /* of the chunk to fetch; 0: all is there */
};

static bool detach_same_base(const struct detach *d)
{
    const struct inode *ino = d->ino;

    return !(ino->flags & INODE_GONE) && ino->base_etag && d->etag &&
           strcmp(ino->base_etag, d->etag) == 0;
}

/* What to fetch next, under the lock. */
static int detach_next_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct detach *d = args;
    int err = d->ino->flags & INODE_GONE ? -ESTALE : need_path(vol, req, d->ino);

    if (!err && (d->ino->flags & INODE_ORPHAN) && !d->etag)
        err = flight_known(vol, req, d->ino); /* its last upload may have replaced the base */

    if (err)
        return err;
    if (!d->etag)
        d->etag = mem_strdup(d->ino->base_etag);
    if (!detach_same_base(d))
        return -ESTALE; /* it has another base by now: nothing to do here */
    /* The next range that nothing newer covers. */
    uint64_t end = d->ino->base_len;
    const struct extent_map *map = d->ino->extents;
    const struct extent *e = map ? extent_map_find(map, d->off) : NULL;
    for (; e && e->off <= d->off; e = extent_map_next(map, e))
        d->off = e->off + e->len;
    if (e && e->off < end)
        end = e->off;
    d->len = d->off < end ? end - d->off : 0;
    if (d->len > DETACH_CHUNK)
        d->len = DETACH_CHUNK;
    d->file = d->len > 0 ? read_file(vol, d->ino) : NULL;
    return d->len > 0 && !d->file ? -EIO : 0;
}

/* Puts the parts of a fetched chunk into the map that nothing newer covers. Lock held. */
static void detach_insert(struct fs_volume *vol, const struct detach *d, uint64_t segment,
                          uint64_t pos, uint64_t mark)
{
    struct inode *ino = d->ino;
    uint64_t at = d->off, end = d->off + d->len;

    if (!ino->extents)
        ino->extents = extent_map_new(vol->fs->stage);
    if (end > ino->base_len)
        end = ino->base_len; /* truncated meanwhile */
    while (at < end) {
        const struct extent *e = extent_map_find(ino->extents, at);
        uint64_t gap_end = e && e->off < end ? e->off : end;
        uint64_t next = e && e->off < end ? e->off + e->len : end;
        if (at < gap_end) {
            stage_ref(vol->fs->stage, segment, pos + (at - d->off), gap_end - at);
            extent_map_insert(ino->extents, at, gap_end - at, ++ino->write_version, segment,
                              pos + (at - d->off));
        }
        at = next;
    }
    commit_note_mark(ino, mark);
    ino->flags |= INODE_DIRTY;
}

static int detach_chunk(struct fs_volume *vol, struct detach *d, int64_t deadline_ns)
{
    CLEANUP_FREE char *buf = mem_alloc(d->len);
    struct iovec iov = {.iov_base = buf, .iov_len = d->len};
    uint64_t segment, pos, mark;
    int err = reader_copy(d->file, d->off, d->len, deadline_ns, buf);

    if (!err)
        err = stage_append(vol->fs->stage, &iov, 1, &segment, &pos, &mark);
    if (err)
        return err;
    vol_lock(vol);
    if (detach_same_base(d))
        detach_insert(vol, d, segment, pos, mark);
    else
        err = -ESTALE;
    vol_unlock(vol);
    stage_unref(vol->fs->stage, segment, pos, d->len); /* the map has references of its own */
    d->off += d->len;
    return err;
}

/* All is in the stage: durable, then without the base. */
static int detach_finish_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct detach *d = args;
    struct change c;
    uint64_t seq;
    int err = detach_same_base(d) ? commit_inode(vol, req, d->ino, &seq) : -ESTALE;

    if (!err)
        err = op_wait_durable(vol, req, seq);
    if (err)
        return err;
    change_begin(&c, vol);
    inode_set_base(vol, d->ino, NULL, NULL, 0);
    d->ino->flags &= ~(uint32_t)INODE_PLACE;
    d->ino->flags |= INODE_DIRTY;
    vol->path_gen++;
    change_row(&c, d->ino);
    change_end(&c, NULL);
    return 0;
}

int detach_fetch(struct fs_volume *vol, struct inode *ino)
{
    struct detach d = {.ino = ino};
    struct fs_req req = op_internal(clock_mono_ns() + DETACH_DEADLINE_S * CLOCK_S);
    int err;

    do {
        err = op_run(vol, &req, detach_next_try, &d);
        if (!err && d.len > 0)
            err = detach_chunk(vol, &d, req.deadline_ns);
        reader_file_unref(d.file);
        d.file = NULL;
        req.deadline_ns = clock_mono_ns() + DETACH_DEADLINE_S * CLOCK_S;
    } while (!err && d.len > 0);
    if (!err)
        err = op_run(vol, &req, detach_finish_try, &d);
    free(d.etag);
    return err;
}

void detach_run(struct fs_volume *vol, struct inode *ino)
{
    int err = detach_fetch(vol, ino);

    vol_lock(vol);
    ino->flags &= ~(uint32_t)(INODE_UPLOADING | INODE_DETACH);
    mpu_drop_gone(vol, ino);
    if (ino->flags & INODE_GONE)
        flight_remove(vol, ino); /* that of before a crash: its deletion waits for this */
    else
        dirty_update(vol, ino, err ? CLOCK_S : 0);
    if (ino->flags & INODE_ORPHAN)
        orphan_detached(vol, ino, err);
    inode_unpin(vol, ino);
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
    upload_kick(vol->fs);
}
