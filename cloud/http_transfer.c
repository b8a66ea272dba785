/* One HTTP exchange: libcurl's options and callbacks, and what its result means. */
#include "cloud/http_int.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define EXPECT_TIMEOUT_MS 1000L
#define PEER_GONE_MS 30000U
#define BUFFER_BYTES (128L << 10)

enum { EXPECT_BODY_MIN = 1 << 20 }; /* ask before sending a body as large as this */

void http_request_clear(struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++) {
        free(req->headers_in[i].name);
        free(req->headers_in[i].value);
    }
    free(req->headers_in);
    free(req->text);
    req->headers_in = NULL;
    req->text = NULL;
    req->header_count = req->recv_got = req->text_len = 0;
    req->err = req->status = 0;
    req->maybe_sent = req->resent = false;
    req->error[0] = '\0';
}

const char *http_header_get(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (strcmp(req->headers_in[i].name, name) == 0)
            return req->headers_in[i].value;
    return NULL;
}

static void header_add(struct http_request *req, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);

    if (!colon || req->header_count == HTTP_HEADERS_MAX)
        return;
    if (req->header_count % 16 == 0)
        req->headers_in =
            mem_rearray(req->headers_in, req->header_count + 16, sizeof(*req->headers_in));
    struct http_header *header = &req->headers_in[req->header_count++];
    header->name = mem_strndup(line, (size_t)(colon - line));
    for (char *p = header->name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    const char *value = colon + 1, *end = line + len;
    while (value < end && isspace((unsigned char)*value))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    header->value = mem_strndup(value, (size_t)(end - value));
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct http_transfer *transfer = ctx;
    size_t len = size * count;

    if (len >= 12 && memcmp(line, "HTTP/", 5) == 0) {
        if (memmem(line, 12, " 100", 4))
            transfer->continued = true;
        http_request_clear(transfer->req); /* what came before was an interim answer */
        transfer->header_bytes = 0;
    }
    transfer->header_bytes += len;
    if (transfer->header_bytes > HTTP_HEADER_BYTES_MAX)
        return 0;
    header_add(transfer->req, line, len);
    return len;
}

static bool text_append(struct http_transfer *transfer, const char *data, size_t len, size_t max)
{
    struct http_request *req = transfer->req;

    if (len > max - req->text_len)
        return false;
    if (req->text_len + len + 1 > transfer->text_room || !req->text) {
        transfer->text_room = (req->text_len + len) * 2 + 1024;
        req->text = mem_realloc(req->text, transfer->text_room);
    }
    memcpy(req->text + req->text_len, data, len);
    req->text_len += len;
    req->text[req->text_len] = '\0';
    return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http_transfer *transfer = ctx;
    struct http_request *req = transfer->req;
    size_t len = size * count;
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299) {
        (void)text_append(transfer, data, len, HTTP_ERROR_TEXT_MAX);
        return len;
    }
    if (!req->recv) {
        if (text_append(transfer, data, len, req->text_max))
            return len;
    } else if (len <= req->recv_len - req->recv_got) {
        memcpy((char *)req->recv + req->recv_got, data, len);
        req->recv_got += len;
        return len;
    }
    transfer->overflow = true;
    return 0;
}

static size_t on_send(char *buf, size_t size, size_t count, void *ctx)
{
    struct http_transfer *transfer = ctx;
    size_t room = size * count, left = transfer->req->body_len - transfer->sent;
    size_t len = room < left ? room : left;

    if (len > 0)
        memcpy(buf, (const char *)transfer->req->body + transfer->sent, len);
    transfer->sent += len;
    return len;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct http_transfer *transfer = ctx;

    if (origin != SEEK_SET || offset < 0 || (size_t)offset > transfer->req->body_len)
        return CURL_SEEKFUNC_FAIL;
    transfer->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int on_prereq(void *ctx, char *peer, char *local, int peer_port, int local_port)
{
    struct http_transfer *transfer = ctx;

    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    transfer->sends++;
    return CURL_PREREQFUNC_OK;
}

/* A peer that has vanished is noticed even while a request waits in silence. */
static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    unsigned timeout_ms = PEER_GONE_MS;

    (void)ctx;
    (void)purpose;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    return CURL_SOCKOPT_OK;
}

static void setup_connection(const struct http_engine *engine, CURL *easy)
{
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, engine->connect_timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 15L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
    (void)curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "pailfs/" PAILFS_VERSION);
    (void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    if (engine->ca_file)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, engine->ca_file);
    if (engine->no_verify) {
        (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void setup_method(struct http_transfer *transfer)
{
    const struct http_request *req = transfer->req;
    CURL *easy = transfer->easy;

    if (strcmp(req->method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (strcmp(req->method, "GET") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    } else if (strcmp(req->method, "DELETE") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
    } else {
        (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
        (void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body_len);
        (void)curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_TIMEOUT_MS);
    }
}

static void setup_request(struct http_transfer *transfer)
{
    struct http_request *req = transfer->req;
    CURL *easy = transfer->easy;

    /* The URL is signed as it stands: no tidying of "..". */
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_URL, req->url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, req->headers);
    (void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, req->fresh ? 1L : 0L);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, req->error);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_prereq);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
}

static struct http_transfer *transfer_take(struct http_engine *engine)
{
    if (engine->idle_count > 0) {
        struct http_transfer *transfer = engine->idle[--engine->idle_count];
        CURL *easy = transfer->easy;
        curl_easy_reset(easy);
        *transfer = (struct http_transfer){.easy = easy};
        return transfer;
    }
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    struct http_transfer *transfer = mem_zalloc(sizeof(*transfer));
    transfer->easy = easy;
    return transfer;
}

struct http_transfer *http_transfer_start(struct http_engine *engine, struct http_request *req)
{
    struct http_transfer *transfer = transfer_take(engine);

    if (!transfer)
        return NULL;
    transfer->req = req;
    /* Where 100-continue goes unanswered it would cost a second for every large body. */
    bool expect = req->body_len >= EXPECT_BODY_MIN && !engine->no_expect;
    transfer->expecting = expect;
    req->headers = curl_slist_append(req->headers, expect ? "Expect: 100-continue" : "Expect:");
    setup_connection(engine, transfer->easy);
    setup_method(transfer);
    setup_request(transfer);
    return transfer;
}

void http_transfer_free(struct http_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    free(transfer);
}

curl_off_t http_transfer_moved(const struct http_transfer *transfer)
{
    curl_off_t up = 0, down = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    return up + down + (curl_off_t)transfer->header_bytes;
}

static int result_errno(const struct http_transfer *transfer, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_WRITE_ERROR:
        return transfer->overflow ? -EMSGSIZE : -EAGAIN;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return -EACCES;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EINVAL;
    default:
        return -EAGAIN;
    }
}

void http_transfer_result(struct http_transfer *transfer, CURLcode code)
{
    struct http_request *req = transfer->req;
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    req->status = (int)status;
    req->err = result_errno(transfer, code);
    /* Not by the code: after a kept connection took the request and died, libcurl tries again by
     * itself, and what it reports may be that nobody listens there any more. */
    req->maybe_sent = transfer->sends > 0;
    req->resent = transfer->sends > 1;
    if (code != CURLE_OK && req->error[0] == '\0')
        (void)snprintf(req->error, sizeof(req->error), "%s", curl_easy_strerror(code));
}
