/* Owner, group and mode of objects that have none, and what the configuration leaves open. */
#include "fs/fs_int.h"

#include <unistd.h>

void defaults_resolve(const struct fs *fs, struct fs_volume_config *config)
{
    if (config->uid == FS_DEFAULT)
        config->uid = geteuid();
    if (config->gid == FS_DEFAULT)
        config->gid = getegid();
    if (config->attr_ttl_ns < 0)
        config->attr_ttl_ns = fs->config.attr_ttl_ns;
    if (config->list_ttl_ns < 0)
        config->list_ttl_ns = fs->config.attr_ttl_ns;
}

/* The root of a bucket that says nothing about itself: everybody may use it, or nobody could with
 * root_squash. Who wants it otherwise says dir_mode, or changes its mode; that is kept here, the
 * bucket has no place for it. */
static uint32_t default_mode(const struct fs_volume *vol, const struct inode *ino)
{
    const struct fs_volume_config *config = &vol->config;
    uint32_t mode = 0644;

    if (ino->type == FS_LNK)
        return 0777;
    if (ino->type == FS_DIR)
        mode = config->dir_mode != FS_DEFAULT ? config->dir_mode
               : ino->id == vol->root         ? 0777
                                              : 0755;
    else if (config->file_mode != FS_DEFAULT)
        mode = config->file_mode;
    return mode & ~config->umask & 07777;
}

void defaults_apply(const struct fs_volume *vol, struct inode *ino)
{
    if (ino->flags & INODE_MODE_DEFAULT)
        ino->mode = default_mode(vol, ino);
    if (ino->flags & INODE_UID_DEFAULT)
        ino->uid = vol->config.uid;
    if (ino->flags & INODE_GID_DEFAULT)
        ino->gid = vol->config.gid;
}

void defaults_end(struct inode *ino)
{
    ino->flags &= ~(uint32_t)INODE_DEFAULTS;
}
