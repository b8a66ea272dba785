/*
 * Inspecting a state directory that no gateway runs on: every relation that the database and the
 * stage must keep, and on request whether the buckets hold what the state says they do. Nothing is
 * changed, neither in the directory nor in a bucket. Memory is bounded, whatever the number of
 * files; temporary tables go where SQLite puts them (TMPDIR, /var/tmp).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"

struct fs_check_config {
    const char *state_dir;
    /* Compare with the buckets too, opened with these options (the endpoint is taken from the
     * state unless it is given). NULL: do not. */
    const struct store_config *store;
};

enum fs_check_kind {
    FS_CHECK_PROBLEM, /* must not be */
    FS_CHECK_NOTE,    /* worth knowing, and right */
};

struct fs_check_counts {
    uint64_t problems;
    uint64_t volumes, files, dirs, links, names;
    uint64_t dirty, dirty_bytes; /* inodes ahead of their store, and bytes staged for them */
    uint64_t extents, intents, redirects, replies, uploads, parts;
    uint64_t segments, segment_bytes, orphan_bytes;
    uint64_t objects, matched, unknown; /* with the buckets: listed, as the state says, not in it */
};

/* One sentence, without a newline. */
typedef void fs_check_fn(void *ctx, enum fs_check_kind kind, const char *sentence);

/* 0 when the check was made (ret->problems says with what result), or a negative errno and a
 * sentence when there is nothing that could be checked. */
int fs_check(const struct fs_check_config *config, fs_check_fn *fn, void *ctx,
             struct fs_check_counts *ret, struct fs_error *reterr);
