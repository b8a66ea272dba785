/* Who may do what: permission bits, ACCESS, squashing, read-only, access lists, ports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

enum {
    READ = 1,
    LOOK = 2,
    MODIFY = 4,
    EXTEND = 8,
    DELETE = 16,
    EXEC = 32,
    ALL = 63,
    OWNER = 1000,
    OTHER = 2000,
    GROUP = 1000,
};

static uint32_t access_as(struct rig *rig, const struct fh *fh, uint32_t uid, uint32_t gid,
                          uint32_t mask)
{
    uint32_t got = 0;

    conn_identify(rig->conn, uid, gid);
    assert_ok(v3_access(rig->conn, fh, mask, &got));
    conn_identify(rig->conn, 0, 0);
    return got;
}

/* Owned by OWNER:GROUP, with this mode. */
static struct node owned(struct rig *rig, const char *name, uint32_t mode, bool dir)
{
    struct node node;
    sattr3 set = attr_owner(OWNER, GROUP);

    set.mode.set_it = 1;
    set.mode.set_mode3_u.mode = mode;
    if (dir)
        assert_ok(v3_mkdir(rig->conn, &rig->dir, name, &set, &node, NULL));
    else
        assert_ok(v3_create(rig->conn, &rig->dir, name, GUARDED, &set, &node, NULL));
    return node;
}

static void access_of_files(void **state)
{
    struct rig *rig = *state;
    struct node f = owned(rig, "f", 0640, false), x = owned(rig, "x", 0751, false);

    assert_int_equal(access_as(rig, &f.fh, OWNER, 5, ALL) & ~DELETE, READ | MODIFY | EXTEND);
    assert_int_equal(access_as(rig, &f.fh, OTHER, GROUP, ALL) & ~DELETE, READ);
    assert_int_equal(access_as(rig, &f.fh, OTHER, 5, ALL) & ~DELETE, 0);
    assert_int_equal(access_as(rig, &f.fh, 0, 0, ALL) & ~DELETE, READ | MODIFY | EXTEND);
    assert_int_equal(access_as(rig, &f.fh, OTHER, GROUP, READ | MODIFY), READ);
    assert_int_equal(access_as(rig, &f.fh, OWNER, GROUP, 0), 0);
    assert_int_equal(access_as(rig, &x.fh, OWNER, 5, ALL) & ~DELETE, READ | MODIFY | EXTEND | EXEC);
    assert_int_equal(access_as(rig, &x.fh, OTHER, GROUP, ALL) & ~DELETE, READ | EXEC);
    assert_int_equal(access_as(rig, &x.fh, OTHER, 5, ALL) & ~DELETE, EXEC);
    assert_int_equal(access_as(rig, &x.fh, 0, 0, EXEC), EXEC);
    rig->conn->cred = (struct cred){.uid = OTHER, .gid = 5, .group_count = 3};
    rig->conn->cred.groups[0] = 77;
    rig->conn->cred.groups[2] = GROUP;
    uint32_t got;
    assert_ok(v3_access(rig->conn, &f.fh, ALL, &got));
    assert_int_equal(got & ~DELETE, READ);
    rig->conn->cred = (struct cred){.none = true};
    assert_ok(v3_access(rig->conn, &f.fh, ALL, &got));
    assert_int_equal(got & ~DELETE, 0);
}

static void access_of_directories(void **state)
{
    struct rig *rig = *state;
    struct node d = owned(rig, "d", 0750, true), s = owned(rig, "s", 0711, true);

    assert_int_equal(access_as(rig, &d.fh, OWNER, 5, ALL) & ~EXEC,
                     READ | LOOK | MODIFY | EXTEND | DELETE);
    assert_int_equal(access_as(rig, &d.fh, OTHER, GROUP, ALL) & ~EXEC, READ | LOOK);
    assert_int_equal(access_as(rig, &d.fh, OTHER, 5, ALL), 0);
    assert_int_equal(access_as(rig, &s.fh, OTHER, 5, ALL) & ~EXEC, LOOK);
    assert_int_equal(access_as(rig, &d.fh, 0, 0, ALL) & ~EXEC,
                     READ | LOOK | MODIFY | EXTEND | DELETE);
}

static void data_wants_permission(void **state)
{
    struct rig *rig = *state;
    struct node f = owned(rig, "f", 0640, false), only = owned(rig, "only", 0004, false);

    assert_ok(v3_write(rig->conn, &f.fh, 0, "text", 4, FILE_SYNC, NULL));
    conn_identify(rig->conn, OTHER, 5);
    assert_status(v3_read(rig->conn, &f.fh, 0, 4, NULL), NFS3ERR_ACCES);
    assert_status(v3_write(rig->conn, &f.fh, 0, "x", 1, UNSTABLE, NULL), NFS3ERR_ACCES);
    assert_ok(v3_read(rig->conn, &only.fh, 0, 4, NULL));
    conn_identify(rig->conn, OTHER, GROUP);
    assert_ok(v3_read(rig->conn, &f.fh, 0, 4, NULL));
    assert_status(v3_write(rig->conn, &f.fh, 0, "x", 1, UNSTABLE, NULL), NFS3ERR_ACCES);
    conn_identify(rig->conn, OWNER, 5);
    assert_ok(v3_write(rig->conn, &f.fh, 0, "y", 1, UNSTABLE, NULL));
}

/* A file may be written through the descriptor that made it, whatever its mode; the server sees
 * only writes, so it lets the owner. */
static void owners_may_always_read_and_write(void **state)
{
    struct rig *rig = *state;
    struct node f = owned(rig, "f", 0444, false), none = owned(rig, "none", 0, false);
    sattr3 size = attr_size(2);

    conn_identify(rig->conn, OWNER, GROUP);
    assert_ok(v3_write(rig->conn, &f.fh, 0, "text", 4, UNSTABLE, NULL));
    assert_ok(v3_commit(rig->conn, &f.fh, 0, 0, NULL, NULL));
    assert_ok(v3_write(rig->conn, &none.fh, 0, "text", 4, FILE_SYNC, NULL));
    assert_ok(v3_read(rig->conn, &none.fh, 0, 4, NULL));
    assert_ok(v3_setattr(rig->conn, &f.fh, &size, NULL, NULL));
    /* but ACCESS says what the mode says: open() on the client goes by it */
    assert_int_equal(access_as(rig, &f.fh, OWNER, GROUP, READ | MODIFY | EXTEND), READ);
    conn_identify(rig->conn, OTHER, GROUP);
    assert_status(v3_setattr(rig->conn, &f.fh, &size, NULL, NULL), NFS3ERR_ACCES);
}

static void directories_want_permission(void **state)
{
    struct rig *rig = *state;
    struct node d = owned(rig, "d", 0755, true), secret = owned(rig, "secret", 0700, true),
                blind = owned(rig, "blind", 0711, true), f, g;
    sattr3 none = attr_none();

    f = make_file(rig->conn, &d.fh, "f", "");
    (void)make_file(rig->conn, &secret.fh, "f", "");
    (void)make_file(rig->conn, &blind.fh, "f", "");
    conn_identify(rig->conn, OTHER, 5);
    assert_ok(v3_lookup(rig->conn, &d.fh, "f", &g));
    assert_true(same_fh(&f.fh, &g.fh));
    assert_status(v3_lookup(rig->conn, &secret.fh, "f", NULL), NFS3ERR_ACCES);
    assert_status(v3_lookup(rig->conn, &secret.fh, "g", NULL), NFS3ERR_ACCES);
    assert_status(v3_readdir(rig->conn, &secret.fh, 0, NULL, 4096, NULL), NFS3ERR_ACCES);
    assert_ok(v3_lookup(rig->conn, &blind.fh, "f", NULL));
    assert_status(v3_readdir(rig->conn, &blind.fh, 0, NULL, 4096, NULL), NFS3ERR_ACCES);
    assert_status(v3_readdirplus(rig->conn, &blind.fh, 0, NULL, 4096, 8192, NULL), NFS3ERR_ACCES);
    assert_status(v3_create(rig->conn, &d.fh, "x", GUARDED, &none, NULL, NULL), NFS3ERR_ACCES);
    assert_status(v3_create(rig->conn, &d.fh, "x", UNCHECKED, &none, NULL, NULL), NFS3ERR_ACCES);
    assert_status(v3_create_exclusive(rig->conn, &d.fh, "x", "12345678", NULL), NFS3ERR_ACCES);
    assert_status(v3_mkdir(rig->conn, &d.fh, "x", &none, NULL, NULL), NFS3ERR_ACCES);
    assert_status(v3_symlink(rig->conn, &d.fh, "x", "y", NULL, NULL), NFS3ERR_ACCES);
    assert_status(v3_remove(rig->conn, &d.fh, "f", NULL), NFS3ERR_ACCES);
    assert_status(v3_rename(rig->conn, &d.fh, "f", &d.fh, "g", NULL, NULL), NFS3ERR_ACCES);
    assert_status(v3_rename(rig->conn, &d.fh, "f", &secret.fh, "g", NULL, NULL), NFS3ERR_ACCES);
    assert_status(v3_rmdir(rig->conn, &rig->dir, "d", NULL), NFS3ERR_ACCES);
    conn_identify(rig->conn, OWNER, 5);
    assert_ok(v3_create(rig->conn, &d.fh, "x", GUARDED, &none, &g, NULL));
    assert_int_equal(g.attr.uid, OWNER);
    assert_int_equal(g.attr.gid, 5);
    assert_ok(v3_remove(rig->conn, &d.fh, "f", NULL)); /* root's file, but the owner's directory */
}

static void sticky_directories(void **state)
{
    struct rig *rig = *state;
    struct node tmp = owned(rig, "tmp", 01777, true);
    sattr3 none = attr_none();

    conn_identify(rig->conn, OTHER, 5);
    assert_ok(v3_create(rig->conn, &tmp.fh, "mine", GUARDED, &none, NULL, NULL));
    conn_identify(rig->conn, 3000, 5);
    assert_status(v3_remove(rig->conn, &tmp.fh, "mine", NULL), NFS3ERR_ACCES);
    assert_status(v3_rename(rig->conn, &tmp.fh, "mine", &tmp.fh, "x", NULL, NULL), NFS3ERR_ACCES);
    conn_identify(rig->conn, OTHER, 5);
    assert_ok(v3_rename(rig->conn, &tmp.fh, "mine", &tmp.fh, "x", NULL, NULL));
    conn_identify(rig->conn, OWNER, 5); /* the directory's owner may */
    assert_ok(v3_remove(rig->conn, &tmp.fh, "x", NULL));
}

static void setattr_wants_ownership(void **state)
{
    struct rig *rig = *state;
    struct node f = owned(rig, "f", 0666, false);
    sattr3 mode = attr_mode(0600), now = attr_none(), then = attr_none(), size = attr_size(0);
    sattr3 give = attr_owner(OTHER, GROUP), group = attr_none();

    now.mtime.set_it = SET_TO_SERVER_TIME;
    now.atime.set_it = SET_TO_SERVER_TIME;
    then.mtime.set_it = SET_TO_CLIENT_TIME;
    then.mtime.set_mtime_u.mtime = (nfstime3){99, 0};
    group.gid.set_it = 1;
    group.gid.set_gid3_u.gid = 55;
    conn_identify(rig->conn, OTHER, 5);
    assert_status(v3_setattr(rig->conn, &f.fh, &mode, NULL, NULL), NFS3ERR_PERM);
    assert_status(v3_setattr(rig->conn, &f.fh, &give, NULL, NULL), NFS3ERR_PERM);
    assert_status(v3_setattr(rig->conn, &f.fh, &then, NULL, NULL), NFS3ERR_PERM);
    assert_ok(v3_setattr(rig->conn, &f.fh, &now, NULL, NULL)); /* may write, so may touch */
    assert_ok(v3_setattr(rig->conn, &f.fh, &size, NULL, NULL));
    conn_identify(rig->conn, OWNER, GROUP);
    assert_ok(v3_setattr(rig->conn, &f.fh, &then, NULL, NULL));
    assert_status(v3_setattr(rig->conn, &f.fh, &give, NULL, NULL), NFS3ERR_PERM);
    assert_status(v3_setattr(rig->conn, &f.fh, &group, NULL, NULL), NFS3ERR_PERM);
    rig->conn->cred.group_count = 1;
    rig->conn->cred.groups[0] = 55;
    assert_ok(v3_setattr(rig->conn, &f.fh, &group, NULL, NULL));
    assert_ok(v3_setattr(rig->conn, &f.fh, &mode, NULL, NULL));
    conn_identify(rig->conn, OTHER, 5);
    assert_status(v3_setattr(rig->conn, &f.fh, &now, NULL, NULL), NFS3ERR_ACCES);
    conn_identify(rig->conn, 0, 0);
    assert_ok(v3_setattr(rig->conn, &f.fh, &give, NULL, NULL));
    assert_int_equal(attr_of(rig->conn, &f.fh).uid, OTHER);
}

/* ---- exports ---- */

static void open_root(struct rig *rig, uint32_t mode)
{
    sattr3 set = attr_mode(mode);

    assert_ok(v3_setattr(rig->conn, &rig->root, &set, NULL, NULL));
}

static void root_is_squashed_by_default(void **state)
{
    static const char *const none[] = {"--squash", "none", NULL};
    struct rig *rig = rig_new(none);
    struct node secret, got;
    sattr3 mode = attr_mode(0600);
    uint32_t mask;

    (void)state;
    open_root(rig, 0777);
    secret = make_file(rig->conn, &rig->root, "secret", "root only");
    assert_ok(v3_setattr(rig->conn, &secret.fh, &mode, NULL, NULL));
    for (int i = 0; i < rig->server->arg_count; i++) /* the same server without the option */
        if (strcmp(rig->server->args[i], "none") == 0)
            memcpy(rig->server->args[i], "root", 4);
    rig_restart(rig, 15);
    assert_status(v3_read(rig->conn, &secret.fh, 0, 9, NULL), NFS3ERR_ACCES);
    assert_ok(v3_access(rig->conn, &secret.fh, ALL, &mask));
    assert_int_equal(mask & (READ | MODIFY | EXTEND | EXEC), 0);
    assert_status(v3_setattr(rig->conn, &secret.fh, &mode, NULL, NULL), NFS3ERR_PERM);
    got = make_file(rig->conn, &rig->root, "anon", "x");
    assert_int_equal(got.attr.uid, 65534);
    assert_int_equal(got.attr.gid, 65534);
    conn_identify(rig->conn, OWNER, 0); /* group 0 too */
    got = make_file(rig->conn, &rig->root, "group", "x");
    assert_int_equal(got.attr.uid, OWNER);
    assert_int_equal(got.attr.gid, 65534);
    rig_free(rig);
}

static void all_are_squashed(void **state)
{
    static const char *const args[] = {"--squash",  "all",  "--anonuid", "4321",
                                       "--anongid", "8765", NULL};
    static const char *const none[] = {"--squash", "none", NULL};
    struct rig *rig = rig_new(none);
    struct node node;

    (void)state;
    open_root(rig, 0777);
    server_stop(rig->server, 15);
    conn_close(rig->conn);
    for (int i = 0; args[i]; i++) { /* a second option overrides the first */
        rig->server->args[rig->server->arg_count++] = strdup(args[i]);
    }
    server_start(rig->server);
    rig->conn = conn_open(rig->server);
    conn_identify(rig->conn, OWNER, GROUP);
    node = make_file(rig->conn, &rig->root, "f", "x");
    assert_int_equal(node.attr.uid, 4321);
    assert_int_equal(node.attr.gid, 8765);
    rig->conn->cred = (struct cred){.none = true};
    node = make_file(rig->conn, &rig->root, "g", "x");
    assert_int_equal(node.attr.uid, 4321);
    rig_free(rig);
}

static void read_only_refuses_changes(void **state)
{
    static const char *const none[] = {"--squash", "none", NULL};
    struct rig *rig = rig_new(none);
    struct node f, d;
    sattr3 set = attr_mode(0600);
    struct conn *c;
    uint32_t mask;

    (void)state;
    d = make_dir(rig->conn, &rig->root, "d");
    f = make_file(rig->conn, &rig->root, "f", "text");
    free(server_bucket_text(rig->server, "f", "text"));
    rig->server->args[rig->server->arg_count++] = strdup("--read-only");
    rig_restart(rig, 15);
    c = rig->conn;
    assert_text(c, &f.fh, "text");
    assert_ok(v3_access(c, &f.fh, ALL, &mask));
    assert_int_equal(mask & (MODIFY | EXTEND | DELETE), 0);
    assert_int_equal(mask & READ, READ);
    assert_ok(v3_access(c, &rig->root, ALL, &mask));
    assert_int_equal(mask & (MODIFY | EXTEND | DELETE), 0);
    assert_status(v3_setattr(c, &f.fh, &set, NULL, NULL), NFS3ERR_ROFS);
    assert_status(v3_write(c, &f.fh, 0, "x", 1, FILE_SYNC, NULL), NFS3ERR_ROFS);
    assert_status(v3_create(c, &rig->root, "x", GUARDED, &set, NULL, NULL), NFS3ERR_ROFS);
    assert_status(v3_create_exclusive(c, &rig->root, "x", "12345678", NULL), NFS3ERR_ROFS);
    assert_status(v3_mkdir(c, &rig->root, "x", &set, NULL, NULL), NFS3ERR_ROFS);
    assert_status(v3_symlink(c, &rig->root, "x", "y", NULL, NULL), NFS3ERR_ROFS);
    assert_status(v3_remove(c, &rig->root, "f", NULL), NFS3ERR_ROFS);
    assert_status(v3_rmdir(c, &rig->root, "d", NULL), NFS3ERR_ROFS);
    assert_status(v3_rename(c, &rig->root, "f", &rig->root, "g", NULL, NULL), NFS3ERR_ROFS);
    assert_ok(v3_commit(c, &f.fh, 0, 0, NULL, NULL)); /* nothing to do is no error */
    assert_ok(v3_getattr(c, &d.fh, NULL));
    assert_text(c, fh_at(c, &rig->root, "f"), "text");
    rig_free(rig);
}

/* What an NFS call and a MNT give to a client at from. */
static void check_admitted(struct rig *rig, const char *from, bool reserved, bool admitted)
{
    struct conn *c = conn_open_from(rig->server, from, reserved);
    GETATTR3args args = {.object = fh_arg(&rig->root)};
    mountres3 res = {0};
    char *path = (char[]){"/bucket"};
    struct reply reply;
    exports list = NULL;

    conn_call(c, NFS_PROG, 3, P_GETATTR, FILTER(zdr_GETATTR3args), &args, &reply);
    if (admitted) {
        assert_int_equal(reply.stat, MSG_ACCEPTED);
    } else {
        assert_int_equal(reply.stat, MSG_DENIED);
        assert_int_equal(reply.reject, AUTH_ERROR);
        assert_int_equal(reply.auth, AUTH_TOOWEAK);
    }
    conn_run(c, MOUNT_PROG, 3, MOUNT3_MNT, FILTER(zdr_dirpath), &path, FILTER(zdr_mountres3), &res);
    assert_int_equal(res.fhs_status, admitted ? MNT3_OK : MNT3ERR_ACCES);
    conn_run(c, MOUNT_PROG, 3, MOUNT3_EXPORT, NULL, NULL, FILTER(zdr_exports), &list);
    if (strncmp(from, "127.", 4) != 0) /* what one may not mount is not told */
        assert_int_equal(list != NULL, admitted);
    conn_close(c);
}

static void networks_are_allowed_by_name(void **state)
{
    static const char *const args[] = {"--allow", "10.77.1.0/24", "--allow", "10.99.3.4", NULL};
    struct rig *rig;

    (void)state;
    if (!rig_isolated())
        skip();
    rig_add_address("10.77.1.5");
    rig_add_address("10.77.2.5");
    rig_add_address("10.99.3.4");
    rig_add_address("10.99.3.5");
    rig = rig_new(args);
    check_admitted(rig, "127.0.0.1", false, true);
    check_admitted(rig, "127.0.0.2", false, true);
    check_admitted(rig, "10.77.1.5", false, true);
    check_admitted(rig, "10.99.3.4", false, true);
    check_admitted(rig, "10.77.2.5", false, false);
    check_admitted(rig, "10.99.3.5", false, false);
    rig_free(rig);
}

static void nobody_else_is_allowed_by_default(void **state)
{
    struct rig *rig;

    (void)state;
    if (!rig_isolated())
        skip();
    rig_add_address("10.55.1.5");
    rig = rig_new(NULL);
    check_admitted(rig, "127.0.0.1", false, true);
    check_admitted(rig, "10.55.1.5", false, false);
    rig_free(rig);
}

static void ports_are_checked_by_default(void **state)
{
    static const char *const args[] = {"--secure", NULL};
    struct server *server;
    struct rig rig = {0};

    (void)state;
    if (!rig_isolated())
        skip();
    server = server_new(args);
    server_start(server);
    rig.server = server;
    struct conn *c = conn_open_from(server, "127.0.0.1", true);
    rig.root = rig_mount(c, "/bucket");
    conn_close(c);
    check_admitted(&rig, "127.0.0.1", true, true);
    check_admitted(&rig, "127.0.0.1", false, false);
    server_free(server);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(access_of_files),
        CASE(access_of_directories),
        CASE(data_wants_permission),
        CASE(owners_may_always_read_and_write),
        CASE(directories_want_permission),
        CASE(sticky_directories),
        CASE(setattr_wants_ownership),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(root_is_squashed_by_default),
        cmocka_unit_test(all_are_squashed),
        cmocka_unit_test(read_only_refuses_changes),
        cmocka_unit_test(networks_are_allowed_by_name),
        cmocka_unit_test(nobody_else_is_allowed_by_default),
        cmocka_unit_test(ports_are_checked_by_default),
    };
    int failed;

    rig_init(argc, argv);
    failed = cmocka_run_group_tests_name("rights", tests, rig_group_setup, rig_group_teardown);
    return failed + cmocka_run_group_tests_name("exports", alone, NULL, NULL);
}
