/*
 * Holes: SEEK_DATA and SEEK_HOLE, and fallocate(2).
 *
 * A range that is made zeros becomes an extent of zeros, which takes no room in the stage. So it
 * lies over the base, or over what an upload that is under way makes the base, as any write does.
 * In the bucket there are no holes: an upload sends zeros for them.
 */
#include <errno.h>

#include "fs/fs_int.h"
#include "fs/write.h"

/* --- seek --- */

struct seek_args {
    uint64_t ino, off, found;
    bool hole;
};

/* The extent that off lies in, or NULL and where the next one begins. */
static const struct extent *extent_at(const struct inode *ino, uint64_t off, uint64_t *ret_next)
{
    const struct extent *e = ino->extents ? extent_map_find(ino->extents, off) : NULL;

    *ret_next = e ? e->off : ino->size;
    return e && e->off <= off ? e : NULL;
}

/* Where data begins, at or after off; the size if nowhere. */
static uint64_t seek_data(const struct inode *ino, uint64_t off)
{
    uint64_t next;

    while (off < ino->size) {
        const struct extent *e = extent_at(ino, off, &next);
        if (e ? e->segment != STAGE_ZEROS : off < ino->base_len)
            return off;
        off = e ? e->off + e->len : next;
    }
    return ino->size;
}

static uint64_t seek_hole(const struct inode *ino, uint64_t off)
{
    uint64_t next;

    while (off < ino->size) {
        const struct extent *e = extent_at(ino, off, &next);
        if (e ? e->segment == STAGE_ZEROS : off >= ino->base_len)
            return off;
        off = e ? e->off + e->len : next < ino->base_len ? next : ino->base_len;
    }
    return ino->size;
}

static int seek_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct seek_args *a = p;
    struct inode *ino;
    int err = need_fresh(vol, req, a->ino, &ino);

    if (err)
        return err;
    if (ino->type != FS_REG)
        return ino->type == FS_DIR ? -EISDIR : -EINVAL;
    /* As for reading. */
    if (req->cred.uid != ino->uid && access_check(ino, req, 4) && access_check(ino, req, 1))
        return -EACCES;
    if (a->off >= ino->size)
        return -ENXIO;
    a->found = a->hole ? seek_hole(ino, a->off) : seek_data(ino, a->off);
    return !a->hole && a->found >= ino->size ? -ENXIO : 0;
}

int fs_seek(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, bool hole,
            uint64_t *ret_off)
{
    struct seek_args a = {.ino = ino, .off = off, .hole = hole};
    int err = op_run(vol, req, seek_try, &a);

    if (!err)
        *ret_off = a.found;
    return err;
}

/* --- allocate --- */

struct allocate_args {
    uint64_t ino, off, len;
    uint32_t flags;
    uint64_t room; /* bytes that the store has for more */
    struct fs_wcc *wcc;
};

/* The bytes of [off, end) are zeros from now on. */
static void allocate_zeros(struct fs_volume *vol, struct inode *ino, uint64_t off, uint64_t end)
{
    if (!ino->extents)
        ino->extents = extent_map_new(vol->fs->stage);
    extent_map_insert(ino->extents, off, end - off, ++ino->write_version, STAGE_ZEROS, off);
}

static int allocate_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct allocate_args *a = p;
    struct inode *ino;
    int err = need_fresh(vol, req, a->ino, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    inode_attr(ino, vol, &a->wcc->after);
    a->wcc->after_valid = true;
    err = write_check(vol, req, ino, a->off, a->len);
    if (err)
        return err;
    uint64_t end = a->off + a->len, below = end < ino->size ? end : ino->size;
    bool zeros = (a->flags & (FS_ALLOCATE_PUNCH | FS_ALLOCATE_ZERO)) && a->off < below;
    uint64_t more = end > ino->size ? end - ino->size : 0;
    if (!(a->flags & FS_ALLOCATE_PUNCH) && more > a->room)
        return -ENOSPC;
    if (a->flags & FS_ALLOCATE_KEEP_SIZE)
        more = 0;
    if (!zeros && more == 0)
        return 0;
    write_wcc_before(ino, vol, a->wcc);
    if (zeros)
        allocate_zeros(vol, ino, a->off, below);
    else
        ino->write_version++; /* longer, by a hole */
    write_changed(vol, req, ino, more > 0 ? end : 0);
    inode_attr(ino, vol, &a->wcc->after);
    return 0;
}

int fs_allocate(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint64_t len,
                uint32_t flags, struct fs_wcc *wcc)
{
    struct allocate_args a = {
        .ino = ino, .off = off, .len = len, .flags = flags, .room = UINT64_MAX, .wcc = wcc};
    uint64_t total, room;

    *wcc = (struct fs_wcc){0};
    switch (flags) {
    case 0:
    case FS_ALLOCATE_KEEP_SIZE:
    case FS_ALLOCATE_ZERO:
    case FS_ALLOCATE_ZERO | FS_ALLOCATE_KEEP_SIZE:
        if (req->flags & FS_NOWAIT)
            return -EAGAIN; /* asks a disk for its room */
        store_get_space(vol->store, &total, &room);
        a.room = total ? room : UINT64_MAX;
        break;
    case FS_ALLOCATE_PUNCH | FS_ALLOCATE_KEEP_SIZE:
        break;
    default:
        return -ENOTSUP;
    }
    if (len == 0)
        return -EINVAL;
    return op_run(vol, req, allocate_try, &a);
}
