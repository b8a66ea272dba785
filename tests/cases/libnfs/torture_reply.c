/* Replies to the torture's requests on names: compared with what they must say. */
#include <string.h>

#include "torture.h"

void reply_take(const struct reply *reply, zdrproc_t filter, void *res, ZDR *ret)
{
    zdrmem_create(ret, (char *)reply->body, (uint32_t)reply->body_len, ZDR_DECODE);
    if (!filter(ret, res) || zdr_getpos(ret) != reply->body_len)
        FAIL("the results with xid %#x cannot be decoded", reply->xid);
}

void reply_check(const struct op *op, nfsstat3 status)
{
    if (status != op->expect)
        FAIL("client %c, request %u: %s instead of %s (name %s, to %s, thing %s)",
             op->client->letter, op->number, status_name(status), status_name(op->expect),
             op->want.name, op->want.to_name, op->thing ? thing_path(op->thing) : "none");
}

static int64_t ns_of(nfstime3 time)
{
    return (int64_t)time.seconds * 1000000000 + time.nseconds;
}

static void check_attr(const struct op *op, struct thing *thing, const fattr3 *attr)
{
    ftype3 type = thing->kind == DIRECTORY ? NF3DIR : thing->kind == PLAIN ? NF3REG : NF3LNK;
    const char *who = thing_path(thing);

    if (attr->type != type)
        FAIL("%s: type %d instead of %d", who, (int)attr->type, (int)type);
    if (thing->fileid && attr->fileid != thing->fileid)
        FAIL("%s: fileid %lu was %lu", who, (unsigned long)attr->fileid,
             (unsigned long)thing->fileid);
    if (thing->kind != LINK && thing != torture.root && attr->mode != thing->mode)
        FAIL("%s: mode %o instead of %o", who, attr->mode, thing->mode);
    if (thing != torture.root && (attr->uid != thing->uid || attr->gid != thing->gid))
        FAIL("%s: owner %u:%u instead of %u:%u", who, attr->uid, attr->gid, thing->uid, thing->gid);
    if (thing->kind == PLAIN) {
        const char *why =
            content_check_size(thing, attr->size, content_is_strict(thing, torture.epoch));
        if (why)
            FAIL("%s: %s", who, why);
        if (thing->mtime_ns >= 0 && ns_of(attr->mtime) != thing->mtime_ns)
            FAIL("%s: mtime %ld instead of %ld", who, (long)ns_of(attr->mtime),
                 (long)thing->mtime_ns);
    }
    (void)op;
}

static void take_made(const struct op *op, const post_op_fh3 *fh, const post_op_attr *attr)
{
    struct thing *thing = op->thing;
    uint32_t len = fh->post_op_fh3_u.handle.data.data_len;
    const char *data = fh->post_op_fh3_u.handle.data.data_val;

    if (!fh->handle_follows || !attr->attributes_follow || len == 0 || len > sizeof(thing->fh.data))
        FAIL("%s was made and has no handle or attributes", thing_path(thing));
    if (thing->fh.len && (thing->fh.len != len || memcmp(thing->fh.data, data, len) != 0))
        FAIL("%s has another handle now", thing_path(thing));
    if (!thing->fh.len) {
        thing->fh.len = len;
        memcpy(thing->fh.data, data, len);
        thing->fileid = attr->post_op_attr_u.attributes.fileid;
    }
    check_attr(op, thing, &attr->post_op_attr_u.attributes);
}

static void reply_make(struct op *op, const struct reply *reply)
{
    CREATE3res res = {0}; /* MKDIR and SYMLINK have the same results */
    ZDR zdr;

    reply_take(reply, FILTER(zdr_CREATE3res), &res, &zdr);
    reply_check(op, res.status);
    if (res.status == NFS3_OK)
        take_made(op, &res.CREATE3res_u.resok.obj, &res.CREATE3res_u.resok.obj_attributes);
    zdr_destroy(&zdr);
}

static void bury(struct client *c, const struct thing *thing)
{
    c->ghosts[c->ghost_next++ % 8] = thing->fh;
    if (c->ghost_count < 8)
        c->ghost_count++;
}

static void reply_remove(struct op *op, const struct reply *reply)
{
    REMOVE3res res = {0};
    ZDR zdr;

    reply_take(reply, FILTER(zdr_REMOVE3res), &res, &zdr);
    reply_check(op, res.status);
    zdr_destroy(&zdr);
    if (res.status == NFS3_OK)
        bury(op->client, op->thing);
}

static void reply_rename(struct op *op, const struct reply *reply)
{
    RENAME3res res = {0};
    ZDR zdr;

    reply_take(reply, FILTER(zdr_RENAME3res), &res, &zdr);
    reply_check(op, res.status);
    zdr_destroy(&zdr);
}

static void reply_lookup(struct op *op, const struct reply *reply)
{
    LOOKUP3res res = {0};
    post_op_fh3 fh = {.handle_follows = 1};
    ZDR zdr;

    reply_take(reply, FILTER(zdr_LOOKUP3res), &res, &zdr);
    reply_check(op, res.status);
    if (res.status == NFS3_OK) {
        fh.post_op_fh3_u.handle = res.LOOKUP3res_u.resok.object;
        if (op->thing->kind == PLAIN && op->thing->fh.len == 0)
            FAIL("%s is found before it was made", thing_path(op->thing));
        /* Its attributes may be those of a request to it that is under way. */
        if (fh.post_op_fh3_u.handle.data.data_len != op->thing->fh.len ||
            memcmp(fh.post_op_fh3_u.handle.data.data_val, op->thing->fh.data, op->thing->fh.len))
            FAIL("%s has another handle now", thing_path(op->thing));
    }
    zdr_destroy(&zdr);
}

static void reply_readlink(struct op *op, const struct reply *reply)
{
    READLINK3res res = {0};
    ZDR zdr;

    reply_take(reply, FILTER(zdr_READLINK3res), &res, &zdr);
    reply_check(op, res.status);
    if (strcmp(res.READLINK3res_u.resok.data, op->thing->target) != 0)
        FAIL("%s points to %s instead of %s", thing_path(op->thing), res.READLINK3res_u.resok.data,
             op->thing->target);
    zdr_destroy(&zdr);
}

static void reply_getattr(struct op *op, const struct reply *reply)
{
    GETATTR3res res = {0};
    ZDR zdr;

    reply_take(reply, FILTER(zdr_GETATTR3res), &res, &zdr);
    reply_check(op, res.status);
    if (res.status == NFS3_OK)
        check_attr(op, op->thing, &res.GETATTR3res_u.resok.obj_attributes);
    zdr_destroy(&zdr);
}

/* One entry of a listing. Others' names are theirs to check, and end in the bucket's comparison. */
static void take_entry(struct op *op, const entry3 *e)
{
    struct thing *dir = op->want.dir, *thing;

    op->cookie = e->cookie;
    if (e->name[0] != op->client->letter)
        return;
    thing = thing_child(dir, e->name);
    if (!thing)
        FAIL("%s lists %s, which is not there", thing_path(dir), e->name);
    if (thing->fileid != e->fileid)
        FAIL("%s lists %s with fileid %lu instead of %lu", thing_path(dir), e->name,
             (unsigned long)e->fileid, (unsigned long)thing->fileid);
    op->names_seen++;
}

static void reply_readdir(struct op *op, const struct reply *reply)
{
    READDIR3res res = {0};
    const READDIR3resok *ok = &res.READDIR3res_u.resok;
    struct thing *dir = op->want.dir;
    unsigned want = 0;
    ZDR zdr;

    reply_take(reply, FILTER(zdr_READDIR3res), &res, &zdr);
    reply_check(op, res.status);
    for (const entry3 *e = ok->reply.entries; e; e = e->nextentry)
        take_entry(op, e);
    bool eof = ok->reply.eof;
    zdr_destroy(&zdr);
    if (!eof) {
        op_send_readdir(op);
        return;
    }
    for (size_t i = 0; i < dir->kid_count; i++)
        want += dir->kids[i]->owner == op->client->number;
    if (op->names_seen != want)
        FAIL("%s lists %u names of client %c instead of %u", thing_path(dir), op->names_seen,
             op->client->letter, want);
}

void op_reply(struct op *op, struct call *call, const struct reply *reply)
{
    switch (op->want.verb) {
    case V_CREATE:
    case V_MKDIR:
    case V_SYMLINK:
        reply_make(op, reply);
        break;
    case V_REMOVE:
        reply_remove(op, reply);
        break;
    case V_RENAME:
        reply_rename(op, reply);
        break;
    case V_LOOKUP:
        reply_lookup(op, reply);
        break;
    case V_READDIR:
        reply_readdir(op, reply);
        break;
    case V_READLINK:
        reply_readlink(op, reply);
        break;
    case V_GETATTR:
    case V_GHOST:
        reply_getattr(op, reply);
        break;
    default:
        data_reply(op, call, reply);
    }
}
