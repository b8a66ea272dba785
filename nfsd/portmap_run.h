/*
 * Port 111: being found by clients that ask for the port of NFS or MOUNT. Where rpcbind answers on
 * this host's loopback, pailfs registers with it; where none does, it answers on port 111 itself,
 * on the addresses it serves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nfsd/portmap_mode.h"
#include "nfsd/server.h"

struct portmap_entry {
    uint32_t prog, vers;
    bool udp;
    uint16_t port;
};

struct portmap_config {
    enum portmap_mode mode;
    const char *const *listen; /* numeric addresses; NULL as an element: both loopbacks */
    size_t listen_count;
    const struct portmap_entry *entries; /* what is served; must stay */
    size_t entry_count;
};

struct portmap;

/* Between nfsd_listen and nfsd_start. Waits for rpcbind some seconds at most. Logs which way it
 * went. With PORTMAP_AUTO and PORTMAP_OFF it always succeeds. */
int portmap_start(struct nfsd *nfsd, const struct portmap_config *config, struct portmap **ret,
                  struct nfsd_error *reterr);

/* True if clients find the ports by asking port 111. */
bool portmap_works(const struct portmap *portmap);

/* Takes back what was registered. Before nfsd_free is fine, but call portmap_free after it. */
void portmap_unregister(struct portmap *portmap); /* NULL is fine */
void portmap_free(struct portmap *portmap);       /* NULL is fine */
