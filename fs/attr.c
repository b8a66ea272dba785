/* GETATTR, SETATTR, ACCESS, READLINK, LOOKUP, FSSTAT: one inode and its attributes. */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

struct attr_args {
    uint64_t ino;
    struct fs_attr *attr;
    struct fs_node *node, *dir_node;
    const struct fs_sattr *set;
    const int64_t *guard_ctime_ns;
    struct fs_wcc *wcc;
    const char *name;
    uint32_t mask, *ret_mask;
    char *buf;
    bool need_target;
    struct fs_volume *cross; /* LOOKUP goes on there, at cross_ino */
    uint64_t cross_ino;
};

static int getattr_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct attr_args *a = p;
    struct inode *ino;
    int err = need_fresh(vol, req, a->ino, &ino);

    if (!err)
        inode_attr(ino, vol, a->attr);
    return err;
}

int fs_getattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_attr *ret)
{
    struct attr_args a = {.ino = ino, .attr = ret};

    return op_run(vol, req, getattr_try, &a);
}

/* --- SETATTR --- */

/* POSIX chmod(2), chown(2), utimensat(2), truncate(2): who may. */
static int setattr_check(const struct inode *ino, const struct fs_req *req,
                         const struct fs_sattr *set)
{
    const struct fs_cred *cred = &req->cred;
    bool root = cred->uid == 0 || (req->flags & FS_CHECKED);
    bool owner = root || cred->uid == ino->uid;
    bool in_group = root || access_in_group(cred, set->gid);
    uint32_t now = set->set & (FS_SET_ATIME_NOW | FS_SET_MTIME_NOW);

    if ((set->set & FS_SET_MODE) && !owner)
        return -EPERM;
    if ((set->set & FS_SET_UID) && !root && (!owner || set->uid != ino->uid))
        return -EPERM;
    if ((set->set & FS_SET_GID) && set->gid != ino->gid && (!owner || !in_group))
        return -EPERM;
    if ((set->set & (FS_SET_ATIME | FS_SET_MTIME)) && !owner)
        return -EPERM;
    if (now && !owner && access_check(ino, req, 2))
        return -EACCES;
    /* One of the two alone is the owner's; a client that truncates sends one with the size. */
    if (now && now != (FS_SET_ATIME_NOW | FS_SET_MTIME_NOW) && !(set->set & FS_SET_SIZE) && !owner)
        return -EPERM;
    if (set->set & FS_SET_SIZE) {
        if (ino->type != FS_REG)
            return ino->type == FS_DIR ? -EISDIR : -EINVAL;
        if (!owner && access_check(ino, req, 2))
            return -EACCES;
        if (set->size > FS_FILE_MAX)
            return -EFBIG;
    }
    return 0;
}

void attr_truncate(struct inode *ino, uint64_t size)
{
    if (ino->extents)
        extent_map_cut(ino->extents, size, UINT64_MAX);
    if (ino->base_len > size)
        ino->base_len = size;
    if (ino->flight_len > size)
        ino->flight_len = size;
    if (ino->old_flight_len > size)
        ino->old_flight_len = size;
    ino->size = ino->disk_size = size;
    ino->write_version++;
    ino->flags |= INODE_DIRTY;
}

void attr_drop_setid(struct inode *ino)
{
    uint32_t before = ino->mode;

    ino->mode &= ~(uint32_t)04000;
    if (ino->mode & 010)
        ino->mode &= ~(uint32_t)02000;
    if (ino->mode != before)
        defaults_end(ino);
}

/* The mode comes after owner and group: who may set the bits depends on those. */
static void attr_set_mode(struct inode *ino, const struct fs_req *req, const struct fs_sattr *set)
{
    bool root = req->cred.uid == 0 || (req->flags & FS_CHECKED);
    bool given = (set->set & (FS_SET_UID | FS_SET_GID)) && ino->type == FS_REG;

    if (set->set & FS_SET_MODE)
        ino->mode = set->mode & 07777;
    if (given && (!root || !(set->set & FS_SET_MODE)))
        attr_drop_setid(ino);
    if ((set->set & FS_SET_MODE) && !root && !access_in_group(&req->cred, ino->gid))
        ino->mode &= ~(uint32_t)02000;
}

void attr_set(struct inode *ino, const struct fs_req *req, const struct fs_sattr *set)
{
    int64_t now = clock_wall_ns();

    if (set->set & (FS_SET_MODE | FS_SET_UID | FS_SET_GID))
        defaults_end(ino);
    if (set->set & FS_SET_UID)
        ino->uid = set->uid;
    if (set->set & FS_SET_GID)
        ino->gid = set->gid;
    attr_set_mode(ino, req, set);
    if (set->set & FS_SET_ATIME)
        ino->atime_ns = set->atime_ns;
    if (set->set & FS_SET_MTIME)
        ino->mtime_ns = set->mtime_ns;
    if (set->set & FS_SET_ATIME_NOW)
        ino->atime_ns = now;
    if (set->set & FS_SET_MTIME_NOW)
        ino->mtime_ns = now;
}

static int setattr_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct attr_args *a = p;
    const struct fs_sattr *set = a->set;
    struct inode *ino;
    struct change c;
    uint64_t seq;
    int err = need_fresh(vol, req, a->ino, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    inode_attr(ino, vol, &a->wcc->after);
    a->wcc->after_valid = true;
    err = pressure_change(vol, req);
    if (err)
        return err;
    if (a->guard_ctime_ns && *a->guard_ctime_ns != ino->ctime_ns)
        return -EBADE;
    err = setattr_check(ino, req, set);
    if (!err && (set->set & FS_SET_SIZE)) /* the row is to say what the extents say */
        err = commit_inode(vol, req, ino, &seq);
    if (err)
        return err;
    write_wcc_before(ino, vol, a->wcc);
    bool resize = (set->set & FS_SET_SIZE) && set->size != ino->size;
    /* ftruncate(2) to the size it has is a change too; a kernel leaves that time to us. */
    bool touch = (set->set & FS_SET_SIZE) && (req->flags & FS_CHECKED);
    change_begin(&c, vol);
    if (touch || (set->set & ~(uint32_t)FS_SET_SIZE)) {
        attr_set(ino, req, set);
        ino->flags |= INODE_META_DIRTY;
        ino->meta_version++;
    }
    if (resize) {
        if (req->cred.uid != 0 && !(set->set & FS_SET_MODE))
            attr_drop_setid(ino);
        attr_truncate(ino, set->size);
    }
    inode_stamp(ino, (resize || touch) && !(set->set & (FS_SET_MTIME | FS_SET_MTIME_NOW)));
    ino->flags |= INODE_META_KNOWN;
    if (resize)
        commit_flush(&c, ino);
    change_row(&c, ino);
    dirty_update(vol, ino, vol->fs->config.quiet_ns);
    inode_attr(ino, vol, &a->wcc->after);
    change_end(&c, req);
    if (resize)
        invalid_content(vol, req, ino);
    else
        invalid_inode(vol, req, ino);
    return 0;
}

int fs_setattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const struct fs_sattr *set,
               const int64_t *guard_ctime_ns, struct fs_wcc *wcc)
{
    struct attr_args a = {.ino = ino, .set = set, .guard_ctime_ns = guard_ctime_ns, .wcc = wcc};

    *wcc = (struct fs_wcc){0};
    return op_run(vol, req, setattr_try, &a);
}

/* --- LOOKUP --- */

static int lookup_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct attr_args *a = p;
    struct inode *dir, *ino;
    int err = need_dir(vol, req, a->ino, &dir);

    a->cross = NULL;
    if (err)
        return err;
    inode_node(dir, vol, a->dir_node);
    err = access_check(dir, req, 1);
    if (err)
        return err;
    if (strcmp(a->name, "..") == 0 && dir->id == vol->root && vol->mounts->up) {
        a->cross = vol->mounts->up;
        a->cross_ino = vol->mounts->up_dir;
        return 0;
    }
    if (strcmp(a->name, ".") == 0 || (strcmp(a->name, "..") == 0 && dir->id == vol->root)) {
        inode_node(dir, vol, a->node);
        return 0;
    }
    if (strcmp(a->name, "..") == 0) {
        err = need_inode(vol, req, dir->key->parent, &ino);
    } else {
        err = name_check(a->name);
        if (!err)
            err = need_name(vol, req, dir, a->name, &ino);
        if (err == -ENOENT)
            a->node->valid_ns = negative_valid_ns(vol, dir, a->name);
    }
    if (err)
        return err;
    a->cross = mount_child(vol, ino);
    a->cross_ino = a->cross ? a->cross->root : 0;
    inode_node(ino, vol, a->node);
    req->seq = ino->seq; /* the handle is for life once it is given out */
    return 0;
}

int fs_lookup(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              struct fs_node *ret, struct fs_node *dir_node)
{
    struct attr_args a = {.ino = dir, .name = name, .node = ret, .dir_node = dir_node};

    ret->attr_valid = dir_node->attr_valid = false;
    ret->valid_ns = 0;
    int err = op_run(vol, req, lookup_try, &a);
    return err || !a.cross ? err : mount_cross(a.cross, req, a.cross_ino, ret);
}

/* --- ACCESS --- */

static int access_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct attr_args *a = p;
    struct inode *ino;
    int err = need_fresh(vol, req, a->ino, &ino);

    if (err)
        return err;
    inode_node(ino, vol, a->node);
    uint32_t bits = access_bits(ino, &req->cred), mask = 0;
    if (bits & 4)
        mask |= FS_ACCESS_READ;
    if ((bits & 2) && !vol->read_only && !(req->flags & FS_READ_ONLY))
        mask |= FS_ACCESS_MODIFY | FS_ACCESS_EXTEND | (ino->type == FS_DIR ? FS_ACCESS_DELETE : 0);
    if (bits & 1)
        mask |= ino->type == FS_DIR ? FS_ACCESS_LOOKUP : FS_ACCESS_EXECUTE;
    *a->ret_mask = mask & a->mask;
    return 0;
}

int fs_access(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint32_t mask,
              uint32_t *ret_mask, struct fs_node *node)
{
    struct attr_args a = {.ino = ino, .mask = mask, .ret_mask = ret_mask, .node = node};

    node->attr_valid = false;
    return op_run(vol, req, access_try, &a);
}

/* --- READLINK: the target is the object's body, fetched once --- */

static int readlink_fetch(struct fs_volume *vol, struct fs_req *req, struct inode *ino)
{
    char target[FS_SYMLINK_MAX + 1], key[STORE_KEY_MAX + 1], etag[STORE_ETAG_MAX];
    int err;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (!ino->base_etag || ino->base_size == 0 || ino->base_size > FS_SYMLINK_MAX)
        return -EIO;
    err = path_base_key(vol, ino, key);
    if (err)
        return err;
    (void)stpncpy(etag, ino->base_etag, sizeof(etag) - 1);
    etag[sizeof(etag) - 1] = '\0';
    struct store_req r = {.op = STORE_GET,
                          .deadline_ns = req->deadline_ns,
                          .key = key,
                          .if_match = etag,
                          .range_len = ino->base_size,
                          .buf = target};
    inode_pin(vol, ino);
    vol_unlock(vol);
    err = store_call(vol->store, &r);
    vol_lock(vol);
    inode_unpin(vol, ino);
    if (!err && (r.got != r.range_len || memchr(target, 0, r.got)))
        err = -EIO;
    if (!err && !ino->target && !(ino->flags & INODE_GONE))
        ino->target = mem_strndup(target, r.got);
    if (err == -ESTALE || err == -ENOENT)
        ino->checked_ns = 0;
    store_req_clear(&r);
    return err == -ESTALE || err == -ENOENT ? -ESTALE : err ? err : -ERESTART;
}

static int readlink_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct attr_args *a = p;
    struct inode *ino;
    int err = need_fresh(vol, req, a->ino, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    inode_node(ino, vol, a->node);
    if (ino->type != FS_LNK)
        return -EINVAL;
    if (!ino->target)
        return readlink_fetch(vol, req, ino);
    (void)stpcpy(a->buf, ino->target);
    return 0;
}

int fs_readlink(struct fs_volume *vol, struct fs_req *req, uint64_t ino, char *buf,
                struct fs_node *node)
{
    struct attr_args a = {.ino = ino, .buf = buf, .node = node};

    node->attr_valid = false;
    return op_run(vol, req, readlink_try, &a);
}

/* --- FSSTAT --- */

#define STATFS_ENDLESS (UINT64_C(1) << 50) /* what an endless store is said to have: 1 PiB */
#define STATFS_FILES (UINT64_C(1) << 32)

int fs_statfs(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_space *ret,
              struct fs_node *node)
{
    struct attr_args a = {.ino = ino, .attr = &node->attr};
    uint64_t total, room;

    node->attr_valid = false;
    int err = op_run(vol, req, getattr_try, &a);
    if (err)
        return err;
    node->ino = ino;
    node->attr_valid = true;
    store_get_space(vol->store, &total, &room);
    ret->total = total ? total : STATFS_ENDLESS;
    ret->free = total ? room : STATFS_ENDLESS;
    ret->files = ret->files_free = STATFS_FILES;
    return 0;
}
