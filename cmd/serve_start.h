/* Everything that "pailfs serve" and "pailfs mount" hold while they run, and how it comes up and
 * goes down. A mount is a server without NFS. */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "cmd/control.h"
#include "cmd/serve_options.h"
#include "fs/fs.h"
#include "fuse/front.h"
#include "nfsd/export.h"
#include "nfsd/mount_service.h"
#include "nfsd/nfs3_service.h"
#include "nfsd/portmap_run.h"
#include "nfsd/server.h"

/* What a server without NFS sends itself when its last mount was unmounted by others. */
#define SERVE_SIGNAL_UNMOUNTED SIGUSR1

enum { SERVE_PROGRAMS = 1 + MOUNT_PROGRAMS, SERVE_PORTMAP_ENTRIES = 5 };

struct serve_front {
    struct serve *serve;
    const struct serve_mount *mount;
    struct fs_volume *vol;
    struct front *front; /* read by tell_durable: under durable_mutex */
};

struct serve {
    const struct serve_options *options;
    struct fs *fs;
    struct export_table *exports;
    struct mount_list *mounts;
    struct nfsd *nfsd; /* NULL without NFS, then portmap too */
    struct portmap *portmap;
    struct nfs3_service nfs3;
    struct mount_service mount;
    struct nfsd_program programs[SERVE_PROGRAMS]; /* NFS first, then MOUNT */
    struct portmap_entry entries[SERVE_PORTMAP_ENTRIES];
    struct control_export *control_exports; /* as many as there are exports */
    struct control *control;
    struct text_pool submount_pool; /* options of those that were made at run time */
    struct serve_front *fronts;
    size_t front_count;
    _Atomic size_t fronts_mounted;
    bool started;

    pthread_mutex_t durable_mutex; /* protects durable_nfsd and fronts[].front; taken alone, but for
                                      the locks that nfsd and the fronts have of their own */
    struct nfsd *durable_nfsd;     /* whom to tell what is durable; NULL once it is going */
};

/* Brings everything up, letting clients in last. On failure a sentence, and serve_stop frees what
 * there is. options must stay. */
int serve_start(struct serve *serve, const struct serve_options *options, struct cmd_error *reterr);

/* Serves until SIGTERM, SIGINT, SIGHUP or the last unmount, and drains. ready (or NULL) is called
 * once clients are let in. The exit status of the command; sentences go to stderr. */
int serve_run(const struct serve_options *options, void (*ready)(void));

/* Takes everything down: no new requests, the ones under way answered, all durable, uploads until
 * options.shutdown_ns from now; says in the log what is left. After a start that failed it is
 * silent and does not wait for the store. */
void serve_stop(struct serve *serve);

/* --- serve_submount.c --- */

/* Between the volumes and fs_run. */
int serve_submounts(struct serve *serve, struct cmd_error *reterr);

/* --- serve_nfs.c --- */

/* Makes serve->nfsd and lets it listen; nobody is answered before nfsd_start. */
int serve_nfs_listen(struct serve *serve, struct cmd_error *reterr);

/* --- serve_fronts.c --- */

/* Whether options.mounts can be mounted, as far as it can be told before anything is started. */
int serve_fronts_check(const struct serve_options *options, struct cmd_error *reterr);
/* Fills in where export will be mounted; first: it is the one that mounts without a name mean. */
void serve_fronts_tell(const struct serve_options *options, bool first,
                       struct control_export *export);
/* Mounts them all; after fs_run. */
int serve_fronts_start(struct serve *serve, struct cmd_error *reterr);
/* For tell_durable, with durable_mutex held. */
void serve_fronts_durable(struct serve *serve, uint64_t seq);
/* After the drain, before fs_stop lets others have the state directory. */
void serve_fronts_forget(struct serve *serve);
/* Unmounts; serve_fronts_free after fs_stop. */
void serve_fronts_stop(struct serve *serve);
void serve_fronts_free(struct serve *serve);
