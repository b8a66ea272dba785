/*
 * A client's connection: calls go out in any number, replies come in any order. What has no reply
 * when the connection ends goes out again, unchanged, on the next one. Now and then a call goes out
 * twice, one that was answered long ago comes again, or the client takes another connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "torture.h"

enum {
    IN_ROOM = 2 << 20,
    HEADER = 24,
    JUKEBOX_MS = 15,
    TWICE_MS = 3000,
    NOISE_AGAIN = 4,
    NOISE_OLD = 4
};

void wire_open(struct client *client)
{
    client->fd = -1;
    client->in = malloc(IN_ROOM + 1);
    client->xid = (client->number + 1) << 24;
    TAILQ_INIT(&client->calls);
    TAILQ_INIT(&client->ops);
}

void wire_drop(struct client *client, const char *why)
{
    if (client->fd < 0)
        return;
    trace("%c connection %u ends: %s", client->letter, client->generation, why);
    (void)close(client->fd);
    client->fd = -1;
    client->connected = false;
    client->in_len = client->out_len = 0;
    for (unsigned i = 0; i < RING; i++)
        client->ring[i].sent = 0;
}

static void free_call(struct client *client, struct call *call)
{
    TAILQ_REMOVE(&client->calls, call, link);
    free(call->bytes);
    free(call);
}

void wire_close(struct client *client)
{
    wire_drop(client, "done");
    while (!TAILQ_EMPTY(&client->calls))
        free_call(client, TAILQ_FIRST(&client->calls));
    for (unsigned i = 0; i < RING; i++) {
        free(client->ring[i].call);
        free(client->ring[i].reply);
    }
    free(client->in);
    free(client->out);
    free(client->own);
}

static void connect_now(struct client *client)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int one = 1;

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Two clients share an address: the reply cache knows them by their xids. */
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + client->number / 2);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(torture.port);
    if (client->fd < 0 || bind(client->fd, (struct sockaddr *)&from, sizeof(from)))
        FAIL("socket: %s", strerror(errno));
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(client->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS) {
        (void)close(client->fd);
        client->fd = -1;
        return;
    }
    client->generation++;
}

bool wire_answers(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(torture.port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    (void)close(fd);
    return ok;
}

/* ---- out ---- */

static void put_out(struct client *client, const void *bytes, size_t len)
{
    if (client->out_len + len > client->out_room) {
        client->out_room = (client->out_len + len) * 2;
        client->out = realloc(client->out, client->out_room);
    }
    memcpy(client->out + client->out_len, bytes, len);
    client->out_len += len;
}

static bool is_once(uint32_t proc)
{
    return proc == P_SETATTR || (proc >= P_CREATE && proc <= P_LINK);
}

static void put_call(struct client *client, struct call *call)
{
    if (call->later) { /* a request of its own to the gateway */
        uint32_t xid = htonl(call->xid = ++client->xid);
        memcpy(call->bytes + 4, &xid, 4);
        call->later = call->doubled = false;
        trace("%c #%u now xid %#x", client->letter, call->op->number, call->xid);
    } else if (call->generation) {
        torture.resent++;
        trace("%c #%u xid %#x again", client->letter, call->op->number, call->xid);
    } else {
        call->epoch = torture.epoch;
    }
    call->generation = client->generation;
    call->since_ms = rig_now_ms();
    put_out(client, call->bytes, call->len);
    if (is_once(call->proc) && chance_of(&client->noise, NOISE_AGAIN)) {
        torture.doubled++;
        call->doubled = true;
        trace("%c #%u xid %#x twice", client->letter, call->op->number, call->xid);
        put_out(client, call->bytes, call->len);
    }
}

static void put_old(struct client *client)
{
    struct answered *old = &client->ring[chance_pick(&client->noise, RING)];

    if (!chance_of(&client->noise, NOISE_OLD) || !old->call)
        return;
    trace("%c xid %#x that was answered", client->letter, old->xid);
    put_out(client, old->call, old->call_len);
    old->sent++;
}

void wire_call(struct op *op, uint32_t proc, zdrproc_t filter, const void *args, uint64_t off,
               uint64_t end)
{
    struct client *client = op->client;
    struct call *call = calloc(1, sizeof(*call));
    struct bytes out;
    uint32_t mark;

    call->xid = ++client->xid;
    out = call_encode(&client->identity, call->xid, NFS_PROG, 3, proc, filter, args);
    mark = htonl(0x80000000 | (uint32_t)out.len);
    call->op = op;
    call->proc = proc;
    call->off = off;
    call->end = end;
    call->len = out.len + 4;
    call->bytes = malloc(call->len);
    memcpy(call->bytes, &mark, 4);
    memcpy(call->bytes + 4, out.data, out.len);
    free(out.data);
    TAILQ_INSERT_TAIL(&client->calls, call, link);
    op->calls_out++;
    if (client->connected) {
        put_call(client, call);
        put_old(client);
    }
}

static void put_waiting(struct client *client)
{
    int64_t now = rig_now_ms();
    struct call *call;

    TAILQ_FOREACH (call, &client->calls, link)
        if (call->generation != client->generation && call->not_before_ms <= now)
            put_call(client, call);
}

static void send_out(struct client *client)
{
    size_t done = 0;

    while (done < client->out_len) {
        ssize_t n = send(client->fd, client->out + done, client->out_len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            wire_drop(client, strerror(errno));
            return;
        }
        done += (size_t)n;
    }
    memmove(client->out, client->out + done, client->out_len - done);
    client->out_len -= done;
}

/* ---- in ---- */

static void remember(struct client *client, const struct call *call, const uint8_t *reply,
                     size_t len)
{
    struct answered *slot = &client->ring[client->ring_next++ % RING];

    if (slot->sent) { /* its replies are still to come */
        return;
    }
    free(slot->call);
    free(slot->reply);
    *slot = (struct answered){.xid = call->xid, .call_len = call->len, .reply_len = len};
    slot->call = malloc(call->len);
    memcpy(slot->call, call->bytes, call->len);
    slot->reply = malloc(len);
    memcpy(slot->reply, reply, len);
}

/* To a call that has its reply: a copy of one that went out twice, or an old one sent again. */
static void take_again(struct client *client, uint32_t xid, const uint8_t *reply, size_t len)
{
    for (unsigned i = 0; i < RING; i++) {
        struct answered *old = &client->ring[i];
        if (!old->call || old->xid != xid)
            continue;
        if (old->reply_len != len || memcmp(old->reply, reply, len) != 0)
            FAIL("client %c: the reply with xid %#x is not the first one again (status %u)",
                 client->letter, xid, len > HEADER + 3 ? reply[HEADER + 3] : 0);
        if (old->sent)
            old->sent--;
        torture.replayed++;
    }
}

/* JUKEBOX: to be asked again. If the call went out twice, the other copy may have been carried out
 * all the same; then its reply comes now. */
static bool says_later(struct client *client, struct call *call, const struct reply *reply)
{
    static const uint8_t jukebox[4] = {0, 0, NFS3ERR_JUKEBOX >> 8, NFS3ERR_JUKEBOX & 255};

    if (reply->body_len < 4 || memcmp(reply->body, jukebox, 4) != 0)
        return false;
    torture.jukebox++;
    trace("%c #%u xid %#x is told to come back", client->letter, call->op->number, call->xid);
    call->later = true;
    call->generation = 0;
    call->not_before_ms = rig_now_ms() + (call->doubled ? TWICE_MS : JUKEBOX_MS);
    return true;
}

static void take_record(struct client *client, uint8_t *data, size_t len)
{
    static const uint8_t success[20] = {0, 0, 0, 1};
    struct reply reply = {.body = data + HEADER, .body_len = len - HEADER};
    struct call *call;
    uint32_t xid;

    memcpy(&xid, data, 4);
    reply.xid = xid = ntohl(xid);
    if (len < HEADER || memcmp(data + 4, success, sizeof(success)) != 0)
        FAIL("client %c: the call with xid %#x was refused", client->letter, xid);
    gateway_answers();
    TAILQ_FOREACH (call, &client->calls, link)
        if (call->xid == xid)
            break;
    if (!call) {
        take_again(client, xid, data, len);
        return;
    }
    if (says_later(client, call, &reply))
        return;
    struct op *op = call->op;
    trace("%c #%u xid %#x answered %u", client->letter, op->number, xid,
          reply.body_len >= 4 ? (unsigned)reply.body[3] : 0);
    op->calls_out--;
    if (op->changes && op->expect == NFS3_OK && is_once(call->proc))
        remember(client, call, data, len);
    op_reply(op, call, &reply);
    free_call(client, call);
    if (op->calls_out == 0)
        op_end(op);
}

static void take_records(struct client *client)
{
    size_t at = 0;

    while (client->in_len - at >= 4) {
        uint32_t mark;
        memcpy(&mark, client->in + at, 4);
        mark = ntohl(mark);
        if (!(mark & 0x80000000) || (mark & 0x7fffffff) > IN_ROOM - 4)
            FAIL("client %c: not a record mark: %#x", client->letter, mark);
        size_t len = mark & 0x7fffffff;
        if (client->in_len - at < 4 + len)
            break;
        uint8_t after = client->in[at + 4 + len]; /* libnfs looks at it after a string */
        take_record(client, client->in + at + 4, len);
        client->in[at + 4 + len] = after;
        at += 4 + len;
    }
    memmove(client->in, client->in + at, client->in_len - at);
    client->in_len -= at;
}

static void receive(struct client *client)
{
    for (;;) {
        ssize_t n = recv(client->fd, client->in + client->in_len, IN_ROOM - client->in_len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            wire_drop(client, n < 0 ? strerror(errno) : "closed by the gateway");
            return;
        }
        client->in_len += (size_t)n;
        take_records(client);
    }
}

/* ---- all together ---- */

static void look_for_late(struct client *client)
{
    int64_t now = rig_now_ms();
    struct call *call;

    TAILQ_FOREACH (call, &client->calls, link) {
        int64_t since = call->since_ms > torture.up_since_ms ? call->since_ms : torture.up_since_ms;
        if (torture.up_since_ms && call->since_ms && now - since > PATIENCE_MS)
            FAIL("client %c, request %u: no reply within %d s", client->letter, call->op->number,
                 PATIENCE_MS / 1000);
    }
}

short wire_events(const struct client *client)
{
    if (client->fd < 0)
        return 0;
    if (!client->connected)
        return POLLOUT;
    return (short)(POLLIN | (client->out_len ? POLLOUT : 0));
}

static void finish_connect(struct client *client)
{
    int err = 0;
    socklen_t len = sizeof(err);

    (void)getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err) {
        (void)close(client->fd);
        client->fd = -1;
        return;
    }
    client->connected = true;
    trace("%c connection %u", client->letter, client->generation);
}

void wire_step(struct client *client, short revents)
{
    if (client->fd < 0 && gateway_runs())
        connect_now(client);
    if (client->fd >= 0 && !client->connected && (revents & (POLLOUT | POLLERR | POLLHUP)))
        finish_connect(client);
    if (client->connected && (revents & (POLLIN | POLLERR | POLLHUP)))
        receive(client);
    if (client->connected)
        put_waiting(client);
    if (client->connected && client->out_len)
        send_out(client);
    look_for_late(client);
}
