/*
 * What lstat says, and the ETags made from it.
 *
 * A file's ETag is its inode number, mtime and size: it changes when the file is replaced or
 * written to, and not when its mode, owner or metadata change. Directories (whose mtime moves with
 * every child) and symlinks (whose content cannot change) have inode number and time of birth
 * instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cloud/file_int.h"

static int64_t info_time(const struct statx_timestamp *t)
{
    if (t->tv_sec >= INT64_MAX / CLOCK_S || t->tv_sec <= INT64_MIN / CLOCK_S)
        return t->tv_sec > 0 ? INT64_MAX : INT64_MIN; /* beyond the years 1677 to 2262 */
    return t->tv_sec * CLOCK_S + t->tv_nsec;
}

int file_info_get(int dir_fd, const char *name, struct file_info *ret)
{
    struct statx stx;
    int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);

    if (statx(dir_fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
        return errno == ENOTDIR || errno == ELOOP ? -ENOENT : file_errno();
    *ret = (struct file_info){
        .kind = S_ISREG(stx.stx_mode)   ? FILE_REGULAR
                : S_ISDIR(stx.stx_mode) ? FILE_DIRECTORY
                                        : FILE_SYMLINK,
        .mode = stx.stx_mode,
        .uid = stx.stx_uid,
        .gid = stx.stx_gid,
        .ino = stx.stx_ino,
        .size = S_ISDIR(stx.stx_mode) ? 0 : stx.stx_size,
        .mtime_ns = info_time(&stx.stx_mtime),
        .atime_ns = info_time(&stx.stx_atime),
        .btime_ns = stx.stx_mask & STATX_BTIME ? info_time(&stx.stx_btime) : 0,
    };
    if (ret->kind == FILE_SYMLINK && !S_ISLNK(stx.stx_mode))
        return -ENOENT;
    return 0;
}

int file_info_of_path(const struct file_path *path, struct file_info *ret)
{
    int err = file_info_get(path->dir_fd, path->name, ret);

    if (!err && (ret->kind == FILE_DIRECTORY) != path->is_dir)
        return -ENOENT;
    return err;
}

void file_info_etag(const struct file_info *info, char etag[static STORE_ETAG_MAX])
{
    if (info->kind == FILE_REGULAR)
        (void)snprintf(etag, STORE_ETAG_MAX, "%" PRIx64 "-%" PRIx64 "-%" PRIx64, info->ino,
                       (uint64_t)info->mtime_ns, info->size);
    else
        (void)snprintf(etag, STORE_ETAG_MAX, "%c%" PRIx64 "-%" PRIx64 "-%" PRIx64,
                       info->kind == FILE_DIRECTORY ? 'd' : 'l', info->ino,
                       (uint64_t)info->btime_ns, info->size);
}

bool file_info_matches(const struct file_info *info, const char *if_match)
{
    char etag[STORE_ETAG_MAX];

    if (!if_match)
        return true;
    file_info_etag(info, etag);
    return strcmp(etag, if_match) == 0;
}

int file_info_open(int dir_fd, const char *name, struct file_info *info)
{
    struct file_info now = {0};
    /* What was a file at lstat may be a fifo by now: O_NONBLOCK does not wait for its writer. */
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

    if (info->kind == FILE_DIRECTORY)
        flags |= O_DIRECTORY;
    /* atime is metadata here, not a record of our own reads; only the owner may ask for that. */
    int fd = openat(dir_fd, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, name, flags);
    if (fd < 0)
        return errno == ELOOP || errno == ENOTDIR || errno == ENXIO ? -EAGAIN : file_errno();
    int err = file_info_get(fd, "", &now);
    if (err == -ENOENT || (!err && now.kind != info->kind))
        err = -EAGAIN;
    if (err) {
        (void)close(fd);
        return err;
    }
    *info = now;
    return fd;
}

int64_t file_stamp_next(struct file_store *fs)
{
    int64_t now = clock_wall_ns(), last = atomic_load(&fs->stamp_last), next;

    do {
        next = now > last ? now : last + 1;
    } while (!atomic_compare_exchange_weak(&fs->stamp_last, &last, next));
    return next;
}

int file_stamp_set(int fd, int64_t stamp_ns)
{
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(stamp_ns / CLOCK_S), .tv_nsec = (long)(stamp_ns % CLOCK_S)},
    };

    return futimens(fd, times) < 0 ? file_errno() : 0;
}
