/*
 * One TCP connection. Its reactor's thread alone reads from it, closes it and changes the reading
 * side; replies are queued and sent by whichever thread has one.
 */
#pragma once

#include "nfsd/record.h"
#include "nfsd/server_int.h"

struct conn {
    struct source source;
    struct nfsd *nfsd;
    struct reactor *reactor;
    struct listener *listener;
    atomic_uint refs;
    int fd; /* closed with the last reference */
    union rpc_addr peer, local;

    /* The reactor's thread only: */
    TAILQ_ENTRY(conn) link; /* reactor->conns */
    struct record_reader in;
    bool listed;        /* in reactor->conns */
    bool more;          /* there may be something to receive */
    bool half_closed;   /* the end of input has been announced: receive until it comes */
    bool eof;           /* nothing more will come; closed when all is answered */
    int64_t heard_ns;   /* when something was received */
    int64_t partial_ns; /* when the present half record began; 0 = there is none */

    TAILQ_ENTRY(conn) mail; /* reactor->mail; under its lock */
    bool mailed;

    atomic_bool paused; /* not read because of a limit; who lowers a count mails the reactor */
    atomic_bool dead;   /* sending failed, or closed */
    atomic_uint calls;  /* under way: from the record to the last byte of the reply */

    pthread_mutex_t lock; /* a leaf; for what follows */
    struct call_queue out;
    atomic_uint_fast64_t unsent; /* read without the lock for the limits */
    bool flushing;               /* a thread is in sendmsg with the head of the queue */
    bool full;                   /* the socket takes no more: EPOLLOUT will come */
    bool again;                  /* EPOLLOUT came while flushing */
    int64_t moved_ns;            /* when unsent last went down, or up from 0 */
};

/* Takes over fd. The connection begins in the mail of reactor. */
void conn_start(struct nfsd *nfsd, struct listener *listener, struct reactor *reactor, int fd,
                const union rpc_addr *peer);
struct conn *conn_ref(struct conn *conn);
void conn_unref(struct conn *conn);

/* Any thread: queues a reply (takes the call over) / sends what is queued, as far as it goes. */
void conn_queue(struct conn *conn, struct call *call);
void conn_flush(struct conn *conn);
/* A call of this connection is over: drops the call's reference. */
void conn_call_ended(struct conn *conn);

/* The reactor's thread: */
void conn_event(struct conn *conn, uint32_t events);
void conn_service(struct conn *conn); /* mail has come */
void conn_tick(struct conn *conn, int64_t now_ns);
void conn_close(struct conn *conn);
