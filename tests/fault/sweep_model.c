/* The model of the sweep: a tree of names and bytes, and what a step makes of it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/fault/sweep.h"

static void node_clear(struct node *node)
{
    free(node->path);
    free(node->body);
    *node = (struct node){0};
}

void tree_clear(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        node_clear(&tree->nodes[i]);
    free(tree->nodes);
    *tree = (struct tree){0};
}

void tree_copy(struct tree *dst, const struct tree *src)
{
    tree_clear(dst);
    for (size_t i = 0; i < src->count; i++) {
        const struct node *from = &src->nodes[i];
        struct node *node = tree_add(dst, from->path, from->dir, from->mode);
        node->ino = from->ino;
        node->len = from->len;
        node->body = from->body ? mem_dup(from->body, from->len + 1) : NULL;
    }
}

struct node *tree_find(const struct tree *tree, const char *path)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (strcmp(tree->nodes[i].path, path) == 0)
            return &tree->nodes[i];
    }
    return NULL;
}

struct node *tree_add(struct tree *tree, const char *path, bool dir, uint32_t mode)
{
    tree->nodes = mem_rearray(tree->nodes, tree->count + 1, sizeof(*tree->nodes));
    struct node *node = &tree->nodes[tree->count++];
    *node = (struct node){.path = mem_strdup(path), .dir = dir, .mode = mode};
    return node;
}

static void tree_drop(struct tree *tree, struct node *node)
{
    node_clear(node);
    *node = tree->nodes[--tree->count];
}

static void node_resize(struct node *node, uint64_t len)
{
    char *body = mem_zalloc(len + 1);

    if (node->body)
        memcpy(body, node->body, node->len < len ? node->len : len);
    free(node->body);
    node->body = body;
    node->len = len;
}

char step_byte(uint32_t value, uint64_t off)
{
    uint64_t z = (off + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ value * UINT64_C(0xbf58476d1ce4e5b9);

    return (char)(z >> 56 ^ z >> 33);
}

static void node_write(struct node *node, const struct step *step)
{
    if (step->off + step->len > node->len)
        node_resize(node, step->off + step->len);
    for (uint64_t i = 0; i < step->len; i++)
        node->body[step->off + i] = step_byte(step->value, step->off + i);
}

static void node_copy(struct node *node, const struct node *from)
{
    if (from->len > node->len)
        node_resize(node, from->len);
    if (from->len > 0)
        memcpy(node->body, from->body, from->len);
}

static void tree_rename(struct tree *tree, const char *from, const char *to)
{
    struct node *over = tree_find(tree, to);
    size_t len = strlen(from);

    if (over)
        tree_drop(tree, over);
    for (size_t i = 0; i < tree->count; i++) {
        struct node *node = &tree->nodes[i];
        if (strncmp(node->path, from, len) != 0 ||
            (node->path[len] != '\0' && node->path[len] != '/'))
            continue;
        char *path = mem_printf("%s%s", to, node->path + len);
        free(node->path);
        node->path = path;
    }
}

void tree_apply(struct tree *tree, const struct step *step, uint64_t ino)
{
    struct node *node = tree_find(tree, step->path);

    switch (step->op) {
    case STEP_MKDIR:
    case STEP_CREATE:
        node = tree_add(tree, step->path, step->op == STEP_MKDIR,
                        step->op == STEP_MKDIR ? 0755 : 0644);
        node->ino = ino;
        break;
    case STEP_WRITE:
    case STEP_SYNC_WRITE:
        node_write(node, step);
        break;
    case STEP_TRUNCATE:
        node_resize(node, step->len);
        break;
    case STEP_CHMOD:
        node->mode = step->value;
        break;
    case STEP_PUNCH:
        if (step->off < node->len)
            memset(node->body + step->off, 0,
                   step->len < node->len - step->off ? step->len : node->len - step->off);
        break;
    case STEP_COPY:
        node_copy(node, tree_find(tree, step->to));
        break;
    case STEP_RENAME:
        tree_rename(tree, step->path, step->to);
        break;
    case STEP_EXCHANGE:
        tree_rename(tree, step->path, "\001");
        tree_rename(tree, step->to, step->path);
        tree_rename(tree, "\001", step->to);
        break;
    case STEP_REMOVE:
    case STEP_REMOVE_OPEN:
    case STEP_RMDIR:
        tree_drop(tree, node);
        break;
    case STEP_END:
        assert(false);
    }
}

/* ---- comparing ---- */

static char *node_differs(const struct node *got, const struct node *want)
{
    if (got->dir != want->dir)
        return mem_printf("%s is a %s", got->path, got->dir ? "directory" : "file");
    if (got->mode && got->mode != want->mode)
        return mem_printf("%s has mode %o, not %o", got->path, got->mode, want->mode);
    if (got->ino && want->ino && got->ino != want->ino)
        return mem_printf("%s is another file than before: %lu, not %lu", got->path,
                          (unsigned long)got->ino, (unsigned long)want->ino);
    return NULL;
}

static char *body_differs(const struct node *got, const struct node *want)
{
    if (got->len != want->len)
        return mem_printf("%s has %zu bytes, not %zu", got->path, got->len, want->len);
    for (size_t i = 0; i < got->len; i++) {
        if (got->body[i] != want->body[i])
            return mem_printf("%s differs from byte %zu of %zu on", got->path, i, got->len);
    }
    return NULL;
}

static char at_or_zero(const struct node *node, size_t i)
{
    return node && i < node->len ? node->body[i] : '\0';
}

/* Each byte is one of the two. */
static char *body_mixture(const struct node *got, const struct node *want, const struct node *other)
{
    size_t least = other && other->len < want->len ? other->len : want->len;
    size_t most = other && other->len > want->len ? other->len : want->len;

    if (got->len < least || got->len > most)
        return mem_printf("%s has %zu bytes, not %zu to %zu", got->path, got->len, least, most);
    for (size_t i = 0; i < got->len; i++) {
        if (got->body[i] != at_or_zero(want, i) && got->body[i] != at_or_zero(other, i))
            return mem_printf("%s has at byte %zu neither the old nor the new", got->path, i);
    }
    return NULL;
}

char *tree_differs_loose(const struct tree *got, const struct tree *want, const struct tree *other,
                         const char *loose)
{
    for (size_t i = 0; i < want->count; i++) {
        if (!tree_find(got, want->nodes[i].path))
            return mem_printf("%s is missing", want->nodes[i].path);
    }
    for (size_t i = 0; i < got->count; i++) {
        const struct node *node = &got->nodes[i], *right = tree_find(want, node->path);
        if (!right)
            return mem_printf("%s should not be there", node->path);
        char *problem = node_differs(node, right);
        if (!problem && !node->dir)
            problem = loose && strcmp(loose, node->path) == 0
                          ? body_mixture(node, right, tree_find(other, node->path))
                          : body_differs(node, right);
        if (problem)
            return problem;
    }
    return got->count == want->count ? NULL : mem_strdup("a name is listed twice");
}

char *tree_differs(const struct tree *got, const struct tree *want)
{
    return tree_differs_loose(got, want, NULL, NULL);
}
