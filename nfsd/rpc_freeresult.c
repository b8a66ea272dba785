/* The hooks that rpcgen's dispatchers call after a reply: results live in the call and go with it.
 */
#include "mount3.h"
#include "nfs3.h"
#include "portmap.h"

#define FREERESULT(name)                                      \
    int name(SVCXPRT *xprt, xdrproc_t filter, caddr_t result) \
    {                                                         \
        (void)xprt, (void)filter, (void)result;               \
        return TRUE;                                          \
    }

FREERESULT(nfs_program_3_freeresult)
FREERESULT(mount_program_1_freeresult)
FREERESULT(mount_program_3_freeresult)
FREERESULT(pm_program_2_freeresult)
FREERESULT(pm_program_3_freeresult)
FREERESULT(pm_program_4_freeresult)
