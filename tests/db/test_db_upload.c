/* The rows of multipart uploads and their parts, and what becomes of them with their file. */
#include <stdio.h>

#include "tests/db/db_fixture.h"

struct uploads {
    struct db_upload last;
    char key[32], upload_id[32];
    size_t count;
};

static bool see_upload(void *ctx, const struct db_upload *upload)
{
    struct uploads *uploads = ctx;

    uploads->last = *upload;
    (void)snprintf(uploads->key, sizeof(uploads->key), "%s", upload->key);
    (void)snprintf(uploads->upload_id, sizeof(uploads->upload_id), "%s", upload->upload_id);
    uploads->count++;
    return true;
}

struct parts {
    struct db_part all[8];
    size_t count;
};

static bool see_part(void *ctx, const struct db_part *part)
{
    struct parts *parts = ctx;

    parts->all[parts->count++] = *part;
    return parts->count < 8;
}

static void put_upload(struct db_txn *txn, uint64_t id, uint64_t inode)
{
    db_put_upload(txn, &(struct db_upload){.id = id,
                                           .volume = 1 + id % 2,
                                           .inode = inode,
                                           .key = (char *)"dir/key",
                                           .upload_id = (char *)"the store's",
                                           .part_size = 8 << 20,
                                           .version = 77,
                                           .mtime_ns = -5,
                                           .meta = UINT64_MAX - 1,
                                           .begun_ns = 1234567890123});
    for (uint32_t number = 3; number > 0; number--)
        db_put_part(txn, &(struct db_part){.upload = id,
                                           .number = number,
                                           .len = 100 * number,
                                           .sign = {UINT64_MAX, number},
                                           .copied = number == 2,
                                           .etag = "\"e\"",
                                           .checksum = "AAAAAA=="});
}

static void test_uploads(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct uploads uploads = {.count = 0};
    struct parts parts = {.count = 0};

    put_upload(txn, 100, 30);
    put_upload(txn, 101, 31);
    put_upload(txn, 102, 32);
    fixture_commit(f, txn);
    fixture_reopen(f);
    assert_int_equal(db_each_upload(f->db, 2, see_upload, &uploads), 0);
    assert_int_equal(uploads.count, 1);
    assert_int_equal(uploads.last.id, 101);
    assert_int_equal(uploads.last.volume, 2);
    assert_int_equal(uploads.last.inode, 31);
    assert_string_equal(uploads.key, "dir/key");
    assert_string_equal(uploads.upload_id, "the store's");
    assert_int_equal(uploads.last.part_size, 8 << 20);
    assert_int_equal(uploads.last.version, 77);
    assert_int_equal(uploads.last.mtime_ns, -5);
    assert_true(uploads.last.meta == UINT64_MAX - 1);
    assert_true(uploads.last.begun_ns == 1234567890123);
    assert_int_equal(db_each_part(f->db, 101, see_part, &parts), 0);
    assert_int_equal(parts.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(parts.all[i].number, i + 1);
        assert_int_equal(parts.all[i].len, 100 * (i + 1));
        assert_true(parts.all[i].sign[0] == UINT64_MAX && parts.all[i].sign[1] == i + 1);
        assert_int_equal(parts.all[i].copied, i == 1);
        assert_string_equal(parts.all[i].etag, "\"e\"");
        assert_string_equal(parts.all[i].checksum, "AAAAAA==");
    }

    txn = db_txn_new(f->db);
    db_del_upload(txn, 101);
    fixture_commit(f, txn);
    uploads.count = parts.count = 0;
    assert_int_equal(db_each_upload(f->db, 2, see_upload, &uploads), 0);
    assert_int_equal(db_each_part(f->db, 101, see_part, &parts), 0);
    assert_int_equal(uploads.count + parts.count, 0);
}

/* A file that goes leaves its upload behind, to be aborted, and takes what is known of the parts.
 */
static void test_upload_of_a_deleted_inode(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct uploads uploads = {.count = 0};
    struct parts parts = {.count = 0};

    put_upload(txn, 100, 30);
    put_upload(txn, 102, 32);
    db_del_inode(txn, 32);
    fixture_commit(f, txn);
    assert_int_equal(db_each_upload(f->db, 1, see_upload, &uploads), 0);
    assert_int_equal(uploads.count, 2);
    assert_int_equal(uploads.last.id, 102);
    assert_int_equal(uploads.last.inode, 0);
    assert_string_equal(uploads.upload_id, "the store's");
    assert_int_equal(db_each_part(f->db, 102, see_part, &parts), 0);
    assert_int_equal(parts.count, 0);
    assert_int_equal(db_each_part(f->db, 100, see_part, &parts), 0);
    assert_int_equal(parts.count, 3);
}

/* --- bytes for the stage --- */

static bool see_redo(void *ctx, const struct db_redo *row)
{
    uint64_t *seen = ctx;

    assert_int_equal(row->id, ++*seen);
    assert_int_equal(row->segment, row->id * 10);
    assert_int_equal(row->salt, UINT64_MAX - row->id); /* all 64 bits count */
    assert_int_equal(row->pos, row->id * 100);
    assert_int_equal(row->len, row->id % 9000);
    for (size_t i = 0; i < row->len; i++)
        assert_int_equal(((const uint8_t *)row->data)[i], (uint8_t)(row->id + i));
    return true;
}

static void test_redo(void **state)
{
    enum { ROWS = 300 };
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    uint8_t data[9000];
    uint64_t seen = 0;

    for (uint64_t id = 1; id <= ROWS; id++) {
        struct db_redo row = {.id = id,
                              .segment = id * 10,
                              .salt = UINT64_MAX - id,
                              .pos = id * 100,
                              .data = data,
                              .len = id % sizeof(data)};
        for (size_t i = 0; i < row.len; i++)
            data[i] = (uint8_t)(id + i);
        db_put_redo(txn, &row);
    }
    fixture_commit(f, txn);
    fixture_reopen(f);
    assert_int_equal(db_each_redo(f->db, see_redo, &seen), 0);
    assert_int_equal(seen, ROWS);
    txn = db_txn_new(f->db);
    db_del_redo(txn, ROWS - 10);
    fixture_commit(f, txn);
    seen = ROWS - 10;
    assert_int_equal(db_each_redo(f->db, see_redo, &seen), 0);
    assert_int_equal(seen, ROWS);
    txn = db_txn_new(f->db);
    db_del_redo(txn, UINT64_MAX);
    fixture_commit(f, txn);
    assert_int_equal(db_each_redo(f->db, see_redo, &seen), 0);
    assert_int_equal(seen, ROWS);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_uploads),
        TEST(test_upload_of_a_deleted_inode),
        TEST(test_redo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
