/*
 * HTTP requests, asynchronously. One thread per engine drives them all with libcurl's multi
 * interface; bodies go out of and come into the caller's memory.
 *
 * Nothing is repeated here: one request is one exchange. Retries are made by the callers with
 * timers of the engine (retry.h says when).
 *
 * When connections are short, requests start in the order of their priority (0 first). A quarter of
 * the connections is kept for priority 0, and every eighth start goes to the lowest priority that
 * waits, so that nothing starves.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_PRIOS = 4,
    HTTP_ERROR_MAX = 256,
    HTTP_HEADERS_MAX = 200,          /* headers of a response, */
    HTTP_HEADER_BYTES_MAX = 1 << 16, /* and their bytes in all */
    HTTP_ERROR_TEXT_MAX = 1 << 16,   /* of the body of an error; more is thrown away */
    HTTP_CONNECTIONS_DEFAULT = 128,  /* of which uploads and drains may have three quarters */
    HTTP_CONNECTIONS_MAX = 1024,
};

struct http_engine;
struct http_config {
    const char *ca_file; /* or NULL = the system's authorities */
    bool no_verify;
    uint32_t connections;       /* 0 = default */
    int64_t connect_timeout_ns; /* 0 = default */
};
/* 0 or negative errno. */
int http_engine_open(const struct http_config *config, struct http_engine **ret);
/* No request and no timer may be out. NULL is fine. */
void http_engine_close(struct http_engine *engine);

struct http_timer {
    int64_t when_ns; /* monotonic */
    void (*fn)(struct http_timer *timer);
    bool armed;
    RB_ENTRY(http_timer) node;
};
/* Calls fn on the engine's thread at when_ns. Both only on the engine's thread. */
void http_timer_start(struct http_engine *engine, struct http_timer *timer, int64_t when_ns);
void http_timer_stop(struct http_engine *engine, struct http_timer *timer);

/* Calls fn soon on the engine's thread. Any thread. */
struct http_post {
    void (*fn)(struct http_post *post);
    TAILQ_ENTRY(http_post) link;
};
void http_post(struct http_engine *engine, struct http_post *post);

/* From when_ns on every request fails with -EAGAIN, also those under way: for whoever is about to
 * close. Any thread; for good. */
void http_cut(struct http_engine *engine, int64_t when_ns);
int64_t http_cut_ns(const struct http_engine *engine); /* CLOCK_NEVER; the engine's thread only */

struct http_header {
    char *name, *value; /* the name in lower case */
};

struct curl_slist;
struct http_transfer;
struct http_request {
    const char *method; /* HEAD, GET, DELETE have no body; PUT, POST do, even of 0 bytes */
    const char *url;
    struct curl_slist *headers; /* the caller frees it; the engine appends to it */
    const void *body;
    size_t body_len;
    void *recv; /* the body of a 2xx goes here; */
    size_t recv_len;
    size_t text_max;     /* without recv, it goes into text, up to so many bytes */
    int64_t deadline_ns; /* monotonic */
    int64_t stall_ns;    /* give up when no byte moves for so long */
    /* Called once on the engine's thread. Must not block; may submit, may free the request. */
    void (*done)(struct http_request *req);
    void *ctx;
    unsigned prio;
    bool fresh; /* on a new connection */

    /* Results. */
    bool maybe_sent; /* the server may have seen the request */
    bool resent;     /* libcurl sent it twice: the kept connection that it first took was dead */
    /*
     * 0          a whole answer: status, headers and body are set
     * -EAGAIN    no (whole) answer: connection trouble, stalled, or the deadline passed
     * -EMSGSIZE  a 2xx with a longer body than there was room for
     * -EACCES    the server's certificate is not accepted
     * -EINVAL    not a URL
     */
    int err;
    int status;
    struct http_header *headers_in;
    size_t header_count;
    size_t recv_got;
    char *text; /* NUL-terminated; NULL if there is none */
    size_t text_len;
    char error[HTTP_ERROR_MAX];

    /* the engine's */
    struct http_engine *engine;
    struct http_timer deadline;
    struct http_transfer *transfer;
    TAILQ_ENTRY(http_request) link;
};
/* Any thread. The request and what it points at stay the caller's. */
void http_submit(struct http_engine *engine, struct http_request *req);
/* Frees the results. */
void http_request_clear(struct http_request *req);
/* Value of a response header (name in lower case), or NULL. */
const char *http_header_get(const struct http_request *req, const char *name);
