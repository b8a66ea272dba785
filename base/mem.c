/* Memory for small things: given, or the process ends. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *mem_check(void *p, size_t size)
{
    if (!p && size > 0) {
        (void)fprintf(stderr, "level=error event=out_of_memory bytes=%zu\n", size);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return mem_check(malloc(size), size);
}

void *mem_zalloc(size_t size)
{
    return mem_check(calloc(1, size), size);
}

void *mem_realloc(void *old, size_t size)
{
    return mem_check(realloc(old, size), size);
}

void *mem_array(size_t count, size_t size)
{
    return mem_check(calloc(count, size), count ? size : 0);
}

void *mem_rearray(void *old, size_t count, size_t size)
{
    return mem_check(reallocarray(old, count, size), count ? size : 0);
}

void *mem_dup(const void *src, size_t size)
{
    void *p = mem_alloc(size);
    if (size > 0)
        memcpy(p, src, size);
    return p;
}

char *mem_strdup(const char *s)
{
    return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    return mem_check(strndup(s, n), n + 1);
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;

    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return mem_check(n < 0 ? NULL : s, 1);
}
