/* Bytes of a file: append, direct, holes, large offsets, allocation, copies. */
#include "tests/posix/posix.h"

#include <linux/falloc.h>
#include <sys/uio.h>
#include <sys/wait.h>

CASE(append_to_end)
{
    make_file("file", "abc", 0644);
    int fd = OK(open("file", O_RDWR | O_APPEND)), other = OK(open("file", O_WRONLY));
    EQ(1, write(fd, "1", 1));
    OK(lseek(fd, 0, SEEK_SET) == 0 ? 0 : -1);
    EQ(1, write(fd, "2", 1));
    EQ(5, lseek(fd, 0, SEEK_CUR));
    EQ(1, pwrite(other, "x", 1, 7));
    EQ(1, write(fd, "3", 1));
    EQ(1, pwrite(fd, "4", 1, 0)); /* Linux: appends */
    OK(ftruncate(fd, 2));
    EQ(1, write(fd, "5", 1));
    OK(close(fd));
    OK(close(other));
    TRUE(holds("file", "ab5"));
}

enum { APPENDERS = 4, APPENDS = 100, APPEND_BYTES = 16 };

static void append_many(int who)
{
    char line[APPEND_BYTES + 1];
    int fd = open("log", O_WRONLY | O_APPEND | O_CREAT, 0644);

    for (int i = 0; i < APPENDS; i++) {
        (void)snprintf(line, sizeof(line), "%d %013d\n", who, i);
        if (write(fd, line, APPEND_BYTES) != APPEND_BYTES)
            _exit(1);
    }
    _exit(close(fd) == 0 ? 0 : 2);
}

/* No line is lost, torn, or in another order than its writer wrote it. */
CASE(append_from_processes)
{
    char line[APPEND_BYTES + 1] = "";
    int status, next[APPENDERS] = {0};

    for (int i = 0; i < APPENDERS; i++) {
        pid_t pid = fork();
        if (pid == 0)
            append_many(i);
        NEED(pid > 0);
    }
    for (int i = 0; i < APPENDERS; i++) {
        NEED(wait(&status) > 0);
        EQ(0, status);
    }
    EQ(APPENDERS * APPENDS * APPEND_BYTES, stat_of("log").st_size);
    int fd = OK(open("log", O_RDONLY));
    while (read(fd, line, APPEND_BYTES) == APPEND_BYTES) {
        int who = line[0] - '0';
        NEED(who >= 0 && who < APPENDERS && line[1] == ' ' && line[APPEND_BYTES - 1] == '\n');
        EQ(next[who], strtoll(line + 2, NULL, 10));
        next[who]++;
    }
    OK(close(fd));
}

CASE(write_and_read_back)
{
    static char out[300000], in[300001];

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 7 + i / 4096);
    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));
    EQ(sizeof(out), write(fd, out, sizeof(out)));
    EQ(sizeof(out), pread(fd, in, sizeof(in), 0));
    TRUE(memcmp(in, out, sizeof(out)) == 0);
    EQ(10, pwrite(fd, "0123456789", 10, 4090)); /* over the edge of a page */
    EQ(20, pread(fd, in, 20, 4085));
    TRUE(memcmp(in + 5, "0123456789", 10) == 0 && in[4] == out[4089] && in[15] == out[4100]);
    EQ(0, pread(fd, in, 1, sizeof(out)));
    EQ(0, pread(fd, in, 1, 1 << 30));
    EQ(0, write(fd, in, 0));
    EQ(sizeof(out), stat_of("file").st_size);
    struct iovec parts[3] = {{(char *)"ab", 2}, {(char *)"", 0}, {(char *)"cde", 3}};
    EQ(5, pwritev(fd, parts, 3, 100));
    EQ(5, pread(fd, in, 5, 100));
    TRUE(memcmp(in, "abcde", 5) == 0);
    ERR(EINVAL, pread(fd, in, 1, -1));
    ERR(EINVAL, pwrite(fd, in, 1, -1));
    ERR(EFAULT, pread(fd, nowhere, 10, 0));
    ERR(EFAULT, pwrite(fd, nowhere, 10, 0));
    OK(fsync(fd));
    OK(fdatasync(fd));
    OK(sync_file_range(fd, 0, 0, 0));
    OK(close(fd));
    fd = OK(open("file", O_RDONLY));
    OK(fsync(fd));
    OK(close(fd));
    ERR(EBADF, fsync(fd));
}

CASE(seek_errors)
{
    make_file("file", "abc", 0644);
    int fd = OK(open("file", O_RDWR));
    ERR(EINVAL, lseek(fd, -1, SEEK_SET));
    ERR(EINVAL, lseek(fd, 0, 99));
    ERR(EINVAL, lseek(fd, -4, SEEK_END));
    EQ(3, lseek(fd, 0, SEEK_END));
    EQ(13, lseek(fd, 10, SEEK_CUR));
    EQ(3, stat_of("file").st_size);
    ERR(ENXIO, lseek(fd, 3, SEEK_DATA));
    ERR(ENXIO, lseek(fd, 4, SEEK_HOLE));
    EQ(3, lseek(fd, 0, SEEK_HOLE));
    EQ(1, lseek(fd, 1, SEEK_DATA));
    OK(close(fd));
    ERR(EBADF, lseek(fd, 0, SEEK_SET));
}

CASE(hole_reads_zero)
{
    static char in[8192], zero[8192];

    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));
    EQ(3, pwrite(fd, "end", 3, 1 << 20));
    EQ(8192, pread(fd, in, 8192, 0));
    TRUE(memcmp(in, zero, 8192) == 0);
    EQ(8192, pread(fd, in, 8192, (1 << 20) - 8189));
    TRUE(memcmp(in, zero, 8189) == 0 && memcmp(in + 8189, "end", 3) == 0);
    EQ(5, pwrite(fd, "start", 5, 0));
    EQ(8192, pread(fd, in, 8192, 0));
    TRUE(memcmp(in, "start", 5) == 0 && memcmp(in + 5, zero, 8000) == 0);
    if (!differs(DIFFER_SEEK)) {
        TRUE(lseek(fd, 0, SEEK_HOLE) >= 5 && lseek(fd, 0, SEEK_HOLE) <= 1 << 20);
        TRUE(lseek(fd, 200000, SEEK_DATA) >= 200000 && lseek(fd, 200000, SEEK_DATA) <= 1 << 20);
    }
    EQ((1 << 20) + 3, lseek(fd, 1 << 20, SEEK_HOLE));
    OK(close(fd));
    EQ((1 << 20) + 3, stat_of("file").st_size);
}

CASE(offset_64_bits)
{
    int64_t far = INT64_C(5) << 30;
    char in[4];

    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));
    EQ(3, pwrite(fd, "far", 3, far));
    EQ(3, pread(fd, in, 4, far));
    TRUE(memcmp(in, "far", 3) == 0);
    EQ(far + 3, stat_of("file").st_size);
    EQ(far + 3, lseek(fd, 0, SEEK_END));
    EQ(4, pread(fd, in, 4, (INT64_C(1) << 32) + 5));
    EQ(0, in[0]);
    OK(ftruncate(fd, far + 1));
    EQ(1, pread(fd, in, 4, far));
    OK(ftruncate(fd, 1)); /* nobody has to send 5 GiB */
    OK(close(fd));
}

CASE(offset_too_large)
{
    int64_t most = INT64_C(1) << 46;

    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));
    CAN(DIFFER_HUGE, ftruncate(fd, most + 1));
    if (differs(DIFFER_HUGE) && posix_mode == FUSE)
        ERR(EFBIG, pwrite(fd, "x", 1, most));
    OK(ftruncate(fd, 0));
    OK(close(fd));
}

CASE(direct_io)
{
    char *buf = aligned_alloc(4096, 16384);

    NEED(buf);
    memset(buf, 'd', 16384);
    int fd = open("file", O_CREAT | O_RDWR | O_DIRECT, 0644);
    if (fd < 0 && errno == EINVAL && posix_mode == LOCAL)
        posix_skip("no O_DIRECT on this kernel's tmpfs");
    NEED(fd >= 0);
    EQ(8192, pwrite(fd, buf, 8192, 0));
    EQ(8192, pwrite(fd, buf, 8192, 16384));
    EQ(24576, stat_of("file").st_size);
    memset(buf, 'x', 16384);
    EQ(16384, pread(fd, buf, 16384, 0));
    TRUE(buf[0] == 'd' && buf[8191] == 'd' && buf[8192] == 0 && buf[16383] == 0);
    int plain = OK(open("file", O_RDWR));
    EQ(4, pwrite(plain, "page", 4, 0)); /* and what goes through the cache is seen */
    EQ(4096, pread(fd, buf, 4096, 0));
    TRUE(memcmp(buf, "paged", 5) == 0);
    memset(buf, 'e', 4096);
    EQ(4096, pwrite(fd, buf, 4096, 0));
    EQ(4, pread(plain, buf + 8192, 4, 0));
    TRUE(memcmp(buf + 8192, "eeee", 4) == 0);
    OK(close(plain));
    OK(close(fd));
    free(buf);
}

CASE(sync_io)
{
    int fd = OK(open("file", O_CREAT | O_WRONLY | O_SYNC, 0644));
    EQ(4, write(fd, "sync", 4));
    OK(close(fd));
    fd = OK(open("file", O_WRONLY | O_DSYNC | O_APPEND));
    EQ(5, write(fd, "dsync", 5));
    OK(close(fd));
    TRUE(holds("file", "syncdsync"));
}

CASE(allocate)
{
    char in[16], zero[16] = "";

    make_file("file", "0123456789", 0644);
    int fd = OK(open("file", O_RDWR));
    if (!CAN(DIFFER_ALLOCATE, fallocate(fd, 0, 0, 20)))
        return;
    EQ(20, stat_of("file").st_size);
    OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
    EQ(20, stat_of("file").st_size);
    OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3));
    EQ(10, pread(fd, in, 10, 0));
    TRUE(memcmp(in,
                "01\0\0\0"
                "56789",
                10) == 0);
    OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8, 1000));
    EQ(20, stat_of("file").st_size);
    EQ(12, pread(fd, in, 12, 8));
    TRUE(memcmp(in, zero, 12) == 0);
    if (posix_mode != LOCAL) { /* tmpfs has none */
        OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 1));
        OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 18, 12));
        EQ(30, stat_of("file").st_size);
        EQ(1, pread(fd, in, 1, 0));
        EQ(0, in[0]);
    }
    ERR(EINVAL, fallocate(fd, 0, -1, 5));
    ERR(EINVAL, fallocate(fd, 0, 5, 0));
    ERR(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 5));
    ERR(differ_errno(DIFFER_COLLAPSE), fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    ERR(differ_errno(DIFFER_COLLAPSE), fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
    OK(posix_fallocate(fd, 0, 10));
    OK(close(fd));
    fd = OK(open("file", O_RDONLY));
    ERR(EBADF, fallocate(fd, 0, 0, 100));
    OK(close(fd));
    fd = OK(open(".", O_RDONLY));
    ERR(EBADF, fallocate(fd, 0, 0, 100));
    OK(close(fd));
}

CASE(copy_range)
{
    char in[16];
    off_t from = 2, to = 5;

    make_file("a", "0123456789", 0644);
    make_file("b", "abcdefghij", 0644);
    int a = OK(open("a", O_RDONLY)), b = OK(open("b", O_RDWR));
    EQ(3, copy_file_range(a, &from, b, &to, 3, 0));
    EQ(5, from);
    EQ(8, to);
    EQ(10, pread(b, in, sizeof(in), 0));
    TRUE(memcmp(in, "abcde234ij", 10) == 0);
    from = 8, to = 10;
    EQ(2, copy_file_range(a, &from, b, &to, 100, 0)); /* to the end of the source */
    EQ(12, stat_of("b").st_size);
    EQ(0, copy_file_range(a, &from, b, &to, 100, 0));
    from = 0, to = 1;
    ERR(EINVAL, copy_file_range(b, &from, b, &to, 5, 0)); /* overlapping */
    ERR(EBADF, copy_file_range(b, NULL, a, NULL, 5, 0));
    int dir = OK(open(".", O_RDONLY));
    ERR(EISDIR, copy_file_range(dir, NULL, b, NULL, 5, 0));
    int all = OK(open("c", O_CREAT | O_RDWR, 0644));
    from = 0;
    EQ(10, copy_file_range(a, &from, all, NULL, 10, 0));
    TRUE(holds("c", "0123456789"));
    OK(close(a));
    OK(close(b));
    OK(close(all));
    OK(close(dir));
}

CASE(bytes_after_rename)
{
    char in[8];

    make_file("a", "before", 0644);
    int fd = OK(open("a", O_RDWR));
    OK(rename("a", "b"));
    EQ(2, pwrite(fd, "BE", 2, 0));
    OK(close(fd));
    TRUE(holds("b", "BEfore"));
    fd = OK(open("b", O_RDWR | O_TRUNC));
    OK(rename("b", "c"));
    EQ(5, write(fd, "after", 5));
    OK(rename("c", "d"));
    EQ(5, pread(fd, in, sizeof(in), 0));
    OK(close(fd));
    TRUE(holds("d", "after"));
    TRUE(!exists("c"));
}
