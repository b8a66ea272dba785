/* The MOUNT protocol between a faked RPC core and a faked file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/log.h"
#include "fake.h"
#include "mount3.h"
#include "nfsd/mount_service.h"

/* "/a" for everybody in 10.0.0.0/8 from reserved ports, "/b" for this host only from any port. */
struct mount_rig {
    struct export_table *table;
    struct mount_service service;
};

/* The table of programs names rpcgen's dispatchers, which these tests go around. */
void mount_program_1(struct svc_req *req, SVCXPRT *xprt);
void mount_program_3(struct svc_req *req, SVCXPRT *xprt);

void mount_program_1(struct svc_req *req, SVCXPRT *xprt)
{
    (void)req;
    (void)xprt;
}

void mount_program_3(struct svc_req *req, SVCXPRT *xprt)
{
    (void)req;
    (void)xprt;
}

static int setup(void **state)
{
    static struct mount_rig rig;
    struct export_net net;
    const char *why;

    assert_int_equal(export_net_parse("10.0.0.0/8", &net, &why), 0);
    struct export a = {
        .name = "/a", .vol = &fake_fs.vols[0], .nets = &net, .net_count = 1, .secure = true};
    struct export b = {.name = "/b", .vol = &fake_fs.vols[1]};
    rig.table = export_table_new();
    assert_int_equal(export_table_add(rig.table, &a), 0);
    assert_int_equal(export_table_add(rig.table, &b), 0);
    rig.service = (struct mount_service){.exports = rig.table, .list = mount_list_new()};
    *state = &rig;
    log_level_set(LOG_ERROR); /* refusals are expected here */
    return 0;
}

static int teardown(void **state)
{
    struct mount_rig *rig = *state;

    fake_end();
    export_table_free(rig->table);
    mount_list_free(rig->service.list);
    return 0;
}

static void begin(void **state, uint32_t proc)
{
    struct mount_rig *rig = *state;

    fake_begin(MOUNT_PROGRAM, proc, &rig->service);
    fake_fs.attr.type = FS_DIR;
    fake_fs.node = (struct fs_node){.ino = 44, .attr_valid = true, .attr = fake_fs.attr};
}

static mountstat3 mount_path(const char *path, mountres3 *res)
{
    char copy[2048];
    dirpath args = copy;

    assert_true(strlen(path) < sizeof(copy));
    memcpy(copy, path, strlen(path) + 1);
    assert_true(mountproc3_mnt_3_svc(&args, res, &fake_rpc.req));
    return res->fhs_status;
}

static void assert_handle(const mountres3 *res, uint32_t vol, uint64_t ino)
{
    nfs_fh3 expected = fake_handle(vol, ino);
    const mountres3_ok *ok = &res->mountres3_u.mountinfo;

    assert_int_equal(ok->fhandle.len, expected.len);
    assert_memory_equal(ok->fhandle.data, expected.data, expected.len);
    assert_int_equal(ok->auth_flavors.auth_flavors_len, 1);
    assert_int_equal(ok->auth_flavors.auth_flavors_val[0], AUTH_SYS);
}

static void test_mnt_paths(void **state)
{
    static const struct {
        const char *path;
        uint32_t vol;
        uint64_t ino;
        uint32_t lookups;
    } cases[] = {
        {"/a", 0, 1, 0},    {"/a/", 0, 1, 0},        {"//a//", 0, 1, 0},     {"/b", 1, 2, 0},
        {"/a/x", 0, 44, 1}, {"/a//x/y//", 0, 44, 2}, {"/b/x/y/z", 1, 44, 3},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mountres3 res;
        begin(state, MOUNTPROC3_MNT);
        fake_fs.seq = 9;
        assert_int_equal(mount_path(cases[i].path, &res), MNT3_OK);
        assert_handle(&res, cases[i].vol, cases[i].ino);
        assert_int_equal(fake_fs.lookup_count, cases[i].lookups);
        assert_int_equal(fake_rpc.hold, cases[i].lookups ? 9 : 0);
    }
    assert_string_equal(fake_fs.lookups[0], "x");
    assert_string_equal(fake_fs.lookups[2], "z");
}

static void test_mnt_refusals(void **state)
{
    static const struct {
        const char *path, *peer;
        uint16_t port;
        int err; /* of lookup */
        mountstat3 status;
    } cases[] = {
        {"/c", "127.0.0.1", 1000, 0, MNT3ERR_NOENT},
        {"a", "127.0.0.1", 1000, 0, MNT3ERR_NOENT},
        {"", "127.0.0.1", 1000, 0, MNT3ERR_NOENT},
        {"/ab", "127.0.0.1", 1000, 0, MNT3ERR_NOENT},
        {"/a", "192.0.2.1", 1000, 0, MNT3ERR_ACCES},
        {"/a", "10.0.0.1", 1024, 0, MNT3ERR_ACCES},
        {"/a", "10.0.0.1", 1023, 0, MNT3_OK},
        {"/b", "10.0.0.1", 1023, 0, MNT3ERR_ACCES},
        {"/b", "127.0.0.1", 40000, 0, MNT3_OK},
        {"/a/x", "127.0.0.1", 1000, -ENOENT, MNT3ERR_NOENT},
        {"/a/x", "127.0.0.1", 1000, -ENOTDIR, MNT3ERR_NOTDIR},
        {"/a/x", "127.0.0.1", 1000, -EACCES, MNT3ERR_ACCES},
        {"/a/x", "127.0.0.1", 1000, -ENAMETOOLONG, MNT3ERR_NAMETOOLONG},
        {"/a/x", "127.0.0.1", 1000, -EINVAL, MNT3ERR_INVAL},
        {"/a/x", "127.0.0.1", 1000, -EAGAIN, MNT3ERR_IO},
        {"/a/x", "127.0.0.1", 1000, -EIO, MNT3ERR_IO},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mountres3 res;
        begin(state, MOUNTPROC3_MNT);
        fake_peer(cases[i].peer, cases[i].port);
        fake_fs.err = cases[i].err;
        assert_int_equal(mount_path(cases[i].path, &res), cases[i].status);
    }
}

static void test_mnt_subdirectory_must_be_one(void **state)
{
    mountres3 res;

    begin(state, MOUNTPROC3_MNT);
    fake_fs.node.attr.type = FS_REG;
    assert_int_equal(mount_path("/a/x", &res), MNT3ERR_NOTDIR);

    /* Attributes that LOOKUP did not give are asked for. */
    begin(state, MOUNTPROC3_MNT);
    fake_fs.node.attr_valid = false;
    assert_int_equal(mount_path("/a/x", &res), MNT3_OK);
    assert_int_equal(fake_fs.getattr_calls, 1);
    begin(state, MOUNTPROC3_MNT);
    fake_fs.node.attr_valid = false;
    fake_fs.attr.type = FS_LNK;
    assert_int_equal(mount_path("/a/x", &res), MNT3ERR_NOTDIR);
}

static void test_mnt_waits_elsewhere(void **state)
{
    static char path[] = "/a/x";
    dirpath args = path;
    mountres3 res;

    begin(state, MOUNTPROC3_MNT);
    fake_rpc.call.nowait = true;
    fake_fs.err = -EAGAIN;
    assert_false(mountproc3_mnt_3_svc(&args, &res, &fake_rpc.req));
    assert_true(fake_rpc.would_block);
    assert_true(fake_fs.req.flags & FS_NOWAIT);
}

static void test_mnt_root_is_the_only_export(void **state)
{
    mountres3 res;

    begin(state, MOUNTPROC3_MNT);
    assert_int_equal(mount_path("/", &res), MNT3ERR_NOENT); /* two */
    fake_peer("10.0.0.1", 1000);
    assert_int_equal(mount_path("/", &res), MNT3_OK);
    assert_handle(&res, 0, 1);
    assert_int_equal(mount_path("///", &res), MNT3_OK);
    fake_peer("192.0.2.1", 1000);
    assert_int_equal(mount_path("/", &res), MNT3ERR_NOENT);
}

static int count_exports(exports list, const char **first)
{
    int count = 0;

    *first = list ? list->ex_dir : "";
    for (; list; list = list->ex_next)
        count++;
    return count;
}

static void test_export(void **state)
{
    exports list;
    const char *first;

    begin(state, MOUNTPROC3_EXPORT);
    fake_peer("127.0.0.1", 40000);
    assert_true(mountproc3_export_3_svc(NULL, &list, &fake_rpc.req));
    assert_int_equal(count_exports(list, &first), 2);
    assert_string_equal(list->ex_groups->gr_name, "localhost");
    assert_string_equal(list->ex_groups->gr_next->gr_name, "10.0.0.0/8");
    assert_null(list->ex_groups->gr_next->gr_next);
    assert_null(list->ex_next->ex_groups->gr_next);

    fake_peer("10.1.2.3", 40000);
    assert_true(mountproc1_export_1_svc(NULL, &list, &fake_rpc.req));
    assert_int_equal(count_exports(list, &first), 1);
    assert_string_equal(first, "/a");

    fake_peer("192.0.2.1", 1000);
    assert_true(mountproc3_export_3_svc(NULL, &list, &fake_rpc.req));
    assert_null(list);
}

static int count_mounts(mountlist list)
{
    int count = 0;

    for (; list; list = list->ml_next)
        count++;
    return count;
}

static void test_dump_and_umnt(void **state)
{
    static char path_a[] = "/a";
    dirpath args = path_a;
    mountlist list;
    mountres3 res;

    begin(state, MOUNTPROC3_UMNTALL);
    assert_true(mountproc3_umntall_3_svc(NULL, NULL, &fake_rpc.req));
    fake_peer("10.0.0.1", 1000);
    assert_true(mountproc3_umntall_3_svc(NULL, NULL, &fake_rpc.req));

    fake_peer("127.0.0.1", 1000);
    assert_int_equal(mount_path("/a", &res), MNT3_OK);
    assert_int_equal(mount_path("/b", &res), MNT3_OK);
    assert_int_equal(mount_path("/a", &res), MNT3_OK); /* again: still one */
    fake_peer("10.0.0.1", 1000);
    assert_int_equal(mount_path("/a", &res), MNT3_OK);
    fake_peer("127.0.0.1", 1000);
    assert_true(mountproc3_dump_3_svc(NULL, &list, &fake_rpc.req));
    assert_int_equal(count_mounts(list), 3);
    assert_string_equal(list->ml_hostname, "127.0.0.1");
    assert_string_equal(list->ml_directory, "/b");

    fake_peer("10.0.0.1", 1000); /* may not mount /b, so does not see who has */
    assert_true(mountproc3_dump_3_svc(NULL, &list, &fake_rpc.req));
    assert_int_equal(count_mounts(list), 2);
    fake_peer("192.0.2.1", 1000);
    assert_true(mountproc1_dump_1_svc(NULL, &list, &fake_rpc.req));
    assert_null(list);
    assert_true(mountproc3_umnt_3_svc(&args, NULL, &fake_rpc.req)); /* answered all the same */

    fake_peer("127.0.0.1", 1000);
    assert_true(mountproc1_umnt_1_svc(&args, NULL, &fake_rpc.req));
    assert_true(mountproc3_dump_3_svc(NULL, &list, &fake_rpc.req));
    assert_int_equal(count_mounts(list), 2);
    assert_true(mountproc1_umntall_1_svc(NULL, NULL, &fake_rpc.req));
    assert_true(mountproc3_dump_3_svc(NULL, &list, &fake_rpc.req));
    assert_int_equal(count_mounts(list), 1);
    assert_string_equal(list->ml_hostname, "10.0.0.1");
}

static void test_version_1_mounts_nothing(void **state)
{
    static char path[] = "/a";
    dirpath args = path;
    fhstatus1 res;

    begin(state, MOUNTPROC1_MNT);
    assert_false(mountproc1_mnt_1_svc(&args, &res, &fake_rpc.req));
    assert_true(fake_rpc.noproc);
    assert_true(mountproc1_null_1_svc(NULL, NULL, &fake_rpc.req));
    assert_true(mountproc3_null_3_svc(NULL, NULL, &fake_rpc.req));
}

static bool count_entry(void *ctx, const char *host, const char *path)
{
    int *counts = ctx;

    (void)path;
    counts[0]++;
    counts[1] += strcmp(host, "host0") == 0;
    return true;
}

static void test_list_is_bounded(void **state)
{
    (void)state;
    struct mount_list *list = mount_list_new();
    int counts[2] = {0, 0};
    char host[16];

    for (int i = 0; i <= MOUNT_LIST_MAX; i++) {
        (void)snprintf(host, sizeof(host), "host%d", i);
        mount_list_add(list, host, "/a");
    }
    mount_list_each(list, count_entry, counts);
    assert_int_equal(counts[0], MOUNT_LIST_MAX);
    assert_int_equal(counts[1], 0); /* the oldest made room */
    mount_list_free(list);
    mount_list_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mnt_paths),
        cmocka_unit_test(test_mnt_refusals),
        cmocka_unit_test(test_mnt_subdirectory_must_be_one),
        cmocka_unit_test(test_mnt_waits_elsewhere),
        cmocka_unit_test(test_mnt_root_is_the_only_export),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_dump_and_umnt),
        cmocka_unit_test(test_version_1_mounts_nothing),
        cmocka_unit_test(test_list_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
