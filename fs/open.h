/*
 * Open files, how long what is known may be believed, and whoever wants to hear when that ends.
 * Part of fs_int.h. The volume's lock is held in all calls but orphan_end_all.
 */
#pragma once

#include "fs/fs_int.h"

/* --- open.c --- */

/* For how long from now ino's attributes, and its name, need not be asked for again. */
int64_t inode_valid_ns(const struct inode *ino, const struct fs_volume *vol);
/* The same of a name that is not there, in dir; 0: nobody was asked. */
int64_t negative_valid_ns(struct fs_volume *vol, const struct inode *dir, const char *name);

/* --- orphan.c: files that are open and have no name any more --- */

enum { INODE_ORPHAN = 1 << 28 }; /* enum inode_flag; on volume->orphans */

/* As inode_set_gone, after remove_objects; but if it is open it stays what it is until it is not.
 */
void inode_remove(struct fs_volume *vol, struct change *c, struct inode *ino);
/* Its bytes, or what makes files wait for an upload, may have changed. */
void orphan_changed(struct fs_volume *vol, struct inode *ino);
/* The last one let go of it, or its bytes are lost. */
void orphan_end(struct fs_volume *vol, struct inode *ino);
/* Nobody asks any more: those that were not closed go, too. Without the lock. */
void orphan_end_all(struct fs_volume *vol);
/* How long from now its base may stay where it is in the way of deletions or, then 0, of uploads;
 * CLOCK_NEVER: until it is closed. Of other files that stay local, too. */
int64_t orphan_fetch_ns(struct fs_volume *vol, const struct inode *ino);
/* The deletions that it holds up. */
uint64_t orphan_deletions(struct fs_volume *vol, const struct inode *ino);
/* Its base was to be fetched: err is the outcome. */
void orphan_detached(struct fs_volume *vol, struct inode *ino, int err);
/* If it is one: an upload that was under way when it was removed has ended. */
void orphan_settle(struct fs_volume *vol, struct inode *ino);

/* --- invalid.c --- */

/* ino's attributes or content are not what a client may have cached. req: whose change it is; NULL:
 * somebody else's, in the store. */
void invalid_inode(struct fs_volume *vol, const struct fs_req *req, const struct inode *ino);
/* As invalid_inode, and it is the content: fs_open.version changes too, unless req comes from a
 * kernel here, whose cache has the change already. */
void invalid_content(struct fs_volume *vol, const struct fs_req *req, struct inode *ino);
/* The entry of that name is another one, or gone, or new; and with it the directory. */
void invalid_name(struct fs_volume *vol, const struct fs_req *req, uint64_t dir, const char *name);
