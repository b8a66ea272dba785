/*
 * How fast the database is: bulk insertion, single creations with 64 in flight, listing, lookups.
 * bench_db DIR [FILES]; DIR is made, and left behind.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/db.h"

enum { PARENT = 20, BATCH = 1000, IN_FLIGHT = 64, CREATES = 100000, LOOKUPS = 200000 };

struct timer {
    int64_t wall, cpu;
};

static int64_t cpu_ns(void)
{
    struct rusage ru;

    (void)getrusage(RUSAGE_SELF, &ru);
    return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * CLOCK_S +
           (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
}

static struct timer timer_start(void)
{
    return (struct timer){clock_mono_ns(), cpu_ns()};
}

static void timer_report(struct timer timer, const char *what, uint64_t n)
{
    double wall = (double)(clock_mono_ns() - timer.wall) / 1e9;
    double cpu = (double)(cpu_ns() - timer.cpu) / 1e3;

    printf("%-28s %9" PRIu64 " in %7.3f s  %10.0f /s  %7.2f us CPU each\n", what, n, wall,
           (double)n / wall, cpu / (double)n);
}

static void put_file(struct db *db, struct db_txn *txn, uint64_t parent, const char *name)
{
    struct db_inode row = {
        .id = db_next_id(db),
        .volume = 1,
        .type = 1,
        .mode = 0644,
        .uid = 1000,
        .gid = 1000,
        .size = 4096,
        .atime_ns = clock_wall_ns(),
        .change = 1,
        .parent = parent,
        .base_etag = (char *)"\"d41d8cd98f00b204e9800998ecf8427e\"",
        .base_size = 4096,
        .base_len = 4096,
    };

    row.mtime_ns = row.ctime_ns = row.atime_ns;
    db_put_inode(txn, &row);
    db_put_dirent(txn, db_next_id(db), parent, name, row.id);
}

static void bench_bulk(struct db *db, uint64_t files)
{
    struct timer timer = timer_start();
    struct db_txn *txn = NULL;
    uint64_t seq = 0;
    char name[64];

    for (uint64_t i = 0; i < files; i++) {
        if (!txn)
            txn = db_txn_new(db);
        (void)snprintf(name, sizeof(name), "file-%08" PRIu64 ".bin", i);
        put_file(db, txn, PARENT, name);
        if (i % BATCH == BATCH - 1 || i == files - 1) {
            seq = db_submit(db, txn);
            txn = NULL;
            if (seq > IN_FLIGHT)
                (void)db_wait(db, seq - IN_FLIGHT, CLOCK_NEVER);
        }
    }
    (void)db_wait(db, seq, CLOCK_NEVER);
    timer_report(timer, "files in transactions of 1000", files);
}

static int compare_i64(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void bench_create(struct db *db)
{
    struct timer timer = timer_start();
    int64_t *took = mem_array(CREATES, sizeof(*took));
    int64_t begun[IN_FLIGHT];
    uint8_t key[40] = {0}, reply[160] = {0};
    uint64_t base = db_durable(db);
    char name[64];

    for (uint64_t i = 0; i < CREATES + IN_FLIGHT; i++) {
        if (i >= IN_FLIGHT) {
            uint64_t oldest = i - IN_FLIGHT;
            (void)db_wait(db, base + oldest + 1, CLOCK_NEVER);
            took[oldest] = clock_mono_ns() - begun[oldest % IN_FLIGHT];
        }
        if (i >= CREATES)
            continue;
        begun[i % IN_FLIGHT] = clock_mono_ns();
        struct db_txn *txn = db_txn_new(db);
        (void)snprintf(name, sizeof(name), "%08lx-created", (unsigned long)random());
        put_file(db, txn, PARENT + 1, name);
        memcpy(key, &i, sizeof(i));
        db_put_reply(txn, &(struct db_reply){key, sizeof(key), reply, sizeof(reply)});
        (void)db_submit(db, txn);
    }
    timer_report(timer, "creations, 64 in flight", CREATES);
    qsort(took, CREATES, sizeof(*took), compare_i64);
    printf("    latency ms: median %.2f, 99%% %.2f, most %.2f\n", (double)took[CREATES / 2] / 1e6,
           (double)took[CREATES / 100 * 99] / 1e6, (double)took[CREATES - 1] / 1e6);
    free(took);
}

static bool count_row(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    (void)inode;
    *(uint64_t *)ctx += dirent->id > 0;
    return true;
}

static void bench_read(struct db *db, uint64_t files)
{
    struct db_dirent dirent;
    struct db_inode inode;
    uint64_t rows = 0, found = 0;
    char name[64];

    struct timer timer = timer_start();
    (void)db_list_dirents(db, PARENT, 0, UINT32_MAX, count_row, &rows);
    timer_report(timer, "listed by cookie", rows);
    timer = timer_start();
    rows = 0;
    (void)db_range_dirents(db, PARENT, NULL, NULL, count_row, &rows);
    timer_report(timer, "listed by name", rows);
    timer = timer_start();
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        (void)snprintf(name, sizeof(name), "file-%08" PRIu64 ".bin", (uint64_t)random() % files);
        if (db_get_dirent(db, PARENT, name, &dirent, &inode) == 0) {
            found++;
            db_inode_clear(&inode);
        }
    }
    timer_report(timer, "lookups", found);
    timer = timer_start();
    for (found = 0; found < LOOKUPS && db_find_dirent(db, dirent.inode, &dirent) == 0; found++)
        ;
    timer_report(timer, "names of inodes", found);
}

int main(int argc, char **argv)
{
    struct db *db;
    struct db_error error;
    struct rusage ru;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_db DIR [FILES]\n");
        return 2;
    }
    uint64_t files = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    if (db_open(argv[1], &db, &error)) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    bench_bulk(db, files);
    bench_create(db);
    bench_read(db, files);
    struct timer timer = timer_start();
    db_close(db);
    timer_report(timer, "close", 1);
    (void)getrusage(RUSAGE_SELF, &ru);
    printf("memory at most: %ld MiB\n", ru.ru_maxrss / 1024);
    return 0;
}
