/* What all NFS procedures do before and after their one call of fs. */
#include "nfsd/nfs3_call.h"

#include <assert.h>
#include <errno.h>

#include "nfsd/nfs3_conv.h"
#include "nfsd/nfs3_status.h"

int nfs3_call_begin(struct nfs3_call *c, struct svc_req *req, const nfs_fh3 *handle)
{
    struct rpc_call *rpc = rpc_call_of(req);
    struct export_addr peer;

    *c = (struct nfs3_call){.rpc = rpc, .service = rpc->ctx};
    int err = fs_handle_decode(c->service->fs, handle->data, handle->len, &c->vol, &c->ino);
    if (err)
        return err;
    /* A sub-mount is its export's, whose rules are asked for each request anew: a handle is no way
     * around them. */
    const struct fs_volume *top = fs_volume_top(c->vol);
    c->entry = top ? export_find_volume(c->service->exports, top) : NULL;
    if (!c->entry)
        return -ESTALE;
    if (!export_addr_from(&rpc->peer.sa, &peer) ||
        export_check(c->entry, &peer) != EXPORT_ALLOWED) {
        /* AUTH_TOOWEAK: clients take it for "permission denied"; others make some retry for ever.
         */
        svcerr_weakauth(req->rq_xprt);
        c->denied = true;
        return -EACCES;
    }
    export_squash_cred(c->entry, rpc->has_cred ? &rpc->cred : NULL, &c->req.cred);
    c->req.flags = (rpc->nowait ? FS_NOWAIT : 0u) | (c->entry->read_only ? FS_READ_ONLY : 0u);
    c->req.deadline_ns = rpc->deadline_ns;
    return 0;
}

int nfs3_call_second(struct nfs3_call *c, struct svc_req *req, const nfs_fh3 *handle,
                     struct nfs3_call *ret)
{
    int err = nfs3_call_begin(ret, req, handle);

    c->denied = ret->denied;
    if (err)
        return err;
    return ret->vol == c->vol ? 0 : -EXDEV;
}

/* fs_req.journal: runs inside the operation. */
static bool journal_reply(struct fs_req *req, const void **key, size_t *key_len, const void **reply,
                          size_t *reply_len)
{
    struct nfs3_call *c = req->ctx;

    if (!rpc_call_key(c->rpc, key, key_len))
        return false;
    c->fill(c->frame);
    c->kept = rpc_encode_reply(c->rpc, c->filter, c->res, reply, reply_len);
    return c->kept;
}

void nfs3_call_keep(struct nfs3_call *c, void (*fill)(void *frame), void *frame, xdrproc_t filter,
                    void *res)
{
    c->fill = fill;
    c->frame = frame;
    c->filter = filter;
    c->res = res;
    c->req.journal = journal_reply;
    c->req.ctx = c;
}

int nfs3_call_attr(struct nfs3_call *c, uint64_t ino, int err, struct fs_attr *ret, bool *ret_valid)
{
    int got = fs_getattr(c->vol, &c->req, ino, ret);

    *ret_valid = got == 0;
    if (got == -ESTALE || (got == -EAGAIN && c->rpc->nowait))
        return got;
    return err;
}

bool nfs3_call_end(struct nfs3_call *c, int err, enum nfsstat3 *ret_status)
{
    assert(err <= 0);
    if (c->denied)
        return false;
    if (err && c->kept)
        rpc_discard_reply(c->rpc);
    if (err == -EAGAIN && c->rpc->nowait)
        return rpc_would_block(c->rpc);
    *ret_status = nfs3_status(c->rpc->proc, err);
    if (*ret_status == NFS3ERR_JUKEBOX)
        rpc_forget(c->rpc);
    rpc_hold(c->rpc, c->req.seq);
    return true;
}

static void add_missing(struct nfs3_call *c, int err, uint64_t ino, struct fs_attr *attr,
                        bool *valid)
{
    struct fs_req req = c->req;

    if (*valid || !c->entry || err == -ESTALE || err == -EBADF || err == -EAGAIN)
        return;
    req.flags |= FS_NOWAIT;
    req.journal = NULL;
    req.seq = 0;
    *valid = fs_getattr(c->vol, &req, ino, attr) == 0;
    rpc_hold(c->rpc, req.seq);
}

void nfs3_call_fail_post(struct nfs3_call *c, int err, struct fs_node *node, post_op_attr *ret)
{
    add_missing(c, err, c->ino, &node->attr, &node->attr_valid);
    nfs3_conv_post(node, ret);
}

void nfs3_call_fail_wcc(struct nfs3_call *c, int err, uint64_t ino, struct fs_wcc *wcc,
                        wcc_data *ret)
{
    add_missing(c, err, ino, &wcc->after, &wcc->after_valid);
    nfs3_conv_wcc(wcc, ret);
}
