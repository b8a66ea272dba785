/* Taking the head of an RPC call apart; see rpc_header.h. */
#include "nfsd/rpc_header.h"

#include <arpa/inet.h>
#include <string.h>

#include "xdr_types.h"

struct cursor {
    const uint8_t *at, *end;
};

static bool get_u32(struct cursor *c, uint32_t *ret)
{
    uint32_t be;

    if ((size_t)(c->end - c->at) < sizeof(be))
        return false;
    memcpy(&be, c->at, sizeof(be));
    *ret = ntohl(be);
    c->at += sizeof(be);
    return true;
}

static bool skip_opaque(struct cursor *c, uint32_t len)
{
    size_t padded = ((size_t)len + 3) & ~(size_t)3;

    if ((size_t)(c->end - c->at) < padded)
        return false;
    c->at += padded;
    return true;
}

/* The body of an AUTH_SYS credential (RFC 5531 appendix A). Like other servers we do not mind bytes
 * behind it. */
static bool parse_auth_sys(struct cursor body, struct fs_cred *ret)
{
    uint32_t stamp, name_len;

    if (!get_u32(&body, &stamp) || !get_u32(&body, &name_len) || name_len > RPC_MACHINE_NAME_MAX ||
        !skip_opaque(&body, name_len) || !get_u32(&body, &ret->uid) || !get_u32(&body, &ret->gid) ||
        !get_u32(&body, &ret->group_count) || ret->group_count > FS_GROUPS_MAX)
        return false;
    for (uint32_t i = 0; i < ret->group_count; i++)
        if (!get_u32(&body, &ret->groups[i]))
            return false;
    return true;
}

static enum rpc_verdict parse_cred(struct cursor *c, struct rpc_header *ret)
{
    uint32_t flavor, len;
    struct cursor body;

    if (!get_u32(c, &flavor) || !get_u32(c, &len))
        return RPC_HEADER_TRUNCATED;
    if (len > RPC_AUTH_BODY_MAX)
        return RPC_HEADER_BAD_CRED;
    body.at = c->at;
    if (!skip_opaque(c, len))
        return RPC_HEADER_TRUNCATED;
    body.end = body.at + len;
    switch (flavor) {
    case AUTH_NONE:
        return RPC_HEADER_OK;
    case AUTH_SYS:
        ret->has_cred = true;
        return parse_auth_sys(body, &ret->cred) ? RPC_HEADER_OK : RPC_HEADER_BAD_CRED;
    default:
        return RPC_HEADER_REJECTED_CRED;
    }
}

/* Neither of our flavours has anything in the caller's verifier. */
static enum rpc_verdict parse_verf(struct cursor *c)
{
    uint32_t flavor, len;

    if (!get_u32(c, &flavor) || !get_u32(c, &len))
        return RPC_HEADER_TRUNCATED;
    return flavor == AUTH_NONE && len == 0 ? RPC_HEADER_OK : RPC_HEADER_BAD_VERF;
}

enum rpc_verdict rpc_header_parse(const uint8_t *data, size_t len, struct rpc_header *ret)
{
    struct cursor c = {data, data + len};
    uint32_t type, rpcvers;
    enum rpc_verdict verdict;

    memset(ret, 0, offsetof(struct rpc_header, cred) + offsetof(struct fs_cred, groups));
    if (!get_u32(&c, &ret->xid) || !get_u32(&c, &type) || type != CALL || !get_u32(&c, &rpcvers))
        return RPC_HEADER_NOT_A_CALL;
    if (rpcvers != RPC_MSG_VERSION)
        return RPC_HEADER_WRONG_VERSION;
    if (!get_u32(&c, &ret->prog) || !get_u32(&c, &ret->vers) || !get_u32(&c, &ret->proc))
        return RPC_HEADER_TRUNCATED;
    verdict = parse_cred(&c, ret);
    if (verdict != RPC_HEADER_OK)
        return verdict;
    ret->args = 0;
    verdict = parse_verf(&c);
    ret->args = (size_t)(c.at - data);
    return verdict;
}
