/*
 * Files that are open and have no name any more. In the database such a file is removed, as any
 * other: a crash leaves nothing of it but the deletions that are queued. In memory it goes on: it
 * has no name and no path, is on no dirty list, writes no rows, and is never uploaded. Its bytes in
 * the stage are its own; no row points at them once the removal is durable.
 *
 * Its base stays where it was, under a key in so many words, like that of a renamed file. Deletions
 * and uploads of that key therefore wait (WAIT_BASE), until the last one who has it open lets go,
 * or the bytes have been fetched and the base let go (detach.c). Fetched they are when an upload
 * wants the key; if it is only that the object is to be deleted, only if there are not too many,
 * and not at once, since most files are not open for long.
 */
#include "fs/fs_int.h"

#include <assert.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    ORPHAN_FETCH_S = 10,         /* so long a deletion alone waits for the base */
    ORPHAN_FETCH_MAX = 64 << 20, /* more is not fetched for a deletion alone */
    ORPHAN_FULL_TRIES = 5, /* without room for the bytes: then whoever wants the key gets it */
};

/* The base gets its key in so many words: from now on it has no path to follow from. */
static void orphan_fix_base(struct fs_volume *vol, struct inode *ino)
{
    char key[STORE_KEY_MAX + 1];

    if (!ino->base_etag || ino->base_key)
        return;
    int err = path_base_key(vol, ino, key);
    assert(!err); /* remove_objects has been here */
    (void)err;
    inode_move_base(vol, ino, key);
    vol->path_gen++;
}

/* Whoever waits for its base looks again: no upload of it will move that away. */
static void orphan_wake(struct fs_volume *vol, const struct inode *ino)
{
    if (ino->base_key)
        wait_wake(vol, ino->base_key, 0);
}

void inode_remove(struct fs_volume *vol, struct change *c, struct inode *ino)
{
    if (ino->opens == 0 || ino->type != FS_REG) {
        inode_set_gone(vol, c, ino);
        return;
    }
    log_event(LOG_DEBUG, "orphan", "ino=%lu name=%s flags=%x base=%s flight=%s",
              (unsigned long)ino->id, LOG_Q(ino->key->name), ino->flags, LOG_Q(ino->base_etag),
              LOG_Q(ino->flight_key));
    orphan_fix_base(vol, ino);
    CLEANUP_FREE struct name_key *key = mem_dup(ino->key, ino->key_len + 1);
    db_del_dirent(c->txn, key->parent, key->name);
    inode_set_name(vol, ino, 0, NULL, 0);
    change_gone(c, key->parent, key->name);
    db_del_inode(c->txn, ino->id);
    if (!(ino->flags & INODE_UPLOADING)) {
        mpu_drop(vol, c, ino);
        flight_remove(vol, ino); /* a deletion has taken it over */
    }
    inode_stamp(ino, false);
    ino->flags |= INODE_ORPHAN;
    TAILQ_INSERT_TAIL(&vol->orphans, ino, drain);
    change_row(c, ino); /* writes none: but what it does to the database is part of this change */
    dirty_update(vol, ino, 0);
    orphan_wake(vol, ino);
    (void)pthread_cond_broadcast(&vol->cond); /* nobody has to wait for its upload any more */
}

void orphan_changed(struct fs_volume *vol, struct inode *ino)
{
    ino->flags &= ~(uint32_t)INODE_TO_STORE;
    /* The rows that pointed at them go with the removal, or are gone. */
    if (ino->extents)
        grave_add(vol, ino->seq, extent_map_take_graves(ino->extents, UINT64_MAX));
}

void orphan_end(struct fs_volume *vol, struct inode *ino)
{
    struct change c;

    assert(ino->flags & INODE_ORPHAN);
    TAILQ_REMOVE(&vol->orphans, ino, drain);
    wait_leave(vol, &ino->wait);
    ino->flags &= ~(uint32_t)INODE_ORPHAN;
    if (!(ino->flags & INODE_UPLOADING))
        ino->flags &= ~(uint32_t)INODE_DETACH;
    change_begin(&c, vol);
    inode_set_gone(vol, &c, ino);
    change_end(&c, NULL);
    upload_kick(vol->fs);
    (void)pthread_cond_broadcast(&vol->cond); /* deletions may go on */
}

void orphan_end_all(struct fs_volume *vol)
{
    struct inode *ino;

    vol_lock(vol);
    while ((ino = TAILQ_FIRST(&vol->orphans)))
        orphan_end(vol, ino);
    vol_unlock(vol);
}

/* Who is parked on key, and on the keys of deletions that are: any upload, and how many deletions
 * but that of key itself. The keys get shorter with every step back. */
static void orphan_behind(struct fs_volume *vol, const char *key, bool *upload, uint64_t *deletions)
{
    struct wait_key *on;
    const struct waiter *w;

    HASH_FIND(hh, vol->wait_keys, key, strlen(key), on);
    if (!on)
        return;
    TAILQ_FOREACH (w, &on->waiters, link) {
        const struct intent *intent =
            (const struct intent *)((const char *)w - offsetof(struct intent, wait));
        if (!w->deletion) {
            *upload = true;
        } else if (strcmp(intent->key, key) != 0) {
            ++*deletions;
            orphan_behind(vol, intent->key, upload, deletions);
        }
    }
}

/* Somebody's upload waits for the base under key, if only by way of deletions. */
static bool orphan_wanted(struct fs_volume *vol, const char *key)
{
    bool upload = false;
    uint64_t deletions = 0;

    orphan_behind(vol, key, &upload, &deletions);
    return upload;
}

uint64_t orphan_deletions(struct fs_volume *vol, const struct inode *ino)
{
    bool upload = false;
    uint64_t deletions = 0;

    if (!ino->base_key || !intent_find(vol, ino->base_key))
        return 0;
    orphan_behind(vol, ino->base_key, &upload, &deletions);
    return deletions + 1;
}

int64_t orphan_fetch_ns(struct fs_volume *vol, const struct inode *ino)
{
    if (orphan_wanted(vol, ino->base_key))
        return 0;
    return ino->base_len <= ORPHAN_FETCH_MAX ? ORPHAN_FETCH_S * CLOCK_S : CLOCK_NEVER;
}

void orphan_detached(struct fs_volume *vol, struct inode *ino, int err)
{
    if (!err || !ino->base_key)
        return;
    bool full = err == -ENOSPC && ino->tries >= ORPHAN_FULL_TRIES;
    if (err != -ESTALE && !(full && orphan_wanted(vol, ino->base_key))) {
        ino->flags |= INODE_DETACH;
        ino->due_ns = clock_mono_ns() + op_retry_ns(vol->fs, ino->tries++);
        wait_queue_put(&vol->uploads, &ino->wait, ino->due_ns);
        upload_due(vol->fs, ino->due_ns);
        return;
    }
    /* Others have replaced the object, or there is no room for its bytes while somebody's upload
     * waits for its key: whoever has it open learns that it is gone. */
    log_event(LOG_WARN, "open_file_lost", "ino=%lu key=%s err=%s", (unsigned long)ino->id,
              LOG_Q(ino->base_key), strerrordesc_np(-err));
    invalid_content(vol, NULL, ino);
    orphan_end(vol, ino);
}

void orphan_settle(struct fs_volume *vol, struct inode *ino)
{
    if (!(ino->flags & INODE_ORPHAN))
        return;
    mpu_drop_gone(vol, ino);
    orphan_changed(vol, ino);
    orphan_wake(vol, ino);
}
