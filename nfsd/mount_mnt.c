/* MOUNT's MNT: from a path to a handle, for those who may have it. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "mount3.h"
#include "nfsd/mount_service.h"
#include "nfsd/nfs3_conv.h"
#include "nfsd/rpc.h"

struct mnt_frame {
    struct rpc_call *call;
    const struct mount_service *service;
    struct export_addr peer;
    const struct export *entry;
    struct fs_req req;
    const char *why; /* of a refusal, for the log */
};

static mountstat3 mnt_status(int err)
{
    switch (err) {
    case 0:
        return MNT3_OK;
    case -EPERM:
    case -EACCES:
        return MNT3ERR_ACCES;
    case -ENOENT:
    case -ESTALE:
        return MNT3ERR_NOENT;
    case -ENOTDIR:
        return MNT3ERR_NOTDIR;
    case -EINVAL:
        return MNT3ERR_INVAL;
    case -ENAMETOOLONG:
        return MNT3ERR_NAMETOOLONG;
    case -ENOTSUP:
        return MNT3ERR_NOTSUPP;
    default:
        return MNT3ERR_IO; /* MOUNT has no "try later" */
    }
}

/* The export of path, and the path below it. "/" stands for the only export that this client may
 * mount, unless one has that name. */
static int find_export(struct mnt_frame *f, const char *path, const char **ret_rest)
{
    f->entry = export_find_path(f->service->exports, path, ret_rest);
    if (!f->entry && path[0] == '/' && path[strspn(path, "/")] == '\0') {
        f->entry = export_find_only(f->service->exports, &f->peer);
        *ret_rest = "";
    }
    if (!f->entry)
        return -ENOENT;
    switch (export_check(f->entry, &f->peer)) {
    case EXPORT_ALLOWED:
        return 0;
    case EXPORT_NOT_LISTED:
        f->why = "address is not allowed";
        break;
    case EXPORT_BAD_PORT:
        f->why = "port is not below 1024";
        break;
    }
    return -EACCES;
}

/* Where the walk is. */
struct mnt_place {
    struct fs_volume *vol;
    uint64_t ino;
};

/* One step down. The final node must be a directory, which the next lookup or the caller sees. */
static int step(struct mnt_frame *f, struct mnt_place *at, const char *name, size_t len,
                struct fs_node *node)
{
    char text[XDR_DIRPATH_MAX + 1];
    struct fs_node dir = {.attr_valid = false};

    assert(len < sizeof(text));
    memcpy(text, name, len);
    text[len] = '\0';
    *node = (struct fs_node){.attr_valid = false};
    int err = fs_lookup(at->vol, &f->req, at->ino, text, node, &dir);
    if (err == 0)
        *at = (struct mnt_place){.vol = node->vol, .ino = node->ino};
    return err;
}

/* Walks from the export's root to the directory named by rest, as the caller. */
static int walk(struct mnt_frame *f, const char *rest, struct mnt_place *ret)
{
    struct mnt_place at = {.vol = f->entry->vol, .ino = fs_root(f->entry->vol)};
    struct fs_node node = {.attr_valid = false};
    bool moved = false;

    while (*rest) {
        size_t len = strcspn(rest, "/");
        int err = step(f, &at, rest, len, &node);
        if (err)
            return err;
        rest += len;
        rest += strspn(rest, "/");
        moved = true;
    }
    if (moved && !node.attr_valid) {
        int err = fs_getattr(at.vol, &f->req, at.ino, &node.attr);
        if (err)
            return err;
    }
    if (moved && node.attr.type != FS_DIR)
        return -ENOTDIR;
    *ret = at;
    return 0;
}

static int mount_path(struct mnt_frame *f, const char *path, struct mnt_place *ret)
{
    const char *rest;

    if (!export_addr_from(&f->call->peer.sa, &f->peer))
        return -EACCES;
    int err = find_export(f, path, &rest);
    if (err)
        return err;
    export_squash_cred(f->entry, f->call->has_cred ? &f->call->cred : NULL, &f->req.cred);
    f->req.flags = f->call->nowait ? FS_NOWAIT : 0u;
    f->req.deadline_ns = f->call->deadline_ns;
    return walk(f, rest, ret);
}

/* A refused mount is what people ask the log about; at most one line a second, for anybody can
 * cause them. */
static void log_refusal(const struct mnt_frame *f, const char *path)
{
    static _Atomic int64_t last_ns;
    int64_t now = clock_coarse_ns(), last = atomic_load(&last_ns);
    char host[EXPORT_NET_TEXT];

    if ((last != 0 && now - last < CLOCK_S) ||
        !atomic_compare_exchange_strong(&last_ns, &last, now))
        return;
    export_addr_format(&f->peer, host);
    log_event(LOG_WARN, "mount_refused", "client=%s path=%s why=%s", host, LOG_Q(path),
              LOG_Q(f->why));
}

static void fill_ok(struct mnt_frame *f, const struct mnt_place *at, mountres3_ok *ret)
{
    nfs3_conv_handle(at->vol, at->ino, &ret->fhandle);
    int *flavors = rpc_alloc(f->call, sizeof(*flavors));
    assert(flavors); /* four bytes are far below RPC_ALLOC_MAX */
    flavors[0] = AUTH_SYS;
    ret->auth_flavors.auth_flavors_len = 1;
    ret->auth_flavors.auth_flavors_val = flavors;
}

bool_t mountproc3_mnt_3_svc(dirpath *args, mountres3 *res, struct svc_req *req)
{
    struct rpc_call *call = rpc_call_of(req);
    struct mnt_frame f = {.call = call, .service = call->ctx};
    struct mnt_place at = {.ino = 0};

    memset(res, 0, sizeof(*res));
    int err = mount_path(&f, *args, &at);
    if (err == -EAGAIN && call->nowait)
        return rpc_would_block(call);
    res->fhs_status = mnt_status(err);
    if (f.why)
        log_refusal(&f, *args);
    if (err)
        return TRUE;
    char host[EXPORT_NET_TEXT];
    export_addr_format(&f.peer, host);
    mount_list_add(f.service->list, host, *args);
    fill_ok(&f, &at, &res->mountres3_u.mountinfo);
    rpc_hold(call, f.req.seq);
    return TRUE;
}
