/* One worker: which step comes next. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/exercise/exercise.h"

enum { CHECK_EVERY = 200 };

static void step_write(struct exercise_worker *w, struct exercise_file *f)
{
    size_t len = 1 + exercise_random(w, exercise_random(w, 4) ? 9000 : EXERCISE_IO_MAX);
    /* Mostly near what is there, now and then far beyond. */
    size_t reach = exercise_random(w, 8) ? f->size + 1 : w->config->file_max;
    size_t off = exercise_random(w, reach);

    if (off + len > w->config->file_max)
        len = w->config->file_max - off;
    if (len > 0)
        exercise_write(w, f, off, len);
}

static void step_append(struct exercise_worker *w, struct exercise_file *f)
{
    size_t len = 1 + exercise_random(w, 20000);

    if (f->direct || f->gone || f->size + len > w->config->file_max)
        return;
    exercise_note(w, "append %s len %zu size %zu", f->path, len, f->size);
    int fd = open(f->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        exercise_wrong(w, "open to append: %s", strerrordesc_np(errno));
    exercise_fill(w, w->buf, len);
    if (write(fd, w->buf, len) != (ssize_t)len || close(fd))
        exercise_wrong(w, "append: %s", strerrordesc_np(errno));
    memcpy(f->bytes + f->size, w->buf, len);
    f->size += len;
}

static void step_read(struct exercise_worker *w, struct exercise_file *f)
{
    if (exercise_random(w, 4) == 0)
        (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED); /* ask the server */
    exercise_read(w, f, exercise_random(w, f->size + 1),
                  1 + exercise_random(w, exercise_random(w, 4) ? 9000 : EXERCISE_IO_MAX - 1));
}

static void step_map(struct exercise_worker *w, struct exercise_file *f)
{
    exercise_map(w, f, exercise_random(w, f->size + 1), 1 + exercise_random(w, 50000),
                 exercise_random(w, 2));
}

static void step_truncate(struct exercise_worker *w, struct exercise_file *f)
{
    static const unsigned to_zero = 6;

    exercise_truncate(w, f,
                      exercise_random(w, to_zero) ? exercise_random(w, w->config->file_max) : 0);
}

static void step_punch(struct exercise_worker *w, struct exercise_file *f)
{
    exercise_punch(w, f, exercise_random(w, f->size + 1), 1 + exercise_random(w, 100000));
}

static void step_zero(struct exercise_worker *w, struct exercise_file *f)
{
    size_t off = exercise_random(w, f->size + 1), len = 1 + exercise_random(w, 100000);

    if (off + len <= w->config->file_max)
        exercise_zero(w, f, off, len);
}

static void step_allocate(struct exercise_worker *w, struct exercise_file *f)
{
    size_t off = exercise_random(w, f->size + 1), len = 1 + exercise_random(w, 100000);

    if (off + len <= w->config->file_max)
        exercise_allocate(w, f, off, len);
}

static void step_seek(struct exercise_worker *w, struct exercise_file *f)
{
    exercise_seek(w, f, exercise_random(w, f->size + 1));
}

static void step_copy(struct exercise_worker *w, struct exercise_file *f)
{
    struct exercise_file *to = &w->files[exercise_random(w, EXERCISE_FILES)];

    /* O_DIRECT wants aligned ranges of this, too. */
    if (to != f && f->size > 0 && !f->direct && !to->direct)
        exercise_copy(w, f, to);
}

static void step_sync(struct exercise_worker *w, struct exercise_file *f)
{
    exercise_note(w, "fsync %s", f->path);
    if (exercise_random(w, 2) ? fsync(f->fd) : fdatasync(f->fd))
        exercise_wrong(w, "fsync: %s", strerrordesc_np(errno));
}

static void step_reopen(struct exercise_worker *w, struct exercise_file *f)
{
    exercise_note(w, "close %s", f->path);
    if (close(f->fd))
        exercise_wrong(w, "close: %s", strerrordesc_np(errno));
    if (f->gone) { /* that was the last of it */
        memset(f->bytes, 0, f->size);
        f->size = 0;
        f->gone = false;
        exercise_file_open(w, f, O_EXCL);
        return;
    }
    exercise_file_open(w, f, exercise_random(w, 6) ? 0 : O_TRUNC);
    exercise_file_check(w, f);
}

static void step_rename(struct exercise_worker *w, struct exercise_file *f)
{
    char to[EXERCISE_PATH_MAX + 16];

    if (f->gone)
        return;
    char *dot = strrchr(f->path, '.');
    (void)snprintf(to, sizeof(to), "%.*s.%u", (int)(dot - f->path), f->path, ++f->renames);
    exercise_note(w, "rename %s to %s", f->path, to);
    if (rename(f->path, to))
        exercise_wrong(w, "rename: %s", strerrordesc_np(errno));
    memcpy(f->path, to, sizeof(f->path));
}

/* One at a time: what has no name cannot be uploaded, so a small stage may hold little of it. */
static void step_unlink(struct exercise_worker *w, struct exercise_file *f)
{
    for (unsigned i = 0; i < EXERCISE_FILES; i++)
        if (w->files[i].gone)
            return;
    exercise_note(w, "unlink %s", f->path);
    if (unlink(f->path))
        exercise_wrong(w, "unlink: %s", strerrordesc_np(errno));
    f->gone = true;
}

/* Our block of the shared file: neighbours change the same pages at the same time. */
static void step_shared(struct exercise_worker *w, struct exercise_file *f)
{
    size_t rounds = w->config->shared_blocks / w->config->workers;
    size_t block = exercise_random(w, rounds) * w->config->workers + w->number;
    size_t off = block * EXERCISE_BLOCK;
    uint8_t *want = w->shared + off;

    (void)f;
    exercise_note(w, "shared block %zu", block);
    if (pread(w->shared_fd, w->buf, EXERCISE_BLOCK, (off_t)off) != EXERCISE_BLOCK)
        exercise_wrong(w, "shared pread: %s", strerrordesc_np(errno));
    exercise_compare(w, "the shared file", w->buf, want, off, EXERCISE_BLOCK);
    exercise_fill(w, want, EXERCISE_BLOCK);
    if (pwrite(w->shared_fd, want, EXERCISE_BLOCK, (off_t)off) != EXERCISE_BLOCK)
        exercise_wrong(w, "shared pwrite: %s", strerrordesc_np(errno));
}

static const struct step {
    unsigned weight;
    void (*run)(struct exercise_worker *w, struct exercise_file *f);
} steps[] = {
    {30, step_write}, {6, step_append}, {30, step_read},    {10, step_map},   {6, step_truncate},
    {5, step_punch},  {3, step_zero},   {3, step_allocate}, {5, step_seek},   {5, step_copy},
    {3, step_sync},   {6, step_reopen}, {2, step_rename},   {1, step_unlink}, {12, step_shared},
};

static void (*step_pick(struct exercise_worker *w))(struct exercise_worker *,
                                                    struct exercise_file *)
{
    unsigned sum = 0;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        sum += steps[i].weight;
    uint64_t at = exercise_random(w, sum);
    const struct step *s = steps;
    while (at >= s->weight)
        at -= (s++)->weight;
    return s->run;
}

/* Everything once more, through new descriptors; files stay, for whoever looks at the bucket. */
static void run_end(struct exercise_worker *w)
{
    for (unsigned i = 0; i < EXERCISE_FILES; i++) {
        struct exercise_file *f = &w->files[i];
        exercise_file_check(w, f);
        exercise_note(w, "last close of %s", f->path);
        if (close(f->fd))
            exercise_wrong(w, "close: %s", strerrordesc_np(errno));
        if (f->gone)
            continue;
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
        f->direct = false;
        if (f->fd < 0)
            exercise_wrong(w, "open at the end: %s", strerrordesc_np(errno));
        exercise_file_check(w, f);
        (void)close(f->fd);
    }
    if (fsync(w->shared_fd) || close(w->shared_fd))
        exercise_wrong(w, "close of the shared file: %s", strerrordesc_np(errno));
}

void exercise_run(struct exercise_worker *w, int64_t until_ns)
{
    char path[EXERCISE_PATH_MAX];

    for (unsigned i = 0; i < EXERCISE_FILES; i++) {
        struct exercise_file *f = &w->files[i];
        (void)snprintf(f->path, sizeof(f->path), "%s/w%u-%u.0", w->config->dir, w->number, i);
        f->bytes = calloc(1, w->config->file_max);
        if (!f->bytes)
            exercise_wrong(w, "no memory");
        exercise_file_open(w, f, O_EXCL);
    }
    (void)snprintf(path, sizeof(path), "%s/shared", w->config->dir);
    w->shared_fd = open(path, O_RDWR | O_CLOEXEC);
    if (w->shared_fd < 0)
        exercise_wrong(w, "open of the shared file: %s", strerrordesc_np(errno));
    for (w->step = 1; clock_mono_ns() < until_ns; w->step++) {
        struct exercise_file *f = &w->files[exercise_random(w, EXERCISE_FILES)];
        step_pick(w)(w, f);
        if (w->step % CHECK_EVERY == 0)
            exercise_file_check(w, f);
    }
    run_end(w);
}
