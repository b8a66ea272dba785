/* PUT of files, symlinks and directories, and what all writing operations share. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cloud/file_int.h"

pthread_mutex_t *file_key_lock(struct file_store *fs, const char *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    return &fs->key_locks[(hash ^ (hash >> 32)) % FILE_KEY_LOCKS];
}

int file_check_target(const struct store_req *req, const struct file_info *found)
{
    if (req->if_none_match && found)
        return -ESTALE;
    if (req->if_match && (!found || !file_info_matches(found, req->if_match)))
        return -ESTALE;
    return 0;
}

void file_object_result(struct store_req *req, const struct file_info *info)
{
    file_info_etag(info, req->object.etag);
    req->object.size = info->size;
    req->object.mtime_ns = info->mtime_ns;
}

int file_fail(struct store_req *req, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(req->error_text, sizeof(req->error_text), fmt, ap);
    va_end(ap);
    return err;
}

/* The directory of the key, made if it is not there; tells whether it was made. */
static int put_make_dir(struct file_store *fs, struct store_req *req, const struct file_path *path,
                        mode_t mode, bool *ret_made)
{
    struct file_info found;
    LOCK_SCOPE(file_key_lock(fs, req->key));

    *ret_made = false;
    int err = file_info_get(path->dir_fd, path->name, &found);
    if (err && err != -ENOENT)
        return err;
    bool there = err == 0;
    err = file_check_target(req, there ? &found : NULL);
    if (err)
        return err;
    if (there && found.kind != FILE_DIRECTORY)
        return file_fail(req, -EINVAL, "a file has the name of this directory");
    if (there)
        return 0;
    if (mkdirat(path->dir_fd, path->name, mode) < 0)
        return errno == EEXIST && req->if_none_match ? -ESTALE : file_errno();
    *ret_made = true;
    return 0;
}

/* The metadata of an open directory that is the key's, and its result. */
static int put_finish_dir(struct file_store *fs, struct store_req *req,
                          const struct file_path *path, const struct store_meta *meta)
{
    struct file_info info;
    LOCK_SCOPE(file_key_lock(fs, req->key));

    int err = file_info_of_path(path, &info);
    if (err)
        return err;
    file_object_result(req, &info);
    if (!meta)
        return 0;
    CLEANUP_CLOSE int fd = file_info_open(path->dir_fd, path->name, &info);
    return fd < 0 ? fd : file_meta_write(fs, fd, meta);
}

/* Without metadata a directory that is there already stays as it is. */
static int put_dir(struct file_store *fs, struct store_req *req, const struct store_meta *meta)
{
    CLEANUP_PATH struct file_path path = {.dir_fd = -1};
    bool made = false;
    /* Nobody looks into it before its real mode is set. */
    mode_t mode = meta && store_meta_get(meta, "file-permissions") ? 0700 : 0777;
    int err = file_path_make(fs, req->key, &path);

    if (err)
        return err;
    (void)atomic_fetch_add(&fs->mkdirs_unsynced, 1);
    err = put_make_dir(fs, req, &path, mode, &made);
    if (!err)
        err = put_finish_dir(fs, req, &path, meta);
    if (!err && meta) {
        CLEANUP_CLOSE int fd =
            openat(path.dir_fd, path.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
            err = file_errno();
    }
    if (made && fsync(path.dir_fd) < 0 && !err)
        err = file_errno();
    (void)atomic_fetch_sub(&fs->mkdirs_unsynced, 1);
    return err == -ENOENT ? -EAGAIN : err; /* removed again meanwhile */
}

static int put_symlink(struct file_store *fs, struct store_req *req, const void *buf, size_t len,
                       const struct store_meta *meta)
{
    CLEANUP_TEMP struct file_temp temp = {.fd = -1};
    char target[PATH_MAX];

    if (len == 0 || len >= sizeof(target) || memchr(buf, '\0', len))
        return file_fail(req, -EINVAL, "not the target of a symlink");
    memcpy(target, buf, len);
    target[len] = '\0';
    int err = file_temp_symlink(fs, target, &temp);
    return err ? err : file_temp_publish(&temp, req, meta);
}

int file_check_target_early(struct file_store *fs, struct store_req *req)
{
    CLEANUP_PATH struct file_path path = {.dir_fd = -1};
    struct file_info found;

    int err = file_path_open(fs, req->key, &path);
    if (!err)
        err = file_info_get(path.dir_fd, path.name, &found);
    if (err && err != -ENOENT)
        return err;
    return file_check_target(req, err ? NULL : &found);
}

int file_put_body(struct file_store *fs, struct store_req *req, const void *buf, size_t len,
                  const struct store_meta *meta)
{
    CLEANUP_TEMP struct file_temp temp = {.fd = -1};
    int err = file_path_check(req->key);

    if (!err)
        err = file_meta_check(meta);
    if (err)
        return file_fail(req, err, "this key or metadata cannot be kept in a directory of files");
    if (req->key[strlen(req->key) - 1] == '/')
        return len > 0 ? file_fail(req, -EINVAL, "a directory has no body")
                       : put_dir(fs, req, meta);
    err = file_check_target_early(fs, req);
    if (err)
        return err;
    if (file_meta_type(meta) == S_IFLNK)
        return put_symlink(fs, req, buf, len, meta);
    err = file_temp_make(fs, &temp);
    if (!err)
        err = file_write_all(temp.fd, buf, len, 0);
    return err ? err : file_temp_publish(&temp, req, meta);
}

int file_put(struct file_store *fs, struct store_req *req)
{
    return file_put_body(fs, req, req->buf, req->buf_len, req->meta);
}
