/*
 * Attributes of objects that say nothing of their own: owner, group and mode as configured. They
 * are no part of the object, so they follow the configuration, also at a later start: a flag for
 * each says that the value is such a default, and whoever reads a row puts in what holds now. They
 * are not written into metadata. The first chmod or chown makes all three the object's own.
 */
#pragma once

#include <stdint.h>

#include "fs/fs.h"

struct inode;

/* enum inode_flag, kept in the database. */
enum {
    INODE_MODE_DEFAULT = 256,
    INODE_UID_DEFAULT = 512,
    INODE_GID_DEFAULT = 1024,
    INODE_DEFAULTS = INODE_MODE_DEFAULT | INODE_UID_DEFAULT | INODE_GID_DEFAULT,
};

/* Fills in FS_DEFAULT and FS_TTL_DEFAULT, but for the modes. */
void defaults_resolve(const struct fs *fs, struct fs_volume_config *config);
/* Sets those of mode, uid and gid whose flag is set. */
void defaults_apply(const struct fs_volume *vol, struct inode *ino);
/* From now on the attributes are the file's own. */
void defaults_end(struct inode *ino);
