/*
 * What the files of the stage share.
 *
 * One lock, stage->lock, protects everything below; it is never held over a call that may wait for
 * the disk. A segment that is used without the lock (written, read, synced, punched) is pinned. The
 * stage's lock is a leaf: no other lock is taken under it.
 *
 * Invariants:
 * - Positions below segment->size are given out, above it free; a position is given out once.
 * - spans holds exactly the live bytes, those with a reference, each span with its count; two spans
 *   that touch differ in it. Bytes being written are live from the moment they are given out.
 * - stage->live is the sum of segment->live, which is the sum of its spans.
 * - A mark is given when its bytes have been written, so all marks up to stage->marks are in the
 *   page cache, in segments of the dirty list or synced; those up to stage->synced are on the disk
 *   unless a failure covers them.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "fs/stage.h"

enum {
    STAGE_PAGE = 4096,         /* holes are punched in units of this */
    STAGE_WRITEBACK = 8 << 20, /* bytes after which writing back is begun ahead of a sync */
    STAGE_OPEN_MAX = 128,      /* segment files that stay open without being in use */
    STAGE_FAILURES_MAX = 256,  /* remembered one by one; then the oldest melt into one */
    STAGE_REAP_DELAY_MS = 500, /* dead ranges are gathered so long before they are punched */
};

struct stage_span {
    RB_ENTRY(stage_span) tree;
    uint64_t pos, len;
    uint32_t refs;
};
RB_HEAD(stage_span_tree, stage_span);

struct stage_hole {
    uint64_t from, to; /* whole pages, dead, not punched yet */
};

struct stage_segment {
    RB_ENTRY(stage_segment) tree;
    TAILQ_ENTRY(stage_segment) dirty_list, reap_list;
    uint64_t id;
    int fd; /* -1 while it is not needed */
    uint64_t size, live;
    uint64_t written_back; /* writing back has begun up to here */
    uint32_t pins;
    bool dirty;   /* in stage->dirty: has written bytes that no sync has begun on */
    bool failed;  /* a sync of it failed */
    bool reaping; /* in stage->reap */
    int64_t reap_ns;
    struct stage_span_tree spans;
    struct stage_hole *holes;
    size_t hole_count, hole_cap;
};
RB_HEAD(stage_segment_tree, stage_segment);
RB_PROTOTYPE(stage_segment_tree, stage_segment, tree, )

struct stage_failure {
    uint64_t after, upto; /* marks: after < mark <= upto */
    int err;
};

struct stage {
    int dir_fd;
    uint64_t limit;

    pthread_mutex_t lock;
    pthread_cond_t created, sync_done, reap_work;
    struct stage_segment_tree segments;
    struct stage_segment *current; /* appended to, or NULL */
    bool creating;                 /* a thread is making the next current one */
    uint64_t next_id, live, segment_count, open_count;

    TAILQ_HEAD(, stage_segment) dirty;
    bool dir_dirty; /* a segment was created since the directory was synced */
    bool syncing;
    uint64_t marks, synced;
    struct stage_failure failures[STAGE_FAILURES_MAX];
    uint32_t failure_count;

    TAILQ_HEAD(, stage_segment) reap;
    bool recovered; /* the reaper may work */
    bool no_punch;  /* the file system cannot */
    bool stop;
    pthread_t reaper;
};

/* stage.c: segments; all with the lock held */
struct stage_segment *stage_segment_find(struct stage *stage, uint64_t id);
struct stage_segment *stage_segment_add(struct stage *stage, uint64_t id, int fd, uint64_t size);
/* Takes it off the lists and out of the stage; the caller frees it. */
void stage_segment_detach(struct stage *stage, struct stage_segment *segment);
void stage_segment_free(struct stage_segment *segment); /* also without the lock */
/* Keeps the segment and opens its file; lets the lock go meanwhile. Negative errno: not pinned. */
int stage_segment_pin(struct stage *stage, struct stage_segment *segment);
void stage_segment_unpin(struct stage *stage, struct stage_segment *segment);
void stage_segment_name(uint64_t id, char ret[32]);

/* stage_spans.c: reference counts; with the lock held */
void stage_spans_add(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                     uint64_t len); /* one more, on dead bytes too */
void stage_spans_ref(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                     uint64_t len);
void stage_spans_unref(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                       uint64_t len);
void stage_spans_clear(struct stage_segment *segment);
/* Notes all that is dead as holes, after a restart. */
void stage_spans_find_holes(struct stage_segment *segment);

/* stage_reap.c */
void stage_reap_later(struct stage *stage, struct stage_segment *segment, int64_t delay_ms);
void *stage_reap_main(void *stage);
