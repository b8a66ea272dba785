/* The bench's RPC client. It has to cost little beside the server: one thread, one buffer each way,
 * writev for payloads. */
#include "conn.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CONN_IN = 4 << 20, CONN_OUT = 256 << 10, RPC_WAIT_MS = 60000 };

struct conn {
    int fd;
    uint32_t xid;
    uint8_t *in; /* received, not yet looked at: [in_at, in_end) */
    size_t in_at, in_end;
    uint8_t *out; /* encoded, not yet sent: [out_at, out_end), then payload */
    size_t out_at, out_end;
    const uint8_t *payload; /* of the last call in out */
    size_t payload_len;
};

void bench_die(const char *format, ...)
{
    va_list args;

    fputs("bench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* From a reserved port where we may, because servers ask for one by default. */
static int conn_connect(const struct addrinfo *to)
{
    for (uint16_t port = 1010; port > 900; port--) {
        int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(port)};

        if (fd < 0)
            return -1;
        int bound =
            to->ai_family == AF_INET && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0;
        if ((bound || errno == EACCES) && connect(fd, to->ai_addr, to->ai_addrlen) == 0)
            return fd;
        close(fd);
        if (errno == ECONNREFUSED)
            return -1;
    }
    return -1;
}

struct conn *conn_open(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    struct conn *conn = calloc(1, sizeof(*conn));
    int one = 1;

    if (!conn || !(conn->in = malloc(CONN_IN)) || !(conn->out = malloc(CONN_OUT)))
        bench_die("no memory");
    if (getaddrinfo(host, port, &hints, &found) != 0)
        bench_die("cannot resolve %s", host);
    conn->fd = conn_connect(found);
    if (conn->fd < 0)
        bench_die("cannot connect to %s:%s: %s", host, port, strerror(errno));
    freeaddrinfo(found);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    conn->xid = (uint32_t)getpid() << 16;
    return conn;
}

void conn_close(struct conn *conn)
{
    close(conn->fd);
    free(conn->in);
    free(conn->out);
    free(conn);
}

/* The RPC header with AUTH_SYS as root. */
static void conn_encode(struct conn *conn, const struct conn_series *series, uint32_t i,
                        struct wire_out *call)
{
    uint32_t proc = 0;
    size_t mark, body;

    call->len = call->payload_len = 0;
    wire_put32(call, 0); /* record mark, below */
    wire_put32(call, conn->xid + i);
    wire_put32(call, 0); /* CALL */
    wire_put32(call, 2);
    wire_put32(call, series->prog);
    wire_put32(call, series->vers);
    mark = call->len;
    wire_put32(call, 0); /* procedure, below */
    wire_put32(call, 1); /* AUTH_SYS */
    wire_put32(call, 28);
    wire_put32(call, 0);
    wire_put_bytes(call, "bench", 5);
    wire_put32(call, 0);
    wire_put32(call, 0);
    wire_put32(call, 0);
    wire_put32(call, 0); /* AUTH_NONE */
    wire_put32(call, 0);
    series->encode(series->ctx, i, call, &proc);
    proc = htobe32(proc);
    memcpy(call->bytes + mark, &proc, 4);
    body = htobe32((uint32_t)(0x80000000u | (call->len - 4 + call->payload_len)));
    memcpy(call->bytes, &body, 4);
}

/* Encodes calls into out while the window and the buffer allow; a payload closes the buffer. */
static void conn_fill(struct conn *conn, const struct conn_series *series, uint32_t *next,
                      uint32_t end, uint32_t done)
{
    static struct wire_out call;

    if (conn->out_at == conn->out_end && conn->payload_len == 0)
        conn->out_at = conn->out_end = 0;
    while (*next < end && *next - done < series->window && conn->payload_len == 0 &&
           conn->out_end + WIRE_SMALL <= CONN_OUT) {
        conn_encode(conn, series, *next, &call);
        memcpy(conn->out + conn->out_end, call.bytes, call.len);
        conn->out_end += call.len;
        conn->payload = call.payload;
        conn->payload_len = call.payload_len;
        (*next)++;
    }
}

static void conn_send(struct conn *conn)
{
    struct iovec parts[2] = {{conn->out + conn->out_at, conn->out_end - conn->out_at},
                             {(void *)(uintptr_t)conn->payload, conn->payload_len}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return;
        bench_die("send: %s", strerror(errno));
    }
    size_t small = parts[0].iov_len < (size_t)sent ? parts[0].iov_len : (size_t)sent;
    conn->out_at += small;
    conn->payload += (size_t)sent - small;
    conn->payload_len -= (size_t)sent - small;
}

/* The reply at in_at, if it is there whole. Returns the call's number, or -1. */
static int64_t conn_next_reply(struct conn *conn, struct wire_in *ret)
{
    size_t have = conn->in_end - conn->in_at;
    struct wire_in in = {conn->in + conn->in_at, have, 0};
    uint32_t mark, xid;

    if (have < 4)
        return -1;
    mark = wire_get32(&in);
    if (!(mark & 0x80000000u))
        bench_die("a reply in several fragments");
    mark &= 0x7fffffffu;
    if (mark + 4 > CONN_IN)
        bench_die("a reply of %u bytes", mark);
    if (in.left < mark)
        return -1;
    in.left = mark;
    conn->in_at += mark + 4;
    xid = wire_get32(&in);
    uint32_t type = wire_get32(&in), stat = wire_get32(&in), flavor = wire_get32(&in);
    wire_skip(&in, (wire_get32(&in) + 3) & ~3u);
    uint32_t accept = wire_get32(&in);
    if (in.bad || type != 1 || stat != 0 || flavor != 0 || accept != 0)
        bench_die("the server refused a call: type %u, stat %u, accept %u", type, stat, accept);
    *ret = in;
    return xid - conn->xid;
}

static void conn_receive(struct conn *conn)
{
    if (conn->in_at == conn->in_end) {
        conn->in_at = conn->in_end = 0;
    } else if (conn->in_end > CONN_IN / 2) {
        memmove(conn->in, conn->in + conn->in_at, conn->in_end - conn->in_at);
        conn->in_end -= conn->in_at;
        conn->in_at = 0;
    }
    ssize_t got = recv(conn->fd, conn->in + conn->in_end, CONN_IN - conn->in_end, MSG_DONTWAIT);
    if (got > 0)
        conn->in_end += (size_t)got;
    else if (got == 0)
        bench_die("the server closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        bench_die("recv: %s", strerror(errno));
}

void conn_run(struct conn *conn, const struct conn_series *series, uint32_t first, uint32_t count)
{
    uint32_t next = first, done = first, end = first + count;

    while (done < end) {
        conn_fill(conn, series, &next, end, done);
        int sending = conn->out_at < conn->out_end || conn->payload_len;
        struct pollfd poller = {conn->fd, (short)(POLLIN | (sending ? POLLOUT : 0)), 0};

        if (poll(&poller, 1, RPC_WAIT_MS) == 0)
            bench_die("no answer within %d s: program %u, call %u of %u", RPC_WAIT_MS / 1000,
                      series->prog, done - first, count);
        if (poller.revents & POLLOUT)
            conn_send(conn);
        if (!(poller.revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        conn_receive(conn);
        struct wire_in in;
        for (int64_t i; (i = conn_next_reply(conn, &in)) >= 0; done++) {
            if (i < first || i >= next)
                bench_die("a reply to no call");
            series->reply(series->ctx, (uint32_t)i, &in);
            if (in.bad)
                bench_die("a reply that ends too soon");
        }
    }
    conn->xid += end;
}
