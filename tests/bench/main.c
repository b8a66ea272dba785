/* pailfs-bench: drives one NFSv3 server with many calls in flight and prints what each kind of call
 * cost it. */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "rows.h"

enum { RAW_THREADS_MAX = 8 };

static double seconds_since(const struct timespec *began)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)(ts.tv_sec - began->tv_sec) + (double)(ts.tv_nsec - began->tv_nsec) / 1e9;
}

/* What the machine itself can do, to read the table by. */
static void raw_memcpy(void)
{
    enum { SIZE = 64 << 20, ROUNDS = 32 };
    char *from = malloc(SIZE), *to = malloc(SIZE);
    struct timespec began;

    if (!from || !to)
        bench_die("no memory");
    memset(from, 1, SIZE);
    memset(to, 2, SIZE);
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int i = 0; i < ROUNDS; i++) {
        from[i] = (char)i;
        memcpy(to, from, SIZE);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    printf("{\"raw\": \"memcpy GB/s\", \"value\": %.2f}\n",
           (double)SIZE * ROUNDS / seconds_since(&began) / 1e9);
    free(from);
    free(to);
}

/* One of several that sync a file of their own at the same time, 4 KiB by 4 KiB. */
struct syncer {
    pthread_t thread;
    int fd, count;
    bool append; /* otherwise the same block again and again: no metadata has to be written */
};

static void *sync_main(void *arg)
{
    static const char block[4096];
    struct syncer *s = arg;
    struct timespec began;

    clock_gettime(CLOCK_MONOTONIC, &began);
    while (seconds_since(&began) < 1) {
        off_t at = s->append ? (off_t)s->count * (off_t)sizeof(block) : 0;

        if (pwrite(s->fd, block, sizeof(block), at) != sizeof(block) || fdatasync(s->fd) != 0)
            bench_die("cannot write to the disk");
        s->count++;
    }
    return NULL;
}

static void raw_fdatasync(const char *dir, int threads, bool append)
{
    struct syncer syncers[RAW_THREADS_MAX] = {0};
    struct timespec began;
    char path[4096];
    int count = 0;

    for (int i = 0; i < threads; i++) {
        snprintf(path, sizeof(path), "%s/raw%d", dir, i);
        syncers[i].append = append;
        syncers[i].fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
        if (syncers[i].fd < 0 || unlink(path) != 0)
            bench_die("cannot create %s", path);
    }
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&syncers[i].thread, NULL, sync_main, &syncers[i]) != 0)
            bench_die("cannot start a thread");
    for (int i = 0; i < threads; i++) {
        pthread_join(syncers[i].thread, NULL);
        count += syncers[i].count;
        close(syncers[i].fd);
    }
    printf("{\"raw\": \"fdatasync/s, %d thread%s, %s\", \"value\": %.1f}\n", threads,
           threads > 1 ? "s" : "", append ? "appending" : "in place",
           count / seconds_since(&began));
}

int main(int argc, char **argv)
{
    struct bench bench = {.seconds = 1};

    if (argc == 3 && strcmp(argv[1], "--raw") == 0) {
        raw_memcpy();
        for (int threads = 1; threads <= RAW_THREADS_MAX; threads *= RAW_THREADS_MAX) {
            raw_fdatasync(argv[2], threads, true);
            raw_fdatasync(argv[2], threads, false);
        }
        return 0;
    }
    if (argc != 8 && argc != 9) {
        fprintf(stderr, "usage: pailfs-bench HOST MOUNT-PORT NFS-PORT EXPORT SERVER-PID SECONDS "
                        "RUN [ROW] | --raw DIR\n");
        return 2;
    }
    bench.server = (pid_t)strtol(argv[5], NULL, 10);
    bench.seconds = strtod(argv[6], NULL);
    rows_prepare(&bench, argv[1], argv[2], argv[3], argv[4], argv[7]);
    rows_run(&bench, argc == 9 ? argv[8] : "");
    return 0;
}
