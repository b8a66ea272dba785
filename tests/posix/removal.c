/* unlink(2), rmdir(2), and what stays open after its name is gone. */
#include "tests/posix/posix.h"

CASE(unlink_errors)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    NEED(symlink("loop", "loop") == 0);
    ERR(ENOENT, unlink("nothing"));
    ERR(ENOENT, unlink(""));
    ERR(ENOENT, unlink("no/x"));
    ERR(ENOTDIR, unlink("file/x"));
    ERR(EISDIR, unlink("dir"));
    ERR(ELOOP, unlink("loop/x"));
    ERR(EFAULT, unlink((const char *)1));
    ERR(EINVAL, unlinkat(AT_FDCWD, "file", 1));
    ERR(ENOTDIR, unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    OK(unlink("loop"));
    OK(unlink("file"));
    ERR(ENOENT, unlink("file"));
    OK(unlinkat(AT_FDCWD, "dir", AT_REMOVEDIR));
}

CASE(unlink_symlink_only)
{
    make_file("file", "x", 0644);
    NEED(symlink("file", "link") == 0);
    OK(unlink("link"));
    TRUE(holds("file", "x"));
    TRUE(!exists("link"));
}

CASE(unlink_and_again)
{
    for (int i = 0; i < 5; i++) {
        make_file("name", "as a file", 0644);
        OK(unlink("name"));
        TRUE(!exists("name"));
        make_dir("name", 0755);
        make_file("name/in", "x", 0644);
        OK(unlink("name/in"));
        OK(rmdir("name"));
        NEED(symlink("target", "name") == 0);
        OK(unlink("name"));
    }
}

CASE(unlink_times)
{
    make_dir("d", 0755);
    make_file("d/f", "x", 0644);
    make_dir("d/s", 0755);
    struct stat before = stat_of("d");
    tick();
    OK(unlink("d/f"));
    struct stat after = stat_of("d");
    TRUE(ns_of(after.st_mtim) > ns_of(before.st_mtim) &&
         ns_of(after.st_ctim) > ns_of(before.st_ctim));
    tick();
    OK(rmdir("d/s"));
    before = stat_of("d");
    TRUE(ns_of(before.st_mtim) > ns_of(after.st_mtim) &&
         ns_of(before.st_ctim) > ns_of(after.st_ctim));
    ERR(ENOENT, unlink("d/f"));
    EQ(ns_of(before.st_mtim), ns_of(stat_of("d").st_mtim));
}

CASE(rmdir_errors)
{
    make_file("file", "x", 0644);
    make_dir("full", 0755);
    make_file("full/f", "x", 0644);
    make_dir("fuller", 0755);
    make_dir("fuller/d", 0755);
    make_dir("linked", 0755);
    NEED(symlink("x", "linked/l") == 0 && symlink("full", "link") == 0);
    ERR(ENOENT, rmdir("nothing"));
    ERR(ENOENT, rmdir(""));
    ERR(ENOENT, rmdir("no/x"));
    ERR(ENOTDIR, rmdir("file"));
    ERR(ENOTDIR, rmdir("file/x"));
    ERR(ENOTDIR, rmdir("link"));
    ERR(ENOTEMPTY, rmdir("full"));
    ERR(ENOTEMPTY, rmdir("fuller"));
    ERR(ENOTEMPTY, rmdir("linked"));
    ERR(EFAULT, rmdir((const char *)1));
    OK(rmdir("fuller/d"));
    OK(rmdir("fuller"));
    ERR(ENOENT, rmdir("fuller"));
}

CASE(rmdir_working_directory)
{
    make_dir("d", 0755);
    NEED(chdir("d") == 0);
    OK(rmdir("../d"));
    ERR(ENOENT, open("x", O_CREAT | O_WRONLY, 0644));
    ERR(ENOENT, mkdir("y", 0755));
    if (posix_mode == LOCAL)
        EQ(0, stat_of(".").st_nlink);
}

static void unlinked_reads_and_writes(int fd)
{
    char buf[16] = "";
    struct stat st;

    EQ(4, pread(fd, buf, sizeof(buf), 0));
    TRUE(strcmp(buf, "text") == 0);
    EQ(6, pwrite(fd, "longer", 6, 2));
    EQ(8, pread(fd, buf, sizeof(buf), 0));
    TRUE(memcmp(buf, "telonger", 8) == 0);
    OK(ftruncate(fd, 3));
    EQ(3, pread(fd, buf, sizeof(buf), 0));
    OK(ftruncate(fd, 100000));
    OK(fsync(fd));
    OK(fchmod(fd, 0600));
    OK(fchown(fd, ALICE, STAFF));
    OK(futimens(fd, (struct timespec[2]){{1000, 1}, {2000, 2}}));
    OK(fstat(fd, &st));
    EQ(100000, st.st_size);
    EQ(0600, st.st_mode & 07777);
    EQ(ALICE, st.st_uid);
    EQ(2000, st.st_mtim.tv_sec);
    if (posix_mode != NFS) /* a client renames it out of the way */
        EQ(0, st.st_nlink);
}

CASE(unlinked_file)
{
    make_file("file", "text", 0644);
    int fd = OK(open("file", O_RDWR));
    OK(unlink("file"));
    TRUE(!exists("file"));
    unlinked_reads_and_writes(fd);
    make_file("file", "another", 0644);
    unlinked_reads_and_writes((OK(ftruncate(fd, 0)), OK((int)pwrite(fd, "text", 4, 0)), fd));
    OK(close(fd));
    TRUE(holds("file", "another"));
}

CASE(unlinked_stored_file)
{
    make_file("file", "text", 0644);
    sync();
    int fd = OK(open("file", O_RDONLY)), again = OK(dup(fd));
    OK(unlink("file"));
    OK(close(fd));
    char buf[8];
    EQ(4, pread(again, buf, sizeof(buf), 0));
    OK(close(again));
}

CASE(unlinked_new_file)
{
    int fd = OK(open("file", O_CREAT | O_EXCL | O_RDWR, 0600));

    OK(unlink("file"));
    EQ(4, write(fd, "text", 4));
    unlinked_reads_and_writes(fd);
    OK(close(fd));
    TRUE(!exists("file"));
}

CASE(unlinked_parent)
{
    make_dir("d", 0755);
    make_file("d/file", "text", 0644);
    int fd = OK(open("d/file", O_RDWR));
    OK(unlink("d/file"));
    if (posix_mode == NFS) /* the client's .nfs file is in there while it is open */
        ERR(ENOTEMPTY, rmdir("d"));
    else
        OK(rmdir("d"));
    unlinked_reads_and_writes(fd);
    OK(close(fd));
    if (posix_mode == NFS)
        OK(rmdir("d"));
    TRUE(!exists("d"));
}

CASE(unlinked_by_rename)
{
    make_file("old", "text", 0644);
    make_file("new", "brand new", 0644);
    int fd = OK(open("old", O_RDWR));
    OK(rename("new", "old"));
    unlinked_reads_and_writes(fd);
    OK(close(fd));
    TRUE(holds("old", "brand new"));
    TRUE(!exists("new"));
}

static void unlinked_many_child(void *arg)
{
    int fds[50];
    char name[16], c;

    (void)arg;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof(name), "m%d", i);
        fds[i] = open(name, O_CREAT | O_RDWR, 0644);
        if (fds[i] < 0 || write(fds[i], "x", 1) != 1 || unlink(name) != 0)
            _exit(1);
    }
    for (int i = 0; i < 50; i++) {
        if (pread(fds[i], &c, 1, 0) != 1 || c != 'x')
            _exit(2);
    }
    _exit(0); /* which closes them */
}

CASE(unlinked_many)
{
    make_dir("d", 0755);
    NEED(chdir("d") == 0);
    EQ(0, in_child(unlinked_many_child, NULL));
    NEED(chdir("..") == 0);
    OK(rmdir("d"));
}
