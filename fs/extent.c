/*
 * The dirty extents of a file, as a red-black tree by offset.
 *
 * Invariants:
 * - Extents do not overlap and are not empty; bytes is the sum of their lengths.
 * - The map holds one stage reference on every byte that an extent or a grave points at.
 * - An extent is in the unkept list if and only if it is not kept.
 * - A node has row set if the database has a row at its offset, as it is (kept) or outdated. Every
 *   other row that the database has of this file has its offset in stale.
 * - A node whose bytes a row in the database may point at, its own or one that it was cut from, has
 *   in_db set: when such bytes leave the map they go to the graves, others back to the stage.
 */
#include "fs/extent.h"

#include <assert.h>
#include <stdlib.h>

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "base/mem.h"
#include "fs/stage.h"

struct extent_node {
    struct extent extent; /* first: callers hold pointers to it */
    RB_ENTRY(extent_node) tree;
    TAILQ_ENTRY(extent_node) unkept;
    bool row, in_db;
};
RB_HEAD(extent_tree, extent_node);

struct grave {
    uint64_t segment, pos, len;
    uint64_t version; /* of the row that may point at it */
};

struct extent_graves {
    struct stage *stage;
    struct grave *array;
    size_t count, cap;
};

struct extent_map {
    struct stage *stage;
    struct extent_tree tree;
    TAILQ_HEAD(, extent_node) unkept;
    size_t count;
    uint64_t bytes;
    uint64_t *stale;
    size_t stale_count, stale_cap;
    struct extent_graves *graves; /* NULL = none */
};

static int extent_compare(const struct extent_node *a, const struct extent_node *b)
{
    return a->extent.off < b->extent.off ? -1 : a->extent.off > b->extent.off;
}

/* What RB_GENERATE_STATIC would be if <bsd/sys/tree.h> defined __unused. */
RB_GENERATE_INTERNAL(extent_tree, extent_node, tree, extent_compare, __attribute__((unused)) static)

static uint64_t extent_end(const struct extent_node *node)
{
    return node->extent.off + node->extent.len;
}

struct extent_map *extent_map_new(struct stage *stage)
{
    struct extent_map *map = mem_zalloc(sizeof(*map));

    map->stage = stage;
    RB_INIT(&map->tree);
    TAILQ_INIT(&map->unkept);
    return map;
}

/* The database's row at off belongs to no node now. */
static void map_add_stale(struct extent_map *map, uint64_t off)
{
    if (map->stale_count == map->stale_cap) {
        map->stale_cap = map->stale_cap ? 2 * map->stale_cap : 16;
        map->stale = mem_rearray(map->stale, map->stale_cap, sizeof(map->stale[0]));
    }
    map->stale[map->stale_count++] = off;
}

static struct extent_graves *graves_new(struct stage *stage)
{
    struct extent_graves *graves = mem_zalloc(sizeof(*graves));

    graves->stage = stage;
    return graves;
}

static void graves_push(struct extent_graves *graves, const struct grave *grave)
{
    if (graves->count == graves->cap) {
        graves->cap = graves->cap ? 2 * graves->cap : 16;
        graves->array = mem_rearray(graves->array, graves->cap, sizeof(graves->array[0]));
    }
    graves->array[graves->count++] = *grave;
}

static void graves_add(struct extent_map *map, const struct grave *grave)
{
    struct extent_graves *graves = map->graves;

    if (!graves)
        graves = map->graves = graves_new(map->stage);
    if (graves->count > 0) {
        struct grave *last = &graves->array[graves->count - 1];
        if (last->segment == grave->segment && last->pos + last->len == grave->pos &&
            last->version == grave->version) {
            last->len += grave->len;
            return;
        }
    }
    graves_push(graves, grave);
}

static struct extent_graves *graves_take(struct extent_map *map)
{
    struct extent_graves *graves = map->graves;

    map->graves = NULL;
    return graves;
}

/* len bytes of that extent, from its byte at on, have left the map. */
static void map_release(struct extent_map *map, bool in_db, const struct extent *extent,
                        uint64_t at, uint64_t len)
{
    struct grave grave = {.segment = extent->segment,
                          .pos = extent->pos + at,
                          .len = len,
                          .version = extent->version};

    if (in_db)
        graves_add(map, &grave);
    else
        stage_unref(map->stage, grave.segment, grave.pos, grave.len);
}

static void node_set_unkept(struct extent_map *map, struct extent_node *node)
{
    if (!node->extent.kept)
        return;
    node->extent.kept = false;
    TAILQ_INSERT_TAIL(&map->unkept, node, unkept);
}

static struct extent_node *node_add(struct extent_map *map, const struct extent *extent)
{
    struct extent_node *node = mem_zalloc(sizeof(*node));

    node->extent = *extent;
    node->row = node->in_db = extent->kept;
    if (!extent->kept)
        TAILQ_INSERT_TAIL(&map->unkept, node, unkept);
    struct extent_node *old = RB_INSERT(extent_tree, &map->tree, node);
    assert(!old);
    (void)old;
    map->count++;
    map->bytes += extent->len;
    return node;
}

/* Takes the node away; the stage references of its bytes stay with the caller. */
static void node_remove(struct extent_map *map, struct extent_node *node)
{
    if (!node->extent.kept)
        TAILQ_REMOVE(&map->unkept, node, unkept);
    if (node->row)
        map_add_stale(map, node->extent.off);
    RB_REMOVE(extent_tree, &map->tree, node);
    map->count--;
    map->bytes -= node->extent.len;
    free(node);
}

/* Cuts the node to its first len bytes. */
static void node_trim_end(struct extent_map *map, struct extent_node *node, uint64_t len)
{
    assert(len > 0 && len < node->extent.len);
    node_set_unkept(map, node);
    map->bytes -= node->extent.len - len;
    node->extent.len = len;
}

/* Moves the node's start by n bytes, up or (growing to the left) down. */
static void node_move_start(struct extent_map *map, struct extent_node *node, int64_t n)
{
    assert(n < 0 || (uint64_t)n < node->extent.len);
    node_set_unkept(map, node);
    if (node->row)
        map_add_stale(map, node->extent.off);
    node->row = false;
    /* Its place among the others stays the same: they do not overlap. */
    node->extent.off += (uint64_t)n;
    node->extent.pos += (uint64_t)n;
    node->extent.len -= (uint64_t)n;
    map->bytes -= (uint64_t)n;
}

/* The last node that starts at or before off, or NULL. */
static struct extent_node *node_before(const struct extent_map *map, uint64_t off)
{
    struct extent_node *node = RB_ROOT(&map->tree), *best = NULL;

    while (node) {
        if (node->extent.off <= off) {
            best = node;
            node = RB_RIGHT(node, tree);
        } else {
            node = RB_LEFT(node, tree);
        }
    }
    return best;
}

/* The first node that ends after off, or NULL. */
static struct extent_node *node_find(const struct extent_map *map, uint64_t off)
{
    struct extent_node *node = node_before(map, off);

    if (!node)
        return RB_MIN(extent_tree, (struct extent_tree *)&map->tree);
    return extent_end(node) > off ? node : RB_NEXT(extent_tree, &map->tree, node);
}

/* Removes the part of node in [off, end); they do overlap. */
static void node_cut(struct extent_map *map, struct extent_node *node, uint64_t off, uint64_t end)
{
    struct extent old = node->extent;
    bool in_db = node->in_db;
    uint64_t old_end = old.off + old.len;
    uint64_t from = off > old.off ? off - old.off : 0;
    uint64_t to = end < old_end ? end - old.off : old.len;

    if (from > 0 && to < old.len) {
        struct extent tail = old;
        tail.off += to;
        tail.pos += to;
        tail.len -= to;
        tail.kept = false;
        node_trim_end(map, node, from);
        node_add(map, &tail)->in_db = in_db;
    } else if (from > 0) {
        node_trim_end(map, node, from);
    } else if (to < old.len) {
        node_move_start(map, node, (int64_t)to);
    } else {
        node_remove(map, node);
    }
    map_release(map, in_db, &old, from, to - from);
}

void extent_map_cut(struct extent_map *map, uint64_t off, uint64_t len)
{
    uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
    struct extent_node *node = node_find(map, off), *next;

    for (; node && node->extent.off < end; node = next) {
        next = RB_NEXT(extent_tree, &map->tree, node);
        node_cut(map, node, off, end);
    }
}

/* True if b continues a, so that one extent can stand for both. */
static bool extent_continues(const struct extent *a, const struct extent *b)
{
    return !a->kept && !b->kept && a->version == b->version && a->off + a->len == b->off &&
           a->segment == b->segment && a->pos + a->len == b->pos;
}

void extent_map_insert(struct extent_map *map, uint64_t off, uint64_t len, uint64_t version,
                       uint64_t segment, uint64_t pos)
{
    struct extent extent = {
        .off = off, .len = len, .version = version, .segment = segment, .pos = pos};

    assert(len <= UINT64_MAX - off);
    if (len == 0)
        return;
    extent_map_cut(map, off, len);
    struct extent_node *before = node_before(map, off);
    struct extent_node *after =
        before ? RB_NEXT(extent_tree, &map->tree, before) : RB_MIN(extent_tree, &map->tree);
    bool join_after = after && extent_continues(&extent, &after->extent);

    if (before && extent_continues(&before->extent, &extent)) {
        if (join_after) {
            len += after->extent.len;
            before->in_db = before->in_db || after->in_db;
            node_remove(map, after);
        }
        before->extent.len += len;
        map->bytes += len;
    } else if (join_after) {
        node_move_start(map, after, -(int64_t)len);
    } else {
        (void)node_add(map, &extent);
    }
}

void extent_map_load(struct extent_map *map, const struct extent *extent)
{
    struct extent kept = *extent;

    kept.kept = true;
    extent_map_cut(map, kept.off, kept.len);
    (void)node_add(map, &kept);
}

void extent_map_drop(struct extent_map *map, uint64_t version)
{
    struct extent_node *node, *next;

    RB_FOREACH_SAFE (node, extent_tree, &map->tree, next) {
        if (node->extent.version > version)
            continue;
        map_release(map, node->in_db, &node->extent, 0, node->extent.len);
        node_remove(map, node);
    }
}

const struct extent *extent_map_find(const struct extent_map *map, uint64_t off)
{
    const struct extent_node *node = node_find(map, off);

    return node ? &node->extent : NULL;
}

const struct extent *extent_map_next(const struct extent_map *map, const struct extent *extent)
{
    (void)map;
    struct extent_node *node = RB_NEXT(extent_tree, &map->tree, (struct extent_node *)extent);

    return node ? &node->extent : NULL;
}

size_t extent_map_count(const struct extent_map *map)
{
    return map->count;
}

uint64_t extent_map_bytes(const struct extent_map *map)
{
    return map->bytes;
}

bool extent_map_covers(const struct extent_map *map, uint64_t off, uint64_t len)
{
    uint64_t end = off + len;
    const struct extent *extent = extent_map_find(map, off);

    for (; off < end; extent = extent_map_next(map, extent)) {
        if (!extent || extent->off > off)
            return false;
        off = extent->off + extent->len;
    }
    return true;
}

void extent_map_snapshot(const struct extent_map *map, struct extent_snapshot *ret)
{
    struct extent_node *node;

    *ret = (struct extent_snapshot){.stage = map->stage};
    ret->extents = mem_array(map->count, sizeof(ret->extents[0]));
    RB_FOREACH (node, extent_tree, (struct extent_tree *)&map->tree) {
        stage_ref(map->stage, node->extent.segment, node->extent.pos, node->extent.len);
        ret->extents[ret->count++] = node->extent;
    }
}

void extent_map_unkept(const struct extent_map *map, struct extent_snapshot *ret)
{
    struct extent_node *node;

    *ret = (struct extent_snapshot){.stage = map->stage};
    ret->extents = mem_array(map->count, sizeof(ret->extents[0]));
    TAILQ_FOREACH (node, &map->unkept, unkept) {
        stage_ref(map->stage, node->extent.segment, node->extent.pos, node->extent.len);
        ret->extents[ret->count++] = node->extent;
    }
}

void extent_snapshot_clear(struct extent_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct extent *extent = &snapshot->extents[i];
        stage_unref(snapshot->stage, extent->segment, extent->pos, extent->len);
    }
    free(snapshot->extents);
    snapshot->extents = NULL;
    snapshot->count = 0;
}

void extent_graves_free(struct extent_graves *graves)
{
    if (!graves)
        return;
    for (size_t i = 0; i < graves->count; i++)
        stage_unref(graves->stage, graves->array[i].segment, graves->array[i].pos,
                    graves->array[i].len);
    extent_graves_forget(graves);
}

void extent_graves_forget(struct extent_graves *graves)
{
    if (!graves)
        return;
    free(graves->array);
    free(graves);
}

struct extent_graves *extent_map_take_graves(struct extent_map *map, uint64_t version)
{
    struct extent_graves *all = graves_take(map), *taken;

    if (!all)
        return NULL;
    map->graves = graves_new(map->stage); /* keeps what newer rows may point at */
    taken = graves_new(map->stage);
    for (size_t i = 0; i < all->count; i++) {
        struct extent_graves *to = all->array[i].version <= version ? taken : map->graves;
        graves_push(to, &all->array[i]);
    }
    extent_graves_forget(all);
    return taken;
}

static void map_flush_stale(struct extent_map *map, void (*del)(void *ctx, uint64_t off), void *ctx)
{
    for (size_t i = 0; i < map->stale_count; i++) {
        const struct extent_node *node = node_before(map, map->stale[i]);
        if (!node || node->extent.off != map->stale[i])
            del(ctx, map->stale[i]);
        else
            assert(!node->extent.kept); /* the row is replaced by the node's */
    }
    free(map->stale);
    map->stale = NULL;
    map->stale_count = map->stale_cap = 0;
}

struct extent_graves *extent_map_flush(struct extent_map *map, void (*del)(void *ctx, uint64_t off),
                                       void (*put)(void *ctx, const struct extent *extent),
                                       void *ctx)
{
    struct extent_node *node;

    map_flush_stale(map, del, ctx);
    while ((node = TAILQ_FIRST(&map->unkept))) {
        TAILQ_REMOVE(&map->unkept, node, unkept);
        node->extent.kept = node->row = node->in_db = true;
        put(ctx, &node->extent);
    }
    return graves_take(map);
}

bool extent_map_unflushed(const struct extent_map *map)
{
    return map->stale_count > 0 || !TAILQ_EMPTY(&map->unkept);
}

/* Frees the nodes, and of their bytes those that no row points at; the others go to the graves. */
static void map_empty(struct extent_map *map)
{
    struct extent_node *node;

    while ((node = RB_MIN(extent_tree, &map->tree))) {
        map_release(map, node->in_db, &node->extent, 0, node->extent.len);
        node_remove(map, node);
    }
    free(map->stale);
}

struct extent_graves *extent_map_bury(struct extent_map *map)
{
    struct extent_graves *graves;

    map_empty(map);
    graves = graves_take(map);
    free(map);
    return graves;
}

void extent_map_free(struct extent_map *map)
{
    if (!map)
        return;
    /* Their references are left standing: the next start adopts what the rows point at. */
    extent_graves_forget(extent_map_bury(map));
}
