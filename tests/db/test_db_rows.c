/* Every kind of row: what was put is read back, replaced and deleted, also after a restart. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/db/db_fixture.h"

static void assert_str_same(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a)
        assert_string_equal(a, b);
}

static void assert_inode_same(const struct db_inode *a, const struct db_inode *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->volume, b->volume);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->atime_ns, b->atime_ns);
    assert_int_equal(a->mtime_ns, b->mtime_ns);
    assert_int_equal(a->ctime_ns, b->ctime_ns);
    assert_int_equal(a->change, b->change);
    assert_int_equal(a->parent, b->parent);
    assert_int_equal(a->base_epoch, b->base_epoch);
    assert_int_equal(a->base_size, b->base_size);
    assert_int_equal(a->base_len, b->base_len);
    assert_memory_equal(a->verf, b->verf, DB_VERF_SIZE);
    assert_str_same(a->base_key, b->base_key);
    assert_str_same(a->base_etag, b->base_etag);
    assert_str_same(a->target, b->target);
    assert_str_same(a->extra_meta, b->extra_meta);
}

static void check_inode(struct fixture *f, const struct db_inode *want)
{
    struct db_inode got;

    assert_int_equal(db_get_inode(f->db, want->id, &got), 0);
    assert_inode_same(&got, want);
    db_inode_clear(&got);
}

static void put_inode(struct fixture *f, const struct db_inode *row)
{
    struct db_txn *txn = db_txn_new(f->db);

    db_put_inode(txn, row);
    fixture_commit(f, txn);
}

static void test_inode(void **state)
{
    struct fixture *f = *state;
    struct db_inode got;
    struct db_inode full = {
        .id = 77,
        .volume = UINT32_MAX,
        .type = 255,
        .flags = 0x80000000,
        .mode = 07777,
        .uid = UINT32_MAX,
        .gid = UINT32_MAX - 1,
        .size = UINT64_C(1) << 46,
        .atime_ns = -1,
        .mtime_ns = INT64_MAX,
        .ctime_ns = INT64_MIN,
        .change = 128,
        .parent = 32768,
        .base_epoch = 0x7fffff,
        .base_key = (char *)"a/b/\xc3\xbc.txt",
        .base_etag = (char *)"\"0123456789abcdef-12\"",
        .base_size = UINT64_MAX,
        .base_len = UINT64_C(0x80) << 48,
        .verf = {1, 2, 0, 4, 5, 6, 7, 8},
        .target = (char *)"",
        .extra_meta = (char *)"x=1\ny=2\n",
    };
    struct db_inode plain = {.id = 78, .size = 255, .change = 256, .parent = 65535};

    assert_int_equal(db_get_inode(f->db, full.id, &got), -ENOENT);
    put_inode(f, &full);
    put_inode(f, &plain);
    check_inode(f, &full);
    check_inode(f, &plain);
    full.base_key = NULL;
    full.atime_ns = -129;
    full.mtime_ns = -128;
    full.size = 0;
    put_inode(f, &full);
    fixture_reopen(f);
    check_inode(f, &full);
    check_inode(f, &plain);
}

/* Every length of packed integer, and its neighbours. */
static void test_inode_numbers(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct db_inode row = {.volume = 1};

    for (unsigned bit = 0; bit < 64; bit++) {
        row.id = 100 + bit;
        row.size = UINT64_C(1) << bit;
        row.change = row.size - 1;
        row.atime_ns = (int64_t)~row.size;
        row.mtime_ns = (int64_t)-row.size;
        db_put_inode(txn, &row);
    }
    fixture_commit(f, txn);
    for (unsigned bit = 0; bit < 64; bit++) {
        row.id = 100 + bit;
        row.size = UINT64_C(1) << bit;
        row.change = row.size - 1;
        row.atime_ns = (int64_t)~row.size;
        row.mtime_ns = (int64_t)-row.size;
        check_inode(f, &row);
    }
}

static bool count_extent(void *ctx, const struct db_extent *extent)
{
    (void)extent;
    ++*(int *)ctx;
    return true;
}

static bool count_redirect(void *ctx, const struct db_redirect *redirect)
{
    (void)redirect;
    ++*(int *)ctx;
    return true;
}

static void test_inode_delete_takes_its_rows(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct db_inode row;
    int extents = 0, redirects = 0;

    for (uint64_t id = 50; id < 52; id++) {
        row = fixture_inode(id, 16);
        db_put_inode(txn, &row);
        db_put_extent(txn, &(struct db_extent){.inode = id, .off = 0, .len = 10});
        db_put_extent(txn, &(struct db_extent){.inode = id, .off = 10, .len = 10});
        db_put_redirect(txn, &(struct db_redirect){id, 5, 1, (char *)"old/"});
    }
    db_del_inode(txn, 50);
    fixture_commit(f, txn);
    assert_int_equal(db_get_inode(f->db, 50, &row), -ENOENT);
    assert_int_equal(db_each_extent(f->db, 0, count_extent, &extents), 0);
    assert_int_equal(db_each_redirect(f->db, 1, count_redirect, &redirects), 0);
    assert_int_equal(extents, 2);
    assert_int_equal(redirects, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_inode, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_inode_numbers, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_inode_delete_takes_its_rows, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
