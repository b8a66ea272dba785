/*
 * DELETE: one DeleteObjects request for what can go by it, single requests for the rest, a few at a
 * time. Runs on the engine's thread only.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_int.h"

struct delete_job {
    struct s3 *s3;
    struct store_req *req;
    struct http_post post;
    /* Indexes into req->deletes. */
    size_t *batch, batch_count;
    size_t *single, single_count, single_next;
    unsigned running;
    char error_text[STORE_ERROR_MAX];
};

struct delete_one {
    struct delete_job *job;
    struct store_delete *del;
    struct store_req head; /* where the store does not compare by itself */
};

static void singles_run(struct delete_job *job);

static void job_finish(struct delete_job *job)
{
    struct store_req *req = job->req;

    (void)snprintf(req->error_text, sizeof(req->error_text), "%s", job->error_text);
    req->err = 0;
    free(job->batch);
    free(job->single);
    free(job);
    req->done(req);
}

/* ---- one key ---- */

static void one_finish(struct delete_one *one, const struct s3_call *call, int err)
{
    struct delete_job *job = one->job;

    one->del->err = err;
    if (err && call && job->error_text[0] == '\0')
        (void)snprintf(job->error_text, sizeof(job->error_text), "%s", call->why);
    free(one);
    job->running--;
    singles_run(job);
}

static void one_done(struct s3_call *call)
{
    int err = call->err;

    if (err == -ENOENT && strcmp(call->error.code, "NoSuchBucket") != 0)
        err = 0;
    one_finish(call->ctx, call, err);
    s3_call_free(call);
}

static void one_send(struct delete_one *one)
{
    struct s3 *s3 = one->job->s3;
    struct s3_call *call = s3_call_new(s3, one->job->req, "DELETE", one->del->key);

    if (one->del->if_match && s3->caps.cond_delete)
        s3_call_header_etag(call, "if-match", one->del->if_match);
    call->ctx = one;
    s3_call_start(call, one_done);
}

static void one_looked(struct store_req *head)
{
    struct delete_one *one = head->ctx;
    int err = head->err;
    bool gone = err == -ENOENT;

    if (err == 0 && strcmp(head->object.etag, one->del->if_match) != 0)
        err = -ESTALE;
    store_req_clear(head);
    if (err)
        one_finish(one, NULL, gone ? 0 : err);
    else
        one_send(one);
}

static void one_start(struct delete_job *job, size_t index)
{
    struct delete_one *one = mem_zalloc(sizeof(*one));

    one->job = job;
    one->del = &job->req->deletes[index];
    if (!one->del->if_match || job->s3->caps.cond_delete) {
        one_send(one);
        return;
    }
    one->head = (struct store_req){
        .op = STORE_HEAD,
        .prio = job->req->prio,
        .deadline_ns = job->req->deadline_ns,
        .key = one->del->key,
        .done = one_looked,
        .ctx = one,
    };
    s3_head_start(job->s3, &one->head);
}

static void singles_run(struct delete_job *job)
{
    while (job->running < S3_PARALLEL && job->single_next < job->single_count) {
        job->running++;
        one_start(job, job->single[job->single_next++]);
    }
    if (job->running == 0)
        job_finish(job);
}

/* ---- many keys ---- */

static int batch_sort_compare(const void *a, const void *b, void *ctx)
{
    const struct delete_job *job = ctx;

    return strcmp(job->req->deletes[*(const size_t *)a].key,
                  job->req->deletes[*(const size_t *)b].key);
}

static size_t *batch_find(const struct delete_job *job, const char *key)
{
    size_t low = 0, high = job->batch_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(key, job->req->deletes[job->batch[mid]].key);
        if (order == 0)
            return &job->batch[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

static int batch_parse(struct s3_call *call)
{
    struct delete_job *job = call->ctx;
    size_t prefix_len = strlen(job->s3->addr.prefix), count = 0;
    struct s3_xml_delete *errors = NULL;
    int err = s3_xml_delete_parse(call->http.text ? call->http.text : "", call->http.text_len,
                                  &errors, &count);

    if (err)
        return err;
    for (size_t i = 0; i < count; i++) {
        struct s3_judgement judgement = s3_error_judge(400, errors[i].code);
        size_t *at =
            strlen(errors[i].key) < prefix_len ? NULL : batch_find(job, errors[i].key + prefix_len);
        if (!at) {
            err = -EBADMSG;
            continue;
        }
        if (judgement.err == -ENOENT)
            continue;
        job->req->deletes[*at].err = judgement.err;
        if (judgement.verdict == S3_RETRY) /* by itself it is retried until the deadline */
            job->single[job->single_count++] = *at;
        else if (job->error_text[0] == '\0')
            (void)snprintf(job->error_text, sizeof(job->error_text), "DeleteObjects %s",
                           errors[i].code);
    }
    s3_xml_delete_clear(errors, count);
    return err;
}

static void batch_done(struct s3_call *call)
{
    struct delete_job *job = call->ctx;
    int err = call->err;
    bool unknown = err == -ENOTSUP || err == -EINVAL || err == -EIO;

    if (unknown) { /* DeleteObjects is not what this store does well */
        atomic_store(&job->s3->no_delete_batch, err == -ENOTSUP);
        for (size_t i = 0; i < job->batch_count; i++)
            job->single[job->single_count++] = job->batch[i];
    } else if (err) {
        for (size_t i = 0; i < job->batch_count; i++)
            job->req->deletes[job->batch[i]].err = err;
        (void)snprintf(job->error_text, sizeof(job->error_text), "%s", call->why);
    }
    s3_call_free(call);
    singles_run(job);
}

static void batch_start(struct delete_job *job)
{
    struct s3_call *call = s3_call_new(job->s3, job->req, "POST", NULL);
    char **keys = mem_array(job->batch_count, sizeof(char *));
    char md5[CHECKSUM_BASE64_MD5];

    for (size_t i = 0; i < job->batch_count; i++)
        keys[i] = mem_printf("%s%s", job->s3->addr.prefix, job->req->deletes[job->batch[i]].key);
    s3_call_body_text(call, s3_xml_delete_make((const char *const *)keys, job->batch_count));
    for (size_t i = 0; i < job->batch_count; i++)
        free(keys[i]);
    free((void *)keys);
    checksum_md5_base64(call->body, call->body_len, md5);
    s3_call_header(call, "content-md5", md5);
    s3_call_header(call, "content-type", "application/xml");
    s3_call_query(call, "delete", "");
    call->ctx = job;
    call->error_in_200 = true;
    call->stall_ns = call->s3->stall_write_ns;
    call->parse = batch_parse;
    s3_call_start(call, batch_done);
}

static bool fits_batch(const struct delete_job *job, const struct store_delete *del)
{
    return !atomic_load(&job->s3->no_delete_batch) && !del->if_match &&
           s3_xml_key_writable(del->key);
}

static bool key_possible(const struct s3 *s3, const char *key)
{
    return *key && strlen(s3->addr.prefix) + strlen(key) <= STORE_KEY_MAX;
}

static void job_run(struct http_post *post)
{
    struct delete_job *job =
        (struct delete_job *)((char *)post - offsetof(struct delete_job, post));
    struct store_req *req = job->req;

    job->batch = mem_array(req->delete_count, sizeof(size_t));
    job->single = mem_array(req->delete_count, sizeof(size_t));
    for (size_t i = 0; i < req->delete_count; i++) {
        req->deletes[i].err = 0;
        if (!key_possible(job->s3, req->deletes[i].key))
            continue; /* it is not there */
        if (fits_batch(job, &req->deletes[i]))
            job->batch[job->batch_count++] = i;
        else
            job->single[job->single_count++] = i;
    }
    if (job->batch_count == 1) { /* costs nothing more, and works everywhere */
        job->single[job->single_count++] = job->batch[0];
        job->batch_count = 0;
    }
    if (job->batch_count == 0) {
        singles_run(job);
        return;
    }
    qsort_r(job->batch, job->batch_count, sizeof(size_t), batch_sort_compare, job);
    batch_start(job);
}

void s3_delete_start(struct s3 *s3, struct store_req *req)
{
    struct delete_job *job = mem_zalloc(sizeof(*job));

    job->s3 = s3;
    job->req = req;
    job->post.fn = job_run;
    http_post(s3->http, &job->post);
}
