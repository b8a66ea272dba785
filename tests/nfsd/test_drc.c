/* The duplicate request cache: states, the budget, replies of an earlier run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "nfsd/drc.h"

static void *rebound_owner, *rebound_newcomer;

static void rebind(void *owner, void *newcomer)
{
    rebound_owner = owner;
    rebound_newcomer = newcomer;
}

static struct drc_key key_of(uint32_t xid)
{
    return (struct drc_key){.addr = {1, 2, 3}, .xid = xid, .prog = 100003, .vers = 3, .proc = 8};
}

static void test_states(void **state)
{
    struct drc *drc = drc_new(1 << 20, rebind);
    struct drc_key key = key_of(7);
    struct drc_entry *entry;
    struct drc_reply *reply;
    int first, second;
    size_t len;

    (void)state;
    assert_int_equal(drc_begin(drc, &key, &first, &entry, &reply), DRC_NEW);
    assert_int_equal(drc_begin(drc, &key, &second, &entry, &reply), DRC_BUSY);
    assert_ptr_equal(rebound_owner, &first);
    assert_ptr_equal(rebound_newcomer, &second);
    drc_done(drc, entry, "answer", 6);
    assert_int_equal(drc_begin(drc, &key, &second, &entry, &reply), DRC_DONE);
    assert_memory_equal(drc_reply_data(reply, &len), "answer", 6);
    assert_int_equal(len, 6);
    drc_reply_unref(reply);
    drc_free(drc);
}

/* Whatever differs in the key makes another request of it. */
static void test_other_requests(void **state)
{
    struct drc *drc = drc_new(1 << 20, rebind);
    struct drc_key base = key_of(7), other;
    struct drc_entry *entry;
    struct drc_reply *reply;
    int owner;

    (void)state;
    assert_int_equal(drc_begin(drc, &base, &owner, &entry, &reply), DRC_NEW);
    for (int i = 0; i < 6; i++) {
        other = base;
        if (i == 0)
            other.addr[15] ^= 1;
        else if (i == 1)
            other.xid++;
        else if (i == 2)
            other.prog++;
        else if (i == 3)
            other.vers++;
        else if (i == 4)
            other.proc++;
        else
            other.checksum++;
        assert_int_equal(drc_begin(drc, &other, &owner, &entry, &reply), DRC_NEW);
    }
    drc_free(drc);
}

static void test_cancel(void **state)
{
    struct drc *drc = drc_new(1 << 20, rebind);
    struct drc_key key = key_of(1);
    struct drc_entry *entry;
    struct drc_reply *reply;
    struct drc_usage usage;
    int owner;

    (void)state;
    assert_int_equal(drc_begin(drc, &key, &owner, &entry, &reply), DRC_NEW);
    drc_cancel(drc, entry);
    drc_get_usage(drc, &usage);
    assert_int_equal(usage.entries, 0);
    assert_int_equal(drc_begin(drc, &key, &owner, &entry, &reply), DRC_NEW);
    drc_free(drc);
}

/* Beyond the budget the oldest reply goes; busy entries stay. */
static void test_budget(void **state)
{
    struct drc *drc = drc_new(4096, rebind);
    struct drc_key busy = key_of(1);
    struct drc_entry *entry;
    struct drc_reply *reply;
    struct drc_usage usage;
    char bytes[200] = {0};
    int owner;

    (void)state;
    assert_int_equal(drc_begin(drc, &busy, &owner, &entry, &reply), DRC_NEW);
    for (uint32_t xid = 100; xid < 200; xid++) {
        struct drc_key key = key_of(xid);

        assert_int_equal(drc_begin(drc, &key, &owner, &entry, &reply), DRC_NEW);
        drc_done(drc, entry, bytes, sizeof(bytes));
        drc_get_usage(drc, &usage);
        assert_true(usage.bytes <= 4096);
    }
    assert_true(usage.entries > 5);
    assert_int_equal(drc_begin(drc, &busy, &owner, &entry, &reply), DRC_BUSY);
    {
        struct drc_key newest = key_of(199), oldest = key_of(100);

        assert_int_equal(drc_begin(drc, &newest, &owner, &entry, &reply), DRC_DONE);
        drc_reply_unref(reply);
        assert_int_equal(drc_begin(drc, &oldest, &owner, &entry, &reply), DRC_NEW);
    }
    drc_free(drc);
}

static enum drc_state ask(struct drc *drc, uint8_t client, uint32_t xid)
{
    struct drc_key key = key_of(xid);
    struct drc_entry *entry;
    struct drc_reply *reply;
    int owner;

    key.addr[15] = client;
    enum drc_state got = drc_begin(drc, &key, &owner, &entry, &reply);
    if (got == DRC_NEW)
        drc_cancel(drc, entry);
    else
        drc_reply_unref(reply);
    return got;
}

static void answer(struct drc *drc, uint8_t client, uint32_t xid)
{
    struct drc_key key = key_of(xid);
    struct drc_entry *entry;
    struct drc_reply *reply;
    char bytes[200] = {0};
    int owner;

    key.addr[15] = client;
    assert_int_equal(drc_begin(drc, &key, &owner, &entry, &reply), DRC_NEW);
    drc_done(drc, entry, bytes, sizeof(bytes));
}

/* However much one client asks, the others' newest replies stay. */
static void test_flood(void **state)
{
    enum { FEW = 10, MANY = 20000 };
    struct drc *drc = drc_new(256 << 10, rebind);
    struct drc_usage usage;

    (void)state;
    for (uint32_t xid = 0; xid < DRC_CLIENT_KEEP + FEW; xid++)
        answer(drc, 1, xid);
    for (uint32_t xid = 0; xid < FEW; xid++)
        answer(drc, 2, xid);
    for (uint32_t xid = 0; xid < MANY; xid++)
        answer(drc, 3, xid);
    for (uint32_t xid = 0; xid < FEW; xid++) {
        assert_int_equal(ask(drc, 1, xid), DRC_NEW); /* its older ones went */
        assert_int_equal(ask(drc, 1, DRC_CLIENT_KEEP + xid), DRC_DONE);
        assert_int_equal(ask(drc, 2, xid), DRC_DONE);
        assert_int_equal(ask(drc, 3, xid), DRC_NEW);
        assert_int_equal(ask(drc, 3, MANY - 1 - xid), DRC_DONE);
    }
    drc_get_usage(drc, &usage);
    assert_true(usage.bytes <= 256 << 10);
    assert_true(usage.bytes > 200 << 10);
    drc_free(drc);
}

/* When even the newest of all are too many, those go first whose client was heard of least lately.
 */
static void test_many_clients(void **state)
{
    enum { EACH = 20 };
    struct drc *drc = drc_new(256 << 10, rebind);
    struct drc_usage usage;

    (void)state;
    for (int client = 0; client < 256; client++) {
        for (uint32_t xid = 0; xid < EACH; xid++)
            answer(drc, (uint8_t)client, xid);
        answer(drc, 0, 1000 + (uint32_t)client); /* heard of again and again */
    }
    for (uint32_t xid = 0; xid < EACH; xid++) {
        assert_int_equal(ask(drc, 0, 1255 - xid), DRC_DONE);
        assert_int_equal(ask(drc, 1, xid), DRC_NEW);
        assert_int_equal(ask(drc, 255, xid), DRC_DONE);
    }
    drc_get_usage(drc, &usage);
    assert_true(usage.bytes <= 256 << 10);
    drc_free(drc);
}

/* A reply beyond the whole budget is not kept, and nothing is left of it. */
static void test_larger_than_all(void **state)
{
    struct drc *drc = drc_new(100, rebind);
    struct drc_usage usage;

    (void)state;
    answer(drc, 1, 1);
    assert_int_equal(ask(drc, 1, 1), DRC_NEW);
    drc_get_usage(drc, &usage);
    assert_int_equal(usage.entries, 0);
    assert_int_equal(usage.bytes, 0);
    drc_free(drc);
}

static void test_load(void **state)
{
    struct drc *drc = drc_new(1 << 20, rebind);
    struct drc_key key = key_of(9);
    struct drc_entry *entry;
    struct drc_reply *reply;
    int owner;
    size_t len;

    (void)state;
    drc_load(drc, &key, "old", 3);
    drc_load(drc, &key, "new", 3); /* the last counts */
    assert_int_equal(drc_begin(drc, &key, &owner, &entry, &reply), DRC_DONE);
    assert_memory_equal(drc_reply_data(reply, &len), "new", 3);
    drc_reply_unref(reply);
    drc_free(drc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),       cmocka_unit_test(test_other_requests),
        cmocka_unit_test(test_cancel),       cmocka_unit_test(test_budget),
        cmocka_unit_test(test_load),         cmocka_unit_test(test_flood),
        cmocka_unit_test(test_many_clients), cmocka_unit_test(test_larger_than_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
