/*
 * Encoding of READDIR and READDIRPLUS entries straight to their wire form, with byte-exact account
 * of the limits the client gave.
 *
 *     struct dirbuf buf;
 *     dirbuf_open(&buf, call, DIRBUF_PLUS, args->maxcount, args->dircount);
 *     fs_readdir(..., emit (calls dirbuf_add_plus), &buf, &eof, ...);
 *     if (would block or error) dirbuf_abort(&buf);
 *     else if (dirbuf_count(&buf) == 0 && !eof) { dirbuf_abort; NFS3ERR_TOOSMALL }
 *     else dirbuf_finish(&buf, &res->READDIRPLUS3res_u.resok.reply.entries);
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "nfsd/rpc.h"

enum dirbuf_kind { DIRBUF_PLAIN, DIRBUF_PLUS };

enum {
    /* The rest of READDIR3resok and READDIRPLUS3resok: attributes of the directory (4 + 84),
     * verifier (8), end of the list (4), eof (4). */
    DIRBUF_OVERHEAD = 4 + XDR_FATTR3_SIZE + 8 + 4 + 4,
    DIRBUF_MAX = 64 << 10, /* bytes of entries in one reply, whatever the client allows: dtpref */
};

struct dirbuf {
    struct rpc_call *call;
    struct buf *buf;
    uint8_t *base;
    uint32_t used, limit;       /* bytes of entries */
    uint32_t dir_used, dir_max; /* PLUS: bytes of fileid, name and cookie */
    uint32_t count;
    enum dirbuf_kind kind;
    bool full;
};

/* count: the client's count (PLAIN) or maxcount (PLUS): bytes of the whole resok. dircount: PLUS
 * only; the first entry is let through however small dircount is. */
void dirbuf_open(struct dirbuf *buf, struct rpc_call *call, enum dirbuf_kind kind, uint32_t count,
                 uint32_t dircount);

/* False: no room; the entry was not added and none will be any more. */
bool dirbuf_add(struct dirbuf *buf, uint64_t fileid, const char *name, uint64_t cookie);
/* attr and fh may be NULL: "not given". */
bool dirbuf_add_plus(struct dirbuf *buf, uint64_t fileid, const char *name, uint64_t cookie,
                     const fattr3 *attr, const nfs_fh3 *fh);
uint32_t dirbuf_count(const struct dirbuf *buf);

/* Exactly one of these, once: hand the entries to the reply, or throw them away. */
void dirbuf_finish(struct dirbuf *buf, nfs_entries *ret);
void dirbuf_abort(struct dirbuf *buf);
