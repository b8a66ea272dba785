/* Encoders and decoders. Each series gets the bench as its context; call i works on file i %
 * ROWS_FILES or on offset i. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NFS = 100003,
    MOUNT = 100005,
    PROC_NULL = 0,
    PROC_GETATTR = 1,
    PROC_LOOKUP = 3,
    PROC_READ = 6,
    PROC_WRITE = 7,
    PROC_CREATE = 8,
    PROC_MKDIR = 9,
    PROC_REMOVE = 12,
    PROC_READDIRPLUS = 17,
    PROC_COMMIT = 21,
    STABLE_NO = 0,
    STABLE_FILE = 2,
    PAGE = 32768,
};

static uint8_t payload[ROWS_MEG];

static void status(struct wire_in *in, const char *what, uint32_t i)
{
    uint32_t got = wire_get32(in);

    if (got != 0)
        bench_die("%s, call %u: NFS status %u", what, i, got);
}

static const char *name_of(const struct bench *b, uint32_t i)
{
    static char name[32];

    snprintf(name, sizeof(name), "%s%u", b->prefix, i);
    return name;
}

static void null_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    (void)ctx;
    (void)i;
    (void)out;
    *ret_proc = PROC_NULL;
}

static void null_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    if (in->left != 0)
        bench_die("NULL, call %u: a reply with %zu bytes", i, in->left);
}

static void getattr_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;

    wire_put_handle(out, &b->files[i % ROWS_FILES]);
    *ret_proc = PROC_GETATTR;
}

static void getattr_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    status(in, "GETATTR", i);
    wire_skip(in, WIRE_FATTR);
}

static void lookup_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;

    wire_put_handle(out, &b->dir);
    wire_put_name(out, name_of(b, i % ROWS_FILES));
    *ret_proc = PROC_LOOKUP;
}

static void lookup_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    struct bench *b = ctx;
    const struct wire_handle *want = &b->files[i % ROWS_FILES];
    struct wire_handle got;

    status(in, "LOOKUP", i);
    wire_get_handle(in, &got);
    if (got.len != want->len || memcmp(got.bytes, want->bytes, got.len) != 0)
        bench_die("LOOKUP, call %u: another handle than CREATE gave", i);
}

static void read_encode(struct bench *b, struct wire_out *out, uint64_t offset, uint32_t len,
                        uint32_t *ret_proc)
{
    wire_put_handle(out, &b->big);
    wire_put64(out, offset);
    wire_put32(out, len);
    *ret_proc = PROC_READ;
}

static void read_reply(struct wire_in *in, uint32_t i, uint32_t want)
{
    status(in, "READ", i);
    wire_skip_post_attr(in);
    uint32_t got = wire_get32(in);
    wire_get32(in); /* eof */
    uint32_t len = wire_get32(in);
    if (got != want || len != want || !wire_skip(in, want))
        bench_die("READ, call %u: %u bytes instead of %u", i, got, want);
}

static void read4k_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    uint64_t blocks = ROWS_FILE_SIZE / 4096;

    read_encode(ctx, out, (i * UINT64_C(2654435761) >> 7) % blocks * 4096, 4096, ret_proc);
}

static void read4k_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    read_reply(in, i, 4096);
}

static void read1m_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    read_encode(ctx, out, (uint64_t)(i % (ROWS_FILE_SIZE / ROWS_MEG)) * ROWS_MEG, ROWS_MEG,
                ret_proc);
}

static void read1m_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    read_reply(in, i, ROWS_MEG);
}

static void write_encode(const struct wire_handle *file, struct wire_out *out, uint64_t offset,
                         uint32_t len, uint32_t stable, uint32_t *ret_proc)
{
    wire_put_handle(out, file);
    wire_put64(out, offset);
    wire_put32(out, len);
    wire_put32(out, stable);
    wire_put32(out, len);
    out->payload = payload;
    out->payload_len = len;
    *ret_proc = PROC_WRITE;
}

static void wcc(struct wire_in *in)
{
    if (wire_get32(in))
        wire_skip(in, 24);
    wire_skip_post_attr(in);
}

static void write1m_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;

    payload[i % ROWS_MEG]++;
    write_encode(&b->fresh, out, (uint64_t)(i % (ROWS_FILE_SIZE / ROWS_MEG)) * ROWS_MEG, ROWS_MEG,
                 STABLE_NO, ret_proc);
}

static void write_reply(struct wire_in *in, uint32_t i, uint32_t want)
{
    status(in, "WRITE", i);
    wcc(in);
    uint32_t got = wire_get32(in);
    if (got != want)
        bench_die("WRITE, call %u: %u bytes instead of %u", i, got, want);
}

static void write1m_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    write_reply(in, i, ROWS_MEG);
}

static void write4k_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;

    write_encode(&b->files[i % ROWS_FILES], out, 0, 4096, STABLE_FILE, ret_proc);
}

static void write4k_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    write_reply(in, i, 4096);
}

static void commit_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;

    (void)i;
    wire_put_handle(out, &b->fresh);
    wire_put64(out, 0);
    wire_put32(out, 0);
    *ret_proc = PROC_COMMIT;
}

static void commit_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    status(in, "COMMIT", i);
    wcc(in);
    wire_skip(in, 8);
}

/* Mode 0644, nothing else set. */
static void put_sattr(struct wire_out *out, uint32_t mode)
{
    wire_put32(out, 1);
    wire_put32(out, mode);
    for (int i = 0; i < 5; i++)
        wire_put32(out, 0);
}

static void create_call(struct wire_out *out, const struct wire_handle *dir, const char *name)
{
    wire_put_handle(out, dir);
    wire_put_name(out, name);
    wire_put32(out, 0); /* UNCHECKED */
    put_sattr(out, 0644);
}

static void made_reply(struct wire_in *in, const char *what, uint32_t i, struct wire_handle *ret)
{
    status(in, what, i);
    if (!wire_get32(in))
        bench_die("%s, call %u: no handle", what, i);
    wire_get_handle(in, ret);
}

static void create_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;

    create_call(out, &b->dir, name_of(b, i));
    *ret_proc = PROC_CREATE;
}

static void create_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    struct bench *b = ctx;

    made_reply(in, "CREATE", i, &b->files[i % ROWS_FILES]);
}

static void remove_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;

    wire_put_handle(out, &b->dir);
    wire_put_name(out, name_of(b, i));
    *ret_proc = PROC_REMOVE;
}

static void remove_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    (void)ctx;
    status(in, "REMOVE", i);
    wcc(in);
}

static void readdirplus_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct bench *b = ctx;
    uint64_t cookie = b->cookies[i % b->page_count];

    wire_put_handle(out, &b->dir);
    wire_put64(out, cookie);
    wire_put64(out, 0);
    if (cookie)
        memcpy(out->bytes + out->len - 8, b->verf, 8);
    wire_put32(out, PAGE);
    wire_put32(out, PAGE);
    *ret_proc = PROC_READDIRPLUS;
}

static void readdirplus_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    struct bench *b = ctx;
    uint64_t cookie = 0;
    struct wire_handle handle;

    status(in, "READDIRPLUS", i);
    wire_skip_post_attr(in);
    const uint8_t *verf = wire_skip(in, 8);
    if (verf)
        memcpy(b->verf, verf, 8);
    while (wire_get32(in)) {
        wire_skip(in, 8);
        wire_skip(in, (wire_get32(in) + 3) & ~3u);
        cookie = wire_get64(in);
        uint32_t attr = wire_get32(in);
        if (attr)
            wire_skip(in, WIRE_FATTR);
        uint32_t known = wire_get32(in);
        if (known)
            wire_get_handle(in, &handle);
        if (!attr || !known)
            bench_die("READDIRPLUS, call %u: an entry without attributes or handle", i);
        b->entries++;
    }
    b->last_page = wire_get32(in) != 0;
    if (!b->last_page && i + 1 == b->page_count) {
        b->cookies = realloc(b->cookies, (b->page_count + 1) * sizeof(*b->cookies));
        b->cookies[b->page_count++] = cookie;
    }
}

#define SERIES(name, in_flight)                                       \
    const struct conn_series calls_##name = {.prog = NFS,             \
                                             .vers = 3,               \
                                             .window = in_flight,     \
                                             .encode = name##_encode, \
                                             .reply = name##_reply}

SERIES(null, 64);
SERIES(getattr, 64);
SERIES(lookup, 64);
SERIES(read4k, 64);
SERIES(read1m, 8);
SERIES(write1m, 8);
SERIES(commit, 1);
SERIES(create, 64);
SERIES(write4k, 64);
SERIES(remove, 64);
SERIES(readdirplus, 8);

struct one {
    const struct wire_handle *dir;
    const char *name;
    struct wire_handle *ret;
};

static void mount_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct one *one = ctx;

    (void)i;
    wire_put_name(out, one->name);
    *ret_proc = 1;
}

static void mount_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    struct one *one = ctx;

    status(in, "MNT", i);
    wire_get_handle(in, one->ret);
}

void calls_mount(struct bench *b, const char *host, const char *port, const char *export)
{
    struct one one = {NULL, export, &b->root};
    struct conn_series series = {MOUNT, 3, 1, mount_encode, mount_reply, &one};
    struct conn *conn = conn_open(host, port);

    conn_run(conn, &series, 0, 1);
    conn_close(conn);
}

static void mkdir_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct one *one = ctx;

    (void)i;
    wire_put_handle(out, one->dir);
    wire_put_name(out, one->name);
    put_sattr(out, 0755);
    *ret_proc = PROC_MKDIR;
}

static void one_create_encode(void *ctx, uint32_t i, struct wire_out *out, uint32_t *ret_proc)
{
    struct one *one = ctx;

    (void)i;
    create_call(out, one->dir, one->name);
    *ret_proc = PROC_CREATE;
}

static void one_reply(void *ctx, uint32_t i, struct wire_in *in)
{
    struct one *one = ctx;

    made_reply(in, "CREATE or MKDIR", i, one->ret);
}

void calls_mkdir(struct bench *b, const struct wire_handle *dir, const char *name,
                 struct wire_handle *ret)
{
    struct one one = {dir, name, ret};
    struct conn_series series = {NFS, 3, 1, mkdir_encode, one_reply, &one};

    conn_run(b->nfs, &series, 0, 1);
}

void calls_create_one(struct bench *b, const struct wire_handle *dir, const char *name,
                      struct wire_handle *ret)
{
    struct one one = {dir, name, ret};
    struct conn_series series = {NFS, 3, 1, one_create_encode, one_reply, &one};

    conn_run(b->nfs, &series, 0, 1);
}
