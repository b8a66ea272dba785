/*
 * What the files of fuse/ share.
 *
 * A request: libfuse decodes it on one of our threads (loop.c), a handler makes a struct call of
 * it, calls one fs_ function in slices (call_again), and answers: at once, or, if the answer has
 * to be durable first, through the list of held replies (hold.c).
 *
 * Locks, all leaves: loop_lock, hold_lock, invalid_lock, volume_lock, page_lock, and a handle's.
 * Invalidations are sent with no lock held, by a thread that answers no request: the kernel may
 * wait for an answer of ours before it takes one.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <bsd/sys/queue.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "fs/fs.h"
#include "fuse/front.h"

enum {
    THREADS_MAX = 128,    /* by default: so many requests can wait for a store at once */
    THREADS_IDLE_MAX = 8, /* that wait for a request; more than that go away */
    SLICE_MS = 200,       /* after so long a request that waits looks whether it still should */
    BACKGROUND_MAX = 64,  /* requests that nobody waits for (read-ahead), as the kernel counts */
    VOLUMES_MAX = 4096,   /* that were seen through one mount */
    NODE_INO_BITS = 48,   /* of a node id; above them the index of the volume */
    INVALID_MAX = 16384,  /* queued invalidations; those that come then are left to the timeouts */
    PAGES_SETS = 4096,    /* of four files each whose cached pages' version is known */
    PAGES_WAYS = 4,
    REMOVED_MAX = 64,      /* directories that were removed and may be in use */
    CLOSER_FDS_MAX = 1024, /* descriptors of a process that are looked at */
    HOLD_STOP_MS = 5000,   /* so long the last replies may take to become durable */
};

enum held_kind { HELD_ERR, HELD_ENTRY, HELD_CREATE, HELD_ATTR, HELD_WRITE };

struct handle {              /* an open file: fuse_file_info.fh */
    LIST_ENTRY(handle) link; /* of front->handles */
    struct front *front;
    struct fs_volume *vol;
    uint64_t ino;
    pthread_mutex_t lock; /* a leaf: what follows */
    bool wrote;           /* or made, since the last close() that told how it went */
    bool ever_wrote;
    pid_t opener;          /* the thread that opened it, as the kernel names it; 0: not known */
    uint64_t opener_files; /* its table of descriptors (fuse's lock owner); 0: not seen yet */
    bool opener_closed;    /* closed it after something was written */
};

struct held { /* a reply */
    TAILQ_ENTRY(held) link;
    fuse_req_t req;
    uint64_t seq;
    enum held_kind kind;
    int err;
    struct fuse_entry_param entry; /* attr too */
    double attr_timeout;
    struct fuse_file_info fi;
    size_t count;
};
TAILQ_HEAD(held_list, held);

struct worker;
TAILQ_HEAD(worker_list, worker);
struct invalid;
STAILQ_HEAD(invalid_list, invalid);

struct page_version {
    fuse_ino_t node;
    uint64_t version;
};

struct removed_dir {
    fuse_ino_t node; /* 0: none */
    struct fs_attr attr;
};

struct front {
    struct front_config config;
    char *mountpoint, *fsname, *fuse_options;
    struct fuse_session *session;
    bool mounted;
    bool parallel_dirops; /* the kernel can; set before the answer to INIT */
    atomic_bool greeted;  /* that was sent */
    dev_t dev;

    pthread_mutex_t loop_lock;
    pthread_cond_t loop_cond; /* a thread ended */
    struct worker_list workers;
    uint32_t worker_count, workers_idle;
    atomic_bool stopping, ended;
    void (*end_fn)(void *ctx);
    void *end_ctx;

    pthread_mutex_t hold_lock;
    pthread_cond_t hold_cond; /* the list has got empty */
    struct held_list held;    /* by seq */
    uint32_t sending;

    pthread_mutex_t volume_lock; /* to add */
    _Atomic(struct fs_volume *) volumes[VOLUMES_MAX];
    _Atomic uint32_t volume_count;

    pthread_mutex_t invalid_lock;
    pthread_cond_t invalid_cond;
    struct invalid_list invalids;
    uint32_t invalid_count;
    bool invalid_stop, invalid_running;
    pthread_t invalid_thread;

    pthread_mutex_t handle_lock; /* a leaf */
    LIST_HEAD(, handle) handles; /* that no release has come for */

    pthread_mutex_t page_lock;
    struct page_version pages[PAGES_SETS][PAGES_WAYS];
    struct removed_dir removed[REMOVED_MAX]; /* page_lock, too */
    uint64_t removed_count;
};

struct call { /* a request on its thread */
    struct front *front;
    fuse_req_t req;
    struct fs_req fs;
    struct fs_volume *vol; /* what the node id names */
    uint64_t ino;
    int64_t end_ns;
    bool patient; /* it waits for an upload, or for room: not in vain while bytes move */
    uint64_t progress;
};

/* --- call.c --- */

/* False if node names nothing (it was answered). */
bool call_begin(struct call *c, fuse_req_t req, fuse_ino_t node);
/* After each try: true if it has to be made again. -EAGAIN becomes what to tell instead. */
bool call_again(struct call *c, int *err);
/* Replies, held until what the call changed is durable. err is 0 or negative. */
void reply_err(struct call *c, int err);
void reply_entry(struct call *c, const struct fs_node *node);
void reply_attr(struct call *c, const struct fs_node *node);
void reply_create(struct call *c, const struct fs_node *node, const struct fuse_file_info *fi);
void reply_write(struct call *c, size_t count);

/* --- hold.c --- */

/* Sends it when seq is durable; takes it. */
void hold_reply(struct front *front, struct held *h);
/* No request is under way any more: waits a little for what is held, and answers the rest. */
void hold_stop(struct front *front);

/* --- node.c --- */

fuse_ino_t node_id(struct front *front, struct fs_volume *vol, uint64_t ino);
/* False: of no volume that is known. */
bool node_find(struct front *front, fuse_ino_t node, struct fs_volume **ret_vol, uint64_t *ret_ino);
void node_stat(const struct front *front, const struct fs_attr *attr, struct stat *ret);
double node_timeout(const struct front *front, int64_t valid_ns);
void node_entry(struct front *front, const struct fs_node *node, struct fuse_entry_param *ret);

/* --- error.c --- */

/* The errno that the kernel is told for what fs returned: positive. */
int error_number(int err);

/* --- loop.c --- */

int loop_start(struct front *front);
void loop_stop(struct front *front); /* no request is under way after it */

/* --- mount.c --- */

/* The place is free: dead mounts in it are taken away. */
int mount_prepare(const char *mountpoint, struct front_error *reterr);
int mount_open(struct front *front, const struct fuse_lowlevel_ops *ops,
               struct front_error *reterr);
/* While requests are still answered: takes what programs wrote through mappings, and unmounts if
 * nobody is in there. */
void mount_leave(struct front *front);
void mount_close(struct front *front);

/* --- device.c --- */

/* After the mount, before the first request. */
int device_adopt(struct front *front);

/* --- invalid.c --- */

int invalid_start(struct front *front);
void invalid_stop(struct front *front);
/* fs_invalid_fn */
void invalid_queue(void *front, void *req_ctx, struct fs_volume *vol, uint64_t ino,
                   const char *name);

/* --- pages.c --- */

/* Does the kernel have pages of this version? Remembers that it has from now on. */
bool pages_keep(struct front *front, fuse_ino_t node, uint64_t version);

/* --- removed.c --- */

/* The directory that name in c's directory is, if it is one and that is known without waiting. */
bool removed_look(struct call *c, const char *name, struct fs_node *ret);
void removed_add(struct front *front, const struct fs_node *node); /* it was removed */
/* What it was like, if it is one of the last that were removed. */
bool removed_find(struct front *front, fuse_ino_t node, struct fs_attr *ret);

/* --- closer.c --- */

struct handle *handle_new(struct front *front, struct fs_volume *vol, uint64_t ino, pid_t opener);
struct handle *handle_of(fuse_req_t req, const struct fuse_file_info *fi);
void handle_free(struct handle *h);
/* When no request comes any more: releases what programs had open when it was unmounted. */
void handle_free_all(struct front *front);
void handle_made(struct handle *h); /* a new file, or one that was cut */
void handle_wrote(struct handle *h);
/* Somebody closes a descriptor of h: does it have to wait until what was written is safe? */
bool handle_closes(struct handle *h, pid_t closer, uint64_t files);

/* --- the operations --- */

/* entry.c */
void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_forget(fuse_req_t req, fuse_ino_t node, uint64_t count);
void front_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void front_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name);
void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void front_rename(fuse_req_t req, fuse_ino_t from_dir, const char *from, fuse_ino_t to_dir,
                  const char *to, unsigned flags);
/* attr.c */
void front_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void front_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
                   struct fuse_file_info *fi);
void front_readlink(fuse_req_t req, fuse_ino_t node);
void front_statfs(fuse_req_t req, fuse_ino_t node);
void front_access(fuse_req_t req, fuse_ino_t node, int mask);
/* file.c */
void front_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void front_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi);
void front_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);
void front_write(fuse_req_t req, fuse_ino_t node, const char *buf, size_t size, off_t off,
                 struct fuse_file_info *fi);
void front_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void front_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi);
void front_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
/* dir.c */
void front_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void front_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                   struct fuse_file_info *fi);
void front_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                       struct fuse_file_info *fi);
void front_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void front_fsyncdir(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi);
/* xattr.c */
void front_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value,
                    size_t size, int flags);
void front_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void front_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);
void front_removexattr(fuse_req_t req, fuse_ino_t node, const char *name);
/* range.c */
void front_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi);
void front_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
                     struct fuse_file_info *fi);
void front_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
                           struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
                           struct fuse_file_info *to_fi, size_t len, int flags);
