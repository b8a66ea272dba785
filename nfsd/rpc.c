/* What procedures call; see rpc.h. */
#include "nfsd/rpc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nfsd/rpc_int.h"
#include "nfsd/server_int.h"

struct rpc_call *rpc_call_of(const struct svc_req *req)
{
    return &((struct call *)req->rq_xprt->xp_p1)->pub;
}

bool_t rpc_would_block(struct rpc_call *pub)
{
    assert(pub->nowait);
    call_from(pub)->would_block = true;
    return FALSE;
}

bool_t rpc_drop(struct rpc_call *pub)
{
    call_from(pub)->drop = true;
    return FALSE;
}

void rpc_hold(struct rpc_call *pub, uint64_t seq)
{
    struct call *call = call_from(pub);

    if (seq > call->hold_seq)
        call->hold_seq = seq;
}

void *rpc_alloc(struct rpc_call *pub, size_t size)
{
    struct call *call = call_from(pub);
    struct call_chunk *chunk;
    void *bytes;

    if (size > RPC_ALLOC_MAX)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    if (size <= CALL_ARENA - call->arena_used) {
        bytes = call->arena + call->arena_used;
        call->arena_used += (uint32_t)size;
        return memset(bytes, 0, size);
    }
    if (size > RPC_ALLOC_MAX - call->chunk_bytes)
        return NULL;
    chunk = mem_zalloc(sizeof(*chunk) + size);
    chunk->next = call->chunks;
    call->chunks = chunk;
    call->chunk_bytes += size;
    return chunk->data;
}

char *rpc_strdup(struct rpc_call *pub, const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = rpc_alloc(pub, size);

    return copy ? memcpy(copy, s, size) : NULL;
}

bool rpc_payload_add(struct rpc_call *pub, nfs_payload *payload, const void *base, size_t len,
                     void (*unref)(void *ref), void *ref)
{
    struct call *call = call_from(pub);

    if (call->ref_count == RPC_REFS_MAX || len > XDR_DATA_MAX - payload->len) {
        if (unref)
            unref(ref);
        return false;
    }
    if (payload->count == 0)
        payload->refs = &call->refs[call->ref_count];
    assert(payload->refs + payload->count == call->refs + call->ref_count);
    call->refs[call->ref_count++] = (struct xdr_ref){base, len, unref, ref};
    payload->count++;
    payload->len += (uint32_t)len;
    return true;
}

bool rpc_call_key(struct rpc_call *pub, const void **ret_key, size_t *ret_len)
{
    struct call *call = call_from(pub);

    if (!call->drc)
        return false;
    *ret_key = &call->key;
    *ret_len = sizeof(call->key);
    return true;
}

bool rpc_encode_reply(struct rpc_call *pub, xdrproc_t filter, void *result, const void **ret_reply,
                      size_t *ret_len)
{
    struct call *call = call_from(pub);
    uint32_t at = CALL_RESULT_AT - (pub->udp ? RECORD_MARK_SIZE : 0);

    call->encoded = false;
    if (!call_encode(call, filter, result) || call->split_count ||
        call->out_len - at > RPC_KEPT_MAX)
        return false;
    call->encoded = true;
    *ret_reply = call->out + at;
    *ret_len = call->out_len - at;
    return true;
}

void rpc_discard_reply(struct rpc_call *pub)
{
    call_from(pub)->encoded = false;
}

void rpc_forget(struct rpc_call *pub)
{
    call_from(pub)->forget = true;
}
