/* NFS version 3 (RFC 1813) as a program of the RPC server. */
#pragma once

#include "fs/fs.h"
#include "nfsd/export.h"
#include "nfsd/server.h"

struct nfs3_service { /* must stay while the server runs */
    struct fs *fs;
    const struct export_table *exports;
};

/* The entry for nfsd_listen.programs. */
struct nfsd_program nfs3_program(struct nfs3_service *service);
