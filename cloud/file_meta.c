/*
 * Metadata of objects: in xattrs "user.pailfs.<name>", and in the file's own mode, owner and group.
 *
 * file-permissions, file-owner, file-group and file-atime are applied to the file itself. Where
 * that worked, no xattr is written and lstat tells them back, so that they stay true when somebody
 * changes them with chmod or chown. An xattr keeps what could not be applied (chown without
 * privilege, odd spellings). A gateway without privilege keeps the owner's own access bits on, or
 * it could not use the file any more; then the xattr has the mode that was asked for, valid while
 * the real one is what we made it.
 *
 * file-mtime is in an xattr only, as "<value>@<real mtime, hex>": it holds until somebody modifies
 * the file, after which the real mtime is the truth. The real mtime itself is part of the ETag.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/file_int.h"

#define META_PREFIX "user.pailfs."
enum {
    META_PREFIX_LEN = sizeof(META_PREFIX) - 1,
    META_LIST_MAX = 65536, /* XATTR_LIST_MAX of Linux */
    META_VALUE_MAX = 4096,
};
#define META_PERMISSIONS "file-permissions"
#define META_OWNER "file-owner"
#define META_GROUP "file-group"
#define META_MTIME "file-mtime"
#define META_ATIME "file-atime"

int file_meta_parse_mode(const char *text, mode_t *ret)
{
    unsigned long mode = 0;
    size_t len = strlen(text);

    if (len == 0 || len > 7 || strspn(text, "01234567") != len)
        return -EINVAL;
    for (; *text; text++)
        mode = mode * 8 + (unsigned long)(*text - '0');
    *ret = (mode_t)mode;
    return 0;
}

mode_t file_meta_type(const struct store_meta *meta)
{
    const char *text = meta ? store_meta_get(meta, META_PERMISSIONS) : NULL;
    mode_t mode;

    return text && !file_meta_parse_mode(text, &mode) ? mode & S_IFMT : 0;
}

static int meta_parse_id(const char *text, uint32_t *ret)
{
    unsigned long long id = 0;
    size_t len = text ? strlen(text) : 0;

    if (len == 0 || len > 10 || strspn(text, "0123456789") != len)
        return -EINVAL;
    for (; *text; text++)
        id = id * 10 + (unsigned long long)(*text - '0');
    if (id >= UINT32_MAX) /* (uid_t)-1 means "leave it" */
        return -EINVAL;
    *ret = (uint32_t)id;
    return 0;
}

/* "<digits>ns", the way file-mtime and file-atime are written. */
static int meta_parse_time(const char *text, struct timespec *ret)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;

    if (digits == 0 || digits > 19 || strcmp(text + digits, "ns") != 0)
        return -EINVAL;
    unsigned long long ns = strtoull(text, NULL, 10);
    if (ns > INT64_MAX)
        return -EINVAL;
    *ret = (struct timespec){.tv_sec = (time_t)(ns / CLOCK_S), .tv_nsec = (long)(ns % CLOCK_S)};
    return 0;
}

int file_meta_check(const struct store_meta *meta)
{
    size_t total = 0;

    for (size_t i = 0; meta && i < meta->count; i++) {
        size_t len = strlen(meta->pairs[i].name);
        if (len == 0 || len > FILE_NAME_MAX - META_PREFIX_LEN)
            return -EINVAL;
        total += len + strlen(meta->pairs[i].value);
    }
    return total > FILE_META_MAX ? -EINVAL : 0;
}

int file_meta_probe(int dir_fd)
{
    if (fsetxattr(dir_fd, META_PREFIX "probe", "1", 1, 0) < 0)
        return file_errno();
    return fremovexattr(dir_fd, META_PREFIX "probe") < 0 ? file_errno() : 0;
}

/* Names of all xattrs, each with its NUL; the caller frees. file_errno(). */
static ssize_t meta_list_names(int fd, char **ret)
{
    char small[1024];
    ssize_t len = flistxattr(fd, small, sizeof(small));

    if (len >= 0) {
        *ret = mem_dup(small, (size_t)len);
        return len;
    }
    if (errno != ERANGE)
        return file_errno();
    char *names = mem_alloc(META_LIST_MAX);
    len = flistxattr(fd, names, META_LIST_MAX);
    if (len < 0) {
        int err = file_errno();
        free(names);
        return err;
    }
    *ret = names;
    return len;
}

/* What file-permissions a file with this mode was given, if its xattr is to be believed. */
static mode_t meta_mode_applied(const struct file_store *fs, mode_t mode, enum file_kind kind)
{
    mode_t own = kind == FILE_DIRECTORY ? 0700 : 0600;

    return (mode & 07777) | (fs->superuser ? 0 : own);
}

/* An xattr that was found, unless lstat by now knows better. */
static void meta_take(const struct file_store *fs, const struct file_info *info, const char *name,
                      char *value, struct store_meta *ret)
{
    mode_t mode;

    if (strcmp(name, META_PERMISSIONS) == 0 && !file_meta_parse_mode(value, &mode) &&
        meta_mode_applied(fs, mode, info->kind) != (info->mode & 07777))
        return;
    if (strcmp(name, META_MTIME) == 0) {
        char *at = strrchr(value, '@'), *end;
        if (!at)
            return;
        *at = '\0';
        uint64_t stamp = strtoull(at + 1, &end, 16);
        if (*end || stamp != (uint64_t)info->mtime_ns)
            return;
    }
    store_meta_set(ret, name, value);
}

/* file-permissions and so on as lstat has them, into text[]. */
static void meta_synthesize(const struct file_info *info, struct store_meta *ret)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%07o", info->mode);
    store_meta_set(ret, META_PERMISSIONS, text);
    (void)snprintf(text, sizeof(text), "%" PRIu32, info->uid);
    store_meta_set(ret, META_OWNER, text);
    (void)snprintf(text, sizeof(text), "%" PRIu32, info->gid);
    store_meta_set(ret, META_GROUP, text);
    (void)snprintf(text, sizeof(text), "%" PRId64 "ns", info->mtime_ns);
    store_meta_set(ret, META_MTIME, text);
    (void)snprintf(text, sizeof(text), "%" PRId64 "ns", info->atime_ns);
    store_meta_set(ret, META_ATIME, text);
}

void file_meta_read(struct file_store *fs, int fd, const struct file_info *info,
                    struct store_meta *ret)
{
    char value[META_VALUE_MAX + 1];
    CLEANUP_FREE char *names = NULL;

    meta_synthesize(info, ret);
    ssize_t len = fd >= 0 ? meta_list_names(fd, &names) : 0;
    for (ssize_t at = 0; names && at < len; at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;
        if (strncmp(name, META_PREFIX, META_PREFIX_LEN) != 0)
            continue;
        ssize_t n = fgetxattr(fd, name, value, META_VALUE_MAX);
        if (n < 0)
            continue;
        value[n] = '\0';
        meta_take(fs, info, name + META_PREFIX_LEN, value, ret);
    }
}

/* Best effort: owner and group first (chown clears setuid bits), then the mode. */
static void meta_apply(struct file_store *fs, int fd, const struct file_info *info,
                       const struct store_meta *meta)
{
    const char *text = store_meta_get(meta, META_PERMISSIONS);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    uint32_t uid = info->uid, gid = info->gid;
    mode_t mode = info->mode;

    (void)meta_parse_id(store_meta_get(meta, META_OWNER), &uid);
    (void)meta_parse_id(store_meta_get(meta, META_GROUP), &gid);
    if ((uid != info->uid || gid != info->gid) && fchown(fd, uid, gid) < 0 && gid != info->gid &&
        fchown(fd, (uid_t)-1, gid) < 0)
        errno = 0; /* no privilege: the xattr will have it */
    if (text && file_meta_parse_mode(text, &mode))
        mode = info->mode;
    mode = text ? meta_mode_applied(fs, mode, info->kind) : (mode & 07777);
    if (!fs->superuser)
        mode |= info->kind == FILE_DIRECTORY ? 0700 : 0600; /* xattrs need write permission */
    if (fchmod(fd, mode) < 0)
        errno = 0; /* the same */
    if (meta_parse_time(store_meta_get(meta, META_ATIME), &times[0]) == 0 &&
        futimens(fd, times) < 0)
        errno = 0; /* the same */
}

static int meta_set(int fd, const char *name, const char *value)
{
    char full[FILE_NAME_MAX + 1];

    (void)snprintf(full, sizeof(full), META_PREFIX "%s", name);
    if (fsetxattr(fd, full, value, strlen(value), 0) == 0)
        return 0;
    if (errno == E2BIG || errno == ERANGE)
        return -EINVAL;
    return file_errno();
}

/* Removes our xattrs that meta does not have, or that lstat already tells as meta does. */
static int meta_prune(int fd, const struct store_meta *meta, const struct store_meta *real)
{
    CLEANUP_FREE char *names = NULL;
    ssize_t len = meta_list_names(fd, &names);

    for (ssize_t at = 0; names && at < len; at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;
        if (strncmp(name, META_PREFIX, META_PREFIX_LEN) != 0)
            continue;
        const char *want = store_meta_get(meta, name + META_PREFIX_LEN);
        const char *have = store_meta_get(real, name + META_PREFIX_LEN);
        if ((!want || (have && strcmp(have, want) == 0)) && fremovexattr(fd, name) < 0 &&
            errno != ENODATA)
            return file_errno();
    }
    return len < 0 ? (int)len : 0;
}

int file_meta_write(struct file_store *fs, int fd, const struct store_meta *meta)
{
    struct store_meta real = {0};
    struct file_info info;
    char stamped[META_VALUE_MAX];
    int err = file_info_get(fd, "", &info);

    if (err)
        return err;
    meta_apply(fs, fd, &info, meta);
    err = file_info_get(fd, "", &info);
    if (err)
        return err;
    meta_synthesize(&info, &real);
    err = meta_prune(fd, meta, &real);
    for (size_t i = 0; !err && i < meta->count; i++) {
        const char *name = meta->pairs[i].name, *value = meta->pairs[i].value;
        const char *have = store_meta_get(&real, name);
        if (have && strcmp(have, value) == 0)
            continue;
        if (strcmp(name, META_MTIME) == 0) {
            (void)snprintf(stamped, sizeof(stamped), "%s@%" PRIx64, value, (uint64_t)info.mtime_ns);
            value = stamped;
        }
        err = meta_set(fd, name, value);
    }
    store_meta_clear(&real);
    return err;
}

void file_meta_write_symlink(int dir_fd, const char *name, const struct store_meta *meta)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    uint32_t uid = (uint32_t)-1, gid = (uint32_t)-1;

    (void)meta_parse_id(store_meta_get(meta, META_OWNER), &uid);
    (void)meta_parse_id(store_meta_get(meta, META_GROUP), &gid);
    if (fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
        fchownat(dir_fd, name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
        errno = 0; /* no privilege: there is no other place for it */
    (void)meta_parse_time(store_meta_get(meta, META_ATIME), &times[0]);
    (void)meta_parse_time(store_meta_get(meta, META_MTIME), &times[1]);
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        errno = 0;
}
