/*
 * What tests of fuse/ stand on: a volume over a real directory of files, mounted in this process,
 * with faults at the store's door. Tests make system calls below rig_mnt, which are answered by
 * other threads of the process.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fs/fs.h"
#include "fuse/front.h"
#include "tests/await.h"
#include "tests/fault/fault.h"

enum { RIG_WAIT_S = 60 };

extern char rig_mnt[128], rig_bucket[128];
extern struct fs *rig_fs;
extern struct fs_volume *rig_vol;
extern struct front *rig_front;

/* For the next rig_start; rig_setup sets the defaults anew. */
struct rig_config {
    int64_t attr_ttl_ns, quiet_ns, deadline_ns, retry_max_ns;
    enum front_commit commit;
    bool read_only, shared;
    uint32_t threads_max;
};
extern struct rig_config rig_config;

int rig_main(const struct CMUnitTest *tests, size_t count); /* 77 if FUSE is missing here */
int rig_setup(void **state);                                /* directories, defaults; not started */
int rig_teardown(void **state);                             /* stops, and leaves nothing */
void rig_start(void);
void rig_stop(void);
int rig_front_start(struct front **ret, struct front_error *err); /* another one in that place */

/* Calls that the front end made of fs. */
extern atomic_uint rig_reads, rig_commits, rig_store_commits;

/* rig_path("a/%d", 1): below the mount; good for the next 8 calls of it. */
const char *rig_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *rig_bucket_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Behind pailfs's back, as a rename, so that the object is another one. */
void rig_bucket_put(const char *name, const char *body);
void rig_put(const char *name, const char *body); /* through the mount */
bool rig_body_is(const char *path, const char *body);

/* Runs fn(arg) in a child that may only make system calls; its exit status. */
pid_t rig_fork(void);
pid_t rig_child(int (*fn)(void *arg), void *arg);
int rig_child_wait(pid_t pid); /* exit status, or -signal */
