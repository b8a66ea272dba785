/* rename(2) and renameat2(2). */
#include "tests/posix/posix.h"

#include <linux/fs.h>
#include <sys/wait.h>

CASE(rename_errors)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    make_dir("full", 0755);
    make_file("full/x", "x", 0644);
    make_dir("dir/sub", 0755);
    ERR(ENOENT, rename("nothing", "x"));
    ERR(ENOENT, rename("", "x"));
    ERR(ENOENT, rename("file", ""));
    ERR(ENOENT, rename("file", "no/x"));
    ERR(ENOENT, rename("no/x", "file"));
    ERR(ENOTDIR, rename("file/x", "y"));
    ERR(ENOTDIR, rename("file", "file/y"));
    ERR(EISDIR, rename("file", "dir"));
    ERR(EISDIR, rename("file", "full"));
    ERR(ENOTDIR, rename("dir", "file"));
    ERR(ENOTEMPTY, rename("dir", "full"));
    ERR(EINVAL, rename("dir", "dir/new"));
    ERR(EINVAL, rename("dir", "dir/sub"));
    ERR(EINVAL, rename("dir", "dir/sub/new"));
    ERR(ENOTEMPTY, rename("full/x", "full"));
    ERR(ENOTEMPTY, rename("dir/sub", "dir"));
    ERR(EXDEV, rename("file", "/proc/x"));
    ERR(EFAULT, rename((const char *)1, "x"));
    TRUE(holds("file", "x"));
    TRUE(holds("full/x", "x"));
}

CASE(rename_file)
{
    make_file("a", "of a", 0640);
    make_file("b", "of b", 0644);
    make_dir("d", 0755);
    struct stat a = stat_of("a");
    OK(rename("a", "c"));
    TRUE(!exists("a"));
    TRUE(holds("c", "of a"));
    EQ(a.st_ino, stat_of("c").st_ino);
    EQ(0640, mode_of("c"));
    EQ(ns_of(a.st_mtim), ns_of(stat_of("c").st_mtim));
    OK(rename("c", "b")); /* over another */
    TRUE(!exists("c"));
    TRUE(holds("b", "of a"));
    EQ(a.st_ino, stat_of("b").st_ino);
    OK(rename("b", "b")); /* itself */
    TRUE(holds("b", "of a"));
    OK(rename("b", "d/b"));
    TRUE(holds("d/b", "of a"));
    OK(rename("d/b", "./d/../b"));
    TRUE(holds("b", "of a"));
    make_file("a", "new a", 0644);
    TRUE(holds("a", "new a"));
    TRUE(holds("b", "of a"));
}

CASE(rename_swap_by_three)
{
    make_file("a", "of a", 0644);
    make_file("b", "of b", 0644);
    for (int i = 0; i < 4; i++) {
        OK(rename("a", "t"));
        OK(rename("b", "a"));
        OK(rename("t", "b"));
        TRUE(holds("a", i % 2 ? "of a" : "of b"));
        TRUE(holds("b", i % 2 ? "of b" : "of a"));
    }
}

CASE(rename_directory)
{
    make_dir("a", 0750);
    make_dir("a/in", 0755);
    make_file("a/in/f", "deep", 0644);
    make_dir("empty", 0755);
    NEED(symlink("f", "a/in/l") == 0);
    struct stat st = stat_of("a/in/f");
    int fd = OK(open("a/in/f", O_RDWR)), dir = OK(open("a/in", O_RDONLY));
    OK(rename("a", "b"));
    TRUE(!exists("a"));
    ERR(ENOENT, open("a/in/f", O_RDONLY));
    TRUE(holds("b/in/f", "deep"));
    TRUE(holds("b/in/l", "deep"));
    EQ(st.st_ino, stat_of("b/in/f").st_ino);
    EQ(0750, mode_of("b"));
    EQ(4, pwrite(fd, "DEEP", 4, 0));
    TRUE(holds("b/in/f", "DEEP"));
    OK(close(OK(openat(dir, "g", O_CREAT | O_WRONLY, 0644))));
    TRUE(exists("b/in/g"));
    OK(rename("b", "empty")); /* over an empty one */
    TRUE(holds("empty/in/f", "DEEP"));
    make_dir("b", 0755);
    TRUE(!exists("b/in"));
    OK(rename("empty/in", "b/in"));
    TRUE(holds("b/in/f", "DEEP"));
    struct stat up, top;
    OK(fstatat(dir, "..", &up, 0));
    OK(stat("b", &top));
    EQ(top.st_ino, up.st_ino);
    OK(close(fd));
    OK(close(dir));
    OK(rmdir("empty"));
}

CASE(rename_symlink)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    NEED(symlink("file", "link") == 0 && symlink("dir", "dirlink") == 0);
    OK(rename("link", "moved"));
    TRUE(S_ISLNK(stat_of("moved").st_mode));
    TRUE(holds("file", "x"));
    ERR(ENOTDIR, rename("dir", "moved"));
    ERR(EISDIR, rename("moved", "dir"));
    OK(rename("moved", "dirlink")); /* the link is replaced, not what it points at */
    TRUE(exists("dir"));
    TRUE(holds("dirlink", "x"));
    OK(rename("file", "dirlink"));
    TRUE(S_ISREG(stat_of("dirlink").st_mode));
}

CASE(rename_times)
{
    make_dir("from", 0755);
    make_dir("to", 0755);
    make_file("from/f", "x", 0644);
    struct stat from = stat_of("from"), to = stat_of("to"), f = stat_of("from/f");
    tick();
    OK(rename("from/f", "to/f"));
    struct stat from2 = stat_of("from"), to2 = stat_of("to"), f2 = stat_of("to/f");
    TRUE(ns_of(from2.st_mtim) > ns_of(from.st_mtim) && ns_of(from2.st_ctim) > ns_of(from.st_ctim));
    TRUE(ns_of(to2.st_mtim) > ns_of(to.st_mtim) && ns_of(to2.st_ctim) > ns_of(to.st_ctim));
    EQ(ns_of(f.st_mtim), ns_of(f2.st_mtim));
    TRUE(ns_of(f2.st_ctim) > ns_of(f.st_ctim));
}

CASE(rename_noreplace)
{
    make_file("a", "of a", 0644);
    make_file("b", "of b", 0644);
    make_dir("d", 0755);
    if (differs(DIFFER_RENAME_FLAGS)) {
        ERR(differ_errno(DIFFER_RENAME_FLAGS),
            renameat2(AT_FDCWD, "a", AT_FDCWD, "n", RENAME_NOREPLACE));
        return;
    }
    ERR(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    ERR(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_NOREPLACE));
    ERR(EEXIST, renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_NOREPLACE));
    ERR(EEXIST, renameat2(AT_FDCWD, "d", AT_FDCWD, "b", RENAME_NOREPLACE));
    ERR(ENOENT, renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_NOREPLACE));
    TRUE(holds("b", "of b"));
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "n", RENAME_NOREPLACE));
    TRUE(holds("n", "of a"));
    OK(renameat2(AT_FDCWD, "d", AT_FDCWD, "e", RENAME_NOREPLACE));
    TRUE(exists("e"));
}

CASE(rename_exchange)
{
    unsigned flag = RENAME_EXCHANGE;

    make_file("a", "of a", 0644);
    make_file("b", "of b", 0600);
    make_dir("d", 0755);
    make_file("d/in", "in d", 0644);
    make_dir("e", 0700);
    if (differs(DIFFER_EXCHANGE)) {
        ERR(differ_errno(DIFFER_EXCHANGE), renameat2(AT_FDCWD, "a", AT_FDCWD, "b", flag));
        return;
    }
    ERR(ENOENT, renameat2(AT_FDCWD, "a", AT_FDCWD, "nothing", flag));
    ERR(ENOENT, renameat2(AT_FDCWD, "nothing", AT_FDCWD, "a", flag));
    ERR(EINVAL, renameat2(AT_FDCWD, "d", AT_FDCWD, "d/in", flag));
    ERR(EINVAL, renameat2(AT_FDCWD, "d/in", AT_FDCWD, "d", flag));
    struct stat a = stat_of("a"), b = stat_of("b");
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", flag));
    TRUE(holds("a", "of b"));
    TRUE(holds("b", "of a"));
    EQ(a.st_ino, stat_of("b").st_ino);
    EQ(b.st_ino, stat_of("a").st_ino);
    EQ(0600, mode_of("a"));
    OK(renameat2(AT_FDCWD, "d", AT_FDCWD, "e", flag));
    TRUE(holds("e/in", "in d"));
    TRUE(!exists("d/in"));
    EQ(0700, mode_of("d"));
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "e", flag)); /* a file and a directory */
    TRUE(holds("a/in", "in d"));
    TRUE(holds("e", "of b"));
    OK(renameat2(AT_FDCWD, "b", AT_FDCWD, "d/../a/in", flag)); /* in two directories */
    TRUE(holds("a/in", "of a"));
    TRUE(holds("b", "in d"));
    OK(renameat2(AT_FDCWD, "b", AT_FDCWD, "b", flag));
}

CASE(rename_bad_flags)
{
    make_file("a", "of a", 0644);
    make_file("b", "of b", 0644);
    ERR(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE));
    ERR(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_WHITEOUT));
    ERR(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 1U << 20));
    if (posix_mode != LOCAL)
        ERR(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_WHITEOUT));
    TRUE(holds("a", "of a"));
}

enum { ATOMIC_ROUNDS = 80, ATOMIC_ROUNDS_LOCAL = 3000 };

/* A name that is always being replaced is always there, and holds one of the two contents. */
CASE(rename_atomic)
{
    make_file("name", "content 0", 0644);
    pid_t pid = fork();
    if (pid == 0) {
        int rounds = posix_mode == LOCAL ? ATOMIC_ROUNDS_LOCAL : ATOMIC_ROUNDS;
        for (int i = 0; i < rounds; i++) {
            make_file("next", i % 2 ? "content 0" : "content 1", 0644);
            if (rename("next", "name") != 0)
                _exit(1);
        }
        _exit(0);
    }
    int status, missing = 0, other = 0, looks = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int fd = open("name", O_RDONLY);
        char buf[32] = "";
        if (fd < 0) {
            missing = errno == ESTALE && differs(DIFFER_STALE) ? missing : errno;
        } else {
            /* An NFS client's file that was replaced meanwhile may be stale: an error, no mixture.
             */
            ssize_t n = read(fd, buf, sizeof(buf) - 1);
            if (n >= 0 && strcmp(buf, "content 0") != 0 && strcmp(buf, "content 1") != 0)
                other++;
            if (n < 0 && (posix_mode != NFS || errno != ESTALE))
                other++;
            close(fd);
        }
        looks++;
    }
    EQ(0, status);
    EQ(0, missing); /* its errno */
    EQ(0, other);
    TRUE(looks > 0);
}
