/* The queues, the parking place and the circles of wait.h. */
#include "fs/fs_int.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* --- heap --- */

static void heap_set(struct wait_queue *q, size_t slot, struct waiter *w)
{
    q->heap[slot - 1] = w;
    w->slot = slot;
}

static void heap_up(struct wait_queue *q, struct waiter *w)
{
    size_t slot = w->slot;

    for (; slot > 1 && q->heap[slot / 2 - 1]->at_ns > w->at_ns; slot /= 2)
        heap_set(q, slot, q->heap[slot / 2 - 1]);
    heap_set(q, slot, w);
}

static void heap_down(struct wait_queue *q, struct waiter *w)
{
    size_t slot = w->slot;

    for (size_t child; (child = slot * 2) <= q->count; slot = child) {
        if (child < q->count && q->heap[child]->at_ns < q->heap[child - 1]->at_ns)
            child++;
        if (q->heap[child - 1]->at_ns >= w->at_ns)
            break;
        heap_set(q, slot, q->heap[child - 1]);
    }
    heap_set(q, slot, w);
}

void wait_queue_put(struct wait_queue *q, struct waiter *w, int64_t at_ns)
{
    assert(!w->on);
    w->at_ns = at_ns;
    if (w->slot == 0) {
        if (q->count == q->room) {
            q->room = q->room ? q->room * 2 : 64;
            q->heap = mem_rearray(q->heap, q->room, sizeof(struct waiter *));
        }
        heap_set(q, ++q->count, w);
    }
    heap_up(q, w);
    heap_down(q, w);
}

void wait_queue_take(struct wait_queue *q, struct waiter *w)
{
    size_t slot = w->slot;

    if (slot == 0)
        return;
    struct waiter *last = q->heap[--q->count];
    w->slot = 0;
    if (last == w)
        return;
    heap_set(q, slot, last);
    heap_up(q, last);
    heap_down(q, last);
}

struct waiter *wait_queue_first(const struct wait_queue *q)
{
    return q->count > 0 ? q->heap[0] : NULL;
}

/* --- parking --- */

static struct inode *wait_inode(struct waiter *w)
{
    return (struct inode *)((char *)w - offsetof(struct inode, wait));
}

static struct intent *wait_intent(struct waiter *w)
{
    return (struct intent *)((char *)w - offsetof(struct intent, wait));
}

static struct wait_queue *wait_queue_of(struct fs_volume *vol, const struct waiter *w)
{
    return w->deletion ? &vol->deletions : &vol->uploads;
}

void wait_park(struct fs_volume *vol, struct waiter *w, enum wait_for what, const char *key)
{
    struct wait_key *on;
    size_t len = strlen(key);

    assert(what != WAIT_NOTHING && !w->on);
    wait_queue_take(wait_queue_of(vol, w), w);
    HASH_FIND(hh, vol->wait_keys, key, len, on);
    if (!on) {
        on = mem_alloc(sizeof(*on) + len + 1);
        memset(on, 0, sizeof(*on));
        memcpy(on->key, key, len + 1);
        TAILQ_INIT(&on->waiters);
        HASH_ADD_KEYPTR(hh, vol->wait_keys, on->key, len, on);
    }
    w->what = what;
    w->on = on;
    TAILQ_INSERT_TAIL(&on->waiters, w, link);
}

static void wait_unpark(struct fs_volume *vol, struct waiter *w)
{
    struct wait_key *on = w->on;

    if (!on)
        return;
    TAILQ_REMOVE(&on->waiters, w, link);
    w->on = NULL;
    w->what = WAIT_NOTHING;
    if (TAILQ_EMPTY(&on->waiters)) {
        HASH_DELETE(hh, vol->wait_keys, on);
        free(on);
    }
}

void wait_leave(struct fs_volume *vol, struct waiter *w)
{
    wait_unpark(vol, w);
    wait_queue_take(wait_queue_of(vol, w), w);
}

static void wait_wake_key(struct fs_volume *vol, struct wait_key *on, int64_t delay_ns)
{
    int64_t at_ns = clock_mono_ns() + delay_ns;
    struct waiter *w;
    bool more = true, uploads = false;

    while (more) {
        w = TAILQ_FIRST(&on->waiters);
        more = TAILQ_NEXT(w, link) != NULL;
        wait_unpark(vol, w); /* the last one frees on */
        if (w->deletion) {
            wait_queue_put(&vol->deletions, w, intent_again_ns(wait_intent(w), at_ns));
        } else {
            int64_t due_ns = wait_inode(w)->due_ns;
            wait_queue_put(&vol->uploads, w, due_ns > at_ns ? due_ns : at_ns);
            uploads = true;
        }
    }
    if (uploads)
        upload_kick(vol->fs);
}

void wait_wake(struct fs_volume *vol, const char *key, int64_t delay_ns)
{
    struct wait_key *on;

    HASH_FIND(hh, vol->wait_keys, key, strlen(key), on);
    if (on)
        wait_wake_key(vol, on, delay_ns);
}

void wait_wake_all(struct fs_volume *vol)
{
    struct wait_key *on, *next;

    HASH_ITER (hh, vol->wait_keys, on, next) {
        wait_wake_key(vol, on, 0);
    }
}

void wait_free(struct fs_volume *vol)
{
    struct wait_key *on, *next;

    HASH_ITER (hh, vol->wait_keys, on, next) {
        HASH_DELETE(hh, vol->wait_keys, on);
        free(on);
    }
    free(vol->uploads.heap);
    free(vol->deletions.heap);
    vol->uploads = vol->deletions = (struct wait_queue){0};
}

/* --- circles --- */

/* Whose end would release what w is parked on. NULL: something that ends by itself. */
static struct waiter *wait_holder(struct fs_volume *vol, const struct waiter *w)
{
    struct inode *ino;
    struct intent *intent;

    switch (w->what) {
    case WAIT_BASE:
        ino = displaced_find(vol, w->on->key);
        return ino ? &ino->wait : NULL;
    case WAIT_TARGET:
        ino = target_find(vol, w->on->key);
        return ino ? &ino->wait : NULL;
    case WAIT_DELETION:
        intent = intent_find(vol, w->on->key);
        return intent ? &intent->wait : NULL;
    case WAIT_NOTHING:
    case WAIT_FLIGHT:
    case WAIT_DRAIN:
        break;
    }
    return NULL;
}

/* ino lets go of its base, then. */
static void wait_cut_base(struct fs_volume *vol, struct inode *ino, int64_t at_ns)
{
    log_event(LOG_DEBUG, "detach", "ino=%lu base=%s target=%s", (unsigned long)ino->id,
              LOG_Q(ino->base_key), LOG_Q(ino->target_key));
    wait_leave(vol, &ino->wait);
    ino->flags |= INODE_DETACH;
    wait_queue_put(&vol->uploads, &ino->wait, at_ns);
    upload_due(vol->fs, at_ns);
}

/* ino stays local, and its base is in somebody's way. */
static void wait_cut_local(struct fs_volume *vol, struct inode *ino, bool wanted)
{
    int64_t delay_ns = wanted ? 0 : orphan_fetch_ns(vol, ino);

    if ((ino->flags & INODE_UPLOADING) || delay_ns == CLOCK_NEVER)
        return;
    int64_t at_ns = clock_mono_ns() + delay_ns;
    if (!(ino->flags & INODE_DETACH) || at_ns < ino->wait.at_ns)
        wait_cut_base(vol, ino, at_ns);
}

/* w is part of a circle. */
static void wait_cut(struct fs_volume *vol, struct waiter *w)
{
    struct waiter *at = w, *holder;
    struct inode *best = NULL;

    do {
        holder = wait_holder(vol, at);
        if (at->deletion && at->what == WAIT_TARGET) {
            wait_intent(at)->alone = true;
            wait_leave(vol, at);
            wait_queue_put(&vol->deletions, at, clock_mono_ns());
            (void)pthread_cond_broadcast(&vol->cond);
            return;
        }
        if (at->what == WAIT_BASE && (!best || wait_inode(holder)->base_len < best->base_len))
            best = wait_inode(holder);
        at = holder;
    } while (at != w);
    assert(best); /* see wait.h */
    wait_cut_base(vol, best, clock_mono_ns());
    upload_kick(vol->fs);
}

static void wait_hurry(struct fs_volume *vol, struct waiter *w)
{
    int64_t now = clock_mono_ns();

    if (w->deletion) {
        intent_hurry(vol, wait_intent(w));
    } else if (w->slot > 0 && w->at_ns > now && wait_inode(w)->tries == 0) {
        dirty_due_at(vol, wait_inode(w), now);
        upload_kick(vol->fs);
    }
}

void wait_resolve(struct fs_volume *vol, struct waiter *start, bool hurry)
{
    struct waiter *w = start, *mark = start;
    size_t steps = 0, power = 1;

    while (w->on) {
        struct waiter *holder = wait_holder(vol, w);
        if (!holder)
            return;
        if (w->what == WAIT_BASE && dirty_local(wait_inode(holder))) {
            wait_cut_local(vol, wait_inode(holder), !start->deletion);
            return;
        }
        w = holder;
        if (w == mark) {
            wait_cut(vol, w);
            return;
        }
        if (++steps == power) { /* Brent: the mark moves on, ever more rarely */
            mark = w;
            power *= 2;
            steps = 0;
        }
    }
    if (hurry)
        wait_hurry(vol, w);
}

bool wait_is_local(struct fs_volume *vol, const struct waiter *w)
{
    struct waiter *holder;

    /* A circle is cut as soon as it is closed; so many steps no path to a file takes. */
    for (unsigned steps = 0; w->on && steps < DEPTH_MAX; steps++, w = holder) {
        holder = wait_holder(vol, w);
        if (!holder)
            return false;
        if (w->what == WAIT_BASE && dirty_silly(wait_inode(holder)))
            return true;
    }
    return false;
}

/* --- keys in order --- */

static int key_node_cmp(const struct key_node *a, const struct key_node *b)
{
    int c = strcmp(a->key, b->key);

    return c ? c : (uintptr_t)a < (uintptr_t)b ? -1 : (uintptr_t)a > (uintptr_t)b;
}
RB_GENERATE_INTERNAL(key_tree, key_node, at, key_node_cmp, __attribute__((unused)) static)

void key_tree_add(struct key_tree *tree, struct key_node *node, const char *key)
{
    node->key = key;
    RB_INSERT(key_tree, tree, node);
}

void key_tree_del(struct key_tree *tree, struct key_node *node)
{
    if (node->key)
        RB_REMOVE(key_tree, tree, node);
    node->key = NULL;
}

const char *key_tree_below(struct key_tree *tree, const char *prefix)
{
    struct key_node probe = {.key = prefix}, *node = RB_NFIND(key_tree, tree, &probe);

    while (node && strcmp(node->key, prefix) == 0)
        node = RB_NEXT(key_tree, tree, node);
    return node && strncmp(node->key, prefix, strlen(prefix)) == 0 ? node->key : NULL;
}

enum wait_for wait_below(struct fs_volume *vol, const char *prefix, const char **ret_key)
{
    *ret_key = key_tree_below(&vol->displaced_keys, prefix);
    if (*ret_key)
        return WAIT_BASE;
    *ret_key = key_tree_below(&vol->flight_keys, prefix);
    if (*ret_key)
        return WAIT_FLIGHT;
    *ret_key = key_tree_below(&vol->intent_keys, prefix);
    return *ret_key ? WAIT_DELETION : WAIT_NOTHING;
}
