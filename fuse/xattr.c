/* Extended attributes. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fuse/front_int.h"

void front_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value,
                    size_t size, int flags)
{
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_setxattr(c.vol, &c.fs, c.ino, name, value, size, flags);
    } while (call_again(&c, &err));
    reply_err(&c, err);
}

static void xattr_reply(struct call *c, int err, const char *buf, size_t size, size_t len)
{
    c->fs.seq = 0;
    if (err)
        reply_err(c, err);
    else if (size == 0)
        (void)fuse_reply_xattr(c->req, len);
    else
        (void)fuse_reply_buf(c->req, buf, len);
}

void front_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
    CLEANUP_FREE char *buf = size ? mem_alloc(size) : NULL;
    size_t len = 0;
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_getxattr(c.vol, &c.fs, c.ino, name, buf, size, &len);
    } while (call_again(&c, &err));
    xattr_reply(&c, err, buf, size, len);
}

void front_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
    CLEANUP_FREE char *buf = size ? mem_alloc(size) : NULL;
    size_t len = 0;
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_listxattr(c.vol, &c.fs, c.ino, buf, size, &len);
    } while (call_again(&c, &err));
    xattr_reply(&c, err, buf, size, len);
}

void front_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
    struct call c;
    int err;

    if (!call_begin(&c, req, node))
        return;
    do {
        err = fs_removexattr(c.vol, &c.fs, c.ino, name);
    } while (call_again(&c, &err));
    reply_err(&c, err);
}
