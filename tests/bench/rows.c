/*
 * Runs the rows. A row is a number of calls found by doubling until they last long enough; its cost
 * is the CPU time of the server's process (all threads), waited for until the server has come to
 * rest, so that what it does later because of the row (uploads, write-back) counts too.
 */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* utime + stime in ticks, fields 14 and 15, behind the last ')'. */
static double cpu_seconds(const struct bench *b)
{
    char path[64], line[1024];
    unsigned long user = 0, sys = 0;
    const char *at;
    FILE *f;

    if (!b->server)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)b->server);
    f = fopen(path, "r");
    if (!f || !fgets(line, sizeof(line), f) || !(at = strrchr(line, ')')))
        bench_die("cannot read %s", path);
    fclose(f);
    if (sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
        bench_die("cannot understand %s", path);
    return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

/* Until the server has done nothing for two seconds; background work may start after a pause of its
 * own. */
static double cpu_at_rest(const struct bench *b)
{
    double last = cpu_seconds(b), since = now(), end = since + 60;

    while (now() - since < 2 && now() < end) {
        pause_ms(100);
        double cpu = cpu_seconds(b);
        if (cpu > last + 0.011) {
            last = cpu;
            since = now();
        }
    }
    return cpu_seconds(b);
}

static void print_row(const char *name, double ops, double seconds, double cpu)
{
    printf("{\"row\": \"%s\", \"ops\": %.0f, \"seconds\": %.4f, \"ops_per_s\": %.1f, "
           "\"cpu_us_per_op\": %.2f}\n",
           name, ops, seconds, ops / seconds, cpu / ops * 1e6);
    fflush(stdout);
}

static void run_series(struct bench *b, const struct conn_series *series, uint32_t first,
                       uint32_t count)
{
    struct conn_series mine = *series;

    mine.ctx = b;
    if (b->window > 0)
        mine.window = b->window;
    conn_run(b->nfs, &mine, first, count);
}

/* Rows that change nothing: doubled until they last; the last doubling is the one that counts. */
static void row_reading(struct bench *b, const char *name, const struct conn_series *series)
{
    for (uint32_t count = series->window * 4;; count *= 2) {
        double cpu = cpu_seconds(b), began = now();

        b->entries = 0;
        run_series(b, series, 0, count);
        double seconds = now() - began;
        if (seconds < b->seconds && count < 1u << 28)
            continue;
        print_row(name, b->entries ? (double)b->entries : count, seconds, cpu_seconds(b) - cpu);
        b->entries = 0;
        return;
    }
}

static void row_write(struct bench *b)
{
    uint32_t batch = ROWS_FILE_SIZE / ROWS_MEG, count = 0;
    double cpu = cpu_at_rest(b), began = now(), seconds;

    do {
        run_series(b, &calls_write1m, count, batch);
        run_series(b, &calls_commit, 0, 1);
        count += batch;
        seconds = now() - began;
    } while (seconds < b->seconds);
    print_row("WRITE 1 MiB + COMMIT", count, seconds, cpu_at_rest(b) - cpu);
}

/* CREATE and a FILE_SYNC WRITE of 4 KiB, which is what a client makes of a small file, with so many
 * requests in flight. Afterwards the file is to be durable, and its name too. */
static uint32_t row_create(struct bench *b, uint32_t window, const char *prefix)
{
    uint32_t batch = window == 1 ? ROWS_FILES / 10 : ROWS_FILES, count = 0;
    double cpu = cpu_at_rest(b), began = now(), seconds;
    char name[64];

    b->prefix = prefix;
    b->window = window;
    do {
        run_series(b, &calls_create, count, batch);
        run_series(b, &calls_write4k, count, batch);
        count += batch;
        seconds = now() - began;
    } while (seconds < b->seconds);
    b->window = 0;
    snprintf(name, sizeof(name), "CREATE + 4 KiB WRITE, %u", window);
    print_row(name, count, seconds, cpu_at_rest(b) - cpu);
    return count;
}

static void row_remove(struct bench *b, uint32_t count)
{
    double cpu = cpu_at_rest(b), began = now(), seconds;

    run_series(b, &calls_remove, 0, count);
    seconds = now() - began;
    print_row("REMOVE", count, seconds, cpu_at_rest(b) - cpu);
}

/* Where the pages begin, so that they can then be asked for side by side. */
static void find_pages(struct bench *b)
{
    b->cookies = calloc(1, sizeof(*b->cookies));
    b->page_count = 1;
    b->last_page = 0;
    for (uint32_t i = 0; !b->last_page; i++)
        run_series(b, &calls_readdirplus, i, 1);
}

void rows_prepare(struct bench *b, const char *host, const char *mount_port, const char *nfs_port,
                  const char *export, const char *run)
{
    calls_mount(b, host, mount_port, export);
    b->nfs = conn_open(host, nfs_port);
    b->files = calloc(ROWS_FILES, sizeof(*b->files));
    calls_mkdir(b, &b->root, run, &b->dir);
    b->prefix = "file";
    run_series(b, &calls_create, 0, ROWS_FILES);
    run_series(b, &calls_write4k, 0, ROWS_FILES);
    calls_create_one(b, &b->root, "fresh", &b->fresh);
    run_series(b, &calls_write1m, 0, ROWS_FILE_SIZE / ROWS_MEG);
    run_series(b, &calls_commit, 0, 1);
    calls_create_one(b, &b->root, "big", &b->big);
    struct wire_handle fresh = b->fresh;
    b->fresh = b->big;
    run_series(b, &calls_write1m, 0, ROWS_FILE_SIZE / ROWS_MEG);
    run_series(b, &calls_commit, 0, 1);
    b->fresh = fresh;
    cpu_at_rest(b);
    find_pages(b);
    run_series(b, &calls_read1m, 0, ROWS_FILE_SIZE / ROWS_MEG); /* warm */
}

static const struct {
    const char *name;
    const struct conn_series *series;
} reading[] = {
    {"NULL", &calls_null},         {"GETATTR", &calls_getattr},
    {"LOOKUP", &calls_lookup},     {"READDIRPLUS, per entry", &calls_readdirplus},
    {"READ 4 KiB", &calls_read4k}, {"READ 1 MiB", &calls_read1m},
};

void rows_run(struct bench *b, const char *only)
{
    for (size_t i = 0; i < sizeof(reading) / sizeof(reading[0]); i++)
        if (strstr(reading[i].name, only))
            row_reading(b, reading[i].name, reading[i].series);
    if (strstr("WRITE 1 MiB + COMMIT", only))
        row_write(b);
    if (strstr("CREATE + 4 KiB WRITE and REMOVE", only)) {
        (void)row_create(b, 1, "one");
        (void)row_create(b, 8, "eight");
        row_remove(b, row_create(b, 64, "many"));
    }
}
