/*
 * The HTTP engine: one thread, which owns everything but the list of new requests.
 *
 * A request is in exactly one place: incoming (lock), a queue, or a transfer that libcurl runs.
 * Its deadline timer is armed in the last two. Its done() runs when it is in none of them.
 */
#include "cloud/http.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cloud/http_int.h"

enum {
    POLL_MAX_MS = 60000,
    LOW_PRIO_EVERY = 8, /* every so many starts the lowest priority goes first */
};

/* ---- timers ---- */

static int timer_compare(const struct http_timer *a, const struct http_timer *b)
{
    if (a->when_ns != b->when_ns)
        return a->when_ns < b->when_ns ? -1 : 1;
    return a < b ? -1 : a > b;
}

RB_GENERATE_INTERNAL(http_timers, http_timer, node, timer_compare, static __attribute__((unused)))

void http_timer_start(struct http_engine *engine, struct http_timer *timer, int64_t when_ns)
{
    assert(pthread_equal(pthread_self(), engine->thread));
    assert(!timer->armed);
    timer->when_ns = when_ns;
    timer->armed = true;
    (void)RB_INSERT(http_timers, &engine->timers, timer);
}

void http_timer_stop(struct http_engine *engine, struct http_timer *timer)
{
    assert(pthread_equal(pthread_self(), engine->thread));
    if (timer->armed)
        (void)RB_REMOVE(http_timers, &engine->timers, timer);
    timer->armed = false;
}

static void timers_run(struct http_engine *engine)
{
    int64_t now = clock_mono_ns();

    for (;;) {
        struct http_timer *timer = RB_MIN(http_timers, &engine->timers);
        if (!timer || timer->when_ns > now)
            return;
        http_timer_stop(engine, timer);
        timer->fn(timer);
    }
}

/* ---- the way of a request ---- */

#define REQUEST_OF(timer, member) \
    ((struct http_request *)((char *)(timer)-offsetof(struct http_request, member)))
#define TRANSFER_OF(timer, member) \
    ((struct http_transfer *)((char *)(timer)-offsetof(struct http_transfer, member)))

static void request_finish(struct http_engine *engine, struct http_request *req)
{
    http_timer_stop(engine, &req->deadline);
    assert(!req->transfer);
    req->done(req);
}

/* Takes the transfer from libcurl and gives the request back. */
static void transfer_end(struct http_engine *engine, struct http_transfer *transfer, CURLcode code)
{
    struct http_request *req = transfer->req;

    http_transfer_result(transfer, code);
    if (code == CURLE_OK && transfer->expecting && !transfer->continued && req->status < 300)
        engine->no_expect = true;
    (void)curl_multi_remove_handle(engine->multi, transfer->easy);
    http_timer_stop(engine, &transfer->stall);
    assert(engine->active > 0 && engine->idle_count < engine->limit);
    engine->active--;
    engine->idle[engine->idle_count++] = transfer;
    req->transfer = NULL;
    request_finish(engine, req);
}

static void on_deadline(struct http_timer *timer)
{
    struct http_request *req = REQUEST_OF(timer, deadline);
    struct http_engine *engine = req->engine;

    if (req->transfer) {
        (void)snprintf(req->error, sizeof(req->error), "no answer before the deadline");
        transfer_end(engine, req->transfer, CURLE_ABORTED_BY_CALLBACK);
        return;
    }
    TAILQ_REMOVE(&engine->queues[req->prio], req, link);
    req->err = -EAGAIN;
    (void)snprintf(req->error, sizeof(req->error), "no connection was free before the deadline");
    request_finish(engine, req);
}

static void on_stall(struct http_timer *timer)
{
    struct http_transfer *transfer = TRANSFER_OF(timer, stall);
    struct http_request *req = transfer->req;
    curl_off_t moved = http_transfer_moved(transfer);
    int64_t now = clock_mono_ns();

    if (moved != transfer->moved) {
        transfer->moved = moved;
        transfer->moved_ns = now;
    }
    if (now - transfer->moved_ns < req->stall_ns) {
        http_timer_start(req->engine, timer, now + req->stall_ns / 4);
        return;
    }
    (void)snprintf(req->error, sizeof(req->error), "no data for %d ms",
                   (int)(req->stall_ns / CLOCK_MS));
    transfer_end(req->engine, transfer, CURLE_ABORTED_BY_CALLBACK);
}

static void request_start(struct http_engine *engine, struct http_request *req)
{
    struct http_transfer *transfer = http_transfer_start(engine, req);

    if (!transfer || curl_multi_add_handle(engine->multi, transfer->easy) != CURLM_OK) {
        if (transfer)
            http_transfer_free(transfer);
        req->err = -EAGAIN;
        (void)snprintf(req->error, sizeof(req->error), "out of handles");
        request_finish(engine, req);
        return;
    }
    req->transfer = transfer;
    engine->active++;
    transfer->moved_ns = clock_mono_ns();
    transfer->stall.fn = on_stall;
    http_timer_start(engine, &transfer->stall, transfer->moved_ns + req->stall_ns / 4);
}

/* The request to start next, or NULL. */
static struct http_request *queue_next(struct http_engine *engine)
{
    unsigned reserve = engine->limit >= 4 ? engine->limit / 4 : 0;
    bool low_first = engine->starts % LOW_PRIO_EVERY == LOW_PRIO_EVERY - 1;

    if (engine->active >= engine->limit)
        return NULL;
    for (unsigned i = 0; i < HTTP_PRIOS; i++) {
        unsigned prio = low_first ? HTTP_PRIOS - 1 - i : i;
        if (prio > 0 && engine->active >= engine->limit - reserve)
            continue;
        struct http_request *req = TAILQ_FIRST(&engine->queues[prio]);
        if (req)
            return req;
    }
    return NULL;
}

static void queues_run(struct http_engine *engine)
{
    struct http_request *req;

    while ((req = queue_next(engine)) != NULL) {
        TAILQ_REMOVE(&engine->queues[req->prio], req, link);
        engine->starts++;
        request_start(engine, req);
    }
}

static void transfers_reap(struct http_engine *engine)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(engine->multi, &left)) != NULL) {
        struct http_transfer *transfer = NULL;
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode code = msg->data.result;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        transfer_end(engine, transfer, code);
    }
}

static int64_t cut_short(const struct http_engine *engine, int64_t when_ns)
{
    return when_ns < engine->cut_ns ? when_ns : engine->cut_ns;
}

/* All that waits, for an answer or for its next try, waits no longer than that. */
static void cut_timers(struct http_engine *engine, int64_t cut_ns)
{
    struct http_timer *timer, *next;

    engine->cut_ns = cut_ns;
    RB_FOREACH_SAFE (timer, http_timers, &engine->timers, next) {
        if (timer->when_ns <= cut_ns || timer->fn == on_stall)
            continue;
        http_timer_stop(engine, timer);
        http_timer_start(engine, timer, cut_ns);
    }
}

/* Moves new requests to their queues. False when it is time to stop. */
static bool incoming_take(struct http_engine *engine)
{
    struct http_list taken = TAILQ_HEAD_INITIALIZER(taken);
    struct http_posts posts = TAILQ_HEAD_INITIALIZER(posts);
    struct http_request *req;
    struct http_post *post;

    (void)pthread_mutex_lock(&engine->lock);
    TAILQ_CONCAT(&taken, &engine->incoming, link);
    TAILQ_CONCAT(&posts, &engine->posts, link);
    bool stop = engine->stop;
    int64_t cut_ns = engine->cut_wanted_ns;
    (void)pthread_mutex_unlock(&engine->lock);
    if (cut_ns < engine->cut_ns)
        cut_timers(engine, cut_ns);
    while ((req = TAILQ_FIRST(&taken)) != NULL) {
        TAILQ_REMOVE(&taken, req, link);
        TAILQ_INSERT_TAIL(&engine->queues[req->prio], req, link);
        req->deadline.fn = on_deadline;
        http_timer_start(engine, &req->deadline, cut_short(engine, req->deadline_ns));
    }
    while ((post = TAILQ_FIRST(&posts)) != NULL) {
        TAILQ_REMOVE(&posts, post, link);
        post->fn(post);
    }
    return !stop;
}

static int poll_ms(struct http_engine *engine)
{
    const struct http_timer *timer = RB_MIN(http_timers, &engine->timers);

    (void)pthread_mutex_lock(&engine->lock);
    bool more = !TAILQ_EMPTY(&engine->incoming) || !TAILQ_EMPTY(&engine->posts);
    (void)pthread_mutex_unlock(&engine->lock);
    if (more || queue_next(engine))
        return 0;
    if (!timer)
        return POLL_MAX_MS;
    int64_t ms = (timer->when_ns - clock_mono_ns() + CLOCK_MS - 1) / CLOCK_MS;
    return ms < 0 ? 0 : ms > POLL_MAX_MS ? POLL_MAX_MS : (int)ms;
}

static void *engine_main(void *arg)
{
    struct http_engine *engine = arg;
    int running;

    while (incoming_take(engine)) {
        timers_run(engine);
        queues_run(engine);
        (void)curl_multi_perform(engine->multi, &running);
        transfers_reap(engine);
        (void)curl_multi_poll(engine->multi, NULL, 0, poll_ms(engine), NULL);
    }
    return NULL;
}

void http_submit(struct http_engine *engine, struct http_request *req)
{
    assert(req->done && req->prio < HTTP_PRIOS);
    assert(req->deadline_ns > 0 && req->stall_ns > 0);
    req->engine = engine;
    req->transfer = NULL;
    req->deadline.armed = false;
    (void)pthread_mutex_lock(&engine->lock);
    assert(!engine->stop);
    bool first = TAILQ_EMPTY(&engine->incoming);
    TAILQ_INSERT_TAIL(&engine->incoming, req, link);
    (void)pthread_mutex_unlock(&engine->lock);
    /* The engine's own thread looks at the list before it sleeps. */
    if (first && !pthread_equal(pthread_self(), engine->thread))
        (void)curl_multi_wakeup(engine->multi);
}

void http_post(struct http_engine *engine, struct http_post *post)
{
    (void)pthread_mutex_lock(&engine->lock);
    assert(!engine->stop);
    TAILQ_INSERT_TAIL(&engine->posts, post, link);
    (void)pthread_mutex_unlock(&engine->lock);
    if (!pthread_equal(pthread_self(), engine->thread))
        (void)curl_multi_wakeup(engine->multi);
}

void http_cut(struct http_engine *engine, int64_t when_ns)
{
    (void)pthread_mutex_lock(&engine->lock);
    if (when_ns < engine->cut_wanted_ns)
        engine->cut_wanted_ns = when_ns;
    (void)pthread_mutex_unlock(&engine->lock);
    (void)curl_multi_wakeup(engine->multi);
}

int64_t http_cut_ns(const struct http_engine *engine)
{
    assert(pthread_equal(pthread_self(), engine->thread));
    return engine->cut_ns;
}

/* ---- start and end ---- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_global_start(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        log_event(LOG_ERROR, "curl_unusable", "%s", "");
        abort();
    }
}

static void engine_free(struct http_engine *engine)
{
    for (unsigned i = 0; i < engine->idle_count; i++)
        http_transfer_free(engine->idle[i]);
    if (engine->multi)
        (void)curl_multi_cleanup(engine->multi);
    (void)pthread_mutex_destroy(&engine->lock);
    free((void *)engine->idle);
    free(engine->ca_file);
    free(engine);
}

static long connect_ms(int64_t ns)
{
    if (ns <= 0)
        return HTTP_CONNECT_TIMEOUT_MS;
    return ns < CLOCK_MS ? 1 : ns / CLOCK_MS > INT32_MAX ? INT32_MAX : (long)(ns / CLOCK_MS);
}

int http_engine_open(const struct http_config *config, struct http_engine **ret)
{
    (void)pthread_once(&curl_once, curl_global_start);
    struct http_engine *engine = mem_zalloc(sizeof(*engine));
    (void)pthread_mutex_init(&engine->lock, NULL);
    TAILQ_INIT(&engine->incoming);
    TAILQ_INIT(&engine->posts);
    for (unsigned i = 0; i < HTTP_PRIOS; i++)
        TAILQ_INIT(&engine->queues[i]);
    RB_INIT(&engine->timers);
    engine->cut_ns = engine->cut_wanted_ns = CLOCK_NEVER;
    engine->ca_file = mem_strdup(config->ca_file);
    engine->no_verify = config->no_verify;
    engine->connect_timeout_ms = connect_ms(config->connect_timeout_ns);
    engine->limit = config->connections ? config->connections : HTTP_CONNECTIONS_DEFAULT;
    if (engine->limit > HTTP_CONNECTIONS_MAX)
        engine->limit = HTTP_CONNECTIONS_MAX;
    engine->idle = mem_array(engine->limit, sizeof(struct http_transfer *));
    engine->multi = curl_multi_init();
    if (!engine->multi) {
        engine_free(engine);
        return -ENOMEM;
    }
    (void)curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, (long)engine->limit);
    /* The new thread must know its own id when it first compares: hold it back until it is set. */
    (void)pthread_mutex_lock(&engine->lock);
    int err = thread_start(&engine->thread, "http", engine_main, engine);
    (void)pthread_mutex_unlock(&engine->lock);
    if (err) {
        engine_free(engine);
        return err;
    }
    *ret = engine;
    return 0;
}

void http_engine_close(struct http_engine *engine)
{
    if (!engine)
        return;
    (void)pthread_mutex_lock(&engine->lock);
    engine->stop = true;
    (void)pthread_mutex_unlock(&engine->lock);
    (void)curl_multi_wakeup(engine->multi);
    (void)pthread_join(engine->thread, NULL);
    assert(engine->active == 0 && RB_EMPTY(&engine->timers) && TAILQ_EMPTY(&engine->incoming));
    engine_free(engine);
}
