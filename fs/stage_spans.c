/*
 * Which bytes of a segment are live, and how often referenced: spans in a tree by position.
 *
 * A change of a range cuts the spans at its ends, changes the counts between, and joins what has
 * become equal again. As writes and their death mostly come whole and in order, that is a handful
 * of spans; there are never more than twice as many as there are extents and snapshots of them.
 * What can be punched is worked out when it is done, from the spans and the records.
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

/* len bytes from pos on are live now, or are not any more. Records that nothing is known of (their
 * heads are damaged) have no counts. */
static void live_change(struct stage *stage, struct stage_segment *segment, uint64_t pos,
                        uint64_t len, bool live)
{
    uint64_t end = pos + len, sum = len;
    struct stage_record *record = stage_record_find(segment, pos);
    const struct stage_record *stop = segment->records + segment->record_count;

    for (; record && record < stop && record->pos < end; record++) {
        uint64_t from = record->pos > pos ? record->pos : pos;
        uint64_t to = record->pos + (uint64_t)record->len;
        uint32_t n = (uint32_t)((to < end ? to : end) - from);
        if (live && record->live == 0)
            sum += stage_record_overhead(record->len);
        record->live = live ? record->live + n : record->live - n;
        if (!live && record->live == 0)
            sum += stage_record_overhead(record->len);
    }
    segment->live = live ? segment->live + sum : segment->live - sum;
    stage->live = live ? stage->live + sum : stage->live - sum;
    segment->died = segment->died || !live;
}

/* --- what can be punched --- */

struct holes {
    struct stage_segment *segment;
    struct stage_hole *array;
    size_t count, cap;
    uint64_t from; /* end of what has to stay, so far */
};

static bool page_take(struct stage_segment *segment, uint64_t page)
{
    uint64_t bit = UINT64_C(1) << page % 64;

    if (segment->punched[page / 64] & bit)
        return false;
    segment->punched[page / 64] |= bit;
    return true;
}

/* [from, to) has to stay: what is between that and the last such range can go. */
static void holes_keep(struct holes *h, uint64_t from, uint64_t to)
{
    uint64_t first = (h->from + STAGE_PAGE - 1) / STAGE_PAGE, end = from / STAGE_PAGE;

    h->from = to;
    for (uint64_t page = first; page < end; page++) {
        if (!page_take(h->segment, page))
            continue;
        if (h->count > 0 && h->array[h->count - 1].to == page * STAGE_PAGE) {
            h->array[h->count - 1].to += STAGE_PAGE;
            continue;
        }
        if (h->count == h->cap) {
            h->cap = h->cap ? 2 * h->cap : 16;
            h->array = mem_rearray(h->array, h->cap, sizeof(h->array[0]));
        }
        h->array[h->count++] =
            (struct stage_hole){page * STAGE_PAGE, page * STAGE_PAGE + STAGE_PAGE};
    }
}

/* The head of a living record, and the pieces that have a live byte. */
static void holes_keep_record(struct holes *h, const struct stage_record *record)
{
    uint64_t end = record->pos + (uint64_t)record->len;
    const struct stage_span *span = NULL;

    holes_keep(h, record->pos - stage_record_head_size(record->len), record->pos);
    if (record->live < record->len)
        span = span_next(h->segment, span_before(h->segment, record->pos));
    for (uint64_t at = record->pos; at < end; at += STAGE_PIECE) {
        uint64_t to = at + STAGE_PIECE < end ? at + STAGE_PIECE : end;
        while (span && span_end(span) <= at)
            span = span_next(h->segment, (struct stage_span *)span);
        if (record->live == record->len || (span && span->pos < to))
            holes_keep(h, at, to);
    }
}

struct stage_hole *stage_spans_take_holes(struct stage_segment *segment, size_t *ret_count)
{
    struct holes h = {.segment = segment, .from = STAGE_HEAD};

    if (!segment->punched)
        segment->punched =
            mem_array(segment->size / STAGE_PAGE / 64 + STAGE_SEGMENT_SIZE / STAGE_PAGE / 64 + 1,
                      sizeof(segment->punched[0]));
    for (uint32_t i = 0; i < segment->record_count; i++) {
        if (segment->records[i].live > 0)
            holes_keep_record(&h, &segment->records[i]);
    }
    holes_keep(&h, segment->size, segment->size);
    segment->died = false;
    *ret_count = h.count;
    return h.array;
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
            live_change(stage, segment, at, gap_end - at, true);
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
    uint64_t end = pos + len, at = pos;

    assert(len > 0 && end <= segment->size);
    span_split(segment, pos);
    span_split(segment, end);
    struct stage_span *span = span_next(segment, span_before(segment, pos)), *next;
    for (; at < end; span = next) {
        assert(span && span->pos == at); /* every byte has a reference to give back */
        next = span_next(segment, span);
        at = span_end(span);
        if (--span->refs > 0)
            continue;
        live_change(stage, segment, span->pos, span->len, false);
        span_remove(segment, span);
    }
    span_join(segment, pos, end);
}

void stage_spans_clear(struct stage_segment *segment)
{
    struct stage_span *span;

    while ((span = RB_ROOT(&segment->spans)))
        span_remove(segment, span);
}
