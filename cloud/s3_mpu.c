/* The operations of multipart uploads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/s3_int.h"
#include "cloud/s3_text.h"

static int begin_parse(struct s3_call *call)
{
    return s3_xml_initiate_parse(call->http.text ? call->http.text : "", call->http.text_len,
                                 &call->req->ret_upload_id);
}

void s3_mpu_begin_start(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "POST", req->key);

    s3_call_query(call, "uploads", "");
    s3_content_send(call, req->priv, req->content_type);
    s3_meta_send(call, req->meta);
    s3_options_make_send(call, req->priv, req->object_size ? req->object_size : UINT64_MAX);
    if (atomic_load(&s3->crc32c_parts))
        s3_call_header(call, "x-amz-checksum-algorithm", "CRC32C");
    call->parse = begin_parse;
    s3_call_start(call, s3_call_finish);
}

static struct s3_call *part_call(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "PUT", req->key);
    char number[16];

    (void)snprintf(number, sizeof(number), "%u", req->part_number);
    s3_call_query(call, "partNumber", number);
    s3_call_query(call, "uploadId", req->upload_id);
    return call;
}

static int part_parse(struct s3_call *call)
{
    const char *etag = http_header_get(&call->http, "etag");

    if (!etag)
        return -EBADMSG;
    s3_etag_copy(call->req->ret_part.etag, etag);
    call->req->ret_part.number = call->req->part_number;
    return 0;
}

void s3_mpu_part_start(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = part_call(s3, req);

    s3_options_key_send(call);
    s3_body_send(call, req, atomic_load(&s3->crc32c_parts), req->ret_part.checksum);
    call->stall_ns = call->s3->stall_write_ns;
    call->parse = part_parse;
    s3_call_start(call, s3_call_finish);
}

void s3_mpu_copy_start(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = part_call(s3, req);
    char range[64];

    s3_options_key_send(call);
    s3_copy_source_send(call);
    if (req->range_len > 0) { /* 0: all of it, as the probe asks for */
        (void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)req->range_off,
                       (unsigned long long)(req->range_off + req->range_len - 1));
        s3_call_header(call, "x-amz-copy-source-range", range);
    }
    call->stall_ns = S3_STALL_SLOW_NS;
    call->error_in_200 = true;
    call->parse = s3_result_parse;
    s3_call_start(call, s3_call_finish);
}

/* The ETag that Amazon makes of those of the parts, or "" where they are not MD5s. */
static void complete_etag(const struct store_req *req, char ret[STORE_ETAG_MAX])
{
    CLEANUP_FREE uint8_t *all = mem_alloc(req->part_count * 16 + 1);
    uint8_t md5[16];
    char hex[33];

    ret[0] = '\0';
    for (size_t i = 0; i < req->part_count; i++)
        if (!checksum_unhex(req->parts[i].etag, 16, all + 16 * i))
            return;
    checksum_md5(all, req->part_count * 16, md5);
    checksum_hex(md5, sizeof(md5), hex);
    (void)snprintf(ret, STORE_ETAG_MAX, "%s-%zu", hex, req->part_count);
}

static void complete_done(struct s3_call *call)
{
    const struct store_req *req = call->req;
    /* The ETag of an encrypted object, and that of its parts, is no MD5: there it is the size and
     * the metadata, with its times, by which our object is known. */
    struct s3_expected expected = {.size = req->object_size ? req->object_size : UINT64_MAX,
                                   .meta = req->meta};
    /* The upload is gone: perhaps because it was completed, by us. */
    bool gone = call->err == -ENOENT && strcmp(call->error.code, "NoSuchUpload") == 0;

    if (!gone)
        call->err = s3_target_gone(call);
    if (!gone && !(call->err == -ESTALE && call->ambiguous)) {
        s3_call_finish(call);
        return;
    }
    complete_etag(call->req, expected.etag);
    s3_guard_after(call, call->err, &expected);
}

static void complete_send(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "POST", req->key);

    s3_call_query(call, "uploadId", req->upload_id);
    s3_conditions_send(call);
    s3_options_key_send(call);
    s3_call_body_text(call, s3_xml_complete_make(req->parts, req->part_count));
    call->stall_ns = S3_STALL_SLOW_NS;
    call->error_in_200 = true;
    call->conflict_err = -ESTALE; /* the upload cannot be used again */
    call->parse = s3_result_parse;
    s3_call_start(call, complete_done);
}

void s3_mpu_complete_start(struct s3 *s3, struct store_req *req)
{
    s3_guard_before(s3, req, s3->caps.cond_put, complete_send);
}

static void abort_done(struct s3_call *call)
{
    if (call->err == -ENOENT)
        call->err = 0;
    s3_call_finish(call);
}

void s3_mpu_abort_start(struct s3 *s3, struct store_req *req)
{
    struct s3_call *call = s3_call_new(s3, req, "DELETE", req->key);

    s3_call_query(call, "uploadId", req->upload_id);
    s3_call_start(call, abort_done);
}
