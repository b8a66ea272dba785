/* One line per event, on stderr, in a file or to syslog. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log_syslog.h"

enum { LOG_LINE_MAX = 2048 };

static const char *const log_names[] = {"error", "warn", "info", "debug"};
static _Atomic int log_max_level = LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO; /* -1: syslog */

int log_level_parse(const char *name, enum log_level *ret)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        if (strcmp(name, log_names[i]) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void log_level_set(enum log_level level)
{
    atomic_store_explicit(&log_max_level, (int)level, memory_order_relaxed);
}

bool log_level_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_max_level, memory_order_relaxed);
}

void log_to_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

void log_to_syslog(void)
{
    log_syslog_open();
    atomic_store(&log_fd, -1);
}

const char *log_quote(struct log_quoted *buf, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0, end = sizeof(buf->text) - 8;

    if (!s)
        return "-";
    buf->text[n++] = '"';
    for (; *s && n < end; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            buf->text[n++] = '\\';
            buf->text[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            buf->text[n++] = '\\';
            buf->text[n++] = 'x';
            buf->text[n++] = hex[c >> 4];
            buf->text[n++] = hex[c & 15];
        } else {
            buf->text[n++] = (char)c;
        }
    }
    if (*s) {
        memcpy(buf->text + n, "...", 3);
        n += 3;
    }
    buf->text[n++] = '"';
    buf->text[n] = '\0';
    return buf->text;
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[LOG_LINE_MAX];
    struct timespec now;
    struct tm tm;
    va_list ap;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof(line), "time=%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ ", now.tv_nsec / 1000000);
    size_t words = n; /* the rest is what syslog gets */
    n += (size_t)snprintf(line + n, sizeof(line) - n, "level=%s event=%s", log_names[level], event);
    if (fmt[0]) {
        line[n++] = ' ';
        va_start(ap, fmt);
        int m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
        va_end(ap);
        if (m > 0)
            n += (size_t)m;
        if (n > sizeof(line) - 2)
            n = sizeof(line) - 2;
    }
    int fd = atomic_load_explicit(&log_fd, memory_order_relaxed);
    if (fd < 0) {
        line[n] = '\0';
        log_syslog_write((int)level, line + words);
        return;
    }
    line[n++] = '\n';
    /* One write per line keeps lines of several threads apart. Nobody is left to tell if it fails.
     */
    ssize_t done = write(fd, line, n);
    (void)done;
}
