/* Pushing what waits to the bucket at once, and counting what of it is still missing there. */
#include "fs/status_int.h"

#include <bsd/string.h>
#include <errno.h>
#include <string.h>

struct fs_mark fs_mark_now(struct fs *fs)
{
    return (struct fs_mark){.at_ns = clock_mono_ns(), .id = db_next_id(fs->db)};
}

/* --- the path --- */

struct flush_path {
    const char *path;
    struct inode *ret; /* pinned */
};

/* The next name of the path into name; the rest of the path. -ENAMETOOLONG, or what name_check
 * says. */
static int flush_next_name(const char **path, char name[FS_NAME_MAX + 1])
{
    size_t len = strcspn(*path, "/");

    if (len > FS_NAME_MAX)
        return -ENAMETOOLONG;
    (void)strlcpy(name, *path, len + 1);
    *path += len;
    return name_check(name);
}

static int flush_path_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct flush_path *a = args;
    const char *path = a->path;
    char name[FS_NAME_MAX + 1];
    struct inode *ino = inode_find(vol, vol->root);
    int err = 0;

    for (path += strspn(path, "/"); *path && !err; path += strspn(path, "/")) {
        struct inode *dir = NULL;
        err = flush_next_name(&path, name);
        if (!err)
            err = need_dir(vol, req, ino->id, &dir);
        if (!err)
            err = need_name(vol, req, dir, name, &ino);
    }
    if (!err && ino->id != vol->root)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    inode_pin(vol, ino);
    a->ret = ino;
    return 0;
}

/* --- the push --- */

struct flush_walk {
    struct fs_flush *ret;
    struct inode *top; /* pinned; the root: everything */
    struct fs_mark mark;
    bool again, pushed;
    int64_t now;
};

/* True if ino is top or below it, as far as the way up is in memory. */
static bool flush_is_below(struct fs_volume *vol, const struct inode *ino, const struct inode *top)
{
    while (ino && ino != top)
        ino = ino->key && ino->id != vol->root ? inode_find(vol, ino->key->parent) : NULL;
    return ino != NULL;
}

static void flush_file(struct fs_volume *vol, struct inode *ino, void *ctx)
{
    struct flush_walk *walk = ctx;
    struct fs_flush *f = walk->ret;

    if (ino->dirty_since_ns > walk->mark.at_ns || dirty_silly(ino) ||
        !flush_is_below(vol, ino, walk->top))
        return;
    f->files++;
    uint64_t bytes = ino->extents ? extent_map_bytes(ino->extents) : 0;
    f->bytes += bytes > ino->upload_done ? bytes - ino->upload_done : 0;
    if (ino->last_err) {
        f->failing++;
        if (f->failed.count < FS_STATUS_FILES_MAX)
            status_file(vol, ino, walk->now, &f->failed.file[f->failed.count++]);
    }
    if (ino->due_ns > walk->now && (!walk->again || ino->tries == 0)) {
        dirty_due_at(vol, ino, walk->now);
        walk->pushed = true;
    }
}

static bool flush_has_intent(struct fs_volume *vol, const struct flush_walk *walk,
                             const struct intent *intent)
{
    char key[STORE_KEY_MAX + 1];
    const struct inode *dir, *other;

    if (intent->id > walk->mark.id)
        return false;
    other = displaced_find(vol, intent->key);
    if ((other && dirty_silly(other)) || wait_is_local(vol, &intent->wait))
        return false; /* goes when the client lets go of the file */
    if (walk->top->id == vol->root)
        return true;
    dir = inode_find(vol, intent->dir);
    if (dir && flush_is_below(vol, dir, walk->top))
        return true;
    /* The key that a renamed file is moved away from belongs to it. */
    if (other && flush_is_below(vol, other, walk->top))
        return true;
    return !(walk->top->flags & INODE_GONE) && path_key(vol, walk->top, key) == 0 &&
           strncmp(intent->key, key, strlen(key)) == 0 && walk->top->type == FS_DIR;
}

static void flush_intent(struct fs_volume *vol, struct intent *intent, void *ctx)
{
    struct flush_walk *walk = ctx;

    if (!flush_has_intent(vol, walk, intent))
        return;
    walk->ret->deletes++;
    if (intent->due_ns > walk->now && (!walk->again || intent->tries == 0))
        intent_due_at(vol, intent, walk->now);
}

/* A directory that is being moved, at or below the path; or one above it, whose content it is. */
static void flush_drains(struct fs_volume *vol, struct flush_walk *walk)
{
    const struct inode *dir;

    vol_lock(vol);
    TAILQ_FOREACH (dir, &vol->draining, drain) {
        bool before = false;
        for (size_t i = 0; i < dir->redirect_count; i++)
            before = before || dir->redirects[i].epoch <= walk->mark.id;
        if (before && !(dir->flags & INODE_GONE) &&
            (flush_is_below(vol, dir, walk->top) || flush_is_below(vol, walk->top, dir)))
            walk->ret->drains++;
    }
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
}

int fs_flush(struct fs_volume *vol, const char *path, struct fs_mark mark, bool again,
             int64_t deadline_ns, struct fs_flush *ret)
{
    struct fs_req req = op_internal(deadline_ns);
    struct flush_path a = {.path = path};
    int err = op_run(vol, &req, flush_path_try, &a);

    if (err)
        return err == -ESTALE ? -ENOENT : err;
    *ret = (struct fs_flush){0};
    struct flush_walk walk = {
        .ret = ret, .top = a.ret, .mark = mark, .again = again, .now = clock_mono_ns()};
    /* In the order in which work goes on; see fs_get_status. */
    flush_drains(vol, &walk);
    walk_dirty(vol, flush_file, &walk);
    walk_intents(vol, flush_intent, &walk);
    vol_lock(vol);
    inode_unpin(vol, a.ret);
    vol_unlock(vol);
    if (walk.pushed)
        upload_kick(vol->fs);
    (void)status_store(vol, &ret->store_failing_ns, &ret->store_error);
    return 0;
}
