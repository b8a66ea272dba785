/*
 * An HTTP server on 127.0.0.1 that misbehaves as told. A script is a list of steps; each request
 * takes the first step not yet used up whose "match" is a beginning of its request line. A request
 * without a step gets 418, and the test fails by what it then sees.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct fault_step {
    const char *match;   /* "GET /b/key", "" = any; NULL ends the script */
    const char *status;  /* "200 OK"; NULL = close the connection without an answer */
    const char *headers; /* lines, each with \r\n; or NULL */
    const char *body;    /* or NULL */
    size_t length;       /* Content-Length, if not that of the body: the rest never comes */
    bool reset;          /* end with a TCP reset */
    bool deaf;           /* from now on nobody can connect */
    bool hang;           /* say nothing, until the peer goes away */
    unsigned times;      /* 0 = once; FAULT_ALWAYS */
};
enum { FAULT_ALWAYS = 1000000, FAULT_REQUESTS_MAX = 256 };

struct fault_server;
struct fault_server *fault_server_start(const struct fault_step *script);
void fault_server_stop(struct fault_server *server);
unsigned fault_server_port(const struct fault_server *server);
/* Another script, from its beginning; forgets the requests so far. */
void fault_server_script(struct fault_server *server, const struct fault_step *script);
/* How many requests came, and the head of the nth (from 0); valid until the next script. */
unsigned fault_server_count(struct fault_server *server);
const char *fault_server_request(struct fault_server *server, unsigned n);
