/*
 * Talking to the rpcbind of this host as its client: is there one, register, unregister. Needs no
 * /etc/netconfig. Registering goes over the loopback from a reserved port, which is how rpcbind
 * knows the superuser; without that right, over its local socket.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rpcbind_client;

/* Connects to port 111 on the loopback and asks NULL. NULL: nothing there speaks rpcbind. */
struct rpcbind_client *rpcbind_open(void);
void rpcbind_close(struct rpcbind_client *client); /* NULL is fine */

/* netid: tcp, udp, tcp6, udp6. 0; -EEXIST: somebody else has registered it; -EACCES: not for us;
 * -EIO: no answer. */
int rpcbind_set(struct rpcbind_client *client, uint32_t prog, uint32_t vers, const char *netid,
                uint16_t port);
int rpcbind_unset(struct rpcbind_client *client, uint32_t prog, uint32_t vers, const char *netid);
/* The port that is registered (over TCP), 0 if none. */
uint16_t rpcbind_get(struct rpcbind_client *client, uint32_t prog, uint32_t vers);
