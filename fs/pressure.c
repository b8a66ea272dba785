/*
 * What happens as the state directory fills up.
 *
 * The stage: above three quarters uploads begin at once, and each write is held back for a while
 * that grows with what is used, so that clients come down to the speed of the uploads before there
 * is nothing left. When it is full a write waits until its deadline, then it is told to come back
 * later (JUKEBOX). Only when nothing that is in the stage can be expected to leave it, there is no
 * space.
 *
 * The database: while its disk refuses, nothing is begun that would need it, so its queue is
 * bounded.
 */
#include "fs/fs_int.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/thread.h"

enum {
    PRESSURE_DELAY_MS = 200,      /* of a write, just before the stage is full */
    PRESSURE_WAITERS_MAX = 48,    /* writes that are held back: others need the threads too */
    PRESSURE_POLL_MS = 50,        /* looks for room */
    PRESSURE_PATIENCE_S = 3600,   /* without anything leaving the stage: then it is hopeless */
    PRESSURE_RECENT_S = 10,       /* what left it so lately may not be given back by the disk yet */
    PRESSURE_DISK_PATIENCE_S = 5, /* a disk that refuses the database so long is full */
};

static uint64_t pressure_begin(uint64_t limit)
{
    return limit / 4 * 3;
}

bool pressure_high(struct fs *fs)
{
    struct stage_usage usage;

    stage_get_usage(fs->stage, &usage);
    return usage.live > pressure_begin(usage.limit);
}

void pressure_look(struct fs *fs)
{
    struct stage_usage usage;

    stage_get_usage(fs->stage, &usage);
    LOCK_SCOPE(&fs->room_lock);
    if (usage.live < fs->room_live) {
        fs->room_ns = clock_mono_ns();
        if (fs->room_waiters > 0)
            (void)pthread_cond_broadcast(&fs->room_cond);
    }
    fs->room_live = usage.live;
}

/* How long a write is held back. */
static int64_t pressure_delay_ns(const struct stage_usage *usage)
{
    uint64_t begin = pressure_begin(usage->limit);

    if (usage->live <= begin)
        return 0;
    double part = (double)(usage->live - begin) / (double)(usage->limit - begin + 1);
    return (int64_t)((part < 1 ? part * part : 1) * PRESSURE_DELAY_MS * (double)CLOCK_MS);
}

/* True if its content may leave the stage without somebody doing something about it. */
static bool pressure_may_go(const struct inode *ino)
{
    if (!ino->extents || extent_map_count(ino->extents) == 0 || dirty_silly(ino))
        return false;
    switch (-ino->last_err) {
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENAMETOOLONG:
    case EINVAL:
    case ENOTSUP:
    case EIO:
        return false;
    default:
        return true;
    }
}

/* Nothing that is in the stage is going to leave it. */
static bool pressure_hopeless(struct fs *fs)
{
    const struct inode *ino;
    bool hope = false;

    (void)pthread_mutex_lock(&fs->room_lock);
    int64_t ago = clock_mono_ns() - fs->room_ns;
    (void)pthread_mutex_unlock(&fs->room_lock);
    if (ago > PRESSURE_PATIENCE_S * CLOCK_S || ago < PRESSURE_RECENT_S * CLOCK_S)
        return ago > PRESSURE_PATIENCE_S * CLOCK_S;
    for (struct fs_volume *vol = fs->volumes; vol && !hope; vol = vol->next) {
        vol_lock(vol);
        hope = !STAILQ_EMPTY(&vol->graves) && !vol->mounts->detached;
        TAILQ_FOREACH (ino, &vol->dirty, dirty) {
            if (hope || vol->mounts->detached)
                break;
            hope = pressure_may_go(ino);
        }
        vol_unlock(vol);
    }
    return !hope;
}

/* Waits until something left the stage, or until. False: too many wait already. */
static bool pressure_wait(struct fs *fs, int64_t until)
{
    LOCK_SCOPE(&fs->room_lock);
    if (fs->room_waiters >= PRESSURE_WAITERS_MAX)
        return false;
    fs->room_waiters++;
    (void)thread_cond_wait_until(&fs->room_cond, &fs->room_lock, until);
    fs->room_waiters--;
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int pressure_slow(struct fs *fs, const struct fs_req *req)
{
    struct stage_usage usage;
    int64_t now = clock_mono_ns(), delay_ns;

    stage_get_usage(fs->stage, &usage);
    delay_ns = pressure_delay_ns(&usage);
    if (delay_ns == 0)
        return 0;
    if (req->flags & FS_NOWAIT)
        return -EAGAIN; /* again, on a thread that may wait */
    int64_t until = earlier(now + delay_ns, req->deadline_ns);
    while (clock_mono_ns() < until) {
        if (!pressure_wait(fs, until))
            return -EAGAIN;
        stage_get_usage(fs->stage, &usage);
        if (pressure_delay_ns(&usage) == 0)
            break;
    }
    return 0;
}

int pressure_full(struct fs_volume *vol, const struct fs_req *req)
{
    struct fs *fs = vol->fs;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    for (struct fs_volume *v = fs->volumes; v; v = v->next) {
        vol_lock(v);
        v->flush_all = true;
        vol_unlock(v);
    }
    upload_kick(fs);
    if (pressure_hopeless(fs))
        return -ENOSPC;
    int64_t now = clock_mono_ns();
    if (now >= req->deadline_ns ||
        !pressure_wait(fs, earlier(now + PRESSURE_POLL_MS * CLOCK_MS, req->deadline_ns)))
        return -EAGAIN;
    return -ERESTART;
}

int pressure_db(struct fs *fs)
{
    struct db_health health;
    int err = db_health(fs->db, &health);

    if (err == 0)
        return 0;
    bool full = health.err == -ENOSPC || health.err == -EDQUOT;
    int64_t since = clock_wall_ns() - health.since_ns;
    return full && since > PRESSURE_DISK_PATIENCE_S * CLOCK_S ? -ENOSPC : -EAGAIN;
}

int pressure_change(struct fs_volume *vol, const struct fs_req *req)
{
    if (req->flags & FS_READ_ONLY)
        return -EROFS;
    /* Nobody asked for read-only: it is the credentials that are not good enough. */
    if (vol->read_only)
        return vol->caps.writable || vol->config.read_only ? -EROFS : -EACCES;
    return pressure_db(vol->fs);
}
