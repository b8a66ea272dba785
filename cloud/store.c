/* What all stores share: opening by URL scheme, the waiting call, and the memory of requests. */
#include "cloud/store.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cloud/file_store.h"
#include "cloud/s3_store.h"

/* ---- metadata ---- */

static struct store_meta_pair *meta_find(const struct store_meta *meta, const char *name)
{
    for (size_t i = 0; i < meta->count; i++)
        if (strcmp(meta->pairs[i].name, name) == 0)
            return &meta->pairs[i];
    return NULL;
}

void store_meta_set(struct store_meta *meta, const char *name, const char *value)
{
    struct store_meta_pair *pair = meta_find(meta, name);
    char *copy = mem_strdup(value);

    if (pair) {
        free(pair->value);
        pair->value = copy;
        return;
    }
    meta->pairs = mem_rearray(meta->pairs, meta->count + 1, sizeof(*meta->pairs));
    meta->pairs[meta->count++] = (struct store_meta_pair){.name = mem_strdup(name), .value = copy};
}

const char *store_meta_get(const struct store_meta *meta, const char *name)
{
    const struct store_meta_pair *pair = meta_find(meta, name);

    return pair ? pair->value : NULL;
}

void store_meta_copy(struct store_meta *dst, const struct store_meta *src)
{
    store_meta_clear(dst);
    for (size_t i = 0; i < src->count; i++)
        store_meta_set(dst, src->pairs[i].name, src->pairs[i].value);
}

void store_meta_clear(struct store_meta *meta)
{
    for (size_t i = 0; i < meta->count; i++) {
        free(meta->pairs[i].name);
        free(meta->pairs[i].value);
    }
    free(meta->pairs);
    *meta = (struct store_meta){0};
}

/* ---- requests ---- */

void store_object_clear(struct store_object *obj)
{
    free(obj->key);
    free(obj->content_type);
    free(obj->version_id);
    store_meta_clear(&obj->meta);
    *obj = (struct store_object){0};
}

void store_req_clear(struct store_req *req)
{
    req->err = 0;
    req->error_text[0] = '\0';
    store_object_clear(&req->object);
    req->got = 0;
    for (size_t i = 0; i < req->object_count; i++)
        store_object_clear(&req->objects[i]);
    free(req->objects);
    req->objects = NULL;
    req->object_count = 0;
    free(req->next_token);
    req->next_token = NULL;
    free(req->ret_upload_id);
    req->ret_upload_id = NULL;
    req->ret_part = (struct store_part){0};
    req->next = NULL;
    req->priv = NULL;
}

void store_submit(struct store *store, struct store_req *req)
{
    assert(req->done);
    assert(req->deadline_ns > 0);
    store->ops->submit(store, req);
}

struct store_waiter {
    pthread_mutex_t lock; /* guards done */
    pthread_cond_t cond;
    bool done;
};

static void waiter_done(struct store_req *req)
{
    struct store_waiter *waiter = req->ctx;

    /* Signalled under the lock: the waiter lives on the stack of a thread that is then free to go.
     */
    (void)pthread_mutex_lock(&waiter->lock);
    waiter->done = true;
    (void)pthread_cond_signal(&waiter->cond);
    (void)pthread_mutex_unlock(&waiter->lock);
}

int store_call(struct store *store, struct store_req *req)
{
    struct store_waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER};

    thread_cond_init(&waiter.cond);
    req->done = waiter_done;
    req->ctx = &waiter;
    store_submit(store, req);
    (void)pthread_mutex_lock(&waiter.lock);
    while (!waiter.done)
        (void)thread_cond_wait_until(&waiter.cond, &waiter.lock, CLOCK_NEVER);
    (void)pthread_mutex_unlock(&waiter.lock);
    (void)pthread_cond_destroy(&waiter.cond);
    (void)pthread_mutex_destroy(&waiter.lock);
    return req->err;
}

/* ---- the store ---- */

void store_get_caps(struct store *store, struct store_caps *ret)
{
    store->ops->caps(store, ret);
}

void store_get_space(struct store *store, uint64_t *ret_total, uint64_t *ret_free)
{
    store->ops->space(store, ret_total, ret_free);
}

void store_cut(struct store *store, int64_t when_ns)
{
    if (store->ops->cut)
        store->ops->cut(store, when_ns);
}

void store_close(struct store *store)
{
    if (store)
        store->ops->close(store);
}

struct store_scheme {
    const char *name; /* with "://" */
    int (*open)(const char *url, const struct store_config *config, struct store **ret,
                struct store_error *reterr);
    const char *refusal; /* what to do instead, where open is NULL */
};

static const struct store_scheme schemes[] = {
    {"s3://", s3_store_open, NULL},
    {"file://", file_store_open, NULL},
    {"gs://", NULL,
     "Google Cloud Storage is reached through its S3 interface: use s3://BUCKET with endpoint "
     "https://storage.googleapis.com, region auto and an HMAC key"},
    {"az://", NULL, "Azure Blob Storage is not supported by this version"},
    {"wasb://", NULL, "Azure Blob Storage is not supported by this version"},
    {"wasbs://", NULL, "Azure Blob Storage is not supported by this version"},
    {"abfs://", NULL, "Azure Data Lake Storage is not supported by this version"},
    {"abfss://", NULL, "Azure Data Lake Storage is not supported by this version"},
    {"adl://", NULL, "Azure Data Lake Storage is not supported by this version"},
    {"webhdfs://", NULL, "WebHDFS is not supported by this version"},
    {"http://", NULL,
     "a store is named s3://BUCKET or file:///DIRECTORY; the address of an S3 service is given "
     "as the endpoint"},
    {"https://", NULL,
     "a store is named s3://BUCKET or file:///DIRECTORY; the address of an S3 service is given "
     "as the endpoint"},
};

int store_open(const char *url, const struct store_config *config, struct store **ret,
               struct store_error *reterr)
{
    reterr->text[0] = '\0';
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const struct store_scheme *scheme = &schemes[i];
        if (strncasecmp(url, scheme->name, strlen(scheme->name)) != 0)
            continue;
        if (scheme->open)
            return scheme->open(url, config, ret, reterr);
        (void)snprintf(reterr->text, sizeof(reterr->text), "%.120s: %s", url, scheme->refusal);
        return -ENOTSUP;
    }
    (void)snprintf(reterr->text, sizeof(reterr->text),
                   "%.120s: a store is named s3://BUCKET[/PREFIX] or file:///DIRECTORY", url);
    return -EINVAL;
}
