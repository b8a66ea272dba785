/* One function per procedure, and the checks that hold for every reply. */
#include "calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- statuses ---- */

const char *status_name(nfsstat3 status)
{
    static const struct {
        nfsstat3 status;
        const char *name;
    } names[] = {
        {NFS3_OK, "OK"},
        {NFS3ERR_PERM, "PERM"},
        {NFS3ERR_NOENT, "NOENT"},
        {NFS3ERR_IO, "IO"},
        {NFS3ERR_NXIO, "NXIO"},
        {NFS3ERR_ACCES, "ACCES"},
        {NFS3ERR_EXIST, "EXIST"},
        {NFS3ERR_XDEV, "XDEV"},
        {NFS3ERR_NODEV, "NODEV"},
        {NFS3ERR_NOTDIR, "NOTDIR"},
        {NFS3ERR_ISDIR, "ISDIR"},
        {NFS3ERR_INVAL, "INVAL"},
        {NFS3ERR_FBIG, "FBIG"},
        {NFS3ERR_NOSPC, "NOSPC"},
        {NFS3ERR_ROFS, "ROFS"},
        {NFS3ERR_MLINK, "MLINK"},
        {NFS3ERR_NAMETOOLONG, "NAMETOOLONG"},
        {NFS3ERR_NOTEMPTY, "NOTEMPTY"},
        {NFS3ERR_DQUOT, "DQUOT"},
        {NFS3ERR_STALE, "STALE"},
        {NFS3ERR_REMOTE, "REMOTE"},
        {NFS3ERR_BADHANDLE, "BADHANDLE"},
        {NFS3ERR_NOT_SYNC, "NOT_SYNC"},
        {NFS3ERR_BAD_COOKIE, "BAD_COOKIE"},
        {NFS3ERR_NOTSUPP, "NOTSUPP"},
        {NFS3ERR_TOOSMALL, "TOOSMALL"},
        {NFS3ERR_SERVERFAULT, "SERVERFAULT"},
        {NFS3ERR_BADTYPE, "BADTYPE"},
        {NFS3ERR_JUKEBOX, "JUKEBOX"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].status == status)
            return names[i].name;
    return "(not a status of NFSv3)";
}

void status_check(nfsstat3 got, nfsstat3 want, const char *call, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s: %s instead of %s\n", call, status_name(got), status_name(want));
    _fail(file, line);
}

/* ---- what every reply has ---- */

static void check_attr(const fattr3 *attr)
{
    assert_true(attr->type == NF3REG || attr->type == NF3DIR || attr->type == NF3LNK);
    assert_true(attr->fileid != 0);
    assert_true(attr->fsid != 0);
    assert_true(attr->nlink >= 1);
    assert_true(attr->mode <= 07777);
    assert_true(attr->atime.nseconds < 1000000000 && attr->mtime.nseconds < 1000000000 &&
                attr->ctime.nseconds < 1000000000);
}

/* No attributes only when there is no object, or nothing was looked at. */
static bool may_lack_attr(nfsstat3 status)
{
    return status == NFS3ERR_STALE || status == NFS3ERR_BADHANDLE || status == NFS3ERR_JUKEBOX;
}

static void check_post(nfsstat3 status, const post_op_attr *post)
{
    if (post->attributes_follow)
        check_attr(&post->post_op_attr_u.attributes);
    else if (!may_lack_attr(status))
        fail_msg("%s without attributes", status_name(status));
}

static void take_wcc(nfsstat3 status, const wcc_data *data, struct wcc *ret)
{
    struct wcc none;

    if (!ret)
        ret = &none;
    check_post(status, &data->after);
    ret->before_valid = data->before.attributes_follow;
    ret->after_valid = data->after.attributes_follow;
    ret->before = data->before.pre_op_attr_u.attributes;
    ret->after = data->after.post_op_attr_u.attributes;
}

static void take_fh(const nfs_fh3 *fh, struct fh *ret)
{
    assert_in_range(fh->data.data_len, 1, 56);
    ret->len = fh->data.data_len;
    memcpy(ret->data, fh->data.data_val, ret->len);
}

/* The object that a CREATE and its kind made: always with handle and attributes. */
static void take_node(const post_op_fh3 *fh, const post_op_attr *attr, struct node *ret)
{
    assert_true(fh->handle_follows);
    assert_true(attr->attributes_follow);
    check_attr(&attr->post_op_attr_u.attributes);
    if (!ret)
        return;
    take_fh(&fh->post_op_fh3_u.handle, &ret->fh);
    ret->attr = attr->post_op_attr_u.attributes;
}

nfs_fh3 fh_arg(const struct fh *fh)
{
    nfs_fh3 arg;

    arg.data.data_len = fh->len;
    arg.data.data_val = (char *)(uintptr_t)fh->data;
    return arg;
}

diropargs3 dirop(const struct fh *dir, const char *name)
{
    return (diropargs3){.dir = fh_arg(dir), .name = (char *)(uintptr_t)name};
}

sattr3 attr_none(void)
{
    return (sattr3){0};
}

sattr3 attr_mode(uint32_t mode)
{
    sattr3 set = {0};

    set.mode.set_it = 1;
    set.mode.set_mode3_u.mode = mode;
    return set;
}

sattr3 attr_size(uint64_t size)
{
    sattr3 set = {0};

    set.size.set_it = 1;
    set.size.set_size3_u.size = size;
    return set;
}

sattr3 attr_owner(uint32_t uid, uint32_t gid)
{
    sattr3 set = {0};

    set.uid.set_it = 1;
    set.uid.set_uid3_u.uid = uid;
    set.gid.set_it = 1;
    set.gid.set_gid3_u.gid = gid;
    return set;
}

/* ---- procedures ---- */

nfsstat3 v3_getattr(struct conn *c, const struct fh *fh, fattr3 *ret)
{
    GETATTR3args args = {.object = fh_arg(fh)};
    GETATTR3res res = {0};

    NFS_CALL(c, P_GETATTR, GETATTR, &args, &res);
    if (res.status == NFS3_OK) {
        check_attr(&res.GETATTR3res_u.resok.obj_attributes);
        if (ret)
            *ret = res.GETATTR3res_u.resok.obj_attributes;
    }
    return res.status;
}

nfsstat3 v3_setattr(struct conn *c, const struct fh *fh, const sattr3 *set, const nfstime3 *guard,
                    struct wcc *ret)
{
    SETATTR3args args = {.object = fh_arg(fh), .new_attributes = *set};
    SETATTR3res res = {0};

    if (guard) {
        args.guard.check = 1;
        args.guard.sattrguard3_u.obj_ctime = *guard;
    }
    NFS_CALL(c, P_SETATTR, SETATTR, &args, &res);
    take_wcc(res.status, &res.SETATTR3res_u.resok.obj_wcc, ret); /* the arms are alike */
    return res.status;
}

nfsstat3 v3_lookup(struct conn *c, const struct fh *dir, const char *name, struct node *ret)
{
    LOOKUP3args args = {.what = dirop(dir, name)};
    LOOKUP3res res = {0};

    NFS_CALL(c, P_LOOKUP, LOOKUP, &args, &res);
    if (res.status == NFS3_OK) {
        post_op_fh3 fh = {.handle_follows = 1};
        fh.post_op_fh3_u.handle = res.LOOKUP3res_u.resok.object;
        take_node(&fh, &res.LOOKUP3res_u.resok.obj_attributes, ret);
        check_post(res.status, &res.LOOKUP3res_u.resok.dir_attributes);
    } else {
        check_post(res.status, &res.LOOKUP3res_u.resfail.dir_attributes);
    }
    return res.status;
}

nfsstat3 v3_access(struct conn *c, const struct fh *fh, uint32_t mask, uint32_t *ret)
{
    ACCESS3args args = {.object = fh_arg(fh), .access = mask};
    ACCESS3res res = {0};

    NFS_CALL(c, P_ACCESS, ACCESS, &args, &res);
    check_post(res.status, &res.ACCESS3res_u.resok.obj_attributes);
    if (res.status == NFS3_OK) {
        assert_int_equal(res.ACCESS3res_u.resok.access & ~mask, 0);
        *ret = res.ACCESS3res_u.resok.access;
    }
    return res.status;
}

nfsstat3 v3_readlink(struct conn *c, const struct fh *fh, const char **ret)
{
    READLINK3args args = {.symlink = fh_arg(fh)};
    READLINK3res res = {0};

    NFS_CALL(c, P_READLINK, READLINK, &args, &res);
    check_post(res.status, &res.READLINK3res_u.resok.symlink_attributes);
    if (res.status == NFS3_OK && ret)
        *ret = res.READLINK3res_u.resok.data;
    return res.status;
}

nfsstat3 v3_read(struct conn *c, const struct fh *fh, uint64_t off, uint32_t count,
                 struct read_result *ret)
{
    READ3args args = {.file = fh_arg(fh), .offset = off, .count = count};
    READ3res res = {0};
    const READ3resok *ok = &res.READ3res_u.resok;

    NFS_CALL(c, P_READ, READ, &args, &res);
    check_post(res.status, &ok->file_attributes);
    if (res.status == NFS3_OK) {
        const fattr3 *attr = &ok->file_attributes.post_op_attr_u.attributes;
        assert_int_equal(ok->count, ok->data.data_len);
        assert_true(ok->count <= count);
        assert_int_equal(ok->eof != 0, off + ok->count >= attr->size);
        if (ret)
            *ret = (struct read_result){ok->count, ok->eof, ok->data.data_val, *attr};
    }
    return res.status;
}

nfsstat3 v3_write(struct conn *c, const struct fh *fh, uint64_t off, const void *data, uint32_t len,
                  stable_how stable, struct write_result *ret)
{
    WRITE3args args = {.file = fh_arg(fh), .offset = off, .count = len, .stable = stable};
    WRITE3res res = {0};
    const WRITE3resok *ok = &res.WRITE3res_u.resok;

    args.data.data_len = len;
    args.data.data_val = (char *)(uintptr_t)data;
    NFS_CALL(c, P_WRITE, WRITE, &args, &res);
    take_wcc(res.status, &ok->file_wcc, ret ? &ret->wcc : NULL);
    if (res.status == NFS3_OK) {
        assert_true(ok->count <= len && (ok->count > 0 || len == 0));
        assert_true(ok->committed >= stable && ok->committed <= FILE_SYNC);
        if (ret) {
            ret->count = ok->count;
            ret->committed = ok->committed;
            memcpy(ret->verf, ok->verf, sizeof(ret->verf));
        }
    }
    return res.status;
}

static nfsstat3 create(struct conn *c, const CREATE3args *args, struct node *ret,
                       struct wcc *ret_wcc)
{
    CREATE3res res = {0};
    const CREATE3resok *ok = &res.CREATE3res_u.resok;

    NFS_CALL(c, P_CREATE, CREATE, args, &res);
    if (res.status == NFS3_OK)
        take_node(&ok->obj, &ok->obj_attributes, ret);
    take_wcc(res.status, res.status == NFS3_OK ? &ok->dir_wcc : &res.CREATE3res_u.resfail.dir_wcc,
             ret_wcc);
    return res.status;
}

nfsstat3 v3_create(struct conn *c, const struct fh *dir, const char *name, createmode3 mode,
                   const sattr3 *set, struct node *ret, struct wcc *ret_wcc)
{
    CREATE3args args = {.where = dirop(dir, name), .how = {.mode = mode}};

    args.how.createhow3_u.obj_attributes = *set;
    return create(c, &args, ret, ret_wcc);
}

nfsstat3 v3_create_exclusive(struct conn *c, const struct fh *dir, const char *name,
                             const char verf[8], struct node *ret)
{
    CREATE3args args = {.where = dirop(dir, name), .how = {.mode = EXCLUSIVE}};

    memcpy(args.how.createhow3_u.verf, verf, 8);
    return create(c, &args, ret, NULL);
}

nfsstat3 v3_mkdir(struct conn *c, const struct fh *dir, const char *name, const sattr3 *set,
                  struct node *ret, struct wcc *ret_wcc)
{
    MKDIR3args args = {.where = dirop(dir, name), .attributes = *set};
    MKDIR3res res = {0};
    const MKDIR3resok *ok = &res.MKDIR3res_u.resok;

    NFS_CALL(c, P_MKDIR, MKDIR, &args, &res);
    if (res.status == NFS3_OK)
        take_node(&ok->obj, &ok->obj_attributes, ret);
    take_wcc(res.status, res.status == NFS3_OK ? &ok->dir_wcc : &res.MKDIR3res_u.resfail.dir_wcc,
             ret_wcc);
    return res.status;
}

nfsstat3 v3_symlink(struct conn *c, const struct fh *dir, const char *name, const char *target,
                    struct node *ret, struct wcc *ret_wcc)
{
    SYMLINK3args args = {.where = dirop(dir, name)};
    SYMLINK3res res = {0};
    const SYMLINK3resok *ok = &res.SYMLINK3res_u.resok;

    args.symlink.symlink_data = (char *)(uintptr_t)target;
    NFS_CALL(c, P_SYMLINK, SYMLINK, &args, &res);
    if (res.status == NFS3_OK)
        take_node(&ok->obj, &ok->obj_attributes, ret);
    take_wcc(res.status, res.status == NFS3_OK ? &ok->dir_wcc : &res.SYMLINK3res_u.resfail.dir_wcc,
             ret_wcc);
    return res.status;
}

nfsstat3 v3_mknod(struct conn *c, const struct fh *dir, const char *name, ftype3 type)
{
    MKNOD3args args = {.where = dirop(dir, name), .what = {.type = type}};
    MKNOD3res res = {0};

    NFS_CALL(c, P_MKNOD, MKNOD, &args, &res);
    if (res.status != NFS3_OK)
        take_wcc(res.status, &res.MKNOD3res_u.resfail.dir_wcc, NULL);
    return res.status;
}

nfsstat3 v3_remove(struct conn *c, const struct fh *dir, const char *name, struct wcc *ret_wcc)
{
    REMOVE3args args = {.object = dirop(dir, name)};
    REMOVE3res res = {0};

    NFS_CALL(c, P_REMOVE, REMOVE, &args, &res);
    take_wcc(res.status, &res.REMOVE3res_u.resok.dir_wcc, ret_wcc);
    return res.status;
}

nfsstat3 v3_rmdir(struct conn *c, const struct fh *dir, const char *name, struct wcc *ret_wcc)
{
    RMDIR3args args = {.object = dirop(dir, name)};
    RMDIR3res res = {0};

    NFS_CALL(c, P_RMDIR, RMDIR, &args, &res);
    take_wcc(res.status, &res.RMDIR3res_u.resok.dir_wcc, ret_wcc);
    return res.status;
}

nfsstat3 v3_rename(struct conn *c, const struct fh *from, const char *from_name,
                   const struct fh *to, const char *to_name, struct wcc *ret_from,
                   struct wcc *ret_to)
{
    RENAME3args args = {.from = dirop(from, from_name), .to = dirop(to, to_name)};
    RENAME3res res = {0};

    NFS_CALL(c, P_RENAME, RENAME, &args, &res);
    take_wcc(res.status, &res.RENAME3res_u.resok.fromdir_wcc, ret_from);
    take_wcc(res.status, &res.RENAME3res_u.resok.todir_wcc, ret_to);
    return res.status;
}

nfsstat3 v3_link(struct conn *c, const struct fh *fh, const struct fh *dir, const char *name)
{
    LINK3args args = {.file = fh_arg(fh), .link = dirop(dir, name)};
    LINK3res res = {0};

    NFS_CALL(c, P_LINK, LINK, &args, &res);
    check_post(res.status, &res.LINK3res_u.resok.file_attributes);
    take_wcc(res.status, &res.LINK3res_u.resok.linkdir_wcc, NULL);
    return res.status;
}

nfsstat3 v3_readdir(struct conn *c, const struct fh *dir, uint64_t cookie, const char verf[8],
                    uint32_t count, READDIR3resok *ret)
{
    READDIR3args args = {.dir = fh_arg(dir), .cookie = cookie, .count = count};
    READDIR3res res = {0};
    struct reply reply;

    if (verf)
        memcpy(args.cookieverf, verf, 8);
    conn_call(c, NFS_PROG, 3, P_READDIR, FILTER(zdr_READDIR3args), &args, &reply);
    reply_decode(c, &reply, FILTER(zdr_READDIR3res), &res);
    check_post(res.status, &res.READDIR3res_u.resok.dir_attributes);
    if (res.status == NFS3_OK) {
        assert_true(reply.body_len - 4 <= count); /* all of READDIR3resok */
        assert_true(res.READDIR3res_u.resok.reply.entries || res.READDIR3res_u.resok.reply.eof);
        if (ret)
            *ret = res.READDIR3res_u.resok;
    }
    return res.status;
}

nfsstat3 v3_readdirplus(struct conn *c, const struct fh *dir, uint64_t cookie, const char verf[8],
                        uint32_t dircount, uint32_t maxcount, READDIRPLUS3resok *ret)
{
    READDIRPLUS3args args = {
        .dir = fh_arg(dir), .cookie = cookie, .dircount = dircount, .maxcount = maxcount};
    READDIRPLUS3res res = {0};
    struct reply reply;

    if (verf)
        memcpy(args.cookieverf, verf, 8);
    conn_call(c, NFS_PROG, 3, P_READDIRPLUS, FILTER(zdr_READDIRPLUS3args), &args, &reply);
    reply_decode(c, &reply, FILTER(zdr_READDIRPLUS3res), &res);
    check_post(res.status, &res.READDIRPLUS3res_u.resok.dir_attributes);
    if (res.status == NFS3_OK) {
        const dirlistplus3 *list = &res.READDIRPLUS3res_u.resok.reply;
        assert_true(reply.body_len - 4 <= maxcount);
        assert_true(list->entries || list->eof);
        for (const entryplus3 *e = list->entries; e; e = e->nextentry)
            if (e->name_attributes.attributes_follow) {
                check_attr(&e->name_attributes.post_op_attr_u.attributes);
                assert_int_equal(e->name_attributes.post_op_attr_u.attributes.fileid, e->fileid);
            }
        if (ret)
            *ret = res.READDIRPLUS3res_u.resok;
    }
    return res.status;
}

nfsstat3 v3_fsstat(struct conn *c, const struct fh *fh, FSSTAT3resok *ret)
{
    FSSTAT3args args = {.fsroot = fh_arg(fh)};
    FSSTAT3res res = {0};

    NFS_CALL(c, P_FSSTAT, FSSTAT, &args, &res);
    check_post(res.status, &res.FSSTAT3res_u.resok.obj_attributes);
    if (res.status == NFS3_OK && ret)
        *ret = res.FSSTAT3res_u.resok;
    return res.status;
}

nfsstat3 v3_fsinfo(struct conn *c, const struct fh *fh, FSINFO3resok *ret)
{
    FSINFO3args args = {.fsroot = fh_arg(fh)};
    FSINFO3res res = {0};

    NFS_CALL(c, P_FSINFO, FSINFO, &args, &res);
    check_post(res.status, &res.FSINFO3res_u.resok.obj_attributes);
    if (res.status == NFS3_OK && ret)
        *ret = res.FSINFO3res_u.resok;
    return res.status;
}

nfsstat3 v3_pathconf(struct conn *c, const struct fh *fh, PATHCONF3resok *ret)
{
    PATHCONF3args args = {.object = fh_arg(fh)};
    PATHCONF3res res = {0};

    NFS_CALL(c, P_PATHCONF, PATHCONF, &args, &res);
    check_post(res.status, &res.PATHCONF3res_u.resok.obj_attributes);
    if (res.status == NFS3_OK && ret)
        *ret = res.PATHCONF3res_u.resok;
    return res.status;
}

nfsstat3 v3_commit(struct conn *c, const struct fh *fh, uint64_t off, uint32_t count,
                   char ret_verf[8], struct wcc *ret_wcc)
{
    COMMIT3args args = {.file = fh_arg(fh), .offset = off, .count = count};
    COMMIT3res res = {0};

    NFS_CALL(c, P_COMMIT, COMMIT, &args, &res);
    take_wcc(res.status, &res.COMMIT3res_u.resok.file_wcc, ret_wcc);
    if (res.status == NFS3_OK && ret_verf)
        memcpy(ret_verf, res.COMMIT3res_u.resok.verf, 8);
    return res.status;
}
