/* Permission bits: user, group, other, root, supplementary groups, sticky and set-group-id. */
#include "tests/posix/posix.h"

static bool may_open(int flags)
{
    int fd = open("dir/file", flags);

    if (fd >= 0)
        close(fd);
    else
        EQ(EACCES, errno);
    return fd >= 0;
}

/* Every combination of one class's bits of a file. */
static void file_bits(int shift)
{
    for (mode_t bits = 0; bits < 8; bits++) {
        mode_t mode = bits << shift;
        /* The other classes have what this one has not: the first that fits decides. */
        for (int other = shift - 3; other >= 0; other -= 3)
            mode |= (~bits & 7U) << other;
        uid_t uid = geteuid();
        gid_t gid = getegid();
        as_root();
        NEED(chmod("dir/file", mode) == 0);
        as(uid, gid);
        EQ((bits & 4) != 0, may_open(O_RDONLY));
        EQ((bits & 2) != 0, may_open(O_WRONLY));
        EQ((bits & 6) == 6, may_open(O_RDWR));
        EQ((bits & 4) != 0, access("dir/file", R_OK) == 0);
        EQ((bits & 2) != 0, access("dir/file", W_OK) == 0);
        EQ((bits & 1) != 0, access("dir/file", X_OK) == 0);
        EQ(true, access("dir/file", F_OK) == 0);
    }
}

CASE(permission_of_file)
{
    make_owned_dir("dir", 0, 0, 0755);
    make_owned("dir/file", ALICE, STAFF, 0);
    as(ALICE, STAFF);
    file_bits(6);
    as(BOB, STAFF);
    file_bits(3);
    as(BOB, OTHERS);
    file_bits(0);
}

CASE(permission_of_root)
{
    make_owned("file", ALICE, STAFF, 0);
    make_owned_dir("dir", ALICE, STAFF, 0);
    OK(close(OK(open("file", O_RDWR))));
    OK(close(OK(open("dir/new", O_CREAT | O_RDWR, 0644))));
    OK(access("file", R_OK | W_OK));
    ERR(EACCES, access("file", X_OK)); /* a program nobody may run */
    OK(chmod("file", 0001));
    OK(access("file", R_OK | W_OK | X_OK));
    OK(access("dir", R_OK | W_OK | X_OK));
    OK(unlink("dir/new"));
}

CASE(permission_supplementary)
{
    make_owned_dir("dir", CAROL, GUESTS, 0070);
    make_owned("dir/file", CAROL, GUESTS, 0060);
    as(ALICE, STAFF);
    ERR(EACCES, open("dir/file", O_RDONLY));
    as_with(ALICE, STAFF, GUESTS);
    OK(close(OK(open("dir/file", O_RDWR))));
    OK(close(OK(open("dir/new", O_CREAT | O_WRONLY, 0600))));
    EQ(STAFF, stat_of("dir/new").st_gid); /* the process's own group */
    EQ(ALICE, stat_of("dir/new").st_uid);
    as_with(CAROL, GUESTS, GUESTS); /* the owner is the owner: no bits for her */
    ERR(EACCES, open("dir/file", O_RDONLY));
}

CASE(permission_of_directory)
{
    struct stat st;
    char buf[8];

    make_owned_dir("dir", ALICE, STAFF, 0700);
    make_owned("dir/file", ALICE, STAFF, 0666);
    make_owned_dir("dir/sub", ALICE, STAFF, 0777);
    NEED(symlink("file", "dir/link") == 0);
    as(ALICE, STAFF);
    OK(chmod("dir", 0600)); /* no search */
    ERR(EACCES, stat("dir/file", &st));
    ERR(EACCES, open("dir/file", O_RDONLY));
    ERR(EACCES, open("dir/new", O_CREAT | O_WRONLY, 0644));
    ERR(EACCES, mkdir("dir/new", 0755));
    ERR(EACCES, rmdir("dir/sub"));
    ERR(EACCES, unlink("dir/file"));
    ERR(EACCES, symlink("x", "dir/new"));
    ERR(EACCES, readlink("dir/link", buf, sizeof(buf)));
    ERR(EACCES, rename("dir/file", "dir/x"));
    ERR(EACCES, truncate("dir/file", 0));
    ERR(EACCES, chmod("dir/file", 0600));
    ERR(EACCES, chown("dir/file", ALICE, STAFF));
    ERR(EACCES, access("dir/file", F_OK));
    ERR(EACCES, utimensat(AT_FDCWD, "dir/file", NULL, 0));
    ERR(EACCES, chdir("dir"));
    OK(close(OK(open("dir", O_RDONLY | O_DIRECTORY))));
    OK(chmod("dir", 0500)); /* no writing */
    OK(stat("dir/file", &st));
    OK(close(OK(open("dir/file", O_RDWR))));
    OK(close(OK(open("dir/file", O_CREAT | O_RDWR, 0644))));
    ERR(EACCES, open("dir/new", O_CREAT | O_WRONLY, 0644));
    ERR(EEXIST, open("dir/file", O_CREAT | O_EXCL | O_WRONLY, 0644));
    ERR(EACCES, mkdir("dir/new", 0755));
    ERR(EEXIST, mkdir("dir/file", 0755));
    ERR(EACCES, unlink("dir/file"));
    ERR(EACCES, rmdir("dir/sub"));
    ERR(EACCES, rename("dir/file", "dir/x"));
    ERR(EACCES, symlink("x", "dir/new"));
    OK(close(OK(open("dir/sub/new", O_CREAT | O_WRONLY, 0644))));
    OK(chmod("dir", 0300)); /* no listing */
    ERR(EACCES, open("dir", O_RDONLY));
    OK(close(OK(open("dir/new", O_CREAT | O_WRONLY, 0644))));
    OK(unlink("dir/new"));
    OK(chmod("dir", 0700));
}

CASE(permission_rename)
{
    make_owned_dir("from", ALICE, STAFF, 0755);
    make_owned_dir("to", BOB, STAFF, 0755);
    make_owned_dir("both", ALICE, STAFF, 0777);
    make_owned("from/f", ALICE, STAFF, 0644);
    make_owned("to/f", BOB, STAFF, 0644);
    as(ALICE, STAFF);
    ERR(EACCES, rename("from/f", "to/new"));
    ERR(EACCES, rename("to/f", "from/new"));
    ERR(EACCES, rename("from/f", "to/f"));
    OK(rename("from/f", "both/f"));
    as(BOB, STAFF);
    OK(rename("both/f", "to/g")); /* the file's own bits do not matter */
    EQ(ALICE, stat_of("to/g").st_uid);
    OK(unlink("to/g"));
}

/* A directory that moves gets another "..": that takes the right to write it. */
CASE(permission_rename_directory)
{
    make_owned_dir("a", BOB, STAFF, 0777);
    make_owned_dir("b", BOB, STAFF, 0777);
    make_owned_dir("a/d", ALICE, STAFF, 0755);
    as(BOB, STAFF);
    OK(rename("a/d", "a/e"));
    ERR(EACCES, rename("a/e", "b/e"));
    as(ALICE, STAFF);
    OK(rename("a/e", "b/e"));
}

static void sticky_kinds(int err, uid_t uid)
{
    as_root();
    make_owned("s/f", BOB, STAFF, 0666);
    make_owned_dir("s/d", BOB, STAFF, 0777);
    make_owned("mine", uid, STAFF, 0666);
    as(uid, STAFF);
    if (err) {
        ERR(err, unlink("s/f"));
        ERR(err, rmdir("s/d"));
        ERR(err, rename("s/f", "s/g"));
        ERR(err, rename("s/f", "other"));
        ERR(err, rename("mine", "s/f"));
    } else {
        OK(rename("s/f", "s/g"));
        OK(rename("s/g", "s/f"));
        OK(rename("s/f", "other"));
        OK(rename("other", "s/f"));
        OK(unlink("s/f"));
        OK(rmdir("s/d"));
    }
    int fd = open("s/f", O_WRONLY | O_CREAT, 0666);
    TRUE(fd >= 0);
    OK(close(fd));
    as_root();
    NEED(unlink("mine") == 0);
    (void)unlink("s/f");
    (void)rmdir("s/d");
}

CASE(permission_sticky)
{
    make_owned_dir("s", ALICE, STAFF, 01777);
    sticky_kinds(EPERM, CAROL); /* neither */
    sticky_kinds(0, ALICE);     /* of the directory */
    sticky_kinds(0, BOB);       /* of the files */
    sticky_kinds(0, 0);
}

CASE(permission_setgid_directory)
{
    make_owned_dir("d", ALICE, GUESTS, 02777);
    as(BOB, STAFF);
    OK(close(OK(open("d/f", O_CREAT | O_WRONLY, 0644))));
    OK(mkdir("d/sub", 0755));
    OK(symlink("x", "d/l"));
    EQ(GUESTS, stat_of("d/f").st_gid);
    EQ(GUESTS, stat_of("d/sub").st_gid);
    EQ(GUESTS, stat_of("d/l").st_gid);
    EQ(BOB, stat_of("d/f").st_uid);
    EQ(0644, mode_of("d/f"));
    EQ(02755, mode_of("d/sub"));
    OK(close(OK(open("d/sub/f", O_CREAT | O_WRONLY, 0644))));
    EQ(GUESTS, stat_of("d/sub/f").st_gid);
    /* A program of a group that its maker is not in. */
    OK(close(OK(open("d/g", O_CREAT | O_WRONLY, 02775))));
    EQ(0755, mode_of("d/g"));
    as_root();
    make_owned_dir("plain", ALICE, GUESTS, 0777);
    as(BOB, STAFF);
    OK(close(OK(open("plain/f", O_CREAT | O_WRONLY, 0644))));
    EQ(STAFF, stat_of("plain/f").st_gid);
}

CASE(access_errors)
{
    make_file("file", "x", 0644);
    NEED(symlink("loop", "loop") == 0 && symlink("nothing", "dangling") == 0);
    ERR(ENOENT, access("nothing", F_OK));
    ERR(ENOENT, access("dangling", F_OK));
    ERR(ENOENT, access("", F_OK));
    ERR(ENOTDIR, access("file/x", F_OK));
    ERR(ELOOP, access("loop", F_OK));
    ERR(EINVAL, access("file", 010));
    ERR(EFAULT, access((const char *)1, F_OK));
    OK(faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
}

/* access(2) is about the real ids, faccessat(2) with AT_EACCESS about the effective ones. */
CASE(access_real_ids)
{
    make_owned("file", ALICE, STAFF, 0600);
    OK(setresuid(BOB, 0, 0));
    ERR(EACCES, access("file", R_OK));
    OK(faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));
    OK(close(OK(open("file", O_RDONLY))));
    as_root();
    NEED(setresuid(0, BOB, 0) == 0);
    OK(access("file", R_OK));
    ERR(EACCES, faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));
    ERR(EACCES, open("file", O_RDONLY));
}

/* Rights are looked at with every open: taken away they are gone, given they are there. */
CASE(permission_changes)
{
    make_owned("file", ALICE, STAFF, 0600);
    for (int i = 0; i < 5; i++) {
        as(BOB, STAFF);
        ERR(EACCES, open("file", O_RDONLY));
        as(ALICE, STAFF);
        OK(chmod("file", 0640));
        as(BOB, STAFF);
        OK(close(OK(open("file", O_RDONLY))));
        as(ALICE, STAFF);
        OK(chmod("file", 0600));
    }
}
