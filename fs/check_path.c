/* Names and keys for the check, from the database alone: the rules of path.c over rows. */
#include "fs/check_int.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

void check_path_open(struct check *c)
{
    c->link = db_query_new(c->view, "SELECT parent, name FROM temp.link WHERE inode = ?1 LIMIT 1");
    c->child = db_query_new(c->view, "SELECT inode FROM dirent WHERE parent = ?1 AND name = ?2");
    c->redirects = db_query_new(c->view, "SELECT epoch, prefix FROM redirect WHERE inode = ?1");
}

static void chain_clear(struct check_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        struct check_level *level = &chain->levels[i];
        for (size_t r = 0; r < level->redirect_count; r++)
            free(level->redirects[r].prefix);
        free(level->redirects);
        free(level->name);
    }
    chain->count = 0;
    chain->dir = 0;
    chain->whole = false;
}

void check_path_close(struct check *c)
{
    chain_clear(&c->chain);
    db_query_free(c->link);
    db_query_free(c->child);
    db_query_free(c->redirects);
}

bool check_link(struct check *c, uint64_t inode, uint64_t *ret_parent,
                char ret_name[FS_NAME_MAX + 1])
{
    if (!c->link)
        return false;
    db_query_u64(c->link, 1, inode);
    bool found = db_query_next(c->link);
    if (found) {
        const char *name = db_row_text(c->link, 1);
        *ret_parent = db_row_u64(c->link, 0);
        (void)strlcpy(ret_name, name ? name : "", FS_NAME_MAX + 1);
    }
    db_query_reset(c->link);
    return found;
}

static bool check_is_root(const struct check *c, uint64_t inode)
{
    for (size_t i = 0; i < c->volume_count; i++) {
        if (c->volumes[i].root == inode)
            return true;
    }
    return false;
}

const char *check_who(struct check *c, uint64_t inode, struct check_who *buf)
{
    char path[STORE_KEY_MAX + 1], name[FS_NAME_MAX + 1];
    size_t at = sizeof(path) - 1;
    uint64_t up = inode, parent;

    path[at] = '\0';
    for (int i = 0; i < DEPTH_MAX && !check_is_root(c, up) && check_link(c, up, &parent, name);
         i++) {
        size_t len = strlen(name), slash = path[at] ? 1 : 0;
        if (len + slash > at)
            break;
        if (slash)
            path[--at] = '/';
        at -= len;
        memcpy(path + at, name, len);
        up = parent;
    }
    if (check_is_root(c, inode))
        (void)snprintf(buf->text, sizeof(buf->text), "the top directory (inode %" PRIu64 ")",
                       inode);
    else if (!path[at])
        (void)snprintf(buf->text, sizeof(buf->text), "inode %" PRIu64, inode);
    else
        (void)snprintf(buf->text, sizeof(buf->text), "%s (inode %" PRIu64 ")", LOG_Q(path + at),
                       inode);
    return buf->text;
}

static void level_redirects(struct check *c, struct check_level *level)
{
    db_query_u64(c->redirects, 1, level->id);
    while (db_query_next(c->redirects)) {
        const char *prefix = db_row_text(c->redirects, 1);
        level->redirects =
            mem_rearray(level->redirects, level->redirect_count + 1, sizeof(*level->redirects));
        level->redirects[level->redirect_count++] = (struct redirect){
            .epoch = db_row_u64(c->redirects, 0), .prefix = mem_strdup(prefix ? prefix : "")};
    }
    db_query_reset(c->redirects);
}

static void chain_load(struct check *c, uint64_t dir)
{
    struct check_chain *chain = &c->chain;
    char name[FS_NAME_MAX + 1];
    uint64_t id = dir, parent = 0;

    if (chain->dir == dir)
        return;
    chain_clear(chain);
    chain->dir = dir;
    while (chain->count <= DEPTH_MAX) {
        struct check_level *level = &chain->levels[chain->count];
        bool root = check_is_root(c, id);
        if (!root && !check_link(c, id, &parent, name))
            return;
        *level = (struct check_level){.id = id, .name = mem_strdup(root ? "" : name)};
        chain->count++;
        level_redirects(c, level);
        if (root) {
            chain->whole = true;
            return;
        }
        id = parent;
    }
}

/* Writes text, and a '/' if slash, before what buf holds from *at on. */
static bool key_prepend(char *buf, size_t *at, const char *text, bool slash)
{
    size_t len = strlen(text), need = len + (slash ? 1 : 0);

    if (*at < need)
        return false;
    if (slash)
        buf[--*at] = '/';
    *at -= len;
    memcpy(buf + *at, text, len);
    return true;
}

static const struct redirect *level_above(const struct check_level *level, uint64_t epoch)
{
    const struct redirect *best = NULL;

    for (size_t i = 0; i < level->redirect_count; i++) {
        const struct redirect *r = &level->redirects[i];
        if (r->epoch > epoch && (!best || r->epoch < best->epoch))
            best = r;
    }
    return best;
}

bool check_key(struct check *c, uint64_t dir, const char *name, uint64_t epoch,
               char ret[STORE_KEY_MAX + 1])
{
    char tmp[STORE_KEY_MAX + 1];
    size_t at = STORE_KEY_MAX;
    bool fits = true;

    chain_load(c, dir);
    if (!c->chain.whole)
        return false;
    tmp[STORE_KEY_MAX] = '\0';
    if (name)
        fits = key_prepend(tmp, &at, name, false);
    for (size_t i = 0; i + 1 <= c->chain.count && fits; i++) {
        const struct check_level *level = &c->chain.levels[i];
        const struct redirect *r = level_above(level, epoch);
        if (r) {
            fits = key_prepend(tmp, &at, r->prefix, false);
            break;
        }
        if (i + 1 < c->chain.count)
            fits = key_prepend(tmp, &at, level->name, true);
    }
    if (fits)
        memcpy(ret, tmp + at, STORE_KEY_MAX + 1 - at);
    return fits;
}

uint64_t check_resolve(struct check *c, uint64_t dir, const char *path)
{
    char name[FS_NAME_MAX + 1];

    while (*path && dir) {
        size_t len = strcspn(path, "/");
        if (len == 0 || len > FS_NAME_MAX)
            return 0;
        memcpy(name, path, len);
        name[len] = '\0';
        db_query_u64(c->child, 1, dir);
        db_query_text(c->child, 2, name);
        dir = db_query_next(c->child) ? db_row_u64(c->child, 0) : 0;
        db_query_reset(c->child);
        path += len;
        path += *path == '/';
    }
    return dir;
}
