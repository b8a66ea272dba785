/* Replies that wait until what they say is durable, without a thread that waits with them. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"
#include "fuse/front_int.h"

static void hold_send(struct held *h)
{
    int err = 0;

    if (h->err) {
        err = fuse_reply_err(h->req, h->err);
    } else if (h->kind == HELD_ERR) {
        err = fuse_reply_err(h->req, 0);
    } else if (h->kind == HELD_ENTRY) {
        err = fuse_reply_entry(h->req, &h->entry);
    } else if (h->kind == HELD_ATTR) {
        err = fuse_reply_attr(h->req, &h->entry.attr, h->attr_timeout);
    } else if (h->kind == HELD_WRITE) {
        err = fuse_reply_write(h->req, h->count);
    } else {
        err = fuse_reply_create(h->req, &h->entry, &h->fi);
    }
    if (h->kind == HELD_CREATE && (err || h->err)) { /* nobody will release it */
        struct handle *handle = (struct handle *)(uintptr_t)h->fi.fh;
        fs_release(handle->vol, handle->ino);
        handle_free(handle);
    }
    free(h);
}

/* Takes what may go now; seq UINT64_MAX: all. */
static void hold_release(struct front *front, uint64_t seq, int err)
{
    struct held_list ready = TAILQ_HEAD_INITIALIZER(ready);
    struct held *h;

    (void)pthread_mutex_lock(&front->hold_lock);
    while ((h = TAILQ_FIRST(&front->held)) && h->seq <= seq) {
        TAILQ_REMOVE(&front->held, h, link);
        TAILQ_INSERT_TAIL(&ready, h, link);
    }
    front->sending++;
    (void)pthread_mutex_unlock(&front->hold_lock);
    while ((h = TAILQ_FIRST(&ready))) {
        TAILQ_REMOVE(&ready, h, link);
        h->err = err;
        hold_send(h);
    }
    (void)pthread_mutex_lock(&front->hold_lock);
    front->sending--;
    (void)pthread_cond_broadcast(&front->hold_cond);
    (void)pthread_mutex_unlock(&front->hold_lock);
}

void hold_reply(struct front *front, struct held *h)
{
    struct held *before;

    if (h->seq > 0) {
        (void)pthread_mutex_lock(&front->hold_lock);
        if (fs_durable(front->config.fs) < h->seq) {
            TAILQ_FOREACH_REVERSE(before, &front->held, held_list, link)
            {
                if (before->seq <= h->seq)
                    break;
            }
            if (before)
                TAILQ_INSERT_AFTER(&front->held, before, h, link);
            else
                TAILQ_INSERT_HEAD(&front->held, h, link);
            h = NULL;
        }
        (void)pthread_mutex_unlock(&front->hold_lock);
    }
    if (h)
        hold_send(h);
}

void front_durable(struct front *front, uint64_t seq)
{
    hold_release(front, seq, 0);
}

void hold_stop(struct front *front)
{
    int64_t end = clock_mono_ns() + HOLD_STOP_MS * CLOCK_MS;

    hold_release(front, fs_durable(front->config.fs), 0);
    (void)pthread_mutex_lock(&front->hold_lock);
    while (!TAILQ_EMPTY(&front->held) &&
           thread_cond_wait_until(&front->hold_cond, &front->hold_lock, end))
        ;
    (void)pthread_mutex_unlock(&front->hold_lock);
    hold_release(front, UINT64_MAX, EIO);
    (void)pthread_mutex_lock(&front->hold_lock);
    while (front->sending > 0)
        (void)thread_cond_wait_until(&front->hold_cond, &front->hold_lock, CLOCK_NEVER);
    (void)pthread_mutex_unlock(&front->hold_lock);
}
