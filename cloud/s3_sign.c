/* One try of an S3 request: its URL and headers, signed for this moment. */
#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_int.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static bool call_has_header(const struct s3_call *call, const char *name)
{
    for (size_t i = 0; i < call->header_count; i++)
        if (strcmp(call->headers[i].name, name) == 0)
            return true;
    return false;
}

/* Of the body, for the signature. Where TLS and a checksum header guard it, it need not be hashed.
 */
void s3_call_hash(struct s3_call *call)
{
    if (call->body_len == 0)
        (void)snprintf(call->payload_hash, sizeof(call->payload_hash), EMPTY_SHA256);
    else if (call->s3->addr.tls &&
             (call->s3->no_checksum || call_has_header(call, "x-amz-checksum-crc32c")))
        (void)snprintf(call->payload_hash, sizeof(call->payload_hash), SIGV4_UNSIGNED_PAYLOAD);
    else
        checksum_sha256_hex(call->body, call->body_len, call->payload_hash);
}

struct call_signing {
    char *host, *authorization, *access_key, *token;
    char date[SIGV4_DATE_MAX];
    struct sigv4_header headers[S3_CALL_HEADERS_MAX + 8];
    size_t count;
};

static int header_compare(const void *a, const void *b)
{
    return strcmp(((const struct sigv4_header *)a)->name, ((const struct sigv4_header *)b)->name);
}

static void signing_add(struct call_signing *sign, const char *name, const char *value)
{
    sign->headers[sign->count++] = (struct sigv4_header){name, value};
}

/* Host, date and keys of this moment, under the lock. */
static void signing_begin(struct s3_call *call, struct call_signing *sign, struct sigv4_key *key)
{
    struct s3 *s3 = call->s3;

    LOCK_SCOPE(&s3->lock);
    sigv4_date(clock_wall_ns() + s3->clock_offset_ns, sign->date);
    sign->host = s3_address_host(&s3->addr, s3->region);
    if (s3->anonymous)
        return;
    sigv4_key_update(&s3->key, s3->creds.secret_key, sign->date, s3->region);
    *key = s3->key;
    sign->access_key = mem_strdup(s3->creds.access_key);
    sign->token = mem_strdup(s3->creds.session_token);
}

static void signing_end(struct call_signing *sign)
{
    free(sign->host);
    free(sign->access_key);
    free(sign->token);
    free(sign->authorization);
}

static char *query_text(const struct s3_call *call)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert(out);
    for (size_t i = 0; i < call->query_count; i++)
        (void)fprintf(out, "%s%s=%s", i > 0 ? "&" : "", call->query[i].name, call->query[i].value);
    (void)fclose(out);
    return text;
}

static void call_sign(struct s3_call *call, struct call_signing *sign, const char *path,
                      const char *query)
{
    struct sigv4_key key;

    signing_begin(call, sign, &key);
    for (size_t i = 0; i < call->header_count; i++)
        signing_add(sign, call->headers[i].name, call->headers[i].value);
    if (call->s3->anonymous)
        return;
    signing_add(sign, "host", sign->host);
    signing_add(sign, "x-amz-content-sha256", call->payload_hash);
    signing_add(sign, "x-amz-date", sign->date);
    if (sign->token)
        signing_add(sign, "x-amz-security-token", sign->token);
    qsort(sign->headers, sign->count, sizeof(sign->headers[0]), header_compare);
    struct sigv4_request request = {
        .method = call->method,
        .path = path,
        .query = query,
        .headers = sign->headers,
        .header_count = sign->count,
        .payload_hash = call->payload_hash,
    };
    sign->authorization = sigv4_authorization(&request, &key, sign->access_key, sign->date);
}

static void slist_add(struct curl_slist **list, const char *name, const char *value)
{
    /* libcurl wants "name;" for a header without a value. */
    CLEANUP_FREE char *line = *value ? mem_printf("%s: %s", name, value) : mem_printf("%s;", name);
    struct curl_slist *more = curl_slist_append(*list, line);

    assert(more);
    *list = more;
}

void s3_call_sign(struct s3_call *call)
{
    struct call_signing sign = {0};
    CLEANUP_FREE char *path = s3_address_path(&call->s3->addr, call->key);
    CLEANUP_FREE char *query = query_text(call);

    call_sign(call, &sign, path, query);
    free(call->url);
    call->url = mem_printf("%s://%s%s%s%s", call->s3->addr.tls ? "https" : "http", sign.host, path,
                           *query ? "?" : "", query);
    curl_slist_free_all(call->slist);
    call->slist = NULL;
    for (size_t i = 0; i < sign.count; i++)
        if (strcmp(sign.headers[i].name, "host") != 0)
            slist_add(&call->slist, sign.headers[i].name, sign.headers[i].value);
    if (sign.authorization)
        slist_add(&call->slist, "authorization", sign.authorization);
    /* Bytes as they are stored: no store should unpack what it thinks is packed. */
    slist_add(&call->slist, "accept-encoding", "identity");
    signing_end(&sign);
}
