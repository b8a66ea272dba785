/*
 * What the store showed, against what we know. An object that somebody else replaced (another ETag
 * under the same key) is another file: it gets a new inode, and the old handle becomes stale, so no
 * reader ever sees the first half of one version and the second half of the other. See
 * ARCHITECTURE.md, decisions.
 */
#include "fs/fs_int.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "fs/xattr.h"

bool inode_owned(const struct fs_volume *vol, const struct inode *ino)
{
    (void)vol;
    return (ino->flags & (INODE_TO_STORE | INODE_UPLOADING)) || ino->base_key ||
           inode_dirty_extents(ino) || dirty_silly(ino) ||
           (ino->type == FS_DIR && ino->redirect_count > 0);
}

/* The directory shows something that a client which cached it does not know. */
static void observe_changed(struct inode *dir, struct change *c)
{
    dir->gen++;
    if (!(dir->flags & INODE_IN_CHANGE)) /* once for all the names of a page */
        invalid_inode(c->vol, NULL, dir);
    if (dir->complete_ns == 0 && !(dir->flags & INODE_LISTED))
        return; /* nobody has seen a whole listing yet */
    inode_stamp(dir, true);
    change_row(c, dir);
}

/* The id of the dirent stays when a name goes over to another inode: a listing under way sees it
 * once. */
static uint64_t observe_displace(struct fs_volume *vol, struct inode *known, struct change *c)
{
    uint64_t dirent_id = known->dirent_id;

    log_event(LOG_DEBUG, "replaced_by_others", "ino=%lu name=%s", (unsigned long)known->id,
              LOG_Q(known->key->name));
    invalid_content(vol, NULL, known);
    invalid_name(vol, NULL, known->key->parent, known->key->name);
    inode_set_gone(vol, c, known);
    return dirent_id;
}

static void observe_name(struct fs_volume *vol, struct inode *dir, const char *name,
                         struct inode *ino, uint64_t dirent_id, struct change *c)
{
    if (negative_find(vol, dir->id, name)) /* else nobody was told that it is not there */
        invalid_name(vol, NULL, dir->id, name);
    inode_set_name(vol, ino, dir->id, name, dirent_id);
    db_put_dirent(c->txn, dirent_id, dir->id, name, ino->id);
    change_row(c, ino);
    observe_changed(dir, c);
}

/* The same content as before: take over metadata that somebody else changed. False if the metadata
 * says that it is another kind of file now. */
static bool observe_same(const struct fs_volume *vol, struct inode *ino,
                         const struct store_object *obj, struct change *c)
{
    uint32_t mode = ino->mode, uid = ino->uid, gid = ino->gid;
    uint32_t defaults = ino->flags & INODE_DEFAULTS;
    int64_t mtime = ino->mtime_ns, ctime = ino->ctime_ns, atime = ino->atime_ns;
    bool knew = ino->flags & INODE_META_KNOWN;

    if (!obj->has_meta)
        return true;
    if (meta_type(&obj->meta) != ino->type) {
        if (knew)
            return false;
        ino->type = meta_type(&obj->meta); /* a listing could not tell, and nobody was told */
    }
    CLEANUP_FREE char *extra = ino->extra_meta;
    ino->extra_meta = NULL;
    meta_apply(vol, ino, obj);
    if (defaults != (ino->flags & INODE_DEFAULTS))
        change_row(c, ino);
    if (knew && mode == ino->mode && uid == ino->uid && gid == ino->gid && mtime == ino->mtime_ns &&
        xattr_list_same(extra, ino->extra_meta)) {
        ino->ctime_ns = ctime;
        ino->atime_ns = atime;
        return true;
    }
    if (knew) {
        if (ino->ctime_ns <= ctime)
            ino->ctime_ns = ctime;
        inode_stamp(ino, false);
        invalid_inode(c->vol, NULL, ino);
    }
    change_row(c, ino);
    return true;
}

void observe_file(struct fs_volume *vol, struct inode *dir, const char *name, struct inode *known,
                  const struct store_object *obj, uint64_t until, int64_t now, struct change *c,
                  struct inode **ret)
{
    uint64_t dirent_id;

    if (known && mount_keeps(vol, known)) { /* a sub-mount has this name */
        known->checked_ns = now;
        *ret = known;
        return;
    }
    if (known && known->type != FS_DIR && known->base_etag && known->base_size == obj->size &&
        strcmp(known->base_etag, obj->etag) == 0 && observe_same(vol, known, obj, c)) {
        known->checked_ns = now;
        *ret = known;
        return;
    }
    dirent_id = known ? observe_displace(vol, known, c) : db_next_id(vol->fs->db);
    struct inode *ino =
        inode_new(vol, db_next_id(vol->fs->db), obj->has_meta ? meta_type(&obj->meta) : FS_REG);
    if (obj->has_meta)
        meta_apply(vol, ino, obj);
    else
        meta_defaults(vol, ino, obj->mtime_ns);
    inode_set_base(vol, ino, NULL, obj->etag, obj->size);
    if (until != UINT64_MAX)
        ino->base_epoch = until - 1;
    log_event(LOG_DEBUG, "found", "ino=%lu dir=%lu name=%s", (unsigned long)ino->id,
              (unsigned long)dir->id, LOG_Q(name));
    ino->size = ino->disk_size = obj->size;
    ino->checked_ns = now;
    observe_name(vol, dir, name, ino, dirent_id, c);
    *ret = ino;
}

void observe_dir(struct fs_volume *vol, struct inode *dir, const char *name, struct inode *known,
                 const struct store_object *marker, uint64_t until, int64_t now, struct change *c,
                 struct inode **ret)
{
    struct inode *ino = known;
    uint64_t dirent_id = 0;

    if (!known || known->type != FS_DIR) {
        dirent_id = known ? observe_displace(vol, known, c) : db_next_id(vol->fs->db);
        ino = inode_new(vol, db_next_id(vol->fs->db), FS_DIR);
        meta_defaults(vol, ino, marker && marker->mtime_ns ? marker->mtime_ns : clock_wall_ns());
        if (until != UINT64_MAX)
            ino->base_epoch = until - 1; /* its marker lies in the old place */
    }
    uint32_t before = ino->flags;
    if (marker) {
        ino->flags |= INODE_MARKER;
        if (marker->has_meta && !(ino->flags & INODE_META_KNOWN)) {
            meta_apply(vol, ino, marker);
            ino->size = 0;
        }
    }
    ino->checked_ns = now;
    if (ino->flags != before)
        change_row(c, ino);
    if (ino != known)
        observe_name(vol, dir, name, ino, dirent_id, c);
    *ret = ino;
}

bool observe_work_below(struct fs_volume *vol, const struct inode *dir)
{
    const struct inode *ino;

    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        if (path_below(vol, ino, dir))
            return true;
    }
    TAILQ_FOREACH (ino, &vol->draining, drain) {
        if (path_below(vol, ino, dir))
            return true;
    }
    return false;
}

bool observe_gone(struct fs_volume *vol, struct inode *dir, struct inode *known, struct change *c)
{
    if (inode_owned(vol, known) || known->pins > 0)
        return false;
    if (known->type == FS_DIR && (observe_work_below(vol, known) || mount_keeps(vol, known)))
        return false;
    log_event(LOG_DEBUG, "removed_by_others", "dir=%lu name=%s", (unsigned long)dir->id,
              LOG_Q(known->key->name));
    invalid_content(vol, NULL, known);
    invalid_name(vol, NULL, dir->id, known->key->name);
    inode_set_gone(vol, c, known);
    observe_changed(dir, c);
    return true;
}
