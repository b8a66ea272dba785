/* The list of mounts: what mounts.c, mount_open.c and mount_place.c share. See mounts_int.h. */
#pragma once

#include "fs/fs_int.h"

/* A store that is being opened, on a thread of its own that nobody has to wait for. */
struct opening;

struct mount {
    struct fs_volume *top;
    char *path, *url, *options;
    bool keep;
    struct store_config store;
    struct fs_volume_config config;

    struct fs_volume *real, *failed; /* volumes; real wins */
    struct opening *opening;
    uint32_t tries;
    int64_t next_ns; /* when to open it, or to look for its place, again */
    int open_err, place_err;
    char error[512];       /* why real is NULL */
    char place_error[512]; /* why in is NULL */

    struct fs_volume *in; /* where it is; NULL: nowhere */
    uint64_t at;
    uint64_t at_dir; /* the directory that at is in */
    struct fs_volume *shown;
};

struct retired { /* a store that may still have requests out */
    struct store *store;
    int64_t close_ns;
};

struct mounts {
    struct fs *fs;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool busy; /* somebody is changing the list, and may write the fields of mounts */
    bool running, stopping;
    bool ending;         /* volumes wait for the end of their threads */
    struct mount **list; /* by top and path */
    size_t count;
    pthread_t thread;
    struct retired *retired;
    size_t retired_count;
};

/* --- mount_open.c --- */

void mount_open_begin(struct mounts *mounts, struct mount *m);
/* Takes the outcome, if there is one: m->real, or m->error and when to try again. */
void mount_open_end(struct mounts *mounts, struct mount *m);
/* Waits until all mounts that are being opened have an outcome, or the deadline. */
void mount_open_wait(struct mount *const *list, size_t count, int64_t deadline_ns);
void mount_open_forget(struct mount *m); /* whoever opens it cleans up */
/* A volume for the time while m->real is NULL. */
int mount_open_failed(struct mounts *mounts, struct mount *m);

/* --- mount_place.c --- */

/* Finds every mount's place and has it show there. The list is busy. */
void mount_place_all(struct mounts *mounts);
/* What m hides shows again. m is not in the list any more. */
void mount_place_clear(struct mount *m);
