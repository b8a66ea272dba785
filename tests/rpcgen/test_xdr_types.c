/* The hand-written XDR filters against the bytes of RFC 4506, and the limits of the .x files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mount3.h"
#include "nfs3.h"
#include "portmap.h"

static uint8_t arena[16384];

static void *alloc(struct xdr_ctx *ctx, size_t size)
{
    (void)ctx;
    return size <= sizeof(arena) ? arena : NULL;
}

static struct xdr_ctx ctx = {.alloc = alloc};

static u_int encode(xdrproc_t filter, void *value, uint8_t *out, size_t size)
{
    XDR xdrs;

    memset(out, 0xee, size);
    xdrmem_create(&xdrs, (char *)out, (u_int)size, XDR_ENCODE);
    xdr_ctx_set(&xdrs, &ctx);
    return filter(&xdrs, value) ? XDR_GETPOS(&xdrs) : 0;
}

static bool decode(xdrproc_t filter, const void *bytes, size_t len, void *value)
{
    XDR xdrs;

    xdrmem_create(&xdrs, (char *)(uintptr_t)bytes, (u_int)len, XDR_DECODE);
    xdr_ctx_set(&xdrs, &ctx);
    return filter(&xdrs, value) && XDR_GETPOS(&xdrs) == len;
}

static void test_fattr3(void **state)
{
    static fattr3 attr = {.type = NF3LNK, /* static: zeros between the fields too */
                          .mode = 0x01020304,
                          .nlink = 2,
                          .uid = 3,
                          .gid = 4,
                          .size = 0x0102030405060708,
                          .used = 6,
                          .rdev = {7, 8},
                          .fsid = 9,
                          .fileid = UINT64_MAX,
                          .atime = {10, 11},
                          .mtime = {12, 13},
                          .ctime = {14, UINT32_MAX}};
    const uint8_t begins[] = {0, 0, 0, 5, 1, 2, 3, 4, 0, 0, 0, 2, 0, 0,
                              0, 3, 0, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t out[XDR_FATTR3_SIZE];
    fattr3 back;

    (void)state;
    memset(&back, 0, sizeof(back));
    assert_int_equal(encode((xdrproc_t)xdr_fattr3, &attr, out, sizeof(out)), XDR_FATTR3_SIZE);
    assert_memory_equal(out, begins, sizeof(begins));
    assert_true(decode((xdrproc_t)xdr_fattr3, out, sizeof(out), &back));
    assert_memory_equal(&back, &attr, sizeof(attr));
    assert_false(decode((xdrproc_t)xdr_fattr3, out, sizeof(out) - 1, &back));
    assert_int_equal(encode((xdrproc_t)xdr_fattr3, &attr, out, sizeof(out) - 1), 0);
}

static void test_handle(void **state)
{
    uint8_t out[80] = {0};
    nfs_fh3 fh = {.len = 5, .data = {1, 2, 3, 4, 5}}, back;
    const uint8_t want[] = {0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0};

    (void)state;
    assert_int_equal(encode((xdrproc_t)xdr_nfs_fh3, &fh, out, sizeof(out)), sizeof(want));
    assert_memory_equal(out, want, sizeof(want));
    assert_true(decode((xdrproc_t)xdr_nfs_fh3, want, sizeof(want), &back));
    assert_int_equal(back.len, 5);
    assert_memory_equal(back.data, fh.data, 5);
    for (uint32_t len = 64; len <= 65; len++) {
        memset(out, 0, sizeof(out));
        out[3] = (uint8_t)len;
        assert_int_equal(decode((xdrproc_t)xdr_nfs_fh3, out, 4 + (len + 3) / 4 * 4, &back),
                         len == 64);
    }
}

/* The longest string is taken, one byte more is not, and none that is longer than what is there. */
static void check_string_limit(xdrproc_t filter, uint32_t max)
{
    for (uint32_t len = max; len <= max + 1; len++) {
        size_t size = 4 + (len + 3) / 4 * 4;
        uint8_t *bytes = malloc(size);
        char *string = NULL;

        assert_non_null(bytes);
        memset(bytes, 'a', size);
        for (int i = 0; i < 4; i++)
            bytes[i] = (uint8_t)(len >> (24 - 8 * i));
        assert_int_equal(decode(filter, bytes, size, &string), len == max);
        if (len == max) {
            assert_int_equal(strlen(string), max);
            assert_false(decode(filter, bytes, size - 4, &string));
        }
        free(bytes);
    }
}

static void test_string_limits(void **state)
{
    (void)state;
    check_string_limit((xdrproc_t)xdr_filename3, XDR_NAME_MAX);
    check_string_limit((xdrproc_t)xdr_nfspath3, XDR_PATH_MAX);
    check_string_limit((xdrproc_t)xdr_dirpath, XDR_DIRPATH_MAX);
    check_string_limit((xdrproc_t)xdr_pm_string, XDR_RPCB_STRING_MAX);
}

static void test_nul_in_strings(void **state)
{
    const uint8_t bytes[] = {0, 0, 0, 3, 'a', 0, 'b', 0};
    char *string;

    (void)state;
    assert_true(decode((xdrproc_t)xdr_filename3, bytes, sizeof(bytes), &string));
    assert_string_equal(string, "a/b"); /* which no name may be */
    assert_false(decode((xdrproc_t)xdr_nfspath3, bytes, sizeof(bytes), &string));
    assert_false(decode((xdrproc_t)xdr_dirpath, bytes, sizeof(bytes), &string));
}

/* Without a call's arena nothing is decoded rather than something lost. */
static void test_no_arena(void **state)
{
    const uint8_t bytes[] = {0, 0, 0, 1, 'a', 0, 0, 0};
    char *string;
    XDR xdrs;

    (void)state;
    xdrmem_create(&xdrs, (char *)(uintptr_t)bytes, sizeof(bytes), XDR_DECODE);
    xdr_ctx_set(&xdrs, NULL);
    assert_false(xdr_filename3(&xdrs, &string));
}

static void test_payload(void **state)
{
    const uint8_t bytes[] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0, 0, 0};
    uint8_t out[32];
    nfs_payload payload;

    (void)state;
    assert_true(decode((xdrproc_t)xdr_nfs_payload, bytes, sizeof(bytes), &payload));
    assert_int_equal(payload.len, 5);
    assert_ptr_equal(payload.data, bytes + 4);
    assert_false(decode((xdrproc_t)xdr_nfs_payload, bytes, sizeof(bytes) - 1, &payload));
    assert_true(decode((xdrproc_t)xdr_nfs_payload, bytes, sizeof(bytes), &payload));
    assert_int_equal(encode((xdrproc_t)xdr_nfs_payload, &payload, out, sizeof(out)), 12);
    assert_memory_equal(out, bytes, sizeof(bytes));
}

/* Lists are encoded by loops: a hundred thousand entries need no stack. */
static void test_long_list(void **state)
{
    enum { COUNT = 100000 };
    struct mountbody *nodes = calloc(COUNT, sizeof(*nodes));
    char host[] = "h", dir[] = "/d";
    size_t size = (size_t)COUNT * 20 + 4;
    uint8_t *out = malloc(size);
    mountlist list = nodes;

    (void)state;
    assert_non_null(nodes);
    assert_non_null(out);
    for (int i = 0; i < COUNT; i++)
        nodes[i] = (struct mountbody){host, dir, i + 1 < COUNT ? &nodes[i + 1] : NULL};
    assert_int_equal(encode((xdrproc_t)xdr_mountlist, &list, out, size), size);
    assert_int_equal(encode((xdrproc_t)xdr_mountlist, &list, out, size - 1), 0);
    free(out);
    free(nodes);
}

static void test_exports(void **state)
{
    struct groupnode second = {(char *)(uintptr_t) "b", NULL};
    struct groupnode first = {(char *)(uintptr_t) "a", &second};
    struct exportnode node = {(char *)(uintptr_t) "/x", &first, NULL};
    const uint8_t want[] = {0, 0, 0,   1, 0, 0,   0, 2, '/', 'x', 0, 0, 0, 0, 0,
                            1, 0, 0,   0, 1, 'a', 0, 0, 0,   0,   0, 0, 1, 0, 0,
                            0, 1, 'b', 0, 0, 0,   0, 0, 0,   0,   0, 0, 0, 0};
    exports list = &node;
    uint8_t out[64];

    (void)state;
    assert_int_equal(encode((xdrproc_t)xdr_exports, &list, out, sizeof(out)), sizeof(want));
    assert_memory_equal(out, want, sizeof(want));
}

/* The sizes the protocol's other side counts on. */
static void test_result_sizes(void **state)
{
    GETATTR3res getattr = {.status = NFS3_OK};
    WRITE3res write = {.status = NFS3ERR_IO};
    FSINFO3res fsinfo = {.status = NFS3_OK};
    uint8_t out[512];

    (void)state;
    getattr.GETATTR3res_u.resok.obj_attributes.type = NF3REG;
    assert_int_equal(encode((xdrproc_t)xdr_GETATTR3res, &getattr, out, sizeof(out)), 4 + 84);
    assert_int_equal(encode((xdrproc_t)xdr_WRITE3res, &write, out, sizeof(out)), 4 + 4 + 4);
    assert_int_equal(encode((xdrproc_t)xdr_FSINFO3res, &fsinfo, out, sizeof(out)),
                     4 + 4 + 7 * 4 + 8 + 8 + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fattr3),        cmocka_unit_test(test_handle),
        cmocka_unit_test(test_string_limits), cmocka_unit_test(test_nul_in_strings),
        cmocka_unit_test(test_no_arena),      cmocka_unit_test(test_payload),
        cmocka_unit_test(test_long_list),     cmocka_unit_test(test_exports),
        cmocka_unit_test(test_result_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
