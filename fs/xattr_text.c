/* Extended attributes as text that every store takes for metadata, and the list of them. */
#include "fs/xattr.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/meta.h"

#define XATTR_NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-._~!#$&'*+^|`"

static char *put_escape(char *p, unsigned char c, const char *digits)
{
    *p++ = '%';
    *p++ = digits[c >> 4];
    *p++ = digits[c & 15];
    return p;
}

char *xattr_name_encode(const char *name)
{
    char *out = mem_alloc(strlen(name) * 3 + 1), *p = out;
    bool clash = meta_is_attribute(name);

    for (const char *s = name; *s; s++) {
        if (strchr(XATTR_NAME_CHARS, *s) && !(clash && s == name))
            *p++ = *s;
        else
            p = put_escape(p, (unsigned char)*s, "0123456789abcdef");
    }
    *p = '\0';
    return out;
}

/* As it is in the middle of a value; at its ends, and beside another, a blank is not safe. */
static bool value_plain(const unsigned char *value, size_t len, size_t at)
{
    unsigned char c = value[at];

    if (c == ' ')
        return at > 0 && at + 1 < len && value[at - 1] != ' ';
    if (c == '=' && at + 1 < len && value[at + 1] == '?')
        return false; /* would begin an encoded word of RFC 2047 */
    return c > ' ' && c < 0x7f && c != '%';
}

char *xattr_value_encode(const void *value, size_t len)
{
    const unsigned char *bytes = value;
    char *out = mem_alloc(len * 3 + 1), *p = out;

    for (size_t i = 0; i < len; i++) {
        if (value_plain(bytes, len, i))
            *p++ = (char)bytes[i];
        else
            p = put_escape(p, bytes[i], "0123456789ABCDEF");
    }
    *p = '\0';
    return out;
}

static bool escape_at(const char *s)
{
    return s[0] == '%' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2]);
}

static int hex_value(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

size_t xattr_value_decode(const char *text, char *buf)
{
    char *p = buf;

    /* Somebody else's "100%" is no escape, so nothing in it is. */
    for (const char *s = strchr(text, '%'); s; s = strchr(s + 1, '%')) {
        if (!escape_at(s)) {
            (void)stpcpy(buf, text);
            return strlen(text);
        }
    }
    for (const char *s = text; *s; s++) {
        if (*s == '%') {
            *p++ = (char)(hex_value(s[1]) << 4 | hex_value(s[2]));
            s += 2;
        } else {
            *p++ = *s;
        }
    }
    *p = '\0';
    return (size_t)(p - buf);
}

size_t xattr_name_decode(const char *text, char *buf)
{
    size_t len = xattr_value_decode(text, buf);

    if (memchr(buf, '\0', len)) { /* no name has one */
        (void)stpcpy(buf, text);
        len = strlen(text);
    }
    return len;
}

/* --- the list --- */

struct list_line {
    const char *name, *value, *end; /* end: of the value, its '\n' */
    size_t name_len;
};

static bool list_next(const char **at, struct list_line *ret)
{
    while (*at && **at) {
        const char *end = strchrnul(*at, '\n'), *eq = memchr(*at, '=', (size_t)(end - *at));
        const char *start = *at;
        *at = *end ? end + 1 : end;
        if (!eq)
            continue;
        *ret = (struct list_line){
            .name = start, .value = eq + 1, .end = end, .name_len = (size_t)(eq - start)};
        return true;
    }
    return false;
}

static bool line_is(const struct list_line *line, const char *name)
{
    return strlen(name) == line->name_len && strncasecmp(line->name, name, line->name_len) == 0;
}

const char *xattr_list_find(const char *list, const char *meta_name, size_t *ret_len)
{
    struct list_line line;

    while (list_next(&list, &line)) {
        if (line_is(&line, meta_name)) {
            *ret_len = (size_t)(line.end - line.value);
            return line.value;
        }
    }
    return NULL;
}

char *xattr_list_set(const char *list, const char *meta_name, const char *value)
{
    size_t more = value ? strlen(meta_name) + strlen(value) + 2 : 0;
    char *out = mem_alloc((list ? strlen(list) + 1 : 0) + more + 1), *p = out;
    struct list_line line;

    while (list_next(&list, &line)) {
        if (line_is(&line, meta_name))
            continue;
        p = mempcpy(p, line.name, (size_t)(line.end - line.name));
        *p++ = '\n';
    }
    if (value)
        p = stpcpy(stpcpy(stpcpy(stpcpy(p, meta_name), "="), value), "\n");
    *p = '\0';
    if (p > out)
        return out;
    free(out);
    return NULL;
}

void xattr_list_each(const char *list, xattr_list_fn *fn, void *ctx)
{
    struct list_line line;
    bool more = true;

    while (more && list_next(&list, &line)) {
        CLEANUP_FREE char *name = mem_strndup(line.name, line.name_len);
        CLEANUP_FREE char *value = mem_strndup(line.value, (size_t)(line.end - line.value));
        more = fn(ctx, name, value);
    }
}

bool xattr_list_same(const char *a, const char *b)
{
    const char *a_at = a, *b_at = b, *value;
    struct list_line line, other;
    size_t len, left = 0;

    if (!a || !b || strcmp(a, b) == 0)
        return !a == !b;
    while (list_next(&b_at, &other))
        left++;
    for (; list_next(&a_at, &line); left--) {
        CLEANUP_FREE char *name = mem_strndup(line.name, line.name_len);
        value = xattr_list_find(b, name, &len);
        if (left == 0 || !value || len != (size_t)(line.end - line.value) ||
            memcmp(value, line.value, len) != 0)
            return false;
    }
    return left == 0;
}

int xattr_list_check(const char *list)
{
    size_t bytes = XATTR_META_OURS, count = 0;
    struct list_line line;

    while (list_next(&list, &line)) {
        if (line.name[0] == META_HIDDEN)
            continue;
        bytes += line.name_len + (size_t)(line.end - line.value);
        count++;
    }
    return bytes > XATTR_META_MAX || count > XATTR_COUNT_MAX ? -ENOSPC : 0;
}
