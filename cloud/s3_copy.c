/*
 * COPY of what is too large for one request: a multipart upload whose parts the store copies
 * itself. Made of the store's own operations. Runs on the engine's thread but for the first step.
 *
 * HEAD of the source -> MPU_BEGIN -> MPU_COPY, some at a time -> MPU_COMPLETE, or MPU_ABORT after
 * an error. Every part is conditional on the ETag that HEAD saw.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cloud/s3_int.h"

struct copy_parts {
    struct s3 *s3;
    struct store_req *req;
    struct store_req step; /* all but the parts */
    struct store_meta meta;
    struct s3_content content;
    char etag[STORE_ETAG_MAX]; /* of the source */
    char *upload_id;
    uint64_t size, part_size;
    struct store_part *parts;
    uint32_t part_count, part_next;
    unsigned running;
    struct store_req part_reqs[S3_PARALLEL];
    int err; /* the first one */
    char error_text[STORE_ERROR_MAX];
};

static void copy_parts_end(struct copy_parts *job)
{
    struct store_req *req = job->req;

    req->err = job->err;
    (void)snprintf(req->error_text, sizeof(req->error_text), "%s", job->error_text);
    store_req_clear(&job->step);
    store_meta_clear(&job->meta);
    s3_content_clear(&job->content);
    free(job->upload_id);
    free(job->parts);
    free(job);
    req->done(req);
}

static void copy_parts_fail(struct copy_parts *job, const struct store_req *step)
{
    if (job->err)
        return;
    job->err = step->err;
    (void)snprintf(job->error_text, sizeof(job->error_text), "%s", step->error_text);
}

/* A fresh request for the next step, in the name of the caller's. */
static struct store_req *copy_parts_step(struct copy_parts *job, struct store_req *step,
                                         enum store_op op, void (*done)(struct store_req *req))
{
    store_req_clear(step);
    *step = (struct store_req){
        .op = op,
        .prio = job->req->prio,
        .deadline_ns = job->req->deadline_ns,
        .done = done,
        .ctx = job,
        .key = job->req->key,
        .upload_id = job->upload_id,
    };
    return step;
}

static void aborted(struct store_req *step)
{
    copy_parts_end(step->ctx);
}

static void copy_parts_abort(struct copy_parts *job)
{
    struct store_req *step = copy_parts_step(job, &job->step, STORE_MPU_ABORT, aborted);

    /* Worth some time even when the caller's is up: parts left behind cost money. */
    step->deadline_ns = clock_mono_ns() + 20 * CLOCK_S;
    s3_mpu_abort_start(job->s3, step);
}

static void completed(struct store_req *step)
{
    struct copy_parts *job = step->ctx;

    if (step->err) {
        copy_parts_fail(job, step);
        copy_parts_abort(job);
        return;
    }
    memcpy(job->req->object.etag, step->object.etag, sizeof(step->object.etag));
    copy_parts_end(job);
}

static void copy_parts_complete(struct copy_parts *job)
{
    struct store_req *step = copy_parts_step(job, &job->step, STORE_MPU_COMPLETE, completed);

    step->parts = job->parts;
    step->part_count = job->part_count;
    /* s3_guard_before has looked at these already if the store only knows them for COPY. */
    step->if_match = job->req->if_match;
    step->if_none_match = job->req->if_none_match;
    step->meta = &job->meta;
    step->object_size = job->size;
    s3_mpu_complete_start(job->s3, step);
}

static void copy_parts_run(struct copy_parts *job);

static void part_copied(struct store_req *part)
{
    struct copy_parts *job = part->ctx;

    job->running--;
    if (part->err)
        copy_parts_fail(job, part);
    else
        job->parts[part->part_number - 1] = part->ret_part;
    part->ctx = NULL; /* free for the next */
    copy_parts_run(job);
}

static void part_start(struct copy_parts *job)
{
    struct store_req *part = job->part_reqs;
    uint32_t number = ++job->part_next;

    while (part->ctx)
        part++;
    assert(part < job->part_reqs + S3_PARALLEL);
    copy_parts_step(job, part, STORE_MPU_COPY, part_copied);
    part->src_key = job->req->src_key;
    part->src_if_match = job->etag;
    part->part_number = number;
    part->range_off = (number - 1) * job->part_size;
    part->range_len = number == job->part_count ? job->size - part->range_off : job->part_size;
    job->running++;
    s3_mpu_copy_start(job->s3, part);
}

static void copy_parts_run(struct copy_parts *job)
{
    while (!job->err && job->running < S3_PARALLEL && job->part_next < job->part_count)
        part_start(job);
    if (job->running > 0)
        return;
    if (job->err)
        copy_parts_abort(job);
    else
        copy_parts_complete(job);
}

static void begun(struct store_req *step)
{
    struct copy_parts *job = step->ctx;

    if (step->err) {
        copy_parts_fail(job, step);
        copy_parts_end(job);
        return;
    }
    job->upload_id = mem_strdup(step->ret_upload_id);
    copy_parts_run(job);
}

static void looked(struct store_req *step)
{
    struct copy_parts *job = step->ctx;
    uint64_t count_max = job->s3->caps.part_count_max;

    if (step->err) {
        copy_parts_fail(job, step);
        copy_parts_end(job);
        return;
    }
    memcpy(job->etag, step->object.etag, sizeof(job->etag));
    job->size = step->object.size;
    store_meta_copy(&job->meta, job->req->meta ? job->req->meta : &step->object.meta);
    job->part_size = job->s3->copy_part_size;
    if (job->size / count_max >= job->part_size)
        job->part_size = job->size / count_max + 1;
    /* An object that has shrunk since the caller looked still gets its one part. */
    job->part_count = (uint32_t)((job->size + job->part_size - 1) / job->part_size);
    if (job->part_count == 0) {
        job->err = -ESTALE;
        copy_parts_end(job);
        return;
    }
    job->parts = mem_array(job->part_count, sizeof(*job->parts));
    copy_parts_step(job, step, STORE_MPU_BEGIN, begun);
    step->meta = &job->meta;
    step->content_type = job->req->meta ? job->req->content_type : NULL;
    step->object_size = job->size;
    step->priv = &job->content;
    s3_mpu_begin_start(job->s3, step);
}

void s3_copy_parts_start(struct s3 *s3, struct store_req *req)
{
    struct copy_parts *job = mem_zalloc(sizeof(*job));

    job->s3 = s3;
    job->req = req;
    struct store_req *step = copy_parts_step(job, &job->step, STORE_HEAD, looked);
    step->key = req->src_key;
    step->if_match = req->src_if_match;
    step->priv = &job->content;
    s3_head_start(s3, step);
}
