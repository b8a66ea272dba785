/* WRITE, COMMIT, SETATTR and READ of the torture, as a client does them that keeps what it wrote
 * until a COMMIT says that it is safe. */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

/* ---- sending ---- */

static void send_write(struct op *op, uint64_t off, uint64_t end, stable_how stable)
{
    struct thing *file = op->thing;
    WRITE3args args = {
        .file = fh_arg(&file->fh), .offset = off, .count = (uint32_t)(end - off), .stable = stable};

    args.data.data_len = (uint32_t)(end - off);
    args.data.data_val = (char *)file->want + off;
    wire_call(op, P_WRITE, FILTER(zdr_WRITE3args), &args, off, end);
}

static void send_commit(struct op *op)
{
    COMMIT3args args = {.file = fh_arg(&op->thing->fh)};

    wire_call(op, P_COMMIT, FILTER(zdr_COMMIT3args), &args, 0, 0);
}

static void send_setattr(struct op *op)
{
    const struct want *w = &op->want;
    SETATTR3args args = {.object = fh_arg(&op->thing->fh)};
    sattr3 *set = &args.new_attributes;

    if (w->truncate)
        *set = attr_size(w->off);
    if (w->set_owner)
        *set = attr_owner(w->set_owner, w->set_owner + 1);
    if (w->set_mode) {
        set->mode.set_it = 1;
        set->mode.set_mode3_u.mode = w->set_mode;
    }
    if (w->set_mtime_ns) {
        set->mtime.set_it = SET_TO_CLIENT_TIME;
        set->mtime.set_mtime_u.mtime = (nfstime3){(uint32_t)(w->set_mtime_ns / 1000000000),
                                                  (uint32_t)(w->set_mtime_ns % 1000000000)};
    }
    wire_call(op, P_SETATTR, FILTER(zdr_SETATTR3args), &args, 0, 0);
}

static void apply_setattr(struct op *op)
{
    const struct want *w = &op->want;
    struct thing *thing = op->thing;

    op->changes = true;
    if (w->truncate)
        content_truncate(thing, w->off);
    if (w->set_owner) {
        thing->uid = w->set_owner;
        thing->gid = w->set_owner + 1;
    }
    if (w->set_mode)
        thing->mode = w->set_mode;
    if (w->set_mtime_ns)
        thing->mtime_ns = w->set_mtime_ns;
}

static void send_reads(struct op *op)
{
    struct thing *file = op->thing;
    uint64_t size = file->size > file->stable_size ? file->size : file->stable_size;
    uint64_t off = op->want.off, end = off + op->want.len;

    if (end > size)
        end = size;
    do {
        uint64_t part = end > off && end - off < CHUNK ? end - off : CHUNK;
        READ3args args = {.file = fh_arg(&file->fh), .offset = off, .count = (uint32_t)part};
        wire_call(op, P_READ, FILTER(zdr_READ3args), &args, off, off + part);
        off += part;
    } while (off < end);
}

bool data_start(struct op *op)
{
    const struct want *w = &op->want;

    op->thing = w->thing;
    op_claim(op, op->thing, NULL, true);
    if (op_conflicts(op->client, op))
        return false;
    switch (w->verb) {
    case V_WRITE:
        content_write(op->thing, w->off, w->len, w->seed, w->sync);
        send_write(op, w->off, w->off + w->len, w->sync ? FILE_SYNC : UNSTABLE);
        break;
    case V_COMMIT:
        send_commit(op);
        break;
    case V_SETATTR:
        if (op->thing->kind == LINK)
            break;
        apply_setattr(op);
        send_setattr(op);
        break;
    default:
        send_reads(op);
    }
    return true;
}

/* ---- replies ---- */

static void reply_write(struct op *op, const struct call *call, const struct reply *reply)
{
    WRITE3res res = {0};
    const WRITE3resok *ok = &res.WRITE3res_u.resok;
    ZDR zdr;

    reply_take(reply, FILTER(zdr_WRITE3res), &res, &zdr);
    reply_check(op, res.status);
    if (ok->count != call->end - call->off)
        FAIL("%s: %u bytes written instead of %lu", thing_path(op->thing), ok->count,
             (unsigned long)(call->end - call->off));
    if (op->want.verb == V_COMMIT)
        op->thing->mtime_ns = -1;
    if (!op->want.sync || op->want.verb == V_COMMIT)
        content_answered(op->thing, call->off, call->end, ok->verf, torture.epoch,
                         ok->committed != UNSTABLE);
    else if (ok->committed != FILE_SYNC)
        FAIL("%s: a FILE_SYNC write is not", thing_path(op->thing));
    zdr_destroy(&zdr);
    if (op->rewriting && op->calls_out == 0) {
        op->rewriting = false;
        send_commit(op);
    }
}

/* What was written under another verifier may be lost: once more. */
static bool rewrite(struct op *op, const char *verf)
{
    struct thing *file = op->thing;
    bool any = false;

    for (size_t i = 0; i < file->pending_count; i++) {
        struct unstable p = file->pending[i];
        if (p.answered && memcmp(p.verf, verf, sizeof(p.verf)) == 0)
            continue;
        send_write(op, p.off, p.end, UNSTABLE);
        torture.rewritten++;
        any = true;
    }
    op->rewriting = any;
    return any;
}

static void reply_commit(struct op *op, const struct reply *reply)
{
    COMMIT3res res = {0};
    ZDR zdr;

    reply_take(reply, FILTER(zdr_COMMIT3res), &res, &zdr);
    reply_check(op, res.status);
    zdr_destroy(&zdr);
    if (!rewrite(op, res.COMMIT3res_u.resok.verf))
        content_committed(op->thing);
}

static void reply_setattr(struct op *op, const struct reply *reply)
{
    SETATTR3res res = {0};
    ZDR zdr;

    reply_take(reply, FILTER(zdr_SETATTR3res), &res, &zdr);
    reply_check(op, res.status);
    zdr_destroy(&zdr);
}

static void check_read(const struct op *op, const struct call *call, const READ3resok *ok)
{
    const struct thing *file = op->thing;
    bool strict = content_is_strict(file, torture.epoch);
    const fattr3 *attr = &ok->file_attributes.post_op_attr_u.attributes;
    const char *why = NULL;

    if (ok->file_attributes.attributes_follow) {
        uint64_t end = attr->size < call->end ? attr->size : call->end;
        end = end > call->off ? end : call->off;
        why = content_check_size(file, attr->size, strict);
        if (!why && call->off + ok->count > end)
            why = "the reply has bytes behind the end";
        if (!why && call->off + ok->count < end && ok->count == 0)
            why = "the reply has nothing before the end";
        if (!why && ok->count < end - call->off && end > call->off && ok->eof)
            why = "eof before the end";
    }
    if (!why)
        why = content_check(file, call->off, (const uint8_t *)ok->data.data_val, ok->count, strict);
    if (why)
        FAIL("client %c, request %u: READ of %s at %lu: %s", op->client->letter, op->number,
             thing_path(file), (unsigned long)call->off, why);
}

static void reply_read(struct op *op, const struct call *call, const struct reply *reply)
{
    READ3res res = {0};
    const READ3resok *ok = &res.READ3res_u.resok;
    ZDR zdr;

    reply_take(reply, FILTER(zdr_READ3res), &res, &zdr);
    reply_check(op, res.status);
    check_read(op, call, ok);
    uint32_t count = ok->count;
    bool eof = ok->eof;
    zdr_destroy(&zdr);
    if (!eof && call->off + count < call->end) { /* the rest */
        READ3args args = {.file = fh_arg(&op->thing->fh),
                          .offset = call->off + count,
                          .count = (uint32_t)(call->end - call->off - count)};
        wire_call(op, P_READ, FILTER(zdr_READ3args), &args, call->off + count, call->end);
    }
}

void data_reply(struct op *op, struct call *call, const struct reply *reply)
{
    if (call->proc == P_WRITE)
        reply_write(op, call, reply);
    else if (call->proc == P_COMMIT)
        reply_commit(op, reply);
    else if (call->proc == P_SETATTR)
        reply_setattr(op, reply);
    else
        reply_read(op, call, reply);
}
