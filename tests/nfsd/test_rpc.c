/* RPC as RFC 5531 has it: errors for wrong calls, credentials, results; retransmissions. All
 * against a live server, while a second connection must go on being served. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "nfsd/rpc_header.h"
#include "tests/nfsd/test_rpc_peer.h"

static struct peer_server server;
static int bystander = -1;

static int start(void **state)
{
    (void)state;
    peer_server_start(&server, NULL);
    bystander = peer_connect(server.port);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    peer_check_alive(bystander, 4711);
    close(bystander);
    peer_server_stop(&server);
    return 0;
}

/* Sends words as one record; the reply must have these words at 4 and on. */
static void expect_reply(const uint32_t *words, size_t count, const uint32_t *want,
                         size_t want_count)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    int fd = peer_connect(server.port);

    for (size_t i = 0; i < count; i++)
        peer_put_u32(&msg, words[i]);
    peer_send(fd, &msg);
    assert_true(peer_recv(fd, &reply));
    assert_int_equal(peer_u32(&reply, 0), words[0]);
    assert_int_equal(reply.len, 4 + 4 * want_count);
    for (size_t i = 0; i < want_count; i++)
        assert_int_equal(peer_u32(&reply, 4 + 4 * i), want[i]);
    peer_reply_free(&reply);
    peer_check_alive(fd, 1); /* an error ends the call, not the connection */
    peer_check_alive(bystander, 2);
    peer_msg_free(&msg);
    close(fd);
}
#define EXPECT_REPLY(words, ...)                                                             \
    expect_reply(words, sizeof(words) / sizeof((words)[0]), (const uint32_t[]){__VA_ARGS__}, \
                 sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void test_wrong_rpc_version(void **state)
{
    const uint32_t call[] = {9, CALL, 3, PEER_PROG, PEER_VERS, 0, 0, 0, 0, 0};

    (void)state;
    EXPECT_REPLY(call, REPLY, MSG_DENIED, RPC_MISMATCH, 2, 2);
}

static void test_unknown_program(void **state)
{
    const uint32_t call[] = {9, CALL, 2, 100227, 3, 0, 0, 0, 0, 0};

    (void)state;
    EXPECT_REPLY(call, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, PROG_UNAVAIL);
}

static void test_wrong_version(void **state)
{
    const uint32_t below[] = {9, CALL, 2, PEER_PROG, 2, 0, 0, 0, 0, 0};
    const uint32_t above[] = {9, CALL, 2, PEER_PROG, 5, 0, 0, 0, 0, 0};

    (void)state;
    EXPECT_REPLY(below, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, PROG_MISMATCH, 3, 4);
    EXPECT_REPLY(above, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, PROG_MISMATCH, 3, 4);
}

static void test_unknown_procedure(void **state)
{
    const uint32_t near[] = {9, CALL, 2, PEER_PROG, 3, 63, 0, 0, 0, 0};
    const uint32_t far[] = {9, CALL, 2, PEER_PROG, 3, UINT32_MAX, 0, 0, 0, 0};

    (void)state;
    EXPECT_REPLY(near, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, PROC_UNAVAIL);
    EXPECT_REPLY(far, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, PROC_UNAVAIL);
}

static void test_credentials(void **state)
{
    /* machine name "abc", uid 1, gid 2, groups 3 and 4 */
    const uint32_t good[] = {9,          CALL, 2, PEER_PROG, 3, 0, AUTH_SYS, 36, 1, 3,
                             0x61626300, 1,    2, 3,         3, 4, 5,        0,  0};
    const uint32_t gss[] = {9, CALL, 2, PEER_PROG, 3, 0, 6, 4, 0, 0, 0};
    const uint32_t shorthand[] = {9, CALL, 2, PEER_PROG, 3, 0, AUTH_SHORT, 4, 0, 0, 0};
    const uint32_t long_body[] = {9, CALL, 2, PEER_PROG, 3, 0, AUTH_SYS, 404, 0, 0};
    const uint32_t negative[] = {9, CALL, 2, PEER_PROG, 3, 0, AUTH_SYS, 0xffffffff, 0, 0};
    const uint32_t lying_name[] = {9,          CALL, 2, PEER_PROG, 3, 0, AUTH_SYS, 28, 1,
                                   0xfffffffc, 0,    1, 2,         0, 0, 0,        0};
    const uint32_t truncated[] = {9, CALL, 2, PEER_PROG, 3, 0, AUTH_SYS, 36, 1, 3};
    const uint32_t too_little[] = {9, CALL, 2, PEER_PROG, 3, 0, AUTH_SYS, 8, 1, 0, 0, 0};
    const uint32_t verifier[] = {9, CALL, 2, PEER_PROG, 3, 0, AUTH_NONE, 0, AUTH_SYS, 4, 0};

    (void)state;
    EXPECT_REPLY(good, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, SUCCESS);
    EXPECT_REPLY(gss, REPLY, MSG_DENIED, AUTH_ERROR, AUTH_REJECTEDCRED);
    EXPECT_REPLY(shorthand, REPLY, MSG_DENIED, AUTH_ERROR, AUTH_REJECTEDCRED);
    EXPECT_REPLY(long_body, REPLY, MSG_DENIED, AUTH_ERROR, AUTH_BADCRED);
    EXPECT_REPLY(negative, REPLY, MSG_DENIED, AUTH_ERROR, AUTH_BADCRED);
    EXPECT_REPLY(lying_name, REPLY, MSG_DENIED, AUTH_ERROR, AUTH_BADCRED);
    EXPECT_REPLY(truncated, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, GARBAGE_ARGS);
    EXPECT_REPLY(too_little, REPLY, MSG_DENIED, AUTH_ERROR, AUTH_BADCRED);
    EXPECT_REPLY(verifier, REPLY, MSG_DENIED, AUTH_ERROR, AUTH_BADVERF);
}

/* 16 groups are taken, 17 are not. */
static void test_groups(void **state)
{
    (void)state;
    for (uint32_t n = 16; n <= 17; n++) {
        uint32_t call[64] = {9, CALL, 2, PEER_PROG, 3, 0, AUTH_SYS, 20 + 4 * n, 1, 0, 1, 2, n};
        struct rpc_header header;
        uint8_t wire[sizeof(call)];
        size_t words = 13 + n + 2;

        for (size_t i = 0; i < words; i++) {
            uint32_t be = htonl(call[i]);

            memcpy(wire + 4 * i, &be, 4);
        }
        assert_int_equal(rpc_header_parse(wire, words * 4, &header),
                         n == 16 ? RPC_HEADER_OK : RPC_HEADER_BAD_CRED);
        if (n == 17)
            continue;
        assert_true(header.has_cred);
        assert_int_equal(header.cred.group_count, 16);
        assert_int_equal(header.args, words * 4);
    }
}

static void test_cred_fields(void **state)
{
    const uint32_t words[] = {9, CALL,       2,   1,  3, 0,  AUTH_SYS, 32, 7,
                              4, 0x61626364, 501, 20, 2, 12, 61,       0,  0};
    struct rpc_header header;
    uint8_t wire[sizeof(words)];

    (void)state;
    for (size_t i = 0; i < sizeof(words) / 4; i++) {
        uint32_t be = htonl(words[i]);

        memcpy(wire + 4 * i, &be, 4);
    }
    assert_int_equal(rpc_header_parse(wire, sizeof(wire), &header), RPC_HEADER_OK);
    assert_int_equal(header.cred.uid, 501);
    assert_int_equal(header.cred.gid, 20);
    assert_int_equal(header.cred.groups[0], 12);
    assert_int_equal(header.cred.groups[1], 61);
}

/* Cut anywhere, the head is refused: an error that has a name, or a closed connection. */
static void test_head_cut_anywhere(void **state)
{
    struct peer_msg msg = {0};

    (void)state;
    peer_put_call(&msg, 77, PEER_NULL);
    for (size_t len = 0; len < msg.len; len++) {
        struct peer_msg cut = {.bytes = msg.bytes, .len = len};
        int fd = peer_connect(server.port);
        struct peer_reply reply;

        peer_send(fd, &cut);
        if (len < 12) {
            assert_false(peer_recv(fd, &reply));
        } else {
            assert_true(peer_recv(fd, &reply));
            assert_int_equal(peer_u32(&reply, 0), 77);
            assert_int_equal(peer_u32(&reply, 20), GARBAGE_ARGS);
            peer_reply_free(&reply);
        }
        close(fd);
        peer_check_alive(bystander, 3);
    }
    peer_msg_free(&msg);
}

static void test_not_a_call(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    int fd = peer_connect(server.port);

    (void)state;
    peer_put_call(&msg, 77, PEER_NULL);
    msg.bytes[7] = REPLY;
    peer_send(fd, &msg);
    assert_false(peer_recv(fd, &reply));
    close(fd);
    peer_msg_free(&msg);
}

static void test_garbage_arguments(void **state)
{
    const uint32_t none[] = {9, CALL, 2, PEER_PROG, 3, PEER_STRING, 0, 0, 0, 0};
    const uint32_t longer_than_there_is[] = {9, CALL, 2, PEER_PROG, 3, PEER_STRING,
                                             0, 0,    0, 0,         5, 0x61616161};
    const uint32_t negative[] = {9, CALL, 2, PEER_PROG, 3, PEER_STRING, 0, 0, 0, 0, 0xfffffffc, 1};
    const uint32_t too_long[] = {9, CALL, 2, PEER_PROG, 3, PEER_STRING, 0, 0, 0, 0, 8196, 1};
    const uint32_t payload[] = {9, CALL, 2, PEER_PROG, 3, PEER_ECHO, 0, 0, 0, 0, 0xfffffff0, 1};
    const uint32_t nul_inside[] = {9, CALL, 2, PEER_PROG, 3, PEER_STRING,
                                   0, 0,    0, 0,         4, 0x61006161};
    const uint32_t fine[] = {9, CALL, 2, PEER_PROG, 3, PEER_STRING, 0, 0, 0, 0, 3, 0x61616100};

    (void)state;
    EXPECT_REPLY(none, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, GARBAGE_ARGS);
    EXPECT_REPLY(longer_than_there_is, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, GARBAGE_ARGS);
    EXPECT_REPLY(negative, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, GARBAGE_ARGS);
    EXPECT_REPLY(too_long, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, GARBAGE_ARGS);
    EXPECT_REPLY(payload, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, GARBAGE_ARGS);
    EXPECT_REPLY(nul_inside, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, GARBAGE_ARGS);
    EXPECT_REPLY(fine, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, SUCCESS, 3);
}

static void test_long_string(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    char path[8192];
    int fd = peer_connect(server.port);

    (void)state;
    memset(path, 'x', sizeof(path));
    peer_put_call(&msg, 5, PEER_STRING);
    peer_put_opaque(&msg, path, sizeof(path));
    peer_call(fd, &msg, &reply);
    assert_int_equal(peer_u32(&reply, 24), sizeof(path));
    peer_reply_free(&reply);
    peer_msg_free(&msg);
    close(fd);
}

static void test_no_answer_is_an_error(void **state)
{
    const uint32_t call[] = {9, CALL, 2, PEER_PROG, 3, PEER_FALSE, 0, 0, 0, 0};

    (void)state;
    EXPECT_REPLY(call, REPLY, MSG_ACCEPTED, AUTH_NONE, 0, SYSTEM_ERR);
}

static void test_drop(void **state)
{
    struct peer_msg msg = {0};
    int fd = peer_connect(server.port);

    (void)state;
    peer_put_call(&msg, 5, PEER_DROP);
    peer_send(fd, &msg);
    peer_check_alive(fd, 6); /* the next reply is this one */
    peer_msg_free(&msg);
    close(fd);
}

/* Data of every length around the padding and the buffer sizes comes back as it was. */
static void test_echo(void **state)
{
    static const uint32_t sizes[] = {0,     1,     2,     3,     4,      5,       1023,   4096,
                                     65400, 65535, 65536, 65537, 100001, 1048575, 1 << 20};
    static uint8_t data[1 << 20];
    int fd = peer_connect(server.port);

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct peer_msg msg = {0};
        struct peer_reply reply;

        peer_put_call(&msg, (uint32_t)i, PEER_ECHO);
        peer_put_opaque(&msg, data, sizes[i]);
        peer_call(fd, &msg, &reply);
        assert_int_equal(peer_u32(&reply, 24), sizes[i]);
        assert_int_equal(reply.len, 28 + ((sizes[i] + 3) & ~3u));
        assert_memory_equal(reply.bytes + 28, data, sizes[i]);
        peer_reply_free(&reply);
        peer_msg_free(&msg);
    }
    peer_await(&peer_released, sizeof(sizes) / sizeof(sizes[0]));
    close(fd);
}

/* One byte more than a WRITE may have is refused as an argument. */
static void test_echo_too_long(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    uint8_t *data = calloc(1, (1 << 20) + 4);
    int fd = peer_connect(server.port);

    (void)state;
    assert_non_null(data);
    peer_put_call(&msg, 1, PEER_ECHO);
    peer_put_opaque(&msg, data, (1 << 20) + 1);
    peer_send(fd, &msg);
    assert_true(peer_recv(fd, &reply));
    assert_int_equal(peer_u32(&reply, 20), GARBAGE_ARGS);
    peer_reply_free(&reply);
    peer_msg_free(&msg);
    free(data);
    close(fd);
}

/* A call sent in fragments cut at every byte, and in single-byte segments. */
static void test_fragments(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    int fd = peer_connect(server.port);

    (void)state;
    peer_put_call(&msg, 1234, PEER_ECHO);
    peer_put_opaque(&msg, "pailfs", 6);
    for (uint32_t cut = 0; cut <= msg.len; cut++) {
        uint32_t first = htonl(cut), second = htonl(0x80000000u | (uint32_t)(msg.len - cut));

        peer_send_all(fd, &first, 4);
        peer_send_all(fd, msg.bytes, cut);
        peer_send_all(fd, &second, 4);
        peer_send_all(fd, msg.bytes + cut, msg.len - cut);
        assert_true(peer_recv(fd, &reply));
        assert_int_equal(peer_success(&reply), 1234);
        assert_memory_equal(reply.bytes + 28, "pailfs", 6);
        peer_reply_free(&reply);
    }
    for (size_t i = 0; i < msg.len; i++) {
        uint32_t mark = htonl((i + 1 == msg.len ? 0x80000000u : 0) | 1);

        peer_send_all(fd, &mark, 4);
        peer_send_all(fd, msg.bytes + i, 1);
        if (i == msg.len / 2)
            peer_check_alive(bystander, 8);
    }
    assert_true(peer_recv(fd, &reply));
    assert_int_equal(peer_success(&reply), 1234);
    peer_reply_free(&reply);
    peer_msg_free(&msg);
    close(fd);
}

static void test_bad_records(void **state)
{
    static const uint32_t marks[] = {0xffffffffu, 0x7fffffffu, 0x80200001u, 0x00200001u,
                                     0x80000000u};

    (void)state;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        struct peer_reply reply;
        uint32_t mark = htonl(marks[i]);
        int fd = peer_connect(server.port);

        peer_send_all(fd, &mark, 4);
        assert_false(peer_recv(fd, &reply));
        close(fd);
        peer_check_alive(bystander, 9);
    }
}

/* What was asked before the nonsense is answered. */
static void test_answers_before_nonsense(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    int fd = peer_connect(server.port);
    uint32_t mark = UINT32_MAX;

    (void)state;
    peer_put_call(&msg, 5, PEER_NULL);
    peer_send(fd, &msg);
    peer_send_all(fd, &mark, 4);
    assert_true(peer_recv(fd, &reply));
    assert_int_equal(peer_success(&reply), 5);
    peer_reply_free(&reply);
    assert_false(peer_recv(fd, &reply));
    peer_msg_free(&msg);
    close(fd);
}

static void test_random_garbage(void **state)
{
    unsigned seed = 12345;

    (void)state;
    for (int i = 0; i < 200; i++) {
        uint8_t bytes[256];
        int fd = peer_connect(server.port);

        for (size_t j = 0; j < sizeof(bytes); j++)
            bytes[j] = (uint8_t)rand_r(&seed);
        if (i % 2) { /* a record that is whole, of a call that begins well */
            const uint32_t words[] = {htonl(0x80000000u | (sizeof(bytes) - 4)),
                                      1,
                                      htonl(CALL),
                                      htonl(2),
                                      htonl(PEER_PROG),
                                      htonl(3)};

            memcpy(bytes, words, sizeof(words));
        }
        peer_send_all(fd, bytes, sizeof(bytes));
        close(fd);
    }
    peer_check_alive(bystander, 10);
}

static void test_entries(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    int fd = peer_connect(server.port);
    uint32_t count = 0;
    size_t at = 24 + 4 + 4 + 8;

    (void)state;
    peer_put_call(&msg, 5, PEER_ENTRIES);
    peer_put_u32(&msg, 1000);
    peer_call(fd, &msg, &reply);
    while (peer_u32(&reply, at)) {
        uint32_t len = peer_u32(&reply, at + 12);

        assert_int_equal(peer_u32(&reply, at + 8), 100 + count);
        at += 16 + ((len + 3) & ~3u);
        assert_int_equal(peer_u32(&reply, at + 4), 3 + count);
        at += 8;
        count++;
    }
    assert_int_equal(count, 1000);
    assert_int_equal(peer_u32(&reply, at + 4), TRUE); /* eof */
    assert_int_equal(reply.len, at + 8);
    peer_reply_free(&reply);
    peer_msg_free(&msg);
    close(fd);
}

/* --- exactly once --- */

static uint32_t call_once(int fd, uint32_t xid, uint32_t proc, uint32_t wait)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    uint32_t count;

    peer_put_call(&msg, xid, proc);
    peer_put_u32(&msg, wait);
    peer_call(fd, &msg, &reply);
    count = peer_u32(&reply, 24);
    assert_int_equal(reply.len, 28);
    peer_reply_free(&reply);
    peer_msg_free(&msg);
    return count;
}

static void test_retransmission(void **state)
{
    int fd = peer_connect(server.port), other = peer_connect(server.port);

    (void)state;
    assert_int_equal(call_once(fd, 50, PEER_ONCE, 0), 1);
    assert_int_equal(call_once(fd, 50, PEER_ONCE, 0), 1);
    assert_int_equal(call_once(other, 50, PEER_ONCE, 0),
                     1); /* a new connection, as after a break */
    assert_int_equal(call_once(fd, 51, PEER_ONCE, 0), 2);
    assert_int_equal(call_once(fd, 50, PEER_JOURNAL, 0), 3);
    assert_int_equal(call_once(fd, 50, PEER_JOURNAL, 0), 3);
    assert_int_equal(call_once(fd, 50, PEER_LATER, 0), 4); /* "try later" is tried again */
    assert_int_equal(call_once(fd, 50, PEER_LATER, 0), 5);
    close(fd);
    close(other);
}

/* The first is still under way when the second comes: it runs once, and the answer goes to the
 * connection that asked last. */
static void test_retransmission_while_busy(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    int first = peer_connect(server.port), second = peer_connect(server.port);

    (void)state;
    peer_gate_close();
    peer_put_call(&msg, 60, PEER_ONCE);
    peer_put_u32(&msg, 1);
    peer_send(first, &msg);
    peer_await(&peer_waiting, 1);
    peer_send(second, &msg);
    peer_check_alive(second, 61); /* so the duplicate has been seen */
    close(first);
    peer_gate_open();
    assert_true(peer_recv(second, &reply));
    assert_int_equal(peer_success(&reply), 60);
    assert_int_equal(peer_u32(&reply, 24), 1);
    assert_int_equal(atomic_load(&peer_ran), 1);
    peer_reply_free(&reply);
    assert_int_equal(call_once(second, 60, PEER_ONCE, 1), 1);
    peer_msg_free(&msg);
    close(second);
}

static void test_many_duplicates_while_busy(void **state)
{
    struct peer_msg msg = {0};
    struct peer_reply reply;
    int fds[20];

    (void)state;
    peer_gate_close();
    peer_put_call(&msg, 70, PEER_ONCE);
    peer_put_u32(&msg, 1);
    for (int i = 0; i < 20; i++) {
        fds[i] = peer_connect(server.port);
        peer_send(fds[i], &msg);
        peer_check_alive(fds[i], 71);
    }
    peer_gate_open();
    assert_true(peer_recv(fds[19], &reply));
    assert_int_equal(peer_success(&reply), 70);
    peer_reply_free(&reply);
    for (int i = 0; i < 19; i++) {
        assert_true(peer_silent(fds[i], 0));
        peer_check_alive(fds[i], 72);
    }
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    peer_msg_free(&msg);
}

/* A reply kept with the change itself is given again by the next server. */
static void test_reply_of_an_earlier_run(void **state)
{
    int fd = peer_connect(server.port);
    struct peer_server next;

    (void)state;
    assert_int_equal(call_once(fd, 90, PEER_JOURNAL, 0), 1);
    assert_int_equal(call_once(fd, 91, PEER_JOURNAL, 0), 2);
    assert_int_equal(peer_kept.key_len, 40);
    peer_server_start_with(&next, NULL, &peer_kept);
    close(fd);
    fd = peer_connect(next.port);
    assert_int_equal(call_once(fd, 91, PEER_JOURNAL, 0), 2); /* as it was */
    assert_int_equal(atomic_load(&peer_ran), 0);
    assert_int_equal(call_once(fd, 90, PEER_JOURNAL, 0), 1); /* not kept: run again */
    assert_int_equal(atomic_load(&peer_ran), 1);
    close(fd);
    peer_server_stop(&next);
}

static void test_reply_of_unknown_form(void **state)
{
    (void)state;
    assert_false(nfsd_load_reply(server.nfsd, "short", 5, "x", 1));
}

/* --- listening --- */

static void test_listen(void **state)
{
    struct nfsd_listen listen_on = {.tcp = true, .programs = peer_programs, .program_count = 2};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct nfsd_config config;
    struct nfsd_error error;
    struct nfsd *nfsd;
    uint16_t port;
    int fd;

    (void)state;
    nfsd_config_default(&config);
    nfsd = nfsd_new(&config);
    listen_on.address = "not an address";
    assert_int_equal(nfsd_listen(nfsd, &listen_on, &port, &error), -EINVAL);
    assert_non_null(strstr(error.text, "\"not an address\""));
    listen_on.address = "127.0.0.1";
    listen_on.port = server.port;
    assert_int_equal(nfsd_listen(nfsd, &listen_on, &port, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, "in use"));
    listen_on.address = NULL;
    listen_on.port = 0;
    assert_int_equal(nfsd_listen(nfsd, &listen_on, &port, &error), 0);
    assert_int_equal(nfsd_start(nfsd, &error), 0);
    fd = peer_connect(port);
    peer_check_alive(fd, 1);
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    six.sin6_port = htons(port);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&six, sizeof(six)) == 0)
        peer_check_alive(fd, 2);
    else
        assert_true(fd < 0 || errno == EADDRNOTAVAIL || errno == ENETUNREACH);
    if (fd >= 0)
        close(fd);
    nfsd_free(nfsd);
}

/* --- UDP --- */

static void test_udp(void **state)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct peer_msg msg = {0};
    uint8_t bytes[16384];
    uint32_t words[8];
    ssize_t n;

    (void)state;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    (void)send(fd, "nonsense", 8, 0); /* not answered */
    peer_put_call(&msg, 80, PEER_STRING);
    peer_put_opaque(&msg, "abcdef", 6);
    assert_int_equal(send(fd, msg.bytes, msg.len, 0), msg.len);
    n = recv(fd, bytes, sizeof(bytes), 0);
    assert_int_equal(n, 28);
    memcpy(words, bytes, 28);
    assert_int_equal(ntohl(words[0]), 80);
    assert_int_equal(ntohl(words[5]), SUCCESS);
    assert_int_equal(ntohl(words[6]), 6);
    /* Through a worker too. */
    peer_msg_free(&msg);
    peer_put_call(&msg, 81, PEER_WAIT);
    assert_int_equal(send(fd, msg.bytes, msg.len, 0), msg.len);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 24);
    /* Version 4 is not served over UDP: the range names what is. */
    peer_msg_free(&msg);
    peer_put_call_to(&msg, 82, PEER_PROG, 4, 0);
    assert_int_equal(send(fd, msg.bytes, msg.len, 0), msg.len);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 32);
    memcpy(words, bytes, 32);
    assert_int_equal(ntohl(words[5]), PROG_MISMATCH);
    assert_int_equal(ntohl(words[6]), 3);
    assert_int_equal(ntohl(words[7]), 3);
    peer_msg_free(&msg);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wrong_rpc_version, start, stop),
        cmocka_unit_test_setup_teardown(test_unknown_program, start, stop),
        cmocka_unit_test_setup_teardown(test_wrong_version, start, stop),
        cmocka_unit_test_setup_teardown(test_unknown_procedure, start, stop),
        cmocka_unit_test_setup_teardown(test_credentials, start, stop),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_cred_fields),
        cmocka_unit_test_setup_teardown(test_head_cut_anywhere, start, stop),
        cmocka_unit_test_setup_teardown(test_not_a_call, start, stop),
        cmocka_unit_test_setup_teardown(test_garbage_arguments, start, stop),
        cmocka_unit_test_setup_teardown(test_long_string, start, stop),
        cmocka_unit_test_setup_teardown(test_no_answer_is_an_error, start, stop),
        cmocka_unit_test_setup_teardown(test_drop, start, stop),
        cmocka_unit_test_setup_teardown(test_echo, start, stop),
        cmocka_unit_test_setup_teardown(test_echo_too_long, start, stop),
        cmocka_unit_test_setup_teardown(test_fragments, start, stop),
        cmocka_unit_test_setup_teardown(test_bad_records, start, stop),
        cmocka_unit_test_setup_teardown(test_answers_before_nonsense, start, stop),
        cmocka_unit_test_setup_teardown(test_random_garbage, start, stop),
        cmocka_unit_test_setup_teardown(test_entries, start, stop),
        cmocka_unit_test_setup_teardown(test_retransmission, start, stop),
        cmocka_unit_test_setup_teardown(test_retransmission_while_busy, start, stop),
        cmocka_unit_test_setup_teardown(test_many_duplicates_while_busy, start, stop),
        cmocka_unit_test_setup_teardown(test_reply_of_an_earlier_run, start, stop),
        cmocka_unit_test_setup_teardown(test_reply_of_unknown_form, start, stop),
        cmocka_unit_test_setup_teardown(test_listen, start, stop),
        cmocka_unit_test_setup_teardown(test_udp, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
