/* A mount from its start to its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fuse/front_int.h"

static void front_init(void *userdata, struct fuse_conn_info *conn)
{
    struct front *front = userdata;

    front->parallel_dirops = conn->capable & FUSE_CAP_PARALLEL_DIROPS;
    conn->max_write = FS_IO_MAX;
    conn->max_readahead = FS_IO_MAX;
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_MAX * 3 / 4;
    /* Content of an inode changes only by us, and then the kernel is told. Without this it drops
     * its pages whenever mtime differs from what it thinks, so after each write of its own. */
    if (!front->config.shared && (conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA)) {
        conn->want |= FUSE_CAP_EXPLICIT_INVAL_DATA;
        conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    }
    conn->want |= conn->capable & (FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_PARALLEL_DIROPS);
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_WRITEBACK_CACHE);
}

static const struct fuse_lowlevel_ops front_ops = {
    .init = front_init,
    .lookup = front_lookup,
    .forget = front_forget,
    .forget_multi = front_forget_multi,
    .getattr = front_getattr,
    .setattr = front_setattr,
    .readlink = front_readlink,
    .mknod = front_mknod,
    .mkdir = front_mkdir,
    .unlink = front_unlink,
    .rmdir = front_rmdir,
    .symlink = front_symlink,
    .rename = front_rename,
    .link = front_link,
    .open = front_open,
    .read = front_read,
    .write = front_write,
    .flush = front_flush,
    .release = front_release,
    .fsync = front_fsync,
    .opendir = front_opendir,
    .readdir = front_readdir,
    .readdirplus = front_readdirplus,
    .releasedir = front_releasedir,
    .fsyncdir = front_fsyncdir,
    .statfs = front_statfs,
    .access = front_access,
    .create = front_create,
    .setxattr = front_setxattr,
    .getxattr = front_getxattr,
    .listxattr = front_listxattr,
    .removexattr = front_removexattr,
    .lseek = front_lseek,
    .fallocate = front_fallocate,
    .copy_file_range = front_copy_file_range,
};

static struct front *front_new(const struct front_config *config)
{
    struct front *front = mem_zalloc(sizeof(*front));

    front->config = *config;
    front->config.mountpoint = front->mountpoint = mem_strdup(config->mountpoint);
    front->config.fsname = front->fsname = mem_strdup(config->fsname);
    front->config.fuse_options = front->fuse_options = mem_strdup(config->fuse_options);
    if (front->config.threads_max == 0)
        front->config.threads_max = THREADS_MAX;
    (void)pthread_mutex_init(&front->loop_lock, NULL);
    (void)pthread_mutex_init(&front->hold_lock, NULL);
    (void)pthread_mutex_init(&front->volume_lock, NULL);
    (void)pthread_mutex_init(&front->invalid_lock, NULL);
    (void)pthread_mutex_init(&front->handle_lock, NULL);
    (void)pthread_mutex_init(&front->page_lock, NULL);
    thread_cond_init(&front->loop_cond);
    thread_cond_init(&front->hold_cond);
    thread_cond_init(&front->invalid_cond);
    TAILQ_INIT(&front->workers);
    TAILQ_INIT(&front->held);
    STAILQ_INIT(&front->invalids);
    atomic_store(&front->volumes[0], config->vol);
    atomic_store(&front->volume_count, 1);
    return front;
}

void front_free(struct front *front)
{
    if (!front)
        return;
    (void)pthread_cond_destroy(&front->loop_cond);
    (void)pthread_cond_destroy(&front->hold_cond);
    (void)pthread_cond_destroy(&front->invalid_cond);
    (void)pthread_mutex_destroy(&front->loop_lock);
    (void)pthread_mutex_destroy(&front->hold_lock);
    (void)pthread_mutex_destroy(&front->volume_lock);
    (void)pthread_mutex_destroy(&front->invalid_lock);
    (void)pthread_mutex_destroy(&front->handle_lock);
    (void)pthread_mutex_destroy(&front->page_lock);
    free(front->mountpoint);
    free(front->fsname);
    free(front->fuse_options);
    free(front);
}

int front_start(const struct front_config *config, struct front **ret, struct front_error *reterr)
{
    struct front *front = front_new(config);
    int err = mount_open(front, &front_ops, reterr);

    if (err)
        goto fail;
    err = invalid_start(front);
    if (!err)
        err = loop_start(front);
    if (err) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "no thread could be started: %s",
                       strerrordesc_np(-err));
        goto fail;
    }
    fs_on_invalid(config->fs, invalid_queue, front);
    log_event(LOG_INFO, "fuse_mounted", "mountpoint=%s fsname=%s", LOG_Q(front->mountpoint),
              LOG_Q(front->fsname));
    *ret = front;
    return 0;
fail:
    invalid_stop(front);
    mount_close(front);
    front_free(front);
    return err;
}

void front_on_end(struct front *front, void (*fn)(void *ctx), void *ctx)
{
    (void)pthread_mutex_lock(&front->loop_lock);
    front->end_ctx = ctx;
    front->end_fn = fn;
    bool late = atomic_load(&front->ended); /* nobody was told */
    (void)pthread_mutex_unlock(&front->loop_lock);
    if (late)
        fn(ctx);
}

void front_stop(struct front *front)
{
    if (!front)
        return;
    if (!atomic_load(&front->ended))
        mount_leave(front);
    atomic_store(&front->stopping, true);
    invalid_stop(front);
    loop_stop(front);
    hold_stop(front);
    handle_free_all(front);
    mount_close(front);
}
