/*
 * What waits for an upload. An inode is on the dirty list while its state is ahead of the store:
 * content, metadata, or the key it lies under. There is no queue of contents: the newest state is
 * what gets uploaded, when it is due and nothing stands in its way:
 *  - another file's base still lies under the target key (that one is placed first);
 *  - a deletion of the key is on its way, or another upload to it;
 *  - the key belongs to a directory that drains;
 *  - in a store of real directories: a directory is still where the file is to go, or the reverse.
 *
 * An inode of the list is in one of four states: in the queue vol->uploads by its due time; parked
 * on the key that stands in its way (wait.h); being uploaded (INODE_UPLOADING); or to stay local.
 */
#include "fs/fs_int.h"

#include <string.h>

#include "base/mem.h"

enum {
    DIRTY_AGE_MAX_S = 60,
    DIRTY_MARKER_DELAY_MS = 1000,
    DIRTY_LOOKS_MAX = 1000, /* at one go, with the lock held */
    DIRTY_MOVING_TRIES = 3, /* uploads of a file that fail before a drain goes on without it */
};

bool dirty_silly(const struct inode *ino)
{
    if (ino->flags & (INODE_ORPHAN | INODE_LOCAL))
        return true;
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

void displaced_add(struct fs_volume *vol, struct inode *ino)
{
    HASH_ADD_KEYPTR(hh_base, vol->displaced, ino->base_key, strlen(ino->base_key), ino);
    key_tree_add(&vol->displaced_keys, &ino->base_node, ino->base_key);
}

void displaced_remove(struct fs_volume *vol, struct inode *ino)
{
    if (!ino->base_key)
        return;
    HASH_DELETE(hh_base, vol->displaced, ino);
    key_tree_del(&vol->displaced_keys, &ino->base_node);
    wait_wake(vol, ino->base_key, 0);
}

void flight_add(struct fs_volume *vol, struct inode *ino)
{
    if (ino->flight_listed)
        return;
    ino->flight_listed = true;
    HASH_ADD_KEYPTR(hh_flight, vol->flights, ino->flight_key, strlen(ino->flight_key), ino);
    key_tree_add(&vol->flight_keys, &ino->flight_node, ino->flight_key);
}

void flight_remove(struct fs_volume *vol, struct inode *ino)
{
    if (!ino->flight_listed)
        return;
    ino->flight_listed = false;
    HASH_DELETE(hh_flight, vol->flights, ino);
    key_tree_del(&vol->flight_keys, &ino->flight_node);
    wait_wake(vol, ino->flight_key, 0);
}

static void dirty_untarget(struct fs_volume *vol, struct inode *ino)
{
    char *key = ino->target_key;

    if (!key)
        return;
    HASH_DELETE(hh_target, vol->targets, ino);
    ino->target_key = NULL;
    wait_wake(vol, key, 0);
    free(key);
}

static void dirty_retarget(struct fs_volume *vol, struct inode *ino)
{
    char key[STORE_KEY_MAX + 1];
    int err = path_key(vol, ino, key);

    if (!err && ino->target_key && strcmp(key, ino->target_key) == 0)
        return;
    dirty_untarget(vol, ino);
    if (err)
        return; /* too long for the store: it stays local, commit tells */
    ino->target_key = mem_strdup(key);
    HASH_ADD_KEYPTR(hh_target, vol->targets, ino->target_key, strlen(ino->target_key), ino);
}

void dirty_retarget_below(struct fs_volume *vol, const struct inode *dir)
{
    struct inode *ino;

    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        if (!path_below(vol, ino, dir))
            continue;
        bool local = dirty_local(ino);
        dirty_retarget(vol, ino);
        if (local && !dirty_local(ino)) /* its path is short enough again */
            dirty_due_at(vol, ino, ino->due_ns);
    }
    /* What is reserved by a drain depends on where directories live. */
    wait_wake_all(vol);
}

bool dirty_local(const struct inode *ino)
{
    return dirty_silly(ino) || !ino->target_key;
}

/* An earlier upload of it was cut off, others may wait for its key: it is looked for first,
 * whatever stands in the way of the next upload. */
static bool dirty_unsettled(const struct inode *ino)
{
    return ino->flight_listed && !ino->flight_live;
}

/* A drain put ino on its way, and does not have to wait for it any more. */
static void dirty_moving_end(struct fs_volume *vol, struct inode *ino)
{
    if (!(ino->flags & INODE_MOVING))
        return;
    ino->flags &= ~(uint32_t)INODE_MOVING;
    vol->moving--;
}

void dirty_moving(struct fs_volume *vol, struct inode *ino)
{
    if ((ino->flags & INODE_MOVING) || !(ino->flags & INODE_ON_DIRTY) || ino->wait.on)
        return;
    ino->flags |= INODE_MOVING;
    vol->moving++;
}

/* Into the queue, if it may be uploaded at all. */
static void dirty_queue(struct fs_volume *vol, struct inode *ino)
{
    if (dirty_local(ino) && !(ino->flags & INODE_DETACH) && !dirty_unsettled(ino))
        return;
    wait_queue_put(&vol->uploads, &ino->wait, ino->due_ns);
    upload_due(vol->fs, ino->due_ns);
}

void dirty_due_at(struct fs_volume *vol, struct inode *ino, int64_t due_ns)
{
    ino->due_ns = due_ns;
    if (ino->tries >= DIRTY_MOVING_TRIES)
        dirty_moving_end(vol, ino);
    if ((ino->flags & INODE_ON_DIRTY) && !(ino->flags & INODE_UPLOADING) && !ino->wait.on)
        dirty_queue(vol, ino);
}

static void dirty_leave(struct fs_volume *vol, struct inode *ino)
{
    walk_left_dirty(vol, ino);
    wait_leave(vol, &ino->wait);
    dirty_moving_end(vol, ino);
    dirty_untarget(vol, ino);
    TAILQ_REMOVE(&vol->dirty, ino, dirty);
    ino->flags &= ~(uint32_t)INODE_ON_DIRTY;
    inode_used(vol, ino);
}

void dirty_update(struct fs_volume *vol, struct inode *ino, int64_t delay_ns)
{
    int64_t now = clock_mono_ns();

    if (ino->id == vol->root) /* has no object of its own */
        ino->flags &= ~(uint32_t)INODE_TO_STORE;
    if (ino->flags & INODE_ORPHAN)
        orphan_changed(vol, ino);
    if (!(ino->flags & INODE_TO_STORE) || (ino->flags & INODE_GONE)) {
        if (ino->flags & INODE_ON_DIRTY)
            dirty_leave(vol, ino);
        return;
    }
    if (!(ino->flags & INODE_ON_DIRTY)) {
        TAILQ_INSERT_TAIL(&vol->dirty, ino, dirty);
        ino->flags |= INODE_ON_DIRTY;
        ino->dirty_since_ns = now;
        ino->tries = 0;
        inode_used(vol, ino);
    }
    /* Each change puts the upload off a little, but not for ever. */
    int64_t latest = ino->dirty_since_ns + DIRTY_AGE_MAX_S * CLOCK_S;
    ino->due_ns = now + delay_ns < latest ? now + delay_ns : latest;
    if (ino->flags & INODE_UPLOADING)
        return; /* when that ends it is looked at again */
    dirty_retarget(vol, ino);
    wait_leave(vol, &ino->wait);
    dirty_queue(vol, ino);
    /* One that stays local has to let go of a base that is in somebody's way. */
    if (dirty_local(ino) && ino->base_key)
        wait_wake(vol, ino->base_key, delay_ns);
    if (delay_ns == 0)
        upload_kick(vol->fs);
}

void dirty_marker(struct fs_volume *vol, struct change *c, struct inode *dir)
{
    if (dir->id == vol->root || (dir->flags & (INODE_MARKER | INODE_DIRTY | INODE_LOCAL)) ||
        vol->caps.real_dirs)
        return;
    dir->flags |= INODE_DIRTY;
    change_row(c, dir);
    dirty_update(vol, dir, DIRTY_MARKER_DELAY_MS * CLOCK_MS);
}

/* What stands in the way of an object of this key; in a store of real directories also of one below
 * it. */
static enum wait_for dirty_key_busy(struct fs_volume *vol, const struct inode *ino, const char *key)
{
    const struct inode *other = displaced_find(vol, key);

    if (other && other != ino)
        return WAIT_BASE;
    if (intent_find(vol, key))
        return WAIT_DELETION;
    return flight_find(vol, key) ? WAIT_FLIGHT : WAIT_NOTHING;
}

/* In a store where "a" and "a/b" exclude each other: where the one still is, the other cannot be
 * put. */
static enum wait_for dirty_kind_busy(struct fs_volume *vol, const struct inode *ino,
                                     char key[STORE_KEY_MAX + 2])
{
    size_t len = strlen(ino->target_key);
    enum wait_for what = WAIT_NOTHING;

    if (!vol->caps.one_kind)
        return WAIT_NOTHING;
    memcpy(key, ino->target_key, len + 1);
    if (key[len - 1] != '/') {
        (void)stpcpy(key + len, "/");
        const char *prefix = path_reserved(vol, key);
        if (prefix) {
            (void)stpcpy(key, prefix);
            return WAIT_DRAIN;
        }
        what = dirty_key_busy(vol, ino, key);
        if (what != WAIT_NOTHING)
            return what;
        const char *below;
        what = wait_below(vol, key, &below);
        if (what != WAIT_NOTHING) {
            (void)stpcpy(key, below);
            return what;
        }
        key[len] = '\0';
    }
    for (char *slash = strchr(key, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        what = dirty_key_busy(vol, ino, key);
        if (what != WAIT_NOTHING)
            return what;
        *slash = '/';
    }
    return WAIT_NOTHING;
}

/* What ino, which is on the dirty list, has to wait for, and the key to park on. */
static enum wait_for dirty_blocked(struct fs_volume *vol, const struct inode *ino,
                                   char key[STORE_KEY_MAX + 2])
{
    const struct inode *other = displaced_find(vol, ino->target_key);
    const struct intent *intent = intent_find(vol, ino->target_key);
    const char *prefix;

    (void)stpcpy(key, ino->target_key);
    if (other && other != ino)
        return WAIT_BASE;
    if (flight_find(vol, ino->target_key))
        return WAIT_FLIGHT;
    if (intent && intent->in_flight)
        return WAIT_DELETION;
    prefix = path_reserved(vol, ino->target_key);
    if (prefix) {
        (void)stpcpy(key, prefix);
        return WAIT_DRAIN;
    }
    return dirty_kind_busy(vol, ino, key);
}

bool dirty_way_clear(struct fs_volume *vol, const struct inode *ino)
{
    char key[STORE_KEY_MAX + 2];

    return dirty_blocked(vol, ino, key) == WAIT_NOTHING;
}

/* Nothing waits for its quiet time any more. */
static void dirty_hurry_all(struct fs_volume *vol, int64_t now)
{
    struct inode *ino;

    vol->hurried = vol->flush_all;
    if (!vol->flush_all)
        return;
    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        if (ino->tries == 0 && ino->due_ns > now)
            dirty_due_at(vol, ino, now);
    }
}

struct inode *dirty_pick(struct fs_volume *vol, int64_t now, int64_t *ret_next_ns)
{
    char key[STORE_KEY_MAX + 2];
    struct waiter *w;

    if (vol->hurried != vol->flush_all)
        dirty_hurry_all(vol, now);
    for (unsigned looks = 0; (w = wait_queue_first(&vol->uploads)); looks++) {
        struct inode *ino = (struct inode *)((char *)w - offsetof(struct inode, wait));
        if ((w->at_ns > now && !(vol->flush_all && ino->tries == 0)) || looks == DIRTY_LOOKS_MAX) {
            if (w->at_ns < *ret_next_ns)
                *ret_next_ns = w->at_ns;
            return NULL;
        }
        wait_queue_take(&vol->uploads, w);
        if ((ino->flags & INODE_DETACH) || dirty_unsettled(ino))
            return ino;
        enum wait_for what = dirty_blocked(vol, ino, key);
        if (what == WAIT_NOTHING)
            return ino;
        dirty_moving_end(vol, ino);
        wait_park(vol, w, what, key);
        wait_resolve(vol, w, true);
    }
    return NULL;
}
