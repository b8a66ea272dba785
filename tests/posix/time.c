/* Which times change by what; what lies between two times. */
#include "tests/posix/posix.h"

enum { A = 1, M = 2, C = 4 };

static struct stat file_before, dir_before;

static void note(const char *file, const char *dir)
{
    if (file)
        file_before = stat_of(file);
    dir_before = stat_of(dir);
    tick();
}

static unsigned changed(const struct stat *before, const struct stat *after)
{
    return (ns_of(after->st_atim) != ns_of(before->st_atim) ? A : 0) |
           (ns_of(after->st_mtim) > ns_of(before->st_mtim) ? M : 0) |
           (ns_of(after->st_ctim) > ns_of(before->st_ctim) ? C : 0);
}

/* Of the file and of its directory; access times are another matter. */
static void expect(const struct posix_at *at, const char *file, unsigned file_want, const char *dir,
                   unsigned dir_want)
{
    struct stat f = stat_of(file), d = stat_of(dir);

    posix_eq(at, file_want, changed(&file_before, &f) & (M | C));
    posix_eq(at, dir_want, changed(&dir_before, &d) & (M | C));
}
#define EXPECT(file, file_want, dir, dir_want) \
    expect(HERE(#file " " #file_want ", " #dir " " #dir_want), file, file_want, dir, dir_want)

CASE(time_of_new)
{
    make_dir("d", 0755);
    note(NULL, "d");
    file_before = dir_before;
    OK(close(OK(open("d/f", O_CREAT | O_WRONLY, 0644))));
    EXPECT("d/f", M | C, "d", M | C);
    note("d/f", "d");
    OK(close(OK(open("d/f", O_CREAT | O_WRONLY, 0644)))); /* it is there already */
    EXPECT("d/f", 0, "d", 0);
    OK(symlink("x", "d/l"));
    file_before = dir_before;
    EXPECT("d/l", M | C, "d", M | C);
    note(NULL, "d");
    file_before = dir_before;
    OK(mkdir("d/s", 0755));
    EXPECT("d/s", M | C, "d", M | C);
    struct stat st = stat_of("d/f");
    TRUE(ns_of(st.st_atim) == ns_of(st.st_mtim) && ns_of(st.st_mtim) == ns_of(st.st_ctim));
}

CASE(time_of_write)
{
    make_dir("d", 0755);
    make_file("d/f", "abc", 0644);
    int fd = OK(open("d/f", O_RDWR));
    note("d/f", "d");
    EQ(1, write(fd, "x", 1));
    OK(fsync(fd));
    EXPECT("d/f", M | C, "d", 0);
    note("d/f", "d");
    EQ(0, write(fd, "x", 0));
    EXPECT("d/f", 0, "d", 0);
    OK(ftruncate(fd, 1));
    EXPECT("d/f", M | C, "d", 0);
    note("d/f", "d");
    OK(fchmod(fd, 0600));
    EXPECT("d/f", C, "d", 0);
    OK(close(fd));
    note("d/f", "d");
    OK(close(OK(open("d/f", O_RDONLY))));
    EXPECT("d/f", 0, "d", 0);
    struct timespec set[2] = {{1, 0}, {2, 0}};
    OK(utimensat(AT_FDCWD, "d/f", set, 0));
    EXPECT("d/f", C, "d", 0);
}

CASE(time_of_read)
{
    char in[4];

    make_file("f", "abc", 0644);
    make_dir("d", 0755);
    tick();
    struct stat before = stat_of("f");
    int fd = OK(open("f", O_RDONLY));
    EQ(3, read(fd, in, sizeof(in)));
    struct stat after = stat_of("f");
    EQ(differs(DIFFER_ATIME) ? 0 : A, changed(&before, &after));
    OK(close(fd));
}

CASE(time_does_not_change_by_failure)
{
    make_dir("d", 0755);
    make_file("d/f", "abc", 0644);
    note("d/f", "d");
    ERR(EEXIST, mkdir("d/f", 0755));
    ERR(ENOTDIR, rmdir("d/f"));
    ERR(ENOENT, unlink("d/x"));
    ERR(ENOTEMPTY, rmdir("d"));
    ERR(ENOENT, rename("d/x", "d/y"));
    ERR(EEXIST, open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0644));
    ERR(EINVAL, truncate("d/f", -1));
    as(BOB, OTHERS);
    ERR(EPERM, chmod("d/f", 0600));
    ERR(EACCES, unlink("d/f"));
    as_root();
    EXPECT("d/f", 0, "d", 0);
}

/* Later files have later times, and not all the same: make(1) depends on it. */
CASE(time_granularity)
{
    int64_t last = 0;

    for (int i = 0; i < 3; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "f%d", i);
        make_file(name, "x", 0644);
        int64_t now = ns_of(stat_of(name).st_mtim);
        TRUE(now > last);
        last = now;
        tick();
    }
    struct timespec odd[2] = {{1000, 1}, {1000, 999999999}};
    OK(utimensat(AT_FDCWD, "f0", odd, 0));
    EQ(1, stat_of("f0").st_atim.tv_nsec);
    EQ(999999999, stat_of("f0").st_mtim.tv_nsec);
}

CASE(time_stays_when_closed)
{
    make_file("f", "x", 0644);
    struct stat before = stat_of("f");
    tick();
    sync();
    struct stat after = stat_of("f");
    EQ(0, changed(&before, &after));
}
