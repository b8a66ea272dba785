/*
 * Extended attributes. user.* are the object's metadata: "user.NAME" is the metadata NAME. Both
 * sides of it are text that any store takes, so bytes that are not go as %XX: in values what is not
 * printable ASCII, '%', and blanks that a server might trim; in names, which stores lower, every
 * capital letter too, and the first letter of a name that would be taken for an attribute of the
 * file ("mode", "mtime"). What other programs wrote is shown decoded where it is such an escape,
 * else as it is; it stays in the bucket as they wrote it until it is set.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct inode;
struct fs_volume;

enum {
    XATTR_NAME_LEN_MAX = 255, /* of Linux, with the namespace */
    XATTR_VALUE_MAX = 8192,   /* longer than any decoded metadata */
    XATTR_META_MAX = 2048,    /* bytes of names and values of one object: what S3 takes in all, */
    XATTR_META_OURS = 256,    /* of which our own attributes use up to so many */
    XATTR_COUNT_MAX = 27,     /* with ours no more than the 32 that the stores take */
};

/* --- xattr_text.c: the encoding, and the list in inode.extra_meta ("NAME=VALUE\n"...) --- */

/* Metadata name of an xattr's name without "user."; the caller frees. */
char *xattr_name_encode(const char *name);
char *xattr_value_encode(const void *value, size_t len);
/* buf takes strlen(text) + 1 bytes; both end in a NUL. Returns the length. */
size_t xattr_name_decode(const char *text, char *buf);
size_t xattr_value_decode(const char *text, char *buf);

/* The value of a metadata name, not NUL-terminated: its length is in *ret_len. NULL: not there. */
const char *xattr_list_find(const char *list, const char *meta_name, size_t *ret_len);
/* A new list with that name set, or without it (value NULL); NULL for an empty one. The caller
 * frees. */
char *xattr_list_set(const char *list, const char *meta_name, const char *value);
/* The same names with the same values, in any order. */
bool xattr_list_same(const char *a, const char *b);
/* Calls fn with each name and value, NUL-terminated, until it returns false. */
typedef bool xattr_list_fn(void *ctx, const char *meta_name, const char *value);
void xattr_list_each(const char *list, xattr_list_fn *fn, void *ctx);
/* 0, or -ENOSPC: more than an object takes. */
int xattr_list_check(const char *list);

/* --- xattr_s3fs.c --- */

/* What s3fs keeps in one piece of metadata becomes several. */
void xattr_list_from_s3fs(char **list);

/* --- meta.c --- */

/* Names that are attributes of the file in some dialect: no xattrs. */
bool meta_is_attribute(const char *name);
