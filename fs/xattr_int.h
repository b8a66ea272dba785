/* What the files of extended attributes share inside fs/. */
#pragma once

#include "fs/fs_int.h"
#include "fs/xattr.h"

/* The inode, its path, and its metadata, fresh: need_fresh, and a HEAD if only a listing is known.
 */
int xattr_need(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret);
