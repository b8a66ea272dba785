/* NFS version 3 as a program of the RPC server. */
#include "nfsd/nfs3_service.h"

#include "nfs3.h"

void nfs_program_3(struct svc_req *req, SVCXPRT *xprt); /* rpcgen's */

#define ONCE(proc) (UINT64_C(1) << (proc))

struct nfsd_program nfs3_program(struct nfs3_service *service)
{
    return (struct nfsd_program){
        .prog = NFS_PROGRAM,
        .vers = NFS_V3,
        .dispatch = nfs_program_3,
        /* What gives another answer the second time. WRITE and COMMIT do not. */
        .once = ONCE(NFSPROC3_SETATTR) | ONCE(NFSPROC3_CREATE) | ONCE(NFSPROC3_MKDIR) |
                ONCE(NFSPROC3_SYMLINK) | ONCE(NFSPROC3_REMOVE) | ONCE(NFSPROC3_RMDIR) |
                ONCE(NFSPROC3_RENAME),
        .udp = false,
        .ctx = service,
    };
}
