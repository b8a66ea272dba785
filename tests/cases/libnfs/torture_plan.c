/* What a client of the torture does next: decided by its seed and its model alone. */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

enum { NAMES = 7, DEPTH = 7, LARGE = 21 << 20, MEDIUM = 700 << 10 };

static struct want *push(struct client *c, enum verb verb)
{
    struct want *want = &c->queue[c->queue_end];

    if (c->queue_end == QUEUE_MAX)
        FAIL("the queue of client %u is full", c->number);
    c->queue_end++;
    *want = (struct want){.verb = verb};
    return want;
}

static unsigned pick(struct client *c, unsigned n)
{
    return chance_pick(&c->chance, n);
}

static bool of(struct client *c, unsigned percent)
{
    return chance_of(&c->chance, percent);
}

static void pick_name(struct client *c, char name[NAME_ROOM])
{
    (void)snprintf(name, NAME_ROOM, "%c%u", c->letter, pick(c, NAMES));
}

static void fresh_name(struct client *c, char name[NAME_ROOM])
{
    (void)snprintf(name, NAME_ROOM, "%c-%u", c->letter, ++c->name_count);
}

static unsigned depth_of(const struct thing *thing)
{
    unsigned depth = 0;

    /* Through a shared directory of another client the way up is not ours to know. */
    for (; thing && thing->parent && !thing->shared; thing = thing->parent)
        depth++;
    return depth;
}

static struct thing *pick_kind(struct client *c, enum kind kind)
{
    for (unsigned tries = 0; tries < 60 && c->own_count; tries++) {
        struct thing *thing = c->own[pick(c, (unsigned)c->own_count)];
        if (thing->kind == kind)
            return thing;
    }
    return NULL;
}

static struct thing *pick_any(struct client *c)
{
    return c->own_count ? c->own[pick(c, (unsigned)c->own_count)] : NULL;
}

static struct thing *pick_dir(struct client *c)
{
    unsigned what = pick(c, 100);
    struct thing *dir = NULL;

    if (what < 10)
        return torture.root;
    if (what < 40 && torture.shared_count)
        return torture.shared[pick(c, torture.shared_count)];
    for (unsigned tries = 0; tries < 4; tries++) {
        dir = pick_kind(c, DIRECTORY);
        if (dir && depth_of(dir) < DEPTH)
            return dir;
    }
    return torture.root;
}

/* By name, as requests do it. */
static struct want *push_named(struct client *c, enum verb verb, struct thing *thing)
{
    struct want *want = push(c, verb);

    want->dir = thing->parent;
    (void)snprintf(want->name, sizeof(want->name), "%s", thing->name);
    return want;
}

static void push_rename(struct client *c, struct thing *from, const char *name, struct thing *to,
                        const char *to_name)
{
    struct want *want = push(c, V_RENAME);

    want->dir = from;
    want->to_dir = to;
    (void)snprintf(want->name, sizeof(want->name), "%s", name);
    (void)snprintf(want->to_name, sizeof(want->to_name), "%s", to_name);
}

/* ---- plans of one or a few requests ---- */

static uint64_t pick_length(struct client *c)
{
    unsigned what = pick(c, 100);

    if (what < 50)
        return 1 + pick(c, 5000);
    if (what < 85)
        return 1 + pick(c, 100000);
    return 1 + pick(c, MEDIUM);
}

/* A write of any length as requests of at most a chunk. */
static void push_writes(struct client *c, struct thing *file, uint64_t off, uint64_t len, bool sync)
{
    uint32_t seed = (uint32_t)chance_next(&c->chance);

    while (len > 0) {
        uint32_t part = len < CHUNK ? (uint32_t)len : CHUNK;
        struct want *want = push(c, V_WRITE);
        want->thing = file;
        want->off = off;
        want->len = part;
        want->seed = seed;
        want->sync = sync;
        off += part;
        len -= part;
    }
}

static void push_commit(struct client *c, struct thing *file)
{
    push(c, V_COMMIT)->thing = file;
}

void plan_fill(struct client *c, struct thing *file, const struct want *made)
{
    struct want rest[QUEUE_MAX];
    unsigned count = c->queue_end - c->queue_at;

    memcpy(rest, c->queue + c->queue_at, count * sizeof(rest[0]));
    c->queue_end = c->queue_at;
    push_writes(c, file, 0, made->len, made->sync);
    if (made->seed & 1)
        push_commit(c, file);
    memcpy(c->queue + c->queue_end, rest, count * sizeof(rest[0]));
    c->queue_end += count;
}

static bool has_large(const struct client *c)
{
    for (size_t i = 0; i < c->own_count; i++)
        if (c->own[i]->size >= LARGE / 2)
            return true;
    return false;
}

static void plan_write(struct client *c, struct thing *file)
{
    unsigned what = pick(c, 100);
    uint64_t len = pick_length(c), off = 0;

    if (what < 30)
        off = file->size;
    else if (what < 85)
        off = pick(c, (unsigned)file->size + 1);
    else if (what < 87 && !has_large(c))
        len = LARGE - file->size; /* large enough for an upload in parts */
    else if (what < 91)
        off = file->size + pick(c, 300000); /* a hole */
    if (off + len > 2 * (uint64_t)LARGE)
        off = 0;
    push_writes(c, file, off, len, of(c, 25));
    if (of(c, 50))
        push_commit(c, file);
}

/* The thing that a CREATE will have made: known when it is sent. */
static void plan_create(struct client *c)
{
    struct want *want = push(c, V_CREATE);

    want->dir = pick_dir(c);
    pick_name(c, want->name);
    want->how = (createmode3)pick(c, 3);
    want->seed = (uint32_t)chance_next(&c->chance);
    want->set_mode = 0600 + pick(c, 64);
    want->truncate = of(c, 30);
    want->len = of(c, 85) ? (uint32_t)pick_length(c) : 0; /* content, see plan_fill */
    want->sync = of(c, 30);
}

static void plan_mkdir(struct client *c)
{
    struct want *want = push(c, V_MKDIR);

    want->dir = pick_dir(c);
    pick_name(c, want->name);
    want->set_mode = 0700 + pick(c, 64);
}

static void plan_symlink(struct client *c)
{
    struct want *want = push(c, V_SYMLINK);

    want->dir = pick_dir(c);
    pick_name(c, want->name);
    want->seed = pick(c, 1000000);
}

static void plan_truncate(struct client *c, struct thing *file)
{
    struct want *want = push(c, V_SETATTR);
    unsigned what = pick(c, 4);

    want->thing = file;
    want->truncate = true;
    want->off = what == 0   ? 0
                : what == 1 ? file->size + pick(c, 100000)
                            : pick(c, (unsigned)file->size + 1);
    if (want->off > 2 * (uint64_t)LARGE)
        want->off = 0;
}

static void plan_setattr(struct client *c, struct thing *thing)
{
    struct want *want = push(c, V_SETATTR);

    want->thing = thing;
    if (of(c, 60))
        want->set_mode = (thing->kind == DIRECTORY ? 0700 : 0600) + pick(c, 64);
    if (of(c, 30))
        want->set_owner = 1 + pick(c, 60000);
    if (of(c, 40) || (!want->set_mode && !want->set_owner))
        want->set_mtime_ns =
            INT64_C(1000000000) * (1 + pick(c, 2000000000)) + pick(c, 1000000) * 1000;
}

static void plan_rename(struct client *c)
{
    struct thing *thing = pick_any(c), *dir = pick_dir(c), *over = pick_any(c);
    char name[NAME_ROOM];

    if (!thing)
        return;
    pick_name(c, name);
    if (of(c, 25)) /* over something that is there, whatever it is */
        push_rename(c, thing->parent, thing->name, over->parent, over->name);
    else
        push_rename(c, thing->parent, thing->name, dir, name);
}

static void plan_back(struct client *c)
{
    struct thing *thing = c->last_moved;

    if (!thing || thing->kind == GONE || c->last_dir->kind == GONE)
        return;
    push_rename(c, thing->parent, thing->name, c->last_dir, c->last_name);
}

/* a -> new, b -> a, new -> b: where one lies below the other, two of them are refused. */
static void plan_swap(struct client *c)
{
    struct thing *a = pick_any(c), *b = pick_any(c);
    struct thing *a_dir, *b_dir;
    char name[NAME_ROOM];

    if (!a || a == b || thing_is_below(a, b) || thing_is_below(b, a))
        return;
    a_dir = a->parent;
    b_dir = b->parent;
    fresh_name(c, name);
    push_rename(c, a_dir, a->name, torture.root, name);
    push_rename(c, b_dir, b->name, a_dir, a->name);
    push_rename(c, torture.root, name, b_dir, b->name);
}

/* mv d somewhere; mkdir d; into it again what may have the old names. */
static void plan_churn(struct client *c)
{
    struct thing *dir = pick_kind(c, DIRECTORY);
    struct want *want;
    char name[NAME_ROOM];

    if (!dir || dir->shared)
        return;
    pick_name(c, name);
    push_rename(c, dir->parent, dir->name, pick_dir(c), name);
    want = push(c, V_MKDIR);
    want->dir = dir->parent;
    (void)snprintf(want->name, sizeof(want->name), "%s", dir->name);
    want->set_mode = 0755;
}

static void push_remove_all(struct client *c, struct thing *thing)
{
    for (size_t i = 0; i < thing->kid_count; i++)
        if (thing->kids[i]->owner == c->number)
            push_remove_all(c, thing->kids[i]);
    if (!thing->shared && c->queue_end < QUEUE_MAX)
        (void)push_named(c, V_REMOVE, thing);
}

static void plan_remove(struct client *c)
{
    struct thing *thing = pick_any(c);

    if (!thing)
        return;
    if (thing->kind == DIRECTORY && of(c, 30))
        push_remove_all(c, thing);
    else
        (void)push_named(c, V_REMOVE, thing);
}

static void plan_look(struct client *c)
{
    struct thing *thing = pick_any(c), *file = pick_kind(c, PLAIN);
    struct want *want;

    switch (pick(c, 6)) {
    case 0:
        push(c, V_READDIR)->dir = pick_dir(c);
        return;
    case 1:
        want = push(c, V_LOOKUP); /* of what may not be there */
        want->dir = pick_dir(c);
        pick_name(c, want->name);
        return;
    case 2:
        push(c, V_GHOST)->seed = pick(c, 8);
        return;
    case 3:
        if (thing)
            push(c, thing->kind == LINK ? V_READLINK : V_GETATTR)->thing = thing;
        return;
    default:
        if (!file)
            return;
        want = push(c, V_READ);
        want->thing = file;
        want->off = of(c, 50) ? 0 : pick(c, (unsigned)file->size + 1);
        want->len = CHUNK;
    }
}

static void plan_data(struct client *c)
{
    struct thing *file = pick_kind(c, PLAIN);
    unsigned what = pick(c, 100);

    if (!file)
        return;
    if (what < 60)
        plan_write(c, file);
    else if (what < 75)
        push_commit(c, file);
    else
        plan_truncate(c, file);
}

/* Write to a new name, commit, rename over the old: how programs save. */
static void plan_replace(struct client *c)
{
    struct thing *file = pick_kind(c, PLAIN);
    struct want *want;
    char name[NAME_ROOM];

    if (!file)
        return;
    fresh_name(c, name);
    want = push(c, V_CREATE);
    want->dir = file->parent;
    (void)snprintf(want->name, sizeof(want->name), "%s", name);
    want->how = GUARDED;
    want->seed = (uint32_t)chance_next(&c->chance);
    want->set_mode = 0644;
    want->len = (uint32_t)pick_length(c);
    want->sync = of(c, 50);
    push_rename(c, file->parent, name, file->parent, file->name);
}

void plan_next(struct client *c)
{
    unsigned what = pick(c, 1000);
    bool many = c->own_count > THINGS_WANTED;

    if (what < (many ? 60U : 200U))
        plan_create(c);
    else if (what < (many ? 90U : 270U))
        plan_mkdir(c);
    else if (what < 300)
        plan_symlink(c);
    else if (what < 500)
        plan_data(c);
    else if (what < 550) {
        struct thing *thing = pick_any(c);
        if (thing)
            plan_setattr(c, thing);
    } else if (what < 680)
        plan_rename(c);
    else if (what < 715)
        plan_back(c);
    else if (what < 735)
        plan_swap(c);
    else if (what < 755)
        plan_churn(c);
    else if (what < 785)
        plan_replace(c);
    else if (what < (many ? 920U : 870U))
        plan_remove(c);
    else
        plan_look(c);
}

/* ---- the beginning and the end ---- */

void plan_shared(struct client *c)
{
    for (unsigned i = 0; i < 2; i++) {
        struct want *want = push(c, V_MKDIR);
        want->dir = torture.root;
        (void)snprintf(want->name, sizeof(want->name), "%c-shared%u", c->letter, i);
        want->set_mode = 0755;
        want->share = true;
    }
}

void plan_commit_all(struct client *c)
{
    for (size_t i = 0; i < c->own_count && c->queue_end < QUEUE_MAX; i++)
        if (c->own[i]->kind == PLAIN && c->own[i]->pending_count)
            push_commit(c, c->own[i]);
}

void plan_verify_all(struct client *c)
{
    for (unsigned i = 0; c->verify_at == 0 && i < torture.shared_count; i++)
        push(c, V_READDIR)->dir = torture.shared[i];
    if (c->verify_at == 0)
        push(c, V_READDIR)->dir = torture.root;
    while (c->verify_at < c->own_count && c->queue_end + 3 < QUEUE_MAX) {
        struct thing *thing = c->own[c->verify_at++];
        (void)push_named(c, V_LOOKUP, thing);
        if (thing->kind == LINK) {
            push(c, V_READLINK)->thing = thing;
        } else if (thing->kind == DIRECTORY) {
            push(c, V_READDIR)->dir = thing;
        } else {
            struct want *want = push(c, V_READ);
            want->thing = thing;
            want->len = UINT32_MAX;
        }
    }
}
