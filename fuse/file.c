/* Open files. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "fuse/front_int.h"

static uint32_t file_access(int flags)
{
    switch (flags & O_ACCMODE) {
    case O_RDONLY:
        return FS_ACCESS_READ;
    case O_WRONLY:
        return FS_ACCESS_MODIFY;
    default:
        return FS_ACCESS_READ | FS_ACCESS_MODIFY;
    }
}

static void file_info(struct fuse_file_info *fi, struct handle *h)
{
    fi->fh = (uintptr_t)h;
    fi->direct_io = (fi->flags & O_DIRECT) != 0;
    fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY; /* nothing to tell when it is closed */
}

/* O_TRUNC comes with the open (atomic_o_trunc). */
static int file_truncate(struct call *c)
{
    struct fs_sattr set = {.set = FS_SET_SIZE | FS_SET_MTIME_NOW};
    struct fs_wcc wcc;
    int err;

    do {
        err = fs_setattr(c->vol, &c->fs, c->ino, &set, NULL, &wcc);
    } while (call_again(c, &err));
    return err;
}

void front_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct fs_open got;
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_open(c.vol, &c.fs, c.ino, file_access(fi->flags), &got);
    } while (call_again(&c, &err));
    c.fs.seq = 0;
    if (err) {
        reply_err(&c, err);
        return;
    }
    struct handle *h = handle_new(c.front, c.vol, c.ino, fuse_req_ctx(req)->pid);
    file_info(fi, h);
    fi->keep_cache = pages_keep(c.front, node, got.version);
    if (fi->flags & O_TRUNC) {
        err = file_truncate(&c);
        handle_made(h);
    }
    if (err) {
        reply_err(&c, err);
    } else {
        err =
            fuse_reply_open(req, fi); /* the truncation is durable when somebody closes or syncs */
    }
    if (err) { /* nobody is there any more, or there was an error: no release will come */
        fs_release(h->vol, h->ino);
        handle_free(h);
    }
}

/* Makes the file and takes a reference of it; again if somebody removed it in between. */
static int file_create(struct call *c, const char *name, const struct fs_sattr *set,
                       struct fs_node *ret, uint64_t *ret_version)
{
    struct fs_open opened;
    struct fs_wcc wcc;
    int err;

    do {
        err = fs_create(c->vol, &c->fs, c->ino, name, FS_CREATE_GUARDED, set, NULL, ret, &wcc);
        if (err)
            continue;
        struct fs_req req = c->fs;
        if (fs_open(ret->vol, &req, ret->ino, FS_ACCESS_MODIFY, &opened))
            err = -EAGAIN;
        else
            *ret_version = opened.version;
    } while (call_again(c, &err));
    return err;
}

/* The kernel sends this for names that it does not know. If there is such a file all the same, it
 * has to look again: permissions of an existing file are its to check. */
void front_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi)
{
    struct fs_node node;
    struct call c;

    if (!call_begin(&c, req, parent))
        return;
    struct fs_sattr set = {.set = FS_SET_MODE, .mode = mode & 07777 & ~c.front->config.umask};
    uint64_t version = 0;
    int err = file_create(&c, name, &set, &node, &version);
    if (err == -EEXIST && !(fi->flags & O_EXCL))
        err = -ESTALE;
    if (err) {
        reply_err(&c, err);
        return;
    }
    struct handle *h = handle_new(c.front, node.vol, node.ino, fuse_req_ctx(req)->pid);
    handle_made(h);
    file_info(fi, h);
    (void)pages_keep(c.front, node_id(c.front, node.vol, node.ino), version);
    reply_create(&c, &node, fi);
}

void front_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct fs_data data = {0};
    struct fs_node got;
    struct call c;
    bool eof;
    int err;

    (void)fi;
    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_read(c.vol, &c.fs, c.ino, (uint64_t)off, (uint32_t)size, &data, &eof, &got);
    } while (call_again(&c, &err));
    if (err)
        (void)fuse_reply_err(req, error_number(err));
    else if (data.count == 0)
        (void)fuse_reply_buf(req, NULL, 0);
    else
        (void)fuse_reply_iov(req, data.iov, (int)data.count);
    if (!err)
        fs_data_release(&data);
}

void front_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t off,
                 struct fuse_file_info *fi)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = size};
    struct fs_wcc wcc;
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    c.patient = true;
    do {
        err = fs_write(c.vol, &c.fs, c.ino, (uint64_t)off, &iov, 1, FS_UNSTABLE, &wcc);
    } while (call_again(&c, &err));
    if (err) {
        reply_err(&c, err);
        return;
    }
    handle_wrote(handle_of(req, fi));
    c.fs.seq = 0; /* written is not durable: that is what fsync() and close() are for */
    reply_write(&c, size);
}

/* What was written is safe where config says. Sets c's seq, so that the reply waits for the disk.
 */
static int file_commit(struct call *c, bool to_store)
{
    struct fs_wcc wcc;
    int err;

    c->fs.flags |= to_store ? FS_TO_STORE : FS_LOCAL;
    c->patient = true;
    do {
        err = fs_commit(c->vol, &c->fs, c->ino, 0, 0, &wcc);
    } while (call_again(c, &err));
    return err;
}

/* A descriptor is closed. */
void front_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(req, fi);
    struct call c;
    int err = 0;

    if (!call_begin(&c, req, node))
        return;
    if (handle_closes(h, fuse_req_ctx(req)->pid, fi->lock_owner)) {
        err = file_commit(&c, c.front->config.commit != FRONT_COMMIT_LOCAL);
        if (err == -EINTR || err == -EIO)
            handle_made(h); /* nobody told how it went: the next one does */
    }
    reply_err(&c, err);
}

void front_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
    struct call c;

    (void)data_only;
    (void)fi;
    if (!call_begin(&c, req, node))
        return;
    reply_err(&c, file_commit(&c, c.front->config.commit == FRONT_COMMIT_STORE));
}

/* The last descriptor and mapping are gone. Nobody hears how it went: what is not safe yet stays
 * dirty, is uploaded in time, and pailfs status tells of it. */
void front_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(req, fi);

    (void)node;
    fs_release(h->vol, h->ino);
    handle_free(h);
    (void)fuse_reply_err(req, 0);
}
