/* HEAD and GET. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cloud/file_int.h"

enum { READ_TRIES = 8 };

/* Looks the key of req up: its info, and an open file, which is -1 for a symlink and -EACCES when
 * we may see it but not read it. */
static int read_open(struct file_store *fs, const struct store_req *req, struct file_path *path,
                     struct file_info *info, int *ret_fd)
{
    int err = file_path_open(fs, req->key, path);

    if (!err)
        err = file_info_of_path(path, info);
    if (!err && info->kind != FILE_SYMLINK) {
        *ret_fd = file_info_open(path->dir_fd, path->name, info);
        err = *ret_fd >= 0 || *ret_fd == -EACCES ? 0 : *ret_fd;
    }
    if (err)
        return err;
    return file_info_matches(info, req->if_match) ? 0 : -ESTALE;
}

static int read_head(struct file_store *fs, struct store_req *req)
{
    CLEANUP_PATH struct file_path path = {.dir_fd = -1};
    CLEANUP_CLOSE int fd = -1;
    struct file_info info;
    int err = read_open(fs, req, &path, &info, &fd);

    if (err)
        return err;
    file_object_result(req, &info);
    file_meta_read(fs, fd, &info, &req->object.meta);
    req->object.has_meta = true;
    return 0;
}

int file_head(struct file_store *fs, struct store_req *req)
{
    int err = -EAGAIN;

    for (int tries = 0; err == -EAGAIN && tries < READ_TRIES; tries++)
        err = read_head(fs, req);
    return err;
}

/* The part of len bytes from off that lies within size. */
static size_t read_clip(uint64_t size, uint64_t off, uint64_t len)
{
    if (off >= size)
        return 0;
    return (size_t)(len < size - off ? len : size - off);
}

static int read_symlink(const struct file_path *path, struct store_req *req)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(path->dir_fd, path->name, target, sizeof(target));

    if (n < 0)
        return errno == EINVAL ? -EAGAIN : file_errno();
    req->got = read_clip((uint64_t)n, req->range_off, req->range_len);
    if (req->got > 0)
        memcpy(req->buf, target + req->range_off, req->got);
    return 0;
}

/* Reads from an open file; -ESTALE if it was written to meanwhile, so that versions never mix. */
static int read_file(int fd, struct file_info *info, struct store_req *req)
{
    char before[STORE_ETAG_MAX];

    int err = file_info_get(fd, "", info);
    if (err)
        return err;
    if (!file_info_matches(info, req->if_match))
        return -ESTALE;
    file_info_etag(info, before);
    size_t len = read_clip(info->size, req->range_off, req->range_len);
    ssize_t n = len > 0 ? file_read_some(fd, req->buf, len, req->range_off) : 0;
    if (n < 0)
        return (int)n;
    err = file_info_get(fd, "", info);
    if (!err && (!file_info_matches(info, before) || (size_t)n != len))
        err = -ESTALE;
    req->got = (size_t)n;
    return err;
}

static int read_once(struct file_store *fs, struct store_req *req)
{
    CLEANUP_PATH struct file_path path = {.dir_fd = -1};
    CLEANUP_CLOSE int fd = -1;
    struct file_info info;
    int err = read_open(fs, req, &path, &info, &fd);

    if (err)
        return err;
    if (info.kind == FILE_SYMLINK)
        err = read_symlink(&path, req);
    else if (fd < 0)
        err = fd;
    else if (info.kind == FILE_REGULAR)
        err = read_file(fd, &info, req);
    if (err)
        return err;
    file_object_result(req, &info);
    file_meta_read(fs, fd, &info, &req->object.meta);
    req->object.has_meta = true;
    return 0;
}

int file_get(struct file_store *fs, struct store_req *req)
{
    int err = -EAGAIN;

    for (int tries = 0; err == -EAGAIN && tries < READ_TRIES; tries++) {
        err = read_once(fs, req);
        /* Without a condition any one version will do; a file written to all the time has none. */
        if (err == -ESTALE && !req->if_match)
            err = -EAGAIN;
    }
    if (err)
        req->got = 0;
    return err;
}
