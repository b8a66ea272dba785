/* For the tests of the RPC core: a server with a small program of its own, and a client that builds
 * its bytes by hand, so that it can also send wrong ones. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nfsd/server.h"
#include "tests/await.h"

enum {
    PEER_PROG = 0x20000099,
    PEER_VERS = 3, /* and 4; 2 and 5 do not exist */
    PEER_NULL = 0,
    PEER_ECHO = 1,  /* opaque<> -> the same, by reference to a copy */
    PEER_WAIT = 2,  /* would block; then waits for peer_gate_open */
    PEER_HOLD = 3,  /* uint64 seq -> seq, held until it is durable */
    PEER_ONCE = 4,  /* (once) uint32 wait -> how often it has run; waits for the gate if asked */
    PEER_BYTES = 5, /* uint32 n -> opaque of n bytes, by one reference */
    PEER_FALSE = 6, /* returns FALSE for no reason */
    PEER_DROP = 7,
    PEER_STRING = 8,   /* nfspath3 -> its length */
    PEER_LATER = 9,    /* (once) uint32 -> run count, not kept (rpc_forget) */
    PEER_JOURNAL = 10, /* (once) encodes its reply early: rpc_encode_reply */
    PEER_ENTRIES = 11, /* uint32 n -> READDIR3res with n entries */

    PEER_RECORD_MAX = 3 << 20,
};

extern struct nfsd_program peer_programs[2];
extern atomic_uint peer_ran;      /* runs of PEER_ONCE and its kind that got through */
extern atomic_uint peer_released; /* references given back */
extern atomic_uint peer_waiting;  /* calls in the gate */
extern atomic_uint peer_waited;   /* calls that have passed it */
void peer_gate_close(void);
void peer_gate_open(void);

/* What the last PEER_JOURNAL would have put into the database. */
struct peer_kept_reply {
    uint8_t key[64], reply[64];
    size_t key_len, reply_len;
};
extern struct peer_kept_reply peer_kept;

struct peer_server {
    struct nfsd *nfsd;
    uint16_t port;
};
/* config NULL: defaults. Serves peer_programs on 127.0.0.1, TCP and UDP. */
void peer_server_start(struct peer_server *server, const struct nfsd_config *config);
/* The same with a reply of an earlier run. */
void peer_server_start_with(struct peer_server *server, const struct nfsd_config *config,
                            const struct peer_kept_reply *kept);
void peer_server_stop(struct peer_server *server);

int peer_connect(uint16_t port);

struct peer_msg {
    uint8_t *bytes;
    size_t len, cap;
};
void peer_msg_free(struct peer_msg *msg);
void peer_put_u32(struct peer_msg *msg, uint32_t v);
void peer_put_u64(struct peer_msg *msg, uint64_t v);
void peer_put_opaque(struct peer_msg *msg, const void *bytes, uint32_t len);
/* The head of a call with AUTH_NONE, without a record mark. */
void peer_put_call(struct peer_msg *msg, uint32_t xid, uint32_t proc);
void peer_put_call_to(struct peer_msg *msg, uint32_t xid, uint32_t prog, uint32_t vers,
                      uint32_t proc);

void peer_send_all(int fd, const void *bytes, size_t len);
/* As one record of one fragment. */
void peer_send(int fd, const struct peer_msg *msg);

struct peer_reply {
    uint8_t *bytes; /* malloced; after the mark */
    size_t len;
    uint32_t fragments;
};
/* Waits at most ten seconds. False: the connection was closed. */
bool peer_recv(int fd, struct peer_reply *ret);
void peer_reply_free(struct peer_reply *reply);
uint32_t peer_u32(const struct peer_reply *reply, size_t at);
/* xid of an accepted reply, checked to be SUCCESS; results begin at 24. */
uint32_t peer_success(const struct peer_reply *reply);
/* Sends, receives, checks the xid and SUCCESS. */
void peer_call(int fd, const struct peer_msg *msg, struct peer_reply *ret);
/* A NULL call must be answered. */
void peer_check_alive(int fd, uint32_t xid);
/* True when nothing arrives for ms. */
bool peer_silent(int fd, int ms);
/* Waits (at most ten seconds) until *value is want. */
void peer_await(atomic_uint *value, uint32_t want);
/* PEER_HOLD and PEER_BYTES, sent and not waited for. */
void peer_send_hold(int fd, uint32_t xid, uint64_t seq);
void peer_ask_bytes(int fd, uint32_t xid, uint32_t n);
/* The xid of the next reply, which must be a SUCCESS. */
uint32_t peer_recv_xid(int fd);

struct nfsd_usage peer_usage(struct peer_server *server);
/* Waits for an expression about the usage, which it calls u. */
#define PEER_AWAIT_USAGE(server, expr)           \
    do {                                         \
        struct nfsd_usage u;                     \
        AWAIT((u = peer_usage(server), (expr))); \
    } while (0)
