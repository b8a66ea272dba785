/* Files that a front end's clients have open, and how long they may believe what they were told. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>

#include "fs/fs_int.h"

int64_t inode_valid_ns(const struct inode *ino, const struct fs_volume *vol)
{
    int64_t ttl = vol->config.attr_ttl_ns, age;

    if (ino->id == vol->root || inode_owned(vol, ino))
        return ttl;
    if (!(ino->flags & INODE_META_KNOWN) || ino->checked_ns == 0)
        return 0;
    age = clock_mono_ns() - ino->checked_ns;
    return age < ttl ? ttl - age : 0;
}

int64_t negative_valid_ns(struct fs_volume *vol, const struct inode *dir, const char *name)
{
    const struct negative *neg = negative_find(vol, dir->id, name);
    int64_t at = neg ? neg->checked_ns : 0, age;

    if (dir->complete_ns > at)
        at = dir->complete_ns;
    if (!neg || at == 0)
        return 0;
    age = clock_mono_ns() - at;
    return age < vol->config.list_ttl_ns ? vol->config.list_ttl_ns - age : 0;
}

static void open_take(struct fs_volume *vol, struct inode *ino)
{
    ino->opens++;
    vol->mounts->opens++;
    inode_used(vol, ino);
}

struct open_args {
    uint64_t ino;
    uint32_t access;
    struct fs_open *ret;
};

static int open_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct open_args *a = p;
    struct inode *ino;
    uint32_t want = (a->access & FS_ACCESS_READ ? 4U : 0) | (a->access & FS_ACCESS_MODIFY ? 2U : 0);
    int err = need_fresh(vol, req, a->ino, &ino);

    if (err)
        return err;
    if (ino->type != FS_REG)
        return ino->type == FS_DIR ? -EISDIR : -ELOOP;
    err = access_check(ino, req, want);
    if (!err && (want & 2))
        err = pressure_change(vol, req);
    if (err)
        return err;
    open_take(vol, ino);
    if (ino->content_version == 0)
        ino->content_version = atomic_fetch_add(&vol->fs->content_id, 1);
    a->ret->version = ino->content_version;
    inode_node(ino, vol, &a->ret->node);
    return 0;
}

int fs_open(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint32_t access,
            struct fs_open *ret)
{
    struct open_args a = {.ino = ino, .access = access, .ret = ret};

    ret->node.attr_valid = false;
    return op_run(vol, req, open_try, &a);
}

static int reopen_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    const struct open_args *a = p;
    struct inode *ino;
    int err = need_inode(vol, req, a->ino, &ino);

    if (!err)
        open_take(vol, ino);
    return err;
}

int fs_reopen(struct fs_volume *vol, uint64_t ino)
{
    struct open_args a = {.ino = ino};
    struct fs_req req = op_internal(CLOCK_NEVER); /* the database at most */

    return op_run(vol, &req, reopen_try, &a);
}

void fs_release(struct fs_volume *vol, uint64_t ino)
{
    vol_lock(vol);
    struct inode *open = inode_find(vol, ino);
    assert(open && open->opens > 0); /* it stays in memory for as long as that */
    open->opens--;
    vol->mounts->opens--;
    if (open->opens == 0 && (open->flags & INODE_ORPHAN))
        orphan_end(vol, open);
    else
        inode_used(vol, open);
    vol_unlock(vol);
}
