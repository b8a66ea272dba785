/* How a flush is getting on, for whoever waits: a bar on a terminal, a line now and then
 * elsewhere. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct flush_left { /* what is missing in the bucket */
    uint64_t files, bytes, deletes, moves;
};

struct flush_progress {
    FILE *out;
    bool terminal;
    struct flush_left most; /* that there ever was: the whole */
    int64_t told_ns;        /* when the last line was printed; 0 = never */
    bool bar;               /* a bar stands on the line */
};

void flush_progress_start(struct flush_progress *p, FILE *out);
void flush_progress_show(struct flush_progress *p, const struct flush_left *left);
/* Before anything else is printed. */
void flush_progress_clear(struct flush_progress *p);
