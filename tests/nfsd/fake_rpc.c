/* The RPC core, faked; see fake.h. */
#include "fake.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_ALLOCS_MAX = 256 };

struct fake_rpc fake_rpc;

static void *allocs[FAKE_ALLOCS_MAX];
static size_t alloc_count;
static struct xdr_ref refs[RPC_REFS_MAX];
static uint32_t ref_count;

static bool_t fake_reply(SVCXPRT *xprt, struct rpc_msg *msg)
{
    (void)xprt;
    if (msg->rm_reply.rp_stat == MSG_DENIED)
        fake_rpc.auth_error = msg->rjcted_rply.rj_why;
    else if (msg->acpted_rply.ar_stat == PROC_UNAVAIL)
        fake_rpc.noproc = true;
    return TRUE;
}

static const struct xp_ops fake_ops = {.xp_reply = fake_reply};
static SVCXPRT fake_xprt;

static void set_address(union rpc_addr *ret, const char *address, uint16_t port)
{
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, address, &ret->in.sin_addr) == 1) {
        ret->in.sin_family = AF_INET;
        ret->in.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, address, &ret->in6.sin6_addr) == 1) {
        ret->in6.sin6_family = AF_INET6;
        ret->in6.sin6_port = htons(port);
    } else {
        abort();
    }
}

void fake_peer(const char *address, uint16_t port)
{
    set_address(&fake_rpc.call.peer, address, port);
}

void fake_local(const char *address)
{
    set_address(&fake_rpc.call.local, address, 111);
}

void fake_begin(uint32_t prog, uint32_t proc, void *service)
{
    fake_end();
    fake_rpc = (struct fake_rpc){.dir_room = FAKE_ENTRIES_MAX, .has_key = true};
    fake_fs = (struct fake_fs){.vols = {{1}, {2}}, .target = "", .bytes = ""};
    fake_rpc.call.ctx = service;
    fake_rpc.call.prog = prog;
    fake_rpc.call.proc = proc;
    fake_rpc.call.has_cred = true;
    fake_rpc.call.cred = (struct fs_cred){.uid = 1000, .gid = 100};
    fake_rpc.call.deadline_ns = 12345;
    fake_peer("127.0.0.1", 1000);
    fake_local("127.0.0.1");
    fake_xprt.xp_ops = &fake_ops;
    fake_rpc.req.rq_xprt = &fake_xprt;
    fake_rpc.req.rq_proc = proc;
}

void fake_end(void)
{
    for (size_t i = 0; i < alloc_count; i++)
        free(allocs[i]);
    alloc_count = 0;
    for (uint32_t i = 0; i < ref_count; i++) {
        if (refs[i].unref)
            refs[i].unref(refs[i].ref);
    }
    ref_count = 0;
}

struct rpc_call *rpc_call_of(const struct svc_req *req)
{
    (void)req;
    return &fake_rpc.call;
}

bool_t rpc_would_block(struct rpc_call *call)
{
    (void)call;
    fake_rpc.would_block = true;
    return FALSE;
}

bool_t rpc_drop(struct rpc_call *call)
{
    (void)call;
    fake_rpc.dropped = true;
    return FALSE;
}

void rpc_hold(struct rpc_call *call, uint64_t seq)
{
    (void)call;
    if (seq > fake_rpc.hold)
        fake_rpc.hold = seq;
}

void *rpc_alloc(struct rpc_call *call, size_t size)
{
    (void)call;
    if (alloc_count == FAKE_ALLOCS_MAX)
        return NULL;
    return allocs[alloc_count++] = calloc(1, size);
}

char *rpc_strdup(struct rpc_call *call, const char *s)
{
    char *copy = rpc_alloc(call, strlen(s) + 1);

    if (copy)
        memcpy(copy, s, strlen(s) + 1);
    return copy;
}

bool rpc_payload_add(struct rpc_call *call, nfs_payload *payload, const void *base, size_t len,
                     void (*unref)(void *ref), void *ref)
{
    (void)call;
    if (ref_count == RPC_REFS_MAX || fake_rpc.payload_len + len > sizeof(fake_rpc.payload))
        abort();
    memcpy(fake_rpc.payload + fake_rpc.payload_len, base, len);
    fake_rpc.payload_len += len;
    refs[ref_count++] = (struct xdr_ref){.base = base, .len = len, .unref = unref, .ref = ref};
    payload->len += (uint32_t)len;
    payload->count++;
    return true;
}

bool rpc_call_key(struct rpc_call *call, const void **ret_key, size_t *ret_len)
{
    (void)call;
    *ret_key = "key";
    *ret_len = 3;
    return fake_rpc.has_key;
}

bool rpc_encode_reply(struct rpc_call *call, xdrproc_t filter, void *result, const void **ret_reply,
                      size_t *ret_len)
{
    char bytes[1024];
    XDR xdrs;

    (void)call;
    fake_rpc.encoded++;
    xdrmem_create(&xdrs, bytes, sizeof(bytes), XDR_ENCODE);
    if (!filter(&xdrs, result))
        abort();
    *ret_len = xdr_getpos(&xdrs);
    char *copy = rpc_alloc(call, *ret_len);
    memcpy(copy, bytes, *ret_len);
    *ret_reply = copy;
    return true;
}

void rpc_discard_reply(struct rpc_call *call)
{
    (void)call;
    fake_rpc.discarded = true;
}

void rpc_forget(struct rpc_call *call)
{
    (void)call;
    fake_rpc.forgotten = true;
}

/* --- dirbuf --- */

void dirbuf_open(struct dirbuf *buf, struct rpc_call *call, enum dirbuf_kind kind, uint32_t count,
                 uint32_t dircount)
{
    memset(buf, 0, sizeof(*buf));
    buf->call = call;
    buf->kind = kind;
    fake_rpc.dir_kind = kind;
    fake_rpc.dir_count = count;
    fake_rpc.dir_dircount = dircount;
    fake_rpc.entry_count = 0;
}

static bool add_entry(struct dirbuf *buf, uint64_t fileid, const char *name, uint64_t cookie,
                      bool attr, bool handle)
{
    if (buf->count == fake_rpc.dir_room)
        return false;
    buf->count++;
    uint32_t i = fake_rpc.entry_count++;
    memset(&fake_rpc.entries[i], 0, sizeof(fake_rpc.entries[i]));
    memcpy(fake_rpc.entries[i].name, name, strnlen(name, 63));
    fake_rpc.entries[i].fileid = fileid;
    fake_rpc.entries[i].cookie = cookie;
    fake_rpc.entries[i].attr = attr;
    fake_rpc.entries[i].handle = handle;
    return true;
}

bool dirbuf_add(struct dirbuf *buf, uint64_t fileid, const char *name, uint64_t cookie)
{
    return add_entry(buf, fileid, name, cookie, false, false);
}

bool dirbuf_add_plus(struct dirbuf *buf, uint64_t fileid, const char *name, uint64_t cookie,
                     const fattr3 *attr, const nfs_fh3 *fh)
{
    return add_entry(buf, fileid, name, cookie, attr != NULL, fh != NULL);
}

uint32_t dirbuf_count(const struct dirbuf *buf)
{
    return buf->count;
}

void dirbuf_finish(struct dirbuf *buf, nfs_entries *ret)
{
    (void)buf;
    (void)ret;
    if (fake_rpc.dir_finished || fake_rpc.dir_aborted)
        abort();
    fake_rpc.dir_finished = true;
}

void dirbuf_abort(struct dirbuf *buf)
{
    (void)buf;
    if (fake_rpc.dir_finished || fake_rpc.dir_aborted)
        abort();
    fake_rpc.dir_aborted = true;
}
