/*
 * Telling the kernel what it must not believe any more. fs calls with its locks held, so what it
 * says is queued; a thread of its own sends it, since the kernel may hold a lock that it lets go of
 * only when a request is answered.
 */
#include <string.h>

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fuse/front_int.h"

struct invalid {
    STAILQ_ENTRY(invalid) link;
    fuse_ino_t node;
    size_t name_len; /* 0: attributes and pages of the node */
    char name[];
};

void invalid_queue(void *arg, void *req_ctx, struct fs_volume *vol, uint64_t ino, const char *name)
{
    struct front *front = arg;
    size_t len = name ? strlen(name) : 0;

    if (req_ctx == front) /* the kernel asked for it, and knows */
        return;
    struct invalid *i = mem_zalloc(sizeof(*i) + len + 1);
    i->node = node_id(front, vol, ino);
    i->name_len = len;
    if (name)
        memcpy(i->name, name, len);
    (void)pthread_mutex_lock(&front->invalid_lock);
    if (front->invalid_running && !front->invalid_stop && front->invalid_count < INVALID_MAX) {
        STAILQ_INSERT_TAIL(&front->invalids, i, link);
        front->invalid_count++;
        (void)pthread_cond_signal(&front->invalid_cond);
        i = NULL;
    }
    (void)pthread_mutex_unlock(&front->invalid_lock);
    free(i);
}

static void invalid_send(struct front *front, const struct invalid *i)
{
    int err = i->name_len > 0
                  ? fuse_lowlevel_notify_inval_entry(front->session, i->node, i->name, i->name_len)
                  : fuse_lowlevel_notify_inval_inode(front->session, i->node, 0, 0);

    if (err && err != -ENOENT && err != -ENOTDIR && err != -ENODEV)
        log_event(LOG_DEBUG, "fuse_invalid", "node=%lu err=%s", (unsigned long)i->node,
                  strerrordesc_np(-err));
}

static void *invalid_main(void *arg)
{
    struct front *front = arg;
    struct invalid *i;

    (void)pthread_mutex_lock(&front->invalid_lock);
    for (;;) {
        while (STAILQ_EMPTY(&front->invalids) && !front->invalid_stop)
            (void)thread_cond_wait_until(&front->invalid_cond, &front->invalid_lock, CLOCK_NEVER);
        if (front->invalid_stop)
            break;
        i = STAILQ_FIRST(&front->invalids);
        STAILQ_REMOVE_HEAD(&front->invalids, link);
        front->invalid_count--;
        (void)pthread_mutex_unlock(&front->invalid_lock);
        invalid_send(front, i);
        free(i);
        (void)pthread_mutex_lock(&front->invalid_lock);
    }
    (void)pthread_mutex_unlock(&front->invalid_lock);
    return NULL;
}

int invalid_start(struct front *front)
{
    int err = thread_start(&front->invalid_thread, "pailfs-inval", invalid_main, front);

    (void)pthread_mutex_lock(&front->invalid_lock);
    front->invalid_running = !err;
    (void)pthread_mutex_unlock(&front->invalid_lock);
    return err;
}

void invalid_stop(struct front *front)
{
    struct invalid *i;

    (void)pthread_mutex_lock(&front->invalid_lock);
    bool running = front->invalid_running;
    front->invalid_stop = true;
    front->invalid_running = false;
    (void)pthread_cond_signal(&front->invalid_cond);
    (void)pthread_mutex_unlock(&front->invalid_lock);
    if (running)
        (void)pthread_join(front->invalid_thread, NULL);
    while ((i = STAILQ_FIRST(&front->invalids))) {
        STAILQ_REMOVE_HEAD(&front->invalids, link);
        free(i);
    }
}
