/* Bytes in and out of files, and between them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/file_int.h"

enum { DATA_COPY_STEP = 1 << 26, DATA_COPY_BUFFER = 1 << 18 };

int file_write_all(int fd, const void *buf, size_t len, uint64_t off)
{
    const char *at = buf;

    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? file_errno() : -EIO;
        at += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t file_read_some(int fd, void *buf, size_t len, uint64_t off)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = pread(fd, (char *)buf + got, len - got, (off_t)(off + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_errno();
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* Through memory, where the kernel cannot copy between these two. */
static int data_copy_slowly(int src_fd, uint64_t src_off, int dst_fd, uint64_t dst_off,
                            uint64_t len)
{
    CLEANUP_FREE char *buf = mem_alloc(DATA_COPY_BUFFER);

    while (len > 0) {
        size_t want = len < DATA_COPY_BUFFER ? (size_t)len : DATA_COPY_BUFFER;
        ssize_t n = file_read_some(src_fd, buf, want, src_off);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        int err = file_write_all(dst_fd, buf, (size_t)n, dst_off);
        if (err)
            return err;
        src_off += (uint64_t)n;
        dst_off += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

/* Shares the extents of the two files if the filesystem can and the range is aligned for it. */
static bool data_clone(int src_fd, uint64_t src_off, int dst_fd, uint64_t dst_off, uint64_t len)
{
    struct file_clone_range range = {
        .src_fd = src_fd, .src_offset = src_off, .src_length = len, .dest_offset = dst_off};

    return ioctl(dst_fd, FICLONERANGE, &range) == 0;
}

int file_copy_range(int src_fd, uint64_t src_off, int dst_fd, uint64_t dst_off, uint64_t len)
{
    off_t from = (off_t)src_off, to = (off_t)dst_off;

    if (len > 0 && data_clone(src_fd, src_off, dst_fd, dst_off, len))
        return 0;
    while (len > 0) {
        size_t want = len < DATA_COPY_STEP ? (size_t)len : DATA_COPY_STEP;
        ssize_t n = copy_file_range(src_fd, &from, dst_fd, &to, want, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
            return file_errno();
        if (n == 0)
            return -EIO;
        if (n < 0)
            return data_copy_slowly(src_fd, (uint64_t)from, dst_fd, (uint64_t)to, len);
        len -= (uint64_t)n;
    }
    return 0;
}
