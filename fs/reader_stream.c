/*
 * Streams: which reads belong together, whether they are sequential, how far to read ahead.
 *
 * The window starts at STREAM_WINDOW_MIN and doubles each time the reader catches up with what was
 * on its way; it halves when blocks read ahead were evicted before the reader came to them.
 */
#include "fs/reader_stream.h"

#include <assert.h>
#include <string.h>

#include "fs/reader.h"

enum { SPAN_MAX = 2 * STREAM_NEAR_MAX }; /* longer ago than this does not count */

static uint64_t clamp(uint64_t v, uint64_t lo, uint64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static uint64_t distance(const struct stream *s, uint64_t off)
{
    if (off < s->start)
        return s->start - off;
    return off > s->end ? off - s->end : 0;
}

/* The stream nearest to the read, if near enough; else the slot to use for a new one. */
static struct stream *find_stream(struct streams *streams, const struct stream_read *read,
                                  bool *ret_new)
{
    uint64_t best = clamp(read->len * STREAM_NEAR_READS, STREAM_NEAR_MIN, STREAM_NEAR_MAX);
    struct stream *near = NULL, *oldest = &streams->slots[0];

    for (int i = 0; i < STREAM_COUNT; i++) {
        struct stream *s = &streams->slots[i];
        if (s->used < oldest->used)
            oldest = s;
        if (s->used > 0 && distance(s, read->off) <= best) {
            best = distance(s, read->off);
            near = s;
        }
    }
    *ret_new = !near;
    return near ? near : oldest;
}

/* Forgets the older part of a long span, taking it as evenly read. */
static void shorten_span(struct stream *s)
{
    uint64_t span = s->end - s->start, keep = SPAN_MAX / 2;

    if (s->bytes > span)
        s->bytes = span; /* read twice does not count twice */
    if (span <= SPAN_MAX)
        return;
    s->bytes = (uint64_t)((double)s->bytes * (double)keep / (double)span);
    s->start = s->end - keep;
}

static void join_stream(struct stream *s, const struct stream_read *read)
{
    uint64_t end = read->off + read->len;

    if (read->off < s->start)
        s->start = read->off;
    if (end > s->end) {
        s->end = end;
        s->forward++;
    }
    s->bytes += read->len;
    shorten_span(s);
}

static bool is_sequential(const struct stream *s)
{
    return s->forward > 0 && s->bytes >= (s->end - s->start) / 2;
}

static void adapt_window(struct stream *s, const struct stream_read *read, uint64_t max)
{
    if (s->window == 0) {
        s->window = STREAM_WINDOW_MIN;
    } else if (read->absent < s->issued && read->absent >= s->start) {
        s->window /= 2; /* read ahead in vain: memory is short */
        s->issued = 0;
    } else if (read->stalled && s->end >= s->grow_at) {
        s->window *= 2;
        s->grow_at = s->issued;
    }
    s->window = clamp(s->window, STREAM_WINDOW_MIN, max);
}

struct stream *streams_note(struct streams *streams, const struct stream_read *read, uint64_t size,
                            uint64_t window_max, uint64_t *ret_from, uint64_t *ret_to)
{
    bool fresh;
    struct stream *s = find_stream(streams, read, &fresh);
    uint64_t from;

    assert(read->len > 0 && read->off + read->len <= size);
    if (fresh) {
        memset(s, 0, sizeof(*s));
        s->start = read->off;
        s->end = read->off + read->len;
        s->bytes = read->len;
    } else {
        join_stream(s, read);
    }
    s->used = ++streams->now;
    if (!is_sequential(s))
        return NULL;
    adapt_window(s, read, window_max);
    from = (s->end + READER_BLOCK - 1) / READER_BLOCK * READER_BLOCK;
    if (s->issued > from)
        from = s->issued;
    if (from >= size || from - s->end >= s->window / 2)
        return NULL;
    *ret_from = from;
    *ret_to = s->window < size - s->end ? s->end + s->window : size;
    return *ret_to > from ? s : NULL;
}
