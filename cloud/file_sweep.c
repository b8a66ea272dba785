/*
 * Our own directory in the bucket. Each open store has a work directory "w-<id>" in it and holds a
 * flock on that for as long as it lives; so whoever opens next can tell the leftovers of a dead
 * process from the files of one at work, also across containers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cloud/file_int.h"

void file_random_id(char hex[static 33])
{
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

static int sweep_open_dir(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? file_errno() : fd;
}

/* Calls fn for each name in the directory; fn may remove it. */
static int sweep_each(int dir_fd, void (*fn)(int dir_fd, const char *name))
{
    int fd = sweep_open_dir(dir_fd, ".");
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir)
        return fd < 0 ? fd : file_errno();
    while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): a DIR of our own
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(dir_fd, entry->d_name);
    }
    (void)closedir(dir);
    return 0;
}

static void sweep_unlink(int dir_fd, const char *name)
{
    (void)unlinkat(dir_fd, name, 0);
}

/* A work directory has files, and uploads that were not finished being made. */
static void sweep_unlink_deep(int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) < 0)
        (void)file_sweep_remove_dir(dir_fd, name);
}

int file_sweep_remove_dir(int dir_fd, const char *name)
{
    CLEANUP_CLOSE int fd = sweep_open_dir(dir_fd, name);

    if (fd < 0)
        return fd;
    int err = sweep_each(fd, sweep_unlink);
    if (!err && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
        err = file_errno();
    return err;
}

static void sweep_leftover(int tmp_fd, const char *name)
{
    CLEANUP_CLOSE int fd = sweep_open_dir(tmp_fd, name);

    if (fd < 0)
        return;
    if (strncmp(name, "w-", 2) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        (void)sweep_each(fd, sweep_unlink_deep);
        (void)unlinkat(tmp_fd, name, AT_REMOVEDIR);
    }
    /* An upload without its info file was completed or aborted; others may be continued yet. */
    if (strncmp(name, "m-", 2) == 0 && faccessat(fd, "info", F_OK, 0) < 0 && errno == ENOENT)
        (void)file_sweep_remove_dir(tmp_fd, name);
}

/* Makes our own work directory; -ENOENT if somebody removed it, or its parent, before we locked it.
 */
static int sweep_make_work(struct file_store *fs)
{
    char id[33];
    struct stat there, opened;

    file_random_id(id);
    (void)snprintf(fs->work_name, sizeof(fs->work_name), "w-%s", id);
    if (mkdirat(fs->tmp_fd, fs->work_name, 0700) < 0)
        return file_errno();
    int fd = sweep_open_dir(fs->tmp_fd, fs->work_name);
    if (fd < 0)
        return fd;
    int err = 0;
    if (flock(fd, LOCK_EX) < 0 || fstat(fd, &opened) < 0 ||
        fstatat(fs->tmp_fd, fs->work_name, &there, AT_SYMLINK_NOFOLLOW) < 0)
        err = file_errno();
    else if (there.st_ino != opened.st_ino)
        err = -ENOENT;
    if (err) {
        (void)close(fd);
        return err;
    }
    fs->work_fd = fd;
    return 0;
}

int file_sweep_open(struct file_store *fs)
{
    int err = -ENOENT;

    for (int tries = 0; err == -ENOENT && tries < 16; tries++) {
        if (mkdirat(fs->root_fd, FILE_TMP_DIR, 0700) < 0 && errno != EEXIST)
            return file_errno();
        fs->tmp_fd = file_path_openat(fs, FILE_TMP_DIR, O_RDONLY | O_DIRECTORY);
        err = fs->tmp_fd < 0 ? fs->tmp_fd : sweep_make_work(fs);
        if (err && fs->tmp_fd >= 0) {
            (void)close(fs->tmp_fd);
            fs->tmp_fd = -1;
        }
    }
    if (err)
        return err;
    return sweep_each(fs->tmp_fd, sweep_leftover);
}

void file_sweep_close(struct file_store *fs)
{
    if (fs->work_fd < 0)
        return;
    (void)sweep_each(fs->work_fd, sweep_unlink_deep);
    (void)unlinkat(fs->tmp_fd, fs->work_name, AT_REMOVEDIR);
    (void)close(fs->work_fd);
    (void)close(fs->tmp_fd);
    (void)unlinkat(fs->root_fd, FILE_TMP_DIR,
                   AT_REMOVEDIR); /* stays if there are uploads or others */
}
