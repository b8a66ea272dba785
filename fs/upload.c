/*
 * The upload threads: one pool for all volumes. They take what is due from the dirty lists, and
 * uploads that nobody wants any more.
 *
 * There are as many as there is work for, UPLOAD_THREADS_MAX at most unless configured otherwise:
 * whoever takes something wakes an idle one, or starts one if there is none, to look for more.
 * Those that find nothing for a while end. What they hold in memory is limited apart from that
 * (place_data.c).
 */
#include "fs/fs_int.h"

#include <stdatomic.h>

#include "base/thread.h"

enum {
    UPLOAD_POLL_MS = 500,
    UPLOAD_IDLE_S = 10,
};

static uint32_t upload_threads_max(const struct fs *fs)
{
    return fs->config.uploads ? fs->config.uploads : UPLOAD_THREADS_MAX;
}

/* A store that does not answer must not have all of them. */
static uint32_t upload_volume_max(const struct fs *fs)
{
    uint32_t all = upload_threads_max(fs);

    return all < 4 ? all : all / 4 * 3;
}

void upload_kick(struct fs *fs)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    fs->upload_gen++;
    (void)pthread_cond_signal(&fs->upload_cond);
    (void)pthread_mutex_unlock(&fs->pool_lock);
}

void upload_due(struct fs *fs, int64_t due_ns)
{
    if (due_ns < atomic_load(&fs->upload_next_ns))
        upload_kick(fs);
}

bool upload_stopping(struct fs *fs)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    bool stopping = fs->stopping;
    (void)pthread_mutex_unlock(&fs->pool_lock);
    return stopping;
}

struct upload_work { /* one of ino, mpu */
    struct fs_volume *vol;
    struct inode *ino; /* pinned and marked */
    bool detach;       /* as its flag said when it was taken */
    struct mpu *mpu;   /* to abort */
};

/* Something due of any volume. False: nothing is, until *ret_next_ns. */
static bool upload_take(struct fs *fs, struct upload_work *work, int64_t *ret_next_ns)
{
    int64_t now = clock_mono_ns();

    *work = (struct upload_work){0};
    /* What cannot be made durable cannot be announced; meanwhile the queue must not grow by it. */
    if (db_health(fs->db, NULL))
        return false;
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        vol_lock(vol);
        if (!vol->stopping && vol->uploading < upload_volume_max(fs)) {
            work->ino = dirty_pick(vol, now, ret_next_ns);
            work->mpu = work->ino ? NULL : mpu_abort_take(vol, now, ret_next_ns);
        }
        if (work->ino) {
            work->ino->flags |= INODE_UPLOADING;
            work->detach = work->ino->flags & INODE_DETACH;
            inode_pin(vol, work->ino);
        }
        bool found = work->ino || work->mpu;
        vol->uploading += found;
        vol_unlock(vol);
        work->vol = vol;
        if (found)
            return true;
    }
    return false;
}

static void upload_do(const struct upload_work *work)
{
    if (work->mpu)
        mpu_abort_run(work->vol, work->mpu);
    else if (work->detach)
        detach_run(work->vol, work->ino);
    else
        place_run(work->vol, work->ino);
    vol_lock(work->vol);
    work->vol->uploading--;
    vol_unlock(work->vol);
}

static void *upload_main(void *arg);

/* One more thread, if there may be. pool_lock held. */
static int upload_grow(struct fs *fs)
{
    pthread_t thread;

    if (fs->stopping || fs->uploader_count >= upload_threads_max(fs))
        return 0;
    int err = thread_start(&thread, "upload", upload_main, fs);
    if (err)
        return err;
    (void)pthread_detach(thread); /* the last thing it touches is pool_lock: see upload_stop */
    fs->uploader_count++;
    return 0;
}

/* Somebody else is to look for more. */
static void upload_pass_on(struct fs *fs)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    fs->upload_gen++;
    if (fs->uploaders_idle > 0)
        (void)pthread_cond_signal(&fs->upload_cond);
    else
        (void)upload_grow(fs); /* without one, the next that is done takes what there is */
    (void)pthread_mutex_unlock(&fs->pool_lock);
}

/* Waits for work until next; false: there was none for long enough, and another waits too.
 * pool_lock held. */
static bool upload_idle(struct fs *fs, uint64_t gen, int64_t next, int64_t idle_since)
{
    int64_t end = idle_since + UPLOAD_IDLE_S * CLOCK_S;
    bool watcher = !fs->upload_watched; /* one watches the clock for all */

    if (gen != fs->upload_gen || fs->stopping)
        return true;
    fs->uploaders_idle++;
    fs->upload_watched = true;
    if (watcher)
        atomic_store(&fs->upload_next_ns, next);
    bool woken = thread_cond_wait_until(&fs->upload_cond, &fs->pool_lock, watcher ? next : end);
    fs->uploaders_idle--;
    if (watcher) {
        fs->upload_watched = false;
        atomic_store(&fs->upload_next_ns, INT64_MAX);
    }
    return woken || watcher || clock_mono_ns() < end;
}

static void *upload_main(void *arg)
{
    struct fs *fs = arg;
    int64_t idle_since = clock_mono_ns();
    bool going = true;

    (void)pthread_mutex_lock(&fs->pool_lock);
    while (!fs->stopping && going) {
        uint64_t gen = fs->upload_gen;
        int64_t next = clock_mono_ns() + UPLOAD_POLL_MS * CLOCK_MS;
        struct upload_work work;
        (void)pthread_mutex_unlock(&fs->pool_lock);
        bool found = upload_take(fs, &work, &next);
        if (found) {
            upload_pass_on(fs);
            upload_do(&work);
            idle_since = clock_mono_ns();
        }
        (void)pthread_mutex_lock(&fs->pool_lock);
        if (!found)
            going = upload_idle(fs, gen, next, idle_since);
    }
    fs->uploader_count--;
    (void)pthread_cond_broadcast(&fs->upload_cond);
    (void)pthread_mutex_unlock(&fs->pool_lock);
    return NULL;
}

int upload_start(struct fs *fs)
{
    atomic_store(&fs->upload_next_ns, INT64_MAX);
    (void)pthread_mutex_lock(&fs->pool_lock);
    int err = upload_grow(fs);
    (void)pthread_mutex_unlock(&fs->pool_lock);
    return err;
}

void upload_stop(struct fs *fs)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    fs->stopping = true;
    (void)pthread_cond_broadcast(&fs->pool_cond);
    (void)pthread_cond_broadcast(&fs->upload_cond);
    while (fs->uploader_count > 0)
        (void)thread_cond_wait_until(&fs->upload_cond, &fs->pool_lock, CLOCK_NEVER);
    (void)pthread_mutex_unlock(&fs->pool_lock);
}
