/*
 * ONC RPC over a plain socket, one call at a time, with everything in the test's hands: xid,
 * credentials, source address, the bytes themselves. Arguments and results are coded by libnfs's
 * own filters, so the gateway's are checked against another implementation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-raw-portmap.h>

#include "rig.h"

enum { WIRE_GROUPS_MAX = 16, WIRE_RECORD_MAX = 4 << 20 };
enum { MOUNT_PROG = 100005, NFS_PROG = 100003, PMAP_PROG = 100000, NFSACL_PROG = 100227 };

/* A filter of libnfs as zdrproc_t. */
#define FILTER(f) ((zdrproc_t)(void (*)(void))(f))

struct cred {
    bool none; /* AUTH_NONE */
    uint32_t uid, gid;
    uint32_t group_count;
    uint32_t groups[WIRE_GROUPS_MAX];
};

struct conn {
    int fd;
    bool udp;
    bool patient; /* asks again after JUKEBOX, as clients do */
    uint32_t xid; /* of the last call */
    struct cred cred;
    struct wire_kept *kept; /* decoded replies: they live as long as the connection */
};

struct bytes {
    uint8_t *data; /* to be freed */
    size_t len;
};

/* As root, from any port of 127.0.0.1. */
struct conn *conn_open(const struct server *server);
/* from: source address; source port below 1024 if reserved. To the same address if it is not a
 * loopback one. */
struct conn *conn_open_from(const struct server *server, const char *from, bool reserved);
struct conn *conn_open_port(uint16_t port, bool udp);
void conn_close(struct conn *conn);
void conn_identify(struct conn *conn, uint32_t uid, uint32_t gid);

/* The bytes of one call, without the record mark. filter NULL: no arguments. */
struct bytes call_encode(const struct conn *conn, uint32_t xid, uint32_t prog, uint32_t vers,
                         uint32_t proc, zdrproc_t filter, const void *args);
/* Bytes as they are / as one record of one fragment. */
void conn_send_raw(struct conn *conn, const void *data, size_t len);
void conn_send(struct conn *conn, const void *data, size_t len);

struct reply {
    struct bytes bytes; /* the whole record; owned by the connection */
    uint32_t xid;
    enum reply_stat stat;
    enum accept_stat accept;
    enum reject_stat reject;
    enum auth_stat auth;
    uint32_t low, high; /* of both mismatches */
    uint8_t *body;      /* results of SUCCESS */
    size_t body_len;
};

/* The next reply; 30 s at most. False: the server has closed the connection. Each reply must come
 * as one record fragment. */
bool conn_recv(struct conn *conn, struct reply *ret);
/* True if the server closes the connection without a further byte, within 30 s. */
bool conn_closed(struct conn *conn);

/* Waits until one of two connections has something to receive, 30 s at most: 0 or 1. */
int conn_first(struct conn *a, struct conn *b);

/* Sends a call with the next xid and waits for its reply; again, with another xid, if the
 * connection is patient. */
void conn_call(struct conn *conn, uint32_t prog, uint32_t vers, uint32_t proc, zdrproc_t filter,
               const void *args, struct reply *ret);
/* The same, must be accepted with SUCCESS; decodes all of the results. */
void conn_run(struct conn *conn, uint32_t prog, uint32_t vers, uint32_t proc, zdrproc_t filter,
              const void *args, zdrproc_t res_filter, void *res);
/* Decodes the results of a reply: all of its bytes must be used. */
void reply_decode(struct conn *conn, const struct reply *reply, zdrproc_t filter, void *res);
