/* The HTTP engine by itself: the order of requests, deadlines, bodies, headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cloud/http.h"
#include "tests/cloud/fault_server.h"

enum { REQUESTS = 24 };

static struct fault_server *server;
static struct http_engine *engine;

/* Requests of a test, and how many of them are still out. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards out, order */
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned out, order_count;
static struct http_request *order[REQUESTS];
static struct http_request reqs[REQUESTS];
static char urls[REQUESTS][64];

static void landed(struct http_request *req)
{
    (void)pthread_mutex_lock(&lock);
    order[order_count++] = req;
    out--;
    (void)pthread_cond_signal(&cond);
    (void)pthread_mutex_unlock(&lock);
}

static struct http_request *request(unsigned n, const char *method, const char *path)
{
    struct http_request *req = &reqs[n];

    (void)snprintf(urls[n], sizeof(urls[n]), "http://127.0.0.1:%u%s", fault_server_port(server),
                   path);
    *req = (struct http_request){
        .method = method,
        .url = urls[n],
        .text_max = 1000,
        .deadline_ns = clock_mono_ns() + 20 * CLOCK_S,
        .stall_ns = 10 * CLOCK_S,
        .done = landed,
    };
    return req;
}

static void submit(struct http_request *req)
{
    (void)pthread_mutex_lock(&lock);
    out++;
    (void)pthread_mutex_unlock(&lock);
    http_submit(engine, req);
}

static void wait_until(unsigned left)
{
    (void)pthread_mutex_lock(&lock);
    while (out > left)
        (void)pthread_cond_wait(&cond, &lock);
    (void)pthread_mutex_unlock(&lock);
}

static int setup(void **state)
{
    (void)state;
    static const struct fault_step none[] = {{0}};
    struct http_config config = {.connections = 1};

    (void)setenv("no_proxy", "127.0.0.1", 1); /* NOLINT(concurrency-mt-unsafe): no other thread */
    memset(reqs, 0, sizeof(reqs));
    out = order_count = 0;
    server = fault_server_start(none);
    return http_engine_open(&config, &engine);
}

static int teardown(void **state)
{
    (void)state;
    wait_until(0);
    for (unsigned i = 0; i < REQUESTS; i++) {
        http_request_clear(&reqs[i]);
        curl_slist_free_all(reqs[i].headers);
    }
    http_engine_close(engine);
    fault_server_stop(server);
    return 0;
}

static void test_answer(void **state)
{
    (void)state;
    static const struct fault_step script[] = {{.match = "POST /a",
                                                .status = "200 OK",
                                                .headers = "X-One:  two words \r\nETag: \"e\"\r\n",
                                                .body = "text"},
                                               {0}};
    fault_server_script(server, script);
    struct http_request *req = request(0, "POST", "/a");
    req->body = "body";
    req->body_len = 4;
    req->headers = curl_slist_append(NULL, "X-Mine: yes");
    submit(req);
    wait_until(0);
    assert_int_equal(req->err, 0);
    assert_int_equal(req->status, 200);
    assert_string_equal(req->text, "text");
    assert_int_equal(req->text_len, 4);
    assert_string_equal(http_header_get(req, "x-one"), "two words");
    assert_string_equal(http_header_get(req, "etag"), "\"e\"");
    assert_null(http_header_get(req, "x-none"));
    assert_non_null(strstr(fault_server_request(server, 0), "X-Mine: yes\r\n"));
    assert_non_null(strstr(fault_server_request(server, 0), "Content-Length: 4\r\n"));
}

static void test_limits(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET /text", .status = "200 OK", .body = "0123456789"},
        {.match = "GET /recv", .status = "200 OK", .body = "0123456789"},
        {.match = "GET /error", .status = "500 Oops", .body = "0123456789"},
        {0}};
    char room[16] = "";

    fault_server_script(server, script);
    request(0, "GET", "/text")->text_max = 9;
    request(1, "GET", "/recv")->recv = room;
    reqs[1].recv_len = 9;
    request(2, "GET", "/error")->recv = room;
    reqs[2].recv_len = 9;
    for (unsigned i = 0; i < 3; i++) {
        submit(&reqs[i]);
        wait_until(0);
    }
    assert_int_equal(reqs[0].err, -EMSGSIZE);
    assert_int_equal(reqs[1].err, -EMSGSIZE);
    assert_int_equal(room[9], 0);
    /* the body of an error never goes where data belongs */
    assert_int_equal(reqs[2].err, 0);
    assert_int_equal(reqs[2].recv_got, 0);
    assert_string_equal(reqs[2].text, "0123456789");
    assert_int_equal(room[0], 0);
}

static void test_priority(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET /wait", .hang = true},
        {.match = "GET", .status = "200 OK", .times = FAULT_ALWAYS},
        {0}};
    static const unsigned prios[] = {3, 2, 1, 0};

    fault_server_script(server, script);
    request(0, "GET", "/wait")->stall_ns = 400 * CLOCK_MS;
    submit(&reqs[0]);
    for (unsigned i = 0; i < 4; i++) {
        request(i + 1, "GET", "/go")->prio = prios[i];
        submit(&reqs[i + 1]);
    }
    wait_until(0);
    assert_int_equal(reqs[0].err, -EAGAIN);
    for (unsigned i = 1; i < 5; i++) {
        assert_int_equal(order[i]->err, 0);
        assert_int_equal(order[i]->prio, i - 1);
    }
}

static void test_no_starvation(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "200 OK", .times = FAULT_ALWAYS}, {0}};
    unsigned at = 0;

    fault_server_script(server, script);
    for (unsigned i = 0; i < REQUESTS; i++)
        request(i, "GET", "/x")->prio = i == 0 ? 3 : 0;
    for (unsigned i = REQUESTS; i > 0; i--)
        submit(&reqs[i - 1]);
    wait_until(0);
    while (order[at] != &reqs[0])
        at++;
    assert_true(at < REQUESTS - 1);
}

static void test_deadlines(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET /wait", .hang = true, .times = FAULT_ALWAYS}, {0}};
    int64_t start = clock_mono_ns();

    fault_server_script(server, script);
    request(0, "GET", "/wait")->deadline_ns = start + 600 * CLOCK_MS;
    request(1, "GET", "/never")->deadline_ns = start + 200 * CLOCK_MS;
    submit(&reqs[0]);
    submit(&reqs[1]);
    wait_until(0);
    assert_ptr_equal(order[0], &reqs[1]); /* still in the queue */
    assert_int_equal(reqs[1].err, -EAGAIN);
    assert_false(reqs[1].maybe_sent);
    assert_int_equal(reqs[0].err, -EAGAIN);
    assert_true(reqs[0].maybe_sent);
    assert_int_equal(fault_server_count(server), 1);
    assert_true(clock_mono_ns() - start < 5 * CLOCK_S);
}

static void test_dead_connection(void **state)
{
    (void)state;
    /* the server takes the request on the kept connection, and hangs up */
    static const struct fault_step script[] = {{.match = "GET", .status = "200 OK"},
                                               {.match = "PUT"},
                                               {.match = "PUT", .status = "200 OK"},
                                               {0}};

    fault_server_script(server, script);
    submit(request(0, "GET", "/a"));
    wait_until(0);
    assert_false(reqs[0].resent);
    request(1, "PUT", "/a")->body = "x";
    reqs[1].body_len = 1;
    submit(&reqs[1]);
    wait_until(0);
    assert_int_equal(reqs[1].err, 0);
    assert_true(reqs[1].resent);
}

/* The same, and there is nobody to send it to again: the first one may have been carried out. */
static void test_dead_server(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET", .status = "200 OK"}, {.match = "PUT", .deaf = true}, {0}};

    fault_server_script(server, script);
    submit(request(0, "GET", "/a"));
    wait_until(0);
    request(1, "PUT", "/a")->body = "x";
    reqs[1].body_len = 1;
    submit(&reqs[1]);
    wait_until(0);
    assert_int_equal(fault_server_count(server), 2);
    assert_int_equal(reqs[1].err, -EAGAIN);
    assert_true(reqs[1].maybe_sent);
}

/* Whoever is about to close waits for nothing any more: what is under way, queued, or yet to come.
 */
static void test_cut(void **state)
{
    (void)state;
    static const struct fault_step script[] = {
        {.match = "GET /wait", .hang = true, .times = FAULT_ALWAYS}, {0}};
    int64_t start = clock_mono_ns();

    fault_server_script(server, script);
    submit(request(0, "GET", "/wait"));
    submit(request(1, "GET", "/never"));
    http_cut(engine, start + 100 * CLOCK_MS);
    wait_until(0);
    http_cut(engine, start + 3600 * CLOCK_S); /* for good */
    submit(request(2, "GET", "/late"));
    wait_until(0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(reqs[i].err, -EAGAIN);
    assert_false(reqs[1].maybe_sent);
    assert_false(reqs[2].maybe_sent);
    assert_true(fault_server_count(server) <= 1);
    assert_true(clock_mono_ns() - start < 10 * CLOCK_S); /* their own deadline is 20 s */
}

static void test_nobody(void **state)
{
    (void)state;
    struct http_request *req = request(0, "GET", "/");

    req->url = "http://127.0.0.1:1/";
    submit(req);
    wait_until(0);
    assert_int_equal(req->err, -EAGAIN);
    assert_false(req->maybe_sent);
    assert_true(req->error[0]);
    req = request(1, "GET", "/");
    req->url = "file:///etc/passwd";
    submit(req);
    wait_until(0);
    assert_int_equal(req->err, -EINVAL);
}

#define HTTP_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_answer),        HTTP_TEST(test_limits),    HTTP_TEST(test_priority),
        HTTP_TEST(test_no_starvation), HTTP_TEST(test_deadlines), HTTP_TEST(test_dead_connection),
        HTTP_TEST(test_dead_server),   HTTP_TEST(test_cut),       HTTP_TEST(test_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
