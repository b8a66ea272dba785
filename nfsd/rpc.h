/*
 * What the RPC core offers to the procedures: the call they answer, and the ways to end it.
 *
 * A procedure is what rpcgen's dispatcher calls:
 *
 *     bool_t nfsproc3_read_3_svc(READ3args *args, READ3res *res, struct svc_req *req)
 *     {
 *         struct rpc_call *call = rpc_call_of(req);
 *         struct fs_req fr = {.cred = ..., .flags = call->nowait ? FS_NOWAIT : 0,
 *                             .deadline_ns = call->deadline_ns};
 *         memset(res, 0, sizeof(*res));                   (the dispatcher leaves it uninitialised)
 *         int r = fs_read(...);
 *         if (r == -EAGAIN && call->nowait)
 *             return rpc_would_block(call);
 *         rpc_hold(call, fr.seq);
 *         ... fill res, rpc_payload_add for the data ...
 *         return TRUE;
 *     }
 *
 * It runs first on a reactor thread with call->nowait set: it must not wait for anything then. If
 * it would have to, it leaves everything as it was and returns rpc_would_block(call); it is called
 * again (arguments decoded anew) on a worker thread with nowait unset, where it may wait until
 * call->deadline_ns, and then answers "try later" in its protocol (NFS3ERR_JUKEBOX).
 *
 * TRUE: res is the answer. FALSE: nothing is sent now (rpc_would_block, rpc_drop, or svcerr_auth()
 * and its kind have been called before); FALSE for no reason is answered by SYSTEM_ERR, for a
 * caller must not be left without an answer.
 *
 * Memory: arguments live until the procedure returns. What res points to must live until the reply
 * is encoded, which is after the procedure has returned: take it from rpc_alloc. No result is ever
 * freed by XDR; the <prog>_<vers>_freeresult hooks are in rpc_freeresult.c and do nothing.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "fs/fs.h"
#include "xdr_types.h"

union rpc_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

enum {
    RPC_REFS_MAX = 32,        /* rpc_payload_add calls per reply */
    RPC_UDP_REPLY_MAX = 8192, /* bytes of a datagram that we send; larger: SYSTEM_ERR */
    RPC_ALLOC_MAX = 4 << 20,  /* bytes that one call may take with rpc_alloc */
    RPC_KEPT_MAX = 512,       /* bytes of a reply that rpc_encode_reply gives out to be kept: with
                                 the number of replies this limits what the database holds */
};

/* One request on its way through the server. These fields are for procedures to read. */
struct rpc_call {
    union rpc_addr peer;  /* who asks, with port */
    union rpc_addr local; /* the address it was sent to */
    bool udp;
    bool nowait;         /* first try, on a reactor thread: do not block */
    bool has_cred;       /* AUTH_SYS; otherwise AUTH_NONE, and cred is all zeros */
    struct fs_cred cred; /* as the client claims: squashing is the export's business */
    uint32_t xid, prog, vers, proc;
    int64_t deadline_ns; /* monotonic: answer something by then */
    void *ctx;           /* nfsd_program.ctx of the program called */
};

/* The call behind the request of a procedure. */
struct rpc_call *rpc_call_of(const struct svc_req *req);

/* Not now: run me again where waiting is allowed. Only while call->nowait. Returns FALSE, for
 * "return rpc_would_block(call);". */
bool_t rpc_would_block(struct rpc_call *call);

/* No reply at all (what broadcast protocols ask for in some errors). Returns FALSE. */
bool_t rpc_drop(struct rpc_call *call);

/* Holds the reply back until nfsd_durable() has reached seq; 0 = at once. The highest of several
 * calls counts. Costs no thread while it waits. */
void rpc_hold(struct rpc_call *call, uint64_t seq);

/* Zeroed bytes that live until the reply has been sent. NULL beyond RPC_ALLOC_MAX. */
void *rpc_alloc(struct rpc_call *call, size_t size);
char *rpc_strdup(struct rpc_call *call, const char *s); /* NULL beyond RPC_ALLOC_MAX */

/*
 * Appends [base, base+len) to what payload will be on the wire, without copying. unref(ref) is
 * called exactly once: when the bytes have been sent, or when the reply will not be sent (so also
 * when the procedure changes its mind and answers without payload). unref may be NULL.
 * False, having called unref, when RPC_REFS_MAX is reached. payload must start zeroed, and the
 * references of one payload must be added one after the other.
 */
bool rpc_payload_add(struct rpc_call *call, nfs_payload *payload, const void *base, size_t len,
                     void (*unref)(void *ref), void *ref);

/* --- exactly once ---
 *
 * Procedures in nfsd_program.once go through the duplicate request cache: a retransmission never
 * reaches the procedure while the first is under way or its reply is kept. To carry that over a
 * restart, the reply is stored with the change itself (fs_req.journal): there, when the result is
 * fixed, fill res as it will be returned and
 *
 *     rpc_call_key(call, &key, &key_len);
 *     rpc_encode_reply(call, (xdrproc_t)xdr_CREATE3res, res, &reply, &reply_len);
 *
 * then return TRUE with any res: the encoded bytes are what is sent. If the operation fails after
 * all: rpc_discard_reply(call) and return the error as usual.
 */

/* Names the call for ever: client address, xid, procedure, checksum of the arguments. The bytes
 * live until the call ends. False: this procedure is not kept (not in nfsd_program.once). */
bool rpc_call_key(struct rpc_call *call, const void **ret_key, size_t *ret_len);

/* The result as bytes, kept in the call. False: it does not fit or has payload; the reply then goes
 * the usual way. */
bool rpc_encode_reply(struct rpc_call *call, xdrproc_t filter, void *result, const void **ret_reply,
                      size_t *ret_len);
void rpc_discard_reply(struct rpc_call *call);

/* This reply is not to be kept for retransmissions: the same request shall be tried again. For
 * "try later" answers (JUKEBOX), which have changed nothing. */
void rpc_forget(struct rpc_call *call);
