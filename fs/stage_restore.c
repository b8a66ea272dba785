/* At start: bytes that a crash of the machine may have taken from a segment are written once more.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/stage_int.h"

static int write_all(int fd, const char *bytes, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 || errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
        bytes += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* A file whose head was lost, or that is not there, gets one again: the salt makes the records that
 * are there still count. */
static int restore_head(int fd, uint64_t salt, bool *changed)
{
    uint64_t found;
    int err = stage_segment_read_head(fd, &found);

    if (err == 0)
        return found == salt ? 0 : -EINVAL;
    if (err == -EPROTO)
        return -EINVAL;
    *changed = true;
    return stage_segment_write_head(fd, salt);
}

/* What is there already stays untouched: after the end of a process all of it is. */
static int restore_record(int fd, const char *record, size_t size, uint64_t at, bool *changed)
{
    CLEANUP_FREE char *now = mem_alloc(size);

    if (pread(fd, now, size, (off_t)at) == (ssize_t)size && memcmp(now, record, size) == 0)
        return 0;
    *changed = true;
    return write_all(fd, record, size, at);
}

/* The segment in the tree, with the size that its file has now. */
static int restore_known(struct stage *stage, uint64_t id, int fd)
{
    struct stage_segment *segment = stage_segment_find(stage, id);
    struct stat st;

    if (fstat(fd, &st))
        return -EIO;
    if (!segment)
        segment = stage_segment_add(stage, id, -1, 0);
    segment->size = (uint64_t)st.st_size;
    return 0;
}

int stage_restore(struct stage *stage, uint64_t id, uint64_t salt, uint64_t pos, const void *data,
                  uint64_t len)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct stage_segment of = {.salt = salt};
    uint64_t head_size = stage_record_head_size(len), at = pos - head_size;
    bool changed = false;
    char name[32];

    if (id == 0 || id >= STAGE_ZEROS || len == 0 || len > STAGE_APPEND_MAX ||
        pos < STAGE_HEAD + head_size || pos > STAGE_SEGMENT_SIZE || at % STAGE_ALIGN != 0)
        return -EINVAL;
    CLEANUP_FREE uint64_t *sums = stage_record_sums(&iov, len);
    CLEANUP_FREE char *record = stage_record_head(&of, at, len, sums);
    record = mem_realloc(record, head_size + len);
    memcpy(record + head_size, data, len);
    stage_segment_name(id, name);
    CLEANUP_CLOSE int fd =
        openat(stage->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
    int err = restore_head(fd, salt, &changed);
    if (!err)
        err = restore_record(fd, record, head_size + len, at, &changed);
    if (!err && changed && (fdatasync(fd) || fsync(stage->dir_fd)))
        err = -EIO;
    LOCK_SCOPE(&stage->lock);
    return err ? err : restore_known(stage, id, fd);
}

uint64_t stage_salt(struct stage *stage, uint64_t id)
{
    LOCK_SCOPE(&stage->lock);
    const struct stage_segment *segment = stage_segment_find(stage, id);
    assert(segment);
    return segment->salt;
}
