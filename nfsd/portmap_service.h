/* Answers on port 111: the port mapper (version 2) and RPCBIND (versions 3 and 4), RFC 1833. What
 * it tells is a fixed table; nobody can set or unset, nothing is called on behalf of others. */
#pragma once

#include "nfsd/portmap_run.h"
#include "nfsd/server.h"

struct portmap_service { /* must stay while the server runs */
    const struct portmap_entry *entries;
    size_t entry_count;
};

enum { PORTMAP_PORT = 111, PORTMAP_PROGRAMS = 3, PORTMAP_UADDR_MAX = 80 };

/* The entries for nfsd_listen.programs. */
void portmap_programs(struct portmap_service *service, struct nfsd_program ret[PORTMAP_PROGRAMS]);

/* The universal address (RFC 1833 section 2.1 as rpcbind writes it): "192.0.2.1.8.1", "::1.8.1".
 * local: the address that the question came to; its port does not count. */
void portmap_uaddr(const struct sockaddr *local, uint16_t port, char ret[PORTMAP_UADDR_MAX]);

/* The port of (prog, vers) over UDP or TCP, 0 if there is none. Unless exact, another version of
 * the program does too: the client then learns from it which versions there are. */
uint16_t portmap_find(const struct portmap_service *service, uint32_t prog, uint32_t vers, bool udp,
                      bool exact);
