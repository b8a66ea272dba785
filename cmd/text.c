/* Numbers as a person reads them. */
#include "cmd/text.h"

#include <inttypes.h>
#include <stdio.h>

const char *text_bytes(struct text_short *buf, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        (void)snprintf(buf->text, sizeof(buf->text), "%" PRIu64 " B", bytes);
        return buf->text;
    }
    /* 1023.95 would be printed as 1024.0. */
    for (; value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1024;
    (void)snprintf(buf->text, sizeof(buf->text), "%.1f %s", value, units[unit]);
    return buf->text;
}

const char *text_time(struct text_short *buf, int64_t seconds)
{
    int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

    if (minutes == 0)
        (void)snprintf(buf->text, sizeof(buf->text), "%" PRId64 " s", seconds);
    else if (hours == 0)
        (void)snprintf(buf->text, sizeof(buf->text), "%" PRId64 " min %" PRId64 " s", minutes,
                       seconds % 60);
    else if (days == 0)
        (void)snprintf(buf->text, sizeof(buf->text), "%" PRId64 " h %" PRId64 " min", hours,
                       minutes % 60);
    else
        (void)snprintf(buf->text, sizeof(buf->text), "%" PRId64 " d %" PRId64 " h", days,
                       hours % 24);
    return buf->text;
}
