/*
 * A TCP connection: receiving records, running them as a batch, sending replies.
 *
 * epoll is edge-triggered, so the state of the socket is ours to remember: `more` (there may be
 * something to receive) and `full` (nothing can be sent). Reading stops by not receiving: `paused`
 * says so to the threads that lower the counts, and each of them mails the reactor. The flag is set
 * before the limit is looked at once more, and counts are lowered before the flag is looked at, so
 * one of the two sees the other.
 */
#include "nfsd/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    CONN_ROUNDS_MAX = 16, /* receives before others get their turn */
    CONN_FLUSH_IOV = 128, /* iovecs of one sendmsg */
    CONN_UNSENT_SHARE =
        256 << 10, /* unsent bytes that are fine when the server's limit is reached */
    CONN_KEEPALIVE_IDLE_S = 60,
};

static void set_options(int fd)
{
    int on = 1, idle = CONN_KEEPALIVE_IDLE_S;

    /* Each of these only makes things better; a socket without them still works. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

void conn_start(struct nfsd *nfsd, struct listener *listener, struct reactor *reactor, int fd,
                const union rpc_addr *peer)
{
    struct conn *conn = mem_zalloc(sizeof(*conn));
    socklen_t len = sizeof(conn->local);

    conn->source.kind = SOURCE_CONN;
    conn->nfsd = nfsd;
    conn->reactor = reactor;
    conn->listener = listener;
    conn->fd = fd;
    conn->peer = *peer;
    if (getsockname(fd, &conn->local.sa, &len) < 0)
        conn->local = listener->local;
    atomic_init(&conn->refs, 1);
    record_reader_init(&conn->in, nfsd->pool, nfsd->config.record_max);
    STAILQ_INIT(&conn->out);
    pthread_mutex_init(&conn->lock, NULL);
    conn->heard_ns = conn->moved_ns = clock_coarse_ns();
    set_options(fd);
    atomic_fetch_add(&nfsd->connections, 1);
    reactor_mail(reactor, conn);
    conn_unref(conn); /* the mail has its own; conn_service takes the reactor's */
}

struct conn *conn_ref(struct conn *conn)
{
    atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
    return conn;
}

void conn_unref(struct conn *conn)
{
    if (atomic_fetch_sub(&conn->refs, 1) != 1)
        return;
    assert(STAILQ_EMPTY(&conn->out));
    (void)close(conn->fd);
    record_reader_clear(&conn->in);
    pthread_mutex_destroy(&conn->lock);
    atomic_fetch_sub(&conn->nfsd->connections, 1);
    free(conn);
}

static void free_calls(struct call_queue *calls)
{
    while (!STAILQ_EMPTY(calls)) {
        struct call *call = STAILQ_FIRST(calls);

        STAILQ_REMOVE_HEAD(calls, link);
        call_free(call);
    }
}

/* --- sending --- */

static void count_unsent(struct conn *conn, uint64_t bytes)
{
    atomic_fetch_add(&conn->unsent, bytes);
    atomic_fetch_add(&conn->nfsd->unsent, bytes);
}

static void uncount_unsent(struct conn *conn, uint64_t bytes)
{
    atomic_fetch_sub(&conn->unsent, bytes);
    atomic_fetch_sub(&conn->nfsd->unsent, bytes);
}

void conn_queue(struct conn *conn, struct call *call)
{
    bool dead;

    pthread_mutex_lock(&conn->lock);
    dead = atomic_load(&conn->dead);
    if (!dead) {
        if (STAILQ_EMPTY(&conn->out))
            conn->moved_ns = clock_coarse_ns();
        STAILQ_INSERT_TAIL(&conn->out, call, link);
        count_unsent(conn, call->total);
    }
    pthread_mutex_unlock(&conn->lock);
    if (dead)
        call_free(call);
}

static size_t gather(struct conn *conn, struct iovec *iov)
{
    size_t n = 0;
    struct call *call;

    STAILQ_FOREACH (call, &conn->out, link) {
        for (uint32_t i = call->iov_at; i < call->iov_count; i++) {
            if (n == CONN_FLUSH_IOV)
                return n;
            iov[n++] = call->iov[i];
        }
    }
    return n;
}

/* Takes len sent bytes off the queue; calls that are sent whole go to done. */
static void advance(struct conn *conn, size_t len, struct call_queue *done)
{
    uncount_unsent(conn, len);
    while (len) {
        struct call *call = STAILQ_FIRST(&conn->out);
        struct iovec *iov = &call->iov[call->iov_at];

        if (len < iov->iov_len) {
            iov->iov_base = (uint8_t *)iov->iov_base + len;
            iov->iov_len -= len;
            return;
        }
        len -= iov->iov_len;
        if (++call->iov_at < call->iov_count)
            continue;
        STAILQ_REMOVE_HEAD(&conn->out, link);
        STAILQ_INSERT_TAIL(done, call, link);
    }
}

/* With the lock held, not flushing: gives up what is queued. */
static void take_queue(struct conn *conn, struct call_queue *done)
{
    uncount_unsent(conn, atomic_load(&conn->unsent));
    STAILQ_CONCAT(done, &conn->out);
}

/* One sendmsg, without the lock. The bytes sent or -errno. */
static ssize_t send_once(struct conn *conn)
{
    struct iovec iov[CONN_FLUSH_IOV];
    struct msghdr msg = {.msg_iov = iov};
    ssize_t n;

    msg.msg_iovlen = gather(conn, iov);
    pthread_mutex_unlock(&conn->lock);
    do
        n = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    pthread_mutex_lock(&conn->lock);
    return n;
}

/* With the lock held and flushing set: sends until the queue is empty or the socket full. */
static void flush_locked(struct conn *conn, struct call_queue *done)
{
    while (!STAILQ_EMPTY(&conn->out) && !atomic_load(&conn->dead)) {
        ssize_t n;

        conn->again = false;
        n = send_once(conn);
        if (n > 0) {
            conn->moved_ns = clock_coarse_ns();
            advance(conn, (size_t)n, done);
        } else if (n == -EAGAIN || n == 0) {
            if (conn->again)
                continue;
            conn->full = true;
            break;
        } else {
            atomic_store(&conn->dead, true);
        }
    }
    if (atomic_load(&conn->dead))
        take_queue(conn, done);
}

void conn_flush(struct conn *conn)
{
    struct call_queue done = STAILQ_HEAD_INITIALIZER(done);
    bool died;

    pthread_mutex_lock(&conn->lock);
    if (conn->flushing || conn->full || STAILQ_EMPTY(&conn->out)) {
        pthread_mutex_unlock(&conn->lock);
        return;
    }
    conn->flushing = true;
    flush_locked(conn, &done);
    conn->flushing = false;
    died = atomic_load(&conn->dead);
    pthread_mutex_unlock(&conn->lock);
    free_calls(&done);
    if (died || atomic_load(&conn->paused))
        reactor_mail(conn->reactor, conn);
    nfsd_relieve(conn->nfsd);
}

void conn_call_ended(struct conn *conn)
{
    atomic_fetch_sub(&conn->calls, 1);
    if (atomic_load(&conn->paused))
        reactor_mail(conn->reactor, conn);
    conn_unref(conn);
}

/* --- receiving --- */

void conn_close(struct conn *conn)
{
    struct call_queue done = STAILQ_HEAD_INITIALIZER(done);

    if (!conn->listed)
        return;
    conn->listed = false;
    TAILQ_REMOVE(&conn->reactor->conns, conn, link);
    (void)epoll_ctl(conn->reactor->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    pthread_mutex_lock(&conn->lock);
    atomic_store(&conn->dead, true);
    if (!conn->flushing) /* otherwise the flusher sees dead and does it */
        take_queue(conn, &done);
    pthread_mutex_unlock(&conn->lock);
    (void)shutdown(conn->fd, SHUT_RDWR);
    record_reader_clear(&conn->in);
    free_calls(&done);
    conn_unref(conn);
}

static bool over_limit(struct conn *conn)
{
    const struct nfsd_config *config = &conn->nfsd->config;
    uint64_t unsent = atomic_load(&conn->unsent);

    if (atomic_load(&conn->calls) >= config->calls_conn_max || unsent >= config->unsent_conn_max)
        return true;
    if (nfsd_is_full(conn->nfsd) ||
        (unsent > CONN_UNSENT_SHARE && atomic_load(&conn->nfsd->unsent) >= config->unsent_max)) {
        atomic_store(&conn->nfsd->starved, true);
        return true;
    }
    return false;
}

/* True if the connection must not take on another call now. */
static bool pause_if_over(struct conn *conn)
{
    if (!over_limit(conn)) {
        if (atomic_load_explicit(&conn->paused, memory_order_relaxed))
            atomic_store(&conn->paused, false);
        return false;
    }
    atomic_store(&conn->paused, true);
    if (over_limit(conn))
        return true;
    atomic_store(&conn->paused, false);
    return false;
}

static bool start_call(struct conn *conn, const struct record *rec)
{
    struct call *call = call_new(conn->nfsd, conn->reactor, rec);

    atomic_fetch_add(&conn->calls, 1);
    call->conn = conn_ref(conn);
    call->pub.peer = conn->peer;
    call->pub.local = conn->local;
    return call_start(call);
}

/* Runs the records that have been received; what they answered is sent together. False: stop
 * reading (paused or closed). */
static bool take_records(struct conn *conn)
{
    struct record rec;
    bool stop = false;

    while (!stop) {
        int r;

        if (pause_if_over(conn)) {
            stop = true;
            break;
        }
        r = record_next(&conn->in, &rec);
        if (r == RECORD_MORE)
            break;
        conn->partial_ns = 0;
        if (r < 0 || !start_call(conn, &rec)) {
            conn_flush(conn); /* what was answered before the nonsense */
            conn_close(conn);
            return false;
        }
    }
    conn_flush(conn);
    return !stop;
}

static void end_of_input(struct conn *conn)
{
    conn->eof = true;
    conn->more = false;
    atomic_store(&conn->paused, true);
    if (atomic_load(&conn->calls) == 0)
        conn_close(conn);
}

/* Nothing is to be received now: others may have the buffer. */
static void rest(struct conn *conn)
{
    record_rest(&conn->in);
    nfsd_relieve(conn->nfsd);
}

/* False: nothing was received and nothing will be for now. */
static bool receive(struct conn *conn)
{
    uint8_t *at;
    size_t room;
    ssize_t n;

    if (record_room(&conn->in, &at, &room) < 0) {
        atomic_store(&conn->paused, true);
        atomic_store(&conn->nfsd->starved, true);
        nfsd_relieve(conn->nfsd); /* it may have gone in between */
        return false;
    }
    do
        n = recv(conn->fd, at, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        record_received(&conn->in, (size_t)n);
        conn->heard_ns = clock_coarse_ns();
        conn->more = (size_t)n == room || conn->half_closed;
        return true;
    }
    if (n == 0) {
        end_of_input(conn);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        conn->more = false;
        rest(conn);
    } else {
        conn_close(conn);
    }
    return false;
}

/* The caller holds a reference: the connection may be closed in here. */
static void read_rounds(struct conn *conn)
{
    /* Ends behind take_records, never behind receive: no event would come for what was received. */
    for (int round = 0;; round++) {
        if (!take_records(conn))
            return;
        if (!conn->more) {
            rest(conn);
            break;
        }
        if (round == CONN_ROUNDS_MAX || atomic_load(&conn->nfsd->draining) || !receive(conn))
            break;
    }
    if (!conn->listed)
        return;
    if (!record_partial(&conn->in))
        conn->partial_ns = 0;
    else if (!conn->partial_ns)
        conn->partial_ns = clock_coarse_ns();
    if (conn->more && !atomic_load(&conn->paused) && !atomic_load(&conn->nfsd->draining))
        reactor_mail(conn->reactor, conn);
}

static void read_on(struct conn *conn)
{
    conn_ref(conn);
    read_rounds(conn);
    conn_unref(conn);
}

void conn_event(struct conn *conn, uint32_t events)
{
    if (!conn->listed)
        return;
    if (events & EPOLLOUT) {
        pthread_mutex_lock(&conn->lock);
        conn->full = false;
        conn->again = conn->flushing;
        pthread_mutex_unlock(&conn->lock);
        conn_flush(conn);
    }
    if (events & (EPOLLHUP | EPOLLERR)) {
        conn_close(conn);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP)) {
        conn->more = true;
        conn->half_closed = conn->half_closed || (events & EPOLLRDHUP);
        if (!atomic_load(&conn->paused))
            read_on(conn);
    }
}

void conn_service(struct conn *conn)
{
    if (!conn->listed) {
        if (atomic_load(&conn->dead) || atomic_load(&conn->nfsd->draining))
            return; /* closed, or never begun: the last reference closes it */
        conn->listed = true;
        conn_ref(conn);
        TAILQ_INSERT_TAIL(&conn->reactor->conns, conn, link);
        if (reactor_watch(conn->reactor, conn->fd, &conn->source,
                          EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
            conn_close(conn);
            return;
        }
    }
    if (atomic_load(&conn->dead))
        conn_close(conn);
    else if (!conn->eof)
        read_on(conn);
    else if (atomic_load(&conn->calls) == 0)
        conn_close(conn);
}

void conn_tick(struct conn *conn, int64_t now_ns)
{
    const struct nfsd_config *config = &conn->nfsd->config;
    bool paused = atomic_load(&conn->paused);
    bool unsent = atomic_load(&conn->unsent) > 0;
    int64_t moved_ns;

    pthread_mutex_lock(&conn->lock);
    moved_ns = conn->moved_ns;
    pthread_mutex_unlock(&conn->lock);
    if (unsent ? now_ns - moved_ns > config->stall_ns
               : conn->partial_ns && !paused && now_ns - conn->partial_ns > config->stall_ns)
        conn_close(conn);
    else if (atomic_load(&conn->calls) == 0 && now_ns - conn->heard_ns > config->idle_ns)
        conn_close(conn);
    else if (paused)
        conn_service(conn);
}
