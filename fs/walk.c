/*
 * Walks over what waits for the store that let go of the lock now and then: there may be hundreds
 * of thousands of it, and clients must not wait for somebody who counts. Whoever takes something
 * off a list while a walk stands there moves the walk on (walk_left_dirty, walk_left_intent).
 */
#include "fs/status_int.h"

#include "base/thread.h"

enum { WALK_CHUNK = 64, WALK_PAUSE_NS = 100000 };

/* A mutex that is given back and taken at once would hardly ever go to who waits for it. */
static void walk_pause(struct fs_volume *vol)
{
    (void)thread_cond_wait_until(&vol->cond, &vol->lock, clock_mono_ns() + WALK_PAUSE_NS);
}

void walk_dirty(struct fs_volume *vol, walk_dirty_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&vol->walk_lock);
    vol_lock(vol);
    vol->walk_at_dirty = TAILQ_FIRST(&vol->dirty);
    for (unsigned n = 1; vol->walk_at_dirty; n++) {
        struct inode *ino = vol->walk_at_dirty;
        vol->walk_at_dirty = TAILQ_NEXT(ino, dirty);
        fn(vol, ino, ctx);
        if (n % WALK_CHUNK == 0)
            walk_pause(vol);
    }
    vol_unlock(vol);
    (void)pthread_mutex_unlock(&vol->walk_lock);
}

void walk_intents(struct fs_volume *vol, walk_intent_fn *fn, void *ctx)
{
    (void)pthread_mutex_lock(&vol->walk_lock);
    vol_lock(vol);
    vol->walk_at_intent = TAILQ_FIRST(&vol->intent_list);
    for (unsigned n = 1; vol->walk_at_intent; n++) {
        struct intent *intent = vol->walk_at_intent;
        vol->walk_at_intent = TAILQ_NEXT(intent, link);
        fn(vol, intent, ctx);
        if (n % WALK_CHUNK == 0)
            walk_pause(vol);
    }
    vol_unlock(vol);
    (void)pthread_mutex_unlock(&vol->walk_lock);
}
