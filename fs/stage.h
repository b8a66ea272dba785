/*
 * The stage: bytes that clients wrote and the store does not have yet, in append-only segment files
 * below state_dir/stage. Nothing in a segment is ever written twice, so an upload can read what it
 * was made from while clients go on writing.
 *
 * Space is counted by live bytes. A segment whose last byte died is removed; dead ranges of a
 * living one are given back by punching holes. All calls are thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct stage;

enum { STAGE_SEGMENT_SIZE = 64 << 20 }; /* bytes after which a segment is closed for appending */

struct stage_error {
    char text[512];
};

/* limit: live bytes the stage may hold. Existing segments are kept until stage_recovered. */
int stage_open(const char *state_dir, uint64_t limit, struct stage **ret,
               struct stage_error *reterr);
void stage_close(struct stage *stage);

/* At start: these bytes are still needed (one reference each). -ENOENT / -EIO: the segment is not
 * there or too short. */
int stage_adopt(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len);
/* At start, after the last adopt: removes what nobody adopted. New bytes go to new segments. */
int stage_recovered(struct stage *stage);

/*
 * Appends len = sum of iov bytes (at most 16 MiB), in one piece, with one reference. -ENOSPC: the
 * limit or the disk is full; -EIO. On success the position and the mark to give to stage_sync.
 * The copy into the page cache may wait for the disk under memory pressure.
 */
int stage_append(struct stage *stage, const struct iovec *iov, int iov_count, uint64_t *ret_segment,
                 uint64_t *ret_pos, uint64_t *ret_mark);

/* Reads exactly len bytes. 0 or -EIO. May wait for the disk. */
int stage_read(struct stage *stage, uint64_t segment, uint64_t pos, void *buf, size_t len);

/* One more reference on each byte of the range / one less; bytes without one are dead. References
 * are per byte: ranges of ref and unref need not match. */
void stage_ref(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len);
void stage_unref(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len);

/* Waits until everything appended up to mark is on the disk (fdatasync, directory entries too);
 * waiters share syncs. 0 or the negative errno of the sync: those bytes may be lost, and the error
 * is returned to every mark that was not synced before it. */
int stage_sync(struct stage *stage, uint64_t mark);

struct stage_usage {
    uint64_t live, limit; /* bytes */
    uint64_t segments;
};
void stage_get_usage(struct stage *stage, struct stage_usage *ret);
