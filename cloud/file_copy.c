/* COPY: of files (sharing extents where possible), symlinks, directories; in place for metadata. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cloud/file_int.h"

/* New metadata for a key that stays what it is: no data moves and the ETag stays. */
static int copy_patch(struct file_store *fs, struct store_req *req, const struct file_path *path)
{
    struct file_info info;
    CLEANUP_CLOSE int fd = -1;

    {
        LOCK_SCOPE(file_key_lock(fs, req->key));
        int err = file_info_of_path(path, &info);
        if (err)
            return err;
        if (!file_info_matches(&info, req->src_if_match))
            return -ESTALE;
        err = file_check_target(req, &info);
        if (err)
            return err;
        if (info.kind == FILE_SYMLINK) {
            if (req->meta)
                file_meta_write_symlink(path->dir_fd, path->name, req->meta);
            err = file_info_of_path(path, &info);
        } else if (req->meta) {
            fd = file_info_open(path->dir_fd, path->name, &info);
            err = fd < 0 ? fd : file_meta_write(fs, fd, req->meta);
        }
        if (err)
            return err;
    }
    file_object_result(req, &info);
    return fd >= 0 && fsync(fd) < 0 ? file_errno() : 0;
}

/* Either end is a symlink: the body is small and goes through memory. */
static int copy_symlink(struct file_store *fs, struct store_req *req, const struct file_path *src,
                        const struct file_info *info, int src_fd, const struct store_meta *meta)
{
    char body[PATH_MAX];
    ssize_t n;

    if (info->kind == FILE_SYMLINK) {
        n = readlinkat(src->dir_fd, src->name, body, sizeof(body));
        if (n < 0)
            return errno == EINVAL ? -EAGAIN : file_errno();
    } else {
        n = file_read_some(src_fd, body, sizeof(body), 0);
        if (n < 0)
            return (int)n;
        if ((uint64_t)n != info->size)
            return file_fail(req, -EINVAL, "too long for the target of a symlink");
    }
    return file_put_body(fs, req, body, (size_t)n, meta);
}

static int copy_file(struct file_store *fs, struct store_req *req, int src_fd,
                     const struct file_info *info, const struct store_meta *meta)
{
    CLEANUP_TEMP struct file_temp temp = {.fd = -1};
    char before[STORE_ETAG_MAX];
    struct file_info now;

    int err = file_temp_make(fs, &temp);
    if (!err)
        err = file_copy_range(src_fd, 0, temp.fd, 0, info->size);
    if (err)
        return err;
    file_info_etag(info, before);
    err = file_info_get(src_fd, "", &now);
    if (err)
        return err;
    if (!file_info_matches(&now, before)) /* written to in place while we read it */
        return req->src_if_match ? -ESTALE : -EAGAIN;
    return file_temp_publish(&temp, req, meta);
}

static int copy_open(struct file_store *fs, struct store_req *req, struct file_path *src,
                     struct file_info *info)
{
    int err = file_path_open(fs, req->src_key, src);

    if (!err)
        err = file_info_of_path(src, info);
    if (err)
        return err;
    return file_info_matches(info, req->src_if_match) ? 0 : -ESTALE;
}

int file_copy(struct file_store *fs, struct store_req *req)
{
    CLEANUP_PATH struct file_path src = {.dir_fd = -1};
    struct file_info info;
    struct store_meta own = {0};

    int err = file_path_check(req->key);
    if (!err)
        err = file_meta_check(req->meta);
    if (err)
        return file_fail(req, err, "this key or metadata cannot be kept in a directory of files");
    err = copy_open(fs, req, &src, &info);
    if (err)
        return err;
    bool to_link = req->meta ? file_meta_type(req->meta) == S_IFLNK : info.kind == FILE_SYMLINK;
    bool from_link = info.kind == FILE_SYMLINK;
    if (strcmp(req->key, req->src_key) == 0 && to_link == from_link)
        return copy_patch(fs, req, &src);

    CLEANUP_CLOSE int fd = from_link ? -1 : file_info_open(src.dir_fd, src.name, &info);
    if (!from_link && fd < 0)
        return fd;
    if (!file_info_matches(&info, req->src_if_match))
        return -ESTALE;
    if (!req->meta)
        file_meta_read(fs, fd, &info, &own);
    const struct store_meta *meta = req->meta ? req->meta : &own;
    if (info.kind == FILE_DIRECTORY)
        err = file_put_body(fs, req, "", 0, meta);
    else if (req->key[strlen(req->key) - 1] == '/')
        err = file_fail(req, -EINVAL, "a file cannot be copied to a directory's name");
    else if (from_link || to_link)
        err = copy_symlink(fs, req, &src, &info, fd, meta);
    else
        err = copy_file(fs, req, fd, &info, meta);
    store_meta_clear(&own);
    return err;
}
