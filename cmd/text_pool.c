/* Memory of a configuration, freed at once. */
#include "cmd/text_pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void *text_pool_take(struct text_pool *pool, void *allocated)
{
    pool->all = mem_rearray(pool->all, pool->count + 1, sizeof(*pool->all));
    pool->all[pool->count++] = allocated;
    return allocated;
}

char *text_pool_copy(struct text_pool *pool, const char *text)
{
    return text ? text_pool_take(pool, mem_strdup(text)) : NULL;
}

char *text_pool_printf(struct text_pool *pool, const char *fmt, ...)
{
    char *text = NULL;
    size_t len = 0;
    va_list ap;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        abort(); /* no memory for a few bytes */
    va_start(ap, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_start here */
    (void)vfprintf(out, fmt, ap);
    va_end(ap);
    if (fclose(out))
        abort();
    return text_pool_take(pool, text);
}

void text_pool_clear(struct text_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        free(pool->all[i]);
    free(pool->all);
    *pool = (struct text_pool){.all = NULL};
}
