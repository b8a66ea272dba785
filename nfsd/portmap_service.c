/*
 * Answers on port 111. Over UDP nothing is said that is much longer than the question, so that
 * nobody uses this port to amplify: no DUMP and no GETADDRLIST there.
 */
#include "nfsd/portmap_service.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "nfsd/export_net.h"
#include "nfsd/rpc.h"
#include "portmap.h"

enum { PORTMAP_CLTS = 1, PORTMAP_COTS_ORD = 3 }; /* nc_semantics of RFC 1833 */

void pm_program_2(struct svc_req *req, SVCXPRT *xprt); /* rpcgen's */
void pm_program_3(struct svc_req *req, SVCXPRT *xprt);
void pm_program_4(struct svc_req *req, SVCXPRT *xprt);

void portmap_programs(struct portmap_service *service, struct nfsd_program ret[PORTMAP_PROGRAMS])
{
    static void (*const dispatch[])(struct svc_req *, SVCXPRT *) = {pm_program_2, pm_program_3,
                                                                    pm_program_4};
    static const uint32_t versions[] = {PM_V2, PM_V3, PM_V4};

    for (int i = 0; i < PORTMAP_PROGRAMS; i++) {
        ret[i] = (struct nfsd_program){
            .prog = PM_PROGRAM,
            .vers = versions[i],
            .dispatch = dispatch[i],
            .udp = true,
            .ctx = service,
        };
    }
}

void portmap_uaddr(const struct sockaddr *local, uint16_t port, char ret[PORTMAP_UADDR_MAX])
{
    char host[EXPORT_NET_TEXT] = "";
    struct export_addr addr;

    if (export_addr_from(local, &addr))
        export_addr_format(&addr, host);
    (void)snprintf(ret, PORTMAP_UADDR_MAX, "%s.%u.%u", host, port >> 8, port & 0xffu);
}

/* Port 111 itself, over both transports, in every version. */
static bool is_self(uint32_t prog, uint32_t vers, bool exact)
{
    return prog == PM_PROGRAM && (!exact || (vers >= PM_V2 && vers <= PM_V4));
}

uint16_t portmap_find(const struct portmap_service *service, uint32_t prog, uint32_t vers, bool udp,
                      bool exact)
{
    uint16_t other = 0;

    if (is_self(prog, vers, exact))
        return PORTMAP_PORT;
    for (size_t i = 0; i < service->entry_count; i++) {
        const struct portmap_entry *entry = &service->entries[i];
        if (entry->prog != prog || entry->udp != udp)
            continue;
        if (entry->vers == vers)
            return entry->port;
        other = entry->port;
    }
    return exact ? 0 : other;
}

/* --- walking the table, port 111's own entries first --- */

static size_t entry_count(const struct portmap_service *service)
{
    return 2 * PORTMAP_PROGRAMS + service->entry_count;
}

static struct portmap_entry entry_at(const struct portmap_service *service, size_t index)
{
    if (index >= 2 * PORTMAP_PROGRAMS)
        return service->entries[index - 2 * PORTMAP_PROGRAMS];
    return (struct portmap_entry){
        .prog = PM_PROGRAM,
        .vers = PM_V4 - (uint32_t)(index / 2),
        .udp = index % 2 == 1,
        .port = PORTMAP_PORT,
    };
}

static bool local_is_v4(const struct rpc_call *call)
{
    struct export_addr local;

    return !export_addr_from(&call->local.sa, &local) || local.v4;
}

static const char *netid_of(bool udp, bool v4)
{
    if (udp)
        return v4 ? "udp" : "udp6";
    return v4 ? "tcp" : "tcp6";
}

/* --- version 2 --- */

bool_t pm2_null_2_svc(void *args, void *res, struct svc_req *req)
{
    (void)args;
    (void)res;
    (void)req;
    return TRUE;
}

/* Refused, for versions 3 and 4 as well: what this table tells belongs to this process. */
bool_t pm2_set_2_svc(pm_mapping *args, bool_t *res, struct svc_req *req)
{
    (void)args;
    (void)req;
    *res = FALSE;
    return TRUE;
}

bool_t pm2_unset_2_svc(pm_mapping *args, bool_t *res, struct svc_req *req)
{
    return pm2_set_2_svc(args, res, req);
}

bool_t pm2_getport_2_svc(pm_mapping *args, u_int *res, struct svc_req *req)
{
    const struct portmap_service *service = rpc_call_of(req)->ctx;

    *res = 0;
    if (args->prot == IPPROTO_TCP || args->prot == IPPROTO_UDP)
        *res = portmap_find(service, args->prog, args->vers, args->prot == IPPROTO_UDP, false);
    return TRUE;
}

bool_t pm2_dump_2_svc(void *args, pm_list *res, struct svc_req *req)
{
    struct rpc_call *call = rpc_call_of(req);
    const struct portmap_service *service = call->ctx;
    struct pm_node **tail = res;

    (void)args;
    *res = NULL;
    if (call->udp) {
        svcerr_noproc(req->rq_xprt);
        return FALSE;
    }
    for (size_t i = 0; i < entry_count(service); i++) {
        struct portmap_entry entry = entry_at(service, i);
        struct pm_node *node = rpc_alloc(call, sizeof(*node));
        assert(node); /* the table is a few entries */
        node->map = (pm_mapping){
            .prog = entry.prog,
            .vers = entry.vers,
            .prot = entry.udp ? IPPROTO_UDP : IPPROTO_TCP,
            .port = entry.port,
        };
        *tail = node;
        tail = &node->next;
    }
    return TRUE;
}

/* --- versions 3 and 4 --- */

/* Which transport is asked for: the one named, if it is one of ours, else the one that the question
 * came over. False: one of an address family that this question's address does not have. */
static bool asked_transport(const struct rpc_call *call, const char *netid, bool *ret_udp)
{
    bool v4 = local_is_v4(call);

    for (int udp = 0; udp <= 1; udp++) {
        if (strcmp(netid, netid_of(udp, v4)) == 0) {
            *ret_udp = udp;
            return true;
        }
        if (strcmp(netid, netid_of(udp, !v4)) == 0)
            return false;
    }
    *ret_udp = call->udp;
    return true;
}

/* The universal address of a service; "" if there is none. */
static bool_t answer_addr(const pm_rpcb *args, pm_string *res, struct svc_req *req, bool exact)
{
    struct rpc_call *call = rpc_call_of(req);
    const struct portmap_service *service = call->ctx;
    char text[PORTMAP_UADDR_MAX] = "";
    uint16_t port = 0;
    bool udp;

    if (asked_transport(call, args->r_netid, &udp))
        port = portmap_find(service, args->r_prog, args->r_vers, udp, exact);
    if (port)
        portmap_uaddr(&call->local.sa, port, text);
    *res = rpc_strdup(call, text);
    assert(*res);
    return TRUE;
}

bool_t pm3_null_3_svc(void *args, void *res, struct svc_req *req)
{
    return pm2_null_2_svc(args, res, req);
}

bool_t pm3_set_3_svc(pm_rpcb *args, bool_t *res, struct svc_req *req)
{
    (void)args;
    (void)req;
    *res = FALSE;
    return TRUE;
}

bool_t pm3_unset_3_svc(pm_rpcb *args, bool_t *res, struct svc_req *req)
{
    return pm3_set_3_svc(args, res, req);
}

bool_t pm3_getaddr_3_svc(pm_rpcb *args, pm_string *res, struct svc_req *req)
{
    return answer_addr(args, res, req, false);
}

bool_t pm3_dump_3_svc(void *args, pm_rpcb_list *res, struct svc_req *req)
{
    static char owner[] = "superuser"; /* as rpcbind shows system services */
    struct rpc_call *call = rpc_call_of(req);
    const struct portmap_service *service = call->ctx;
    struct pm_rpcb_node **tail = res;
    char text[PORTMAP_UADDR_MAX];

    (void)args;
    *res = NULL;
    if (call->udp) {
        svcerr_noproc(req->rq_xprt);
        return FALSE;
    }
    for (size_t i = 0; i < entry_count(service); i++) {
        struct portmap_entry entry = entry_at(service, i);
        struct pm_rpcb_node *node = rpc_alloc(call, sizeof(*node));
        assert(node);
        portmap_uaddr(&call->local.sa, entry.port, text);
        node->map.r_prog = entry.prog;
        node->map.r_vers = entry.vers;
        node->map.r_netid = rpc_strdup(call, netid_of(entry.udp, local_is_v4(call)));
        node->map.r_addr = rpc_strdup(call, text);
        node->map.r_owner = owner;
        assert(node->map.r_netid && node->map.r_addr);
        *tail = node;
        tail = &node->next;
    }
    return TRUE;
}

bool_t pm3_gettime_3_svc(void *args, u_int *res, struct svc_req *req)
{
    (void)args;
    (void)req;
    *res = (u_int)(clock_wall_ns() / CLOCK_S);
    return TRUE;
}

bool_t pm4_null_4_svc(void *args, void *res, struct svc_req *req)
{
    return pm2_null_2_svc(args, res, req);
}

bool_t pm4_set_4_svc(pm_rpcb *args, bool_t *res, struct svc_req *req)
{
    return pm3_set_3_svc(args, res, req);
}

bool_t pm4_unset_4_svc(pm_rpcb *args, bool_t *res, struct svc_req *req)
{
    return pm3_set_3_svc(args, res, req);
}

bool_t pm4_getaddr_4_svc(pm_rpcb *args, pm_string *res, struct svc_req *req)
{
    return answer_addr(args, res, req, false);
}

bool_t pm4_dump_4_svc(void *args, pm_rpcb_list *res, struct svc_req *req)
{
    return pm3_dump_3_svc(args, res, req);
}

bool_t pm4_gettime_4_svc(void *args, u_int *res, struct svc_req *req)
{
    return pm3_gettime_3_svc(args, res, req);
}

bool_t pm4_getversaddr_4_svc(pm_rpcb *args, pm_string *res, struct svc_req *req)
{
    return answer_addr(args, res, req, true);
}

bool_t pm4_getaddrlist_4_svc(pm_rpcb *args, pm_entry_list *res, struct svc_req *req)
{
    static char inet[] = "inet", inet6[] = "inet6", tcp[] = "tcp", udp_name[] = "udp";
    struct rpc_call *call = rpc_call_of(req);
    const struct portmap_service *service = call->ctx;
    struct pm_entry **tail = res;
    char text[PORTMAP_UADDR_MAX];

    *res = NULL;
    if (call->udp) {
        svcerr_noproc(req->rq_xprt);
        return FALSE;
    }
    for (int udp = 0; udp <= 1; udp++) {
        uint16_t port = portmap_find(service, args->r_prog, args->r_vers, udp, true);
        if (!port)
            continue;
        struct pm_entry *entry = rpc_alloc(call, sizeof(*entry));
        assert(entry);
        portmap_uaddr(&call->local.sa, port, text);
        entry->r_maddr = rpc_strdup(call, text);
        entry->r_nc_netid = rpc_strdup(call, netid_of(udp, local_is_v4(call)));
        assert(entry->r_maddr && entry->r_nc_netid);
        entry->r_nc_semantics = udp ? PORTMAP_CLTS : PORTMAP_COTS_ORD;
        entry->r_nc_protofmly = local_is_v4(call) ? inet : inet6;
        entry->r_nc_proto = udp ? udp_name : tcp;
        *tail = entry;
        tail = &entry->next;
    }
    return TRUE;
}
