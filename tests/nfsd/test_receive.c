/* Receiving: records in batches, large ones, those that do not end, and the buffers for them. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/nfsd/test_rpc_peer.h"

/* --- what a connection finds when it receives is the test's (the program is linked with
 * --wrap=recv) --- */

static struct {
    pthread_mutex_t lock;
    int client;           /* descriptor that receives as usual */
    const uint8_t *bytes; /* NULL: everything is as usual */
    size_t len, at;
    unsigned receives;
} feed = {.lock = PTHREAD_MUTEX_INITIALIZER};

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
    ssize_t n;

    pthread_mutex_lock(&feed.lock);
    if (!feed.bytes || fd == feed.client) {
        pthread_mutex_unlock(&feed.lock);
        return __real_recv(fd, buf, len, flags);
    }
    n = (ssize_t)(feed.len - feed.at < len ? feed.len - feed.at : len);
    memcpy(buf, feed.bytes + feed.at, (size_t)n);
    feed.at += (size_t)n;
    feed.receives++;
    if (n == 0) {
        errno = EAGAIN;
        n = -1;
    }
    pthread_mutex_unlock(&feed.lock);
    return n;
}

static void feed_set(int client, const uint8_t *bytes, size_t len)
{
    pthread_mutex_lock(&feed.lock);
    feed.client = client;
    feed.bytes = bytes;
    feed.len = len;
    feed.at = feed.receives = 0;
    pthread_mutex_unlock(&feed.lock);
}

static unsigned feed_receives(void)
{
    pthread_mutex_lock(&feed.lock);
    unsigned receives = feed.receives;
    pthread_mutex_unlock(&feed.lock);
    return receives;
}

/* After some receives in a row others get their turn. Whatever the last of them brought must be run
 * all the same: no event comes for it. So everything is there at once, in every amount up to more
 * than one turn takes, and nothing comes afterwards. */
static void test_last_round(void **state)
{
    enum { CALLS = 300, SIZE = 8000, STEP = 3 };
    struct nfsd_config config;
    struct peer_server server;
    struct peer_msg stream = {0};
    uint8_t junk[SIZE] = {0};
    unsigned receives_max = 0;
    int fd;

    (void)state;
    for (uint32_t i = 0; i < CALLS; i++) { /* NULL does not look at its arguments */
        struct peer_msg msg = {0};

        peer_put_call(&msg, i, PEER_NULL);
        peer_put_opaque(&msg, junk, SIZE - i % 7 * 4);
        peer_put_u32(&stream, 0x80000000u | (uint32_t)msg.len);
        stream.bytes = realloc(stream.bytes, stream.len + msg.len);
        assert_non_null(stream.bytes);
        memcpy(stream.bytes + stream.len, msg.bytes, msg.len);
        stream.len += msg.len;
        stream.cap = stream.len;
        peer_msg_free(&msg);
    }
    nfsd_config_default(&config);
    config.calls_conn_max = 2 * CALLS; /* nothing else ends a turn */
    peer_server_start(&server, &config);
    fd = peer_connect(server.port);
    peer_check_alive(fd, 1);
    for (uint32_t count = 1; count <= CALLS; count += STEP) {
        size_t len = 0;

        for (uint32_t i = 0; i < count; i++)
            len += 4 + 40 + 4 + SIZE - i % 7 * 4;
        feed_set(fd, stream.bytes, len);
        peer_send_all(fd, "", 1); /* the event, once; the byte itself is never received */
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(peer_recv_xid(fd), i);
        unsigned receives = feed_receives();
        receives_max = receives > receives_max ? receives : receives_max;
    }
    assert_true(receives_max > 20);
    close(fd);
    peer_server_stop(&server);
    feed_set(-1, NULL, 0);
    peer_msg_free(&stream);
}

static void test_half_record_and_idle(void **state)
{
    struct peer_server server;
    struct nfsd_config config;
    struct peer_reply reply;
    uint32_t mark = htonl(0x80000100);
    int half, idle;

    (void)state;
    nfsd_config_default(&config);
    config.stall_ns = 100 * CLOCK_MS;
    config.idle_ns = 100 * CLOCK_MS;
    peer_server_start(&server, &config);
    half = peer_connect(server.port);
    idle = peer_connect(server.port);
    peer_send_all(half, &mark, sizeof(mark));
    peer_check_alive(idle, 1);
    assert_false(peer_recv(half, &reply));
    assert_false(peer_recv(idle, &reply));
    close(half);
    close(idle);
    PEER_AWAIT_USAGE(&server, u.connections == 0);
    assert_int_equal(peer_usage(&server).receive_bytes, 0);
    peer_server_stop(&server);
}

/* The large buffers are limited: big requests wait for each other, small ones go on. */
struct big_sender {
    int fd;
    const struct peer_msg *msg;
    pthread_t thread;
};
enum { BIG_BEGUN = 200000 };

static void *big_send_main(void *arg)
{
    struct big_sender *s = arg;

    peer_send_all(s->fd, s->msg->bytes + BIG_BEGUN, s->msg->len - BIG_BEGUN);
    return NULL;
}

static void test_receive_limit(void **state)
{
    enum { CONNS = 6 };
    struct big_sender senders[CONNS];
    struct peer_server server;
    struct nfsd_config config;
    struct peer_msg msg = {0};
    uint8_t *data = calloc(1, 1 << 20);
    uint32_t mark;
    int small;

    (void)state;
    assert_non_null(data);
    nfsd_config_default(&config);
    config.receive_max = 3 << 20;
    peer_server_start(&server, &config);
    small = peer_connect(server.port);
    peer_put_call(&msg, 3, PEER_ECHO);
    peer_put_opaque(&msg, data, 1 << 20);
    mark = htonl(0x80000000u | (uint32_t)msg.len);
    for (int i = 0; i < CONNS; i++) {
        senders[i] = (struct big_sender){.fd = peer_connect(server.port), .msg = &msg};
        peer_send_all(senders[i].fd, &mark, 4);
        peer_send_all(senders[i].fd, msg.bytes, BIG_BEGUN); /* begun, not ended */
    }
    peer_check_alive(small, 1);
    PEER_AWAIT_USAGE(&server, u.receive_bytes > 2 << 20);
    assert_true(peer_usage(&server).receive_bytes <= (3 << 20) + (CONNS + 1) * (64 << 10));
    for (int i = 0; i < CONNS; i++)
        assert_int_equal(pthread_create(&senders[i].thread, NULL, big_send_main, &senders[i]), 0);
    for (int i = 0; i < CONNS; i++) {
        assert_int_equal(peer_recv_xid(senders[i].fd), 3);
        pthread_join(senders[i].thread, NULL);
        close(senders[i].fd);
    }
    peer_msg_free(&msg);
    free(data);
    close(small);
    peer_server_stop(&server);
}

/* Large requests back to back on several connections at once, pipelined: nothing gets mixed up. */
enum { ECHO_SIZE = (1 << 20) - 13, ECHO_CALLS = 12, ECHO_CLIENTS = 4 };
struct echo_client {
    int fd;
    uint32_t seed;
    pthread_t sender;
};

static void echo_fill(uint8_t *data, uint32_t seed, uint32_t xid)
{
    for (size_t i = 0; i < ECHO_SIZE; i++)
        data[i] = (uint8_t)(i * 31 + i / 4096 + seed * 7 + xid);
}

static void *echo_send_main(void *arg)
{
    struct echo_client *c = arg;
    struct peer_msg msg = {0};
    uint8_t *data = malloc(ECHO_SIZE);

    for (uint32_t xid = 0; xid < ECHO_CALLS && data; xid++) {
        echo_fill(data, c->seed, xid);
        msg.len = 0;
        peer_put_call(&msg, xid, PEER_ECHO);
        peer_put_opaque(&msg, data, ECHO_SIZE - xid * 1000);
        peer_send(c->fd, &msg);
    }
    peer_msg_free(&msg);
    free(data);
    return NULL;
}

static void test_large_side_by_side(void **state)
{
    struct echo_client clients[ECHO_CLIENTS];
    uint8_t *data = malloc(ECHO_SIZE);
    struct peer_server server;

    (void)state;
    assert_non_null(data);
    peer_server_start(&server, NULL);
    for (uint32_t i = 0; i < ECHO_CLIENTS; i++) {
        clients[i].fd = peer_connect(server.port);
        clients[i].seed = i;
        assert_int_equal(pthread_create(&clients[i].sender, NULL, echo_send_main, &clients[i]), 0);
    }
    for (uint32_t xid = 0; xid < ECHO_CALLS; xid++)
        for (uint32_t i = 0; i < ECHO_CLIENTS; i++) {
            struct peer_reply reply;

            assert_true(peer_recv(clients[i].fd, &reply));
            assert_int_equal(peer_success(&reply), xid); /* answered on the spot: in order */
            assert_int_equal(peer_u32(&reply, 24), ECHO_SIZE - xid * 1000);
            echo_fill(data, i, xid);
            assert_memory_equal(reply.bytes + 28, data, ECHO_SIZE - xid * 1000);
            peer_reply_free(&reply);
        }
    for (uint32_t i = 0; i < ECHO_CLIENTS; i++) {
        pthread_join(clients[i].sender, NULL);
        close(clients[i].fd);
    }
    PEER_AWAIT_USAGE(&server, u.connections == 0);
    assert_int_equal(peer_usage(&server).receive_bytes, 0);
    free(data);
    peer_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_round),
        cmocka_unit_test(test_half_record_and_idle),
        cmocka_unit_test(test_receive_limit),
        cmocka_unit_test(test_large_side_by_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
