/*
 * Open files, how long what is known may be believed, and whoever wants to hear when that ends.
 * Part of fs_int.h. The volume's lock is held in all calls.
 */
#pragma once

#include "fs/fs_int.h"

/* --- open.c --- */

/* For how long from now ino's attributes, and its name, need not be asked for again. */
int64_t inode_valid_ns(const struct inode *ino, const struct fs_volume *vol);

/* --- invalid.c --- */

/* ino's attributes or content are not what a client may have cached. req: whose change it is; NULL:
 * somebody else's, in the store. */
void invalid_inode(struct fs_volume *vol, const struct fs_req *req, const struct inode *ino);
/* As invalid_inode, and it is the content: fs_open.version changes too, unless req comes from a
 * kernel here, whose cache has the change already. */
void invalid_content(struct fs_volume *vol, const struct fs_req *req, struct inode *ino);
/* The entry of that name is another one, or gone, or new. */
void invalid_name(struct fs_volume *vol, const struct fs_req *req, uint64_t dir, const char *name);
