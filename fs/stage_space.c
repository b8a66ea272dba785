/*
 * How much the stage may hold. The configured limit is one bound; the disk is another, and its last
 * part is left to the database: without that, bytes that were uploaded could not be given back,
 * since forgetting them takes a transaction.
 */
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fs/stage_int.h"

enum {
    SPACE_LOOK_MS = 50,          /* a look at the disk is good for so long, */
    SPACE_LOOK_BYTES = 1 << 20,  /* or for so many bytes */
    SPACE_SPARE_MAX = 256 << 20, /* left to others on the disk, */
    SPACE_SPARE_PART = 16,       /* or this part of it */
};

void stage_space_look(struct stage *stage)
{
    struct statvfs disk;
    int64_t now = clock_mono_ns();

    if (fstatvfs(stage->dir_fd, &disk))
        return;
    uint64_t spare = (uint64_t)disk.f_blocks * disk.f_frsize / SPACE_SPARE_PART;
    uint64_t free = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (spare > SPACE_SPARE_MAX)
        spare = SPACE_SPARE_MAX;
    LOCK_SCOPE(&stage->lock);
    stage->limit_disk = stage->live + (free > spare ? free - spare : 0);
    stage->looked_ns = now;
    stage->looked_appended = stage->appended;
}

void stage_space_refresh(struct stage *stage)
{
    (void)pthread_mutex_lock(&stage->lock);
    bool old = stage->appended - stage->looked_appended >= SPACE_LOOK_BYTES ||
               clock_coarse_ns() - stage->looked_ns > SPACE_LOOK_MS * CLOCK_MS;
    (void)pthread_mutex_unlock(&stage->lock);
    if (old)
        stage_space_look(stage);
}

uint64_t stage_space_limit(const struct stage *stage)
{
    return stage->limit < stage->limit_disk ? stage->limit : stage->limit_disk;
}
