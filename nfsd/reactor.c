/*
 * A reactor: the thread that accepts (the first one), receives, runs first tries, and sends what
 * was held or could not be sent at once. Everything that other threads want from it comes through
 * the mail, the list of held calls, or a flag, followed by reactor_wake.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "nfsd/conn.h"
#include "nfsd/server_int.h"

enum {
    REACTOR_EVENTS = 64,
    REACTOR_ACCEPTS = 64, /* per event, before others get their turn */
    REACTOR_DIRTY = 32,   /* connections that one batch of held replies goes to */
    REACTOR_TICK_MS = 1000,
};

int reactor_init(struct reactor *reactor, struct nfsd *nfsd, unsigned index)
{
    memset(reactor, 0, sizeof(*reactor));
    reactor->nfsd = nfsd;
    reactor->index = index;
    reactor->wake.kind = SOURCE_WAKE;
    TAILQ_INIT(&reactor->conns);
    TAILQ_INIT(&reactor->mail);
    TAILQ_INIT(&reactor->held);
    STAILQ_INIT(&reactor->pool);
    pthread_mutex_init(&reactor->mail_lock, NULL);
    pthread_mutex_init(&reactor->held_lock, NULL);
    pthread_mutex_init(&reactor->pool_lock, NULL);
    reactor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (reactor->wake_fd < 0 || reactor->epoll_fd < 0)
        return -errno;
    return reactor_watch(reactor, reactor->wake_fd, &reactor->wake, EPOLLIN);
}

void reactor_fini(struct reactor *reactor)
{
    call_pool_clear(reactor);
    if (reactor->wake_fd >= 0)
        (void)close(reactor->wake_fd);
    if (reactor->epoll_fd >= 0)
        (void)close(reactor->epoll_fd);
    pthread_mutex_destroy(&reactor->mail_lock);
    pthread_mutex_destroy(&reactor->held_lock);
    pthread_mutex_destroy(&reactor->pool_lock);
}

int reactor_watch(struct reactor *reactor, int fd, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void reactor_wake(struct reactor *reactor)
{
    uint64_t one = 1;

    if (!atomic_exchange(&reactor->waking, true))
        (void)!write(reactor->wake_fd, &one, sizeof(one)); /* cannot fail: the counter is 0 or 1 */
}

void reactor_mail(struct reactor *reactor, struct conn *conn)
{
    {
        LOCK_SCOPE(&reactor->mail_lock);
        if (conn->mailed)
            return;
        conn->mailed = true;
        conn_ref(conn);
        TAILQ_INSERT_TAIL(&reactor->mail, conn, mail);
    }
    reactor_wake(reactor);
}

static struct conn *take_mail(struct reactor *reactor)
{
    struct conn *conn;

    LOCK_SCOPE(&reactor->mail_lock);
    conn = TAILQ_FIRST(&reactor->mail);
    if (conn) {
        TAILQ_REMOVE(&reactor->mail, conn, mail);
        conn->mailed = false;
    }
    return conn;
}

static bool has_mail(struct reactor *reactor)
{
    LOCK_SCOPE(&reactor->mail_lock);
    return !TAILQ_EMPTY(&reactor->mail);
}

/* Each connection at most once, though it may mail itself again. */
static void service_mail(struct reactor *reactor)
{
    struct conn_list batch = TAILQ_HEAD_INITIALIZER(batch);
    struct conn *conn;

    {
        LOCK_SCOPE(&reactor->mail_lock);
        TAILQ_CONCAT(&batch, &reactor->mail, mail);
    }
    while ((conn = TAILQ_FIRST(&batch))) {
        {
            LOCK_SCOPE(&reactor->mail_lock);
            TAILQ_REMOVE(&batch, conn, mail);
            conn->mailed = false;
        }
        conn_service(conn);
        conn_unref(conn);
    }
}

/* --- held replies --- */

bool reactor_hold(struct reactor *reactor, struct call *call)
{
    struct call *before;

    LOCK_SCOPE(&reactor->held_lock);
    if (call->hold_seq <= atomic_load(&reactor->nfsd->durable))
        return false;
    /* Numbers come nearly in order, so the place is found at once. */
    TAILQ_FOREACH_REVERSE(before, &reactor->held, held_list, held)
    if (before->hold_seq <= call->hold_seq)
        break;
    if (before)
        TAILQ_INSERT_AFTER(&reactor->held, before, call, held);
    else
        TAILQ_INSERT_HEAD(&reactor->held, call, held);
    atomic_fetch_add(&reactor->nfsd->calls_held, 1);
    return true;
}

void reactor_durable(struct reactor *reactor, uint64_t seq)
{
    bool ready;

    {
        LOCK_SCOPE(&reactor->held_lock);
        ready = !TAILQ_EMPTY(&reactor->held) && TAILQ_FIRST(&reactor->held)->hold_seq <= seq;
    }
    if (ready)
        reactor_wake(reactor);
}

static struct call *take_held(struct reactor *reactor, bool all)
{
    struct call *call;

    LOCK_SCOPE(&reactor->held_lock);
    call = TAILQ_FIRST(&reactor->held);
    if (!call || (!all && call->hold_seq > atomic_load(&reactor->nfsd->durable)))
        return NULL;
    TAILQ_REMOVE(&reactor->held, call, held);
    atomic_fetch_sub(&reactor->nfsd->calls_held, 1);
    return call;
}

static void flush_all(struct conn **dirty, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        conn_flush(dirty[i]);
        conn_unref(dirty[i]);
    }
    *count = 0;
}

/* Replies to one connection leave together. */
static void release_held(struct reactor *reactor)
{
    struct conn *dirty[REACTOR_DIRTY];
    size_t count = 0;
    struct call *call;

    while ((call = take_held(reactor, false))) {
        struct conn *conn = call_release(call);
        bool known = !conn;

        for (size_t i = 0; i < count && !known; i++)
            known = dirty[i] == conn;
        if (known) {
            if (conn)
                conn_unref(conn);
            continue;
        }
        if (count == REACTOR_DIRTY)
            flush_all(dirty, &count);
        dirty[count++] = conn;
    }
    flush_all(dirty, &count);
}

/* --- accepting --- */

/* No descriptor is left: takes the connection with the reserve and closes it, so that the client
 * learns at once and the listener does not stay readable for ever. */
static int refuse_one(struct nfsd *nfsd, struct listener *listener)
{
    int fd, r;

    if (nfsd->reserve_fd >= 0)
        (void)close(nfsd->reserve_fd);
    fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    r = fd < 0 ? -errno : 0;
    if (fd >= 0) {
        atomic_fetch_add_explicit(&nfsd->refused, 1, memory_order_relaxed);
        (void)close(fd);
    }
    nfsd->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return r;
}

static void listener_off(struct reactor *reactor, struct listener *listener)
{
    if (epoll_ctl(reactor->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL) == 0)
        listener->off = true;
}

static void accept_some(struct reactor *reactor, struct listener *listener)
{
    struct nfsd *nfsd = reactor->nfsd;

    if (atomic_load(&nfsd->draining)) {
        listener_off(reactor, listener);
        return;
    }
    for (int i = 0; i < REACTOR_ACCEPTS; i++) {
        union rpc_addr peer = {0};
        socklen_t len = sizeof(peer);
        int fd = accept4(listener->fd, &peer.sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            int r = refuse_one(nfsd, listener);

            if (r == -EAGAIN) /* EMFILE comes before "nobody is waiting" */
                return;
            if (r < 0) {
                listener_off(reactor, listener);
                return;
            }
        } else if (fd < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return; /* other errors belong to one connection that is gone already */
        } else if (atomic_load(&nfsd->connections) >= nfsd->config.connections_max) {
            atomic_fetch_add_explicit(&nfsd->refused, 1, memory_order_relaxed);
            (void)close(fd);
        } else {
            conn_start(nfsd, listener,
                       &nfsd->reactors[nfsd->next_reactor++ % nfsd->config.reactors], fd, &peer);
        }
    }
}

/* --- the loop --- */

static void tick(struct reactor *reactor, int64_t now_ns)
{
    struct nfsd *nfsd = reactor->nfsd;
    struct conn *conn, *next;
    struct listener *listener;

    TAILQ_FOREACH_SAFE (conn, &reactor->conns, link, next)
        conn_tick(conn, now_ns);
    if (reactor->index != 0 || atomic_load(&nfsd->draining))
        return;
    TAILQ_FOREACH (listener, &nfsd->listeners, link)
        if (listener->off && reactor_watch(reactor, listener->fd, &listener->source, EPOLLIN) == 0)
            listener->off = false;
}

static void resume_paused(struct reactor *reactor)
{
    struct conn *conn, *next;

    TAILQ_FOREACH_SAFE (conn, &reactor->conns, link, next)
        if (atomic_load(&conn->paused))
            conn_service(conn);
}

static void handle(struct reactor *reactor, const struct epoll_event *event)
{
    struct source *source = event->data.ptr;
    uint64_t count;

    switch (source->kind) {
    case SOURCE_WAKE:
        (void)!read(reactor->wake_fd, &count, sizeof(count));
        atomic_store(&reactor->waking, false);
        break;
    case SOURCE_LISTENER:
        accept_some(reactor, (struct listener *)(void *)source);
        break;
    case SOURCE_UDP:
        udp_readable((struct listener *)(void *)source, reactor);
        break;
    case SOURCE_CONN:
        conn_event((struct conn *)(void *)source, event->events);
        break;
    }
}

static void *reactor_main(void *arg)
{
    struct reactor *reactor = arg;
    struct epoll_event events[REACTOR_EVENTS];

    while (!atomic_load(&reactor->nfsd->stopping)) {
        int n = epoll_wait(reactor->epoll_fd, events, REACTOR_EVENTS,
                           has_mail(reactor) ? 0 : REACTOR_TICK_MS);
        int64_t now_ns = clock_coarse_ns();

        /* Connections are closed by their own event or behind this loop only, so no event can point
         * to one that an earlier event of the batch has freed. */
        for (int i = 0; i < n; i++)
            handle(reactor, &events[i]);
        service_mail(reactor);
        release_held(reactor);
        if (atomic_exchange(&reactor->resume, false))
            resume_paused(reactor);
        if (now_ns >= reactor->next_tick_ns) {
            reactor->next_tick_ns = now_ns + REACTOR_TICK_MS * CLOCK_MS;
            tick(reactor, now_ns);
        }
    }
    return NULL;
}

int reactor_start(struct reactor *reactor)
{
    int r = thread_start(&reactor->thread, "nfsd-reactor", reactor_main, reactor);

    reactor->started = r == 0;
    return r;
}

void reactor_join(struct reactor *reactor)
{
    if (!reactor->started)
        return;
    reactor_wake(reactor);
    pthread_join(reactor->thread, NULL);
    reactor->started = false;
}

void reactor_close(struct reactor *reactor)
{
    struct conn *conn;
    struct call *call;

    assert(!reactor->started);
    while ((call = take_held(reactor, true)))
        call_free(call);
    while ((conn = TAILQ_FIRST(&reactor->conns)))
        conn_close(conn);
    while ((conn = take_mail(reactor)))
        conn_unref(conn);
}
