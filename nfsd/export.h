/*
 * What is exported, to whom, and as whom. The table is filled before the first client is let in and
 * does not change afterwards, so reading it needs no lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/fs.h"
#include "nfsd/export_net.h"

enum {
    EXPORT_NAME_MAX = 255, /* bytes of an export's name */
    EXPORT_MAX = 256,      /* exports of one process */
    EXPORT_ANON_ID = 65534,
    EXPORT_PORT_RESERVED = 1024, /* ports below it are the superuser's on the client's machine */
};

enum export_squash {
    EXPORT_SQUASH_ROOT, /* uid 0 and gid 0 become the anonymous ones */
    EXPORT_SQUASH_ALL,
    EXPORT_SQUASH_NONE,
};

struct export
{
    const char *name; /* "/media"; see export_name_check */
    struct fs_volume *vol;
    const struct export_net *nets; /* who may come, besides loopback */
    size_t net_count;
    bool read_only;
    bool secure; /* only requests from reserved ports */
    enum export_squash squash;
    uint32_t anon_uid, anon_gid;
};

enum export_access { EXPORT_ALLOWED, EXPORT_NOT_LISTED, EXPORT_BAD_PORT };

struct export_table;

struct export_table *export_table_new(void);
void export_table_free(struct export_table *table); /* NULL is fine */

/* Copies what entry points at, but for vol. -EEXIST: name or volume is exported already; -EINVAL:
 * not a name; -ENOSPC: EXPORT_MAX reached. */
int export_table_add(struct export_table *table, const struct export *entry);
size_t export_table_count(const struct export_table *table);
const struct export *export_table_at(const struct export_table *table, size_t index);

/* The export of a volume, or NULL. */
const struct export *export_find_volume(const struct export_table *table,
                                        const struct fs_volume *vol);
/*
 * The export that path lies in: the longest name that is path or one of its leading directories.
 * Slashes may be doubled and trailing. ret_rest: what follows the name, a pointer into path,
 * without leading slashes. NULL if there is none.
 */
const struct export *export_find_path(const struct export_table *table, const char *path,
                                      const char **ret_rest);
/* The only export that this client may mount; NULL if there is none or more than one. */
const struct export *export_find_only(const struct export_table *table,
                                      const struct export_addr *addr);

/* True if this client may mount something, the port rule aside. */
bool export_may_any(const struct export_table *table, const struct export_addr *addr);

enum export_access export_check(const struct export *entry, const struct export_addr *addr);

/* The identity a caller acts under. given NULL: the caller gave none (AUTH_NONE). */
void export_squash_cred(const struct export *entry, const struct fs_cred *given,
                        struct fs_cred *ret);

/* True for "/", "/media", "/a/b": absolute, valid UTF-8 without control characters, no empty
 * component, no "." or "..", at most EXPORT_NAME_MAX bytes. */
bool export_name_valid(const char *name);
