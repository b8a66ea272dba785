/* Ranges of a file: holes, space, copies. */
#include <linux/falloc.h>
#include <unistd.h>

#include "fuse/front_int.h"

enum { COPY_MAX = INT32_MAX & ~4095 }; /* the reply has 32 bits; the caller goes on from there */

void front_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi)
{
    uint64_t at = 0;
    struct call c;
    int err;

    (void)fi;
    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_seek(c.vol, &c.fs, c.ino, (uint64_t)off, whence == SEEK_HOLE, &at);
    } while (call_again(&c, &err));
    if (err)
        reply_err(&c, err);
    else
        (void)fuse_reply_lseek(req, (off_t)at);
}

void front_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
                     struct fuse_file_info *fi)
{
    uint32_t flags = (mode & FALLOC_FL_KEEP_SIZE ? FS_ALLOCATE_KEEP_SIZE : 0) |
                     (mode & FALLOC_FL_PUNCH_HOLE ? FS_ALLOCATE_PUNCH : 0) |
                     (mode & FALLOC_FL_ZERO_RANGE ? FS_ALLOCATE_ZERO : 0);
    struct fs_wcc wcc;
    struct call c;
    int err = 0;

    if (!call_begin(&c, req, node))
        return;
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
        reply_err(&c, -EOPNOTSUPP);
        return;
    }
    c.patient = true;
    do {
        err = fs_allocate(c.vol, &c.fs, c.ino, (uint64_t)off, (uint64_t)len, flags, &wcc);
    } while (call_again(&c, &err));
    if (!err)
        handle_wrote(handle_of(req, fi));
    reply_err(&c, err);
}

void front_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
                           struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
                           struct fuse_file_info *to_fi, size_t len, int flags)
{
    struct fs_volume *to_vol;
    uint64_t to_ino, done = 0;
    struct call c;
    int err = 0;

    (void)from_fi;
    if (!call_begin(&c, req, from))
        return;
    if (!node_find(c.front, to, &to_vol, &to_ino))
        err = -ESTALE;
    else if (to_vol != c.vol)
        err = -EXDEV; /* the caller copies it by reading and writing */
    else if (flags)
        err = -EINVAL;
    if (err) {
        reply_err(&c, err);
        return;
    }
    if (len > COPY_MAX)
        len = COPY_MAX;
    do {
        err = fs_copy_range(c.vol, &c.fs, c.ino, (uint64_t)from_off, to_ino, (uint64_t)to_off, len,
                            &done);
    } while (call_again(&c, &err));
    if (err) {
        reply_err(&c, err);
        return;
    }
    handle_wrote(handle_of(req, to_fi));
    c.fs.seq = 0;
    reply_write(&c, done);
}
