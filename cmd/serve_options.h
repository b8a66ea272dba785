/* What "pailfs serve" was told to do: options and exports, checked as far as text can be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "cloud/store.h"
#include "cmd/options.h"
#include "fuse/front.h"
#include "nfsd/export.h"
#include "nfsd/portmap_mode.h"

struct serve_export {
    char *url;  /* of the store, without the "=/EXPORT" */
    char *name; /* "/media" */
};

struct serve_mount { /* a FUSE mount on this host */
    char *name;      /* of the export; NULL: the first */
    char *dir;
};

struct serve_options {
    struct store_config store; /* first: see store_options.h. Its strings point into argv */
    char *state_dir;
    char **listen; /* numeric addresses; none: both loopbacks */
    size_t listen_count;
    uint32_t nfs_port, mount_port;
    enum portmap_mode portmap;

    struct export_net *nets;
    size_t net_count;
    bool read_only;
    bool secure;
    enum export_squash squash;
    uint32_t anon_uid, anon_gid;

    int64_t attr_ttl_ns, quiet_ns, retry_max_ns, deadline_ns, shutdown_ns;
    bool commit_store, accept_damage;
    uint64_t memory_limit, stage_limit;
    enum log_level log_level;

    struct serve_export *exports;
    size_t export_count;

    bool nfs;
    struct serve_mount *mounts;
    size_t mount_count;
    bool allow_other, foreground;
    enum front_commit mount_commit;
    uint32_t mount_umask;
    char *fuse_options; /* what mount(8) is told beside; NULL: nothing */
    char *log_file;     /* of a process in the background; NULL: syslog */
};

/* Reads argv (argv[0] is the command's name). 0, or -EINVAL with the sentence in reterr. ret has to
 * be cleared in both cases. The environment gives the default state directory. */
int serve_options_parse(int argc, char **argv, struct serve_options *ret, struct cmd_error *reterr);
/* The same for "pailfs mount": one export, URL MOUNTPOINT, called like its mountpoint. */
int serve_options_parse_mount(int argc, char **argv, struct serve_options *ret,
                              struct cmd_error *reterr);
void serve_options_clear(struct serve_options *options);

void serve_options_help(FILE *out);
void serve_options_help_mount(FILE *out);
