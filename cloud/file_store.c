/*
 * The file:// store: opening it, what it can do, and which function runs which request. See
 * file_int.h for the layout of the directory and the locks.
 */
#include "cloud/file_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/file_int.h"
#include "cloud/uri.h"

enum { FILE_PARTS_MAX = 10000, FILE_DELETE_MAX = 1000, FILE_PART_MIN = 64 << 10 };
#define FILE_PUT_MAX (UINT64_C(5) << 30)
#define FILE_OBJECT_MAX (UINT64_C(8) << 40) /* what ext4 (16 TiB) and all larger ones can hold */

int file_err(int err)
{
    switch (-err) {
    case 0:
    case ENOENT:
    case ESTALE:
    case EAGAIN:
    case EACCES:
    case EFBIG:
    case ENAMETOOLONG:
    case EINVAL:
    case ENOTSUP:
    case ENOSPC:
    case EROFS:
    case EIO:
        return err;
    case EINTR:
    case EBUSY:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ETIMEDOUT:
        return -EAGAIN;
    case EPERM:
        return -EACCES;
    case EDQUOT:
        return -ENOSPC;
    case ENOSYS:
    case EXDEV:
        return -ENOTSUP;
    case EISDIR:
    case ENOTDIR:
    case EEXIST:
    case ELOOP:
        return -EINVAL;
    default:
        return -EIO;
    }
}

static int file_dispatch(struct file_store *fs, struct store_req *req)
{
    switch (req->op) {
    case STORE_HEAD:
        return file_head(fs, req);
    case STORE_LIST:
        return file_list(fs, req);
    case STORE_GET:
        return file_get(fs, req);
    default:
        break;
    }
    if (!fs->writable)
        return file_fail(req, -EROFS, "the directory is not writable");
    switch (req->op) {
    case STORE_PUT:
        return file_put(fs, req);
    case STORE_COPY:
        return file_copy(fs, req);
    case STORE_DELETE:
        return file_delete(fs, req);
    case STORE_MPU_BEGIN:
        return file_mpu_begin(fs, req);
    case STORE_MPU_PART:
        return file_mpu_part(fs, req);
    case STORE_MPU_COPY:
        return file_mpu_copy(fs, req);
    case STORE_MPU_COMPLETE:
        return file_mpu_complete(fs, req);
    case STORE_MPU_ABORT:
        return file_mpu_abort(fs, req);
    default:
        return -ENOTSUP;
    }
}

int file_run(struct file_store *fs, struct store_req *req)
{
    int err = file_dispatch(fs, req);

    if (err && err != -ENOENT && err != -ESTALE && !req->error_text[0])
        (void)file_fail(req, err, "%s", strerrordesc_np(-err));
    return file_err(err);
}

static struct file_store *file_of(struct store *store)
{
    return (struct file_store *)(void *)store; /* base is its first member */
}

static void file_submit(struct store *store, struct store_req *req)
{
    file_pool_submit(file_of(store), req);
}

static void file_caps(struct store *store, struct store_caps *ret)
{
    *ret = (struct store_caps){
        .list_sorted = true,
        .list_meta = true,
        .cond_put = true,
        .cond_copy = true,
        .cond_delete = true,
        .part_copy = true,
        .meta_patch = true,
        .real_dirs = true,
        .one_kind = true,
        .delete_max = FILE_DELETE_MAX,
        .part_min = FILE_PART_MIN,
        .part_max = FILE_PUT_MAX,
        .part_count_max = FILE_PARTS_MAX,
        .put_max = FILE_PUT_MAX,
        .copy_size_max = FILE_OBJECT_MAX,
        .object_max = FILE_OBJECT_MAX,
        .writable = file_of(store)->writable,
    };
}

static void file_space(struct store *store, uint64_t *ret_total, uint64_t *ret_free)
{
    struct statvfs vfs;

    *ret_total = *ret_free = 0;
    if (fstatvfs(file_of(store)->root_fd, &vfs) < 0)
        return;
    *ret_total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    *ret_free = (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* Also of one that was not opened to the end. */
static void file_free(struct file_store *fs)
{
    file_sweep_close(fs);
    if (fs->root_fd >= 0)
        (void)close(fs->root_fd);
    file_cursors_done(&fs->cursors);
    for (size_t i = 0; i < FILE_KEY_LOCKS; i++)
        (void)pthread_mutex_destroy(&fs->key_locks[i]);
    free(fs->base.url);
    free(fs);
}

static void file_close(struct store *store)
{
    file_pool_stop(file_of(store));
    file_free(file_of(store));
}

static const struct store_ops file_ops = {
    .submit = file_submit,
    .caps = file_caps,
    .space = file_space,
    .close = file_close,
};

__attribute__((format(printf, 3, 4))) static int open_fail(struct store_error *reterr, int err,
                                                           const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(reterr->text, sizeof(reterr->text), fmt, ap);
    va_end(ap);
    return err;
}

/* The path a URL names, without symlinks in it; the caller frees. */
static int open_path(const char *url, char **ret, struct store_error *reterr)
{
    const char *rest = url;

    if (strncasecmp(url, "file://", 7) != 0)
        return open_fail(reterr, -EINVAL, "%.300s: this is not a file:// URL", url);
    rest += 7;
    if (strncasecmp(rest, "localhost/", 10) == 0)
        rest += 9;
    if (rest[0] != '/')
        return open_fail(reterr, -EINVAL,
                         "%.300s: a file:// URL needs an absolute path, as in file:///srv/bucket",
                         url);
    CLEANUP_FREE char *path = mem_strdup(rest);
    if (!uri_decode(path, /* plus= */ false))
        return open_fail(reterr, -EINVAL,
                         "%.300s: a %% in a URL must be followed by two hexadecimal digits", url);
    *ret = realpath(path, NULL);
    if (*ret)
        return 0;
    int err = file_errno();
    if (err == -ENOENT)
        return open_fail(reterr, err, "%.300s: the directory %.150s does not exist", url, path);
    if (err == -ENOTDIR)
        return open_fail(reterr, err, "%.300s: %.150s is not a directory", url, path);
    return open_fail(reterr, err, "%.300s: cannot open %.100s: %s", url, path,
                     strerrordesc_np(-err));
}

static char *open_normal_url(const char *path)
{
    CLEANUP_FREE char *encoded = uri_encode(path, /* keep_slash= */ true);

    return mem_printf("file://%s", encoded);
}

static int open_root(struct file_store *fs, const char *url, const char *path,
                     struct store_error *reterr)
{
    fs->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs->root_fd < 0 && errno == ENOTDIR)
        return open_fail(reterr, -ENOTDIR, "%.300s: %.150s is not a directory", url, path);
    if (fs->root_fd < 0 || faccessat(fs->root_fd, ".", X_OK, AT_EACCESS) < 0)
        return open_fail(reterr, file_errno(), "%.300s: cannot open %.100s: %s", url, path,
                         strerrordesc_np(errno));
    CLEANUP_CLOSE int probe = file_path_openat(fs, "", O_RDONLY | O_DIRECTORY);
    if (probe < 0)
        return open_fail(reterr, probe,
                         "%.300s: this system does not offer openat2 (%s); file:// needs Linux 5.6 "
                         "and a sandbox that allows it",
                         url, strerrordesc_np(-probe));
    return 0;
}

/* Makes our own directory in the bucket, if we may write there at all. */
static int open_for_writing(struct file_store *fs, const char *url, const char *path,
                            struct store_error *reterr)
{
    if (faccessat(fs->root_fd, ".", W_OK, AT_EACCESS) < 0)
        return 0;
    int err = file_sweep_open(fs);
    if (err == -EROFS)
        return 0;
    if (err)
        return open_fail(reterr, err, "%.300s: cannot use %.100s/" FILE_TMP_DIR ": %s", url, path,
                         strerrordesc_np(-err));
    err = file_meta_probe(fs->work_fd);
    if (err)
        return open_fail(reterr, err,
                         "%.300s: the file system of %.100s does not keep user extended attributes "
                         "(%s), which file:// needs for writing; serve it read-only or move it",
                         url, path, strerrordesc_np(-err));
    fs->writable = true;
    return 0;
}

int file_store_open(const char *url, const struct store_config *config, struct store **ret,
                    struct store_error *reterr)
{
    CLEANUP_FREE char *path = NULL;
    int err = open_path(url, &path, reterr);

    if (err)
        return file_err(err);
    struct file_store *fs = mem_zalloc(sizeof(*fs));
    fs->root_fd = fs->tmp_fd = fs->work_fd = -1;
    fs->superuser = geteuid() == 0;
    for (size_t i = 0; i < FILE_KEY_LOCKS; i++)
        (void)pthread_mutex_init(&fs->key_locks[i], NULL);
    file_cursors_init(&fs->cursors);
    fs->base = (struct store){.ops = &file_ops, .url = open_normal_url(path)};
    err = open_root(fs, url, path, reterr);
    if (!err && !config->read_only)
        err = open_for_writing(fs, url, path, reterr);
    if (!err) {
        unsigned threads = config->connections ? config->connections : FILE_THREADS;
        err = file_pool_start(fs, threads < FILE_THREADS_MAX ? threads : FILE_THREADS_MAX);
        if (err)
            (void)open_fail(reterr, err, "%.300s: cannot start threads", url);
    }
    if (err) {
        file_free(fs);
        return file_err(err);
    }
    *ret = &fs->base;
    return 0;
}
