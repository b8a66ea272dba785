/* What the files of extended attributes share inside fs/. */
#pragma once

#include "fs/fs_int.h"
#include "fs/xattr.h"

/* The inode, its path, and its metadata, fresh: need_fresh, and a HEAD if only a listing is known.
 */
int xattr_need(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret);

/* --- facts.c --- */

enum { FACTS_SPACE_MAX = 16 };
/* What the store's facts are called by: "s3", "file". */
void facts_space(const struct fs_volume *vol, char ret[FACTS_SPACE_MAX]);
/* One of what fs_facts tells; the caller frees. -ENODATA: not known of this file. */
int facts_find(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name,
               char **ret);
