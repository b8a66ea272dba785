/*
 * Intents: deletions that the state has already and the store not yet. One per key; the key is
 * hidden from listings while its intent lives. An intent waits for its row to be durable, for the
 * marker of the directory it empties, for a file whose base still lies there, and for an upload to
 * the same key, which absorbs it: the upload carries the precondition, and no moment without the
 * object is seen. See wait.h for what waits for what.
 *
 * An intent is in one of four states: in the queue vol->deletions by the time it is due; parked on
 * what is in its way; ready, gathered with others until a request is full or nothing more comes;
 * or in flight.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    INTENT_LOOK_MAX = 16, /* deletions at once that are looked at before, if the store cannot */
    INTENT_DELAY_MS = 50,
    INTENT_DURABLE_MS = 10, /* looks again whether the row is */
    INTENT_QUIET_MS = 300,  /* since another one became ready: gathers what one rm -rf removes */
    INTENT_MANY = 16,       /* that are gathered: it is one, and it may pause for breath */
    INTENT_MANY_QUIET_MS = 2000,
    INTENT_MANY_AFTER_MS = 5000, /* after a request with many: a marker goes with what follows */
    INTENT_GATHER_MS = 30000,    /* but not longer than this */
    INTENT_MARKER_MS = 200,      /* a directory's marker looks again at what is below it */
    INTENT_LOOKS_MAX = 1000,     /* at one go, with the lock held */
    INTENT_DEADLINE_S = 60,
    INTENT_POLL_MS = 100,
};

struct intent *intent_find(struct fs_volume *vol, const char *key)
{
    struct intent *intent;

    HASH_FIND(hh, vol->intents, key, strlen(key), intent);
    return intent;
}

static struct intent *intent_add(struct fs_volume *vol, uint64_t id, uint64_t dir, const char *key,
                                 const char *etag)
{
    struct intent *intent = mem_zalloc(sizeof(*intent));

    intent->id = id;
    intent->kind = INTENT_DELETE;
    intent->dir = dir;
    intent->key = mem_strdup(key);
    intent->etag = mem_strdup(etag);
    HASH_ADD_KEYPTR(hh, vol->intents, intent->key, strlen(intent->key), intent);
    key_tree_add(&vol->intent_keys, &intent->node, intent->key);
    TAILQ_INSERT_TAIL(&vol->intent_list, intent, link);
    intent->wait.deletion = true;
    return intent;
}

static bool intent_is_marker(const struct intent *intent)
{
    return intent->key[strlen(intent->key) - 1] == '/';
}

/* Out of the queue, the parking place, and what is gathered. */
static void intent_leave(struct fs_volume *vol, struct intent *intent)
{
    wait_leave(vol, &intent->wait);
    if (intent->checking)
        TAILQ_REMOVE(&vol->to_check, intent, ready_link);
    intent->checking = false;
    if (!intent->ready)
        return;
    intent->ready = false;
    vol->ready_count--;
    TAILQ_REMOVE(&vol->ready, intent, ready_link);
}

static void intent_free(struct fs_volume *vol, struct intent *intent)
{
    walk_left_intent(vol, intent);
    intent_leave(vol, intent);
    HASH_DELETE(hh, vol->intents, intent);
    key_tree_del(&vol->intent_keys, &intent->node);
    TAILQ_REMOVE(&vol->intent_list, intent, link);
    wait_wake(vol, intent->key, 0);
    free(intent->key);
    free(intent->etag);
    free(intent);
}

void intent_due_at(struct fs_volume *vol, struct intent *intent, int64_t due_ns)
{
    intent->due_ns = due_ns;
    if (!intent->in_flight && !intent->ready && !intent->checking && !intent->wait.on)
        wait_queue_put(&vol->deletions, &intent->wait, due_ns);
}

void intent_hurry(struct fs_volume *vol, struct intent *intent)
{
    int64_t now = clock_mono_ns();

    vol->intent_urgent = true;
    if (intent->wait.slot > 0 && intent->wait.at_ns > now && intent->tries == 0)
        intent_due_at(vol, intent, now);
    (void)pthread_cond_broadcast(&vol->cond);
}

int64_t intent_again_ns(const struct intent *intent, int64_t at_ns)
{
    /* A directory is woken by each thing that goes from below it. */
    if (intent_is_marker(intent))
        at_ns += INTENT_MARKER_MS * CLOCK_MS;
    return intent->due_ns > at_ns ? intent->due_ns : at_ns;
}

void intent_load(struct fs_volume *vol, const struct db_intent *row)
{
    struct intent *intent = intent_add(vol, row->id, row->inode, row->key, row->etag);

    intent_due_at(vol, intent, clock_mono_ns());
}

void intent_delete(struct fs_volume *vol, struct change *c, uint64_t dir, const char *key,
                   const char *etag)
{
    struct intent *intent = intent_find(vol, key);

    if (!intent)
        intent = intent_add(vol, db_next_id(vol->fs->db), dir, key, etag);
    else {
        free(intent->etag);
        intent->etag = mem_strdup(etag);
        intent->again = intent->in_flight; /* what is under way was asked for before */
    }
    log_event(LOG_DEBUG, "to_delete", "key=%s etag=%s id=%lu", LOG_Q(key), LOG_Q(etag),
              (unsigned long)intent->id);
    struct db_intent row = {.id = intent->id,
                            .volume = vol->id,
                            .kind = INTENT_DELETE,
                            .inode = dir,
                            .key = intent->key,
                            .etag = intent->etag};
    db_put_intent(c->txn, &row);
    change_intent(c, intent);
    intent->alone = false;
    intent_leave(vol, intent);
    intent_due_at(vol, intent, clock_mono_ns() + INTENT_DELAY_MS * CLOCK_MS);
}

void intent_drop(struct fs_volume *vol, struct change *c, struct intent *intent)
{
    for (size_t i = 0; i < c->intent_count; i++) {
        if (c->intents[i] == intent)
            c->intents[i--] = c->intents[--c->intent_count];
    }
    log_event(LOG_DEBUG, "no_longer_to_delete", "key=%s", LOG_Q(intent->key));
    db_del_intent(c->txn, intent->id);
    intent_free(vol, intent);
}

/* Something below a directory's key is still to go: its marker goes last. A real directory could
 * not be removed before, and servers that keep objects in directories leave an empty one behind. */
static enum wait_for intent_below(struct fs_volume *vol, const char *key,
                                  char ret_key[STORE_KEY_MAX + 1])
{
    enum wait_for what = WAIT_DRAIN;
    const char *below = drain_below(vol, key);

    /* A drain that this is in the place of may have more to find here. */
    if (!below)
        below = path_reserved(vol, key);
    if (!below)
        what = wait_below(vol, key, &below);
    if (what != WAIT_NOTHING)
        (void)stpcpy(ret_key, below);
    return what;
}

/* The directory that it was removed from gets its marker first, or would vanish with its last file.
 */
static const char *intent_marker(struct fs_volume *vol, const struct intent *intent)
{
    const struct inode *dir = inode_find(vol, intent->dir);

    if (!dir || !(dir->flags & INODE_DIRTY) || (dir->flags & INODE_GONE) || !dir->target_key)
        return NULL;
    return !path_reserved(vol, dir->target_key) && strcmp(dir->target_key, intent->key) != 0
               ? dir->target_key
               : NULL;
}

/* What intent has to wait for, and the key to park on. */
static enum wait_for intent_blocked(struct fs_volume *vol, const struct intent *intent,
                                    char key[STORE_KEY_MAX + 1])
{
    const struct inode *next = target_find(vol, intent->key);
    enum wait_for what;

    (void)stpcpy(key, intent->key);
    if (flight_find(vol, intent->key))
        return WAIT_FLIGHT;
    if (displaced_find(vol, intent->key))
        return WAIT_BASE;
    if (!intent->alone && next && !dirty_silly(next) && !path_reserved(vol, intent->key))
        return WAIT_TARGET; /* its upload absorbs this */
    if (intent_is_marker(intent)) {
        what = intent_below(vol, intent->key, key);
        if (what != WAIT_NOTHING)
            return what;
    }
    const char *marker = intent->alone ? NULL : intent_marker(vol, intent);
    if (!marker)
        return WAIT_NOTHING;
    (void)stpcpy(key, marker);
    return WAIT_TARGET;
}

/* Takes a marker's deletion back if a directory lives under its key that relies on the marker: one
 * that a drain took for left over, and that was renamed back. */
static int intent_check_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct intent *intent = intent_find(vol, args);
    struct inode *dir = inode_find(vol, vol->root);
    uint64_t gen = vol->dir_gen;
    char name[FS_NAME_MAX + 1];
    struct change c;
    int err = 0;

    if (!intent || intent->in_flight)
        return 0;
    for (const char *at = args, *slash; !err && (slash = strchr(at, '/')); at = slash + 1) {
        size_t len = (size_t)(slash - at);
        if (len > FS_NAME_MAX || dir->type != FS_DIR) {
            err = -ENOENT;
            break;
        }
        memcpy(name, at, len);
        name[len] = '\0';
        err = need_known(vol, req, dir, name, &dir);
    }
    if (err == -ENOENT) {
        intent = intent_find(vol, args); /* need_known may have waited */
        if (intent)
            intent->checked_gen = gen + 1;
        return 0;
    }
    if (!err)
        err = need_path(vol, req, dir);
    if (err)
        return err;
    intent->checked_gen = gen + 1;
    if (dir->type != FS_DIR || (dir->flags & INODE_DIRTY))
        return 0;                                  /* it makes its marker anew */
    dir->flags |= INODE_MARKER | INODE_META_DIRTY; /* its attributes may have changed while away */
    dir->base_epoch = vol->epoch;
    change_begin(&c, vol);
    change_row(&c, dir);
    intent_drop(vol, &c, intent);
    change_end(&c, NULL);
    dirty_update(vol, dir, 0);
    return 0;
}

/* Drops the lock meanwhile. */
static void intent_check_all(struct fs_volume *vol)
{
    struct intent *intent;

    while ((intent = TAILQ_FIRST(&vol->to_check)) && !vol->stopping) {
        CLEANUP_FREE char *key = mem_strdup(intent->key);
        struct fs_req req = op_internal(clock_mono_ns() + INTENT_DEADLINE_S * CLOCK_S);
        intent_leave(vol, intent);
        intent_due_at(vol, intent, clock_mono_ns());
        vol_unlock(vol);
        (void)op_run(vol, &req, intent_check_try, key);
        vol_lock(vol);
    }
}

/* True if it may go now; else it is in its queue, or parked. */
static bool intent_look(struct fs_volume *vol, struct intent *intent, int64_t now)
{
    char key[STORE_KEY_MAX + 1];

    if (intent->seq > db_durable(vol->fs->db)) {
        intent_leave(vol, intent);
        wait_queue_put(&vol->deletions, &intent->wait, now + INTENT_DURABLE_MS * CLOCK_MS);
        return false;
    }
    enum wait_for what = intent_blocked(vol, intent, key);
    bool check = intent_is_marker(intent) && intent->checked_gen != vol->dir_gen + 1;
    if (what == WAIT_NOTHING && !check)
        return true;
    intent_leave(vol, intent);
    if (what == WAIT_NOTHING) {
        intent->checking = true;
        TAILQ_INSERT_TAIL(&vol->to_check, intent, ready_link);
        return false;
    }
    wait_park(vol, &intent->wait, what, key);
    wait_resolve(vol, &intent->wait, false);
    return false;
}

/* Gathers what is due. Returns when there is something to do again. */
static int64_t intent_gather(struct fs_volume *vol, int64_t now)
{
    int64_t next_ns = now + INTENT_POLL_MS * CLOCK_MS;
    struct waiter *w;

    for (unsigned looks = 0; (w = wait_queue_first(&vol->deletions)); looks++) {
        struct intent *intent = (struct intent *)((char *)w - offsetof(struct intent, wait));
        bool due = w->at_ns <= now ||
                   (vol->flush_all && intent->tries == 0 && intent->seq <= db_durable(vol->fs->db));
        if (!due || looks == INTENT_LOOKS_MAX)
            return w->at_ns < next_ns ? w->at_ns : next_ns;
        wait_queue_take(&vol->deletions, w);
        if (!intent_look(vol, intent, now))
            continue;
        intent->ready = true;
        if (vol->ready_count++ == 0)
            vol->ready_first_ns = now;
        vol->ready_last_ns = now;
        TAILQ_INSERT_TAIL(&vol->ready, intent, ready_link);
    }
    return next_ns;
}

struct intent_batch {
    struct store_delete *deletes;
    struct intent **intents;
    char **etags; /* copies: an intent may get another while its deletion is under way */
    size_t count, max;
};

/* True if what is gathered should go now. */
static bool intent_enough(const struct fs_volume *vol, const struct intent_batch *b, int64_t now)
{
    bool many = vol->ready_count >= INTENT_MANY ||
                (vol->ready_many_ns && now - vol->ready_many_ns < INTENT_MANY_AFTER_MS * CLOCK_MS);
    int64_t quiet_ms = many ? INTENT_MANY_QUIET_MS : INTENT_QUIET_MS;

    return vol->ready_count >= b->max || vol->flush_all || vol->intent_urgent ||
           now - vol->ready_last_ns >= quiet_ms * CLOCK_MS ||
           now - vol->ready_first_ns >= INTENT_GATHER_MS * CLOCK_MS;
}

/* A store that cannot compare by itself looks before each deletion, one by one: what is done for a
 * few files takes too long for a tree. */
static void intent_unconditional(const struct fs_volume *vol, struct intent_batch *b)
{
    if (vol->caps.cond_delete || b->count <= INTENT_LOOK_MAX)
        return;
    for (size_t i = 0; i < b->count; i++) {
        free(b->etags[i]);
        b->etags[i] = NULL;
        b->deletes[i].if_match = NULL;
    }
}

static void intent_collect(struct fs_volume *vol, struct intent_batch *b)
{
    int64_t now = clock_mono_ns();
    struct intent *intent;

    b->count = 0;
    vol->intent_urgent = false;
    while (b->count < b->max && (intent = TAILQ_FIRST(&vol->ready))) {
        if (!intent_look(vol, intent, now))
            continue; /* not any more: it has left the list */
        intent_leave(vol, intent);
        intent->in_flight = true;
        b->intents[b->count] = intent;
        b->etags[b->count] = mem_strdup(intent->etag);
        b->deletes[b->count] =
            (struct store_delete){.key = intent->key, .if_match = b->etags[b->count]};
        b->count++;
    }
    if (b->count >= INTENT_MANY)
        vol->ready_many_ns = now;
    vol->ready_first_ns = now;
    intent_unconditional(vol, b);
}

/* A real directory stays while anything is in it: what is below and on its way out got there while
 * the deletion was under way. */
static bool intent_in_vain(struct fs_volume *vol, const struct intent *intent)
{
    char key[STORE_KEY_MAX + 1];

    return vol->caps.real_dirs && intent_is_marker(intent) &&
           intent_below(vol, intent->key, key) != WAIT_NOTHING;
}

static void intent_settle(struct fs_volume *vol, struct intent_batch *b, const struct store_req *r)
{
    int64_t now = clock_mono_ns();
    struct change c;

    change_begin(&c, vol);
    for (size_t i = 0; i < b->count; i++) {
        struct intent *intent = b->intents[i];
        int err = r->err ? r->err : b->deletes[i].err;
        intent->in_flight = false;
        key_touch(vol, intent->key);
        wait_wake(vol, intent->key, 0);
        free(b->etags[i]);
        if (intent->again || (!err && intent_in_vain(vol, intent))) {
            intent->again = false;
            intent_due_at(vol, intent, now);
        } else if (!err || err == -ENOENT) {
            status_deleted(vol, 1);
            intent_drop(vol, &c, intent);
        } else if (err == -ESTALE) {
            conflict_delete(vol, intent);
            intent_drop(vol, &c, intent);
        } else {
            intent_due_at(vol, intent, now + op_retry_ns(vol->fs, intent->tries++));
            status_failed(vol, "delete", intent->key, err, r->error_text);
            if (i == 0)
                log_event(LOG_WARN, "delete_failed", "key=%s err=%s text=%s", LOG_Q(intent->key),
                          strerrordesc_np(-err), LOG_Q(r->error_text));
        }
    }
    change_end(&c, NULL);
    (void)pthread_cond_broadcast(&vol->cond);
}

void *intent_main(void *arg)
{
    struct fs_volume *vol = arg;
    size_t max = vol->caps.delete_max ? vol->caps.delete_max : 1;
    struct intent_batch b = {.deletes = mem_array(max, sizeof(*b.deletes)),
                             .intents = mem_array(max, sizeof(struct intent *)),
                             .etags = mem_array(max, sizeof(char *)),
                             .max = max};

    vol_lock(vol);
    while (!vol->stopping) {
        int64_t now = clock_mono_ns(), next_ns = intent_gather(vol, now);
        b.count = 0;
        if (!TAILQ_EMPTY(&vol->to_check)) {
            intent_check_all(vol);
            continue;
        }
        if (vol->ready_count > 0 && intent_enough(vol, &b, now))
            intent_collect(vol, &b);
        if (b.count == 0) {
            if (next_ns > now)
                (void)thread_cond_wait_until(&vol->cond, &vol->lock, next_ns);
            continue;
        }
        vol_unlock(vol);
        struct store_req r = {.op = STORE_DELETE,
                              .prio = STORE_PRIO_UPLOAD,
                              .deadline_ns = clock_mono_ns() + INTENT_DEADLINE_S * CLOCK_S,
                              .deletes = b.deletes,
                              .delete_count = b.count};
        (void)store_call(vol->store, &r);
        vol_lock(vol);
        intent_settle(vol, &b, &r);
        store_req_clear(&r);
        upload_kick(vol->fs);
    }
    vol_unlock(vol);
    free(b.deletes);
    free(b.intents);
    free(b.etags);
    return NULL;
}
