/* Ways to a file that are seldom gone: /proc/self/fd, sendfile, splice, statx, ioctl, poll, exec.
 */
#include "tests/posix/posix.h"

#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>

CASE(more_reopen)
{
    char path[64], in[8];

    make_file("file", "text", 0644);
    int fd = OK(open("file", O_RDONLY));
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = OK(open(path, O_RDWR));
    EQ(4, pwrite(again, "TEXT", 4, 0));
    OK(close(again));
    TRUE(holds("file", "TEXT"));
    if (posix_mode != NFS) { /* there its name is another one by then, and it is gone */
        OK(unlink("file"));
        again = OK(open(path, O_RDWR));
        EQ(4, pwrite(again, "more", 4, 4));
        EQ(8, pread(fd, in, 8, 0));
        TRUE(memcmp(in, "TEXTmore", 8) == 0);
        OK(close(fd));
        EQ(8, pread(again, in, 8, 0)); /* the last of them */
        OK(ftruncate(again, 2));
        EQ(2, pread(again, in, 8, 0));
        fd = again;
    }
    OK(close(fd));
}

CASE(more_sendfile_and_splice)
{
    static char bytes[100000], in[100000];
    int pipes[2];
    off_t off = 10;
    loff_t at = 5;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 / 7);
    int from = OK(open("from", O_CREAT | O_RDWR, 0644));
    int to = OK(open("to", O_CREAT | O_RDWR, 0644));
    EQ(sizeof(bytes), write(from, bytes, sizeof(bytes)));
    EQ(50000, sendfile(to, from, &off, 50000));
    EQ(50010, off);
    EQ(50000, pread(to, in, sizeof(in), 0));
    TRUE(memcmp(in, bytes + 10, 50000) == 0);
    NEED(pipe(pipes) == 0);
    EQ(4000, splice(from, &at, pipes[1], NULL, 4000, 0));
    at = 100;
    EQ(4000, splice(pipes[0], NULL, to, &at, 4000, 0));
    EQ(4000, pread(to, in, 4000, 100));
    TRUE(memcmp(in, bytes + 5, 4000) == 0);
    EQ(50000, stat_of("to").st_size);
    OK(close(from));
    OK(close(to));
}

CASE(more_statx)
{
    struct statx x;

    make_file("file", "text", 0640);
    struct stat st = stat_of("file");
    OK(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x));
    EQ(STATX_BASIC_STATS, x.stx_mask & STATX_BASIC_STATS);
    EQ(4, x.stx_size);
    EQ(st.st_ino, x.stx_ino);
    EQ(0640, x.stx_mode & 07777);
    EQ(st.st_mtim.tv_nsec, x.stx_mtime.tv_nsec);
    OK(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC, STATX_SIZE, &x));
    EQ(4, x.stx_size);
    int fd = OK(open("file", O_PATH));
    OK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x));
    EQ(st.st_ino, x.stx_ino);
    OK(fchownat(fd, "", ALICE, STAFF, AT_EMPTY_PATH));
    EQ(ALICE, stat_of("file").st_uid);
    OK(close(fd));
    EQ(st.st_dev, stat_of(".").st_dev);
    TRUE(st.st_blksize >= 512);
    TRUE(st.st_blocks <= 4096 / 512);
}

CASE(more_ioctl_and_poll)
{
    int value;

    make_file("file", "text", 0644);
    make_file("other", "", 0644);
    int fd = OK(open("file", O_RDONLY)), other = OK(open("other", O_WRONLY));
    if (posix_mode != LOCAL) { /* programs that ask go on without */
        ERR(ENOTTY, ioctl(fd, FS_IOC_GETFLAGS, &value));
        ERR(EOPNOTSUPP, ioctl(other, FICLONE, fd));
    }
    ERR(ENOTTY, ioctl(fd, 0x5401 /* TCGETS */, &value));
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    EQ(1, poll(&p, 1, 0));
    EQ(POLLIN | POLLOUT, p.revents);
    EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
    EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    OK(readahead(fd, 0, 4096));
    OK(syncfs(fd));
    OK(close(fd));
    OK(close(other));
}

CASE(more_flags_of_descriptor)
{
    make_file("file", "text", 0644);
    int fd = OK(open("file", O_RDWR));
    OK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    EQ(1, write(fd, "1", 1)); /* at 0 otherwise */
    OK(fcntl(fd, F_SETFL, 0));
    EQ(0, lseek(fd, 0, SEEK_SET));
    EQ(1, write(fd, "T", 1));
    OK(close(fd));
    TRUE(holds("file", "Text1"));
}

static void exit_with_descriptor(void *arg)
{
    char *argv[] = {(char *)"true", NULL}, *env[] = {NULL};

    (void)arg;
    execve("/bin/true", argv, env);
    _exit(9);
}

/* A child that inherits a descriptor and ends closes it: nothing happens to the file. */
CASE(more_inherited_descriptor)
{
    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));

    EQ(5, write(fd, "first", 5));
    EQ(0, in_child(exit_with_descriptor, NULL));
    EQ(6, write(fd, "second", 6));
    EQ(0, in_child(exit_with_descriptor, NULL));
    OK(fsync(fd));
    EQ(5, write(fd, "third", 5));
    OK(close(fd));
    TRUE(holds("file", "firstsecondthird"));
}

CASE(more_working_directory)
{
    char cwd[4096], *end;

    make_dir("a", 0755);
    make_dir("a/b", 0755);
    NEED(chdir("a/b") == 0);
    OK(rename("../../a", "../../moved"));
    NEED(getcwd(cwd, sizeof(cwd)));
    end = strstr(cwd, "/moved/b");
    TRUE(end && end[8] == '\0');
    make_file("in", "x", 0644);
    OK(unlink("in"));
    NEED(chdir("../..") == 0);
    TRUE(exists("moved/b"));
    NEED(chdir("moved/b") == 0);
    OK(rmdir("../b"));
    TRUE(!getcwd(cwd, sizeof(cwd)) && errno == ENOENT);
    OK(chdir(".."));
    OK(rmdir("../moved"));
}

CASE(more_truncated_under_reader)
{
    char in[8];

    make_file("file", "something", 0644);
    int reader = OK(open("file", O_RDONLY));
    EQ(4, read(reader, in, 4));
    int writer = OK(open("file", O_WRONLY | O_TRUNC));
    EQ(0, read(reader, in, 4));
    EQ(7, write(writer, "another", 7));
    EQ(3, read(reader, in, 4));
    TRUE(memcmp(in, "her", 3) == 0);
    OK(close(writer));
    OK(close(reader));
}

static void make_and_remove(void *arg)
{
    int made = 0;

    (void)arg;
    for (int i = 0; i < 30; i++) {
        if (mkdir("same", 0755) == 0) {
            made++;
            if (rmdir("same") != 0)
                _exit(1);
        } else if (errno != EEXIST) {
            _exit(2);
        }
    }
    _exit(0);
}

CASE(more_race_for_a_name)
{
    int status;

    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        if (pid == 0)
            make_and_remove(NULL);
        NEED(pid > 0);
    }
    for (int i = 0; i < 4; i++) {
        NEED(wait(&status) > 0);
        EQ(0, status);
    }
    TRUE(!exists("same"));
}

CASE(more_per_call_flags)
{
    struct iovec one = {(char *)"+", 1};
    char in[8];

    make_file("file", "text", 0644);
    int fd = OK(open("file", O_RDWR));
    ssize_t n = pwritev2(fd, &one, 1, 0, RWF_APPEND);
    EQ(1, n);
    EQ(5, pread(fd, in, sizeof(in), 0));
    TRUE(memcmp(in, "text+", 5) == 0);
    EQ(1, pwritev2(fd, &one, 1, 0, RWF_SYNC));
    EQ(5, pread(fd, in, sizeof(in), 0));
    TRUE(memcmp(in, "+ext+", 5) == 0);
    ERR(EOPNOTSUPP, pwritev2(fd, &one, 1, 0, 1 << 30));
    OK(close(fd));
}
