/*
 * The transport that rpcgen's dispatchers see: arguments are decoded from the received record, the
 * reply is encoded into the call. Replies are laid out as one record fragment:
 *
 *     out:  mark | header | result, with places where references are sent in between
 */
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "nfsd/rpc_int.h"
#include "nfsd/server_int.h"

#include <rpc/svc_mt.h> /* needs <rpc/rpc.h> before it */

static SVCXPRT_EXT xprt_ext; /* libtirpc looks for flags in it; never written */

static struct call *call_of_xprt(SVCXPRT *xprt)
{
    return xprt->xp_p1;
}

static void put_u32(struct call *call, uint32_t v)
{
    uint32_t be = htonl(v);

    assert(call->out_len + sizeof(be) <= call->out_cap);
    memcpy(call->out + call->out_len, &be, sizeof(be));
    call->out_len += (uint32_t)sizeof(be);
}

static void put_reply_start(struct call *call, enum reply_stat stat)
{
    call->out_len = call->pub.udp ? 0 : RECORD_MARK_SIZE;
    put_u32(call, call->pub.xid);
    put_u32(call, REPLY);
    put_u32(call, stat);
}

static void put_accepted(struct call *call, enum accept_stat stat)
{
    put_reply_start(call, MSG_ACCEPTED);
    put_u32(call, AUTH_NONE);
    put_u32(call, 0);
    put_u32(call, stat);
}

/* Cuts out and the references into the iovecs that are sent, and writes the record mark. */
static void lay_out(struct call *call)
{
    uint32_t from = 0, n = 0;
    uint32_t mark;

    call->total = call->out_len;
    for (uint32_t s = 0; s <= call->split_count; s++) {
        const struct call_split *split = s < call->split_count ? &call->splits[s] : NULL;
        uint32_t to = split ? split->at : call->out_len;

        if (to > from)
            call->iov[n++] = (struct iovec){call->out + from, to - from};
        from = to;
        for (uint32_t i = 0; split && i < split->count; i++) {
            const struct xdr_ref *ref = &call->refs[split->first + i];

            if (ref->len == 0)
                continue;
            call->iov[n++] = (struct iovec){(void *)ref->base, ref->len};
            call->total += ref->len;
        }
    }
    assert(n <= CALL_IOV_MAX);
    call->iov_count = n;
    call->iov_at = 0;
    if (call->pub.udp)
        return;
    assert(call->total - RECORD_MARK_SIZE <= INT32_MAX);
    mark = htonl((uint32_t)RECORD_LAST | (uint32_t)(call->total - RECORD_MARK_SIZE));
    memcpy(call->out, &mark, sizeof(mark));
}

static void use_inline_out(struct call *call)
{
    call->out = call->out_inline;
    call->out_cap = CALL_OUT_INLINE;
    call->out_len = 0;
    call->split_count = 0;
}

static void finish_reply(struct call *call)
{
    lay_out(call);
    call->replied = true;
}

void call_reply_accepted(struct call *call, enum accept_stat stat, uint32_t low, uint32_t high)
{
    use_inline_out(call);
    put_accepted(call, stat);
    if (stat == PROG_MISMATCH) {
        put_u32(call, low);
        put_u32(call, high);
    }
    finish_reply(call);
}

void call_reply_denied(struct call *call, enum reject_stat stat, uint32_t why)
{
    use_inline_out(call);
    put_reply_start(call, MSG_DENIED);
    put_u32(call, stat);
    if (stat == RPC_MISMATCH) {
        put_u32(call, RPC_MSG_VERSION);
        put_u32(call, RPC_MSG_VERSION);
    } else {
        put_u32(call, why);
    }
    finish_reply(call);
}

/* Makes room for size bytes of reply. */
static bool take_out(struct call *call, uint32_t size)
{
    struct buf *buf = buf_get(call->nfsd->pool, size);

    if (!buf)
        return false;
    buf_unref(call->out_buf);
    call->out_buf = buf;
    call->out = buf->data;
    call->out_cap = buf->size;
    return true;
}

void call_reply_bytes(struct call *call, const void *result, size_t len)
{
    use_inline_out(call);
    if (len > CALL_OUT_INLINE - CALL_RESULT_AT && !take_out(call, (uint32_t)len + CALL_RESULT_AT)) {
        call_reply_accepted(call, SYSTEM_ERR, 0, 0);
        return;
    }
    put_accepted(call, SUCCESS);
    memcpy(call->out + call->out_len, result, len);
    call->out_len += (uint32_t)len;
    finish_reply(call);
}

static bool encode_into(struct call *call, xdrproc_t filter, void *result)
{
    uint32_t at = CALL_RESULT_AT - (call->pub.udp ? RECORD_MARK_SIZE : 0);
    XDR xdrs;

    call->split_count = 0;
    xdrmem_create(&xdrs, (char *)call->out + at, call->out_cap - at, XDR_ENCODE);
    xdr_ctx_set(&xdrs, &call->xdr);
    if (!filter(&xdrs, result))
        return false;
    call->out_len = at + XDR_GETPOS(&xdrs);
    return true;
}

bool call_encode(struct call *call, xdrproc_t filter, void *result)
{
    use_inline_out(call);
    if (encode_into(call, filter, result))
        return true;
    if (call->pub.udp)
        return take_out(call, RPC_UDP_REPLY_MAX) && encode_into(call, filter, result) &&
               call->out_len <= RPC_UDP_REPLY_MAX;
    return (take_out(call, BUF_SMALL) && encode_into(call, filter, result)) ||
           (take_out(call, CALL_OUT_MAX) && encode_into(call, filter, result));
}

/* xdr_ctx.append: the references must be the call's own, as rpc_payload_add and dirbuf make them.
 */
static bool append_refs(struct xdr_ctx *ctx, XDR *xdrs, const struct xdr_ref *refs, uint32_t count)
{
    struct call *call = (struct call *)(void *)((char *)ctx - offsetof(struct call, xdr));
    uint32_t base = CALL_RESULT_AT - (call->pub.udp ? RECORD_MARK_SIZE : 0);

    assert(refs >= call->refs && refs + count <= call->refs + call->ref_count);
    if (call->split_count == CALL_SPLITS_MAX)
        return false;
    call->splits[call->split_count++] = (struct call_split){
        .at = base + XDR_GETPOS(xdrs), .first = (uint32_t)(refs - call->refs), .count = count};
    return true;
}

static void *alloc_arena(struct xdr_ctx *ctx, size_t size)
{
    struct call *call = (struct call *)(void *)((char *)ctx - offsetof(struct call, xdr));

    return rpc_alloc(&call->pub, size);
}

static bool_t xprt_getargs(SVCXPRT *xprt, xdrproc_t filter, void *args)
{
    struct call *call = call_of_xprt(xprt);
    XDR xdrs;

    assert(call->rec.buf);
    xdrmem_create(&xdrs, (char *)call->rec.data + call->args_at, call->rec.len - call->args_at,
                  XDR_DECODE);
    xdr_ctx_set(&xdrs, &call->xdr);
    return filter(&xdrs, args);
}

/* Always TRUE: the generated code ends the process otherwise. Decoded strings live in the arena. */
static bool_t xprt_freeargs(SVCXPRT *xprt, xdrproc_t filter, void *args)
{
    (void)xprt, (void)filter, (void)args;
    return TRUE;
}

static bool_t reply_success(struct call *call, xdrproc_t filter, void *result)
{
    uint32_t len;

    if (!call->encoded && !call_encode(call, filter, result))
        return FALSE; /* the dispatcher sends SYSTEM_ERR */
    len = call->out_len;
    put_accepted(call, SUCCESS);
    call->out_len = len;
    call->success = true;
    finish_reply(call);
    return TRUE;
}

static bool_t xprt_reply(SVCXPRT *xprt, struct rpc_msg *msg)
{
    struct call *call = call_of_xprt(xprt);
    const struct accepted_reply *ar = &msg->acpted_rply;

    if (msg->rm_reply.rp_stat == MSG_DENIED) {
        const struct rejected_reply *rr = &msg->rjcted_rply;

        call_reply_denied(call, rr->rj_stat, (uint32_t)rr->rj_why);
        return TRUE;
    }
    if (ar->ar_stat == SUCCESS)
        return reply_success(call, ar->ar_results.proc, ar->ar_results.where);
    call_reply_accepted(call, ar->ar_stat, (uint32_t)ar->ar_vers.low, (uint32_t)ar->ar_vers.high);
    return TRUE;
}

static bool_t xprt_recv(SVCXPRT *xprt, struct rpc_msg *msg)
{
    (void)xprt, (void)msg;
    return FALSE; /* nobody receives through this: requests are dispatched by us */
}

static enum xprt_stat xprt_stat(SVCXPRT *xprt)
{
    (void)xprt;
    return XPRT_IDLE;
}

static void xprt_destroy(SVCXPRT *xprt)
{
    (void)xprt; /* lives in the call */
}

static bool_t xprt_control(SVCXPRT *xprt, const u_int request, void *info)
{
    (void)xprt, (void)request, (void)info;
    return FALSE;
}

const struct xp_ops call_xprt_ops = {
    .xp_recv = xprt_recv,
    .xp_stat = xprt_stat,
    .xp_getargs = xprt_getargs,
    .xp_reply = xprt_reply,
    .xp_freeargs = xprt_freeargs,
    .xp_destroy = xprt_destroy,
};
const struct xp_ops2 call_xprt_ops2 = {.xp_control = xprt_control};

void call_xprt_init(struct call *call)
{
    call->xdr = (struct xdr_ctx){.alloc = alloc_arena, .append = append_refs};
    call->xprt.xp_fd = -1;
    call->xprt.xp_ops = &call_xprt_ops;
    call->xprt.xp_ops2 = &call_xprt_ops2;
    call->xprt.xp_rtaddr =
        (struct netbuf){sizeof(call->pub.peer), sizeof(call->pub.peer), &call->pub.peer};
    call->xprt.xp_p1 = call;
    call->xprt.xp_p3 = &xprt_ext;
    call->req.rq_prog = call->pub.prog;
    call->req.rq_vers = call->pub.vers;
    call->req.rq_proc = call->pub.proc;
    call->req.rq_cred.oa_flavor = call->pub.has_cred ? AUTH_SYS : AUTH_NONE;
    call->req.rq_xprt = &call->xprt;
}
