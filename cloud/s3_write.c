/* PUT, COPY in one request, and what they share with multipart uploads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_int.h"
#include "cloud/s3_text.h"
#include "cloud/uri.h"

/* ---- headers ---- */

int s3_meta_check(const struct store_meta *meta)
{
    for (size_t i = 0; meta && i < meta->count; i++)
        if (!s3_meta_name_valid(meta->pairs[i].name))
            return -EINVAL;
    return meta && meta->count > 32 ? -EINVAL : 0;
}

void s3_meta_send(struct s3_call *call, const struct store_meta *meta)
{
    for (size_t i = 0; meta && i < meta->count; i++) {
        CLEANUP_FREE char *name = mem_printf("x-amz-meta-%s", meta->pairs[i].name);
        CLEANUP_FREE char *value = s3_meta_value_encode(meta->pairs[i].value);
        s3_call_header(call, name, value);
    }
}

/* Those of the request's target, if the store knows them; s3_guard_before has seen to the rest. */
void s3_conditions_send(struct s3_call *call)
{
    const struct store_req *req = call->req;
    const struct store_caps *caps = &call->s3->caps;

    if (req->op == STORE_COPY ? !caps->cond_copy : !caps->cond_put)
        return;
    if (req->if_match)
        s3_call_header_etag(call, "if-match", req->if_match);
    else if (req->if_none_match)
        s3_call_header(call, "if-none-match", "*");
}

void s3_copy_source_send(struct s3_call *call)
{
    const struct s3_address *addr = &call->s3->addr;
    CLEANUP_FREE char *plain =
        mem_printf("%s/%s%s", addr->bucket, addr->prefix, call->req->src_key);
    CLEANUP_FREE char *source = uri_encode(plain, true);

    s3_call_header(call, "x-amz-copy-source", source);
    if (call->req->src_if_match)
        s3_call_header_etag(call, "x-amz-copy-source-if-match", call->req->src_if_match);
    s3_options_source_key_send(call);
}

void s3_body_send(struct s3_call *call, const struct store_req *req, bool with_sum, char *ret_sum)
{
    char sum[CHECKSUM_BASE64_CRC32C];

    s3_call_body(call, req->buf, req->buf_len);
    if (!with_sum)
        return;
    checksum_crc32c_base64(checksum_crc32c(0, req->buf, req->buf_len), sum);
    s3_call_header(call, "x-amz-checksum-crc32c", sum);
    if (ret_sum)
        memcpy(ret_sum, sum, sizeof(sum));
}

/* "The target is gone" instead of "it is another one". */
int s3_target_gone(const struct s3_call *call)
{
    bool key = strcmp(call->error.code, "NoSuchKey") == 0 || call->error.code[0] == '\0';

    return call->err == -ENOENT && call->req->if_match && key ? -ESTALE : call->err;
}

/* ---- PUT ---- */

static int put_parse(struct s3_call *call)
{
    const char *etag = http_header_get(&call->http, "etag");

    if (etag)
        s3_etag_copy(call->req->object.etag, etag);
    return 0;
}

static void put_done(struct s3_call *call)
{
    struct store_req *req = call->req;
    struct s3_expected expected = {.size = req->buf_len, .meta = req->meta};
    uint8_t md5[16];

    call->err = s3_target_gone(call);
    if (call->err != -ESTALE || !call->ambiguous) {
        s3_call_finish(call);
        return;
    }
    checksum_md5(req->buf, req->buf_len, md5);
    checksum_hex(md5, sizeof(md5), expected.etag);
    s3_guard_after(call, call->err, &expected);
}

static void put_send(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "PUT", req->key);

    s3_content_send(call, NULL, req->content_type);
    s3_meta_send(call, req->meta);
    s3_options_make_send(call, NULL, req->buf_len);
    s3_conditions_send(call);
    s3_body_send(call, req, atomic_load(&s3->crc32c), NULL);
    call->stall_ns = call->s3->stall_write_ns;
    call->parse = put_parse;
    s3_call_start(call, put_done);
}

void s3_put_start(struct s3 *s3, struct store_req *req)
{
    s3_guard_before(s3, req, s3->caps.cond_put, put_send);
}

/* ---- COPY ---- */

struct copy_job {
    struct s3 *s3;
    struct store_req *req;
    struct store_req head; /* of the source, for what S3 does not take over by itself */
    struct s3_content content;
};

static void copy_job_free(struct copy_job *job)
{
    store_req_clear(&job->head);
    s3_content_clear(&job->content);
    free(job);
}

int s3_result_parse(struct s3_call *call)
{
    struct s3_xml_result result;
    int err =
        s3_xml_result_parse(call->http.text ? call->http.text : "", call->http.text_len, &result);

    if (err)
        return err;
    if (call->req->op == STORE_MPU_COPY) {
        struct store_part *part = &call->req->ret_part;
        part->number = call->req->part_number;
        memcpy(part->etag, result.etag, sizeof(part->etag));
        memcpy(part->checksum, result.crc32c, sizeof(part->checksum));
        return result.etag[0] ? 0 : -EBADMSG;
    }
    memcpy(call->req->object.etag, result.etag, sizeof(result.etag));
    return 0;
}

static void copy_which_done(struct store_req *head)
{
    struct copy_job *job = head->ctx;
    struct store_req *req = job->req;
    /* The source is there, so it is the target that is not. */
    int err = head->err == 0 ? -ESTALE : head->err;

    copy_job_free(job);
    s3_req_finish(req, NULL, err);
}

/* A 404 for a copy with a precondition: is it the source or the target that is missing? */
static void copy_which(struct copy_job *job)
{
    store_req_clear(&job->head); /* and with it priv: what the source has was sent */
    job->head.done = copy_which_done;
    s3_head_start(job->s3, &job->head);
}

static void copy_done(struct s3_call *call)
{
    struct copy_job *job = call->ctx;
    struct store_req *req = call->req;

    if (call->err == -ENOENT && req->if_match) {
        s3_call_free(call);
        copy_which(job);
        return;
    }
    if (call->err == -ESTALE && call->ambiguous) {
        struct s3_expected expected = {.size = req->src_size, .meta = req->meta};
        s3_guard_after(call, call->err, &expected);
    } else {
        s3_call_finish(call);
    }
    copy_job_free(job);
}

static void copy_send(struct copy_job *job)
{
    struct store_req *req = job->req;
    struct s3_call *call = s3_call_new(job->s3, req, "PUT", req->key);

    s3_copy_source_send(call);
    if (req->meta) {
        s3_call_header(call, "x-amz-metadata-directive", "REPLACE");
        s3_content_send(call, &job->content, req->content_type);
        s3_meta_send(call, req->meta);
    }
    if (!req->src_if_match && job->head.object.etag[0]) /* what was looked at is to be copied */
        s3_call_header_etag(call, "x-amz-copy-source-if-match", job->head.object.etag);
    s3_options_make_send(call, &job->content, job->head.object.size);
    s3_conditions_send(call);
    call->ctx = job;
    call->stall_ns = S3_STALL_SLOW_NS;
    call->error_in_200 = true;
    call->parse = s3_result_parse;
    s3_call_start(call, copy_done);
}

static void copy_head_done(struct store_req *head)
{
    struct copy_job *job = head->ctx;
    struct store_req *req = job->req;

    if (head->err == 0) {
        copy_send(job);
        return;
    }
    int err = head->err;
    (void)snprintf(req->error_text, sizeof(req->error_text), "%s", head->error_text);
    copy_job_free(job);
    s3_req_finish(req, NULL, err);
}

static void copy_guarded(struct s3 *s3, struct store_req *req)
{
    if (req->src_size > s3->caps.copy_size_max) {
        s3_copy_parts_start(s3, req);
        return;
    }
    struct copy_job *job = mem_zalloc(sizeof(*job));
    job->s3 = s3;
    job->req = req;
    job->head = (struct store_req){
        .op = STORE_HEAD,
        .prio = req->prio,
        .deadline_ns = req->deadline_ns,
        .done = copy_head_done,
        .ctx = job,
        .key = req->src_key,
        .if_match = req->src_if_match,
        .priv = &job->content,
    };
    s3_head_start(s3, &job->head);
}

void s3_copy_start(struct s3 *s3, struct store_req *req)
{
    /* Of a copy onto itself the source is the target, and its condition is known everywhere. */
    bool itself = strcmp(req->key, req->src_key) == 0 && req->src_if_match && req->if_match &&
                  strcmp(req->src_if_match, req->if_match) == 0;

    s3_guard_before(s3, req, s3->caps.cond_copy || itself, copy_guarded);
}
