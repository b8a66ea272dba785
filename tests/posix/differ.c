/* The one table of what a mount of pailfs cannot do, or NFS, and the errno that tells it. */
#include "tests/posix/posix.h"

static const struct differ_row {
    unsigned modes;
    int fuse_errno, nfs_errno;
    const char *what;
} rows[DIFFER_COUNT] = {
    [DIFFER_LINK] = {FUSE | NFS, EPERM, 524, "hard links: an object has one name"},
    [DIFFER_NODE] = {FUSE | NFS, EPERM, 524, "device nodes"},
    [DIFFER_FIFO] = {FUSE | NFS, EPERM, 524, "FIFOs and sockets"},
    [DIFFER_TMPFILE] = {FUSE | NFS, EOPNOTSUPP, EOPNOTSUPP, "files without a name (`O_TMPFILE`)"},
    [DIFFER_NAME_UTF8] = {FUSE | NFS, EINVAL, EINVAL, "names that are not UTF-8"},
    [DIFFER_DEEP] = {FUSE | NFS, ENAMETOOLONG, ENAMETOOLONG,
                     "paths of more than 1024 bytes, from the top of the bucket"},
    [DIFFER_HUGE] = {FUSE | NFS, EFBIG, EFBIG,
                     "files of more than 64 TiB, or than the store takes"},
    [DIFFER_ATIME] = {FUSE | NFS, 0, 0, "access times that reading changes"},
    [DIFFER_COLLAPSE] = {LOCAL | FUSE | NFS, EOPNOTSUPP, EOPNOTSUPP,
                         "moving bytes in a file (`fallocate` with collapse or insert)"},
    [DIFFER_XATTR_OTHER] = {FUSE | NFS, EOPNOTSUPP, EOPNOTSUPP,
                            "extended attributes other than `user.*`, ACLs among them"},
    [DIFFER_XATTR] = {NFS, 0, EOPNOTSUPP, "extended attributes"},
    [DIFFER_RENAME_FLAGS] = {NFS, 0, EINVAL, "`RENAME_NOREPLACE`"},
    [DIFFER_EXCHANGE] = {NFS, 0, EINVAL, "`RENAME_EXCHANGE`"},
    [DIFFER_ALLOCATE] = {NFS, 0, EOPNOTSUPP, "`fallocate`"},
    [DIFFER_SEEK] = {NFS, 0, 0, "finding holes (`SEEK_HOLE` finds the end)"},
    [DIFFER_STALE] = {FUSE, ESTALE, 0, "opening a name that is replaced twice in that moment"},
};

bool differs(enum differ which)
{
    return (rows[which].modes & posix_mode) != 0;
}

int differ_errno(enum differ which)
{
    return posix_mode == NFS ? rows[which].nfs_errno : rows[which].fuse_errno;
}

static void print_cell(unsigned mode, const struct differ_row *row)
{
    int err = mode == NFS ? row->nfs_errno : row->fuse_errno;

    if (!(row->modes & mode))
        printf(" works |");
    else if (err)
        printf(" %s |", err == 524 ? "524 (ENOTSUPP)" : strerrorname_np(err));
    else
        printf(" no error |");
}

void differ_print(void)
{
    for (size_t i = 0; i < DIFFER_COUNT; i++) {
        printf("| %s |", rows[i].what);
        print_cell(FUSE, &rows[i]);
        print_cell(NFS, &rows[i]);
        printf("\n");
    }
}
