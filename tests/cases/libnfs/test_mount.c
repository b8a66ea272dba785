/* MOUNT, what a mount asks of NFS at once (FSINFO, FSSTAT, PATHCONF), and the port mapper. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

/* The status of MNT; the flavours and the handle are checked. */
static mountstat3 mount_path(struct conn *c, const char *path, struct fh *ret)
{
    mountres3 res = {0};
    char *arg = (char *)(uintptr_t)path;
    bool unix_offered = false;

    conn_run(c, MOUNT_PROG, 3, MOUNT3_MNT, FILTER(zdr_dirpath), &arg, FILTER(zdr_mountres3), &res);
    if (res.fhs_status != MNT3_OK)
        return res.fhs_status;
    const mountres3_ok *ok = &res.mountres3_u.mountinfo;
    for (uint32_t i = 0; i < ok->auth_flavors.auth_flavors_len; i++)
        unix_offered |= ok->auth_flavors.auth_flavors_val[i] == AUTH_UNIX;
    assert_true(unix_offered);
    assert_in_range(ok->fhandle.fhandle3_len, 1, 56);
    if (ret) {
        ret->len = ok->fhandle.fhandle3_len;
        memcpy(ret->data, ok->fhandle.fhandle3_val, ret->len);
    }
    return MNT3_OK;
}

static void mnt_finds_the_export(void **state)
{
    struct rig *rig = *state;
    static const char *const spellings[] = {"/bucket", "/bucket/", "//bucket", "/bucket//", "/"};
    struct fh fh;

    for (unsigned i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        assert_int_equal(mount_path(rig->conn, spellings[i], &fh), MNT3_OK);
        assert_true(same_fh(&fh, &rig->root));
    }
}

static void mnt_of_what_lies_below(void **state)
{
    struct rig *rig = *state;
    struct node dir = make_dir(rig->conn, &rig->root, "mnt-sub"),
                deep = make_dir(rig->conn, &dir.fh, "deep");
    struct fh fh;

    (void)make_file(rig->conn, &dir.fh, "file", "");
    assert_int_equal(mount_path(rig->conn, "/bucket/mnt-sub/deep", &fh), MNT3_OK);
    assert_true(same_fh(&fh, &deep.fh));
    assert_int_equal(mount_path(rig->conn, "/bucket/mnt-sub//", &fh), MNT3_OK);
    assert_true(same_fh(&fh, &dir.fh));
    assert_int_equal(mount_path(rig->conn, "/bucket/mnt-sub/file", NULL), MNT3ERR_NOTDIR);
    assert_int_equal(mount_path(rig->conn, "/bucket/mnt-sub/none", NULL), MNT3ERR_NOENT);
    assert_int_equal(mount_path(rig->conn, "/bucket/mnt-sub/file/x", NULL), MNT3ERR_NOTDIR);
}

static void mnt_of_what_is_not_there(void **state)
{
    struct rig *rig = *state;
    char *path = calloc(1, 1025);
    mountstat3 status;

    assert_int_equal(mount_path(rig->conn, "/other", NULL), MNT3ERR_NOENT);
    assert_int_equal(mount_path(rig->conn, "/bucketful", NULL), MNT3ERR_NOENT);
    assert_int_equal(mount_path(rig->conn, "", NULL), MNT3ERR_NOENT);
    assert_int_equal(mount_path(rig->conn, "bucket", NULL), MNT3ERR_NOENT);
    memset(path, 'x', 1024);
    memcpy(path, "/bucket/", 8);
    assert_int_equal(mount_path(rig->conn, path, NULL), MNT3ERR_NAMETOOLONG);
    status = mount_path(rig->conn, "/bucket/../bucket", NULL);
    assert_true(status == MNT3_OK || status == MNT3ERR_NOENT || status == MNT3ERR_INVAL);
    free(path);
}

static unsigned count_dump(struct conn *c, uint32_t vers, const char *dir)
{
    mountlist list = NULL;
    unsigned count = 0;

    conn_run(c, MOUNT_PROG, vers, MOUNT3_DUMP, NULL, NULL, FILTER(zdr_mountlist), &list);
    for (; list; list = list->ml_next) {
        assert_string_equal(list->ml_hostname, "127.0.0.1");
        count += !dir || strcmp(list->ml_directory, dir) == 0;
    }
    return count;
}

static void umount(struct conn *c, uint32_t vers, const char *path)
{
    char *arg = (char *)(uintptr_t)path;

    conn_run(c, MOUNT_PROG, vers, path ? MOUNT3_UMNT : MOUNT3_UMNTALL,
             path ? FILTER(zdr_dirpath) : NULL, &arg, FILTER(zdr_void), NULL);
}

static void dump_and_umnt(void **state)
{
    struct rig *rig = *state;

    umount(rig->conn, 3, NULL);
    assert_int_equal(count_dump(rig->conn, 3, NULL), 0);
    assert_int_equal(mount_path(rig->conn, "/bucket", NULL), MNT3_OK);
    assert_int_equal(mount_path(rig->conn, "/bucket", NULL), MNT3_OK);
    assert_int_equal(count_dump(rig->conn, 3, "/bucket"), 1);
    (void)make_dir(rig->conn, &rig->root, "mnt-dump");
    assert_int_equal(mount_path(rig->conn, "/bucket/mnt-dump", NULL), MNT3_OK);
    assert_int_equal(count_dump(rig->conn, 3, NULL), 2);
    umount(rig->conn, 3, "/never/mounted");
    umount(rig->conn, 3, "/bucket");
    assert_int_equal(count_dump(rig->conn, 3, "/bucket"), 0);
    assert_int_equal(count_dump(rig->conn, 3, "/bucket/mnt-dump"), 1);
    umount(rig->conn, 3, NULL);
    assert_int_equal(count_dump(rig->conn, 3, NULL), 0);
    assert_ok(v3_getattr(rig->conn, &rig->root, NULL)); /* handles live on */
}

static void export_lists_all(void **state)
{
    struct rig *rig = *state;
    exports list = NULL;

    conn_run(rig->conn, MOUNT_PROG, 3, MOUNT3_EXPORT, NULL, NULL, FILTER(zdr_exports), &list);
    assert_non_null(list);
    assert_string_equal(list->ex_dir, "/bucket");
    assert_null(list->ex_next);
}

static void version_1_answers_umount_and_showmount(void **state)
{
    struct rig *rig = *state;
    exports list = NULL;
    struct reply reply;

    conn_run(rig->conn, MOUNT_PROG, 1, 0, NULL, NULL, FILTER(zdr_void), NULL);
    assert_int_equal(mount_path(rig->conn, "/bucket", NULL), MNT3_OK);
    assert_int_equal(count_dump(rig->conn, 1, "/bucket"), 1);
    umount(rig->conn, 1, "/bucket");
    assert_int_equal(count_dump(rig->conn, 1, "/bucket"), 0);
    conn_run(rig->conn, MOUNT_PROG, 1, MOUNT1_EXPORT, NULL, NULL, FILTER(zdr_exports), &list);
    assert_non_null(list);
    conn_call(rig->conn, MOUNT_PROG, 2, 0, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROG_MISMATCH);
    assert_int_equal(reply.low, 1);
    assert_int_equal(reply.high, 3);
    conn_call(rig->conn, MOUNT_PROG, 3, 6, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROC_UNAVAIL);
}

static void mount_over_udp(void **state)
{
    struct rig *rig = *state;
    struct conn *udp = conn_open_port(rig->server->port, true);
    exports list = NULL;
    struct fh fh;

    conn_run(udp, MOUNT_PROG, 3, MOUNT3_NULL, NULL, NULL, FILTER(zdr_void), NULL);
    assert_int_equal(mount_path(udp, "/bucket", &fh), MNT3_OK);
    assert_true(same_fh(&fh, &rig->root));
    conn_run(udp, MOUNT_PROG, 3, MOUNT3_EXPORT, NULL, NULL, FILTER(zdr_exports), &list);
    assert_non_null(list);
    umount(udp, 3, "/bucket");
    assert_int_equal(count_dump(udp, 3, "/bucket"), 0);
    conn_close(udp);
}

static void several_exports(void **state)
{
    static const char *const args[] = {"--squash", "none", "@one", "@two", "@bucket", NULL};
    struct rig *rig = rig_new(args);
    exports list = NULL;
    unsigned count = 0;
    struct fh one, two;

    (void)state;
    assert_int_equal(mount_path(rig->conn, "/one", &one), MNT3_OK);
    assert_int_equal(mount_path(rig->conn, "/two", &two), MNT3_OK);
    assert_false(same_fh(&one, &two));
    assert_int_equal(mount_path(rig->conn, "/", NULL), MNT3ERR_NOENT); /* which one? */
    conn_run(rig->conn, MOUNT_PROG, 3, MOUNT3_EXPORT, NULL, NULL, FILTER(zdr_exports), &list);
    for (; list; list = list->ex_next)
        count++;
    assert_int_equal(count, 3);
    rig_free(rig);
}

/* ---- what a client asks next ---- */

static void fsinfo_tells_the_truth(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "");
    FSINFO3resok info, same;

    assert_ok(v3_fsinfo(rig->conn, &rig->root, &info));
    assert_int_equal(info.rtmax, 1 << 20);
    assert_int_equal(info.wtmax, 1 << 20);
    assert_true(info.rtpref <= info.rtmax && info.wtpref <= info.wtmax);
    assert_true(info.rtpref % info.rtmult == 0 && info.wtpref % info.wtmult == 0);
    assert_in_range(info.dtpref, 4096, 1 << 20);
    assert_true(info.maxfilesize >= UINT64_C(5) << 40 && info.maxfilesize <= INT64_MAX);
    assert_int_equal(info.properties & 1, 0); /* no hard links */
    assert_int_equal(info.properties & 2, 2);
    assert_int_equal(info.properties & 16, 16);
    assert_true(info.time_delta.seconds == 0 && info.time_delta.nseconds >= 1);
    assert_ok(v3_fsinfo(rig->conn, &file.fh, &same));
    assert_int_equal(same.maxfilesize, info.maxfilesize);
    assert_int_equal(same.obj_attributes.post_op_attr_u.attributes.fileid, file.attr.fileid);
}

static void pathconf_tells_the_truth(void **state)
{
    struct rig *rig = *state;
    PATHCONF3resok conf;

    assert_ok(v3_pathconf(rig->conn, &rig->dir, &conf));
    assert_int_equal(conf.linkmax, 1);
    assert_int_equal(conf.name_max, 255);
    assert_true(conf.no_trunc);
    assert_true(conf.chown_restricted);
    assert_false(conf.case_insensitive);
    assert_true(conf.case_preserving);
}

static void fsstat_adds_up(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "");
    FSSTAT3resok stat;

    assert_ok(v3_fsstat(rig->conn, &rig->root, &stat));
    assert_true(stat.tbytes > 0);
    assert_true(stat.fbytes <= stat.tbytes && stat.abytes <= stat.fbytes);
    assert_true(stat.ffiles <= stat.tfiles && stat.afiles <= stat.ffiles);
    assert_true(stat.tbytes <= INT64_MAX);
    assert_ok(v3_fsstat(rig->conn, &file.fh, &stat)); /* any handle of the file system */
}

/* ---- port 111 ---- */

static uint32_t getport(struct conn *c, uint32_t prog, uint32_t vers, uint32_t prot)
{
    pmap2_mapping args = {.prog = prog, .vers = vers, .prot = prot};
    uint32_t port = 99999;

    conn_run(c, PMAP_PROG, 2, PMAP2_GETPORT, FILTER(zdr_pmap2_mapping), &args, FILTER(zdr_uint32_t),
             &port);
    return port;
}

static void check_pmap(struct conn *c, uint32_t port)
{
    pmap2_dump_result dump = {0};
    pmap2_mapping args = {.prog = NFS_PROG, .vers = 3, .prot = 6, .port = 1};
    unsigned found = 0;
    uint32_t done = 99;
    struct reply reply;

    conn_run(c, PMAP_PROG, 2, PMAP2_NULL, NULL, NULL, FILTER(zdr_void), NULL);
    assert_int_equal(getport(c, NFS_PROG, 3, 6), port);
    assert_int_equal(getport(c, MOUNT_PROG, 3, 6), port);
    assert_int_equal(getport(c, MOUNT_PROG, 3, 17), port);
    assert_int_equal(getport(c, MOUNT_PROG, 1, 6), port);
    assert_int_equal(getport(c, NFS_PROG, 3, 17), 0);
    assert_int_equal(getport(c, 100021, 4, 6), 0);
    conn_call(c, PMAP_PROG, 2, PMAP2_DUMP, NULL, NULL, &reply);
    if (c->udp) { /* no long answers to whoever the sender claims to be */
        assert_int_equal(reply.accept, PROC_UNAVAIL);
    } else {
        reply_decode(c, &reply, FILTER(zdr_pmap2_dump_result), &dump);
        for (const pmap2_mapping_list *l = dump.list; l; l = l->next)
            found += l->map.prog == NFS_PROG && l->map.vers == 3 && l->map.prot == 6 &&
                     l->map.port == port;
        assert_int_equal(found, 1);
    }
    conn_run(c, PMAP_PROG, 2, PMAP2_SET, FILTER(zdr_pmap2_mapping), &args, FILTER(zdr_uint32_t),
             &done);
    assert_int_equal(done, 0);
    conn_run(c, PMAP_PROG, 2, PMAP2_UNSET, FILTER(zdr_pmap2_mapping), &args, FILTER(zdr_uint32_t),
             &done);
    assert_int_equal(done, 0);
    assert_int_equal(getport(c, NFS_PROG, 3, 6), port);
    conn_call(c, PMAP_PROG, 2, PMAP2_CALLIT, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROC_UNAVAIL);
    conn_call(c, PMAP_PROG, 5, 0, NULL, NULL, &reply);
    assert_int_equal(reply.accept, PROG_MISMATCH);
    assert_true(reply.low == 2 && reply.high == 4);
}

static void check_rpcbind(struct conn *c, uint32_t port)
{
    char want[64];

    (void)snprintf(want, sizeof(want), "127.0.0.1.%u.%u", port >> 8, port & 255);
    for (uint32_t vers = 3; vers <= 4; vers++) {
        pmap3_mapping args = {.prog = NFS_PROG, .vers = 3};
        pmap3_string_result res = {0};
        pmap3_dump_result dump = {0};
        unsigned found = 0;
        args.netid = (char[]){"tcp"};
        args.addr = (char[]){""};
        args.owner = (char[]){""};
        conn_run(c, PMAP_PROG, vers, 3, FILTER(zdr_pmap3_mapping), &args,
                 FILTER(zdr_pmap3_string_result), &res);
        assert_string_equal(res.addr, want);
        args.prog = 100021;
        conn_run(c, PMAP_PROG, vers, 3, FILTER(zdr_pmap3_mapping), &args,
                 FILTER(zdr_pmap3_string_result), &res);
        assert_string_equal(res.addr, "");
        if (c->udp)
            continue;
        conn_run(c, PMAP_PROG, vers, 4, NULL, NULL, FILTER(zdr_pmap3_dump_result), &dump);
        for (const pmap3_mapping_list *l = dump.list; l; l = l->next)
            found += l->map.prog == NFS_PROG && l->map.vers == 3;
        assert_true(found >= 1);
    }
}

static void portmap_answers_on_port_111(void **state)
{
    static const char *const args[] = {"--portmap", "on", NULL};
    struct rig *rig;

    (void)state;
    if (!rig_isolated())
        skip();
    rig = rig_new(args);
    for (int udp = 0; udp < 2; udp++) {
        struct conn *c = conn_open_port(111, udp);
        conn_identify(c, 0, 0);
        check_pmap(c, rig->server->port);
        check_rpcbind(c, rig->server->port);
        c->cred.none = true;
        assert_int_equal(getport(c, NFS_PROG, 3, 6), rig->server->port);
        conn_close(c);
    }
    rig_free(rig);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(mnt_finds_the_export),     CASE(mnt_of_what_lies_below),
        CASE(mnt_of_what_is_not_there), CASE(dump_and_umnt),
        CASE(export_lists_all),         CASE(version_1_answers_umount_and_showmount),
        CASE(mount_over_udp),           CASE(fsinfo_tells_the_truth),
        CASE(pathconf_tells_the_truth), CASE(fsstat_adds_up),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(several_exports),
        cmocka_unit_test(portmap_answers_on_port_111),
    };
    int failed;

    rig_init(argc, argv);
    failed = cmocka_run_group_tests_name("mount", tests, rig_group_setup, rig_group_teardown);
    return failed + cmocka_run_group_tests_name("servers of their own", alone, NULL, NULL);
}
