/*
 * Faults on purpose, in test programs only: calls to the store and to the files of the state
 * directory fail, are cut short, wait, are carried out twice, lose their reply, or kill the
 * process, by rules that can change while it runs. README.md has the language of the rules.
 *
 * A program that links the target "fault" has it all: its own definitions of pwrite, fdatasync and
 * the like come before libc's, for libsqlite3 too, and store_open gives every store wrapped
 * (--wrap=store_open). Without rules everything passes through, and is counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/store.h"

/* Where a fault can strike. The first are those of enum store_op, in its order. */
enum fault_point {
    FAULT_STORE_HEAD,
    FAULT_STORE_LIST,
    FAULT_STORE_GET,
    FAULT_STORE_PUT,
    FAULT_STORE_COPY,
    FAULT_STORE_DELETE,
    FAULT_STORE_MPU_BEGIN,
    FAULT_STORE_MPU_PART,
    FAULT_STORE_MPU_COPY,
    FAULT_STORE_MPU_COMPLETE,
    FAULT_STORE_MPU_ABORT,
    /* files: pailfs.db* of the state directory, then stage/ and its segments, in the same order */
    FAULT_DB,
    FAULT_OPEN = 0,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_SYNC,
    FAULT_TRUNCATE,
    FAULT_ALLOCATE, /* and holes */
    FAULT_UNLINK,
    FAULT_FILE_OPS,
    FAULT_STAGE = FAULT_DB + FAULT_FILE_OPS,
    FAULT_POINTS = FAULT_STAGE + FAULT_FILE_OPS,
};

enum fault_action {
    FAULT_NONE,
    FAULT_ERROR,      /* not carried out; err */
    FAULT_CUT,        /* carried out in part: half of a write or of what a GET gives; err if set */
    FAULT_TWICE,      /* carried out twice; the first result counts */
    FAULT_LOSE,       /* carried out, and then: err */
    FAULT_STALL,      /* waits until the rules change or its deadline passes: -EAGAIN then */
    FAULT_KILL,       /* the process is killed instead */
    FAULT_KILL_AFTER, /* ... when it has been carried out, before anybody knows */
};

struct fault_decision {
    enum fault_action action;
    int err; /* negative errno */
    int64_t delay_ns;
};

/* --- rules.c --- */

/* Replaces all rules, also those of the control file, until that changes. NULL = none. 0 or -EINVAL
 * (said on stderr). */
int fault_rules_set(const char *text);
/* What is to happen to this call; kills at once if that is it. name: key or file name. per_key: a
 * key of a DELETE, which only rules with key= look at, or (name NULL) the DELETE as a whole, which
 * only the others do. */
struct fault_decision fault_decide(enum fault_point point, const char *name, bool per_key);
/* How often a rule (0 is the first) was met, and has struck, since the rules were set. */
uint64_t fault_rule_seen(size_t rule);
uint64_t fault_rule_hits(size_t rule);
void fault_rule_end(size_t rule); /* it strikes no more; the others go on */
uint64_t fault_rules_gen(void);   /* changes with the rules */
void fault_caps(struct store_caps *caps);
void fault_kill(void) __attribute__((noreturn));

/* --- counts.c --- */

struct fault_count {
    char name[32]; /* "store.put" */
    _Atomic uint64_t calls, faults, in_flight, in_flight_max, bytes, keys;
};
/* One record for each point, in order; shared with the file CONTROL.counts if there is one. */
struct fault_count *fault_counts(void);
const char *fault_point_name(enum fault_point point);
void fault_count_begin(enum fault_point point, uint64_t bytes, uint64_t keys);
void fault_count_end(enum fault_point point);
void fault_counts_reset(void); /* all but what is in flight */

/* --- wrap.c, timer.c --- */

/* Takes inner over. */
struct store *fault_store_wrap(struct store *inner);
/* store_open as it is, for a look at the store without faults. */
int fault_plain_store_open(const char *url, const struct store_config *config, struct store **ret,
                           struct store_error *reterr);

struct fault_timer;
struct fault_timer *fault_timer_new(void);
void fault_timer_free(struct fault_timer *timer); /* nothing may be waiting */

/* fn(item) runs on the timer's thread at at_ns, or soon after the rules are no longer those of gen
 * if stall is set. */
struct fault_item {
    struct fault_item *next;
    int64_t at_ns;
    uint64_t gen;
    bool stall;
    void (*fn)(struct fault_item *item);
};
void fault_timer_add(struct fault_timer *timer, struct fault_item *item);
