/*
 * Finding records in a stream; see record.h. Invariant: start <= end <= in <= fill <= buf->size,
 * and [start, end) is the part of the present record that has been put together.
 */
#include "nfsd/record.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
    ROOM_MIN = 4 << 10,    /* less space than this left: a new buffer */
    ROOM_PROBE = 8 << 10,  /* received at first when the last record was large: copied over */
    ROOM_BEYOND = 2 << 10, /* received beyond the end of a large record */
};

void record_reader_init(struct record_reader *reader, struct buf_pool *pool, uint32_t max)
{
    memset(reader, 0, sizeof(*reader));
    reader->pool = pool;
    reader->max = max;
}

void record_reader_clear(struct record_reader *reader)
{
    buf_unref(reader->buf);
    reader->buf = NULL;
    reader->start = reader->end = reader->in = reader->fill = 0;
}

bool record_partial(const struct record_reader *reader)
{
    return reader->begun || reader->in < reader->fill;
}

void record_rest(struct record_reader *reader)
{
    if (!record_partial(reader))
        record_reader_clear(reader);
}

/* Moves what is still needed to the front of a buffer that can take size bytes. */
static int move_to(struct record_reader *reader, size_t size)
{
    struct buf *old = reader->buf;
    uint32_t whole = reader->end - reader->start;
    uint32_t rest = reader->fill - reader->in;
    struct buf *new = buf_get(reader->pool, size < BUF_SMALL ? BUF_SMALL : size);

    if (!new)
        return -ENOBUFS;
    if (old) {
        memcpy(new->data, old->data + reader->start, whole);
        memcpy(new->data + whole, old->data + reader->in, rest);
        buf_unref(old);
    }
    reader->buf = new;
    reader->start = 0;
    reader->end = reader->in = whole;
    reader->fill = whole + rest;
    return 0;
}

int record_room(struct record_reader *reader, uint8_t **ret, size_t *ret_len)
{
    uint32_t need = reader->left ? reader->left : RECORD_MARK_SIZE;
    uint32_t space;

    if (!reader->begun) { /* nothing of the past is needed */
        reader->start = reader->end = reader->in;
        if (reader->buf && reader->in == reader->fill && buf_is_mine(reader->buf))
            reader->start = reader->end = reader->in = reader->fill = 0;
    }
    assert(reader->left == 0 || reader->in == reader->fill);
    space = reader->buf ? reader->buf->size - reader->fill : 0;
    if (space < need || (space < ROOM_MIN && !reader->left)) {
        uint32_t kept = (reader->end - reader->start) + (reader->fill - reader->in);
        int r = move_to(reader, (size_t)kept + need + RECORD_MARK_SIZE);

        if (r < 0)
            return r;
        space = reader->buf->size - reader->fill;
    }
    if (reader->buf->size > BUF_SMALL && space > need + ROOM_BEYOND)
        space = need + ROOM_BEYOND;
    else if (!reader->begun && reader->large && space > ROOM_PROBE)
        space = ROOM_PROBE;
    *ret = reader->buf->data + reader->fill;
    *ret_len = space;
    return 0;
}

void record_received(struct record_reader *reader, size_t len)
{
    assert(len <= reader->buf->size - reader->fill);
    reader->fill += (uint32_t)len;
}

static int begin_fragment(struct record_reader *reader)
{
    const uint8_t *p = reader->buf->data + reader->in;
    uint32_t mark = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    uint32_t len = mark & INT32_MAX;

    reader->in += RECORD_MARK_SIZE;
    if (!reader->begun) {
        reader->begun = true;
        reader->start = reader->end = reader->in;
        reader->fragments = reader->empty = 0;
    }
    reader->last = mark & (uint32_t)RECORD_LAST;
    reader->left = len;
    if (len > reader->max - (reader->end - reader->start))
        return -EMSGSIZE;
    if (++reader->fragments > RECORD_FRAGMENTS_MAX ||
        (len == 0 && ++reader->empty > RECORD_EMPTY_MAX))
        return -EPROTO;
    return 0;
}

static void take_fragment(struct record_reader *reader)
{
    uint32_t take = reader->fill - reader->in;

    if (take > reader->left)
        take = reader->left;
    if (reader->end != reader->in)
        memmove(reader->buf->data + reader->end, reader->buf->data + reader->in, take);
    reader->end += take;
    reader->in += take;
    reader->left -= take;
}

int record_next(struct record_reader *reader, struct record *ret)
{
    if (!reader->buf)
        return RECORD_MORE;
    for (;;) {
        if (reader->left == 0) {
            int r;

            if (reader->fill - reader->in < RECORD_MARK_SIZE)
                return RECORD_MORE;
            r = begin_fragment(reader);
            if (r < 0)
                return r;
        }
        take_fragment(reader);
        if (reader->left)
            return RECORD_MORE;
        if (!reader->last)
            continue;
        reader->begun = false;
        ret->buf = buf_ref(reader->buf);
        ret->data = reader->buf->data + reader->start;
        ret->len = reader->end - reader->start;
        reader->large = ret->len > BUF_SMALL / 2;
        return RECORD_READY;
    }
}
