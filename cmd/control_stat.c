/* GET /stat and POST /refresh: all that is known of one path. */
#include "cmd/control_int.h"

#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fs/facts.h"

enum { STAT_DEADLINE_S = 10, STAT_XATTRS_MAX = 16 << 10, STAT_TRIES = 3 };

struct stat_at {
    const struct control_export *export;
    const char *path; /* below it */
    bool refresh;
    struct fs_volume *vol; /* of ino: of a sub-mount, perhaps */
    uint64_t ino;
    struct fs_attr attr;
    json_t *facts, *xattrs;
};

static struct fs_req stat_request(void)
{
    return (struct fs_req){.deadline_ns = clock_mono_ns() + STAT_DEADLINE_S * CLOCK_S};
}

/* The next name of the path, and the rest of it. */
static int stat_next(const char **path, char name[FS_NAME_MAX + 1])
{
    size_t len = strcspn(*path, "/");

    if (len > FS_NAME_MAX)
        return -ENAMETOOLONG;
    (void)strlcpy(name, *path, len + 1);
    *path += len;
    *path += strspn(*path, "/");
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? -EINVAL : 0;
}

/* A name that is believed not to be there is asked for again, for a refresh. */
static int stat_lookup(struct stat_at *s, const char *name, struct fs_node *ret)
{
    struct fs_req req = stat_request();
    struct fs_node dir;
    int err = fs_lookup(s->vol, &req, s->ino, name, ret, &dir);

    if (err != -ENOENT || !s->refresh)
        return err;
    req = stat_request();
    err = fs_refresh(s->vol, &req, s->ino);
    req = stat_request();
    return err ? err : fs_lookup(s->vol, &req, s->ino, name, ret, &dir);
}

static int stat_walk(struct stat_at *s)
{
    const char *path = s->path + strspn(s->path, "/");
    char name[FS_NAME_MAX + 1];
    struct fs_node node;
    int err = 0;

    s->vol = s->export->vol;
    s->ino = fs_root(s->vol);
    while (*path && !err) {
        err = stat_next(&path, name);
        if (!err)
            err = stat_lookup(s, name, &node);
        if (!err) {
            s->vol = node.vol;
            s->ino = node.ino;
        }
    }
    return err;
}

/* --- what it has --- */

static bool stat_fact(void *ctx, const char *name, const char *value)
{
    (void)json_object_set_new(ctx, name, control_json_text(value));
    return true;
}

/* Text as it is; other bytes as getfattr(1) prints them, "0x...". */
static json_t *stat_value(const unsigned char *value, size_t len)
{
    json_t *text = memchr(value, '\0', len) ? NULL : json_stringn((const char *)value, len);

    if (text)
        return text;
    CLEANUP_FREE char *hex = mem_alloc(len * 2 + 3);
    char *p = stpcpy(hex, "0x");
    for (size_t i = 0; i < len; i++, p += 2)
        (void)snprintf(p, 3, "%02x", value[i]);
    return json_string(hex);
}

static int stat_xattrs(struct stat_at *s)
{
    CLEANUP_FREE char *names = mem_alloc(STAT_XATTRS_MAX);
    CLEANUP_FREE char *value = mem_alloc(STAT_XATTRS_MAX);
    struct fs_req req = stat_request();
    size_t len = 0;
    int err = fs_listxattr(s->vol, &req, s->ino, names, STAT_XATTRS_MAX, &len);

    for (size_t at = 0; !err && at < len; at += strlen(names + at) + 1) {
        size_t n = 0;
        req = stat_request();
        if (fs_getxattr(s->vol, &req, s->ino, names + at, value, STAT_XATTRS_MAX, &n) == 0)
            (void)json_object_set_new(s->xattrs, names + at,
                                      stat_value((const unsigned char *)value, n));
    }
    return err;
}

static int stat_take(struct stat_at *s)
{
    struct fs_req req = stat_request();
    int err = stat_walk(s);

    if (!err && s->refresh) {
        err = fs_refresh(s->vol, &req, s->ino);
        if (!err)
            err = stat_walk(s); /* another one may be there */
    }
    req = stat_request();
    if (!err)
        err = fs_getattr(s->vol, &req, s->ino, &s->attr);
    req = stat_request();
    if (!err)
        err = fs_facts(s->vol, &req, s->ino, stat_fact, s->facts);
    return err ? err : stat_xattrs(s);
}

/* --- the answer --- */

static json_t *stat_json(struct stat_at *s)
{
    static const char *const types[] = {
        [FS_REG] = "file", [FS_DIR] = "directory", [FS_LNK] = "symlink"};
    const char *name = strcmp(s->export->name, "/") == 0 ? "" : s->export->name;
    CLEANUP_FREE char *path = mem_printf("%s%s", name, s->path[0] ? s->path : "");
    char mode[8];

    (void)snprintf(mode, sizeof(mode), "%04o", s->attr.mode);
    return json_pack("{s:o, s:s, s:I, s:s, s:I, s:I, s:o, s:o, s:I, s:O, s:O}", "path",
                     control_json_text(path[0] ? path : "/"), "type", types[s->attr.type], "size",
                     (json_int_t)s->attr.size, "mode", mode, "uid", (json_int_t)s->attr.uid, "gid",
                     (json_int_t)s->attr.gid, "modified", control_json_time(s->attr.mtime_ns),
                     "changed", control_json_time(s->attr.ctime_ns), "inode",
                     (json_int_t)s->attr.ino, "facts", s->facts, "xattrs", s->xattrs);
}

static unsigned stat_failed(const struct stat_at *s, const char *path, int err, json_t **ret)
{
    if (err == -EAGAIN) {
        *ret = control_json_error("the store of %s does not answer", s->export->name);
        return 503;
    }
    *ret = control_json_error("%s: %s", path, strerrordesc_np(-err));
    return err == -EIO || err == -EACCES ? 500 : err == -ENOENT || err == -ENOTDIR ? 404 : 400;
}

unsigned control_stat(const struct control_config *config, const char *path, bool refresh,
                      json_t **ret)
{
    struct stat_at s = {.refresh = refresh};
    int err = -ESTALE;

    s.export = control_export_find(config, path ? path : "", &s.path);
    if (!s.export) {
        *ret = control_json_error("%s is in no export: expected path=/EXPORT/PATH, such as %s/FILE",
                                  path ? path : "nothing",
                                  config->export_count ? config->exports[0].name : "/EXPORT");
        return 404;
    }
    /* A file that others replace meanwhile is another file. */
    for (int tries = 0; tries < STAT_TRIES && err == -ESTALE; tries++) {
        json_decref(s.facts);
        json_decref(s.xattrs);
        s.facts = json_object();
        s.xattrs = json_object();
        err = stat_take(&s);
    }
    unsigned status = 200;
    if (err)
        status = stat_failed(&s, path, err, ret);
    else
        *ret = stat_json(&s);
    json_decref(s.facts);
    json_decref(s.xattrs);
    return status;
}
