/* NFS procedures about a file's bytes: READ, WRITE, COMMIT, and READLINK. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "nfsd/nfs3_call.h"
#include "nfsd/nfs3_conv.h"

_Static_assert((int)FS_DATA_IOV_MAX <= (int)RPC_REFS_MAX, "a reply can refer to all of one read");
_Static_assert((int)FS_IO_MAX == (int)XDR_DATA_MAX, "one READ or WRITE is one call of fs");
_Static_assert((int)FS_VERF_SIZE == NFS3_WRITEVERFSIZE, "verifiers are passed whole");
_Static_assert((int)FS_VERF_SIZE == NFS3_CREATEVERFSIZE, "verifiers are passed whole");

/* Hands the references over to the reply. */
static void read_attach(struct rpc_call *rpc, struct fs_data *data, nfs_payload *payload)
{
    for (uint32_t i = 0; i < data->count; i++) {
        bool added = rpc_payload_add(rpc, payload, data->iov[i].iov_base, data->iov[i].iov_len,
                                     data->ref[i] ? data->unref[i] : NULL, data->ref[i]);
        assert(added); /* there are never more references than a reply takes */
        (void)added;
    }
}

bool_t nfsproc3_read_3_svc(READ3args *args, READ3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_data data = {.count = 0};
    struct fs_node node = {.attr_valid = false};
    uint32_t count = args->count < FS_IO_MAX ? args->count : FS_IO_MAX;
    bool eof = false;

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->file);
    if (err == 0)
        err = fs_read(c.vol, &c.req, c.ino, args->offset, count, &data, &eof, &node);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err) {
        nfs3_call_fail_post(&c, err, &node, &res->READ3res_u.resfail.file_attributes);
        return TRUE;
    }
    READ3resok *ok = &res->READ3res_u.resok;
    nfs3_conv_post(&node, &ok->file_attributes);
    ok->count = (uint32_t)data.len;
    ok->eof = eof;
    read_attach(c.rpc, &data, &ok->data);
    return TRUE;
}

/* The call of fs; failures carry attributes too. */
static int write_do(struct nfs3_call *c, const WRITE3args *args, struct fs_wcc *wcc)
{
    /* The payload is only read: struct iovec has no const. */
    struct iovec iov = {.iov_base = (void *)args->data.data, .iov_len = args->data.len};

    if (args->count != args->data.len)
        return nfs3_call_attr(c, c->ino, -EINVAL, &wcc->after, &wcc->after_valid);
    return fs_write(c->vol, &c->req, c->ino, args->offset, &iov, 1, (enum fs_stable)args->stable,
                    wcc);
}

bool_t nfsproc3_write_3_svc(WRITE3args *args, WRITE3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_wcc wcc = {.before_valid = false};
    uint8_t verifier[FS_VERF_SIZE] = {0};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->file);
    if (err == 0) {
        /* Before the write: should the verifier change while it is under way, the client sees the
         * old one here and the new one at COMMIT, and sends the data again. */
        fs_write_verifier(c.service->fs, verifier);
        err = write_do(&c, args, &wcc);
    }
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err) {
        nfs3_call_fail_wcc(&c, err, c.ino, &wcc, &res->WRITE3res_u.resfail.file_wcc);
        return TRUE;
    }
    WRITE3resok *ok = &res->WRITE3res_u.resok;
    nfs3_conv_wcc(&wcc, &ok->file_wcc);
    ok->count = args->count;
    ok->committed = args->stable;
    memcpy(ok->verf, verifier, sizeof(verifier));
    return TRUE;
}

bool_t nfsproc3_commit_3_svc(COMMIT3args *args, COMMIT3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_wcc wcc = {.before_valid = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->file);
    if (err == 0)
        err = fs_commit(c.vol, &c.req, c.ino, args->offset, args->count, &wcc);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err) {
        nfs3_call_fail_wcc(&c, err, c.ino, &wcc, &res->COMMIT3res_u.resfail.file_wcc);
        return TRUE;
    }
    nfs3_conv_wcc(&wcc, &res->COMMIT3res_u.resok.file_wcc);
    /* After the commit: a verifier that changed meanwhile makes the client send its data again. */
    fs_write_verifier(c.service->fs, (uint8_t *)res->COMMIT3res_u.resok.verf);
    return TRUE;
}

bool_t nfsproc3_readlink_3_svc(READLINK3args *args, READLINK3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_node node = {.attr_valid = false};
    char target[FS_SYMLINK_MAX + 1];

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->symlink);
    if (err == 0)
        err = fs_readlink(c.vol, &c.req, c.ino, target, &node);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err) {
        nfs3_call_fail_post(&c, err, &node, &res->READLINK3res_u.resfail.symlink_attributes);
        return TRUE;
    }
    nfs3_conv_post(&node, &res->READLINK3res_u.resok.symlink_attributes);
    res->READLINK3res_u.resok.data = rpc_strdup(c.rpc, target);
    assert(res->READLINK3res_u.resok.data); /* far below RPC_ALLOC_MAX */
    return TRUE;
}
