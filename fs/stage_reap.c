/*
 * Giving space back: a thread that removes segments whose bytes are all dead, and punches holes
 * where whole pages of living ones are. Bytes die under the locks of files, so it cannot be done at
 * once; and as segments often die soon after their first bytes, a short wait saves most of the
 * punching.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "fs/stage_int.h"

void stage_reap_later(struct stage *stage, struct stage_segment *segment, int64_t delay_ms)
{
    int64_t due = clock_mono_ns() + delay_ms * CLOCK_MS;

    if (segment->reaping && segment->reap_ns <= due)
        return;
    if (!segment->reaping)
        TAILQ_INSERT_TAIL(&stage->reap, segment, reap_list);
    segment->reaping = true;
    segment->reap_ns = due;
    (void)pthread_cond_signal(&stage->reap_work);
}

/* Without the lock. False: the file system cannot. */
static bool holes_punch(int fd, const struct stage_hole *holes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)holes[i].from,
                      (off_t)(holes[i].to - holes[i].from)) &&
            (errno == EOPNOTSUPP || errno == ENOSYS))
            return false;
    }
    return true;
}

/* With the lock held, which is let go while the disk works. */
static void reap_holes(struct stage *stage, struct stage_segment *segment)
{
    size_t count;

    if (stage->no_punch || segment->damaged || !segment->died || stage_segment_pin(stage, segment))
        return;
    struct stage_hole *holes = stage_spans_take_holes(segment, &count);
    int fd = segment->fd;
    (void)pthread_mutex_unlock(&stage->lock);
    bool can = holes_punch(fd, holes, count);
    free(holes);
    (void)pthread_mutex_lock(&stage->lock);
    stage->no_punch = stage->no_punch || !can;
    stage_segment_unpin(stage, segment);
}

/* Begins to write back what was appended, so that the sync of a small file does not wait for all of
 * a large one. With the lock held, which is let go while the disk works. */
static void reap_write_back(struct stage *stage, struct stage_segment *segment)
{
    uint64_t from = segment->written_back, to = segment->size;

    if (to - from < STAGE_WRITEBACK || !segment->dirty || stage_segment_pin(stage, segment))
        return;
    segment->written_back = to;
    int fd = segment->fd;
    (void)pthread_mutex_unlock(&stage->lock);
    (void)sync_file_range(fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
    (void)pthread_mutex_lock(&stage->lock);
    stage_segment_unpin(stage, segment);
}

/* With the lock held, which is let go while the disk works. */
static void reap_remove(struct stage *stage, struct stage_segment *segment)
{
    char name[32];

    if (stage->current == segment)
        stage->current = NULL;
    stage_segment_name(segment->id, name);
    stage_segment_detach(stage, segment);
    (void)pthread_mutex_unlock(&stage->lock);
    if (unlinkat(stage->dir_fd, name, 0) && errno != ENOENT)
        log_event(LOG_WARN, "stage_unlink_failed", "segment=%s err=%s", name,
                  LOG_Q(strerrordesc_np(errno)));
    stage_segment_free(segment); /* closes the file, which frees its blocks */
    (void)pthread_mutex_lock(&stage->lock);
}

static void reap_segment(struct stage *stage, struct stage_segment *segment)
{
    TAILQ_REMOVE(&stage->reap, segment, reap_list);
    segment->reaping = false;
    if (segment->live > 0) {
        reap_write_back(stage, segment);
        reap_holes(stage, segment);
    } else if (segment->pins == 0 && segment->size > STAGE_HEAD) {
        reap_remove(stage, segment);
    }
    /* Otherwise it is in use: when its last pin goes, it is noted again. */
}

/* The segment that is due first, or NULL. */
static struct stage_segment *reap_first(struct stage *stage)
{
    struct stage_segment *segment, *first = NULL;

    TAILQ_FOREACH (segment, &stage->reap, reap_list) {
        if (!first || segment->reap_ns < first->reap_ns)
            first = segment;
    }
    return first;
}

void *stage_reap_main(void *arg)
{
    struct stage *stage = arg;

    (void)pthread_mutex_lock(&stage->lock);
    while (!stage->stop) {
        struct stage_segment *segment = stage->recovered ? reap_first(stage) : NULL;
        if (!segment)
            (void)thread_cond_wait_until(&stage->reap_work, &stage->lock, CLOCK_NEVER);
        else if (segment->reap_ns > clock_mono_ns())
            (void)thread_cond_wait_until(&stage->reap_work, &stage->lock, segment->reap_ns);
        else
            reap_segment(stage, segment);
    }
    (void)pthread_mutex_unlock(&stage->lock);
    return NULL;
}
