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
 * - A record is an append: positions are given out record by record, so records are in order. A
 * byte of a record may be read while its record's head and its whole piece are in the file: pages
 * are punched only where no living record has its head and no piece has a live byte.
 * - stage->live counts also stage_record_overhead for each record with a live byte: a page at
 * least, so that the limit bounds what is kept in memory about it.
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
    STAGE_PAGE = 4096,           /* holes are punched in units of this */
    STAGE_PIECE = 64 << 10,      /* bytes under one checksum */
    STAGE_ALIGN = 8,             /* records begin at multiples of this */
    STAGE_HEAD = 32,             /* bytes before the first record */
    STAGE_APPEND_MAX = 16 << 20, /* fits into an empty segment */
    STAGE_WRITEBACK = 8 << 20,   /* bytes after which writing back is begun ahead of a sync */
    STAGE_OPEN_MAX = 128,        /* segment files that stay open without being in use */
    STAGE_FAILURES_MAX = 256,    /* remembered one by one; then the oldest melt into one */
    STAGE_REAP_DELAY_MS = 500,   /* dead ranges are gathered so long before they are punched */
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

struct stage_record {
    uint32_t pos, len; /* payload */
    uint32_t live;     /* bytes of it */
    uint32_t sum;      /* index of its first piece's */
};

struct stage_segment {
    RB_ENTRY(stage_segment) tree;
    TAILQ_ENTRY(stage_segment) dirty_list, reap_list;
    uint64_t id;
    int fd;              /* -1 while it is not needed */
    uint64_t size, live; /* live: with the overhead of its records */
    uint64_t salt;
    uint64_t written_back; /* writing back has begun up to here */
    uint32_t pins;
    bool dirty;   /* in stage->dirty: has written bytes that no sync has begun on */
    bool failed;  /* a sync of it failed */
    bool died;    /* something of it, since holes were last looked for */
    bool damaged; /* something of it cannot be read: nothing is punched */
    bool told;    /* a read that failed was logged */
    bool loaded;  /* after a restart: its records were looked for, with load_err */
    int load_err;
    bool reaping; /* in stage->reap */
    int64_t reap_ns;
    struct stage_span_tree spans;
    struct stage_record *records; /* by position */
    uint64_t *sums;
    uint32_t record_count, record_cap, sum_count, sum_cap;
    uint64_t *punched; /* a bit per page; NULL: none */
};
RB_HEAD(stage_segment_tree, stage_segment);
RB_PROTOTYPE(stage_segment_tree, stage_segment, tree, )

struct stage_failure {
    uint64_t after, upto; /* marks: after < mark <= upto */
    int err;
};

struct stage {
    int dir_fd;
    uint64_t limit;                     /* as configured */
    uint64_t limit_disk;                /* what the disk allows now, with what is live */
    int64_t looked_ns;                  /* when that was found */
    uint64_t looked_appended, appended; /* bytes, then and now */

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

/* stage_space.c: how much of the disk the stage may fill; without the lock */
void stage_space_look(struct stage *stage);
/* Looks if it is time; called before an append. */
void stage_space_refresh(struct stage *stage);
uint64_t stage_space_limit(const struct stage *stage); /* with the lock held */

/* stage_spans.c: reference counts; with the lock held */
void stage_spans_add(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                     uint64_t len); /* one more, on dead bytes too */
void stage_spans_ref(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                     uint64_t len);
void stage_spans_unref(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                       uint64_t len);
void stage_spans_clear(struct stage_segment *segment);
/* The pages that can be punched and have not been; they count as punched then. */
struct stage_hole *stage_spans_take_holes(struct stage_segment *segment, size_t *ret_count);

/* stage_record.c: the layout of a segment file */
int stage_segment_write_head(int fd, uint64_t salt);     /* 0, -ENOSPC, -EIO */
int stage_segment_read_head(int fd, uint64_t *ret_salt); /* 0, -EIO, -EPROTO */
/* Finds the records of a file again, and its salt. -EIO: not a segment's file; -EPROTO: another
 * version's. */
int stage_segment_load(struct stage_segment *segment, int fd);
uint64_t stage_record_head_size(uint64_t len); /* bytes before the payload */
uint64_t stage_record_size(uint64_t len);      /* with head, payload, up to the next record */
uint64_t stage_record_overhead(uint64_t len);  /* counts as used beside the payload */
uint64_t *stage_record_sums(const struct iovec *iov, uint64_t len); /* of the pieces */
void *stage_record_head(const struct stage_segment *segment, uint64_t pos, uint64_t len,
                        const uint64_t *sums); /* as it is written; the caller frees it */
/* Into the index, pos of the payload; with the lock held. */
void stage_record_add(struct stage_segment *segment, uint64_t pos, uint64_t len,
                      const uint64_t *sums);
/* The first one whose payload ends behind pos, or NULL. */
struct stage_record *stage_record_find(const struct stage_segment *segment, uint64_t pos);

/* stage_reap.c */
void stage_reap_later(struct stage *stage, struct stage_segment *segment, int64_t delay_ms);
void *stage_reap_main(void *stage);
