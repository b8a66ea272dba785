/* Which errno a program is told for what fs returned. */
#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "fuse/front_int.h"

/* What goes through as it is. ENOSYS must not: the kernel would never ask for that operation again.
 * ESTALE goes through because the kernel then looks the path up again, once. */
static const int error_plain[] = {
    EPERM,  ENOENT,  EINTR,  EIO,       ENXIO,     E2BIG,        EBADF,      ENOMEM,
    EACCES, EBUSY,   EEXIST, EXDEV,     ENOTDIR,   EISDIR,       EINVAL,     ENFILE,
    EMFILE, ETXTBSY, EFBIG,  ENOSPC,    EROFS,     EMLINK,       ERANGE,     ENODATA,
    ELOOP,  EDQUOT,  ESTALE, ENOTEMPTY, EOVERFLOW, ENAMETOOLONG, EOPNOTSUPP, ESHUTDOWN,
};

static const struct {
    int from, to;
} error_other[] = {
    {EAGAIN, EIO},    {EBADE, EIO},         {EUCLEAN, EIO},   {ETIMEDOUT, EIO},
    {ECANCELED, EIO}, {ENOSYS, EOPNOTSUPP}, {EILSEQ, EINVAL},
};

int error_number(int err)
{
    for (size_t i = 0; i < sizeof(error_plain) / sizeof(error_plain[0]); i++) {
        if (error_plain[i] == -err)
            return -err;
    }
    for (size_t i = 0; i < sizeof(error_other) / sizeof(error_other[0]); i++) {
        if (error_other[i].from == -err)
            return error_other[i].to;
    }
    if (err == 0)
        return 0;
    log_event(LOG_WARN, "fuse_errno", "err=%s", strerrorname_np(-err));
    return EIO;
}
