/*
 * Attributes in object metadata. Several programs keep them there, each in its own way; all are
 * read, the way of AWS DataSync (which File Gateway, FSx and S3 Files share) is written:
 *
 *   file-permissions  octal mode with type bits, 0100644       (a symlink is 0120777, target in the
 * body) file-owner, file-group  decimal file-mtime, file-atime  nanoseconds with suffix "ns";
 * without one, milliseconds
 *
 * s3fs: mode (decimal with type bits), uid, gid, mtime, atime as seconds with a fraction. rclone:
 * mtime as seconds with a fraction. gsutil: goog-reserved-posix-mode (octal), -uid, -gid,
 * goog-reserved-file-mtime (seconds). gcsfuse: gcsfuse_mtime (RFC 3339), symlinks by
 * goog-reserved-file-is-symlink or gcsfuse_symlink_target. s3sync: permissions, owner, group.
 * blobfuse: is_symlink. Names compare without case, since Azure keeps it and S3 lowers it.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/fs_int.h"
#include "fs/xattr.h"

static const char *meta_get(const struct store_meta *meta, const char *name)
{
    for (size_t i = 0; i < meta->count; i++) {
        if (strcasecmp(meta->pairs[i].name, name) == 0)
            return meta->pairs[i].value;
    }
    return NULL;
}

/* A whole number in the given base, nothing after it. */
static bool meta_number(const char *s, int base, uint64_t max, uint64_t *ret)
{
    char *end;

    if (!s || !isdigit((unsigned char)s[0]))
        return false;
    errno = 0;
    unsigned long long v = strtoull(s, &end, base);
    if (errno || *end || v > max)
        return false;
    *ret = v;
    return true;
}

/* "1595002920.25" or "1595002920": seconds since the epoch. */
static bool meta_seconds(const char *s, int64_t *ret)
{
    char *end;
    int64_t ns = 0, unit = CLOCK_S;

    if (!s || !isdigit((unsigned char)s[0]))
        return false;
    errno = 0;
    unsigned long long sec = strtoull(s, &end, 10);
    if (errno || sec > UINT32_MAX)
        return false;
    if (*end == '.') {
        for (end++; isdigit((unsigned char)*end); end++) {
            unit /= 10;
            ns += (*end - '0') * unit;
        }
    }
    if (*end)
        return false;
    *ret = (int64_t)sec * CLOCK_S + ns;
    return true;
}

/* DataSync: nanoseconds with "ns", else milliseconds. */
static bool meta_datasync_time(const char *s, int64_t *ret)
{
    char digits[24];
    uint64_t v;
    size_t len = s ? strlen(s) : 0;
    bool ns = len > 2 && strcmp(s + len - 2, "ns") == 0;

    if (ns)
        len -= 2;
    if (len == 0 || len >= sizeof(digits))
        return false;
    memcpy(digits, s, len);
    digits[len] = '\0';
    if (!meta_number(digits, 10, ns ? INT64_MAX : INT64_MAX / CLOCK_MS, &v))
        return false;
    *ret = ns ? (int64_t)v : (int64_t)v * CLOCK_MS;
    return true;
}

/* 2006-01-02T15:04:05.999999999Z */
static bool meta_rfc3339(const char *s, int64_t *ret)
{
    struct tm tm = {0};
    int64_t ns = 0, unit = CLOCK_S;
    const char *end = s ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    if (!end)
        return false;
    if (*end == '.') {
        for (end++; isdigit((unsigned char)*end); end++) {
            unit /= 10;
            ns += (*end - '0') * unit;
        }
    }
    if (strcmp(end, "Z") != 0)
        return false;
    *ret = clock_from_s(timegm(&tm), ns);
    return true;
}

static bool meta_mode(const struct store_meta *meta, uint32_t *ret)
{
    uint64_t v;

    if (meta_number(meta_get(meta, "file-permissions"), 8, 0177777, &v) ||
        meta_number(meta_get(meta, "mode"), 10, 0177777, &v) ||
        meta_number(meta_get(meta, "goog-reserved-posix-mode"), 8, 0177777, &v) ||
        meta_number(meta_get(meta, "permissions"), 10, 0177777, &v)) {
        *ret = (uint32_t)v;
        return true;
    }
    return false;
}

static bool meta_id(const struct store_meta *meta, const char *const names[], uint32_t *ret)
{
    uint64_t v;

    for (; *names; names++) {
        if (meta_number(meta_get(meta, *names), 10, UINT32_MAX, &v)) {
            *ret = (uint32_t)v;
            return true;
        }
    }
    return false;
}

static bool meta_mtime(const struct store_meta *meta, int64_t *ret)
{
    return meta_datasync_time(meta_get(meta, "file-mtime"), ret) ||
           meta_rfc3339(meta_get(meta, "gcsfuse_mtime"), ret) ||
           meta_seconds(meta_get(meta, "mtime"), ret) ||
           meta_rfc3339(meta_get(meta, "mtime"), ret) ||
           meta_seconds(meta_get(meta, "goog-reserved-file-mtime"), ret);
}

int64_t meta_object_mtime(const struct store_object *obj)
{
    int64_t mtime_ns = obj->mtime_ns;

    (void)meta_mtime(&obj->meta, &mtime_ns);
    return mtime_ns;
}

enum fs_type meta_type(const struct store_meta *meta)
{
    static const char *const flags[] = {"goog-reserved-file-is-symlink", "is_symlink", NULL};
    uint32_t mode;

    if (meta_mode(meta, &mode) && (mode & S_IFMT) == S_IFLNK)
        return FS_LNK;
    for (const char *const *name = flags; *name; name++) {
        const char *value = meta_get(meta, *name);
        if (value && strcasecmp(value, "true") == 0)
            return FS_LNK;
    }
    return meta_get(meta, "gcsfuse_symlink_target") ? FS_LNK : FS_REG;
}

/* What meta_encode writes itself, or what would contradict it. */
bool meta_is_attribute(const char *name)
{
    static const char *const ours[] = {"file-permissions",
                                       "file-owner",
                                       "file-group",
                                       "file-mtime",
                                       "file-atime",
                                       "mode",
                                       "uid",
                                       "gid",
                                       "mtime",
                                       "atime",
                                       "ctime",
                                       "permissions",
                                       "owner",
                                       "group",
                                       "goog-reserved-posix-mode",
                                       "goog-reserved-posix-uid",
                                       "goog-reserved-posix-gid",
                                       "goog-reserved-file-mtime",
                                       "gcsfuse_mtime",
                                       "gcsfuse_symlink_target",
                                       "goog-reserved-file-is-symlink",
                                       "is_symlink",
                                       "hdi_isfolder",
                                       NULL};

    for (const char *const *o = ours; *o; o++) {
        if (strcasecmp(*o, name) == 0)
            return true;
    }
    return false;
}

#define META_TYPE "\1type="

/* What a store says of objects that were given no type. */
static bool meta_type_is_none(const char *type)
{
    return strcmp(type, "binary/octet-stream") == 0 ||
           strcmp(type, "application/octet-stream") == 0;
}

/* Other people's metadata goes back as it came when we write the object, and so does its type. */
static char *meta_extra(const struct store_object *obj)
{
    const struct store_meta *meta = &obj->meta;
    const char *type = obj->content_type;
    char *all = NULL;

    if (type && *type && !strchr(type, '\n') && !meta_type_is_none(type))
        all = mem_printf(META_TYPE "%s\n", type);
    for (size_t i = 0; i < meta->count; i++) {
        const struct store_meta_pair *p = &meta->pairs[i];
        if (meta_is_attribute(p->name) || strpbrk(p->name, "=\n") || strchr(p->value, '\n'))
            continue;
        char *more = mem_printf("%s%s=%s\n", all ? all : "", p->name, p->value);
        free(all);
        all = more;
    }
    return all;
}

void meta_defaults(const struct fs_volume *vol, struct inode *ino, int64_t mtime_ns)
{
    ino->flags |= INODE_DEFAULTS;
    defaults_apply(vol, ino);
    ino->mtime_ns = ino->atime_ns = ino->ctime_ns = mtime_ns;
}

void meta_apply(const struct fs_volume *vol, struct inode *ino, const struct store_object *obj)
{
    static const char *const uids[] = {"file-owner", "uid", "goog-reserved-posix-uid", "owner",
                                       NULL};
    static const char *const gids[] = {"file-group", "gid", "goog-reserved-posix-gid", "group",
                                       NULL};
    uint32_t mode;

    meta_defaults(vol, ino, obj->mtime_ns);
    if (meta_mode(&obj->meta, &mode)) {
        ino->mode = mode & 07777;
        ino->flags &= ~(uint32_t)INODE_MODE_DEFAULT;
    }
    if (meta_id(&obj->meta, uids, &ino->uid))
        ino->flags &= ~(uint32_t)INODE_UID_DEFAULT;
    if (meta_id(&obj->meta, gids, &ino->gid))
        ino->flags &= ~(uint32_t)INODE_GID_DEFAULT;
    if (meta_mtime(&obj->meta, &ino->mtime_ns))
        ino->atime_ns = ino->mtime_ns;
    (void)meta_datasync_time(meta_get(&obj->meta, "file-atime"), &ino->atime_ns);
    /* A change of metadata alone shows in Last-Modified only. */
    if (ino->ctime_ns < ino->mtime_ns)
        ino->ctime_ns = ino->mtime_ns;
    free(ino->extra_meta);
    ino->extra_meta = meta_extra(obj);
    xattr_list_from_s3fs(&ino->extra_meta);
    if (ino->type == FS_LNK && !ino->target)
        ino->target = mem_strdup(meta_get(&obj->meta, "gcsfuse_symlink_target"));
    ino->flags |= INODE_META_KNOWN;
}

void meta_encode(const struct inode *ino, struct store_meta *ret)
{
    unsigned type = ino->type == FS_DIR ? S_IFDIR : ino->type == FS_LNK ? S_IFLNK : S_IFREG;
    char buf[40];

    if (!(ino->flags & INODE_MODE_DEFAULT) || ino->type == FS_LNK) {
        (void)snprintf(buf, sizeof(buf), "%07o", type | (ino->mode & 07777));
        store_meta_set(ret, "file-permissions", buf);
    }
    if (!(ino->flags & INODE_UID_DEFAULT)) {
        (void)snprintf(buf, sizeof(buf), "%" PRIu32, ino->uid);
        store_meta_set(ret, "file-owner", buf);
    }
    if (!(ino->flags & INODE_GID_DEFAULT)) {
        (void)snprintf(buf, sizeof(buf), "%" PRIu32, ino->gid);
        store_meta_set(ret, "file-group", buf);
    }
    (void)snprintf(buf, sizeof(buf), "%" PRId64 "ns", ino->mtime_ns);
    store_meta_set(ret, "file-mtime", buf);
    (void)snprintf(buf, sizeof(buf), "%" PRId64 "ns", ino->atime_ns);
    store_meta_set(ret, "file-atime", buf);
    CLEANUP_FREE char *extra = mem_strdup(ino->extra_meta);
    char *save = NULL;
    for (char *line = extra ? strtok_r(extra, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save)) {
        char *eq = strchr(line, '=');
        if (!eq || line[0] == META_HIDDEN)
            continue;
        *eq = '\0';
        store_meta_set(ret, line, eq + 1);
    }
}

char *meta_content_type(const struct inode *ino)
{
    const char *at = ino->extra_meta ? strstr(ino->extra_meta, META_TYPE) : NULL;

    if (!at || (at > ino->extra_meta && at[-1] != '\n'))
        return NULL;
    at += strlen(META_TYPE);
    return mem_strndup(at, strcspn(at, "\n"));
}
