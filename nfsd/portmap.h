/*
 * Port 111: being found by clients that ask for the port of NFS or MOUNT. Where rpcbind runs,
 * pailfs registers with it; where none does, it answers on port 111 itself.
 */
#pragma once

enum portmap_mode {
    PORTMAP_AUTO, /* try; go on without when neither works */
    PORTMAP_ON,   /* neither working is an error */
    PORTMAP_OFF,
};
