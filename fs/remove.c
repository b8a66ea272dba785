/* REMOVE and RMDIR: the name goes in one transaction, the object by an intent. */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct remove_args {
    uint64_t dir;
    const char *name;
    bool is_dir;
    struct fs_wcc *dir_wcc;
};

int remove_objects(struct fs_volume *vol, struct change *c, struct inode *dir, struct inode *ino)
{
    char key[STORE_KEY_MAX + 1];
    int err;

    if (ino->type == FS_DIR) {
        struct sources sources;
        err = path_sources(vol, ino, &sources);
        if (err)
            return err;
        sources_once(&sources);
        /* A marker may lie in each place where the directory's content lay; a real directory is
         * there as soon as anything was below it. */
        for (size_t i = 0; i < sources.count; i++) {
            /* One that was moved and came back has its marker there, and does not know it. */
            if ((ino->flags & INODE_MARKER) || ino->flight_key || i > 0 || vol->caps.real_dirs ||
                ino->since > ino->id)
                intent_delete(vol, c, dir->id, sources.s[i].prefix, NULL);
        }
        sources_clear(&sources);
        return 0;
    }
    key[0] = '\0';
    if (ino->base_etag) {
        err = path_base_key(vol, ino, key);
        if (err)
            return err;
        /* While an upload writes that key nobody knows the ETag it will have. */
        bool rewritten = flight_running(vol, ino) && strcmp(key, ino->flight_key) == 0;
        intent_delete(vol, c, dir->id, key, rewritten ? NULL : ino->base_etag);
    }
    if (flight_running(vol, ino) && strcmp(key, ino->flight_key) != 0)
        intent_delete(vol, c, dir->id, ino->flight_key, NULL);
    return 0;
}

static int remove_check(struct fs_volume *vol, struct fs_req *req, const struct remove_args *a,
                        struct inode *dir, struct inode **ret)
{
    int err = name_check(a->name);

    if (strcmp(a->name, "..") == 0)
        return a->is_dir ? -EEXIST : -EINVAL;
    if (!err)
        err = access_check(dir, req, 1);
    if (!err)
        err = need_name(vol, req, dir, a->name, ret);
    if (!err)
        err = access_remove(dir, *ret, req);
    if (err)
        return err;
    if (a->is_dir != ((*ret)->type == FS_DIR))
        return a->is_dir ? -ENOTDIR : -EISDIR;
    if (mount_keeps(vol, *ret))
        return -EBUSY;
    return a->is_dir ? scan_empty(vol, req, *ret) : flight_known(vol, req, *ret);
}

static int remove_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct remove_args *a = p;
    struct inode *dir, *ino;
    struct change c;
    int err = need_dir(vol, req, a->dir, &dir);

    if (err)
        return err;
    inode_attr(dir, vol, &a->dir_wcc->after);
    a->dir_wcc->after_valid = true;
    err = pressure_change(vol, req);
    if (err)
        return err == -ENOSPC ? -EAGAIN : err; /* removing is what one does about that */
    err = remove_check(vol, req, a, dir, &ino);
    if (err)
        return err;
    write_wcc_before(dir, vol, a->dir_wcc);
    change_begin(&c, vol);
    err = remove_objects(vol, &c, dir, ino);
    if (err) {
        change_end(&c, NULL);
        return err;
    }
    inode_remove(vol, &c, ino);
    dirty_marker(vol, &c, dir);
    inode_stamp(dir, true);
    dir->gen++;
    change_row(&c, dir);
    inode_attr(dir, vol, &a->dir_wcc->after);
    change_end(&c, req);
    dir->child_seq = c.seq;
    invalid_name(vol, req, dir->id, a->name);
    invalid_inode(vol, req, ino);
    return 0;
}

int fs_remove(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              struct fs_wcc *dir_wcc)
{
    struct remove_args a = {.dir = dir, .name = name, .dir_wcc = dir_wcc};

    *dir_wcc = (struct fs_wcc){0};
    return op_run(vol, req, remove_try, &a);
}

int fs_rmdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
             struct fs_wcc *dir_wcc)
{
    struct remove_args a = {.dir = dir, .name = name, .is_dir = true, .dir_wcc = dir_wcc};

    *dir_wcc = (struct fs_wcc){0};
    return op_run(vol, req, remove_try, &a);
}
