/*
 * The extent map against a model: a byte array of (version, stage position), a table of rows as the
 * database would have it, and a stage that counts references byte by byte.
 */
#include "fs/extent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/stage.h"

enum { FILE_SIZE = 512, STAGE_SIZE = 1 << 20, SEGMENT = 7 };

struct stage {
    uint8_t refs[STAGE_SIZE];
    uint64_t live;
    uint64_t next; /* position to append at */
};

void stage_ref(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len)
{
    assert_int_equal(segment, SEGMENT);
    for (uint64_t i = pos; i < pos + len; i++) {
        assert_true(stage->refs[i] > 0);
        stage->refs[i]++;
    }
}

void stage_unref(struct stage *stage, uint64_t segment, uint64_t pos, uint64_t len)
{
    assert_int_equal(segment, SEGMENT);
    for (uint64_t i = pos; i < pos + len; i++) {
        assert_true(stage->refs[i] > 0);
        if (--stage->refs[i] == 0)
            stage->live--;
    }
}

static uint64_t fake_append(struct stage *stage, uint64_t len)
{
    uint64_t pos = stage->next;

    assert_true(pos + len <= STAGE_SIZE);
    memset(stage->refs + pos, 1, len);
    stage->next += len;
    stage->live += len;
    return pos;
}

struct cell {         /* what a byte of the file is */
    uint64_t version; /* 0 = no extent */
    uint64_t pos;
};

struct model {
    struct stage stage;
    struct extent_map *map;
    struct cell file[FILE_SIZE];
    struct extent rows[FILE_SIZE];  /* by offset; len 0 = none */
    struct cell flushed[FILE_SIZE]; /* the file at the last flush */
    bool uploaded[FILE_SIZE];       /* rows that an upload took away since */
    uint64_t version;
};

static int setup(void **state)
{
    struct model *m = calloc(1, sizeof(*m));

    m->map = extent_map_new(&m->stage);
    m->version = 1;
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct model *m = *state;

    extent_map_free(m->map);
    free(m);
    return 0;
}

static void model_insert(struct model *m, uint64_t off, uint64_t len)
{
    uint64_t pos = fake_append(&m->stage, len);

    extent_map_insert(m->map, off, len, m->version, SEGMENT, pos);
    for (uint64_t i = 0; i < len; i++)
        m->file[off + i] = (struct cell){m->version, pos + i};
}

static void model_cut(struct model *m, uint64_t off, uint64_t len)
{
    extent_map_cut(m->map, off, len);
    for (uint64_t i = off; i < FILE_SIZE && i - off < len; i++)
        m->file[i].version = 0;
}

static void model_drop(struct model *m, uint64_t version)
{
    extent_map_drop(m->map, version);
    for (uint64_t i = 0; i < FILE_SIZE; i++)
        if (m->file[i].version <= version)
            m->file[i].version = 0;
}

static void check_map(struct model *m)
{
    const struct extent *e = extent_map_find(m->map, 0);
    uint64_t bytes = 0, at = 0;
    size_t count = 0;

    for (; e; e = extent_map_next(m->map, e), count++) {
        assert_true(e->len > 0 && e->off >= at && e->off + e->len <= FILE_SIZE);
        for (; at < e->off; at++)
            assert_int_equal(m->file[at].version, 0);
        for (; at < e->off + e->len; at++) {
            assert_int_equal(m->file[at].version, e->version);
            assert_int_equal(m->file[at].pos, e->pos + (at - e->off));
            assert_true(m->stage.refs[m->file[at].pos] > 0);
        }
        bytes += e->len;
    }
    for (; at < FILE_SIZE; at++)
        assert_int_equal(m->file[at].version, 0);
    assert_int_equal(bytes, extent_map_bytes(m->map));
    assert_int_equal(count, extent_map_count(m->map));
}

static void check_queries(struct model *m, uint64_t off, uint64_t len)
{
    const struct extent *e = extent_map_find(m->map, off);
    uint64_t first = off;
    bool covers = true;

    while (first < FILE_SIZE && m->file[first].version == 0)
        first++;
    assert_int_equal(e != NULL, first < FILE_SIZE);
    if (e)
        assert_true(e->off <= first && e->off + e->len > first && e->off + e->len > off);
    for (uint64_t i = off; i < off + len; i++)
        covers = covers && m->file[i].version != 0;
    assert_int_equal(extent_map_covers(m->map, off, len), covers);
}

/* What a restart would find: rows that do not overlap, say what the file was, and whose bytes live.
 */
static void check_rows(struct model *m)
{
    uint64_t at = 0;

    for (uint64_t off = 0; off < FILE_SIZE; off++) {
        const struct extent *row = &m->rows[off];
        if (row->len == 0)
            continue;
        assert_true(row->off == off && off >= at);
        for (; at < off; at++)
            assert_int_equal(m->flushed[at].version, 0);
        for (; at < off + row->len; at++) {
            assert_int_equal(m->flushed[at].version, row->version);
            assert_int_equal(m->flushed[at].pos, row->pos + (at - off));
            assert_true(m->stage.refs[m->flushed[at].pos] > 0);
        }
    }
    for (; at < FILE_SIZE; at++)
        assert_int_equal(m->flushed[at].version, 0);
}

static void row_del(void *ctx, uint64_t off)
{
    struct model *m = ctx;

    assert_true(m->rows[off].len > 0 || m->uploaded[off]);
    m->rows[off].len = 0;
}

static void row_put(void *ctx, const struct extent *extent)
{
    struct model *m = ctx;

    m->rows[extent->off] = *extent;
}

static void model_flush(struct model *m)
{
    struct extent_graves *graves = extent_map_flush(m->map, row_del, row_put, m);

    assert_false(extent_map_unflushed(m->map));
    memset(m->uploaded, 0, sizeof(m->uploaded));
    memcpy(m->flushed, m->file, sizeof(m->file));
    check_rows(m);
    extent_graves_free(graves);
    check_rows(m);
    /* Only bytes of extents are alive now. */
    assert_int_equal(m->stage.live, extent_map_bytes(m->map));
}

/* An upload of that version ended while newer writes cannot be flushed yet: its rows go, and the
 * bytes that only they pointed at; those of newer rows stay. */
static void model_uploaded(struct model *m, uint64_t version)
{
    model_drop(m, version);
    struct extent_graves *graves = extent_map_take_graves(m->map, version);
    check_rows(m);
    for (uint64_t off = 0; off < FILE_SIZE; off++) {
        if (m->rows[off].len == 0 || m->rows[off].version > version)
            continue;
        for (uint64_t i = off; i < off + m->rows[off].len; i++)
            m->flushed[i].version = 0;
        m->rows[off].len = 0;
        m->uploaded[off] = true;
    }
    extent_graves_free(graves);
    check_rows(m);
}

/* A new map from the rows, as after a restart. */
static void model_restart(struct model *m)
{
    model_flush(m);
    extent_map_free(m->map);
    check_rows(m);
    m->map = extent_map_new(&m->stage);
    for (uint64_t off = 0; off < FILE_SIZE; off++)
        if (m->rows[off].len > 0)
            extent_map_load(m->map, &m->rows[off]);
    assert_false(extent_map_unflushed(m->map));
}

static void model_step(struct model *m, unsigned r)
{
    uint64_t off = (uint64_t)(random() % FILE_SIZE);
    uint64_t len = 1 + (uint64_t)random() % (r % 7 == 0 ? FILE_SIZE : 24);

    len = len < FILE_SIZE - off ? len : FILE_SIZE - off;
    if (r < 60) {
        model_insert(m, off, len);
        if (r % 3 == 0 && off + len + len <= FILE_SIZE)
            model_insert(m, off + len, len); /* appended in file and stage: merges */
    } else if (r < 72) {
        model_cut(m, off, len);
    } else if (r < 75) {
        model_cut(m, off, UINT64_MAX);
    } else if (r < 80) {
        model_drop(m, m->version - (uint64_t)random() % 3);
    } else if (r < 90) {
        model_flush(m);
    } else if (r < 92) {
        model_restart(m);
    } else if (r < 94) {
        model_uploaded(m, m->version - (uint64_t)random() % 3);
    } else {
        m->version++;
    }
    check_map(m);
    check_rows(m);
    check_queries(m, off, len);
}

static void test_random(void **state)
{
    struct model *m = *state;

    srandom(20260801);
    for (int i = 0; i < 20000; i++) {
        model_step(m, (unsigned)random() % 100);
        if (m->stage.next > STAGE_SIZE - 2 * FILE_SIZE) { /* begin the stage again, empty */
            model_cut(m, 0, UINT64_MAX);
            model_flush(m);
            assert_int_equal(m->stage.live, 0);
            m->stage.next = 0;
        }
    }
    extent_graves_free(extent_map_bury(m->map));
    assert_int_equal(m->stage.live, 0);
    m->map = NULL;
}

static void test_merge(void **state)
{
    struct model *m = *state;

    for (uint64_t off = 0; off < 100; off += 10)
        model_insert(m, off, 10);
    assert_int_equal(extent_map_count(m->map), 1);
    model_flush(m);
    model_insert(m, 100, 10); /* the neighbour is kept */
    assert_int_equal(extent_map_count(m->map), 2);
    m->version++;
    model_insert(m, 110, 10); /* the neighbour is older */
    assert_int_equal(extent_map_count(m->map), 3);

    /* The one in the middle comes last and joins both sides. */
    uint64_t pos = fake_append(&m->stage, 30);
    extent_map_insert(m->map, 200, 10, m->version, SEGMENT, pos);
    extent_map_insert(m->map, 220, 10, m->version, SEGMENT, pos + 20);
    assert_int_equal(extent_map_count(m->map), 5);
    extent_map_insert(m->map, 210, 10, m->version, SEGMENT, pos + 10);
    assert_int_equal(extent_map_count(m->map), 4);
    assert_true(extent_map_covers(m->map, 200, 30));
    extent_graves_free(extent_map_bury(m->map));
    assert_int_equal(m->stage.live, 0);
    m->map = NULL;
}

static void test_kept_bytes_wait_for_the_database(void **state)
{
    struct model *m = *state;

    model_insert(m, 0, 100);
    model_cut(m, 90, 10);
    assert_int_equal(m->stage.live, 90); /* never kept: given back at once */
    model_flush(m);
    model_cut(m, 0, 10);
    model_cut(m, 40, 10);
    model_cut(m, 50, 10); /* of the tail, which has no row of its own yet */
    assert_int_equal(m->stage.live, 90);
    check_rows(m);
    model_flush(m);
    assert_int_equal(m->stage.live, 60);
    model_cut(m, 0, UINT64_MAX);
    struct extent_graves *graves = extent_map_bury(m->map);
    m->map = NULL;
    assert_int_equal(m->stage.live, 60);
    extent_graves_free(graves);
    assert_int_equal(m->stage.live, 0);
}

static void test_upload_gives_back_beside_new_writes(void **state)
{
    struct model *m = *state;

    model_insert(m, 0, 100);
    model_flush(m);
    m->version++;
    model_insert(m, 200, 50);
    model_flush(m);
    m->version++;
    model_insert(m, 210, 10); /* cuts a row that is newer than the upload */
    model_uploaded(m, m->version - 2);
    assert_int_equal(m->stage.live, 60);
    model_flush(m);
    assert_int_equal(m->stage.live, 50);
}

static void test_unkept(void **state)
{
    struct model *m = *state;
    struct extent_snapshot snapshot;

    model_insert(m, 0, 10);
    model_flush(m);
    model_insert(m, 20, 10);
    extent_map_unkept(m->map, &snapshot);
    assert_int_equal(snapshot.count, 1);
    assert_int_equal(snapshot.extents[0].off, 20);
    model_cut(m, 0, UINT64_MAX);
    assert_int_equal(m->stage.live, 20);
    extent_snapshot_clear(&snapshot);
    assert_int_equal(m->stage.live, 10);
}

static void test_snapshot(void **state)
{
    struct model *m = *state;
    struct extent_snapshot snapshot, empty;

    extent_map_snapshot(m->map, &empty);
    assert_int_equal(empty.count, 0);
    extent_snapshot_clear(&empty);
    model_insert(m, 10, 10);
    model_insert(m, 30, 10);
    extent_map_snapshot(m->map, &snapshot);
    model_cut(m, 0, UINT64_MAX);
    assert_int_equal(m->stage.live, 20);
    assert_int_equal(snapshot.count, 2);
    assert_int_equal(snapshot.extents[0].off, 10);
    assert_int_equal(snapshot.extents[1].off, 30);
    extent_snapshot_clear(&snapshot);
    assert_int_equal(m->stage.live, 0);
}

/* At the end of the process the bytes that rows point at must stay. */
static void test_free_leaves_what_the_database_has(void **state)
{
    struct model *m = *state;

    model_insert(m, 0, 50);
    model_flush(m);
    model_insert(m, 40, 20);
    extent_map_free(m->map);
    m->map = NULL;
    assert_int_equal(m->stage.live, 50);
    check_rows(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_bytes_wait_for_the_database, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload_gives_back_beside_new_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unkept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_leaves_what_the_database_has, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
