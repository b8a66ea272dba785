/* Holes: SEEK_DATA and SEEK_HOLE, and fallocate(2). */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "fs/fs_int.h"

/* --- seek --- */

struct seek_args {
    uint64_t ino, off, found;
    bool hole;
};

/* Where data begins at or after off; the size if nowhere. */
static uint64_t seek_data(const struct inode *ino, uint64_t off)
{
    const struct extent *e = ino->extents ? extent_map_find(ino->extents, off) : NULL;

    if (off < ino->base_len || (e && e->off <= off))
        return off;
    return e ? e->off : ino->size;
}

static uint64_t seek_hole(const struct inode *ino, uint64_t off)
{
    const struct extent *e;

    while (off < ino->size) {
        if (off < ino->base_len) {
            off = ino->base_len;
            continue;
        }
        e = ino->extents ? extent_map_find(ino->extents, off) : NULL;
        if (!e || e->off > off)
            return off;
        off = e->off + e->len;
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
    if (!(req->flags & FS_CHECKED) && req->cred.uid != ino->uid &&
        !(access_bits(ino, &req->cred) & 5))
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

/* Zeros as bytes, in pieces. */
static int allocate_write(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
                          uint64_t end, struct fs_wcc *wcc)
{
    void *zeros = mem_zalloc(FS_IO_MAX);
    int err = 0;

    while (off < end && !err) {
        size_t len = end - off < FS_IO_MAX ? end - off : FS_IO_MAX;
        struct iovec iov = {.iov_base = zeros, .iov_len = len};
        err = fs_write(vol, req, ino, off, &iov, 1, FS_UNSTABLE, wcc);
        off += len;
    }
    free(zeros);
    return err;
}

int fs_allocate(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint64_t len,
                uint32_t flags, struct fs_wcc *wcc)
{
    uint64_t end = off + len;
    struct fs_attr attr;

    *wcc = (struct fs_wcc){0};
    if (flags & ~(uint32_t)(FS_ALLOCATE_KEEP_SIZE | FS_ALLOCATE_PUNCH | FS_ALLOCATE_ZERO))
        return -ENOTSUP;
    if ((flags & FS_ALLOCATE_PUNCH) &&
        (!(flags & FS_ALLOCATE_KEEP_SIZE) || (flags & FS_ALLOCATE_ZERO)))
        return -ENOTSUP;
    if (len == 0)
        return -EINVAL;
    if (off > FS_FILE_MAX || len > FS_FILE_MAX - off)
        return -EFBIG;
    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    int err = fs_getattr(vol, req, ino, &attr);
    if (err)
        return err;
    if (flags & (FS_ALLOCATE_PUNCH | FS_ALLOCATE_ZERO)) {
        uint64_t to = end < attr.size ? end : attr.size;
        if (off < to)
            err = allocate_write(vol, req, ino, off, to, wcc);
    }
    if (err || end <= attr.size || (flags & FS_ALLOCATE_KEEP_SIZE))
        return err;
    struct fs_sattr set = {.set = FS_SET_SIZE, .size = end};
    return fs_setattr(vol, req, ino, &set, NULL, wcc);
}
