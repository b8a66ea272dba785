/* What may be said of one bucket that is served or mounted, each on its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/store.h"
#include "cmd/options.h"
#include "fs/fs.h"
#include "fuse/front.h"
#include "nfsd/export.h"

struct export_options { /* strings and arrays are the pool's; copies share them */
    struct store_config store;
    struct fs_volume_config volume;
    const char *url; /* only of a section of a file */

    /* For NFS clients. */
    const struct export_net *nets;
    size_t net_count;
    bool secure;
    enum export_squash squash;
    uint32_t anon_uid, anon_gid;

    /* For mounts on this host. */
    bool allow_other;
    enum front_commit mount_commit;
    uint32_t mount_umask;
    const char *fuse_options; /* of mount(8) and fusermount3, a comma list, or NULL */
    const char *fsname;       /* or NULL: the URL */

    bool sse_s3, sse_kms, sse_c; /* what was asked for */
};

void export_options_default(struct export_options *ret);

/* What the options say together, and what follows from them. 0, or -EINVAL with a sentence. */
int export_options_finish(struct export_options *options, struct cmd_error *reterr);
