/*
 * What a client can send: a stream of bytes that is cut into records, then heads of calls, then the
 * arguments of every procedure we serve. The first byte says in which pieces the stream arrives.
 *
 * What is decoded is encoded and decoded again: it must take as many bytes as before.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mount3.h"
#include "nfs3.h"
#include "nfsd/record.h"
#include "nfsd/rpc_header.h"
#include "portmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_RECORD_MAX = 128 << 10, FUZZ_ARGS = 1024 };

#define NFS(proc, type)                                                \
    {                                                                  \
        NFS_PROGRAM, NFS_V3, proc, (xdrproc_t)xdr_##type, sizeof(type) \
    }
#define MOUNT(vers, proc)                                                  \
    {                                                                      \
        MOUNT_PROGRAM, vers, proc, (xdrproc_t)xdr_dirpath, sizeof(dirpath) \
    }
#define PM(vers, proc, type)                                        \
    {                                                               \
        PM_PROGRAM, vers, proc, (xdrproc_t)xdr_##type, sizeof(type) \
    }

static const struct {
    uint32_t prog, vers, proc;
    xdrproc_t filter;
    size_t size;
} procedures[] = {
    NFS(NFSPROC3_GETATTR, GETATTR3args),
    NFS(NFSPROC3_SETATTR, SETATTR3args),
    NFS(NFSPROC3_LOOKUP, LOOKUP3args),
    NFS(NFSPROC3_ACCESS, ACCESS3args),
    NFS(NFSPROC3_READLINK, READLINK3args),
    NFS(NFSPROC3_READ, READ3args),
    NFS(NFSPROC3_WRITE, WRITE3args),
    NFS(NFSPROC3_CREATE, CREATE3args),
    NFS(NFSPROC3_MKDIR, MKDIR3args),
    NFS(NFSPROC3_SYMLINK, SYMLINK3args),
    NFS(NFSPROC3_MKNOD, MKNOD3args),
    NFS(NFSPROC3_REMOVE, REMOVE3args),
    NFS(NFSPROC3_RMDIR, RMDIR3args),
    NFS(NFSPROC3_RENAME, RENAME3args),
    NFS(NFSPROC3_LINK, LINK3args),
    NFS(NFSPROC3_READDIR, READDIR3args),
    NFS(NFSPROC3_READDIRPLUS, READDIRPLUS3args),
    NFS(NFSPROC3_FSSTAT, FSSTAT3args),
    NFS(NFSPROC3_FSINFO, FSINFO3args),
    NFS(NFSPROC3_PATHCONF, PATHCONF3args),
    NFS(NFSPROC3_COMMIT, COMMIT3args),
    MOUNT(MOUNT_V1, MOUNTPROC1_MNT),
    MOUNT(MOUNT_V3, MOUNTPROC3_MNT),
    MOUNT(MOUNT_V3, MOUNTPROC3_UMNT),
    PM(PM_V2, PM2_GETPORT, pm_mapping),
    PM(PM_V3, PM3_GETADDR, pm_rpcb),
    PM(PM_V4, PM4_GETADDRLIST, pm_rpcb),
};

/* Memory of its own for each string, so that the sanitizer sees its ends. */
static void *allocations[8];
static unsigned allocation_count;

static void *fuzz_alloc(struct xdr_ctx *ctx, size_t size)
{
    (void)ctx;
    assert(size <= XDR_PATH_MAX + 1); /* the limits of the .x files */
    assert(allocation_count < 8);
    return allocations[allocation_count++] = malloc(size);
}

static void free_allocations(void)
{
    while (allocation_count)
        free(allocations[--allocation_count]);
}

static bool decode(xdrproc_t filter, const uint8_t *bytes, size_t len, void *args, u_int *ret_used)
{
    struct xdr_ctx ctx = {.alloc = fuzz_alloc};
    bool_t right;
    XDR xdrs;

    xdrmem_create(&xdrs, (char *)(uintptr_t)bytes, (u_int)len, XDR_DECODE);
    xdr_ctx_set(&xdrs, &ctx);
    right = filter(&xdrs, args);
    *ret_used = XDR_GETPOS(&xdrs);
    return right;
}

static void try_args(xdrproc_t filter, size_t size, const uint8_t *bytes, size_t len)
{
    static uint8_t again[FUZZ_RECORD_MAX + 64];
    _Alignas(16) uint8_t args[FUZZ_ARGS];
    u_int used, used_again;
    XDR xdrs;

    assert(size <= sizeof(args));
    memset(args, 0, size);
    if (decode(filter, bytes, len, args, &used)) {
        struct xdr_ctx ctx = {0};

        assert(used <= len);
        xdrmem_create(&xdrs, (char *)again, sizeof(again), XDR_ENCODE);
        xdr_ctx_set(&xdrs, &ctx);
        assert(filter(&xdrs, args));
        assert(XDR_GETPOS(&xdrs) == used);
        free_allocations();
        memset(args, 0, size);
        assert(decode(filter, again, used, args, &used_again));
        assert(used_again == used);
    }
    free_allocations();
}

static void try_record(const struct record *rec)
{
    struct rpc_header header;

    if (rpc_header_parse(rec->data, rec->len, &header) != RPC_HEADER_OK)
        return;
    assert(header.args <= rec->len);
    assert(header.cred.group_count <= FS_GROUPS_MAX);
    for (size_t i = 0; i < sizeof(procedures) / sizeof(procedures[0]); i++)
        if (procedures[i].prog == header.prog && procedures[i].vers == header.vers &&
            procedures[i].proc == header.proc)
            try_args(procedures[i].filter, procedures[i].size, rec->data + header.args,
                     rec->len - header.args);
}

/* Copies the record into memory of its size first: reading beyond it is then seen. */
static void try_copy(const struct record *rec)
{
    struct record copy = *rec;
    uint8_t *bytes = malloc(rec->len + 1u);

    if (!bytes)
        return;
    memcpy(bytes, rec->data, rec->len);
    copy.data = bytes;
    try_record(&copy);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf_pool *pool = buf_pool_new(UINT64_MAX);
    size_t piece = size ? 1 + (size_t)data[0] * 16 : 1, at = 1;
    struct record_reader reader;
    int r = RECORD_MORE;

    record_reader_init(&reader, pool, FUZZ_RECORD_MAX);
    while (at < size && r >= 0) {
        struct record rec;
        uint8_t *room;
        size_t n;

        if (record_room(&reader, &room, &n) < 0)
            break;
        n = n < piece ? n : piece;
        n = n < size - at ? n : size - at;
        memcpy(room, data + at, n);
        record_received(&reader, n);
        at += n;
        while ((r = record_next(&reader, &rec)) == RECORD_READY) {
            assert(rec.len <= FUZZ_RECORD_MAX);
            try_copy(&rec);
            buf_unref(rec.buf);
        }
    }
    record_reader_clear(&reader);
    buf_pool_free(pool);
    return 0;
}
