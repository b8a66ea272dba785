/*
 * From names to keys. The natural key of an inode is its path. What was placed before one of its
 * directories was renamed lies elsewhere: each rename of a directory leaves redirects on it,
 * (epoch, prefix), and a base is found through the first directory on the way up that was renamed
 * after the base was placed: of its redirects, the one with the smallest epoch above the base's.
 * See ARCHITECTURE.md, "Redirects".
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fs/fs_int.h"

int name_check(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EINVAL;
    if (len > FS_NAME_MAX)
        return -ENAMETOOLONG;
    if (strchr(name, '/') || !utf8_valid(name, len))
        return -EINVAL;
    return 0;
}

static struct inode *path_parent(struct fs_volume *vol, const struct inode *ino)
{
    struct inode *dir = ino->key ? inode_find(vol, ino->key->parent) : NULL;

    assert(dir); /* need_path has been here */
    return dir;
}

/* Writes name and a '/' before what buf holds from *at on. */
static int path_prepend(char *buf, size_t *at, const char *name, bool slash)
{
    size_t len = strlen(name), need = len + (slash ? 1 : 0);

    if (*at < need)
        return -ENAMETOOLONG;
    if (slash)
        buf[--*at] = '/';
    *at -= len;
    memcpy(buf + *at, name, len);
    return 0;
}

/* The smallest redirect of dir above epoch, or NULL. */
static const struct redirect *redirect_above(const struct inode *dir, uint64_t epoch)
{
    const struct redirect *best = NULL;

    for (size_t i = 0; i < dir->redirect_count; i++) {
        const struct redirect *r = &dir->redirects[i];
        if (r->epoch > epoch && (!best || r->epoch < best->epoch))
            best = r;
    }
    return best;
}

/* The key of ino for something placed at epoch; UINT64_MAX gives the natural one. */
static int path_key_at(struct fs_volume *vol, const struct inode *ino, uint64_t epoch,
                       char buf[STORE_KEY_MAX + 1])
{
    char tmp[STORE_KEY_MAX + 1];
    size_t at = STORE_KEY_MAX;
    int err = 0;

    if (!ino->key && ino->id != vol->root)
        return -ESTALE; /* removed, though it may be open */
    tmp[STORE_KEY_MAX] = '\0';
    for (const struct inode *i = ino; !err; i = path_parent(vol, i)) {
        const struct redirect *r = i->type == FS_DIR ? redirect_above(i, epoch) : NULL;
        if (r) {
            err = path_prepend(tmp, &at, r->prefix, false);
            break;
        }
        if (i->id == vol->root)
            break;
        err = path_prepend(tmp, &at, i->key->name, i->type == FS_DIR);
    }
    if (err)
        return err;
    memcpy(buf, tmp + at, STORE_KEY_MAX + 1 - at);
    return 0;
}

int path_key(struct fs_volume *vol, const struct inode *ino, char buf[STORE_KEY_MAX + 1])
{
    return path_key_at(vol, ino, UINT64_MAX, buf);
}

int path_child_key(struct fs_volume *vol, const struct inode *dir, const char *name, bool is_dir,
                   char buf[STORE_KEY_MAX + 1])
{
    int err = path_key(vol, dir, buf);
    size_t at = strlen(buf), len = strlen(name), slash = is_dir ? 1 : 0;

    if (err)
        return err;
    if (at + len + slash > STORE_KEY_MAX)
        return -ENAMETOOLONG;
    memcpy(buf + at, name, len);
    if (is_dir)
        buf[at + len] = '/';
    buf[at + len + slash] = '\0';
    return 0;
}

int path_base_key(struct fs_volume *vol, const struct inode *ino, char buf[STORE_KEY_MAX + 1])
{
    if (ino->base_key) {
        memcpy(buf, ino->base_key, strlen(ino->base_key) + 1);
        return 0;
    }
    return path_key_at(vol, ino, ino->base_epoch, buf);
}

static void sources_add(struct sources *s, uint64_t until, const char *prefix)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 2;
        s->s = mem_rearray(s->s, s->room, sizeof(*s->s));
    }
    s->s[s->count++] = (struct source){.until = until, .prefix = mem_strdup(prefix)};
}

void sources_clear(struct sources *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->s[i].prefix);
    free(s->s);
    *s = (struct sources){0};
}

void sources_once(struct sources *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        bool again = false;
        for (size_t k = 0; k < kept; k++)
            again = again || strcmp(s->s[k].prefix, s->s[i].prefix) == 0;
        if (again)
            free(s->s[i].prefix);
        else
            s->s[kept++] = s->s[i];
    }
    s->count = kept;
}

void sources_unknown(const struct inode *dir, struct sources *s)
{
    size_t kept = 0;

    if (!(dir->flags & INODE_LISTED))
        return;
    for (size_t i = 0; i < s->count; i++) {
        if (s->s[i].until == UINT64_MAX)
            s->s[kept++] = s->s[i];
        else
            free(s->s[i].prefix);
    }
    s->count = kept;
}

int path_sources(struct fs_volume *vol, const struct inode *dir, struct sources *ret)
{
    char key[STORE_KEY_MAX + 1], rel[STORE_KEY_MAX + 1];
    size_t at = STORE_KEY_MAX;
    uint64_t newest = 0; /* when the youngest of the directories passed was moved here, or made */
    int err;

    *ret = (struct sources){0};
    err = path_key(vol, dir, key);
    if (err)
        return err;
    /* What lies below a prefix that drains belongs to the directory that was moved away. */
    if (!path_reserved(vol, key))
        sources_add(ret, UINT64_MAX, key);
    rel[STORE_KEY_MAX] = '\0';
    for (const struct inode *i = dir; !err; i = path_parent(vol, i)) {
        uint64_t nearer = newest;
        for (size_t r = 0; r < i->redirect_count; r++) {
            size_t len = strlen(i->redirects[r].prefix), tail = STORE_KEY_MAX - at;
            /* What is older than a redirect further down was never below this directory's old
             * place: path_key_at finds it through the one further down. */
            if (i->redirects[r].epoch <= nearer)
                continue;
            if (i->redirects[r].epoch > newest)
                newest = i->redirects[r].epoch;
            if (len + tail > STORE_KEY_MAX)
                continue; /* no such key can be there */
            memcpy(key, i->redirects[r].prefix, len);
            memcpy(key + len, rel + at, tail + 1);
            sources_add(ret, i->redirects[r].epoch, key);
        }
        if (i->id == vol->root)
            break;
        if (i->since > newest)
            newest = i->since;
        if (!err)
            err = path_prepend(rel, &at, i->key->name, true);
    }
    if (err)
        sources_clear(ret);
    return err;
}

bool path_below(struct fs_volume *vol, const struct inode *ino, const struct inode *dir)
{
    for (const struct inode *i = ino;; i = path_parent(vol, i)) {
        if (i == dir)
            return true;
        if (i->id == vol->root)
            return false;
    }
}

const char *path_reserved(struct fs_volume *vol, const char *key)
{
    char natural[STORE_KEY_MAX + 1];
    const struct inode *dir;

    TAILQ_FOREACH (dir, &vol->draining, drain) {
        for (size_t i = 0; i < dir->redirect_count; i++) {
            const char *prefix = dir->redirects[i].prefix;
            if (strncmp(key, prefix, strlen(prefix)) != 0)
                continue;
            /* Renamed back: the directory lives where it drains from. */
            if (path_key(vol, dir, natural) == 0 && strcmp(natural, prefix) == 0)
                continue;
            return prefix;
        }
    }
    return NULL;
}

bool path_moved_away(struct fs_volume *vol, const char *prefix, const char *key)
{
    char natural[STORE_KEY_MAX + 1];
    const struct inode *dir;
    size_t len = strlen(prefix);

    TAILQ_FOREACH (dir, &vol->draining, drain) {
        for (size_t i = 0; i < dir->redirect_count; i++) {
            const char *moved = dir->redirects[i].prefix;
            if (strlen(moved) <= len || strncmp(moved, prefix, len) != 0 ||
                strncmp(key, moved, strlen(moved)) != 0)
                continue;
            if (path_key(vol, dir, natural) != 0 || strcmp(natural, moved) != 0)
                return true;
        }
    }
    return false;
}

bool path_drains_below(struct fs_volume *vol, const char *prefix, const char *key)
{
    const struct inode *dir;
    size_t len = strlen(prefix);

    TAILQ_FOREACH (dir, &vol->draining, drain) {
        for (size_t i = 0; i < dir->redirect_count; i++) {
            const char *other = dir->redirects[i].prefix;
            if (strlen(other) > len && strncmp(other, prefix, len) == 0 &&
                strncmp(key, other, strlen(other)) == 0)
                return true;
        }
    }
    return false;
}

uint64_t path_moved_at(struct fs_volume *vol, const struct inode *dir)
{
    uint64_t last = 0;

    for (const struct inode *i = dir; i->id != vol->root; i = path_parent(vol, i)) {
        if (i->since > last)
            last = i->since;
    }
    return last;
}

bool path_home_settled(struct fs_volume *vol, const struct inode *dir, const struct redirect *r)
{
    char natural[STORE_KEY_MAX + 1];
    const struct redirect *next = redirect_above(dir, r->epoch);

    if (path_key(vol, dir, natural) != 0)
        return false;
    if (next)
        return strcmp(natural, next->prefix) == 0;
    for (const struct inode *i = dir; i->id != vol->root;) {
        i = path_parent(vol, i);
        if (i->redirect_count > 0)
            return false;
    }
    return !path_reserved(vol, natural);
}

/* True if a redirect of that epoch is on dir or on a directory above it. */
static bool path_has_epoch(struct fs_volume *vol, const struct inode *dir, uint64_t epoch)
{
    for (const struct inode *i = dir;; i = path_parent(vol, i)) {
        for (size_t r = 0; r < i->redirect_count; r++) {
            if (i->redirects[r].epoch == epoch)
                return true;
        }
        if (i->id == vol->root)
            return false;
    }
}

bool path_foreign(struct fs_volume *vol, const struct inode *dir, uint64_t until, const char *key)
{
    const struct inode *other;

    TAILQ_FOREACH (other, &vol->draining, drain) {
        for (size_t i = 0; i < other->redirect_count; i++) {
            const struct redirect *r = &other->redirects[i];
            if (r->epoch < until && strncmp(key, r->prefix, strlen(r->prefix)) == 0 &&
                !path_has_epoch(vol, dir, r->epoch))
                return true;
        }
    }
    return false;
}

void redirect_add(struct fs_volume *vol, struct inode *dir, uint64_t epoch, const char *prefix)
{
    dir->redirects = mem_rearray(dir->redirects, dir->redirect_count + 1, sizeof(*dir->redirects));
    dir->redirects[dir->redirect_count++] =
        (struct redirect){.epoch = epoch, .prefix = mem_strdup(prefix)};
    if (dir->redirect_count == 1)
        TAILQ_INSERT_TAIL(&vol->draining, dir, drain);
    inode_used(vol, dir); /* takes it off the lru: a draining directory stays in memory */
}

void redirect_remove(struct fs_volume *vol, struct inode *dir, uint64_t epoch)
{
    for (size_t i = 0; i < dir->redirect_count; i++) {
        if (dir->redirects[i].epoch != epoch)
            continue;
        char *prefix = dir->redirects[i].prefix;
        dir->redirects[i] = dir->redirects[--dir->redirect_count];
        if (dir->redirect_count == 0)
            TAILQ_REMOVE(&vol->draining, dir, drain);
        inode_used(vol, dir);
        wait_wake(vol, prefix, 0);
        free(prefix);
        return;
    }
}
