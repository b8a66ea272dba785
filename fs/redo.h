/*
 * Small stable writes, made durable by the database's sync alone: a part of fs_int.h. See redo.c.
 */
#pragma once

#include "fs/fs_int.h"

enum { REDO_MAX = 16 << 10 }; /* bytes of a write that may go that way */

struct redo *redo_new(struct fs *fs);
/* Before anything of the stage is adopted: puts back what was left. With a sentence on failure. */
int redo_load(struct redo *redo, struct fs_error *reterr);
int redo_start(struct redo *redo);
void redo_stop(struct redo *redo);
void redo_free(struct redo *redo); /* NULL is fine */
/* Whether len more bytes may go that way now. Any thread. */
bool redo_has_room(struct redo *redo, uint64_t len);
/* An append: its bytes are durable with c. */
void redo_put(struct redo *redo, struct change *c, uint64_t segment, uint64_t pos, uint64_t mark,
              const struct iovec *iov, int iov_count);
