/* From one volume to another: what LOOKUP, READDIR, RMDIR and RENAME do at a mount point. */
#include "fs/fs_int.h"

#include <errno.h>
#include <stdatomic.h>

struct fs_volume *fs_volume_top(struct fs_volume *vol)
{
    return atomic_load_explicit(&vol->mounts->top, memory_order_acquire);
}

struct fs_volume *mount_child(const struct fs_volume *vol, const struct inode *ino)
{
    const struct volume_mounts *m = vol->mounts;

    if (!(ino->flags & INODE_MOUNTED))
        return NULL;
    for (size_t i = 0; i < m->point_count; i++) {
        if (m->points[i].ino == ino->id)
            return m->points[i].child;
    }
    return NULL;
}

bool mount_keeps(struct fs_volume *vol, const struct inode *ino)
{
    const struct volume_mounts *m = vol->mounts;

    if (ino->type != FS_DIR)
        return false;
    if (ino->flags & INODE_MOUNTED)
        return true;
    for (size_t i = 0; i < m->point_count; i++) {
        const struct inode *point = inode_find(vol, m->points[i].ino);
        if (point && path_below(vol, point, ino))
            return true;
    }
    return false;
}

static int cross_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct fs_node *ret = p;
    struct inode *ino;
    int err = need_inode(vol, req, ret->ino, &ino);

    if (err)
        return err;
    inode_node(ino, vol, ret);
    req->seq = ino->seq; /* the handle is for life once it is given out */
    return 0;
}

int mount_cross(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_node *ret)
{
    struct fs_node node = {.vol = vol, .ino = ino};
    uint64_t seq = req->seq;
    int err = op_run(vol, req, cross_try, &node);

    if (req->seq < seq)
        req->seq = seq;
    if (!err)
        *ret = node;
    return err;
}
