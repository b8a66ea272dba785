/* Whether what a request waits for gets on, so that a front end gives up only if it does not. */
#include "fs/fs_int.h"

uint64_t fs_progress(struct fs_volume *vol, uint64_t id, bool *ret_uploading)
{
    struct fs *fs = vol->fs;
    uint64_t sum;

    vol_lock(vol);
    const struct inode *ino = inode_find(vol, id);
    *ret_uploading = ino && (ino->flags & INODE_UPLOADING) && ino->tries == 0;
    sum = vol->log.uploads_done + vol->log.upload_bytes + (ino ? ino->upload_done : 0);
    vol_unlock(vol);
    (void)pthread_mutex_lock(&fs->room_lock);
    sum += (uint64_t)fs->room_ns;
    (void)pthread_mutex_unlock(&fs->room_lock);
    return sum;
}
