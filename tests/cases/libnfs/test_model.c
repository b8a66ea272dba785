/*
 * Random work on files, compared with a model in memory: writes of any kind and place, truncation,
 * renames over each other, removals, reads in between, uploads at any moment, little memory, and
 * restarts. What was acknowledged as stable must be there; at the end the bucket holds the same.
 *
 * The seed is printed; PAILFS_SEED repeats a run.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

enum { FILES = 6, SIZE_MAX_FILE = 3 << 20, STEPS = 1500 };

struct file {
    bool exists;
    struct fh fh;
    uint8_t *data;
    size_t size;
};

struct model {
    struct rig *rig;
    struct file files[FILES];
    unsigned seed, step;
};

static unsigned pick(struct model *m, unsigned n)
{
    return (unsigned)rand_r(&m->seed) % n;
}

static const char *name_of(unsigned i)
{
    static const char *const names[FILES] = {"a", "b", "c", "dir d", "e+f", "g%41"};

    return names[i];
}

static void do_create(struct model *m, unsigned i)
{
    struct file *f = &m->files[i];
    struct node node;
    sattr3 set = attr_mode(0644);

    if (f->exists)
        return;
    assert_ok(v3_create(m->rig->conn, &m->rig->root, name_of(i), GUARDED, &set, &node, NULL));
    f->exists = true;
    f->fh = node.fh;
    f->size = 0;
}

static void do_write(struct model *m, unsigned i)
{
    struct file *f = &m->files[i];
    static uint8_t data[200000];
    uint32_t len = 1 + pick(m, pick(m, 4) == 0 ? sizeof(data) : 5000);
    size_t off = pick(m, 3) == 0 ? f->size : pick(m, SIZE_MAX_FILE - len);
    stable_how stable = (stable_how)pick(m, 3);
    struct write_result wrote;

    if (!f->exists || off + len > SIZE_MAX_FILE)
        return;
    if (pick(m, 2) && f->size > 0) { /* most are inside */
        off = pick(m, (unsigned)f->size);
        if (off + len > SIZE_MAX_FILE)
            return;
    }
    for (uint32_t k = 0; k < len; k++)
        data[k] = (uint8_t)(m->step + k * 13);
    assert_ok(v3_write(m->rig->conn, &f->fh, off, data, len, stable, &wrote));
    assert_int_equal(wrote.count, len);
    if (off > f->size)
        memset(f->data + f->size, 0, off - f->size);
    memcpy(f->data + off, data, len);
    if (off + len > f->size)
        f->size = off + len;
    assert_int_equal(wrote.wcc.after.size, f->size);
}

static void do_truncate(struct model *m, unsigned i)
{
    struct file *f = &m->files[i];
    size_t size = pick(m, 4) == 0 ? 0 : pick(m, SIZE_MAX_FILE);
    sattr3 set = attr_size(size);

    if (!f->exists)
        return;
    assert_ok(v3_setattr(m->rig->conn, &f->fh, &set, NULL, NULL));
    if (size > f->size)
        memset(f->data + f->size, 0, size - f->size);
    f->size = size;
}

static void check_range(struct model *m, unsigned i, size_t off, uint32_t len)
{
    struct file *f = &m->files[i];
    struct read_result got;

    assert_ok(v3_read(m->rig->conn, &f->fh, off, len, &got));
    assert_int_equal(got.attr.size, f->size);
    assert_int_equal(got.count, off >= f->size ? 0 : f->size - off < len ? f->size - off : len);
    if (memcmp(got.data, f->data + off, got.count) != 0) {
        size_t at = 0;
        while (got.data[at] == (char)f->data[off + at])
            at++;
        fail_msg("step %u: %s differs at %zu: %#x instead of %#x", m->step, name_of(i), off + at,
                 (uint8_t)got.data[at], f->data[off + at]);
    }
}

static void do_read(struct model *m, unsigned i)
{
    if (m->files[i].exists)
        check_range(m, i, pick(m, SIZE_MAX_FILE), 1 + pick(m, 300000));
}

static void do_commit(struct model *m, unsigned i)
{
    if (m->files[i].exists)
        assert_ok(v3_commit(m->rig->conn, &m->files[i].fh, 0, 0, NULL, NULL));
}

static void do_remove(struct model *m, unsigned i)
{
    if (!m->files[i].exists)
        return;
    assert_ok(v3_remove(m->rig->conn, &m->rig->root, name_of(i), NULL));
    assert_status(v3_getattr(m->rig->conn, &m->files[i].fh, NULL), NFS3ERR_STALE);
    m->files[i].exists = false;
}

static void do_rename(struct model *m, unsigned i)
{
    unsigned to = pick(m, FILES);
    struct file *f = &m->files[i], *t = &m->files[to];
    uint8_t *spare = t->data;

    if (!f->exists || to == i)
        return;
    assert_ok(
        v3_rename(m->rig->conn, &m->rig->root, name_of(i), &m->rig->root, name_of(to), NULL, NULL));
    *t = *f;
    f->data = spare;
    f->exists = false;
}

static void check_everything(struct model *m)
{
    for (unsigned i = 0; i < FILES; i++) {
        struct file *f = &m->files[i];
        if (!f->exists) {
            assert_status(v3_lookup(m->rig->conn, &m->rig->root, name_of(i), NULL), NFS3ERR_NOENT);
            continue;
        }
        assert_true(same_fh(fh_at(m->rig->conn, &m->rig->root, name_of(i)), &f->fh));
        for (size_t off = 0; off <= f->size; off += 1 << 20)
            check_range(m, i, off, 1 << 20);
    }
}

static void do_restart(struct model *m)
{
    for (unsigned i = 0; i < FILES; i++)
        do_commit(m, i);
    rig_restart(m->rig, pick(m, 2) ? SIGKILL : SIGTERM);
    check_everything(m);
}

static void do_step(struct model *m)
{
    unsigned what = pick(m, 100), i = pick(m, FILES);

    if (what < 12)
        do_create(m, i);
    else if (what < 55)
        do_write(m, i);
    else if (what < 62)
        do_truncate(m, i);
    else if (what < 80)
        do_read(m, i);
    else if (what < 90)
        do_commit(m, i);
    else if (what < 94)
        do_remove(m, i);
    else if (what < 99)
        do_rename(m, i);
    else
        do_restart(m);
}

static void check_bucket(struct model *m)
{
    for (unsigned i = 0; i < FILES; i++) {
        char path[256];
        (void)snprintf(path, sizeof(path), "%s/bucket/%s", m->rig->server->dir, name_of(i));
        FILE *file = fopen(path, "re");
        if (!m->files[i].exists) {
            assert_null(file);
            continue;
        }
        assert_non_null(file);
        uint8_t *text = malloc(SIZE_MAX_FILE + 1);
        assert_int_equal(fread(text, 1, SIZE_MAX_FILE + 1, file), m->files[i].size);
        assert_memory_equal(text, m->files[i].data, m->files[i].size);
        free(text);
        (void)fclose(file);
    }
}

static void run_model(const char *const *args, unsigned seed)
{
    struct model m = {.seed = seed};
    const char *given = getenv("PAILFS_SEED");

    if (given)
        m.seed = (unsigned)strtoul(given, NULL, 10);
    print_message("seed %u\n", m.seed);
    m.rig = rig_new(args);
    for (unsigned i = 0; i < FILES; i++)
        m.files[i].data = calloc(1, SIZE_MAX_FILE);
    for (m.step = 0; m.step < STEPS; m.step++) {
        do_step(&m);
        server_check_alive(m.rig->server);
        if (m.step % 100 == 99) { /* what the replies hold is kept until then */
            conn_close(m.rig->conn);
            m.rig->conn = conn_open(m.rig->server);
        }
    }
    check_everything(&m);
    server_stop(m.rig->server, SIGTERM);
    check_bucket(&m);
    for (unsigned i = 0; i < FILES; i++)
        free(m.files[i].data);
    rig_free(m.rig);
}

static void with_uploads_at_once(void **state)
{
    static const char *const args[] = {
        "--squash", "none", "--quiet-time", "20ms", "--memory-limit", "16M", "--attr-ttl",
        "0",        NULL};

    (void)state;
    run_model(args, 1);
}

static void with_uploads_late(void **state)
{
    static const char *const args[] = {"--squash", "none", "--quiet-time", "1h", NULL};

    (void)state;
    run_model(args, 2);
}

static void with_the_defaults(void **state)
{
    static const char *const args[] = {"--squash", "none", "--quiet-time", "200ms", NULL};

    (void)state;
    run_model(args, 3);
}

static void with_commits_to_the_store(void **state)
{
    static const char *const args[] = {"--squash", "none", "--commit", "store", NULL};

    (void)state;
    run_model(args, 4);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_uploads_at_once),
        cmocka_unit_test(with_uploads_late),
        cmocka_unit_test(with_the_defaults),
        cmocka_unit_test(with_commits_to_the_store),
    };

    rig_init(argc, argv);
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
