/*
 * READDIR and READDIRPLUS: rows in cookie order from the database, each checked against memory. A
 * directory that was never listed to the end is listed while it is read: when the rows are used up
 * the scan brings the next page, whose names have greater ids than all before.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum { READDIR_FIRST = 64, READDIR_CHUNK = 512, READDIR_DOT = 1, READDIR_DOTDOT = 2 };

struct readdir_row {
    struct db_dirent dirent;
    struct db_inode inode;
};

struct readdir {
    uint64_t dir, cookie;
    bool want_attr;
    fs_emit_fn *emit;
    void *ctx;
    bool *ret_eof;
    struct fs_node *dir_node;
    struct readdir_row *rows;
    size_t row_count;
    uint32_t chunk; /* rows to read next: few at first, since nobody says how many fit the reply */
    bool fresh;     /* the listing was fresh once in this request */
    int64_t valid_ns; /* of rows that are not in memory: the listing confirmed them */
};

static bool readdir_row(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    struct readdir *rd = ctx;
    struct readdir_row *row = &rd->rows[rd->row_count++];

    row->dirent = *dirent;
    row->inode = *inode; /* the numbers; the strings are not used */
    row->inode.target = mem_strdup(inode->target);
    return rd->row_count < rd->chunk;
}

static void readdir_clear(struct readdir *rd)
{
    for (size_t i = 0; i < rd->row_count; i++)
        free(rd->rows[i].inode.target);
    rd->row_count = 0;
}

/* Attributes from a row, without making an inode of it. */
static void readdir_row_node(const struct fs_volume *vol, const struct db_inode *row,
                             struct fs_node *ret)
{
    struct inode ino = {.id = row->id,
                        .flags = row->flags,
                        .type = (enum fs_type)row->type,
                        .mode = row->mode,
                        .uid = row->uid,
                        .gid = row->gid,
                        .size = row->size,
                        .atime_ns = row->atime_ns,
                        .mtime_ns = row->mtime_ns,
                        .ctime_ns = row->ctime_ns,
                        .target = row->target};
    defaults_apply(vol, &ino);
    inode_node(&ino, vol, ret);
    ret->attr_valid = row->flags & INODE_META_KNOWN;
}

/* What a row shows now; false if it is not there any more. Lock held. */
static bool readdir_entry(struct fs_volume *vol, const struct readdir *rd,
                          const struct readdir_row *row, struct fs_dir_entry *ret)
{
    const struct inode *ino = inode_find_name(vol, rd->dir, row->dirent.name);

    if (!ino) {
        const struct negative *neg = negative_find(vol, rd->dir, row->dirent.name);
        const struct inode *other = inode_find(vol, row->dirent.inode);
        if ((neg && neg->seq > 0) || (other && (other->flags & INODE_GONE || other->key)))
            return false;
    } else if (ino->dirent_id != row->dirent.id) {
        return false; /* it comes again under its new cookie */
    }
    *ret = (struct fs_dir_entry){.cookie = row->dirent.id, .name = row->dirent.name};
    ret->node.vol = vol;
    ret->node.ino = ino ? ino->id : row->dirent.inode;
    struct fs_volume *child = ino ? mount_child(vol, ino) : NULL;
    if (child) { /* its attributes are behind another lock: whoever wants them looks it up */
        ret->node.vol = child;
        ret->node.ino = child->root;
        return true;
    }
    if (!rd->want_attr)
        return true;
    if (ino) {
        inode_node(ino, vol, &ret->node);
        ret->node.attr_valid = ino->flags & INODE_META_KNOWN;
    } else {
        readdir_row_node(vol, &row->inode, &ret->node);
        ret->node.valid_ns = ret->node.attr_valid ? rd->valid_ns : 0;
    }
    return true;
}

static int64_t readdir_valid_ns(const struct fs_volume *vol, const struct inode *dir)
{
    int64_t at = dir->complete_ns, ttl = vol->config.attr_ttl_ns;

    if (dir->scan && dir->scan->streaming)
        at = dir->scan->started_ns;
    int64_t age = clock_mono_ns() - at;
    return at > 0 && age < ttl ? ttl - age : 0;
}

/* "." and "..". False if emit had no room. */
static bool readdir_dots(struct fs_volume *vol, struct readdir *rd, const struct inode *dir)
{
    struct fs_dir_entry entry = {0};

    if (rd->cookie < READDIR_DOT) {
        entry.cookie = READDIR_DOT;
        entry.name = ".";
        inode_node(dir, vol, &entry.node);
        if (!rd->emit(rd->ctx, &entry))
            return false;
        rd->cookie = READDIR_DOT;
    }
    if (rd->cookie < READDIR_DOTDOT) {
        const struct volume_mounts *m = vol->mounts;
        bool root = dir->id == vol->root;
        entry = (struct fs_dir_entry){.cookie = READDIR_DOTDOT, .name = ".."};
        if (root && m->up)
            entry.node = (struct fs_node){.vol = m->up, .ino = m->up_dir};
        else
            inode_node(root ? dir : inode_find(vol, dir->key->parent), vol, &entry.node);
        if (!rd->emit(rd->ctx, &entry))
            return false;
        rd->cookie = READDIR_DOTDOT;
    }
    return true;
}

/* Is what the database has good enough to show from this cookie on? 0, or what scan_step says. */
static int readdir_listing(struct fs_volume *vol, struct fs_req *req, struct readdir *rd,
                           struct inode *dir)
{
    if (rd->fresh)
        return 0;
    bool begun = rd->cookie > READDIR_DOTDOT;
    if (scan_complete(vol, req, dir) || (dir->scan && dir->scan->streaming) ||
        (begun && (dir->flags & INODE_LISTED || dir->scan))) {
        rd->fresh = true;
        return 0;
    }
    return scan_step(vol, req, dir);
}

/* Reads and emits one chunk. 0: the reply is full, or the end; -ERESTART: go on. Lock held. */
static int readdir_chunk(struct fs_volume *vol, struct fs_req *req, struct readdir *rd,
                         struct inode *dir)
{
    struct fs_dir_entry entry;

    readdir_clear(rd);
    inode_pin(vol, dir);
    vol_unlock(vol);
    int err = db_list_dirents(vol->fs->db, rd->dir, rd->cookie, rd->chunk, readdir_row, rd);
    vol_lock(vol);
    inode_unpin(vol, dir);
    if (err)
        return -EIO;
    rd->valid_ns = readdir_valid_ns(vol, dir);
    for (size_t i = 0; i < rd->row_count; i++) {
        if (readdir_entry(vol, rd, &rd->rows[i], &entry) && !rd->emit(rd->ctx, &entry))
            return 0;
        rd->cookie = rd->rows[i].dirent.id;
    }
    bool more = rd->row_count == rd->chunk;
    if (rd->chunk < READDIR_CHUNK)
        rd->chunk *= 2;
    if (more)
        return -ERESTART;
    /* The rows are used up. While a directory is listed for the first time, more may come. */
    if (!dir->scan || !dir->scan->streaming) {
        if (scan_complete(vol, req, dir) || dir->flags & INODE_LISTED) {
            *rd->ret_eof = true;
            return 0;
        }
    }
    return scan_step(vol, req, dir);
}

static int readdir_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct readdir *rd = args;
    struct inode *dir, *up;
    int err = need_dir(vol, req, rd->dir, &dir);

    if (err)
        return err;
    if (dir->id != vol->root && (err = need_inode(vol, req, dir->key->parent, &up)))
        return err;
    inode_node(dir, vol, rd->dir_node);
    err = access_check(dir, req, 4);
    if (err)
        return err;
    dir->flags |= INODE_OBSERVED;
    if (req->flags & FS_NOWAIT)
        return -EAGAIN; /* the rows are read from the database */
    err = op_wait_durable(vol, req, dir->child_seq);
    if (!err)
        err = readdir_listing(vol, req, rd, dir);
    if (err)
        return err;
    if (!readdir_dots(vol, rd, dir))
        return 0;
    err = readdir_chunk(vol, req, rd, dir);
    if (err != -ERESTART)
        inode_node(dir, vol, rd->dir_node);
    return err;
}

int fs_readdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, uint64_t cookie,
               bool want_attr, fs_emit_fn *emit, void *ctx, bool *ret_eof, struct fs_node *dir_node)
{
    bool eof = false;
    struct readdir rd = {.dir = dir,
                         .cookie = cookie,
                         .want_attr = want_attr,
                         .emit = emit,
                         .ctx = ctx,
                         .ret_eof = &eof,
                         .dir_node = dir_node,
                         .chunk = READDIR_FIRST};

    dir_node->attr_valid = false;
    if (!(req->flags & FS_NOWAIT))
        rd.rows = mem_array(READDIR_CHUNK, sizeof(*rd.rows));
    int err = op_run(vol, req, readdir_try, &rd);
    bool some = rd.cookie != cookie;
    readdir_clear(&rd);
    free(rd.rows);
    if (err == -EAGAIN && some)
        err = 0; /* what there is goes out; the client comes back for the rest */
    if (!err)
        *ret_eof = eof;
    return err;
}
