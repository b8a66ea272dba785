/* READDIR and READDIRPLUS entries in wire form; see payload.h. */
#include "nfsd/payload.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "nfsd/rpc_int.h"
#include "nfsd/server_int.h"

enum {
    ENTRY_FIXED = 4 + 8 + 4 + 8, /* follows, fileid, length of the name, cookie */
    ENTRY_DIR_FIXED = 8 + 4 + 8, /* what counts for dircount, besides the name */
    ENTRY_OPTIONAL = 4,          /* the BOOL before attributes or handle */
};

static void release_buf(void *buf)
{
    buf_unref(buf);
}

void dirbuf_open(struct dirbuf *buf, struct rpc_call *call, enum dirbuf_kind kind, uint32_t count,
                 uint32_t dircount)
{
    uint32_t limit = count > DIRBUF_OVERHEAD ? count - DIRBUF_OVERHEAD : 0;

    memset(buf, 0, sizeof(*buf));
    buf->call = call;
    buf->kind = kind;
    buf->limit = limit < DIRBUF_MAX ? limit : DIRBUF_MAX;
    buf->dir_max = dircount;
    buf->buf = buf_get(call_from(call)->nfsd->pool, buf->limit);
    assert(buf->buf); /* small ones are not refused */
    buf->base = buf->buf->data;
}

uint32_t dirbuf_count(const struct dirbuf *buf)
{
    return buf->count;
}

static uint8_t *put_u32(uint8_t *out, uint32_t v)
{
    uint32_t be = htonl(v);

    memcpy(out, &be, sizeof(be));
    return out + sizeof(be);
}

static uint8_t *put_u64(uint8_t *out, uint64_t v)
{
    return put_u32(put_u32(out, (uint32_t)(v >> 32)), (uint32_t)v);
}

static uint8_t *put_opaque(uint8_t *out, const void *bytes, uint32_t len)
{
    uint32_t padded = (uint32_t)RNDUP(len);

    out = put_u32(out, len);
    if (padded > len)
        memset(out + padded - 4, 0, 4);
    memcpy(out, bytes, len);
    return out + padded;
}

/* Room for an entry of size bytes, dir of which count for dircount; NULL = none. */
static uint8_t *reserve(struct dirbuf *buf, uint32_t size, uint32_t dir)
{
    uint8_t *at = buf->base + buf->used;

    if (buf->full || size > buf->limit - buf->used ||
        (buf->kind == DIRBUF_PLUS && buf->count &&
         (buf->dir_used > buf->dir_max || dir > buf->dir_max - buf->dir_used))) {
        buf->full = true;
        return NULL;
    }
    buf->used += size;
    buf->dir_used += dir;
    buf->count++;
    return at;
}

static uint8_t *put_entry(uint8_t *out, uint64_t fileid, const char *name, uint32_t len,
                          uint64_t cookie)
{
    out = put_u64(put_u32(out, TRUE), fileid);
    return put_u64(put_opaque(out, name, len), cookie);
}

bool dirbuf_add(struct dirbuf *buf, uint64_t fileid, const char *name, uint64_t cookie)
{
    uint32_t len = (uint32_t)strlen(name);
    uint8_t *out = reserve(buf, ENTRY_FIXED + (uint32_t)RNDUP(len), 0);

    assert(buf->kind == DIRBUF_PLAIN);
    if (!out)
        return false;
    out = put_entry(out, fileid, name, len, cookie);
    assert(out == buf->base + buf->used);
    return true;
}

bool dirbuf_add_plus(struct dirbuf *buf, uint64_t fileid, const char *name, uint64_t cookie,
                     const fattr3 *attr, const nfs_fh3 *fh)
{
    uint32_t len = (uint32_t)strlen(name), padded = (uint32_t)RNDUP(len);
    uint32_t size = ENTRY_FIXED + padded + 2 * ENTRY_OPTIONAL + (attr ? XDR_FATTR3_SIZE : 0) +
                    (fh ? 4 + (uint32_t)RNDUP(fh->len) : 0);
    uint8_t *out = reserve(buf, size, ENTRY_DIR_FIXED + padded);

    assert(buf->kind == DIRBUF_PLUS);
    if (!out)
        return false;
    out = put_entry(out, fileid, name, len, cookie);
    out = put_u32(out, attr ? TRUE : FALSE);
    if (attr) {
        xdr_fattr3_put(out, attr);
        out += XDR_FATTR3_SIZE;
    }
    out = put_u32(out, fh ? TRUE : FALSE);
    if (fh)
        out = put_opaque(out, fh->data, fh->len);
    assert(out == buf->base + buf->used);
    return true;
}

void dirbuf_finish(struct dirbuf *buf, nfs_entries *ret)
{
    nfs_payload payload = {0};
    bool added = rpc_payload_add(buf->call, &payload, buf->base, buf->used, release_buf, buf->buf);

    assert(added);
    buf->buf = NULL;
    ret->refs = payload.refs;
    ret->count = payload.count;
}

void dirbuf_abort(struct dirbuf *buf)
{
    buf_unref(buf->buf);
    buf->buf = NULL;
}
