/* What operations stand on: inodes, paths and names, from memory, else from the database, else
 * asked for. */
#include "fs/fs_int.h"

#include <errno.h>

static bool younger_than(const struct fs_req *req, int64_t checked_ns, int64_t ttl_ns)
{
    if (checked_ns == 0)
        return false;
    return checked_ns >= req->start_ns || clock_mono_ns() - checked_ns < ttl_ns;
}

bool fresh_enough(const struct fs_volume *vol, const struct fs_req *req, int64_t checked_ns)
{
    return younger_than(req, checked_ns, vol->config.attr_ttl_ns);
}

bool fresh_names(const struct fs_volume *vol, const struct fs_req *req, int64_t checked_ns)
{
    return younger_than(req, checked_ns, vol->config.list_ttl_ns);
}

/* Reads an inode and its name from the database into memory. Drops the lock. */
static int load_inode(struct fs_volume *vol, struct fs_req *req, uint64_t id)
{
    struct db_inode row;
    struct db_dirent dirent;
    uint64_t gen = vol->load_gen;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    vol_unlock(vol);
    int err = db_get_inode(vol->fs->db, id, &row), name_err = 0;
    if (!err)
        name_err = db_find_dirent(vol->fs->db, id, &dirent);
    vol_lock(vol);
    if (err)
        return gen != vol->load_gen ? -ERESTART : err == -ENOENT ? -ESTALE : -EIO;
    if (gen == vol->load_gen && row.volume == vol->id) {
        (void)inode_load(vol, &row, name_err ? NULL : &dirent);
        inode_evict(vol);
    }
    err = row.volume == vol->id ? -ERESTART : -ESTALE;
    db_inode_clear(&row);
    return name_err && name_err != -ENOENT ? -EIO : err;
}

int need_inode(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret)
{
    struct inode *ino = inode_find(vol, id);

    if (!ino)
        return load_inode(vol, req, id);
    if (ino->flags & INODE_GONE)
        return -ESTALE;
    inode_used(vol, ino);
    *ret = ino;
    return 0;
}

int need_path(struct fs_volume *vol, struct fs_req *req, struct inode *ino)
{
    struct inode *i = ino, *dir = NULL;
    int err;

    if (ino->flags & INODE_ORPHAN)
        return 0; /* has none, and nobody needs it */
    for (unsigned depth = 0; i->id != vol->root; depth++) {
        if (!i->key || depth > DEPTH_MAX)
            return -ESTALE; /* it, or a directory above it, was removed */
        if (!inode_link(vol, i)) {
            err = need_inode(vol, req, i->key->parent, &dir);
            if (err)
                return err;
            if (!inode_link(vol, i))
                return -ESTALE;
        }
        i = inode_find(vol, i->key->parent);
    }
    return 0;
}

int need_dir(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret)
{
    struct inode *dir = NULL;
    int err = need_inode(vol, req, id, &dir);

    if (!err)
        err = need_path(vol, req, dir);
    if (err)
        return err;
    if (dir->type != FS_DIR)
        return -ENOTDIR;
    *ret = dir;
    return 0;
}

/* A directory that an NFS client may have cached: it asks for its attributes to know whether that
 * cache is still good, so the listing is what has to be fresh. A kernel that mounts us looks names
 * up again when their time is over: for it a stat needs no listing. */
static int need_fresh_dir(struct fs_volume *vol, struct fs_req *req, struct inode *dir)
{
    if ((req->flags & FS_CHECKED) || !(dir->flags & INODE_OBSERVED) || scan_recent(vol, req, dir))
        return 0;
    return scan_step(vol, req, dir);
}

int need_fresh(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret)
{
    struct inode *ino = NULL, *dir = NULL, *child = NULL;
    int err = need_inode(vol, req, id, &ino);

    if (err)
        return err;
    *ret = ino;
    if (ino->id != vol->root && (err = need_path(vol, req, ino)))
        return err;
    if (ino->type == FS_DIR)
        return need_fresh_dir(vol, req, ino);
    if (inode_owned(vol, ino) ||
        ((ino->flags & INODE_META_KNOWN) && fresh_enough(vol, req, ino->checked_ns)))
        return 0;
    err = need_inode(vol, req, ino->key->parent, &dir);
    if (!err)
        err = need_name(vol, req, dir, ino->key->name, &child);
    if (err)
        return err == -ENOENT ? -ESTALE : err;
    return child == ino ? 0 : -ESTALE;
}

/* The child as the database has it, into memory. -ERESTART if it was there. Drops the lock. */
static int load_name(struct fs_volume *vol, struct fs_req *req, struct inode *dir, const char *name)
{
    struct db_dirent dirent;
    struct db_inode row;
    uint64_t gen = vol->load_gen, id = dir->id;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    vol_unlock(vol);
    int err = db_get_dirent(vol->fs->db, id, name, &dirent, &row);
    vol_lock(vol);
    if (gen != vol->load_gen) {
        if (!err)
            db_inode_clear(&row);
        return -ERESTART;
    }
    if (err)
        return err == -ENOENT ? -ENOENT : -EIO;
    (void)inode_load(vol, &row, &dirent);
    inode_evict(vol);
    db_inode_clear(&row);
    return -ERESTART;
}

int need_known(struct fs_volume *vol, struct fs_req *req, struct inode *dir, const char *name,
               struct inode **ret)
{
    struct inode *child = inode_find_name(vol, dir->id, name);

    if (child) {
        inode_used(vol, child);
        *ret = child;
        return 0;
    }
    return negative_find(vol, dir->id, name) ? -ENOENT : load_name(vol, req, dir, name);
}

int need_name(struct fs_volume *vol, struct fs_req *req, struct inode *dir, const char *name,
              struct inode **ret)
{
    struct inode *child = inode_find_name(vol, dir->id, name);
    struct negative *neg = child ? NULL : negative_find(vol, dir->id, name);
    int err;

    dir->flags |= INODE_OBSERVED;
    if (child) {
        inode_used(vol, child);
        if (inode_owned(vol, child) ||
            ((child->flags & INODE_META_KNOWN) && fresh_enough(vol, req, child->checked_ns))) {
            *ret = child;
            return 0;
        }
        return ask_name(vol, req, dir, name);
    }
    if (neg && (fresh_names(vol, req, neg->checked_ns) || scan_complete(vol, req, dir)))
        return -ENOENT;
    if (!neg) {
        err = load_name(vol, req, dir, name);
        if (err != -ENOENT)
            return err;
        /* The lock was dropped: look for everything again. */
        if (inode_find(vol, dir->id) != dir || (dir->flags & INODE_GONE) ||
            inode_find_name(vol, dir->id, name))
            return -ERESTART;
        if (scan_complete(vol, req, dir)) {
            negative_add(vol, dir->id, name, dir->complete_ns, 0);
            return -ENOENT;
        }
    }
    return ask_name(vol, req, dir, name);
}
