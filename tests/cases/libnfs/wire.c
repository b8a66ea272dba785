/* Sockets, records, RPC headers. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WIRE_WAIT_MS = 30000, WIRE_PATIENCE_MS = 60000, WIRE_RETRY_MS = 20 };

struct wire_kept {
    struct wire_kept *next;
    uint8_t *data;
    ZDR zdr;
    bool has_zdr;
};

static void bind_from(int fd, const char *from, bool reserved)
{
    static uint16_t port = 1023;
    struct sockaddr_in sin = {.sin_family = AF_INET};
    int err = -1;

    assert_int_equal(inet_pton(AF_INET, from, &sin.sin_addr), 1);
    if (!reserved) {
        assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
        return;
    }
    for (int i = 0; i < 400 && err; i++) { /* each once: the last one may still be in TIME_WAIT */
        sin.sin_port = htons(port--);
        err = bind(fd, (struct sockaddr *)&sin, sizeof(sin));
    }
    assert_int_equal(err, 0);
}

static struct conn *open_to(const char *to, uint16_t port, const char *from, bool reserved,
                            bool udp)
{
    static uint32_t last_xid = 0x10000;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct conn *conn = calloc(1, sizeof(*conn));
    int one = 1;

    conn->fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    conn->udp = udp;
    assert_true(conn->fd >= 0);
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (from)
        bind_from(conn->fd, from, reserved);
    if (!udp)
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    assert_int_equal(inet_pton(AF_INET, to, &sin.sin_addr), 1);
    assert_int_equal(connect(conn->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    conn->xid = last_xid += 0x10000; /* no two connections of a program use the same xids */
    return conn;
}

struct conn *conn_open(const struct server *server)
{
    return open_to("127.0.0.1", server->port, NULL, false, false);
}

struct conn *conn_open_from(const struct server *server, const char *from, bool reserved)
{
    const char *to = strncmp(from, "127.", 4) == 0 ? "127.0.0.1" : from;

    return open_to(to, server->port, from, reserved, false);
}

struct conn *conn_open_port(uint16_t port, bool udp)
{
    return open_to("127.0.0.1", port, NULL, false, udp);
}

void conn_close(struct conn *conn)
{
    while (conn->kept) {
        struct wire_kept *kept = conn->kept;
        conn->kept = kept->next;
        if (kept->has_zdr)
            zdr_destroy(&kept->zdr);
        free(kept->data);
        free(kept);
    }
    (void)close(conn->fd);
    free(conn);
}

void conn_identify(struct conn *conn, uint32_t uid, uint32_t gid)
{
    conn->cred = (struct cred){.uid = uid, .gid = gid};
}

/* ---- encoding ---- */

static void put(struct bytes *out, uint32_t v)
{
    uint32_t be = htonl(v);

    memcpy(out->data + out->len, &be, sizeof(be));
    out->len += sizeof(be);
}

static void put_cred(struct bytes *out, const struct cred *cred)
{
    static const char machine[8] = "testhost";

    if (cred->none) {
        put(out, AUTH_NONE);
        put(out, 0);
        return;
    }
    put(out, AUTH_UNIX);
    put(out, 4 + 4 + 8 + 4 + 4 + 4 + 4 * cred->group_count);
    put(out, 0); /* stamp */
    put(out, sizeof(machine));
    memcpy(out->data + out->len, machine, sizeof(machine));
    out->len += sizeof(machine);
    put(out, cred->uid);
    put(out, cred->gid);
    put(out, cred->group_count);
    for (uint32_t i = 0; i < cred->group_count; i++)
        put(out, cred->groups[i]);
}

struct bytes call_encode(const struct conn *conn, uint32_t xid, uint32_t prog, uint32_t vers,
                         uint32_t proc, zdrproc_t filter, const void *args)
{
    struct bytes out = {.data = malloc(WIRE_RECORD_MAX)};
    ZDR zdr;

    put(&out, xid);
    put(&out, CALL);
    put(&out, RPC_MSG_VERSION);
    put(&out, prog);
    put(&out, vers);
    put(&out, proc);
    put_cred(&out, &conn->cred);
    put(&out, AUTH_NONE);
    put(&out, 0);
    if (!filter)
        return out;
    zdrmem_create(&zdr, (char *)out.data + out.len, (uint32_t)(WIRE_RECORD_MAX - out.len),
                  ZDR_ENCODE);
    assert_true(filter(&zdr, (void *)(uintptr_t)args));
    out.len += zdr_getpos(&zdr);
    zdr_destroy(&zdr);
    return out;
}

void conn_send_raw(struct conn *conn, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = send(conn->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; /* what the server thinks of it shows in the answer */
        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

void conn_send(struct conn *conn, const void *data, size_t len)
{
    struct bytes out = {.data = malloc(len + 4)};

    if (!conn->udp)
        put(&out, 0x80000000 | (uint32_t)len);
    memcpy(out.data + out.len, data, len);
    conn_send_raw(conn, out.data, out.len + len);
    free(out.data);
}

/* ---- receiving ---- */

/* False: closed before a byte came. */
static bool receive(struct conn *conn, void *data, size_t len)
{
    uint8_t *p = data;
    size_t got = 0;

    while (got < len) {
        struct pollfd pfd = {.fd = conn->fd, .events = POLLIN};
        if (poll(&pfd, 1, WIRE_WAIT_MS) == 0)
            fail_msg("no answer within %d ms", WIRE_WAIT_MS);
        ssize_t n = recv(conn->fd, p + got, len - got, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 && got > 0)
            fail_msg("the connection ends in the middle of a reply");
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static struct wire_kept *keep(struct conn *conn, uint8_t *data)
{
    struct wire_kept *kept = calloc(1, sizeof(*kept));

    kept->data = data;
    kept->next = conn->kept;
    conn->kept = kept;
    return kept;
}

static uint32_t get(const struct bytes *in, size_t *at)
{
    uint32_t be;

    assert_true(*at + 4 <= in->len);
    memcpy(&be, in->data + *at, sizeof(be));
    *at += 4;
    return ntohl(be);
}

static void parse_reply(struct reply *ret)
{
    size_t at = 0;

    ret->xid = get(&ret->bytes, &at);
    assert_int_equal(get(&ret->bytes, &at), REPLY);
    ret->stat = (enum reply_stat)get(&ret->bytes, &at);
    if (ret->stat == MSG_DENIED) {
        ret->reject = (enum reject_stat)get(&ret->bytes, &at);
        if (ret->reject == RPC_MISMATCH) {
            ret->low = get(&ret->bytes, &at);
            ret->high = get(&ret->bytes, &at);
        } else {
            ret->auth = (enum auth_stat)get(&ret->bytes, &at);
        }
        assert_int_equal(at, ret->bytes.len);
        return;
    }
    assert_int_equal(ret->stat, MSG_ACCEPTED);
    assert_int_equal(get(&ret->bytes, &at), AUTH_NONE); /* verifier */
    assert_int_equal(get(&ret->bytes, &at), 0);
    ret->accept = (enum accept_stat)get(&ret->bytes, &at);
    if (ret->accept == PROG_MISMATCH) {
        ret->low = get(&ret->bytes, &at);
        ret->high = get(&ret->bytes, &at);
    }
    ret->body = ret->bytes.data + at;
    ret->body_len = ret->bytes.len - at;
    if (ret->accept != SUCCESS)
        assert_int_equal(ret->body_len, 0);
}

static bool recv_datagram(struct conn *conn, struct reply *ret)
{
    struct pollfd pfd = {.fd = conn->fd, .events = POLLIN};
    ssize_t len;

    if (poll(&pfd, 1, WIRE_WAIT_MS) == 0)
        fail_msg("no answer within %d ms", WIRE_WAIT_MS);
    ret->bytes.data = malloc(65536);
    (void)keep(conn, ret->bytes.data);
    len = recv(conn->fd, ret->bytes.data, 65536, 0);
    assert_true(len > 0);
    ret->bytes.len = (size_t)len;
    parse_reply(ret);
    return true;
}

bool conn_recv(struct conn *conn, struct reply *ret)
{
    uint32_t mark;

    *ret = (struct reply){0};
    if (conn->udp)
        return recv_datagram(conn, ret);
    if (!receive(conn, &mark, sizeof(mark)))
        return false;
    mark = ntohl(mark);
    assert_true(mark & 0x80000000); /* libnfs and others cannot put fragments together */
    ret->bytes.len = mark & 0x7fffffff;
    assert_in_range(ret->bytes.len, 20, WIRE_RECORD_MAX);
    ret->bytes.data = malloc(ret->bytes.len + 1); /* libnfs looks at the byte after a string */
    ret->bytes.data[ret->bytes.len] = 1;
    (void)keep(conn, ret->bytes.data);
    assert_true(receive(conn, ret->bytes.data, ret->bytes.len));
    parse_reply(ret);
    return true;
}

int conn_first(struct conn *a, struct conn *b)
{
    struct pollfd pfd[2] = {{.fd = a->fd, .events = POLLIN}, {.fd = b->fd, .events = POLLIN}};

    if (poll(pfd, 2, WIRE_WAIT_MS) == 0)
        fail_msg("no answer within %d ms on either connection", WIRE_WAIT_MS);
    return pfd[0].revents ? 0 : 1;
}

bool conn_closed(struct conn *conn)
{
    uint8_t byte;

    return !receive(conn, &byte, 1);
}

static bool says_later(const struct conn *conn, uint32_t prog, const struct reply *reply)
{
    static const uint8_t jukebox[4] = {0, 0, NFS3ERR_JUKEBOX >> 8, NFS3ERR_JUKEBOX & 255};

    return conn->patient && prog == NFS_PROG && reply->body_len >= 4 &&
           memcmp(reply->body, jukebox, 4) == 0;
}

static void call_once(struct conn *conn, uint32_t prog, uint32_t vers, uint32_t proc,
                      zdrproc_t filter, const void *args, struct reply *ret)
{
    struct bytes out = call_encode(conn, ++conn->xid, prog, vers, proc, filter, args);

    conn_send(conn, out.data, out.len);
    free(out.data);
    if (!conn_recv(conn, ret))
        fail_msg("the server closed the connection on program %u procedure %u", prog, proc);
    assert_int_equal(ret->xid, conn->xid);
}

void conn_call(struct conn *conn, uint32_t prog, uint32_t vers, uint32_t proc, zdrproc_t filter,
               const void *args, struct reply *ret)
{
    int64_t end = rig_now_ms() + WIRE_PATIENCE_MS;

    call_once(conn, prog, vers, proc, filter, args, ret);
    while (says_later(conn, prog, ret)) {
        if (rig_now_ms() > end)
            fail_msg("procedure %u says JUKEBOX for a minute", proc);
        (void)poll(NULL, 0, WIRE_RETRY_MS);
        call_once(conn, prog, vers, proc, filter, args, ret);
    }
}

void reply_decode(struct conn *conn, const struct reply *reply, zdrproc_t filter, void *res)
{
    struct wire_kept *kept = keep(conn, NULL);

    assert_int_equal(reply->stat, MSG_ACCEPTED);
    assert_int_equal(reply->accept, SUCCESS);
    zdrmem_create(&kept->zdr, (char *)reply->body, (uint32_t)reply->body_len, ZDR_DECODE);
    kept->has_zdr = true;
    assert_true(filter(&kept->zdr, res));
    assert_int_equal(zdr_getpos(&kept->zdr), reply->body_len);
}

void conn_run(struct conn *conn, uint32_t prog, uint32_t vers, uint32_t proc, zdrproc_t filter,
              const void *args, zdrproc_t res_filter, void *res)
{
    struct reply reply;

    conn_call(conn, prog, vers, proc, filter, args, &reply);
    if (reply.stat != MSG_ACCEPTED || reply.accept != SUCCESS)
        print_error("program %u version %u procedure %u was refused\n", prog, vers, proc);
    reply_decode(conn, &reply, res_filter, res);
}
