/*
 * The inodes and names that are in memory.
 *
 * Invariants, under the volume's lock:
 *  - an inode is in by_id from inode_new or inode_load until it is freed; in by_name while it has a
 * key; a name is in by_name or in negatives, never in both;
 *  - it may be freed only if it is not pinned, not on the dirty list, has no scan under way, no
 * linked children, and its seq is durable; those that may be are on the lru, least recently used
 * first;
 *  - a linked inode's parent is in memory, so a chain of linked inodes is a path that stays.
 */
#include "fs/fs_int.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static size_t name_key_fill(struct name_key *key, uint64_t parent, const char *name)
{
    size_t len = strlen(name);

    assert(len <= FS_NAME_MAX);
    key->parent = parent;
    memcpy(key->name, name, len + 1);
    return offsetof(struct name_key, name) + len;
}

struct inode *inode_find(struct fs_volume *vol, uint64_t id)
{
    struct inode *ino;

    HASH_FIND(hh_id, vol->by_id, &id, sizeof(id), ino);
    return ino;
}

struct inode *inode_find_name(struct fs_volume *vol, uint64_t parent, const char *name)
{
    struct name_key key;
    struct inode *ino;
    size_t len = name_key_fill(&key, parent, name);

    HASH_FIND(hh_name, vol->by_name, &key, len, ino);
    return ino;
}

struct negative *negative_find(struct fs_volume *vol, uint64_t parent, const char *name)
{
    struct name_key key;
    struct negative *neg;
    size_t len = name_key_fill(&key, parent, name);

    HASH_FIND(hh, vol->negatives, &key, len, neg);
    return neg;
}

static void negative_free(struct fs_volume *vol, struct negative *neg)
{
    HASH_DELETE(hh, vol->negatives, neg);
    TAILQ_REMOVE(&vol->negative_lru, neg, lru);
    vol->negative_count--;
    free(neg);
}

void negative_drop(struct fs_volume *vol, uint64_t parent, const char *name)
{
    struct negative *neg = negative_find(vol, parent, name);

    if (neg)
        negative_free(vol, neg);
}

void negative_add(struct fs_volume *vol, uint64_t parent, const char *name, int64_t checked_ns,
                  uint64_t seq)
{
    struct negative *neg = negative_find(vol, parent, name);

    if (neg) {
        TAILQ_REMOVE(&vol->negative_lru, neg, lru);
    } else {
        size_t name_len = strlen(name);
        neg = mem_zalloc(offsetof(struct negative, key) + offsetof(struct name_key, name) +
                         name_len + 1);
        neg->key.parent = parent;
        memcpy(neg->key.name, name, name_len + 1);
        neg->key_len = offsetof(struct name_key, name) + name_len;
        HASH_ADD_KEYPTR(hh, vol->negatives, &neg->key, neg->key_len, neg);
        vol->negative_count++;
    }
    TAILQ_INSERT_TAIL(&vol->negative_lru, neg, lru);
    neg->checked_ns = checked_ns;
    if (seq > neg->seq)
        neg->seq = seq;
}

/* Puts ino on the lru if it may be evicted, takes it off if not. */
static void inode_lru_update(struct fs_volume *vol, struct inode *ino)
{
    bool may = ino->pins == 0 && ino->opens == 0 && !(ino->flags & INODE_ON_DIRTY) &&
               ino->id != vol->root && ino->redirect_count == 0 && ino->kids == 0 &&
               !(ino->scan && ino->scan->busy);

    if (may == ino->in_lru)
        return;
    if (may)
        TAILQ_INSERT_TAIL(&vol->lru, ino, lru);
    else
        TAILQ_REMOVE(&vol->lru, ino, lru);
    ino->in_lru = may;
}

void inode_used(struct fs_volume *vol, struct inode *ino)
{
    inode_lru_update(vol, ino);
    if (ino->in_lru && TAILQ_LAST(&vol->lru, inode_list) != ino) {
        TAILQ_REMOVE(&vol->lru, ino, lru);
        TAILQ_INSERT_TAIL(&vol->lru, ino, lru);
    }
}

void inode_pin(struct fs_volume *vol, struct inode *ino)
{
    ino->pins++;
    inode_lru_update(vol, ino);
}

void inode_unpin(struct fs_volume *vol, struct inode *ino)
{
    assert(ino->pins > 0);
    ino->pins--;
    inode_lru_update(vol, ino);
}

struct inode *inode_new(struct fs_volume *vol, uint64_t id, enum fs_type type)
{
    struct inode *ino = mem_zalloc(sizeof(*ino));

    assert(!inode_find(vol, id));
    ino->id = id;
    ino->type = type;
    ino->base_epoch = vol->epoch;
    HASH_ADD(hh_id, vol->by_id, id, sizeof(ino->id), ino);
    vol->inode_count++;
    inode_lru_update(vol, ino);
    return ino;
}

bool inode_link(struct fs_volume *vol, struct inode *ino)
{
    if (ino->flags & INODE_LINKED)
        return true;
    struct inode *dir = ino->key ? inode_find(vol, ino->key->parent) : NULL;
    if (!dir || dir->flags & INODE_GONE)
        return false;
    dir->kids++;
    ino->flags |= INODE_LINKED;
    inode_lru_update(vol, dir);
    return true;
}

static void inode_unlink(struct fs_volume *vol, struct inode *ino)
{
    if (!(ino->flags & INODE_LINKED))
        return;
    struct inode *dir = inode_find(vol, ino->key->parent);
    assert(dir && dir->kids > 0);
    dir->kids--;
    ino->flags &= ~(uint32_t)INODE_LINKED;
    inode_lru_update(vol, dir);
}

void inode_set_name(struct fs_volume *vol, struct inode *ino, uint64_t parent, const char *name,
                    uint64_t dirent_id)
{
    if (ino->key) {
        inode_unlink(vol, ino);
        HASH_DELETE(hh_name, vol->by_name, ino);
        free(ino->key);
        ino->key = NULL;
    }
    if (!name)
        return;
    negative_drop(vol, parent, name);
    assert(!inode_find_name(vol, parent, name));
    size_t len = strlen(name);
    ino->key = mem_alloc(offsetof(struct name_key, name) + len + 1);
    ino->key->parent = parent;
    memcpy(ino->key->name, name, len + 1);
    ino->key_len = offsetof(struct name_key, name) + len;
    ino->dirent_id = dirent_id;
    HASH_ADD_KEYPTR(hh_name, vol->by_name, ino->key, ino->key_len, ino);
    (void)inode_link(vol, ino);
}

void inode_set_base(struct fs_volume *vol, struct inode *ino, const char *key, const char *etag,
                    uint64_t size)
{
    char *new_key = mem_strdup(etag ? key : NULL), *new_etag = mem_strdup(etag);

    displaced_remove(vol, ino);
    /* The same content under another key goes on with its cached blocks. */
    if (ino->file && !(new_etag && ino->base_etag && size == ino->base_size &&
                       strcmp(new_etag, ino->base_etag) == 0)) {
        reader_file_unref(ino->file);
        ino->file = NULL;
    }
    free(ino->base_key);
    free(ino->base_etag);
    ino->base_key = new_key;
    ino->base_etag = new_etag;
    ino->base_size = etag ? size : 0;
    ino->base_len = ino->base_size;
    ino->base_epoch = vol->epoch;
    if (ino->base_key)
        displaced_add(vol, ino);
}

void inode_move_base(struct fs_volume *vol, struct inode *ino, const char *key)
{
    char *new_key = mem_strdup(key);

    displaced_remove(vol, ino);
    free(ino->base_key);
    ino->base_key = new_key;
    ino->base_epoch = vol->epoch;
    if (new_key)
        displaced_add(vol, ino);
}

static void inode_from_row(struct fs_volume *vol, struct inode *ino, const struct db_inode *row)
{
    ino->flags = row->flags & INODE_KEPT;
    ino->mode = row->mode;
    ino->uid = row->uid;
    ino->gid = row->gid;
    defaults_apply(vol, ino);
    ino->size = ino->disk_size = row->size;
    ino->atime_ns = row->atime_ns;
    ino->mtime_ns = row->mtime_ns;
    ino->ctime_ns = row->ctime_ns;
    ino->change = row->change;
    memcpy(ino->verf, row->verf, sizeof(ino->verf));
    ino->target = mem_strdup(row->target);
    ino->extra_meta = mem_strdup(row->extra_meta);
    ino->flight_key = mem_strdup(row->flight_key);
    ino->flight_size = row->flight_size;
    ino->flight_len = row->flight_len;
    ino->flight_mtime_ns = row->flight_mtime_ns;
    inode_set_base(vol, ino, row->base_key, row->base_etag, row->base_size);
    ino->base_len = row->base_len;
    if (ino->type == FS_DIR) {
        ino->since = row->base_len; /* a directory has no use for it otherwise */
        ino->base_len = 0;
    }
    ino->base_epoch = row->base_epoch;
}

struct inode *inode_load(struct fs_volume *vol, const struct db_inode *row,
                         const struct db_dirent *dirent)
{
    struct inode *ino = inode_find(vol, row->id);

    if (ino)
        return ino;
    /* A name that memory gives to somebody else, or denies, is newer than the row. */
    if (dirent && (inode_find_name(vol, dirent->parent, dirent->name) ||
                   negative_find(vol, dirent->parent, dirent->name)))
        dirent = NULL;
    ino = inode_new(vol, row->id, (enum fs_type)row->type);
    inode_from_row(vol, ino, row);
    if (dirent)
        inode_set_name(vol, ino, dirent->parent, dirent->name, dirent->id);
    return ino;
}

void inode_row(const struct inode *ino, struct db_inode *ret)
{
    bool unflushed = ino->extents && extent_map_unflushed(ino->extents);
    uint32_t flags = ino->flags;

    /* A renamed file that came back while it was uploaded elsewhere has nothing to upload; a crash
     * must find it all the same, to see what became of that. */
    if (ino->flight_key && !(flags & INODE_TO_STORE))
        flags |= INODE_META_DIRTY;
    *ret = (struct db_inode){
        .id = ino->id,
        .type = (uint8_t)ino->type,
        .flags = flags & INODE_KEPT,
        .mode = ino->mode,
        .uid = ino->uid,
        .gid = ino->gid,
        .size = unflushed ? ino->disk_size : ino->size,
        .atime_ns = ino->atime_ns,
        .mtime_ns = ino->mtime_ns,
        .ctime_ns = ino->ctime_ns,
        .change = ino->change,
        .parent = ino->key ? ino->key->parent : 0,
        .base_epoch = ino->base_epoch,
        .base_key = ino->base_key,
        .base_etag = ino->base_etag,
        .base_size = ino->base_size,
        .base_len = ino->type == FS_DIR ? ino->since : ino->base_len,
        .target = ino->target,
        .extra_meta = ino->extra_meta,
        .flight_key = ino->flight_key,
        .flight_size = ino->flight_size,
        .flight_len = ino->flight_len,
        .flight_mtime_ns = ino->flight_mtime_ns,
    };
    memcpy(ret->verf, ino->verf, sizeof(ret->verf));
}

void inode_set_gone(struct fs_volume *vol, struct change *c, struct inode *ino)
{
    assert(!(ino->flags & INODE_GONE));
    log_event(LOG_DEBUG, "gone", "ino=%lu name=%s flags=%x base=%s flight=%s",
              (unsigned long)ino->id, LOG_Q(ino->key ? ino->key->name : NULL), ino->flags,
              LOG_Q(ino->base_etag), LOG_Q(ino->flight_key));
    if (ino->key) {
        struct name_key *key = mem_dup(ino->key, ino->key_len + 1);
        db_del_dirent(c->txn, key->parent, key->name);
        inode_set_name(vol, ino, 0, NULL, 0);
        change_gone(c, key->parent, key->name);
        free(key);
    }
    db_del_inode(c->txn, ino->id);
    if (!(ino->flags & INODE_UPLOADING))
        mpu_drop(vol, c, ino);
    while (ino->redirect_count > 0)
        redirect_remove(vol, ino, ino->redirects[0].epoch);
    if (ino->extents)
        change_grave(c, extent_map_bury(ino->extents));
    ino->extents = NULL;
    inode_set_base(vol, ino, NULL, NULL, 0);
    if (!(ino->flags & INODE_UPLOADING))
        flight_remove(vol, ino); /* a deletion has taken it over */
    ino->flags = (ino->flags & ~(uint32_t)INODE_TO_STORE) | INODE_GONE;
    dirty_update(vol, ino, 0);
    change_row(c, ino);
}

/* Frees what nothing points at any more. */
static void inode_free(struct fs_volume *vol, struct inode *ino)
{
    assert(ino->pins == 0 && ino->opens == 0 && !(ino->flags & INODE_ON_DIRTY));
    while (ino->redirect_count > 0)
        redirect_remove(vol, ino, ino->redirects[0].epoch);
    inode_set_name(vol, ino, 0, NULL, 0);
    inode_set_base(vol, ino, NULL, NULL, 0);
    flight_remove(vol, ino);
    if (ino->in_lru)
        TAILQ_REMOVE(&vol->lru, ino, lru);
    HASH_DELETE(hh_id, vol->by_id, ino);
    vol->inode_count--;
    extent_map_free(ino->extents);
    scan_free(ino->scan);
    free(ino->redirects);
    free(ino->target);
    free(ino->extra_meta);
    free(ino->target_key);
    free(ino->flight_key);
    free(ino->last_err_text);
    mpu_free(ino->mpu);
    free(ino);
}

void inode_evict(struct fs_volume *vol)
{
    uint64_t durable = db_durable(vol->fs->db), limit = vol->fs->inode_limit;
    struct inode *ino, *next;
    unsigned looked = 0;

    /* Old ones whose transaction is under way are few and soon durable: look a little further. */
    for (ino = TAILQ_FIRST(&vol->lru); ino && vol->inode_count > limit && looked < 64;
         ino = next, looked++) {
        next = TAILQ_NEXT(ino, lru);
        if (ino->seq > durable || ino->child_seq > durable)
            continue;
        if (ino->flags & INODE_MODIFIED)
            vol->load_gen++;
        inode_free(vol, ino);
        looked = 0;
    }
    struct negative *neg = TAILQ_FIRST(&vol->negative_lru), *after;
    for (looked = 0; neg && vol->negative_count > limit && looked < 64; neg = after, looked++) {
        after = TAILQ_NEXT(neg, lru);
        if (neg->seq > durable)
            continue;
        if (neg->seq > 0)
            vol->load_gen++;
        negative_free(vol, neg);
        looked = 0;
    }
}

void inode_free_all(struct fs_volume *vol)
{
    struct inode *ino, *next;
    struct negative *neg, *after;

    HASH_ITER (hh_id, vol->by_id, ino, next) {
        if (ino->flags & INODE_ON_DIRTY) {
            TAILQ_REMOVE(&vol->dirty, ino, dirty);
            ino->flags &= ~(uint32_t)INODE_ON_DIRTY;
            if (ino->target_key)
                HASH_DELETE(hh_target, vol->targets, ino);
        }
        ino->pins = ino->opens = 0;
        ino->flags &= ~(uint32_t)INODE_LINKED;
        inode_free(vol, ino);
    }
    HASH_ITER (hh, vol->negatives, neg, after) {
        negative_free(vol, neg);
    }
}

void inode_attr(const struct inode *ino, const struct fs_volume *vol, struct fs_attr *ret)
{
    uint64_t size = ino->type == FS_DIR                  ? 4096
                    : ino->type == FS_LNK && ino->target ? strlen(ino->target)
                                                         : ino->size;
    *ret = (struct fs_attr){
        .type = ino->type,
        .mode = ino->mode & 07777,
        .nlink = ino->flags & (INODE_ORPHAN | INODE_GONE) ? 0
                 : ino->type == FS_DIR                    ? 2
                                                          : 1,
        .uid = ino->uid,
        .gid = ino->gid,
        .size = size,
        .used = (size + 511) & ~UINT64_C(511),
        .fsid = UINT64_C(0x7061696c00000000) | vol->id,
        .ino = ino->id,
        .atime_ns = ino->atime_ns,
        .mtime_ns = ino->mtime_ns,
        .ctime_ns = ino->ctime_ns,
    };
}

void inode_node(const struct inode *ino, const struct fs_volume *vol, struct fs_node *ret)
{
    ret->vol = (struct fs_volume *)vol;
    ret->ino = ino->id;
    ret->valid_ns = inode_valid_ns(ino, vol);
    ret->attr_valid = true;
    inode_attr(ino, vol, &ret->attr);
}

void inode_stamp(struct inode *ino, bool content)
{
    int64_t now = clock_wall_ns();

    /* Two changes within one tick of the clock must still be told apart by clients. */
    if (now <= ino->ctime_ns)
        now = ino->ctime_ns + 1;
    ino->ctime_ns = now;
    if (content)
        ino->mtime_ns = now;
    ino->change++;
}

bool inode_dirty_extents(const struct inode *ino)
{
    return ino->extents && extent_map_count(ino->extents) > 0;
}

void grave_add(struct fs_volume *vol, uint64_t seq, struct extent_graves *bytes)
{
    if (!bytes)
        return;
    struct grave *grave = mem_zalloc(sizeof(*grave));
    grave->seq = seq;
    grave->bytes = bytes;
    STAILQ_INSERT_TAIL(&vol->graves, grave, link);
}

void grave_sweep(struct fs_volume *vol)
{
    struct grave_list ready = STAILQ_HEAD_INITIALIZER(ready);
    uint64_t durable = db_durable(vol->fs->db);
    struct grave *grave;

    vol_lock(vol);
    while ((grave = STAILQ_FIRST(&vol->graves)) && grave->seq <= durable) {
        STAILQ_REMOVE_HEAD(&vol->graves, link);
        STAILQ_INSERT_TAIL(&ready, grave, link);
    }
    vol_unlock(vol);
    /* Giving bytes back punches holes and unlinks: not under the lock. */
    bool any = !STAILQ_EMPTY(&ready);
    while ((grave = STAILQ_FIRST(&ready))) {
        STAILQ_REMOVE_HEAD(&ready, link);
        extent_graves_free(grave->bytes);
        free(grave);
    }
    if (any) {
        vol_lock(vol);
        (void)pthread_cond_broadcast(&vol->cond); /* writers may wait for room */
        vol_unlock(vol);
    }
}
