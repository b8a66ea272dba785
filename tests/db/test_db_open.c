/* Opening: who may, what is refused, and with what sentence; migrations. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "db/internal.h"
#include "tests/db/db_fixture.h"

static void file_path(struct fixture *f, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", f->dir, name);
}

static void file_write(struct fixture *f, const char *name, off_t pos, const void *data, size_t len)
{
    char path[128];

    file_path(f, name, path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, pos), len);
    (void)close(fd);
}

static void database_exec(struct fixture *f, const char *text)
{
    char path[128];
    sqlite3 *sql;

    file_path(f, "pailfs.db", path);
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    assert_int_equal(db_sqlite_exec(sql, text), SQLITE_OK);
    assert_int_equal(sqlite3_close(sql), SQLITE_OK);
}

static void fixture_close(struct fixture *f)
{
    db_close(f->db);
    f->db = NULL;
}

static void test_state_dir_is_made(void **state)
{
    struct fixture *f = *state;
    char dir[128], file[160];
    struct db *db;
    struct db_error error;
    struct stat st;

    file_path(f, "a/b//c/", dir);
    assert_int_equal(db_open(dir, &db, &error), 0);
    db_close(db);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    (void)snprintf(file, sizeof(file), "%s/pailfs.db", dir);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* the key of the handles is in it */
    assert_int_equal(db_open("", &db, &error), -EINVAL);
}

static void test_not_a_directory(void **state)
{
    struct fixture *f = *state;
    char dir[sizeof(f->dir)];

    file_write(f, "file", 0, "x", 1);
    (void)stpcpy(dir, f->dir);
    (void)snprintf(f->dir, sizeof(f->dir), "%s/file", dir);
    fixture_open_fails(f, -ENOTDIR, "cannot be made");
    (void)stpcpy(f->dir, dir);
}

static void test_in_use(void **state)
{
    struct fixture *f = *state;
    struct db *other;
    struct db_error error;
    char pid[32];

    fixture_reopen(f);
    assert_int_equal(db_open(f->dir, &other, &error), -EBUSY);
    (void)snprintf(pid, sizeof(pid), "process %d)", (int)getpid());
    assert_non_null(strstr(error.text, pid));
    assert_non_null(strstr(error.text, f->dir));
    fixture_close(f);
    fixture_reopen(f);
}

/* The lock goes with the process that held it, however it ended. */
static void test_lock_of_a_killed_process(void **state)
{
    struct fixture *f = *state;
    struct db_error error;
    int ready[2];
    char c;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct db *db;
        c = db_open(f->dir, &db, &error) ? 'e' : 'o';
        (void)!write(ready[1], &c, 1);
        (void)pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'o');
    assert_int_equal(db_open(f->dir, &f->db, &error), -EBUSY);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(ready[0]);
    (void)close(ready[1]);
    fixture_reopen(f);
}

static void test_newer_version(void **state)
{
    struct fixture *f = *state;

    fixture_reopen(f);
    fixture_close(f);
    database_exec(f, "PRAGMA user_version = 99");
    fixture_open_fails(f, -EPROTO, "version 99");
    database_exec(f, "PRAGMA user_version = 5");
    fixture_reopen(f);
}

static void test_not_a_database(void **state)
{
    struct fixture *f = *state;
    char junk[8192];

    memset(junk, 'j', sizeof(junk));
    file_write(f, "pailfs.db", 0, junk, sizeof(junk));
    fixture_open_fails(f, -EUCLEAN, "damaged or not a database");
}

static void test_database_of_others(void **state)
{
    struct fixture *f = *state;

    database_exec(f, "CREATE TABLE recipes (name TEXT)");
    fixture_open_fails(f, -EUCLEAN, "not made by pailfs");
}

static void fill(struct fixture *f)
{
    struct db_txn *txn = db_txn_new(f->db);
    char name[32];

    for (uint64_t i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof(name), "name-%d", (int)i);
        fixture_put_file(txn, 1000 + i, 10000 + i, 20, name);
    }
    fixture_commit(f, txn);
}

static void test_damaged_header(void **state)
{
    struct fixture *f = *state;
    char zeroes[2048] = {0};

    fixture_reopen(f);
    fill(f);
    fixture_close(f);
    file_write(f, "pailfs.db", 100, zeroes, sizeof(zeroes));
    fixture_open_fails(f, -EUCLEAN, "damaged");
}

static bool any_dirent(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    (void)ctx;
    (void)dirent;
    (void)inode;
    return true;
}

/* After a clean end damage in the middle is found by the read that meets it; after an unclean one
 * the start finds it. */
static void test_damaged_pages(void **state)
{
    struct fixture *f = *state;
    char junk[4096];

    memset(junk, 0xa5, sizeof(junk));
    fixture_reopen(f);
    fill(f);
    fixture_close(f);
    for (off_t page = 20; page < 100; page++)
        file_write(f, "pailfs.db", page * 4096, junk, sizeof(junk));
    fixture_reopen(f);
    assert_int_equal(db_list_dirents(f->db, 20, 0, 10000, any_dirent, NULL), -EUCLEAN);
    fixture_close(f);
    file_write(f, "pailfs.db-wal", 0, "x", 1);
    fixture_open_fails(f, -EUCLEAN, "damaged");
}

static void test_check_ends_in_time(void **state)
{
    struct fixture *f = *state;
    struct db_error error;
    sqlite3 *sql;
    char path[128];

    fixture_reopen(f);
    fill(f);
    file_path(f, "pailfs.db", path);
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    assert_int_equal(db_schema_check(sql, clock_mono_ns() + 60 * CLOCK_S, &error), 0);
    assert_int_equal(db_schema_check(sql, clock_mono_ns() - 1, &error), 0);
    (void)sqlite3_close(sql);
}

static void test_read_only_dir(void **state)
{
    struct fixture *f = *state;
    struct db_error error;
    int status;

    assert_int_equal(chmod(f->dir, 0500), 0);
    pid_t pid = fork();
    if (pid == 0) { /* root may write anywhere */
        struct db *db;
        if (getuid() == 0 && setuid(65534))
            _exit(2);
        int err = db_open(f->dir, &db, &error);
        bool said = strstr(error.text, f->dir) && strstr(error.text, "user pailfs runs as");
        _exit(err == -EACCES && said ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(chmod(f->dir, 0700), 0);
    assert_int_equal(status, 0);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit = {4096, RLIM_INFINITY}; /* enough for the lock file */
    struct db_error error = {""};

    fixture_reopen(f);
    fixture_close(f);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int err = db_open(f->dir, &f->db, &error);
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(err, -EFBIG);
    assert_non_null(strstr(error.text, "File too large"));
    assert_non_null(strstr(error.text, f->dir));
    fixture_reopen(f);
}

/* --- migrations --- */

static int64_t number(sqlite3 *sql, const char *text)
{
    int64_t value = -1;

    assert_int_equal(db_sqlite_int(sql, text, &value), SQLITE_OK);
    return value;
}

static void test_migrations(void **state)
{
    (void)state;
    const struct db_migration steps[] = {
        db_migrations[0],
        {2, "ALTER TABLE inode ADD COLUMN later INTEGER DEFAULT 5; INSERT INTO meta VALUES "
            "('two', x'02')"},
        {3, "INSERT INTO meta VALUES ('three', x'03'); INSERT INTO nowhere VALUES (1)"},
    };
    struct db_error error = {""};
    sqlite3 *sql;

    assert_int_equal(db_sqlite_open(":memory:", SQLITE_OPEN_READWRITE, 100, &sql), 0);
    assert_int_equal(db_schema_migrate(sql, steps, 1, &error), 0);
    assert_int_equal(number(sql, "PRAGMA user_version"), 1);
    assert_int_equal(db_sqlite_exec(sql, "INSERT INTO inode (id) VALUES (7)"), SQLITE_OK);
    assert_int_equal(db_schema_migrate(sql, steps, 2, &error), 0);
    assert_int_equal(number(sql, "PRAGMA user_version"), 2);
    assert_int_equal(number(sql, "SELECT later FROM inode WHERE id = 7"), 5);
    assert_int_equal(db_schema_migrate(sql, steps, 2, &error), 0); /* nothing to do */
    assert_int_equal(number(sql, "SELECT count(*) FROM meta"), 1);

    /* One that fails leaves the version before it. */
    assert_int_not_equal(db_schema_migrate(sql, steps, 3, &error), 0);
    assert_non_null(strstr(error.text, "new version"));
    assert_int_equal(number(sql, "PRAGMA user_version"), 2);
    assert_int_equal(number(sql, "SELECT count(*) FROM meta"), 1);

    assert_int_equal(db_schema_migrate(sql, steps, 1, &error), -EPROTO);
    (void)sqlite3_close(sql);
}

/* The tables of version 1 as they were, with a file that waits for its upload. */
static const char version_1[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE volume (id INTEGER PRIMARY KEY AUTOINCREMENT, identity TEXT UNIQUE,"
    "  root INTEGER);"
    "CREATE TABLE inode (id INTEGER PRIMARY KEY, volume INTEGER, type INTEGER, flags INTEGER,"
    "  mode INTEGER, uid INTEGER, gid INTEGER, size INTEGER, atime INTEGER, mtime INTEGER,"
    "  ctime INTEGER, change INTEGER, parent INTEGER, base_epoch INTEGER, base_key TEXT,"
    "  base_etag TEXT, base_size INTEGER, base_len INTEGER, verf BLOB, target TEXT,"
    "  extra_meta TEXT, flight_key TEXT, flight_size INTEGER, flight_len INTEGER,"
    "  flight_mtime INTEGER);"
    "CREATE INDEX inode_dirty ON inode (volume) WHERE flags & 7;"
    "CREATE TABLE dirent (parent INTEGER, name TEXT, id INTEGER, inode INTEGER,"
    "  PRIMARY KEY (parent, name)) WITHOUT ROWID;"
    "CREATE INDEX dirent_order ON dirent (parent, id, inode);"
    "CREATE TABLE extent (inode INTEGER, off INTEGER, len INTEGER, version INTEGER,"
    "  segment INTEGER, pos INTEGER, PRIMARY KEY (inode, off)) WITHOUT ROWID;"
    "CREATE TABLE intent (id INTEGER PRIMARY KEY, volume INTEGER, kind INTEGER, inode INTEGER,"
    "  arg INTEGER, key TEXT, etag TEXT);"
    "CREATE TABLE redirect (inode INTEGER, epoch INTEGER, volume INTEGER, prefix TEXT,"
    "  PRIMARY KEY (inode, epoch)) WITHOUT ROWID;"
    "CREATE TABLE reply (id INTEGER PRIMARY KEY, key BLOB UNIQUE, reply BLOB);"
    "PRAGMA application_id = 1346455884;"
    "PRAGMA user_version = 1;"
    "INSERT INTO volume VALUES (1, 'file:///b', 16);"
    "INSERT INTO meta VALUES ('id_limit', x'0000100000000000');"
    "INSERT INTO inode (id, volume, type, flags, size, parent, flight_key) "
    "  VALUES (40, 1, 1, 1, 99, 16, 'f');"
    "INSERT INTO dirent VALUES (16, 'f', 41, 40);"
    "INSERT INTO extent VALUES (40, 0, 99, 7, 1, 0);"
    "INSERT INTO intent VALUES (42, 1, 1, 0, 0, 'gone', NULL);";

static bool count_upload(void *ctx, const struct db_upload *upload)
{
    (void)upload;
    ++*(int *)ctx;
    return true;
}

/* What the first version of the tables had is there, and what came later works. */
static void test_version_1(void **state)
{
    struct fixture *f = *state;
    struct db_inode inode;
    struct db_dirent dirent;
    uint32_t volume;
    uint64_t root;
    int uploads = 0;

    database_exec(f, version_1);
    for (int i = 0; i < 2; i++) {
        fixture_reopen(f);
        assert_int_equal(db_get_dirent(f->db, 16, "f", &dirent, &inode), 0);
        assert_int_equal(inode.id, 40);
        assert_int_equal(inode.size, 99);
        assert_string_equal(inode.flight_key, "f");
        db_inode_clear(&inode);
        assert_int_equal(db_volume(f->db, "file:///b", &volume, &root), 0);
        assert_int_equal(root, 16);
        assert_true(db_next_id(f->db) >= 0x100000);
    }
    struct db_txn *txn = db_txn_new(f->db);
    db_put_upload(
        txn, &(struct db_upload){
                 .id = 50, .volume = 1, .inode = 40, .key = (char *)"f", .upload_id = (char *)"u"});
    db_put_part(txn, &(struct db_part){.upload = 50, .number = 1});
    db_del_inode(txn, 40);
    fixture_commit(f, txn);
    assert_int_equal(db_each_upload(f->db, 1, count_upload, &uploads), 0);
    assert_int_equal(uploads, 1);
}

static void test_close_of_nothing(void **state)
{
    (void)state;
    db_close(NULL);
    db_txn_free(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup_dir, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_state_dir_is_made),
        TEST(test_not_a_directory),
        TEST(test_in_use),
        TEST(test_lock_of_a_killed_process),
        TEST(test_newer_version),
        TEST(test_not_a_database),
        TEST(test_database_of_others),
        TEST(test_damaged_header),
        TEST(test_damaged_pages),
        TEST(test_check_ends_in_time),
        TEST(test_read_only_dir),
        TEST(test_full_disk),
        cmocka_unit_test(test_migrations),
        TEST(test_version_1),
        cmocka_unit_test(test_close_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
