/* Names: looked up, made, moved, removed. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/front_int.h"

void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_node node, dir_node;
    struct call c;
    int err;

    if (!call_begin(&c, req, parent))
        return;
    do {
        node = (struct fs_node){0};
        err = fs_lookup(c.vol, &c.fs, c.ino, name, &node, &dir_node);
    } while (call_again(&c, &err));
    /* What the kernel is told here needs no durability: node ids end with this process. */
    c.fs.seq = 0;
    if (!err) {
        reply_entry(&c, &node);
    } else if (err == -ENOENT && node_timeout(c.front, node.valid_ns) > 0) {
        struct fuse_entry_param none = {.entry_timeout = node_timeout(c.front, node.valid_ns)};
        (void)fuse_reply_entry(req, &none); /* that there is no such name may be kept, too */
    } else {
        reply_err(&c, err);
    }
}

/* What the kernel knows costs fs nothing: it finds any inode by its number. Files that are open are
 * kept by their handles. */
void front_forget(fuse_req_t req, fuse_ino_t node, uint64_t count)
{
    (void)node;
    (void)count;
    fuse_reply_none(req);
}

void front_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    (void)count;
    (void)forgets;
    fuse_reply_none(req);
}

static struct fs_sattr entry_mode(const struct call *c, mode_t mode)
{
    return (struct fs_sattr){.set = FS_SET_MODE, .mode = mode & 07777 & ~c->front->config.umask};
}

void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fs_node node;
    struct fs_wcc wcc;
    struct call c;
    int err;

    if (!call_begin(&c, req, parent))
        return;
    struct fs_sattr set = entry_mode(&c, mode);
    do {
        err = fs_mkdir(c.vol, &c.fs, c.ino, name, &set, &node, &wcc);
    } while (call_again(&c, &err));
    if (err)
        reply_err(&c, err);
    else
        reply_entry(&c, &node);
}

/* Devices, FIFOs and sockets have no place in a bucket. */
void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct fs_node node;
    struct fs_wcc wcc;
    struct call c;
    int err = 0;

    (void)rdev;
    if (!call_begin(&c, req, parent))
        return;
    struct fs_sattr set = entry_mode(&c, mode);
    if (!S_ISREG(mode) && (mode & S_IFMT) != 0) {
        reply_err(&c, -EPERM);
        return;
    }
    do {
        err = fs_create(c.vol, &c.fs, c.ino, name, FS_CREATE_GUARDED, &set, NULL, &node, &wcc);
    } while (call_again(&c, &err));
    if (err)
        reply_err(&c, err);
    else
        reply_entry(&c, &node);
}

void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;
    struct call c;
    int err;

    if (!call_begin(&c, req, parent))
        return;
    do {
        err = fs_symlink(c.vol, &c.fs, c.ino, name, target, &set, &node, &wcc);
    } while (call_again(&c, &err));
    if (err)
        reply_err(&c, err);
    else
        reply_entry(&c, &node);
}

/* One object has one name. EPERM is what link(2) has for a file system without hard links. */
void front_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
    (void)node;
    (void)parent;
    (void)name;
    (void)fuse_reply_err(req, EPERM);
}

void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_wcc wcc;
    struct call c;
    int err;

    if (!call_begin(&c, req, parent))
        return;
    do {
        err = fs_remove(c.vol, &c.fs, c.ino, name, &wcc);
    } while (call_again(&c, &err));
    reply_err(&c, err);
}

void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_node node;
    struct fs_wcc wcc;
    struct call c;
    int err;

    if (!call_begin(&c, req, parent))
        return;
    bool known = removed_look(&c, name, &node);
    do {
        err = fs_rmdir(c.vol, &c.fs, c.ino, name, &wcc);
    } while (call_again(&c, &err));
    if (!err && known)
        removed_add(c.front, &node);
    reply_err(&c, err);
}

void front_rename(fuse_req_t req, fuse_ino_t from_dir, const char *from, fuse_ino_t to_dir,
                  const char *to, unsigned flags)
{
    struct fs_wcc from_wcc, to_wcc;
    struct fs_volume *to_vol;
    uint64_t to_ino;
    struct call c;
    int err = 0;

    if (!call_begin(&c, req, from_dir))
        return;
    if (!node_find(c.front, to_dir, &to_vol, &to_ino))
        err = -ESTALE;
    else if (to_vol != c.vol)
        err = -EXDEV;
    else if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        err = -EINVAL;
    if (err) {
        reply_err(&c, err);
        return;
    }
    uint32_t fs_flags = (flags & RENAME_NOREPLACE ? FS_RENAME_NOREPLACE : 0) |
                        (flags & RENAME_EXCHANGE ? FS_RENAME_EXCHANGE : 0);
    do {
        err = fs_rename_with(c.vol, &c.fs, c.ino, from, to_ino, to, fs_flags, &from_wcc, &to_wcc);
    } while (call_again(&c, &err));
    reply_err(&c, err);
}
