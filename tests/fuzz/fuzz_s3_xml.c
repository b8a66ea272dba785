/*
 * Whatever an S3 store may send: the XML readers and the small texts of headers. The first byte
 * chooses the reader, the rest is the document.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cloud/retry.h"
#include "cloud/s3_text.h"
#include "cloud/s3_xml.h"
#include "cloud/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_list(const char *text, size_t len)
{
    struct s3_xml_list list;

    if (s3_xml_list_parse(text, len, &list))
        return;
    for (size_t i = 0; i < list.count; i++) {
        assert(list.objects[i].key);
        assert(i == 0 || strcmp(list.objects[i - 1].key, list.objects[i].key) <= 0);
    }
    assert(!list.truncated || list.next_token || list.next_marker);
    s3_xml_list_clear(&list);
}

static void try_small(const char *text, size_t len)
{
    struct s3_xml_error error;
    struct s3_xml_result result;
    struct s3_xml_delete *deletes;
    size_t count;
    char *id;

    if (s3_xml_error_parse(text, len, &error))
        assert(memchr(error.code, 0, sizeof(error.code)));
    if (s3_xml_result_parse(text, len, &result) == 0)
        assert(memchr(result.etag, 0, sizeof(result.etag)));
    if (s3_xml_initiate_parse(text, len, &id) == 0) {
        assert(*id);
        free(id);
    }
    if (s3_xml_delete_parse(text, len, &deletes, &count) == 0)
        s3_xml_delete_clear(deletes, count);
}

/* What comes out of encoding and decoding again is what went in. */
static void try_texts(const char *bytes, size_t len)
{
    char etag[STORE_ETAG_MAX];
    char *text = mem_strndup(bytes, len);
    char *value = s3_meta_value_encode(text), *back = s3_meta_value_decode(value);
    char *uri = uri_encode(text, true), *foreign = s3_meta_value_decode(text);

    assert(strcmp(back, text) == 0);
    assert(uri_decode(uri, false) && strcmp(uri, text) == 0);
    s3_etag_copy(etag, text);
    (void)s3_iso_date_parse(text);
    assert(retry_after_parse(text, 0) >= 0);
    free(value);
    free(back);
    free(uri);
    free(foreign);
    (void)uri_decode(text, true);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    const char *text = (const char *)data + 1;
    switch (data[0] % 3) {
    case 0:
        try_list(text, len - 1);
        break;
    case 1:
        try_small(text, len - 1);
        break;
    default:
        try_texts(text, len - 1);
    }
    return 0;
}
