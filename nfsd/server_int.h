/* What the parts of the transport share: the server, its reactors, connections and listeners. */
#pragma once

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nfsd/rpc_int.h"
#include "nfsd/server.h"

struct worker_pool;
struct listener;

/* What an epoll event points to. */
enum source_kind { SOURCE_WAKE, SOURCE_LISTENER, SOURCE_CONN, SOURCE_UDP };
struct source {
    enum source_kind kind;
};

TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(held_list, call);

/*
 * A thread with an epoll instance that owns connections. Locks, all leaves: mail_lock, held_lock,
 * pool_lock.
 */
struct reactor {
    struct nfsd *nfsd;
    unsigned index;
    pthread_t thread;
    bool started;
    int epoll_fd;
    struct source wake; /* what wake_fd's event points to */
    int wake_fd;
    atomic_bool waking; /* wake_fd has been written and not read */

    /* The reactor's thread only: */
    struct conn_list conns;
    int64_t next_tick_ns;

    atomic_bool resume; /* a limit on the whole server is no longer reached: look at who waits */

    pthread_mutex_t mail_lock;
    struct conn_list mail; /* connections to be looked at, each with a reference */

    pthread_mutex_t held_lock;
    struct held_list held; /* by hold_seq, then by arrival */
    uint32_t held_count;

    pthread_mutex_t pool_lock;
    struct call_queue pool;
    uint32_t pool_count;
};

struct listener {
    struct source source;
    struct nfsd *nfsd;
    int fd;
    bool udp;
    bool off; /* reactor 0 only: taken out of epoll until the next tick (no descriptors) */
    union rpc_addr local;
    const struct nfsd_program *programs;
    size_t program_count;
    TAILQ_ENTRY(listener) link;
};

struct nfsd {
    struct nfsd_config config;
    struct buf_pool *pool;
    struct drc *drc;
    struct worker_pool *workers;
    struct reactor *reactors;
    TAILQ_HEAD(, listener) listeners;
    int reserve_fd; /* reactor 0 only: given up to accept and refuse when descriptors run out */
    unsigned next_reactor;
    atomic_bool started; /* the reactors are there: others may talk to them */
    bool stopped;

    atomic_bool draining; /* accept and read nothing more */
    atomic_bool stopping; /* reactors end */
    atomic_bool starved;  /* a connection is not read because of a limit on the whole server */
    atomic_uint_fast64_t durable;
    atomic_uint connections;
    atomic_uint calls;
    atomic_uint calls_held;
    atomic_uint_fast64_t unsent;
    atomic_uint_fast64_t served, handed_over, replayed, refused;

    pthread_mutex_t drain_lock;
    pthread_cond_t drain_cond; /* calls has become 0 while draining */
};

/* --- server.c --- */

/* True while the limits that concern all connections forbid taking on more. */
bool nfsd_is_full(struct nfsd *nfsd);
/* Something that counts against these limits has gone: wakes who waits for it. */
void nfsd_relieve(struct nfsd *nfsd);

/* --- reactor.c --- */

int reactor_init(struct reactor *reactor, struct nfsd *nfsd, unsigned index);
int reactor_start(struct reactor *reactor);
void reactor_join(struct reactor *reactor);
/* After all threads have ended: closes connections, frees held calls and mail. */
void reactor_close(struct reactor *reactor);
void reactor_fini(struct reactor *reactor);

void reactor_wake(struct reactor *reactor);
int reactor_watch(struct reactor *reactor, int fd, struct source *source, uint32_t events);
/* Has the reactor's thread look at the connection (conn_service) soon. Any thread. */
void reactor_mail(struct reactor *reactor, struct conn *conn);
/* Parks a replied call until nfsd_durable reaches its hold_seq; false if that is so already. */
bool reactor_hold(struct reactor *reactor, struct call *call);
/* Any thread: looks whether held calls are ready, and wakes the reactor if so. */
void reactor_durable(struct reactor *reactor, uint64_t seq);

/* --- udp.c --- */

/* Receives and runs datagrams, some at a time. */
void udp_readable(struct listener *listener, struct reactor *reactor);
void udp_send(struct call *call); /* frees the call */
/* What the socket needs so that replies leave from the address that was asked. 0 or -errno. */
int udp_prepare(int fd, int family);

/* --- worker.c --- */

struct worker_pool *worker_pool_new(uint32_t threads_max, int64_t idle_ns);
/* Runs call_work(call) on some thread. False: there is no thread and none can be had. */
bool worker_pool_submit(struct worker_pool *pool, struct call *call);
uint32_t worker_pool_threads(struct worker_pool *pool);
/* Waits for running calls; frees those that have not begun. */
void worker_pool_stop(struct worker_pool *pool);
void worker_pool_free(struct worker_pool *pool); /* NULL is fine */
