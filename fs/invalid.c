/* Telling front ends what their clients must not believe any more. */
#include <assert.h>
#include <stdatomic.h>

#include "fs/fs_int.h"

void fs_on_invalid(struct fs *fs, fs_invalid_fn *fn, void *ctx)
{
    assert(fs->listener_count < LISTENERS_MAX && !fs->running);
    fs->listeners[fs->listener_count++] = (struct fs_listener){.fn = fn, .ctx = ctx};
}

static void invalid_tell(struct fs_volume *vol, const struct fs_req *req, uint64_t ino,
                         const char *name)
{
    const struct fs *fs = vol->fs;

    for (unsigned i = 0; i < fs->listener_count; i++)
        fs->listeners[i].fn(fs->listeners[i].ctx, req ? req->ctx : NULL, vol, ino, name);
}

void invalid_inode(struct fs_volume *vol, const struct fs_req *req, const struct inode *ino)
{
    invalid_tell(vol, req, ino->id, NULL);
}

void invalid_content(struct fs_volume *vol, const struct fs_req *req, struct inode *ino)
{
    if (!req || !(req->flags & FS_CHECKED))
        ino->content_version = 0; /* the next open takes a new one */
    invalid_tell(vol, req, ino->id, NULL);
}

void invalid_name(struct fs_volume *vol, const struct fs_req *req, uint64_t dir, const char *name)
{
    invalid_tell(vol, req, dir, name);
}
