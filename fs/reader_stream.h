/*
 * Recognising sequential streams in the reads of one file, and how far to read ahead of each. Pure
 * bookkeeping; private to reader*.c. The caller's lock protects it.
 *
 * NFS clients send the READs of one sequential reader from many slots at once, so they arrive out
 * of order, and several readers may be at work in one file. A stream is therefore a span of the
 * file that grows by reads near it, and it is sequential when most of the span has been read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    STREAM_COUNT = 8,
    STREAM_WINDOW_MIN = 1 << 20,
    STREAM_WINDOW_MAX = 32 << 20,
    STREAM_NEAR_MIN = 256 << 10, /* a read this near to a stream belongs to it */
    STREAM_NEAR_MAX = 8 << 20,
    STREAM_NEAR_READS = 8, /* or so many times its own length */
};

struct stream {
    uint64_t start, end; /* the span */
    uint64_t bytes;      /* read in it */
    uint64_t issued;     /* read-ahead was started up to here; 0 = not yet */
    uint64_t window;     /* how far ahead of end to be; 0 = not yet */
    uint64_t grow_at;    /* end must have come here before the window doubles again */
    uint64_t used;       /* when, for replacing the oldest; 0 = slot free */
    uint32_t forward;    /* reads that moved end */
};

struct streams {
    struct stream slots[STREAM_COUNT];
    uint64_t now;
};

/* One read, and what the cache had of it. */
struct stream_read {
    uint64_t off, len;
    bool stalled;    /* some of it was not there yet */
    uint64_t absent; /* the first byte that was neither there nor on its way; UINT64_MAX = none */
};

/* Notes a read. If read-ahead is due: returns the stream and sets [*ret_from, *ret_to), aligned to
 * blocks at its start; the caller starts GETs and sets stream->issued to how far it came. Else
 * NULL. window_max at least STREAM_WINDOW_MIN. */
struct stream *streams_note(struct streams *streams, const struct stream_read *read, uint64_t size,
                            uint64_t window_max, uint64_t *ret_from, uint64_t *ret_to);
