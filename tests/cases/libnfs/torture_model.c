/* What the clients of the torture know: the tree, and of each file the bytes it may have. */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

/* ---- the tree ---- */

static struct thing *things;

struct thing *thing_new(enum kind kind, unsigned owner)
{
    struct thing *thing = calloc(1, sizeof(*thing));

    thing->next = things;
    things = thing;
    thing->kind = kind;
    thing->owner = owner;
    thing->mtime_ns = -1;
    return thing;
}

void thing_free_all(void)
{
    while (things) {
        struct thing *thing = things;
        things = thing->next;
        content_free(thing);
        free(thing->kids);
        free(thing);
    }
}

void thing_attach(struct thing *thing, struct thing *dir, const char *name)
{
    if (dir->kid_count == dir->kid_room) {
        dir->kid_room = dir->kid_room * 2 + 8;
        dir->kids = reallocarray(dir->kids, dir->kid_room, sizeof(struct thing *));
    }
    dir->kids[dir->kid_count++] = thing;
    thing->parent = dir;
    if (name != thing->name)
        (void)snprintf(thing->name, sizeof(thing->name), "%s", name);
}

void thing_detach(struct thing *thing)
{
    struct thing *dir = thing->parent;
    size_t i = 0;

    while (dir->kids[i] != thing)
        i++;
    dir->kids[i] = dir->kids[--dir->kid_count];
    thing->parent = NULL;
}

struct thing *thing_child(const struct thing *dir, const char *name)
{
    for (size_t i = 0; i < dir->kid_count; i++)
        if (strcmp(dir->kids[i]->name, name) == 0)
            return dir->kids[i];
    return NULL;
}

bool thing_is_below(const struct thing *thing, const struct thing *dir)
{
    while (thing && thing != dir)
        thing = thing->shared ? NULL : thing->parent;
    return thing != NULL;
}

bool thing_in_shared(const struct thing *dir)
{
    while (dir && !dir->shared)
        dir = dir->parent;
    return dir != NULL;
}

bool thing_has_shared(const struct thing *thing, unsigned owner)
{
    if (thing->shared)
        return true;
    for (size_t i = 0; i < thing->kid_count; i++)
        if (thing->kids[i]->owner == owner && thing_has_shared(thing->kids[i], owner))
            return true;
    return false;
}

const char *thing_path(const struct thing *thing)
{
    static char ring[8][2048];
    static unsigned turn;
    char *path = ring[turn++ % 8], *at = path + sizeof(ring[0]) - 1;

    *at = '\0';
    for (; thing && thing->parent; thing = thing->parent) {
        size_t len = strlen(thing->name);
        if ((size_t)(at - path) < len + 1)
            break;
        at -= len;
        memcpy(at, thing->name, len);
        *--at = '/';
    }
    return *at ? at : thing && thing != torture.root ? "(gone)" : "/";
}

/* ---- bytes ---- */

uint8_t content_byte(uint32_t seed, uint64_t off)
{
    return (uint8_t)(((seed + off) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

void content_fill(uint8_t *to, uint32_t seed, uint64_t off, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        to[i] = content_byte(seed, off + i);
}

static void resize(uint8_t **bytes, uint64_t *size, uint64_t to)
{
    if (to > *size) {
        *bytes = realloc(*bytes, to);
        memset(*bytes + *size, 0, to - *size);
    }
    *size = to;
}

static void pending_add(struct thing *file, const struct unstable *entry)
{
    if (file->pending_count == file->pending_room) {
        file->pending_room = file->pending_room * 2 + 4;
        file->pending = reallocarray(file->pending, file->pending_room, sizeof(struct unstable));
    }
    file->pending[file->pending_count++] = *entry;
}

/* What was promised for [off, end) is all that may be there. */
static void pending_cut(struct thing *file, uint64_t off, uint64_t end)
{
    size_t count = file->pending_count;
    struct unstable *old = file->pending;

    file->pending = NULL;
    file->pending_count = file->pending_room = 0;
    for (size_t i = 0; i < count; i++) {
        struct unstable left = old[i], right = old[i];
        if (left.end > off)
            left.end = off;
        if (right.off < end)
            right.off = end;
        if (left.off < left.end)
            pending_add(file, &left);
        if (right.off < right.end && right.off >= end)
            pending_add(file, &right);
    }
    free(old);
}

void content_write(struct thing *file, uint64_t off, uint64_t len, uint32_t seed, bool stable)
{
    uint64_t end = off + len;

    if (end > file->size)
        resize(&file->want, &file->size, end);
    content_fill(file->want + off, seed, off, len);
    file->mtime_ns = -1;
    if (!stable) {
        pending_add(file, &(struct unstable){.off = off, .end = end, .seed = seed});
        return;
    }
    if (end > file->stable_size)
        resize(&file->stable, &file->stable_size, end);
    memcpy(file->stable + off, file->want + off, len);
    pending_cut(file, off, end);
}

void content_truncate(struct thing *file, uint64_t size)
{
    resize(&file->want, &file->size, size);
    resize(&file->stable, &file->stable_size, size);
    pending_cut(file, size, UINT64_MAX);
    file->mtime_ns = -1;
}

void content_answered(struct thing *file, uint64_t off, uint64_t end, const char verf[8],
                      unsigned epoch, bool stable)
{
    if (stable) {
        if (end > file->stable_size)
            resize(&file->stable, &file->stable_size, end);
        memcpy(file->stable + off, file->want + off, end - off);
        pending_cut(file, off, end);
        return;
    }
    for (size_t i = 0; i < file->pending_count; i++) {
        struct unstable *p = &file->pending[i];
        if (p->off < off || p->end > end)
            continue; /* pieces on both sides were answered by others, or will be */
        p->answered = true;
        p->epoch = epoch;
        memcpy(p->verf, verf, 8);
    }
}

void content_committed(struct thing *file)
{
    for (size_t i = 0; i < file->pending_count; i++) {
        const struct unstable *p = &file->pending[i];
        if (p->end > file->stable_size)
            resize(&file->stable, &file->stable_size, p->end);
        memcpy(file->stable + p->off, file->want + p->off, p->end - p->off);
    }
    file->pending_count = 0;
}

bool content_is_strict(const struct thing *file, unsigned epoch)
{
    for (size_t i = 0; i < file->pending_count; i++)
        if (!file->pending[i].answered || file->pending[i].epoch != epoch)
            return false;
    return true;
}

const char *content_check_size(const struct thing *file, uint64_t size, bool strict)
{
    static char why[128];

    if (size == file->size || (!strict && size == file->stable_size))
        return NULL;
    for (size_t i = 0; !strict && i < file->pending_count; i++)
        if (file->pending[i].end == size && size > file->stable_size)
            return NULL;
    (void)snprintf(why, sizeof(why), "size is %lu, want %lu (%s, promised %lu)",
                   (unsigned long)size, (unsigned long)file->size,
                   strict ? "nothing was lost" : "unstable", (unsigned long)file->stable_size);
    return why;
}

/* Whether the byte may be what the store, or one of the writes under way, has there. */
static bool may_be(const struct thing *file, uint64_t at, uint8_t byte)
{
    if (byte == (at < file->stable_size ? file->stable[at] : 0))
        return true;
    for (size_t i = 0; i < file->pending_count; i++) {
        const struct unstable *p = &file->pending[i];
        if (at >= p->off && at < p->end && byte == content_byte(p->seed, at))
            return true;
    }
    return false;
}

const char *content_check(const struct thing *file, uint64_t off, const uint8_t *data, uint64_t len,
                          bool strict)
{
    static char why[160];

    for (uint64_t i = 0; i < len; i++) {
        uint64_t at = off + i;
        bool inside = at < file->size;
        if ((inside && data[i] == file->want[at]) || (!strict && may_be(file, at, data[i])))
            continue;
        (void)snprintf(why, sizeof(why), "byte %lu is %#x, want %#x, promised was %#x (%s)",
                       (unsigned long)at, data[i], inside ? file->want[at] : 0U,
                       at < file->stable_size ? file->stable[at] : 0U,
                       strict ? "nothing was lost" : "unstable");
        return why;
    }
    return NULL;
}

void content_free(struct thing *file)
{
    free(file->want);
    free(file->stable);
    free(file->pending);
    file->want = file->stable = NULL;
    file->pending = NULL;
    file->size = file->stable_size = file->pending_count = file->pending_room = 0;
}
