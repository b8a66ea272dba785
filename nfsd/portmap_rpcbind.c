/* Talking to the rpcbind of this host as its client, over libtirpc's client handles on sockets of
 * our own making. Used by one thread. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include "nfsd/portmap_rpcbind.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rpc/rpc.h>

#include <rpc/pmap_prot.h>
#include <rpc/rpcb_prot.h>

enum { RPCBIND_TIMEOUT_MS = 3000, RPCBIND_PORT = 111 };

struct rpcbind_client {
    CLIENT *rpcb;      /* version 4, on the loopback */
    CLIENT *pmap;      /* version 2, on the loopback */
    CLIENT *unix_rpcb; /* version 4, on the local socket; NULL until needed */
};

static const struct timeval rpcbind_timeout = {.tv_sec = RPCBIND_TIMEOUT_MS / 1000};

/* A connected socket, or -1. */
static int connect_socket(int family, const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = rpcbind_timeout;

    if (fd < 0)
        return -1;
    if (family == AF_INET)
        (void)bindresvport(fd, NULL); /* without it we may ask but not register */
    /* Bounds connect() too. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, addr, len) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static CLIENT *make_client(int family, const struct sockaddr *addr, socklen_t len, rpcvers_t vers)
{
    struct netbuf netbuf = {.maxlen = len, .len = len, .buf = (void *)addr};

    int fd = connect_socket(family, addr, len);
    if (fd < 0)
        return NULL;
    CLIENT *client = clnt_vc_create(fd, &netbuf, RPCBPROG, vers, 0, 0);
    if (!client) {
        (void)close(fd);
        return NULL;
    }
    (void)clnt_control(client, CLSET_FD_CLOSE, NULL);
    return client;
}

static CLIENT *make_loopback_client(rpcvers_t vers)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons(RPCBIND_PORT),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    return make_client(AF_INET, (const struct sockaddr *)&in, sizeof(in), vers);
}

static void destroy_client(CLIENT *client)
{
    if (client)
        clnt_destroy(client);
}

static bool_t no_bytes(XDR *xdrs, void *nothing)
{
    (void)xdrs;
    (void)nothing;
    return TRUE;
}

struct rpcbind_client *rpcbind_open(void)
{
    struct rpcbind_client *client = mem_zalloc(sizeof(*client));

    client->rpcb = make_loopback_client(RPCBVERS4);
    client->pmap = client->rpcb ? make_loopback_client(PMAPVERS) : NULL;
    if (client->pmap && clnt_call(client->rpcb, NULLPROC, (xdrproc_t)no_bytes, NULL,
                                  (xdrproc_t)no_bytes, NULL, rpcbind_timeout) == RPC_SUCCESS)
        return client;
    rpcbind_close(client);
    return NULL;
}

void rpcbind_close(struct rpcbind_client *client)
{
    if (!client)
        return;
    destroy_client(client->rpcb);
    destroy_client(client->pmap);
    destroy_client(client->unix_rpcb);
    free(client);
}

/* SET or UNSET by one way. 0: it said yes; -EEXIST: it said no; -EACCES, -EIO: it did not say. */
static int call_once(CLIENT *way, rpcproc_t proc, struct rpcb *args)
{
    bool_t yes = FALSE;

    enum clnt_stat stat =
        clnt_call(way, proc, (xdrproc_t)xdr_rpcb, args, (xdrproc_t)xdr_bool, &yes, rpcbind_timeout);
    if (stat == RPC_AUTHERROR)
        return -EACCES;
    if (stat != RPC_SUCCESS)
        return -EIO;
    return yes ? 0 : -EEXIST;
}

static CLIENT *unix_way(struct rpcbind_client *client)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/rpcbind.sock"};

    if (!client->unix_rpcb)
        client->unix_rpcb =
            make_client(AF_UNIX, (const struct sockaddr *)&un, (socklen_t)SUN_LEN(&un), RPCBVERS4);
    return client->unix_rpcb;
}

static int call_change(struct rpcbind_client *client, rpcproc_t proc, uint32_t prog, uint32_t vers,
                       const char *netid, const char *addr)
{
    char owner[16], netid_text[8], addr_text[32];
    struct rpcb args = {.r_prog = prog, .r_vers = vers};

    (void)snprintf(owner, sizeof(owner), "%u", (unsigned)geteuid());
    (void)snprintf(netid_text, sizeof(netid_text), "%s", netid);
    (void)snprintf(addr_text, sizeof(addr_text), "%s", addr);
    args.r_netid = netid_text;
    args.r_addr = addr_text;
    args.r_owner = owner;
    int err = call_once(client->rpcb, proc, &args);
    /* The path of the local socket is the same in every network namespace, so it may lead to the
     * rpcbind of another one: only for those who may not use the loopback. */
    if (err == -EACCES && unix_way(client))
        err = call_once(client->unix_rpcb, proc, &args);
    return err;
}

int rpcbind_set(struct rpcbind_client *client, uint32_t prog, uint32_t vers, const char *netid,
                uint16_t port)
{
    char addr[32];
    bool v6 = strchr(netid, '6') != NULL;

    (void)snprintf(addr, sizeof(addr), "%s.%u.%u", v6 ? "::" : "0.0.0.0", port >> 8, port & 0xffu);
    return call_change(client, RPCBPROC_SET, prog, vers, netid, addr);
}

int rpcbind_unset(struct rpcbind_client *client, uint32_t prog, uint32_t vers, const char *netid)
{
    return call_change(client, RPCBPROC_UNSET, prog, vers, netid, "");
}

uint16_t rpcbind_get(struct rpcbind_client *client, uint32_t prog, uint32_t vers)
{
    struct pmap args = {.pm_prog = prog, .pm_vers = vers, .pm_prot = IPPROTO_TCP};
    u_short port = 0;

    if (clnt_call(client->pmap, PMAPPROC_GETPORT, (xdrproc_t)xdr_pmap, &args,
                  (xdrproc_t)xdr_u_short, &port, rpcbind_timeout) != RPC_SUCCESS)
        return 0;
    return port;
}
