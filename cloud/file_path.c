/*
 * From keys to open directories. A key is only ever resolved by openat2 with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS from the root directory; its last name is then used relative to that open
 * parent, without following it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "cloud/file_int.h"

/* One name of a key, without slashes. */
static int path_check_name(const char *name, size_t len)
{
    if (len == 0 || (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
        return -EINVAL;
    return len > FILE_NAME_MAX ? -ENAMETOOLONG : 0;
}

int file_path_check(const char *key)
{
    size_t own = strlen(FILE_TMP_DIR);

    if (strlen(key) > STORE_KEY_MAX)
        return -ENAMETOOLONG;
    if (strncmp(key, FILE_TMP_DIR, own) == 0 && (key[own] == '\0' || key[own] == '/'))
        return -EINVAL;
    do {
        size_t len = strcspn(key, "/");
        int err = path_check_name(key, len);
        if (err)
            return err;
        key += len;
        if (*key == '/')
            key++;
        else
            break;
    } while (*key);
    return 0;
}

int file_path_openat(struct file_store *fs, const char *rel, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, fs->root_fd, rel[0] ? rel : ".", &how, sizeof(how));

    return fd < 0 ? file_errno() : (int)fd;
}

void file_path_split(const char *key, struct file_path *ret, char parent[static STORE_KEY_MAX + 1])
{
    size_t len = strlen(key), start;

    ret->dir_fd = -1;
    ret->dir_owned = false;
    ret->is_dir = key[len - 1] == '/';
    if (ret->is_dir)
        len--;
    for (start = len; start > 0 && key[start - 1] != '/'; start--)
        ;
    memcpy(ret->name, key + start, len - start);
    ret->name[len - start] = '\0';
    size_t parent_len = start > 0 ? start - 1 : 0;
    memcpy(parent, key, parent_len);
    parent[parent_len] = '\0';
}

/* Opens parent for ret. */
static int path_open_parent(struct file_store *fs, const char *parent, int flags,
                            struct file_path *ret)
{
    if (!parent[0]) {
        ret->dir_fd = fs->root_fd;
        return 0;
    }
    int fd = file_path_openat(fs, parent, flags | O_DIRECTORY);
    if (fd < 0)
        return fd;
    ret->dir_fd = fd;
    ret->dir_owned = true;
    return 0;
}

int file_path_open(struct file_store *fs, const char *key, struct file_path *ret)
{
    char parent[STORE_KEY_MAX + 1];

    *ret = (struct file_path){.dir_fd = -1};
    if (file_path_check(key))
        return -ENOENT;
    file_path_split(key, ret, parent);
    int err = path_open_parent(fs, parent, O_PATH, ret);
    return err == -ELOOP || err == -ENOTDIR || err == -EXDEV ? -ENOENT : err;
}

int file_mkdir_durably(struct file_store *fs, int dir_fd, const char *name, mode_t mode)
{
    int err = 0;

    (void)atomic_fetch_add(&fs->mkdirs_unsynced, 1);
    if (mkdirat(dir_fd, name, mode) < 0 || fsync(dir_fd) < 0)
        err = file_errno();
    (void)atomic_fetch_sub(&fs->mkdirs_unsynced, 1);
    return err;
}

/*
 * Calls for every ancestor of a file in parent, from the root down: with make, creates what is
 * missing; without, fsyncs each directory.
 */
static int path_walk(struct file_store *fs, char *parent, bool make)
{
    int err = 0;

    for (char *at = parent; !err; at++) {
        size_t len = strcspn(at, "/");
        char *before = at > parent ? at - 1 : NULL;
        if (before)
            *before = '\0';
        CLEANUP_CLOSE int dir = file_path_openat(fs, before ? parent : "", O_RDONLY | O_DIRECTORY);
        if (before)
            *before = '/';
        if (dir < 0)
            return dir;
        char end = at[len];
        at[len] = '\0';
        if (!make)
            err = fsync(dir) < 0 ? file_errno() : 0;
        else
            err = file_mkdir_durably(fs, dir, at, 0777);
        at[len] = end;
        if (err == -EEXIST)
            err = 0;
        at += len;
        if (!*at)
            break;
    }
    return err;
}

int file_path_make(struct file_store *fs, const char *key, struct file_path *ret)
{
    char parent[STORE_KEY_MAX + 1];

    *ret = (struct file_path){.dir_fd = -1};
    int err = file_path_check(key);
    if (err)
        return err;
    file_path_split(key, ret, parent);
    err = path_open_parent(fs, parent, O_RDONLY, ret);
    /* A parent may be removed again by a DELETE of the directory between making and opening it. */
    for (int tries = 0; err == -ENOENT && tries < 8; tries++) {
        err = path_walk(fs, parent, /* make= */ true);
        if (err == -ENOENT)
            continue;
        if (!err)
            err = path_open_parent(fs, parent, O_RDONLY, ret);
    }
    /* Another thread may have made a parent just now and not be done syncing it: do it ourselves,
     * or our file could be acknowledged and then lost with its directory. */
    if (!err && parent[0] && atomic_load(&fs->mkdirs_unsynced) > 0)
        err = path_walk(fs, parent, /* make= */ false);
    return err;
}

void file_path_done(struct file_path *path)
{
    if (path->dir_owned)
        (void)close(path->dir_fd);
}
