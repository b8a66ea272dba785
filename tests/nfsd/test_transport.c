/* The transport under load: held replies, workers, back-pressure, slow readers, many connections,
 * no descriptors, drain and stop. What it receives: test_receive.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/nfsd/test_rpc_peer.h"

/* Replies leave in the order of their numbers, not before their time, and at once when it is past.
 */
static void test_hold(void **state)
{
    struct peer_server server;
    int fd, other;

    (void)state;
    peer_server_start(&server, NULL);
    fd = peer_connect(server.port);
    other = peer_connect(server.port);
    nfsd_durable(server.nfsd, 10);
    peer_send_hold(fd, 1, 5); /* durable already */
    assert_int_equal(peer_recv_xid(fd), 1);
    peer_send_hold(fd, 30, 30);
    peer_send_hold(fd, 20, 20);
    peer_send_hold(fd, 25, 25);
    peer_send_hold(other, 21, 21);
    PEER_AWAIT_USAGE(&server, u.calls_held == 4);
    peer_check_alive(fd, 2); /* overtakes them */
    nfsd_durable(server.nfsd, 19);
    assert_true(peer_silent(fd, 20));
    nfsd_durable(server.nfsd, 25);
    assert_int_equal(peer_recv_xid(fd), 20);
    assert_int_equal(peer_recv_xid(fd), 25);
    assert_int_equal(peer_recv_xid(other), 21);
    assert_true(peer_silent(fd, 20));
    nfsd_durable(server.nfsd, 24); /* never backwards */
    nfsd_durable(server.nfsd, 1000);
    assert_int_equal(peer_recv_xid(fd), 30);
    PEER_AWAIT_USAGE(&server, u.calls == 0 && u.calls_held == 0);
    assert_int_equal(peer_usage(&server).workers, 0); /* nobody waited for the disk */
    close(fd);
    close(other);
    peer_server_stop(&server);
}

struct durable_thread {
    struct nfsd *nfsd;
    atomic_bool stop;
    atomic_uint_fast64_t seq;
};

static void *durable_main(void *arg)
{
    struct durable_thread *t = arg;

    while (!atomic_load(&t->stop)) {
        nfsd_durable(t->nfsd, atomic_load(&t->seq));
        (void)sched_yield();
    }
    return NULL;
}

/* Holding and releasing race with each other: nobody is forgotten. */
static void test_hold_races(void **state)
{
    enum { CALLS = 3000, CONNS = 4 };
    struct peer_server server;
    struct durable_thread t = {0};
    pthread_t thread;
    int fds[CONNS];
    uint32_t seq = 0;

    (void)state;
    peer_server_start(&server, NULL);
    t.nfsd = server.nfsd;
    assert_int_equal(pthread_create(&thread, NULL, durable_main, &t), 0);
    for (int i = 0; i < CONNS; i++)
        fds[i] = peer_connect(server.port);
    for (int round = 0; round < CALLS / 100; round++) {
        for (int i = 0; i < 100; i++) {
            seq++;
            peer_send_hold(fds[i % CONNS], seq, seq);
            atomic_store(&t.seq, seq > 50 ? seq - 50 : 0);
        }
        atomic_store(&t.seq, seq);
        for (int i = 0; i < 100; i++)
            (void)peer_recv_xid(fds[i % CONNS]);
    }
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    for (int i = 0; i < CONNS; i++)
        close(fds[i]);
    peer_server_stop(&server);
}

/* Calls that wait occupy workers, not the connection; the number of workers is limited and shrinks.
 */
static void test_workers(void **state)
{
    struct peer_server server;
    struct nfsd_config config;
    int fd;

    (void)state;
    nfsd_config_default(&config);
    config.workers_max = 4;
    config.worker_idle_ns = 20 * CLOCK_MS;
    peer_server_start(&server, &config);
    fd = peer_connect(server.port);
    peer_gate_close();
    for (uint32_t i = 0; i < 10; i++) {
        struct peer_msg msg = {0};

        peer_put_call(&msg, 100 + i, PEER_WAIT);
        peer_send(fd, &msg);
        peer_msg_free(&msg);
    }
    peer_await(&peer_waiting, 4);
    peer_check_alive(fd, 1);
    assert_int_equal(peer_usage(&server).workers, 4);
    assert_int_equal(peer_usage(&server).calls_handed_over, 10);
    peer_gate_open();
    for (int i = 0; i < 10; i++)
        assert_in_range(peer_recv_xid(fd), 100, 109);
    PEER_AWAIT_USAGE(&server, u.workers == 0);
    peer_gate_close();
    { /* and it grows again */
        struct peer_msg msg = {0};

        peer_put_call(&msg, 200, PEER_WAIT);
        peer_send(fd, &msg);
        peer_msg_free(&msg);
    }
    peer_await(&peer_waiting, 1);
    peer_gate_open();
    assert_int_equal(peer_recv_xid(fd), 200);
    close(fd);
    peer_server_stop(&server);
}

/* Calls under way on one connection are limited: the rest is not read until some are answered. */
static void test_call_limits(void **state)
{
    for (int global = 0; global < 2; global++) {
        struct peer_server server;
        struct nfsd_config config;
        int fd, other;

        (void)state;
        nfsd_config_default(&config);
        *(global ? &config.calls_max : &config.calls_conn_max) = 8;
        peer_server_start(&server, &config);
        fd = peer_connect(server.port);
        other = peer_connect(server.port);
        peer_gate_close();
        for (uint32_t i = 0; i < 50; i++) {
            struct peer_msg msg = {0};

            peer_put_call(&msg, i, PEER_WAIT);
            peer_send(fd, &msg);
            peer_msg_free(&msg);
        }
        peer_await(&peer_waiting, 8);
        if (!global)
            peer_check_alive(other, 1);
        PEER_AWAIT_USAGE(&server, u.calls == 8);
        peer_gate_open();
        for (uint32_t i = 0; i < 50; i++)
            assert_in_range(peer_recv_xid(fd), 0, 49);
        peer_check_alive(other, 2);
        close(fd);
        close(other);
        peer_server_stop(&server);
    }
}

/* A client that asks for much and reads nothing: the server stops reading it, its memory stays
 * bounded, others are served; when it reads, it gets all. */
static void test_slow_reader(void **state)
{
    enum { CALLS = 100, SIZE = 1 << 20 };
    struct peer_server server;
    struct nfsd_config config;
    int fd, other;

    (void)state;
    nfsd_config_default(&config);
    config.unsent_conn_max = 3 << 20;
    peer_server_start(&server, &config);
    fd = peer_connect(server.port);
    other = peer_connect(server.port);
    for (uint32_t i = 0; i < CALLS; i++)
        peer_ask_bytes(fd, i, SIZE);
    PEER_AWAIT_USAGE(&server, u.unsent_bytes >= 3 << 20);
    for (int i = 0; i < 100; i++)
        peer_check_alive(other, 1);
    assert_true(peer_usage(&server).unsent_bytes <= (4 << 20) + 64);
    for (uint32_t i = 0; i < CALLS; i++) {
        struct peer_reply reply;

        assert_true(peer_recv(fd, &reply));
        assert_int_equal(peer_success(&reply), i);
        assert_int_equal(reply.len, 28 + SIZE);
        peer_reply_free(&reply);
    }
    peer_await(&peer_released, CALLS);
    PEER_AWAIT_USAGE(&server, u.unsent_bytes == 0 && u.calls == 0);
    close(fd);
    close(other);
    peer_server_stop(&server);
}

/* Replies that nobody takes end the connection, and what they refer to is given back. */
static void test_stalled_reader(void **state)
{
    struct peer_server server;
    struct nfsd_config config;
    int fd;

    (void)state;
    nfsd_config_default(&config);
    config.stall_ns = 200 * CLOCK_MS;
    peer_server_start(&server, &config);
    fd = peer_connect(server.port);
    for (uint32_t i = 0; i < 20; i++)
        peer_ask_bytes(fd, i, 1 << 20);
    PEER_AWAIT_USAGE(&server, u.unsent_bytes > 0);
    PEER_AWAIT_USAGE(&server, u.connections == 0 && u.calls == 0 && u.unsent_bytes == 0);
    assert_true(atomic_load(&peer_released) > 0);
    close(fd);
    peer_server_stop(&server);
}

/* A client that ends its side still gets its answers. */
static void test_half_close(void **state)
{
    struct peer_server server;
    struct peer_reply reply;
    struct peer_msg msg = {0};
    int fd;

    (void)state;
    peer_server_start(&server, NULL);
    fd = peer_connect(server.port);
    peer_gate_close();
    peer_put_call(&msg, 9, PEER_WAIT);
    peer_send(fd, &msg);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    peer_await(&peer_waiting, 1);
    peer_gate_open();
    assert_int_equal(peer_recv_xid(fd), 9);
    assert_false(peer_recv(fd, &reply));
    peer_msg_free(&msg);
    close(fd);
    PEER_AWAIT_USAGE(&server, u.connections == 0);
    peer_server_stop(&server);
}

/* Connections that vanish while their calls are with workers or held. */
static void test_vanishing_clients(void **state)
{
    struct peer_server server;

    (void)state;
    peer_server_start(&server, NULL);
    peer_gate_close();
    for (uint32_t i = 0; i < 40; i++) {
        struct linger reset = {.l_onoff = 1};
        struct peer_msg msg = {0};
        int fd = peer_connect(server.port);

        peer_put_call(&msg, i, PEER_WAIT);
        peer_send(fd, &msg);
        peer_send_hold(fd, 1000 + i, 77);
        peer_ask_bytes(fd, 2000 + i, 1 << 20);
        peer_msg_free(&msg);
        if (i % 2)
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        if (i % 4 < 2)
            PEER_AWAIT_USAGE(&server, u.calls_held > 0);
        close(fd);
    }
    peer_gate_open();
    nfsd_durable(server.nfsd, 77);
    PEER_AWAIT_USAGE(&server, u.connections == 0 && u.calls == 0 && u.calls_held == 0);
    peer_server_stop(&server);
}

static void test_thousand_connections(void **state)
{
    enum { CONNS = 1000 };
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    struct peer_server server;
    static int fds[CONNS];

    (void)state;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        skip();
    peer_server_start(&server, NULL);
    for (int i = 0; i < CONNS; i++)
        fds[i] = peer_connect(server.port);
    for (int round = 0; round < 2; round++) {
        struct peer_msg msg = {0};

        peer_put_call(&msg, 5, PEER_NULL);
        for (int i = 0; i < CONNS; i++)
            peer_send(fds[i], &msg);
        for (int i = 0; i < CONNS; i++)
            assert_int_equal(peer_recv_xid(fds[i]), 5);
        peer_msg_free(&msg);
    }
    assert_int_equal(peer_usage(&server).connections, CONNS);
    for (int i = 0; i < CONNS; i++)
        close(fds[i]);
    PEER_AWAIT_USAGE(&server, u.connections == 0);
    peer_server_stop(&server);
}

/* More connections than allowed are closed at once. */
static void test_connection_limit(void **state)
{
    struct peer_server server;
    struct nfsd_config config;
    struct peer_reply reply;
    int fds[4], extra;

    (void)state;
    nfsd_config_default(&config);
    config.connections_max = 4;
    peer_server_start(&server, &config);
    for (int i = 0; i < 4; i++) {
        fds[i] = peer_connect(server.port);
        peer_check_alive(fds[i], 1);
    }
    extra = peer_connect(server.port);
    assert_false(peer_recv(extra, &reply));
    close(extra);
    assert_int_equal(peer_usage(&server).connections_refused, 1);
    close(fds[0]);
    PEER_AWAIT_USAGE(&server, u.connections == 3);
    extra = peer_connect(server.port);
    peer_check_alive(extra, 2);
    close(extra);
    for (int i = 1; i < 4; i++)
        close(fds[i]);
    peer_server_stop(&server);
}

/* In a child: descriptors run out; those connected are served, the next is turned away, and when
 * there are descriptors again it goes on. */
static int run_out_of_descriptors(int ready, uint16_t *port_out, int go)
{
    struct peer_server server;
    struct rlimit limit;
    char byte;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) /* a failed test leaves nothing behind */
        return 1;
    peer_server_start(&server, NULL);
    limit.rlim_cur = limit.rlim_max = (rlim_t)dup(go) + 30;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 77;
    *port_out = server.port;
    if (write(ready, port_out, sizeof(*port_out)) != sizeof(*port_out) || read(go, &byte, 1) != 1)
        return 1;
    peer_server_stop(&server);
    return 0;
}

static void test_no_descriptors(void **state)
{
    int ready[2], go[2], status, fds[60], served = 0, refused = 0, last;
    uint16_t port = 0;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_out_of_descriptors(ready[1], &port, go[0]));
    assert_int_equal(read(ready[0], &port, sizeof(port)), sizeof(port));
    for (int i = 0; i < 60; i++) {
        struct peer_reply reply;
        struct peer_msg msg = {0};

        fds[i] = peer_connect(port);
        peer_put_call(&msg, 5, PEER_NULL);
        peer_send(fds[i], &msg);
        peer_msg_free(&msg);
        if (peer_recv(fds[i], &reply)) {
            peer_reply_free(&reply);
            served++;
        } else {
            refused++;
        }
    }
    assert_true(served >= 10);
    assert_true(refused >= 10);
    assert_int_equal(served + refused, 60);
    peer_check_alive(fds[0], 6);
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    do { /* the server needs a moment to see them closed */
        struct peer_reply reply;
        struct peer_msg msg = {0};

        last = peer_connect(port);
        peer_put_call(&msg, 7, PEER_NULL);
        peer_send(last, &msg);
        peer_msg_free(&msg);
        status = peer_recv(last, &reply);
        if (status)
            peer_reply_free(&reply);
        close(last);
    } while (!status);
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
}

/* Drain lets what is under way finish and takes nothing new. */
static void test_drain(void **state)
{
    struct peer_server server;
    struct peer_msg msg = {0};
    int fd;

    (void)state;
    peer_server_start(&server, NULL);
    fd = peer_connect(server.port);
    peer_gate_close();
    peer_put_call(&msg, 9, PEER_WAIT);
    peer_send(fd, &msg);
    peer_await(&peer_waiting, 1);
    peer_send_hold(fd, 10, 50);
    PEER_AWAIT_USAGE(&server, u.calls_held == 1);
    assert_false(nfsd_drain(server.nfsd, clock_mono_ns() + 20 * CLOCK_MS));
    peer_ask_bytes(fd, 11, 1); /* too late */
    peer_gate_open();
    assert_int_equal(peer_recv_xid(fd), 9);
    nfsd_durable(server.nfsd, 50);
    assert_true(nfsd_drain(server.nfsd, clock_mono_ns() + 10 * CLOCK_S));
    assert_int_equal(peer_recv_xid(fd), 10);
    nfsd_stop(server.nfsd);
    nfsd_durable(server.nfsd, 60); /* may still come */
    nfsd_free(server.nfsd);
    peer_msg_free(&msg);
    close(fd);
}

/* Stopping with everything still under way leaks nothing (the sanitizers look). */
static void test_stop_in_the_middle(void **state)
{
    struct peer_server server;
    int fds[8];

    (void)state;
    peer_server_start(&server, NULL);
    for (int i = 0; i < 8; i++) {
        fds[i] = peer_connect(server.port);
        for (uint32_t j = 0; j < 10; j++) {
            peer_send_hold(fds[i], j, 1000);
            peer_ask_bytes(fds[i], 100 + j, 1 << 20);
        }
    }
    PEER_AWAIT_USAGE(&server, u.calls_held > 10);
    peer_server_stop(&server);
    for (int i = 0; i < 8; i++)
        close(fds[i]);
}

/* Everything at once from several threads: calls of all kinds, retransmissions over other
 * connections, clients that leave without reading, while durability moves on; then all must be
 * gone. */
struct chaos {
    uint16_t port;
    unsigned seed;
    struct peer_server *server;
    pthread_t thread;
};
enum { CHAOS_THREADS = 4, CHAOS_ROUNDS = 150 };

static void chaos_call(struct chaos *c, int fd, uint32_t xid)
{
    static const uint32_t procs[] = {PEER_NULL, PEER_WAIT,  PEER_HOLD,    PEER_ONCE,  PEER_ONCE,
                                     PEER_ONCE, PEER_BYTES, PEER_JOURNAL, PEER_LATER, PEER_ENTRIES};
    uint32_t proc = procs[(unsigned)rand_r(&c->seed) % (sizeof(procs) / sizeof(procs[0]))];
    struct peer_msg msg = {0};

    peer_put_call(&msg, xid, proc);
    if (proc == PEER_HOLD)
        peer_put_u64(&msg, (unsigned)rand_r(&c->seed) % 2000);
    else
        peer_put_u32(&msg, proc == PEER_BYTES ? (unsigned)rand_r(&c->seed) % 300000 : xid % 2);
    peer_send(fd, &msg);
    peer_msg_free(&msg);
}

static void *chaos_main(void *arg)
{
    struct chaos *c = arg;

    for (int round = 0; round < CHAOS_ROUNDS; round++) {
        int fds[3];

        for (int i = 0; i < 3; i++)
            fds[i] = peer_connect(c->port);
        for (uint32_t i = 0; i < 30; i++) /* xids are few: many are retransmissions */
            chaos_call(c, fds[(unsigned)rand_r(&c->seed) % 3], (unsigned)rand_r(&c->seed) % 500);
        for (int i = 0; i < 3; i++) {
            uint8_t bytes[4096];

            if (rand_r(&c->seed) % 2)
                (void)recv(fds[i], bytes, sizeof(bytes), MSG_DONTWAIT);
            close(fds[i]);
        }
        nfsd_durable(c->server->nfsd, (unsigned)rand_r(&c->seed) % 2000);
    }
    return NULL;
}

static void test_chaos(void **state)
{
    struct chaos clients[CHAOS_THREADS];
    struct peer_server server;
    struct nfsd_config config;

    (void)state;
    nfsd_config_default(&config);
    config.reactors = 3;
    config.workers_max = 8;
    config.worker_idle_ns = CLOCK_MS;
    config.calls_max = 200;
    config.calls_conn_max = 20;
    config.unsent_max = 1 << 20;
    config.replies_kept_max = 64 << 10;
    peer_server_start(&server, &config);
    for (unsigned i = 0; i < CHAOS_THREADS; i++) {
        clients[i] = (struct chaos){.port = server.port, .seed = i + 1, .server = &server};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, chaos_main, &clients[i]), 0);
    }
    for (unsigned i = 0; i < CHAOS_THREADS; i++)
        pthread_join(clients[i].thread, NULL);
    nfsd_durable(server.nfsd, 2000);
    PEER_AWAIT_USAGE(&server, u.connections == 0 && u.calls == 0 && u.calls_held == 0);
    assert_int_equal(peer_usage(&server).unsent_bytes, 0);
    assert_int_equal(peer_usage(&server).receive_bytes, 0);
    peer_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_hold_races),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_call_limits),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_stalled_reader),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_vanishing_clients),
        cmocka_unit_test(test_thousand_connections),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_stop_in_the_middle),
        cmocka_unit_test(test_chaos),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
