/* chmod(2), chown(2), utimensat(2), truncate(2): errors, who may, what else they change. */
#include "tests/posix/posix.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

CASE(chmod_errors)
{
    make_owned("file", ALICE, STAFF, 0644);
    NEED(symlink("loop", "loop") == 0);
    ERR(ENOENT, chmod("nothing", 0600));
    ERR(ENOENT, chmod("", 0600));
    ERR(ENOTDIR, chmod("file/x", 0600));
    ERR(ELOOP, chmod("loop", 0600));
    ERR(EFAULT, chmod((const char *)1, 0600));
    ERR(EBADF, fchmod(99, 0600));
    as(BOB, STAFF);
    ERR(EPERM, chmod("file", 0644)); /* not even to what it is */
    as(ALICE, OTHERS);
    OK(chmod("file", 0604));
    as_root();
    OK(chmod("file", 0640));
    EQ(0640, mode_of("file"));
}

CASE(chmod_all_bits)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    for (mode_t m = 0; m <= 07777; m += 0111) {
        OK(chmod("file", m));
        EQ(m, mode_of("file"));
        OK(chmod("dir", m));
        EQ(m, mode_of("dir"));
    }
    OK(chmod("dir", 07777));
    EQ(07777, mode_of("dir"));
}

CASE(chmod_times_and_links)
{
    make_file("file", "x", 0644);
    NEED(symlink("file", "link") == 0);
    struct stat before = stat_of("file");
    tick();
    OK(chmod("link", 0600));
    struct stat after = stat_of("file");
    EQ(0600, after.st_mode & 07777);
    TRUE(ns_of(after.st_ctim) > ns_of(before.st_ctim));
    EQ(ns_of(before.st_mtim), ns_of(after.st_mtim));
    EQ(0777, mode_of("link"));
    TRUE(holds("file", "x"));
    ERR(EOPNOTSUPP, fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW));
}

/* Who is not in the file's group cannot make it run as that group. */
CASE(chmod_setgid_of_other_group)
{
    make_owned("file", ALICE, STAFF, 0755);
    as(ALICE, OTHERS);
    OK(chmod("file", 02755));
    EQ(0755, mode_of("file"));
    as_with(ALICE, OTHERS, STAFF);
    OK(chmod("file", 02755));
    EQ(02755, mode_of("file"));
    as_root();
    OK(chmod("file", 06755));
    EQ(06755, mode_of("file"));
}

CASE(chown_errors)
{
    make_owned("file", ALICE, STAFF, 0644);
    NEED(symlink("nothing", "dangling") == 0 && symlink("loop", "loop") == 0);
    ERR(ENOENT, chown("nothing", 0, 0));
    ERR(ENOENT, chown("", 0, 0));
    ERR(ENOENT, chown("dangling", 0, 0));
    ERR(ENOTDIR, chown("file/x", 0, 0));
    ERR(ELOOP, chown("loop", 0, 0));
    ERR(EFAULT, chown((const char *)1, 0, 0));
    ERR(EBADF, fchown(99, 0, 0));
    as(ALICE, STAFF);
    ERR(EPERM, chown("file", BOB, (gid_t)-1));
    ERR(EPERM, chown("file", (uid_t)-1, GUESTS));
    OK(chown("file", ALICE, STAFF)); /* to what it is */
    OK(chown("file", (uid_t)-1, (gid_t)-1));
    as_with(ALICE, STAFF, GUESTS);
    OK(chown("file", (uid_t)-1, GUESTS));
    EQ(GUESTS, stat_of("file").st_gid);
    OK(chown("file", ALICE, STAFF));
    as_with(BOB, STAFF, GUESTS);
    ERR(EPERM, chown("file", BOB, STAFF));
    ERR(EPERM, chown("file", (uid_t)-1, GUESTS));
    as_root();
    OK(chown("file", BOB, OTHERS));
    EQ(BOB, stat_of("file").st_uid);
    EQ(OTHERS, stat_of("file").st_gid);
    OK(chown("file", 0, (gid_t)-1));
    EQ(0, stat_of("file").st_uid);
    EQ(OTHERS, stat_of("file").st_gid);
}

CASE(chown_symlink)
{
    make_file("file", "x", 0644);
    NEED(symlink("file", "link") == 0 && symlink("nothing", "dangling") == 0);
    OK(lchown("link", ALICE, STAFF));
    EQ(ALICE, stat_of("link").st_uid);
    EQ(0, stat_of("file").st_uid);
    OK(chown("link", BOB, GUESTS));
    EQ(BOB, stat_of("file").st_uid);
    EQ(ALICE, stat_of("link").st_uid);
    OK(lchown("dangling", ALICE, STAFF));
    EQ(STAFF, stat_of("dangling").st_gid);
    as(CAROL, STAFF);
    ERR(EPERM, lchown("link", CAROL, STAFF));
}

CASE(chown_clears_setid)
{
    make_owned("file", ALICE, STAFF, 06755);
    as_with(ALICE, STAFF, GUESTS);
    OK(chown("file", (uid_t)-1, GUESTS));
    EQ(0755, mode_of("file"));
    as_root();
    OK(chmod("file", 06755));
    OK(chown("file", BOB, STAFF)); /* Linux: root's too */
    EQ(0755, mode_of("file"));
    OK(chmod("file", 02745)); /* no program for the group: the bit means something else */
    OK(chown("file", ALICE, STAFF));
    EQ(02745, mode_of("file"));
    make_owned_dir("dir", ALICE, STAFF, 02755);
    OK(chown("dir", BOB, GUESTS));
    EQ(02755, mode_of("dir"));
}

CASE(chown_times)
{
    make_file("file", "x", 0644);
    struct stat before = stat_of("file");
    tick();
    OK(chown("file", ALICE, STAFF));
    struct stat after = stat_of("file");
    TRUE(ns_of(after.st_ctim) > ns_of(before.st_ctim));
    EQ(ns_of(before.st_mtim), ns_of(after.st_mtim));
}

/* Who writes or cuts a program that runs as another takes that away. */
CASE(setid_cleared_by_write)
{
    make_owned("file", ALICE, STAFF, 06777);
    as(BOB, OTHERS);
    int fd = OK(open("file", O_WRONLY));
    EQ(1, write(fd, "x", 1));
    OK(fsync(fd));
    EQ(0777, mode_of("file"));
    OK(close(fd));
    as_root();
    OK(chmod("file", 06777));
    as(ALICE, STAFF); /* the owner too */
    fd = OK(open("file", O_WRONLY));
    EQ(1, write(fd, "x", 1));
    OK(fsync(fd));
    EQ(0777, mode_of("file"));
    OK(close(fd));
}

CASE(setid_cleared_by_truncate)
{
    make_owned("file", ALICE, STAFF, 06777);
    as(BOB, OTHERS);
    OK(truncate("file", 1));
    EQ(0777, mode_of("file"));
    as_root();
    OK(chmod("file", 06777));
    as(BOB, OTHERS);
    OK(close(OK(open("file", O_WRONLY | O_TRUNC))));
    EQ(0777, mode_of("file"));
}

CASE(setid_kept_for_root)
{
    make_owned("file", ALICE, STAFF, 06755);
    int fd = OK(open("file", O_WRONLY));
    EQ(1, write(fd, "x", 1));
    OK(close(fd));
    EQ(06755, mode_of("file"));
}

static struct timespec both[2] = {{1000000000, 123456789}, {1500000000, 987654321}};

CASE(utimens_errors)
{
    make_owned("file", ALICE, STAFF, 0666);
    make_owned("mine", ALICE, STAFF, 0644);
    struct timespec bad[2] = {{0, 1000000000}, {0, 0}};
    ERR(ENOENT, utimensat(AT_FDCWD, "nothing", both, 0));
    ERR(ENOENT, utimensat(AT_FDCWD, "", both, 0));
    ERR(ENOTDIR, utimensat(AT_FDCWD, "file/x", both, 0));
    ERR(EINVAL, utimensat(AT_FDCWD, "file", bad, 0));
    ERR(EINVAL, utimensat(AT_FDCWD, "file", both, 0x40000));
    ERR(EBADF, utimensat(99, "file", both, 0));
    as(BOB, GUESTS);
    struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    struct timespec mixed[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    struct timespec none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    ERR(EPERM, utimensat(AT_FDCWD, "file", both, 0));
    ERR(EPERM, utimensat(AT_FDCWD, "file", mixed, 0)); /* both to now, or be the owner */
    OK(utimensat(AT_FDCWD, "file", NULL, 0));
    OK(utimensat(AT_FDCWD, "file", now, 0));
    ERR(EACCES, utimensat(AT_FDCWD, "mine", NULL, 0));
    ERR(EACCES, utimensat(AT_FDCWD, "mine", now, 0));
    OK(utimensat(AT_FDCWD, "mine", none, 0));
    as(ALICE, STAFF);
    OK(utimensat(AT_FDCWD, "mine", both, 0));
    OK(utimensat(AT_FDCWD, "mine", mixed, 0));
    OK(chmod("mine", 0));
    OK(utimensat(AT_FDCWD, "mine", NULL, 0));
}

CASE(utimens_sets)
{
    make_file("file", "x", 0644);
    struct stat st = stat_of("file");
    tick();
    OK(utimensat(AT_FDCWD, "file", both, 0));
    struct stat set = stat_of("file");
    EQ(ns_of(both[0]), ns_of(set.st_atim)); /* to the nanosecond */
    EQ(ns_of(both[1]), ns_of(set.st_mtim));
    TRUE(ns_of(set.st_ctim) > ns_of(st.st_ctim));
    struct timespec only_m[2] = {{0, UTIME_OMIT}, {1, 1}}, only_a[2] = {{2, 2}, {0, UTIME_OMIT}};
    OK(utimensat(AT_FDCWD, "file", only_m, 0));
    EQ(ns_of(both[0]), ns_of(stat_of("file").st_atim));
    EQ(1000000001, ns_of(stat_of("file").st_mtim));
    OK(utimensat(AT_FDCWD, "file", only_a, 0));
    EQ(2000000002, ns_of(stat_of("file").st_atim));
    EQ(1000000001, ns_of(stat_of("file").st_mtim));
    struct timespec now_m[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    OK(utimensat(AT_FDCWD, "file", now_m, 0));
    EQ(2000000002, ns_of(stat_of("file").st_atim));
    TRUE(ns_of(stat_of("file").st_mtim) > ns_of(st.st_mtim));
    struct timespec zero[2] = {{0, 0}, {0, 0}};
    OK(utimensat(AT_FDCWD, "file", zero, 0));
    EQ(0, ns_of(stat_of("file").st_mtim));
    struct timespec late[2] = {{4000000000, 0}, {4000000000, 5}};
    OK(utimensat(AT_FDCWD, "file", late, 0)); /* after 2038 */
    EQ(4000000000, stat_of("file").st_mtim.tv_sec);
    make_dir("dir", 0755);
    OK(utimensat(AT_FDCWD, "dir", both, 0));
    EQ(ns_of(both[1]), ns_of(stat_of("dir").st_mtim));
}

CASE(utimens_symlink_and_fd)
{
    make_file("file", "x", 0644);
    NEED(symlink("file", "link") == 0);
    struct stat before = stat_of("file");
    OK(utimensat(AT_FDCWD, "link", both, AT_SYMLINK_NOFOLLOW));
    EQ(ns_of(both[1]), ns_of(stat_of("link").st_mtim));
    EQ(ns_of(before.st_mtim), ns_of(stat_of("file").st_mtim));
    OK(utimensat(AT_FDCWD, "link", both, 0));
    EQ(ns_of(both[1]), ns_of(stat_of("file").st_mtim));
    int fd = OK(open("file", O_WRONLY));
    struct timespec other[2] = {{5, 5}, {6, 6}};
    EQ(1, write(fd, "y", 1));
    OK(futimens(fd, other));
    OK(close(fd)); /* what was written before does not change it afterwards */
    EQ(6000000006, ns_of(stat_of("file").st_mtim));
    EQ(5000000005, ns_of(stat_of("file").st_atim));
}

CASE(truncate_errors)
{
    make_owned("file", ALICE, STAFF, 0644);
    make_dir("dir", 0777);
    NEED(symlink("loop", "loop") == 0);
    ERR(ENOENT, truncate("nothing", 0));
    ERR(ENOENT, truncate("", 0));
    ERR(ENOTDIR, truncate("file/x", 0));
    ERR(EISDIR, truncate("dir", 0));
    ERR(EINVAL, truncate("file", -1));
    ERR(ELOOP, truncate("loop", 0));
    ERR(EFAULT, truncate((const char *)1, 0));
    ERR(EBADF, ftruncate(99, 0));
    as(BOB, OTHERS);
    ERR(EACCES, truncate("file", 0));
    as(ALICE, STAFF);
    int fd = OK(open("file", O_RDONLY));
    ERR(EINVAL, ftruncate(fd, 0));
    OK(close(fd));
    fd = OK(open("file", O_WRONLY));
    ERR(EINVAL, ftruncate(fd, -1));
    OK(close(fd));
    OK(chmod("file", 0444));
    ERR(EACCES, truncate("file", 0));
    as_root();
    OK(truncate("file", 2));
    TRUE(holds("file", "te"));
}

CASE(truncate_sizes)
{
    char buf[16];

    make_file("file", "0123456789", 0644);
    struct stat before = stat_of("file");
    tick();
    OK(truncate("file", 4));
    struct stat st = stat_of("file");
    EQ(4, st.st_size);
    TRUE(ns_of(st.st_mtim) > ns_of(before.st_mtim));
    TRUE(ns_of(st.st_ctim) > ns_of(before.st_ctim));
    OK(truncate("file", 8)); /* the old bytes do not come back */
    int fd = OK(open("file", O_RDWR));
    EQ(8, pread(fd, buf, sizeof(buf), 0));
    TRUE(memcmp(buf, "0123\0\0\0\0", 8) == 0);
    st = stat_of("file");
    tick();
    OK(ftruncate(fd, 8)); /* to what it is: a change all the same */
    TRUE(ns_of(stat_of("file").st_mtim) > ns_of(st.st_mtim));
    OK(ftruncate(fd, 0));
    EQ(0, pread(fd, buf, sizeof(buf), 0));
    OK(ftruncate(fd, 3000000));
    EQ(3000000, stat_of("file").st_size);
    EQ(1, pread(fd, buf, sizeof(buf), 2999999));
    EQ(0, buf[0]);
    EQ(0, pread(fd, buf, sizeof(buf), 3000000));
    OK(close(fd));
}

static void over_limit(void *arg)
{
    struct rlimit limit = {1000, 1000};

    (void)arg;
    signal(SIGXFSZ, SIG_IGN);
    int fd = open("file", O_WRONLY);
    if (fd < 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(1);
    if (ftruncate(fd, 1001) != -1 || errno != EFBIG)
        _exit(2);
    if (pwrite(fd, "xy", 2, 999) != 1) /* as far as it goes */
        _exit(3);
    if (pwrite(fd, "xy", 2, 1000) != -1 || errno != EFBIG)
        _exit(4);
    _exit(0);
}

CASE(truncate_limit_of_process)
{
    make_file("file", "x", 0644);
    EQ(0, in_child(over_limit, NULL));
    EQ(1000, stat_of("file").st_size);
}
