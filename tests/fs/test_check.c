/*
 * The check of a state directory: a real one, as a killed process leaves it, has no problem; and
 * damaged in each of the ways that the check knows, it is told in the right words. Every damage is
 * done to a copy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/store.h"
#include "fs/check.h"
#include "fs/fs.h"

enum { WAIT_S = 60, HEARD_MAX = 64 << 10 };

static char top[] = "/tmp/pailfs-test-check-XXXXXX";
static char bucket[128], made[128], state_dir[128], url[160];

/* --- a state directory as a killed process leaves it --- */

static struct fs *fs;
static struct fs_volume *vol;

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "the child failed: %s\n", what);
        _exit(1);
    }
}

static void start(int64_t quiet_ns)
{
    struct fs_config config = {.state_dir = made,
                               .memory_limit = 64 << 20,
                               .stage_limit = 256 << 20,
                               .attr_ttl_ns = 60 * CLOCK_S,
                               .quiet_ns = quiet_ns};
    struct store_config store = {0};
    struct fs_error err = {{0}};

    must(!fs_start(&config, &fs, &err) && !fs_add_volume(fs, url, &store, NULL, &vol, &err) &&
             !fs_run(fs, &err),
         err.text);
}

static void durable(const struct fs_req *req)
{
    while (fs_durable(fs) < req->seq)
        (void)usleep(1000);
}

static struct fs_req request(void)
{
    return (struct fs_req){.deadline_ns = clock_mono_ns() + WAIT_S * CLOCK_S};
}

static uint64_t make_dir(uint64_t dir, const char *name)
{
    struct fs_req req = request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    must(!fs_mkdir(vol, &req, dir, name, &set, &node, &wcc), "mkdir");
    durable(&req);
    return node.ino;
}

static void put(uint64_t dir, const char *name, const char *body)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)body, .iov_len = strlen(body)};
    struct fs_req req = request();
    struct fs_sattr set = {.set = FS_SET_SIZE};
    struct fs_node node;
    struct fs_wcc wcc;

    must(!fs_create(vol, &req, dir, name, FS_CREATE_UNCHECKED, &set, NULL, &node, &wcc), "create");
    req = request();
    must(!fs_write(vol, &req, node.ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), "write");
    durable(&req);
}

/* d/clean and d/sub/clean2 in the bucket, d/late and d/later only in the stage. */
static void child_main(void)
{
    start(10 * CLOCK_MS);
    uint64_t dir = make_dir(fs_root(vol), "d"), sub = make_dir(dir, "sub");
    put(dir, "clean", "in the bucket");
    put(sub, "clean2", "also there");
    struct fs_left left = {.files = 0};
    fs_stop(fs, clock_mono_ns() + WAIT_S * CLOCK_S, &left);
    must(left.files + left.intents == 0, "not all of it reached the bucket");
    start(3600 * CLOCK_S);
    put(dir, "late", "only in the stage");
    put(dir, "later", "and this");
    (void)kill(getpid(), SIGKILL); /* the log stays; a sanitizer's exit would wait and let it go */
}

static int setup(void **state)
{
    int status;

    (void)state;
    assert_non_null(mkdtemp(top));
    (void)snprintf(bucket, sizeof(bucket), "%s/bucket", top);
    (void)snprintf(made, sizeof(made), "%s/made", top);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
    (void)snprintf(url, sizeof(url), "file://%s", bucket);
    assert_int_equal(mkdir(bucket, 0700), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child_main();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- a copy of it, and what the check says of that --- */

static char heard[HEARD_MAX]; /* "problem: ...\n" */

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *fmt, ...)
{
    char command[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(command, sizeof(command), fmt, ap);
    va_end(ap);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

static void copy_state(void)
{
    run("rm -rf '%s' && cp -a '%s' '%s'", state_dir, made, state_dir);
}

static void hear(void *ctx, enum fs_check_kind kind, const char *sentence)
{
    size_t at = strlen(heard);

    (void)ctx;
    (void)snprintf(heard + at, sizeof(heard) - at, "%s: %s\n",
                   kind == FS_CHECK_PROBLEM ? "problem" : "note", sentence);
}

static struct fs_check_counts check(const struct store_config *store)
{
    struct fs_check_config config = {.state_dir = state_dir, .store = store};
    struct fs_check_counts counts;
    struct fs_error error = {{0}};

    heard[0] = '\0';
    if (fs_check(&config, hear, NULL, &counts, &error))
        fail_msg("%s", error.text);
    return counts;
}

static void expect(const char *sentence)
{
    if (!strstr(heard, sentence))
        fail_msg("nothing was said like \"%s\", but:\n%s", sentence, heard);
}

static void damage(const char *text)
{
    CLEANUP_FREE char *path = mem_printf("%s/pailfs.db", state_dir);
    char *error = NULL;
    sqlite3 *sql;

    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    (void)sqlite3_exec(sql, text, NULL, NULL, &error);
    if (error)
        fail_msg("%s: %s", text, error);
    assert_int_equal(sqlite3_close(sql), SQLITE_OK);
}

static void test_clean(void **state)
{
    struct store_config store = {0};

    (void)state;
    copy_state();
    struct fs_check_counts n = check(&store);
    assert_string_equal(heard, "");
    assert_int_equal(n.problems, 0);
    assert_int_equal(n.volumes, 1);
    assert_int_equal(n.files, 4);
    assert_int_equal(n.dirs, 3);
    assert_int_equal(n.names, 6);
    assert_int_equal(n.dirty, 2);
    assert_int_equal(n.dirty_bytes, strlen("only in the stage") + strlen("and this"));
    assert_int_equal(n.extents, 2);
    assert_int_equal(n.segments, 1);
    assert_int_equal(n.matched, 2);
    assert_int_equal(n.unknown, 0);
}

/* Every byte and name in the directory is as before, with a log to recover and without. */
static void test_untouched(void **state)
{
    CLEANUP_FREE char *wal = mem_printf("%s/pailfs.db-wal", state_dir);
    struct stat st;

    (void)state;
    copy_state();
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size > 0);
    for (int i = 0; i < 2; i++) {
        run("rm -rf '%s.was' && cp -a '%s' '%s.was'", state_dir, state_dir, state_dir);
        assert_int_equal(check(NULL).problems, 0);
        assert_int_equal(check(NULL).dirty, 2);
        run("diff -r '%s' '%s.was'", state_dir, state_dir);
        damage("PRAGMA wal_checkpoint(TRUNCATE)");
        assert_int_not_equal(stat(wal, &st), 0); /* folded in and removed at closing */
    }
    run("rm -rf '%s.was'", state_dir);
}

/* One that cannot be written at all is checked all the same. */
static void test_read_only(void **state)
{
    (void)state;
    copy_state();
    run("chmod -R a-w '%s'", state_dir);
    assert_int_equal(check(NULL).problems, 0);
    run("chmod -R u+w '%s'", state_dir);
}

#define INODE(name) "(SELECT inode FROM dirent WHERE name = '" name "')"
#define ROOT "(SELECT root FROM volume)"
#define BYTE8 "x'1000000000000000'"

static const struct {
    const char *sql, *sentence;
} cases[] = {
    /* the tree */
    {"DELETE FROM inode WHERE id = " INODE("clean"), "which does not exist"},
    {"DELETE FROM dirent WHERE name = 'clean'", "has no name in any directory"},
    {"DELETE FROM inode WHERE id = " INODE("sub"), "the name \"clean2\" of inode"},
    {"UPDATE dirent SET parent = " INODE("clean") " WHERE name = 'late'", "is not a directory"},
    {"UPDATE dirent SET parent = 5 WHERE name = 'late'", "in directory inode 5, which does not"},
    {"INSERT INTO dirent SELECT parent, 'again', id + 5, inode FROM dirent WHERE name = 'clean'",
     "has 2 names"},
    {"UPDATE inode SET parent = " ROOT " WHERE id = " INODE("clean"), "says that its parent is"},
    {"UPDATE inode SET volume = 9 WHERE id = " INODE("clean"), "bucket 9, which is not known"},
    {"UPDATE inode SET volume = 9 WHERE id = " INODE("clean"), "its directory inode"},
    {"UPDATE dirent SET parent = (SELECT inode FROM dirent WHERE name = 'sub') WHERE name = 'd';"
     "UPDATE inode SET parent = " INODE("sub") " WHERE id = " INODE("d"),
     "lies below itself"},
    {"UPDATE dirent SET id = (SELECT id FROM dirent WHERE name = 'late') WHERE name = 'clean'",
     "2 names in directory inode"},
    {"DELETE FROM inode WHERE id = " ROOT, "the root of \"file://"},
    {"UPDATE inode SET type = 1 WHERE id = " ROOT, "is not a directory of it"},
    {"INSERT INTO dirent SELECT inode, 'top', 17, " ROOT " FROM dirent WHERE name = 'd'",
     "has a name, \"top\""},
    {"UPDATE dirent SET name = 'a/b' WHERE name = 'late'", "\"a/b\" in directory inode"},
    {"UPDATE dirent SET name = '..' WHERE name = 'late'", "cannot be a name"},
    {"UPDATE dirent SET id = 1 << 50 WHERE name = 'late'", "the name \"late\" in directory inode"},
    /* small values */
    {"DELETE FROM meta WHERE name = 'id_limit'", "the highest id given out is not known"},
    {"UPDATE meta SET value = x'01' WHERE name = 'id_limit'", "in 1 bytes instead of 8"},
    {"UPDATE meta SET value = x'01' WHERE name = 'handle_key'", "the key that signs file handles"},
    {"UPDATE meta SET value = " BYTE8 " WHERE name = 'id_limit'", "an id that was never given out"},
    {"UPDATE volume SET identity = ''", "has no URL"},
    {"INSERT INTO reply (key, reply) VALUES (x'', x'00')", "the kept reply"},
    /* inodes */
    {"UPDATE inode SET type = 7 WHERE id = " INODE("clean"), "has the unknown type 7"},
    {"UPDATE inode SET flags = flags | (1 << 16) WHERE id = " INODE("clean"), "are never kept"},
    {"UPDATE inode SET base_key = 'e/old' WHERE id = " INODE("clean"), "and nothing moves it"},
    {"UPDATE inode SET base_key = 'e', flags = flags | 4 WHERE id = " INODE("late"),
     "has a key for its object but no object"},
    {"UPDATE inode SET flags = flags | 4 WHERE id = " INODE("clean"), "not known where from"},
    {"UPDATE inode SET base_etag = NULL WHERE id = " INODE("clean"), "no upload is to make one"},
    {"UPDATE inode SET flags = flags & ~1 WHERE id = " INODE("late"), "no upload is to take them"},
    {"UPDATE inode SET base_len = 99 WHERE id = " INODE("clean"), "counts on 99 bytes"},
    {"UPDATE inode SET size = 99 WHERE id = " INODE("clean"), "is 99 bytes long, its object 13"},
    {"UPDATE inode SET size = 1 << 50 WHERE id = " INODE("late"), "more than a file can be"},
    {"UPDATE inode SET target = 'x' WHERE id = " INODE("clean"), "the target of a symlink"},
    {"UPDATE inode SET base_epoch = 1 << 50 WHERE id = " INODE("clean"), "was placed at epoch"},
    {"UPDATE inode SET base_len = 1 << 50 WHERE id = " INODE("d"), "moved at epoch"},
    {"UPDATE inode SET base_etag = 'e' WHERE id = " INODE("d"), "with the object of a file"},
    {"UPDATE inode SET flight_key = 'd/' WHERE id = " INODE("late"),
     "was being uploaded to \"d/\""},
    /* redirects, intents */
    {"INSERT INTO redirect SELECT 5, 20, 1, 'old/'", "be found through inode 5, which does not"},
    {"INSERT INTO redirect SELECT " INODE("late") ", 20, 1, 'old/'", "which is not a directory"},
    {"INSERT INTO redirect SELECT " INODE("d") ", 20, 2, 'old/'", "which is in another bucket"},
    {"INSERT INTO redirect SELECT " INODE("d") ", 20, 1, 'old'", "cannot be a directory's key"},
    {"INSERT INTO redirect SELECT " INODE("d") ", 1 << 50, 1, 'old/'", "at epoch 1125899906842624"},
    {"INSERT INTO intent VALUES (20, 1, 77, 0, 0, 'k', NULL)", "is of the unknown kind 77"},
    {"INSERT INTO intent VALUES (20, 1, 1, 0, 0, '', NULL)", "has no key that could be"},
    {"INSERT INTO intent VALUES (20, 8, 1, 0, 0, 'k', NULL)", "for bucket 8, which is not known"},
    {"INSERT INTO intent VALUES (1 << 50, 1, 1, 0, 0, 'k', NULL)",
     "the intent for \"k\" has the id"},
    {"INSERT INTO intent VALUES (20, 1, 1, 0, 0, 'k', NULL), (21, 1, 1, 0, 0, 'k', NULL)",
     "the object \"k\" is to be deleted 2 times"},
    {"INSERT INTO intent VALUES (20, 1, 1, 0, 0, 'd/clean', NULL)",
     "the object \"d/clean\" is to be deleted, but it is that of \"d/clean\""},
    /* The object is found where the directory lay before it was renamed. */
    {"INSERT INTO intent VALUES (20, 1, 1, 0, 0, 'old/sub/clean2', NULL);"
     "INSERT INTO redirect SELECT " INODE("d") ", max(base_epoch) + 1, 1, 'old/' FROM inode",
     "the object \"old/sub/clean2\" is to be deleted, but it is that of \"d/sub/clean2\""},
    {"UPDATE inode SET base_key = 'd/clean', base_etag = 'e', base_size = 17, base_len = 17,"
     " flags = flags | 4 WHERE id = " INODE("late"),
     "the object \"d/clean\" is claimed by \"d/clean\""},
    {"UPDATE inode SET base_key = 'k', base_etag = 'e', flags = flags | 4 WHERE id IN"
     " (SELECT inode FROM dirent WHERE name LIKE 'late%')",
     "the object \"k\" is claimed under an earlier name by 2 files"},
    /* uploads and parts */
    {"INSERT INTO upload VALUES (20, 1, 0, '', 'u', 1, 0, 0, 0, 0)", "has no key or no name"},
    {"INSERT INTO upload VALUES (20, 7, 0, 'k', 'u', 1, 0, 0, 0, 0)",
     "bucket 7, which is not known"},
    {"INSERT INTO upload VALUES (20, 1, " INODE("d") ", 'k', 'u', 1, 0, 0, 0, 0)", "is for inode"},
    {"INSERT INTO upload VALUES (20, 2, " INODE("late") ", 'k', 'u', 1, 0, 0, 0, 0)",
     "\"d/late\" (inode"},
    {"INSERT INTO upload VALUES (20, 1, 0, 'k', 'u', 0, 0, 0, 0, 0)", "parts of no size"},
    {"INSERT INTO upload VALUES (1 << 50, 1, 0, 'k', 'u', 1, 0, 0, 0, 0)",
     "upload to \"k\" has the id"},
    {"INSERT INTO part VALUES (20, 1, 5, 0, 0, 0, 'e', '')", "upload 20, which is not known"},
    {"INSERT INTO upload VALUES (20, 1, 0, 'k', 'u', 4, 0, 0, 0, 0);"
     "INSERT INTO part VALUES (20, 1, 5, 0, 0, 0, 'e', '')",
     "has 5 bytes, with parts of 4"},
    {"INSERT INTO upload VALUES (20, 1, 0, 'k', 'u', 9, 0, 0, 0, 0);"
     "INSERT INTO part VALUES (20, 1, 5, 0, 0, 0, '', '')",
     "has no ETag"},
    /* the stage */
    {"UPDATE extent SET inode = 5 WHERE inode = " INODE("late"), "bytes for inode 5, which does"},
    {"UPDATE extent SET len = 0 WHERE inode = " INODE("late"), "in the stage, which cannot be"},
    {"UPDATE inode SET size = 3 WHERE id = " INODE("late"), "and is only 3 long"},
    {"INSERT INTO extent SELECT inode, off + 2, 1, version, segment, pos FROM extent"
     " WHERE inode = " INODE("late"),
     "has two versions of the bytes at 2"},
    {"UPDATE extent SET segment = 999 WHERE inode = " INODE("late"), "which is missing"},
    {"UPDATE extent SET pos = 1 << 30 WHERE inode = " INODE("late"), "long"},
    {"UPDATE extent SET pos = (SELECT pos FROM extent WHERE inode = " INODE("late") ")",
     "both have the bytes at"},
};

static void test_each_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        copy_state();
        damage(cases[i].sql);
        assert_true(check(NULL).problems > 0);
        if (!strstr(heard, cases[i].sentence))
            fail_msg("%s: nothing was said like \"%s\", but:\n%s", cases[i].sql, cases[i].sentence,
                     heard);
    }
}

/* A directory that drains, and a file that was renamed, as they have to be. */
static void test_moving_is_right(void **state)
{
    (void)state;
    copy_state();
    damage("INSERT INTO redirect SELECT " INODE(
        "d") ", 20, 1, 'old/';"
             "INSERT INTO intent VALUES (20, 1, 1, 0, 0, 'old/clean', NULL);"
             "INSERT INTO intent VALUES (21, 1, 1, 0, 0, 'd/before', NULL);"
             "UPDATE inode SET base_key = 'd/before', flags = flags | 4 WHERE id = " INODE(
                 "clean"));
    assert_int_equal(check(NULL).problems, 0);
}

/* Of many problems of one kind some are told, the others counted. */
static void test_many(void **state)
{
    (void)state;
    copy_state();
    damage("WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 5099)"
           "INSERT INTO intent SELECT i, 8, 1, 0, 0, 'k' || i, NULL FROM n");
    assert_int_equal(check(NULL).problems, 5000);
    expect("4980 more like this: the intent for \"k100\"");
}

/* --- damage to files --- */

/* The one segment that there is. */
static char *segment_path(void)
{
    CLEANUP_FREE char *dir = mem_printf("%s/stage", state_dir);
    char *path = NULL;
    DIR *d = opendir(dir);

    assert_non_null(d);
    for (struct dirent *e; !path && (e = readdir(d));)
        path = strstr(e->d_name, ".seg") ? mem_printf("%s/%s", dir, e->d_name) : NULL;
    (void)closedir(d);
    assert_non_null(path);
    return path;
}

/* As it is when the stage has been synced: nothing of it is in the database any more. */
static void copy_synced_state(void)
{
    copy_state();
    damage("DELETE FROM redo");
}

static void test_stage_bytes_in_the_database(void **state)
{
    CLEANUP_FREE char *segment = segment_path();

    (void)state;
    copy_state();
    assert_int_equal(unlink(segment), 0);
    assert_int_equal(check(NULL).problems, 0); /* the next start makes it again */
    copy_state();
    assert_int_equal(truncate(segment, 10), 0);
    damage("UPDATE redo SET data = substr(data, 2), pos = pos + 1");
    assert_int_equal(check(NULL).problems, 2); /* not all of it */
}

static void test_stage_files(void **state)
{
    CLEANUP_FREE char *segment = segment_path(), *other = NULL;
    struct stat st;

    (void)state;
    copy_synced_state();
    assert_int_equal(stat(segment, &st), 0);
    assert_int_equal(truncate(segment, st.st_size - 1), 0);
    assert_true(check(NULL).problems > 0);
    expect("\"d/later\" (inode");
    copy_synced_state();
    assert_int_equal(unlink(segment), 0);
    assert_int_equal(check(NULL).problems, 2);
    expect("which is missing");
    copy_synced_state();
    other = mem_printf("%s/stage/00000000000000aa.seg", state_dir);
    run("cp '%s' '%s'", segment, other);
    struct fs_check_counts n = check(NULL);
    assert_int_equal(n.problems, 0);
    assert_int_equal(n.orphan_bytes, st.st_size);
    expect("note: 1 stage files");
    copy_synced_state();
    run("printf X | dd of='%s' bs=1 seek=%ld conv=notrunc status=none", segment,
        (long)st.st_size - 2);
    assert_int_equal(check(NULL).problems, 1);
    expect("\"d/later\" (inode");
    expect("are damaged");
    copy_synced_state();
    run("touch '%s/stage/notes.txt'", state_dir);
    assert_int_equal(check(NULL).problems, 0);
    expect("\"notes.txt\", which is not ours");
}

/* --- against the bucket --- */

static void test_bucket(void **state)
{
    struct store_config store = {0};

    (void)state;
    copy_state();
    run("mkdir '%s.was' && mv '%s/d/clean' '%s/d/sub/clean2' '%s.was'", bucket, bucket, bucket,
        bucket);
    run("echo theirs >'%s/d/sub/clean2'", bucket);
    struct fs_check_counts n = check(&store);
    assert_int_equal(n.problems, 2);
    assert_int_equal(n.matched, 0);
    expect("its object \"d/clean\" is not in file://");
    expect("its object \"d/sub/clean2\" in file://");
    expect("is another version");
    run("echo new >'%s/d/stranger'", bucket);
    n = check(&store);
    assert_int_equal(n.unknown, 1);
    expect("the first of them \"d/stranger\"");
    run("mv '%s' '%s.gone'", bucket, bucket);
    assert_int_equal(check(&store).problems, 1);
    expect("cannot be compared");
    run("mv '%s.gone' '%s' && mv -f '%s.was/clean' '%s/d' && mv -f '%s.was/clean2' '%s/d/sub'",
        bucket, bucket, bucket, bucket, bucket, bucket);
    n = check(&store);
    assert_int_equal(n.problems, 0);
    assert_int_equal(n.matched, 2);
}

/* --- nothing that could be checked --- */

static void refuse(int err, const char *sentence)
{
    struct fs_check_config config = {.state_dir = state_dir};
    struct fs_check_counts counts;
    struct fs_error error = {{0}};

    assert_int_equal(fs_check(&config, hear, NULL, &counts, &error), err);
    if (!strstr(error.text, sentence) || !strstr(error.text, state_dir))
        fail_msg("not like \"%s\": %s", sentence, error.text);
}

static void test_refusals(void **state)
{
    CLEANUP_FREE char *lock = mem_printf("%s/lock", state_dir);

    (void)state;
    run("rm -rf '%s'", state_dir);
    refuse(-ENOENT, "No such file");
    assert_int_equal(mkdir(state_dir, 0700), 0);
    refuse(-ENOENT, "holds no state");
    run("touch '%s/pailfs.db'", state_dir);
    refuse(-ENOENT, "holds no state");
    run("head -c 100000 /dev/urandom >'%s/pailfs.db'", state_dir);
    refuse(-EUCLEAN, "not a database");
    copy_state();
    damage("PRAGMA application_id = 7");
    refuse(-EUCLEAN, "was not made by pailfs");
    copy_state();
    damage("PRAGMA user_version = 1000");
    refuse(-EPROTO, "made by a newer pailfs");
    copy_state();
    damage("PRAGMA user_version = 1");
    refuse(-EPROTO, "made by an older pailfs");
    copy_state();
    CLEANUP_CLOSE int fd = open(lock, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    refuse(-EBUSY, "is in use by a pailfs that runs");
}

/* Pages of the middle overwritten: what can be read is checked, the rest is told. */
static void test_damaged_pages(void **state)
{
    CLEANUP_FREE char *path = mem_printf("%s/pailfs.db", state_dir);
    char garbage[4096];
    struct stat st;

    (void)state;
    copy_state();
    damage("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"); /* no page that is free */
    assert_int_equal(stat(path, &st), 0);
    memset(garbage, 0xa5, sizeof(garbage));
    for (off_t at = 4096; at < st.st_size; at += 4096) {
        copy_state();
        damage("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at), sizeof(garbage));
        assert_true(check(NULL).problems > 0);
        expect("problem: database");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_each_damage),
        cmocka_unit_test(test_moving_is_right),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_stage_bytes_in_the_database),
        cmocka_unit_test(test_stage_files),
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_pages),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
