/*
 * From paths to mount points. After each change of the list all mounts are placed anew, in the
 * order of their paths, so that each finds what it lies below. What has not moved is left alone.
 */
#include "fs/mounts_list.h"

#include <assert.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { PLACE_DEADLINE_S = 10, PLACE_RETRY_S = 5 };

struct place { /* where a mount is to be */
    struct fs_volume *in, *shown;
    uint64_t at, at_dir;
};

/* --- the way there --- */

struct step {
    uint64_t dir, ret;
    const char *name;
    bool ask; /* the store too */
};

static int step_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct step *s = args;
    struct inode *dir, *ino;
    int err = need_dir(vol, req, s->dir, &dir);

    if (err)
        return err;
    err =
        s->ask ? need_name(vol, req, dir, s->name, &ino) : need_known(vol, req, dir, s->name, &ino);
    if (err == -ENOENT) {
        ino = local_make(vol, dir, s->name);
        err = ino ? 0 : -ENOSPC;
    }
    if (err)
        return err;
    if (ino->type != FS_DIR)
        return -ENOTDIR;
    s->ret = ino->id;
    return 0;
}

/* One name down. When the store does not say, what is known has to do. */
static int place_step(struct fs_volume *vol, uint64_t dir, const char *name, uint64_t *ret)
{
    struct fs_req req = op_internal(clock_mono_ns() + PLACE_DEADLINE_S * CLOCK_S);
    struct step s = {.dir = dir, .name = name, .ask = true};
    int err = op_run(vol, &req, step_try, &s);

    if (err == -EAGAIN || err == -EIO || err == -EACCES) {
        req = op_internal(clock_mono_ns() + PLACE_DEADLINE_S * CLOCK_S);
        s.ask = false;
        err = op_run(vol, &req, step_try, &s);
    }
    if (!err)
        *ret = s.ret;
    return err;
}

/* The next name of *path, which is moved on. False: there is none. */
static bool place_name(const char **path, char name[FS_NAME_MAX + 1])
{
    *path += strspn(*path, "/");
    size_t len = strcspn(*path, "/");
    if (len == 0)
        return false;
    assert(len <= FS_NAME_MAX);
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    return true;
}

/* Where list[n] goes, now that those before it have places. */
static int place_find(struct mounts *mounts, size_t n, const struct place *places,
                      struct place *ret)
{
    const struct mount *m = mounts->list[n];
    struct fs_volume *vol = m->top;
    const char *path = m->path;
    char name[FS_NAME_MAX + 1];
    uint64_t dir = 0, ino = vol->root;
    int err = 0;

    while (!err && place_name(&path, name)) {
        for (size_t i = 0; i < n && dir; i++) {
            if (places[i].in == vol && places[i].at == ino) {
                vol = places[i].shown;
                ino = vol->root;
                break;
            }
        }
        dir = ino;
        err = place_step(vol, dir, name, &ino);
    }
    if (!err)
        *ret = (struct place){
            .in = vol, .at = ino, .at_dir = dir, .shown = m->real ? m->real : m->failed};
    return err;
}

/* --- points --- */

static int point_pin_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct inode *ino;
    int err = need_inode(vol, req, *(const uint64_t *)args, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    if (ino->flags & INODE_MOUNTED)
        return 0;
    inode_pin(vol, ino);
    ino->flags |= INODE_MOUNTED;
    return 0;
}

/* Whoever has the directory's names, or this name, from before is told. Lock held. */
static void point_changed(struct fs_volume *vol, uint64_t id)
{
    struct inode *ino = inode_find(vol, id);
    struct inode *dir = ino && ino->key ? inode_find(vol, ino->key->parent) : NULL;
    struct change c;

    if (!dir || (dir->flags & INODE_GONE))
        return;
    change_begin(&c, vol);
    inode_stamp(dir, true);
    change_row(&c, dir);
    change_end(&c, NULL);
    invalid_name(vol, NULL, dir->id, ino->key->name);
    invalid_inode(vol, NULL, dir);
    (void)pthread_cond_broadcast(&vol->cond);
}

static int point_set(const struct place *place)
{
    struct fs_volume *vol = place->in;
    struct volume_mounts *m = vol->mounts;
    struct fs_req req = op_internal(clock_mono_ns() + PLACE_DEADLINE_S * CLOCK_S);
    uint64_t at = place->at;
    int err = op_run(vol, &req, point_pin_try, &at);

    if (err)
        return err;
    vol_lock(vol);
    size_t i = 0;
    while (i < m->point_count && m->points[i].ino != at)
        i++;
    if (i == m->point_count) {
        m->points = mem_rearray(m->points, m->point_count + 1, sizeof(*m->points));
        m->point_count++;
    }
    m->points[i] = (struct mount_point){.ino = at, .child = place->shown};
    point_changed(vol, at);
    vol_unlock(vol);
    return 0;
}

static void point_clear(struct fs_volume *vol, uint64_t at)
{
    struct volume_mounts *m = vol->mounts;
    size_t kept = 0;

    vol_lock(vol);
    for (size_t i = 0; i < m->point_count; i++) {
        if (m->points[i].ino != at)
            m->points[kept++] = m->points[i];
    }
    if (kept < m->point_count) {
        struct inode *ino = inode_find(vol, at);
        m->point_count = kept;
        ino->flags &= ~(uint32_t)INODE_MOUNTED;
        point_changed(vol, at);
        inode_unpin(vol, ino);
    }
    vol_unlock(vol);
}

/* The way up from vol's root; up NULL: it shows nowhere. */
static void place_link(struct fs_volume *vol, struct fs_volume *top, struct fs_volume *up,
                       uint64_t up_dir)
{
    vol_lock(vol);
    vol->mounts->up = up;
    vol->mounts->up_dir = up_dir;
    vol_unlock(vol);
    atomic_store_explicit(&vol->mounts->top, top, memory_order_release);
}

/* --- all --- */

static int place_order(const void *a, const void *b)
{
    const struct mount *x = *(struct mount *const *)a, *y = *(struct mount *const *)b;

    if (x->top != y->top)
        return x->top->id < y->top->id ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* True if one of the mounts is to be there. */
static bool place_taken(const struct place *places, size_t count, const struct fs_volume *vol,
                        uint64_t at)
{
    for (size_t i = 0; i < count; i++) {
        if (places[i].in == vol && places[i].at == at)
            return true;
    }
    return false;
}

/* Writes down where m is now. */
static void place_note(struct mounts *mounts, struct mount *m, const struct place *place, int err)
{
    (void)pthread_mutex_lock(&mounts->lock);
    m->in = place->in;
    m->at = place->at;
    m->at_dir = place->at_dir;
    m->shown = place->in ? place->shown : NULL;
    m->place_err = err;
    m->place_error[0] = '\0';
    if (err) {
        (void)snprintf(m->place_error, sizeof(m->place_error), "%s cannot be shown: %s", m->path,
                       err == -ENOTDIR ? "something that is no directory has that path"
                                       : strerrordesc_np(-err));
        if (m->real)
            m->next_ns = clock_mono_ns() + PLACE_RETRY_S * CLOCK_S;
    }
    (void)pthread_mutex_unlock(&mounts->lock);
}

void mount_place_all(struct mounts *mounts)
{
    size_t count = mounts->count;
    struct place *places = mem_array(count + 1, sizeof(*places));

    (void)pthread_mutex_lock(&mounts->lock);
    if (count > 0)
        qsort(mounts->list, count, sizeof(struct mount *), place_order);
    (void)pthread_mutex_unlock(&mounts->lock);
    for (size_t i = 0; i < count; i++) {
        struct mount *m = mounts->list[i];
        int err = place_find(mounts, i, places, &places[i]);
        bool same =
            !err && m->in == places[i].in && m->at == places[i].at && m->shown == places[i].shown;
        if (m->in && !same && !place_taken(places, count, m->in, m->at))
            point_clear(m->in, m->at);
        if (m->shown && m->shown != places[i].shown)
            place_link(m->shown, NULL, NULL, 0);
        if (!err && !same) {
            place_link(places[i].shown, m->top, places[i].in, places[i].at_dir);
            err = point_set(&places[i]);
            if (err)
                place_link(places[i].shown, NULL, NULL, 0);
        }
        if (err)
            places[i] = (struct place){0};
        place_note(mounts, m, &places[i], err);
    }
    free(places);
    for (struct fs_volume *vol = mounts->fs->volumes; vol; vol = vol->next)
        local_sweep(vol);
}

void mount_place_clear(struct mount *m)
{
    if (m->in)
        point_clear(m->in, m->at);
    if (m->shown)
        place_link(m->shown, NULL, NULL, 0);
}
