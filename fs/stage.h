/*
 * The stage: bytes that clients wrote and the store does not have yet, in append-only segment files
 * below state_dir/stage. Nothing in a segment is ever written twice, so an upload can read what it
 * was made from while clients go on writing. What is read is checked against a checksum that was
 * made when the bytes came in: other bytes than those are never returned.
 *
 * Space is counted by live bytes, and a page at least for each append. A segment whose last byte
 * died is removed; dead ranges of a living one are given back by punching holes. All calls are
 * thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct stage;

enum { STAGE_SEGMENT_SIZE = 64 << 20 }; /* bytes after which a segment is closed for appending */
#define STAGE_NOWHERE (UINT64_MAX >> 2) /* a segment that never exists: see stage_adopt */
/* Not a file but zeros: any number of them at any position. They take no room, and need no
 * reference, mark or sync. */
#define STAGE_ZEROS (STAGE_NOWHERE - 1)

struct stage_error {
    char text[512];
};

/* limit: live bytes the stage may hold. Existing segments are kept until stage_recovered. */
int stage_open(const char *state_dir, uint64_t limit, struct stage **ret,
               struct stage_error *reterr);
void stage_close(struct stage *stage);

/* Segments that lie in a state directory, and the disk space they take. Needs no stage. */
uint64_t stage_left(const char *state_dir, uint64_t *ret_bytes);

/* At start: segments that are made from now on have ids from that one on. With a number that only
 * grows from start to start, a position names the same bytes for ever. */
void stage_ids_from(struct stage *stage, uint64_t id);

/* At start, before any adopt: a payload that was appended there and need not have reached the disk,
 * with the salt its segment had. It is on the disk when this returns. 0, -ENOSPC, -EIO; -EINVAL: it
 * cannot be. */
int stage_restore(struct stage *stage, uint64_t segment, uint64_t salt, uint64_t pos,
                  const void *data, uint64_t len);
/* The salt of a segment that bytes were appended to in this run. */
uint64_t stage_salt(struct stage *stage, uint64_t segment);

/* At start: these bytes are still needed. They get one reference each, also where it says that they
 * are not there: reading them then gives -EIO. -ENOENT: the segment is missing; -EIO: it is too
 * short, or damaged; -EPROTO: another version wrote it. -EINVAL (no reference): it cannot be; give
 * STAGE_NOWHERE instead. The bytes themselves are looked at by stage_verify. */
int stage_adopt(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len);
/* Reads the bytes for their checksums: 0, -EBADMSG or -EIO. */
int stage_verify(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len);
/* At start, after the last adopt: removes what nobody adopted, or (keep) moves it aside, to
 * state_dir/stage.orphans-TIME. New bytes go to new segments. */
int stage_recovered(struct stage *stage, bool keep);

/*
 * Appends len = sum of iov bytes (at most 16 MiB), in one piece, with one reference. -ENOSPC: the
 * limit or the disk is full; -EIO. On success the position and the mark to give to stage_sync.
 * The copy into the page cache may wait for the disk under memory pressure.
 */
int stage_append(struct stage *stage, const struct iovec *iov, int iov_count, uint64_t *ret_segment,
                 uint64_t *ret_pos, uint64_t *ret_mark);

/* Reads exactly len bytes, all of one append. 0 or -EIO: they cannot be read, or are not what was
 * written. May wait for the disk. */
int stage_read(struct stage *stage, uint64_t segment, uint64_t pos, void *buf, size_t len);

/* The same; -EBADMSG: the bytes are gone, or are not what was written; -EIO: perhaps they can be
 * read later. */
int stage_try_read(struct stage *stage, uint64_t segment, uint64_t pos, void *buf, size_t len);

/* One more reference on each byte of the range / one less; bytes without one are dead. References
 * are per byte: ranges of ref and unref need not match. */
void stage_ref(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len);
void stage_unref(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len);

/* Waits until everything appended up to mark is on the disk (fdatasync, directory entries too);
 * waiters share syncs. 0, or the negative errno of a sync that any mark from first on took part in:
 * those bytes may be lost, and the error stays with the marks. */
int stage_sync(struct stage *stage, uint64_t first, uint64_t mark);

struct stage_usage {
    uint64_t live, limit; /* bytes; limit: less than configured where the disk has less */
    uint64_t segments;
};
void stage_get_usage(struct stage *stage, struct stage_usage *ret);
