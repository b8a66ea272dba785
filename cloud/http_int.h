/* Inside the HTTP engine: http.c schedules, http_transfer.c does one exchange. */
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "base/clock.h"
#include "cloud/http.h"

#define HTTP_CONNECT_TIMEOUT_MS 5000L

TAILQ_HEAD(http_list, http_request);
TAILQ_HEAD(http_posts, http_post);
RB_HEAD(http_timers, http_timer);

/* One request on a connection. Engine thread only. */
struct http_transfer {
    CURL *easy;
    struct http_request *req;
    size_t sent, text_room, header_bytes;
    bool overflow, expecting, continued;
    unsigned sends;   /* how often libcurl began to send the request */
    int64_t moved_ns; /* when bytes were last seen to move, */
    curl_off_t moved; /* and how many had moved */
    struct http_timer stall;
};

struct http_engine {
    pthread_mutex_t lock; /* guards incoming, posts, stop and cut_wanted_ns */
    struct http_list incoming;
    struct http_posts posts;
    bool stop;
    int64_t cut_wanted_ns;

    pthread_t thread;
    /* From here on: engine thread only. */
    CURLM *multi;
    char *ca_file;
    bool no_verify;
    long connect_timeout_ms;
    bool no_expect; /* the server does not answer Expect: 100-continue */
    unsigned limit, active, starts;
    int64_t cut_ns; /* no request goes on after this; CLOCK_NEVER */
    struct http_list queues[HTTP_PRIOS];
    struct http_timers timers;
    struct http_transfer **idle;
    unsigned idle_count;
};

/* Takes an idle transfer or makes one, sets it up for req. NULL: out of handles. */
struct http_transfer *http_transfer_start(struct http_engine *engine, struct http_request *req);
/* Sets the results of the request from what libcurl says. */
void http_transfer_result(struct http_transfer *transfer, CURLcode code);
/* Bytes moved in both directions. */
curl_off_t http_transfer_moved(const struct http_transfer *transfer);
void http_transfer_free(struct http_transfer *transfer);
