/*
 * The calls that work on files, before libc's: for this program and the shared libraries it uses.
 * Only files of the state directory are looked at: the database (opened by path, pailfs.db*), and
 * the directory stage beside it with what is in there. A table tells by descriptor which is which.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/fault/fault.h"

enum file_kind { FILE_OTHER, FILE_DB, FILE_STAGE };
enum { FILES_MAX = 1 << 16 };

static _Atomic unsigned char kinds[FILES_MAX]; /* enum file_kind, by descriptor */

static enum file_kind file_kind(int fd)
{
    return fd >= 0 && fd < FILES_MAX ? (enum file_kind)atomic_load(&kinds[fd]) : FILE_OTHER;
}

static void *file_real(const char *name, _Atomic(void *) *cache)
{
    void *real = atomic_load(cache);

    if (!real) {
        real = dlsym(RTLD_NEXT, name);
        if (!real)
            abort();
        atomic_store(cache, real);
    }
    return real;
}

#define REAL(name)                                     \
    ({                                                 \
        static _Atomic(void *) cache;                  \
        (__typeof__(&(name)))file_real(#name, &cache); \
    })

static enum file_kind path_kind(int dir, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

    if (file_kind(dir) == FILE_STAGE)
        return FILE_STAGE;
    if (dir == AT_FDCWD)
        return strncmp(base, "pailfs.db", 9) == 0 ? FILE_DB : FILE_OTHER;
    if (strcmp(path, "stage") == 0 && faccessat(dir, "pailfs.db", F_OK, 0) == 0)
        return FILE_STAGE;
    return FILE_OTHER;
}

/* Begins a call: decides, waits, fails it if that is to be. False: errno is set. */
static bool file_begin(enum file_kind kind, int op, const char *name, uint64_t bytes,
                       struct fault_decision *ret)
{
    enum fault_point point = (enum fault_point)((kind == FILE_DB ? FAULT_DB : FAULT_STAGE) + op);

    fault_count_begin(point, bytes, 0);
    *ret = fault_decide(point, name, false);
    if (ret->delay_ns > 0) {
        struct timespec t = {ret->delay_ns / CLOCK_S, ret->delay_ns % CLOCK_S};
        (void)nanosleep(&t, NULL);
    }
    fault_count_end(point);
    if (ret->action != FAULT_ERROR)
        return true;
    errno = -ret->err;
    return false;
}

/* Ends it. */
static ssize_t file_end(const struct fault_decision *d, ssize_t result)
{
    if (d->action == FAULT_KILL_AFTER)
        fault_kill();
    if (result >= 0 && d->err && (d->action == FAULT_LOSE || d->action == FAULT_CUT)) {
        errno = -d->err;
        return -1;
    }
    return result;
}

/* How much of size is to be done. */
static size_t file_cut(const struct fault_decision *d, size_t size)
{
    return d->action == FAULT_CUT && size > 1 ? size / 2 : size;
}

/* ---- opening and closing ---- */

static int file_opened(int fd, enum file_kind kind)
{
    if (fd >= 0 && fd < FILES_MAX)
        atomic_store(&kinds[fd], (unsigned char)kind);
    return fd;
}

typedef int open_fn(int dir, const char *path, int flags, ...);

static int file_open(open_fn *real, int dir, const char *path, int flags, mode_t mode)
{
    enum file_kind kind = path_kind(dir, path);
    struct fault_decision d;

    if (kind == FILE_OTHER)
        return real(dir, path, flags, mode);
    if (!file_begin(kind, FAULT_OPEN, path, 0, &d))
        return -1;
    int fd = file_opened(real(dir, path, flags, mode), kind);
    if (file_end(&d, fd) < 0 && fd >= 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

#define OPEN_MODE(flags)                               \
    ({                                                 \
        mode_t mode_ = 0;                              \
        if ((flags) & (O_CREAT | O_TMPFILE)) {         \
            va_list ap_;                               \
            va_start(ap_, flags);                      \
            mode_ = (mode_t)va_arg(ap_, unsigned int); \
            va_end(ap_);                               \
        }                                              \
        mode_;                                         \
    })

int open(const char *path, int flags, ...)
{
    return file_open(REAL(openat), AT_FDCWD, path, flags, OPEN_MODE(flags));
}

int open64(const char *path, int flags, ...)
{
    return file_open(REAL(openat64), AT_FDCWD, path, flags, OPEN_MODE(flags));
}

int openat(int dir, const char *path, int flags, ...)
{
    return file_open(REAL(openat), dir, path, flags, OPEN_MODE(flags));
}

int openat64(int dir, const char *path, int flags, ...)
{
    return file_open(REAL(openat64), dir, path, flags, OPEN_MODE(flags));
}

int close(int fd)
{
    if (file_kind(fd) != FILE_OTHER)
        atomic_store(&kinds[fd], FILE_OTHER);
    return REAL(close)(fd);
}

/* ---- bytes ---- */

typedef ssize_t pread_fn(int fd, void *buf, size_t size, off64_t off);
typedef ssize_t pwrite_fn(int fd, const void *buf, size_t size, off64_t off);
typedef ssize_t pwritev_fn(int fd, const struct iovec *iov, int count, off64_t off);

static ssize_t file_pread(pread_fn *real, int fd, void *buf, size_t size, off64_t off)
{
    struct fault_decision d;

    if (file_kind(fd) == FILE_OTHER)
        return real(fd, buf, size, off);
    if (!file_begin(file_kind(fd), FAULT_READ, NULL, size, &d))
        return -1;
    return file_end(&d, real(fd, buf, file_cut(&d, size), off));
}

static ssize_t file_pwrite(pwrite_fn *real, int fd, const void *buf, size_t size, off64_t off)
{
    struct fault_decision d;

    if (file_kind(fd) == FILE_OTHER)
        return real(fd, buf, size, off);
    if (!file_begin(file_kind(fd), FAULT_WRITE, NULL, size, &d))
        return -1;
    return file_end(&d, real(fd, buf, file_cut(&d, size), off));
}

static ssize_t file_pwritev(pwritev_fn *real, int fd, const struct iovec *iov, int count,
                            off64_t off)
{
    struct fault_decision d;
    size_t size = 0;

    if (file_kind(fd) == FILE_OTHER)
        return real(fd, iov, count, off);
    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    if (!file_begin(file_kind(fd), FAULT_WRITE, NULL, size, &d))
        return -1;
    if (d.action != FAULT_CUT)
        return file_end(&d, real(fd, iov, count, off));
    struct iovec part = {iov[0].iov_base, file_cut(&d, iov[0].iov_len)};
    return file_end(&d, real(fd, &part, 1, off));
}

ssize_t pread(int fd, void *buf, size_t size, off_t off)
{
    return file_pread(REAL(pread64), fd, buf, size, off);
}

ssize_t pread64(int fd, void *buf, size_t size, off64_t off)
{
    return file_pread(REAL(pread64), fd, buf, size, off);
}

ssize_t pwrite(int fd, const void *buf, size_t size, off_t off)
{
    return file_pwrite(REAL(pwrite64), fd, buf, size, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t size, off64_t off)
{
    return file_pwrite(REAL(pwrite64), fd, buf, size, off);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t off)
{
    return file_pwritev(REAL(pwritev64), fd, iov, count, off);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t off)
{
    return file_pwritev(REAL(pwritev64), fd, iov, count, off);
}

/* ---- the rest ---- */

/* One call that has no bytes: CALL is carried out unless it is to fail. */
#define FILE_CALL(kind, op, name, call)                                 \
    ({                                                                  \
        struct fault_decision d_;                                       \
        (kind) == FILE_OTHER                 ? (call)                   \
        : file_begin(kind, op, name, 0, &d_) ? (int)file_end(&d_, call) \
                                             : -1;                      \
    })

int fsync(int fd)
{
    return FILE_CALL(file_kind(fd), FAULT_SYNC, NULL, REAL(fsync)(fd));
}

int fdatasync(int fd)
{
    return FILE_CALL(file_kind(fd), FAULT_SYNC, NULL, REAL(fdatasync)(fd));
}

int ftruncate(int fd, off_t size)
{
    return FILE_CALL(file_kind(fd), FAULT_TRUNCATE, NULL, REAL(ftruncate64)(fd, size));
}

int ftruncate64(int fd, off64_t size)
{
    return FILE_CALL(file_kind(fd), FAULT_TRUNCATE, NULL, REAL(ftruncate64)(fd, size));
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
    return FILE_CALL(file_kind(fd), FAULT_ALLOCATE, NULL, REAL(fallocate64)(fd, mode, off, len));
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
    return FILE_CALL(file_kind(fd), FAULT_ALLOCATE, NULL, REAL(fallocate64)(fd, mode, off, len));
}

int unlink(const char *path)
{
    return FILE_CALL(path_kind(AT_FDCWD, path), FAULT_UNLINK, path, REAL(unlink)(path));
}

int unlinkat(int dir, const char *path, int flags)
{
    return FILE_CALL(path_kind(dir, path), FAULT_UNLINK, path, REAL(unlinkat)(dir, path, flags));
}
