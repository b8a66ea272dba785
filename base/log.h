/*
 * One line per event on stderr, or where log_to_ says, as key=value words: time, level, event, then
 * what the caller adds. Values from outside (names, server messages) are given with LOG_Q, which
 * quotes them and escapes what is not printable, so a line is always one line.
 *
 * log_event(LOG_WARN, "upload_failed", "key=%s err=%s", LOG_Q(key), strerrordesc_np(-err));
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* 0, or -EINVAL for a name that is none of error, warn, info, debug. */
int log_level_parse(const char *name, enum log_level *ret);
void log_level_set(enum log_level level);
bool log_level_on(enum log_level level);

/* Where lines go from now on, before threads start. A process in the background has no stderr. */
void log_to_fd(int fd);
void log_to_syslog(void); /* the lines without their time, which syslog adds */

/* Any thread. fmt may be "". */
void log_write(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_event(level, event, ...)              \
    do {                                          \
        if (log_level_on(level))                  \
            log_write(level, event, __VA_ARGS__); \
    } while (0)

/* Room for one quoted value; longer ones end in "...". */
struct log_quoted {
    char text[320];
};
const char *log_quote(struct log_quoted *buf, const char *s);
#define LOG_Q(s) log_quote(&(struct log_quoted){{0}}, (s))
