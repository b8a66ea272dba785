/* The state directory: made when missing, and held by one process at a time through its lock file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "db/internal.h"

static int dir_fail(struct db_error *reterr, const char *state_dir, int err, const char *doing)
{
    const char *hint = "";

    if (err == EROFS)
        hint = "; it must be on a disk that can be written";
    else if (err == EACCES || err == EPERM)
        hint = "; it must belong to the user pailfs runs as";
    else if (err == ENOSPC || err == EDQUOT)
        hint = "; free some space there";
    return db_fail(reterr, -err, "state directory %s: %s: %s%s", state_dir, doing,
                   strerrordesc_np(err), hint);
}

/* Makes the entries of path's directory durable. */
static int parent_sync(char *path)
{
    char *slash = strrchr(path, '/');
    CLEANUP_CLOSE int fd = -1;

    if (slash && slash != path) {
        *slash = '\0';
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *slash = '/';
    } else {
        fd = open(slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd < 0 || fsync(fd) ? -errno : 0;
}

static int make_one(char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return parent_sync(path);
    int err = errno;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    return -err;
}

int db_dir_make(const char *state_dir, struct db_error *reterr)
{
    CLEANUP_FREE char *path = mem_strdup(state_dir);
    int err = 0;

    if (path[0] == '\0')
        return db_fail(reterr, -EINVAL, "the state directory has no name");
    for (char *p = path + 1; err == 0 && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        err = make_one(path);
        *p = '/';
    }
    if (err == 0)
        err = make_one(path);
    return err ? dir_fail(reterr, state_dir, -err, "cannot be made") : 0;
}

int db_lock_take(const char *state_dir, int *ret_fd, struct db_error *reterr)
{
    CLEANUP_FREE char *path = mem_printf("%s/lock", state_dir);
    char pid[24] = "";

    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return dir_fail(reterr, state_dir, errno, "cannot open its lock file");
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK)
            return dir_fail(reterr, state_dir, errno, "cannot lock its lock file");
        if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
            pid[0] = '\0';
        pid[strspn(pid, "0123456789")] = '\0';
        return db_fail(reterr, -EBUSY,
                       "state directory %s is in use by another pailfs (process %s)", state_dir,
                       pid[0] ? pid : "unknown");
    }
    int n = snprintf(pid, sizeof(pid), "%jd\n", (intmax_t)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
        return dir_fail(reterr, state_dir, errno ? errno : ENOSPC, "cannot write its lock file");
    *ret_fd = fd;
    fd = -1;
    return 0;
}
