/* One thread that lets delayed requests go when their time has come, each on its own. */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tests/fault/fault.h"

enum { STALL_POLL_MS = 20 };

struct fault_timer {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t cond;
    struct fault_item *items; /* soonest first */
    bool stop;
    pthread_t thread;
};

static bool timer_due(const struct fault_item *item, int64_t now)
{
    return item->at_ns <= now || (item->stall && item->gen != fault_rules_gen());
}

/* Takes the first that is due; else says when to look again. */
static struct fault_item *timer_take(struct fault_timer *t, int64_t now, int64_t *ret_next)
{
    *ret_next = CLOCK_NEVER;
    for (struct fault_item **at = &t->items; *at; at = &(*at)->next) {
        struct fault_item *item = *at;
        int64_t next = item->at_ns;
        if (timer_due(item, now)) {
            *at = item->next;
            return item;
        }
        if (item->stall && next > now + STALL_POLL_MS * CLOCK_MS)
            next = now + STALL_POLL_MS * CLOCK_MS;
        if (next < *ret_next)
            *ret_next = next;
    }
    return NULL;
}

static void *timer_main(void *arg)
{
    struct fault_timer *t = arg;

    (void)pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        int64_t next;
        struct fault_item *item = timer_take(t, clock_mono_ns(), &next);
        if (!item) {
            (void)thread_cond_wait_until(&t->cond, &t->lock, next);
            continue;
        }
        (void)pthread_mutex_unlock(&t->lock);
        item->fn(item);
        (void)pthread_mutex_lock(&t->lock);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

void fault_timer_add(struct fault_timer *t, struct fault_item *item)
{
    struct fault_item **at = &t->items;

    (void)pthread_mutex_lock(&t->lock);
    while (*at && (*at)->at_ns <= item->at_ns)
        at = &(*at)->next;
    item->next = *at;
    *at = item;
    (void)pthread_cond_signal(&t->cond);
    (void)pthread_mutex_unlock(&t->lock);
}

struct fault_timer *fault_timer_new(void)
{
    struct fault_timer *t = mem_zalloc(sizeof(*t));

    (void)pthread_mutex_init(&t->lock, NULL);
    thread_cond_init(&t->cond);
    if (thread_start(&t->thread, "fault-timer", timer_main, t))
        abort();
    return t;
}

void fault_timer_free(struct fault_timer *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->stop = true;
    (void)pthread_cond_signal(&t->cond);
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_join(t->thread, NULL);
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->cond);
    free(t);
}
