/*
 * Making appended bytes durable. One thread at a time syncs, for all who wait; those who come while
 * it does so wait for the next round, which takes everything that has been written by then.
 *
 * After a failed sync the kernel may have dropped the pages, and a second try would report success
 * for bytes that are gone. So a failure stays: every mark that was not durable then gets the error
 * for ever, and the segment takes no more bytes.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/stage_int.h"

/* What one round does. */
struct sync_round {
    struct stage_segment **segments; /* pinned */
    size_t count;
    bool dir;
};

/* With the lock held: takes all that is dirty. */
static void round_begin(struct stage *stage, struct sync_round *round)
{
    struct stage_segment *segment;
    size_t count = 0;

    TAILQ_FOREACH (segment, &stage->dirty, dirty_list) {
        count++;
    }
    round->segments = mem_array(count, sizeof(struct stage_segment *));
    round->count = 0;
    while ((segment = TAILQ_FIRST(&stage->dirty))) {
        TAILQ_REMOVE(&stage->dirty, segment, dirty_list);
        segment->dirty = false;
        segment->pins++; /* its file is open: unsynced segments keep theirs */
        round->segments[round->count++] = segment;
    }
    round->dir = stage->dir_dirty;
    stage->dir_dirty = false;
}

/* Without the lock. Segments whose sync failed go to the front; ret_failed: how many. */
static int round_sync(struct stage *stage, struct sync_round *round, size_t *ret_failed)
{
    int err = 0;

    *ret_failed = 0;
    for (size_t i = 0; i < round->count; i++) {
        if (fdatasync(round->segments[i]->fd) == 0)
            continue;
        err = -errno;
        struct stage_segment *failed = round->segments[i];
        round->segments[i] = round->segments[*ret_failed];
        round->segments[(*ret_failed)++] = failed;
    }
    if (round->dir && fsync(stage->dir_fd))
        err = -errno;
    return err;
}

static void failure_add(struct stage *stage, uint64_t after, uint64_t upto, int err)
{
    struct stage_failure *list = stage->failures;

    if (stage->failure_count > 0 && list[stage->failure_count - 1].upto == after) {
        list[stage->failure_count - 1].upto = upto;
        return;
    }
    if (stage->failure_count == STAGE_FAILURES_MAX) {
        /* What lies between the two oldest was durable long ago and nobody asks any more. */
        list[1].after = list[0].after;
        stage->failure_count--;
        for (uint32_t i = 0; i < stage->failure_count; i++)
            list[i] = list[i + 1];
    }
    list[stage->failure_count++] = (struct stage_failure){after, upto, err};
}

/* Of any mark in [first, last]. */
static int failure_find(const struct stage *stage, uint64_t first, uint64_t last)
{
    for (uint32_t i = stage->failure_count; i > 0; i--) {
        const struct stage_failure *failure = &stage->failures[i - 1];
        if (first > failure->upto)
            break;
        if (last > failure->after)
            return failure->err;
    }
    return 0;
}

/* With the lock held, which is let go while the disk works. */
static void sync_run(struct stage *stage)
{
    uint64_t target = stage->marks;
    struct sync_round round;
    size_t failed;

    stage->syncing = true;
    round_begin(stage, &round);
    (void)pthread_mutex_unlock(&stage->lock);
    int err = round_sync(stage, &round, &failed);
    (void)pthread_mutex_lock(&stage->lock);
    for (size_t i = 0; i < failed; i++) {
        round.segments[i]->failed = true;
        if (stage->current == round.segments[i])
            stage->current = NULL;
    }
    for (size_t i = 0; i < round.count; i++)
        stage_segment_unpin(stage, round.segments[i]);
    free(round.segments);
    if (err) {
        /* Bytes that were written meanwhile may have gone down with the others. */
        target = stage->marks;
        failure_add(stage, stage->synced, target, err);
        stage->dir_dirty = stage->dir_dirty || round.dir;
    }
    stage->synced = target;
    stage->syncing = false;
    (void)pthread_cond_broadcast(&stage->sync_done);
}

int stage_sync(struct stage *stage, uint64_t first, uint64_t mark)
{
    (void)pthread_mutex_lock(&stage->lock);
    assert(first <= mark && mark <= stage->marks);
    while (stage->synced < mark) {
        if (stage->syncing)
            (void)thread_cond_wait_until(&stage->sync_done, &stage->lock, CLOCK_NEVER);
        else
            sync_run(stage);
    }
    int err = failure_find(stage, first, mark);
    (void)pthread_mutex_unlock(&stage->lock);
    return err;
}
