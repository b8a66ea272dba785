/* pailfs-bench: drives one NFSv3 server with many calls in flight and prints what each kind of call
 * cost it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "rows.h"

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

static void raw_fdatasync(const char *dir)
{
    char path[4096], block[4096] = {0};
    struct timespec began;
    int count = 0, fd;

    snprintf(path, sizeof(path), "%s/raw", dir);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        bench_die("cannot create %s", path);
    clock_gettime(CLOCK_MONOTONIC, &began);
    while (seconds_since(&began) < 1) {
        if (write(fd, block, sizeof(block)) != sizeof(block) || fdatasync(fd) != 0)
            bench_die("cannot write %s", path);
        count++;
    }
    printf("{\"raw\": \"fdatasync of 4 KiB/s\", \"value\": %.1f}\n", count / seconds_since(&began));
    close(fd);
    unlink(path);
}

int main(int argc, char **argv)
{
    struct bench bench = {.seconds = 1};

    if (argc == 3 && strcmp(argv[1], "--raw") == 0) {
        raw_memcpy();
        raw_fdatasync(argv[2]);
        return 0;
    }
    if (argc != 8) {
        fprintf(stderr, "usage: pailfs-bench HOST MOUNT-PORT NFS-PORT EXPORT SERVER-PID SECONDS "
                        "RUN | --raw DIR\n");
        return 2;
    }
    bench.server = (pid_t)strtol(argv[5], NULL, 10);
    bench.seconds = strtod(argv[6], NULL);
    rows_prepare(&bench, argv[1], argv[2], argv[3], argv[4], argv[7]);
    rows_run(&bench);
    return 0;
}
