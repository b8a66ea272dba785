/* The progress of a flush: a bar on a terminal, plain lines elsewhere. */
#include "cmd/flush_progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/text.h"

enum { BAR_WIDTH = 24, LINE_EVERY_S = 10 };

void flush_progress_start(struct flush_progress *p, FILE *out)
{
    *p = (struct flush_progress){.out = out, .terminal = isatty(fileno(out)) == 1};
}

/* What counts is bytes; where there are none, things. In thousandths. */
static unsigned progress_part(const struct flush_left *most, const struct flush_left *left)
{
    double all = (double)most->bytes, rest = (double)left->bytes;

    if (most->bytes == 0) {
        all = (double)(most->files + most->deletes + most->moves);
        rest = (double)(left->files + left->deletes + left->moves);
    }
    return all > 0 && rest < all ? (unsigned)(1000 * (all - rest) / all) : 0;
}

static void progress_bar(struct flush_progress *p, const struct flush_left *left)
{
    unsigned part = progress_part(&p->most, left), filled = part * BAR_WIDTH / 1000;
    char bar[BAR_WIDTH + 1];

    for (unsigned i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(p->out, "\r\033[K[%s] %3u%%  %s of %s, %" PRIu64 " of %" PRIu64 " files", bar,
                  part / 10, TEXT_BYTES(p->most.bytes - left->bytes), TEXT_BYTES(p->most.bytes),
                  p->most.files - left->files, p->most.files);
    if (left->deletes + left->moves > 0)
        (void)fprintf(p->out, ", %" PRIu64 " deletes, %" PRIu64 " moves left", left->deletes,
                      left->moves);
    p->bar = true;
}

static void progress_line(struct flush_progress *p, const struct flush_left *left)
{
    int64_t now = clock_mono_ns();

    if (p->told_ns && now - p->told_ns < LINE_EVERY_S * CLOCK_S)
        return;
    p->told_ns = now;
    (void)fprintf(p->out,
                  "not in the bucket: %" PRIu64 " files (%s), %" PRIu64 " deletes, %" PRIu64
                  " moves\n",
                  left->files, TEXT_BYTES(left->bytes), left->deletes, left->moves);
}

static void grow(uint64_t *most, uint64_t now)
{
    if (now > *most)
        *most = now;
}

void flush_progress_show(struct flush_progress *p, const struct flush_left *left)
{
    grow(&p->most.files, left->files);
    grow(&p->most.bytes, left->bytes);
    grow(&p->most.deletes, left->deletes);
    grow(&p->most.moves, left->moves);
    if (p->terminal)
        progress_bar(p, left);
    else
        progress_line(p, left);
    (void)fflush(p->out);
}

void flush_progress_clear(struct flush_progress *p)
{
    if (p->bar)
        (void)fputs("\r\033[K", p->out);
    (void)fflush(p->out);
    p->bar = false;
}
