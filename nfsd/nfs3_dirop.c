/* NFS procedures that take names away or move them: REMOVE, RMDIR, RENAME; and LINK, which is
 * refused because an object has one name. */
#include <errno.h>
#include <string.h>

#include "nfsd/nfs3_call.h"
#include "nfsd/nfs3_conv.h"

struct remove_frame {
    struct fs_wcc wcc;
    wcc_data *dir_wcc;
};

static void remove_fill(void *frame)
{
    struct remove_frame *f = frame;

    nfs3_conv_wcc(&f->wcc, f->dir_wcc);
}

bool_t nfsproc3_remove_3_svc(REMOVE3args *args, REMOVE3res *res, struct svc_req *req)
{
    struct remove_frame f = {.dir_wcc = &res->REMOVE3res_u.resok.dir_wcc};
    struct nfs3_call c;

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->object.dir);
    if (err == 0) {
        nfs3_call_keep(&c, remove_fill, &f, (xdrproc_t)xdr_REMOVE3res, res);
        err = fs_remove(c.vol, &c.req, c.ino, args->object.name, &f.wcc);
    }
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err == 0)
        remove_fill(&f);
    else
        nfs3_call_fail_wcc(&c, err, c.ino, &f.wcc, &res->REMOVE3res_u.resfail.dir_wcc);
    return TRUE;
}

bool_t nfsproc3_rmdir_3_svc(RMDIR3args *args, RMDIR3res *res, struct svc_req *req)
{
    struct remove_frame f = {.dir_wcc = &res->RMDIR3res_u.resok.dir_wcc};
    struct nfs3_call c;

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->object.dir);
    if (err == 0) {
        nfs3_call_keep(&c, remove_fill, &f, (xdrproc_t)xdr_RMDIR3res, res);
        err = fs_rmdir(c.vol, &c.req, c.ino, args->object.name, &f.wcc);
    }
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err == 0)
        remove_fill(&f);
    else
        nfs3_call_fail_wcc(&c, err, c.ino, &f.wcc, &res->RMDIR3res_u.resfail.dir_wcc);
    return TRUE;
}

/* A refusal for which fs is not asked: err, but a handle of nothing comes first. */
static int refuse(struct nfs3_call *first, struct nfs3_call *second, int err,
                  struct fs_attr *first_attr, bool *first_valid, struct fs_wcc *second_wcc)
{
    int got = nfs3_call_attr(first, first->ino, err, first_attr, first_valid);

    if (got != err)
        return got;
    return nfs3_call_attr(second, second->ino, err, &second_wcc->after, &second_wcc->after_valid);
}

struct rename_frame {
    struct fs_wcc from, to;
    wcc_data *fromdir_wcc, *todir_wcc;
};

static void rename_fill(void *frame)
{
    struct rename_frame *f = frame;

    nfs3_conv_wcc(&f->from, f->fromdir_wcc);
    nfs3_conv_wcc(&f->to, f->todir_wcc);
}

static void rename_fail(struct nfs3_call *from, struct nfs3_call *to, int err,
                        struct rename_frame *f, RENAME3resfail *ret)
{
    nfs3_call_fail_wcc(from, err, from->ino, &f->from, &ret->fromdir_wcc);
    nfs3_call_fail_wcc(to, err, to->ino, &f->to, &ret->todir_wcc);
}

bool_t nfsproc3_rename_3_svc(RENAME3args *args, RENAME3res *res, struct svc_req *req)
{
    RENAME3resok *ok = &res->RENAME3res_u.resok;
    struct rename_frame f = {.fromdir_wcc = &ok->fromdir_wcc, .todir_wcc = &ok->todir_wcc};
    struct nfs3_call c, to = {.entry = NULL};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->from.dir);
    if (err == 0)
        err = nfs3_call_second(&c, req, &args->to.dir, &to);
    if (err == -EXDEV)
        err = refuse(&c, &to, err, &f.from.after, &f.from.after_valid, &f.to);
    if (err == 0) {
        nfs3_call_keep(&c, rename_fill, &f, (xdrproc_t)xdr_RENAME3res, res);
        err =
            fs_rename(c.vol, &c.req, c.ino, args->from.name, to.ino, args->to.name, &f.from, &f.to);
    }
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err == 0)
        rename_fill(&f);
    else
        rename_fail(&c, &to, err, &f, &res->RENAME3res_u.resfail);
    return TRUE;
}

bool_t nfsproc3_link_3_svc(LINK3args *args, LINK3res *res, struct svc_req *req)
{
    struct nfs3_call c, dir = {.entry = NULL};
    struct fs_node file = {.attr_valid = false};
    struct fs_wcc wcc = {.before_valid = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->file);
    if (err == 0)
        err = nfs3_call_second(&c, req, &args->link.dir, &dir);
    if (err == 0 || err == -EXDEV)
        err = refuse(&c, &dir, err ? err : -ENOTSUP, &file.attr, &file.attr_valid, &wcc);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    nfs3_call_fail_post(&c, err, &file, &res->LINK3res_u.resfail.file_attributes);
    nfs3_call_fail_wcc(&dir, err, dir.ino, &wcc, &res->LINK3res_u.resfail.linkdir_wcc);
    return TRUE;
}
