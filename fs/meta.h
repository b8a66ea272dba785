/* Attributes in object metadata. */
#pragma once

#include "cloud/store.h"
#include "fs/fs.h"

struct inode;

/* Applies what is there in any dialect; sets INODE_META_KNOWN. mtime_ns: Last-Modified. */
void meta_apply(const struct fs_volume *vol, struct inode *ino, const struct store_object *obj);
/* Of the file that the object is. */
int64_t meta_object_mtime(const struct store_object *obj);
/* The type that metadata gives: symlinks; FS_REG otherwise. */
enum fs_type meta_type(const struct store_meta *meta);
/* DataSync's, and what was there. Defaults are left out: they follow the configuration. */
void meta_encode(const struct inode *ino, struct store_meta *ret);
/* The type of content that somebody gave the object, which is to stay when it is written anew: new
 * memory; NULL if there is none. */
char *meta_content_type(const struct inode *ino);
/* First byte of names in inode.extra_meta that are no metadata. */
enum { META_HIDDEN = '\1' };
void meta_defaults(const struct fs_volume *vol, struct inode *ino, int64_t mtime_ns);
