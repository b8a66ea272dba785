/* READDIR entries: byte-exact budgets, and the bytes themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "nfs3.h"
#include "nfsd/payload.h"
#include "nfsd/rpc_int.h"
#include "nfsd/server_int.h"

static struct nfsd *nfsd;
static struct call *call;

static int start(void **state)
{
    struct nfsd_config config;
    struct record none = {0};

    (void)state;
    nfsd_config_default(&config);
    nfsd = nfsd_new(&config);
    assert_int_equal(reactor_init(&nfsd->reactors[0], nfsd, 0), 0);
    call = call_new(nfsd, &nfsd->reactors[0], &none);
    call_xprt_init(call);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    call_free(call);
    assert_int_equal(buf_pool_used(nfsd->pool), 0);
    reactor_fini(&nfsd->reactors[0]);
    nfsd_free(nfsd);
    return 0;
}

static uint32_t entry_size(size_t name_len)
{
    return (uint32_t)(4 + 8 + 4 + (name_len + 3) / 4 * 4 + 8);
}

/* Encodes the whole result as the dispatcher would and returns its bytes without the status. */
static size_t resok_size(nfs_entries *entries, bool plus)
{
    union {
        READDIR3res plain;
        READDIRPLUS3res plus;
    } res;

    memset(&res, 0, sizeof(res));
    if (plus) {
        res.plus.READDIRPLUS3res_u.resok.dir_attributes.attributes_follow = TRUE;
        res.plus.READDIRPLUS3res_u.resok.reply.entries = *entries;
    } else {
        res.plain.READDIR3res_u.resok.dir_attributes.attributes_follow = TRUE;
        res.plain.READDIR3res_u.resok.reply.entries = *entries;
    }
    assert_true(svc_sendreply(
        &call->xprt, plus ? (xdrproc_t)xdr_READDIRPLUS3res : (xdrproc_t)xdr_READDIR3res, &res));
    return call->total - CALL_RESULT_AT - 4;
}

/* For every count, as much as fits goes in, and never a byte more. */
static void test_plain_budget(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 600; count++) {
        struct dirbuf buf;
        nfs_entries entries;
        uint32_t fits = 0;
        size_t size;

        dirbuf_open(&buf, &call->pub, DIRBUF_PLAIN, count, 0);
        while (dirbuf_add(&buf, fits + 1, "seven.c", fits + 3))
            fits++;
        assert_int_equal(dirbuf_count(&buf), fits);
        assert_false(dirbuf_add(&buf, 1, "", 1)); /* full stays full: the order of entries */
        dirbuf_finish(&buf, &entries);
        size = resok_size(&entries, false);
        assert_true(size <= count || fits == 0);
        assert_true(size + entry_size(7) > count);
        assert_int_equal(size, DIRBUF_OVERHEAD + fits * entry_size(7));
        call_reset(call);
    }
}

static void test_plus_budget(void **state)
{
    const fattr3 attr = {.type = NF3REG, .fileid = 5};
    const nfs_fh3 fh = {.len = 30};
    const uint32_t one = entry_size(2) + 4 + XDR_FATTR3_SIZE + 4 + 4 + 32;

    (void)state;
    for (uint32_t max = 0; max < 1200; max += 4) {
        struct dirbuf buf;
        nfs_entries entries;
        uint32_t fits = 0;

        dirbuf_open(&buf, &call->pub, DIRBUF_PLUS, max, UINT32_MAX);
        while (dirbuf_add_plus(&buf, 5, "ab", fits + 3, &attr, &fh))
            fits++;
        dirbuf_finish(&buf, &entries);
        assert_int_equal(resok_size(&entries, true), DIRBUF_OVERHEAD + fits * one);
        assert_int_equal(fits, max < DIRBUF_OVERHEAD ? 0 : (max - DIRBUF_OVERHEAD) / one);
        call_reset(call);
    }
}

/* dircount counts fileid, name and cookie; the first entry passes however small it is. */
static void test_dircount(void **state)
{
    (void)state;
    for (uint32_t dircount = 0; dircount < 200; dircount++) {
        struct dirbuf buf;
        uint32_t fits = 0, want = dircount / 24;

        dirbuf_open(&buf, &call->pub, DIRBUF_PLUS, 1 << 20, dircount);
        while (dirbuf_add_plus(&buf, 5, "abcd", fits + 3, NULL, NULL))
            fits++;
        assert_int_equal(fits, want ? want : 1);
        dirbuf_abort(&buf);
        call_reset(call);
    }
}

/* Whatever the client allows, a reply has its limit. */
static void test_limit(void **state)
{
    struct dirbuf buf;
    nfs_entries entries;

    (void)state;
    dirbuf_open(&buf, &call->pub, DIRBUF_PLAIN, UINT32_MAX, 0);
    while (dirbuf_add(&buf, 1, "name", 3))
        ;
    dirbuf_finish(&buf, &entries);
    assert_in_range(resok_size(&entries, false), DIRBUF_MAX - entry_size(4),
                    DIRBUF_MAX + DIRBUF_OVERHEAD);
    call_reset(call);
}

static void test_bytes(void **state)
{
    const uint8_t want[] = {0,   0,   0,   1,   0,   0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 5,
                            'h', 'e', 'l', 'l', 'o', 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9,
                            0,   0,   0,   0,   0,   0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 0};
    const nfs_fh3 fh = {.len = 3, .data = {1, 2, 3}};
    nfs_entries entries;
    struct dirbuf buf;

    (void)state;
    dirbuf_open(&buf, &call->pub, DIRBUF_PLUS, 4096, 4096);
    assert_true(dirbuf_add_plus(&buf, 0x102, "hello", (UINT64_C(1) << 32) | 9, NULL, &fh));
    assert_int_equal(buf.used, sizeof(want));
    assert_memory_equal(buf.base, want, sizeof(want));
    dirbuf_finish(&buf, &entries);
    call_reset(call);
}

static atomic_uint released;

static void count_release(void *ref)
{
    (void)ref;
    atomic_fetch_add(&released, 1);
}

/* References are given back once, whatever becomes of the call, also those there was no room for.
 */
static void test_references(void **state)
{
    nfs_payload payload = {0};
    nfs_payload large = {.len = XDR_DATA_MAX};

    (void)state;
    atomic_store(&released, 0);
    for (int i = 0; i < RPC_REFS_MAX; i++)
        assert_true(rpc_payload_add(&call->pub, &payload, "x", 1, count_release, NULL));
    assert_int_equal(payload.len, RPC_REFS_MAX);
    assert_false(rpc_payload_add(&call->pub, &payload, "x", 1, count_release, NULL));
    assert_int_equal(atomic_load(&released), 1);
    call_reset(call);
    assert_int_equal(atomic_load(&released), RPC_REFS_MAX + 1);
    assert_false(rpc_payload_add(&call->pub, &large, "x", 1, count_release, NULL));
    assert_int_equal(atomic_load(&released), RPC_REFS_MAX + 2);
}

static void test_alloc(void **state)
{
    (void)state;
    for (size_t size = 1; size < 100000; size = size * 3) {
        uint8_t *bytes = rpc_alloc(&call->pub, size);

        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], 0);
        memset(bytes, 0xff, size);
    }
    assert_null(rpc_alloc(&call->pub, RPC_ALLOC_MAX));
    assert_null(rpc_alloc(&call->pub, SIZE_MAX));
    assert_string_equal(rpc_strdup(&call->pub, "copy"), "copy");
    call_reset(call);
    assert_non_null(rpc_alloc(&call->pub, RPC_ALLOC_MAX));
    call_reset(call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain_budget, start, stop),
        cmocka_unit_test_setup_teardown(test_plus_budget, start, stop),
        cmocka_unit_test_setup_teardown(test_dircount, start, stop),
        cmocka_unit_test_setup_teardown(test_limit, start, stop),
        cmocka_unit_test_setup_teardown(test_bytes, start, stop),
        cmocka_unit_test_setup_teardown(test_references, start, stop),
        cmocka_unit_test_setup_teardown(test_alloc, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
