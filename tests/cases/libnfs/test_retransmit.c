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

#include <sqlite3.h>

#include "calls.h"

/* What a name is before the request. */
enum thing { NONE, REGULAR, DIRECTORY };

static const char verifier[8] = "\x01\x02\x03\x04\x05\x06\x07\x08";

struct kind {
    const char *name;
    uint32_t proc;
    enum thing x, y;
    createmode3 mode;
    bool size; /* of the attributes: set it to 0 */
    bool same; /* RENAME x to x */
    nfsstat3 status;
};

/* The failures are kept in memory only: they have changed nothing, so after a restart they may come
 * out otherwise. They are the last. */
enum { KINDS_DURABLE = 15 };
static const struct kind kinds[] = {
    {"CREATE UNCHECKED", P_CREATE, NONE, NONE, UNCHECKED, false, false, NFS3_OK},
    {"CREATE UNCHECKED of a file that is there", P_CREATE, REGULAR, NONE, UNCHECKED, false, false,
     NFS3_OK},
    {"CREATE UNCHECKED that truncates", P_CREATE, REGULAR, NONE, UNCHECKED, true, false, NFS3_OK},
    {"CREATE GUARDED", P_CREATE, NONE, NONE, GUARDED, false, false, NFS3_OK},
    {"CREATE EXCLUSIVE", P_CREATE, NONE, NONE, EXCLUSIVE, false, false, NFS3_OK},
    {"REMOVE", P_REMOVE, REGULAR, NONE, 0, false, false, NFS3_OK},
    {"RENAME", P_RENAME, REGULAR, NONE, 0, false, false, NFS3_OK},
    {"RENAME over a file", P_RENAME, REGULAR, REGULAR, 0, false, false, NFS3_OK},
    {"RENAME of a directory", P_RENAME, DIRECTORY, NONE, 0, false, false, NFS3_OK},
    {"RENAME to the same name", P_RENAME, REGULAR, NONE, 0, false, true, NFS3_OK},
    {"MKDIR", P_MKDIR, NONE, NONE, 0, false, false, NFS3_OK},
    {"RMDIR", P_RMDIR, DIRECTORY, NONE, 0, false, false, NFS3_OK},
    {"SYMLINK", P_SYMLINK, NONE, NONE, 0, false, false, NFS3_OK},
    {"SETATTR with guard", P_SETATTR, REGULAR, NONE, 0, false, false, NFS3_OK},
    {"SETATTR of the size with guard", P_SETATTR, REGULAR, NONE, 0, true, false, NFS3_OK},
    {"CREATE GUARDED that fails", P_CREATE, REGULAR, NONE, GUARDED, false, false, NFS3ERR_EXIST},
    {"MKDIR that fails", P_MKDIR, REGULAR, NONE, 0, false, false, NFS3ERR_EXIST},
    {"REMOVE that fails", P_REMOVE, NONE, NONE, 0, false, false, NFS3ERR_NOENT},
    {"RENAME that fails", P_RENAME, NONE, NONE, 0, false, false, NFS3ERR_NOENT},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* One request and what became of it. */
struct again {
    const struct kind *kind;
    struct fh dir;
    struct node x;
    struct bytes call, reply;
    fattr3 dir_attr, x_attr, y_attr; /* when both names had been put back */
};

/* ---- the names ---- */

static void put_thing(struct conn *c, const struct fh *dir, const char *name, enum thing thing)
{
    if (thing == REGULAR)
        (void)make_file(c, dir, name, "text");
    else if (thing == DIRECTORY)
        (void)make_dir(c, dir, name);
}

static void clear_name(struct conn *c, const struct fh *dir, const char *name)
{
    struct node node;

    if (v3_lookup(c, dir, name, &node) == NFS3ERR_NOENT)
        return;
    if (node.attr.type == NF3DIR)
        assert_ok(v3_rmdir(c, dir, name, NULL));
    else
        assert_ok(v3_remove(c, dir, name, NULL));
}

/* Attributes that stay as they are when nobody changes the object; zeros when there is none. */
static fattr3 look_at(struct conn *c, const struct fh *dir, const char *name)
{
    fattr3 none = {0};
    struct node node;

    return v3_lookup(c, dir, name, &node) == NFS3_OK ? node.attr : none;
}

/* Undoes what the request did, so that it could be done once more. */
static void put_back(struct conn *c, struct again *a)
{
    clear_name(c, &a->dir, "x");
    clear_name(c, &a->dir, "y");
    if (a->kind->status == NFS3_OK) {
        put_thing(c, &a->dir, "x", a->kind->x);
        put_thing(c, &a->dir, "y", a->kind->y);
    } else if (a->kind->status == NFS3ERR_NOENT) {
        put_thing(c, &a->dir, "x", REGULAR); /* so that it would succeed now */
    }
    a->dir_attr = attr_of(c, &a->dir);
    a->x_attr = look_at(c, &a->dir, "x");
    a->y_attr = look_at(c, &a->dir, "y");
}

static void check_same(const struct again *a, const char *what, const fattr3 *was,
                       const fattr3 *now)
{
    if (was->fileid != now->fileid || was->size != now->size || was->mode != now->mode ||
        !same_time(was->mtime, now->mtime) || !same_time(was->ctime, now->ctime))
        fail_msg("%s was done twice: %s has changed", a->kind->name, what);
}

static void check_untouched(struct conn *c, const struct again *a)
{
    fattr3 dir = attr_of(c, &a->dir), x = look_at(c, &a->dir, "x"), y = look_at(c, &a->dir, "y");

    check_same(a, "the directory", &a->dir_attr, &dir);
    check_same(a, "x", &a->x_attr, &x);
    check_same(a, "y", &a->y_attr, &y);
}

/* ---- requests ---- */

static struct bytes encode_create(struct conn *c, const struct again *a)
{
    CREATE3args args = {.where = dirop(&a->dir, "x"), .how = {.mode = a->kind->mode}};
    sattr3 set = a->kind->size ? attr_size(0) : attr_none();

    if (a->kind->mode == UNCHECKED)
        args.how.createhow3_u.obj_attributes = set;
    else if (a->kind->mode == GUARDED)
        args.how.createhow3_u.g_obj_attributes = set;
    else
        memcpy(args.how.createhow3_u.verf, verifier, sizeof(verifier));
    return call_encode(c, ++c->xid, NFS_PROG, 3, P_CREATE, FILTER(zdr_CREATE3args), &args);
}

static struct bytes encode_setattr(struct conn *c, const struct again *a)
{
    SETATTR3args args = {.object = fh_arg(&a->x.fh),
                         .new_attributes = a->kind->size ? attr_size(1) : attr_mode(0600)};

    args.guard.check = 1;
    args.guard.sattrguard3_u.obj_ctime = a->x.attr.ctime;
    return call_encode(c, ++c->xid, NFS_PROG, 3, P_SETATTR, FILTER(zdr_SETATTR3args), &args);
}

static struct bytes encode(struct conn *c, const struct again *a)
{
    MKDIR3args mkdir = {.where = dirop(&a->dir, "x")};
    SYMLINK3args symlink = {.where = dirop(&a->dir, "x")};
    REMOVE3args remove = {.object = dirop(&a->dir, "x")}; /* and RMDIR's are of the same form */
    RENAME3args rename = {.from = dirop(&a->dir, "x"),
                          .to = dirop(&a->dir, a->kind->same ? "x" : "y")};

    symlink.symlink.symlink_data = (char[]){"target"};
    switch (a->kind->proc) {
    case P_CREATE:
        return encode_create(c, a);
    case P_SETATTR:
        return encode_setattr(c, a);
    case P_MKDIR:
        return call_encode(c, ++c->xid, NFS_PROG, 3, P_MKDIR, FILTER(zdr_MKDIR3args), &mkdir);
    case P_SYMLINK:
        return call_encode(c, ++c->xid, NFS_PROG, 3, P_SYMLINK, FILTER(zdr_SYMLINK3args), &symlink);
    case P_RENAME:
        return call_encode(c, ++c->xid, NFS_PROG, 3, P_RENAME, FILTER(zdr_RENAME3args), &rename);
    default:
        return call_encode(c, ++c->xid, NFS_PROG, 3, a->kind->proc, FILTER(zdr_REMOVE3args),
                           &remove);
    }
}

/* The directory and the request of each kind. */
static void prepare(struct rig *rig, struct again *all, int count)
{
    static unsigned turn;
    char name[32];

    turn++;
    for (int i = 0; i < count; i++) {
        struct again *a = &all[i];

        *a = (struct again){.kind = &kinds[i]};
        (void)snprintf(name, sizeof(name), "%u-%d", turn, i);
        a->dir = make_dir(rig->conn, &rig->root, name).fh;
        put_thing(rig->conn, &a->dir, "x", a->kind->x);
        put_thing(rig->conn, &a->dir, "y", a->kind->y);
        if (a->kind->x != NONE)
            a->x = find(rig->conn, &a->dir, "x");
        a->call = encode(rig->conn, a);
    }
}

static void clean(struct again *all, int count)
{
    for (int i = 0; i < count; i++) {
        free(all[i].call.data);
        free(all[i].reply.data);
    }
}

/* The reply that came for a request. The first is kept, others have to be equal to it. */
static void take_reply(struct again *a, const struct reply *reply)
{
    nfsstat3 status;

    assert_int_equal(reply->stat, MSG_ACCEPTED);
    assert_int_equal(reply->accept, SUCCESS);
    status = (nfsstat3)(reply->body[2] << 8 | reply->body[3]);
    if (status != a->kind->status)
        fail_msg("%s: %s instead of %s", a->kind->name, status_name(status),
                 status_name(a->kind->status));
    if (!a->reply.data) {
        a->reply.len = reply->bytes.len;
        a->reply.data = malloc(a->reply.len);
        memcpy(a->reply.data, reply->bytes.data, a->reply.len);
        return;
    }
    if (reply->bytes.len != a->reply.len ||
        memcmp(reply->bytes.data, a->reply.data, a->reply.len) != 0)
        fail_msg("%s: the second reply is not the first", a->kind->name);
}

static void send_one(struct conn *c, struct again *a)
{
    struct reply reply;

    conn_send(c, a->call.data, a->call.len);
    assert_true(conn_recv(c, &reply));
    take_reply(a, &reply);
}

static void send_first(struct rig *rig, struct again *all, int count)
{
    prepare(rig, all, count);
    for (int i = 0; i < count; i++) {
        send_one(rig->conn, &all[i]);
        put_back(rig->conn, &all[i]);
    }
}

/* Once more over c, then what rig->conn sees must be untouched. */
static void send_second(struct rig *rig, struct conn *c, struct again *all, int count)
{
    for (int i = 0; i < count; i++)
        send_one(c, &all[i]);
    for (int i = 0; i < count; i++)
        check_untouched(rig->conn, &all[i]);
}

/* ---- situations ---- */

static void on_the_same_connection(void **state)
{
    struct rig *rig = *state;
    struct again all[KINDS];

    send_first(rig, all, KINDS);
    send_second(rig, rig->conn, all, KINDS);
    send_second(rig, rig->conn, all, KINDS);
    clean(all, KINDS);
}

/* nconnect: several connections of one client, each from a port of its own. */
static void on_another_connection(void **state)
{
    struct rig *rig = *state;
    struct conn *other = conn_open(rig->server);
    struct again all[KINDS];

    send_first(rig, all, KINDS);
    send_second(rig, other, all, KINDS);
    conn_close(other);
    clean(all, KINDS);
}

static void after_a_reconnection(void **state)
{
    struct rig *rig = *state;
    struct conn *second;
    struct again all[KINDS];

    send_first(rig, all, KINDS);
    conn_close(rig->conn);
    second = conn_open_from(rig->server, "127.0.0.1", false);
    rig->conn = conn_open(rig->server);
    send_second(rig, second, all, KINDS);
    conn_close(second);
    clean(all, KINDS);
}

/* Others' requests push nothing out that may still be needed. */
static void after_many_other_requests(void **state)
{
    enum { OTHERS = 6000, WINDOW = 50 };
    struct rig *rig = *state;
    struct conn *other = conn_open(rig->server);
    struct again all[KINDS];
    struct reply reply;

    send_first(rig, all, KINDS);
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
    send_second(rig, other, all, KINDS);
    conn_close(other);
    clean(all, KINDS);
}

/* Several crashes in a row: what was loaded from the database stays there. */
static void after_restarts(void **state)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGKILL};
    struct rig *rig = *state;
    struct again all[KINDS_DURABLE];

    send_first(rig, all, KINDS_DURABLE);
    for (int i = 0; i < 3; i++) {
        rig_restart(rig, signals[i]);
        send_second(rig, rig->conn, all, KINDS_DURABLE);
    }
    clean(all, KINDS_DURABLE);
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
        take_reply(&all[i], &reply);
    }
}

static void while_the_first_is_under_way(void **state)
{
    struct rig *rig = *state;
    struct conn *conns[3];
    struct again all[KINDS_DURABLE];

    prepare(rig, all, KINDS_DURABLE);
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
        put_back(rig->conn, &all[i]);
    send_second(rig, conns[0], all, KINDS_DURABLE);
    for (int i = 0; i < 3; i++)
        conn_close(conns[i]);
    clean(all, KINDS_DURABLE);
}

/* The client goes away while its requests are under way, comes back and asks again, still too
 * early. */
static void reconnected_while_the_first_is_under_way(void **state)
{
    struct rig *rig = *state;
    struct conn *first = conn_open(rig->server), *second;
    struct again all[KINDS_DURABLE];

    prepare(rig, all, KINDS_DURABLE);
    hold_database(rig);
    send_all(first, all, KINDS_DURABLE);
    conn_close(first);
    second = conn_open(rig->server);
    send_all(second, all, KINDS_DURABLE);
    release_database();
    take_all(second, all, KINDS_DURABLE);
    check_silent(second);
    for (int i = 0; i < KINDS_DURABLE; i++)
        put_back(rig->conn, &all[i]);
    send_second(rig, second, all, KINDS_DURABLE);
    conn_close(second);
    clean(all, KINDS_DURABLE);
}

/* Killed before the first was durable: as if it had never come. Sent again it is done, once. */
static void killed_while_the_first_is_under_way(void **state)
{
    struct rig *rig = *state;
    struct again all[KINDS_DURABLE];

    prepare(rig, all, KINDS_DURABLE);
    hold_database(rig);
    send_all(rig->conn, all, KINDS_DURABLE);
    server_stop(rig->server, SIGKILL);
    release_database();
    server_start(rig->server);
    conn_close(rig->conn);
    rig->conn = conn_open(rig->server);
    for (int i = 0; i < KINDS_DURABLE; i++) {
        send_one(rig->conn, &all[i]);
        put_back(rig->conn, &all[i]);
    }
    send_second(rig, rig->conn, all, KINDS_DURABLE);
    clean(all, KINDS_DURABLE);
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
        CASE(same_xid_of_another_request),
        CASE(two_programs_with_the_same_xids),
        CASE(the_same_bytes_from_another_address),
        CASE(races_of_duplicates),
    };

    rig_init(argc, argv);
    return cmocka_run_group_tests_name("retransmit", tests, rig_group_setup, rig_group_teardown);
}
