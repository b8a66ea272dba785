/*
 * Power losses. Everything that a program changes in its state directory is written down, with what
 * was there before, until it is synced; after a kill, tests/fault/powerloss.py takes back what was
 * not. The calls are those that work on files, before libc's: for this program and for the shared
 * libraries it uses (SQLite).
 *
 *     PAILFS_POWERLOSS=DIR        where to write it down: on the same file system, not in the state
 *     PAILFS_POWERLOSS_STATE=DIR  the state directory
 *     PAILFS_POWERLOSS_NOSYNC=S   leave out syncs of paths that have S in them: shows that the test
 *                                 can fail. "" leaves out all.
 *
 * As strict as a file system may be: the bytes and the size of a file are on the disk after fsync
 * or fdatasync of it, a name is there or gone after fsync of its directory, and sync_file_range is
 * nothing. Real syncs are not made: the kernel does not go down, and they would only take time.
 *
 * One lock around each call and its record, so that records are in the order of the calls. It is
 * held over writes: this is a test.
 */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */
#undef _FORTIFY_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS_MAX = 1 << 16 };

/* The log: records of this head, then the path or the bytes. powerloss.py reads it. */
enum record_kind {
    RECORD_OPEN = 1, /* file is path; it was there */
    RECORD_CREATE,   /* file is path; it is new */
    RECORD_WRITE,    /* what was at off, as much as there was; size: of the file before; len: of
                        what is written */
    RECORD_TRUNCATE, /* off: the new size; what was behind it; size: of the file before */
    RECORD_SYNC,     /* file */
    RECORD_UNLINK,   /* path, kept as a link named by off beside the log */
    RECORD_RENAME, /* two paths with a NUL between; the target is kept as off, 0 = there was none */
    RECORD_MKDIR,  /* path */
    RECORD_RMDIR,  /* path */
    RECORD_SYNC_DIR, /* path */
};

struct record {
    uint32_t magic, kind;
    uint64_t file, off, size, len;
    uint64_t bytes; /* that follow */
};
enum { RECORD_MAGIC = 0x4c525750 };

struct open_file {
    uint64_t file; /* 0: not ours */
    bool is_dir, dsync;
    char *path; /* as it was opened */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct open_file files[FDS_MAX]; /* by descriptor */
static _Atomic unsigned char ours[FDS_MAX];
static int log_fd = -1;
static uint64_t kept; /* links made */
static char state_dir[PATH_MAX], side_dir[PATH_MAX];
static const char *nosync;

/* Files are known by what the kernel knows them by, as long as they have a name. */
struct known {
    struct known *next;
    dev_t dev;
    ino_t ino;
    uint64_t file;
};
static struct known *all_known;
static uint64_t last_file;

static void *real_find(const char *name, _Atomic(void *) *cache)
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
        (__typeof__(&(name)))real_find(#name, &cache); \
    })

static void die(const char *what)
{
    (void)dprintf(2, "powerloss: %s: %s\n", what, strerrordesc_np(errno));
    abort();
}

/* --- the log --- */

static void log_put(struct record head, const struct iovec *parts, int count)
{
    struct iovec iov[4] = {{&head, sizeof(head)}};
    size_t want = sizeof(head);

    head.magic = RECORD_MAGIC;
    for (int i = 0; i < count; i++) {
        iov[i + 1] = parts[i];
        head.bytes += parts[i].iov_len;
        want += parts[i].iov_len;
    }
    if (REAL(writev)(log_fd, iov, count + 1) != (ssize_t)want)
        die("cannot write the log");
}

static void log_path(enum record_kind kind, uint64_t file, uint64_t off, const char *path)
{
    struct iovec part = {(void *)(uintptr_t)path, strlen(path)};

    log_put((struct record){.kind = kind, .file = file, .off = off}, &part, 1);
}

static bool sync_counts(const char *path)
{
    return !nosync || !strstr(path, nosync);
}

static void log_start(void)
{
    const char *side = getenv("PAILFS_POWERLOSS"), *state = getenv("PAILFS_POWERLOSS_STATE");
    char path[PATH_MAX + 8];

    if (!side || !state)
        return;
    if (!realpath(side, side_dir) || !realpath(state, state_dir))
        die("PAILFS_POWERLOSS and PAILFS_POWERLOSS_STATE must be directories");
    nosync = getenv("PAILFS_POWERLOSS_NOSYNC");
    (void)snprintf(path, sizeof(path), "%s/log", side_dir);
    log_fd = REAL(open64)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat st;
    if (log_fd < 0 || fstat(log_fd, &st))
        die(path);
    last_file = kept = (uint64_t)st.st_size; /* more than an earlier process can have used */
}

/* Whether there is anything to write down. */
static bool active(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, log_start);
    return log_fd >= 0;
}

/* --- which file is which --- */

/* True if path, below dir, is the state directory or in it; ret is then the whole path. What SQLite
 * shares between processes (-shm) is made anew after every start, and sockets are no files. */
static bool path_ours(int dir, const char *path, char ret[PATH_MAX])
{
    size_t len = strlen(state_dir);

    if (!active())
        return false;
    ret[0] = '\0';
    if (path[0] == '/') {
        (void)snprintf(ret, PATH_MAX, "%s", path);
    } else if (dir >= 0 && dir < FDS_MAX) {
        (void)pthread_mutex_lock(&lock);
        if (files[dir].path && strcmp(path, ".") == 0)
            (void)snprintf(ret, PATH_MAX, "%s", files[dir].path);
        else if (files[dir].path)
            (void)snprintf(ret, PATH_MAX, "%s/%s", files[dir].path, path);
        (void)pthread_mutex_unlock(&lock);
    }
    if (strncmp(ret, state_dir, len) != 0 || (ret[len] != '/' && ret[len] != '\0'))
        return false;
    size_t end = strlen(ret);
    return !(end > 4 && strcmp(ret + end - 4, "-shm") == 0);
}

static uint64_t file_of(const struct stat *st, bool is_new, bool *ret_seen)
{
    struct known *k;

    for (k = all_known; k; k = k->next) {
        if (k->dev == st->st_dev && k->ino == st->st_ino)
            break;
    }
    *ret_seen = k && !is_new;
    if (!k) {
        k = calloc(1, sizeof(*k));
        if (!k)
            die("no memory");
        k->dev = st->st_dev;
        k->ino = st->st_ino;
        k->next = all_known;
        all_known = k;
    }
    if (!*ret_seen)
        k->file = ++last_file;
    return k->file;
}

static void fd_set_file(int fd, const char *path, bool is_new, int flags)
{
    struct stat st;
    bool seen;

    if (fd >= FDS_MAX)
        die("too many descriptors");
    if (fstat(fd, &st))
        die("fstat");
    files[fd] = (struct open_file){.file = 1, .is_dir = S_ISDIR(st.st_mode), .path = strdup(path)};
    files[fd].dsync = (flags & (O_DSYNC | O_SYNC)) != 0;
    if (!files[fd].is_dir) {
        files[fd].file = file_of(&st, is_new, &seen);
        if (!seen)
            log_path(is_new ? RECORD_CREATE : RECORD_OPEN, files[fd].file, 0, path);
    }
    atomic_store(&ours[fd], 1);
}

/* The file behind fd, with the lock held; NULL without it for all others. */
static struct open_file *fd_begin(int fd)
{
    if (fd < 0 || fd >= FDS_MAX || !atomic_load(&ours[fd]))
        return NULL;
    (void)pthread_mutex_lock(&lock);
    if (files[fd].file)
        return &files[fd];
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

static void fd_end(void)
{
    int saved = errno;

    (void)pthread_mutex_unlock(&lock);
    errno = saved;
}

/* --- opening and closing --- */

typedef int open_fn(int dir, const char *path, int flags, ...);

static int file_open(open_fn *real, int dir, const char *path, int flags, mode_t mode)
{
    char whole[PATH_MAX];

    if (!path_ours(dir, path, whole))
        return real(dir, path, flags, mode);
    (void)pthread_mutex_lock(&lock);
    struct stat st;
    bool is_new = (flags & O_CREAT) && lstat(whole, &st) != 0;
    bool cut = (flags & O_TRUNC) && !is_new;
    int fd = real(dir, path, flags & ~O_TRUNC, mode);
    if (fd >= 0)
        fd_set_file(fd, whole, is_new, flags);
    fd_end();
    if (fd >= 0 && cut && ftruncate(fd, 0))
        die("ftruncate");
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

static void fd_forget(int fd, struct open_file *file)
{
    atomic_store(&ours[fd], 0);
    free(file->path);
    *file = (struct open_file){0};
}

int close(int fd)
{
    struct open_file *file = fd_begin(fd);

    if (!file)
        return REAL(close)(fd);
    fd_forget(fd, file);
    int result = REAL(close)(fd);
    fd_end();
    return result;
}

int closedir(DIR *dir)
{
    int fd = dirfd(dir);
    struct open_file *file = fd_begin(fd);

    if (!file)
        return REAL(closedir)(dir);
    fd_forget(fd, file);
    int result = REAL(closedir)(dir);
    fd_end();
    return result;
}

/* --- bytes --- */

/* Notes what a change of len bytes at off is to replace. */
static void note_bytes(int fd, const struct open_file *file, enum record_kind kind, uint64_t off,
                       uint64_t len)
{
    struct stat st;
    char *old = NULL;
    uint64_t have = 0;

    if (fstat(fd, &st))
        die("fstat");
    uint64_t size = (uint64_t)st.st_size;
    if (off < size)
        have = len < size - off ? len : size - off;
    if (have > 0) {
        char proc[64]; /* fd may be open for writing only, and its file have another name by now */
        (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
        int again = REAL(open64)(proc, O_RDONLY | O_CLOEXEC);
        old = malloc(have);
        if (again < 0 || !old || pread64(again, old, have, (off64_t)off) != (ssize_t)have)
            die("cannot read what was there");
        (void)REAL(close)(again);
    }
    struct iovec part = {old, have};
    log_put((struct record){.kind = kind, .file = file->file, .off = off, .size = size, .len = len},
            &part, 1);
    free(old);
}

static void note_sync(const struct open_file *file)
{
    if (!sync_counts(file->path))
        return;
    if (file->is_dir)
        log_path(RECORD_SYNC_DIR, 0, 0, file->path);
    else
        log_put((struct record){.kind = RECORD_SYNC, .file = file->file}, NULL, 0);
}

#define WRITE_CALL(fd, off, size, call)                                             \
    ({                                                                              \
        struct open_file *file_ = fd_begin(fd);                                     \
        ssize_t result_;                                                            \
        if (!file_) {                                                               \
            result_ = (call);                                                       \
        } else {                                                                    \
            note_bytes(fd, file_, RECORD_WRITE, (uint64_t)(off), (uint64_t)(size)); \
            result_ = (call);                                                       \
            if (file_->dsync)                                                       \
                note_sync(file_);                                                   \
            fd_end();                                                               \
        }                                                                           \
        result_;                                                                    \
    })

static size_t iov_size(const struct iovec *iov, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}

ssize_t pwrite(int fd, const void *buf, size_t size, off_t off)
{
    return WRITE_CALL(fd, off, size, REAL(pwrite64)(fd, buf, size, off));
}

ssize_t pwrite64(int fd, const void *buf, size_t size, off64_t off)
{
    return WRITE_CALL(fd, off, size, REAL(pwrite64)(fd, buf, size, off));
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t off)
{
    return WRITE_CALL(fd, off, iov_size(iov, count), REAL(pwritev64)(fd, iov, count, off));
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t off)
{
    return WRITE_CALL(fd, off, iov_size(iov, count), REAL(pwritev64)(fd, iov, count, off));
}

ssize_t write(int fd, const void *buf, size_t size)
{
    return WRITE_CALL(fd, lseek64(fd, 0, SEEK_CUR), size, REAL(write)(fd, buf, size));
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    return WRITE_CALL(fd, lseek64(fd, 0, SEEK_CUR), iov_size(iov, count),
                      REAL(writev)(fd, iov, count));
}

static int file_truncate(int fd, off64_t size)
{
    struct open_file *file = fd_begin(fd);

    if (!file)
        return REAL(ftruncate64)(fd, size);
    note_bytes(fd, file, RECORD_TRUNCATE, (uint64_t)size, UINT64_MAX >> 1);
    int result = REAL(ftruncate64)(fd, size);
    fd_end();
    return result;
}

int ftruncate(int fd, off_t size)
{
    return file_truncate(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return file_truncate(fd, size);
}

/* What a hole takes away, or an allocation adds at the end. */
static int file_allocate(int fd, int mode, off64_t off, off64_t len)
{
    struct open_file *file = fd_begin(fd);

    if (!file)
        return REAL(fallocate64)(fd, mode, off, len);
    note_bytes(fd, file, RECORD_WRITE, (uint64_t)off, (uint64_t)len);
    int result = REAL(fallocate64)(fd, mode, off, len);
    fd_end();
    return result;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
    return file_allocate(fd, mode, off, len);
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
    return file_allocate(fd, mode, off, len);
}

static int file_sync(int (*real)(int fd), int fd)
{
    struct open_file *file = fd_begin(fd);

    if (!file)
        return real(fd);
    note_sync(file);
    fd_end();
    return 0;
}

int fsync(int fd)
{
    return file_sync(REAL(fsync), fd);
}

int fdatasync(int fd)
{
    return file_sync(REAL(fdatasync), fd);
}

/* --- names --- */

/* Keeps the file under a name beside the log, so that its removal can be taken back. 0: there is
 * none. */
static uint64_t keep(const char *path)
{
    char link_path[PATH_MAX + 32];
    struct stat st;

    if (lstat(path, &st) || S_ISDIR(st.st_mode))
        return 0;
    (void)snprintf(link_path, sizeof(link_path), "%s/kept-%llu", side_dir,
                   (unsigned long long)++kept);
    if (link(path, link_path))
        die(link_path);
    return kept;
}

static int file_unlink(int dir, const char *path, int flags)
{
    char whole[PATH_MAX];

    if (!path_ours(dir, path, whole))
        return REAL(unlinkat)(dir, path, flags);
    (void)pthread_mutex_lock(&lock);
    uint64_t as = flags & AT_REMOVEDIR ? 0 : keep(whole);
    if (as)
        log_path(RECORD_UNLINK, 0, as, whole);
    else if (flags & AT_REMOVEDIR)
        log_path(RECORD_RMDIR, 0, 0, whole);
    int result = REAL(unlinkat)(dir, path, flags);
    fd_end();
    return result;
}

int unlink(const char *path)
{
    return file_unlink(AT_FDCWD, path, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    return file_unlink(dir, path, flags);
}

int rmdir(const char *path)
{
    return file_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

static int file_rename(int from_dir, const char *from, int to_dir, const char *to)
{
    char whole_from[PATH_MAX], whole_to[PATH_MAX];

    if (!path_ours(from_dir, from, whole_from) || !path_ours(to_dir, to, whole_to))
        return REAL(renameat)(from_dir, from, to_dir, to);
    (void)pthread_mutex_lock(&lock);
    struct iovec parts[] = {{whole_from, strlen(whole_from) + 1}, {whole_to, strlen(whole_to)}};
    log_put((struct record){.kind = RECORD_RENAME, .off = keep(whole_to)}, parts, 2);
    int result = REAL(renameat)(from_dir, from, to_dir, to);
    fd_end();
    return result;
}

int rename(const char *from, const char *to)
{
    return file_rename(AT_FDCWD, from, AT_FDCWD, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return file_rename(from_dir, from, to_dir, to);
}

static int file_mkdir(int dir, const char *path, mode_t mode)
{
    char whole[PATH_MAX];

    if (!path_ours(dir, path, whole))
        return REAL(mkdirat)(dir, path, mode);
    (void)pthread_mutex_lock(&lock);
    int result = REAL(mkdirat)(dir, path, mode);
    if (result == 0)
        log_path(RECORD_MKDIR, 0, 0, whole);
    fd_end();
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return file_mkdir(AT_FDCWD, path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    return file_mkdir(dir, path, mode);
}
