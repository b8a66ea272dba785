/* Attributes of one inode, and of its volume. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fuse/front_int.h"

/* fs_access gives attributes together with how long they hold. */
static int attr_get(struct call *c, struct fs_node *node)
{
    uint32_t mask;
    int err;

    do {
        err = fs_access(c->vol, &c->fs, c->ino, 0, &mask, node);
    } while (call_again(c, &err));
    c->fs.seq = 0;
    return err;
}

void front_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs_node got;
    struct call c;

    (void)fi;
    if (!call_begin(&c, req, node))
        return;
    int err = attr_get(&c, &got);
    if (err == -ESTALE && removed_find(c.front, node, &got.attr)) {
        got.attr_valid = true;
        got.valid_ns = 0;
        err = 0;
    }
    if (err)
        reply_err(&c, err);
    else
        reply_attr(&c, &got);
}

static int64_t attr_ns(const struct timespec *ts)
{
    return clock_from_s(ts->tv_sec, ts->tv_nsec);
}

static struct fs_sattr attr_set(const struct stat *st, int to_set)
{
    static const struct {
        int from;
        uint32_t to;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, FS_SET_MODE},
        {FUSE_SET_ATTR_UID, FS_SET_UID},
        {FUSE_SET_ATTR_GID, FS_SET_GID},
        {FUSE_SET_ATTR_SIZE, FS_SET_SIZE},
    };
    struct fs_sattr set = {.mode = st->st_mode & 07777,
                           .uid = st->st_uid,
                           .gid = st->st_gid,
                           .size = (uint64_t)st->st_size,
                           .atime_ns = attr_ns(&st->st_atim),
                           .mtime_ns = attr_ns(&st->st_mtim)};

    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        if (to_set & bits[i].from)
            set.set |= bits[i].to;
    }
    if (to_set & FUSE_SET_ATTR_ATIME_NOW)
        set.set |= FS_SET_ATIME_NOW;
    else if (to_set & FUSE_SET_ATTR_ATIME)
        set.set |= FS_SET_ATIME;
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        set.set |= FS_SET_MTIME_NOW;
    else if (to_set & FUSE_SET_ATTR_MTIME)
        set.set |= FS_SET_MTIME;
    return set;
}

void front_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                   struct fuse_file_info *fi)
{
    struct fs_sattr set = attr_set(st, to_set);
    struct fs_wcc wcc;
    struct fs_node got = {0};
    struct call c;
    int err = 0;

    if (!call_begin(&c, req, node))
        return;
    if (set.set == 0) { /* ctime alone: it is fs's */
        err = attr_get(&c, &got);
    } else {
        do {
            err = fs_setattr(c.vol, &c.fs, c.ino, &set, NULL, &wcc);
        } while (call_again(&c, &err));
        got.attr = wcc.after;
        got.valid_ns = c.front->config.attr_ttl_ns; /* it is ahead of the store now */
        if (!err && fi && (set.set & FS_SET_SIZE))
            handle_wrote(handle_of(req, fi));
    }
    if (err)
        reply_err(&c, err);
    else
        reply_attr(&c, &got);
}

void front_readlink(fuse_req_t req, fuse_ino_t node)
{
    char target[FS_SYMLINK_MAX + 1];
    struct fs_node got;
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_readlink(c.vol, &c.fs, c.ino, target, &got);
    } while (call_again(&c, &err));
    if (err)
        reply_err(&c, err);
    else
        (void)fuse_reply_readlink(req, target);
}

void front_statfs(fuse_req_t req, fuse_ino_t node)
{
    const unsigned long block = 4096;
    struct fs_space space;
    struct fs_node got;
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_statfs(c.vol, &c.fs, c.ino, &space, &got);
    } while (call_again(&c, &err));
    if (err) {
        reply_err(&c, err);
        return;
    }
    struct statvfs st = {.f_bsize = block,
                         .f_frsize = block,
                         .f_blocks = space.total / block,
                         .f_bfree = space.free / block,
                         .f_bavail = space.free / block,
                         .f_files = space.files,
                         .f_ffree = space.files_free,
                         .f_favail = space.files_free,
                         .f_namemax = FS_NAME_MAX};
    (void)fuse_reply_statfs(req, &st);
}

/* With default_permissions the kernel knows; this only comes for existence, if at all. */
void front_access(fuse_req_t req, fuse_ino_t node, int mask)
{
    struct fs_node got;
    struct call c;

    (void)mask;
    if (!call_begin(&c, req, node))
        return;
    reply_err(&c, attr_get(&c, &got));
}
