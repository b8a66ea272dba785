/* One TCP connection with many calls in flight. Blocking only in poll; any failure ends the
 * program. */
#pragma once

#include "wire.h"

/* A series of calls: encode makes number i, reply sees its answer (behind the RPC header). */
struct conn_series {
    uint32_t prog, vers;
    uint32_t window; /* calls in flight */
    void (*encode)(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc);
    void (*reply)(void *ctx, uint32_t i, struct wire_in *in);
    void *ctx;
};

struct conn;

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct conn *conn_open(const char *host, const char *port);
void conn_close(struct conn *conn);

/* Runs calls first..first+count-1 of the series; returns when all are answered. */
void conn_run(struct conn *conn, const struct conn_series *series, uint32_t first, uint32_t count);
