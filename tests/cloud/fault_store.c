/* A store on a server that misbehaves. */
#include "tests/cloud/fault_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

struct fault_server *fault_server;
struct store *fault_store;
char fault_buf[64];

int fault_store_setup(void **state)
{
    (void)state;
    static const struct fault_step script[] = {LIST_STEP, {0}};
    struct store_error error;
    char endpoint[64];

    /* NOLINTBEGIN(concurrency-mt-unsafe): there is no other thread yet */
    (void)setenv("no_proxy", "127.0.0.1", 1);
    (void)setenv("AWS_ACCESS_KEY_ID", "key", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    (void)setenv("AWS_SESSION_TOKEN", "token", 1);
    (void)setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
    fault_server = fault_server_start(script);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u",
                   fault_server_port(fault_server));
    struct store_config config = {.endpoint = endpoint, .read_only = true, .region = "us-west-1"};
    if (store_open("s3://bkt", &config, &fault_store, &error)) {
        print_error("%s\n", error.text);
        return -1;
    }
    s3_of(fault_store)->caps.cond_put = true;
    s3_of(fault_store)->caps.cond_copy = true;
    s3_of(fault_store)->caps.cond_delete = true;
    s3_of(fault_store)->caps.part_copy = true;
    return 0;
}

int fault_store_teardown(void **state)
{
    (void)state;
    store_close(fault_store);
    fault_server_stop(fault_server);
    return 0;
}

/* Plays the script against one request; the caller clears it. */
struct store_req fault_play(const struct fault_step *script, struct store_req req)
{
    fault_server_script(fault_server, script);
    if (!req.deadline_ns)
        req.deadline_ns = 20 * CLOCK_S;
    req.deadline_ns += clock_mono_ns();
    if (req.op == STORE_GET) {
        req.buf = fault_buf;
        req.buf_len = 10;
        req.range_len = 10;
    }
    if (!req.key && req.op != STORE_LIST && req.op != STORE_DELETE)
        req.key = "key";
    (void)store_call(fault_store, &req);
    return req;
}

void fault_expect(const struct fault_step *script, struct store_req req, int err, unsigned tries)
{
    req = fault_play(script, req);
    if (req.err != err)
        print_error("%s\n", req.error_text);
    assert_int_equal(req.err, err);
    assert_int_equal(fault_server_count(fault_server), tries);
    store_req_clear(&req);
}
