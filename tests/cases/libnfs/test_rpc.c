/* ONC RPC itself: versions, programs, credentials, records in pieces, and what makes no sense. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "calls.h"

static void put_at(struct bytes *call, size_t at, uint32_t v)
{
    uint32_t be = htonl(v);

    assert_true(at + 4 <= call->len);
    memcpy(call->data + at, &be, 4);
}

/* Where the words of a call are that call_encode made with AUTH_SYS and no groups. */
enum {
    AT_TYPE = 4,
    AT_RPCVERS = 8,
    AT_FLAVOR = 24,
    AT_CRED_LEN = 28,
    AT_NAME_LEN = 36,
    AT_GROUPS = 56,
    AT_VERF = 60,
    AT_VERF_LEN = 64,
    AT_ARGS = 68,
};

static struct bytes getattr_call(struct rig *rig)
{
    GETATTR3args args = {.object = fh_arg(&rig->root)};

    return call_encode(rig->conn, ++rig->conn->xid, NFS_PROG, 3, P_GETATTR,
                       FILTER(zdr_GETATTR3args), &args);
}

/* Sends the call and frees it. False: closed. */
static bool send_call(struct conn *c, struct bytes call, struct reply *reply)
{
    conn_send(c, call.data, call.len);
    free(call.data);
    return conn_recv(c, reply);
}

static void assert_works(struct conn *c, const struct fh *fh)
{
    assert_ok(v3_getattr(c, fh, NULL));
}

static void null_needs_nothing(void **state)
{
    struct rig *rig = *state;

    conn_run(rig->conn, NFS_PROG, 3, P_NULL, NULL, NULL, FILTER(zdr_void), NULL);
    rig->conn->cred.none = true;
    conn_run(rig->conn, NFS_PROG, 3, P_NULL, NULL, NULL, FILTER(zdr_void), NULL);
    conn_run(rig->conn, MOUNT_PROG, 3, MOUNT3_NULL, NULL, NULL, FILTER(zdr_void), NULL);
}

static void wrong_programs_and_versions(void **state)
{
    struct rig *rig = *state;
    static const uint32_t versions[] = {0, 1, 2, 4, 5, UINT32_MAX};
    struct reply reply;

    for (unsigned i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        conn_call(rig->conn, NFS_PROG, versions[i], P_NULL, NULL, NULL, &reply);
        assert_int_equal(reply.accept, PROG_MISMATCH);
        assert_int_equal(reply.low, 3);
        assert_int_equal(reply.high, 3);
    }
    conn_call(rig->conn, NFS_PROG, 4, 1, NULL, NULL, &reply); /* COMPOUND, as a client begins */
    assert_int_equal(reply.accept, PROG_MISMATCH);
    conn_call(rig->conn, NFSACL_PROG, 3, 0, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROG_UNAVAIL);
    conn_call(rig->conn, 0, 0, 0, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROG_UNAVAIL);
    conn_call(rig->conn, 100021, 4, 0, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROG_UNAVAIL);
    conn_call(rig->conn, NFS_PROG, 3, 22, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROC_UNAVAIL);
    conn_call(rig->conn, NFS_PROG, 3, UINT32_MAX, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROC_UNAVAIL);
    assert_works(rig->conn, &rig->root);
}

static void other_rpc_versions(void **state)
{
    struct rig *rig = *state;
    static const uint32_t versions[] = {0, 1, 3, UINT32_MAX};
    struct reply reply;

    for (unsigned i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct bytes call = getattr_call(rig);
        put_at(&call, AT_RPCVERS, versions[i]);
        assert_true(send_call(rig->conn, call, &reply));
        assert_int_equal(reply.xid, rig->conn->xid);
        assert_int_equal(reply.stat, MSG_DENIED);
        assert_int_equal(reply.reject, RPC_MISMATCH);
        assert_int_equal(reply.low, 2);
        assert_int_equal(reply.high, 2);
    }
    assert_works(rig->conn, &rig->root);
}

/* One word of a good call replaced. */
static void check_denied(struct rig *rig, size_t at, uint32_t v, enum auth_stat want)
{
    struct bytes call = getattr_call(rig);
    struct reply reply;

    put_at(&call, at, v);
    assert_true(send_call(rig->conn, call, &reply));
    assert_int_equal(reply.xid, rig->conn->xid);
    assert_int_equal(reply.stat, MSG_DENIED);
    assert_int_equal(reply.reject, AUTH_ERROR);
    assert_int_equal(reply.auth, want);
}

static void bad_credentials(void **state)
{
    struct rig *rig = *state;

    check_denied(rig, AT_FLAVOR, 99, AUTH_REJECTEDCRED);
    check_denied(rig, AT_FLAVOR, 6, AUTH_REJECTEDCRED); /* RPCSEC_GSS */
    check_denied(rig, AT_FLAVOR, 2, AUTH_REJECTEDCRED); /* AUTH_SHORT */
    check_denied(rig, AT_CRED_LEN, 401, AUTH_BADCRED);
    check_denied(rig, AT_CRED_LEN, UINT32_MAX, AUTH_BADCRED);
    check_denied(rig, AT_NAME_LEN, 256, AUTH_BADCRED);
    check_denied(rig, AT_NAME_LEN, UINT32_MAX, AUTH_BADCRED);
    check_denied(rig, AT_GROUPS, 1, AUTH_BADCRED); /* more than there are */
    check_denied(rig, AT_GROUPS, 17, AUTH_BADCRED);
    check_denied(rig, AT_GROUPS, UINT32_MAX, AUTH_BADCRED);
    check_denied(rig, AT_VERF_LEN, 401, AUTH_BADVERF);
    check_denied(rig, AT_VERF_LEN, UINT32_MAX, AUTH_BADVERF);
    rig->conn->cred.group_count = 16;
    assert_works(rig->conn, &rig->root);
}

static void no_credentials(void **state)
{
    struct rig *rig = *state;

    rig->conn->cred.none = true;
    assert_works(rig->conn, &rig->root); /* as the anonymous */
}

/* ---- arguments ---- */

static void check_garbage(struct rig *rig, uint32_t proc, const void *args, size_t len)
{
    struct bytes call = call_encode(rig->conn, ++rig->conn->xid, NFS_PROG, 3, proc, NULL, NULL);
    struct reply reply;

    memcpy(call.data + call.len, args, len);
    call.len += len;
    assert_true(send_call(rig->conn, call, &reply));
    assert_int_equal(reply.xid, rig->conn->xid);
    assert_int_equal(reply.stat, MSG_ACCEPTED);
    assert_int_equal(reply.accept, GARBAGE_ARGS);
}

static void missing_and_cut_arguments(void **state)
{
    struct rig *rig = *state;
    LOOKUP3args args = {.what = dirop(&rig->root, "a name")};
    struct bytes call;

    for (uint32_t proc = P_GETATTR; proc <= P_COMMIT; proc++)
        check_garbage(rig, proc, "", 0);
    call = call_encode(rig->conn, 0, NFS_PROG, 3, P_LOOKUP, FILTER(zdr_LOOKUP3args), &args);
    for (size_t len = 0; len < call.len - AT_ARGS; len++)
        check_garbage(rig, P_LOOKUP, call.data + AT_ARGS, len);
    free(call.data);
    assert_works(rig->conn, &rig->root);
}

static void lengths_that_lie(void **state)
{
    struct rig *rig = *state;
    static const uint32_t lengths[] = {65,         1 << 20,        0x7fffffff,
                                       0x80000000, UINT32_MAX - 3, UINT32_MAX};
    uint32_t args[40];

    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        memset(args, 0, sizeof(args));
        args[0] = htonl(lengths[i]); /* of the handle */
        check_garbage(rig, P_GETATTR, args, sizeof(args));
        args[0] = htonl(rig->root.len);
        memcpy(args + 1, rig->root.data, rig->root.len);
        uint32_t *after = args + 1 + (rig->root.len + 3) / 4;
        if (lengths[i] < 1 << 16)
            continue;               /* what follows may be as long as that */
        *after = htonl(lengths[i]); /* of the name */
        check_garbage(rig, P_LOOKUP, args, sizeof(args));
        *after = 0;
        after[4] = htonl(lengths[i]); /* WRITE: offset, count, stable, then the data */
        check_garbage(rig, P_WRITE, args, sizeof(args));
    }
    assert_works(rig->conn, &rig->root);
}

static void values_outside_of_their_enum(void **state)
{
    struct rig *rig = *state;
    SETATTR3args set = {.object = fh_arg(&rig->root), .new_attributes = attr_mode(0755)};
    struct bytes call =
        call_encode(rig->conn, 0, NFS_PROG, 3, P_SETATTR, FILTER(zdr_SETATTR3args), &set);
    size_t fh_end = AT_ARGS + 4 + (rig->root.len + 3) / 4 * 4;

    put_at(&call, fh_end + 20, 9); /* time_how: after mode, 0755, uid, gid, size */
    check_garbage(rig, P_SETATTR, call.data + AT_ARGS, call.len - AT_ARGS);
    free(call.data);
    assert_works(rig->conn, &rig->root);
}

/* ---- records ---- */

static void put_mark(uint8_t *at, bool last, uint32_t len)
{
    uint32_t be = htonl((last ? 0x80000000 : 0) | len);

    memcpy(at, &be, 4);
}

static void record_in_fragments(void **state)
{
    struct rig *rig = *state;
    struct reply reply;

    for (size_t piece = 1; piece <= 64; piece = piece * 2 + 1) {
        struct bytes call = getattr_call(rig);
        uint8_t *out = malloc(call.len * 5);
        size_t at = 0;
        for (size_t off = 0; off < call.len; off += piece) {
            size_t len = call.len - off < piece ? call.len - off : piece;
            put_mark(out + at, off + len == call.len, (uint32_t)len);
            memcpy(out + at + 4, call.data + off, len);
            at += 4 + len;
        }
        conn_send_raw(rig->conn, out, at);
        assert_true(conn_recv(rig->conn, &reply));
        assert_int_equal(reply.accept, SUCCESS);
        free(call.data);
        free(out);
    }
    assert_works(rig->conn, &rig->root);
}

static void record_with_empty_fragments(void **state)
{
    struct rig *rig = *state;
    struct bytes call = getattr_call(rig);
    uint8_t *out = malloc(call.len + 64);
    struct reply reply;

    put_mark(out, false, 0);
    put_mark(out + 4, false, (uint32_t)call.len);
    memcpy(out + 8, call.data, call.len);
    put_mark(out + 8 + call.len, true, 0);
    conn_send_raw(rig->conn, out, call.len + 12);
    assert_true(conn_recv(rig->conn, &reply));
    assert_int_equal(reply.accept, SUCCESS);
    free(call.data);
    free(out);
}

static void bytes_one_by_one(void **state)
{
    struct rig *rig = *state;
    struct bytes call = getattr_call(rig);
    uint8_t mark[4];
    struct reply reply;

    put_mark(mark, true, (uint32_t)call.len);
    for (int i = 0; i < 4; i++)
        conn_send_raw(rig->conn, mark + i, 1);
    for (size_t i = 0; i < call.len; i++)
        conn_send_raw(rig->conn, call.data + i, 1);
    assert_true(conn_recv(rig->conn, &reply));
    assert_int_equal(reply.accept, SUCCESS);
    free(call.data);
}

static void many_calls_in_one_go(void **state)
{
    enum { COUNT = 500 };
    struct rig *rig = *state;
    uint8_t *out = malloc(COUNT * 256), *seen = calloc(1, COUNT);
    uint32_t first = rig->conn->xid + 1;
    size_t at = 0;
    struct reply reply;

    for (int i = 0; i < COUNT; i++) {
        struct bytes call = getattr_call(rig);
        put_mark(out + at, true, (uint32_t)call.len);
        memcpy(out + at + 4, call.data, call.len);
        at += 4 + call.len;
        free(call.data);
    }
    conn_send_raw(rig->conn, out, at);
    for (int i = 0; i < COUNT; i++) {
        assert_true(conn_recv(rig->conn, &reply));
        assert_int_equal(reply.accept, SUCCESS);
        assert_in_range(reply.xid, first, first + COUNT - 1);
        assert_int_equal(seen[reply.xid - first]++, 0);
    }
    free(out);
    free(seen);
}

/* Sends these bytes on a connection of their own, which the server must close. */
static void check_closes(struct rig *rig, const void *data, size_t len)
{
    struct conn *c = conn_open(rig->server);

    conn_send_raw(c, data, len);
    assert_true(conn_closed(c));
    conn_close(c);
    assert_works(rig->conn, &rig->root);
}

static void streams_that_make_no_sense(void **state)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct rig *rig = *state;
    uint8_t *big = calloc(1, 1 << 20);
    struct bytes call = getattr_call(rig);
    uint8_t record[512];

    put_mark(record, true, 0x7fffffff);
    check_closes(rig, record, 4);
    put_mark(record, false, (3 << 20));
    check_closes(rig, record, 4);
    put_mark(record, true, (2 << 20) + 1);
    check_closes(rig, record, 4);
    memset(big, 0, 1 << 20); /* empty fragments for ever */
    check_closes(rig, big, 1 << 20);
    for (uint32_t i = 0; i < 1 << 18; i += 5) /* a record of very many fragments */
        put_mark(big + i, false, 1);
    check_closes(rig, big, 1 << 18);
    check_closes(rig, http, sizeof(http) - 1);
    put_mark(record, true, (uint32_t)call.len);
    memcpy(record + 4, call.data, call.len);
    record[4 + AT_TYPE + 3] = 1; /* a reply */
    check_closes(rig, record, 4 + call.len);
    record[4 + AT_TYPE + 3] = 9; /* neither */
    check_closes(rig, record, 4 + call.len);
    put_mark(record, true, 3); /* not even an xid */
    check_closes(rig, record, 7);
    free(call.data);
    free(big);
}

static void cut_connections_are_forgotten(void **state)
{
    struct rig *rig = *state;
    struct bytes call = getattr_call(rig);
    uint8_t record[512];

    put_mark(record, true, (uint32_t)call.len);
    memcpy(record + 4, call.data, call.len);
    for (size_t len = 0; len <= 4 + call.len; len++) {
        struct conn *c = conn_open(rig->server);
        conn_send_raw(c, record, len);
        conn_close(c);
    }
    free(call.data);
    assert_works(rig->conn, &rig->root);
}

/* ---- damage at random ---- */

/* One call of each procedure that changes nothing but in this case's directory. */
static struct bytes any_call(struct rig *rig, unsigned which)
{
    static char data[300];
    struct conn *c = rig->conn;
    CREATE3args create = {.where = dirop(&rig->dir, "c"),
                          .how = {.mode = (createmode3)(which % 3)}};
    WRITE3args write = {.file = fh_arg(&rig->dir), .count = sizeof(data)};
    RENAME3args rename = {.from = dirop(&rig->dir, "c"), .to = dirop(&rig->dir, "d")};
    READDIRPLUS3args plus = {.dir = fh_arg(&rig->dir), .dircount = 4096, .maxcount = 8192};
    SETATTR3args setattr = {.object = fh_arg(&rig->dir), .new_attributes = attr_owner(1, 2)};
    MKNOD3args mknod = {.where = dirop(&rig->dir, "n"), .what = {.type = NF3CHR}};
    SYMLINK3args symlink = {.where = dirop(&rig->dir, "s")};
    char *path = (char[]){"/bucket"};

    write.data.data_len = sizeof(data);
    write.data.data_val = data;
    symlink.symlink.symlink_data = data + sizeof(data) - 1;
    switch (which % 8) {
    case 0:
        return call_encode(c, which, NFS_PROG, 3, P_CREATE, FILTER(zdr_CREATE3args), &create);
    case 1:
        return call_encode(c, which, NFS_PROG, 3, P_WRITE, FILTER(zdr_WRITE3args), &write);
    case 2:
        return call_encode(c, which, NFS_PROG, 3, P_RENAME, FILTER(zdr_RENAME3args), &rename);
    case 3:
        return call_encode(c, which, NFS_PROG, 3, P_READDIRPLUS, FILTER(zdr_READDIRPLUS3args),
                           &plus);
    case 4:
        return call_encode(c, which, NFS_PROG, 3, P_SETATTR, FILTER(zdr_SETATTR3args), &setattr);
    case 5:
        return call_encode(c, which, NFS_PROG, 3, P_MKNOD, FILTER(zdr_MKNOD3args), &mknod);
    case 6:
        return call_encode(c, which, NFS_PROG, 3, P_SYMLINK, FILTER(zdr_SYMLINK3args), &symlink);
    default:
        return call_encode(c, which, MOUNT_PROG, 3, MOUNT3_MNT, FILTER(zdr_dirpath), &path);
    }
}

static void damaged_calls_are_answered_or_closed(void **state)
{
    enum { ROUNDS = 3000 };
    struct rig *rig = *state;
    struct conn *c = conn_open(rig->server);
    unsigned seed = 20240607, closed = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct bytes call = any_call(rig, i);
        struct reply reply;
        unsigned damages = 1 + (unsigned)rand_r(&seed) % 4;
        for (unsigned k = 0; k < damages; k++) {
            size_t at = (size_t)rand_r(&seed) % call.len;
            static const uint8_t bytes[] = {0, 1, 0x7f, 0x80, 0xff};
            call.data[at] =
                rand_r(&seed) % 2 ? bytes[(unsigned)rand_r(&seed) % 5] : (uint8_t)rand_r(&seed);
        }
        if (rand_r(&seed) % 8 == 0)
            call.len = 1 + (size_t)rand_r(&seed) % call.len;
        if (!send_call(c, call, &reply)) {
            closed++;
            conn_close(c);
            c = conn_open(rig->server);
        }
    }
    assert_true(closed < ROUNDS / 4);
    conn_close(c);
    assert_works(rig->conn, &rig->root);
}

static void udp_has_no_nfs(void **state)
{
    struct rig *rig = *state;
    struct conn *udp = conn_open_port(rig->server->port, true);
    struct reply reply;

    conn_send(udp, "nonsense", 8); /* no answer to that, so the next one is the call's */
    conn_call(udp, NFS_PROG, 3, P_NULL, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROG_UNAVAIL);
    conn_run(udp, MOUNT_PROG, 3, MOUNT3_NULL, NULL, NULL, FILTER(zdr_void), NULL);
    conn_close(udp);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(null_needs_nothing),
        CASE(wrong_programs_and_versions),
        CASE(other_rpc_versions),
        CASE(bad_credentials),
        CASE(no_credentials),
        CASE(missing_and_cut_arguments),
        CASE(lengths_that_lie),
        CASE(values_outside_of_their_enum),
        CASE(record_in_fragments),
        CASE(record_with_empty_fragments),
        CASE(bytes_one_by_one),
        CASE(many_calls_in_one_go),
        CASE(streams_that_make_no_sense),
        CASE(cut_connections_are_forgotten),
        CASE(damaged_calls_are_answered_or_closed),
        CASE(udp_has_no_nfs),
    };

    rig_init(argc, argv);
    return cmocka_run_group_tests_name("rpc", tests, rig_group_setup, rig_group_teardown);
}
