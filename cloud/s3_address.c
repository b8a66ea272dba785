/* From s3://bucket/prefix and an endpoint to hosts and paths. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cloud/s3_int.h"
#include "cloud/uri.h"

enum { BUCKET_NAME_MIN = 3, BUCKET_NAME_MAX = 255 /* 63 by now; older ones are longer */ };

static int address_fail(struct store_error *reterr, const char *what, const char *why)
{
    (void)snprintf(reterr->text, sizeof(reterr->text), "%.200s: %s", what, why);
    return -EINVAL;
}

static bool bucket_valid(const char *name)
{
    size_t len = strlen(name);

    if (len < BUCKET_NAME_MIN || len > BUCKET_NAME_MAX || name[0] == '.')
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("-._", *name))
            return false;
    return true;
}

/* A name that can be a label of a host name which its certificate covers. */
static bool bucket_fits_host(const char *name)
{
    for (; *name; name++)
        if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) && *name != '-')
            return false;
    return true;
}

static int parse_url(const char *url, struct s3_address *addr, struct store_error *reterr)
{
    const char *rest = url + strlen("s3://"), *slash = strchr(rest, '/');

    addr->bucket = slash ? mem_strndup(rest, (size_t)(slash - rest)) : mem_strdup(rest);
    if (!bucket_valid(addr->bucket))
        return address_fail(reterr, url, "expected s3://BUCKET[/PREFIX] with a valid bucket name");
    while (slash && *slash == '/')
        slash++;
    size_t len = slash ? strlen(slash) : 0;
    while (len > 0 && slash[len - 1] == '/')
        len--;
    addr->prefix = len > 0 ? mem_printf("%.*s/", (int)len, slash) : mem_strdup("");
    if (len + 1 > STORE_KEY_MAX / 2)
        return address_fail(reterr, url, "the prefix is too long (512 bytes at most)");
    if (!utf8_valid(addr->prefix, strlen(addr->prefix)))
        return address_fail(reterr, url, "the prefix is not UTF-8");
    return 0;
}

static int parse_endpoint(const char *endpoint, struct s3_address *addr, struct store_error *reterr)
{
    const char *host = strstr(endpoint, "://");

    if (host && strncasecmp(endpoint, "http://", 7) == 0)
        addr->tls = false;
    else if (host && strncasecmp(endpoint, "https://", 8) == 0)
        addr->tls = true;
    else
        return address_fail(reterr, endpoint,
                            "an endpoint is http://HOST[:PORT] or https://HOST[:PORT]");
    host += 3;
    size_t len = strcspn(host, "/?#");
    if (len == 0 || memchr(host, '@', len) || host[len] == '?' || host[len] == '#')
        return address_fail(reterr, endpoint,
                            "an endpoint is http://HOST[:PORT] or https://HOST[:PORT]");
    addr->endpoint_host = mem_strndup(host, len);
    for (char *p = addr->endpoint_host; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    char *port = strrchr(addr->endpoint_host, ':');
    if (port && strcmp(port, addr->tls ? ":443" : ":80") == 0)
        *port = '\0'; /* as libcurl's Host header will have it */
    size_t path_len = strlen(host + len);
    while (path_len > 0 && host[len + path_len - 1] == '/')
        path_len--;
    addr->endpoint_path = mem_strndup(host + len, path_len);
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool choose_path_style(const struct s3_address *addr, const struct store_config *config)
{
    if (config->virtual_style)
        return false;
    if (config->path_style || !bucket_fits_host(addr->bucket))
        return true;
    return !addr->aws && !ends_with(addr->endpoint_host, ".amazonaws.com");
}

int s3_address_parse(const char *url, const struct store_config *config, const char *endpoint,
                     struct s3_address *ret, struct store_error *reterr)
{
    struct s3_address addr = {.tls = true, .aws = !endpoint};

    int err = parse_url(url, &addr, reterr);
    if (!err && endpoint)
        err = parse_endpoint(endpoint, &addr, reterr);
    if (err) {
        s3_address_clear(&addr);
        return err;
    }
    addr.path = choose_path_style(&addr, config);
    size_t len = strlen(addr.prefix);
    addr.url = mem_printf("s3://%s%s%.*s", addr.bucket, len > 0 ? "/" : "",
                          len > 0 ? (int)len - 1 : 0, addr.prefix);
    if (endpoint) {
        char *plain = addr.url;
        addr.url = mem_printf("%s?endpoint=%s://%s%s", plain, addr.tls ? "https" : "http",
                              addr.endpoint_host, addr.endpoint_path);
        free(plain);
    }
    *ret = addr;
    return 0;
}

void s3_address_clear(struct s3_address *addr)
{
    free(addr->bucket);
    free(addr->prefix);
    free(addr->url);
    free(addr->endpoint_host);
    free(addr->endpoint_path);
    *addr = (struct s3_address){0};
}

char *s3_address_host(const struct s3_address *addr, const char *region)
{
    CLEANUP_FREE char *host = addr->aws ? mem_printf("s3.%s.amazonaws.com%s", region,
                                                     strncmp(region, "cn-", 3) == 0 ? ".cn" : "")
                                        : mem_strdup(addr->endpoint_host);

    return addr->path ? mem_strdup(host) : mem_printf("%s.%s", addr->bucket, host);
}

char *s3_address_path(const struct s3_address *addr, const char *key)
{
    CLEANUP_FREE char *encoded = uri_encode(key ? key : "", true);

    return mem_printf("%s%s%s/%s", addr->endpoint_path ? addr->endpoint_path : "",
                      addr->path ? "/" : "", addr->path ? addr->bucket : "", encoded);
}
