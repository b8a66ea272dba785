/*
 * Temporary files and how they become objects: everything that can fail or wait is done to the
 * temporary file first; then, under the key's lock, conditions are checked and one rename publishes
 * it. What readers see is the old object or the whole new one.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cloud/file_int.h"

static void temp_name(struct file_store *fs, struct file_temp *temp)
{
    uint64_t n = atomic_fetch_add(&fs->temp_count, 1);

    *temp = (struct file_temp){.fs = fs, .dir_fd = fs->work_fd, .fd = -1};
    (void)snprintf(temp->name, sizeof(temp->name), "t%" PRIu64, n);
}

int file_temp_make(struct file_store *fs, struct file_temp *ret)
{
    temp_name(fs, ret);
    ret->fd = openat(ret->dir_fd, ret->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (ret->fd < 0) {
        ret->name[0] = '\0';
        return file_errno();
    }
    return 0;
}

int file_temp_symlink(struct file_store *fs, const char *target, struct file_temp *ret)
{
    temp_name(fs, ret);
    if (symlinkat(target, ret->dir_fd, ret->name) < 0) {
        ret->name[0] = '\0';
        return file_errno();
    }
    return 0;
}

void file_temp_done(struct file_temp *temp)
{
    if (temp->name[0])
        (void)unlinkat(temp->dir_fd, temp->name, 0);
    if (temp->fd >= 0)
        (void)close(temp->fd);
    temp->fd = -1;
    temp->name[0] = '\0';
}

/* Gives the file its mtime and metadata, brings it to disk, and tells how it is known from now on.
 */
static int temp_finish(struct file_temp *temp, const struct store_meta *meta, struct file_info *ret)
{
    if (temp->fd < 0) {
        if (meta)
            file_meta_write_symlink(temp->dir_fd, temp->name, meta);
        return file_info_get(temp->dir_fd, temp->name, ret);
    }
    int err = file_stamp_set(temp->fd, file_stamp_next(temp->fs));
    if (!err && meta)
        err = file_meta_write(temp->fs, temp->fd, meta);
    if (!err && fsync(temp->fd) < 0)
        err = file_errno();
    if (!err)
        err = file_info_get(temp->fd, "", ret);
    return err;
}

/* The rename that must not replace anything, also where the filesystem has no such rename. */
static int temp_rename_new(const struct file_temp *temp, const struct file_path *path)
{
    if (renameat2(temp->dir_fd, temp->name, path->dir_fd, path->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno == EEXIST ? -ESTALE : file_errno();
    if (linkat(temp->dir_fd, temp->name, path->dir_fd, path->name, 0) < 0)
        return errno == EEXIST ? -ESTALE : file_errno();
    return unlinkat(temp->dir_fd, temp->name, 0) < 0 ? file_errno() : 0;
}

static int temp_move(struct file_temp *temp, const struct file_path *path, struct store_req *req)
{
    struct file_info found;
    LOCK_SCOPE(file_key_lock(temp->fs, req->key));

    int err = file_info_get(path->dir_fd, path->name, &found);
    if (err && err != -ENOENT)
        return err;
    bool there = err == 0;
    err = file_check_target(req, there ? &found : NULL);
    if (err)
        return err;
    if (there && found.kind == FILE_DIRECTORY)
        return file_fail(req, -EINVAL, "a directory has this name");
    if (req->if_none_match)
        return temp_rename_new(temp, path);
    if (renameat(temp->dir_fd, temp->name, path->dir_fd, path->name) < 0)
        return file_errno();
    return 0;
}

int file_temp_publish(struct file_temp *temp, struct store_req *req, const struct store_meta *meta)
{
    struct file_info info;
    int err = temp_finish(temp, meta, &info);

    assert(temp->name[0]);
    /* -ENOENT: a DELETE took the new object's directory away again before the rename. */
    for (int tries = 0; tries < 8 && (!err || err == -ENOENT); tries++) {
        CLEANUP_PATH struct file_path path = {.dir_fd = -1};
        err = file_path_make(temp->fs, req->key, &path);
        if (!err)
            err = temp_move(temp, &path, req);
        if (err)
            continue;
        temp->name[0] = '\0';
        if (fsync(path.dir_fd) < 0)
            return file_errno();
        file_object_result(req, &info);
        return 0;
    }
    return err == -ENOENT ? -EAGAIN : err;
}
