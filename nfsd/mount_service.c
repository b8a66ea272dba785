/* The procedures of MOUNT that answer from memory (DUMP, EXPORT, UMNT, UMNTALL, NULL), in both
 * versions, and the table of programs. MNT is in mount_mnt.c. */
#include "nfsd/mount_service.h"

#include <string.h>

#include "mount3.h"
#include "nfsd/rpc.h"

void mount_program_1(struct svc_req *req, SVCXPRT *xprt); /* rpcgen's */
void mount_program_3(struct svc_req *req, SVCXPRT *xprt);

void mount_programs(struct mount_service *service, struct nfsd_program ret[MOUNT_PROGRAMS])
{
    ret[0] = (struct nfsd_program){
        .prog = MOUNT_PROGRAM,
        .vers = MOUNT_V1,
        .dispatch = mount_program_1,
        .udp = true,
        .ctx = service,
    };
    ret[1] = ret[0];
    ret[1].vers = MOUNT_V3;
    ret[1].dispatch = mount_program_3;
}

static bool peer_of(const struct rpc_call *call, struct export_addr *ret)
{
    return export_addr_from(&call->peer.sa, ret);
}

/* --- DUMP: shown to those who may mount something --- */

struct dump_frame {
    struct rpc_call *call;
    const struct mount_service *service;
    struct export_addr peer;
    struct mountbody **tail;
};

static bool dump_entry(void *ctx, const char *host, const char *path)
{
    struct dump_frame *f = ctx;
    const char *rest;

    const struct export *entry = export_find_path(f->service->exports, path, &rest);
    if (entry && export_check(entry, &f->peer) == EXPORT_NOT_LISTED)
        return true;
    struct mountbody *body = rpc_alloc(f->call, sizeof(*body));
    if (!body)
        return false;
    body->ml_hostname = rpc_strdup(f->call, host);
    body->ml_directory = rpc_strdup(f->call, path);
    if (!body->ml_hostname || !body->ml_directory)
        return false;
    *f->tail = body;
    f->tail = &body->ml_next;
    return true;
}

bool_t mountproc3_dump_3_svc(void *args, mountlist *res, struct svc_req *req)
{
    struct rpc_call *call = rpc_call_of(req);
    struct dump_frame f = {.call = call, .service = call->ctx, .tail = res};

    (void)args;
    *res = NULL;
    if (peer_of(call, &f.peer) && export_may_any(f.service->exports, &f.peer))
        mount_list_each(f.service->list, dump_entry, &f);
    return TRUE;
}

/* --- EXPORT: what this client may mount, and who else may --- */

static bool add_group(struct rpc_call *call, const char *name, struct groupnode ***tail)
{
    struct groupnode *node = rpc_alloc(call, sizeof(*node));

    if (!node)
        return false;
    node->gr_name = rpc_strdup(call, name);
    if (!node->gr_name)
        return false;
    **tail = node;
    *tail = &node->gr_next;
    return true;
}

static bool add_export(struct rpc_call *call, const struct export *entry, struct exportnode ***tail)
{
    struct exportnode *node = rpc_alloc(call, sizeof(*node));
    char text[EXPORT_NET_TEXT];

    if (!node)
        return false;
    node->ex_dir = rpc_strdup(call, entry->name);
    struct groupnode **groups_tail = &node->ex_groups;
    if (!node->ex_dir || !add_group(call, "localhost", &groups_tail))
        return false;
    for (size_t i = 0; i < entry->net_count; i++) {
        export_net_format(&entry->nets[i], text);
        if (!add_group(call, text, &groups_tail))
            return false;
    }
    **tail = node;
    *tail = &node->ex_next;
    return true;
}

bool_t mountproc3_export_3_svc(void *args, exports *res, struct svc_req *req)
{
    struct rpc_call *call = rpc_call_of(req);
    const struct mount_service *service = call->ctx;
    struct exportnode **tail = res;
    struct export_addr peer;

    (void)args;
    *res = NULL;
    if (!peer_of(call, &peer))
        return TRUE;
    for (size_t i = 0; i < export_table_count(service->exports); i++) {
        const struct export *entry = export_table_at(service->exports, i);
        /* The port does not count: showmount is not the superuser's. */
        if (export_check(entry, &peer) == EXPORT_NOT_LISTED)
            continue;
        if (!add_export(call, entry, &tail))
            break;
    }
    return TRUE;
}

/* --- UMNT, UMNTALL: always answered --- */

bool_t mountproc3_umnt_3_svc(dirpath *args, void *res, struct svc_req *req)
{
    struct rpc_call *call = rpc_call_of(req);
    const struct mount_service *service = call->ctx;
    struct export_addr peer;
    char host[EXPORT_NET_TEXT];

    (void)res;
    if (peer_of(call, &peer)) {
        export_addr_format(&peer, host);
        mount_list_remove(service->list, host, *args);
    }
    return TRUE;
}

bool_t mountproc3_umntall_3_svc(void *args, void *res, struct svc_req *req)
{
    struct rpc_call *call = rpc_call_of(req);
    const struct mount_service *service = call->ctx;
    struct export_addr peer;
    char host[EXPORT_NET_TEXT];

    (void)args;
    (void)res;
    if (peer_of(call, &peer)) {
        export_addr_format(&peer, host);
        mount_list_remove(service->list, host, NULL);
    }
    return TRUE;
}

bool_t mountproc3_null_3_svc(void *args, void *res, struct svc_req *req)
{
    (void)args;
    (void)res;
    (void)req;
    return TRUE;
}

/* --- version 1 --- */

bool_t mountproc1_null_1_svc(void *args, void *res, struct svc_req *req)
{
    return mountproc3_null_3_svc(args, res, req);
}

/* Its handles are those of NFS version 2, which is not served. */
bool_t mountproc1_mnt_1_svc(dirpath *args, fhstatus1 *res, struct svc_req *req)
{
    (void)args;
    (void)res;
    svcerr_noproc(req->rq_xprt);
    return FALSE;
}

bool_t mountproc1_dump_1_svc(void *args, mountlist *res, struct svc_req *req)
{
    return mountproc3_dump_3_svc(args, res, req);
}

bool_t mountproc1_umnt_1_svc(dirpath *args, void *res, struct svc_req *req)
{
    return mountproc3_umnt_3_svc(args, res, req);
}

bool_t mountproc1_umntall_1_svc(void *args, void *res, struct svc_req *req)
{
    return mountproc3_umntall_3_svc(args, res, req);
}

bool_t mountproc1_export_1_svc(void *args, exports *res, struct svc_req *req)
{
    return mountproc3_export_3_svc(args, res, req);
}

bool_t mountproc1_exportall_1_svc(void *args, exports *res, struct svc_req *req)
{
    return mountproc3_export_3_svc(args, res, req);
}
