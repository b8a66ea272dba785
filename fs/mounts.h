/*
 * Sub-mounts: other buckets, prefixes or providers below a path of a volume, as with mount(8).
 *
 * A mount is a path below a top volume (one that fs_add_volume gave) and a store. Its volume's root
 * shows in the place of whatever lies at that path; what lies below it is hidden meanwhile. Mounts
 * nest, whatever the order in which they are made; removing one leaves those below it where they
 * are. Parts of the path that do not exist show as directories that are never sent to the store,
 * unless something is made in them. Names cannot be moved or copied from one volume to another.
 *
 * A store that cannot be opened shows as an empty read-only directory with the reason in the file
 * "mount.err", is tried again in the background, and comes in its place as soon as it can.
 *
 * A store is mounted once at most, so a volume is below one top volume only, and whoever may use
 * that (an export's clients, a FUSE mount's users) may use it.
 */
#pragma once

#include "fs/fs.h"

enum { FS_MOUNTS_MAX = 256 };

struct fs_mount {
    const char *path; /* below the top volume: "/a/b" */
    const char *url;
    const char *options; /* how the caller calls what is in store and volume, or NULL: the same text
                            means the same values */
    bool keep;           /* for the runs to come too: see fs_mounts_kept */
    const struct store_config *store;      /* copied, but for its strings: they have to stay */
    const struct fs_volume_config *volume; /* copied; NULL: default */
};

/*
 * Makes mounts; their stores are asked side by side. Before fs_run or after it. Stores that do not
 * answer for some time, or cannot be opened, make no failure (see above). Else, one by one: -EINVAL
 * no path, -ENOTDIR something that is no directory is there, -EEXIST path or store is taken
 * already, -ENOSPC too many, -EAGAIN somebody else is changing the mounts until the deadline.
 */
int fs_mount(struct fs *fs, struct fs_volume *top, const struct fs_mount *mounts, size_t count,
             int64_t deadline_ns, struct fs_error *reterr);

/*
 * After fs_run. Refuses with -EBUSY while files are open there. Waits until all that was written is
 * in the store; -EAGAIN if that takes longer than the deadline, and the mount stays. With force it
 * does not wait: what is missing stays in the state directory, and goes on when the same store is
 * mounted again. -ENOENT: no such mount.
 */
int fs_unmount(struct fs *fs, struct fs_volume *top, const char *path, bool force,
               int64_t deadline_ns, struct fs_error *reterr);

struct fs_mount_info {
    struct fs_volume *top, *vol; /* vol: what shows; NULL before fs_run */
    char *path, *url, *options;  /* options may be NULL */
    bool keep, read_only;
    bool failed; /* "mount.err" shows, or nothing at all because something is in the way */
    char error[512];
};
/* All mounts, by path. */
void fs_mounts_get(struct fs *fs, struct fs_mount_info **ret, size_t *ret_count);
void fs_mounts_free(struct fs_mount_info *infos, size_t count);

/* The mounts with keep that an earlier run had below top: fn gets path, url and options, and
 * returns false to stop. Before fs_run. */
typedef bool fs_mount_kept_fn(void *ctx, const struct fs_mount *kept);
int fs_mounts_kept(struct fs *fs, struct fs_volume *top, fs_mount_kept_fn *fn, void *ctx);
