/* AWS Signature Version 4. The names of the steps are those of Amazon's description. */
#include "cloud/sigv4.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/checksum.h"

#define SIGV4_SERVICE "s3"

void sigv4_date(int64_t wall_ns, char ret[SIGV4_DATE_MAX])
{
    time_t t = (time_t)(wall_ns / CLOCK_S);
    struct tm tm;

    (void)gmtime_r(&t, &tm);
    (void)strftime(ret, SIGV4_DATE_MAX, "%Y%m%dT%H%M%SZ", &tm);
}

static void hmac_text(const uint8_t *key, size_t key_len, const char *text, uint8_t *ret)
{
    checksum_hmac_sha256(key, key_len, text, strlen(text), ret);
}

void sigv4_key_update(struct sigv4_key *key, const char *secret, const char *date,
                      const char *region)
{
    uint8_t day_key[SIGV4_KEY_LEN], region_key[SIGV4_KEY_LEN], service_key[SIGV4_KEY_LEN];

    assert(strlen(date) == SIGV4_DATE_MAX - 1);
    if (strncmp(key->day, date, 8) == 0 && strcmp(key->region, region) == 0)
        return;
    (void)snprintf(key->day, sizeof(key->day), "%.8s", date);
    (void)snprintf(key->region, sizeof(key->region), "%s", region);
    CLEANUP_FREE char *first = mem_printf("AWS4%s", secret);
    hmac_text((const uint8_t *)first, strlen(first), key->day, day_key);
    hmac_text(day_key, sizeof(day_key), key->region, region_key);
    hmac_text(region_key, sizeof(region_key), SIGV4_SERVICE, service_key);
    hmac_text(service_key, sizeof(service_key), "aws4_request", key->key);
    explicit_bzero(first, strlen(first));
}

/* Trimmed, and runs of spaces made one. */
static void canonical_value(FILE *out, const char *value)
{
    bool space = false, any = false;

    for (; *value; value++) {
        if (*value == ' ' || *value == '\t') {
            space = any;
            continue;
        }
        if (space)
            (void)fputc(' ', out);
        (void)fputc(*value, out);
        space = false;
        any = true;
    }
}

static char *canonical_request(const struct sigv4_request *req, const char *signed_headers)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert(out);
    (void)fprintf(out, "%s\n%s\n%s\n", req->method, req->path, req->query);
    for (size_t i = 0; i < req->header_count; i++) {
        assert(i == 0 || strcmp(req->headers[i - 1].name, req->headers[i].name) < 0);
        (void)fprintf(out, "%s:", req->headers[i].name);
        canonical_value(out, req->headers[i].value);
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "\n%s\n%s", signed_headers, req->payload_hash);
    (void)fclose(out);
    return text;
}

static char *signed_header_list(const struct sigv4_request *req)
{
    size_t size = 1;

    for (size_t i = 0; i < req->header_count; i++)
        size += strlen(req->headers[i].name) + 1;
    char *list = mem_zalloc(size), *p = list;
    for (size_t i = 0; i < req->header_count; i++)
        p = stpcpy(stpcpy(p, i > 0 ? ";" : ""), req->headers[i].name);
    return list;
}

char *sigv4_authorization(const struct sigv4_request *req, const struct sigv4_key *key,
                          const char *access_key, const char *date)
{
    uint8_t signature[CHECKSUM_SHA256_LEN];
    char signature_hex[CHECKSUM_HEX_SHA256], hash[CHECKSUM_HEX_SHA256];

    assert(strncmp(key->day, date, 8) == 0);
    CLEANUP_FREE char *signed_headers = signed_header_list(req);
    CLEANUP_FREE char *canonical = canonical_request(req, signed_headers);
    checksum_sha256_hex(canonical, strlen(canonical), hash);
    CLEANUP_FREE char *scope =
        mem_printf("%s/%s/" SIGV4_SERVICE "/aws4_request", key->day, key->region);
    CLEANUP_FREE char *to_sign = mem_printf("AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hash);
    hmac_text(key->key, sizeof(key->key), to_sign, signature);
    checksum_hex(signature, sizeof(signature), signature_hex);
    return mem_printf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s", access_key,
                      scope, signed_headers, signature_hex);
}
