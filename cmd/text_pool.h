/* Strings and small arrays that live as long as a configuration and are freed together. */
#pragma once

#include <stddef.h>

struct text_pool { /* all zero is empty */
    void **all;
    size_t count;
};

char *text_pool_copy(struct text_pool *pool, const char *text); /* NULL gives NULL */
char *text_pool_printf(struct text_pool *pool, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes over what was allocated; returns it. */
void *text_pool_take(struct text_pool *pool, void *allocated);
void text_pool_clear(struct text_pool *pool);
