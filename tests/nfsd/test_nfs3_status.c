/* Every errno in every procedure becomes a status that RFC 1813 lists for it, or one of the few
 * that are added on purpose. The lists here are typed from the RFC, not taken from the code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "nfsd/nfs3_status.h"

enum { END = 255, PROCS = 22, LIST_MAX = 24, ERRNO_MAX = 140 };

#define COMMON \
    NFS3_OK, NFS3ERR_IO, NFS3ERR_STALE, NFS3ERR_BADHANDLE, NFS3ERR_SERVERFAULT, NFS3ERR_JUKEBOX

/* RFC 1813 sections 3.3.1 to 3.3.21, ERRORS. END ends a list. */
static const int rfc[PROCS][LIST_MAX] = {
    [1] = {COMMON, END},
    [2] = {COMMON, NFS3ERR_PERM, NFS3ERR_ACCES, NFS3ERR_INVAL, NFS3ERR_NOSPC, NFS3ERR_ROFS,
           NFS3ERR_DQUOT, NFS3ERR_NOT_SYNC, NFS3ERR_NOTSUPP, END},
    [3] = {COMMON, NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_NAMETOOLONG, END},
    [4] = {COMMON, END},
    [5] = {COMMON, NFS3ERR_INVAL, NFS3ERR_ACCES, NFS3ERR_NOTSUPP, END},
    [6] = {COMMON, NFS3ERR_NXIO, NFS3ERR_ACCES, NFS3ERR_INVAL, END},
    [7] = {COMMON, NFS3ERR_ACCES, NFS3ERR_FBIG, NFS3ERR_DQUOT, NFS3ERR_NOSPC, NFS3ERR_ROFS,
           NFS3ERR_INVAL, END},
    [8] = {COMMON, NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
           NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, END},
    [9] = {COMMON, NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
           NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, END},
    [10] = {COMMON, NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
            NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, END},
    [11] = {COMMON, NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_NOTDIR, NFS3ERR_NOSPC, NFS3ERR_ROFS,
            NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, NFS3ERR_BADTYPE, END},
    [12] = {COMMON, NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_NAMETOOLONG, NFS3ERR_ROFS,
            END},
    [13] = {COMMON, NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_INVAL, NFS3ERR_EXIST, NFS3ERR_NOTDIR,
            NFS3ERR_NAMETOOLONG, NFS3ERR_ROFS, NFS3ERR_NOTEMPTY, NFS3ERR_NOTSUPP, END},
    [14] = {COMMON, NFS3ERR_NOENT, NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_XDEV, NFS3ERR_NOTDIR,
            NFS3ERR_ISDIR, NFS3ERR_INVAL, NFS3ERR_NOSPC, NFS3ERR_ROFS, NFS3ERR_MLINK,
            NFS3ERR_NAMETOOLONG, NFS3ERR_NOTEMPTY, NFS3ERR_DQUOT, NFS3ERR_NOTSUPP, END},
    [15] = {COMMON, NFS3ERR_ACCES, NFS3ERR_EXIST, NFS3ERR_XDEV, NFS3ERR_NOTDIR, NFS3ERR_INVAL,
            NFS3ERR_NOSPC, NFS3ERR_ROFS, NFS3ERR_MLINK, NFS3ERR_NAMETOOLONG, NFS3ERR_DQUOT,
            NFS3ERR_NOTSUPP, END},
    [16] = {COMMON, NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_BAD_COOKIE, NFS3ERR_TOOSMALL, END},
    [17] = {COMMON, NFS3ERR_ACCES, NFS3ERR_NOTDIR, NFS3ERR_BAD_COOKIE, NFS3ERR_TOOSMALL,
            NFS3ERR_NOTSUPP, END},
    [18] = {COMMON, END},
    [19] = {COMMON, END},
    [20] = {COMMON, END},
    [21] = {COMMON, END},
};

/* Added on purpose; see nfs3_status.c for why. */
static const struct {
    uint32_t proc;
    int status;
} added[] = {
    {2, NFS3ERR_FBIG},   {3, NFS3ERR_INVAL},  {8, NFS3ERR_INVAL},  {9, NFS3ERR_INVAL},
    {10, NFS3ERR_INVAL}, {11, NFS3ERR_INVAL}, {12, NFS3ERR_INVAL}, {12, NFS3ERR_ISDIR},
    {21, NFS3ERR_NOSPC}, {21, NFS3ERR_DQUOT}, {21, NFS3ERR_FBIG},  {21, NFS3ERR_INVAL},
};

static bool expected_allowed(uint32_t proc, int status)
{
    for (int i = 0; i < LIST_MAX && rfc[proc][i] != END; i++) {
        if (rfc[proc][i] == status)
            return true;
    }
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        if (added[i].proc == proc && added[i].status == status)
            return true;
    }
    return false;
}

static void test_every_errno_in_every_procedure(void **state)
{
    (void)state;

    for (uint32_t proc = 1; proc < PROCS; proc++) {
        for (int err = 0; err <= ERRNO_MAX; err++) {
            int status = (int)nfs3_status(proc, -err);
            if (!expected_allowed(proc, status))
                fail_msg("procedure %u: errno %d gives %d, which is not on its list", proc, err,
                         status);
            assert_true((err == 0) == (status == NFS3_OK));
        }
    }
}

static void test_allowed_is_the_list(void **state)
{
    (void)state;

    for (uint32_t proc = 1; proc < PROCS; proc++) {
        for (int status = 0; status <= NFS3ERR_JUKEBOX; status++) {
            if (status == 100)
                status = NFS3ERR_BADHANDLE;
            if (nfs3_status_allowed(proc, (enum nfsstat3)status) != expected_allowed(proc, status))
                fail_msg("procedure %u: status %d", proc, status);
        }
    }
}

static void test_choices(void **state)
{
    (void)state;
    static const struct {
        uint32_t proc;
        int err;
        enum nfsstat3 status;
    } cases[] = {
        {NFSPROC3_GETATTR, -EAGAIN, NFS3ERR_JUKEBOX},
        {NFSPROC3_COMMIT, -EAGAIN, NFS3ERR_JUKEBOX},
        {NFSPROC3_PATHCONF, -ENOMEM, NFS3ERR_JUKEBOX},
        {NFSPROC3_GETATTR, -EBADF, NFS3ERR_BADHANDLE},
        {NFSPROC3_READ, -ESTALE, NFS3ERR_STALE},
        {NFSPROC3_READ, -ENOENT, NFS3ERR_STALE},
        {NFSPROC3_LOOKUP, -ENOENT, NFS3ERR_NOENT},
        {NFSPROC3_CREATE, -ENOENT, NFS3ERR_STALE},
        {NFSPROC3_SETATTR, -EPERM, NFS3ERR_PERM},
        {NFSPROC3_SETATTR, -EBADE, NFS3ERR_NOT_SYNC},
        {NFSPROC3_REMOVE, -EPERM, NFS3ERR_ACCES},
        {NFSPROC3_REMOVE, -EISDIR, NFS3ERR_ISDIR},
        {NFSPROC3_RMDIR, -ENOTDIR, NFS3ERR_NOTDIR},
        {NFSPROC3_RMDIR, -ENOTEMPTY, NFS3ERR_NOTEMPTY},
        {NFSPROC3_RENAME, -ENOTEMPTY, NFS3ERR_NOTEMPTY},
        {NFSPROC3_RENAME, -EXDEV, NFS3ERR_XDEV},
        {NFSPROC3_RMDIR, -EBUSY, NFS3ERR_ACCES},
        {NFSPROC3_RENAME, -EISDIR, NFS3ERR_ISDIR},
        {NFSPROC3_CREATE, -EISDIR, NFS3ERR_EXIST},
        {NFSPROC3_READ, -EISDIR, NFS3ERR_INVAL},
        {NFSPROC3_WRITE, -EISDIR, NFS3ERR_INVAL},
        {NFSPROC3_WRITE, -EFBIG, NFS3ERR_FBIG},
        {NFSPROC3_WRITE, -EDQUOT, NFS3ERR_DQUOT},
        {NFSPROC3_WRITE, -EROFS, NFS3ERR_ROFS},
        {NFSPROC3_CREATE, -EMLINK, NFS3ERR_NOSPC},
        {NFSPROC3_MKNOD, -ENOTSUP, NFS3ERR_NOTSUPP},
        {NFSPROC3_READLINK, -EINVAL, NFS3ERR_INVAL},
        {NFSPROC3_LOOKUP, -EINVAL, NFS3ERR_INVAL},
        {NFSPROC3_LOOKUP, -ENAMETOOLONG, NFS3ERR_NAMETOOLONG},
        {NFSPROC3_COMMIT, -ENOSPC, NFS3ERR_NOSPC},
        {NFSPROC3_GETATTR, -EACCES, NFS3ERR_IO},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(nfs3_status(cases[i].proc, cases[i].err), cases[i].status);
}

static void test_unknown_is_counted(void **state)
{
    (void)state;
    uint64_t before = nfs3_status_unmapped();

    assert_int_equal(nfs3_status(NFSPROC3_READ, -EIO), NFS3ERR_IO);
    assert_int_equal(nfs3_status_unmapped(), before);
    assert_int_equal(nfs3_status(NFSPROC3_READ, -ELIBBAD), NFS3ERR_IO);
    assert_int_equal(nfs3_status_unmapped(), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_errno_in_every_procedure),
        cmocka_unit_test(test_allowed_is_the_list),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_unknown_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
