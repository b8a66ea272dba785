/*
 * READDIR and READDIRPLUS. Cookies are fs's and stay valid for ever, so the cookie verifier is
 * constant and the client's is not looked at: some clients send one verifier to all directories.
 */
#include <errno.h>
#include <string.h>

#include "nfsd/nfs3_call.h"
#include "nfsd/nfs3_conv.h"
#include "nfsd/payload.h"

struct list_frame {
    struct nfs3_call c;
    struct dirbuf buf;
    struct fs_node dir;
    bool eof;
};

static bool emit_plain(void *ctx, const struct fs_dir_entry *entry)
{
    struct list_frame *f = ctx;

    return dirbuf_add(&f->buf, entry->node.ino, entry->name, entry->cookie);
}

/* What is not known without asking the store for each entry is left out: the client asks when it
 * needs it. */
static bool emit_plus(void *ctx, const struct fs_dir_entry *entry)
{
    struct list_frame *f = ctx;
    fattr3 attr;
    nfs_fh3 handle;

    if (!entry->node.attr_valid)
        return dirbuf_add_plus(&f->buf, entry->node.ino, entry->name, entry->cookie, NULL, NULL);
    nfs3_conv_attr(&entry->node.attr, &attr);
    nfs3_conv_handle(entry->node.vol, entry->node.ino, &handle);
    return dirbuf_add_plus(&f->buf, entry->node.ino, entry->name, entry->cookie, &attr, &handle);
}

/* Reads entries into f->buf. On success the buffer is to be finished, else it is gone. */
static int list(struct list_frame *f, uint64_t cookie, enum dirbuf_kind kind, uint32_t count,
                uint32_t dircount)
{
    dirbuf_open(&f->buf, f->c.rpc, kind, count, dircount);
    int err = fs_readdir(f->c.vol, &f->c.req, f->c.ino, cookie, kind == DIRBUF_PLUS,
                         kind == DIRBUF_PLUS ? emit_plus : emit_plain, f, &f->eof, &f->dir);
    /* The store got slow half-way: what has been listed is a good answer, and the next call goes on
     * from there. */
    if (err == -EAGAIN && !f->c.rpc->nowait && dirbuf_count(&f->buf) > 0) {
        f->eof = false;
        err = 0;
    }
    if (err)
        dirbuf_abort(&f->buf);
    return err;
}

/* Hands the entries to the reply. False: not even one fitted, and there would be one. */
static bool list_finish(struct list_frame *f, nfs_entries *ret)
{
    if (dirbuf_count(&f->buf) == 0 && !f->eof) {
        dirbuf_abort(&f->buf);
        return false;
    }
    dirbuf_finish(&f->buf, ret);
    return true;
}

bool_t nfsproc3_readdir_3_svc(READDIR3args *args, READDIR3res *res, struct svc_req *req)
{
    struct list_frame f = {.eof = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&f.c, req, &args->dir);
    if (err == 0)
        err = list(&f, args->cookie, DIRBUF_PLAIN, args->count, 0);
    if (!nfs3_call_end(&f.c, err, &res->status))
        return FALSE;
    READDIR3resok *ok = &res->READDIR3res_u.resok;
    if (err == 0 && !list_finish(&f, &ok->reply.entries))
        res->status = NFS3ERR_TOOSMALL;
    if (res->status == NFS3_OK) {
        nfs3_conv_post(&f.dir, &ok->dir_attributes);
        ok->reply.eof = f.eof;
    } else {
        nfs3_call_fail_post(&f.c, err, &f.dir, &res->READDIR3res_u.resfail.dir_attributes);
    }
    return TRUE;
}

bool_t nfsproc3_readdirplus_3_svc(READDIRPLUS3args *args, READDIRPLUS3res *res, struct svc_req *req)
{
    struct list_frame f = {.eof = false};

    memset(res, 0, sizeof(*res));
    int err = nfs3_call_begin(&f.c, req, &args->dir);
    if (err == 0)
        err = list(&f, args->cookie, DIRBUF_PLUS, args->maxcount, args->dircount);
    if (!nfs3_call_end(&f.c, err, &res->status))
        return FALSE;
    READDIRPLUS3resok *ok = &res->READDIRPLUS3res_u.resok;
    if (err == 0 && !list_finish(&f, &ok->reply.entries))
        res->status = NFS3ERR_TOOSMALL;
    if (res->status == NFS3_OK) {
        nfs3_conv_post(&f.dir, &ok->dir_attributes);
        ok->reply.eof = f.eof;
    } else {
        nfs3_call_fail_post(&f.c, err, &f.dir, &res->READDIRPLUS3res_u.resfail.dir_attributes);
    }
    return TRUE;
}
