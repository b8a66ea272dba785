/* A store that holds one file, which says why there is no other store. All from memory; a thread of
 * its own answers, as store.h wants it. */
#include "cloud/failed_store.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

struct failed_store {
    struct store base;
    pthread_t thread;
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t cond;
    struct store_req *first, **last;
    bool closing;
    char *text;
    int64_t mtime_ns;
    uint64_t version;
};

static struct failed_store *failed_of(struct store *store)
{
    return (struct failed_store *)store;
}

static void failed_object(const struct failed_store *f, struct store_object *ret)
{
    ret->has_meta = true;
    ret->size = strlen(f->text);
    ret->mtime_ns = f->mtime_ns;
    (void)snprintf(ret->etag, sizeof(ret->etag), "%" PRIx64 "-%" PRIx64, (uint64_t)f->mtime_ns,
                   f->version);
    store_meta_set(&ret->meta, "file-permissions", "0444");
}

static int failed_get(const struct failed_store *f, struct store_req *req)
{
    size_t size = strlen(f->text);

    if (strcmp(req->key, FAILED_STORE_FILE) != 0)
        return -ENOENT;
    failed_object(f, &req->object);
    if (req->if_match && strcmp(req->if_match, req->object.etag) != 0)
        return -ESTALE;
    if (req->op == STORE_HEAD)
        return 0;
    if (req->range_off >= size)
        return -EINVAL;
    req->got = size - req->range_off < req->range_len ? size - req->range_off : req->range_len;
    memcpy(req->buf, f->text + req->range_off, req->got);
    return 0;
}

static int failed_list(const struct failed_store *f, struct store_req *req)
{
    const char *key = FAILED_STORE_FILE;

    if (strncmp(key, req->prefix, strlen(req->prefix)) != 0 || req->token ||
        (req->start_after && strcmp(key, req->start_after) <= 0))
        return 0;
    req->objects = mem_array(1, sizeof(*req->objects));
    req->object_count = 1;
    failed_object(f, req->objects);
    req->objects->key = mem_strdup(key);
    return 0;
}

static int failed_answer(struct failed_store *f, struct store_req *req)
{
    LOCK_SCOPE(&f->lock);

    switch (req->op) {
    case STORE_HEAD:
    case STORE_GET:
        return failed_get(f, req);
    case STORE_LIST:
        return failed_list(f, req);
    case STORE_DELETE:
        for (size_t i = 0; i < req->delete_count; i++)
            req->deletes[i].err = -EROFS;
        return 0;
    case STORE_MPU_ABORT:
        return 0; /* what is not there */
    default:
        return -EROFS;
    }
}

static void *failed_main(void *arg)
{
    struct failed_store *f = arg;

    for (;;) {
        (void)pthread_mutex_lock(&f->lock);
        while (!f->first && !f->closing)
            (void)thread_cond_wait_until(&f->cond, &f->lock, CLOCK_NEVER);
        struct store_req *req = f->first;
        if (req) {
            f->first = req->next;
            if (!f->first)
                f->last = &f->first;
        }
        (void)pthread_mutex_unlock(&f->lock);
        if (!req)
            return NULL;
        req->next = NULL;
        req->err = failed_answer(f, req);
        req->done(req);
    }
}

static void failed_submit(struct store *store, struct store_req *req)
{
    struct failed_store *f = failed_of(store);
    LOCK_SCOPE(&f->lock);

    req->next = NULL;
    *f->last = req;
    f->last = &req->next;
    (void)pthread_cond_signal(&f->cond);
}

static void failed_caps(struct store *store, struct store_caps *ret)
{
    (void)store;
    *ret = (struct store_caps){.list_sorted = true,
                               .list_meta = true,
                               .delete_max = 1000,
                               .part_min = 5 << 20,
                               .part_max = UINT64_C(5) << 30,
                               .part_count_max = 10000,
                               .put_max = UINT64_C(5) << 30,
                               .copy_size_max = UINT64_C(5) << 30,
                               .object_max = UINT64_C(5) << 40};
}

static void failed_space(struct store *store, uint64_t *ret_total, uint64_t *ret_free)
{
    (void)store;
    *ret_total = 1;
    *ret_free = 0;
}

static void failed_free(struct failed_store *f)
{
    (void)pthread_mutex_destroy(&f->lock);
    (void)pthread_cond_destroy(&f->cond);
    free(f->base.url);
    free(f->text);
    free(f);
}

static void failed_close(struct store *store)
{
    struct failed_store *f = failed_of(store);

    (void)pthread_mutex_lock(&f->lock);
    f->closing = true;
    (void)pthread_cond_signal(&f->cond);
    (void)pthread_mutex_unlock(&f->lock);
    (void)pthread_join(f->thread, NULL);
    failed_free(f);
}

static const struct store_ops failed_ops = {
    .submit = failed_submit, .caps = failed_caps, .space = failed_space, .close = failed_close};

void failed_store_tell(struct store *store, const char *text)
{
    struct failed_store *f = failed_of(store);
    char *line = mem_printf("%s\n", text);
    LOCK_SCOPE(&f->lock);

    if (f->text && strcmp(f->text, line) == 0) {
        free(line);
        return;
    }
    free(f->text);
    f->text = line;
    f->mtime_ns = clock_wall_ns();
    f->version++;
}

int failed_store_open(const char *url, const char *text, struct store **ret)
{
    struct failed_store *f = mem_zalloc(sizeof(*f));

    f->base = (struct store){.ops = &failed_ops, .url = mem_strdup(url)};
    (void)pthread_mutex_init(&f->lock, NULL);
    thread_cond_init(&f->cond);
    f->last = &f->first;
    failed_store_tell(&f->base, text);
    int err = thread_start(&f->thread, "failed-store", failed_main, f);
    if (err) {
        failed_free(f);
        return err;
    }
    *ret = &f->base;
    return 0;
}
