/* NFS procedures about one object: attributes, data, the file system; and what they all share: the
 * handle, the export's rules, waiting, holding back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "nfs3_rig.h"

static bool_t getattr(GETATTR3res *res, nfs_fh3 handle)
{
    GETATTR3args args = {.object = handle};

    return nfsproc3_getattr_3_svc(&args, res, &fake_rpc.req);
}

static void assert_attr(const fattr3 *attr)
{
    assert_int_equal(attr->type, NF3REG);
    assert_int_equal(attr->mode, 0640);
    assert_int_equal(attr->uid, 1);
    assert_int_equal(attr->size, 3);
    assert_int_equal(attr->used, 4);
    assert_int_equal(attr->fsid, 5);
    assert_int_equal(attr->fileid, 6);
    assert_int_equal(attr->mtime.seconds, 8);
    assert_int_equal(attr->mtime.nseconds, 80);
    assert_int_equal(attr->ctime.nseconds, 90);
}

static void assert_post(const post_op_attr *post)
{
    assert_true(post->attributes_follow);
    assert_attr(&post->post_op_attr_u.attributes);
}

static void assert_wcc(const wcc_data *wcc, uint64_t size)
{
    assert_true(wcc->before.attributes_follow);
    assert_int_equal(wcc->before.pre_op_attr_u.attributes.size, size);
    assert_int_equal(wcc->before.pre_op_attr_u.attributes.mtime.nseconds, 10);
    assert_int_equal(wcc->before.pre_op_attr_u.attributes.ctime.seconds, 2);
    assert_post(&wcc->after);
}

static void test_getattr(void **state)
{
    GETATTR3res res;

    rig_begin(state, NFSPROC3_GETATTR);
    fake_fs.seq = 42;
    assert_true(getattr(&res, fake_handle(0, 6)));
    assert_int_equal(res.status, NFS3_OK);
    assert_attr(&res.GETATTR3res_u.resok.obj_attributes);
    assert_int_equal(fake_fs.ino, 6);
    assert_int_equal(fake_rpc.hold, 42);
    assert_int_equal(fake_fs.req.deadline_ns, 12345);
    assert_int_equal(fake_fs.req.flags, 0);
}

static void test_attr_limits(void **state)
{
    GETATTR3res res;

    rig_begin(state, NFSPROC3_GETATTR);
    fake_fs.attr.nlink = 0;
    fake_fs.attr.mode = 0100755;
    fake_fs.attr.mtime_ns = -1;
    fake_fs.attr.ctime_ns = INT64_MAX;
    assert_true(getattr(&res, fake_handle(0, 6)));
    const fattr3 *attr = &res.GETATTR3res_u.resok.obj_attributes;
    assert_int_equal(attr->nlink, 1);
    assert_int_equal(attr->mode, 0755);
    assert_int_equal(attr->mtime.seconds, 0);
    assert_int_equal(attr->mtime.nseconds, 0);
    assert_int_equal(attr->ctime.seconds, UINT32_MAX);
}

static void test_handles(void **state)
{
    GETATTR3res res;
    nfs_fh3 bad = {.len = 0}, stale;

    rig_begin(state, NFSPROC3_GETATTR);
    assert_true(getattr(&res, bad));
    assert_int_equal(res.status, NFS3ERR_BADHANDLE);
    bad.len = XDR_HANDLE_MAX;
    assert_true(getattr(&res, bad));
    assert_int_equal(res.status, NFS3ERR_BADHANDLE);
    stale = fake_handle(0, 6);
    stale.data[1] = 9; /* a volume that is not served */
    assert_true(getattr(&res, stale));
    assert_int_equal(res.status, NFS3ERR_STALE);
    assert_int_equal(fake_fs.getattr_calls, 0);
}

static void test_access_rules(void **state)
{
    static const struct {
        const char *address;
        uint16_t port;
        bool allowed;
    } cases[] = {
        {"127.0.0.1", 1023, true},
        {"127.0.0.1", 1024, false},
        {"::1", 1000, true},
        {"192.0.2.1", 1000, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        GETATTR3res res;
        rig_begin(state, NFSPROC3_GETATTR);
        fake_peer(cases[i].address, cases[i].port);
        assert_int_equal(getattr(&res, fake_handle(0, 6)), cases[i].allowed);
        assert_int_equal(fake_rpc.auth_error, cases[i].allowed ? AUTH_OK : AUTH_TOOWEAK);
        assert_int_equal(fake_fs.getattr_calls, cases[i].allowed);
    }
}

static void test_squash_and_read_only(void **state)
{
    GETATTR3res res;

    rig_begin(state, NFSPROC3_GETATTR);
    fake_rpc.call.cred = (struct fs_cred){.uid = 0, .gid = 0};
    assert_true(getattr(&res, fake_handle(0, 6)));
    assert_int_equal(fake_fs.req.cred.uid, 65534);
    assert_int_equal(fake_fs.req.cred.gid, 65533);
    assert_true(getattr(&res, fake_handle(1, 6)));
    assert_int_equal(fake_fs.req.cred.uid, 0);
    assert_int_equal(fake_fs.req.flags, FS_READ_ONLY);
    fake_rpc.call.has_cred = false;
    assert_true(getattr(&res, fake_handle(0, 6)));
    assert_int_equal(fake_fs.req.cred.uid, 65534);
}

static void test_waiting(void **state)
{
    GETATTR3res res;

    rig_begin(state, NFSPROC3_GETATTR);
    fake_rpc.call.nowait = true;
    fake_fs.getattr_err = -EAGAIN;
    assert_false(getattr(&res, fake_handle(0, 6)));
    assert_true(fake_rpc.would_block);
    assert_int_equal(fake_fs.req.flags, FS_NOWAIT);
    assert_false(fake_rpc.forgotten);

    rig_begin(state, NFSPROC3_GETATTR);
    fake_fs.getattr_err = -EAGAIN;
    assert_true(getattr(&res, fake_handle(0, 6)));
    assert_false(fake_rpc.would_block);
    assert_int_equal(res.status, NFS3ERR_JUKEBOX);
    assert_true(fake_rpc.forgotten);
}

static void test_setattr(void **state)
{
    SETATTR3args args = {.object = fake_handle(0, 6)};
    SETATTR3res res;

    rig_begin(state, NFSPROC3_SETATTR);
    args.object = fake_handle(0, 6);
    args.new_attributes.mode.set_it = TRUE;
    args.new_attributes.mode.set_mode3_u.mode = 0100644;
    args.new_attributes.size.set_it = TRUE;
    args.new_attributes.size.set_size3_u.size = UINT64_C(1) << 40;
    args.new_attributes.atime.set_it = SET_TO_SERVER_TIME;
    args.new_attributes.mtime.set_it = SET_TO_CLIENT_TIME;
    args.new_attributes.mtime.set_mtime_u.mtime = (nfstime3){UINT32_MAX, 999999999};
    args.guard.check = TRUE;
    args.guard.sattrguard3_u.obj_ctime = (nfstime3){9, 90};
    assert_true(nfsproc3_setattr_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_wcc(&res.SETATTR3res_u.resok.obj_wcc, 33);
    assert_int_equal(fake_fs.set.set, FS_SET_MODE | FS_SET_SIZE | FS_SET_ATIME_NOW | FS_SET_MTIME);
    assert_int_equal(fake_fs.set.mode, 0644);
    assert_int_equal(fake_fs.set.size, UINT64_C(1) << 40);
    assert_int_equal(fake_fs.set.mtime_ns, (int64_t)UINT32_MAX * CLOCK_S + 999999999);
    assert_true(fake_fs.guarded);
    assert_int_equal(fake_fs.guard_ns, 9 * CLOCK_S + 90);
}

static void test_setattr_failures(void **state)
{
    SETATTR3args args = {.guard.check = FALSE};
    SETATTR3res res;

    rig_begin(state, NFSPROC3_SETATTR);
    args.object = fake_handle(0, 6);
    fake_fs.err = -EBADE;
    assert_true(nfsproc3_setattr_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_NOT_SYNC);
    assert_wcc(&res.SETATTR3res_u.resfail.obj_wcc, 33);
    assert_false(fake_fs.guarded);

    /* A time with too many nanoseconds, but with attributes in the failure. */
    rig_begin(state, NFSPROC3_SETATTR);
    args.object = fake_handle(0, 6);
    args.new_attributes.mtime.set_it = SET_TO_CLIENT_TIME;
    args.new_attributes.mtime.set_mtime_u.mtime = (nfstime3){1, 1000000000};
    assert_true(nfsproc3_setattr_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_INVAL);
    assert_int_equal(fake_fs.calls, 0);
    assert_false(res.SETATTR3res_u.resfail.obj_wcc.before.attributes_follow);
    assert_post(&res.SETATTR3res_u.resfail.obj_wcc.after);

    rig_begin(state, NFSPROC3_SETATTR);
    args.object = fake_handle(0, 6);
    fake_fs.getattr_err = -ESTALE;
    assert_true(nfsproc3_setattr_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_STALE);
    assert_false(res.SETATTR3res_u.resfail.obj_wcc.after.attributes_follow);
}

static void test_access(void **state)
{
    ACCESS3args args;
    ACCESS3res res;

    rig_begin(state, NFSPROC3_ACCESS);
    args = (ACCESS3args){.object = fake_handle(0, 6), .access = 0xffffffff};
    fake_fs.granted = FS_ACCESS_READ | FS_ACCESS_EXECUTE;
    assert_true(nfsproc3_access_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(fake_fs.mask, 0x3f); /* bits that RFC 1813 has */
    assert_int_equal(res.ACCESS3res_u.resok.access, 0x21);
    assert_post(&res.ACCESS3res_u.resok.obj_attributes);

    args.access = ACCESS3_MODIFY; /* only what was asked */
    assert_true(nfsproc3_access_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.ACCESS3res_u.resok.access, 0);

    fake_fs.err = -ESTALE;
    fake_fs.node.attr_valid = false;
    assert_true(nfsproc3_access_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_STALE);
    assert_false(res.ACCESS3res_u.resfail.obj_attributes.attributes_follow);
}

static void test_read(void **state)
{
    READ3args args;
    READ3res res;

    rig_begin(state, NFSPROC3_READ);
    args = (READ3args){.file = fake_handle(0, 6), .offset = 77, .count = UINT32_MAX};
    fake_fs.bytes = "hello, world";
    fake_fs.eof = true;
    assert_true(nfsproc3_read_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(fake_fs.off, 77);
    assert_int_equal(fake_fs.count, 1 << 20); /* clamped */
    assert_int_equal(res.READ3res_u.resok.count, 12);
    assert_true(res.READ3res_u.resok.eof);
    assert_int_equal(res.READ3res_u.resok.data.len, 12);
    assert_memory_equal(fake_rpc.payload, "hello, world", 12);
    assert_post(&res.READ3res_u.resok.file_attributes);
    assert_int_equal(fake_fs.releases, 0);
    fake_end();
    assert_int_equal(fake_fs.releases, 1);

    rig_begin(state, NFSPROC3_READ);
    fake_fs.err = -EISDIR;
    assert_true(nfsproc3_read_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_INVAL);
    assert_post(&res.READ3res_u.resfail.file_attributes);
    assert_int_equal(fake_rpc.payload_len, 0);
}

static void test_write(void **state)
{
    static const uint8_t bytes[] = "hello";
    WRITE3args args;
    WRITE3res res;

    for (int how = UNSTABLE; how <= FILE_SYNC; how++) {
        rig_begin(state, NFSPROC3_WRITE);
        args = (WRITE3args){.file = fake_handle(0, 6), .offset = 9, .count = 5};
        args.stable = (stable_how)how;
        args.data = (nfs_payload){.len = 5, .data = bytes};
        memcpy(fake_fs.verifier, "VERIFIER", 8);
        fake_fs.seq = 7;
        assert_true(nfsproc3_write_3_svc(&args, &res, &fake_rpc.req));
        assert_int_equal(res.status, NFS3_OK);
        assert_int_equal(fake_fs.off, 9);
        assert_int_equal(fake_fs.stable, how);
        assert_string_equal(fake_fs.written, "hello");
        assert_int_equal(res.WRITE3res_u.resok.count, 5);
        assert_int_equal(res.WRITE3res_u.resok.committed, how);
        assert_memory_equal(res.WRITE3res_u.resok.verf, "VERIFIER", 8);
        assert_true(fake_fs.verifier_asked_first);
        assert_wcc(&res.WRITE3res_u.resok.file_wcc, 33);
        assert_int_equal(fake_rpc.hold, 7);
    }
}

static void test_write_failures(void **state)
{
    static const uint8_t bytes[] = "hello";
    WRITE3args args;
    WRITE3res res;

    rig_begin(state, NFSPROC3_WRITE);
    args = (WRITE3args){.file = fake_handle(0, 6), .count = 4};
    args.data = (nfs_payload){.len = 5, .data = bytes};
    assert_true(nfsproc3_write_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_INVAL);
    assert_int_equal(fake_fs.calls, 0);
    assert_post(&res.WRITE3res_u.resfail.file_wcc.after);

    rig_begin(state, NFSPROC3_WRITE);
    args.count = 5;
    fake_fs.err = -ENOSPC;
    assert_true(nfsproc3_write_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_NOSPC);
    assert_wcc(&res.WRITE3res_u.resfail.file_wcc, 33);

    rig_begin(state, NFSPROC3_WRITE);
    args.file = fake_handle(1, 6);
    assert_true(nfsproc3_write_3_svc(&args, &res, &fake_rpc.req));
    assert_true(fake_fs.req.flags & FS_READ_ONLY);
}

static void test_commit(void **state)
{
    COMMIT3args args;
    COMMIT3res res;

    rig_begin(state, NFSPROC3_COMMIT);
    args = (COMMIT3args){.file = fake_handle(0, 6), .offset = 5, .count = 0};
    memcpy(fake_fs.verifier, "VERIFIER", 8);
    assert_true(nfsproc3_commit_3_svc(&args, &res, &fake_rpc.req));
    assert_memory_equal(res.COMMIT3res_u.resok.verf, "VERIFIER", 8);
    assert_false(fake_fs.verifier_asked_first);
    assert_wcc(&res.COMMIT3res_u.resok.file_wcc, 33);

    rig_begin(state, NFSPROC3_COMMIT);
    fake_fs.err = -EIO;
    assert_true(nfsproc3_commit_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_IO);
    assert_wcc(&res.COMMIT3res_u.resfail.file_wcc, 33);
}

static void test_readlink(void **state)
{
    READLINK3args args;
    READLINK3res res;

    rig_begin(state, NFSPROC3_READLINK);
    args = (READLINK3args){.symlink = fake_handle(0, 6)};
    fake_fs.target = "../x";
    assert_true(nfsproc3_readlink_3_svc(&args, &res, &fake_rpc.req));
    assert_string_equal(res.READLINK3res_u.resok.data, "../x");
    assert_post(&res.READLINK3res_u.resok.symlink_attributes);
    fake_fs.err = -EINVAL;
    assert_true(nfsproc3_readlink_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_INVAL);
    assert_post(&res.READLINK3res_u.resfail.symlink_attributes);
}

static void test_fsstat(void **state)
{
    FSSTAT3args args;
    FSSTAT3res res;

    rig_begin(state, NFSPROC3_FSSTAT);
    args = (FSSTAT3args){.fsroot = fake_handle(0, 1)};
    fake_fs.space = (struct fs_space){.total = 100, .free = 60, .files = 50, .files_free = 40};
    assert_true(nfsproc3_fsstat_3_svc(&args, &res, &fake_rpc.req));
    const FSSTAT3resok *ok = &res.FSSTAT3res_u.resok;
    assert_int_equal(ok->tbytes, 100);
    assert_int_equal(ok->fbytes, 60);
    assert_int_equal(ok->abytes, 60);
    assert_int_equal(ok->tfiles, 50);
    assert_int_equal(ok->afiles, 40);
    assert_post(&ok->obj_attributes);
}

static void test_fsinfo_and_pathconf(void **state)
{
    FSINFO3args info_args;
    FSINFO3res info;
    PATHCONF3args conf_args;
    PATHCONF3res conf;

    rig_begin(state, NFSPROC3_FSINFO);
    info_args = (FSINFO3args){.fsroot = fake_handle(0, 1)};
    assert_true(nfsproc3_fsinfo_3_svc(&info_args, &info, &fake_rpc.req));
    const FSINFO3resok *ok = &info.FSINFO3res_u.resok;
    assert_int_equal(ok->rtmax, 1 << 20);
    assert_int_equal(ok->wtmax, 1 << 20);
    assert_true(ok->rtpref <= ok->rtmax && ok->wtpref <= ok->wtmax);
    assert_int_equal(ok->rtmax % ok->rtmult, 0);
    assert_true(ok->maxfilesize <= INT64_MAX);
    assert_int_equal(ok->time_delta.seconds, 0);
    assert_int_equal(ok->time_delta.nseconds, 1);
    assert_int_equal(ok->properties, FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME);
    assert_post(&ok->obj_attributes);

    rig_begin(state, NFSPROC3_PATHCONF);
    conf_args = (PATHCONF3args){.object = fake_handle(0, 1)};
    assert_true(nfsproc3_pathconf_3_svc(&conf_args, &conf, &fake_rpc.req));
    assert_int_equal(conf.PATHCONF3res_u.resok.linkmax, 1);
    assert_int_equal(conf.PATHCONF3res_u.resok.name_max, 255);
    assert_true(conf.PATHCONF3res_u.resok.no_trunc);
    assert_true(conf.PATHCONF3res_u.resok.chown_restricted);
    assert_false(conf.PATHCONF3res_u.resok.case_insensitive);
    assert_true(conf.PATHCONF3res_u.resok.case_preserving);

    /* A slow store does not keep clients from mounting; a handle of nothing does. */
    rig_begin(state, NFSPROC3_FSINFO);
    fake_fs.getattr_err = -EAGAIN;
    assert_true(nfsproc3_fsinfo_3_svc(&info_args, &info, &fake_rpc.req));
    assert_int_equal(info.status, NFS3_OK);
    assert_false(info.FSINFO3res_u.resok.obj_attributes.attributes_follow);
    rig_begin(state, NFSPROC3_FSINFO);
    fake_fs.getattr_err = -EAGAIN;
    fake_rpc.call.nowait = true;
    assert_false(nfsproc3_fsinfo_3_svc(&info_args, &info, &fake_rpc.req));
    assert_true(fake_rpc.would_block);
    rig_begin(state, NFSPROC3_PATHCONF);
    fake_fs.getattr_err = -ESTALE;
    assert_true(nfsproc3_pathconf_3_svc(&conf_args, &conf, &fake_rpc.req));
    assert_int_equal(conf.status, NFS3ERR_STALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_getattr),
        cmocka_unit_test(test_attr_limits),
        cmocka_unit_test(test_handles),
        cmocka_unit_test(test_access_rules),
        cmocka_unit_test(test_squash_and_read_only),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_setattr),
        cmocka_unit_test(test_setattr_failures),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_failures),
        cmocka_unit_test(test_commit),
        cmocka_unit_test(test_readlink),
        cmocka_unit_test(test_fsstat),
        cmocka_unit_test(test_fsinfo_and_pathconf),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
