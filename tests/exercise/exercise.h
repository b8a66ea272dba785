/*
 * exercise: many processes write, read, cut, map, punch, copy, rename and reopen files at random
 * and compare each with what it must be. One seed gives one run, as far as the clock lets it.
 *
 * A worker is a process with files of its own, and blocks of its own in a file that all share. What
 * a file must contain is kept in memory, so a byte that is wrong is found at the first look.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EXERCISE_FILES = 4,
    EXERCISE_IO_MAX = 300000, /* bytes of one step */
    EXERCISE_HISTORY = 40,
    EXERCISE_BLOCK = 3000, /* of the shared file: several owners on each page */
    EXERCISE_WORKERS_MAX = 64,
    EXERCISE_PATH_MAX = 512,
};

struct exercise_config {
    const char *dir;
    uint64_t seed;
    unsigned seconds, workers;
    size_t file_max, shared_blocks; /* bytes of a file; blocks of the shared one */
    bool lacking; /* the file system may refuse to punch, zero, allocate, seek or copy (NFSv3) */
    bool direct;  /* O_DIRECT is used too */
};

struct exercise_file {
    char path[EXERCISE_PATH_MAX];
    int fd;
    bool direct, gone; /* opened with O_DIRECT; unlinked while open */
    uint8_t *bytes;    /* file_max of them; beyond size all zero */
    size_t size;
    unsigned renames;
};

struct exercise_worker {
    const struct exercise_config *config;
    unsigned number;
    uint64_t random, step;
    struct exercise_file files[EXERCISE_FILES];
    int shared_fd;
    uint8_t *shared; /* what our blocks of it must be, at their places */
    uint8_t *buf;    /* EXERCISE_IO_MAX, aligned for O_DIRECT */
    char history[EXERCISE_HISTORY][200];
};

uint64_t exercise_random(struct exercise_worker *w, uint64_t below); /* 0 if below is 0 */
void exercise_fill(struct exercise_worker *w, uint8_t *to, size_t len);
/* What is about to be done, for the story told when it goes wrong. */
void exercise_note(struct exercise_worker *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Tells what went wrong and all that led to it, and ends the worker. */
_Noreturn void exercise_wrong(struct exercise_worker *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Compares len bytes at off. */
void exercise_compare(struct exercise_worker *w, const char *path, const uint8_t *got,
                      const uint8_t *want, size_t off, size_t len);

/* --- steps.c --- */

/* Opens and makes the worker's files, does steps until the time is over, and looks at everything
 * once more after closing and opening it again. */
void exercise_run(struct exercise_worker *w, int64_t until_ns);
/* --- file.c --- */
void exercise_file_open(struct exercise_worker *w, struct exercise_file *f, int more_flags);
void exercise_file_check(struct exercise_worker *w, struct exercise_file *f);
void exercise_write(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len);
void exercise_read(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len);
void exercise_map(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len,
                  bool write);
void exercise_truncate(struct exercise_worker *w, struct exercise_file *f, size_t size);
/* --- holes.c --- */
void exercise_punch(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len);
void exercise_zero(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len);
void exercise_allocate(struct exercise_worker *w, struct exercise_file *f, size_t off, size_t len);
void exercise_seek(struct exercise_worker *w, struct exercise_file *f, size_t off);
void exercise_copy(struct exercise_worker *w, struct exercise_file *from, struct exercise_file *to);
