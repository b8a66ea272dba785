/*
 * What all NFS procedures do before and after their one call of fs:
 *
 *     struct nfs3_call c;
 *     int err = nfs3_call_begin(&c, req, &args->object);
 *     if (err == 0)
 *         err = fs_something(c.vol, &c.req, c.ino, ...);
 *     if (!nfs3_call_end(&c, err, &res->status))
 *         return FALSE;
 *     ... fill the arm that res->status selects ...
 *     return TRUE;
 */
#pragma once

#include "fs/fs.h"
#include "nfs3.h"
#include "nfsd/export.h"
#include "nfsd/nfs3_service.h"
#include "nfsd/rpc.h"

struct nfs3_call {
    struct rpc_call *rpc;
    struct nfs3_service *service;
    struct fs_volume *vol;
    const struct export *entry;
    uint64_t ino; /* what the handle names */
    struct fs_req req;

    bool denied;               /* svcerr_weakauth has been sent */
    bool kept;                 /* the reply went into the transaction of the operation */
    void (*fill)(void *frame); /* see nfs3_call_keep */
    void *frame;
    xdrproc_t filter;
    void *res;
};

/* Checks the handle, then that its export lets this client in, then who the caller is. 0, or what
 * to hand to nfs3_call_end. A client that the export does not let in gets AUTH_TOOWEAK. */
int nfs3_call_begin(struct nfs3_call *c, struct svc_req *req, const nfs_fh3 *handle);

/* A second handle of the same request, checked like the first. -EXDEV if it belongs to another
 * export; ret is then good for its attributes. */
int nfs3_call_second(struct nfs3_call *c, struct svc_req *req, const nfs_fh3 *handle,
                     struct nfs3_call *ret);

/* Has the reply kept with the operation, so that it is given again after a restart: when the
 * outcome is fixed, fill(frame) fills res, an NFS3_OK result that filter encodes. */
void nfs3_call_keep(struct nfs3_call *c, void (*fill)(void *frame), void *frame, xdrproc_t filter,
                    void *res);

/* Only for procedures that fail without asking fs: the attributes that failures carry too. Returns
 * err; or -ESTALE, which comes first; or -EAGAIN where that leads to a second try that may wait. */
int nfs3_call_attr(struct nfs3_call *c, uint64_t ino, int err, struct fs_attr *ret,
                   bool *ret_valid);

/* False: nothing to fill in, return FALSE. True: *ret_status tells the arm to fill. */
bool nfs3_call_end(struct nfs3_call *c, int err, enum nfsstat3 *ret_status);

/* For the arms of failures, which carry attributes too: what fs gave, else what the object has now
 * if that is known at once. err is the procedure's; ino is c->ino or of the same volume. */
void nfs3_call_fail_post(struct nfs3_call *c, int err, struct fs_node *node, post_op_attr *ret);
void nfs3_call_fail_wcc(struct nfs3_call *c, int err, uint64_t ino, struct fs_wcc *wcc,
                        wcc_data *ret);
