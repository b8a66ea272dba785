/*
 * Memory for small things. These do not return NULL: when the system cannot give a few bytes the
 * process ends with a message, because nothing sensible can follow. Large buffers (file data) are
 * taken from budgets that refuse instead; see fs/cache.h and nfsd's limits.
 */
#pragma once

#include <stddef.h>

void *mem_alloc(size_t size);  /* uninitialised */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_realloc(void *old, size_t size);
void *mem_array(size_t count, size_t size);              /* zeroed, checks the multiplication */
void *mem_rearray(void *old, size_t count, size_t size); /* checks the multiplication */
void *mem_dup(const void *src, size_t size);
char *mem_strdup(const char *s); /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
