/*
 * What waits for an upload. An inode is on the dirty list while its state is ahead of the store:
 * content, metadata, or the key it lies under. There is no queue of contents: the newest state is
 * what gets uploaded, when it is due and nothing stands in its way:
 *  - another file's base still lies under the target key (that one is placed first);
 *  - a deletion of the key is on its way, or another upload to it;
 *  - the key belongs to a directory that drains;
 *  - in a store of real directories: a directory is still where the file is to go, or the reverse.
 */
#include "fs/fs_int.h"

#include <string.h>

#include "base/mem.h"

enum { DIRTY_AGE_MAX_S = 60, DIRTY_MARKER_DELAY_MS = 1000 };

bool dirty_silly(const struct inode *ino)
{
    return ino->type != FS_DIR && ino->key && strncmp(ino->key->name, ".nfs", 4) == 0;
}

struct inode *displaced_find(struct fs_volume *vol, const char *key)
{
    struct inode *ino;

    HASH_FIND(hh_base, vol->displaced, key, strlen(key), ino);
    return ino;
}

struct inode *flight_find(struct fs_volume *vol, const char *key)
{
    struct inode *ino;

    HASH_FIND(hh_flight, vol->flights, key, strlen(key), ino);
    return ino;
}

struct inode *target_find(struct fs_volume *vol, const char *key)
{
    struct inode *ino;

    HASH_FIND(hh_target, vol->targets, key, strlen(key), ino);
    return ino;
}

static void dirty_untarget(struct fs_volume *vol, struct inode *ino)
{
    if (!ino->target_key)
        return;
    HASH_DELETE(hh_target, vol->targets, ino);
    free(ino->target_key);
    ino->target_key = NULL;
}

static void dirty_retarget(struct fs_volume *vol, struct inode *ino)
{
    char key[STORE_KEY_MAX + 1];

    dirty_untarget(vol, ino);
    if (path_key(vol, ino, key) != 0)
        return; /* too long for the store: it stays local, commit tells */
    ino->target_key = mem_strdup(key);
    HASH_ADD_KEYPTR(hh_target, vol->targets, ino->target_key, strlen(ino->target_key), ino);
}

void dirty_retarget_all(struct fs_volume *vol)
{
    struct inode *ino;

    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        dirty_retarget(vol, ino);
    }
}

void dirty_update(struct fs_volume *vol, struct inode *ino, int64_t delay_ns)
{
    int64_t now = clock_mono_ns();

    if (ino->id == vol->root) /* has no object of its own */
        ino->flags &= ~(uint32_t)INODE_TO_STORE;
    if (!(ino->flags & INODE_TO_STORE) || (ino->flags & INODE_GONE)) {
        if (!(ino->flags & INODE_ON_DIRTY))
            return;
        dirty_untarget(vol, ino);
        walk_left_dirty(vol, ino);
        TAILQ_REMOVE(&vol->dirty, ino, dirty);
        ino->flags &= ~(uint32_t)INODE_ON_DIRTY;
        inode_used(vol, ino);
        return;
    }
    if (!(ino->flags & INODE_ON_DIRTY)) {
        TAILQ_INSERT_TAIL(&vol->dirty, ino, dirty);
        ino->flags |= INODE_ON_DIRTY;
        ino->dirty_since_ns = now;
        ino->tries = 0;
        inode_used(vol, ino);
        dirty_retarget(vol, ino);
    } else if (!(ino->flags & INODE_UPLOADING)) {
        dirty_retarget(vol, ino);
    }
    /* Each change puts the upload off a little, but not for ever. */
    int64_t latest = ino->dirty_since_ns + DIRTY_AGE_MAX_S * CLOCK_S;
    ino->due_ns = now + delay_ns < latest ? now + delay_ns : latest;
    if (delay_ns == 0)
        upload_kick(vol->fs);
}

void dirty_marker(struct fs_volume *vol, struct change *c, struct inode *dir)
{
    if (dir->id == vol->root || (dir->flags & (INODE_MARKER | INODE_DIRTY)) || vol->caps.real_dirs)
        return;
    dir->flags |= INODE_DIRTY;
    change_row(c, dir);
    dirty_update(vol, dir, DIRTY_MARKER_DELAY_MS * CLOCK_MS);
}

/* Something of ours is, or was just now, an object of this key. */
static bool dirty_key_busy(struct fs_volume *vol, const struct inode *ino, const char *key)
{
    const struct inode *other = displaced_find(vol, key);

    return intent_find(vol, key) || (other && other != ino) || flight_find(vol, key);
}

/* In a store of real directories "a" and "a/" are one name: where the one still is, the other
 * cannot be put, nor anything below it. */
static bool dirty_kind_busy(struct fs_volume *vol, const struct inode *ino)
{
    char key[STORE_KEY_MAX + 2];
    size_t len = strlen(ino->target_key);

    if (!vol->caps.real_dirs)
        return false;
    memcpy(key, ino->target_key, len + 1);
    if (key[len - 1] != '/') {
        (void)stpcpy(key + len, "/");
        if (intent_find(vol, key) || flight_find(vol, key) || path_reserved(vol, key))
            return true;
        key[len] = '\0';
    }
    for (char *slash = strchr(key, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool busy = dirty_key_busy(vol, ino, key);
        *slash = '/';
        if (busy)
            return true;
    }
    return false;
}

bool dirty_way_clear(struct fs_volume *vol, const struct inode *ino, int64_t now)
{
    const struct intent *intent;
    struct inode *other = displaced_find(vol, ino->target_key);

    if (other && other != ino) {
        if (other->tries == 0 && other->due_ns > now)
            other->due_ns = now;
        return false;
    }
    if (flight_find(vol, ino->target_key))
        return false;
    intent = intent_find(vol, ino->target_key);
    if (intent && intent->in_flight)
        return false;
    return !path_reserved(vol, ino->target_key) && !dirty_kind_busy(vol, ino);
}

/* The file whose base lies under the key that ino is to have. */
static struct inode *dirty_blocker(struct fs_volume *vol, const struct inode *ino)
{
    struct inode *other = displaced_find(vol, ino->target_key);

    return other == ino ? NULL : other;
}

/* True if waiting for other to be placed would be for ever: it stays local, or it waits for ino. */
static bool dirty_stuck(struct fs_volume *vol, const struct inode *ino, const struct inode *other)
{
    enum { CHAIN_MAX = 64 };

    if (dirty_silly(other))
        return true;
    for (int i = 0; i < CHAIN_MAX && other && other->target_key; i++) {
        other = dirty_blocker(vol, other);
        if (other == ino)
            return true;
    }
    return false;
}

static bool dirty_due(const struct fs_volume *vol, const struct inode *ino, int64_t now)
{
    if ((ino->flags & INODE_UPLOADING) || !ino->target_key || dirty_silly(ino))
        return false;
    return ino->due_ns <= now || (vol->flush_all && ino->tries == 0);
}

struct inode *dirty_pick(struct fs_volume *vol, int64_t now, int64_t *ret_next_ns)
{
    struct inode *ino, *other;

    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        if (dirty_due(vol, ino, now)) {
            if (dirty_way_clear(vol, ino, now))
                return ino;
            other = dirty_blocker(vol, ino);
            if (other && !(other->flags & INODE_UPLOADING) && dirty_stuck(vol, ino, other)) {
                other->flags |= INODE_DETACH;
                return other;
            }
        }
        if (!(ino->flags & INODE_UPLOADING) && ino->due_ns > now && ino->due_ns < *ret_next_ns)
            *ret_next_ns = ino->due_ns;
    }
    return NULL;
}
