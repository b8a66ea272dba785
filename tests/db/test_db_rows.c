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
    assert_str_same(a->flight_key, b->flight_key);
    assert_int_equal(a->flight_size, b->flight_size);
    assert_int_equal(a->flight_mtime_ns, b->flight_mtime_ns);
    assert_int_equal(a->flight_len, b->flight_len);
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
        .flight_key = (char *)"where/it/goes",
        .flight_size = UINT64_C(1) << 40,
        .flight_mtime_ns = -5,
        .flight_len = 77,
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

/* --- names --- */

struct seen {
    uint32_t count, stop_at; /* 0 = never */
    uint64_t ids[1000];
    char last[DB_NAME_MAX + 1];
    struct db *db; /* if set, the callback reads too */
};

static bool see_dirent(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    struct seen *seen = ctx;
    struct db_inode again;

    assert_int_equal(dirent->inode, inode->id);
    assert_int_equal(dirent->parent, inode->parent);
    if (seen->db) {
        assert_int_equal(db_get_inode(seen->db, inode->id, &again), 0);
        assert_inode_same(&again, inode);
        db_inode_clear(&again);
    }
    seen->ids[seen->count++] = dirent->id;
    (void)stpcpy(seen->last, dirent->name);
    return seen->count != seen->stop_at;
}

static void test_dirent(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct db_dirent got;
    struct db_inode inode;
    char longest[DB_NAME_MAX + 1], longer[DB_NAME_MAX + 2];

    memset(longest, 'n', DB_NAME_MAX);
    longest[DB_NAME_MAX] = '\0';
    memset(longer, 'n', DB_NAME_MAX + 1);
    longer[DB_NAME_MAX + 1] = '\0';
    fixture_put_file(txn, 100, 101, 20, "one");
    fixture_put_file(txn, 102, 103, 20, longest);
    fixture_put_file(txn, 104, 105, 21, "one");
    fixture_commit(f, txn);

    assert_int_equal(db_get_dirent(f->db, 20, "one", &got, NULL), 0);
    assert_int_equal(got.id, 101);
    assert_int_equal(got.inode, 100);
    assert_int_equal(got.parent, 20);
    assert_string_equal(got.name, "one");
    assert_int_equal(db_get_dirent(f->db, 20, longest, &got, &inode), 0);
    assert_int_equal(inode.id, 102);
    db_inode_clear(&inode);
    assert_int_equal(db_get_dirent(f->db, 20, "ONE", &got, NULL), -ENOENT);
    assert_int_equal(db_get_dirent(f->db, 20, "one ", &got, &inode), -ENOENT);
    assert_int_equal(db_get_dirent(f->db, 20, longer, &got, NULL), -ENOENT);
    assert_int_equal(db_get_dirent(f->db, 22, "one", &got, NULL), -ENOENT);

    txn = db_txn_new(f->db);
    db_put_dirent(txn, 110, 20, "one", 104); /* replaces */
    db_del_dirent(txn, 20, longest);
    db_del_dirent(txn, 20, "never was");
    fixture_commit(f, txn);
    fixture_reopen(f);
    assert_int_equal(db_get_dirent(f->db, 20, "one", &got, NULL), 0);
    assert_int_equal(got.id, 110);
    assert_int_equal(got.inode, 104);
    assert_int_equal(db_get_dirent(f->db, 20, longest, &got, NULL), -ENOENT);
}

static void test_find_dirent(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct db_dirent got;
    struct db_inode row;

    fixture_put_file(txn, 100, 101, 20, "usual");
    fixture_put_file(txn, 202, 201, 20, "named before it was made");
    fixture_put_file(txn, 300, 900, 20, "renamed later");
    row = fixture_inode(400, 20);
    db_put_inode(txn, &row); /* without a name */
    fixture_commit(f, txn);
    assert_int_equal(db_find_dirent(f->db, 100, &got), 0);
    assert_string_equal(got.name, "usual");
    assert_int_equal(got.id, 101);
    assert_int_equal(got.parent, 20);
    assert_int_equal(got.inode, 100);
    assert_int_equal(db_find_dirent(f->db, 202, &got), 0);
    assert_string_equal(got.name, "named before it was made");
    assert_int_equal(db_find_dirent(f->db, 300, &got), 0);
    assert_string_equal(got.name, "renamed later");
    assert_int_equal(db_find_dirent(f->db, 400, &got), -ENOENT);
    assert_int_equal(db_find_dirent(f->db, 500, &got), -ENOENT);
}

/* 400 names, more than one chunk, whose ids run against their order. */
static void put_names(struct fixture *f)
{
    struct db_txn *txn = db_txn_new(f->db);
    char name[32];

    for (uint64_t i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof(name), "n%03d", (int)i);
        fixture_put_file(txn, 10000 + i, 1000 - i, 20, name);
    }
    fixture_put_file(txn, 20000, 2000, 21, "elsewhere");
    fixture_commit(f, txn);
}

static void test_list_dirents(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.db = f->db};

    put_names(f);
    assert_int_equal(db_list_dirents(f->db, 20, 0, UINT32_MAX, see_dirent, &seen), 0);
    assert_int_equal(seen.count, 400);
    for (uint32_t i = 0; i < 400; i++)
        assert_int_equal(seen.ids[i], 601 + i);
    seen = (struct seen){0};
    assert_int_equal(db_list_dirents(f->db, 20, 700, 150, see_dirent, &seen), 0);
    assert_int_equal(seen.count, 150);
    assert_int_equal(seen.ids[0], 701);
    assert_int_equal(seen.ids[149], 850);
    seen = (struct seen){.stop_at = 200};
    assert_int_equal(db_list_dirents(f->db, 20, 0, UINT32_MAX, see_dirent, &seen), 0);
    assert_int_equal(seen.count, 200);
    seen = (struct seen){0};
    assert_int_equal(db_list_dirents(f->db, 20, 1000, 10, see_dirent, &seen), 0);
    assert_int_equal(db_list_dirents(f->db, 20, UINT64_MAX, 10, see_dirent, &seen), 0);
    assert_int_equal(db_list_dirents(f->db, 20, 0, 0, see_dirent, &seen), 0);
    assert_int_equal(db_list_dirents(f->db, 99, 0, 10, see_dirent, &seen), 0);
    assert_int_equal(seen.count, 0);
}

static uint32_t range_count(struct fixture *f, const char *lo, const char *hi, char *ret_last)
{
    struct seen seen = {0};

    assert_int_equal(db_range_dirents(f->db, 20, lo, hi, see_dirent, &seen), 0);
    (void)stpcpy(ret_last, seen.last);
    return seen.count;
}

static void test_range_dirents(void **state)
{
    struct fixture *f = *state;
    char last[DB_NAME_MAX + 1], longer[DB_NAME_MAX + 50];
    struct seen seen = {.stop_at = 130, .db = f->db};
    uint32_t count;

    put_names(f);
    assert_int_equal(range_count(f, NULL, NULL, last), 400);
    assert_string_equal(last, "n399");
    assert_int_equal(range_count(f, "n010", "n020", last), 10);
    assert_string_equal(last, "n020");
    assert_int_equal(range_count(f, "n010", NULL, last), 389);
    assert_int_equal(range_count(f, NULL, "n010", last), 11);
    assert_int_equal(range_count(f, "n0105", "n0205", last), 10);
    assert_int_equal(range_count(f, "m", "n", last), 0);
    assert_int_equal(range_count(f, "n020", "n010", last), 0);
    memset(longer, 'n', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(range_count(f, longer, NULL, last), 0);
    assert_int_equal(range_count(f, NULL, longer, last), 400);
    assert_int_equal(db_range_dirents(f->db, 20, NULL, NULL, see_dirent, &seen), 0);
    assert_int_equal(seen.count, 130);
    assert_int_equal(db_count_dirents(f->db, 20, UINT32_MAX, &count), 0);
    assert_int_equal(count, 400);
    assert_int_equal(db_count_dirents(f->db, 20, 2, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(db_count_dirents(f->db, 99, 2, &count), 0);
    assert_int_equal(count, 0);
}

/* Names are bytes: sorted as memcmp sorts them, without regard to case or language. */
static void test_range_is_bytewise(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"A",  "Z", "a",        "a\x01",           "a b",
                           "ab", "z", "\xc3\x84", "\xf0\x9f\xaa\xa3"};
    struct db_txn *txn = db_txn_new(f->db);
    char last[DB_NAME_MAX + 1];

    for (uint64_t i = 0; i < 9; i++)
        fixture_put_file(txn, 100 + i, 200 + 7 * i % 9, 20, names[i]);
    fixture_commit(f, txn);
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(range_count(f, NULL, names[i], last), i + 1);
        assert_string_equal(last, names[i]);
        assert_int_equal(range_count(f, names[i], NULL, last), 8 - i);
    }
}

/* --- the other walks --- */

struct ids {
    uint32_t count, stop_at;
    uint64_t sum, last;
};

static bool ids_add(struct ids *ids, uint64_t id)
{
    assert_true(id > ids->last);
    ids->last = id;
    ids->sum += id;
    return ++ids->count != ids->stop_at;
}

static bool see_inode(void *ctx, const struct db_inode *inode)
{
    return ids_add(ctx, inode->id);
}

static void test_flagged(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct ids ids;

    for (uint64_t id = 100; id < 1100; id++) {
        struct db_inode row = fixture_inode(id, 20);
        row.flags = id % 2 ? 1 : id % 4 ? 0 : 8;
        row.volume = id < 600 ? 1 : 2;
        db_put_inode(txn, &row);
    }
    fixture_commit(f, txn);
    ids = (struct ids){0};
    assert_int_equal(db_each_flagged(f->db, 1, 1, see_inode, &ids), 0);
    assert_int_equal(ids.count, 250);
    assert_int_equal(ids.last, 599);
    ids = (struct ids){0};
    assert_int_equal(db_each_flagged(f->db, 2, 6, see_inode, &ids), 0);
    assert_int_equal(ids.count, 0);
    assert_int_equal(db_each_flagged(f->db, 2, 8, see_inode, &ids), 0);
    assert_int_equal(ids.count, 125);
    ids = (struct ids){.stop_at = 3};
    assert_int_equal(db_each_flagged(f->db, 2, 9, see_inode, &ids), 0);
    assert_int_equal(ids.count, 3);
    assert_int_equal(ids.last, 603);

    struct db_inode clean = fixture_inode(101, 20);
    txn = db_txn_new(f->db);
    db_put_inode(txn, &clean);
    db_del_inode(txn, 103);
    fixture_commit(f, txn);
    ids = (struct ids){0};
    assert_int_equal(db_each_flagged(f->db, 1, 7, see_inode, &ids), 0);
    assert_int_equal(ids.count, 248);
}

struct extents {
    uint32_t count;
    struct db_extent all[400];
};

static bool see_extent(void *ctx, const struct db_extent *extent)
{
    struct extents *extents = ctx;

    extents->all[extents->count++] = *extent;
    return true;
}

static void test_extents(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct extents got = {0};

    for (uint64_t inode = 30; inode < 32; inode++)
        for (uint64_t i = 0; i < 150; i++)
            db_put_extent(txn, &(struct db_extent){.inode = inode,
                                                   .off = i * 10,
                                                   .len = 10,
                                                   .version = i / 50,
                                                   .segment = 3,
                                                   .pos = inode * 10000 + i * 10});
    fixture_commit(f, txn);
    assert_int_equal(db_each_extent(f->db, 31, see_extent, &got), 0);
    assert_int_equal(got.count, 150);
    assert_int_equal(got.all[149].off, 1490);
    assert_int_equal(got.all[149].len, 10);
    assert_int_equal(got.all[149].version, 2);
    assert_int_equal(got.all[149].segment, 3);
    assert_int_equal(got.all[149].pos, 311490);
    got.count = 0;
    assert_int_equal(db_each_extent(f->db, 0, see_extent, &got), 0);
    assert_int_equal(got.count, 300);
    assert_int_equal(got.all[0].inode, 30);
    assert_int_equal(got.all[0].off, 0);
    assert_int_equal(got.all[299].inode, 31);

    txn = db_txn_new(f->db);
    db_del_extents(txn, 30, 1);
    db_del_extents(txn, 31, UINT64_MAX);
    db_del_extent(txn, 30, 1000);
    db_put_extent(txn, &(struct db_extent){.inode = 30, .off = 1010, .len = 5, .version = 9});
    fixture_commit(f, txn);
    got.count = 0;
    assert_int_equal(db_each_extent(f->db, 0, see_extent, &got), 0);
    assert_int_equal(got.count, 49);
    assert_int_equal(got.all[0].off, 1010);
    assert_int_equal(got.all[0].len, 5);
    assert_int_equal(got.all[0].version, 9);
}

static bool see_intent(void *ctx, const struct db_intent *intent)
{
    if (intent->id == 1000) {
        assert_int_equal(intent->kind, 4);
        assert_int_equal(intent->inode, 5);
        assert_int_equal(intent->arg, 6);
        assert_string_equal(intent->key, "k");
        assert_null(intent->etag);
    }
    return ids_add(ctx, intent->id);
}

static void test_intents(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct ids ids = {0};

    for (uint64_t id = 1300; id >= 1000; id--)
        db_put_intent(txn, &(struct db_intent){id, 1 + id % 2, 4, 5, 6, (char *)"k", NULL});
    db_put_intent(txn, &(struct db_intent){1002, 1, 0, 0, 0, NULL, (char *)"\"etag\""});
    db_del_intent(txn, 1004);
    fixture_commit(f, txn);
    fixture_reopen(f);
    assert_int_equal(db_each_intent(f->db, 1, see_intent, &ids), 0);
    assert_int_equal(ids.count, 150);
    assert_int_equal(ids.last, 1300);
    ids = (struct ids){.stop_at = 140};
    assert_int_equal(db_each_intent(f->db, 2, see_intent, &ids), 0);
    assert_int_equal(ids.count, 140);
}

static bool see_redirect(void *ctx, const struct db_redirect *redirect)
{
    char prefix[32];

    (void)snprintf(prefix, sizeof(prefix), "p%d/", (int)redirect->epoch);
    assert_string_equal(redirect->prefix, prefix);
    return ids_add(ctx, redirect->inode * 1000 + redirect->epoch);
}

static void test_redirects(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    struct ids ids = {0};
    char prefix[32];

    for (uint64_t epoch = 1; epoch <= 200; epoch++) {
        (void)snprintf(prefix, sizeof(prefix), "p%d/", (int)epoch);
        db_put_redirect(txn, &(struct db_redirect){50, epoch, 1, (char *)"replaced"});
        db_put_redirect(txn, &(struct db_redirect){50, epoch, 1, prefix});
        db_put_redirect(txn, &(struct db_redirect){51, epoch, 1 + epoch % 2, prefix});
    }
    db_del_redirect(txn, 50, 7);
    fixture_commit(f, txn);
    assert_int_equal(db_each_redirect(f->db, 1, see_redirect, &ids), 0);
    assert_int_equal(ids.count, 299);
    ids = (struct ids){0};
    assert_int_equal(db_each_redirect(f->db, 2, see_redirect, &ids), 0);
    assert_int_equal(ids.count, 100);
}

/* --- replies and small values --- */

struct replies {
    uint32_t count, first, last;
};

static bool see_reply(void *ctx, const struct db_reply *reply)
{
    struct replies *replies = ctx;
    uint32_t n;

    assert_int_equal(reply->key_len, 20);
    memcpy(&n, reply->key, sizeof(n));
    assert_int_equal(reply->reply_len, n % 300);
    for (size_t i = 0; i < reply->reply_len; i++)
        assert_int_equal(reply->reply[i], (uint8_t)n);
    if (replies->count++ == 0)
        replies->first = n;
    replies->last = n;
    return true;
}

static void put_reply(struct db_txn *txn, uint32_t n)
{
    uint8_t key[20] = {0}, reply[300];

    memcpy(key, &n, sizeof(n));
    memset(reply, (int)n, sizeof(reply));
    db_put_reply(txn, &(struct db_reply){key, sizeof(key), reply, n % 300});
}

static void test_replies(void **state)
{
    struct fixture *f = *state;
    struct replies replies = {0};
    uint32_t n = 0;

    for (int round = 0; round < 30; round++) {
        struct db_txn *txn = db_txn_new(f->db);
        for (int i = 0; i < 500; i++)
            put_reply(txn, ++n);
        fixture_commit(f, txn);
    }
    assert_int_equal(db_each_reply(f->db, see_reply, &replies), 0);
    assert_int_equal(replies.count, DB_REPLY_MAX);
    assert_int_equal(replies.last, 15000);
    assert_int_equal(replies.first, 15000 - DB_REPLY_MAX + 1);

    struct db_txn *txn = db_txn_new(f->db);
    put_reply(txn, 14000); /* again: now the newest */
    fixture_commit(f, txn);
    fixture_reopen(f);
    replies = (struct replies){0};
    assert_int_equal(db_each_reply(f->db, see_reply, &replies), 0);
    assert_int_equal(replies.last, 14000);
    assert_int_equal(replies.count, DB_REPLY_MAX);
}

static void test_meta(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    uint8_t value[300], got[300] = {0};

    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (uint8_t)i;
    assert_int_equal(db_meta_get(f->db, "key", got, sizeof(got)), -ENOENT);
    db_meta_put(txn, "key", value, sizeof(value));
    db_meta_put(txn, "empty", NULL, 0);
    fixture_commit(f, txn);
    fixture_reopen(f);
    assert_int_equal(db_meta_get(f->db, "key", got, sizeof(got)), 300);
    assert_memory_equal(got, value, 300);
    memset(got, 0, sizeof(got));
    assert_int_equal(db_meta_get(f->db, "key", got, 10), 300);
    assert_memory_equal(got, value, 10);
    assert_int_equal(got[10], 0);
    assert_int_equal(db_meta_get(f->db, "empty", got, 10), 0);
    assert_int_equal(db_meta_get(f->db, "KEY", got, 10), -ENOENT);
}

static void test_volumes(void **state)
{
    struct fixture *f = *state;
    uint32_t volume, other;
    uint64_t root, other_root, again;

    assert_int_equal(db_volume(f->db, "s3://a", &volume, &root), 0);
    assert_int_equal(volume, 1);
    assert_true(root >= 16);
    assert_int_equal(db_volume(f->db, "s3://a/", &other, &other_root), 0);
    assert_int_equal(other, 2);
    assert_true(other_root > root);
    fixture_reopen(f);
    assert_int_equal(db_volume(f->db, "s3://a", &volume, &again), 0);
    assert_int_equal(volume, 1);
    assert_int_equal(again, root);
    assert_int_equal(db_volume(f->db, "s3://b", &volume, &again), 0);
    assert_int_equal(volume, 3);
    assert_true(again > other_root);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_inode),
        TEST(test_inode_numbers),
        TEST(test_inode_delete_takes_its_rows),
        TEST(test_dirent),
        TEST(test_find_dirent),
        TEST(test_list_dirents),
        TEST(test_range_dirents),
        TEST(test_range_is_bytewise),
        TEST(test_flagged),
        TEST(test_extents),
        TEST(test_intents),
        TEST(test_redirects),
        TEST(test_replies),
        TEST(test_meta),
        TEST(test_volumes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
