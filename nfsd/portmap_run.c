/* Port 111: registers with rpcbind, or answers itself, or goes without. One thread, at start and at
 * the end. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include "nfsd/portmap_run.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "nfsd/portmap_rpcbind.h"
#include "nfsd/portmap_service.h"

struct registered { /* what we set and have to unset */
    uint32_t prog, vers;
    const char *netid; /* static */
};

struct portmap {
    struct portmap_config config;
    struct portmap_service service; /* in use once port 111 is ours */
    struct nfsd_program programs[PORTMAP_PROGRAMS];
    struct registered *registered;
    size_t registered_count;
    bool works;
};

/* --- registering with rpcbind --- */

static bool answers_tcp(uint16_t port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)&in, sizeof(in)) == 0;
}

/* Registers one service. What another server left behind when it was killed is replaced; a server
 * that still answers keeps its place. */
static int register_one(struct portmap *portmap, struct rpcbind_client *client,
                        const struct portmap_entry *entry, const char *netid)
{
    int err = rpcbind_set(client, entry->prog, entry->vers, netid, entry->port);

    if (err == -EEXIST) {
        uint16_t port = rpcbind_get(client, entry->prog, entry->vers);
        if (port == entry->port || !answers_tcp(port)) {
            (void)rpcbind_unset(client, entry->prog, entry->vers, netid);
            err = rpcbind_set(client, entry->prog, entry->vers, netid, entry->port);
        }
    }
    if (err)
        return err;
    portmap->registered = mem_rearray(portmap->registered, portmap->registered_count + 1,
                                      sizeof(*portmap->registered));
    portmap->registered[portmap->registered_count++] =
        (struct registered){.prog = entry->prog, .vers = entry->vers, .netid = netid};
    return 0;
}

/* Which address families clients can reach us by. */
static void listen_families(const struct portmap_config *config, bool *ret_v4, bool *ret_v6)
{
    *ret_v4 = *ret_v6 = false;
    for (size_t i = 0; i < config->listen_count; i++) {
        const char *address = config->listen[i];
        if (!address || strcmp(address, "::") == 0)
            *ret_v4 = *ret_v6 = true;
        else if (strchr(address, ':'))
            *ret_v6 = true;
        else
            *ret_v4 = true;
    }
}

static int register_all(struct portmap *portmap, struct rpcbind_client *client)
{
    bool v4, v6;

    listen_families(&portmap->config, &v4, &v6);
    for (size_t i = 0; i < portmap->config.entry_count; i++) {
        const struct portmap_entry *entry = &portmap->config.entries[i];
        int err = 0;
        if (v4)
            err = register_one(portmap, client, entry, entry->udp ? "udp" : "tcp");
        if (err)
            return err;
        /* Best effort: an rpcbind without IPv6 knows no such netid, and IPv4 will do. */
        if (v6)
            err = register_one(portmap, client, entry, entry->udp ? "udp6" : "tcp6");
        if (err && !v4)
            return err;
    }
    return 0;
}

static void unregister_all(struct portmap *portmap, struct rpcbind_client *client)
{
    for (size_t i = 0; i < portmap->registered_count; i++) {
        const struct registered *r = &portmap->registered[i];
        (void)rpcbind_unset(client, r->prog, r->vers, r->netid);
    }
    portmap->registered_count = 0;
}

void portmap_unregister(struct portmap *portmap)
{
    if (!portmap || portmap->registered_count == 0)
        return;
    struct rpcbind_client *client = rpcbind_open();
    if (!client)
        return; /* rpcbind has gone, and our entries with it */
    unregister_all(portmap, client);
    rpcbind_close(client);
}

static int try_rpcbind(struct portmap *portmap, struct rpcbind_client *client,
                       struct nfsd_error *reterr)
{
    int err = register_all(portmap, client);

    if (err == 0) {
        log_event(LOG_INFO, "portmap", "way=rpcbind entries=%zu", portmap->registered_count);
        return 0;
    }
    unregister_all(portmap, client);
    const char *why = "it does not answer";
    if (err == -EEXIST)
        why = "another NFS server is registered there";
    else if (err == -EACCES)
        why = "it lets only the superuser register";
    (void)snprintf(reterr->text, sizeof(reterr->text), "cannot register with rpcbind: %s", why);
    return err;
}

/* --- answering ourselves --- */

static int try_own(struct portmap *portmap, struct nfsd *nfsd, struct nfsd_error *reterr)
{
    const struct portmap_config *config = &portmap->config;

    portmap->service = (struct portmap_service){
        .entries = config->entries,
        .entry_count = config->entry_count,
    };
    portmap_programs(&portmap->service, portmap->programs);
    for (size_t i = 0; i < config->listen_count; i++) {
        struct nfsd_listen listen = {
            .address = config->listen[i],
            .port = PORTMAP_PORT,
            .tcp = true,
            .udp = true,
            .programs = portmap->programs,
            .program_count = PORTMAP_PROGRAMS,
        };
        int err = nfsd_listen(nfsd, &listen, NULL, reterr);
        if (err)
            return err;
    }
    log_event(LOG_INFO, "portmap", "way=own port=%d", PORTMAP_PORT);
    return 0;
}

int portmap_start(struct nfsd *nfsd, const struct portmap_config *config, struct portmap **ret,
                  struct nfsd_error *reterr)
{
    struct portmap *portmap = mem_zalloc(sizeof(*portmap));
    int err = 0;

    portmap->config = *config;
    if (config->mode != PORTMAP_OFF) {
        struct rpcbind_client *client = rpcbind_open();
        err = client ? try_rpcbind(portmap, client, reterr) : try_own(portmap, nfsd, reterr);
        rpcbind_close(client);
    }
    if (err && config->mode == PORTMAP_ON) {
        portmap_free(portmap);
        return err;
    }
    portmap->works = err == 0 && config->mode != PORTMAP_OFF;
    if (err)
        log_event(LOG_WARN, "portmap", "way=none why=%s consequence=%s", LOG_Q(reterr->text),
                  LOG_Q("clients have to give port= and mountport="));
    *ret = portmap;
    return 0;
}

bool portmap_works(const struct portmap *portmap)
{
    return portmap->works;
}

void portmap_free(struct portmap *portmap)
{
    if (!portmap)
        return;
    free(portmap->registered);
    free(portmap);
}
