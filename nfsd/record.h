/*
 * Record marking (RFC 5531 section 11), received: finds records in a stream of bytes. A record of
 * one fragment stays where it was received; the fragments of others are moved together inside the
 * buffer.
 *
 *     record_room()  -> where to receive into, and how much
 *     record_received(n)
 *     record_next()  -> records, until RECORD_MORE
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nfsd/record_buf.h"

enum {
    RECORD_MARK_SIZE = 4,
    RECORD_LAST = INT32_MIN, /* bit of the mark */
    RECORD_FRAGMENTS_MAX = 4096,
    RECORD_EMPTY_MAX = 16, /* empty fragments in one record */
};

struct record_reader {
    struct buf_pool *pool;
    uint32_t max; /* bytes of a record */

    /* Positions in buf: the record being put together is [start, end), [in, fill) is received and
     * not looked at yet. start <= end <= in <= fill. */
    struct buf *buf;
    uint32_t start, end, in, fill;
    uint32_t left; /* bytes of the present fragment that are still to come */
    uint32_t fragments, empty;
    bool begun, last, large;
};

struct record {
    struct buf *buf; /* the caller's reference */
    const uint8_t *data;
    uint32_t len;
};

void record_reader_init(struct record_reader *reader, struct buf_pool *pool, uint32_t max);
void record_reader_clear(struct record_reader *reader);

/* Space to receive into, at least one byte. 0, or -ENOBUFS: no large buffer is to be had now. */
int record_room(struct record_reader *reader, uint8_t **ret, size_t *ret_len);
void record_received(struct record_reader *reader, size_t len);

enum { RECORD_MORE, RECORD_READY };
/* RECORD_READY with a record, RECORD_MORE, or an error after which the stream is useless:
 * -EMSGSIZE (longer than max), -EPROTO (too many fragments). */
int record_next(struct record_reader *reader, struct record *ret);

/* True while a record has begun and is not complete. */
bool record_partial(const struct record_reader *reader);
/* Gives the buffer back if nothing in it is waited for. */
void record_rest(struct record_reader *reader);
