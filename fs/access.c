/* Permission bits, as POSIX.1 "file access permissions" has them; root may all but execute what
 * nobody may. */
#include <errno.h>

#include "fs/fs_int.h"

bool access_in_group(const struct fs_cred *cred, uint32_t gid)
{
    if (cred->gid == gid)
        return true;
    for (uint32_t i = 0; i < cred->group_count; i++) {
        if (cred->groups[i] == gid)
            return true;
    }
    return false;
}

uint32_t access_bits(const struct inode *ino, const struct fs_cred *cred)
{
    if (cred->uid == 0)
        return 6 | (ino->type == FS_DIR || (ino->mode & 0111) ? 1 : 0);
    if (cred->uid == ino->uid)
        return (ino->mode >> 6) & 7;
    if (access_in_group(cred, ino->gid))
        return (ino->mode >> 3) & 7;
    return ino->mode & 7;
}

int access_check(const struct inode *ino, const struct fs_req *req, uint32_t want)
{
    if (req->flags & FS_CHECKED)
        return 0;
    return (access_bits(ino, &req->cred) & want) == want ? 0 : -EACCES;
}

int access_remove(const struct inode *dir, const struct inode *child, const struct fs_req *req)
{
    const struct fs_cred *cred = &req->cred;
    int err = access_check(dir, req, 3);

    if (err || (req->flags & FS_CHECKED))
        return err;
    if ((dir->mode & 01000) && cred->uid != 0 && cred->uid != dir->uid && child &&
        cred->uid != child->uid)
        return -EPERM;
    return 0;
}
