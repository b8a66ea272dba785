/* NFS procedures about one object's attributes: NULL, GETATTR, SETATTR, ACCESS. */
#include <string.h>

#include "nfsd/nfs3_call.h"
#include "nfsd/nfs3_conv.h"

bool_t nfsproc3_null_3_svc(void *args, void *res, struct svc_req *req)
{
    (void)args;
    (void)res;
    (void)req;
    return TRUE;
}

bool_t nfsproc3_getattr_3_svc(GETATTR3args *args, GETATTR3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_attr attr;

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->object);
    if (err == 0)
        err = fs_getattr(c.vol, &c.req, c.ino, &attr);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err == 0)
        nfs3_conv_attr(&attr, &res->GETATTR3res_u.resok.obj_attributes);
    return TRUE;
}

struct setattr_frame {
    SETATTR3res *res;
    struct fs_wcc wcc;
};

static void setattr_fill(void *frame)
{
    struct setattr_frame *f = frame;

    nfs3_conv_wcc(&f->wcc, &f->res->SETATTR3res_u.resok.obj_wcc);
}

/* The call of fs; its arguments are checked here because failures carry attributes too. */
static int setattr_do(struct nfs3_call *c, const SETATTR3args *args, struct fs_wcc *wcc)
{
    struct fs_sattr set;
    int64_t guard = 0;

    int err = nfs3_conv_sattr(&args->new_attributes, &set);
    if (err == 0 && args->guard.check)
        err = nfs3_conv_time_from(&args->guard.sattrguard3_u.obj_ctime, &guard);
    if (err)
        return nfs3_call_attr(c, c->ino, err, &wcc->after, &wcc->after_valid);
    return fs_setattr(c->vol, &c->req, c->ino, &set, args->guard.check ? &guard : NULL, wcc);
}

bool_t nfsproc3_setattr_3_svc(SETATTR3args *args, SETATTR3res *res, struct svc_req *req)
{
    struct setattr_frame frame = {.res = res};
    struct nfs3_call c;

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->object);
    if (err == 0) {
        nfs3_call_keep(&c, setattr_fill, &frame, (xdrproc_t)xdr_SETATTR3res, res);
        err = setattr_do(&c, args, &frame.wcc);
    }
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err == 0)
        setattr_fill(&frame);
    else
        nfs3_call_fail_wcc(&c, err, c.ino, &frame.wcc, &res->SETATTR3res_u.resfail.obj_wcc);
    return TRUE;
}

_Static_assert((int)FS_ACCESS_READ == ACCESS3_READ && (int)FS_ACCESS_LOOKUP == ACCESS3_LOOKUP &&
                   (int)FS_ACCESS_MODIFY == ACCESS3_MODIFY &&
                   (int)FS_ACCESS_EXTEND == ACCESS3_EXTEND &&
                   (int)FS_ACCESS_DELETE == ACCESS3_DELETE &&
                   (int)FS_ACCESS_EXECUTE == ACCESS3_EXECUTE,
               "fs uses the bits of RFC 1813");

bool_t nfsproc3_access_3_svc(ACCESS3args *args, ACCESS3res *res, struct svc_req *req)
{
    const uint32_t known = ACCESS3_READ | ACCESS3_LOOKUP | ACCESS3_MODIFY | ACCESS3_EXTEND |
                           ACCESS3_DELETE | ACCESS3_EXECUTE;
    struct nfs3_call c;
    struct fs_node node = {.attr_valid = false};
    uint32_t granted = 0;

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->object);
    if (err == 0)
        err = fs_access(c.vol, &c.req, c.ino, args->access & known, &granted, &node);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err == 0) {
        res->ACCESS3res_u.resok.access = granted & args->access;
        nfs3_conv_post(&node, &res->ACCESS3res_u.resok.obj_attributes);
    } else {
        nfs3_call_fail_post(&c, err, &node, &res->ACCESS3res_u.resfail.obj_attributes);
    }
    return TRUE;
}
