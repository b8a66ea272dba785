/* Extended attributes: get, list, set, remove. Set is a change of attributes as chmod is: state at
 * once, the object's metadata after it. */
#include "fs/xattr.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/facts.h"
#include "fs/fs_int.h"
#include "fs/xattr_int.h"

#define XATTR_USER "user."
enum {
    XATTR_USER_LEN = sizeof(XATTR_USER) - 1,
    XATTR_META_NAME_MAX = 240, /* of metadata, as escaped */
};

struct xattr_args {
    uint64_t ino;
    const char *name;
    char *meta_name, *meta_value; /* owned; value NULL: remove */
    int flags;
    char *buf;
    size_t size, len;
};

/* 0: user.*, and *ret_meta is its metadata name, which the caller frees. */
static int xattr_parse(const char *name, char **ret_meta)
{
    if (strncmp(name, XATTR_USER, XATTR_USER_LEN) != 0)
        return -ENOTSUP;
    if (!name[XATTR_USER_LEN])
        return -EINVAL;
    if (strlen(name) > XATTR_NAME_LEN_MAX)
        return -ERANGE;
    char *meta = xattr_name_encode(name + XATTR_USER_LEN);
    if (strlen(meta) > XATTR_META_NAME_MAX) {
        free(meta);
        return -ERANGE;
    }
    *ret_meta = meta;
    return 0;
}

int xattr_need(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret)
{
    struct inode *ino, *dir;
    int err = need_fresh(vol, req, id, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err)
        return err;
    if (!(ino->flags & INODE_META_KNOWN) && ino->id != vol->root && !inode_owned(vol, ino)) {
        err = need_inode(vol, req, ino->key->parent, &dir);
        return err ? err : ask_name(vol, req, dir, ino->key->name);
    }
    *ret = ino;
    return 0;
}

/* xattr(7): whoever may read it gets user.*, and only files and directories have them. */
static int xattr_may(const struct inode *ino, const struct fs_req *req, bool write)
{
    if (ino->type == FS_LNK)
        return write ? -EPERM : -ENODATA;
    if (req->flags & FS_CHECKED)
        return 0;
    if (write && ino->type == FS_DIR && (ino->mode & 01000) && req->cred.uid != 0 &&
        req->cred.uid != ino->uid)
        return -EPERM;
    uint32_t want = write ? 2 : 4;
    return (access_bits(ino, &req->cred) & want) == want ? 0 : -EACCES;
}

/* Copies out what was found: the length alone if nobody gave room. */
static int xattr_give(const void *value, size_t len, void *buf, size_t size, size_t *ret_len)
{
    if (size > 0 && len > size)
        return -ERANGE;
    if (size > 0)
        memcpy(buf, value, len);
    *ret_len = len;
    return 0;
}

/* --- what is told, not kept --- */

static bool xattr_is_fact(const struct fs_volume *vol, const char *name)
{
    char space[FACTS_SPACE_MAX];
    size_t len;

    facts_space(vol, space);
    len = strlen(space);
    return strncmp(name, "pailfs.", 7) == 0 || (strncmp(name, space, len) == 0 && name[len] == '.');
}

/* Setting it, to anything, forgets what is believed. The second is GeeseFS's name. */
static bool xattr_is_refresh(const char *name)
{
    return strcmp(name, "pailfs.invalidate") == 0 || strcmp(name, ".invalidate") == 0;
}

static int getxattr_fact(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name,
                         void *buf, size_t size, size_t *ret_len)
{
    CLEANUP_FREE char *value = NULL;
    int err = facts_find(vol, req, ino, name, &value);

    if (err)
        return err;
    const char *dot = strchr(name, '.');
    if (strcmp(dot, ".etag") == 0) { /* in quotes, as HTTP has it and goofys shows it */
        char *quoted = mem_printf("\"%s\"", value);
        free(value);
        value = quoted;
    }
    return xattr_give(value, strlen(value), buf, size, ret_len);
}

/* --- get --- */

static int getxattr_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct xattr_args *a = p;
    struct inode *ino;
    size_t text_len;
    int err = xattr_need(vol, req, a->ino, &ino);

    if (!err)
        err = xattr_may(ino, req, false);
    if (err)
        return err;
    const char *found = xattr_list_find(ino->extra_meta, a->meta_name, &text_len);
    if (!found)
        return -ENODATA;
    CLEANUP_FREE char *text = mem_strndup(found, text_len);
    CLEANUP_FREE char *value = mem_alloc(text_len + 1);
    size_t len = xattr_value_decode(text, value);
    return xattr_give(value, len, a->buf, a->size, &a->len);
}

int fs_getxattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name,
                void *buf, size_t size, size_t *ret_len)
{
    struct xattr_args a = {.ino = ino, .buf = buf, .size = size};

    if (xattr_is_refresh(name))
        return -ENODATA;
    if (xattr_is_fact(vol, name))
        return getxattr_fact(vol, req, ino, name, buf, size, ret_len);
    int err = xattr_parse(name, &a.meta_name);

    if (!err)
        err = op_run(vol, req, getxattr_try, &a);
    if (!err)
        *ret_len = a.len;
    free(a.meta_name);
    return err;
}

/* --- list --- */

static bool list_one(void *ctx, const char *meta_name, const char *value)
{
    struct xattr_args *a = ctx;
    CLEANUP_FREE char *name = mem_alloc(strlen(meta_name) + 1);
    size_t len = xattr_name_decode(meta_name, name), all = XATTR_USER_LEN + len + 1;

    (void)value;
    if (meta_name[0] == META_HIDDEN || all > XATTR_NAME_LEN_MAX + 1)
        return true;
    if (a->size >= a->len + all)
        memcpy(stpcpy(a->buf + a->len, XATTR_USER), name, len + 1);
    a->len += all;
    return true;
}

static int listxattr_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct xattr_args *a = p;
    struct inode *ino;
    int err = xattr_need(vol, req, a->ino, &ino);

    if (err)
        return err;
    a->len = 0;
    if (ino->type != FS_LNK)
        xattr_list_each(ino->extra_meta, list_one, a);
    return a->size > 0 && a->len > a->size ? -ERANGE : 0;
}

int fs_listxattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, char *buf, size_t size,
                 size_t *ret_len)
{
    struct xattr_args a = {.ino = ino, .buf = buf, .size = size};
    int err = op_run(vol, req, listxattr_try, &a);

    if (!err)
        *ret_len = a.len;
    return err;
}

/* --- set, remove --- */

static void xattr_change(struct fs_volume *vol, struct fs_req *req, struct inode *ino, char *list)
{
    struct change c;

    change_begin(&c, vol);
    free(ino->extra_meta);
    ino->extra_meta = list;
    ino->meta_version++;
    ino->flags |= INODE_META_DIRTY | INODE_META_KNOWN;
    inode_stamp(ino, false);
    change_row(&c, ino);
    dirty_update(vol, ino, vol->fs->config.quiet_ns);
    change_end(&c, req);
    invalid_inode(vol, req, ino);
}

static int setxattr_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct xattr_args *a = p;
    struct inode *ino;
    size_t len;
    int err = xattr_need(vol, req, a->ino, &ino);

    if (!err)
        err = pressure_change(vol, req);
    if (!err)
        err = xattr_may(ino, req, true);
    if (err)
        return err;
    const char *old = xattr_list_find(ino->extra_meta, a->meta_name, &len);
    if (old && (a->flags & FS_XATTR_CREATE))
        return -EEXIST;
    if (!old && (!a->meta_value || (a->flags & FS_XATTR_REPLACE)))
        return -ENODATA;
    if (old && a->meta_value && strlen(a->meta_value) == len &&
        memcmp(old, a->meta_value, len) == 0) {
        req->seq = ino->seq; /* as it is: no copy of the object for that */
        return 0;
    }
    char *list = xattr_list_set(ino->extra_meta, a->meta_name, a->meta_value);
    err = a->meta_value ? xattr_list_check(list) : 0;
    if (err) {
        free(list);
        return err;
    }
    xattr_change(vol, req, ino, list);
    return 0;
}

int fs_setxattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name,
                const void *value, size_t size, int flags)
{
    struct xattr_args a = {.ino = ino, .flags = flags};

    if (xattr_is_refresh(name))
        return fs_refresh(vol, req, ino);
    if (xattr_is_fact(vol, name))
        return -EPERM;
    int err = xattr_parse(name, &a.meta_name);

    if (!err && (flags & ~(FS_XATTR_CREATE | FS_XATTR_REPLACE)))
        err = -EINVAL;
    if (!err && size > XATTR_META_MAX - XATTR_META_OURS)
        err = -E2BIG;
    if (!err) {
        a.meta_value = xattr_value_encode(value, size);
        err = op_run(vol, req, setxattr_try, &a);
    }
    free(a.meta_name);
    free(a.meta_value);
    return err;
}

int fs_removexattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name)
{
    struct xattr_args a = {.ino = ino};

    if (xattr_is_fact(vol, name) || xattr_is_refresh(name))
        return -EPERM;
    int err = xattr_parse(name, &a.meta_name);

    if (!err)
        err = op_run(vol, req, setxattr_try, &a);
    free(a.meta_name);
    return err;
}
