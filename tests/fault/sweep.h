/*
 * The sweep: scenarios of a few operations, run again and again, each time with the next call to
 * the store or to a file of the state directory going wrong. What the client was told is true
 * afterwards, what it was not told has happened as a whole or not at all, and when the fault is
 * gone the bucket gets there without anybody asking.
 *
 * A run is one scenario in a directory of its own ("r7") with one fault. Runs of faults that can be
 * tied to keys share a gateway and go side by side.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/store.h"
#include "fs/fs.h"
#include "fs/status.h"
#include "tests/fault/fault.h"

enum {
    SWEEP_STEPS_MAX = 64,
    SWEEP_WAIT_S = 60,
    SWEEP_BLINK_MS = 300,
    SWEEP_PART_UNITS = 8,
    SWEEP_REFUSED = 3
};

/* --- model.c: what there should be --- */

enum step_op {
    STEP_END,
    STEP_MKDIR,
    STEP_CREATE,     /* an empty file */
    STEP_WRITE,      /* UNSTABLE pieces, then COMMIT */
    STEP_SYNC_WRITE, /* one piece, FILE_SYNC */
    STEP_TRUNCATE,   /* to len */
    STEP_CHMOD,      /* to value */
    STEP_PUNCH,      /* zeros, then COMMIT */
    STEP_COPY,       /* all of the file to into path, then COMMIT */
    STEP_RENAME,
    STEP_EXCHANGE,    /* with to */
    STEP_REMOVE_OPEN, /* a file that is open, used after that, and closed */
    STEP_REMOVE,
    STEP_RMDIR,
};
struct step {
    enum step_op op;
    const char *path, *to; /* below the run's directory; to: RENAME, EXCHANGE, COPY */
    uint64_t off, len;
    uint32_t value; /* which bytes; or mode */
};

struct scenario {
    const char *name;
    struct step setup[16]; /* done, and in the bucket, before the fault */
    struct step steps[24]; /* during it */
};
extern struct scenario sweep_scenarios[]; /* name NULL ends them */
/* Big files are measured in units: 8 of them are a part of an upload, 18 the largest file. */
extern uint64_t sweep_unit;
void sweep_scale(uint64_t unit);

struct node {
    char *path;
    bool dir;
    uint32_t mode;
    uint64_t ino; /* 0: not known */
    size_t len;
    char *body;
};
struct tree {
    struct node *nodes;
    size_t count;
};
void tree_clear(struct tree *tree);
void tree_copy(struct tree *dst, const struct tree *src);
struct node *tree_find(const struct tree *tree, const char *path);
struct node *tree_add(struct tree *tree, const char *path, bool dir, uint32_t mode);
void tree_apply(struct tree *tree, const struct step *step, uint64_t ino);
/* The byte of pattern value at off. */
char step_byte(uint32_t value, uint64_t off);
/* NULL: the same; else a sentence to free. Of got only what it has: inode 0 and mode 0 match all.
 * loose: bodies of this path may be a mixture of want's and other's. */
char *tree_differs(const struct tree *got, const struct tree *want);
char *tree_differs_loose(const struct tree *got, const struct tree *want, const struct tree *other,
                         const char *loose);

/* --- client.c: the gateway, and a client of it, in this process --- */

struct gateway {
    struct fs *fs;
    struct fs_volume *vol;
    struct store *plain; /* the same store, without faults */
};
struct sweep_place {
    char *state_dir;
    char *url;
    const char *endpoint; /* or NULL */
    bool small_parts;     /* the store takes parts of any size */
};
/* Rules that hold all the time, beside those of the runs; NULL = none. */
extern const char *sweep_always;
void sweep_rules(const char *rules); /* these and sweep_always are the rules now; NULL = none */
/* With these rules (NULL = none) from the beginning. Ends the process with a sentence, and
 * SWEEP_REFUSED, if it does not start. */
void gateway_start(struct gateway *g, const struct sweep_place *place, const char *rules);
void gateway_stop(struct gateway *g, int wait_s);

/* One step, tried until its deadline as an NFS client does it. 0, or the error the client is told.
 * ret_ino: of what was made. */
int client_step(struct gateway *g, uint64_t dir, const struct step *step, int64_t deadline_ns,
                uint64_t *ret_ino);
int client_make_dir(struct gateway *g, uint64_t dir, const char *name, uint64_t *ret_ino);
int client_lookup(struct gateway *g, uint64_t dir, const char *name, uint64_t *ret_ino);
/* All that a client sees below dir. */
int client_view(struct gateway *g, uint64_t dir, struct tree *ret);

/* --- bucket.c --- */

/* All that the bucket has below prefix ("r7/"). Directories only where they have an object. */
int bucket_view(struct gateway *g, const char *prefix, struct tree *ret);
/* NULL: the bucket has the files of want, and no other; else a sentence. */
char *bucket_differs(const struct tree *got, const struct tree *want);

/* --- run.c --- */

/* What a process leaves of itself when it is killed. */
struct progress {
    uint64_t inos[2 * SWEEP_STEPS_MAX]; /* what setup and steps made */
    _Atomic uint32_t acked;             /* steps that were acknowledged */
    _Atomic bool armed, finished, reached;
};

struct run {
    const struct scenario *scenario;
    char name[16];     /* of its directory */
    const char *fault; /* points, and what happens there */
    size_t rule;       /* which of the rules is its own */
    bool lasting;      /* from its call on, until the client has seen it */
    bool patient;      /* everything has to come by itself, in its time */
    struct progress *progress;

    uint64_t dir;
    struct tree tree; /* what there should be: setup, and the steps that were acknowledged */
    bool reached;     /* the fault has struck */
    char *problem;    /* what is wrong, or NULL */
};
void run_clear(struct run *run);

/* Its directory, as the scenario begins. */
void run_prepare(struct gateway *g, struct run *run);
/* Waits until the gateway has nothing left to do for the bucket. */
void run_quiet(struct gateway *g, struct run *run, const char *when);
/* The steps with the fault, whose rule is set, and the check. */
void run_steps(struct gateway *g, struct run *run);
/* After a kill: checks what the process before left, goes on where it stopped, checks the end. */
void run_resume(struct gateway *g, struct run *run);

/* --- job.c --- */

/* nth = 1, 2, 3 ... until the scenario passes without the fault. */
struct job {
    const char *scenario;
    const char *fault; /* points and words of a rule */
    enum sweep_kind {
        SWEEP_ALONE,    /* one run at a time */
        SWEEP_TOGETHER, /* faults tied to keys: many at a time */
        SWEEP_KILLS,    /* each ends its process */
        SWEEP_RECOVERY, /* ... and the one that takes up what was left is killed, or fails, too */
    } kind;
    bool lasting;
    uint64_t stride; /* every nth n only; 0 = 1 */
};
/* only: this n, or 0 = all. True: all is well; ret_runs: how many there were. */
bool job_run(const struct job *job, const struct sweep_place *place, uint64_t only,
             uint64_t *ret_runs);
