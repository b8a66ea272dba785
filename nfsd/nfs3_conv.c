/* Between the types of fs.h and those of nfs3.x. Pure functions but for the handle's MAC. */
#include "nfsd/nfs3_conv.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

_Static_assert(FS_HANDLE_SIZE <= 56, "VMware takes handles of at most 56 bytes");
_Static_assert((int)FS_REG == (int)NF3REG && (int)FS_DIR == (int)NF3DIR &&
                   (int)FS_LNK == (int)NF3LNK,
               "fs uses the numbers of RFC 1813");

void nfs3_conv_time(int64_t ns, nfstime3 *ret)
{
    int64_t seconds = ns / CLOCK_S, rest = ns % CLOCK_S;

    if (rest < 0) {
        seconds--;
        rest += CLOCK_S;
    }
    if (seconds < 0) {
        seconds = 0;
        rest = 0;
    } else if (seconds > UINT32_MAX) {
        seconds = UINT32_MAX;
        rest = 0;
    }
    ret->seconds = (uint32_t)seconds;
    ret->nseconds = (uint32_t)rest;
}

int nfs3_conv_time_from(const nfstime3 *time, int64_t *ret_ns)
{
    if (time->nseconds >= CLOCK_S)
        return -EINVAL;
    *ret_ns = (int64_t)time->seconds * CLOCK_S + time->nseconds;
    return 0;
}

void nfs3_conv_attr(const struct fs_attr *attr, fattr3 *ret)
{
    *ret = (fattr3){
        .type = (ftype3)attr->type,
        .mode = attr->mode & 07777,
        .nlink = attr->nlink > 0 ? attr->nlink : 1, /* Linux takes 0 for a file that is gone */
        .uid = attr->uid,
        .gid = attr->gid,
        .size = attr->size,
        .used = attr->used,
        .fsid = attr->fsid,
        .fileid = attr->ino,
    };
    nfs3_conv_time(attr->atime_ns, &ret->atime);
    nfs3_conv_time(attr->mtime_ns, &ret->mtime);
    nfs3_conv_time(attr->ctime_ns, &ret->ctime);
}

static void put_post(bool valid, const struct fs_attr *attr, post_op_attr *ret)
{
    ret->attributes_follow = valid;
    if (valid)
        nfs3_conv_attr(attr, &ret->post_op_attr_u.attributes);
}

void nfs3_conv_post(const struct fs_node *node, post_op_attr *ret)
{
    put_post(node->attr_valid, &node->attr, ret);
}

void nfs3_conv_wcc(const struct fs_wcc *wcc, wcc_data *ret)
{
    ret->before.attributes_follow = wcc->before_valid;
    if (wcc->before_valid) {
        wcc_attr *before = &ret->before.pre_op_attr_u.attributes;
        before->size = wcc->before_size;
        nfs3_conv_time(wcc->before_mtime_ns, &before->mtime);
        nfs3_conv_time(wcc->before_ctime_ns, &before->ctime);
    }
    put_post(wcc->after_valid, &wcc->after, &ret->after);
}

/* One of the two times of a sattr3: what to set, and to what. */
static int conv_set_time(time_how how, const nfstime3 *time, uint32_t given_bit, uint32_t now_bit,
                         struct fs_sattr *ret, int64_t *ret_ns)
{
    if (how == SET_TO_SERVER_TIME)
        ret->set |= now_bit;
    if (how != SET_TO_CLIENT_TIME)
        return 0;
    ret->set |= given_bit;
    return nfs3_conv_time_from(time, ret_ns);
}

int nfs3_conv_sattr(const sattr3 *set, struct fs_sattr *ret)
{
    struct fs_sattr out = {.set = 0};

    if (set->mode.set_it) {
        out.set |= FS_SET_MODE;
        out.mode = set->mode.set_mode3_u.mode & 07777;
    }
    if (set->uid.set_it) {
        out.set |= FS_SET_UID;
        out.uid = set->uid.set_uid3_u.uid;
    }
    if (set->gid.set_it) {
        out.set |= FS_SET_GID;
        out.gid = set->gid.set_gid3_u.gid;
    }
    if (set->size.set_it) {
        out.set |= FS_SET_SIZE;
        out.size = set->size.set_size3_u.size;
    }
    int err = conv_set_time(set->atime.set_it, &set->atime.set_atime_u.atime, FS_SET_ATIME,
                            FS_SET_ATIME_NOW, &out, &out.atime_ns);
    if (err)
        return err;
    err = conv_set_time(set->mtime.set_it, &set->mtime.set_mtime_u.mtime, FS_SET_MTIME,
                        FS_SET_MTIME_NOW, &out, &out.mtime_ns);
    if (err)
        return err;
    *ret = out;
    return 0;
}

void nfs3_conv_handle(struct fs_volume *vol, uint64_t ino, nfs_fh3 *ret)
{
    ret->len = FS_HANDLE_SIZE;
    fs_handle_encode(vol, ino, ret->data);
}
