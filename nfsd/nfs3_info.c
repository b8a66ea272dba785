/* NFS procedures about the file system: FSSTAT, FSINFO, PATHCONF. */
#include <errno.h>
#include <string.h>

#include "nfsd/nfs3_call.h"
#include "nfsd/nfs3_conv.h"

enum { NFS3_MULTIPLE = 4096, NFS3_DIR_PREFERRED = 64 << 10 };

bool_t nfsproc3_fsstat_3_svc(FSSTAT3args *args, FSSTAT3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_space space;
    struct fs_node node = {.attr_valid = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->fsroot);
    if (err == 0)
        err = fs_statfs(c.vol, &c.req, c.ino, &space, &node);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err) {
        nfs3_call_fail_post(&c, err, &node, &res->FSSTAT3res_u.resfail.obj_attributes);
        return TRUE;
    }
    FSSTAT3resok *ok = &res->FSSTAT3res_u.resok;
    nfs3_conv_post(&node, &ok->obj_attributes);
    ok->tbytes = space.total;
    ok->fbytes = space.free;
    ok->abytes = space.free;
    ok->tfiles = space.files;
    ok->ffiles = space.files_free;
    ok->afiles = space.files_free;
    return TRUE;
}

/* What FSINFO and PATHCONF say is true of every object; only the attributes depend on it. They are
 * optional, so that a mount succeeds while the store is slow. */
static int info_attr(struct nfs3_call *c, struct fs_node *node)
{
    int err = fs_getattr(c->vol, &c->req, c->ino, &node->attr);

    node->attr_valid = err == 0;
    if (err == -ESTALE || (err == -EAGAIN && c->rpc->nowait))
        return err;
    return 0;
}

bool_t nfsproc3_fsinfo_3_svc(FSINFO3args *args, FSINFO3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_node node = {.attr_valid = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->fsroot);
    if (err == 0)
        err = info_attr(&c, &node);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err)
        return TRUE; /* no attributes of what is gone */
    FSINFO3resok *ok = &res->FSINFO3res_u.resok;
    nfs3_conv_post(&node, &ok->obj_attributes);
    ok->rtmax = FS_IO_MAX;
    ok->rtpref = FS_IO_MAX;
    ok->rtmult = NFS3_MULTIPLE;
    ok->wtmax = FS_IO_MAX;
    ok->wtpref = FS_IO_MAX;
    ok->wtmult = NFS3_MULTIPLE;
    ok->dtpref = NFS3_DIR_PREFERRED;
    ok->maxfilesize = FS_FILE_MAX;
    ok->time_delta = (nfstime3){.seconds = 0, .nseconds = 1};
    ok->properties = FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME;
    return TRUE;
}

bool_t nfsproc3_pathconf_3_svc(PATHCONF3args *args, PATHCONF3res *res, struct svc_req *req)
{
    struct nfs3_call c;
    struct fs_node node = {.attr_valid = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&c, req, &args->object);
    if (err == 0)
        err = info_attr(&c, &node);
    if (!nfs3_call_end(&c, err, &res->status))
        return FALSE;
    if (err)
        return TRUE;
    PATHCONF3resok *ok = &res->PATHCONF3res_u.resok;
    nfs3_conv_post(&node, &ok->obj_attributes);
    ok->linkmax = 1;
    ok->name_max = FS_NAME_MAX;
    ok->no_trunc = TRUE;
    ok->chown_restricted = TRUE;
    ok->case_insensitive = FALSE;
    ok->case_preserving = TRUE;
    return TRUE;
}
