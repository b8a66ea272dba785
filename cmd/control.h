/*
 * The control socket of a running gateway: HTTP over the Unix socket STATE_DIR/control, so that
 * "pailfs status", "pailfs flush", curl and monitoring can ask how it is.
 *
 *   GET /status    JSON: what is not in the buckets yet, what went wrong, how full things are
 *   GET /metrics   the same as numbers, in the text form of Prometheus
 *   POST /flush    ?path=/EXPORT/PATH (all without it): send what waits now. &mark=MARK, as given
 *                  by an earlier answer: speak of what was changed before that one. JSON
 *   GET /stat      ?path=/EXPORT/PATH: all that is known of it. JSON
 *   POST /refresh  the same, after forgetting what is believed of it and of all below it
 *   GET /submount  what is mounted below exports. JSON
 *   POST /submount    ?path=/EXPORT/PATH&url=URL[&options=NAME=VALUE,...]: mounts that there
 *   DELETE /submount  ?path=/EXPORT/PATH[&force=1]: no more; without force only once all is in the
 *                     bucket, "again" in the answer is true as long as that is waited for
 *
 * Requests run on threads of their own and are few; the data path does not wait for them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cmd/options.h"
#include "fs/status.h"

struct nfsd;
struct serve_options;
struct text_pool;

struct control_export {
    const char *name, *url;
    struct fs_volume *vol;
    const char **mountpoints; /* on this host */
    size_t mountpoint_count;
    char *mount_error; /* of a sub-mount that shows "mount.err"; see control_exports_now */
};
struct control_config { /* copied; what it points at has to stay */
    const char *state_dir;
    struct fs *fs;
    struct nfsd *nfsd; /* NULL: no NFS */
    const struct control_export *exports;
    size_t export_count;
    size_t top_count;                    /* of exports: those that are no sub-mounts */
    const struct serve_options *options; /* what exports have, sub-mounts have too */
    struct text_pool *pool;              /* for what is made at run time */
};

struct control;
int control_start(const struct control_config *config, struct control **ret,
                  struct cmd_error *reterr);
/* Ends the requests under way and removes the socket. NULL is fine. */
void control_stop(struct control *control);
