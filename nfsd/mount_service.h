/* The MOUNT protocol, version 3 (RFC 1813 appendix I) and what umount and showmount need of
 * version 1, as programs of the RPC server. */
#pragma once

#include "fs/fs.h"
#include "nfsd/export.h"
#include "nfsd/mount_list.h"
#include "nfsd/server.h"

struct mount_service { /* must stay while the server runs */
    struct fs *fs;
    const struct export_table *exports;
    struct mount_list *list;
};

enum { MOUNT_PROGRAMS = 2 };

/* The entries for nfsd_listen.programs. */
void mount_programs(struct mount_service *service, struct nfsd_program ret[MOUNT_PROGRAMS]);
