/* LOOKUP, MKDIR, SYMLINK, READLINK, MKNOD, REMOVE, RMDIR, RENAME, LINK: names and what they name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

static void lookup_finds(void **state)
{
    struct rig *rig = *state;
    struct node dir = make_dir(rig->conn, &rig->dir, "d"),
                file = make_file(rig->conn, &dir.fh, "f", "text"), got;

    got = find(rig->conn, &dir.fh, "f");
    assert_true(same_fh(&got.fh, &file.fh));
    assert_int_equal(got.attr.size, 4);
    got = find(rig->conn, &dir.fh, ".");
    assert_true(same_fh(&got.fh, &dir.fh));
    got = find(rig->conn, &dir.fh, "..");
    assert_true(same_fh(&got.fh, &rig->dir));
    got = find(rig->conn, &rig->root, "..");
    assert_true(same_fh(&got.fh, &rig->root)); /* there is no way out */
    assert_status(v3_lookup(rig->conn, &dir.fh, "g", NULL), NFS3ERR_NOENT);
    assert_status(v3_lookup(rig->conn, &dir.fh, "g", NULL), NFS3ERR_NOENT);
    (void)make_file(rig->conn, &dir.fh, "g", "");
    (void)find(rig->conn, &dir.fh, "g");
    assert_status(v3_lookup(rig->conn, &file.fh, "x", NULL), NFS3ERR_NOTDIR);
    assert_status(v3_lookup(rig->conn, &file.fh, ".", NULL), NFS3ERR_NOTDIR);
    assert_status(v3_lookup(rig->conn, &dir.fh, "F", NULL), NFS3ERR_NOENT);
}

/* ---- what a name may be ---- */

struct bad_name {
    const char *name;
    nfsstat3 create, other; /* of what makes names; of what wants an old one */
};

static nfsstat3 make_any(struct rig *rig, int how, const char *name)
{
    sattr3 none = attr_none();

    switch (how) {
    case 0:
        return v3_create(rig->conn, &rig->dir, name, GUARDED, &none, NULL, NULL);
    case 1:
        return v3_create(rig->conn, &rig->dir, name, UNCHECKED, &none, NULL, NULL);
    case 2:
        return v3_create_exclusive(rig->conn, &rig->dir, name, "12345678", NULL);
    case 3:
        return v3_mkdir(rig->conn, &rig->dir, name, &none, NULL, NULL);
    case 4:
        return v3_symlink(rig->conn, &rig->dir, name, "target", NULL, NULL);
    default:
        return v3_rename(rig->conn, &rig->dir, "source", &rig->dir, name, NULL, NULL);
    }
}

static nfsstat3 unmake_any(struct rig *rig, int how, const char *name)
{
    switch (how) {
    case 0:
        return v3_lookup(rig->conn, &rig->dir, name, NULL);
    case 1:
        return v3_remove(rig->conn, &rig->dir, name, NULL);
    case 2:
        return v3_rmdir(rig->conn, &rig->dir, name, NULL);
    default:
        return v3_rename(rig->conn, &rig->dir, name, &rig->dir, "new", NULL, NULL);
    }
}

static void check_bad_name(struct rig *rig, const char *name, nfsstat3 want)
{
    for (int how = 0; how < 6; how++)
        assert_status(make_any(rig, how, name), want);
    for (int how = 0; how < 4; how++)
        assert_status(unmake_any(rig, how, name), want);
}

static void names_that_cannot_be(void **state)
{
    struct rig *rig = *state;
    char *name = calloc(1, 1025);
    static const char *const invalid[] = {
        "", "a/b", "/", "\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "caf\xe9"};
    static const uint32_t lengths[] = {256, 257, 300, 1000, 1024};

    (void)make_file(rig->conn, &rig->dir, "source", "text");
    for (unsigned i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        check_bad_name(rig, invalid[i], NFS3ERR_INVAL);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        memset(name, 'n', lengths[i]);
        check_bad_name(rig, name, NFS3ERR_NAMETOOLONG);
    }
    free(name);
    (void)find(rig->conn, &rig->dir, "source");
}

/* A name with a NUL inside, which libnfs cannot write: the last byte of "ab" is patched. */
static void name_with_nul(void **state)
{
    struct rig *rig = *state;
    REMOVE3args args = {.object = dirop(&rig->dir, "ab")};
    REMOVE3res res = {0};
    struct bytes call = call_encode(rig->conn, ++rig->conn->xid, NFS_PROG, 3, P_REMOVE,
                                    FILTER(zdr_REMOVE3args), &args);
    struct reply reply;

    (void)make_file(rig->conn, &rig->dir, "a", "");
    assert_memory_equal(call.data + call.len - 4, "ab\0\0", 4);
    call.data[call.len - 3] = 0;
    conn_send(rig->conn, call.data, call.len);
    free(call.data);
    assert_true(conn_recv(rig->conn, &reply));
    reply_decode(rig->conn, &reply, FILTER(zdr_REMOVE3res), &res);
    assert_status(res.status, NFS3ERR_INVAL);
    (void)find(rig->conn, &rig->dir, "a");
}

static void dot_and_dotdot(void **state)
{
    struct rig *rig = *state;
    static const char *const dots[] = {".", ".."};
    nfsstat3 status;

    (void)make_file(rig->conn, &rig->dir, "source", "text");
    for (int i = 0; i < 2; i++) {
        for (int how = 0; how < 5; how++)
            assert_status(make_any(rig, how, dots[i]), NFS3ERR_EXIST);
        for (int how = 1; how < 4; how++) {
            status = unmake_any(rig, how, dots[i]);
            assert_true(status == NFS3ERR_INVAL || status == NFS3ERR_EXIST ||
                        status == NFS3ERR_ISDIR || status == NFS3ERR_NOTEMPTY);
        }
        status = make_any(rig, 5, dots[i]);
        assert_true(status == NFS3ERR_INVAL || status == NFS3ERR_EXIST || status == NFS3ERR_ISDIR);
    }
    (void)find(rig->conn, &rig->dir, "source");
}

static void names_that_can_be(void **state)
{
    struct rig *rig = *state;
    static const char *const names[] = {"with space",
                                        "plus+percent%25",
                                        "hash#amp&",
                                        "q?=\\\"'",
                                        "tab\tnewline\n",
                                        "..."
                                        "...",
                                        ".hidden",
                                        "-rf",
                                        "*",
                                        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9f"};
    char name[256] = {0}, path[512];
    struct node node;
    char *text;

    memset(name, 'n', 255);
    for (unsigned i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
        const char *n = i < sizeof(names) / sizeof(names[0]) ? names[i] : name;
        node = make_file(rig->conn, &rig->root, n, n);
        assert_true(same_fh(fh_at(rig->conn, &rig->root, n), &node.fh));
        (void)snprintf(path, sizeof(path), "%s", n);
        text = server_bucket_text(rig->server, path, n);
        assert_string_equal(text, n);
        free(text);
        assert_ok(v3_remove(rig->conn, &rig->root, n, NULL));
    }
}

/* ---- MKDIR, SYMLINK and what there is not ---- */

static void mkdir_makes(void **state)
{
    struct rig *rig = *state;
    fattr3 before = attr_of(rig->conn, &rig->dir), after;
    sattr3 set = attr_owner(3, 4);
    struct node node;
    struct wcc wcc;

    set.mode.set_it = 1;
    set.mode.set_mode3_u.mode = 02775;
    assert_ok(v3_mkdir(rig->conn, &rig->dir, "d", &set, &node, &wcc));
    after = attr_of(rig->conn, &rig->dir);
    assert_wcc(&wcc, &before, &after);
    assert_false(same_time(before.mtime, after.mtime));
    assert_int_equal(node.attr.type, NF3DIR);
    assert_int_equal(node.attr.mode, 02775);
    assert_int_equal(node.attr.uid, 3);
    assert_int_equal(node.attr.gid, 4);
    assert_true(same_fh(fh_at(rig->conn, &rig->dir, "d"), &node.fh));
    assert_status(v3_mkdir(rig->conn, &rig->dir, "d", &set, NULL, &wcc), NFS3ERR_EXIST);
    (void)make_file(rig->conn, &rig->dir, "f", "");
    assert_status(v3_mkdir(rig->conn, &rig->dir, "f", &set, NULL, NULL), NFS3ERR_EXIST);
    node = find(rig->conn, &rig->dir, "f");
    assert_status(v3_mkdir(rig->conn, &node.fh, "d", &set, NULL, NULL), NFS3ERR_NOTDIR);
}

static void symlink_and_readlink(void **state)
{
    struct rig *rig = *state;
    fattr3 before = attr_of(rig->conn, &rig->dir), after;
    struct node node, file;
    struct wcc wcc;
    const char *target;
    char *path = calloc(1, 6001);

    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", "../some where/\xc3\xa9", &node, &wcc));
    after = attr_of(rig->conn, &rig->dir);
    assert_wcc(&wcc, &before, &after);
    assert_int_equal(node.attr.type, NF3LNK);
    assert_int_equal(node.attr.size, 16);
    assert_ok(v3_readlink(rig->conn, &node.fh, &target));
    assert_string_equal(target, "../some where/\xc3\xa9");
    assert_int_equal(find(rig->conn, &rig->dir, "l").attr.type, NF3LNK);
    assert_status(v3_symlink(rig->conn, &rig->dir, "l", "x", NULL, NULL), NFS3ERR_EXIST);
    file = make_file(rig->conn, &rig->dir, "f", "");
    assert_status(v3_symlink(rig->conn, &file.fh, "l", "x", NULL, NULL), NFS3ERR_NOTDIR);
    assert_status(v3_readlink(rig->conn, &file.fh, NULL), NFS3ERR_INVAL);
    assert_status(v3_readlink(rig->conn, &rig->dir, NULL), NFS3ERR_INVAL);
    memset(path, 'p', 4095);
    assert_ok(v3_symlink(rig->conn, &rig->dir, "long", path, &node, NULL));
    assert_ok(v3_readlink(rig->conn, &node.fh, &target));
    assert_string_equal(target, path);
    memset(path, 'p', 6000);
    assert_status(v3_symlink(rig->conn, &rig->dir, "longer", path, NULL, NULL),
                  NFS3ERR_NAMETOOLONG);
    free(path);
}

static void what_there_is_not(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "");

    assert_status(v3_mknod(rig->conn, &rig->dir, "n", NF3CHR), NFS3ERR_NOTSUPP);
    assert_status(v3_mknod(rig->conn, &rig->dir, "n", NF3BLK), NFS3ERR_NOTSUPP);
    assert_status(v3_mknod(rig->conn, &rig->dir, "n", NF3SOCK), NFS3ERR_NOTSUPP);
    assert_status(v3_mknod(rig->conn, &rig->dir, "n", NF3FIFO), NFS3ERR_NOTSUPP);
    assert_status(v3_mknod(rig->conn, &rig->dir, "n", NF3REG), NFS3ERR_BADTYPE);
    assert_status(v3_mknod(rig->conn, &rig->dir, "n", NF3DIR), NFS3ERR_BADTYPE);
    assert_status(v3_link(rig->conn, &file.fh, &rig->dir, "n"), NFS3ERR_NOTSUPP);
    assert_status(v3_lookup(rig->conn, &rig->dir, "n", NULL), NFS3ERR_NOENT);
}

/* ---- REMOVE and RMDIR ---- */

static void remove_removes(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", "text"),
                kept = make_file(rig->conn, &rig->dir, "kept", "kept"), link, again;
    fattr3 before = attr_of(rig->conn, &rig->dir), after;
    struct wcc wcc;

    assert_ok(v3_remove(rig->conn, &rig->dir, "f", &wcc));
    after = attr_of(rig->conn, &rig->dir);
    assert_wcc(&wcc, &before, &after);
    assert_false(same_time(before.mtime, after.mtime));
    assert_status(v3_getattr(rig->conn, &file.fh, NULL), NFS3ERR_STALE);
    assert_status(v3_remove(rig->conn, &rig->dir, "f", NULL), NFS3ERR_NOENT);
    again = make_file(rig->conn, &rig->dir, "f", "again");
    assert_false(same_fh(&again.fh, &file.fh));
    assert_true(again.attr.fileid != file.attr.fileid);
    assert_status(v3_getattr(rig->conn, &file.fh, NULL), NFS3ERR_STALE);
    assert_text(rig->conn, &again.fh, "again");
    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", "kept", &link, NULL));
    assert_ok(v3_remove(rig->conn, &rig->dir, "l", NULL));
    assert_text(rig->conn, &kept.fh, "kept");
    assert_status(v3_remove(rig->conn, &kept.fh, "x", NULL), NFS3ERR_NOTDIR);
}

static void remove_and_rmdir_keep_to_their_kind(void **state)
{
    struct rig *rig = *state;
    struct node dir = make_dir(rig->conn, &rig->dir, "d"), link;

    (void)make_file(rig->conn, &rig->dir, "f", "text");
    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", "d", &link, NULL));
    assert_status(v3_remove(rig->conn, &rig->dir, "d", NULL), NFS3ERR_ISDIR);
    assert_status(v3_rmdir(rig->conn, &rig->dir, "f", NULL), NFS3ERR_NOTDIR);
    assert_status(v3_rmdir(rig->conn, &rig->dir, "l", NULL), NFS3ERR_NOTDIR);
    assert_status(v3_rmdir(rig->conn, &rig->dir, "none", NULL), NFS3ERR_NOENT);
    (void)find(rig->conn, &rig->dir, "f");
    assert_ok(v3_getattr(rig->conn, &dir.fh, NULL));
}

static void rmdir_wants_it_empty(void **state)
{
    struct rig *rig = *state;
    struct node dir = make_dir(rig->conn, &rig->dir, "d"), sub = make_dir(rig->conn, &dir.fh, "s");
    fattr3 before, after;
    struct wcc wcc;

    (void)make_file(rig->conn, &dir.fh, "f", "text");
    assert_status(v3_rmdir(rig->conn, &rig->dir, "d", NULL), NFS3ERR_NOTEMPTY);
    assert_ok(v3_remove(rig->conn, &dir.fh, "f", NULL));
    assert_status(v3_rmdir(rig->conn, &rig->dir, "d", NULL), NFS3ERR_NOTEMPTY);
    assert_ok(v3_rmdir(rig->conn, &dir.fh, "s", NULL));
    assert_status(v3_getattr(rig->conn, &sub.fh, NULL), NFS3ERR_STALE);
    before = attr_of(rig->conn, &rig->dir);
    assert_ok(v3_rmdir(rig->conn, &rig->dir, "d", &wcc));
    after = attr_of(rig->conn, &rig->dir);
    assert_wcc(&wcc, &before, &after);
    assert_status(v3_readdir(rig->conn, &dir.fh, 0, NULL, 4096, NULL), NFS3ERR_STALE);
    assert_status(v3_lookup(rig->conn, &rig->dir, "d", NULL), NFS3ERR_NOENT);
}

/* ---- RENAME ---- */

static void rename_keeps_the_file(void **state)
{
    struct rig *rig = *state;
    struct node from = make_dir(rig->conn, &rig->dir, "from"),
                to = make_dir(rig->conn, &rig->dir, "to"),
                file = make_file(rig->conn, &from.fh, "a", "text");
    fattr3 from_before = attr_of(rig->conn, &from.fh), to_before = attr_of(rig->conn, &to.fh);
    fattr3 from_after, to_after;
    struct wcc from_wcc, to_wcc;

    assert_ok(v3_rename(rig->conn, &from.fh, "a", &to.fh, "b", &from_wcc, &to_wcc));
    from_after = attr_of(rig->conn, &from.fh);
    to_after = attr_of(rig->conn, &to.fh);
    assert_wcc(&from_wcc, &from_before, &from_after);
    assert_wcc(&to_wcc, &to_before, &to_after);
    assert_false(same_time(from_before.mtime, from_after.mtime));
    assert_false(same_time(to_before.mtime, to_after.mtime));
    assert_status(v3_lookup(rig->conn, &from.fh, "a", NULL), NFS3ERR_NOENT);
    assert_true(same_fh(fh_at(rig->conn, &to.fh, "b"), &file.fh));
    assert_text(rig->conn, &file.fh, "text");
    assert_ok(v3_write(rig->conn, &file.fh, 4, "ure", 3, FILE_SYNC, NULL));
    assert_text(rig->conn, &file.fh, "texture");
    assert_int_equal(attr_of(rig->conn, &file.fh).fileid, file.attr.fileid);
    assert_status(v3_rename(rig->conn, &from.fh, "a", &to.fh, "c", NULL, NULL), NFS3ERR_NOENT);
}

static void rename_over_files(void **state)
{
    struct rig *rig = *state;
    struct node a = make_file(rig->conn, &rig->dir, "a", "text of a"),
                b = make_file(rig->conn, &rig->dir, "b", "text of b");
    struct wcc wcc, same;

    assert_ok(v3_rename(rig->conn, &rig->dir, "a", &rig->dir, "b", &wcc, &same));
    assert_true(same_time(wcc.after.mtime, same.after.mtime));
    assert_status(v3_getattr(rig->conn, &b.fh, NULL), NFS3ERR_STALE);
    assert_true(same_fh(fh_at(rig->conn, &rig->dir, "b"), &a.fh));
    assert_text(rig->conn, &a.fh, "text of a");
    assert_ok(v3_rename(rig->conn, &rig->dir, "b", &rig->dir, "b", NULL, NULL));
    assert_text(rig->conn, fh_at(rig->conn, &rig->dir, "b"), "text of a");
    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", "x", NULL, NULL));
    assert_ok(v3_rename(rig->conn, &rig->dir, "b", &rig->dir, "l", NULL, NULL));
    assert_text(rig->conn, fh_at(rig->conn, &rig->dir, "l"), "text of a");
}

static void rename_of_directories(void **state)
{
    struct rig *rig = *state;
    struct node d = make_dir(rig->conn, &rig->dir, "d"), sub = make_dir(rig->conn, &d.fh, "sub"),
                file = make_file(rig->conn, &sub.fh, "f", "deep"),
                other = make_dir(rig->conn, &rig->dir, "other"),
                empty = make_dir(rig->conn, &rig->dir, "empty");

    assert_ok(v3_rename(rig->conn, &rig->dir, "d", &other.fh, "moved", NULL, NULL));
    assert_true(same_fh(fh_at(rig->conn, &other.fh, "moved"), &d.fh));
    assert_true(same_fh(fh_at(rig->conn, &d.fh, ".."), &other.fh));
    assert_true(same_fh(fh_at(rig->conn, &sub.fh, "f"), &file.fh));
    assert_text(rig->conn, &file.fh, "deep");
    (void)make_file(rig->conn, &sub.fh, "new", "later");
    assert_ok(v3_rename(rig->conn, &other.fh, "moved", &rig->dir, "empty", NULL, NULL));
    assert_status(v3_getattr(rig->conn, &empty.fh, NULL), NFS3ERR_STALE);
    assert_true(same_fh(fh_at(rig->conn, &rig->dir, "empty"), &d.fh));
    assert_text(rig->conn, fh_at(rig->conn, &sub.fh, "new"), "later");
    /* back to where it was, and the old name used anew */
    assert_ok(v3_rename(rig->conn, &rig->dir, "empty", &rig->dir, "d", NULL, NULL));
    assert_text(rig->conn, fh_at(rig->conn, &sub.fh, "f"), "deep");
    (void)make_dir(rig->conn, &rig->dir, "empty");
    assert_status(v3_lookup(rig->conn, fh_at(rig->conn, &rig->dir, "empty"), "sub", NULL),
                  NFS3ERR_NOENT);
}

static void rename_refusals(void **state)
{
    struct rig *rig = *state;
    struct node d = make_dir(rig->conn, &rig->dir, "d"), sub = make_dir(rig->conn, &d.fh, "sub"),
                e = make_dir(rig->conn, &rig->dir, "e"), f;
    nfsstat3 status;

    f = make_file(rig->conn, &rig->dir, "f", "text");
    (void)make_file(rig->conn, &e.fh, "inside", "");
    status = v3_rename(rig->conn, &rig->dir, "d", &rig->dir, "e", NULL, NULL);
    assert_true(status == NFS3ERR_NOTEMPTY || status == NFS3ERR_EXIST);
    status = v3_rename(rig->conn, &rig->dir, "f", &rig->dir, "d", NULL, NULL);
    assert_true(status == NFS3ERR_ISDIR || status == NFS3ERR_EXIST);
    status = v3_rename(rig->conn, &rig->dir, "d", &rig->dir, "f", NULL, NULL);
    assert_true(status == NFS3ERR_NOTDIR || status == NFS3ERR_EXIST);
    assert_status(v3_rename(rig->conn, &rig->dir, "d", &sub.fh, "x", NULL, NULL), NFS3ERR_INVAL);
    assert_status(v3_rename(rig->conn, &rig->dir, "d", &d.fh, "x", NULL, NULL), NFS3ERR_INVAL);
    assert_status(v3_rename(rig->conn, &f.fh, "a", &rig->dir, "x", NULL, NULL), NFS3ERR_NOTDIR);
    assert_status(v3_rename(rig->conn, &rig->dir, "f", &f.fh, "x", NULL, NULL), NFS3ERR_NOTDIR);
    assert_status(v3_rename(rig->conn, &rig->dir, "none", &rig->dir, "x", NULL, NULL),
                  NFS3ERR_NOENT);
    assert_text(rig->conn, &f.fh, "text");
    assert_ok(v3_getattr(rig->conn, &d.fh, NULL));
    (void)find(rig->conn, &e.fh, "inside");
}

static void two_exports_do_not_mix(void **state)
{
    static const char *const args[] = {"--squash", "none", "@other", "@bucket", NULL};
    struct rig *rig = rig_new(args);
    struct fh other = rig_mount(rig->conn, "/other");
    struct node file = make_file(rig->conn, &rig->root, "f", "text"), got;

    (void)state;
    assert_status(v3_rename(rig->conn, &rig->root, "f", &other, "f", NULL, NULL), NFS3ERR_XDEV);
    assert_status(v3_lookup(rig->conn, &other, "f", NULL), NFS3ERR_NOENT);
    got = make_file(rig->conn, &other, "f", "another");
    assert_text(rig->conn, &file.fh, "text");
    assert_true(attr_of(rig->conn, &got.fh).fsid != attr_of(rig->conn, &file.fh).fsid);
    got = find(rig->conn, &other, "..");
    assert_true(same_fh(&got.fh, &other));
    rig_free(rig);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(lookup_finds),         CASE(names_that_cannot_be),
        CASE(name_with_nul),        CASE(dot_and_dotdot),
        CASE(names_that_can_be),    CASE(mkdir_makes),
        CASE(symlink_and_readlink), CASE(what_there_is_not),
        CASE(remove_removes),       CASE(remove_and_rmdir_keep_to_their_kind),
        CASE(rmdir_wants_it_empty), CASE(rename_keeps_the_file),
        CASE(rename_over_files),    CASE(rename_of_directories),
        CASE(rename_refusals),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(two_exports_do_not_mix),
    };
    int failed;

    rig_init(argc, argv);
    failed = cmocka_run_group_tests_name("names", tests, rig_group_setup, rig_group_teardown);
    return failed + cmocka_run_group_tests_name("two exports", alone, NULL, NULL);
}
