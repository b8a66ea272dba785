/* exercise: arguments, workers, and the story of what went wrong. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/exercise/exercise.h"

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t exercise_random(struct exercise_worker *w, uint64_t below)
{
    return below ? random_next(&w->random) % below : 0;
}

void exercise_fill(struct exercise_worker *w, uint8_t *to, size_t len)
{
    uint64_t state = random_next(&w->random), word = 0;

    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0)
            word = random_next(&state);
        to[i] = (uint8_t)(word >> (i % 8 * 8)) | 1; /* never like a hole */
    }
}

void exercise_note(struct exercise_worker *w, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(w->history[w->step % EXERCISE_HISTORY], sizeof(w->history[0]), fmt, ap);
    va_end(ap);
}

void exercise_wrong(struct exercise_worker *w, const char *fmt, ...)
{
    va_list ap;

    (void)printf("worker %u, step %llu, seed %llu: ", w->number, (unsigned long long)w->step,
                 (unsigned long long)w->config->seed);
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)printf("\n");
    for (uint64_t i = w->step > EXERCISE_HISTORY ? w->step - EXERCISE_HISTORY + 1 : 0; i <= w->step;
         i++)
        (void)printf("  step %llu: %s\n", (unsigned long long)i, w->history[i % EXERCISE_HISTORY]);
    (void)fflush(stdout);
    _exit(1);
}

void exercise_compare(struct exercise_worker *w, const char *path, const uint8_t *got,
                      const uint8_t *want, size_t off, size_t len)
{
    size_t i = 0, last = len;

    if (memcmp(got, want, len) == 0)
        return;
    while (got[i] == want[i])
        i++;
    while (got[last - 1] == want[last - 1])
        last--;
    exercise_wrong(w, "%s: bytes %zu to %zu are wrong: %02x %02x.. instead of %02x %02x..", path,
                   off + i, off + last - 1, got[i], got[i + 1 < len ? i + 1 : i], want[i],
                   want[i + 1 < len ? i + 1 : i]);
}

static void worker_main(const struct exercise_config *config, unsigned number, int64_t until_ns)
{
    struct exercise_worker *w = calloc(1, sizeof(*w));
    void *buf;

    if (!w || posix_memalign(&buf, 4096, EXERCISE_IO_MAX))
        _exit(2);
    w->config = config;
    w->number = number;
    w->random = config->seed * 1000 + number;
    w->buf = buf;
    w->shared = calloc(config->shared_blocks, EXERCISE_BLOCK);
    if (!w->shared)
        _exit(2);
    exercise_run(w, until_ns);
    (void)printf("worker %u: %llu steps\n", number, (unsigned long long)w->step);
    (void)fflush(stdout);
    _exit(0);
}

static int shared_make(const struct exercise_config *config)
{
    char path[EXERCISE_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/shared", config->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int err = fd < 0 || ftruncate(fd, (off_t)(config->shared_blocks * EXERCISE_BLOCK)) || close(fd);
    if (err)
        (void)printf("%s: %s\n", path, strerrordesc_np(errno));
    return err;
}

static int run_all(const struct exercise_config *config)
{
    int64_t until_ns = clock_mono_ns() + config->seconds * CLOCK_S;
    int bad = 0, status;

    if (shared_make(config))
        return 1;
    (void)fflush(stdout);
    for (unsigned i = 0; i < config->workers; i++) {
        pid_t pid = fork();
        if (pid == 0)
            worker_main(config, i, until_ns);
        bad += pid < 0;
    }
    while (wait(&status) > 0 || errno == EINTR)
        bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    (void)printf("seed %llu: %s\n", (unsigned long long)config->seed, bad ? "WRONG" : "right");
    return bad != 0;
}

int main(int argc, char **argv)
{
    struct exercise_config config = {
        .seconds = 10, .workers = 4, .file_max = 2 << 20, .shared_blocks = 400, .seed = 1};
    int c;

    while ((c = getopt(argc, argv, "s:t:w:b:ld")) != -1) {
        switch (c) {
        case 's':
            config.seed = strtoull(optarg, NULL, 10);
            break;
        case 't':
            config.seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            config.workers = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            config.file_max = strtoull(optarg, NULL, 10) / 4096 * 4096;
            break;
        case 'l':
            config.lacking = true;
            break;
        case 'd':
            config.direct = true;
            break;
        default:
            optind = argc;
        }
    }
    if (optind != argc - 1 || config.workers == 0 || config.workers > EXERCISE_WORKERS_MAX ||
        config.file_max < EXERCISE_IO_MAX) {
        (void)fprintf(
            stderr,
            "usage: %s [-s SEED] [-t SECONDS] [-w WORKERS] [-b FILE_BYTES] [-d] [-l] DIR\n"
            "  -d  with O_DIRECT   -l  the file system lacks fallocate and its kind\n",
            argv[0]);
        return 2;
    }
    config.dir = argv[optind];
    return run_all(&config);
}
