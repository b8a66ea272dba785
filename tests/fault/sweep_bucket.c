/* The bucket as any other program sees it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/sweep.h"

static struct store_req request(enum store_op op)
{
    return (struct store_req){.op = op, .deadline_ns = clock_mono_ns() + SWEEP_WAIT_S * CLOCK_S};
}

/* Mode and bytes of one object. */
static int bucket_fill(struct gateway *g, const char *key, uint64_t size, struct node *node)
{
    struct store_req head = request(STORE_HEAD), get = request(STORE_GET);

    head.key = get.key = key;
    int err = store_call(g->plain, &head);
    const char *mode = err ? NULL : store_meta_get(&head.object.meta, "file-permissions");
    node->mode = mode ? (uint32_t)strtoul(mode, NULL, 8) & 07777 : 0;
    store_req_clear(&head);
    node->body = mem_zalloc(size + 1);
    node->len = size;
    get.buf = node->body;
    get.range_len = size;
    if (!err && size > 0) {
        err = store_call(g->plain, &get);
        if (!err && get.got != size)
            err = -ENOENT; /* it has just become another one */
        store_req_clear(&get);
    }
    return err;
}

static int bucket_add(struct gateway *g, const struct store_object *obj, size_t prefix_len,
                      struct tree *ret)
{
    size_t len = strlen(obj->key);

    if (len == prefix_len)
        return 0; /* the run's directory itself */
    bool dir = obj->key[len - 1] == '/';
    CLEANUP_FREE char *path = mem_strndup(obj->key + prefix_len, len - prefix_len - dir);
    struct node *node = tree_add(ret, path, dir, 0);
    return dir ? 0 : bucket_fill(g, obj->key, obj->size, node);
}

int bucket_view(struct gateway *g, const char *prefix, struct tree *ret)
{
    CLEANUP_FREE char *token = NULL;
    int err = 0;
    bool more = true;

    tree_clear(ret);
    while (more && !err) {
        struct store_req req = request(STORE_LIST);
        req.prefix = prefix;
        req.token = token;
        err = store_call(g->plain, &req);
        for (size_t i = 0; i < req.object_count && !err; i++)
            err = bucket_add(g, &req.objects[i], strlen(prefix), ret);
        free(token);
        token = mem_strdup(req.next_token);
        more = token != NULL;
        store_req_clear(&req);
    }
    return err;
}

/* A directory has an object, or something lies below it. */
static bool bucket_has_dir(const struct tree *got, const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < got->count; i++) {
        if (strncmp(got->nodes[i].path, path, len) == 0 &&
            (got->nodes[i].path[len] == '/' ||
             (got->nodes[i].path[len] == '\0' && got->nodes[i].dir)))
            return true;
    }
    return false;
}

char *bucket_differs(const struct tree *got, const struct tree *want)
{
    struct tree full = {0};

    tree_copy(&full, got);
    for (size_t i = 0; i < want->count; i++) {
        const struct node *node = &want->nodes[i];
        if (node->dir && !tree_find(&full, node->path) && bucket_has_dir(got, node->path))
            (void)tree_add(&full, node->path, true, 0);
    }
    char *problem = tree_differs(&full, want);
    tree_clear(&full);
    return problem;
}
