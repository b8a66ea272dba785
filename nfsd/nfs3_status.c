/*
 * From errno to nfsstat3: what an errno means in general, what it means in some procedures, and
 * what each procedure may say at all (RFC 1813 section 3.3, the ERRORS lists). The RFC calls those
 * lists a guide; the additions to them are marked with their reasons.
 */
#include "nfsd/nfs3_status.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

static _Atomic uint64_t status_unmapped;

struct status_general {
    int err;
    enum nfsstat3 status;
};

static const struct status_general status_general[] = {
    {EPERM, NFS3ERR_PERM},
    {ENOENT, NFS3ERR_NOENT},
    {EIO, NFS3ERR_IO},
    {ENXIO, NFS3ERR_NXIO},
    {EACCES, NFS3ERR_ACCES},
    {EEXIST, NFS3ERR_EXIST},
    {EXDEV, NFS3ERR_XDEV},
    {EBUSY, NFS3ERR_ACCES}, /* a mount point; knfsd says the same */
    {ENODEV, NFS3ERR_NODEV},
    {ENOTDIR, NFS3ERR_NOTDIR},
    {EISDIR, NFS3ERR_ISDIR},
    {EINVAL, NFS3ERR_INVAL},
    {EFBIG, NFS3ERR_FBIG},
    {ENOSPC, NFS3ERR_NOSPC},
    {EROFS, NFS3ERR_ROFS},
    {EMLINK, NFS3ERR_MLINK},
    {ENAMETOOLONG, NFS3ERR_NAMETOOLONG},
    {ENOTEMPTY, NFS3ERR_NOTEMPTY},
    {EDQUOT, NFS3ERR_DQUOT},
    {ESTALE, NFS3ERR_STALE},
    {EBADF, NFS3ERR_BADHANDLE},
    {EBADE, NFS3ERR_NOT_SYNC},
    {ENOTSUP, NFS3ERR_NOTSUPP},
    {EAGAIN, NFS3ERR_JUKEBOX},
    /* Short of something that comes back by itself: the client shall try again, not fail. */
    {ENOMEM, NFS3ERR_JUKEBOX},
    {ETIMEDOUT, NFS3ERR_JUKEBOX},
};

/* What to say instead when a procedure may not say it: tried from the top until one is allowed. */
struct status_instead {
    enum nfsstat3 status, instead;
};

static const struct status_instead status_instead[] = {
    {NFS3ERR_PERM, NFS3ERR_ACCES},  /* only SETATTR tells ownership from permission */
    {NFS3ERR_NOENT, NFS3ERR_STALE}, /* no name is looked up: the object itself is gone */
    {NFS3ERR_ISDIR, NFS3ERR_EXIST}, /* CREATE over a directory */
    {NFS3ERR_ISDIR, NFS3ERR_INVAL}, /* data of a directory */
    {NFS3ERR_NOTDIR, NFS3ERR_INVAL},
    {NFS3ERR_NOTEMPTY, NFS3ERR_EXIST}, /* some systems know only this one */
    {NFS3ERR_FBIG, NFS3ERR_INVAL},
    {NFS3ERR_MLINK, NFS3ERR_NOSPC},
    {NFS3ERR_DQUOT, NFS3ERR_NOSPC},
};

enum { STATUS_PER_PROC_MAX = 20 };

/* Every procedure may also give OK, IO, STALE, BADHANDLE, SERVERFAULT and JUKEBOX. */
static const enum nfsstat3 status_lists[][STATUS_PER_PROC_MAX] = {
    [NFSPROC3_GETATTR] = {0},
    /* FBIG is ours: a size beyond the largest object is neither a bad argument nor a full disk. */
    [NFSPROC3_SETATTR] = {NFS3ERR_PERM, NFS3ERR_ACCES, NFS3ERR_INVAL, NFS3ERR_NOSPC, NFS3ERR_ROFS,
                          NFS3ERR_DQUOT, NFS3ERR_NOT_SYNC, NFS3ERR_NOTSUPP, NFS3ERR_FBIG},
    /* INVAL is ours here and for the other takers of names: a name that no file can have, such as
     * one that is not UTF-8. ACCES would send people looking for permissions. */
    [NFSPROC3_LOOKUP] = {NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_NAMETOOLONG,
                         NFS3ERR_INVAL},
    [NFSPROC3_ACCESS] = {0},
    [NFSPROC3_READLINK] = {NFS3ERR_INVAL, NFS3ERR_ACCES, NFS3ERR_NOTSUPP},
    [NFSPROC3_READ] = {NFS3ERR_NXIO, NFS3ERR_ACCES, NFS3ERR_INVAL},
    [NFSPROC3_WRITE] = {NFS3ERR_ACCES, NFS3ERR_FBIG, NFS3ERR_DQUOT, NFS3ERR_NOSPC, NFS3ERR_ROFS,
                        NFS3ERR_INVAL},
    [NFSPROC3_CREATE] = {NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
                         NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, NFS3ERR_INVAL},
    [NFSPROC3_MKDIR] = {NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
                        NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, NFS3ERR_INVAL},
    [NFSPROC3_SYMLINK] = {NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
                          NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, NFS3ERR_INVAL},
    [NFSPROC3_MKNOD] = {NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
                        NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, NFS3ERR_BADTYPE,
                        NFS3ERR_INVAL},
    /* ISDIR is ours: what every server says of REMOVE on a directory, and what unlink() is to give.
     */
    [NFSPROC3_REMOVE] = {NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_NAMETOOLONG,
                         NFS3ERR_ROFS, NFS3ERR_ISDIR, NFS3ERR_INVAL},
    [NFSPROC3_RMDIR] = {NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_INVAL, NFS3ERR_EXIST, NFS3ERR_NOTDIR,
                        NFS3ERR_NAMETOOLONG, NFS3ERR_ROFS, NFS3ERR_NOTEMPTY, NFS3ERR_NOTSUPP},
    [NFSPROC3_RENAME] = {NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_XDEV, NFS3ERR_NOTDIR,
                         NFS3ERR_ISDIR, NFS3ERR_INVAL, NFS3ERR_NOSPC, NFS3ERR_ROFS, NFS3ERR_MLINK,
                         NFS3ERR_NAMETOOLONG, NFS3ERR_NOTEMPTY, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP},
    [NFSPROC3_LINK] = {NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_XDEV, NFS3ERR_NOTDIR, NFS3ERR_INVAL,
                       NFS3ERR_NOSPC, NFS3ERR_ROFS, NFS3ERR_MLINK, NFS3ERR_NAMETOOLONG,
                       NFS3ERR_DQUOT, NFS3ERR_NOTSUPP},
    [NFSPROC3_READDIR] = {NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_BAD_COOKIE, NFS3ERR_TOOSMALL},
    [NFSPROC3_READDIRPLUS] = {NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_BAD_COOKIE, NFS3ERR_TOOSMALL,
                              NFS3ERR_NOTSUPP},
    [NFSPROC3_FSSTAT] = {0},
    [NFSPROC3_FSINFO] = {0},
    [NFSPROC3_PATHCONF] = {0},
    /* Ours: an upload that failed is reported by the next COMMIT, and IO would hide that the bucket
     * is full (NOSPC, DQUOT) or the object too large (FBIG). INVAL: not a file. */
    [NFSPROC3_COMMIT] = {NFS3ERR_NOSPC, NFS3ERR_DQUOT, NFS3ERR_FBIG, NFS3ERR_INVAL},
};

bool nfs3_status_allowed(uint32_t proc, enum nfsstat3 status)
{
    switch (status) {
    case NFS3_OK:
    case NFS3ERR_IO:
    case NFS3ERR_STALE:
    case NFS3ERR_BADHANDLE:
    case NFS3ERR_SERVERFAULT:
    case NFS3ERR_JUKEBOX:
        return true;
    default:
        break;
    }
    if (proc >= sizeof(status_lists) / sizeof(status_lists[0]))
        return false;
    for (size_t i = 0; i < STATUS_PER_PROC_MAX && status_lists[proc][i]; i++) {
        if (status_lists[proc][i] == status)
            return true;
    }
    return false;
}

enum nfsstat3 nfs3_status(uint32_t proc, int err)
{
    if (err == 0)
        return NFS3_OK;
    for (size_t i = 0; i < sizeof(status_general) / sizeof(status_general[0]); i++) {
        if (status_general[i].err != -err)
            continue;
        enum nfsstat3 status = status_general[i].status;
        if (nfs3_status_allowed(proc, status))
            return status;
        for (size_t k = 0; k < sizeof(status_instead) / sizeof(status_instead[0]); k++) {
            if (status_instead[k].status == status &&
                nfs3_status_allowed(proc, status_instead[k].instead))
                return status_instead[k].instead;
        }
        break;
    }
    (void)atomic_fetch_add_explicit(&status_unmapped, 1, memory_order_relaxed);
    return NFS3ERR_IO;
}

uint64_t nfs3_status_unmapped(void)
{
    return atomic_load_explicit(&status_unmapped, memory_order_relaxed);
}
