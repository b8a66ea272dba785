/* The upload threads: one pool for all volumes. They take what is due from the dirty lists. */
#include "fs/fs_int.h"

#include "base/thread.h"

enum { UPLOAD_POLL_MS = 500 };

void upload_kick(struct fs *fs)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    fs->upload_gen++;
    (void)pthread_cond_broadcast(&fs->pool_cond);
    (void)pthread_mutex_unlock(&fs->pool_lock);
}

/* Takes one due inode of any volume; it comes pinned and marked. */
static struct inode *upload_take(struct fs *fs, struct fs_volume **ret_vol, int64_t *ret_next_ns)
{
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        vol_lock(vol);
        struct inode *ino = vol->stopping ? NULL : dirty_pick(vol, clock_mono_ns(), ret_next_ns);
        if (ino) {
            ino->flags |= INODE_UPLOADING;
            inode_pin(vol, ino);
        }
        vol_unlock(vol);
        if (ino) {
            *ret_vol = vol;
            return ino;
        }
    }
    return NULL;
}

static void *upload_main(void *arg)
{
    struct fs *fs = arg;

    (void)pthread_mutex_lock(&fs->pool_lock);
    while (!fs->stopping) {
        uint64_t gen = fs->upload_gen;
        int64_t next = clock_mono_ns() + UPLOAD_POLL_MS * CLOCK_MS;
        struct fs_volume *vol;
        (void)pthread_mutex_unlock(&fs->pool_lock);
        struct inode *ino = upload_take(fs, &vol, &next);
        if (ino && (ino->flags & INODE_DETACH))
            detach_run(vol, ino);
        else if (ino)
            place_run(vol, ino);
        (void)pthread_mutex_lock(&fs->pool_lock);
        if (!ino && gen == fs->upload_gen && !fs->stopping)
            (void)thread_cond_wait_until(&fs->pool_cond, &fs->pool_lock, next);
    }
    (void)pthread_mutex_unlock(&fs->pool_lock);
    return NULL;
}

int upload_start(struct fs *fs)
{
    for (size_t i = 0; i < UPLOAD_THREADS; i++) {
        int err = thread_start(&fs->uploaders[i], "upload", upload_main, fs);
        if (err)
            return fs->uploader_count > 0 ? 0 : err;
        fs->uploader_count++;
    }
    return 0;
}

void upload_stop(struct fs *fs)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    fs->stopping = true;
    (void)pthread_cond_broadcast(&fs->pool_cond);
    (void)pthread_mutex_unlock(&fs->pool_lock);
    for (size_t i = 0; i < fs->uploader_count; i++)
        (void)pthread_join(fs->uploaders[i], NULL);
    fs->uploader_count = 0;
}
