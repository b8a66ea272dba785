/* The server and client that the tests of the RPC core share. */
#include "tests/nfsd/test_rpc_peer.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nfs3.h"
#include "nfsd/payload.h"
#include "nfsd/rpc.h"
#include "tests/await.h"

enum { WAIT_MS = 10000 };

atomic_uint peer_ran, peer_released, peer_waiting, peer_waited;
struct peer_kept_reply peer_kept;
static uint8_t peer_zeros[1 << 20];

/* --- the program --- */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_closed;

void peer_gate_close(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_closed = true;
    pthread_mutex_unlock(&gate_lock);
    atomic_store(&peer_waited, 0);
}

void peer_gate_open(void)
{
    pthread_mutex_lock(&gate_lock);
    gate_closed = false;
    pthread_cond_broadcast(&gate_cond);
    pthread_mutex_unlock(&gate_lock);
}

static void pass_gate(void)
{
    atomic_fetch_add(&peer_waiting, 1);
    pthread_mutex_lock(&gate_lock);
    while (gate_closed)
        pthread_cond_wait(&gate_cond, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    atomic_fetch_sub(&peer_waiting, 1);
    atomic_fetch_add(&peer_waited, 1);
}

static bool_t xdr_nothing(XDR *xdrs, void *nothing)
{
    (void)xdrs, (void)nothing;
    return TRUE;
}

static void release_copy(void *ref)
{
    free(ref);
    atomic_fetch_add(&peer_released, 1);
}

static void run_echo(struct svc_req *req, SVCXPRT *xprt)
{
    nfs_payload args = {0}, res = {0};
    struct rpc_call *call = rpc_call_of(req);
    void *copy;

    if (!svc_getargs(xprt, (xdrproc_t)xdr_nfs_payload, &args)) {
        svcerr_decode(xprt);
        return;
    }
    copy = mem_dup(args.data, args.len + 1);
    assert_true(rpc_payload_add(call, &res, copy, args.len / 2, NULL, NULL));
    assert_true(rpc_payload_add(call, &res, (uint8_t *)copy + args.len / 2, args.len - args.len / 2,
                                release_copy, copy));
    if (!svc_sendreply(xprt, (xdrproc_t)xdr_nfs_payload, &res))
        svcerr_systemerr(xprt);
}

static bool get_u32(SVCXPRT *xprt, uint32_t *ret)
{
    if (svc_getargs(xprt, (xdrproc_t)xdr_u_int, ret))
        return true;
    svcerr_decode(xprt);
    return false;
}

static void count_release(void *ref)
{
    (void)ref;
    atomic_fetch_add(&peer_released, 1);
}

static void run_bytes(struct svc_req *req, SVCXPRT *xprt)
{
    nfs_payload res = {0};
    uint32_t n;

    if (!get_u32(xprt, &n))
        return;
    assert_true(rpc_payload_add(rpc_call_of(req), &res, peer_zeros, n, count_release, NULL));
    (void)svc_sendreply(xprt, (xdrproc_t)xdr_nfs_payload, &res);
}

static void run_entries(struct svc_req *req, SVCXPRT *xprt)
{
    struct dirbuf buf;
    READDIR3res res;
    uint32_t n, i;

    if (!get_u32(xprt, &n))
        return;
    memset(&res, 0, sizeof(res));
    dirbuf_open(&buf, rpc_call_of(req), DIRBUF_PLAIN, UINT32_MAX, 0);
    for (i = 0; i < n; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%u", i);
        if (!dirbuf_add(&buf, i + 100, name, i + 3))
            break;
    }
    res.READDIR3res_u.resok.reply.eof = i == n;
    dirbuf_finish(&buf, &res.READDIR3res_u.resok.reply.entries);
    (void)svc_sendreply(xprt, (xdrproc_t)xdr_READDIR3res, &res);
}

static void run_once(struct svc_req *req, SVCXPRT *xprt)
{
    struct rpc_call *call = rpc_call_of(req);
    uint32_t wait, count;

    if (!get_u32(xprt, &wait))
        return;
    if (wait && call->nowait) {
        (void)rpc_would_block(call);
        return;
    }
    if (wait)
        pass_gate();
    count = atomic_fetch_add(&peer_ran, 1) + 1;
    if (req->rq_proc == PEER_LATER)
        rpc_forget(call);
    if (req->rq_proc == PEER_JOURNAL) {
        const void *key, *reply;
        size_t key_len, len;

        assert_true(rpc_call_key(call, &key, &key_len));
        assert_true(rpc_encode_reply(call, (xdrproc_t)xdr_u_int, &count, &reply, &len));
        assert_int_equal(len, 4);
        assert_true(key_len <= sizeof(peer_kept.key));
        pthread_mutex_lock(&gate_lock);
        memcpy(peer_kept.key, key, key_len);
        memcpy(peer_kept.reply, reply, len);
        peer_kept.key_len = key_len;
        peer_kept.reply_len = len;
        pthread_mutex_unlock(&gate_lock);
        count = 0xdead; /* what was encoded is what is sent */
    }
    (void)svc_sendreply(xprt, (xdrproc_t)xdr_u_int, &count);
}

static void run_hold(struct svc_req *req, SVCXPRT *xprt)
{
    uint64_t seq;

    if (!svc_getargs(xprt, (xdrproc_t)xdr_uint64_t, &seq)) {
        svcerr_decode(xprt);
        return;
    }
    rpc_hold(rpc_call_of(req), seq);
    (void)svc_sendreply(xprt, (xdrproc_t)xdr_uint64_t, &seq);
}

static void run_string(SVCXPRT *xprt)
{
    nfspath3 path = NULL;
    uint32_t len;

    if (!svc_getargs(xprt, (xdrproc_t)xdr_nfspath3, &path)) {
        svcerr_decode(xprt);
        return;
    }
    len = (uint32_t)strlen(path);
    (void)svc_sendreply(xprt, (xdrproc_t)xdr_u_int, &len);
}

static void peer_dispatch(struct svc_req *req, SVCXPRT *xprt)
{
    struct rpc_call *call = rpc_call_of(req);

    switch (req->rq_proc) {
    case PEER_NULL:
        (void)svc_sendreply(xprt, (xdrproc_t)xdr_nothing, NULL);
        return;
    case PEER_ECHO:
        run_echo(req, xprt);
        return;
    case PEER_WAIT:
        if (call->nowait) {
            (void)rpc_would_block(call);
            return;
        }
        pass_gate();
        (void)svc_sendreply(xprt, (xdrproc_t)xdr_nothing, NULL);
        return;
    case PEER_HOLD:
        run_hold(req, xprt);
        return;
    case PEER_ONCE:
    case PEER_LATER:
    case PEER_JOURNAL:
        run_once(req, xprt);
        return;
    case PEER_BYTES:
        run_bytes(req, xprt);
        return;
    case PEER_ENTRIES:
        run_entries(req, xprt);
        return;
    case PEER_FALSE:
        return;
    case PEER_DROP:
        (void)rpc_drop(call);
        return;
    case PEER_STRING:
        run_string(xprt);
        return;
    default:
        svcerr_noproc(xprt);
    }
}

#define PEER_ONCE_BITS (1u << PEER_ONCE | 1u << PEER_LATER | 1u << PEER_JOURNAL)
struct nfsd_program peer_programs[2] = {
    {.prog = PEER_PROG, .vers = 3, .dispatch = peer_dispatch, .once = PEER_ONCE_BITS, .udp = true},
    {.prog = PEER_PROG, .vers = 4, .dispatch = peer_dispatch},
};

void peer_server_start(struct peer_server *server, const struct nfsd_config *config)
{
    peer_server_start_with(server, config, NULL);
}

void peer_server_start_with(struct peer_server *server, const struct nfsd_config *config,
                            const struct peer_kept_reply *kept)
{
    struct nfsd_listen listen_on = {.address = "127.0.0.1",
                                    .tcp = true,
                                    .udp = true,
                                    .programs = peer_programs,
                                    .program_count = 2};
    struct nfsd_config defaults;
    struct nfsd_error error;

    if (!config) {
        nfsd_config_default(&defaults);
        config = &defaults;
    }
    atomic_store(&peer_ran, 0);
    atomic_store(&peer_released, 0);
    server->nfsd = nfsd_new(config);
    assert_int_equal(nfsd_listen(server->nfsd, &listen_on, &server->port, &error), 0);
    if (kept)
        assert_true(
            nfsd_load_reply(server->nfsd, kept->key, kept->key_len, kept->reply, kept->reply_len));
    assert_int_equal(nfsd_start(server->nfsd, &error), 0);
}

void peer_server_stop(struct peer_server *server)
{
    peer_gate_open();
    nfsd_stop(server->nfsd);
    nfsd_free(server->nfsd);
}

/* --- the client --- */

int peer_connect(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

void peer_msg_free(struct peer_msg *msg)
{
    free(msg->bytes);
    *msg = (struct peer_msg){0};
}

static void put(struct peer_msg *msg, const void *bytes, size_t len)
{
    if (msg->len + len > msg->cap) {
        msg->cap = (msg->len + len) * 2;
        msg->bytes = mem_realloc(msg->bytes, msg->cap);
    }
    if (len)
        memcpy(msg->bytes + msg->len, bytes, len);
    msg->len += len;
}

void peer_put_u32(struct peer_msg *msg, uint32_t v)
{
    uint32_t be = htonl(v);

    put(msg, &be, sizeof(be));
}

void peer_put_u64(struct peer_msg *msg, uint64_t v)
{
    peer_put_u32(msg, (uint32_t)(v >> 32));
    peer_put_u32(msg, (uint32_t)v);
}

void peer_put_opaque(struct peer_msg *msg, const void *bytes, uint32_t len)
{
    peer_put_u32(msg, len);
    put(msg, bytes, len);
    put(msg, "\0\0\0", (4 - len % 4) % 4);
}

void peer_put_call_to(struct peer_msg *msg, uint32_t xid, uint32_t prog, uint32_t vers,
                      uint32_t proc)
{
    const uint32_t words[] = {xid, CALL, 2, prog, vers, proc, AUTH_NONE, 0, AUTH_NONE, 0};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        peer_put_u32(msg, words[i]);
}

void peer_put_call(struct peer_msg *msg, uint32_t xid, uint32_t proc)
{
    peer_put_call_to(msg, xid, PEER_PROG, PEER_VERS, proc);
}

void peer_send_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n < 0)
            return; /* closed by the server: the test sees it when it receives */
        at += n;
        len -= (size_t)n;
    }
}

void peer_send(int fd, const struct peer_msg *msg)
{
    uint32_t mark = htonl(0x80000000u | (uint32_t)msg->len);

    peer_send_all(fd, &mark, sizeof(mark));
    peer_send_all(fd, msg->bytes, msg->len);
}

static bool recv_all(int fd, uint8_t *at, size_t len)
{
    while (len) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;

        if (poll(&p, 1, WAIT_MS) != 1)
            fail_msg("no answer within %d ms", WAIT_MS);
        n = recv(fd, at, len, 0);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool peer_recv(int fd, struct peer_reply *ret)
{
    bool last = false;

    *ret = (struct peer_reply){0};
    while (!last) {
        uint32_t mark;

        if (!recv_all(fd, (uint8_t *)&mark, sizeof(mark)))
            return false;
        mark = ntohl(mark);
        last = mark >> 31;
        mark &= INT32_MAX;
        assert_true(ret->len + mark <= PEER_RECORD_MAX);
        ret->bytes = mem_realloc(ret->bytes, ret->len + mark + 1);
        if (!recv_all(fd, ret->bytes + ret->len, mark)) {
            peer_reply_free(ret);
            return false;
        }
        ret->len += mark;
        ret->fragments++;
    }
    return true;
}

void peer_reply_free(struct peer_reply *reply)
{
    free(reply->bytes);
    reply->bytes = NULL;
}

uint32_t peer_u32(const struct peer_reply *reply, size_t at)
{
    uint32_t be;

    assert_true(at + sizeof(be) <= reply->len);
    memcpy(&be, reply->bytes + at, sizeof(be));
    return ntohl(be);
}

uint32_t peer_success(const struct peer_reply *reply)
{
    assert_int_equal(peer_u32(reply, 4), REPLY);
    assert_int_equal(peer_u32(reply, 8), MSG_ACCEPTED);
    assert_int_equal(peer_u32(reply, 12), AUTH_NONE);
    assert_int_equal(peer_u32(reply, 16), 0);
    assert_int_equal(peer_u32(reply, 20), SUCCESS);
    assert_int_equal(reply->fragments, 1);
    return peer_u32(reply, 0);
}

void peer_call(int fd, const struct peer_msg *msg, struct peer_reply *ret)
{
    uint32_t xid;

    memcpy(&xid, msg->bytes, sizeof(xid));
    peer_send(fd, msg);
    assert_true(peer_recv(fd, ret));
    assert_int_equal(peer_success(ret), ntohl(xid));
}

void peer_check_alive(int fd, uint32_t xid)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;

    peer_put_call(&msg, xid, PEER_NULL);
    peer_call(fd, &msg, &reply);
    peer_reply_free(&reply);
    peer_msg_free(&msg);
}

bool peer_silent(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 0;
}

void peer_await(atomic_uint *value, uint32_t want)
{
    AWAIT(atomic_load(value) == want);
}

void peer_send_hold(int fd, uint32_t xid, uint64_t seq)
{
    struct peer_msg msg = {0};

    peer_put_call(&msg, xid, PEER_HOLD);
    peer_put_u64(&msg, seq);
    peer_send(fd, &msg);
    peer_msg_free(&msg);
}

uint32_t peer_recv_xid(int fd)
{
    struct peer_reply reply;
    uint32_t xid;

    assert_true(peer_recv(fd, &reply));
    xid = peer_success(&reply);
    peer_reply_free(&reply);
    return xid;
}

struct nfsd_usage peer_usage(struct peer_server *server)
{
    struct nfsd_usage usage;

    nfsd_get_usage(server->nfsd, &usage);
    return usage;
}

void peer_ask_bytes(int fd, uint32_t xid, uint32_t n)
{
    struct peer_msg msg = {0};

    peer_put_call(&msg, xid, PEER_BYTES);
    peer_put_u32(&msg, n);
    peer_send(fd, &msg);
    peer_msg_free(&msg);
}
