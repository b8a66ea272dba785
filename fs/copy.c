/*
 * copy_file_range(2): bytes of one file into another without a way through the client.
 *
 * Where a whole object is to become the content of a file that has none, the store copies it,
 * within the call: only when that is done is it said to be so, so nothing that was acknowledged
 * depends on a source that others may change. It is announced as an upload is, of which nothing
 * counts yet (see flight.c): after a crash in between the file is as it was, and its object is
 * known to be ours.
 *
 * All else is read and written here, piece by piece.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "fs/place_int.h"
#include "fs/write.h"

enum {
    COPY_STORE_MIN = 256 << 10,  /* smaller ones are faster here, with the upload that follows */
    COPY_BYTES_MAX = 64 << 20,   /* that go through us in one call */
    COPY_RATE_BYTES_S = 64 << 20 /* a store that is slower than this is late */
};
#define COPY_CALL_MAX (UINT64_C(1) << 31) /* FUSE has 32 bits for what a call has done */

struct copy {
    uint64_t from, from_off, to, to_off, len;
    uint64_t done;
    struct inode *ino; /* to; pinned and UPLOADING while the store copies */
    struct place p;
};

/* --- what a copy of before has done already --- */

static bool copy_is_recent(const struct fs_volume *vol, const struct inode *from,
                           const struct inode *to)
{
    for (size_t i = 0; i < COPY_RECENT; i++) {
        const struct copy_recent *r = &vol->copies.recent[i];
        if (r->from == from->id && r->to == to->id && strcmp(r->from_etag, from->base_etag) == 0 &&
            strcmp(r->to_etag, to->base_etag) == 0)
            return true;
    }
    return false;
}

static void copy_remember(struct fs_volume *vol, const struct copy *c)
{
    struct copy_recent *r = &vol->copies.recent[vol->copies.next++ % COPY_RECENT];

    r->from = c->from;
    r->to = c->to;
    (void)snprintf(r->from_etag, sizeof(r->from_etag), "%s", c->p.base_etag);
    (void)snprintf(r->to_etag, sizeof(r->to_etag), "%s", c->p.etag);
}

/* --- whether the store can do it --- */

/* Its content is one object. */
static bool copy_is_whole(const struct inode *ino)
{
    return ino->type == FS_REG && !place_has_content(ino) && ino->base_size >= COPY_STORE_MIN &&
           !ino->flight_key && !(ino->flags & (INODE_UPLOADING | INODE_DIRTY));
}

/* Nothing is, or will be, where its object goes, but perhaps an older one of its own. */
static bool copy_may_take(struct fs_volume *vol, struct inode *ino)
{
    char natural[STORE_KEY_MAX + 1], base[STORE_KEY_MAX + 1];

    if (ino->mpu || ino->flight_key || ino->old_flight || ino->base_key ||
        (ino->flags & (INODE_UPLOADING | INODE_PLACE | INODE_DETACH)) || inode_dirty_extents(ino))
        return false;
    if (path_key(vol, ino, natural) != 0)
        return false;
    if (ino->base_etag && (path_base_key(vol, ino, base) != 0 || strcmp(base, natural) != 0))
        return false;
    return !dirty_local(ino) && strcmp(natural, ino->target_key) == 0 && dirty_way_clear(vol, ino);
}

/* The rest of what the store has copied shows. */
static bool copy_show_more(struct fs_volume *vol, struct fs_req *req, struct copy *a,
                           const struct inode *from, struct inode *ino)
{
    struct change c;

    if (!copy_is_whole(from) || !ino->base_etag || !copy_is_recent(vol, from, ino))
        return false;
    if (a->from_off != a->to_off || a->to_off != ino->size || ino->size != ino->base_len ||
        a->from_off >= from->size)
        return false;
    /* An upload of it that is under way, or may be yet, would not have the rest. */
    if (ino->flight_key || ino->old_flight || ino->mpu || inode_dirty_extents(ino) ||
        (ino->flags & INODE_UPLOADING))
        return false;
    a->done = from->size - a->from_off < a->len ? from->size - a->from_off : a->len;
    ino->base_len += a->done;
    int64_t mtime_ns = ino->mtime_ns; /* as the object has it */
    change_begin(&c, vol);
    ino->write_version++;
    write_changed(vol, req, ino, ino->base_len);
    ino->mtime_ns = mtime_ns;
    ino->disk_size = ino->size;
    if (!place_has_content(ino)) {
        ino->flags &= ~(uint32_t)INODE_DIRTY;
        dirty_update(vol, ino, WRITE_UNSTABLE_DELAY_MS * CLOCK_MS);
    }
    change_row(&c, ino);
    change_end(&c, NULL);
    return true;
}

/* Both files, and what may be done. */
static int copy_need(struct fs_volume *vol, struct fs_req *req, const struct copy *a,
                     struct inode **ret_from, struct inode **ret_to)
{
    struct inode *from, *to;
    int err = need_fresh(vol, req, a->from, &from);

    if (!err)
        err = need_fresh(vol, req, a->to, &to);
    if (!err)
        err = need_path(vol, req, from);
    if (!err)
        err = need_path(vol, req, to);
    if (err)
        return err;
    if (from->type != FS_REG)
        return from->type == FS_DIR ? -EISDIR : -EINVAL;
    if (req->cred.uid != from->uid && access_check(from, req, 4))
        return -EACCES;
    *ret_from = from;
    *ret_to = to;
    return write_check(vol, req, to, a->to_off, a->len);
}

/* --- the copy --- */

/* As place_freeze, of another file's base. */
static int copy_freeze(struct fs_volume *vol, const struct inode *from, struct inode *ino,
                       struct copy *a)
{
    struct place *p = &a->p;
    int err = path_key(vol, ino, p->target);

    if (!err)
        err = path_base_key(vol, from, p->base_key);
    if (err)
        return err;
    p->vol = vol;
    p->ino = ino;
    p->type = FS_REG;
    p->copy = true;
    p->copy_len = from->size < a->len ? from->size : a->len;
    p->size = p->base_size = p->base_len = from->size;
    p->base_epoch = from->base_epoch;
    p->base_etag = mem_strdup(from->base_etag);
    p->mtime_ns = ino->mtime_ns;
    p->change = ino->change;
    p->write_version = ino->write_version;
    p->meta_version = ino->meta_version;
    meta_encode(ino, &p->meta);
    defaults_end(ino);
    place_precondition(vol, p, ino);
    p->frozen_ns = clock_mono_ns();
    return 0;
}

/* What the store is going to make, and that nothing of it counts before it is said. */
static uint64_t copy_announce(struct fs_volume *vol, struct inode *ino, const struct place *p)
{
    struct change c;

    flight_forget(vol, ino);
    ino->flight_key = mem_strdup(p->target);
    ino->flight_size = p->size;
    ino->flight_mtime_ns = p->mtime_ns;
    ino->flight_len = 0;
    ino->flight_live = true;
    flight_add(vol, ino);
    change_begin(&c, vol);
    change_row(&c, ino);
    change_end(&c, NULL);
    return c.seq;
}

static int copy_begin_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct copy *a = p;
    struct inode *from, *ino;
    uint64_t seq;
    int err = copy_need(vol, req, a, &from, &ino);

    if (err)
        return err;
    if (copy_show_more(vol, req, a, from, ino))
        return 0;
    if (!copy_is_whole(from) || a->from_off != 0 || a->to_off != 0 || ino->size != 0 || a->len == 0)
        return 0;
    if (ino->flags & INODE_UPLOADING)
        return op_wait(vol, req); /* an empty object: it is soon there */
    err = commit_inode(vol, req, ino, &seq);
    if (err)
        return err;
    ino->flags |= INODE_DIRTY | INODE_META_KNOWN; /* to be on the dirty list, with its target */
    ino->mode &= ~(uint32_t)06000;
    inode_stamp(ino, true);
    dirty_update(vol, ino, WRITE_UNSTABLE_DELAY_MS * CLOCK_MS);
    if (!copy_may_take(vol, ino) || copy_freeze(vol, from, ino, a) != 0)
        return 0;
    wait_leave(vol, &ino->wait);
    ino->flags |= INODE_UPLOADING;
    ino->upload_total = a->p.size;
    inode_pin(vol, ino);
    a->ino = ino;
    req->seq = copy_announce(vol, ino, &a->p);
    return 0;
}

/* By the store. 0 with a->done if it has; a->done 0: by bytes. */
static int copy_by_store(struct fs_volume *vol, struct fs_req *req, struct copy *a)
{
    int err = op_run(vol, req, copy_begin_try, a);

    if (err || !a->ino)
        return err;
    a->p.deadline_ns = req->deadline_ns + (int64_t)(a->p.size / COPY_RATE_BYTES_S) * CLOCK_S;
    err = db_wait(vol->fs->db, req->seq, a->p.deadline_ns);
    if (err)
        err = -ECANCELED; /* nothing was sent */
    else
        err = place_look_before(&a->p);
    if (!err)
        err = place_data(&a->p);
    vol_lock(vol);
    place_settle(vol, a->ino, &a->p, err);
    if (!err && a->p.copied) {
        a->done = a->p.copy_len;
        copy_remember(vol, a);
        invalid_content(vol, req, a->ino);
    }
    inode_unpin(vol, a->ino);
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
    a->ino = NULL;
    place_clear(&a->p);
    /* Whatever was in the way, the source that is another one now among it: the pieces find out. */
    return 0;
}

/* --- piece by piece --- */

/* As much as a read gives. */
static int copy_piece(struct fs_volume *vol, struct fs_req *req, const struct copy *a,
                      uint64_t *ret_len)
{
    uint64_t left = a->len - a->done;
    struct fs_data data;
    struct fs_node node;
    struct fs_wcc wcc;
    bool eof;
    int err = fs_read(vol, req, a->from, a->from_off + a->done,
                      left < FS_IO_MAX ? (uint32_t)left : FS_IO_MAX, &data, &eof, &node);

    if (err)
        return err;
    *ret_len = data.len;
    if (data.len > 0)
        err = fs_write(vol, req, a->to, a->to_off + a->done, data.iov, (int)data.count, FS_UNSTABLE,
                       &wcc);
    fs_data_release(&data);
    return err;
}

static int copy_by_bytes(struct fs_volume *vol, struct fs_req *req, struct copy *a)
{
    uint64_t piece = 1;
    int err = 0;

    while (a->done < a->len && a->done < COPY_BYTES_MAX && piece > 0 && !err) {
        piece = 0;
        req->start_ns = 0;
        err = copy_piece(vol, req, a, &piece);
        if (!err)
            a->done += piece;
    }
    return a->done > 0 ? 0 : err;
}

int fs_copy_range(struct fs_volume *vol, struct fs_req *req, uint64_t from, uint64_t from_off,
                  uint64_t to, uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
    struct copy a = {.from = from, .from_off = from_off, .to = to, .to_off = to_off};

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (from_off > FS_FILE_MAX || to_off > FS_FILE_MAX)
        return -EFBIG;
    a.len = len < COPY_CALL_MAX ? len : COPY_CALL_MAX;
    if (from == to && from_off < to_off + a.len && to_off < from_off + a.len)
        return -EINVAL;
    int err = from == to ? 0 : copy_by_store(vol, req, &a);
    if (!err && a.done == 0)
        err = copy_by_bytes(vol, req, &a);
    if (!err)
        *ret_len = a.done;
    return err;
}
