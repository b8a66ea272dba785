/* What the files of fs/ tell status.c, and how it walks over what waits: a part of fs_int.h. */
#pragma once

#include "fs/fs_int.h"

/* --- walk.c: over all that waits, a little at a time --- */

/* Call fn with the lock held for each one; between calls the lock may have been dropped. What comes
 * or goes meanwhile is seen or not. */
typedef void walk_dirty_fn(struct fs_volume *vol, struct inode *ino, void *ctx);
void walk_dirty(struct fs_volume *vol, walk_dirty_fn *fn, void *ctx);
typedef void walk_intent_fn(struct fs_volume *vol, struct intent *intent, void *ctx);
void walk_intents(struct fs_volume *vol, walk_intent_fn *fn, void *ctx);
/* To be called before one is taken off its list. */
static inline void walk_left_dirty(struct fs_volume *vol, const struct inode *ino)
{
    if (vol->walk_at_dirty == ino)
        vol->walk_at_dirty = TAILQ_NEXT(ino, dirty);
}
static inline void walk_left_intent(struct fs_volume *vol, const struct intent *intent)
{
    if (vol->walk_at_intent == intent)
        vol->walk_at_intent = TAILQ_NEXT(intent, link);
}

/* --- status.c: what is remembered for whoever asks; lock held --- */

void status_uploaded(struct fs_volume *vol, uint64_t bytes);
void status_deleted(struct fs_volume *vol, uint64_t count);
/* what: "upload" or "delete". text may be "". */
void status_failed(struct fs_volume *vol, const char *what, const char *name, int err,
                   const char *text);
/* what: "write", "rename" or "delete" of ours that met another version; paths. */
void status_conflict(struct fs_volume *vol, const char *what, const char *path,
                     const char *kept_as);
void status_log_clear(struct status_log *log);
/* The path from the volume's root, in memory as far as it is there. */
char *status_path(struct fs_volume *vol, const struct inode *ino);
void status_file(struct fs_volume *vol, const struct inode *ino, int64_t now_ns,
                 struct fs_status_file *ret);
void status_file_clear(struct fs_status_file *file);
/* How the store is doing, by single requests: how many failed, since when all do (0: they do not),
 * what the last one said (or NULL; to free). Without the lock. */
uint64_t status_store(struct fs_volume *vol, int64_t *ret_failing_ns, char **ret_error);
