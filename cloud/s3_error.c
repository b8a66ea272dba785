/* What an answer of an S3 store means: one table by code, one switch by HTTP status. */
#include <errno.h>
#include <string.h>

#include "cloud/s3_int.h"

struct code_row {
    const char *code;
    struct s3_judgement judgement;
};

static const struct code_row code_table[] = {
    /* not there */
    {"NoSuchKey", {S3_FAIL, -ENOENT}},
    {"NoSuchBucket", {S3_FAIL, -ENOENT}},
    {"NoSuchUpload", {S3_FAIL, -ENOENT}},
    {"NoSuchVersion", {S3_FAIL, -ENOENT}},
    /* preconditions */
    {"PreconditionFailed", {S3_FAIL, -ESTALE}},
    {"ConditionalRequestConflict", {S3_RETRY, -EAGAIN}},
    {"OperationAborted", {S3_RETRY, -EAGAIN}},
    /* who we are, and when */
    {"RequestTimeTooSkewed", {S3_CLOCK, -EACCES}},
    {"AuthorizationHeaderMalformed", {S3_REGION, -EACCES}},
    {"PermanentRedirect", {S3_REGION, -EIO}},
    {"TemporaryRedirect", {S3_REGION, -EIO}},
    {"IllegalLocationConstraintException", {S3_REGION, -EINVAL}},
    {"AccessDenied", {S3_REGION, -EACCES}},
    {"ExpiredToken", {S3_KEYS, -EACCES}},
    {"InvalidToken", {S3_KEYS, -EACCES}},
    {"TokenRefreshRequired", {S3_KEYS, -EACCES}},
    {"InvalidAccessKeyId", {S3_KEYS, -EACCES}},
    {"XAdminUserNotFound", {S3_FAIL, -EACCES}}, /* versitygw's word, with a 404 */
    {"SignatureDoesNotMatch", {S3_FAIL, -EACCES}},
    {"InvalidObjectState", {S3_FAIL, -EACCES}}, /* archived: to be restored first */
    /* try later */
    {"SlowDown", {S3_RETRY, -EAGAIN}},
    {"SlowDownRead", {S3_RETRY, -EAGAIN}},
    {"SlowDownWrite", {S3_RETRY, -EAGAIN}},
    {"InternalError", {S3_RETRY, -EAGAIN}},
    {"ServiceUnavailable", {S3_RETRY, -EAGAIN}},
    {"RequestTimeout", {S3_RETRY, -EAGAIN}},
    {"RequestLimitExceeded", {S3_RETRY, -EAGAIN}},
    {"BandwidthLimitExceeded", {S3_RETRY, -EAGAIN}},
    {"Throttling", {S3_RETRY, -EAGAIN}},
    {"ThrottlingException", {S3_RETRY, -EAGAIN}},
    {"TooManyRequests", {S3_RETRY, -EAGAIN}},
    {"Busy", {S3_RETRY, -EAGAIN}},
    /* "a" is in the way of "a/b", or the reverse: versitygw's words, and MinIO's */
    {"ObjectParentIsFile", {S3_FAIL, -EAGAIN}},
    {"ExistingObjectIsDirectory", {S3_FAIL, -EAGAIN}},
    {"XMinioParentIsObject", {S3_FAIL, -EAGAIN}},
    {"XMinioObjectExistsAsDirectory", {S3_FAIL, -EAGAIN}},
    /* damaged on the way */
    {"BadDigest", {S3_NONSENSE, -EIO}},
    {"XAmzContentSHA256Mismatch", {S3_NONSENSE, -EIO}},
    {"XAmzContentChecksumMismatch", {S3_NONSENSE, -EIO}},
    {"IncompleteBody", {S3_NONSENSE, -EIO}},
    {"RequestIncomplete", {S3_NONSENSE, -EIO}},
    /* limits */
    {"EntityTooLarge", {S3_FAIL, -EFBIG}},
    {"KeyTooLongError", {S3_FAIL, -ENAMETOOLONG}},
    {"KeyTooLong", {S3_FAIL, -ENAMETOOLONG}},
    {"QuotaExceeded", {S3_FAIL, -ENOSPC}},
    {"XMinioStorageFull", {S3_FAIL, -ENOSPC}},
    {"InsufficientStorage", {S3_FAIL, -ENOSPC}},
    {"TooManyParts", {S3_FAIL, -EFBIG}},
    /* wrong, and it will not get better */
    {"EntityTooSmall", {S3_FAIL, -EINVAL}},
    {"InvalidArgument", {S3_FAIL, -EINVAL}},
    {"InvalidPart", {S3_FAIL, -EINVAL}},
    {"InvalidPartOrder", {S3_FAIL, -EINVAL}},
    {"InvalidRequest", {S3_FAIL, -EINVAL}},
    {"MalformedXML", {S3_FAIL, -EINVAL}},
    {"MetadataTooLarge", {S3_FAIL, -EINVAL}},
    /* not known here */
    {"NotImplemented", {S3_FAIL, -ENOTSUP}},
    {"MethodNotAllowed", {S3_FAIL, -ENOTSUP}},
    {"UnsupportedOperation", {S3_FAIL, -ENOTSUP}},
};

static struct s3_judgement judge_status(int status)
{
    switch (status) {
    case 301:
    case 302:
    case 307:
    case 308:
        return (struct s3_judgement){S3_REGION, -EIO};
    case 400:
        return (struct s3_judgement){S3_REGION, -EINVAL};
    case 401:
    case 403:
        return (struct s3_judgement){S3_REGION, -EACCES};
    case 404:
        return (struct s3_judgement){S3_FAIL, -ENOENT};
    case 405:
    case 501:
        return (struct s3_judgement){S3_FAIL, -ENOTSUP};
    case 408:
    case 409:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return (struct s3_judgement){S3_RETRY, -EAGAIN};
    case 412:
        return (struct s3_judgement){S3_FAIL, -ESTALE};
    case 413:
        return (struct s3_judgement){S3_FAIL, -EFBIG};
    case 414:
        return (struct s3_judgement){S3_FAIL, -ENAMETOOLONG};
    case 507:
        return (struct s3_judgement){S3_FAIL, -ENOSPC};
    default:
        break;
    }
    if (status >= 500)
        return (struct s3_judgement){S3_RETRY, -EAGAIN};
    if (status >= 400)
        return (struct s3_judgement){S3_FAIL, -EINVAL};
    /* Something that does not speak S3; or a 200 whose <Error> we do not know. */
    return status == 200 ? (struct s3_judgement){S3_RETRY, -EAGAIN}
                         : (struct s3_judgement){S3_NONSENSE, -EIO};
}

struct s3_judgement s3_error_judge(int status, const char *code)
{
    for (size_t i = 0; i < sizeof(code_table) / sizeof(code_table[0]); i++)
        if (strcmp(code_table[i].code, code) == 0)
            return code_table[i].judgement;
    return judge_status(status);
}
