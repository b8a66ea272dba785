/* See db_fixture.h. */
#include "tests/db/db_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

int fixture_setup_dir(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    (void)stpcpy(f->dir, "/tmp/pailfs-db-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

int fixture_setup(void **state)
{
    (void)fixture_setup_dir(state);
    fixture_reopen(*state);
    return 0;
}

static void remove_tree(const char *path)
{
    char child[512];
    struct dirent *entry;
    DIR *dir = opendir(path);

    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        if (unlink(child))
            remove_tree(child);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    db_close(f->db);
    remove_tree(f->dir);
    free(f);
    return 0;
}

void fixture_reopen(struct fixture *f)
{
    struct db_error error;

    db_close(f->db);
    f->db = NULL;
    int err = db_open(f->dir, &f->db, &error);
    if (err)
        print_error("%s\n", error.text);
    assert_int_equal(err, 0);
}

void fixture_open_fails(struct fixture *f, int err, const char *text)
{
    struct db_error error = {"nothing was said"};

    assert_null(f->db);
    assert_int_equal(db_open(f->dir, &f->db, &error), err);
    if (!strstr(error.text, text))
        print_error("%s\n", error.text);
    assert_non_null(strstr(error.text, text));
    assert_non_null(strstr(error.text, f->dir));
}

void fixture_wait(struct fixture *f, uint64_t seq)
{
    assert_int_equal(db_wait(f->db, seq, clock_mono_ns() + 30 * CLOCK_S), 0);
    assert_true(db_durable(f->db) >= seq);
}

void fixture_commit(struct fixture *f, struct db_txn *txn)
{
    fixture_wait(f, db_submit(f->db, txn));
}

struct db_inode fixture_inode(uint64_t id, uint64_t parent)
{
    return (struct db_inode){
        .id = id,
        .volume = 1,
        .type = 1,
        .mode = 0644,
        .uid = 1000,
        .gid = 1000,
        .size = 4096,
        .atime_ns = INT64_C(1700000000123456789),
        .mtime_ns = INT64_C(1700000000123456789),
        .ctime_ns = INT64_C(1700000000123456789),
        .change = 1,
        .parent = parent,
    };
}

void fixture_put_file(struct db_txn *txn, uint64_t inode, uint64_t dirent, uint64_t parent,
                      const char *name)
{
    struct db_inode row = fixture_inode(inode, parent);

    db_put_inode(txn, &row);
    db_put_dirent(txn, dirent, parent, name, inode);
}
