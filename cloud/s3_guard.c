/*
 * Preconditions where the store has none, and the truth after a lost reply.
 *
 * Looking first and writing then leaves a moment in which somebody else may write. It is what can
 * be done where the store does not compare by itself, and far better than not looking.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cloud/s3_int.h"
#include "cloud/s3_text.h"

#define DATE_SLACK_NS (2 * CLOCK_S) /* Last-Modified has whole seconds */

static struct store_req *guard_head_new(const struct store_req *req,
                                        void (*done)(struct store_req *head), void *ctx)
{
    struct store_req *head = mem_zalloc(sizeof(*head));

    head->op = STORE_HEAD;
    head->prio = req->prio;
    head->deadline_ns = req->deadline_ns;
    head->key = req->key;
    head->done = done;
    head->ctx = ctx;
    return head;
}

static void guard_head_free(struct store_req *head)
{
    store_req_clear(head);
    free(head);
}

struct guard_before {
    struct s3 *s3;
    struct store_req *req;
    void (*start)(struct s3 *s3, struct store_req *req);
};

static void before_done(struct store_req *head)
{
    struct guard_before guard = *(struct guard_before *)head->ctx;
    struct store_req *req = guard.req;
    int err = head->err;

    if (err == 0 && (req->if_none_match || strcmp(head->object.etag, req->if_match) != 0))
        err = -ESTALE;
    else if (err == -ENOENT)
        err = req->if_match ? -ESTALE : 0;
    free(head->ctx);
    guard_head_free(head);
    if (err)
        s3_req_finish(req, NULL, err);
    else
        guard.start(guard.s3, req);
}

void s3_guard_before(struct s3 *s3, struct store_req *req, bool honoured,
                     void (*start)(struct s3 *s3, struct store_req *req))
{
    if (honoured || (!req->if_match && !req->if_none_match)) {
        start(s3, req);
        return;
    }
    struct guard_before *guard = mem_zalloc(sizeof(*guard));
    *guard = (struct guard_before){.s3 = s3, .req = req, .start = start};
    s3_head_start(s3, guard_head_new(req, before_done, guard));
}

struct guard_after {
    struct s3_call *call;
    struct s3_expected expected;
    int err;
};

static bool meta_same(const struct store_meta *a, const struct store_meta *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const char *value = store_meta_get(b, a->pairs[i].name);
        if (!value || strcmp(value, a->pairs[i].value) != 0)
            return false;
    }
    return true;
}

static bool is_expected(const struct guard_after *guard, const struct store_object *obj)
{
    const struct s3_expected *expected = &guard->expected;
    struct s3_call *call = guard->call;

    if (expected->meta && !meta_same(expected->meta, &obj->meta))
        return false;
    if (expected->size != UINT64_MAX && expected->size != obj->size)
        return false;
    if (expected->etag[0] && strcmp(expected->etag, obj->etag) == 0)
        return true;
    if (!call->ambiguous)
        return false;
    (void)pthread_mutex_lock(&call->s3->lock);
    int64_t start_ns = call->start_wall_ns + call->s3->clock_offset_ns;
    (void)pthread_mutex_unlock(&call->s3->lock);
    return obj->mtime_ns >= start_ns - DATE_SLACK_NS;
}

static void after_done(struct store_req *head)
{
    struct guard_after *guard = head->ctx;
    struct s3_call *call = guard->call;
    int err = guard->err;

    if (head->err == 0 && is_expected(guard, &head->object)) {
        memcpy(call->req->object.etag, head->object.etag, sizeof(head->object.etag));
        err = 0;
    } else if (head->err != 0 && head->err != -ENOENT) {
        err = -EAGAIN; /* done or not: nobody knows */
    }
    s3_req_finish(call->req, call, err);
    s3_call_free(call);
    guard_head_free(head);
    free(guard);
}

void s3_guard_after(struct s3_call *call, int err, const struct s3_expected *expected)
{
    struct guard_after *guard = mem_zalloc(sizeof(*guard));

    guard->call = call;
    guard->expected = *expected;
    guard->err = err;
    s3_head_start(call->s3, guard_head_new(call->req, after_done, guard));
}
