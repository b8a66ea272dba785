/*
 * A volume as a FUSE file system on this host: libfuse's low-level interface on fs/.
 *
 * The kernel checks permissions (default_permissions); requests run on libfuse's threads and may
 * wait. A reply that has to be durable first is held until it is, without a thread that waits. What
 * others change is told to the kernel, so that its caches never outlive what fs/ believes.
 *
 * Source: libfuse's fuse_lowlevel.h; the kernel's include/uapi/linux/fuse.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"

enum front_commit {
    FRONT_COMMIT_CLOSE, /* close() waits for the bucket, fsync() for this host's disk */
    FRONT_COMMIT_LOCAL, /* both for this host's disk */
    FRONT_COMMIT_STORE, /* both for the bucket */
};

struct front_config { /* copied */
    struct fs *fs;
    struct fs_volume *vol;
    const char *mountpoint;   /* absolute */
    const char *fsname;       /* in /proc/mounts: the URL */
    const char *fuse_options; /* more options of mount(8) and fusermount3, comma list, or NULL */
    bool read_only, allow_other;
    bool shared; /* NFS clients use the volume too: the kernel asks each time */
    enum front_commit commit;
    int64_t attr_ttl_ns;  /* the longest the kernel may believe anything */
    int64_t deadline_ns;  /* a request that waits longer for the store gets EIO */
    uint32_t threads_max; /* 0: default */
    uint32_t umask;       /* taken off modes of new files and of what shows; 0 none */
};
struct front_error {
    char text[512];
};

/* Is the file system that is mounted at dir one whose program has died? */
bool front_is_dead_mount(const char *dir);

struct front;
/* After fs_run. Mounts; requests are answered from then on. A dead mount of an earlier run in that
 * place is unmounted first. 0, or a negative errno and a sentence. */
int front_start(const struct front_config *config, struct front **ret, struct front_error *reterr);
/* What fs_on_durable told: releases the replies that waited for it. Any thread; must be called from
 * the program's one listener, since fs has only one. */
void front_durable(struct front *front, uint64_t seq);
/* Once, after front_start. fn runs once, on a thread of front or, if it has happened already, on
 * this one, when somebody unmounted it. */
void front_on_end(struct front *front, void (*fn)(void *ctx), void *ctx);
/* Unmounts (lazily if it is busy), answers what is under way, ends its threads. What it told
 * fs_on_invalid stays registered, and front_durable may still be called. NULL is fine. */
void front_stop(struct front *front);
/* After front_stop, when fs_stop has returned: nobody calls it any more. NULL is fine. */
void front_free(struct front *front);
