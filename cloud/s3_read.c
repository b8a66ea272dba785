/* HEAD, GET and LIST. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_int.h"
#include "cloud/s3_text.h"

#define META_PREFIX "x-amz-meta-"

/* ---- what headers say ---- */

static bool parse_u64(const char *text, const char **end, uint64_t *ret)
{
    char *stop;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0 && *ret <= INT64_MAX;
}

void s3_object_read(const struct http_request *http, struct store_object *ret)
{
    const char *etag = http_header_get(http, "etag");
    const char *date = http_header_get(http, "last-modified");
    const char *class = http_header_get(http, "x-amz-storage-class");
    int64_t mtime_ns = date ? retry_date_parse(date) : -1;

    if (etag)
        s3_etag_copy(ret->etag, etag);
    ret->mtime_ns = mtime_ns > 0 ? mtime_ns : 0;
    ret->has_meta = true;
    /* S3 leaves it out for its ordinary one. */
    (void)snprintf(ret->storage_class, sizeof(ret->storage_class), "%s",
                   class ? class : "STANDARD");
    free(ret->content_type);
    ret->content_type = mem_strdup(http_header_get(http, "content-type"));
    free(ret->version_id);
    ret->version_id = mem_strdup(http_header_get(http, "x-amz-version-id"));
    for (size_t i = 0; i < http->header_count; i++) {
        const struct http_header *header = &http->headers_in[i];
        if (strncmp(header->name, META_PREFIX, strlen(META_PREFIX)) != 0)
            continue;
        CLEANUP_FREE char *value = s3_meta_value_decode(header->value);
        store_meta_set(&ret->meta, header->name + strlen(META_PREFIX), value);
    }
}

/* ---- HEAD ---- */

static int head_parse(struct s3_call *call)
{
    const char *length = http_header_get(&call->http, "content-length"), *end;
    struct store_object *obj = &call->req->object;

    if (!length || !parse_u64(length, &end, &obj->size))
        return -EBADMSG;
    s3_object_read(&call->http, obj);
    if (call->req->priv)
        s3_content_read(&call->http, call->req->priv);
    return 0;
}

/* S3 has no better answer than 400 for an object that is not encrypted with the caller's key. */
static void other_key(struct s3_call *call)
{
    if (call->s3->options.sse != STORE_SSE_C || call->err != -EINVAL || call->http.status != 400)
        return;
    call->err = -EACCES;
    (void)snprintf(call->why, sizeof(call->why),
                   "%s 400: the object is not encrypted with the SSE-C key", call->method);
}

static void head_done(struct s3_call *call)
{
    other_key(call);
    s3_call_finish(call);
}

void s3_head_start(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "HEAD", req->key);

    if (req->if_match)
        s3_call_header_etag(call, "if-match", req->if_match);
    s3_options_key_send(call);
    call->parse = head_parse;
    s3_call_start(call, head_done);
}

/* ---- GET ---- */

/* "bytes 0-9/100" */
static bool content_range_parse(const char *text, uint64_t *ret_first, uint64_t *ret_last,
                                uint64_t *ret_total)
{
    if (strncmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    return parse_u64(text, &text, ret_first) && *text == '-' &&
           parse_u64(text + 1, &text, ret_last) && *text == '/' &&
           parse_u64(text + 1, &text, ret_total) && *text == '\0' && *ret_first <= *ret_last &&
           *ret_last < *ret_total;
}

/* Sets size and got from a 200 or 206; false if the answer does not fit the question. */
static bool get_check_range(const struct s3_call *call, struct store_req *req)
{
    const char *range = http_header_get(&call->http, "content-range");
    uint64_t got = call->http.recv_got, first, last, total;

    req->got = got;
    if (call->http.status == 200) { /* a whole object, from a store that makes light of ranges */
        req->object.size = got;
        return req->range_off == 0;
    }
    if (call->http.status != 206 || !range || !content_range_parse(range, &first, &last, &total))
        return false;
    req->object.size = total;
    if (first != req->range_off || last - first + 1 != got)
        return false;
    return got == req->range_len || last + 1 == total;
}

/* The store's checksum of the object, where all of the object is here. */
static bool get_check_sum(const struct s3_call *call, const struct store_req *req)
{
    const char *theirs = http_header_get(&call->http, "x-amz-checksum-crc32c");
    const char *type = http_header_get(&call->http, "x-amz-checksum-type");
    char ours[CHECKSUM_BASE64_CRC32C];

    if (!theirs || strchr(theirs, '-') || (type && strcmp(type, "COMPOSITE") == 0))
        return true;
    if (req->range_off != 0 || req->got != req->object.size)
        return true;
    checksum_crc32c_base64(checksum_crc32c(0, req->buf, req->got), ours);
    return strcmp(ours, theirs) == 0;
}

static int get_parse(struct s3_call *call)
{
    struct store_req *req = call->req;

    if (!get_check_range(call, req) || !get_check_sum(call, req))
        return -EBADMSG;
    s3_object_read(&call->http, &req->object);
    if (req->if_match && req->object.etag[0] && strcmp(req->if_match, req->object.etag) != 0) {
        store_object_clear(&req->object); /* the store does not know If-Match on GET */
        return -ESTALE;
    }
    return 0;
}

static void get_done(struct s3_call *call)
{
    struct store_req *req = call->req;
    const char *range = http_header_get(&call->http, "content-range"), *end;

    if (call->err && call->http.status == 416 && !call->http.err) {
        /* The range begins at the end of the object or behind it. */
        call->err = 0;
        req->got = 0;
        if (range && strncmp(range, "bytes */", 8) == 0)
            (void)parse_u64(range + 8, &end, &req->object.size);
        s3_object_read(&call->http, &req->object);
        if (!req->object.etag[0] && req->if_match)
            s3_etag_copy(req->object.etag, req->if_match);
    }
    if (call->err)
        req->got = 0;
    other_key(call);
    s3_call_finish(call);
}

void s3_get_start(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "GET", req->key);
    char range[64];

    assert(req->range_len > 0);
    (void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)req->range_off,
                   (unsigned long long)(req->range_off + req->range_len - 1));
    s3_call_header(call, "range", range);
    if (req->if_match)
        s3_call_header_etag(call, "if-match", req->if_match);
    if (atomic_load(&s3->crc32c))
        s3_call_header(call, "x-amz-checksum-mode", "ENABLED");
    s3_options_key_send(call);
    call->recv = req->buf;
    call->recv_len = req->range_len;
    call->parse = get_parse;
    s3_call_start(call, get_done);
}

/* ---- LIST ---- */

/* Tokens tell which version of the request they continue: "c:" V2, "m:" V1. */
#define TOKEN_V2 "c:"
#define TOKEN_V1 "m:"

static bool list_takes_prefix(struct s3_xml_list *list, const char *prefix)
{
    size_t len = strlen(prefix), kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        char *key = list->objects[i].key;
        if (strncmp(key, prefix, len) != 0)
            return false;
        if (key[len] == '\0') { /* the marker of the prefix itself */
            store_object_clear(&list->objects[i]);
            continue;
        }
        memmove(key, key + len, strlen(key + len) + 1);
        list->objects[kept++] = list->objects[i];
    }
    list->count = kept;
    return true;
}

static int list_parse(struct s3_call *call)
{
    struct s3 *s3 = call->s3;
    struct store_req *req = call->req;
    struct s3_xml_list list;
    bool asked_v1 = call->ctx != NULL;

    int err = s3_xml_list_parse(call->http.text ? call->http.text : "", call->http.text_len, &list);
    if (err)
        return err;
    if (!asked_v1 && !list.v2 && s3->list == STORE_LIST_AUTO &&
        (list.truncated || req->start_after)) {
        /* The store took it for the old request, and has not seen where to start. */
        atomic_store(&s3->list_v1, true);
        if (req->start_after && !req->token) {
            s3_xml_list_clear(&list);
            return -ERESTART;
        }
    }
    if (!list_takes_prefix(&list, s3->addr.prefix)) {
        s3_xml_list_clear(&list);
        return -EBADMSG;
    }
    if (list.truncated)
        req->next_token = list.next_token ? mem_printf(TOKEN_V2 "%s", list.next_token)
                                          : mem_printf(TOKEN_V1 "%s", list.next_marker);
    if (req->token && req->next_token && strcmp(req->token, req->next_token) == 0) {
        free(req->next_token); /* it would go round for ever */
        req->next_token = NULL;
        s3_xml_list_clear(&list);
        return -EBADMSG;
    }
    req->objects = list.objects;
    req->object_count = list.count;
    list.objects = NULL;
    list.count = 0;
    s3_xml_list_clear(&list);
    return 0;
}

static void list_done(struct s3_call *call)
{
    struct s3 *s3 = call->s3;
    struct store_req *req = call->req;
    bool again = call->err == -ERESTART;

    if (call->err == -ENOTSUP && !call->ctx && s3->list == STORE_LIST_AUTO) {
        atomic_store(&s3->list_v1, true);
        again = !req->token || strncmp(req->token, TOKEN_V2, 2) != 0;
    }
    if (!again) {
        s3_call_finish(call);
        return;
    }
    s3_call_free(call);
    s3_list_start(s3, req);
}

static void list_query_start(struct s3_call *call, bool v1)
{
    const struct store_req *req = call->req;
    const char *name = v1 ? "marker" : "start-after";

    if (!v1)
        s3_call_query(call, "list-type", "2");
    if (req->token && v1)
        s3_call_query(call, name, req->token + 2);
    else if (req->token)
        s3_call_query(call, "continuation-token", req->token + 2);
    else if (req->start_after) {
        CLEANUP_FREE char *after = mem_printf("%s%s", call->s3->addr.prefix, req->start_after);
        s3_call_query(call, name, after);
    }
}

void s3_list_start(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "GET", NULL);
    CLEANUP_FREE char *prefix = mem_printf("%s%s", s3->addr.prefix, req->prefix ? req->prefix : "");
    bool v1 = req->token ? strncmp(req->token, TOKEN_V1, 2) == 0 : atomic_load(&s3->list_v1);
    char max_keys[16];

    list_query_start(call, v1);
    if (!atomic_load(&s3->list_plain))
        s3_call_query(call, "encoding-type", "url");
    if (req->delimiter)
        s3_call_query(call, "delimiter", "/");
    if (*prefix)
        s3_call_query(call, "prefix", prefix);
    if (req->max_keys > 0) {
        (void)snprintf(max_keys, sizeof(max_keys), "%u", req->max_keys);
        s3_call_query(call, "max-keys", max_keys);
    }
    call->ctx = v1 ? s3 : NULL;
    call->parse = list_parse;
    s3_call_start(call, list_done);
}
