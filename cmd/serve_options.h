/* What "pailfs serve" and "pailfs mount" were told to do, by the command line and a configuration
 * file, checked as far as text can be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "cmd/export_options.h"
#include "cmd/options.h"
#include "cmd/text_pool.h"
#include "nfsd/export.h"
#include "nfsd/portmap_mode.h"

struct serve_export {
    const char *url;  /* of the store, without the "=/EXPORT" */
    const char *name; /* "/media"; of one that is only mounted, its mountpoint */
    bool hidden;      /* not for NFS clients */
    struct export_options options;
};

struct serve_mount {  /* a FUSE mount on this host */
    const char *name; /* of the export; NULL: the first */
    const char *dir;  /* absolute */
    struct export_options options;
};

struct serve_submount {
    const char *path; /* "/media/sub": an export's name and a path in it */
    const char *url;
    struct export_options options;
};

struct serve_options {
    struct text_pool pool; /* strings, but for those that are not const */
    char *state_dir;
    char **listen; /* numeric addresses, the pool's; none: both loopbacks */
    size_t listen_count;
    uint32_t nfs_port, mount_port;
    enum portmap_mode portmap;

    int64_t quiet_ns, retry_max_ns, deadline_ns, shutdown_ns;
    bool commit_store, accept_damage;
    uint64_t memory_limit, stage_limit;
    uint32_t uploads;
    enum log_level log_level;

    struct export_options defaults; /* of whatever is added later */
    struct serve_export *exports;
    size_t export_count;
    struct serve_mount *mounts;
    size_t mount_count;
    struct serve_submount *submounts;
    size_t submount_count;

    bool nfs;
    bool foreground;
    char *log_file; /* NULL: stderr, in the background syslog */

    char **notes; /* sentences about options that were accepted and mean nothing here */
    size_t note_count;
};

void serve_options_default(struct serve_options *ret);

/* Reads argv (argv[0] is the command's name) and the configuration file it names. 0, or -EINVAL
 * with the sentence in reterr. ret has to be cleared in both cases. The environment gives the
 * default state directory. */
int serve_options_parse(int argc, char **argv, struct serve_options *ret, struct cmd_error *reterr);
/* The same for "pailfs mount": one export, called like its mountpoint. */
int serve_options_parse_mount(int argc, char **argv, struct serve_options *ret,
                              struct cmd_error *reterr);
/* A configuration file alone, on whichever host: nothing that it names is looked at. */
int serve_options_check_file(const char *path, struct serve_options *ret, struct cmd_error *reterr);
/* The same for what the file would have in it. */
int serve_options_check_text(const char *path, const char *text, size_t len,
                             struct serve_options *ret, struct cmd_error *reterr);
void serve_options_clear(struct serve_options *options);

/* Prints the notes on stderr. */
void serve_options_tell(const struct serve_options *options);

void serve_options_help(FILE *out);
void serve_options_help_mount(FILE *out);
