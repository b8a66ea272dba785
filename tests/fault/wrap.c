/* A store around a store, in which requests go wrong as the rules say. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/fault.h"

struct wrap {
    struct store base;
    struct store *inner;
    struct fault_timer *timer;
};

/* A request on its way. The inner store gets a copy of it: next and priv there are its own. */
struct wrap_call {
    struct fault_item item; /* first */
    struct wrap *wrap;
    struct store_req *outer;
    struct store_req inner;
    struct fault_decision decision;
    enum fault_point point;
    bool again;                   /* the second time of "twice" */
    struct store_delete *deletes; /* DELETE: the keys that reach the store */
    size_t *delete_at;            /* and where they stand in the caller's */
    struct fault_decision *each;  /* what happens to each of the caller's keys */
};

/* What a test may want to add up: bytes that are sent, or copied inside the store. */
static uint64_t wrap_bytes(const struct store_req *req)
{
    switch (req->op) {
    case STORE_PUT:
    case STORE_MPU_PART:
        return req->buf_len;
    case STORE_GET:
    case STORE_MPU_COPY:
        return req->range_len;
    case STORE_COPY:
        return req->src_size;
    default:
        return 0;
    }
}

static void wrap_finish(struct wrap_call *call)
{
    struct store_req *outer = call->outer;

    fault_count_end(call->point);
    free(call->deletes);
    free(call->delete_at);
    free(call->each);
    free(call);
    outer->done(outer);
}

/* The results are handed on, not copied. */
static void wrap_take(struct store_req *outer, struct store_req *inner)
{
    outer->err = inner->err;
    memcpy(outer->error_text, inner->error_text, sizeof(outer->error_text));
    outer->object = inner->object;
    outer->got = inner->got;
    outer->objects = inner->objects;
    outer->object_count = inner->object_count;
    outer->next_token = inner->next_token;
    outer->ret_upload_id = inner->ret_upload_id;
    outer->ret_part = inner->ret_part;
}

static void wrap_fail(struct store_req *req, int err)
{
    static const char text[] = "fault on purpose";

    req->err = req->op == STORE_DELETE ? 0 : err;
    for (size_t i = 0; req->op == STORE_DELETE && i < req->delete_count; i++)
        req->deletes[i].err = err;
    memcpy(req->error_text, text, sizeof(text));
}

/* Each key its result: the store's, or that of its rule. */
static void wrap_take_deletes(struct wrap_call *call)
{
    struct store_req *outer = call->outer;

    for (size_t i = 0; i < call->inner.delete_count; i++)
        outer->deletes[call->delete_at[i]].err = call->deletes[i].err;
    for (size_t i = 0; i < outer->delete_count; i++) {
        enum fault_action action = call->each[i].action;
        if (action == FAULT_KILL_AFTER)
            fault_kill();
        if (action == FAULT_ERROR || action == FAULT_LOSE)
            outer->deletes[i].err = call->each[i].err;
    }
}

/* A second PUT that no condition stops would give a file:// object another ETag than the one told:
 * that is somebody else's write, not a duplicate. */
static bool wrap_repeatable(const struct store_req *req)
{
    bool makes = req->op == STORE_PUT || req->op == STORE_COPY || req->op == STORE_MPU_COMPLETE;

    return !makes || req->if_match || req->if_none_match;
}

static void wrap_done(struct store_req *inner)
{
    struct wrap_call *call = inner->ctx;
    struct store_req *outer = call->outer;

    if (call->decision.action == FAULT_KILL_AFTER)
        fault_kill();
    if (call->again) { /* the first result is the caller's already */
        store_req_clear(inner);
        wrap_finish(call);
        return;
    }
    wrap_take(outer, inner);
    if (outer->op == STORE_DELETE)
        wrap_take_deletes(call);
    if (call->decision.action == FAULT_LOSE) {
        store_req_clear(outer);
        wrap_fail(outer, call->decision.err);
    } else if (call->decision.action == FAULT_CUT) {
        outer->got /= 2;
    } else if (call->decision.action == FAULT_TWICE && wrap_repeatable(outer)) {
        struct store_req copy = *outer;
        copy.done = wrap_done;
        copy.ctx = call;
        copy.deletes = call->inner.deletes;
        copy.delete_count = call->inner.delete_count;
        copy.err = 0;
        copy.error_text[0] = '\0';
        copy.object = (struct store_object){0};
        copy.objects = NULL;
        copy.object_count = 0;
        copy.next_token = copy.ret_upload_id = NULL;
        copy.next = NULL;
        copy.priv = NULL;
        call->inner = copy;
        call->again = true;
        store_submit(call->wrap->inner, &call->inner);
        return;
    }
    wrap_finish(call);
}

/* The time of a delayed request has come. */
static void wrap_go(struct fault_item *item)
{
    struct wrap_call *call = (struct wrap_call *)item;
    enum fault_action action = call->decision.action;
    bool stalled = action == FAULT_STALL && clock_mono_ns() >= item->at_ns;

    if (action == FAULT_ERROR || stalled) {
        wrap_fail(call->outer, call->decision.err);
        wrap_finish(call);
    } else if (call->outer->op == STORE_DELETE && call->inner.delete_count == 0) {
        wrap_take_deletes(call);
        wrap_finish(call);
    } else {
        store_submit(call->wrap->inner, &call->inner);
    }
}

/* Rules that name keys strike single keys of a DELETE; the others go on to the store. */
static void wrap_split_deletes(struct wrap_call *call)
{
    const struct store_req *outer = call->outer;
    size_t count = 0;

    call->deletes = mem_array(outer->delete_count + 1, sizeof(*call->deletes));
    call->delete_at = mem_array(outer->delete_count + 1, sizeof(*call->delete_at));
    call->each = mem_array(outer->delete_count + 1, sizeof(*call->each));
    for (size_t i = 0; i < outer->delete_count; i++) {
        struct fault_decision d = fault_decide(call->point, outer->deletes[i].key, true);
        call->each[i] = d;
        if (d.delay_ns > call->decision.delay_ns)
            call->decision.delay_ns = d.delay_ns;
        if (d.action == FAULT_ERROR)
            continue;
        call->deletes[count] = outer->deletes[i];
        call->delete_at[count++] = i;
    }
    call->inner.deletes = call->deletes;
    call->inner.delete_count = count;
}

static void wrap_submit(struct store *store, struct store_req *req)
{
    struct wrap *wrap = (struct wrap *)store;
    struct wrap_call *call = mem_zalloc(sizeof(*call));
    bool many = req->op == STORE_DELETE;

    call->point = (enum fault_point)req->op;
    fault_count_begin(call->point, wrap_bytes(req), many ? req->delete_count : 0);
    call->wrap = wrap;
    call->outer = req;
    call->inner = *req;
    call->inner.done = wrap_done;
    call->inner.ctx = call;
    call->decision = fault_decide(call->point,
                                  many                    ? NULL
                                  : req->op == STORE_LIST ? req->prefix
                                                          : req->key,
                                  many);
    if (many)
        wrap_split_deletes(call);
    call->item.fn = wrap_go;
    call->item.at_ns = clock_mono_ns() + call->decision.delay_ns;
    call->item.stall = call->decision.action == FAULT_STALL;
    call->item.gen = fault_rules_gen();
    if (call->item.stall)
        call->item.at_ns = req->deadline_ns;
    if (call->decision.delay_ns > 0 || call->item.stall || call->decision.action == FAULT_ERROR ||
        (many && call->inner.delete_count == 0))
        fault_timer_add(wrap->timer, &call->item); /* never done() from inside submit */
    else
        store_submit(wrap->inner, &call->inner);
}

static void wrap_caps(struct store *store, struct store_caps *ret)
{
    store_get_caps(((struct wrap *)store)->inner, ret);
    fault_caps(ret);
}

static void wrap_space(struct store *store, uint64_t *ret_total, uint64_t *ret_free)
{
    store_get_space(((struct wrap *)store)->inner, ret_total, ret_free);
}

static void wrap_close(struct store *store)
{
    struct wrap *wrap = (struct wrap *)store;

    fault_timer_free(wrap->timer);
    store_close(wrap->inner);
    free(wrap->base.url);
    free(wrap);
}

static void wrap_cut(struct store *store, int64_t when_ns)
{
    store_cut(((struct wrap *)store)->inner, when_ns);
}

struct store *fault_store_wrap(struct store *inner)
{
    static const struct store_ops ops = {.submit = wrap_submit,
                                         .caps = wrap_caps,
                                         .space = wrap_space,
                                         .close = wrap_close,
                                         .cut = wrap_cut};
    struct wrap *wrap = mem_zalloc(sizeof(*wrap));

    wrap->base = (struct store){.ops = &ops, .url = mem_strdup(inner->url)};
    wrap->inner = inner;
    wrap->timer = fault_timer_new();
    return &wrap->base;
}

/* The linker (--wrap=store_open) makes these of everybody's store_open, and of the real one. */
int __wrap_store_open(const char *url, const struct store_config *config, struct store **ret,
                      struct store_error *reterr);
int __real_store_open(const char *url, const struct store_config *config, struct store **ret,
                      struct store_error *reterr);

int __wrap_store_open(const char *url, const struct store_config *config, struct store **ret,
                      struct store_error *reterr)
{
    struct store *inner;
    int err = __real_store_open(url, config, &inner, reterr);

    if (!err)
        *ret = fault_store_wrap(inner);
    return err;
}

int fault_plain_store_open(const char *url, const struct store_config *config, struct store **ret,
                           struct store_error *reterr)
{
    return __real_store_open(url, config, ret, reterr);
}
