/*
 * Draining renamed directories. For each redirect: walk the tree, list what was never listed, and
 * give every file that is still found through the redirect its old key in so many words, so that it
 * is placed like any renamed file. When a listing of the old prefix shows nothing else any more the
 * redirect has done its work. A restart begins the walk again and finds what is left.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    DRAIN_WINDOW = 512, /* files on their way at a time */
    DRAIN_CHUNK = 256,
    DRAIN_POLL_MS = 200,
    DRAIN_ROUNDS = 4, /* looks at a prefix that does not become empty, before it is left alone */
    DRAIN_STEP_S = 60,
};

struct drain {
    struct fs_volume *vol;
    uint64_t *stack; /* directories still to walk */
    size_t depth, room;
    uint64_t *ids; /* files of a chunk */
    size_t id_count;
    uint64_t cookie;
    int64_t start_ns;
};

static void drain_push(struct drain *d, uint64_t id)
{
    if (d->depth == d->room) {
        d->room = d->room ? d->room * 2 : 64;
        d->stack = mem_rearray(d->stack, d->room, sizeof(*d->stack));
    }
    d->stack[d->depth++] = id;
}

/* Waits a little on the volume's condition. False when the volume stops. Lock held. */
static bool drain_pause(struct fs_volume *vol)
{
    if (!vol->stopping)
        (void)thread_cond_wait_until(&vol->cond, &vol->lock,
                                     clock_mono_ns() + DRAIN_POLL_MS * CLOCK_MS);
    return !vol->stopping;
}

static int drain_list_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct inode *dir;
    int err = need_dir(vol, req, *(const uint64_t *)args, &dir);

    if (vol->stopping)
        return -EINTR;
    if (err)
        return err;
    if (!scan_complete(vol, req, dir))
        return scan_step(vol, req, dir);
    return op_wait_durable(vol, req, dir->child_seq);
}

static bool drain_row(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    struct drain *d = ctx;

    (void)inode;
    d->ids[d->id_count++] = dirent->inode;
    d->cookie = dirent->id;
    return d->id_count < DRAIN_CHUNK;
}

/* A file or directory below a redirect: what lies in the old place is to be placed in the new one.
 */
static int drain_move_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    char base[STORE_KEY_MAX + 1], natural[STORE_KEY_MAX + 1];
    struct inode *ino;
    struct change c;
    int err = need_inode(vol, req, *(const uint64_t *)args, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    if (path_key(vol, ino, natural) != 0 || path_base_key(vol, ino, base) != 0)
        return 0;
    if (strcmp(base, natural) == 0 || ino->base_key)
        return 0;
    if (ino->flags & INODE_UPLOADING)
        return op_wait(vol, req); /* its base is about to be another */
    if (ino->type == FS_DIR) {
        if (!(ino->flags & INODE_MARKER))
            return 0;
        change_begin(&c, vol);
        ino->flags = (ino->flags & ~(uint32_t)INODE_MARKER) | INODE_DIRTY;
        ino->base_epoch = vol->epoch;
    } else {
        if (!ino->base_etag)
            return 0;
        change_begin(&c, vol);
        intent_delete(vol, &c, ino->key->parent, base, ino->base_etag);
        inode_move_base(vol, ino, base);
        vol->path_gen++;
        ino->flags |= INODE_PLACE;
    }
    change_row(&c, ino);
    change_end(&c, NULL);
    dirty_update(vol, ino, 0);
    dirty_moving(vol, ino);
    return 0;
}

/* Waits until there is room among the files on their way. */
static bool drain_window(struct fs_volume *vol)
{
    bool go = true;

    vol_lock(vol);
    while (go && vol->moving > DRAIN_WINDOW)
        go = drain_pause(vol);
    vol_unlock(vol);
    return go;
}

static int drain_children(struct drain *d, uint64_t dir)
{
    d->cookie = 0;
    do {
        d->id_count = 0;
        int err = db_list_dirents(d->vol->fs->db, dir, d->cookie, DRAIN_CHUNK, drain_row, d);
        if (err)
            return err;
        size_t count = d->id_count;
        for (size_t i = 0; i < count; i++) {
            struct fs_req req = op_internal(clock_mono_ns() + DRAIN_STEP_S * CLOCK_S);
            (void)op_run(d->vol, &req, drain_move_try, &d->ids[i]);
            vol_lock(d->vol);
            struct inode *ino = inode_find(d->vol, d->ids[i]);
            bool is_dir = ino && ino->type == FS_DIR && !(ino->flags & INODE_GONE);
            vol_unlock(d->vol);
            if (is_dir)
                drain_push(d, d->ids[i]);
        }
        if (!drain_window(d->vol))
            return -EINTR;
    } while (d->id_count == DRAIN_CHUNK);
    return 0;
}

/* The whole tree below id once. */
static int drain_walk(struct drain *d, uint64_t id)
{
    int err = 0;

    d->depth = 0;
    drain_push(d, id);
    while (d->depth > 0 && !err) {
        uint64_t dir = d->stack[--d->depth];
        struct fs_req req = op_internal(clock_mono_ns() + DRAIN_STEP_S * CLOCK_S);
        req.start_ns = d->start_ns;
        err = op_run(d->vol, &req, drain_list_try, &dir);
        if (err == -ESTALE || err == -ENOTDIR) {
            err = 0; /* removed meanwhile */
            continue;
        }
        if (!err)
            err = drain_children(d, dir);
    }
    return err;
}

/* One page of what lies in the old place. What is on its way, explicitly or by the drain of a
 * directory below that moved on, does not count. Lock held. */
static size_t drain_look_page(struct fs_volume *vol, const char *prefix, bool walked,
                              const struct store_req *r)
{
    size_t strays = 0;
    struct change c;

    change_begin(&c, vol);
    for (size_t i = r->object_count; i-- > 0;) {
        const char *key = r->objects[i].key;
        size_t len = strlen(key);
        if (intent_find(vol, key) || displaced_find(vol, key) || path_moved_away(vol, prefix, key))
            continue;
        if (walked && len > 0 && key[len - 1] == '/')
            intent_delete(vol, &c, 0, key, NULL);
        else
            strays++;
    }
    change_end(&c, NULL);
    return strays;
}

/* Looks at the old place. *ret_strays: objects there that are found only through the redirect, or
 * that nobody knows. After a walk what is left of markers is sent away; before one, a marker may be
 * all that a directory has. */
static int drain_look(struct fs_volume *vol, const char *prefix, bool walked, size_t *ret_strays)
{
    char *token = NULL;
    bool more = true;
    int err = 0;

    *ret_strays = 0;
    while (more && !err && !(*ret_strays > 0 && !walked)) {
        struct store_req r = {.op = STORE_LIST,
                              .prio = STORE_PRIO_DRAIN,
                              .deadline_ns = clock_mono_ns() + DRAIN_STEP_S * CLOCK_S,
                              .prefix = prefix,
                              .token = token};
        err = store_call(vol->store, &r);
        if (err == -ENOENT)
            err = 0;
        vol_lock(vol);
        if (!err)
            *ret_strays += drain_look_page(vol, prefix, walked, &r);
        if (vol->stopping)
            err = -EINTR;
        vol_unlock(vol);
        free(token);
        token = mem_strdup(r.next_token);
        more = token != NULL;
        store_req_clear(&r);
    }
    free(token);
    return err;
}

static bool drain_dirty_below(struct fs_volume *vol, const struct inode *dir)
{
    const struct inode *ino;

    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        if (ino != dir && !dirty_silly(ino) && path_below(vol, ino, dir))
            return true;
    }
    return false;
}

static void drain_finish(struct fs_volume *vol, uint64_t id, uint64_t epoch)
{
    struct change c;

    log_event(LOG_DEBUG, "drained", "dir=%lu epoch=%lu", (unsigned long)id, (unsigned long)epoch);
    vol_lock(vol);
    struct inode *dir = inode_find(vol, id);
    if (dir && !(dir->flags & INODE_GONE)) {
        change_begin(&c, vol);
        db_del_redirect(c.txn, id, epoch);
        change_end(&c, NULL);
        redirect_remove(vol, dir, epoch);
        vol->path_gen++;
        vol->dir_gen++;
        upload_kick(vol->fs);
    }
    vol_unlock(vol);
}

/* True if the directory lives where this redirect points: it was renamed back, and nothing has to
 * move. */
static bool drain_is_home(struct fs_volume *vol, const struct inode *dir, const char *prefix)
{
    char natural[STORE_KEY_MAX + 1];

    return path_key(vol, dir, natural) == 0 && strcmp(natural, prefix) == 0;
}

/* Notes that a look found strays. True when the place is to be left alone: something stays there
 * though nothing of ours is on its way any more. */
static bool drain_give_up(struct fs_volume *vol, uint64_t id, uint64_t epoch)
{
    bool give_up = false;

    vol_lock(vol);
    struct inode *dir = inode_find(vol, id);
    for (size_t i = 0; dir && i < dir->redirect_count; i++) {
        struct redirect *r = &dir->redirects[i];
        if (r->epoch == epoch && !drain_dirty_below(vol, dir))
            give_up = ++r->rounds > DRAIN_ROUNDS;
    }
    /* The others get their turn. */
    if (dir && dir->redirect_count > 0 && !give_up) {
        struct redirect first = dir->redirects[0];
        memmove(dir->redirects, dir->redirects + 1, (dir->redirect_count - 1) * sizeof(first));
        dir->redirects[dir->redirect_count - 1] = first;
        TAILQ_REMOVE(&vol->draining, dir, drain);
        TAILQ_INSERT_TAIL(&vol->draining, dir, drain);
    }
    vol_unlock(vol);
    return give_up;
}

/* An upload that began before the rename is still writing into the old place: what it leaves there
 * must be seen. No new one begins, for the place is reserved. */
static bool drain_flights(struct fs_volume *vol, const char *prefix)
{
    const struct inode *ino, *next;
    bool found = false;

    vol_lock(vol);
    HASH_ITER (hh_flight, vol->flights, ino, next) {
        found = found || strncmp(ino->flight_key, prefix, strlen(prefix)) == 0;
    }
    vol_unlock(vol);
    return found;
}

/* One pass over one redirect: a look, and if something lies there a walk that gives all of it its
 * key in so many words and sends it on its way. After that nobody needs the redirect, whether or
 * not the objects have gone already; to wait for that could be for ever, when what is to go waits
 * for room that this very redirect reserves. Of directories that are renamed again and again most
 * old places are empty. -EAGAIN: not done yet. */
static int drain_redirect(struct drain *d, uint64_t id, uint64_t epoch, const char *prefix)
{
    size_t strays = 0;
    int err = drain_flights(d->vol, prefix) ? -EAGAIN : 0;

    if (!err)
        err = drain_look(d->vol, prefix, false, &strays);
    if (!err && strays > 0) {
        d->start_ns = clock_mono_ns();
        err = drain_walk(d, id);
        if (!err)
            err = drain_look(d->vol, prefix, true, &strays);
    }
    if (err)
        return err;
    if (strays > 0) {
        if (!drain_give_up(d->vol, id, epoch))
            return -EAGAIN;
        log_event(LOG_WARN, "drain_left", "prefix=%s objects=%zu", LOG_Q(prefix), strays);
    }
    drain_finish(d->vol, id, epoch);
    return 0;
}

const char *drain_below(struct fs_volume *vol, const char *key)
{
    const struct inode *dir;
    size_t len = strlen(key);

    TAILQ_FOREACH (dir, &vol->draining, drain) {
        for (size_t i = 0; i < dir->redirect_count; i++) {
            const char *prefix = dir->redirects[i].prefix;
            if (strncmp(prefix, key, len) == 0 && prefix[len] != '\0')
                return prefix;
        }
    }
    return NULL;
}

/* True if another redirect's prefix lies below this one: that one has to be empty first. */
static bool drain_has_below(struct fs_volume *vol, const char *prefix)
{
    const struct inode *dir;
    size_t len = strlen(prefix);

    TAILQ_FOREACH (dir, &vol->draining, drain) {
        for (size_t i = 0; i < dir->redirect_count; i++) {
            const char *other = dir->redirects[i].prefix;
            if (strncmp(other, prefix, len) == 0 && other[len] != '\0' &&
                !drain_is_home(vol, dir, other))
                return true;
        }
    }
    return false;
}

/* The next redirect to work on. Lock held. */
static bool drain_next(struct fs_volume *vol, uint64_t *ret_id, uint64_t *ret_epoch,
                       char **ret_prefix)
{
    struct inode *dir;

    TAILQ_FOREACH (dir, &vol->draining, drain) {
        for (size_t i = 0; i < dir->redirect_count; i++) {
            const struct redirect *r = &dir->redirects[i];
            if (dir->redirect_count > 1 && drain_is_home(vol, dir, r->prefix))
                continue; /* first what lies elsewhere */
            if (!drain_is_home(vol, dir, r->prefix) && drain_has_below(vol, r->prefix))
                continue;
            *ret_id = dir->id;
            *ret_epoch = r->epoch;
            *ret_prefix = drain_is_home(vol, dir, r->prefix) ? NULL : mem_strdup(r->prefix);
            return true;
        }
    }
    return false;
}

void *drain_main(void *arg)
{
    struct fs_volume *vol = arg;
    struct drain d = {.vol = vol, .ids = mem_array(DRAIN_CHUNK, sizeof(uint64_t))};
    uint64_t id, epoch;
    char *prefix;

    vol_lock(vol);
    while (!vol->stopping) {
        if (!drain_next(vol, &id, &epoch, &prefix)) {
            (void)drain_pause(vol);
            continue;
        }
        vol_unlock(vol);
        int err = 0;
        if (prefix)
            err = drain_redirect(&d, id, epoch, prefix);
        else
            drain_finish(vol, id, epoch);
        free(prefix);
        vol_lock(vol);
        if (err && err != -EINTR)
            (void)drain_pause(vol); /* the store is away: again in a moment */
    }
    vol_unlock(vol);
    free(d.ids);
    free(d.stack);
    return NULL;
}
