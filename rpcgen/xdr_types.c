/*
 * Hand-written XDR filters: what rpcgen's would allocate per field or encode by recursion. Decoding
 * reads from a memory stream (xdrmem) and takes strings from the call's arena; nothing is freed
 * here.
 */
#include "xdr_types.h"

#include <arpa/inet.h>
#include <string.h>

static struct xdr_ctx *ctx_of(const XDR *xdrs)
{
    return (struct xdr_ctx *)(void *)xdrs->x_public;
}

static void put_u32(uint8_t **out, uint32_t v)
{
    uint32_t be = htonl(v);

    memcpy(*out, &be, sizeof(be));
    *out += sizeof(be);
}

static void put_u64(uint8_t **out, uint64_t v)
{
    put_u32(out, (uint32_t)(v >> 32));
    put_u32(out, (uint32_t)v);
}

/* The len bytes (and their padding) at the stream's position, which moves behind them. */
static const uint8_t *take_bytes(XDR *xdrs, uint32_t len)
{
    u_int pos = XDR_GETPOS(xdrs);
    const uint8_t *bytes = (const uint8_t *)xdrs->x_base + pos;

    if (len > XDR_DATA_MAX || !XDR_SETPOS(xdrs, pos + (u_int)RNDUP(len)))
        return NULL;
    return bytes;
}

static bool_t put_padding(XDR *xdrs, uint32_t len)
{
    static const char zero[BYTES_PER_XDR_UNIT];
    u_int pad = (u_int)(RNDUP(len) - len);

    return pad == 0 || XDR_PUTBYTES(xdrs, zero, pad);
}

static bool_t put_bytes(XDR *xdrs, const void *bytes, uint32_t len)
{
    if (len && !XDR_PUTBYTES(xdrs, (const char *)bytes, len))
        return FALSE;
    return put_padding(xdrs, len);
}

/* May hold NULs; ret_len tells. */
static bool_t decode_string(XDR *xdrs, char **string, uint32_t max, uint32_t *ret_len)
{
    struct xdr_ctx *ctx = ctx_of(xdrs);
    const uint8_t *bytes;
    uint32_t len;
    char *copy;

    if (!ctx || !xdr_u_int(xdrs, &len) || len > max)
        return FALSE;
    bytes = take_bytes(xdrs, len);
    if (!bytes)
        return FALSE;
    copy = ctx->alloc(ctx, len + 1);
    if (!copy)
        return FALSE;
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    *string = copy;
    *ret_len = len;
    return TRUE;
}

/* A string in which a NUL is an error of the encoding. */
static bool_t xdr_arena_string(XDR *xdrs, char **string, uint32_t max)
{
    switch (xdrs->x_op) {
    case XDR_FREE:
        return TRUE;
    case XDR_DECODE: {
        uint32_t len;

        return decode_string(xdrs, string, max, &len) && strlen(*string) == len;
    }
    case XDR_ENCODE: {
        const char *s = *string ? *string : "";
        size_t size = strlen(s);
        uint32_t len = (uint32_t)size;

        if (size > max)
            return FALSE;
        return xdr_u_int(xdrs, &len) && put_bytes(xdrs, s, len);
    }
    }
    return FALSE;
}

bool_t xdr_filename3(XDR *xdrs, filename3 *name)
{
    uint32_t len;

    if (xdrs->x_op != XDR_DECODE)
        return xdr_arena_string(xdrs, name, XDR_NAME_MAX);
    if (!decode_string(xdrs, name, XDR_NAME_MAX, &len))
        return FALSE;
    for (uint32_t i = 0; i < len; i++)
        if ((*name)[i] == '\0')
            (*name)[i] = '/';
    return TRUE;
}

bool_t xdr_nfspath3(XDR *xdrs, nfspath3 *path)
{
    return xdr_arena_string(xdrs, path, XDR_PATH_MAX);
}

bool_t xdr_dirpath(XDR *xdrs, dirpath *path)
{
    return xdr_arena_string(xdrs, path, XDR_DIRPATH_MAX);
}

bool_t xdr_pm_string(XDR *xdrs, pm_string *string)
{
    return xdr_arena_string(xdrs, string, XDR_RPCB_STRING_MAX);
}

bool_t xdr_nfs_fh3(XDR *xdrs, nfs_fh3 *fh)
{
    if (xdrs->x_op == XDR_FREE)
        return TRUE;
    if (!xdr_u_int(xdrs, &fh->len) || fh->len > XDR_HANDLE_MAX)
        return FALSE;
    return xdr_opaque(xdrs, (char *)fh->data, fh->len);
}

bool_t xdr_nfs_payload(XDR *xdrs, nfs_payload *payload)
{
    struct xdr_ctx *ctx = ctx_of(xdrs);

    if (xdrs->x_op == XDR_FREE)
        return TRUE;
    if (!xdr_u_int(xdrs, &payload->len) || payload->len > XDR_DATA_MAX)
        return FALSE;
    if (xdrs->x_op == XDR_DECODE) {
        payload->refs = NULL;
        payload->count = 0;
        payload->data = take_bytes(xdrs, payload->len);
        return payload->data != NULL;
    }
    if (payload->count == 0)
        return put_bytes(xdrs, payload->data, payload->len);
    if (!ctx || !ctx->append(ctx, xdrs, payload->refs, payload->count))
        return FALSE;
    return put_padding(xdrs, payload->len);
}

bool_t xdr_nfs_entries(XDR *xdrs, nfs_entries *entries)
{
    struct xdr_ctx *ctx = ctx_of(xdrs);
    bool_t more = FALSE;

    if (xdrs->x_op == XDR_FREE)
        return TRUE;
    if (xdrs->x_op == XDR_DECODE || !ctx)
        return FALSE;
    if (entries->count && !ctx->append(ctx, xdrs, entries->refs, entries->count))
        return FALSE;
    return xdr_bool(xdrs, &more);
}

bool_t xdr_nfstime3(XDR *xdrs, nfstime3 *time)
{
    return xdr_u_int(xdrs, &time->seconds) && xdr_u_int(xdrs, &time->nseconds);
}

bool_t xdr_ftype3(XDR *xdrs, ftype3 *type)
{
    return xdr_enum(xdrs, (enum_t *)type);
}

bool_t xdr_specdata3(XDR *xdrs, specdata3 *spec)
{
    return xdr_u_int(xdrs, &spec->specdata1) && xdr_u_int(xdrs, &spec->specdata2);
}

void xdr_fattr3_put(uint8_t out[XDR_FATTR3_SIZE], const fattr3 *attr)
{
    put_u32(&out, attr->type);
    put_u32(&out, attr->mode);
    put_u32(&out, attr->nlink);
    put_u32(&out, attr->uid);
    put_u32(&out, attr->gid);
    put_u64(&out, attr->size);
    put_u64(&out, attr->used);
    put_u32(&out, attr->rdev.specdata1);
    put_u32(&out, attr->rdev.specdata2);
    put_u64(&out, attr->fsid);
    put_u64(&out, attr->fileid);
    put_u32(&out, attr->atime.seconds);
    put_u32(&out, attr->atime.nseconds);
    put_u32(&out, attr->mtime.seconds);
    put_u32(&out, attr->mtime.nseconds);
    put_u32(&out, attr->ctime.seconds);
    put_u32(&out, attr->ctime.nseconds);
}

bool_t xdr_fattr3(XDR *xdrs, fattr3 *attr)
{
    uint8_t wire[XDR_FATTR3_SIZE];

    if (xdrs->x_op == XDR_ENCODE) {
        xdr_fattr3_put(wire, attr);
        return XDR_PUTBYTES(xdrs, (const char *)wire, sizeof(wire));
    }
    return xdr_ftype3(xdrs, &attr->type) && xdr_u_int(xdrs, &attr->mode) &&
           xdr_u_int(xdrs, &attr->nlink) && xdr_u_int(xdrs, &attr->uid) &&
           xdr_u_int(xdrs, &attr->gid) && xdr_uint64_t(xdrs, &attr->size) &&
           xdr_uint64_t(xdrs, &attr->used) && xdr_specdata3(xdrs, &attr->rdev) &&
           xdr_uint64_t(xdrs, &attr->fsid) && xdr_uint64_t(xdrs, &attr->fileid) &&
           xdr_nfstime3(xdrs, &attr->atime) && xdr_nfstime3(xdrs, &attr->mtime) &&
           xdr_nfstime3(xdrs, &attr->ctime);
}

/* The BOOL before each list element, and before the end. */
static bool_t put_more(XDR *xdrs, const void *node)
{
    bool_t more = node != NULL;

    return xdr_bool(xdrs, &more);
}

bool_t xdr_mountlist(XDR *xdrs, mountlist *list)
{
    if (xdrs->x_op != XDR_ENCODE)
        return xdrs->x_op == XDR_FREE;
    for (struct mountbody *m = *list; m; m = m->ml_next)
        if (!put_more(xdrs, m) || !xdr_arena_string(xdrs, &m->ml_hostname, XDR_NAME_MAX) ||
            !xdr_dirpath(xdrs, &m->ml_directory))
            return FALSE;
    return put_more(xdrs, NULL);
}

bool_t xdr_exports(XDR *xdrs, exports *list)
{
    if (xdrs->x_op != XDR_ENCODE)
        return xdrs->x_op == XDR_FREE;
    for (struct exportnode *e = *list; e; e = e->ex_next) {
        if (!put_more(xdrs, e) || !xdr_dirpath(xdrs, &e->ex_dir))
            return FALSE;
        for (struct groupnode *g = e->ex_groups; g; g = g->gr_next)
            if (!put_more(xdrs, g) || !xdr_arena_string(xdrs, &g->gr_name, XDR_NAME_MAX))
                return FALSE;
        if (!put_more(xdrs, NULL))
            return FALSE;
    }
    return put_more(xdrs, NULL);
}

bool_t xdr_pm_mapping(XDR *xdrs, pm_mapping *mapping)
{
    return xdr_u_int(xdrs, &mapping->prog) && xdr_u_int(xdrs, &mapping->vers) &&
           xdr_u_int(xdrs, &mapping->prot) && xdr_u_int(xdrs, &mapping->port);
}

bool_t xdr_pm_list(XDR *xdrs, pm_list *list)
{
    if (xdrs->x_op != XDR_ENCODE)
        return xdrs->x_op == XDR_FREE;
    for (struct pm_node *p = *list; p; p = p->next)
        if (!put_more(xdrs, p) || !xdr_pm_mapping(xdrs, &p->map))
            return FALSE;
    return put_more(xdrs, NULL);
}

bool_t xdr_pm_rpcb(XDR *xdrs, pm_rpcb *rpcb)
{
    return xdr_u_int(xdrs, &rpcb->r_prog) && xdr_u_int(xdrs, &rpcb->r_vers) &&
           xdr_pm_string(xdrs, &rpcb->r_netid) && xdr_pm_string(xdrs, &rpcb->r_addr) &&
           xdr_pm_string(xdrs, &rpcb->r_owner);
}

bool_t xdr_pm_rpcb_list(XDR *xdrs, pm_rpcb_list *list)
{
    if (xdrs->x_op != XDR_ENCODE)
        return xdrs->x_op == XDR_FREE;
    for (struct pm_rpcb_node *p = *list; p; p = p->next)
        if (!put_more(xdrs, p) || !xdr_pm_rpcb(xdrs, &p->map))
            return FALSE;
    return put_more(xdrs, NULL);
}

bool_t xdr_pm_entry_list(XDR *xdrs, pm_entry_list *list)
{
    if (xdrs->x_op != XDR_ENCODE)
        return xdrs->x_op == XDR_FREE;
    for (struct pm_entry *e = *list; e; e = e->next)
        if (!put_more(xdrs, e) || !xdr_pm_string(xdrs, &e->r_maddr) ||
            !xdr_pm_string(xdrs, &e->r_nc_netid) || !xdr_u_int(xdrs, &e->r_nc_semantics) ||
            !xdr_pm_string(xdrs, &e->r_nc_protofmly) || !xdr_pm_string(xdrs, &e->r_nc_proto))
            return FALSE;
    return put_more(xdrs, NULL);
}
