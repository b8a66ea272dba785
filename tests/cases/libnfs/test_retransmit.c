/*
 * Exactly once: every kind of request that must not be done twice, sent twice, in every situation
 * in which clients do that. The second must get the reply of the first, byte for byte, and change
 * nothing.
 *
 * Each request works on the names x and y of a directory of its own. Between the two the test puts
 * x and y back to what they were: a second execution would succeed again, and show.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "again.h"

/* ---- situations ---- */

static void on_the_same_connection(void **state)
{
    struct rig *rig = *state;
    struct again all[KINDS];

    again_send_first(rig, all, KINDS);
    again_send_second(rig, rig->conn, all, KINDS);
    again_send_second(rig, rig->conn, all, KINDS);
    again_clean(all, KINDS);
}

/* nconnect: several connections of one client, each from a port of its own. */
static void on_another_connection(void **state)
{
    struct rig *rig = *state;
    struct conn *other = conn_open(rig->server);
    struct again all[KINDS];

    again_send_first(rig, all, KINDS);
    again_send_second(rig, other, all, KINDS);
    conn_close(other);
    again_clean(all, KINDS);
}

static void after_a_reconnection(void **state)
{
    struct rig *rig = *state;
    struct conn *second;
    struct again all[KINDS];

    again_send_first(rig, all, KINDS);
    conn_close(rig->conn);
    second = conn_open_from(rig->server, "127.0.0.1", false);
    rig->conn = conn_open(rig->server);
    again_send_second(rig, second, all, KINDS);
    conn_close(second);
    again_clean(all, KINDS);
}

/* Others' requests push nothing out that may still be needed. */
static void after_many_other_requests(void **state)
{
    enum { OTHERS = 6000, WINDOW = 50 };
    struct rig *rig = *state;
    struct conn *other = conn_open(rig->server);
    struct again all[KINDS];
    struct reply reply;

    again_send_first(rig, all, KINDS);
    for (int i = 0; i < OTHERS; i += WINDOW) {
        for (int k = 0; k < WINDOW; k++) {
            REMOVE3args args = {.object = dirop(&rig->dir, "nothing")};
            struct bytes call = call_encode(other, ++other->xid, NFS_PROG, 3, P_REMOVE,
                                            FILTER(zdr_REMOVE3args), &args);

            conn_send(other, call.data, call.len);
            free(call.data);
        }
        for (int k = 0; k < WINDOW; k++)
            assert_true(conn_recv(other, &reply));
    }
    again_send_second(rig, other, all, KINDS);
    conn_close(other);
    again_clean(all, KINDS);
}

/* Several crashes in a row: what was loaded from the database stays there. */
static void after_restarts(void **state)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGKILL};
    struct rig *rig = *state;
    struct again all[KINDS_DURABLE];

    again_send_first(rig, all, KINDS_DURABLE);
    for (int i = 0; i < 3; i++) {
        rig_restart(rig, signals[i]);
        again_send_second(rig, rig->conn, all, KINDS_DURABLE);
    }
    again_clean(all, KINDS_DURABLE);
}

/* ---- while the first is under way: the gateway cannot write its database ---- */

static sqlite3 *held;

static void hold_database(struct rig *rig)
{
    assert_int_equal(sqlite3_open_v2(server_path(rig->server, "state/pailfs.db"), &held,
                                     SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(held, 30000), SQLITE_OK);
    assert_int_equal(sqlite3_exec(held, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static void release_database(void)
{
    assert_int_equal(sqlite3_close(held), SQLITE_OK); /* rolls back */
    held = NULL;
}

static int release_teardown(void **state)
{
    release_database(); /* of a case that failed */
    return rig_teardown(state);
}

/* Everything sent before has been taken in, and not answered: NULL's reply is the next. */
static void check_silent(struct conn *c)
{
    struct reply reply;

    conn_call(c, NFS_PROG, 3, P_NULL, NULL, NULL, &reply);
    assert_int_equal(reply.accept, SUCCESS);
}

static void send_all(struct conn *c, const struct again *all, int count)
{
    for (int i = 0; i < count; i++)
        conn_send(c, all[i].call.data, all[i].call.len);
    check_silent(c);
}

/* Replies in any order. */
static void take_all(struct conn *c, struct again *all, int count)
{
    struct reply reply;

    for (int n = 0; n < count; n++) {
        int i = 0;

        assert_true(conn_recv(c, &reply));
        while (i < count && memcmp(all[i].call.data, reply.bytes.data, 4) != 0)
            i++;
        assert_true(i < count);
        again_take_reply(&all[i], &reply);
    }
}

static void while_the_first_is_under_way(void **state)
{
    struct rig *rig = *state;
    struct conn *conns[3];
    struct again all[KINDS_DURABLE];

    again_prepare(rig, all, KINDS_DURABLE);
    for (int i = 0; i < 3; i++)
        conns[i] = conn_open(rig->server);
    hold_database(rig);
    for (int i = 0; i < 3; i++)
        send_all(conns[i], all, KINDS_DURABLE);
    send_all(conns[2], all, KINDS_DURABLE); /* and twice on the newest */
    release_database();
    take_all(conns[2], all, KINDS_DURABLE);
    for (int i = 0; i < 3; i++)
        check_silent(conns[i]); /* one reply each, to the newest */
    for (int i = 0; i < KINDS_DURABLE; i++)
        again_put_back(rig->conn, &all[i]);
    again_send_second(rig, conns[0], all, KINDS_DURABLE);
    for (int i = 0; i < 3; i++)
        conn_close(conns[i]);
    again_clean(all, KINDS_DURABLE);
}

/* The client goes away while its requests are under way, comes back and asks again, still too
 * early. */
static void reconnected_while_the_first_is_under_way(void **state)
{
    struct rig *rig = *state;
    struct conn *first = conn_open(rig->server), *second;
    struct again all[KINDS_DURABLE];

    again_prepare(rig, all, KINDS_DURABLE);
    hold_database(rig);
    send_all(first, all, KINDS_DURABLE);
    conn_close(first);
    second = conn_open(rig->server);
    send_all(second, all, KINDS_DURABLE);
    release_database();
    take_all(second, all, KINDS_DURABLE);
    check_silent(second);
    for (int i = 0; i < KINDS_DURABLE; i++)
        again_put_back(rig->conn, &all[i]);
    again_send_second(rig, second, all, KINDS_DURABLE);
    conn_close(second);
    again_clean(all, KINDS_DURABLE);
}

/* Killed before the first was durable: as if it had never come. Sent again it is done, once. */
static void killed_while_the_first_is_under_way(void **state)
{
    struct rig *rig = *state;
    struct again all[KINDS_DURABLE];

    again_prepare(rig, all, KINDS_DURABLE);
    hold_database(rig);
    send_all(rig->conn, all, KINDS_DURABLE);
    server_stop(rig->server, SIGKILL);
    release_database();
    server_start(rig->server);
    conn_close(rig->conn);
    rig->conn = conn_open(rig->server);
    for (int i = 0; i < KINDS_DURABLE; i++) {
        again_send(rig->conn, &all[i]);
        again_put_back(rig->conn, &all[i]);
    }
    again_send_second(rig, rig->conn, all, KINDS_DURABLE);
    again_clean(all, KINDS_DURABLE);
}

/* ---- while the first is under way: the store does not answer ---- */

static char control[64]; /* of pailfs-faulty: see tests/fault/README.md */

static void set_rules(const char *rules)
{
    char next[80];
    FILE *file;

    (void)snprintf(next, sizeof(next), "%s.next", control);
    file = fopen(next, "we");
    assert_non_null(file);
    assert_true(fputs(rules, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(next, control), 0);
}

static void put_outside(const struct rig *rig, const char *dir, const char *name, enum thing thing)
{
    char path[2048];

    (void)snprintf(path, sizeof(path), "%s/%s", server_path(rig->server, dir), name);
    if (thing == DIRECTORY) {
        assert_int_equal(mkdir(path, 0755), 0);
    } else if (thing == REGULAR) {
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_true(fputs("text", file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
}

/* As again_prepare(), but by somebody else: the gateway has to ask the store about the names. */
static void prepare_outside(struct rig *rig, struct again *all, int count)
{
    char path[64];

    for (int i = 0; i < count; i++) {
        struct again *a = &all[i];

        *a = (struct again){.kind = &kinds[i]};
        (void)snprintf(path, sizeof(path), "bucket/out-%d", i);
        assert_int_equal(mkdir(server_path(rig->server, path), 0755), 0);
        put_outside(rig, path, "x", a->kind->x);
        put_outside(rig, path, "y", a->kind->y);
        a->dir = find(rig->conn, &rig->root, path + strlen("bucket/")).fh;
        if (a->kind->proc == P_SETATTR)
            a->x = find(rig->conn, &a->dir, "x");
        a->call = again_encode(rig->conn, a);
    }
}

static void while_the_first_waits_for_the_store(void **state)
{
    static const char *const args[] = {"--squash", "none", "--attr-ttl", "0", NULL};
    struct conn *conns[3];
    struct again all[KINDS];
    struct rig *rig;

    (void)state;
    if (!control[0])
        skip();
    set_rules("");
    rig = rig_new(args);
    prepare_outside(rig, all, KINDS);
    for (int i = 0; i < 3; i++)
        conns[i] = conn_open(rig->server);
    set_rules("store.* stall\n");
    for (int i = 0; i < 3; i++)
        send_all(conns[i], all, KINDS);
    set_rules("");
    take_all(conns[2], all, KINDS);
    for (int i = 0; i < 3; i++)
        check_silent(conns[i]);
    for (int i = 0; i < KINDS; i++)
        again_put_back(rig->conn, &all[i]);
    again_send_second(rig, conns[0], all, KINDS);
    for (int i = 0; i < 3; i++)
        conn_close(conns[i]);
    again_clean(all, KINDS);
    rig_free(rig);
}

/* "Try later" is not kept: the same request again is carried out. */
static void later_is_not_kept(void **state)
{
    static const char *const args[] = {"--squash",           "none", "--attr-ttl", "0",
                                       "--request-deadline", "1s",   NULL};
    struct again a;
    struct reply reply;
    struct rig *rig;

    (void)state;
    if (!control[0])
        skip();
    set_rules("");
    rig = rig_new(args);
    prepare_outside(rig, &a, 1);
    set_rules("store.* stall\n");
    conn_send(rig->conn, a.call.data, a.call.len);
    assert_true(conn_recv(rig->conn, &reply));
    assert_int_equal(reply.body[2] << 8 | reply.body[3], NFS3ERR_JUKEBOX);
    set_rules("");
    again_send(rig->conn, &a);
    again_put_back(rig->conn, &a);
    again_send_second(rig, rig->conn, &a, 1);
    again_clean(&a, 1);
    rig_free(rig);
}

static void clean_control(void)
{
    char path[80];

    (void)unlink(control);
    (void)snprintf(path, sizeof(path), "%s.counts", control);
    (void)unlink(path);
}

/* Only pailfs-faulty has the faults. */
static void init_control(const char *binary)
{
    if (!binary || !strstr(binary, "faulty"))
        return;
    (void)snprintf(control, sizeof(control), "/tmp/pailfs-retransmit-%d", (int)getpid());
    (void)setenv("PAILFS_FAULT", control, 1);
    (void)atexit(clean_control);
}

/* ---- what is not a retransmission ---- */

static struct bytes remove_call(struct conn *c, uint32_t xid, const struct fh *dir,
                                const char *name)
{
    REMOVE3args args = {.object = dirop(dir, name)};

    return call_encode(c, xid, NFS_PROG, 3, P_REMOVE, FILTER(zdr_REMOVE3args), &args);
}

static nfsstat3 send_bytes(struct conn *c, const struct bytes *call)
{
    REMOVE3res res = {0};
    struct reply reply;

    conn_send(c, call->data, call->len);
    assert_true(conn_recv(c, &reply));
    reply_decode(c, &reply, FILTER(zdr_REMOVE3res), &res);
    return res.status;
}

static void same_xid_of_another_request(void **state)
{
    struct rig *rig = *state;
    struct conn *c = rig->conn;

    (void)make_file(c, &rig->dir, "a", "");
    (void)make_file(c, &rig->dir, "b", "");
    assert_ok(v3_remove(c, &rig->dir, "a", NULL));
    c->xid--; /* used again for another name */
    assert_ok(v3_remove(c, &rig->dir, "b", NULL));
    assert_status(v3_lookup(c, &rig->dir, "b", NULL), NFS3ERR_NOENT);
    c->xid--;
    assert_status(v3_lookup(c, &rig->dir, "a", NULL), NFS3ERR_NOENT);
    c->xid--; /* for another procedure */
    (void)make_dir(c, &rig->dir, "a");
}

/* Two programs of one host that came to use the same xids, side by side. */
static void two_programs_with_the_same_xids(void **state)
{
    enum { ROUNDS = 20 };
    struct rig *rig = *state;
    struct conn *a = conn_open(rig->server), *b = conn_open(rig->server);
    char name[2][16];

    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct bytes call[2];

        (void)snprintf(name[0], sizeof(name[0]), "a%u", i);
        (void)snprintf(name[1], sizeof(name[1]), "b%u", i);
        for (int k = 0; k < 2; k++) {
            (void)make_file(rig->conn, &rig->dir, name[k], "");
            call[k] = remove_call(a, 0x5000000 + i, &rig->dir, name[k]);
        }
        for (int turn = 0; turn < 2; turn++) {
            assert_ok(send_bytes(a, &call[0]));
            assert_ok(send_bytes(b, &call[1]));
        }
        free(call[0].data);
        free(call[1].data);
    }
    conn_close(a);
    conn_close(b);
}

/* The very same bytes from another host are another request. */
static void the_same_bytes_from_another_address(void **state)
{
    struct rig *rig = *state;
    struct conn *first = conn_open_from(rig->server, "127.0.0.1", false);
    struct conn *second = conn_open_from(rig->server, "127.0.0.2", false);
    struct bytes call = remove_call(first, 0x6000000, &rig->dir, "f");

    (void)make_file(rig->conn, &rig->dir, "f", "");
    for (int i = 0; i < 2; i++) {
        assert_ok(send_bytes(first, &call));
        assert_status(send_bytes(second, &call), NFS3ERR_NOENT);
    }
    (void)make_file(rig->conn, &rig->dir, "f", "");
    rig_restart(rig, SIGKILL);
    conn_close(first);
    conn_close(second);
    first = conn_open_from(rig->server, "127.0.0.1", false);
    second = conn_open_from(rig->server, "127.0.0.2", false);
    assert_ok(send_bytes(first, &call));
    (void)find(rig->conn, &rig->dir, "f"); /* untouched by that */
    assert_ok(send_bytes(second, &call));  /* its own, and it has not been done before */
    assert_status(v3_lookup(rig->conn, &rig->dir, "f", NULL), NFS3ERR_NOENT);
    conn_close(first);
    conn_close(second);
    free(call.data);
}

/* The same REMOVE several times at once on two connections, without anything that slows it. The
 * server may see them in any order and answers the newest: there is a reply, and whichever comes is
 * OK. */
static void races_of_duplicates(void **state)
{
    struct rig *rig = *state;

    for (uint32_t round = 0; round < 50; round++) {
        struct conn *two[2] = {conn_open(rig->server), conn_open(rig->server)};
        struct bytes call = remove_call(two[0], 0x7000000 + round, &rig->dir, "f");
        REMOVE3res res = {0};
        struct reply reply;

        (void)make_file(rig->conn, &rig->dir, "f", "");
        for (int i = 0; i < 4; i++)
            conn_send(two[i % 2], call.data, call.len);
        int which = conn_first(two[0], two[1]);
        assert_true(conn_recv(two[which], &reply));
        reply_decode(two[which], &reply, FILTER(zdr_REMOVE3res), &res);
        assert_ok(res.status);
        conn_close(two[0]);
        conn_close(two[1]);
        free(call.data);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, release_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(on_the_same_connection),
        CASE(on_another_connection),
        CASE(after_a_reconnection),
        CASE(after_many_other_requests),
        CASE(after_restarts),
        CASE(while_the_first_is_under_way),
        CASE(reconnected_while_the_first_is_under_way),
        CASE(killed_while_the_first_is_under_way),
        cmocka_unit_test(while_the_first_waits_for_the_store),
        cmocka_unit_test(later_is_not_kept),
        CASE(same_xid_of_another_request),
        CASE(two_programs_with_the_same_xids),
        CASE(the_same_bytes_from_another_address),
        CASE(races_of_duplicates),
    };

    init_control(argc > 1 ? argv[1] : NULL);
    rig_init(argc, argv);
    return cmocka_run_group_tests_name("retransmit", tests, rig_group_setup, rig_group_teardown);
}
