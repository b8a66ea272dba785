/* What changes a file's content shares. The volume's lock is held in all calls. */
#pragma once

#include "fs/fs_int.h"

enum { WRITE_UNSTABLE_DELAY_MS = 10 * 1000 }; /* upload what nobody commits */

/* May [off, off+len) be written? 0 or what the client is told. */
int write_check(struct fs_volume *vol, struct fs_req *req, const struct inode *ino, uint64_t off,
                uint64_t len);
/* ino has new content, and now or before it reaches up to end: what follows from that. */
void write_changed(struct fs_volume *vol, struct fs_req *req, struct inode *ino, uint64_t end);
