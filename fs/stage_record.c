/*
 * How bytes lie in a segment file, and how it is found out whether they are still what was written.
 *
 * A file begins with a head (magic, version, a random salt). Then come records, one per append,
 * each at a multiple of STAGE_ALIGN: a head with the length, its own position and a checksum; the
 * checksums of the payload's pieces of STAGE_PIECE bytes; the payload. So one append is one write,
 * and reading a few bytes means reading and checking one piece.
 *
 * A crash, or a failed append, leaves gaps: records are written side by side and may be synced
 * without their neighbours. Behind a gap the next record is found by looking at every aligned
 * position: its head tells its own position and is hashed with the salt, so no client's data can
 * look like one.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/stage_int.h"

enum {
    RECORD_MAGIC = 0x70526553,
    SEGMENT_VERSION = 1,
    RECORD_PIECES_MAX = STAGE_APPEND_MAX / STAGE_PIECE,
    SEARCH_WINDOW = 256 << 10,
};

static const char segment_magic[8] = {'P', 'A', 'I', 'L', 'S', 'E', 'G', '\n'};

/* On the disk; numbers are little-endian. */
struct segment_head {
    char magic[8];
    uint32_t version, zero;
    uint64_t salt;
    uint64_t sum; /* of what is before */
};
static_assert(sizeof(struct segment_head) == STAGE_HEAD, "the first record comes after it");

struct record_head {
    uint32_t magic, len;
    uint64_t pos; /* of this head in the file */
    uint64_t sum; /* with the salt, of what is before and the piece sums, which follow */
};

static uint32_t piece_count(uint64_t len)
{
    return (uint32_t)((len + STAGE_PIECE - 1) / STAGE_PIECE);
}

uint64_t stage_record_head_size(uint64_t len)
{
    return sizeof(struct record_head) + piece_count(len) * sizeof(uint64_t);
}

uint64_t stage_record_size(uint64_t len)
{
    uint64_t size = stage_record_head_size(len) + len;

    return (size + STAGE_ALIGN - 1) / STAGE_ALIGN * STAGE_ALIGN;
}

uint64_t stage_record_overhead(uint64_t len)
{
    uint64_t head = stage_record_head_size(len);

    return head + len < STAGE_PAGE ? STAGE_PAGE - len : head;
}

/* --- writing --- */

int stage_segment_write_head(int fd, uint64_t salt)
{
    struct segment_head head = {.version = htole32(SEGMENT_VERSION), .salt = htole64(salt)};

    memcpy(head.magic, segment_magic, sizeof(head.magic));
    head.sum = htole64(XXH3_64bits(&head, offsetof(struct segment_head, sum)));
    ssize_t n = pwrite(fd, &head, sizeof(head), 0);
    if (n == (ssize_t)sizeof(head))
        return 0;
    return n >= 0 || errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
}

/* The sum of the next len bytes of the vector, which goes on to behind them. */
static uint64_t sum_next(const struct iovec **iov, size_t *skip, size_t len)
{
    XXH3_state_t state;

    while ((*iov)->iov_len == *skip) {
        (*iov)++;
        *skip = 0;
    }
    if ((*iov)->iov_len - *skip >= len) {
        const char *at = (const char *)(*iov)->iov_base + *skip;
        *skip += len;
        return XXH3_64bits(at, len);
    }
    (void)XXH3_64bits_reset(&state);
    while (len > 0) {
        size_t n = (*iov)->iov_len - *skip < len ? (*iov)->iov_len - *skip : len;
        (void)XXH3_64bits_update(&state, (const char *)(*iov)->iov_base + *skip, n);
        len -= n;
        *skip += n;
        if (len > 0) {
            (*iov)++;
            *skip = 0;
        }
    }
    return XXH3_64bits_digest(&state);
}

uint64_t *stage_record_sums(const struct iovec *iov, uint64_t len)
{
    uint32_t count = piece_count(len);
    uint64_t *sums = mem_array(count, sizeof(*sums));
    size_t skip = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t left = len - (uint64_t)i * STAGE_PIECE;
        sums[i] = sum_next(&iov, &skip, left < STAGE_PIECE ? left : STAGE_PIECE);
    }
    return sums;
}

static uint64_t head_sum(const struct record_head *head, uint32_t count, uint64_t salt)
{
    const uint64_t *sums = (const uint64_t *)(const void *)(head + 1);
    uint64_t sum = XXH3_64bits_withSeed(head, offsetof(struct record_head, sum), salt);

    return XXH3_64bits_withSeed(sums, count * sizeof(*sums), sum);
}

void *stage_record_head(const struct stage_segment *segment, uint64_t pos, uint64_t len,
                        const uint64_t *sums)
{
    uint32_t count = piece_count(len);
    struct record_head *head = mem_zalloc(stage_record_head_size(len));
    uint64_t *out = (uint64_t *)(void *)(head + 1);

    head->magic = htole32(RECORD_MAGIC);
    head->len = htole32((uint32_t)len);
    head->pos = htole64(pos);
    for (uint32_t i = 0; i < count; i++)
        out[i] = htole64(sums[i]);
    head->sum = htole64(head_sum(head, count, segment->salt));
    return head;
}

/* --- the index in memory --- */

void stage_record_add(struct stage_segment *segment, uint64_t pos, uint64_t len,
                      const uint64_t *sums)
{
    uint32_t count = piece_count(len);

    if (segment->record_count == segment->record_cap) {
        segment->record_cap = segment->record_cap ? 2 * segment->record_cap : 16;
        segment->records =
            mem_rearray(segment->records, segment->record_cap, sizeof(segment->records[0]));
    }
    if (segment->sum_count + count > segment->sum_cap) {
        segment->sum_cap = 2 * segment->sum_cap + count + 16;
        segment->sums = mem_rearray(segment->sums, segment->sum_cap, sizeof(segment->sums[0]));
    }
    assert(segment->record_count == 0 ||
           segment->records[segment->record_count - 1].pos < pos); /* in order */
    segment->records[segment->record_count++] = (struct stage_record){
        .pos = (uint32_t)pos, .len = (uint32_t)len, .sum = segment->sum_count};
    memcpy(segment->sums + segment->sum_count, sums, count * sizeof(*sums));
    segment->sum_count += count;
}

struct stage_record *stage_record_find(const struct stage_segment *segment, uint64_t pos)
{
    uint32_t lo = 0, hi = segment->record_count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (segment->records[mid].pos + (uint64_t)segment->records[mid].len <= pos)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < segment->record_count ? &segment->records[lo] : NULL;
}

/* --- finding the records of a file again --- */

struct search {
    struct stage_segment *segment;
    int fd;
    uint64_t salt, size;
    char *window;
    uint64_t window_pos, window_len;
};

/* len bytes at pos, as far as the file goes; NULL and *ret_len 0 at its end. */
static const char *search_bytes(struct search *s, uint64_t pos, uint64_t len, uint64_t *ret_len)
{
    if (pos < s->window_pos || pos + len > s->window_pos + s->window_len) {
        ssize_t n = pread(s->fd, s->window, SEARCH_WINDOW, (off_t)pos);
        s->window_pos = pos;
        s->window_len = n > 0 ? (uint64_t)n : 0;
    }
    uint64_t have = s->window_pos + s->window_len - pos;
    *ret_len = have < len ? have : len;
    return *ret_len > 0 ? s->window + (pos - s->window_pos) : NULL;
}

/* The record whose head lies at pos, into the index; its size, or 0 if there is none. */
static uint64_t search_record(struct search *s, uint64_t pos)
{
    struct record_head *head;
    uint64_t have, sums[RECORD_PIECES_MAX];
    _Alignas(8) char copy[sizeof(struct record_head) + sizeof(sums)];
    const char *bytes = search_bytes(s, pos, sizeof(struct record_head), &have);

    if (have < sizeof(struct record_head))
        return 0;
    memcpy(copy, bytes, sizeof(struct record_head));
    head = (struct record_head *)(void *)copy;
    uint64_t len = le32toh(head->len);
    if (le32toh(head->magic) != RECORD_MAGIC || le64toh(head->pos) != pos || len == 0 ||
        len > STAGE_APPEND_MAX)
        return 0;
    bytes = search_bytes(s, pos, stage_record_head_size(len), &have);
    if (have < stage_record_head_size(len))
        return 0;
    memcpy(copy, bytes, stage_record_head_size(len));
    uint32_t count = piece_count(len);
    if (le64toh(head->sum) != head_sum(head, count, s->salt))
        return 0;
    memcpy(sums, head + 1, count * sizeof(sums[0]));
    for (uint32_t i = 0; i < count; i++)
        sums[i] = le64toh(sums[i]);
    stage_record_add(s->segment, pos + stage_record_head_size(len), len, sums);
    return stage_record_size(len);
}

/* The first position from pos on, not in a hole of the file. */
static uint64_t search_skip_hole(const struct search *s, uint64_t pos)
{
    off_t data = lseek(s->fd, (off_t)pos, SEEK_DATA);

    if (data < 0)
        return errno == ENXIO ? s->size : pos;
    return ((uint64_t)data + STAGE_ALIGN - 1) / STAGE_ALIGN * STAGE_ALIGN;
}

int stage_segment_read_head(int fd, uint64_t *ret_salt)
{
    struct segment_head head = {.version = 0};

    if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
        return -EIO;
    if (memcmp(head.magic, segment_magic, sizeof(head.magic)) != 0)
        return -EIO;
    if (le64toh(head.sum) != XXH3_64bits(&head, offsetof(struct segment_head, sum)))
        return -EIO;
    if (le32toh(head.version) != SEGMENT_VERSION)
        return -EPROTO;
    *ret_salt = le64toh(head.salt);
    return 0;
}

int stage_segment_load(struct stage_segment *segment, int fd)
{
    CLEANUP_FREE char *window = NULL;
    struct search s = {.segment = segment, .fd = fd, .size = segment->size};
    uint64_t at = STAGE_HEAD;
    bool gap = false;

    int err = stage_segment_read_head(fd, &s.salt);
    if (err)
        return err;
    s.window = window = mem_alloc(SEARCH_WINDOW);
    while (at < s.size && at < UINT32_MAX - STAGE_APPEND_MAX) {
        uint64_t size = search_record(&s, at);
        at += size ? size : STAGE_ALIGN;
        /* In a gap, one look for a hole per page is enough. */
        if (size == 0 && (!gap || at % STAGE_PAGE == 0))
            at = search_skip_hole(&s, at);
        gap = size == 0;
    }
    segment->salt = s.salt;
    return 0;
}

/* --- checking --- */

struct piece { /* of which something is asked for */
    uint64_t pos, len, sum;
};

/* The pieces that [pos, pos+len) lies in, with the lock held. -EBADMSG: there is no record of it.
 */
static int pieces_find(const struct stage_segment *segment, uint64_t pos, uint64_t len,
                       struct piece **ret, size_t *ret_count)
{
    size_t cap = len / STAGE_PIECE + 2, count = 0;
    struct piece *pieces = mem_array(cap, sizeof(*pieces));
    const struct stage_record *record = stage_record_find(segment, pos);
    uint64_t end = pos + len;

    if (!record || pos < record->pos || end > record->pos + (uint64_t)record->len) {
        free(pieces);
        return -EBADMSG;
    }
    for (uint64_t i = (pos - record->pos) / STAGE_PIECE; i * STAGE_PIECE + record->pos < end; i++) {
        uint64_t left = record->len - i * STAGE_PIECE;
        pieces[count++] = (struct piece){.pos = record->pos + i * STAGE_PIECE,
                                         .len = left < STAGE_PIECE ? left : STAGE_PIECE,
                                         .sum = segment->sums[record->sum + i]};
    }
    *ret = pieces;
    *ret_count = count;
    return 0;
}

static int read_fully(int fd, char *buf, uint64_t len, uint64_t pos)
{
    while (len > 0) {
        ssize_t n = pread(fd, buf, len, (off_t)pos);
        if (n == 0)
            return -EBADMSG;
        if (n < 0 && errno != EINTR)
            return -EIO;
        if (n < 0)
            continue;
        buf += n;
        pos += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static int piece_check(const struct piece *piece, const char *bytes)
{
    return XXH3_64bits(bytes, piece->len) == piece->sum ? 0 : -EBADMSG;
}

/* Pieces that are asked for whole, and follow each other: one read. */
static int pieces_read_whole(int fd, const struct piece *pieces, size_t count, char *buf)
{
    const struct piece *last = &pieces[count - 1];
    int err = read_fully(fd, buf, last->pos + last->len - pieces[0].pos, pieces[0].pos);

    for (size_t i = 0; i < count && !err; i++)
        err = piece_check(&pieces[i], buf + (pieces[i].pos - pieces[0].pos));
    return err;
}

static int pieces_read(int fd, const struct piece *pieces, size_t count, uint64_t pos, uint64_t len,
                       char *buf)
{
    CLEANUP_FREE char *bounce = NULL;
    uint64_t end = pos + len;
    int err = 0;

    for (size_t i = 0; i < count && !err;) {
        size_t n = 0;
        while (i + n < count && pieces[i + n].pos >= pos &&
               pieces[i + n].pos + pieces[i + n].len <= end)
            n++;
        if (n > 0) {
            err = pieces_read_whole(fd, &pieces[i], n, buf + (pieces[i].pos - pos));
            i += n;
            continue;
        }
        const struct piece *p = &pieces[i++];
        uint64_t from = p->pos > pos ? p->pos : pos;
        uint64_t to = p->pos + p->len < end ? p->pos + p->len : end;
        if (!bounce)
            bounce = mem_alloc(STAGE_PIECE);
        err = pieces_read_whole(fd, p, 1, bounce);
        if (!err)
            memcpy(buf + (from - pos), bounce + (from - p->pos), to - from);
    }
    return err;
}

int stage_try_read(struct stage *stage, uint64_t id, uint64_t pos, void *buf, size_t len)
{
    CLEANUP_FREE struct piece *pieces = NULL;
    size_t count = 0;
    bool tell = false;

    if (len == 0)
        return 0;
    if (id == STAGE_ZEROS) {
        memset(buf, 0, len);
        return 0;
    }
    (void)pthread_mutex_lock(&stage->lock);
    struct stage_segment *segment = stage_segment_find(stage, id);
    int err = segment ? stage_segment_pin(stage, segment) : -ENOENT;
    int fd = err ? -1 : segment->fd;
    bool pinned = !err;
    if (!err)
        err = pieces_find(segment, pos, len, &pieces, &count);
    (void)pthread_mutex_unlock(&stage->lock);
    if (!err)
        err = pieces_read(fd, pieces, count, pos, len, buf);
    (void)pthread_mutex_lock(&stage->lock);
    if (err && pinned) {
        tell = !segment->told;
        segment->told = true;
        segment->damaged = segment->damaged || err == -EBADMSG;
    }
    if (pinned)
        stage_segment_unpin(stage, segment);
    (void)pthread_mutex_unlock(&stage->lock);
    if (tell)
        log_event(LOG_ERROR, err == -EBADMSG ? "stage_damaged" : "stage_read_failed",
                  "segment=%016lx pos=%lu len=%zu", (unsigned long)id, (unsigned long)pos, len);
    return err == -EBADMSG ? err : err ? -EIO : 0;
}

int stage_read(struct stage *stage, uint64_t id, uint64_t pos, void *buf, size_t len)
{
    return stage_try_read(stage, id, pos, buf, len) ? -EIO : 0;
}
