/* Submitting: order, durability and its announcement, ids, readers at the same time, a full disk,
 * and kill -9 in the middle. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/internal.h"
#include "tests/db/db_fixture.h"

static uint64_t submit_number(struct db *db, const char *name, uint64_t n)
{
    struct db_txn *txn = db_txn_new(db);

    db_meta_put(txn, name, &n, sizeof(n));
    return db_submit(db, txn);
}

static uint64_t get_number(struct db *db, const char *name)
{
    uint64_t n = 0;

    int len = db_meta_get(db, name, &n, sizeof(n));
    assert_true(len == (int)sizeof(n) || len == -ENOENT);
    return n;
}

/* --- order and announcements --- */

static void test_order(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = 0;

    for (uint64_t n = 1; n <= 5000; n++) {
        uint64_t next = submit_number(f->db, "n", n);
        assert_int_equal(next, seq + 1);
        seq = next;
    }
    fixture_wait(f, seq);
    assert_int_equal(get_number(f->db, "n"), 5000);
    assert_int_equal(db_durable(f->db), seq);
    fixture_wait(f, db_submit(f->db, db_txn_new(f->db))); /* an empty one */
    assert_int_equal(db_wait(f->db, seq + 2, clock_mono_ns() + 20 * CLOCK_MS), -EAGAIN);
    assert_int_equal(db_wait(f->db, seq, 0), 0);
}

static void test_close_writes_all(void **state)
{
    struct fixture *f = *state;

    for (uint64_t n = 1; n <= 20000; n++)
        (void)submit_number(f->db, "n", n);
    fixture_reopen(f);
    assert_int_equal(get_number(f->db, "n"), 20000);
}

struct announced {
    struct db *db;
    _Atomic uint64_t seq;
    _Atomic int calls, wrong;
};

static void on_durable(void *ctx, uint64_t seq)
{
    struct announced *announced = ctx;

    if (seq <= atomic_load(&announced->seq) || db_durable(announced->db) < seq)
        atomic_fetch_add(&announced->wrong, 1);
    atomic_store(&announced->seq, seq);
    atomic_fetch_add(&announced->calls, 1);
}

static void test_announcements(void **state)
{
    struct fixture *f = *state;
    struct announced announced = {.db = f->db};
    uint64_t seq = 0;

    db_on_durable(f->db, on_durable, &announced);
    for (uint64_t n = 1; n <= 3000; n++)
        seq = submit_number(f->db, "n", n);
    int64_t end = clock_mono_ns() + 20 * CLOCK_S;
    while (atomic_load(&announced.seq) < seq && clock_mono_ns() < end)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&announced.seq), seq);
    assert_int_equal(atomic_load(&announced.wrong), 0);
    assert_true(atomic_load(&announced.calls) < 1500); /* they were grouped */
    fixture_reopen(f);
}

static void test_large_transaction(void **state)
{
    struct fixture *f = *state;
    struct db_txn *txn = db_txn_new(f->db);
    uint32_t count;
    char name[32];

    /* More than a group has room for, and more than the writer's page cache. */
    for (uint64_t i = 0; i < 3 * DB_GROUP_OPS; i++) {
        (void)snprintf(name, sizeof(name), "%d", (int)i);
        fixture_put_file(txn, 100000 + i, 1000000 + i, 20, name);
    }
    fixture_commit(f, txn);
    assert_int_equal(db_count_dirents(f->db, 20, UINT32_MAX, &count), 0);
    assert_int_equal(count, 3 * DB_GROUP_OPS);
}

/* --- ids --- */

enum { ID_THREADS = 4, IDS_EACH = 150000 };

static void *ids_main(void *arg)
{
    struct fixture *f = arg;
    uint64_t *ids = mem_array(IDS_EACH, sizeof(*ids));

    for (int i = 0; i < IDS_EACH; i++)
        ids[i] = db_next_id(f->db);
    return ids;
}

static void test_ids(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[ID_THREADS];
    uint64_t most = 0, total = ID_THREADS * IDS_EACH;

    assert_true(db_next_id(f->db) >= DB_ID_FIRST);
    for (int i = 0; i < ID_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ids_main, f), 0);
    uint8_t *seen = mem_zalloc(total + DB_ID_FIRST + 2);
    for (int i = 0; i < ID_THREADS; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        const uint64_t *ids = result;
        for (int k = 0; k < IDS_EACH; k++) {
            assert_true(k == 0 || ids[k] > ids[k - 1]);
            assert_true(ids[k] < total + DB_ID_FIRST + 2);
            assert_int_equal(seen[ids[k]]++, 0);
            most = ids[k] > most ? ids[k] : most;
        }
        free(result);
    }
    free(seen);
    fixture_reopen(f);
    assert_true(db_next_id(f->db) > most);
}

/* --- readers --- */

struct reader {
    struct fixture *f;
    _Atomic bool *stop;
    pthread_t thread;
    uint64_t rounds;
};

struct pair {
    uint64_t sizes[2];
    int count;
};

static bool see_pair(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    struct pair *pair = ctx;

    (void)dirent;
    pair->sizes[pair->count++] = inode->size;
    return true;
}

/* Two inodes are always written together: one read never sees them differ. */
static void *reader_main(void *arg)
{
    struct reader *reader = arg;
    uint64_t newest = 0;

    while (!atomic_load(reader->stop)) {
        struct pair pair = {.count = 0};
        uint64_t durable = db_durable(reader->f->db);
        assert_int_equal(db_list_dirents(reader->f->db, 20, 0, 10, see_pair, &pair), 0);
        assert_int_equal(pair.count, 2);
        assert_int_equal(pair.sizes[0], pair.sizes[1]);
        assert_true(pair.sizes[0] >= newest && pair.sizes[0] >= durable);
        newest = pair.sizes[0];
        reader->rounds++;
    }
    return NULL;
}

static uint64_t submit_pair(struct db *db, uint64_t n)
{
    struct db_txn *txn = db_txn_new(db);

    for (uint64_t id = 30; id < 32; id++) {
        struct db_inode row = fixture_inode(id, 20);
        row.size = n;
        db_put_inode(txn, &row);
        db_put_dirent(txn, id + 10, 20, id == 30 ? "a" : "b", id);
    }
    return db_submit(db, txn);
}

static void test_readers(void **state)
{
    struct fixture *f = *state;
    struct reader readers[DB_POOL_MAX + 4];
    _Atomic bool stop = false;

    fixture_wait(f, submit_pair(f->db, 1));
    for (int i = 0; i < DB_POOL_MAX + 4; i++) {
        readers[i] = (struct reader){.f = f, .stop = &stop};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]), 0);
    }
    for (uint64_t n = 2; n <= 300; n++)
        fixture_wait(f, submit_pair(f->db, n));
    atomic_store(&stop, true);
    for (int i = 0; i < DB_POOL_MAX + 4; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_true(readers[i].rounds > 0);
    }
    assert_true(f->db->pool.open <= DB_POOL_MAX);
}

/* --- a disk that is full --- */

/* The queue gives its bytes back just after the announcement. */
static void queue_empties(struct db *db)
{
    int64_t end = clock_mono_ns() + 20 * CLOCK_S;
    struct db_health health;

    while (db_health(db, &health) != 0 || health.queued_bytes > 0) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(1000);
    }
    assert_int_equal(health.since_ns, 0);
}

/* More is waiting than should, though the disk is only slow: said as well. */
static void test_queue_limit(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = 0;

    assert_int_equal(db_health(f->db, NULL), 0);
    (void)pthread_mutex_lock(&f->db->lock); /* the writer cannot take what is queued */
    atomic_fetch_add(&f->db->queued_bytes, DB_QUEUE_BYTES_MAX);
    assert_int_equal(db_health(f->db, NULL), 0);
    atomic_fetch_add(&f->db->queued_bytes, 1);
    assert_int_equal(db_health(f->db, NULL), -EAGAIN);
    atomic_fetch_sub(&f->db->queued_bytes, DB_QUEUE_BYTES_MAX + 1);
    (void)pthread_mutex_unlock(&f->db->lock);
    for (uint64_t n = 1; n <= 100; n++)
        seq = submit_number(f->db, "n", n);
    fixture_wait(f, seq);
    queue_empties(f->db);
}

/* Writes until the limit of file sizes is met; what was submitted must be there when it is lifted.
 */
static void full_disk(struct fixture *f)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    uint64_t seq = 0, durable;
    int64_t begun_ns = clock_wall_ns();
    struct db_health health;
    char value[1000];

    memset(value, 'v', sizeof(value));
    fixture_wait(f, submit_number(f->db, "begun", 1));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 3000; i++) {
        struct db_txn *txn = db_txn_new(f->db);
        char name[32];
        (void)snprintf(name, sizeof(name), "value%d", i);
        db_meta_put(txn, name, value, sizeof(value));
        seq = db_submit(f->db, txn);
    }
    assert_int_equal(db_wait(f->db, seq, clock_mono_ns() + CLOCK_S), -EAGAIN);
    durable = db_durable(f->db);
    assert_true(durable < seq);
    assert_int_equal(get_number(f->db, "begun"), 1); /* reading goes on */
    int err = db_health(f->db, &health);
    assert_true(err < 0 && err != -EAGAIN);
    assert_int_equal(health.err, err);
    assert_true(health.since_ns >= begun_ns && health.since_ns <= clock_wall_ns());
    assert_true(health.queued_bytes >= (seq - durable) * sizeof(value));

    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fixture_wait(f, seq);
    queue_empties(f->db);
    assert_int_equal(db_meta_get(f->db, "value0", value, sizeof(value)), 1000);
    assert_int_equal(db_meta_get(f->db, "value2999", value, sizeof(value)), 1000);
}

static void test_full_disk(void **state)
{
    log_level_set(LOG_ERROR);
    (void)signal(SIGXFSZ, SIG_IGN);
    full_disk(*state);
    (void)signal(SIGXFSZ, SIG_DFL);
}

/* The same on a file system of 4 MiB that another file fills. A child in a mount namespace of its
 * own; 77 = may not mount. */
static int small_disk(const char *dir)
{
    struct fixture f = {.db = NULL};
    char filler[128], block[4096] = {0};

    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=700"))
        return 77;
    (void)stpcpy(f.dir, dir);
    fixture_reopen(&f);
    fixture_wait(&f, submit_number(f.db, "n", 1));
    (void)snprintf(filler, sizeof(filler), "%s/filler", dir);
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    (void)close(fd);
    uint64_t seq = 0;
    for (uint64_t n = 2; n < 1000; n++)
        seq = submit_number(f.db, n % 2 ? "odd" : "even", n);
    for (int i = 0; i < 300; i++) {
        struct db_txn *txn = db_txn_new(f.db);
        db_meta_put(txn, "large", block, sizeof(block));
        fixture_put_file(txn, 100 + (uint64_t)i, 5000 + (uint64_t)i, 20, "same");
        db_meta_put(txn, i % 2 ? "odd large" : "even large", block, sizeof(block));
        seq = db_submit(f.db, txn);
    }
    bool waited = db_wait(f.db, seq, clock_mono_ns() + CLOCK_S) == -EAGAIN;
    bool readable = get_number(f.db, "n") == 1;
    (void)unlink(filler);
    bool written = db_wait(f.db, seq, clock_mono_ns() + 30 * CLOCK_S) == 0;
    written = written && get_number(f.db, "odd") == 999;
    db_close(f.db);
    return waited && readable && written ? 0 : 1;
}

static void test_small_disk(void **state)
{
    struct fixture *f = *state;
    int status;

    pid_t pid = fork();
    if (pid == 0)
        _exit(small_disk(f->dir));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Told to stop while the disk is full: it ends, in time, and says what is lost. */
static void test_close_on_full_disk(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit = {0, RLIM_INFINITY};

    fixture_wait(f, submit_number(f->db, "n", 1));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (uint64_t n = 2; n < 10; n++)
        (void)submit_number(f->db, "n", n);
    int64_t begun = clock_mono_ns();
    db_close(f->db);
    f->db = NULL;
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_true(clock_mono_ns() - begun < 15 * CLOCK_S);
    fixture_reopen(f);
    assert_int_equal(get_number(f->db, "n"), 1);
}

/* --- kill -9 --- */

struct told {
    uint64_t seq, id;
};

static void tell_durable(void *ctx, uint64_t seq)
{
    const int *fds = ctx;
    struct told told = {.seq = seq};

    (void)!write(fds[1], &told, sizeof(told));
}

/* Submits for ever: transaction k sets k's own row, and tells what was announced and which ids were
 * given out. */
static void victim(const char *dir, int fds[2])
{
    struct db *db;
    struct db_error error;
    char name[32];

    if (db_open(dir, &db, &error))
        _exit(1);
    db_on_durable(db, tell_durable, fds);
    for (uint64_t k = 1;; k++) {
        struct db_txn *txn = db_txn_new(db);
        (void)snprintf(name, sizeof(name), "k%d", (int)k);
        fixture_put_file(txn, 1000000 + k, 5000000 + k, 20, name);
        uint64_t seq = db_submit(db, txn);
        struct told told = {.id = db_next_id(db)};
        (void)!write(fds[1], &told, sizeof(told));
        if (seq % 16 == 0)
            (void)db_wait(db, seq - 8, CLOCK_NEVER);
    }
}

/* Kills the child once it has announced so many transactions; the last word of it. */
static struct told run_victim(struct fixture *f, uint64_t until)
{
    struct told last = {0}, told;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        victim(f->dir, fds);
    }
    (void)close(fds[1]);
    bool killed = false;
    while (read(fds[0], &told, sizeof(told)) == (ssize_t)sizeof(told)) {
        last.seq = told.seq > last.seq ? told.seq : last.seq;
        last.id = told.id > last.id ? told.id : last.id;
        if (last.seq >= until && !killed) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            killed = true;
        }
    }
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(killed);
    return last;
}

static void test_kill(void **state)
{
    struct fixture *f = *state;
    struct db_dirent dirent;
    uint64_t last_id = 0;
    uint32_t count;

    srandom(3);
    for (int round = 0; round < 8; round++) {
        struct told last = run_victim(f, 1 + (uint64_t)random() % 600);
        assert_true(last.id > last_id); /* never given out twice */
        last_id = last.id;
        fixture_reopen(f);
        char name[32];
        for (uint64_t k = 1; k <= last.seq; k++) {
            (void)snprintf(name, sizeof(name), "k%d", (int)k);
            assert_int_equal(db_get_dirent(f->db, 20, name, &dirent, NULL), 0);
        }
        assert_true(db_next_id(f->db) > last_id);
        /* Without holes: what came later is there only with all before it. */
        assert_int_equal(db_count_dirents(f->db, 20, UINT32_MAX, &count), 0);
        assert_true(count >= last.seq);
        (void)snprintf(name, sizeof(name), "k%d", (int)count);
        assert_int_equal(db_get_dirent(f->db, 20, name, &dirent, NULL), 0);
        db_close(f->db);
        f->db = NULL;
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_close_writes_all),
        TEST(test_announcements),
        TEST(test_large_transaction),
        TEST(test_ids),
        TEST(test_readers),
        TEST(test_full_disk),
        TEST(test_queue_limit),
        TEST(test_close_on_full_disk),
        cmocka_unit_test_setup_teardown(test_small_disk, fixture_setup_dir, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_kill, fixture_setup_dir, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
