/* NFS procedures about names: looking up, making, removing, moving, listing; and replies that are
 * kept with the change they report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "nfs3_rig.h"

static char name_x[] = "x", name_y[] = "y";

static diropargs3 in_dir(uint32_t vol, uint64_t dir, char *name)
{
    return (diropargs3){.dir = fake_handle(vol, dir), .name = name};
}

static void assert_dir_wcc(const wcc_data *wcc, uint64_t size)
{
    assert_true(wcc->before.attributes_follow);
    assert_int_equal(wcc->before.pre_op_attr_u.attributes.size, size);
    assert_true(wcc->after.attributes_follow);
}

static void assert_handle(const nfs_fh3 *fh, uint64_t ino)
{
    nfs_fh3 expected = fake_handle(0, ino);

    assert_int_equal(fh->len, expected.len);
    assert_memory_equal(fh->data, expected.data, expected.len);
}

static void test_lookup(void **state)
{
    LOOKUP3args args;
    LOOKUP3res res;

    rig_begin(state, NFSPROC3_LOOKUP);
    args = (LOOKUP3args){.what = in_dir(0, 3, name_x)};
    fake_fs.seq = 5;
    assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_int_equal(fake_fs.ino, 3);
    assert_string_equal(fake_fs.name, "x");
    assert_handle(&res.LOOKUP3res_u.resok.object, 6);
    assert_true(res.LOOKUP3res_u.resok.obj_attributes.attributes_follow);
    assert_true(res.LOOKUP3res_u.resok.dir_attributes.attributes_follow);
    assert_int_equal(fake_rpc.hold, 5); /* the handle must be durable before it is given out */

    fake_fs.err = -ENOENT;
    assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_NOENT);
    assert_true(res.LOOKUP3res_u.resfail.dir_attributes.attributes_follow);
}

/* A sub-mount's handles are its own, and its export's rules hold for them. */
static void test_lookup_submount(void **state)
{
    LOOKUP3args args;
    LOOKUP3res res;

    rig_begin(state, NFSPROC3_LOOKUP);
    args = (LOOKUP3args){.what = in_dir(0, 3, name_x)};
    fake_fs.node.vol = &fake_fs.vols[2];
    assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
    nfs_fh3 expected = fake_handle(2, 6);
    assert_memory_equal(res.LOOKUP3res_u.resok.object.data, expected.data, expected.len);

    /* The handle by itself: as volume 0's, which lets this client in; volume 1's does not. */
    args = (LOOKUP3args){.what = in_dir(2, 3, name_x)};
    fake_fs.top2 = &fake_fs.vols[0];
    assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    fake_fs.req.flags = 0;
    fake_fs.top2 = &fake_fs.vols[1]; /* its export is read-only, and squashes nobody */
    assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(fake_fs.req.flags & FS_READ_ONLY, FS_READ_ONLY);
    fake_fs.top2 = NULL;
    assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_STALE);
}

/* Names go to fs as they are; it is fs that knows which are good. */
static void test_names_pass_through(void **state)
{
    static char names[][8] = {"", ".", "..", "a/b", "\xff", " "};
    LOOKUP3res res;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        rig_begin(state, NFSPROC3_LOOKUP);
        LOOKUP3args args = {.what = in_dir(0, 3, names[i])};
        fake_fs.err = -EINVAL;
        assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
        assert_string_equal(fake_fs.name, names[i]);
        assert_int_equal(res.status, NFS3ERR_INVAL);
    }
    char longest[XDR_NAME_MAX + 1];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    rig_begin(state, NFSPROC3_LOOKUP);
    LOOKUP3args args = {.what = in_dir(0, 3, longest)};
    fake_fs.err = -ENAMETOOLONG;
    assert_true(nfsproc3_lookup_3_svc(&args, &res, &fake_rpc.req));
    assert_string_equal(fake_fs.name, longest);
    assert_int_equal(res.status, NFS3ERR_NAMETOOLONG);
}

static void test_create(void **state)
{
    CREATE3args args;
    CREATE3res res;

    for (int how = UNCHECKED; how <= GUARDED; how++) {
        rig_begin(state, NFSPROC3_CREATE);
        memset(&args, 0, sizeof(args));
        args.where = in_dir(0, 3, name_x);
        args.how.mode = (createmode3)how;
        sattr3 *set = how == UNCHECKED ? &args.how.createhow3_u.obj_attributes
                                       : &args.how.createhow3_u.g_obj_attributes;
        set->mode.set_it = TRUE;
        set->mode.set_mode3_u.mode = 0600;
        assert_true(nfsproc3_create_3_svc(&args, &res, &fake_rpc.req));
        assert_int_equal(res.status, NFS3_OK);
        assert_int_equal(fake_fs.how, how);
        assert_false(fake_fs.has_verf);
        assert_int_equal(fake_fs.set.set, FS_SET_MODE);
        assert_int_equal(fake_fs.set.mode, 0600);
        assert_true(res.CREATE3res_u.resok.obj.handle_follows);
        assert_handle(&res.CREATE3res_u.resok.obj.post_op_fh3_u.handle, 6);
        assert_true(res.CREATE3res_u.resok.obj_attributes.attributes_follow);
        assert_dir_wcc(&res.CREATE3res_u.resok.dir_wcc, 33);
    }

    rig_begin(state, NFSPROC3_CREATE);
    memset(&args, 0, sizeof(args));
    args.where = in_dir(0, 3, name_x);
    args.how.mode = EXCLUSIVE;
    memcpy(args.how.createhow3_u.verf, "\1\2\3\4\5\6\7\10", 8);
    assert_true(nfsproc3_create_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(fake_fs.how, FS_CREATE_EXCLUSIVE);
    assert_true(fake_fs.has_verf);
    assert_memory_equal(fake_fs.create_verf, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(fake_fs.set.set, 0);

    fake_fs.err = -EEXIST;
    assert_true(nfsproc3_create_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_EXIST);
    assert_dir_wcc(&res.CREATE3res_u.resfail.dir_wcc, 33);
}

static void test_mkdir_and_symlink(void **state)
{
    static char target[] = "../target";
    MKDIR3args mkdir_args;
    MKDIR3res made;
    SYMLINK3args symlink_args;
    SYMLINK3res linked;

    rig_begin(state, NFSPROC3_MKDIR);
    memset(&mkdir_args, 0, sizeof(mkdir_args));
    mkdir_args.where = in_dir(0, 3, name_x);
    mkdir_args.attributes.uid.set_it = TRUE;
    mkdir_args.attributes.uid.set_uid3_u.uid = 17;
    assert_true(nfsproc3_mkdir_3_svc(&mkdir_args, &made, &fake_rpc.req));
    assert_int_equal(fake_fs.set.set, FS_SET_UID);
    assert_int_equal(fake_fs.set.uid, 17);
    assert_handle(&made.MKDIR3res_u.resok.obj.post_op_fh3_u.handle, 6);
    assert_dir_wcc(&made.MKDIR3res_u.resok.dir_wcc, 33);
    fake_fs.err = -EROFS;
    assert_true(nfsproc3_mkdir_3_svc(&mkdir_args, &made, &fake_rpc.req));
    assert_int_equal(made.status, NFS3ERR_ROFS);
    assert_dir_wcc(&made.MKDIR3res_u.resfail.dir_wcc, 33);

    rig_begin(state, NFSPROC3_SYMLINK);
    memset(&symlink_args, 0, sizeof(symlink_args));
    symlink_args.where = in_dir(0, 3, name_x);
    symlink_args.symlink.symlink_data = target;
    assert_true(nfsproc3_symlink_3_svc(&symlink_args, &linked, &fake_rpc.req));
    assert_string_equal(fake_fs.name2, target);
    assert_handle(&linked.SYMLINK3res_u.resok.obj.post_op_fh3_u.handle, 6);
    fake_fs.err = -ENAMETOOLONG;
    assert_true(nfsproc3_symlink_3_svc(&symlink_args, &linked, &fake_rpc.req));
    assert_int_equal(linked.status, NFS3ERR_NAMETOOLONG);
    assert_dir_wcc(&linked.SYMLINK3res_u.resfail.dir_wcc, 33);
}

static void test_mknod(void **state)
{
    static const struct {
        ftype3 type;
        nfsstat3 status;
    } cases[] = {
        {NF3CHR, NFS3ERR_NOTSUPP},  {NF3BLK, NFS3ERR_NOTSUPP}, {NF3SOCK, NFS3ERR_NOTSUPP},
        {NF3FIFO, NFS3ERR_NOTSUPP}, {NF3REG, NFS3ERR_BADTYPE}, {NF3DIR, NFS3ERR_BADTYPE},
        {NF3LNK, NFS3ERR_BADTYPE},
    };
    MKNOD3res res;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_begin(state, NFSPROC3_MKNOD);
        MKNOD3args args = {.where = in_dir(0, 3, name_x), .what = {.type = cases[i].type}};
        assert_true(nfsproc3_mknod_3_svc(&args, &res, &fake_rpc.req));
        assert_int_equal(res.status, cases[i].status);
        assert_false(res.MKNOD3res_u.resfail.dir_wcc.before.attributes_follow);
        assert_true(res.MKNOD3res_u.resfail.dir_wcc.after.attributes_follow);
        assert_int_equal(fake_fs.ino, 3);
    }
    rig_begin(state, NFSPROC3_MKNOD);
    MKNOD3args args = {.where = in_dir(0, 3, name_x), .what = {.type = NF3FIFO}};
    fake_fs.getattr_err = -ESTALE;
    assert_true(nfsproc3_mknod_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_STALE);
}

static void test_remove_and_rmdir(void **state)
{
    REMOVE3args remove_args;
    REMOVE3res removed;
    RMDIR3args rmdir_args;
    RMDIR3res gone;

    rig_begin(state, NFSPROC3_REMOVE);
    remove_args = (REMOVE3args){.object = in_dir(0, 3, name_x)};
    assert_true(nfsproc3_remove_3_svc(&remove_args, &removed, &fake_rpc.req));
    assert_int_equal(removed.status, NFS3_OK);
    assert_dir_wcc(&removed.REMOVE3res_u.resok.dir_wcc, 33);
    fake_fs.err = -EISDIR;
    assert_true(nfsproc3_remove_3_svc(&remove_args, &removed, &fake_rpc.req));
    assert_int_equal(removed.status, NFS3ERR_ISDIR);
    assert_dir_wcc(&removed.REMOVE3res_u.resfail.dir_wcc, 33);

    rig_begin(state, NFSPROC3_RMDIR);
    rmdir_args = (RMDIR3args){.object = in_dir(0, 3, name_x)};
    assert_true(nfsproc3_rmdir_3_svc(&rmdir_args, &gone, &fake_rpc.req));
    assert_dir_wcc(&gone.RMDIR3res_u.resok.dir_wcc, 33);
    fake_fs.err = -ENOTEMPTY;
    assert_true(nfsproc3_rmdir_3_svc(&rmdir_args, &gone, &fake_rpc.req));
    assert_int_equal(gone.status, NFS3ERR_NOTEMPTY);
    assert_dir_wcc(&gone.RMDIR3res_u.resfail.dir_wcc, 33);
}

static void test_rename(void **state)
{
    RENAME3args args;
    RENAME3res res;

    rig_begin(state, NFSPROC3_RENAME);
    args = (RENAME3args){.from = in_dir(0, 3, name_x), .to = in_dir(0, 4, name_y)};
    assert_true(nfsproc3_rename_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_int_equal(fake_fs.ino, 3);
    assert_int_equal(fake_fs.ino2, 4);
    assert_string_equal(fake_fs.name, "x");
    assert_string_equal(fake_fs.name2, "y");
    assert_dir_wcc(&res.RENAME3res_u.resok.fromdir_wcc, 33);
    assert_dir_wcc(&res.RENAME3res_u.resok.todir_wcc, 44);

    fake_fs.err = -ENOTEMPTY;
    assert_true(nfsproc3_rename_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_NOTEMPTY);
    assert_dir_wcc(&res.RENAME3res_u.resfail.fromdir_wcc, 33);
    assert_dir_wcc(&res.RENAME3res_u.resfail.todir_wcc, 44);
}

static void test_rename_between_exports(void **state)
{
    RENAME3args args;
    RENAME3res res;

    rig_begin(state, NFSPROC3_RENAME);
    args = (RENAME3args){.from = in_dir(0, 3, name_x), .to = in_dir(1, 4, name_y)};
    assert_true(nfsproc3_rename_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_XDEV);
    assert_int_equal(fake_fs.calls, 0);
    assert_true(res.RENAME3res_u.resfail.fromdir_wcc.after.attributes_follow);
    assert_true(res.RENAME3res_u.resfail.todir_wcc.after.attributes_follow);

    rig_begin(state, NFSPROC3_RENAME);
    args.to.dir.len = 5;
    assert_true(nfsproc3_rename_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_BADHANDLE);
    assert_int_equal(fake_fs.calls, 0);
}

/* The second handle's export has rules of its own. */
static void test_second_handle_is_checked(void **state)
{
    RENAME3args args;
    RENAME3res res;

    rig_begin(state, NFSPROC3_RENAME);
    fake_peer("127.0.0.1", 40000); /* good enough for /b, not for /a */
    args = (RENAME3args){.from = in_dir(1, 3, name_x), .to = in_dir(0, 4, name_y)};
    assert_false(nfsproc3_rename_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(fake_rpc.auth_error, AUTH_TOOWEAK);
    assert_int_equal(fake_fs.calls + fake_fs.getattr_calls, 0);
}

/* Attributes that fs did not give with its refusal are added, unless there are none or they are not
 * known at once. */
static void test_failures_carry_attributes(void **state)
{
    CREATE3args args;
    CREATE3res res;
    static const struct {
        int err, getattr_err;
        bool expected;
    } cases[] = {
        {-ENOTDIR, 0, true}, {-EINVAL, 0, true},  {-ENOTDIR, -EAGAIN, false},
        {-ESTALE, 0, false}, {-EAGAIN, 0, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_begin(state, NFSPROC3_CREATE);
        memset(&args, 0, sizeof(args));
        args.where = in_dir(0, 3, name_x);
        fake_fs.wcc = (struct fs_wcc){.after_valid = false};
        fake_fs.err = cases[i].err;
        fake_fs.getattr_err = cases[i].getattr_err;
        assert_true(nfsproc3_create_3_svc(&args, &res, &fake_rpc.req));
        assert_false(res.CREATE3res_u.resfail.dir_wcc.before.attributes_follow);
        assert_int_equal(res.CREATE3res_u.resfail.dir_wcc.after.attributes_follow,
                         cases[i].expected);
        if (cases[i].expected)
            assert_true(fake_fs.req.flags & FS_NOWAIT);
    }
}

static void test_link(void **state)
{
    LINK3args args;
    LINK3res res;

    rig_begin(state, NFSPROC3_LINK);
    args = (LINK3args){.file = fake_handle(0, 6), .link = in_dir(0, 3, name_x)};
    assert_true(nfsproc3_link_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_NOTSUPP);
    assert_true(res.LINK3res_u.resfail.file_attributes.attributes_follow);
    assert_true(res.LINK3res_u.resfail.linkdir_wcc.after.attributes_follow);

    rig_begin(state, NFSPROC3_LINK);
    args.link.dir = fake_handle(1, 3);
    assert_true(nfsproc3_link_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_XDEV);
    assert_true(res.LINK3res_u.resfail.file_attributes.attributes_follow);
    assert_true(res.LINK3res_u.resfail.linkdir_wcc.after.attributes_follow);
}

/* --- listing --- */

static void script_entries(void)
{
    fake_fs.entries[0] = (struct fake_entry){".", 1, 3, true};
    fake_fs.entries[1] = (struct fake_entry){"..", 2, 2, true};
    fake_fs.entries[2] = (struct fake_entry){"cold", 77, 8, false};
    fake_fs.entries[3] = (struct fake_entry){"warm", 99, 9, true};
    fake_fs.entry_count = 4;
}

static void test_readdir(void **state)
{
    READDIR3args args;
    READDIR3res res;

    rig_begin(state, NFSPROC3_READDIR);
    script_entries();
    args = (READDIR3args){.dir = fake_handle(0, 3), .cookie = 1, .count = 4096};
    memcpy(args.cookieverf, "anything", 8); /* AIX sends one verifier to all directories */
    fake_fs.seq = 3;
    assert_true(nfsproc3_readdir_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_int_equal(fake_fs.cookie, 1);
    assert_false(fake_fs.want_attr);
    assert_int_equal(fake_rpc.dir_kind, DIRBUF_PLAIN);
    assert_int_equal(fake_rpc.dir_count, 4096);
    assert_int_equal(fake_rpc.entry_count, 3);
    assert_string_equal(fake_rpc.entries[1].name, "cold");
    assert_int_equal(fake_rpc.entries[1].cookie, 77);
    assert_int_equal(fake_rpc.entries[1].fileid, 8);
    assert_true(res.READDIR3res_u.resok.reply.eof);
    assert_memory_equal(res.READDIR3res_u.resok.cookieverf, "\0\0\0\0\0\0\0\0", 8);
    assert_true(res.READDIR3res_u.resok.dir_attributes.attributes_follow);
    assert_true(fake_rpc.dir_finished);
    assert_int_equal(fake_rpc.hold, 3);

    /* No room for all: no end. */
    rig_begin(state, NFSPROC3_READDIR);
    script_entries();
    args.cookie = 0;
    fake_rpc.dir_room = 3;
    assert_true(nfsproc3_readdir_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(fake_rpc.entry_count, 3);
    assert_false(res.READDIR3res_u.resok.reply.eof);

    /* Behind the last entry: none, and the end. */
    rig_begin(state, NFSPROC3_READDIR);
    script_entries();
    args.cookie = 99;
    assert_true(nfsproc3_readdir_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_int_equal(fake_rpc.entry_count, 0);
    assert_true(res.READDIR3res_u.resok.reply.eof);
}

static void test_readdir_failures(void **state)
{
    READDIR3args args;
    READDIR3res res;

    rig_begin(state, NFSPROC3_READDIR);
    script_entries();
    args = (READDIR3args){.dir = fake_handle(0, 3), .count = 10};
    fake_rpc.dir_room = 0;
    assert_true(nfsproc3_readdir_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_TOOSMALL);
    assert_true(res.READDIR3res_u.resfail.dir_attributes.attributes_follow);
    assert_true(fake_rpc.dir_aborted);

    rig_begin(state, NFSPROC3_READDIR);
    fake_fs.err = -ENOTDIR;
    assert_true(nfsproc3_readdir_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_NOTDIR);
    assert_true(res.READDIR3res_u.resfail.dir_attributes.attributes_follow);
    assert_true(fake_rpc.dir_aborted);

    rig_begin(state, NFSPROC3_READDIR);
    args.dir.len = 3;
    assert_true(nfsproc3_readdir_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_BADHANDLE);
    assert_false(res.READDIR3res_u.resfail.dir_attributes.attributes_follow);
}

static void test_readdirplus(void **state)
{
    READDIRPLUS3args args;
    READDIRPLUS3res res;

    rig_begin(state, NFSPROC3_READDIRPLUS);
    script_entries();
    args = (READDIRPLUS3args){.dir = fake_handle(0, 3), .dircount = 512, .maxcount = 8192};
    assert_true(nfsproc3_readdirplus_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_true(fake_fs.want_attr);
    assert_int_equal(fake_rpc.dir_kind, DIRBUF_PLUS);
    assert_int_equal(fake_rpc.dir_count, 8192);
    assert_int_equal(fake_rpc.dir_dircount, 512);
    assert_int_equal(fake_rpc.entry_count, 4);
    assert_false(fake_rpc.entries[2].attr || fake_rpc.entries[2].handle);
    assert_true(fake_rpc.entries[3].attr && fake_rpc.entries[3].handle);
    assert_true(res.READDIRPLUS3res_u.resok.reply.eof);
}

/* A store that gets slow half-way: on a worker what there is goes out; on the first try nothing. */
static void test_readdir_slow_half_way(void **state)
{
    READDIRPLUS3args args;
    READDIRPLUS3res res;

    rig_begin(state, NFSPROC3_READDIRPLUS);
    script_entries();
    args = (READDIRPLUS3args){.dir = fake_handle(0, 3), .dircount = 512, .maxcount = 8192};
    fake_fs.err = -EAGAIN;
    assert_true(nfsproc3_readdirplus_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_int_equal(fake_rpc.entry_count, 4);
    assert_false(res.READDIRPLUS3res_u.resok.reply.eof);

    rig_begin(state, NFSPROC3_READDIRPLUS);
    script_entries();
    fake_fs.err = -EAGAIN;
    fake_rpc.call.nowait = true;
    assert_false(nfsproc3_readdirplus_3_svc(&args, &res, &fake_rpc.req));
    assert_true(fake_rpc.would_block);
    assert_true(fake_rpc.dir_aborted);

    rig_begin(state, NFSPROC3_READDIRPLUS);
    fake_fs.err = -EAGAIN;
    assert_true(nfsproc3_readdirplus_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_JUKEBOX);
    assert_true(fake_rpc.dir_aborted);
}

/* --- kept replies --- */

static void test_reply_is_kept(void **state)
{
    CREATE3args args;
    CREATE3res res;

    rig_begin(state, NFSPROC3_CREATE);
    memset(&args, 0, sizeof(args));
    args.where = in_dir(0, 3, name_x);
    fake_fs.journals = true;
    assert_true(nfsproc3_create_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3_OK);
    assert_true(fake_fs.journal_said);
    assert_int_equal(fake_rpc.encoded, 1);
    assert_false(fake_rpc.discarded);
    assert_handle(&res.CREATE3res_u.resok.obj.post_op_fh3_u.handle, 6);

    /* Not a call that is kept. */
    rig_begin(state, NFSPROC3_CREATE);
    fake_fs.journals = true;
    fake_rpc.has_key = false;
    assert_true(nfsproc3_create_3_svc(&args, &res, &fake_rpc.req));
    assert_false(fake_fs.journal_said);
    assert_int_equal(fake_rpc.encoded, 0);

    /* It fails after all. */
    rig_begin(state, NFSPROC3_CREATE);
    fake_fs.journals = true;
    fake_fs.fails_after_journal = true;
    assert_true(nfsproc3_create_3_svc(&args, &res, &fake_rpc.req));
    assert_int_equal(res.status, NFS3ERR_IO);
    assert_true(fake_rpc.discarded);
    assert_dir_wcc(&res.CREATE3res_u.resfail.dir_wcc, 33);
}

static void test_every_change_is_kept(void **state)
{
    static char target[] = "t";
    union {
        SETATTR3args setattr;
        MKDIR3args mkdir;
        SYMLINK3args symlink;
        REMOVE3args remove;
        RMDIR3args rmdir;
        RENAME3args rename;
    } args;
    union {
        SETATTR3res setattr;
        MKDIR3res mkdir;
        SYMLINK3res symlink;
        REMOVE3res remove;
        RMDIR3res rmdir;
        RENAME3res rename;
    } res;

#define KEPT(proc)                                                              \
    assert_true(nfsproc3_##proc##_3_svc(&args.proc, &res.proc, &fake_rpc.req)); \
    assert_int_equal(fake_rpc.encoded, 1)
#define BEGIN(PROC)                    \
    rig_begin(state, NFSPROC3_##PROC); \
    memset(&args, 0, sizeof(args));    \
    fake_fs.journals = true

    BEGIN(SETATTR);
    args.setattr.object = fake_handle(0, 6);
    KEPT(setattr);
    BEGIN(MKDIR);
    args.mkdir.where = in_dir(0, 3, name_x);
    KEPT(mkdir);
    BEGIN(SYMLINK);
    args.symlink.where = in_dir(0, 3, name_x);
    args.symlink.symlink.symlink_data = target;
    KEPT(symlink);
    BEGIN(REMOVE);
    args.remove.object = in_dir(0, 3, name_x);
    KEPT(remove);
    BEGIN(RMDIR);
    args.rmdir.object = in_dir(0, 3, name_x);
    KEPT(rmdir);
    BEGIN(RENAME);
    args.rename.from = in_dir(0, 3, name_x);
    args.rename.to = in_dir(0, 4, name_y);
    KEPT(rename);
#undef KEPT
#undef BEGIN
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_lookup_submount),
        cmocka_unit_test(test_names_pass_through),
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_mkdir_and_symlink),
        cmocka_unit_test(test_mknod),
        cmocka_unit_test(test_remove_and_rmdir),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_rename_between_exports),
        cmocka_unit_test(test_second_handle_is_checked),
        cmocka_unit_test(test_failures_carry_attributes),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_readdir),
        cmocka_unit_test(test_readdir_failures),
        cmocka_unit_test(test_readdirplus),
        cmocka_unit_test(test_readdir_slow_half_way),
        cmocka_unit_test(test_reply_is_kept),
        cmocka_unit_test(test_every_change_is_kept),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
