/*
 * What the files of the file:// store share. Layout of the directory that is the bucket:
 *
 *   a/b.txt             object "a/b.txt"
 *   a/                  object "a/", an empty marker; made and kept as a real directory
 *   l -> target         object "l" with type bits 0120000 in file-permissions, body "target"
 *   .pailfs-tmp/        ours, never listed
 *     w-<id>/           temporary files of one open store, which holds a flock on this directory;
 *                       swept by the next open when nobody holds the lock
 *     m-<id>/           one multipart upload (file_mpu.c); survives restarts until completed or
 * aborted
 *
 * Every access starts at root_fd and resolves below it without following a symlink (openat2), so
 * nothing in the bucket leads out of it.
 *
 * Locks: key_locks[hash of key] serialises check-then-publish (if_match, then rename) of one key
 * among the threads of this process; rename, unlink and setxattr run under it, fsync and data
 * copies never do. Writers in other processes are not excluded: between check and rename is a gap
 * of microseconds there (if_none_match has none, the kernel does it). At most one key lock is held
 * at a time, and no other lock is taken under it. pool.lock and cursors.lock are leaves.
 */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "cloud/store.h"

enum {
    FILE_KEY_LOCKS = 64,
    FILE_PRIOS = STORE_PRIO_DRAIN + 1,
    FILE_THREADS = 8,
    FILE_THREADS_MAX = 64,
    FILE_NAME_MAX = 255,
    FILE_META_MAX = 2048, /* bytes of names and values of one object, as in S3 */
    FILE_CURSORS = 32,
};
#define FILE_TMP_DIR ".pailfs-tmp"

struct file_queue {
    struct store_req *head, **tail;
};

struct file_pool {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work;
    struct file_queue queues[FILE_PRIOS];
    pthread_t threads[FILE_THREADS_MAX];
    unsigned thread_count, busy_low; /* busy_low: threads on anything but STORE_PRIO_READ */
    bool stop;
};

struct file_cursor;
struct file_cursors { /* file_cursor.c */
    pthread_mutex_t lock;
    struct file_cursor *slots[FILE_CURSORS]; /* most recently used first, NULL at the end */
};

struct file_store {
    struct store base;
    int root_fd;
    int tmp_fd;  /* FILE_TMP_DIR, or -1 when not writable */
    int work_fd; /* our own w-<id>/ below it, flocked, or -1 */
    char work_name[40];
    bool writable;
    bool superuser; /* permissions do not bind us, so any mode can be set on a file of ours */
    atomic_uint_fast64_t temp_count;
    atomic_int_fast64_t stamp_last;
    atomic_uint mkdirs_unsynced; /* new directories whose parent has not been fsynced yet */
    pthread_mutex_t key_locks[FILE_KEY_LOCKS];
    struct file_pool pool;
    struct file_cursors cursors;
};

enum file_kind { FILE_REGULAR, FILE_DIRECTORY, FILE_SYMLINK };

/* What lstat says of something that is shown as an object. */
struct file_info {
    enum file_kind kind;
    uint32_t mode, uid, gid;
    uint64_t ino, size; /* size: 0 for a directory */
    int64_t mtime_ns, atime_ns, btime_ns;
};

/* A key taken apart: an open parent directory and the last name in it. */
struct file_path {
    int dir_fd;
    bool dir_owned, is_dir; /* is_dir: the key ends in '/' */
    char name[FILE_NAME_MAX + 1];
};
#define CLEANUP_PATH __attribute__((cleanup(file_path_done)))

/* --- file_path.c: from keys to directories --- */

/* 0 if key can be a path here; -EINVAL for "", "a//b", "../x" and our own names; -ENAMETOOLONG. */
int file_path_check(const char *key);
/* Takes a checked key apart: its last name into ret, what is before it into parent ("" = root). */
void file_path_split(const char *key, struct file_path *ret, char parent[static STORE_KEY_MAX + 1]);
/* openat2 below the root, through no symlink. rel "" is the root. -errno. */
int file_path_openat(struct file_store *fs, const char *rel, int flags);
/* For reading: -ENOENT if the parent is not there or the key is impossible. */
int file_path_open(struct file_store *fs, const char *key, struct file_path *ret);
/* For writing: makes missing parents, durably. */
int file_path_make(struct file_store *fs, const char *key, struct file_path *ret);
void file_path_done(struct file_path *path);
/* mkdir that counts in mkdirs_unsynced until its parent is on disk. 0, -EEXIST, ... */
int file_mkdir_durably(struct file_store *fs, int dir_fd, const char *name, mode_t mode);

/* --- file_info.c: stat, ETags, opening what stat saw --- */

/* -ENOENT when not there or not shown (fifo, socket, device). name "" is dir_fd itself. */
int file_info_get(int dir_fd, const char *name, struct file_info *ret);
int file_info_of_path(const struct file_path *path,
                      struct file_info *ret); /* and of the key's kind */
void file_info_etag(const struct file_info *info, char etag[static STORE_ETAG_MAX]);
bool file_info_matches(const struct file_info *info, const char *if_match); /* NULL matches */
/* Opens for reading the file or directory that info told of, and tells of what was opened: it may
 * have been replaced meanwhile. -EAGAIN if what is there now is of another kind: look again. */
int file_info_open(int dir_fd, const char *name, struct file_info *info);
/* A point in time for the mtime of a new file, later than every one given out before: two versions
 * of a key never share an ETag, even if they share an inode number. */
int64_t file_stamp_next(struct file_store *fs);
int file_stamp_set(int fd, int64_t stamp_ns);

/* --- file_meta.c: metadata in xattrs, modes and owners --- */

/* fd may be -1 (symlink, or unreadable): then lstat is all there is. */
void file_meta_read(struct file_store *fs, int fd, const struct file_info *info,
                    struct store_meta *ret);
/* Makes meta the metadata of the open file or directory. Its mtime must be final. */
int file_meta_write(struct file_store *fs, int fd, const struct store_meta *meta);
/* A symlink carries owner and mtime only: best effort. */
void file_meta_write_symlink(int dir_fd, const char *name, const struct store_meta *meta);
int file_meta_check(const struct store_meta *meta); /* -EINVAL: too large, or a bad name */
/* File type bits of file-permissions, or 0. */
mode_t file_meta_type(const struct store_meta *meta);
/* 0 and the whole mode from octal digits, or -EINVAL. */
int file_meta_parse_mode(const char *text, mode_t *ret);
int file_meta_probe(int dir_fd); /* 0, or -ENOTSUP without user xattrs */

/* --- file_data.c: bytes --- */

int file_write_all(int fd, const void *buf, size_t len, uint64_t off);
ssize_t file_read_some(int fd, void *buf, size_t len, uint64_t off); /* short only at the end */
/* Shares extents where the filesystem can. -EIO if the source is shorter than that. */
int file_copy_range(int src_fd, uint64_t src_off, int dst_fd, uint64_t dst_off, uint64_t len);

/* --- file_write.c: publishing --- */

struct file_temp { /* a temporary file or symlink of ours; unlinked by file_temp_done if not
                      published */
    struct file_store *fs;
    int dir_fd; /* borrowed */
    int fd;     /* -1 for a symlink */
    char name[64];
};
#define CLEANUP_TEMP __attribute__((cleanup(file_temp_done)))
int file_temp_make(struct file_store *fs, struct file_temp *ret);
int file_temp_symlink(struct file_store *fs, const char *target, struct file_temp *ret);
void file_temp_done(struct file_temp *temp);
/*
 * Finishes temp (mtime, metadata, fsync), checks the conditions of req, and moves it to req->key;
 * then makes that durable. Fills req->object. On failure temp is still there, usable.
 */
int file_temp_publish(struct file_temp *temp, struct store_req *req, const struct store_meta *meta);

/* --- one function per operation; run on pool threads, return what goes to req->err --- */
int file_head(struct file_store *fs, struct store_req *req);
int file_get(struct file_store *fs, struct store_req *req);
int file_put(struct file_store *fs, struct store_req *req);
int file_copy(struct file_store *fs, struct store_req *req);
int file_delete(struct file_store *fs, struct store_req *req);
int file_list(struct file_store *fs, struct store_req *req);
int file_mpu_begin(struct file_store *fs, struct store_req *req);
int file_mpu_part(struct file_store *fs, struct store_req *req);
int file_mpu_copy(struct file_store *fs, struct store_req *req);
int file_mpu_complete(struct file_store *fs, struct store_req *req);
int file_mpu_abort(struct file_store *fs, struct store_req *req);
int file_run(struct file_store *fs, struct store_req *req); /* whichever it is; file_store.c */

/* PUT of the whole of it, for COPY: body and metadata from elsewhere. */
int file_put_body(struct file_store *fs, struct store_req *req, const void *buf, size_t len,
                  const struct store_meta *meta);
pthread_mutex_t *file_key_lock(struct file_store *fs, const char *key);
/* The conditions of req on its key, as found (NULL = nothing there). Call under the key's lock. */
int file_check_target(const struct store_req *req, const struct file_info *found);
/* Refuses early, before data is written, what would be refused at the end; takes no lock. */
int file_check_target_early(struct file_store *fs, struct store_req *req);
void file_object_result(struct store_req *req, const struct file_info *info);

/* Sets req->error_text and returns err. */
int file_fail(struct store_req *req, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* errno as a negative number, and never 0: what failed is not taken for a success. */
static inline int file_errno(void)
{
    return errno > 0 ? -errno : -EIO;
}
/* An errno of the system as one of those that store.h names. */
int file_err(int err);

/* --- file_sweep.c: our own directory --- */

/* Makes tmp_fd and work_fd. -EROFS or -EACCES if the bucket is not ours to write. */
int file_sweep_open(struct file_store *fs);
void file_sweep_close(struct file_store *fs);
/* Removes a directory of plain files. */
int file_sweep_remove_dir(int dir_fd, const char *name);
void file_random_id(char hex[static 33]);

/* --- file_pool.c: the threads that run requests --- */
int file_pool_start(struct file_store *fs, unsigned threads);
void file_pool_stop(struct file_store *fs); /* no request may be out */
void file_pool_submit(struct file_store *fs, struct store_req *req);

/* --- file_cursor.c: sorted names of directories of any size, in bounded memory --- */

/* Names are sorted as keys are: a directory's ends in '/'. */
struct file_cursor {
    atomic_uint refs;
    dev_t dev;
    ino_t ino;
    int64_t mtime_ns, ctime_ns;     /* of the directory when reading began */
    int64_t wall_ns, mono_ns;       /* when reading began */
    char prefix[FILE_NAME_MAX + 2]; /* only names that begin so are here */
    char lower[FILE_NAME_MAX + 3];  /* and are not less than this ... */
    bool lower_excluded;            /* ... nor equal to it, when set */
    bool complete;                  /* false: the directory has names after the last one here */
    size_t count, arena_size;
    void *map; /* where arena and offsets are, or NULL: on the heap */
    char *arena;
    uint32_t *offsets; /* of the names in arena, in order */
};
struct file_bound {
    const char *name; /* "" = from the beginning */
    bool excluded;
};

void file_cursors_init(struct file_cursors *cursors);
void file_cursors_done(struct file_cursors *cursors);
/*
 * A cursor that has what follows bound in the open directory, and the index of the first such name.
 * With continuing, one that was read within the last half minute will do even if the directory has
 * changed since (a listing goes on); otherwise only one as good as new. The caller drops it.
 */
int file_cursor_get(struct file_store *fs, int dir_fd, const char *prefix,
                    const struct file_bound *bound, bool continuing, struct file_cursor **ret,
                    size_t *ret_index);
void file_cursor_drop(struct file_cursor *cursor); /* NULL is fine */
