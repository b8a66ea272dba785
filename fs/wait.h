/*
 * Who waits for whom, in so many words. An upload or a deletion that cannot go on is parked on the
 * one key that stands in its way, and looked at again when that key is released; everything else is
 * in a queue by the time it is due. So nothing is looked at that has not changed.
 *
 * What may wait for what, and why nothing waits for ever:
 *
 *   a drain (drain.c)     for uploads in flight below its prefix, and for drains of longer prefixes
 *                         below it; for room among the files on their way, where only those count
 *                         that are not parked. It never waits for anything parked, so it ends.
 *   an upload (dirty.c)   for a drain that reserves its key        WAIT_DRAIN
 *                         for another upload in flight to its key  WAIT_FLIGHT; one that was cut
 *                         off is looked for first, whatever stands in the way of the next
 *                         for a file whose base lies there         WAIT_BASE, on that file's upload
 *                         for a deletion                           WAIT_DELETION
 *   a deletion (intent.c) for drains and uploads in flight below it
 *                         for a file whose base lies at its key, or below   WAIT_BASE
 *                         for deletions of keys below its own      WAIT_DELETION
 *                         for an upload: the one that takes its place, or makes the marker of the
 *                         directory that it empties                WAIT_TARGET
 *
 * Drains and uploads in flight end by themselves. So a circle has only edges BASE, DELETION and
 * TARGET. It cannot have DELETION alone: from an upload to a deletion the way back to an upload is
 * by one of the other two, and from deletion to deletion the keys get longer. Each circle can
 * therefore be cut, at a TARGET (the deletion goes alone, which costs nothing) or at a BASE (the
 * bytes of that base are fetched and the base let go: detach.c). wait_resolve follows what a newly
 * parked waiter waits for, finds the circle that it closes, and cuts it. A file that is to stay
 * local (.nfs*, or open and without a name) while its base is in the way is cut off in the same
 * way: at once if it is an upload that wants the key, some time later if only a deletion does
 * (orphan.c).
 */
#pragma once

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct fs_volume;

enum wait_for { WAIT_NOTHING, WAIT_BASE, WAIT_DELETION, WAIT_TARGET, WAIT_FLIGHT, WAIT_DRAIN };

struct wait_key;

/* Part of an inode or an intent: in a queue, parked, or neither (being worked on). */
struct waiter {
    int64_t at_ns;      /* in a queue: when to look at it */
    size_t slot;        /* in the queue's heap, from 1; 0: not there */
    enum wait_for what; /* parked, for this */
    struct wait_key *on;
    TAILQ_ENTRY(waiter) link;
    bool deletion; /* part of an intent, else of an inode */
};
TAILQ_HEAD(waiter_list, waiter);

struct wait_key { /* what somebody is parked on */
    UT_hash_handle hh;
    struct waiter_list waiters;
    char key[];
};

struct wait_queue { /* a heap, soonest first */
    struct waiter **heap;
    size_t count, room;
};

void wait_queue_put(struct wait_queue *q, struct waiter *w, int64_t at_ns); /* or moves it */
void wait_queue_take(struct wait_queue *q, struct waiter *w);               /* if it is there */
struct waiter *wait_queue_first(const struct wait_queue *q);                /* or NULL */

/* --- lock held for all of these --- */

/* w is in no queue any more and waits for key to be released. */
void wait_park(struct fs_volume *vol, struct waiter *w, enum wait_for what, const char *key);
/* Off whatever it is on. */
void wait_leave(struct fs_volume *vol, struct waiter *w);
/* Whoever is parked on key goes back into its queue, delay_ns from now. */
void wait_wake(struct fs_volume *vol, const char *key, int64_t delay_ns);
void wait_wake_all(struct fs_volume *vol);
/* w was just parked. Cuts the circle it closed, if it did; with hurry makes what it waits for, in
 * the end, due now. */
void wait_resolve(struct fs_volume *vol, struct waiter *w, bool hurry);
/* w is parked, and in the end on a file that stays local: until whoever has it open lets go. */
bool wait_is_local(struct fs_volume *vol, const struct waiter *w);
void wait_free(struct fs_volume *vol);

/* --- keys in order --- */

struct key_node {
    RB_ENTRY(key_node) at;
    const char *key;
};
RB_HEAD(key_tree, key_node);
void key_tree_add(struct key_tree *tree, struct key_node *node, const char *key); /* borrows key */
void key_tree_del(struct key_tree *tree, struct key_node *node);
/* The first key that begins with prefix and goes on after it, or NULL. */
const char *key_tree_below(struct key_tree *tree, const char *prefix);
/* What of ours is still below prefix, or on its way from there or to there: what to wait for, and
 * in *ret_key the key, until the lock is let go. WAIT_NOTHING and NULL: nothing. */
enum wait_for wait_below(struct fs_volume *vol, const char *prefix, const char **ret_key);
