/*
 * One S3 request, from its parts to its final answer.
 *
 * States of a call: building (one thread has it) -> trying (the engine has it, http is submitted)
 * -> waiting (the engine has it, retry is armed) -> trying ... -> done. Only building may happen on
 * a thread other than the engine's.
 */
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_int.h"
#include "cloud/s3_text.h"
#include "cloud/uri.h"

#define CLOCK_OFF_NS (600 * CLOCK_S) /* a 403 with a Date as far from ours is about the clock */

/* ---- building ---- */

struct s3_call *s3_call_new(struct s3 *s3, struct store_req *req, const char *method,
                            const char *key)
{
    struct s3_call *call = mem_zalloc(sizeof(*call));

    call->s3 = s3;
    call->req = req;
    call->method = method;
    call->key = key ? mem_printf("%s%s", s3->addr.prefix, key) : NULL;
    call->stall_ns = s3->stall_read_ns;
    if (req) {
        call->prio = (unsigned)req->prio;
        call->deadline_ns = req->deadline_ns;
    }
    s3_options_payer_send(call);
    return call;
}

static void pairs_free(struct s3_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
}

void s3_call_free(struct s3_call *call)
{
    if (!call)
        return;
    assert(!call->retry.armed);
    http_request_clear(&call->http);
    curl_slist_free_all(call->slist);
    pairs_free(call->query, call->query_count);
    pairs_free(call->headers, call->header_count);
    free(call->url);
    free(call->key);
    free(call->own_body);
    free(call);
}

static void pair_add(struct s3_pair **pairs, size_t *count, char *name, char *value)
{
    *pairs = mem_rearray(*pairs, *count + 1, sizeof(**pairs));
    (*pairs)[(*count)++] = (struct s3_pair){.name = name, .value = value};
}

void s3_call_query(struct s3_call *call, const char *name, const char *value)
{
    pair_add(&call->query, &call->query_count, uri_encode(name, false), uri_encode(value, false));
}

void s3_call_header(struct s3_call *call, const char *name, const char *value)
{
    assert(call->header_count < S3_CALL_HEADERS_MAX);
    pair_add(&call->headers, &call->header_count, mem_strdup(name), mem_strdup(value));
}

void s3_call_header_etag(struct s3_call *call, const char *name, const char *etag)
{
    assert(call->header_count < S3_CALL_HEADERS_MAX);
    pair_add(&call->headers, &call->header_count, mem_strdup(name), mem_printf("\"%s\"", etag));
}

void s3_call_body(struct s3_call *call, const void *body, size_t len)
{
    call->body = body;
    call->body_len = len;
}

void s3_call_body_text(struct s3_call *call, char *text)
{
    free(call->own_body);
    call->own_body = text;
    s3_call_body(call, text, strlen(text));
}

static int pair_compare(const void *a, const void *b)
{
    return strcmp(((const struct s3_pair *)a)->name, ((const struct s3_pair *)b)->name);
}

/* ---- one try ---- */

static void call_http_done(struct http_request *http);

static void call_try(struct s3_call *call)
{
    struct http_request *http = &call->http;
    unsigned doublings = call->attempts < S3_STALL_DOUBLINGS ? call->attempts : S3_STALL_DOUBLINGS;
    bool broken = call->attempts > 0 && http->err != 0;

    s3_call_sign(call);
    http_request_clear(http);
    *http = (struct http_request){
        .method = call->method,
        .url = call->url,
        .headers = call->slist,
        .body = call->body,
        .body_len = call->body_len,
        .recv = call->recv,
        .recv_len = call->recv_len,
        .text_max = S3_XML_MAX,
        .prio = call->prio,
        .fresh = broken, /* and with it a new look at the name servers */
        .deadline_ns = call->deadline_ns,
        .stall_ns = call->s3->stall_fixed ? call->stall_ns : call->stall_ns << doublings,
        .done = call_http_done,
        .ctx = call,
    };
    http_submit(call->s3->http, http);
}

static void on_retry(struct http_timer *timer)
{
    call_try((struct s3_call *)((char *)timer - offsetof(struct s3_call, retry)));
}

void s3_call_start(struct s3_call *call, void (*done)(struct s3_call *call))
{
    call->done = done;
    call->retry.fn = on_retry;
    call->start_wall_ns = clock_wall_ns();
    if (call->query_count > 1)
        qsort(call->query, call->query_count, sizeof(*call->query), pair_compare);
    s3_call_hash(call);
    call_try(call);
}

/* ---- what came back ---- */

/* The clock of the store, if it is far from what we sign with: corrects ours. */
static bool call_learn_clock(struct s3_call *call, int64_t off_min_ns)
{
    const char *date = http_header_get(&call->http, "date");
    int64_t theirs = date ? retry_date_parse(date) : -1;
    struct s3 *s3 = call->s3;

    if (theirs < 0)
        return false;
    LOCK_SCOPE(&s3->lock);
    int64_t off = theirs - (clock_wall_ns() + s3->clock_offset_ns);
    if (off < off_min_ns && off > -off_min_ns)
        return false;
    s3->clock_offset_ns += off;
    return true;
}

static bool region_valid(const char *region)
{
    return *region && strlen(region) < sizeof(((struct s3 *)0)->region) &&
           region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* Takes over the region that an answer names. True if it is another one than that of the call. */
static bool call_learn_region(struct s3_call *call)
{
    const char *region = http_header_get(&call->http, "x-amz-bucket-region");
    struct s3 *s3 = call->s3;

    if (!region || !*region)
        region = call->error.region;
    if (s3->no_detect || !region_valid(region))
        return false;
    LOCK_SCOPE(&s3->lock);
    if (strcmp(s3->region, region) == 0) {
        /* Another call may have learned it since this one was signed. */
        CLEANUP_FREE char *scope = mem_printf("/%s/s3/aws4_request", region);
        for (const struct curl_slist *line = call->slist; line; line = line->next)
            if (strncmp(line->data, "authorization:", 14) == 0)
                return strstr(line->data, scope) == NULL;
        return false;
    }
    (void)snprintf(s3->region, sizeof(s3->region), "%s", region);
    return true;
}

/* Somebody may have put new keys where ours came from: the old ones were for a time, or rotated. */
static bool call_learn_keys(struct s3_call *call)
{
    struct s3 *s3 = call->s3;
    struct credentials creds = {0}, old;
    struct store_error ignored;
    int64_t now = clock_mono_ns();

    (void)pthread_mutex_lock(&s3->lock);
    bool look = !s3->anonymous && now - s3->creds_read_ns >= S3_KEYS_AGE_NS;
    if (look)
        s3->creds_read_ns = now;
    (void)pthread_mutex_unlock(&s3->lock);
    if (!look || s3_load_credentials(s3, s3->store.url, &creds, &ignored) || !creds.access_key) {
        credentials_clear(&creds);
        return false;
    }
    (void)pthread_mutex_lock(&s3->lock);
    bool other = !credentials_same(&creds, &s3->creds);
    old = s3->creds;
    s3->creds = creds;
    s3->key = (struct sigv4_key){0};
    (void)pthread_mutex_unlock(&s3->lock);
    credentials_clear(&old);
    return other;
}

static bool call_learn(struct s3_call *call, enum s3_verdict verdict)
{
    if (call->redirects == S3_REDIRECTS_MAX)
        return false;
    bool again = false;
    if (verdict == S3_CLOCK)
        again = call_learn_clock(call, CLOCK_S);
    else if (verdict == S3_REGION)
        again = call_learn_region(call) ||
                (call->http.status == 403 && call_learn_clock(call, CLOCK_OFF_NS));
    /* The answer to a HEAD has no code to tell what is wrong. */
    bool mute = call->error.code[0] == '\0' && strcmp(call->method, "HEAD") == 0;
    if (verdict == S3_KEYS || (!again && mute))
        again = call_learn_keys(call);
    if (again)
        call->redirects++;
    return again;
}

static struct s3_judgement call_judge(struct s3_call *call)
{
    struct http_request *http = &call->http;
    bool success = http->status >= 200 && http->status < 300;
    bool is_error = false;

    call->error = (struct s3_xml_error){0};
    if (http->err == -EMSGSIZE)
        return (struct s3_judgement){S3_NONSENSE, -EIO};
    if (http->err)
        return (struct s3_judgement){http->err == -EAGAIN ? S3_RETRY : S3_FAIL, http->err};
    if ((!success || call->error_in_200) && http->text)
        is_error = s3_xml_error_parse(http->text, http->text_len, &call->error);
    if (call->conflict_err && strcmp(call->error.code, "ConditionalRequestConflict") == 0)
        return (struct s3_judgement){S3_FAIL, call->conflict_err};
    if (!success || is_error)
        return s3_error_judge(http->status, call->error.code);
    int err = call->parse ? call->parse(call) : 0;
    return (struct s3_judgement){err == -EBADMSG ? S3_NONSENSE : S3_FAIL, err};
}

static void call_end(struct s3_call *call, int err)
{
    call->err = err;
    if (err == 0)
        retry_budget_succeed(&call->s3->budget);
    call->done(call);
}

/* Arms the timer for the next try, or ends with err. */
static void call_retry(struct s3_call *call, int err)
{
    const char *after = http_header_get(&call->http, "retry-after");
    int64_t now = clock_mono_ns(), deadline = call->deadline_ns;
    int64_t after_ns = after ? retry_after_parse(after, clock_wall_ns()) : 0;

    if (call->s3->tries_max > 0 && call->attempts >= call->s3->tries_max) {
        call_end(call, err);
        return;
    }
    bool slow = !retry_budget_take(&call->s3->budget);
    if (call->s3->reach_deadline_ns && !call->http.maybe_sent)
        deadline = call->s3->reach_deadline_ns;
    if (deadline > http_cut_ns(call->s3->http))
        deadline = http_cut_ns(call->s3->http);
    int64_t next = retry_next_ns(&call->s3->pauses, call->attempts, slow, retry_random(), now,
                                 deadline, after_ns);
    if (next == CLOCK_NEVER)
        call_end(call, err);
    else
        http_timer_start(call->s3->http, &call->retry, next);
}

/* Keeps what there is to say about a failure. */
static void call_explain(struct s3_call *call)
{
    const struct http_request *http = &call->http;

    /* That the time was up says less than what went wrong before. */
    if (http->err == -EAGAIN && call->why[0] && clock_mono_ns() >= call->deadline_ns)
        return;
    if (http->err)
        (void)snprintf(call->why, sizeof(call->why), "%.200s (after %u tries)", http->error,
                       call->attempts);
    else
        (void)snprintf(call->why, sizeof(call->why), "%s %d %.64s%s%.160s", call->method,
                       http->status, call->error.code, call->error.message[0] ? ": " : "",
                       call->error.message);
}

/* An answer about an object is one, whatever it says. */
static void call_note_health(struct s3_call *call, struct s3_judgement judgement)
{
    if (judgement.verdict == S3_RETRY || judgement.verdict == S3_NONSENSE ||
        judgement.err == -EACCES)
        store_health_failed(&call->s3->store, call->why);
    else
        store_health_ok(&call->s3->store);
}

static void call_http_done(struct http_request *http)
{
    struct s3_call *call = http->ctx;
    struct s3_judgement judgement = call_judge(call);

    call->attempts++;
    call->ambiguous |= http->resent;
    if (judgement.err == 0) {
        store_health_ok(&call->s3->store);
        call_end(call, 0);
        return;
    }
    call_explain(call);
    call_note_health(call, judgement);
    /* A refusal says that nothing was done. No answer, or trouble inside the store, says nothing.
     */
    if (http->err ? http->maybe_sent : http->status < 300 || http->status >= 500)
        call->ambiguous = true;
    switch (judgement.verdict) {
    case S3_FAIL:
        call_end(call, judgement.err);
        return;
    case S3_RETRY:
        call_retry(call, -EAGAIN);
        return;
    case S3_NONSENSE:
        if (++call->nonsense < S3_NONSENSE_TRIES)
            call_retry(call, -EIO);
        else
            call_end(call, -EIO);
        return;
    case S3_CLOCK:
    case S3_REGION:
    case S3_KEYS:
        if (call_learn(call, judgement.verdict))
            call_try(call);
        else
            call_end(call, judgement.err);
        return;
    }
}

/* ---- giving requests back ---- */

void s3_req_finish(struct store_req *req, const struct s3_call *call, int err)
{
    req->err = err;
    (void)snprintf(req->error_text, sizeof(req->error_text), "%s", err && call ? call->why : "");
    req->done(req);
}

void s3_call_finish(struct s3_call *call)
{
    s3_req_finish(call->req, call, call->err);
    s3_call_free(call);
}
