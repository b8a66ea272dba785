/* XDR by hand for the few calls of the bench: fixed offsets, nothing allocated. */
#pragma once

#include <assert.h>
#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WIRE_HANDLE_MAX = 64, WIRE_SMALL = 8192 };

struct wire_handle {
    uint32_t len;
    uint8_t bytes[WIRE_HANDLE_MAX];
};

/* A call being encoded: small parts in bytes, then one payload by reference. */
struct wire_out {
    uint8_t bytes[WIRE_SMALL];
    size_t len;
    const void *payload;
    size_t payload_len;
};

/* A reply being decoded. Reading past the end sets bad and gives zeroes. */
struct wire_in {
    const uint8_t *at;
    size_t left;
    int bad;
};

static inline void wire_put32(struct wire_out *out, uint32_t v)
{
    assert(out->len + 4 <= sizeof(out->bytes));
    v = htobe32(v);
    memcpy(out->bytes + out->len, &v, 4);
    out->len += 4;
}

static inline void wire_put64(struct wire_out *out, uint64_t v)
{
    wire_put32(out, (uint32_t)(v >> 32));
    wire_put32(out, (uint32_t)v);
}

static inline void wire_put_bytes(struct wire_out *out, const void *bytes, uint32_t len)
{
    wire_put32(out, len);
    assert(out->len + len + 4 <= sizeof(out->bytes));
    memset(out->bytes + out->len, 0, (len + 3) & ~3u);
    memcpy(out->bytes + out->len, bytes, len);
    out->len += (len + 3) & ~3u;
}

static inline void wire_put_handle(struct wire_out *out, const struct wire_handle *handle)
{
    wire_put_bytes(out, handle->bytes, handle->len);
}

static inline void wire_put_name(struct wire_out *out, const char *name)
{
    wire_put_bytes(out, name, (uint32_t)strlen(name));
}

static inline const uint8_t *wire_skip(struct wire_in *in, size_t len)
{
    const uint8_t *at = in->at;

    if (in->left < len) {
        in->bad = 1;
        in->left = 0;
        return NULL;
    }
    in->at += len;
    in->left -= len;
    return at;
}

static inline uint32_t wire_get32(struct wire_in *in)
{
    const uint8_t *at = wire_skip(in, 4);
    uint32_t v = 0;

    if (at)
        memcpy(&v, at, 4);
    return be32toh(v);
}

static inline uint64_t wire_get64(struct wire_in *in)
{
    uint64_t high = wire_get32(in);

    return high << 32 | wire_get32(in);
}

static inline void wire_get_handle(struct wire_in *in, struct wire_handle *ret)
{
    ret->len = wire_get32(in);
    if (ret->len > WIRE_HANDLE_MAX) {
        in->bad = 1;
        ret->len = 0;
        return;
    }
    const uint8_t *at = wire_skip(in, (ret->len + 3) & ~3u);
    if (at)
        memcpy(ret->bytes, at, ret->len);
}

enum { WIRE_FATTR = 84 }; /* bytes of a fattr3 */

static inline void wire_skip_post_attr(struct wire_in *in)
{
    if (wire_get32(in))
        wire_skip(in, WIRE_FATTR);
}
