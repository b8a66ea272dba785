/*
 * Uploads that a crash may cut off between "the store has it" and "we know". Before an upload
 * begins, a record of what it will make is durable: key, size, and the mtime that the object's
 * metadata will carry. After a crash the record tells our own object from somebody else's: if it
 * got through it is the base now, because the base that the database knows was replaced by it.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

void flight_forget(struct fs_volume *vol, struct inode *ino)
{
    flight_remove(vol, ino);
    free(ino->flight_key);
    ino->flight_key = NULL;
    ino->flight_size = 0;
    ino->flight_mtime_ns = 0;
    ino->flight_len = 0;
}

bool flight_matches(const struct store_object *obj, uint64_t size, int64_t mtime_ns)
{
    return obj->size == size && store_meta_get(&obj->meta, "file-mtime") &&
           meta_object_mtime(obj) == mtime_ns;
}

int flight_announce(struct fs_volume *vol, struct fs_req *req, struct inode *ino)
{
    char target[STORE_KEY_MAX + 1];
    /* A directory's times change with every file in it, and its marker says nothing that could be
     * lost. */
    uint64_t size = ino->type == FS_DIR ? 0 : ino->size;
    int64_t mtime_ns = ino->type == FS_DIR ? 0 : ino->mpu ? ino->mpu->mtime_ns : ino->mtime_ns;
    struct change c;
    int err;

    if (ino->flight_key && !ino->flight_live)
        return flight_resolve(vol, req, ino);
    err = path_key(vol, ino, target);
    if (err)
        return err;
    if (ino->flight_key && strcmp(ino->flight_key, target) == 0 && ino->flight_size == size &&
        ino->flight_mtime_ns == mtime_ns)
        return 0;
    flight_forget(vol, ino);
    ino->flight_key = mem_strdup(target);
    ino->flight_size = size;
    ino->flight_mtime_ns = mtime_ns;
    ino->flight_len = UINT64_MAX;
    ino->flight_live = true;
    change_begin(&c, vol);
    change_row(&c, ino);
    change_end(&c, NULL);
    return 0;
}

/* The object has all that the extents have: nothing of it has to be sent again. Lock held. */
static void flight_made_all(struct inode *ino, bool meta, struct change *c)
{
    if (ino->extents) {
        extent_map_drop(ino->extents, UINT64_MAX);
        db_del_extents(c->txn, ino->id, UINT64_MAX);
        commit_flush(c, ino);
    }
    ino->flags &= ~(uint32_t)(INODE_DIRTY | INODE_META_DIRTY);
    if (!meta)
        ino->flags |= INODE_META_DIRTY;
}

/* The object of the record is in the store: it is what the extents lie over from now on. Lock held.
 */
static void flight_rebase(struct fs_volume *vol, struct inode *ino, const char *etag,
                          struct change *c)
{
    char natural[STORE_KEY_MAX + 1], old[STORE_KEY_MAX + 1];
    bool moved = path_key(vol, ino, natural) != 0 || strcmp(natural, ino->flight_key) != 0;
    uint64_t len = ino->flight_len < ino->flight_size ? ino->flight_len : ino->flight_size;

    bool meta, made_all = !moved && mpu_made(ino, &meta);

    if (ino->mpu && !ino->mpu->aborting)
        mpu_drop(vol, c, ino); /* it was completed, or another took its place */
    if (ino->type == FS_DIR) {
        if (!moved)
            ino->flags |= INODE_MARKER;
        return;
    }
    /* As after any upload: the base before it goes, if it lay elsewhere and is not on its way out.
     */
    if (ino->base_etag && path_base_key(vol, ino, old) == 0 && strcmp(old, ino->flight_key) != 0 &&
        !intent_find(vol, old))
        intent_delete(vol, c, ino->key ? ino->key->parent : 0, old, ino->base_etag);
    /* What was to be deleted there is what the upload replaced: it has taken that in. Left in the
     * queue it would hide the key from listings, and the file would count as removed by others. */
    struct intent *gone = moved ? NULL : intent_find(vol, ino->flight_key);
    if (gone && !gone->in_flight)
        intent_drop(vol, c, gone);
    if (made_all) {
        flight_made_all(ino, meta, c);
        ino->flags &= ~(uint32_t)INODE_PLACE;
    } else if (moved) {
        intent_delete(vol, c, ino->key ? ino->key->parent : 0, ino->flight_key, etag);
        ino->flags |= INODE_PLACE;
    } else {
        ino->flags &= ~(uint32_t)INODE_PLACE;
        if (!(ino->flags & INODE_TO_STORE))
            ino->flags |= INODE_META_DIRTY; /* what made it dirty may be newer than the object */
    }
    inode_set_base(vol, ino, moved ? ino->flight_key : NULL, etag, ino->flight_size);
    ino->base_len = len;
    vol->path_gen++;
}

void flight_take_old(struct fs_volume *vol, struct inode *ino, const char *etag, struct change *c)
{
    ino->flight_size = ino->old_flight_size;
    ino->flight_mtime_ns = ino->old_flight_mtime_ns;
    ino->flight_len = ino->old_flight_len;
    ino->old_flight = false;
    log_event(LOG_INFO, "flight_late", "ino=%lu key=%s", (unsigned long)ino->id,
              LOG_Q(ino->flight_key));
    flight_rebase(vol, ino, etag, c);
    flight_forget(vol, ino);
    change_row(c, ino);
}

/* Nothing is seen of that upload. Its request may be on the wire yet: what it was is kept in mind,
 * to know its object again. */
static void flight_keep_old(struct inode *ino)
{
    if (ino->type == FS_DIR)
        return;
    ino->old_flight = true;
    ino->old_flight_size = ino->flight_size;
    ino->old_flight_mtime_ns = ino->flight_mtime_ns;
    ino->old_flight_len = ino->flight_len;
}

bool flight_running(struct fs_volume *vol, const struct inode *ino)
{
    return ino->flight_key && flight_find(vol, ino->flight_key) == ino;
}

int flight_known(struct fs_volume *vol, struct fs_req *req, struct inode *ino)
{
    return ino->type != FS_DIR && ino->flight_key && !ino->flight_live
               ? flight_resolve(vol, req, ino)
               : 0;
}

int flight_resolve(struct fs_volume *vol, struct fs_req *req, struct inode *ino)
{
    struct change c;
    int err;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (clock_mono_ns() >= req->deadline_ns)
        return -EAGAIN;
    CLEANUP_FREE char *key = mem_strdup(ino->flight_key);
    struct store_req r = {.op = STORE_HEAD, .deadline_ns = req->deadline_ns, .key = key};
    inode_pin(vol, ino);
    vol_unlock(vol);
    err = store_call(vol->store, &r);
    vol_lock(vol);
    inode_unpin(vol, ino);
    log_event(LOG_DEBUG, "flight", "ino=%lu key=%s err=%d", (unsigned long)ino->id, LOG_Q(key),
              err);
    if (err == -ENOENT || !err) {
        bool same = ino->flight_key && !ino->flight_live && !(ino->flags & INODE_GONE) &&
                    strcmp(ino->flight_key, key) == 0;
        if (same) {
            change_begin(&c, vol);
            if (!err && (ino->type == FS_DIR ||
                         flight_matches(&r.object, ino->flight_size, ino->flight_mtime_ns)))
                flight_rebase(vol, ino, r.object.etag, &c);
            else
                flight_keep_old(ino);
            flight_forget(vol, ino);
            change_row(&c, ino);
            change_end(&c, NULL);
        }
        err = -ERESTART;
    }
    store_req_clear(&r);
    return err;
}
