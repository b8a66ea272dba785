/* Writing the XML of the S3 protocol. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "cloud/s3_xml.h"

bool s3_xml_key_writable(const char *key)
{
    if (!utf8_valid(key, strlen(key)))
        return false;
    /* U+FFFE and U+FFFF are the other characters that XML does not have. */
    if (strstr(key, "\xef\xbf\xbe") || strstr(key, "\xef\xbf\xbf"))
        return false;
    for (; *key; key++)
        if ((unsigned char)*key < 0x20)
            return false;
    return true;
}

static void write_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc(*text, out);
        }
    }
}

char *s3_xml_delete_make(const char *const *keys, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert(out);
    (void)fputs("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>",
                out);
    for (size_t i = 0; i < count; i++) {
        (void)fputs("<Object><Key>", out);
        write_escaped(out, keys[i]);
        (void)fputs("</Key></Object>", out);
    }
    (void)fputs("</Delete>", out);
    (void)fclose(out);
    return text;
}

char *s3_xml_complete_make(const struct store_part *parts, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert(out);
    (void)fputs("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">", out);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", parts[i].number);
        write_escaped(out, parts[i].etag);
        (void)fputs("&quot;</ETag>", out);
        if (parts[i].checksum[0]) {
            (void)fputs("<ChecksumCRC32C>", out);
            write_escaped(out, parts[i].checksum);
            (void)fputs("</ChecksumCRC32C>", out);
        }
        (void)fputs("</Part>", out);
    }
    (void)fputs("</CompleteMultipartUpload>", out);
    (void)fclose(out);
    return text;
}
