/*
 * The file system as front ends see it: inodes by number, operations that are checked, permission
 * bits included, and results with the attributes that belong to them.
 *
 * Every operation takes a struct fs_req. With FS_NOWAIT it answers from memory or returns -EAGAIN
 * having changed nothing; without, it may wait for the store, the disk or another operation, until
 * the deadline, then returns -EAGAIN ("try later": NFS3ERR_JUKEBOX).
 *
 * Durability is separate from the answer: an operation that changed something, or that showed
 * something new, returns at once and sets req->seq; the front end holds the reply back until
 * fs_durable() has reached it (fs_on_durable tells when). Nobody blocks for the disk.
 *
 * Errors are negative errnos, as POSIX names them; -ESTALE for an inode that is gone, -EAGAIN for
 * later, -ENOTSUP for what pailfs does not do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct fs;        /* the process's: database, stage, cache, all volumes */
struct fs_volume; /* one export: one store (later: several branches) */
struct store_config;

enum {
    FS_NAME_MAX = 255,
    FS_SYMLINK_MAX = 4096 - 1,
    FS_GROUPS_MAX = 16,
    FS_HANDLE_SIZE = 32,
    FS_VERF_SIZE = 8,
    FS_IO_MAX = 1 << 20, /* bytes of one fs_read or fs_write */
    FS_DATA_IOV_MAX = 24,
};
#define FS_FILE_MAX (UINT64_C(1) << 46) /* bytes of a file, before what the store can hold */

enum fs_type { FS_REG = 1, FS_DIR = 2, FS_LNK = 5 }; /* numbers of RFC 1813 ftype3 */

struct fs_cred {
    uint32_t uid, gid;
    uint32_t group_count;
    uint32_t groups[FS_GROUPS_MAX];
};

enum fs_req_flag {
    FS_NOWAIT = 1,
    FS_READ_ONLY = 2, /* this caller's export is read-only: changes get -EROFS */
    FS_CHECKED = 4,   /* a kernel has checked permission bits, sticky ones too: not again */
    FS_TO_STORE = 8,  /* fs_commit: waits for the object, as with commit_store */
    FS_LOCAL = 16,    /* fs_commit: does not wait for it, commit_store or not */
    FS_AGAIN = 32,    /* went on after -EAGAIN: what failed meanwhile is not hurried by that */
};

struct fs_req {
    struct fs_cred cred;
    uint32_t flags;
    int64_t deadline_ns; /* monotonic */

    /* For exactly-once requests. If set, an operation that changes the namespace or attributes
     * calls it once, when its outcome (0) and results are fixed, with the operation's lock held;
     * what it returns is kept in the same transaction. It must encode and return, nothing else. key
     * and reply must stay until the operation returns. False: keep nothing. */
    bool (*journal)(struct fs_req *req, const void **key, size_t *key_len, const void **reply,
                    size_t *reply_len);
    void *ctx; /* the front end's */

    int64_t start_ns; /* fs's own: when the request was first tried; the front end sets 0 */
    uint64_t seq;     /* result: hold the reply until fs_durable() >= seq; 0 = at once */
};

struct fs_attr {
    enum fs_type type;
    uint32_t mode; /* permission bits, 07777 */
    uint32_t nlink, uid, gid;
    uint64_t size, used;
    uint64_t fsid, ino;
    int64_t atime_ns, mtime_ns, ctime_ns;
};

/* What RFC 1813 calls wcc_attr and post_op_attr, taken under the lock of the operation. A front end
 * must send them in failures too; valid says whether they are there. */
struct fs_wcc {
    bool before_valid, after_valid;
    uint64_t before_size;
    int64_t before_mtime_ns, before_ctime_ns;
    struct fs_attr after;
};

struct fs_node {           /* what LOOKUP and its kind give; valid if attr_valid */
    struct fs_volume *vol; /* of ino: another one than that of the directory at a sub-mount */
    uint64_t ino;
    int64_t valid_ns; /* for so long nobody has to ask again; 0: the next time already */
    bool attr_valid;
    struct fs_attr attr;
};

enum fs_set {
    FS_SET_MODE = 1,
    FS_SET_UID = 2,
    FS_SET_GID = 4,
    FS_SET_SIZE = 8,
    FS_SET_ATIME = 16,
    FS_SET_MTIME = 32,
    FS_SET_ATIME_NOW = 64, /* server's time; needs only write permission */
    FS_SET_MTIME_NOW = 128,
};
struct fs_sattr {
    uint32_t set; /* enum fs_set */
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t atime_ns, mtime_ns;
};

/* --- the process --- */

struct fs_config {
    const char *state_dir;
    uint64_t memory_limit; /* bytes: cache and buffers */
    uint64_t stage_limit;  /* bytes in the stage */
    int64_t attr_ttl_ns;   /* how long what the store said is believed */
    int64_t quiet_ns;      /* from COMMIT to the upload */
    int64_t retry_max_ns;  /* longest pause between tries of an upload; 0: 60 s */
    bool commit_store;     /* COMMIT replies when the object is in the store */
    bool accept_damage;    /* volumes with damaged staged bytes are not read-only */
    uint32_t uploads;      /* files that are uploaded at once; 0: default */
};
struct fs_error {
    char text[512];
};

int fs_start(const struct fs_config *config, struct fs **ret, struct fs_error *reterr);

#define FS_DEFAULT UINT32_MAX
enum { FS_TTL_DEFAULT = -1 };

/* How one volume shows and keeps its files. */
struct fs_volume_config {
    bool read_only;
    /* Of objects that say nothing of their own; FS_DEFAULT: the process's ids, 0644 and 0755. */
    uint32_t uid, gid, file_mode, dir_mode;
    uint32_t umask; /* is taken off these modes */
    /* How long what the store said of an object, and of a directory's names, is believed.
     * FS_TTL_DEFAULT: as the process's attr_ttl_ns. */
    int64_t attr_ttl_ns, list_ttl_ns;
    bool no_implicit_dir;  /* a directory is what has a marker: nobody looks below a name for one */
    bool cheap;            /* as few requests as possible, one after the other */
    bool use_content_type; /* objects get a Content-Type by their name's extension */
    uint64_t part_size;    /* bytes of the parts of an upload, at least; 0: default */
    uint32_t parts;        /* of one file that are under way at once; 0: default */
    int64_t multipart_age_ns; /* an upload by parts that is not over after so long is begun anew;
                                 0: never */
};
#define FS_VOLUME_CONFIG_DEFAULT                              \
    ((struct fs_volume_config){.uid = FS_DEFAULT,             \
                               .gid = FS_DEFAULT,             \
                               .file_mode = FS_DEFAULT,       \
                               .dir_mode = FS_DEFAULT,        \
                               .attr_ttl_ns = FS_TTL_DEFAULT, \
                               .list_ttl_ns = FS_TTL_DEFAULT})

/* Opens the store of url, checks that it can be served, loads what an earlier run left. A volume is
 * known by its url: the same url gets the same ids and handles again. The volume is the fs's.
 * Configurations are copied; NULL is the default. */
int fs_add_volume(struct fs *fs, const char *url, const struct store_config *store_config,
                  const struct fs_volume_config *config, struct fs_volume **ret,
                  struct fs_error *reterr);

/* After all volumes: starts uploads, intents and housekeeping. */
int fs_run(struct fs *fs, struct fs_error *reterr);

struct fs_left { /* what is not in the stores */
    uint64_t files, bytes, intents;
};
void fs_get_left(struct fs *fs, struct fs_left *ret);

/* Makes all durable and uploads what it can until the deadline: the first part of fs_stop, for
 * whoever wants to be asked meanwhile. No operation may be under way, nor come. */
void fs_drain(struct fs *fs, int64_t deadline_ns);

/* Makes all durable, uploads what it can until the deadline, stops all threads, frees. No operation
 * may be under way. ret_left may be NULL. */
void fs_stop(struct fs *fs, int64_t deadline_ns, struct fs_left *ret_left);

uint64_t fs_durable(struct fs *fs);
/* fn runs on a thread of fs whenever fs_durable() has grown; set before fs_run. Must not block. */
void fs_on_durable(struct fs *fs, void (*fn)(void *ctx, uint64_t seq), void *ctx);

/* Kept replies (see fs_req.journal), oldest first; before fs_run. */
typedef bool fs_reply_fn(void *ctx, const void *key, size_t key_len, const void *reply,
                         size_t reply_len);
int fs_each_reply(struct fs *fs, fs_reply_fn *fn, void *ctx);

/* Changes at each start, and whenever an UNSTABLE write may have been lost. */
void fs_write_verifier(struct fs *fs, uint8_t ret[FS_VERF_SIZE]);

/* --- identity --- */

uint64_t fs_root(struct fs_volume *vol);
uint32_t fs_volume_id(struct fs_volume *vol);
/* The volume below which vol is mounted now (mounts.h), itself if it is a top volume; NULL while it
 * is not mounted. */
struct fs_volume *fs_volume_top(struct fs_volume *vol);
/* The opaque handle of RFC 1813 nfs_fh3, with its MAC. */
void fs_handle_encode(struct fs_volume *vol, uint64_t ino, uint8_t ret[FS_HANDLE_SIZE]);
/* 0; -EBADF: not a handle of this gateway; -ESTALE: of a volume that is not served now. Whether the
 * inode still exists is found by the operation. */
int fs_handle_decode(struct fs *fs, const void *data, size_t len, struct fs_volume **ret_vol,
                     uint64_t *ret_ino);

/* --- operations (RFC 1813 section 3.3, in its order) ---
 * Names are NUL-terminated and come as the client sent them: fs checks length, UTF-8, '/', "." and
 * "..". Out-parameters are set only on success, except attributes and wcc, whose valid flags tell;
 * an fs_node used as out-parameter for attributes of the object itself keeps attr_valid = false
 * when they could not be had. */

int fs_getattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_attr *ret);
/* guard_ctime_ns: NULL, or the ctime the object must have (-EBADE "not synchronised" if not). */
int fs_setattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const struct fs_sattr *set,
               const int64_t *guard_ctime_ns, struct fs_wcc *wcc);
/* name "." and ".." are understood. */
int fs_lookup(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              struct fs_node *ret, struct fs_node *dir_node);

enum fs_access { /* bits of RFC 1813 ACCESS3 */
                 FS_ACCESS_READ = 1,
                 FS_ACCESS_LOOKUP = 2,
                 FS_ACCESS_MODIFY = 4,
                 FS_ACCESS_EXTEND = 8,
                 FS_ACCESS_DELETE = 16,
                 FS_ACCESS_EXECUTE = 32,
};
int fs_access(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint32_t mask,
              uint32_t *ret_mask, struct fs_node *node);
/* buf takes FS_SYMLINK_MAX + 1 bytes. -EINVAL if not a symlink. */
int fs_readlink(struct fs_volume *vol, struct fs_req *req, uint64_t ino, char *buf,
                struct fs_node *node);

/* Bytes of a file, by reference: valid until fs_data_release. */
struct fs_data {
    struct iovec iov[FS_DATA_IOV_MAX];
    void *ref[FS_DATA_IOV_MAX]; /* what release gets, one per iov; NULL = nothing */
    void (*unref[FS_DATA_IOV_MAX])(void *ref);
    uint32_t count;
    size_t len;
};
void fs_data_release(struct fs_data *data);

int fs_read(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint32_t count,
            struct fs_data *ret, bool *ret_eof, struct fs_node *node);

enum fs_stable { FS_UNSTABLE, FS_DATA_SYNC, FS_FILE_SYNC }; /* numbers of RFC 1813 stable_how */
/* All of it or an error. Not FS_UNSTABLE: durable once req->seq is. */
int fs_write(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
             const struct iovec *iov, int iov_count, enum fs_stable stable, struct fs_wcc *wcc);

enum fs_create_how { FS_CREATE_UNCHECKED, FS_CREATE_GUARDED, FS_CREATE_EXCLUSIVE };
int fs_create(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              enum fs_create_how how, const struct fs_sattr *set, const uint8_t verf[FS_VERF_SIZE],
              struct fs_node *ret, struct fs_wcc *dir_wcc);
int fs_mkdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
             const struct fs_sattr *set, struct fs_node *ret, struct fs_wcc *dir_wcc);
int fs_symlink(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
               const char *target, const struct fs_sattr *set, struct fs_node *ret,
               struct fs_wcc *dir_wcc);
int fs_remove(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              struct fs_wcc *dir_wcc);
int fs_rmdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
             struct fs_wcc *dir_wcc);
int fs_rename(struct fs_volume *vol, struct fs_req *req, uint64_t from_dir, const char *from,
              uint64_t to_dir, const char *to, struct fs_wcc *from_wcc, struct fs_wcc *to_wcc);

/* Entries in cookie order, after cookie (0 = from the start; "." is 1 and ".." is 2). emit returns
 * false when it has no room: that entry is not consumed. Without want_attr, node has only ino. With
 * it, attr_valid is set where attributes are known without asking the store for each entry. */
struct fs_dir_entry {
    uint64_t cookie;
    const char *name;
    struct fs_node node;
};
typedef bool fs_emit_fn(void *ctx, const struct fs_dir_entry *entry);
int fs_readdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, uint64_t cookie,
               bool want_attr, fs_emit_fn *emit, void *ctx, bool *ret_eof,
               struct fs_node *dir_node);

struct fs_space {
    uint64_t total, free; /* bytes */
    uint64_t files, files_free;
};
int fs_statfs(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_space *ret,
              struct fs_node *node);
/* Durable (and with commit_store, in the bucket) once this has returned 0 and req->seq is durable.
 */
int fs_commit(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint32_t count,
              struct fs_wcc *wcc);

/* A number that changes when bytes reach the store, or room in the stage is made: whoever waits for
 * ino to be uploaded, or for room, waits for nothing while it stays. *ret_uploading: ino's upload
 * is on its way and has not failed yet; the store ends it if no byte moves. */
uint64_t fs_progress(struct fs_volume *vol, uint64_t ino, bool *ret_uploading);

/* --- for front ends whose clients open files (FUSE) ---
 *
 * An open file stays what it is when its name goes: after fs_remove, or a rename over it, its inode
 * number goes on working, with nlink 0, until the last fs_release. A crash meanwhile removes it. */

struct fs_open {
    struct fs_node node;
    uint64_t version; /* changes whenever content may have changed by anything but writes through
                         this process's kernel: the same means that cached pages are good */
};
/* Close-to-open: asks the store if what is known is older than attr_ttl. Takes a reference. Access
 * is FS_ACCESS_READ and _MODIFY bits, to be checked unless FS_CHECKED. */
int fs_open(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint32_t access,
            struct fs_open *ret);
/* Takes another reference on what is known to be open or was just created. -ESTALE if gone. */
int fs_reopen(struct fs_volume *vol, uint64_t ino);
void fs_release(struct fs_volume *vol, uint64_t ino);

enum fs_rename_flag { FS_RENAME_NOREPLACE = 1, FS_RENAME_EXCHANGE = 2 };
/* fs_rename with flags: -EEXIST; exchange swaps two names that both exist, -EINVAL where it cannot
 * be done. */
int fs_rename_with(struct fs_volume *vol, struct fs_req *req, uint64_t from_dir, const char *from,
                   uint64_t to_dir, const char *to, uint32_t flags, struct fs_wcc *from_wcc,
                   struct fs_wcc *to_wcc);

/* lseek(2) with SEEK_DATA or SEEK_HOLE: holes are what was never written in a file whose bytes are
 * not in the store yet. -ENXIO at or past the end. */
int fs_seek(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, bool hole,
            uint64_t *ret_off);

enum fs_allocate_flag { FS_ALLOCATE_KEEP_SIZE = 1, FS_ALLOCATE_PUNCH = 2, FS_ALLOCATE_ZERO = 4 };
/* fallocate(2): 0 extends, PUNCH (with KEEP_SIZE) and ZERO make zeros without writing them. Space
 * is reserved in the stage only for as long as this call. -ENOTSUP for all else. */
int fs_allocate(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint64_t len,
                uint32_t flags, struct fs_wcc *wcc);

/* copy_file_range(2): at most len bytes; where whole objects are copied the store does it.
 * -EXDEV between volumes. */
int fs_copy_range(struct fs_volume *vol, struct fs_req *req, uint64_t from, uint64_t from_off,
                  uint64_t to, uint64_t to_off, uint64_t len, uint64_t *ret_len);

/* Extended attributes, xattr(7). user.* are metadata of the object; s3.* (or the store's name) and
 * pailfs.* are shown, not kept: setting them is -EPERM. Other names: -ENOTSUP. Getting what is not
 * there: -ENODATA. With size 0 only the length is told; -ERANGE if it is too small. */
enum { FS_XATTR_CREATE = 1, FS_XATTR_REPLACE = 2 }; /* numbers of setxattr(2) */
int fs_getxattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name,
                void *buf, size_t size, size_t *ret_len);
int fs_listxattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, char *buf, size_t size,
                 size_t *ret_len);
int fs_setxattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name,
                const void *value, size_t size, int flags);
int fs_removexattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name);

/* What a front end's clients may have cached and must not believe any more. Called with locks held,
 * from any thread: must only queue. name NULL: attributes and content of ino; else the entry name
 * of the directory ino. Own changes of a request are told too, with req->ctx of that request (NULL
 * for what others did in the store), so that a front end can leave out its own. */
typedef void fs_invalid_fn(void *ctx, void *req_ctx, struct fs_volume *vol, uint64_t ino,
                           const char *name);
/* At most 16 listeners; at any time, from one thread. They stay until fs_stop has returned. */
void fs_on_invalid(struct fs *fs, fs_invalid_fn *fn, void *ctx);
