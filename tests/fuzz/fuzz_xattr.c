/*
 * Metadata of objects as extended attributes: whatever others wrote, s3fs's one among it, and
 * whatever somebody sets. The first line is a value and a name, the rest a list of metadata.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fs/xattr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is encoded comes back. */
static void try_value(const uint8_t *value, size_t len)
{
    char *text = xattr_value_encode(value, len), *back = mem_alloc(strlen(text) + 1);

    for (const char *p = text; *p; p++)
        assert(*p >= ' ' && *p < 0x7f);
    assert(xattr_value_decode(text, back) == len && memcmp(back, value, len) == 0);
    free(text);
    free(back);
}

static void try_name(const char *name)
{
    char *text = xattr_name_encode(name), *back = mem_alloc(strlen(text) + 1);

    (void)xattr_name_decode(text, back);
    assert(strcmp(back, name) == 0);
    assert(!meta_is_attribute(text));
    free(text);
    free(back);
}

static bool see(void *ctx, const char *name, const char *value)
{
    char *buf = mem_alloc(strlen(name) + strlen(value) + 1);

    ++*(size_t *)ctx;
    assert(xattr_name_decode(name, buf) <= strlen(name));
    assert(xattr_value_decode(value, buf) <= strlen(value));
    free(buf);
    return true;
}

static void try_list(const char *text, const char *name)
{
    char *list = *text ? mem_strdup(text) : NULL, *meta_name = xattr_name_encode(name);
    size_t found_len, count = 0;

    xattr_list_from_s3fs(&list);
    char *once = mem_strdup(list);
    xattr_list_from_s3fs(&list);
    assert(xattr_list_same(once, list));
    xattr_list_each(list, see, &count);
    (void)xattr_list_check(list);
    char *with = xattr_list_set(list, meta_name, "value");
    const char *found = xattr_list_find(with, meta_name, &found_len);
    assert(found && found_len == 5 && memcmp(found, "value", 5) == 0);
    char *without = xattr_list_set(with, meta_name, NULL);
    assert(!xattr_list_find(without, meta_name, &found_len));
    free(list);
    free(once);
    free(with);
    free(without);
    free(meta_name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *line = memchr(data, '\n', len);
    size_t head = line ? (size_t)(line - data) : len;
    char *name = mem_strndup((const char *)data, head);
    char *rest = mem_strndup((const char *)data + head, len - head);

    try_value(data, head);
    if (name[0]) {
        try_name(name);
        try_list(rest + (rest[0] == '\n'), name);
    }
    free(name);
    free(rest);
    return 0;
}
