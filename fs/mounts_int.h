/*
 * Volumes, and sub-mounts as fs/ sees them inside. Part of fs_int.h.
 *
 * The list of mounts (mounts.c) is by path. From it follow, anew after each change of the list and
 * in the order of the paths, the mount points (mount_place.c): a directory of one volume in whose
 * place the root of another shows, as in a kernel. A mount point's inode has INODE_MOUNTED, is
 * pinned, and is in its volume's points; the volume that shows there knows the way up.
 *
 * Directories on the way that did not exist have INODE_LOCAL: the store never hears of them. They
 * become ordinary ones when something is made in them, and go when no mount needs them any more.
 *
 * Locks: mounts->lock protects the list; it is taken before no other lock. Who changes the list has
 * mounts->busy meanwhile, which is waited for with a deadline, since it lasts over waits for
 * stores. struct volume_mounts belongs to its volume's lock. No two volumes' locks are held at
 * once.
 *
 * A volume is never freed before the end: a front end's clients may know it for ever. One that is
 * not mounted any more is detached: its threads end, operations get -ESTALE, what it has not
 * uploaded waits. When its store is mounted again it goes on.
 */
#pragma once

#include "fs/fs_int.h"
#include "fs/mounts.h"

enum { REQ_INTERNAL = 1 << 16 }; /* in fs_req.flags: fs itself, also when vol is detached */

struct mount_point {
    uint64_t ino;
    struct fs_volume *child; /* whose root shows in its place */
};

struct volume_mounts {
    struct fs_volume *_Atomic top; /* see fs_volume_top */
    bool failed;                   /* not a store, but a failed_store.h */
    struct fs_volume *up;          /* where the root shows; NULL: nowhere below */
    uint64_t up_dir;               /* the directory of up that the mount point is in */
    bool detached;
    bool stopped;  /* detached, and its threads have ended */
    char *options; /* fs_mount.options; see mount_open.c */
    uint64_t opens;
    struct mount_point *points;
    size_t point_count;
    uint64_t *local; /* directories with INODE_LOCAL; durable as "local_dirs.VOLUME" */
    size_t local_count;
};

/* --- volume.c --- */

/* A volume of an open store, which it takes over, with what an earlier run left. It is on
 * fs->volumes, and not started. */
int volume_open(struct fs *fs, struct store *store, const char *identity,
                const struct fs_volume_config *config, struct fs_volume **ret,
                struct fs_error *reterr);
/* Under which name the data of this store is known in the state directory: to free. */
char *volume_identity(const struct store *store, const struct store_config *config);
/* What every store of this state directory is opened with. */
void volume_store_config(struct fs *fs, struct store_config *config);
void volume_configure(struct fs_volume *vol, const struct fs_volume_config *config);
int volume_start(struct fs_volume *vol);
void volume_stop(struct fs_volume *vol);
void volume_free(struct fs_volume *vol, bool durable); /* durable: all that was submitted is */
bool volume_idle(struct fs_volume *vol, struct fs_left *left); /* adds to left */
bool volume_detached(struct fs_volume *vol);

/* --- fs.c --- */

/* Unstable writes that no COMMIT asked for yet: durable all the same. */
void fs_commit_all(struct fs_volume *vol);
/* The buckets that are served now belong to this state directory. */
int fs_check_known(struct fs *fs, struct fs_error *reterr);

/* --- adopt.c --- */

/* Takes up what the stage has, and protects volumes of which something is damaged. */
int adopt_run(struct fs *fs, struct fs_error *reterr);
/* The staged bytes of a volume that is opened after fs_run. */
int adopt_late(struct fs_volume *vol);

/* --- mounts.c --- */

struct mounts *mounts_new(struct fs *fs);
/* At the end of fs_run: places what there is and starts what looks after failed ones. */
int mounts_run(struct fs *fs, struct fs_error *reterr);
void mounts_stop(struct fs *fs);
void mounts_free(struct mounts *mounts);
/* Some store of a mount has not answered yet: what it may know is neither there nor gone. */
bool mounts_wanting(struct fs *fs);

/* --- mount_follow.c: from one volume to another; lock held --- */

/* The volume that shows in ino's place, or NULL. */
struct fs_volume *mount_child(const struct fs_volume *vol, const struct inode *ino);
/* True if ino is a mount point, or one is below it. */
bool mount_keeps(struct fs_volume *vol, const struct inode *ino);

/* --- the same; no lock held --- */

/* The root of child, or dir of up: for LOOKUP that leaves the volume. Keeps the greater of the
 * sequence numbers in req. */
int mount_cross(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_node *ret);

/* --- mount_local.c: directories that are only here; lock held --- */

void local_load(struct fs_volume *vol); /* without the lock, before vol is used */
struct inode *local_make(struct fs_volume *vol, struct inode *dir, const char *name);
/* May something be made in dir: 0; one that is only local and comes or goes just now is waited for.
 */
int local_check(struct fs_volume *vol, struct fs_req *req, const struct inode *dir);
/* Something is made in dir, by c: if it was only local, it is an ordinary directory from now on. */
void local_used(struct fs_volume *vol, struct change *c, struct inode *dir);
/* Removes those that no mount needs; ones that are not empty become ordinary. Without the lock. */
void local_sweep(struct fs_volume *vol);
