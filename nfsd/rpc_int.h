/*
 * A call inside the core: from the record it came in to the last byte of its reply. Pooled.
 *
 *   started -> (run on reactor) -> would block -> queued -> run on worker
 *                   |                                            |
 *                   +--> replied <-------------------------------+
 *                           +--> held (until durable) --> sent to the connection's queue --> freed
 *
 * One thread at a time owns a call: the one that runs it, then the queue it is in (under that
 * queue's lock). The exception is conn, which the duplicate request cache may swap while the call
 * is busy there: it is read only after drc_done or drc_cancel, or for calls without an entry.
 */
#pragma once

#include <bsd/sys/queue.h>

#include "nfsd/drc.h"
#include "nfsd/record.h"
#include "nfsd/rpc.h"
#include "nfsd/rpc_header.h"

struct nfsd;
struct nfsd_program;
struct reactor;
struct conn;
struct listener;

enum {
    CALL_ARENA = 2048,      /* bytes for decoded strings before malloc */
    CALL_OUT_INLINE = 1280, /* bytes of a reply before a buffer is taken */
    CALL_OUT_MAX = 1 << 20, /* bytes of a reply without references */
    CALL_RESULT_AT = 28,    /* mark, xid, REPLY, ACCEPTED, verifier (2), SUCCESS */
    CALL_SPLITS_MAX = 4,    /* places in one reply where references go */
    CALL_IOV_MAX = RPC_REFS_MAX + CALL_SPLITS_MAX + 1,
};

struct call_split { /* refs [first, first + count) go out before byte `at` of out */
    uint32_t at, first, count;
};

struct call_chunk {
    struct call_chunk *next;
    uint8_t data[] __attribute__((aligned(16)));
};

struct call {
    struct rpc_call pub;
    struct xdr_ctx xdr;
    struct svc_req req;
    SVCXPRT xprt;

    struct nfsd *nfsd;
    struct reactor *reactor;
    struct conn *conn; /* with a reference; or */
    struct listener *udp;
    const struct nfsd_program *program;

    struct record rec; /* buf NULL once the request is not needed any more */
    uint32_t args_at;

    bool replied, would_block, drop, forget, success;
    bool encoded; /* results [0, encoded_len) are in out already */
    uint32_t encoded_len;
    uint64_t hold_seq;
    struct drc_entry *drc;
    struct drc_key key;

    uint8_t *out;
    uint32_t out_cap, out_len;
    struct buf *out_buf;
    uint64_t total; /* bytes of the reply on the wire */
    uint32_t ref_count, split_count;
    uint32_t iov_count, iov_at;
    uint32_t arena_used;
    size_t chunk_bytes;
    struct call_chunk *chunks;

    STAILQ_ENTRY(call) link; /* worker queue; the connection's out queue; the pool */
    TAILQ_ENTRY(call) held;

    /* Not cleared for each call: */
    struct call_split splits[CALL_SPLITS_MAX];
    struct iovec iov[CALL_IOV_MAX];
    struct xdr_ref refs[RPC_REFS_MAX];
    uint8_t out_inline[CALL_OUT_INLINE] __attribute__((aligned(16)));
    uint8_t arena[CALL_ARENA] __attribute__((aligned(16)));
};
STAILQ_HEAD(call_queue, call);

static inline struct call *call_from(struct rpc_call *pub)
{
    return (struct call *)(void *)((char *)pub - offsetof(struct call, pub));
}

/* --- rpc_call.c: life --- */

/* A cleared call that counts as under way. Takes over the reference in rec. */
struct call *call_new(struct nfsd *nfsd, struct reactor *reactor, const struct record *rec);
/* Releases everything it holds; ends it if it was under way. */
void call_free(struct call *call);
/* Frees the calls the pool kept. */
void call_pool_clear(struct reactor *reactor);

/* Parses, checks and runs a fresh call on its reactor's thread. False: not an RPC call; the
 * connection is useless. In all other cases the call is not the caller's any more. */
bool call_start(struct call *call);
/* Runs a call on a worker thread. */
void call_work(struct call *call);
/* A call whose reply is fixed and may be seen: keeps it for retransmissions and queues it to its
 * connection, which is returned with a reference for conn_flush (NULL: nothing to flush). */
struct conn *call_release(struct call *call);
/* Forgets what a run left behind: references, arena, reply. */
void call_reset(struct call *call);

/* --- xprt.c: encoding --- */

extern const struct xp_ops call_xprt_ops;
extern const struct xp_ops2 call_xprt_ops2;
/* The transport handle and request that the dispatcher sees. */
void call_xprt_init(struct call *call);
/* Replies that need no procedure. */
void call_reply_accepted(struct call *call, enum accept_stat stat, uint32_t low, uint32_t high);
void call_reply_denied(struct call *call, enum reject_stat stat, uint32_t why);
void call_reply_bytes(struct call *call, const void *result, size_t len);
/* Encodes a result behind CALL_RESULT_AT. */
bool call_encode(struct call *call, xdrproc_t filter, void *result);
