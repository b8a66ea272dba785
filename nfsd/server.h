/*
 * The RPC server: listeners, threads, limits, and the table of programs it serves.
 *
 * Life: nfsd_new, nfsd_listen..., (nfsd_load_reply...), nfsd_start, [nfsd_drain], nfsd_stop,
 * nfsd_free. The file system that calls nfsd_durable must be stopped between nfsd_stop and
 * nfsd_free.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xdr_types.h"

struct nfsd;

/* Every limit of the transport. nfsd_config_default fills in the defaults named here. */
struct nfsd_config {
    uint32_t reactors;          /* threads that own connections; min(2, processors) */
    uint32_t workers_max;       /* threads for calls that wait; 128. Idle ones end */
    uint32_t connections_max;   /* 1024, or half the limit on descriptors; more are closed */
    uint32_t calls_conn_max;    /* calls under way per connection; 256. Beyond: not read */
    uint32_t calls_max;         /* calls under way in all; 4096 */
    uint32_t record_max;        /* bytes of one record; 2 MiB. Larger: connection closed */
    uint64_t receive_max;       /* bytes of receive buffers in all; 128 MiB */
    uint64_t unsent_conn_max;   /* bytes of unsent replies per connection; 4 MiB */
    uint64_t unsent_max;        /* in all; 64 MiB */
    uint64_t replies_kept_max;  /* bytes of replies kept for retransmissions; 16 MiB */
    int64_t idle_ns;            /* a connection without traffic is closed; 10 min */
    int64_t stall_ns;           /* half a record, or a reply nobody takes: closed; 60 s */
    int64_t request_timeout_ns; /* rpc_call.deadline_ns; 15 s */
    int64_t worker_idle_ns;     /* 10 s */
};
void nfsd_config_default(struct nfsd_config *config);

/* One version of one program. */
struct nfsd_program {
    uint32_t prog, vers;
    void (*dispatch)(struct svc_req *req, SVCXPRT *xprt); /* rpcgen's */
    uint64_t once; /* bit n: procedure n goes through the duplicate request cache */
    bool udp;      /* served over UDP too; otherwise PROG_UNAVAIL there */
    void *ctx;     /* rpc_call.ctx */
};

struct nfsd_error {
    char text[256];
};

/* config is copied. */
struct nfsd *nfsd_new(const struct nfsd_config *config);

struct nfsd_listen {
    const char *address; /* numeric IPv4 or IPv6; "::" takes IPv4 too. NULL: both loopbacks */
    uint16_t port;       /* 0: any */
    bool tcp, udp;
    const struct nfsd_program *programs; /* must stay; the versions of a program are contiguous */
    size_t program_count;
};
/* Binds now, serves from nfsd_start on. 0 or -errno with a sentence: -EADDRINUSE, -EACCES, ...
 * ret_port may be NULL. */
int nfsd_listen(struct nfsd *nfsd, const struct nfsd_listen *listen, uint16_t *ret_port,
                struct nfsd_error *reterr);

/* A reply kept by an earlier run (what rpc_call_key and rpc_encode_reply gave), oldest first;
 * before nfsd_start. False: not of a form this version understands. Matches fs_reply_fn with ctx =
 * nfsd. */
bool nfsd_load_reply(void *nfsd, const void *key, size_t key_len, const void *reply,
                     size_t reply_len);

int nfsd_start(struct nfsd *nfsd, struct nfsd_error *reterr);

/* Everything up to seq is durable: replies held for it go out. Any thread; does not block. Matches
 * fs_on_durable with ctx = nfsd. */
void nfsd_durable(void *nfsd, uint64_t seq);

/* Stops accepting and reading; waits until every call under way has been answered and sent, or the
 * deadline. True: nothing is left. */
bool nfsd_drain(struct nfsd *nfsd, int64_t deadline_ns);

/* Ends the threads (waiting for procedures still running) and closes all connections; what was not
 * answered is not answered. nfsd_durable may still be called afterwards, but does nothing. */
void nfsd_stop(struct nfsd *nfsd);
void nfsd_free(struct nfsd *nfsd); /* stops if need be; NULL is fine */

struct nfsd_usage {
    uint32_t connections, calls, calls_held, workers;
    uint64_t receive_bytes, unsent_bytes;
    uint64_t calls_served, calls_handed_over, replies_replayed, connections_refused;
    uint64_t replies_kept, replies_kept_bytes, replies_kept_max; /* for retransmissions */
};
void nfsd_get_usage(struct nfsd *nfsd, struct nfsd_usage *ret);
