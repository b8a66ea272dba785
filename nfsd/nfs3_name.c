/* NFS procedures about names: LOOKUP, and what makes a new name: CREATE, MKDIR, SYMLINK, MKNOD. */
#include <errno.h>
#include <string.h>

#include "nfsd/nfs3_call.h"
#include "nfsd/nfs3_conv.h"

bool_t nfsproc3_lookup_3_svc(LOOKUP3args *args, LOOKUP3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_node node = {.attr_valid = false}, dir = {.attr_valid = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->what.dir);
    if (err == 0)
        err = fs_lookup(c.vol, &c.req, c.ino, args->what.name, &node, &dir);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err) {
        nfs3_call_fail_post(&c, err, &dir, &res->LOOKUP3res_u.resfail.dir_attributes);
        return TRUE;
    }
    LOOKUP3resok *ok = &res->LOOKUP3res_u.resok;
    nfs3_conv_handle(node.vol, node.ino, &ok->object); /* perhaps of a sub-mount */
    nfs3_conv_post(&node, &ok->obj_attributes);
    nfs3_conv_post(&dir, &ok->dir_attributes);
    return TRUE;
}

/* CREATE, MKDIR and SYMLINK have results of the same shape under different names. */
struct make_frame {
    struct nfs3_call c;
    struct fs_node node;
    struct fs_wcc wcc;
    post_op_fh3 *obj;
    post_op_attr *obj_attributes;
    wcc_data *dir_wcc;
};

static void make_fill(void *frame)
{
    struct make_frame *f = frame;

    f->obj->handle_follows = TRUE;
    nfs3_conv_handle(f->c.vol, f->node.ino, &f->obj->post_op_fh3_u.handle);
    nfs3_conv_post(&f->node, f->obj_attributes);
    nfs3_conv_wcc(&f->wcc, f->dir_wcc);
}

_Static_assert((int)FS_CREATE_UNCHECKED == (int)UNCHECKED &&
                   (int)FS_CREATE_GUARDED == (int)GUARDED &&
                   (int)FS_CREATE_EXCLUSIVE == (int)EXCLUSIVE,
               "fs uses the numbers of RFC 1813");

static int create_do(struct make_frame *f, const CREATE3args *args)
{
    const createhow3 *how = &args->how;
    struct fs_sattr set = {.set = 0};
    const uint8_t *verifier = NULL;
    int err = 0;

    switch (how->mode) {
    case UNCHECKED:
        err = nfs3_conv_sattr(&how->createhow3_u.obj_attributes, &set);
        break;
    case GUARDED:
        err = nfs3_conv_sattr(&how->createhow3_u.g_obj_attributes, &set);
        break;
    case EXCLUSIVE:
        verifier = (const uint8_t *)how->createhow3_u.verf;
        break;
    }
    if (err)
        return nfs3_call_attr(&f->c, f->c.ino, err, &f->wcc.after, &f->wcc.after_valid);
    return fs_create(f->c.vol, &f->c.req, f->c.ino, args->where.name, (enum fs_create_how)how->mode,
                     &set, verifier, &f->node, &f->wcc);
}

bool_t nfsproc3_create_3_svc(CREATE3args *args, CREATE3res *res, struct svc_req *req)
{
    CREATE3resok *ok = &res->CREATE3res_u.resok;
    struct make_frame f = {.obj = &ok->obj, .obj_attributes = &ok->obj_attributes};

    f.dir_wcc = &ok->dir_wcc;
    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&f.c, req, &args->where.dir);
    if (err == 0) {
        nfs3_call_keep(&f.c, make_fill, &f, (xdrproc_t)xdr_CREATE3res, res);
        err = create_do(&f, args);
    }
    if (!nfs3_call_end(&f.c, err, &res->status))
        return FALSE;
    if (err == 0)
        make_fill(&f);
    else
        nfs3_call_fail_wcc(&f.c, err, f.c.ino, &f.wcc, &res->CREATE3res_u.resfail.dir_wcc);
    return TRUE;
}

static int mkdir_do(struct make_frame *f, const MKDIR3args *args)
{
    struct fs_sattr set;

    int err = nfs3_conv_sattr(&args->attributes, &set);
    if (err)
        return nfs3_call_attr(&f->c, f->c.ino, err, &f->wcc.after, &f->wcc.after_valid);
    return fs_mkdir(f->c.vol, &f->c.req, f->c.ino, args->where.name, &set, &f->node, &f->wcc);
}

bool_t nfsproc3_mkdir_3_svc(MKDIR3args *args, MKDIR3res *res, struct svc_req *req)
{
    MKDIR3resok *ok = &res->MKDIR3res_u.resok;
    struct make_frame f = {.obj = &ok->obj, .obj_attributes = &ok->obj_attributes};

    f.dir_wcc = &ok->dir_wcc;
    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&f.c, req, &args->where.dir);
    if (err == 0) {
        nfs3_call_keep(&f.c, make_fill, &f, (xdrproc_t)xdr_MKDIR3res, res);
        err = mkdir_do(&f, args);
    }
    if (!nfs3_call_end(&f.c, err, &res->status))
        return FALSE;
    if (err == 0)
        make_fill(&f);
    else
        nfs3_call_fail_wcc(&f.c, err, f.c.ino, &f.wcc, &res->MKDIR3res_u.resfail.dir_wcc);
    return TRUE;
}

static int symlink_do(struct make_frame *f, const SYMLINK3args *args)
{
    struct fs_sattr set;

    int err = nfs3_conv_sattr(&args->symlink.symlink_attributes, &set);
    if (err)
        return nfs3_call_attr(&f->c, f->c.ino, err, &f->wcc.after, &f->wcc.after_valid);
    return fs_symlink(f->c.vol, &f->c.req, f->c.ino, args->where.name, args->symlink.symlink_data,
                      &set, &f->node, &f->wcc);
}

bool_t nfsproc3_symlink_3_svc(SYMLINK3args *args, SYMLINK3res *res, struct svc_req *req)
{
    SYMLINK3resok *ok = &res->SYMLINK3res_u.resok;
    struct make_frame f = {.obj = &ok->obj, .obj_attributes = &ok->obj_attributes};

    f.dir_wcc = &ok->dir_wcc;
    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&f.c, req, &args->where.dir);
    if (err == 0) {
        nfs3_call_keep(&f.c, make_fill, &f, (xdrproc_t)xdr_SYMLINK3res, res);
        err = symlink_do(&f, args);
    }
    if (!nfs3_call_end(&f.c, err, &res->status))
        return FALSE;
    if (err == 0)
        make_fill(&f);
    else
        nfs3_call_fail_wcc(&f.c, err, f.c.ino, &f.wcc, &res->SYMLINK3res_u.resfail.dir_wcc);
    return TRUE;
}

/* A bucket has no place for devices, sockets and pipes. */
bool_t nfsproc3_mknod_3_svc(MKNOD3args *args, MKNOD3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_wcc wcc = {.before_valid = false};
    ftype3 type = args->what.type;

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->where.dir);
    if (err == 0)
        err = nfs3_call_attr(&c, c.ino, -ENOTSUP, &wcc.after, &wcc.after_valid);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err == -ENOTSUP && (type == NF3REG || type == NF3DIR || type == NF3LNK))
        res->status = NFS3ERR_BADTYPE;
    nfs3_conv_wcc(&wcc, &res->MKNOD3res_u.resfail.dir_wcc);
    return TRUE;
}
