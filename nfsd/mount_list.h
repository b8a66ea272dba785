/*
 * Who has mounted what, for MOUNT's DUMP: a memory of what clients said, which RFC 1813 calls
 * advisory. Bounded; the oldest entry makes room for a new one. Lost at a restart. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { MOUNT_LIST_MAX = 1024 };

struct mount_list;

struct mount_list *mount_list_new(void);
void mount_list_free(struct mount_list *list); /* NULL is fine */

/* Adds (host, path), or makes it the newest if it is there. */
void mount_list_add(struct mount_list *list, const char *host, const char *path);
/* path NULL: all of this host's. */
void mount_list_remove(struct mount_list *list, const char *host, const char *path);

/* Oldest first, with the list's lock held: fn must not call back. False stops. */
typedef bool mount_list_fn(void *ctx, const char *host, const char *path);
void mount_list_each(struct mount_list *list, mount_list_fn *fn, void *ctx);
