/*
 * s3fs keeps extended attributes all in one: the metadata "xattr" is {"name":"base64",...}, escaped
 * as in a URL. Its user.* become metadata of their own, as ours are. What else is in it (ACLs,
 * security.*) stays there, for s3fs.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/xattr.h"

#define S3FS_NAME "xattr"
#define S3FS_USER "user."

struct s3fs_pair {
    const char *whole; /* "name":"base64" */
    size_t whole_len;
    const char *name, *value;
    size_t name_len, value_len;
};

/* The text between two quotes at *at, which goes on behind them. */
static bool s3fs_quoted(const char **at, const char **ret, size_t *ret_len)
{
    const char *end = **at == '"' ? strchr(*at + 1, '"') : NULL;

    if (!end)
        return false;
    *ret = *at + 1;
    *ret_len = (size_t)(end - *ret);
    *at = end + 1;
    return true;
}

/* Goes on behind the comma or the closing brace. */
static bool s3fs_next(const char **at, struct s3fs_pair *ret)
{
    ret->whole = *at;
    if (!s3fs_quoted(at, &ret->name, &ret->name_len) || *(*at)++ != ':' ||
        !s3fs_quoted(at, &ret->value, &ret->value_len))
        return false;
    ret->whole_len = (size_t)(*at - ret->whole);
    return **at == ',' ? *++*at != '}' : **at == '}';
}

/* Into *list, unless there is metadata of that name. */
static bool s3fs_take(char **list, const struct s3fs_pair *pair)
{
    CLEANUP_FREE char *name =
        mem_strndup(pair->name + strlen(S3FS_USER), pair->name_len - strlen(S3FS_USER));
    CLEANUP_FREE char *meta_name = xattr_name_encode(name);
    CLEANUP_FREE unsigned char *value = mem_alloc(pair->value_len + 1);
    size_t len;

    if (sodium_base642bin(value, pair->value_len, pair->value, pair->value_len, NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    if (xattr_list_find(*list, meta_name, &(size_t){0}))
        return true;
    CLEANUP_FREE char *text = xattr_value_encode(value, len);
    char *more = xattr_list_set(*list, meta_name, text);
    free(*list);
    *list = more;
    return true;
}

/* One that stays, behind those before it. */
static void s3fs_leave(char **rest, const struct s3fs_pair *pair)
{
    char *more = mem_printf("%s%s%.*s", *rest ? *rest : "", *rest ? "," : "", (int)pair->whole_len,
                            pair->whole);

    free(*rest);
    *rest = more;
}

static char *s3fs_escape(const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    static const char digits[] = "0123456789ABCDEF";
    char *out = mem_alloc(strlen(text) * 3 + 1), *p = out;

    for (; *text; text++) {
        if (strchr(plain, *text)) {
            *p++ = *text;
            continue;
        }
        *p++ = '%';
        *p++ = digits[(unsigned char)*text >> 4];
        *p++ = digits[*text & 15];
    }
    *p = '\0';
    return out;
}

/* What list is with the pairs of text as metadata; NULL: that is no such text. */
static char *s3fs_expand(const char *list, const char *text)
{
    char *new_list = xattr_list_set(list, S3FS_NAME, NULL);
    CLEANUP_FREE char *rest = NULL;
    struct s3fs_pair pair;
    const char *at = text + 1;
    bool good = *text == '{' && *at == '"';

    while (good && *at == '"') {
        good = s3fs_next(&at, &pair);
        if (good && strncmp(pair.name, S3FS_USER, strlen(S3FS_USER)) == 0 &&
            pair.name_len > strlen(S3FS_USER))
            good = s3fs_take(&new_list, &pair);
        else if (good)
            s3fs_leave(&rest, &pair);
    }
    if (!good || strcmp(at, "}") != 0) {
        free(new_list);
        return NULL;
    }
    if (rest) {
        CLEANUP_FREE char *whole = mem_printf("{%s}", rest);
        CLEANUP_FREE char *escaped = s3fs_escape(whole);
        char *more = xattr_list_set(new_list, S3FS_NAME, escaped);
        free(new_list);
        new_list = more;
    }
    return new_list;
}

void xattr_list_from_s3fs(char **list)
{
    size_t len;
    const char *found = xattr_list_find(*list, S3FS_NAME, &len);

    if (!found)
        return;
    CLEANUP_FREE char *escaped = mem_strndup(found, len);
    CLEANUP_FREE char *text = mem_alloc(len + 1);
    if (xattr_value_decode(escaped, text) != strlen(text))
        return; /* it has a NUL */
    char *new_list = s3fs_expand(*list, text);
    if (!new_list || xattr_list_check(new_list) != 0) { /* larger than it was, perhaps too large */
        free(new_list);
        return;
    }
    free(*list);
    *list = new_list;
}
