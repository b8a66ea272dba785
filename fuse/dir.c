/* Directories, listed. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fuse/front_int.h"

struct dir_reply {
    struct call *c;
    bool plus;
    char *buf;
    size_t size, used;
    uint64_t last; /* cookie of the last entry in buf */
};

/* Of an entry whose attributes nobody asked for yet: it goes without a node id, and the kernel
 * looks it up when somebody wants it. A listing does not tell symlinks from small files. */
static mode_t dir_type(const struct fs_attr *attr)
{
    if (attr->type == FS_DIR)
        return S_IFDIR;
    return attr->type == FS_REG && attr->size > FS_SYMLINK_MAX ? S_IFREG : 0;
}

static bool dir_emit(void *ctx, const struct fs_dir_entry *e)
{
    struct dir_reply *r = ctx;
    struct fuse_entry_param entry = {0};
    char *at = r->buf + r->used;
    size_t room = r->size - r->used, len;
    struct fs_node node = e->node;

    if (!node.vol)
        node.vol = r->c->vol;
    if (r->plus && node.attr_valid)
        node_entry(r->c->front, &node, &entry);
    if (node.attr_valid)
        node_stat(r->c->front, &node.attr, &entry.attr);
    else
        entry.attr.st_mode = dir_type(&node.attr);
    entry.attr.st_ino = node.ino;
    len = r->plus ? fuse_add_direntry_plus(r->c->req, at, room, e->name, &entry, (off_t)e->cookie)
                  : fuse_add_direntry(r->c->req, at, room, e->name, &entry.attr, (off_t)e->cookie);
    if (len > room)
        return false;
    r->used += len;
    r->last = e->cookie;
    return true;
}

static void dir_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, bool plus)
{
    struct call c;
    CLEANUP_FREE char *buf = mem_alloc(size);
    struct dir_reply r = {.c = &c, .plus = plus, .buf = buf, .size = size};
    struct fs_node dir_node;
    bool eof = false;
    int err;

    if (!call_begin(&c, req, node))
        return;
    r.last = (uint64_t)off;
    do {
        err = fs_readdir(c.vol, &c.fs, c.ino, r.last, true, dir_emit, &r, &eof, &dir_node);
        if (err == -EAGAIN && r.used > 0)
            err = 0; /* what there is, is an answer */
    } while (call_again(&c, &err));
    if (err)
        reply_err(&c, err);
    else
        (void)fuse_reply_buf(req, r.buf, r.used);
}

void front_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    (void)node;
    fi->fh = 0;
    (void)fuse_reply_open(req, fi);
}

void front_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                   struct fuse_file_info *fi)
{
    (void)fi;
    dir_read(req, node, size, off, false);
}

void front_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
    (void)fi;
    dir_read(req, node, size, off, true);
}

void front_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    (void)node;
    (void)fi;
    (void)fuse_reply_err(req, 0);
}

/* Every change of a directory was durable before it was answered. */
void front_fsyncdir(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
    (void)node;
    (void)data_only;
    (void)fi;
    (void)fuse_reply_err(req, 0);
}
