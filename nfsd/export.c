/* The table of exports: who may mount what, and as whom. Immutable once clients are let in. */
#include "nfsd/export.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

struct export_table {
    struct export *entries; /* names and nets are owned */
    size_t count;
};

struct export_table *export_table_new(void)
{
    return mem_zalloc(sizeof(struct export_table));
}

void export_table_free(struct export_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++) {
        free((char *)table->entries[i].name);
        free((struct export_net *)table->entries[i].nets);
    }
    free(table->entries);
    free(table);
}

bool export_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (name[0] != '/' || len > EXPORT_NAME_MAX || !utf8_valid(name, len))
        return false;
    if (len == 1)
        return true;
    for (const char *p = name; *p;) {
        p++; /* the slash */
        size_t part = strcspn(p, "/");
        if (part == 0 || (part == 1 && p[0] == '.') || (part == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        for (const char *end = p + part; p < end; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                return false;
        }
    }
    return true;
}

int export_table_add(struct export_table *table, const struct export *entry)
{
    if (!export_name_valid(entry->name))
        return -EINVAL;
    if (table->count == EXPORT_MAX)
        return -ENOSPC;
    for (size_t i = 0; i < table->count; i++) {
        const struct export *other = &table->entries[i];
        if (other->vol == entry->vol || strcmp(other->name, entry->name) == 0)
            return -EEXIST;
    }
    table->entries = mem_rearray(table->entries, table->count + 1, sizeof(*table->entries));
    struct export *added = &table->entries[table->count++];
    *added = *entry;
    added->name = mem_strdup(entry->name);
    added->nets = NULL;
    if (entry->net_count > 0)
        added->nets = mem_dup(entry->nets, entry->net_count * sizeof(*entry->nets));
    return 0;
}

size_t export_table_count(const struct export_table *table)
{
    return table->count;
}

const struct export *export_table_at(const struct export_table *table, size_t index)
{
    assert(index < table->count);
    return &table->entries[index];
}

const struct export *export_find_volume(const struct export_table *table,
                                        const struct fs_volume *vol)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->entries[i].vol == vol)
            return &table->entries[i];
    }
    return NULL;
}

/* If name is path or one of its leading directories: what follows, without slashes. Else NULL. */
static const char *path_below(const char *name, const char *path)
{
    while (*name) {
        name += strspn(name, "/");
        path += strspn(path, "/");
        size_t part = strcspn(name, "/");
        if (strncmp(name, path, part) != 0 || (part > 0 && path[part] != '/' && path[part] != '\0'))
            return NULL;
        name += part;
        path += part;
    }
    return path + strspn(path, "/");
}

const struct export *export_find_path(const struct export_table *table, const char *path,
                                      const char **ret_rest)
{
    const struct export *best = NULL;
    const char *best_rest = NULL;

    if (path[0] != '/')
        return NULL;
    for (size_t i = 0; i < table->count; i++) {
        const char *rest = path_below(table->entries[i].name, path);
        if (rest && (!best || strlen(rest) < strlen(best_rest))) {
            best = &table->entries[i];
            best_rest = rest;
        }
    }
    if (best)
        *ret_rest = best_rest;
    return best;
}

const struct export *export_find_only(const struct export_table *table,
                                      const struct export_addr *addr)
{
    const struct export *found = NULL;

    for (size_t i = 0; i < table->count; i++) {
        if (export_check(&table->entries[i], addr) != EXPORT_ALLOWED)
            continue;
        if (found)
            return NULL;
        found = &table->entries[i];
    }
    return found;
}

bool export_may_any(const struct export_table *table, const struct export_addr *addr)
{
    for (size_t i = 0; i < table->count; i++) {
        if (export_check(&table->entries[i], addr) != EXPORT_NOT_LISTED)
            return true;
    }
    return false;
}

enum export_access export_check(const struct export *entry, const struct export_addr *addr)
{
    bool listed = export_addr_is_loopback(addr);

    for (size_t i = 0; i < entry->net_count && !listed; i++)
        listed = export_net_match(&entry->nets[i], addr);
    if (!listed)
        return EXPORT_NOT_LISTED;
    if (entry->secure && addr->port >= EXPORT_PORT_RESERVED)
        return EXPORT_BAD_PORT;
    return EXPORT_ALLOWED;
}

void export_squash_cred(const struct export *entry, const struct fs_cred *given,
                        struct fs_cred *ret)
{
    if (!given || entry->squash == EXPORT_SQUASH_ALL) {
        *ret = (struct fs_cred){.uid = entry->anon_uid, .gid = entry->anon_gid};
        return;
    }
    assert(given->group_count <= FS_GROUPS_MAX);
    *ret = *given;
    if (entry->squash == EXPORT_SQUASH_NONE)
        return;
    if (ret->uid == 0)
        ret->uid = entry->anon_uid;
    if (ret->gid == 0)
        ret->gid = entry->anon_gid;
    for (uint32_t i = 0; i < ret->group_count; i++) {
        if (ret->groups[i] == 0)
            ret->groups[i] = entry->anon_gid;
    }
}
