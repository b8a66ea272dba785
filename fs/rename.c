/*
 * RENAME. A file keeps its base under the old key and is placed under the new one by its next
 * upload; a directory gets redirects and is drained. Both are one transaction, whatever the size,
 * and so are two that change places, of which each is to go where the other still lies: the first
 * who finds that it waits for itself cuts the circle (wait.h).
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

struct rename_args {
    uint64_t from_dir, to_dir;
    const char *from, *to;
    uint32_t flags; /* enum fs_rename_flag */
    struct fs_wcc *from_wcc, *to_wcc;
};

struct rename_nodes {
    struct inode *from_dir, *to_dir, *src, *tgt;
};

static int rename_names(struct fs_volume *vol, struct fs_req *req, const struct rename_args *a,
                        struct rename_nodes *n)
{
    int err = name_check(a->from);

    if (!err)
        err = name_check(a->to);
    if (!err)
        err = access_check(n->from_dir, req, 3);
    if (!err)
        err = access_check(n->to_dir, req, 3);
    if (!err)
        err = need_name(vol, req, n->from_dir, a->from, &n->src);
    if (err)
        return err;
    err = need_name(vol, req, n->to_dir, a->to, &n->tgt);
    if (err == -ENOENT) {
        n->tgt = NULL;
        err = 0;
    }
    return err;
}

/* A directory that already lies in as many places as can be followed has to wait for its drains. */
static int rename_room(struct fs_volume *vol, const struct inode *ino)
{
    struct sources sources;
    int err = ino && ino->type == FS_DIR ? path_sources(vol, ino, &sources) : -ENOTDIR;

    if (err)
        return err == -ENOTDIR ? 0 : err;
    if (sources.count > SOURCES_RENAME_MAX)
        err = -EAGAIN;
    sources_clear(&sources);
    return err;
}

static int rename_check(struct fs_volume *vol, struct fs_req *req, const struct rename_args *a,
                        const struct rename_nodes *n)
{
    char key[STORE_KEY_MAX + 1];
    int err = access_remove(n->from_dir, n->src, req);

    if (!err)
        err = access_remove(n->to_dir, n->tgt, req);
    if (!err && n->src->type == FS_DIR && n->from_dir != n->to_dir)
        err = access_check(n->src, req, 2); /* its ".." becomes another */
    if (!err)
        err = path_child_key(vol, n->to_dir, a->to, n->src->type == FS_DIR, key);
    if (err)
        return err;
    if (n->src->type == FS_DIR && path_below(vol, n->to_dir, n->src))
        return -EINVAL;
    if (mount_keeps(vol, n->src) || (n->tgt && mount_keeps(vol, n->tgt)))
        return -EBUSY;
    if (!n->tgt)
        return 0;
    if (n->src->type == FS_DIR && n->tgt->type != FS_DIR)
        return -ENOTDIR;
    if (n->src->type != FS_DIR && n->tgt->type == FS_DIR)
        return -EISDIR;
    return n->tgt->type == FS_DIR ? scan_empty(vol, req, n->tgt) : 0;
}

/* Before the name changes: the base gets its present key in so many words, and that key is to go.
 */
static int rename_file_base(struct fs_volume *vol, struct change *c, const struct inode *dir,
                            struct inode *src)
{
    char key[STORE_KEY_MAX + 1];

    if (src->base_etag && !src->base_key) {
        int err = path_base_key(vol, src, key);
        if (err)
            return err;
        bool rewritten = flight_running(vol, src) && strcmp(key, src->flight_key) == 0;
        intent_delete(vol, c, dir->id, key, rewritten ? NULL : src->base_etag);
        inode_move_base(vol, src, key);
    }
    if (flight_running(vol, src) && !intent_find(vol, src->flight_key))
        intent_delete(vol, c, dir->id, src->flight_key, NULL);
    return 0;
}

/* After: if it came back to where its base lies, nothing has to move and nothing to go. */
static void rename_file_placed(struct fs_volume *vol, struct change *c, struct inode *src)
{
    char key[STORE_KEY_MAX + 1];
    struct intent *intent;

    if (path_key(vol, src, key) == 0) {
        intent = intent_find(vol, key);
        if (src->base_key && strcmp(src->base_key, key) == 0) {
            inode_move_base(vol, src, NULL);
            if (intent && !intent->in_flight)
                intent_drop(vol, c, intent);
        }
    }
    if (src->base_key)
        src->flags |= INODE_PLACE;
    else
        src->flags &= ~(uint32_t)INODE_PLACE;
}

/* Before the name changes: redirects to all the places where the directory's content lies now. */
static int rename_dir_redirect(struct fs_volume *vol, struct change *c, struct inode *src)
{
    struct sources sources;
    uint64_t epoch = db_next_id(vol->fs->db);
    int err = path_sources(vol, src, &sources);

    if (err)
        return err;
    for (size_t i = 0; i < sources.count; i++) {
        const struct source *s = &sources.s[i];
        uint64_t until = s->until == UINT64_MAX ? epoch : s->until;
        bool own = false;
        for (size_t r = 0; r < src->redirect_count; r++)
            own = own || src->redirects[r].epoch == until;
        if (own)
            continue;
        struct db_redirect row = {
            .inode = src->id, .epoch = until, .volume = vol->id, .prefix = s->prefix};
        db_put_redirect(c->txn, &row);
        redirect_add(vol, src, until, s->prefix);
    }
    sources_clear(&sources);
    vol->epoch = epoch;
    src->since = epoch;
    /* The marker belongs to the old place; the drain takes it away there. */
    if ((src->flags & INODE_MARKER) || vol->caps.real_dirs) {
        src->flags &= ~(uint32_t)INODE_MARKER;
        src->flags |= INODE_DIRTY;
    }
    return 0;
}

static int rename_apply(struct fs_volume *vol, struct change *c, const struct rename_args *a,
                        const struct rename_nodes *n)
{
    struct inode *src = n->src;
    bool is_dir = src->type == FS_DIR;
    uint64_t dirent_id = db_next_id(vol->fs->db);
    int err = n->tgt ? remove_objects(vol, c, n->to_dir, n->tgt) : 0;

    if (!err)
        err =
            is_dir ? rename_dir_redirect(vol, c, src) : rename_file_base(vol, c, n->from_dir, src);
    if (err)
        return err;
    if (n->tgt)
        inode_remove(vol, c, n->tgt);
    db_del_dirent(c->txn, a->from_dir, a->from);
    db_put_dirent(c->txn, dirent_id, a->to_dir, a->to, src->id);
    inode_set_name(vol, src, a->to_dir, a->to, dirent_id);
    change_gone(c, a->from_dir, a->from);
    log_event(LOG_DEBUG, "rename", "ino=%lu from=%s to=%s dir=%lu", (unsigned long)src->id,
              LOG_Q(a->from), LOG_Q(a->to), (unsigned long)a->to_dir);
    vol->path_gen++;
    if (is_dir) {
        vol->dir_gen++;
        dirty_retarget_below(vol, src);
    } else {
        rename_file_placed(vol, c, src);
    }
    dirty_marker(vol, c, n->from_dir);
    local_used(vol, c, n->to_dir);
    inode_stamp(src, false);
    change_row(c, src);
    dirty_update(vol, src, vol->fs->config.quiet_ns);
    return 0;
}

/* --- two names that change places --- */

static int exchange_check(struct fs_volume *vol, struct fs_req *req, const struct rename_args *a,
                          const struct rename_nodes *n)
{
    char key[STORE_KEY_MAX + 1];
    int err = n->tgt ? access_remove(n->from_dir, n->src, req) : -ENOENT;

    if (!err)
        err = access_remove(n->to_dir, n->tgt, req);
    if (!err)
        err = path_child_key(vol, n->to_dir, a->to, n->src->type == FS_DIR, key);
    if (!err)
        err = path_child_key(vol, n->from_dir, a->from, n->tgt->type == FS_DIR, key);
    if (err)
        return err;
    if (path_below(vol, n->to_dir, n->src) || path_below(vol, n->from_dir, n->tgt))
        return -EINVAL;
    return mount_keeps(vol, n->src) || mount_keeps(vol, n->tgt) ? -EBUSY : 0;
}

/* Before the names change. */
static int exchange_leave(struct fs_volume *vol, struct change *c, const struct inode *dir,
                          struct inode *ino)
{
    return ino->type == FS_DIR ? rename_dir_redirect(vol, c, ino)
                               : rename_file_base(vol, c, dir, ino);
}

/* After. */
static void exchange_arrive(struct fs_volume *vol, struct change *c, struct inode *left,
                            struct inode *ino)
{
    if (ino->type == FS_DIR)
        dirty_retarget_below(vol, ino);
    else
        rename_file_placed(vol, c, ino);
    dirty_marker(vol, c, left);
    inode_stamp(ino, false);
    change_row(c, ino);
    dirty_update(vol, ino, vol->fs->config.quiet_ns);
}

static int exchange_apply(struct fs_volume *vol, struct change *c, const struct rename_args *a,
                          const struct rename_nodes *n)
{
    uint64_t src_id = db_next_id(vol->fs->db), tgt_id = db_next_id(vol->fs->db);
    int err = exchange_leave(vol, c, n->from_dir, n->src);

    if (err)
        return err;
    err = exchange_leave(vol, c, n->to_dir, n->tgt);
    if (err) { /* a redirect to where it lies does no harm; a deletion would */
        if (n->src->type != FS_DIR)
            rename_file_placed(vol, c, n->src);
        return err;
    }
    db_del_dirent(c->txn, a->from_dir, a->from);
    db_del_dirent(c->txn, a->to_dir, a->to);
    db_put_dirent(c->txn, src_id, a->to_dir, a->to, n->src->id);
    db_put_dirent(c->txn, tgt_id, a->from_dir, a->from, n->tgt->id);
    inode_set_name(vol, n->src, 0, NULL, 0);
    inode_set_name(vol, n->tgt, a->from_dir, a->from, tgt_id);
    inode_set_name(vol, n->src, a->to_dir, a->to, src_id);
    log_event(LOG_DEBUG, "exchange", "ino=%lu from=%s to=%s ino2=%lu", (unsigned long)n->src->id,
              LOG_Q(a->from), LOG_Q(a->to), (unsigned long)n->tgt->id);
    vol->path_gen++;
    if (n->src->type == FS_DIR || n->tgt->type == FS_DIR)
        vol->dir_gen++;
    exchange_arrive(vol, c, n->from_dir, n->src);
    exchange_arrive(vol, c, n->to_dir, n->tgt);
    return 0;
}

static void rename_tell(struct fs_volume *vol, const struct fs_req *req,
                        const struct rename_args *a, const struct rename_nodes *n)
{
    invalid_name(vol, req, a->from_dir, a->from);
    invalid_name(vol, req, a->to_dir, a->to);
    invalid_inode(vol, req, n->src);
    if (n->tgt)
        invalid_inode(vol, req, n->tgt);
}

static int rename_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct rename_args *a = p;
    struct rename_nodes n;
    struct change c;
    int err = need_dir(vol, req, a->from_dir, &n.from_dir);

    if (!err) {
        inode_attr(n.from_dir, vol, &a->from_wcc->after);
        a->from_wcc->after_valid = true;
        err = need_dir(vol, req, a->to_dir, &n.to_dir);
    }
    if (err)
        return err;
    inode_attr(n.to_dir, vol, &a->to_wcc->after);
    a->to_wcc->after_valid = true;
    err = pressure_change(vol, req);
    if (!err)
        err = local_check(vol, req, n.to_dir);
    if (err)
        return err;
    err = rename_names(vol, req, a, &n);
    if (err)
        return err;
    if (n.tgt && (a->flags & FS_RENAME_NOREPLACE))
        return -EEXIST;
    if (n.src == n.tgt) {
        change_none(vol, req);
        return 0;
    }
    bool exchange = a->flags & FS_RENAME_EXCHANGE;
    err = exchange ? exchange_check(vol, req, a, &n) : rename_check(vol, req, a, &n);
    /* An upload that a crash cut off may have replaced the base: know it before it gets a key of
     * its own. */
    if (!err)
        err = rename_room(vol, n.src);
    if (!err && exchange)
        err = rename_room(vol, n.tgt);
    if (!err)
        err = flight_known(vol, req, n.src);
    if (!err && n.tgt)
        err = flight_known(vol, req, n.tgt);
    if (err)
        return err;
    write_wcc_before(n.from_dir, vol, a->from_wcc);
    write_wcc_before(n.to_dir, vol, a->to_wcc);
    change_begin(&c, vol);
    err = exchange ? exchange_apply(vol, &c, a, &n) : rename_apply(vol, &c, a, &n);
    if (err) {
        change_end(&c, NULL);
        return err;
    }
    inode_stamp(n.from_dir, true);
    n.from_dir->gen++;
    change_row(&c, n.from_dir);
    if (n.to_dir != n.from_dir) {
        inode_stamp(n.to_dir, true);
        n.to_dir->gen++;
        change_row(&c, n.to_dir);
    }
    inode_attr(n.from_dir, vol, &a->from_wcc->after);
    inode_attr(n.to_dir, vol, &a->to_wcc->after);
    change_end(&c, req);
    n.from_dir->child_seq = n.to_dir->child_seq = c.seq;
    rename_tell(vol, req, a, &n);
    return 0;
}

int fs_rename_with(struct fs_volume *vol, struct fs_req *req, uint64_t from_dir, const char *from,
                   uint64_t to_dir, const char *to, uint32_t flags, struct fs_wcc *from_wcc,
                   struct fs_wcc *to_wcc)
{
    struct rename_args a = {.from_dir = from_dir,
                            .to_dir = to_dir,
                            .from = from,
                            .to = to,
                            .flags = flags,
                            .from_wcc = from_wcc,
                            .to_wcc = to_wcc};

    *from_wcc = *to_wcc = (struct fs_wcc){0};
    if (flags & ~(uint32_t)(FS_RENAME_NOREPLACE | FS_RENAME_EXCHANGE) ||
        flags == (FS_RENAME_NOREPLACE | FS_RENAME_EXCHANGE))
        return -EINVAL;
    return op_run(vol, req, rename_try, &a);
}

int fs_rename(struct fs_volume *vol, struct fs_req *req, uint64_t from_dir, const char *from,
              uint64_t to_dir, const char *to, struct fs_wcc *from_wcc, struct fs_wcc *to_wcc)
{
    return fs_rename_with(vol, req, from_dir, from, to_dir, to, 0, from_wcc, to_wcc);
}
