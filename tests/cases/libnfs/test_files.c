/* GETATTR, SETATTR, CREATE, READ, WRITE, COMMIT: contents and attributes of files. */
#include <stdlib.h>
#include <string.h>

#include "calls.h"

enum { MIB = 1 << 20 };

/* A handle that this server made for something that is gone. */
static struct fh stale_fh(struct rig *rig)
{
    struct node node = make_file(rig->conn, &rig->dir, "going", "");

    assert_ok(v3_remove(rig->conn, &rig->dir, "going", NULL));
    return node.fh;
}

static void getattr_tells_type_and_identity(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "12345");
    fattr3 dir = attr_of(rig->conn, &rig->dir), attr = attr_of(rig->conn, &file.fh);
    struct node again = find(rig->conn, &rig->dir, "f");

    assert_int_equal(dir.type, NF3DIR);
    assert_int_equal(attr.type, NF3REG);
    assert_int_equal(attr.mode, 0644);
    assert_int_equal(attr.nlink, 1);
    assert_int_equal(attr.size, 5);
    assert_int_equal(attr.uid, 0);
    assert_int_equal(attr.fsid, dir.fsid);
    assert_true(attr.fileid != dir.fileid);
    assert_int_equal(again.attr.fileid, attr.fileid);
    assert_true(same_fh(&again.fh, &file.fh));
}

static void bad_handles_are_told_from_stale_ones(void **state)
{
    struct rig *rig = *state;
    struct fh stale = stale_fh(rig), fh = rig->dir;

    assert_status(v3_getattr(rig->conn, &stale, NULL), NFS3ERR_STALE);
    for (uint32_t i = 0; i < rig->dir.len; i++) { /* any one bit */
        fh = rig->dir;
        fh.data[i] = (char)(fh.data[i] ^ (1 << i % 8));
        assert_status(v3_getattr(rig->conn, &fh, NULL), NFS3ERR_BADHANDLE);
    }
    for (uint32_t len = 0; len <= 64; len++) {
        fh = rig->dir;
        memset(fh.data + rig->dir.len, 0, sizeof(fh.data) - rig->dir.len);
        fh.len = len;
        if (len != rig->dir.len)
            assert_status(v3_getattr(rig->conn, &fh, NULL), NFS3ERR_BADHANDLE);
    }
    memset(fh.data, 0, sizeof(fh.data));
    fh.len = rig->dir.len;
    assert_status(v3_getattr(rig->conn, &fh, NULL), NFS3ERR_BADHANDLE);
}

/* Every procedure that takes a handle, with this one. */
static void try_all(struct rig *rig, const struct fh *fh, nfsstat3 want)
{
    struct conn *c = rig->conn;
    sattr3 none = attr_none();
    uint32_t mask;
    char verf[8] = {0};

    assert_status(v3_getattr(c, fh, NULL), want);
    assert_status(v3_setattr(c, fh, &none, NULL, NULL), want);
    assert_status(v3_lookup(c, fh, "x", NULL), want);
    assert_status(v3_access(c, fh, 63, &mask), want);
    assert_status(v3_readlink(c, fh, NULL), want);
    assert_status(v3_read(c, fh, 0, 10, NULL), want);
    assert_status(v3_write(c, fh, 0, "x", 1, UNSTABLE, NULL), want);
    assert_status(v3_create(c, fh, "x", UNCHECKED, &none, NULL, NULL), want);
    assert_status(v3_create(c, fh, "x", GUARDED, &none, NULL, NULL), want);
    assert_status(v3_create_exclusive(c, fh, "x", verf, NULL), want);
    assert_status(v3_mkdir(c, fh, "x", &none, NULL, NULL), want);
    assert_status(v3_symlink(c, fh, "x", "y", NULL, NULL), want);
    assert_status(v3_remove(c, fh, "x", NULL), want);
    assert_status(v3_rmdir(c, fh, "x", NULL), want);
    assert_status(v3_rename(c, fh, "x", &rig->dir, "y", NULL, NULL), want);
    assert_status(v3_rename(c, &rig->dir, "there", fh, "y", NULL, NULL), want);
    assert_status(v3_readdir(c, fh, 0, NULL, 4096, NULL), want);
    assert_status(v3_readdirplus(c, fh, 0, NULL, 4096, 8192, NULL), want);
    assert_status(v3_fsstat(c, fh, NULL), want);
    assert_status(v3_fsinfo(c, fh, NULL), want);
    assert_status(v3_pathconf(c, fh, NULL), want);
    assert_status(v3_commit(c, fh, 0, 0, NULL, NULL), want);
}

static void every_procedure_refuses_bad_handles(void **state)
{
    struct rig *rig = *state;
    struct fh stale = stale_fh(rig), bad = rig->dir;

    (void)make_file(rig->conn, &rig->dir, "there", "");
    bad.data[bad.len - 1] = (char)(bad.data[bad.len - 1] ^ 1);
    try_all(rig, &stale, NFS3ERR_STALE);
    try_all(rig, &bad, NFS3ERR_BADHANDLE);
    assert_ok(v3_lookup(rig->conn, &rig->dir, "there", NULL));
}

/* ---- CREATE ---- */

static void create_sets_what_is_asked(void **state)
{
    struct rig *rig = *state;
    fattr3 before = attr_of(rig->conn, &rig->dir), after;
    sattr3 set = attr_owner(12, 34);
    struct node node;
    struct wcc wcc;

    set.mode.set_it = 1;
    set.mode.set_mode3_u.mode = 04751;
    set.mtime.set_it = SET_TO_CLIENT_TIME;
    set.mtime.set_mtime_u.mtime = (nfstime3){1234567, 0};
    assert_ok(v3_create(rig->conn, &rig->dir, "f", GUARDED, &set, &node, &wcc));
    after = attr_of(rig->conn, &rig->dir);
    assert_wcc(&wcc, &before, &after);
    assert_false(same_time(before.mtime, after.mtime));
    assert_false(same_time(before.ctime, after.ctime));
    assert_int_equal(node.attr.mode, 04751);
    assert_int_equal(node.attr.uid, 12);
    assert_int_equal(node.attr.gid, 34);
    assert_int_equal(node.attr.mtime.seconds, 1234567);
    assert_int_equal(node.attr.size, 0);
    assert_int_equal(node.attr.type, NF3REG);
    assert_text(rig->conn, &node.fh, "");
}

static void create_on_what_exists(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "text"), got;
    sattr3 set = attr_mode(0600), cut = attr_size(0);

    (void)make_dir(rig->conn, &rig->dir, "d");
    assert_status(v3_create(rig->conn, &rig->dir, "f", GUARDED, &set, NULL, NULL), NFS3ERR_EXIST);
    assert_ok(v3_create(rig->conn, &rig->dir, "f", UNCHECKED, &set, &got, NULL));
    assert_true(same_fh(&got.fh, &file.fh));
    assert_int_equal(got.attr.mode, 0644); /* as open(O_CREAT) has it */
    assert_text(rig->conn, &file.fh, "text");
    assert_ok(v3_create(rig->conn, &rig->dir, "f", UNCHECKED, &cut, &got, NULL));
    assert_int_equal(got.attr.size, 0);
    assert_text(rig->conn, &file.fh, "");
    assert_status(v3_create(rig->conn, &rig->dir, "d", GUARDED, &set, NULL, NULL), NFS3ERR_EXIST);
    assert_status(v3_create(rig->conn, &rig->dir, "d", UNCHECKED, &set, NULL, NULL), NFS3ERR_EXIST);
}

static void create_exclusive_knows_its_verifier(void **state)
{
    struct rig *rig = *state;
    static const char verf[8] = "\x01\x02\x03\x04\xff\xfe\xfd\xfc";
    struct node first, again;

    (void)make_file(rig->conn, &rig->dir, "old", "text");
    (void)make_dir(rig->conn, &rig->dir, "d");
    assert_ok(v3_create_exclusive(rig->conn, &rig->dir, "f", verf, &first));
    assert_ok(v3_create_exclusive(rig->conn, &rig->dir, "f", verf, &again));
    assert_true(same_fh(&first.fh, &again.fh));
    for (int i = 0; i < 8; i++) { /* all of it counts */
        char other[8];
        memcpy(other, verf, 8);
        other[i] = (char)(other[i] ^ 0x10);
        assert_status(v3_create_exclusive(rig->conn, &rig->dir, "f", other, NULL), NFS3ERR_EXIST);
    }
    assert_status(v3_create_exclusive(rig->conn, &rig->dir, "old", verf, NULL), NFS3ERR_EXIST);
    assert_status(v3_create_exclusive(rig->conn, &rig->dir, "d", verf, NULL), NFS3ERR_EXIST);
    /* What a client does next: the attributes it could not give. */
    sattr3 set = attr_mode(0640);
    set.mtime.set_it = SET_TO_SERVER_TIME;
    set.atime.set_it = SET_TO_SERVER_TIME;
    assert_ok(v3_setattr(rig->conn, &first.fh, &set, NULL, NULL));
    assert_int_equal(attr_of(rig->conn, &first.fh).mode, 0640);
    assert_true(attr_of(rig->conn, &first.fh).mtime.seconds > 1600000000);
}

static void create_needs_a_directory(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", ""), link;
    sattr3 none = attr_none();

    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", ".", &link, NULL));
    assert_status(v3_create(rig->conn, &file.fh, "x", GUARDED, &none, NULL, NULL), NFS3ERR_NOTDIR);
    assert_status(v3_create(rig->conn, &link.fh, "x", GUARDED, &none, NULL, NULL), NFS3ERR_NOTDIR);
}

/* ---- READ and WRITE ---- */

static void write_and_read_back(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "");
    struct write_result wrote;
    struct read_result got;
    fattr3 before = file.attr, after;
    char verf[8];

    assert_ok(v3_write(rig->conn, &file.fh, 0, "hello", 5, UNSTABLE, &wrote));
    after = attr_of(rig->conn, &file.fh);
    assert_wcc(&wrote.wcc, &before, &after);
    assert_int_equal(wrote.count, 5);
    memcpy(verf, wrote.verf, 8);
    before = after;
    assert_ok(v3_write(rig->conn, &file.fh, 3, "pless", 5, DATA_SYNC, &wrote));
    after = attr_of(rig->conn, &file.fh);
    assert_wcc(&wrote.wcc, &before, &after);
    assert_memory_equal(wrote.verf, verf, 8);
    assert_int_equal(after.size, 8);
    assert_ok(v3_write(rig->conn, &file.fh, 100, "end", 3, FILE_SYNC, &wrote));
    assert_memory_equal(wrote.verf, verf, 8);
    assert_ok(v3_read(rig->conn, &file.fh, 0, 1000, &got));
    assert_int_equal(got.count, 103);
    assert_memory_equal(got.data, "helpless", 8);
    for (int i = 8; i < 100; i++)
        assert_int_equal(got.data[i], 0);
    assert_memory_equal(got.data + 100, "end", 3);
    assert_ok(v3_read(rig->conn, &file.fh, 2, 4, &got));
    assert_int_equal(got.count, 4);
    assert_memory_equal(got.data, "lple", 4);
    assert_false(got.eof);
}

static void read_at_and_past_the_end(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "0123456789"),
                empty = make_file(rig->conn, &rig->dir, "e", "");
    struct read_result got;

    assert_ok(v3_read(rig->conn, &file.fh, 0, 10, &got));
    assert_true(got.count == 10 && got.eof);
    assert_ok(v3_read(rig->conn, &file.fh, 0, 9, &got));
    assert_true(got.count == 9 && !got.eof);
    assert_ok(v3_read(rig->conn, &file.fh, 7, 10, &got));
    assert_true(got.count == 3 && got.eof);
    assert_ok(v3_read(rig->conn, &file.fh, 10, 10, &got));
    assert_true(got.count == 0 && got.eof);
    assert_ok(v3_read(rig->conn, &file.fh, 4, 0, &got));
    assert_true(got.count == 0 && !got.eof);
    assert_ok(v3_read(rig->conn, &file.fh, UINT64_C(1) << 40, 10, &got));
    assert_true(got.count == 0 && got.eof);
    assert_ok(v3_read(rig->conn, &file.fh, UINT64_MAX, UINT32_MAX, &got));
    assert_true(got.count == 0 && got.eof);
    assert_ok(v3_read(rig->conn, &empty.fh, 0, 10, &got));
    assert_true(got.count == 0 && got.eof);
}

static void read_is_cut_to_rtmax(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "");
    FSINFO3resok info;
    struct read_result got;
    char *data = malloc(3 * MIB);

    for (int i = 0; i < 3 * MIB; i++)
        data[i] = (char)(i * 7 + i / 4096);
    for (int i = 0; i < 3; i++)
        assert_ok(
            v3_write(rig->conn, &file.fh, (uint64_t)i * MIB, data + i * MIB, MIB, UNSTABLE, NULL));
    assert_ok(v3_fsinfo(rig->conn, &rig->root, &info));
    assert_ok(v3_read(rig->conn, &file.fh, 12345, UINT32_MAX, &got));
    assert_int_equal(got.count, info.rtmax);
    assert_memory_equal(got.data, data + 12345, got.count);
    assert_ok(v3_read(rig->conn, &file.fh, 3 * MIB - 5, 2 * MIB, &got));
    assert_true(got.count == 5 && got.eof);
    assert_ok(v3_commit(rig->conn, &file.fh, 0, 0, NULL, NULL));
    for (uint64_t off = 0; off < 3 * MIB; off += got.count) {
        assert_ok(v3_read(rig->conn, &file.fh, off, 300000, &got));
        assert_memory_equal(got.data, data + off, got.count);
    }
    free(data);
}

static void write_counts_must_agree(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "old");
    static const uint32_t counts[] = {0, 3, 5, 1000, UINT32_MAX};

    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        WRITE3args args = {.file = fh_arg(&file.fh), .count = counts[i], .stable = FILE_SYNC};
        WRITE3res res = {0};
        args.data.data_len = 4;
        args.data.data_val = (char[]){'n', 'e', 'w', '!'};
        NFS_CALL(rig->conn, P_WRITE, WRITE, &args, &res);
        assert_status(res.status, NFS3ERR_INVAL);
        assert_true(res.WRITE3res_u.resfail.file_wcc.after.attributes_follow);
    }
    assert_text(rig->conn, &file.fh, "old");
    assert_ok(v3_write(rig->conn, &file.fh, 2, "", 0, FILE_SYNC, NULL)); /* nothing is fine */
    assert_text(rig->conn, &file.fh, "old");
}

static void write_far_out(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "");
    FSINFO3resok info;
    nfsstat3 status;

    assert_ok(v3_fsinfo(rig->conn, &rig->root, &info));
    assert_status(v3_write(rig->conn, &file.fh, info.maxfilesize, "x", 1, UNSTABLE, NULL),
                  NFS3ERR_FBIG);
    status = v3_write(rig->conn, &file.fh, UINT64_MAX, "x", 1, UNSTABLE, NULL);
    assert_true(status == NFS3ERR_FBIG || status == NFS3ERR_INVAL);
    status = v3_write(rig->conn, &file.fh, UINT64_MAX - 1, "xyz", 3, UNSTABLE, NULL);
    assert_true(status == NFS3ERR_FBIG || status == NFS3ERR_INVAL);
    assert_int_equal(attr_of(rig->conn, &file.fh).size, 0);
}

static void data_of_what_is_no_file(void **state)
{
    struct rig *rig = *state;
    struct node link;

    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", "nowhere", &link, NULL));
    assert_status(v3_read(rig->conn, &rig->dir, 0, 10, NULL), NFS3ERR_INVAL);
    assert_status(v3_read(rig->conn, &link.fh, 0, 10, NULL), NFS3ERR_INVAL);
    assert_status(v3_write(rig->conn, &rig->dir, 0, "x", 1, UNSTABLE, NULL), NFS3ERR_INVAL);
    assert_status(v3_write(rig->conn, &link.fh, 0, "x", 1, UNSTABLE, NULL), NFS3ERR_INVAL);
    assert_status(v3_commit(rig->conn, &rig->dir, 0, 0, NULL, NULL), NFS3ERR_INVAL);
}

static void commit_gives_the_verifier_of_writes(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "");
    struct write_result wrote;
    struct wcc wcc;
    char verf[8];

    assert_ok(v3_write(rig->conn, &file.fh, 0, "some text", 9, UNSTABLE, &wrote));
    assert_ok(v3_commit(rig->conn, &file.fh, 0, 0, verf, &wcc));
    assert_memory_equal(verf, wrote.verf, 8);
    assert_true(wcc.before_valid);
    assert_int_equal(wcc.after.size, 9);
    assert_ok(v3_commit(rig->conn, &file.fh, 3, 4, verf, NULL));
    assert_ok(v3_commit(rig->conn, &file.fh, UINT64_MAX, UINT32_MAX, verf, NULL));
    assert_memory_equal(verf, wrote.verf, 8);
}

static void committed_files_reach_the_bucket(void **state)
{
    struct rig *rig = *state;
    struct node dir = make_dir(rig->conn, &rig->root, "to-bucket"), file;
    char *text;

    file = make_file(rig->conn, &dir.fh, "stable", "by FILE_SYNC");
    text = server_bucket_text(rig->server, "to-bucket/stable", "by FILE_SYNC");
    assert_string_equal(text, "by FILE_SYNC");
    free(text);
    file = make_file(rig->conn, &dir.fh, "commit", "");
    assert_ok(v3_write(rig->conn, &file.fh, 0, "by COMMIT", 9, UNSTABLE, NULL));
    assert_ok(v3_commit(rig->conn, &file.fh, 0, 0, NULL, NULL));
    text = server_bucket_text(rig->server, "to-bucket/commit", "by COMMIT");
    assert_string_equal(text, "by COMMIT");
    free(text);
    assert_text(rig->conn, &file.fh, "by COMMIT");
    assert_ok(v3_write(rig->conn, &file.fh, 3, "WRITE!", 6, FILE_SYNC, NULL)); /* over a base */
    assert_text(rig->conn, &file.fh, "by WRITE!");
    text = server_bucket_text(rig->server, "to-bucket/commit", "by WRITE!");
    assert_string_equal(text, "by WRITE!");
    free(text);
}

/* ---- SETATTR ---- */

static void setattr_sets_and_tells(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "text");
    sattr3 set = attr_owner(7, 8);
    struct wcc wcc;
    fattr3 attr;

    set.mode.set_it = 1;
    set.mode.set_mode3_u.mode = 0751;
    set.atime.set_it = SET_TO_CLIENT_TIME;
    set.atime.set_atime_u.atime = (nfstime3){4000000000u, 0};
    set.mtime.set_it = SET_TO_CLIENT_TIME;
    set.mtime.set_mtime_u.mtime = (nfstime3){0, 999999999};
    assert_ok(v3_setattr(rig->conn, &file.fh, &set, NULL, &wcc));
    attr = attr_of(rig->conn, &file.fh);
    assert_wcc(&wcc, &file.attr, &attr);
    assert_int_equal(attr.mode, 0751);
    assert_int_equal(attr.uid, 7);
    assert_int_equal(attr.gid, 8);
    assert_int_equal(attr.atime.seconds, 4000000000u);
    assert_int_equal(attr.mtime.seconds, 0);
    assert_int_equal(attr.mtime.nseconds, 999999999);
    assert_false(same_time(attr.ctime, file.attr.ctime));
    assert_int_equal(attr.size, 4);
    set = attr_none();
    set.mtime.set_it = SET_TO_SERVER_TIME;
    assert_ok(v3_setattr(rig->conn, &file.fh, &set, NULL, NULL));
    assert_true(attr_of(rig->conn, &file.fh).mtime.seconds > 1600000000);
    assert_int_equal(attr_of(rig->conn, &file.fh).mode, 0751);
    set.mtime.set_it = SET_TO_CLIENT_TIME;
    set.mtime.set_mtime_u.mtime = (nfstime3){5, 1000000000};
    assert_status(v3_setattr(rig->conn, &file.fh, &set, NULL, NULL), NFS3ERR_INVAL);
}

static void setattr_of_directories_and_links(void **state)
{
    struct rig *rig = *state;
    struct node dir = make_dir(rig->conn, &rig->dir, "d"), link;
    struct node target = make_file(rig->conn, &rig->dir, "target", "text");
    sattr3 set = attr_mode(0700), size = attr_size(0), owner = attr_owner(5, 6);
    nfsstat3 status;

    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", "target", &link, NULL));
    assert_ok(v3_setattr(rig->conn, &dir.fh, &set, NULL, NULL));
    assert_int_equal(attr_of(rig->conn, &dir.fh).mode, 0700);
    status = v3_setattr(rig->conn, &dir.fh, &size, NULL, NULL);
    assert_true(status == NFS3ERR_INVAL || status == NFS3ERR_ISDIR);
    assert_status(v3_setattr(rig->conn, &link.fh, &size, NULL, NULL), NFS3ERR_INVAL);
    owner.mtime.set_it = SET_TO_CLIENT_TIME;
    owner.mtime.set_mtime_u.mtime = (nfstime3){77, 0};
    assert_ok(v3_setattr(rig->conn, &link.fh, &owner, NULL, NULL)); /* what cp -a and rsync do */
    assert_int_equal(attr_of(rig->conn, &link.fh).uid, 5);
    assert_int_equal(attr_of(rig->conn, &link.fh).mtime.seconds, 77);
    assert_int_equal(attr_of(rig->conn, &target.fh).uid, 0); /* the link is not followed */
}

static void setattr_guard(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "text");
    sattr3 set = attr_mode(0600), size = attr_size(1);
    nfstime3 guard = file.attr.ctime, off;

    off = guard;
    off.nseconds = off.nseconds > 0 ? off.nseconds - 1 : 1;
    assert_status(v3_setattr(rig->conn, &file.fh, &set, &off, NULL), NFS3ERR_NOT_SYNC);
    off = guard;
    off.seconds++;
    assert_status(v3_setattr(rig->conn, &file.fh, &size, &off, NULL), NFS3ERR_NOT_SYNC);
    assert_int_equal(attr_of(rig->conn, &file.fh).mode, 0644);
    assert_int_equal(attr_of(rig->conn, &file.fh).size, 4);
    assert_ok(v3_setattr(rig->conn, &file.fh, &set, &guard, NULL));
    assert_int_equal(attr_of(rig->conn, &file.fh).mode, 0600);
    assert_status(v3_setattr(rig->conn, &file.fh, &size, &guard, NULL), NFS3ERR_NOT_SYNC);
}

static void setattr_size_up_and_down(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "0123456789");
    sattr3 set = attr_size(4);
    struct read_result got;
    struct wcc wcc;
    fattr3 before = file.attr, after;

    assert_ok(v3_setattr(rig->conn, &file.fh, &set, NULL, &wcc));
    after = attr_of(rig->conn, &file.fh);
    assert_wcc(&wcc, &before, &after);
    assert_false(same_time(before.mtime, after.mtime));
    assert_text(rig->conn, &file.fh, "0123");
    set = attr_size(8);
    assert_ok(v3_setattr(rig->conn, &file.fh, &set, NULL, NULL));
    assert_ok(v3_read(rig->conn, &file.fh, 0, 100, &got));
    assert_int_equal(got.count, 8);
    assert_memory_equal(got.data, "0123\0\0\0\0", 8);
    set = attr_size(UINT64_C(5) << 30);
    assert_ok(v3_setattr(rig->conn, &file.fh, &set, NULL, NULL));
    assert_ok(v3_read(rig->conn, &file.fh, UINT64_C(4) << 30, 5, &got));
    assert_memory_equal(got.data, "\0\0\0\0\0", 5);
    set = attr_size(0);
    assert_ok(v3_setattr(rig->conn, &file.fh, &set, NULL, NULL));
    assert_text(rig->conn, &file.fh, "");
    set = attr_size(UINT64_MAX);
    assert_status(v3_setattr(rig->conn, &file.fh, &set, NULL, NULL), NFS3ERR_FBIG);
    assert_text(rig->conn, &file.fh, "");
}

static void times_move_with_changes(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "text");
    fattr3 before = attr_of(rig->conn, &file.fh), after;
    sattr3 set = attr_mode(0600);

    assert_ok(v3_read(rig->conn, &file.fh, 0, 10, NULL));
    after = attr_of(rig->conn, &file.fh);
    assert_true(same_time(before.mtime, after.mtime) && same_time(before.ctime, after.ctime));
    assert_ok(v3_setattr(rig->conn, &file.fh, &set, NULL, NULL));
    after = attr_of(rig->conn, &file.fh);
    assert_true(same_time(before.mtime, after.mtime));
    assert_false(same_time(before.ctime, after.ctime));
    before = after;
    assert_ok(v3_write(rig->conn, &file.fh, 0, "T", 1, UNSTABLE, NULL));
    after = attr_of(rig->conn, &file.fh);
    assert_false(same_time(before.mtime, after.mtime) || same_time(before.ctime, after.ctime));
    before = after;
    assert_ok(v3_commit(rig->conn, &file.fh, 0, 0, NULL, NULL));
    after = attr_of(rig->conn, &file.fh);
    assert_true(same_time(before.mtime, after.mtime) && same_time(before.ctime, after.ctime));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(getattr_tells_type_and_identity),
        CASE(bad_handles_are_told_from_stale_ones),
        CASE(every_procedure_refuses_bad_handles),
        CASE(create_sets_what_is_asked),
        CASE(create_on_what_exists),
        CASE(create_exclusive_knows_its_verifier),
        CASE(create_needs_a_directory),
        CASE(write_and_read_back),
        CASE(read_at_and_past_the_end),
        CASE(read_is_cut_to_rtmax),
        CASE(write_counts_must_agree),
        CASE(write_far_out),
        CASE(data_of_what_is_no_file),
        CASE(commit_gives_the_verifier_of_writes),
        CASE(committed_files_reach_the_bucket),
        CASE(setattr_sets_and_tells),
        CASE(setattr_of_directories_and_links),
        CASE(setattr_guard),
        CASE(setattr_size_up_and_down),
        CASE(times_move_with_changes),
    };

    rig_init(argc, argv);
    return cmocka_run_group_tests_name("files", tests, rig_group_setup, rig_group_teardown);
}
