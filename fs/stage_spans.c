/*
 * Which bytes of a segment are live, and how often referenced: spans in a tree by position.
 *
 * A change of a range cuts the spans at its ends, changes the counts between, and joins what has
 * become equal again. As writes and their death mostly come whole and in order, that is a handful
 * of spans; there are never more than twice as many as there are extents and snapshots of them.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fs/stage_int.h"

static int span_compare(const struct stage_span *a, const struct stage_span *b)
{
    return a->pos < b->pos ? -1 : a->pos > b->pos;
}

RB_GENERATE_INTERNAL(stage_span_tree, stage_span, tree, span_compare,
                     __attribute__((unused)) static)

static uint64_t span_end(const struct stage_span *span)
{
    return span->pos + span->len;
}

/* The last span that starts before pos, or NULL. */
static struct stage_span *span_before(struct stage_segment *segment, uint64_t pos)
{
    struct stage_span *span = RB_ROOT(&segment->spans), *best = NULL;

    while (span) {
        if (span->pos < pos) {
            best = span;
            span = RB_RIGHT(span, tree);
        } else {
            span = RB_LEFT(span, tree);
        }
    }
    return best;
}

/* The span after span; after NULL comes the first. */
static struct stage_span *span_next(struct stage_segment *segment, struct stage_span *span)
{
    return span ? RB_NEXT(stage_span_tree, &segment->spans, span)
                : RB_MIN(stage_span_tree, &segment->spans);
}

static struct stage_span *span_insert(struct stage_segment *segment, uint64_t pos, uint64_t len,
                                      uint32_t refs)
{
    struct stage_span *span = mem_alloc(sizeof(*span));

    *span = (struct stage_span){.pos = pos, .len = len, .refs = refs};
    struct stage_span *old = RB_INSERT(stage_span_tree, &segment->spans, span);
    assert(!old);
    (void)old;
    return span;
}

static void span_remove(struct stage_segment *segment, struct stage_span *span)
{
    RB_REMOVE(stage_span_tree, &segment->spans, span);
    free(span);
}

/* Makes pos a border of spans, if it is inside one. */
static void span_split(struct stage_segment *segment, uint64_t pos)
{
    struct stage_span *span = span_before(segment, pos);

    if (!span || span_end(span) <= pos)
        return;
    (void)span_insert(segment, pos, span_end(span) - pos, span->refs);
    span->len = pos - span->pos;
}

/* Joins the spans that touch [pos, end] where their counts are equal. */
static void span_join(struct stage_segment *segment, uint64_t pos, uint64_t end)
{
    struct stage_span *span = span_before(segment, pos), *next;

    if (!span)
        span = span_next(segment, NULL);
    while (span && span->pos <= end) {
        next = span_next(segment, span);
        if (next && next->pos == span_end(span) && next->refs == span->refs) {
            span->len += next->len;
            span_remove(segment, next);
        } else {
            span = next;
        }
    }
}

/* [pos, end) has died: notes the whole pages that are dead now, with dead neighbours. */
static void holes_add(struct stage_segment *segment, uint64_t pos, uint64_t end)
{
    struct stage_span *before = span_before(segment, pos);
    struct stage_span *after = span_next(segment, before);
    uint64_t gap_from = before ? span_end(before) : 0;
    uint64_t gap_to = after ? after->pos : segment->size;

    gap_from = (gap_from + STAGE_PAGE - 1) / STAGE_PAGE * STAGE_PAGE;
    gap_to = gap_to / STAGE_PAGE * STAGE_PAGE;
    uint64_t from = pos / STAGE_PAGE * STAGE_PAGE;
    uint64_t to = (end + STAGE_PAGE - 1) / STAGE_PAGE * STAGE_PAGE;
    from = from > gap_from ? from : gap_from;
    to = to < gap_to ? to : gap_to;
    if (from >= to)
        return;
    if (segment->hole_count > 0) {
        struct stage_hole *last = &segment->holes[segment->hole_count - 1];
        if (from <= last->to && last->from <= to) {
            last->from = from < last->from ? from : last->from;
            last->to = to > last->to ? to : last->to;
            return;
        }
    }
    /* A page dies once, so there are never more entries than a segment has pages. */
    if (segment->hole_count == segment->hole_cap) {
        segment->hole_cap = segment->hole_cap ? 2 * segment->hole_cap : 16;
        segment->holes = mem_rearray(segment->holes, segment->hole_cap, sizeof(segment->holes[0]));
    }
    segment->holes[segment->hole_count++] = (struct stage_hole){from, to};
}

void stage_spans_find_holes(struct stage_segment *segment)
{
    struct stage_span *span = NULL;
    uint64_t at = 0;

    while ((span = span_next(segment, span))) {
        if (span->pos > at)
            holes_add(segment, at, span->pos);
        at = span_end(span);
    }
    if (at < segment->size)
        holes_add(segment, at, segment->size);
}

void stage_spans_add(struct stage *stage, struct stage_segment *segment, uint64_t pos, uint64_t len)
{
    uint64_t end = pos + len, at = pos;

    assert(len > 0 && end <= segment->size);
    span_split(segment, pos);
    span_split(segment, end);
    struct stage_span *span = span_next(segment, span_before(segment, pos));
    while (at < end) {
        uint64_t gap_end = span && span->pos < end ? span->pos : end;
        if (at < gap_end) {
            (void)span_insert(segment, at, gap_end - at, 1);
            segment->live += gap_end - at;
            stage->live += gap_end - at;
            at = gap_end;
            continue;
        }
        span->refs++;
        at = span_end(span);
        span = span_next(segment, span);
    }
    span_join(segment, pos, end);
}

void stage_spans_ref(struct stage *stage, struct stage_segment *segment, uint64_t pos, uint64_t len)
{
    uint64_t live = segment->live;

    stage_spans_add(stage, segment, pos, len);
    assert(segment->live == live); /* dead bytes cannot be had again */
    (void)live;
}

void stage_spans_unref(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                       uint64_t len)
{
    uint64_t end = pos + len, at = pos, dead_from = pos;

    assert(len > 0 && end <= segment->size);
    span_split(segment, pos);
    span_split(segment, end);
    struct stage_span *span = span_next(segment, span_before(segment, pos)), *next;
    for (; at < end; span = next) {
        assert(span && span->pos == at); /* every byte has a reference to give back */
        next = span_next(segment, span);
        at = span_end(span);
        if (--span->refs > 0) {
            if (dead_from < span->pos)
                holes_add(segment, dead_from, span->pos);
            dead_from = at;
            continue;
        }
        segment->live -= span->len;
        stage->live -= span->len;
        span_remove(segment, span);
    }
    if (dead_from < end)
        holes_add(segment, dead_from, end);
    span_join(segment, pos, end);
}

void stage_spans_clear(struct stage_segment *segment)
{
    struct stage_span *span;

    while ((span = RB_ROOT(&segment->spans)))
        span_remove(segment, span);
}
