/* open(2), creat(2), openat(2): errors, flags, the mode of what is made. */
#include "tests/posix/posix.h"

#include <sys/wait.h>

CASE(open_missing)
{
    make_file("file", "x", 0644);
    NEED(symlink("nothing", "dangling") == 0);
    ERR(ENOENT, open("nothing", O_RDONLY));
    ERR(ENOENT, open("", O_RDONLY));
    ERR(ENOENT, open("no/thing", O_CREAT | O_WRONLY, 0644));
    ERR(ENOENT, open("dangling", O_RDONLY));
    ERR(ENOENT, open("dangling/x", O_RDONLY));
    ERR(ENOTDIR, open("file/x", O_RDONLY));
    ERR(ENOTDIR, open("file/x", O_CREAT | O_WRONLY, 0644));
    ERR(ENOTDIR, open("file/", O_RDONLY));
    ERR(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY));
    ERR(EFAULT, open((const char *)1, O_RDONLY));
}

CASE(open_creates_through_dangling_symlink)
{
    NEED(symlink("target", "link") == 0);
    int fd = OK(open("link", O_CREAT | O_WRONLY, 0640));
    EQ(2, write(fd, "hi", 2));
    OK(close(fd));
    TRUE(holds("target", "hi"));
    EQ(0640, mode_of("target"));
    TRUE(S_ISLNK(stat_of("link").st_mode));
}

CASE(open_exclusive)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    NEED(symlink("file", "link") == 0 && symlink("nothing", "dangling") == 0);
    ERR(EEXIST, open("file", O_CREAT | O_EXCL | O_RDWR, 0644));
    ERR(EEXIST, open("dir", O_CREAT | O_EXCL | O_RDWR, 0644));
    ERR(EEXIST, open("link", O_CREAT | O_EXCL | O_RDWR, 0644));
    ERR(EEXIST, open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
    TRUE(!exists("nothing"));
    int fd = OK(open("new", O_CREAT | O_EXCL | O_RDWR, 0600));
    OK(close(fd));
    EQ(0600, mode_of("new"));
    ERR(EEXIST, open("new", O_CREAT | O_EXCL | O_RDWR, 0600));
    EQ(0, stat_of("new").st_size);
}

static void exclusive_racer(void *arg)
{
    char name[16];
    int won = 0;

    (void)arg;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "race%d", i);
        won += open(name, O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0;
    }
    _exit(won);
}

CASE(open_exclusive_one_winner)
{
    int won = 0, status;

    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0)
            exclusive_racer(NULL);
        NEED(pid > 0);
    }
    for (int i = 0; i < 4; i++) {
        NEED(wait(&status) > 0 && WIFEXITED(status));
        won += WEXITSTATUS(status);
    }
    EQ(20, won);
}

CASE(open_directory)
{
    make_dir("dir", 0755);
    ERR(EISDIR, open("dir", O_WRONLY));
    ERR(EISDIR, open("dir", O_RDWR));
    ERR(EISDIR, open("dir", O_RDONLY | O_TRUNC));
    ERR(EISDIR, open("dir", O_RDWR | O_CREAT, 0644));
    ERR(EISDIR, creat("dir", 0644));
    ERR(EISDIR, creat("new/", 0644));
    ERR(EISDIR, open(".", O_WRONLY));
    int fd = OK(open("dir", O_RDONLY | O_DIRECTORY));
    char c;
    ERR(EISDIR, read(fd, &c, 1));
    ERR(EBADF, write(fd, &c, 1));
    ERR(EINVAL, ftruncate(fd, 0));
    int in = OK(openat(fd, "in", O_CREAT | O_WRONLY, 0644));
    OK(close(in));
    TRUE(exists("dir/in"));
    OK(fsync(fd));
    OK(close(fd));
    make_file("file", "x", 0644);
    fd = OK(open("file", O_RDONLY));
    ERR(ENOTDIR, openat(fd, "in", O_RDONLY));
    ERR(EBADF, openat(99, "in", O_RDONLY));
    OK(close(fd));
}

CASE(open_symlinks)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    NEED(symlink("file", "link") == 0 && symlink("dir", "dirlink") == 0);
    NEED(symlink("loop", "loop") == 0 && symlink("b", "a") == 0 && symlink("a", "b") == 0);
    ERR(ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
    ERR(ELOOP, open("link", O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
    ERR(ENOTDIR, open("dirlink", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    ERR(ELOOP, open("loop", O_RDONLY));
    ERR(ELOOP, open("a", O_RDONLY));
    ERR(ELOOP, open("a/x", O_RDONLY));
    ERR(ELOOP, open("a", O_CREAT | O_WRONLY, 0644));
    int fd = OK(open("link", O_PATH | O_NOFOLLOW));
    struct stat st;
    OK(fstat(fd, &st));
    TRUE(S_ISLNK(st.st_mode));
    OK(close(fd));
    OK(close(OK(open("dirlink", O_RDONLY | O_DIRECTORY))));
}

CASE(open_symlink_depth)
{
    char name[16], target[16];

    make_file("l0", "end", 0644);
    for (int i = 1; i <= 41; i++) { /* Linux follows 40 */
        (void)snprintf(name, sizeof(name), "l%d", i);
        (void)snprintf(target, sizeof(target), "l%d", i - 1);
        NEED(symlink(target, name) == 0);
    }
    TRUE(holds("l40", "end"));
    ERR(ELOOP, open("l41", O_RDONLY));
}

CASE(open_access_modes)
{
    char c = 'x';

    make_file("file", "abc", 0644);
    int fd = OK(open("file", O_RDONLY));
    ERR(EBADF, write(fd, &c, 1));
    ERR(EINVAL, ftruncate(fd, 0));
    OK(close(fd));
    fd = OK(open("file", O_WRONLY));
    ERR(EBADF, read(fd, &c, 1));
    EQ(1, write(fd, "X", 1));
    OK(close(fd));
    TRUE(holds("file", "Xbc"));
    fd = OK(open("file", O_PATH));
    ERR(EBADF, read(fd, &c, 1));
    ERR(EBADF, fchmod(fd, 0600));
    OK(close(fd));
    ERR(EBADF, close(fd));
}

CASE(open_truncates)
{
    make_file("file", "something long", 0640);
    struct stat before = stat_of("file");
    tick();
    int fd = OK(open("file", O_WRONLY | O_TRUNC));
    struct stat after = stat_of("file");
    EQ(0, after.st_size);
    EQ(before.st_ino, after.st_ino);
    TRUE(ns_of(after.st_mtim) > ns_of(before.st_mtim));
    TRUE(ns_of(after.st_ctim) > ns_of(before.st_ctim));
    EQ(3, write(fd, "new", 3));
    OK(close(fd));
    TRUE(holds("file", "new"));
    OK(close(OK(creat("file", 0600))));
    EQ(0, stat_of("file").st_size);
    EQ(0640, mode_of("file"));
    OK(close(OK(open("file", O_RDWR | O_TRUNC)))); /* of an empty one */
    EQ(0, stat_of("file").st_size);
}

CASE(open_mode_of_new)
{
    umask(027);
    OK(close(OK(open("a", O_CREAT | O_WRONLY, 0666))));
    EQ(0640, mode_of("a"));
    OK(mkdir("d", 0777));
    EQ(0750, mode_of("d"));
    umask(0);
    OK(close(OK(open("b", O_CREAT | O_WRONLY, 0666))));
    EQ(0666, mode_of("b"));
    OK(close(OK(open("c", O_CREAT | O_WRONLY, 07777))));
    EQ(07777, mode_of("c"));
    OK(mkdir("e", 01777));
    EQ(01777, mode_of("e"));
    OK(symlink("x", "l"));
    EQ(0777, mode_of("l"));
}

/* The mode counts from the next open on: who makes a file may write it. */
CASE(open_mode_without_write)
{
    chmod(".", 0777);
    as(ALICE, STAFF);
    int fd = OK(open("none", O_CREAT | O_RDWR, 0));
    EQ(4, write(fd, "text", 4));
    char buf[4];
    EQ(4, pread(fd, buf, 4, 0));
    OK(fsync(fd));
    OK(close(fd));
    EQ(0, mode_of("none"));
    ERR(EACCES, open("none", O_RDONLY));
    ERR(EACCES, open("none", O_WRONLY));
    fd = OK(open("reads", O_CREAT | O_EXCL | O_WRONLY, 0444));
    EQ(4, write(fd, "text", 4));
    OK(close(fd));
    ERR(EACCES, open("reads", O_WRONLY));
    TRUE(holds("reads", "text"));
    as_root();
    TRUE(holds("none", "text"));
}

CASE(open_keeps_right_after_chmod)
{
    make_owned("file", ALICE, STAFF, 0600);
    as(ALICE, STAFF);
    int fd = OK(open("file", O_RDWR));
    OK(chmod("file", 0));
    EQ(3, pwrite(fd, "new", 3, 0));
    OK(fsync(fd));
    char buf[8];
    EQ(4, pread(fd, buf, sizeof(buf), 0));
    OK(close(fd));
    as_root();
    TRUE(holds("file", "newt"));
}

CASE(open_tmpfile)
{
    int fd = CAN(DIFFER_TMPFILE, open(".", O_TMPFILE | O_RDWR, 0600)) ? 1 : -1;

    (void)fd;
    ERR(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600));
}

CASE(open_noatime)
{
    make_owned("file", ALICE, STAFF, 0644);
    as(ALICE, STAFF);
    OK(close(OK(open("file", O_RDONLY | O_NOATIME))));
    as(BOB, STAFF);
    ERR(EPERM, open("file", O_RDONLY | O_NOATIME));
    OK(close(OK(open("file", O_RDONLY))));
}

/* Two opens have their own offsets; dup and fork share one. */
CASE(open_offsets)
{
    char c = 0;

    make_file("file", "abcdef", 0644);
    int one = OK(open("file", O_RDONLY)), two = OK(open("file", O_RDONLY)), same = OK(dup(one));
    EQ(1, read(one, &c, 1));
    EQ('a', c);
    EQ(1, read(same, &c, 1));
    EQ('b', c);
    EQ(1, read(two, &c, 1));
    EQ('a', c);
    pid_t pid = fork();
    if (pid == 0)
        _exit(read(one, &c, 1) == 1 ? c : 0);
    int status;
    NEED(waitpid(pid, &status, 0) == pid);
    EQ('c', WEXITSTATUS(status));
    EQ(1, read(one, &c, 1));
    EQ('d', c);
    EQ(4, lseek(same, 0, SEEK_CUR));
    OK(close(one));
    EQ(1, read(same, &c, 1));
    EQ('e', c);
}

CASE(open_busy_program)
{
    static char buf[4 << 20];
    int in = OK(open("/proc/self/exe", O_RDONLY));
    ssize_t size = read(in, buf, sizeof(buf));
    int fd = OK(open("program", O_CREAT | O_WRONLY, 0755));

    NEED(size > 0 && write(fd, buf, (size_t)size) == size && close(fd) == 0);
    fd = OK(open("program", O_RDWR));
    char *argv[] = {(char *)"program", (char *)"--differences", NULL}, *env[] = {NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execve("program", argv, env);
        _exit(errno == ETXTBSY ? 3 : 4);
    }
    int status;
    NEED(waitpid(pid, &status, 0) == pid);
    EQ(3, WEXITSTATUS(status)); /* open for writing */
    OK(close(fd));
    OK(chmod("program", 0644));
    ERR(EACCES, execve("program", argv, env));
    OK(chmod("program", 0755));
    ERR(EACCES, execve(".", argv, env));
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        NEED(freopen("/dev/null", "w", stdout) != NULL);
        execve("program", argv, env);
        _exit(4);
    }
    NEED(waitpid(pid, &status, 0) == pid);
    EQ(0, WEXITSTATUS(status));
}
