/* What the files of the check share. One thread, no locks. */
#pragma once

#include "db/view.h"
#include "fs/check.h"
#include "fs/fs_int.h"

enum {
    CHECK_TOLD_MAX = 20, /* sentences of one kind that are given; the others are counted */
    CHECK_KINDS_MAX = 128,
};

struct check_volume {
    uint64_t id, root;
    char *identity; /* "URL" or "URL at ENDPOINT" */
};

struct check_told { /* one kind of sentence, known by its format */
    const char *fmt;
    char *first;
    uint64_t count;
    enum fs_check_kind kind;
};

struct check_level { /* one directory on the way up */
    uint64_t id;
    char *name; /* "" at the root */
    struct redirect *redirects;
    size_t redirect_count;
};

struct check_chain { /* from one directory up to the root */
    uint64_t dir;    /* 0: none loaded */
    bool whole;      /* the root was reached */
    size_t count;
    struct check_level levels[DEPTH_MAX + 1];
};

struct check {
    const struct fs_check_config *config;
    struct fs_check_counts *counts;
    fs_check_fn *fn;
    void *ctx;
    struct db_view *view;
    uint64_t id_limit; /* 0: not known */
    struct check_volume *volumes;
    size_t volume_count;
    struct check_told told[CHECK_KINDS_MAX];
    size_t told_count;
    struct db_query *link, *child, *redirects; /* of check_path.c */
    struct check_chain chain;
    struct stage *stage; /* while its bytes are read; NULL: it has no files */
};

/* A sentence. Each format is a kind of its own, and literal. */
void check_say(struct check *c, enum fs_check_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define check_problem(c, ...) check_say((c), FS_CHECK_PROBLEM, __VA_ARGS__)
#define check_note(c, ...) check_say((c), FS_CHECK_NOTE, __VA_ARGS__)

/* Tells what the database could not answer since the last call. */
void check_database_errors(struct check *c, const char *about);

/* check_tree.c: volumes, inodes and names against each other. Makes the table temp.link. */
void check_tree(struct check *c);
/* check_rows.c: what each row says by itself, and whom it points at. */
void check_rows(struct check *c);
/* check_keys.c: whom keys belong to: deletions that are queued, bases, redirects. */
void check_keys(struct check *c);
/* check_stage.c: extents against each other and against the segment files. */
void check_stage(struct check *c);
/* check_store.c: the buckets. */
void check_stores(struct check *c);

/* --- check_path.c: names and keys, from the database alone --- */

void check_path_open(struct check *c);
void check_path_close(struct check *c);
struct check_who {
    char text[400];
};
/* 'file a/b (inode 12)'. */
const char *check_who(struct check *c, uint64_t inode, struct check_who *buf);
#define CHECK_WHO(c, inode) check_who((c), (inode), &(struct check_who){{0}})
/* A name of the inode. False if it has none. */
bool check_link(struct check *c, uint64_t inode, uint64_t *ret_parent,
                char ret_name[FS_NAME_MAX + 1]);
/* The key of name in dir (NULL: of dir itself) for something placed at epoch; UINT64_MAX: the
 * natural one. False if dir has no way to the root or there is no such key. */
bool check_key(struct check *c, uint64_t dir, const char *name, uint64_t epoch,
               char ret[STORE_KEY_MAX + 1]);
/* The inode at path below dir, or 0. A '/' at the end is ignored. */
uint64_t check_resolve(struct check *c, uint64_t dir, const char *path);
