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
    [DIFFER_TMPFILE] = {FUSE | NFS, EOPNOTSUPP, EOPNOTSUPP, "O_TMPFILE"},
    [DIFFER_RENAME_FLAGS] = {NFS, 0, EINVAL, "renameat2 with flags over NFS: version 3 has none"},
    [DIFFER_EXCHANGE] = {NFS, 0, EINVAL, "RENAME_EXCHANGE over NFS"},
    [DIFFER_NAME_UTF8] = {FUSE | NFS, EINVAL, EINVAL, "names that are not UTF-8"},
    [DIFFER_DEEP] = {FUSE | NFS, ENAMETOOLONG, ENAMETOOLONG,
                     "paths of more than 1024 bytes from the top of the bucket"},
    [DIFFER_ATIME] = {FUSE | NFS, 0, 0, "reading changes no access time"},
    [DIFFER_XATTR] = {NFS, 0, EOPNOTSUPP, "extended attributes over NFS: version 3 has none"},
    [DIFFER_XATTR_OTHER] = {FUSE | NFS, EOPNOTSUPP, EOPNOTSUPP,
                            "extended attributes of other names than user.*"},
    [DIFFER_ALLOCATE] = {NFS, 0, EOPNOTSUPP, "fallocate over NFS: version 3 has none"},
    [DIFFER_COLLAPSE] = {LOCAL | FUSE | NFS, EOPNOTSUPP, EOPNOTSUPP,
                         "fallocate that moves bytes (collapse, insert)"},
    [DIFFER_SEEK] = {NFS, 0, 0, "holes over NFS: SEEK_HOLE finds the end of the file"},
    [DIFFER_HUGE] = {FUSE | NFS, EFBIG, EFBIG, "files of more than 64 TiB"},
    [DIFFER_STALE] = {FUSE, ESTALE, 0, "opening a name that is replaced several times meanwhile"},
};

bool differs(enum differ which)
{
    return (rows[which].modes & posix_mode) != 0;
}

int differ_errno(enum differ which)
{
    return posix_mode == NFS ? rows[which].nfs_errno : rows[which].fuse_errno;
}

void differ_print(void)
{
    for (size_t i = 0; i < DIFFER_COUNT; i++)
        printf("%s\n", rows[i].what);
}
