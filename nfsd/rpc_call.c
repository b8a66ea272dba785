/*
 * The life of a call: taking it from the record, finding its program, running the dispatcher,
 * moving it to a worker when it would block, holding its reply, and letting go of everything.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "nfsd/conn.h"
#include "nfsd/rpc_int.h"
#include "nfsd/server_int.h"

enum { POOL_KEPT = 256, DETACH_BELOW = 16 << 10 };

static struct call *pool_take(struct reactor *reactor)
{
    struct call *call;

    LOCK_SCOPE(&reactor->pool_lock);
    call = STAILQ_FIRST(&reactor->pool);
    if (call) {
        STAILQ_REMOVE_HEAD(&reactor->pool, link);
        reactor->pool_count--;
    }
    return call;
}

static bool pool_put(struct reactor *reactor, struct call *call)
{
    LOCK_SCOPE(&reactor->pool_lock);
    if (reactor->pool_count >= POOL_KEPT)
        return false;
    STAILQ_INSERT_HEAD(&reactor->pool, call, link);
    reactor->pool_count++;
    return true;
}

void call_pool_clear(struct reactor *reactor)
{
    for (struct call *call = pool_take(reactor); call; call = pool_take(reactor))
        free(call);
}

struct call *call_new(struct nfsd *nfsd, struct reactor *reactor, const struct record *rec)
{
    struct call *call = pool_take(reactor);

    if (!call)
        call = mem_alloc(sizeof(*call));
    memset(call, 0, offsetof(struct call, splits));
    call->nfsd = nfsd;
    call->reactor = reactor;
    call->rec = *rec;
    atomic_fetch_add(&nfsd->calls, 1);
    return call;
}

static void release_record(struct call *call)
{
    buf_unref(call->rec.buf);
    call->rec.buf = NULL;
}

static void release_refs(struct call *call)
{
    for (uint32_t i = 0; i < call->ref_count; i++)
        if (call->refs[i].unref)
            call->refs[i].unref(call->refs[i].ref);
    call->ref_count = 0;
}

static void release_arena(struct call *call)
{
    while (call->chunks) {
        struct call_chunk *chunk = call->chunks;

        call->chunks = chunk->next;
        free(chunk);
    }
    call->chunk_bytes = 0;
    call->arena_used = 0;
}

void call_reset(struct call *call)
{
    release_refs(call);
    release_arena(call);
    buf_unref(call->out_buf);
    call->out_buf = NULL;
    call->split_count = 0;
    call->encoded = call->would_block = call->replied = call->success = call->forget = false;
    call->hold_seq = 0;
}

static void end_under_way(struct nfsd *nfsd)
{
    if (atomic_fetch_sub(&nfsd->calls, 1) == 1 && atomic_load(&nfsd->draining)) {
        LOCK_SCOPE(&nfsd->drain_lock);
        pthread_cond_broadcast(&nfsd->drain_cond);
    }
    nfsd_relieve(nfsd);
}

void call_free(struct call *call)
{
    struct nfsd *nfsd = call->nfsd;
    struct reactor *reactor = call->reactor;
    struct conn *conn;

    if (call->drc)
        drc_cancel(nfsd->drc, call->drc);
    conn = call->conn; /* not before: see rpc_int.h */
    call_reset(call);
    release_record(call);
    if (!pool_put(reactor, call))
        free(call);
    if (conn)
        conn_call_ended(conn);
    end_under_way(nfsd);
}

/* A small record does not keep a whole receive buffer while it waits for a worker. */
static void detach_record(struct call *call)
{
    struct buf *own;

    if (call->rec.len >= DETACH_BELOW || call->rec.buf->size < BUF_SMALL)
        return;
    own = buf_get(call->nfsd->pool, call->rec.len);
    if (!own)
        return;
    memcpy(own->data, call->rec.data, call->rec.len);
    buf_unref(call->rec.buf);
    call->rec.buf = own;
    call->rec.data = own->data;
}

static void run(struct call *call)
{
    call_xprt_init(call);
    call->program->dispatch(&call->req, &call->xprt);
    if (!call->replied && !call->would_block && !call->drop)
        call_reply_accepted(call, SYSTEM_ERR, 0, 0);
}

/* What the client must see when the reply is lost and it asks again. */
static void keep_reply(struct call *call)
{
    struct drc_entry *entry = call->drc;

    if (!entry)
        return;
    call->drc = NULL;
    if (call->success && !call->forget && call->split_count == 0)
        drc_done(call->nfsd->drc, entry, call->out + CALL_RESULT_AT,
                 call->out_len - CALL_RESULT_AT);
    else
        drc_cancel(call->nfsd->drc, entry);
}

struct conn *call_release(struct call *call)
{
    struct conn *conn;

    atomic_fetch_add_explicit(&call->nfsd->served, 1, memory_order_relaxed);
    keep_reply(call);
    if (call->udp) {
        udp_send(call);
        return NULL;
    }
    conn = conn_ref(call->conn);
    conn_queue(conn, call);
    return conn;
}

/* The end of a run that is not to be repeated. Sends now, but on the connection batch (NULL =
 * none), whose reader does that after all it has read. */
static void finish(struct call *call, const struct conn *batch)
{
    struct conn *conn;

    release_record(call);
    if (call->drop) {
        call_free(call);
        return;
    }
    if (call->hold_seq && reactor_hold(call->reactor, call))
        return;
    conn = call_release(call);
    if (conn && conn != batch) /* also when a retransmission has moved the call meanwhile */
        conn_flush(conn);
    if (conn)
        conn_unref(conn);
}

void call_work(struct call *call)
{
    call_reset(call);
    call->pub.nowait = false;
    run(call);
    finish(call, NULL);
}

static void run_first(struct call *call, const struct conn *batch)
{
    call->pub.nowait = true;
    run(call);
    if (!call->would_block) {
        finish(call, batch);
        return;
    }
    atomic_fetch_add_explicit(&call->nfsd->handed_over, 1, memory_order_relaxed);
    detach_record(call);
    if (worker_pool_submit(call->nfsd->workers, call))
        return;
    call_reset(call);
    call_reply_accepted(call, SYSTEM_ERR, 0, 0);
    finish(call, batch);
}

/* The program of the call, or NULL after having replied. */
static const struct nfsd_program *find_program(struct call *call,
                                               const struct nfsd_program *programs, size_t count)
{
    uint32_t low = UINT32_MAX, high = 0;

    for (size_t i = 0; i < count; i++) {
        const struct nfsd_program *p = &programs[i];

        if (p->prog != call->pub.prog || (call->pub.udp && !p->udp))
            continue;
        if (p->vers == call->pub.vers)
            return p;
        low = p->vers < low ? p->vers : low;
        high = p->vers > high ? p->vers : high;
    }
    call_reply_accepted(call, high ? PROG_MISMATCH : PROG_UNAVAIL, low, high);
    return NULL;
}

static void make_key(struct call *call)
{
    struct drc_key *key = &call->key;

    memset(key, 0, sizeof(*key));
    if (call->pub.peer.sa.sa_family == AF_INET) {
        key->addr[10] = key->addr[11] = 0xff;
        memcpy(key->addr + 12, &call->pub.peer.in.sin_addr, 4);
    } else {
        memcpy(key->addr, &call->pub.peer.in6.sin6_addr, sizeof(key->addr));
    }
    key->xid = call->pub.xid;
    key->prog = call->pub.prog;
    key->vers = call->pub.vers;
    key->proc = call->pub.proc;
    key->checksum = XXH3_64bits(call->rec.data + call->args_at, call->rec.len - call->args_at);
}

/* False: the call is a retransmission that has been dealt with. */
static bool begin_once(struct call *call, const struct conn *batch)
{
    struct drc_reply *reply;
    const void *bytes;
    size_t len;

    make_key(call);
    switch (drc_begin(call->nfsd->drc, &call->key, call, &call->drc, &reply)) {
    case DRC_NEW:
        return true;
    case DRC_BUSY:
        call_free(call); /* with the connection that the first came from */
        return false;
    case DRC_DONE:
        break;
    }
    atomic_fetch_add_explicit(&call->nfsd->replayed, 1, memory_order_relaxed);
    bytes = drc_reply_data(reply, &len);
    call_reply_bytes(call, bytes, len);
    drc_reply_unref(reply);
    finish(call, batch);
    return false;
}

static void take_header(struct call *call, const struct rpc_header *header)
{
    call->pub.xid = header->xid;
    call->pub.prog = header->prog;
    call->pub.vers = header->vers;
    call->pub.proc = header->proc;
    call->pub.has_cred = header->has_cred;
    call->pub.cred = header->cred;
    call->pub.deadline_ns = clock_coarse_ns() + call->nfsd->config.request_timeout_ns;
    call->args_at = (uint32_t)header->args;
}

static bool check_header(struct call *call, enum rpc_verdict verdict)
{
    switch (verdict) {
    case RPC_HEADER_OK:
        return true;
    case RPC_HEADER_NOT_A_CALL:
    case RPC_HEADER_TRUNCATED:
        call_reply_accepted(call, GARBAGE_ARGS, 0, 0);
        break;
    case RPC_HEADER_WRONG_VERSION:
        call_reply_denied(call, RPC_MISMATCH, 0);
        break;
    case RPC_HEADER_BAD_CRED:
        call_reply_denied(call, AUTH_ERROR, AUTH_BADCRED);
        break;
    case RPC_HEADER_REJECTED_CRED:
        call_reply_denied(call, AUTH_ERROR, AUTH_REJECTEDCRED);
        break;
    case RPC_HEADER_BAD_VERF:
        call_reply_denied(call, AUTH_ERROR, AUTH_BADVERF);
        break;
    }
    return false;
}

bool call_start(struct call *call)
{
    const struct listener *listener = call->udp ? call->udp : call->conn->listener;
    const struct conn *batch = call->conn;
    struct rpc_header header;
    enum rpc_verdict verdict = rpc_header_parse(call->rec.data, call->rec.len, &header);

    if (verdict == RPC_HEADER_NOT_A_CALL) {
        call_free(call);
        return false;
    }
    take_header(call, &header);
    if (check_header(call, verdict))
        call->program = find_program(call, listener->programs, listener->program_count);
    if (!call->program) {
        finish(call, batch);
        return true;
    }
    call->pub.ctx = call->program->ctx;
    if (call->pub.proc < 64 && (call->program->once >> call->pub.proc & 1) && !call->pub.udp &&
        !begin_once(call, batch))
        return true;
    run_first(call, batch);
    return true;
}
