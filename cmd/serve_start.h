/* Everything that "pailfs serve" holds while it serves, and how it comes up and goes down. */
#pragma once

#include <pthread.h>

#include "cmd/control.h"
#include "cmd/serve_options.h"
#include "fs/fs.h"
#include "nfsd/export.h"
#include "nfsd/mount_service.h"
#include "nfsd/nfs3_service.h"
#include "nfsd/portmap_run.h"
#include "nfsd/server.h"

enum { SERVE_PROGRAMS = 1 + MOUNT_PROGRAMS, SERVE_PORTMAP_ENTRIES = 5 };

struct serve {
    const struct serve_options *options;
    struct fs *fs;
    struct export_table *exports;
    struct mount_list *mounts;
    struct nfsd *nfsd;
    struct portmap *portmap;
    struct nfs3_service nfs3;
    struct mount_service mount;
    struct nfsd_program programs[SERVE_PROGRAMS]; /* NFS first, then MOUNT */
    struct portmap_entry entries[SERVE_PORTMAP_ENTRIES];
    struct control_export *control_exports; /* as many as there are exports */
    struct control *control;
    bool started;

    pthread_mutex_t
        durable_mutex;         /* protects durable_nfsd; taken alone, but for nfsd's own locks */
    struct nfsd *durable_nfsd; /* whom to tell what is durable; NULL once it is going */
};

/* Brings everything up, letting clients in last. On failure a sentence, and serve_stop frees what
 * there is. options must stay. */
int serve_start(struct serve *serve, const struct serve_options *options, struct cmd_error *reterr);

/* Takes everything down: no new requests, the ones under way answered, all durable, uploads until
 * options.shutdown_ns from now; says in the log what is left. After a start that failed it is
 * silent and does not wait for the store. */
void serve_stop(struct serve *serve);
