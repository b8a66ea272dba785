/* CREATE, MKDIR, SYMLINK: a new inode and its name, in one transaction. */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { CREATE_DELAY_MS = 1000 }; /* what is removed again soon never reaches the store */

struct create_args {
    uint64_t dir;
    const char *name, *target;
    enum fs_type type;
    enum fs_create_how how;
    const struct fs_sattr *set;
    const uint8_t *verf;
    struct fs_node *ret;
    struct fs_wcc *dir_wcc;
};

static void dir_wcc_after(struct fs_volume *vol, const struct inode *dir, struct fs_wcc *wcc)
{
    inode_attr(dir, vol, &wcc->after);
    wcc->after_valid = true;
}

/* The name is taken: which answer that is, depends on how. 0 = the existing file is the answer. */
static int create_existing(struct fs_volume *vol, struct fs_req *req, struct create_args *a,
                           struct inode *ino)
{
    struct change c;
    uint64_t seq;

    if (a->type != FS_REG || a->how == FS_CREATE_GUARDED)
        return -EEXIST;
    if (a->how == FS_CREATE_EXCLUSIVE) {
        if (!(ino->flags & INODE_EXCLUSIVE) || memcmp(ino->verf, a->verf, FS_VERF_SIZE) != 0)
            return -EEXIST;
    } else if (ino->type != FS_REG) {
        return ino->type == FS_DIR ? -EISDIR : -EEXIST;
    } else if ((a->set->set & FS_SET_SIZE) && a->set->size == 0 && ino->size > 0) {
        /* RFC 1813 3.3.8: of the attributes for a file that exists only "size 0" counts. */
        if (req->cred.uid != ino->uid && access_check(ino, req, 2))
            return -EACCES;
        int err = commit_inode(vol, req, ino, &seq);
        if (err)
            return err;
        change_begin(&c, vol);
        if (req->cred.uid != 0)
            attr_drop_setid(ino);
        attr_truncate(ino, 0);
        inode_stamp(ino, true);
        commit_flush(&c, ino);
        dirty_update(vol, ino, vol->fs->config.quiet_ns);
        inode_node(ino, vol, a->ret);
        change_end(&c, req);
        invalid_content(vol, req, ino);
        return 0;
    }
    inode_node(ino, vol, a->ret);
    req->seq = ino->seq;
    change_none(vol, req);
    return 0;
}

static struct inode *create_inode(struct fs_volume *vol, const struct fs_req *req,
                                  const struct create_args *a, const struct inode *dir)
{
    struct inode *ino = inode_new(vol, db_next_id(vol->fs->db), a->type);

    ino->mode = a->type == FS_DIR ? 0755 : a->type == FS_LNK ? 0777 : 0644;
    ino->uid = req->cred.uid;
    ino->gid = dir->mode & 02000 ? dir->gid : req->cred.gid;
    ino->mtime_ns = ino->atime_ns = ino->ctime_ns = clock_wall_ns();
    if (a->how == FS_CREATE_EXCLUSIVE) {
        memcpy(ino->verf, a->verf, FS_VERF_SIZE);
        ino->flags |= INODE_EXCLUSIVE;
    } else {
        /* Who may create may not give away: owners are set by the rules of SETATTR, by root. */
        struct fs_sattr set = *a->set;
        if (req->cred.uid != 0)
            set.set &= ~(uint32_t)(FS_SET_UID | FS_SET_GID);
        attr_set(ino, req, &set);
        if (a->type == FS_REG && (set.set & FS_SET_SIZE))
            ino->size = ino->disk_size = set.size;
    }
    if (a->type == FS_DIR && (dir->mode & 02000))
        ino->mode |= 02000;
    if (a->type == FS_DIR) {
        ino->complete_ns = clock_mono_ns(); /* nothing is below it, we just made it */
        ino->since = ino->id;
        ino->flags |= INODE_LISTED;
    }
    if (a->target) {
        ino->target = mem_strdup(a->target);
        ino->size = ino->disk_size = strlen(a->target);
    }
    ino->flags |= INODE_DIRTY | INODE_META_KNOWN;
    return ino;
}

static int create_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct create_args *a = p;
    char key[STORE_KEY_MAX + 1];
    struct inode *dir, *ino;
    struct change c;
    int err = need_dir(vol, req, a->dir, &dir);

    if (err)
        return err;
    dir_wcc_after(vol, dir, a->dir_wcc);
    err = pressure_change(vol, req);
    if (!err)
        err = local_check(vol, req, dir);
    if (err)
        return err;
    if (strcmp(a->name, ".") == 0 || strcmp(a->name, "..") == 0)
        return -EEXIST;
    err = name_check(a->name);
    if (!err)
        err = access_check(dir, req, 1);
    if (!err)
        err = path_child_key(vol, dir, a->name, a->type == FS_DIR, key);
    if (err)
        return err;
    err = need_name(vol, req, dir, a->name, &ino);
    if (!err)
        return create_existing(vol, req, a, ino);
    if (err != -ENOENT)
        return err;
    err = access_check(dir, req, 3);
    if (err)
        return err;
    if (a->set->set & FS_SET_SIZE && a->set->size > FS_FILE_MAX)
        return -EFBIG;
    write_wcc_before(dir, vol, a->dir_wcc);
    change_begin(&c, vol);
    ino = create_inode(vol, req, a, dir);
    uint64_t dirent_id = db_next_id(vol->fs->db);
    inode_set_name(vol, ino, dir->id, a->name, dirent_id);
    db_put_dirent(c.txn, dirent_id, dir->id, a->name, ino->id);
    change_row(&c, ino);
    inode_stamp(dir, true);
    dir->gen++;
    local_used(vol, &c, dir);
    change_row(&c, dir);
    dirty_update(vol, ino, CREATE_DELAY_MS * CLOCK_MS);
    inode_node(ino, vol, a->ret);
    dir_wcc_after(vol, dir, a->dir_wcc);
    change_end(&c, req);
    dir->child_seq = c.seq;
    invalid_name(vol, req, dir->id, a->name);
    inode_evict(vol);
    return 0;
}

int fs_create(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              enum fs_create_how how, const struct fs_sattr *set, const uint8_t verf[FS_VERF_SIZE],
              struct fs_node *ret, struct fs_wcc *dir_wcc)
{
    static const struct fs_sattr none = {0};
    struct create_args a = {.dir = dir,
                            .name = name,
                            .type = FS_REG,
                            .how = how,
                            .set = set ? set : &none,
                            .verf = verf,
                            .ret = ret,
                            .dir_wcc = dir_wcc};

    *dir_wcc = (struct fs_wcc){0};
    ret->attr_valid = false;
    return op_run(vol, req, create_try, &a);
}

int fs_mkdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
             const struct fs_sattr *set, struct fs_node *ret, struct fs_wcc *dir_wcc)
{
    struct create_args a = {
        .dir = dir, .name = name, .type = FS_DIR, .set = set, .ret = ret, .dir_wcc = dir_wcc};

    *dir_wcc = (struct fs_wcc){0};
    ret->attr_valid = false;
    return op_run(vol, req, create_try, &a);
}

int fs_symlink(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
               const char *target, const struct fs_sattr *set, struct fs_node *ret,
               struct fs_wcc *dir_wcc)
{
    struct create_args a = {.dir = dir,
                            .name = name,
                            .target = target,
                            .type = FS_LNK,
                            .set = set,
                            .ret = ret,
                            .dir_wcc = dir_wcc};
    size_t len = strlen(target);

    *dir_wcc = (struct fs_wcc){0};
    ret->attr_valid = false;
    if (len == 0)
        return -EINVAL; /* POSIX has no empty symlinks, and an empty object could not be told from
                           one */
    if (len > FS_SYMLINK_MAX)
        return -ENAMETOOLONG;
    return op_run(vol, req, create_try, &a);
}
