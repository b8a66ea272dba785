/* The stage: its directory of segments, and appending to them (the rules are in
 * stage_int.h).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/stage_int.h"

static int segment_compare(const struct stage_segment *a, const struct stage_segment *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE(stage_segment_tree, stage_segment, tree, segment_compare)

/* --- segments --- */

void stage_segment_name(uint64_t id, char ret[32])
{
    (void)snprintf(ret, 32, "%016" PRIx64 ".seg", id);
}

struct stage_segment *stage_segment_find(struct stage *stage, uint64_t id)
{
    struct stage_segment key = {.id = id};

    return RB_FIND(stage_segment_tree, &stage->segments, &key);
}

struct stage_segment *stage_segment_add(struct stage *stage, uint64_t id, int fd, uint64_t size)
{
    struct stage_segment *segment = mem_zalloc(sizeof(*segment));

    segment->id = id;
    segment->fd = fd;
    segment->size = size;
    RB_INIT(&segment->spans);
    struct stage_segment *old = RB_INSERT(stage_segment_tree, &stage->segments, segment);
    assert(!old);
    (void)old;
    stage->segment_count++;
    stage->open_count += fd >= 0;
    if (id >= stage->next_id && id != STAGE_NOWHERE)
        stage->next_id = id + 1;
    return segment;
}

void stage_segment_detach(struct stage *stage, struct stage_segment *segment)
{
    assert(segment->pins == 0 && stage->current != segment);
    if (segment->dirty)
        TAILQ_REMOVE(&stage->dirty, segment, dirty_list);
    if (segment->reaping)
        TAILQ_REMOVE(&stage->reap, segment, reap_list);
    RB_REMOVE(stage_segment_tree, &stage->segments, segment);
    stage->segment_count--;
    stage->open_count -= segment->fd >= 0;
    stage->live -= segment->live;
}

void stage_segment_free(struct stage_segment *segment)
{
    if (segment->fd >= 0)
        (void)close(segment->fd);
    stage_spans_clear(segment);
    free(segment->records);
    free(segment->sums);
    free(segment->punched);
    free(segment);
}

int stage_segment_pin(struct stage *stage, struct stage_segment *segment)
{
    char name[32];

    segment->pins++;
    while (segment->fd < 0) {
        stage_segment_name(segment->id, name);
        (void)pthread_mutex_unlock(&stage->lock);
        int fd = openat(stage->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && (errno == EROFS || errno == EACCES)) /* for looking at it */
            fd = openat(stage->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        int err = fd < 0 ? -errno : 0;
        (void)pthread_mutex_lock(&stage->lock);
        if (err) {
            stage_segment_unpin(stage, segment);
            return err;
        }
        if (segment->fd < 0) {
            segment->fd = fd;
            stage->open_count++;
        } else {
            (void)close(fd); /* another thread was faster */
        }
    }
    return 0;
}

void stage_segment_unpin(struct stage *stage, struct stage_segment *segment)
{
    assert(segment->pins > 0);
    if (--segment->pins > 0)
        return;
    if (segment->live == 0 && segment->size > STAGE_HEAD)
        stage_reap_later(stage, segment, stage->current == segment ? STAGE_REAP_DELAY_MS : 0);
    /* Unsynced segments keep their files: an error of writing back is told to open files only. */
    if (stage->open_count > STAGE_OPEN_MAX && segment->fd >= 0 && !segment->dirty &&
        stage->current != segment) {
        (void)close(segment->fd);
        segment->fd = -1;
        stage->open_count--;
    }
}

/* With the lock held: one reference less, and the reaper told if that is work for it. */
static void segment_unref(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                          uint64_t len)
{
    stage_spans_unref(stage, segment, pos, len);
    if (segment->live == 0 && stage->current != segment && segment->pins == 0)
        stage_reap_later(stage, segment, 0);
    else if (segment->live == 0 || segment->died)
        stage_reap_later(stage, segment, STAGE_REAP_DELAY_MS);
}

/* --- appending and reading --- */

/* A new file, with its head. Its descriptor, or -ENOSPC or -EIO. */
static int append_make_file(const struct stage *stage, const char *name, uint64_t salt)
{
    int fd = openat(stage->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
    int err = stage_segment_write_head(fd, salt);
    if (err == 0)
        return fd;
    (void)close(fd);
    (void)unlinkat(stage->dir_fd, name, 0);
    return err;
}

/* Makes a new current segment. With the lock held, which is let go meanwhile. */
static int append_new_segment(struct stage *stage)
{
    uint64_t id = stage->next_id++;
    struct stage_segment *old;
    uint64_t salt = 0;
    char name[32];

    stage->creating = true;
    stage_segment_name(id, name);
    (void)pthread_mutex_unlock(&stage->lock);
    if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
        abort(); /* it cannot be */
    int fd = append_make_file(stage, name, salt);
    (void)pthread_mutex_lock(&stage->lock);
    stage->creating = false;
    (void)pthread_cond_broadcast(&stage->created);
    if (fd < 0)
        return fd;
    old = stage->current;
    stage->current = stage_segment_add(stage, id, fd, STAGE_HEAD);
    stage->current->salt = salt;
    stage->dir_dirty = true;
    if (old && old->live == 0 && old->pins == 0)
        stage_reap_later(stage, old, 0);
    return 0;
}

/* Waits until the current segment has room for len bytes, making it if need be. With the lock held.
 */
static int append_make_room(struct stage *stage, uint64_t len)
{
    uint64_t used = len + stage_record_overhead(len);

    for (;;) {
        const struct stage_segment *segment = stage->current;
        uint64_t limit = stage_space_limit(stage);
        if (stage->live > limit || used > limit - stage->live)
            return -ENOSPC;
        if (segment && stage_record_size(len) <= STAGE_SEGMENT_SIZE - segment->size)
            return 0;
        if (stage->creating) {
            (void)thread_cond_wait_until(&stage->created, &stage->lock, CLOCK_NEVER);
            continue;
        }
        int err = append_new_segment(stage);
        if (err)
            return err;
    }
}

/* Gives out a record of the current segment, pinned: its place, and that of its payload. */
static int append_reserve(struct stage *stage, uint64_t len, const uint64_t *sums,
                          struct stage_segment **ret, uint64_t *ret_at, uint64_t *ret_pos)
{
    struct stage_segment *segment;

    (void)pthread_mutex_lock(&stage->lock);
    int err = append_make_room(stage, len);
    if (err == 0) {
        segment = stage->current;
        segment->pins++; /* the current one's file is always open */
        *ret = segment;
        *ret_at = segment->size;
        *ret_pos = segment->size + stage_record_head_size(len);
        segment->size += stage_record_size(len);
        stage->appended += len;
        stage_record_add(segment, *ret_pos, len, sums);
        stage_spans_add(stage, segment, *ret_pos, len);
    }
    (void)pthread_mutex_unlock(&stage->lock);
    return err;
}

static int append_write(int fd, const struct iovec *iov, int iov_count, uint64_t pos, uint64_t len)
{
    CLEANUP_FREE struct iovec *rest = NULL;

    for (;;) {
        ssize_t n = pwritev(fd, iov, iov_count, (off_t)pos);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
        if ((uint64_t)n == len)
            return 0;
        if (n == 0)
            return -EIO;
        /* A short write: go on with what is left of the vector. */
        if (!rest)
            iov = rest = mem_dup(iov, (size_t)iov_count * sizeof(*iov));
        pos += (uint64_t)n;
        len -= (uint64_t)n;
        struct iovec *at = rest + (iov - rest);
        for (; (size_t)n >= at->iov_len; at++, iov_count--)
            n -= (ssize_t)at->iov_len;
        at->iov_base = (char *)at->iov_base + n;
        at->iov_len -= (size_t)n;
        iov = at;
    }
}

/* The bytes have been written, or not. Their mark, or the error. */
static int append_finish(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                         uint64_t len, int err, uint64_t *ret_mark)
{
    LOCK_SCOPE(&stage->lock);
    if (err == 0 && segment->failed)
        err = -EIO; /* a sync that failed meanwhile may have taken these bytes with it */
    if (err == -EIO && stage->current == segment)
        stage->current = NULL;
    if (err == 0) {
        *ret_mark = ++stage->marks;
        if (!segment->dirty) {
            segment->dirty = true;
            TAILQ_INSERT_TAIL(&stage->dirty, segment, dirty_list);
        }
        if (segment->size - segment->written_back >= STAGE_WRITEBACK)
            stage_reap_later(stage, segment, 0);
    } else {
        segment_unref(stage, segment, pos, len);
    }
    stage_segment_unpin(stage, segment);
    return err;
}

/* Head and payload of a record, as one vector. */
static struct iovec *append_vector(void *head, size_t head_len, const struct iovec *iov,
                                   int iov_count)
{
    struct iovec *all = mem_array((size_t)iov_count + 1, sizeof(*all));

    all[0] = (struct iovec){.iov_base = head, .iov_len = head_len};
    memcpy(all + 1, iov, (size_t)iov_count * sizeof(*iov));
    return all;
}

int stage_append(struct stage *stage, const struct iovec *iov, int iov_count, uint64_t *ret_segment,
                 uint64_t *ret_pos, uint64_t *ret_mark)
{
    CLEANUP_FREE uint64_t *sums = NULL;
    CLEANUP_FREE void *head = NULL;
    CLEANUP_FREE struct iovec *all = NULL;
    struct stage_segment *segment;
    uint64_t len = 0, at, pos;

    for (int i = 0; i < iov_count; i++)
        len += iov[i].iov_len;
    if (len == 0 || len > STAGE_APPEND_MAX)
        return -EINVAL;
    sums = stage_record_sums(iov, len);
    stage_space_refresh(stage);
    int err = append_reserve(stage, len, sums, &segment, &at, &pos);
    if (err)
        return err;
    uint64_t id = segment->id;
    head = stage_record_head(segment, at, len, sums);
    all = append_vector(head, pos - at, iov, iov_count);
    err = append_write(segment->fd, all, iov_count + 1, at, pos - at + len);
    err = append_finish(stage, segment, pos, len, err, ret_mark);
    if (err)
        return err;
    *ret_segment = id;
    *ret_pos = pos;
    return 0;
}

/* --- references --- */

void stage_ref(struct stage *stage, uint64_t id, uint64_t pos, uint64_t len)
{
    if (id == STAGE_ZEROS)
        return;
    LOCK_SCOPE(&stage->lock);
    struct stage_segment *segment = stage_segment_find(stage, id);
    assert(segment);
    if (len > 0)
        stage_spans_ref(stage, segment, pos, len);
}

void stage_unref(struct stage *stage, uint64_t id, uint64_t pos, uint64_t len)
{
    if (id == STAGE_ZEROS)
        return;
    LOCK_SCOPE(&stage->lock);
    struct stage_segment *segment = stage_segment_find(stage, id);
    assert(segment);
    if (len > 0)
        segment_unref(stage, segment, pos, len);
}

void stage_get_usage(struct stage *stage, struct stage_usage *ret)
{
    stage_space_refresh(stage);
    LOCK_SCOPE(&stage->lock);
    *ret = (struct stage_usage){
        .live = stage->live, .limit = stage_space_limit(stage), .segments = stage->segment_count};
}
