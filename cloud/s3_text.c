/* Small texts of the S3 protocol. */
#include "cloud/s3_text.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#define WORD_START "=?UTF-8?B?"

void s3_etag_copy(char ret[STORE_ETAG_MAX], const char *text)
{
    while (*text == ' ')
        text++;
    if (strncmp(text, "W/", 2) == 0)
        text += 2;
    if (*text == '"')
        text++;
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '"' || text[len - 1] == ' '))
        len--;
    if (len >= STORE_ETAG_MAX)
        len = 0;
    memcpy(ret, text, len);
    ret[len] = '\0';
}

int64_t s3_iso_date_parse(const char *text)
{
    struct tm tm = {0};
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t fraction = 0, unit = CLOCK_S / 10;

    if (!p)
        return 0;
    if (*p == '.') {
        for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
            fraction += (*p - '0') * unit;
    }
    return clock_from_s(timegm(&tm), fraction);
}

/* A value that arrives as it was sent: printable, no edges or runs of blanks for a server to trim.
 */
static bool meta_value_plain(const char *value)
{
    size_t len = strlen(value);

    if (len > 0 && (value[0] == ' ' || value[len - 1] == ' '))
        return false;
    if (strstr(value, "  ") || strstr(value, "=?"))
        return false;
    for (; *value; value++)
        if (*value < 0x20 || *value > 0x7e)
            return false;
    return true;
}

char *s3_meta_value_encode(const char *value)
{
    if (meta_value_plain(value))
        return mem_strdup(value);
    size_t len = strlen(value);
    char *out = mem_alloc(sizeof(WORD_START) + (len + 2) / 3 * 4 + 3);
    char *p = stpcpy(out, WORD_START);
    p += EVP_EncodeBlock((unsigned char *)p, (const unsigned char *)value, (int)len);
    memcpy(p, "?=", sizeof("?="));
    return out;
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : toupper((unsigned char)c) - 'A' + 10;
}

/* Decodes the text of one word into out; returns the end of what it wrote, or NULL. */
static char *word_decode_q(char *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '_') {
            *out++ = ' ';
        } else if (text[i] == '=') {
            if (i + 2 >= len || !isxdigit((unsigned char)text[i + 1]) ||
                !isxdigit((unsigned char)text[i + 2]))
                return NULL;
            *out++ = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        } else {
            *out++ = text[i];
        }
    }
    return out;
}

static char *word_decode_b(char *out, const char *text, size_t len)
{
    if (len % 4 != 0)
        return NULL;
    if (len == 0)
        return out;
    CLEANUP_FREE unsigned char *raw = mem_alloc(len / 4 * 3 + 1);
    int n = EVP_DecodeBlock(raw, (const unsigned char *)text, (int)len);
    if (n < 0)
        return NULL;
    for (size_t i = len; i > 0 && text[i - 1] == '=' && n > 0; i--)
        n--;
    memcpy(out, raw, (size_t)n);
    return out + n;
}

/* One encoded word at *text: decodes to out, moves *text past it. NULL if there is none. */
static char *word_decode(char *out, const char **text)
{
    const char *p = *text;

    if (strncasecmp(p, "=?UTF-8?", 8) != 0 || !p[8] || p[9] != '?')
        return NULL;
    const char *start = p + 10, *end = strstr(start, "?=");
    if (!end)
        return NULL;
    size_t len = (size_t)(end - start);
    char *done = toupper((unsigned char)p[8]) == 'B'   ? word_decode_b(out, start, len)
                 : toupper((unsigned char)p[8]) == 'Q' ? word_decode_q(out, start, len)
                                                       : NULL;
    if (done)
        *text = end + 2;
    return done;
}

char *s3_meta_value_decode(const char *text)
{
    char *value = mem_alloc(strlen(text) + 1), *out = value, *gap = NULL;

    while (*text) {
        char *done = word_decode(out, &text);
        if (done) {
            /* Blanks between two encoded words do not count (RFC 2047, 6.2). */
            if (gap) {
                memmove(gap, out, (size_t)(done - out));
                done = gap + (done - out);
            }
            out = gap = done;
            continue;
        }
        if (*text != ' ')
            gap = NULL;
        *out++ = *text++;
    }
    *out = '\0';
    return value;
}

bool s3_meta_name_valid(const char *name)
{
    if (!*name)
        return false;
    for (; *name; name++)
        if (!(*name >= 'a' && *name <= 'z') && !isdigit((unsigned char)*name) &&
            !strchr("!#$%&'*+-.^_`|~", *name))
            return false;
    return true;
}
