/* The server as a whole: configuration, listeners, start, drain, stop. */
#include "nfsd/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "nfsd/conn.h"
#include "nfsd/server_int.h"

enum { LISTEN_BACKLOG = 512, LISTEN_ANY_PORT_TRIES = 16 };

void nfsd_config_default(struct nfsd_config *config)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct rlimit files;

    *config = (struct nfsd_config){
        .reactors = cpus > 1 ? 2 : 1,
        .workers_max = 128,
        .connections_max = 1024,
        .calls_conn_max = 256,
        .calls_max = 4096,
        .record_max = 2 << 20,
        .receive_max = 128 << 20,
        .unsent_conn_max = 4 << 20,
        .unsent_max = 64 << 20,
        .replies_kept_max = 16 << 20,
        .idle_ns = 600 * CLOCK_S,
        .stall_ns = 60 * CLOCK_S,
        .request_timeout_ns = 15 * CLOCK_S,
        .worker_idle_ns = 10 * CLOCK_S,
    };
    /* Clients must not take the descriptors that files and stores need. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < config->connections_max)
        config->connections_max = (uint32_t)(files.rlim_cur / 2);
}

bool nfsd_is_full(struct nfsd *nfsd)
{
    return atomic_load(&nfsd->calls) >= nfsd->config.calls_max;
}

void nfsd_relieve(struct nfsd *nfsd)
{
    if (!atomic_load(&nfsd->starved) || nfsd_is_full(nfsd) || buf_pool_full(nfsd->pool) ||
        atomic_load(&nfsd->unsent) >= nfsd->config.unsent_max ||
        !atomic_exchange(&nfsd->starved, false))
        return;
    for (unsigned i = 0; i < nfsd->config.reactors; i++) {
        atomic_store(&nfsd->reactors[i].resume, true);
        reactor_wake(&nfsd->reactors[i]);
    }
}

/* A retransmission came over another connection while the call is under way: the reply goes there,
 * and the newcomer ends with the connection of the first. */
static void rebind(void *owner, void *newcomer)
{
    struct call *first = owner, *second = newcomer;
    struct conn *conn = first->conn;

    first->conn = second->conn;
    second->conn = conn;
}

struct nfsd *nfsd_new(const struct nfsd_config *config)
{
    struct nfsd *nfsd = mem_zalloc(sizeof(*nfsd));

    assert(config->reactors > 0 && config->workers_max > 0);
    nfsd->config = *config;
    nfsd->pool = buf_pool_new(config->receive_max);
    nfsd->drc = drc_new(config->replies_kept_max, rebind);
    nfsd->workers = worker_pool_new(config->workers_max, config->worker_idle_ns);
    nfsd->reactors = mem_array(config->reactors, sizeof(*nfsd->reactors));
    nfsd->reserve_fd = -1;
    TAILQ_INIT(&nfsd->listeners);
    pthread_mutex_init(&nfsd->drain_lock, NULL);
    thread_cond_init(&nfsd->drain_cond);
    return nfsd;
}

/* --- listening --- */

static bool parse_address(const char *text, uint16_t port, union rpc_addr *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
        ret->in.sin_family = AF_INET;
        ret->in.sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1) {
        ret->in6.sin6_family = AF_INET6;
        ret->in6.sin6_port = htons(port);
        return true;
    }
    return false;
}

static uint16_t port_of(const union rpc_addr *addr)
{
    return ntohs(addr->sa.sa_family == AF_INET ? addr->in.sin_port : addr->in6.sin6_port);
}

static socklen_t size_of(const union rpc_addr *addr)
{
    return addr->sa.sa_family == AF_INET ? sizeof(addr->in) : sizeof(addr->in6);
}

/* The descriptor, which is no longer closed at the end of the scope. */
static int keep_fd(int *fd)
{
    int kept = *fd;

    *fd = -1;
    return kept;
}

/* A bound socket or -errno; addr gets the port that was bound. */
static int bind_socket(union rpc_addr *addr, bool udp)
{
    CLEANUP_CLOSE int fd = socket(
        addr->sa.sa_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof(*addr);
    int on = 1, r = 0;

    if (fd < 0)
        return -errno;
    if (addr->sa.sa_family == AF_INET6) {
        int only = !IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);

        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0)
            return -errno;
    }
    if (udp)
        r = udp_prepare(fd, addr->sa.sa_family);
    else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        r = -errno;
    if (r < 0)
        return r;
    if (bind(fd, &addr->sa, size_of(addr)) < 0 || (!udp && listen(fd, LISTEN_BACKLOG) < 0) ||
        getsockname(fd, &addr->sa, &len) < 0)
        return -errno;
    return keep_fd(&fd);
}

static void add_listener(struct nfsd *nfsd, const struct nfsd_listen *listen_on, int fd, bool udp,
                         const union rpc_addr *local)
{
    struct listener *listener = mem_zalloc(sizeof(*listener));

    listener->source.kind = udp ? SOURCE_UDP : SOURCE_LISTENER;
    listener->nfsd = nfsd;
    listener->fd = fd;
    listener->udp = udp;
    listener->local = *local;
    listener->programs = listen_on->programs;
    listener->program_count = listen_on->program_count;
    TAILQ_INSERT_TAIL(&nfsd->listeners, listener, link);
}

/* TCP and UDP on one address and the same port. */
static int bind_both(struct nfsd *nfsd, const struct nfsd_listen *listen_on, const char *address,
                     uint16_t *port)
{
    CLEANUP_CLOSE int tcp = -1;
    CLEANUP_CLOSE int udp = -1;
    union rpc_addr addr;

    if (!parse_address(address, *port, &addr))
        return -EINVAL;
    if (listen_on->tcp) {
        tcp = bind_socket(&addr, false);
        if (tcp < 0)
            return tcp;
    }
    if (listen_on->udp) {
        udp = bind_socket(&addr, true);
        if (udp < 0)
            return udp;
    }
    if (tcp >= 0)
        add_listener(nfsd, listen_on, keep_fd(&tcp), false, &addr);
    if (udp >= 0)
        add_listener(nfsd, listen_on, keep_fd(&udp), true, &addr);
    *port = port_of(&addr);
    return 0;
}

static int bind_any(struct nfsd *nfsd, const struct nfsd_listen *listen_on, const char *address,
                    uint16_t *port)
{
    int r = bind_both(nfsd, listen_on, address, port);

    /* Any port: the one that TCP got may be taken for UDP. */
    for (int i = 0; *port == 0 && r == -EADDRINUSE && i < LISTEN_ANY_PORT_TRIES; i++)
        r = bind_both(nfsd, listen_on, address, port);
    return r;
}

int nfsd_listen(struct nfsd *nfsd, const struct nfsd_listen *listen_on, uint16_t *ret_port,
                struct nfsd_error *reterr)
{
    const char *address = listen_on->address ? listen_on->address : "127.0.0.1";
    uint16_t port = listen_on->port;
    int r;

    assert(!nfsd->started);
    r = bind_any(nfsd, listen_on, address, &port);
    if (r == 0 && !listen_on->address) {
        address = "::1";
        r = bind_any(nfsd, listen_on, address, &port);
        if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
            r = 0; /* a machine without IPv6 */
    }
    if (r == -EINVAL)
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "cannot listen on \"%.100s\": not a numeric IPv4 or IPv6 address", address);
    else if (r < 0)
        (void)snprintf(reterr->text, sizeof(reterr->text), "cannot listen on %.100s port %u: %s",
                       address, port, strerrordesc_np(-r));
    else if (ret_port)
        *ret_port = port;
    return r;
}

bool nfsd_load_reply(void *ctx, const void *key, size_t key_len, const void *reply,
                     size_t reply_len)
{
    struct nfsd *nfsd = ctx;
    struct drc_key copy;

    if (key_len != sizeof(copy))
        return false;
    memcpy(&copy, key, sizeof(copy));
    drc_load(nfsd->drc, &copy, reply, reply_len);
    return true;
}

/* --- running --- */

int nfsd_start(struct nfsd *nfsd, struct nfsd_error *reterr)
{
    struct listener *listener;
    int r = 0;

    assert(!nfsd->started);
    nfsd->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (unsigned i = 0; i < nfsd->config.reactors; i++) {
        int ri = reactor_init(&nfsd->reactors[i], nfsd, i);

        r = r < 0 ? r : ri;
    }
    atomic_store(&nfsd->started, true); /* nfsd_durable may have been called before */
    TAILQ_FOREACH (listener, &nfsd->listeners, link)
        if (r == 0)
            r = reactor_watch(&nfsd->reactors[0], listener->fd, &listener->source, EPOLLIN);
    for (unsigned i = 0; i < nfsd->config.reactors && r == 0; i++)
        r = reactor_start(&nfsd->reactors[i]);
    if (r < 0)
        (void)snprintf(reterr->text, sizeof(reterr->text), "cannot start the NFS server: %s",
                       strerrordesc_np(-r));
    return r;
}

void nfsd_durable(void *ctx, uint64_t seq)
{
    struct nfsd *nfsd = ctx;
    uint_fast64_t old = atomic_load(&nfsd->durable);

    while (old < seq)
        if (atomic_compare_exchange_weak(&nfsd->durable, &old, seq))
            break;
    if (!nfsd->started)
        return;
    for (unsigned i = 0; i < nfsd->config.reactors; i++)
        reactor_durable(&nfsd->reactors[i], seq);
}

bool nfsd_drain(struct nfsd *nfsd, int64_t deadline_ns)
{
    bool done;

    atomic_store(&nfsd->draining, true);
    pthread_mutex_lock(&nfsd->drain_lock);
    while (!(done = atomic_load(&nfsd->calls) == 0))
        if (!thread_cond_wait_until(&nfsd->drain_cond, &nfsd->drain_lock, deadline_ns))
            break;
    pthread_mutex_unlock(&nfsd->drain_lock);
    return done;
}

void nfsd_stop(struct nfsd *nfsd)
{
    if (!nfsd->started || nfsd->stopped)
        return;
    nfsd->stopped = true;
    atomic_store(&nfsd->draining, true);
    atomic_store(&nfsd->stopping, true);
    for (unsigned i = 0; i < nfsd->config.reactors; i++)
        reactor_join(&nfsd->reactors[i]);
    worker_pool_stop(nfsd->workers);
    for (unsigned i = 0; i < nfsd->config.reactors; i++)
        reactor_close(&nfsd->reactors[i]);
    /* Closing connections of one may have mailed another. */
    for (unsigned i = 0; i < nfsd->config.reactors; i++)
        reactor_close(&nfsd->reactors[i]);
    assert(atomic_load(&nfsd->calls) == 0);
    assert(atomic_load(&nfsd->connections) == 0);
}

void nfsd_free(struct nfsd *nfsd)
{
    struct listener *listener;

    if (!nfsd)
        return;
    nfsd_stop(nfsd);
    while ((listener = TAILQ_FIRST(&nfsd->listeners))) {
        TAILQ_REMOVE(&nfsd->listeners, listener, link);
        (void)close(listener->fd);
        free(listener);
    }
    if (nfsd->started)
        for (unsigned i = 0; i < nfsd->config.reactors; i++)
            reactor_fini(&nfsd->reactors[i]);
    if (nfsd->reserve_fd >= 0)
        (void)close(nfsd->reserve_fd);
    worker_pool_free(nfsd->workers);
    drc_free(nfsd->drc);
    buf_pool_free(nfsd->pool);
    pthread_mutex_destroy(&nfsd->drain_lock);
    pthread_cond_destroy(&nfsd->drain_cond);
    free(nfsd->reactors);
    free(nfsd);
}

void nfsd_get_usage(struct nfsd *nfsd, struct nfsd_usage *ret)
{
    struct drc_usage drc;

    drc_get_usage(nfsd->drc, &drc);
    *ret = (struct nfsd_usage){
        .connections = atomic_load(&nfsd->connections),
        .calls = atomic_load(&nfsd->calls),
        .calls_held = atomic_load(&nfsd->calls_held),
        .workers = worker_pool_threads(nfsd->workers),
        .receive_bytes = buf_pool_used(nfsd->pool),
        .unsent_bytes = atomic_load(&nfsd->unsent),
        .calls_served = atomic_load(&nfsd->served),
        .calls_handed_over = atomic_load(&nfsd->handed_over),
        .replies_replayed = atomic_load(&nfsd->replayed),
        .connections_refused = atomic_load(&nfsd->refused),
        .replies_kept = drc.entries,
        .replies_kept_bytes = drc.bytes,
        .replies_kept_max = drc.bytes_max,
    };
}
