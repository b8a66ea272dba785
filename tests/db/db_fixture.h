/* A state directory per test, and rows to put into a database. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "db/db.h"

struct fixture {
    char dir[64]; /* the state directory */
    struct db *db;
};

int fixture_setup(void **state);     /* with an open database */
int fixture_setup_dir(void **state); /* without */
int fixture_teardown(void **state);
void fixture_reopen(struct fixture *f);
/* Opens, expecting this error; the sentence must contain text. */
void fixture_open_fails(struct fixture *f, int err, const char *text);

/* Submits and waits until it is durable, 30 s at most. */
void fixture_commit(struct fixture *f, struct db_txn *txn);
void fixture_wait(struct fixture *f, uint64_t seq);

/* A plausible file row. */
struct db_inode fixture_inode(uint64_t id, uint64_t parent);
/* A file with its name, in one transaction's worth of operations. */
void fixture_put_file(struct db_txn *txn, uint64_t inode, uint64_t dirent, uint64_t parent,
                      const char *name);
