/* Forgetting what is believed of the store, of a whole tree. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/facts.h"
#include "fs/fs_int.h"
#include "fs/mounts_int.h"

enum { REFRESH_BATCH = 256 }; /* inodes under one hold of the lock */

/* False if the way up is not in memory: then it may be below top. */
static bool refresh_elsewhere(struct fs_volume *vol, const struct inode *ino,
                              const struct inode *top)
{
    while (ino && ino != top && ino->id != vol->root)
        ino = ino->key ? inode_find(vol, ino->key->parent) : NULL;
    return ino && ino != top;
}

static void refresh_one(struct fs_volume *vol, struct inode *ino)
{
    if (ino->type == FS_DIR) {
        ino->complete_ns = ino->empty_ns = 0;
        ino->gen++;
    }
    if (inode_owned(vol, ino))
        return;
    ino->checked_ns = 0;
    if (ino->type == FS_DIR && ino->id != vol->root)
        ino->flags &= ~(uint32_t)INODE_META_KNOWN; /* its marker's */
    invalid_inode(vol, NULL, ino);
    if (ino->key)
        invalid_name(vol, NULL, ino->key->parent, ino->key->name);
}

struct refresh_args {
    uint64_t ino;
    uint64_t *ids; /* of all that is in memory */
    size_t count;
};

static int refresh_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct refresh_args *a = p;
    struct inode *top, *ino, *next;
    struct negative *neg;
    int err = need_inode(vol, req, a->ino, &top);

    if (!err)
        err = need_path(vol, req, top);
    if (err)
        return err;
    refresh_one(vol, top);
    if (top->type != FS_DIR)
        return 0;
    TAILQ_FOREACH (neg, &vol->negative_lru, lru) {
        neg->checked_ns = 0;
        invalid_name(vol, NULL, neg->key.parent, neg->key.name);
    }
    a->ids = mem_array(vol->inode_count, sizeof(*a->ids));
    HASH_ITER (hh_id, vol->by_id, ino, next) {
        if (a->count < vol->inode_count && ino->id != a->ino)
            a->ids[a->count++] = ino->id;
    }
    return 0;
}

static void refresh_below(struct fs_volume *vol, const struct refresh_args *a)
{
    for (size_t i = 0; i < a->count; i += REFRESH_BATCH) {
        vol_lock(vol);
        struct inode *top = inode_find(vol, a->ino);
        for (size_t n = i; top && n < a->count && n < i + REFRESH_BATCH; n++) {
            struct inode *ino = inode_find(vol, a->ids[n]);
            if (ino && !(ino->flags & INODE_GONE) && !refresh_elsewhere(vol, ino, top))
                refresh_one(vol, ino);
        }
        vol_unlock(vol);
    }
}

/* The volumes that show below ino, without those below them. */
static struct fs_volume **refresh_mounts(struct fs_volume *vol, uint64_t ino, size_t *ret_count)
{
    vol_lock(vol);
    const struct volume_mounts *m = vol->mounts;
    const struct inode *top = inode_find(vol, ino);
    struct fs_volume **below = mem_array(m->point_count + 1, sizeof(struct fs_volume *));
    *ret_count = 0;
    for (size_t i = 0; i < m->point_count; i++) {
        const struct inode *at = inode_find(vol, m->points[i].ino);
        if (at && top && !refresh_elsewhere(vol, at, top))
            below[(*ret_count)++] = m->points[i].child;
    }
    vol_unlock(vol);
    return below;
}

int fs_refresh(struct fs_volume *vol, struct fs_req *req, uint64_t ino)
{
    struct refresh_args a = {.ino = ino};
    int err = req->flags & FS_NOWAIT ? -EAGAIN : op_run(vol, req, refresh_try, &a);

    if (!err)
        refresh_below(vol, &a);
    free(a.ids);
    if (err)
        return err;
    size_t count;
    CLEANUP_FREE struct fs_volume **below = refresh_mounts(vol, ino, &count);
    for (size_t i = 0; i < count && !err; i++)
        err = fs_refresh(below[i], req, fs_root(below[i]));
    return err == -ESTALE ? 0 : err; /* one that is not mounted any more */
}
