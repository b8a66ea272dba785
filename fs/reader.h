/*
 * Reading base objects: a block cache with one memory budget for the process, shared misses, and
 * read-ahead by stream.
 *
 * Blocks are keyed by (content id, block number). A content id names one version of one object for
 * ever, so a new version never meets old bytes. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/fs.h"

struct store;
struct reader;
struct reader_file;

enum { READER_BLOCK = 128 << 10 };

struct reader *reader_new(uint64_t memory_limit);
void reader_free(struct reader *reader); /* no read may be under way; waits for GETs on their way */

/*
 * One version of one object that somebody reads: content id, where it lies, and the state of its
 * read-ahead streams. Reference-counted; made with one reference. Strings are copied. The location
 * (key) may change by a rename while the content stays: reader_file_move.
 */
struct reader_file *reader_file_new(struct reader *reader, struct store *store, uint64_t content_id,
                                    const char *key, const char *etag, uint64_t size);
struct reader_file *reader_file_ref(struct reader_file *file);
void reader_file_unref(struct reader_file *file); /* NULL is fine */
void reader_file_move(struct reader_file *file, const char *key, const char *etag);

/*
 * Appends references on bytes [off, off+len) to data (off+len <= size; len <= FS_IO_MAX). With
 * nowait: -EAGAIN unless all of it is in the cache. Without: GETs what is missing (If-Match the
 * ETag; neighbouring blocks in one request, one request for all who ask), at most until the
 * deadline. Sequential streams start read-ahead; random reads fetch just the blocks they touch.
 *
 *   -EAGAIN   not in time        -ESTALE   the object is no longer this version, or gone
 *   -EIO, -EACCES  as the store said
 * On error data is as it was before.
 */
int reader_read(struct reader_file *file, uint64_t off, size_t len, bool nowait,
                int64_t deadline_ns, struct fs_data *data);

/* The same bytes copied into buf, without touching read-ahead: for uploads that need part of their
 * base. Any len. Blocks already cached are used; what is fetched does not enter the cache. */
int reader_copy(struct reader_file *file, uint64_t off, size_t len, int64_t deadline_ns, void *buf);

struct reader_usage {
    uint64_t bytes, limit, hits, misses, gets;
};
void reader_get_usage(struct reader *reader, struct reader_usage *ret);
