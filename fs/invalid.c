/* Telling front ends what their clients must not believe any more. */
#include <assert.h>
#include <stdatomic.h>

#include "fs/fs_int.h"

void fs_on_invalid(struct fs *fs, fs_invalid_fn *fn, void *ctx)
{
    unsigned at = atomic_load(&fs->listener_count);

    assert(at < LISTENERS_MAX);
    fs->listeners[at] = (struct fs_listener){.fn = fn, .ctx = ctx};
    atomic_store(&fs->listener_count, at + 1); /* it is whole before anybody sees it */
}

static void invalid_tell(struct fs_volume *vol, const struct fs_req *req, uint64_t ino,
                         const char *name)
{
    struct fs *fs = vol->fs;
    unsigned count = atomic_load(&fs->listener_count);

    for (unsigned i = 0; i < count; i++)
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
    invalid_tell(vol, req, dir, NULL);
}
