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
    DRAIN_WINDOW = 1024, /* files on their way at a time, of those that can go on */
    DRAIN_CHUNK = 256,   /* that are put on their way in one transaction */
    DRAIN_POLL_MS = 200,
    DRAIN_ROUNDS = 4, /* looks at a prefix that does not become empty, before it is left alone */
    DRAIN_STEP_S = 60,
};

struct drain_row {
    struct db_inode inode;
    struct db_dirent dirent;
};

struct drain {
    struct fs_volume *vol;
    uint64_t *stack; /* directories still to walk */
    size_t depth, room;
    struct inode *dir;      /* being walked, pinned */
    struct drain_row *rows; /* a chunk of its names */
    size_t row_count;
    uint64_t *later; /* of the chunk, those that take a wait */
    size_t later_count;
    int64_t start_ns;
    uint64_t top, epoch; /* the redirect that the walk is for */
    uint64_t moved_at;   /* when its directory came to lie where it is, before the walk */
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

static void drain_clear_rows(struct drain *d)
{
    while (d->row_count > 0)
        db_inode_clear(&d->rows[--d->row_count].inode);
}

/* Every name that the directory has in the old place is in the database, and the directory stays in
 * memory. */
static int drain_list_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct drain *d = args;
    struct inode *dir;
    int err = need_dir(vol, req, d->stack[d->depth], &dir);

    if (vol->stopping)
        return -EINTR;
    if (err)
        return err;
    if (!(dir->flags & INODE_LISTED) && !scan_complete(vol, req, dir))
        return scan_step(vol, req, dir);
    err = op_wait_durable(vol, req, dir->child_seq);
    if (err)
        return err;
    inode_pin(vol, dir);
    d->dir = dir;
    return 0;
}

static bool drain_row(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    struct drain *d = ctx;
    struct drain_row *row = &d->rows[d->row_count++];

    row->dirent = *dirent;
    db_inode_copy(&row->inode, inode);
    return d->row_count < DRAIN_CHUNK;
}

/* A file or directory below a redirect: what lies in the old place is to be placed in the new one.
 * True if c has its row. */
static bool drain_move(struct fs_volume *vol, struct change *c, struct inode *ino)
{
    char base[STORE_KEY_MAX + 1], natural[STORE_KEY_MAX + 1];
    /* A path that became too long for a key: the file goes on being read where it lies, and is
     * among those that wait for their upload. */
    bool nowhere = path_key(vol, ino, natural) != 0;

    if (ino->base_key || path_base_key(vol, ino, base) != 0 ||
        (!nowhere && strcmp(base, natural) == 0))
        return false;
    if (ino->type == FS_DIR) {
        if (nowhere || (!(ino->flags & INODE_MARKER) && !vol->caps.real_dirs))
            return false;
        ino->flags = (ino->flags & ~(uint32_t)INODE_MARKER) | INODE_DIRTY;
        ino->base_epoch = vol->epoch;
    } else {
        if (!ino->base_etag)
            return false;
        intent_delete(vol, c, ino->key->parent, base, ino->base_etag);
        inode_move_base(vol, ino, base);
        vol->path_gen++;
        ino->flags |= INODE_PLACE;
    }
    change_row(c, ino);
    return true;
}

static void drain_moved(struct fs_volume *vol, struct inode *ino)
{
    dirty_update(vol, ino, 0);
    dirty_moving(vol, ino);
}

/* Its base is about to be another; or a crash cut off an upload, and what it made may be the base,
 * in a place that nobody else knows. */
static bool drain_unclear(const struct inode *ino)
{
    return (ino->flags & INODE_UPLOADING) || (ino->flight_key && !ino->flight_live);
}

/* The same with what it takes to wait for. */
static int drain_move_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct inode *ino;
    struct change c;
    int err = need_inode(vol, req, *(const uint64_t *)args, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (vol->stopping)
        err = -EINTR;
    if (err)
        return err == -ESTALE ? 0 : err;
    if (ino->flags & INODE_UPLOADING)
        return op_wait(vol, req);
    if (drain_unclear(ino))
        return flight_resolve(vol, req, ino);
    change_begin(&c, vol);
    bool moved = drain_move(vol, &c, ino);
    change_end(&c, NULL);
    if (moved)
        drain_moved(vol, ino);
    return 0;
}

/* For whoever asks how far it is. Lock held. */
static void drain_count(struct drain *d, size_t count)
{
    struct inode *top = inode_find(d->vol, d->top);

    for (size_t i = 0; top && i < top->redirect_count; i++) {
        if (top->redirects[i].epoch == d->epoch)
            top->redirects[i].moved += count;
    }
}

/* All rows of the chunk that need no wait, in one transaction. Lock held. */
static void drain_chunk(struct drain *d)
{
    struct inode *moved[DRAIN_CHUNK];
    struct fs_volume *vol = d->vol;
    size_t count = 0;
    struct change c;

    d->later_count = 0;
    change_begin(&c, vol);
    for (size_t i = 0; i < d->row_count; i++) {
        struct inode *ino = inode_load(vol, &d->rows[i].inode, &d->rows[i].dirent);
        if (ino->flags & INODE_GONE)
            continue;
        bool here = ino->key && ino->key->parent == d->dir->id && inode_link(vol, ino);
        if (!here || drain_unclear(ino))
            d->later[d->later_count++] = ino->id;
        else if (drain_move(vol, &c, ino))
            moved[count++] = ino;
        if (here && ino->type == FS_DIR)
            drain_push(d, ino->id);
    }
    change_end(&c, NULL);
    for (size_t i = 0; i < count; i++)
        drain_moved(vol, moved[i]);
    drain_count(d, count);
}

/* Waits until there is room among the files on their way. False when the volume stops. */
static bool drain_window(struct fs_volume *vol)
{
    bool go = true;

    vol_lock(vol);
    while (go && vol->moving > DRAIN_WINDOW - DRAIN_CHUNK)
        go = drain_pause(vol);
    vol_unlock(vol);
    return go;
}

/* Reads the next chunk of names after cookie; returns with the lock, or an error without it. */
static int drain_read(struct drain *d, uint64_t cookie)
{
    for (;;) {
        drain_clear_rows(d);
        vol_lock(d->vol);
        uint64_t gen = d->vol->load_gen;
        vol_unlock(d->vol);
        int err = db_list_dirents(d->vol->fs->db, d->dir->id, cookie, DRAIN_CHUNK, drain_row, d);
        if (err)
            return err;
        vol_lock(d->vol);
        if (gen == d->vol->load_gen)
            return 0;
        vol_unlock(d->vol); /* a newer row may have been evicted while this one was read */
    }
}

static int drain_children(struct drain *d)
{
    uint64_t cookie = 0;
    bool more = true;
    int err = 0;

    while (more && !err) {
        if (!drain_window(d->vol))
            return -EINTR;
        err = drain_read(d, cookie);
        if (err)
            return err;
        if (d->row_count > 0)
            cookie = d->rows[d->row_count - 1].dirent.id;
        more = d->row_count == DRAIN_CHUNK;
        drain_chunk(d);
        inode_evict(d->vol);
        vol_unlock(d->vol);
        for (size_t i = 0; i < d->later_count && !err; i++) {
            struct fs_req req = op_internal(clock_mono_ns() + DRAIN_STEP_S * CLOCK_S);
            err = op_run(d->vol, &req, drain_move_try, &d->later[i]);
        }
    }
    return err;
}

/* The whole tree below id once. */
static int drain_walk(struct drain *d, uint64_t id)
{
    int err = 0;

    /* The directory itself too: its marker may lie in the place that is drained, found through a
     * redirect of a directory above. */
    struct fs_req first = op_internal(clock_mono_ns() + DRAIN_STEP_S * CLOCK_S);
    err = op_run(d->vol, &first, drain_move_try, &id);
    d->depth = 0;
    drain_push(d, id);
    while (d->depth > 0 && !err) {
        d->depth--;
        struct fs_req req = op_internal(clock_mono_ns() + DRAIN_STEP_S * CLOCK_S);
        req.start_ns = d->start_ns;
        err = op_run(d->vol, &req, drain_list_try, d);
        if (err == -ESTALE || err == -ENOTDIR) {
            err = 0; /* removed meanwhile */
            continue;
        }
        if (err)
            break;
        err = drain_children(d);
        drain_clear_rows(d);
        vol_lock(d->vol);
        inode_unpin(d->vol, d->dir);
        vol_unlock(d->vol);
    }
    return err;
}

/* What a look at the old place found. */
struct drain_found {
    size_t strays;  /* found only through the redirect, or nobody knows them */
    size_t markers; /* of directories */
};

/* One page of what lies in the old place. What is on its way, explicitly or by the drain of a
 * directory below that moved on, does not count. Markers are sent away if so wanted; those of
 * directories that live there again are safe (intent.c). Lock held. */
static void drain_look_page(struct fs_volume *vol, const char *prefix, bool send,
                            const struct store_req *r, struct drain_found *found)
{
    struct change c;

    change_begin(&c, vol);
    for (size_t i = r->object_count; i-- > 0;) {
        const char *key = r->objects[i].key;
        size_t len = strlen(key);
        bool marker = len > 0 && key[len - 1] == '/';
        const struct intent *intent = intent_find(vol, key);
        /* A real directory whose deletion is under way may have had something in it: once more. */
        if ((intent && !(marker && intent->in_flight)) || displaced_find(vol, key) ||
            path_drains_below(vol, prefix, key))
            continue;
        if (!marker)
            found->strays++;
        else if (send)
            intent_delete(vol, &c, 0, key, NULL);
        else
            found->markers++;
    }
    change_end(&c, NULL);
}

/* When the directory of a drain came to lie where it is. A walk leaves alone what is at home at
 * that moment, so what it found counts only if the directory did not move, nor move there and back,
 * until the end. 0: it is gone. Lock held. */
static uint64_t drain_moved_at(struct fs_volume *vol, uint64_t id)
{
    const struct inode *dir = inode_find(vol, id);

    return dir && !(dir->flags & INODE_GONE) ? path_moved_at(vol, dir) : 0;
}

/* Looks at the old place, to its end or until enough is known. send is NULL, or the drain whose
 * walk is done: markers go only while its directory has not moved since, -EAGAIN if it has. What
 * was at home during the walk still counts on its marker when it is away again. */
static int drain_look(struct fs_volume *vol, const char *prefix, const struct drain *send,
                      bool whole, struct drain_found *found)
{
    char *token = NULL;
    bool more = true;
    int err = 0;

    *found = (struct drain_found){0};
    while (more && !err && (whole || found->strays + found->markers == 0)) {
        struct store_req r = {.op = STORE_LIST,
                              .prio = STORE_PRIO_DRAIN,
                              .deadline_ns = clock_mono_ns() + DRAIN_STEP_S * CLOCK_S,
                              .prefix = prefix,
                              .token = token};
        err = store_call(vol->store, &r);
        if (err == -ENOENT)
            err = 0;
        vol_lock(vol);
        if (!err && send && drain_moved_at(vol, send->top) != send->moved_at)
            err = -EAGAIN;
        if (!err)
            drain_look_page(vol, prefix, send != NULL, &r, found);
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

static void drain_finish(struct fs_volume *vol, uint64_t id, uint64_t epoch, uint64_t moved_at)
{
    struct change c;

    log_event(LOG_DEBUG, "drained", "dir=%lu epoch=%lu", (unsigned long)id, (unsigned long)epoch);
    vol_lock(vol);
    struct inode *dir = inode_find(vol, id);
    if (dir && drain_moved_at(vol, id) == moved_at) {
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

/* Notes that there were strays after a whole walk. True when the place is to be left alone: what
 * stays there is not ours. */
static bool drain_give_up(struct fs_volume *vol, uint64_t id, uint64_t epoch)
{
    bool give_up = false;

    vol_lock(vol);
    struct inode *dir = inode_find(vol, id);
    for (size_t i = 0; dir && i < dir->redirect_count; i++) {
        if (dir->redirects[i].epoch == epoch)
            give_up = ++dir->redirects[i].rounds > DRAIN_ROUNDS;
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
    vol_lock(vol);
    bool found = flight_find(vol, prefix) || key_tree_below(&vol->flight_keys, prefix);
    vol_unlock(vol);
    return found;
}

/* One pass over one redirect: a look, and if something lies there a walk that gives all of it its
 * key in so many words and sends it on its way. After that nobody needs the redirect, whether or
 * not the objects have gone already: a drain waits for nothing that waits itself (wait.h). Of
 * directories that are renamed again and again most old places are empty. Markers go when nothing
 * else is left that nobody knows: a directory that is not empty would stay. -EAGAIN: not done yet.
 */
static int drain_redirect(struct drain *d, uint64_t id, uint64_t epoch, const char *prefix,
                          uint64_t moved_at)
{
    struct drain_found found;
    int err = drain_flights(d->vol, prefix) ? -EAGAIN : 0;

    if (!err)
        err = drain_look(d->vol, prefix, NULL, false, &found);
    if (!err && found.strays + found.markers > 0) {
        d->start_ns = clock_mono_ns();
        d->top = id;
        d->epoch = epoch;
        d->moved_at = moved_at;
        err = drain_walk(d, id);
        if (!err)
            err = drain_look(d->vol, prefix, NULL, true, &found);
    }
    if (err)
        return err;
    if (found.strays > 0) {
        if (!drain_give_up(d->vol, id, epoch))
            return -EAGAIN;
        log_event(LOG_WARN, "drain_left", "prefix=%s objects=%zu", LOG_Q(prefix), found.strays);
    }
    if (found.strays + found.markers > 0)
        err = drain_look(d->vol, prefix, d, true, &found);
    if (!err)
        drain_finish(d->vol, id, epoch, moved_at);
    return err;
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
            if (drain_is_home(vol, dir, r->prefix) ? !path_home_settled(vol, dir, r)
                                                   : drain_has_below(vol, r->prefix))
                continue; /* another one first */
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
    struct drain d = {.vol = vol,
                      .rows = mem_array(DRAIN_CHUNK, sizeof(*d.rows)),
                      .later = mem_array(DRAIN_CHUNK, sizeof(*d.later))};
    uint64_t id, epoch;
    char *prefix;

    vol_lock(vol);
    while (!vol->stopping) {
        if (!drain_next(vol, &id, &epoch, &prefix)) {
            (void)drain_pause(vol);
            continue;
        }
        uint64_t moved_at = drain_moved_at(vol, id);
        vol_unlock(vol);
        int err = 0;
        if (prefix)
            err = drain_redirect(&d, id, epoch, prefix, moved_at);
        else
            drain_finish(vol, id, epoch, moved_at);
        free(prefix);
        vol_lock(vol);
        if (err && err != -EINTR)
            (void)drain_pause(vol); /* the store is away: again in a moment */
    }
    vol_unlock(vol);
    free(d.rows);
    free(d.later);
    free(d.stack);
    return NULL;
}
