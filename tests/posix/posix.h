/*
 * A suite of what POSIX and Linux's man pages say that a file system does, by plain system calls.
 * Each case runs in a process and a directory of its own, which is its working directory.
 *
 *     posix local|fuse|nfs DIRECTORY [CASE...]     runs; CASE is a pattern, -CASE all but those
 *     posix local|fuse|nfs DIRECTORY read-only     of a read-only mount; see readonly.c
 *     posix --differences                          what differs: rows of README's table
 *
 * A case says what the man pages say. Where a mount of pailfs, or NFS itself, cannot do that, the
 * case names a row of the one table in differ.c: CAN(DIFFER_LINK, link(...)) must succeed locally
 * and must fail with the row's errno there.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum posix_mode { LOCAL = 1, FUSE = 2, NFS = 4 };
extern enum posix_mode posix_mode;

enum {
    ALICE = 50001,
    BOB = 50002,
    CAROL = 50003,
    STAFF = 50011, /* groups */
    GUESTS = 50012,
    OTHERS = 50013,
};

typedef void posix_fn(void);
void posix_add(const char *name, posix_fn *fn);
void posix_read_only(void);

/* CASE(name) { ... } is a case that the runner knows of. */
#define CASE(name)                                            \
    static void name(void);                                   \
    __attribute__((constructor)) static void add_##name(void) \
    {                                                         \
        posix_add(#name, name);                               \
    }                                                         \
    static void name(void)

struct posix_at {
    const char *file;
    int line;
    const char *what;
};
#define HERE(what) (&(const struct posix_at){__FILE__, __LINE__, what})

/* Each counts a failure and goes on. OK returns what the call did. */
int posix_ok(const struct posix_at *at, long got);
void posix_err(const struct posix_at *at, long got, int want);
void posix_eq(const struct posix_at *at, long long want, long long got);
void posix_true(const struct posix_at *at, bool good);
bool posix_can(const struct posix_at *at, int differ, long got);
_Noreturn void posix_skip(const char *why);

#define OK(call) posix_ok(HERE(#call), (errno = 0, (long)(call)))
#define ERR(want, call) posix_err(HERE(#call), (errno = 0, (long)(call)), want)
#define EQ(want, got) posix_eq(HERE(#got), (long long)(want), (long long)(got))
#define TRUE(cond) posix_true(HERE(#cond), cond)
#define CAN(differ, call) posix_can(HERE(#call), differ, (errno = 0, (long)(call)))
/* For what makes no sense to go on without. */
#define NEED(cond)                           \
    do {                                     \
        bool posix_good = (cond);            \
        posix_true(HERE(#cond), posix_good); \
        if (!posix_good)                     \
            _exit(1);                        \
    } while (0)

/* --- who asks: real and effective ids; root may come back --- */
void as(uid_t uid, gid_t gid);
void as_with(uid_t uid, gid_t gid, gid_t more); /* with one supplementary group */
void as_root(void);

/* --- shorthands; they fail the case when they cannot --- */
void make_file(const char *path, const char *text, mode_t mode);
void make_dir(const char *path, mode_t mode); /* mode exactly */
void make_owned(const char *path, uid_t uid, gid_t gid, mode_t mode);
void make_owned_dir(const char *path, uid_t uid, gid_t gid, mode_t mode);
extern char *volatile nowhere; /* an address where nothing is */
bool exists(const char *path);
struct stat stat_of(const char *path); /* lstat */
mode_t mode_of(const char *path);      /* its 07777 */
bool holds(const char *path, const char *text);
/* Until a new time stamp is later than any that was given before. */
void tick(void);
int64_t ns_of(struct timespec time);
/* fn in a child process, as root or whoever calls; its exit status. */
int in_child(void (*fn)(void *arg), void *arg);

enum differ { /* in the order of README's table */
              DIFFER_LINK,
              DIFFER_NODE,
              DIFFER_FIFO,
              DIFFER_TMPFILE,
              DIFFER_NAME_UTF8,
              DIFFER_DEEP,
              DIFFER_HUGE,
              DIFFER_ATIME,
              DIFFER_COLLAPSE,
              DIFFER_XATTR_OTHER,
              DIFFER_XATTR,
              DIFFER_RENAME_FLAGS,
              DIFFER_EXCHANGE,
              DIFFER_ALLOCATE,
              DIFFER_SEEK,
              DIFFER_STALE,
              DIFFER_COUNT,
};
bool differs(enum differ which);
int differ_errno(enum differ which); /* 0: no error, it just is otherwise */
void differ_print(void);
