/* The head of an RPC call (RFC 5531 section 9), taken apart by hand: it is the hottest code we
 * have. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/fs.h"

enum {
    RPC_AUTH_BODY_MAX = 400,
    RPC_MACHINE_NAME_MAX = 255,
    RPC_HEADER_WORDS = 6, /* xid, CALL, rpcvers, prog, vers, proc */
};

struct rpc_header {
    uint32_t xid, prog, vers, proc;
    bool has_cred;
    struct fs_cred cred;
    size_t args; /* where the arguments begin */
};

enum rpc_verdict {
    RPC_HEADER_OK,
    RPC_HEADER_NOT_A_CALL,    /* nothing that can be answered: close */
    RPC_HEADER_WRONG_VERSION, /* RPC_MISMATCH {2, 2} */
    RPC_HEADER_BAD_CRED,      /* AUTH_ERROR, AUTH_BADCRED */
    RPC_HEADER_REJECTED_CRED, /* AUTH_REJECTEDCRED: a flavour we do not have */
    RPC_HEADER_BAD_VERF,      /* AUTH_BADVERF */
    RPC_HEADER_TRUNCATED,     /* GARBAGE_ARGS */
};

/* ret->xid is set whenever the verdict is not RPC_HEADER_NOT_A_CALL. */
enum rpc_verdict rpc_header_parse(const uint8_t *data, size_t len, struct rpc_header *ret);
