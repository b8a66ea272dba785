/*
 * One upload: freeze the inode's state, make the object, take the result into the state.
 *
 * The object that appears is one that existed as a whole: the snapshot is taken under the lock, and
 * what is written meanwhile has a higher version and stays dirty. Every upload carries a
 * precondition: the ETag of the object it replaces, or that there is none.
 */
#include "fs/place_int.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

enum { PLACE_DEADLINE_S = 60, PLACE_AGAIN_MS = 50 };

/* What must hold of the target for the upload to be ours to make. Lock held. */
void place_precondition(struct fs_volume *vol, struct place *p, const struct inode *ino)
{
    const struct intent *intent = intent_find(vol, p->target);

    if (p->type == FS_DIR)
        return; /* a marker says nothing that could be lost */
    /* That of a copy has its own at the target, or none. */
    if (ino->base_etag && (p->copy || strcmp(p->base_key, p->target) == 0))
        p->if_match = mem_strdup(ino->base_etag);
    else if (intent)
        p->if_match = mem_strdup(intent->etag); /* takes the place of the deletion */
    else
        p->if_none_match = true;
}

bool place_has_content(const struct inode *ino)
{
    return !ino->base_etag || inode_dirty_extents(ino) || ino->base_len < ino->base_size ||
           ino->size != ino->base_size;
}

/* Lock held. 0 or an error that says it cannot be uploaded now. */
static int place_freeze(struct fs_volume *vol, struct inode *ino, struct place *p)
{
    int err = path_key(vol, ino, p->target);

    if (!err && ino->base_etag)
        err = path_base_key(vol, ino, p->base_key);
    if (err)
        return err;
    p->type = ino->type;
    p->size = ino->size;
    p->ino = ino;
    p->mtime_ns = ino->type == FS_REG ? ino->flight_mtime_ns : ino->mtime_ns;
    p->change = ino->change;
    p->base_etag = mem_strdup(ino->base_etag);
    p->base_size = ino->base_size;
    p->base_epoch = ino->base_epoch;
    p->base_len = ino->base_len;
    p->symlink = mem_strdup(ino->target);
    p->content_type = meta_content_type(ino);
    p->write_version = ino->write_version;
    p->meta_version = ino->meta_version;
    p->content = place_has_content(ino);
    if (p->type == FS_REG)
        p->base = read_file(vol, ino);
    if (ino->extents)
        extent_map_snapshot(ino->extents, &p->snapshot);
    meta_encode(ino, &p->meta);
    place_precondition(vol, p, ino);
    ino->flight_len = UINT64_MAX;
    p->frozen_ns = clock_mono_ns();
    ino->upload_total = p->size;
    ino->upload_done = 0;
    flight_add(vol, ino);
    return 0;
}

void place_clear(struct place *p)
{
    free(p->base_etag);
    free(p->symlink);
    free(p->content_type);
    free(p->if_match);
    reader_file_unref(p->base);
    extent_snapshot_clear(&p->snapshot);
    store_meta_clear(&p->meta);
}

/* This narrows the window and does not close it. The store looks once more by itself, which has to
 * do where requests are dear. */
int place_look_before(struct place *p)
{
    bool conditional =
        p->content || p->type == FS_LNK ? p->vol->caps.cond_put : p->vol->caps.cond_copy;
    if (conditional || p->vol->config.cheap || (!p->if_match && !p->if_none_match))
        return 0;
    struct store_req r = {.op = STORE_HEAD, .key = p->target};
    int err = place_call(p, &r);
    if (err == -ENOENT)
        err = p->if_match ? -ESTALE : 0;
    else if (!err && (p->if_none_match || strcmp(p->if_match, r.object.etag) != 0))
        err = -ESTALE;
    store_req_clear(&r);
    return err;
}

/* The new object is the base. Lock held. */
static void place_rebase(struct fs_volume *vol, struct inode *ino, const struct place *p,
                         struct change *c)
{
    char natural[STORE_KEY_MAX + 1];
    bool moved = path_key(vol, ino, natural) != 0 || strcmp(natural, p->target) != 0;
    struct intent *old;

    /* The base lay elsewhere, and was not on its way out yet: a child of a renamed directory. */
    if (!p->copy && p->base_etag && strcmp(p->base_key, p->target) != 0 &&
        !intent_find(vol, p->base_key))
        intent_delete(vol, c, ino->key ? ino->key->parent : 0, p->base_key, p->base_etag);
    inode_set_base(vol, ino, moved ? p->target : NULL, p->etag, p->size);
    if (ino->flight_len < ino->base_len)
        ino->base_len = ino->flight_len;
    vol->path_gen++;
    old = intent_find(vol, p->target);
    if (moved)
        intent_delete(vol, c, ino->key ? ino->key->parent : 0, p->target, p->etag);
    else if (old && !old->in_flight)
        intent_drop(vol, c, old);
    if (moved)
        ino->flags |= INODE_PLACE;
    else
        ino->flags &= ~(uint32_t)INODE_PLACE;
}

/* For whoever asks how it is getting on. Lock held. */
static void place_note_error(struct inode *ino, int err, const char *text)
{
    free(ino->last_err_text);
    ino->last_err_text = err && text[0] ? mem_strdup(text) : NULL;
    ino->last_err = err;
    ino->last_err_ns = err ? clock_wall_ns() : 0;
}

/* Unless the file got content of its own meanwhile, the copy is it. */
static void place_copied(struct inode *ino, struct place *p)
{
    p->copied = ino->write_version == p->write_version;
    if (p->copied) {
        ino->base_len = ino->size = ino->disk_size = p->copy_len;
        inode_stamp(ino, false);
    }
    if (place_has_content(ino))
        ino->flags |= INODE_DIRTY;
}

/* Nothing is lost: the file is as it was. */
static void place_copy_failed(struct fs_volume *vol, struct inode *ino, int err)
{
    if (err != -EAGAIN && err != -EIO) /* it was not carried out */
        flight_forget(vol, ino);
    ino->due_ns = clock_mono_ns() + vol->fs->config.quiet_ns;
}

static void place_succeeded(struct fs_volume *vol, struct inode *ino, struct place *p,
                            struct change *c)
{
    if (ino->type == FS_DIR) {
        char natural[STORE_KEY_MAX + 1];
        struct intent *old = intent_find(vol, p->target);
        bool here = path_key(vol, ino, natural) == 0 && strcmp(natural, p->target) == 0;
        if (here && old && !old->in_flight)
            intent_drop(vol, c, old);
        if (here) {
            ino->flags |= INODE_MARKER;
            ino->flags &= ~(uint32_t)INODE_DIRTY;
        } else {
            ino->flags |= INODE_DIRTY; /* moved meanwhile: where it is now it has no such marker */
        }
        ino->base_epoch = vol->epoch;
    } else {
        place_rebase(vol, ino, p, c);
        if (ino->extents) {
            extent_map_drop(ino->extents, p->write_version);
            db_del_extents(c->txn, ino->id, p->write_version);
            if (ino->synced_mark >= ino->stage_mark)
                commit_flush(c, ino);
            else
                change_grave(c, extent_map_take_graves(ino->extents, p->write_version));
        }
        if (ino->write_version == p->write_version)
            ino->flags &= ~(uint32_t)INODE_DIRTY;
        if (p->copy)
            place_copied(ino, p);
    }
    if (p->meta_old)
        ino->flags |= INODE_META_DIRTY;
    else if (ino->meta_version == p->meta_version)
        ino->flags &= ~(uint32_t)INODE_META_DIRTY;
    ino->checked_ns = clock_mono_ns();
    ino->tries = 0;
    commit_clear_late(ino);
    place_note_error(ino, 0, "");
    flight_forget(vol, ino);
    ino->old_flight = false; /* what comes late now finds another object than it wants */
    if (p->mpu_over)
        mpu_finish(c, ino);
    else
        mpu_drop(vol, c, ino);
    ino->dirty_since_ns = p->frozen_ns; /* if it is dirty still, by what was done meanwhile */
    status_uploaded(vol, p->content ? p->size : 0);
    change_row(c, ino);
}

static void place_failed(struct fs_volume *vol, struct inode *ino, const struct place *p, int err)
{
    if (p->progress)
        ino->tries = 0;
    if (err == -ECANCELED)
        return; /* the end of the process: the next one goes on */
    ino->due_ns = clock_mono_ns() + op_retry_ns(vol->fs, ino->tries++);
    if (err != -EAGAIN)
        commit_late_error(ino, err);
    place_note_error(ino, err, p->error_text);
    status_failed(vol, "upload", p->target, err, p->error_text);
    log_event(LOG_WARN, "upload_failed", "key=%s err=%s text=%s tries=%u", LOG_Q(p->target),
              strerrordesc_np(-err), LOG_Q(p->error_text), ino->tries);
}

void place_settle(struct fs_volume *vol, struct inode *ino, struct place *p, int err)
{
    struct change c;

    flight_remove(vol, ino);
    ino->flags &= ~(uint32_t)INODE_UPLOADING;
    ino->flight_live = false;
    ino->upload_total = ino->upload_done = 0;
    key_touch(vol, p->target);
    change_begin(&c, vol);
    if (err && p->mpu_dead)
        mpu_drop(vol, &c, ino);
    if (ino->flags & INODE_GONE) {
        /* Removed meanwhile: what we just made has to go again. */
        if (!err && intent_find(vol, p->target))
            intent_delete(vol, &c, 0, p->target, p->type == FS_DIR ? NULL : p->etag);
        if (err == -ESTALE)
            conflict_spare(vol, p, &c);
        mpu_drop(vol, &c, ino);
    } else if (!err) {
        place_succeeded(vol, ino, p, &c);
    } else if (ino->flags & INODE_ORPHAN) {
        if (err == -ESTALE)
            conflict_spare(vol, p, &c);
    } else if (p->copy) {
        place_copy_failed(vol, ino, err);
        change_row(&c, ino);
    } else if (err == -ESTALE && p->older) {
        flight_take_old(vol, ino, p->etag, &c);
        ino->due_ns = clock_mono_ns();
    } else if (err == -ESTALE) {
        conflict_settle(vol, ino, p, &c);
    } else {
        place_failed(vol, ino, p, err);
    }
    change_end(&c, NULL);
    if (ino->flags & INODE_ORPHAN) {
        orphan_settle(vol, ino);
        return;
    }
    if (ino->flight_key && !(ino->flags & INODE_GONE))
        flight_add(vol, ino); /* it may have got through all the same */
    if (!(ino->flags & INODE_GONE) && !err)
        dirty_update(vol, ino, vol->fs->config.quiet_ns);
    else if (!(ino->flags & INODE_GONE)) {
        int64_t due = ino->due_ns;
        dirty_update(vol, ino, vol->fs->config.quiet_ns);
        dirty_due_at(vol, ino, due);
    }
}

struct place_args {
    struct inode *ino;
    struct place *p;
};

/* Since it was picked there were waits, and renames may have come: is its key still the one that
 * was looked at, and free? */
static bool place_still_clear(struct fs_volume *vol, const struct inode *ino)
{
    char key[STORE_KEY_MAX + 1];

    return !dirty_local(ino) && path_key(vol, ino, key) == 0 && strcmp(key, ino->target_key) == 0 &&
           dirty_way_clear(vol, ino);
}

/* State durable, then frozen. */
static int place_prepare(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct place_args *a = args;
    uint64_t seq = 0;
    int err;

    if (a->ino->flags & INODE_GONE)
        return -ESTALE;
    if (!(a->ino->flags & INODE_TO_STORE))
        return -EBUSY; /* what was on its way when we looked has arrived */
    err = need_path(vol, req, a->ino);
    if (!err)
        err = commit_inode(vol, req, a->ino, &seq);
    if (!err)
        err = mpu_check(vol, req, a->ino);
    if (!err)
        err = flight_announce(vol, req, a->ino);
    if (!err)
        err = op_wait_durable(vol, req, a->ino->seq);
    if (!err && !place_still_clear(vol, a->ino))
        err = -EBUSY;
    if (err)
        return err;
    return place_freeze(vol, a->ino, a->p);
}

void place_run(struct fs_volume *vol, struct inode *ino)
{
    struct place p = {.vol = vol, .deadline_ns = clock_mono_ns() + PLACE_DEADLINE_S * CLOCK_S};
    struct fs_req req = op_internal(p.deadline_ns);
    struct place_args a = {.ino = ino, .p = &p};
    int err = op_run(vol, &req, place_prepare, &a);

    if (err) {
        vol_lock(vol);
        bool announced = ino->flight_live;
        ino->flags &= ~(uint32_t)INODE_UPLOADING;
        ino->flight_live = false;
        mpu_drop_gone(vol, ino);
        if (ino->flags & (INODE_GONE | INODE_ORPHAN))
            flight_remove(vol, ino); /* that of before a crash: its deletion waits for this */
        if (ino->flags & INODE_ORPHAN) {
            orphan_settle(vol, ino);
        } else if (err == -EBUSY) {
            if (announced)
                flight_forget(vol, ino); /* nothing was sent */
            if (!(ino->flags & INODE_GONE))
                dirty_update(vol, ino, PLACE_AGAIN_MS * CLOCK_MS);
        } else {
            ino->tries++;
            dirty_due_at(vol, ino, clock_mono_ns() + CLOCK_S);
            place_note_error(ino, err, "");
            if (!(ino->flags & INODE_GONE) && ino->target_key)
                status_failed(vol, "upload", ino->target_key, err, "");
        }
        if (err == -ENAMETOOLONG)
            commit_late_error(ino, err);
    } else {
        err = place_look_before(&p);
        if (!err)
            err = place_data(&p);
        if (err == -ESTALE)
            err = conflict_look(&p);
        log_event(LOG_DEBUG, "upload", "ino=%lu key=%s size=%lu base=%s etag=%s epoch=%lu err=%d",
                  (unsigned long)ino->id, LOG_Q(p.target), (unsigned long)p.size,
                  LOG_Q(p.base_etag ? p.base_key : NULL), LOG_Q(p.base_etag),
                  (unsigned long)p.base_epoch, err);
        vol_lock(vol);
        place_settle(vol, ino, &p, err);
    }
    inode_unpin(vol, ino);
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
    place_clear(&p);
}
