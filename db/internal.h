/*
 * What the files of db/ share.
 *
 * A transaction in memory is a byte string: for each operation one byte (enum db_op), then its
 * parameters in the order of the statement's, each a tag and a value (txn.c writes it, apply.c
 * binds it). So a new operation is a line in enum db_op, its SQL in db_op_sql, and a function in
 * txn.c.
 *
 * Locks: db->lock (queue, sequence numbers, waiting) and db->pool.lock (idle connections). Neither
 * is taken while the other is held, and neither is held over a call of SQLite that may use the
 * disk.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <bsd/sys/queue.h>

#include "db/db.h"

enum {
    DB_POOL_MAX = 8,            /* read connections */
    DB_READ_CACHE_KIB = 2048,   /* page cache of each */
    DB_WRITE_CACHE_KIB = 16384, /* page cache of the writer's */
    DB_GROUP_OPS = 20000,       /* operations after which a group takes no more transactions */
    DB_BUSY_MS = 5000,          /* wait for another process that holds the file (a backup tool) */
    DB_CHECK_MS = 2000,         /* longest integrity check at start */
    DB_CHECK_PAGES = 65536,     /* pages of a database up to which it checks the large tables */
    DB_ID_FIRST = 16,
    DB_ID_BLOCK = 65536,
    DB_CHUNK_ROWS = 128, /* rows read at once before their callbacks run */
};

enum db_op {
    DB_OP_PUT_INODE,
    DB_OP_DEL_INODE,
    DB_OP_DEL_INODE_EXTENTS,
    DB_OP_DEL_INODE_REDIRECTS,
    DB_OP_DEL_INODE_PARTS,
    DB_OP_DEL_INODE_UPLOADS,
    DB_OP_PUT_DIRENT,
    DB_OP_DEL_DIRENT,
    DB_OP_PUT_EXTENT,
    DB_OP_DEL_EXTENT,
    DB_OP_DEL_EXTENTS,
    DB_OP_PUT_INTENT,
    DB_OP_DEL_INTENT,
    DB_OP_PUT_UPLOAD,
    DB_OP_DEL_UPLOAD,
    DB_OP_DEL_UPLOAD_PARTS,
    DB_OP_PUT_PART,
    DB_OP_PUT_REDIRECT,
    DB_OP_DEL_REDIRECT,
    DB_OP_PUT_REPLY,
    DB_OP_TRIM_REPLIES,
    DB_OP_PUT_REDO,
    DB_OP_DEL_REDO,
    DB_OP_PUT_META,
    DB_OP_PUT_VOLUME,
    DB_OP_COUNT
};
extern const char *const db_op_sql[DB_OP_COUNT];

/* Tags of parameters: 0..8 = an integer of so many bytes, little-endian, sign-extended. */
enum db_tag { DB_TAG_INT_MAX = 8, DB_TAG_NULL, DB_TAG_TEXT, DB_TAG_BLOB };

struct db_txn {
    STAILQ_ENTRY(db_txn) next;
    struct db *db;
    uint64_t seq;
    uint32_t ops;
    size_t len, cap;
    uint8_t *buf;
};
STAILQ_HEAD(db_txn_list, db_txn);

enum db_read {
    DB_READ_META,
    DB_READ_VOLUME,
    DB_READ_INODE,
    DB_READ_DIRENT,
    DB_READ_DIRENT_INODE,
    DB_READ_FIND_AFTER,
    DB_READ_FIND_BEFORE,
    DB_READ_COUNT_DIRENTS,
    DB_READ_LIST_DIRENTS,
    DB_READ_RANGE_DIRENTS,
    DB_READ_FLAGGED,
    DB_READ_FLAGGED_SLOW,
    DB_READ_EXTENTS,
    DB_READ_ALL_EXTENTS,
    DB_READ_INTENTS,
    DB_READ_UPLOADS,
    DB_READ_PARTS,
    DB_READ_REDIRECTS,
    DB_READ_REPLIES,
    DB_READ_REDO,
    DB_READ_COUNT
};
extern const char *const db_read_sql[DB_READ_COUNT];

struct db_conn {
    SLIST_ENTRY(db_conn) next;
    sqlite3 *sql;
    sqlite3_stmt *stmts[DB_READ_COUNT]; /* prepared when first needed */
};

struct db_pool {
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    SLIST_HEAD(, db_conn) idle;
    uint32_t open; /* idle or in use */
};

struct db_writer { /* touched by the writer thread only, once that runs */
    sqlite3 *sql;
    sqlite3_stmt *stmts[DB_OP_COUNT];
    int param_counts[DB_OP_COUNT];
    uint32_t untrimmed;      /* replies put since the last trim */
    int wal_pages;           /* after the last commit */
    int wal_pages_attempted; /* at the last checkpoint since the log began anew */
};

struct db {
    char *path; /* of the database file */
    int lock_fd;

    pthread_mutex_t lock;
    pthread_cond_t work; /* the writer waits */
    pthread_cond_t done; /* others wait for the writer */
    struct db_txn_list queue;
    uint64_t submitted; /* sequence number given last */
    bool stop;
    void (*durable_fn)(void *ctx, uint64_t seq);
    void *durable_ctx;

    _Atomic uint64_t durable;
    _Atomic uint64_t id_next;  /* not given out yet */
    _Atomic uint64_t id_limit; /* ids below are reserved in the database */
    _Atomic bool id_wanted;    /* the writer has been asked to reserve more */
    _Atomic uint64_t queued_bytes;
    _Atomic int disk_err; /* of the last attempt; 0 = it went well */
    _Atomic int64_t disk_err_ns;

    pthread_t writer_thread;
    struct db_writer writer;
    struct db_pool pool;
};

/* sqlite.c: errors and connections */
int db_sqlite_errno(sqlite3 *sql, int rc); /* negative errno of a result code */
int db_fail(struct db_error *reterr, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The errno of a result code, with a sentence: "database PATH DOING: WHY". */
int db_sqlite_fail(sqlite3 *sql, int rc, const char *doing, struct db_error *reterr);
int db_sqlite_open(const char *path, int flags, int cache_kib, sqlite3 **ret);
int db_sqlite_exec(sqlite3 *sql, const char *text);                        /* a result code */
int db_sqlite_int(sqlite3 *sql, const char *text, int64_t *ret);           /* a result code */
int db_sqlite_prepare(sqlite3 *sql, const char *text, sqlite3_stmt **ret); /* a result code */

/* lock.c: the state directory */
int db_dir_make(const char *state_dir, struct db_error *reterr);
int db_lock_take(const char *state_dir, int *ret_fd, struct db_error *reterr);

/* schema.c */
struct db_migration {
    int version; /* that it leads to */
    const char *sql;
};
extern const struct db_migration db_migrations[];
extern const size_t db_migration_count;
/* The version of a database of ours, 0 for an empty one. -EUCLEAN: somebody else's. */
int db_schema_ours(sqlite3 *sql, int64_t *ret_version, struct db_error *reterr);
int db_schema_migrate(sqlite3 *sql, const struct db_migration *migrations, size_t count,
                      struct db_error *reterr);
/* Looks for damage until the deadline. 0 or -EUCLEAN. */
int db_schema_check(sqlite3 *sql, int64_t deadline_ns, struct db_error *reterr);

/* apply.c: the writer's connection, which is open already */
int db_apply_open(struct db *db, struct db_error *reterr); /* its settings and statements */
void db_apply_close(struct db *db);
int db_apply(struct db_writer *writer, const struct db_txn *txn); /* a result code */
int db_apply_trim(struct db_writer *writer); /* replies that are too many; a result code */

/* writer.c */
/* Before the thread runs: reserves the first ids, and shows that the database can be written. */
int db_writer_begin(struct db *db, struct db_error *reterr);
void *db_writer_main(void *db);

/* ids.c */
int db_ids_load(struct db *db);        /* reserves the first range; before the thread */
bool db_ids_low(struct db *db);        /* more should be reserved */
uint64_t db_ids_target(struct db *db); /* the limit to make durable */
void db_ids_grown(struct db *db, uint64_t id_limit); /* is durable; db->lock held */

/* txn.c */
void db_put_volume(struct db_txn *txn, const char *identity, uint64_t root);
void db_put_number(struct db_txn *txn, const char *name, uint64_t value); /* meta, 8 bytes LE */

/* pool.c: one statement on a read connection. Close it on every path: CLEANUP_CURSOR. */
struct db_cursor {
    struct db *db;
    struct db_conn *conn;
    sqlite3_stmt *stmt;
};
void db_pool_init(struct db_pool *pool);
void db_pool_close(struct db_pool *pool);
int db_cursor_open(struct db *db, enum db_read which, struct db_cursor *ret);
int db_cursor_next(struct db_cursor *cursor); /* 1 = a row, 0 = no more, or -errno */
void db_cursor_close(struct db_cursor *cursor);
#define CLEANUP_CURSOR __attribute__((cleanup(db_cursor_close)))

/* read.c: rows out of statements */
#define DB_INODE_COLUMNS                                                                           \
    "i.id, i.volume, i.type, i.flags, i.mode, i.uid, i.gid, i.size, i.atime, i.mtime, i.ctime, "   \
    "i.change, i.parent, i.base_epoch, i.base_key, i.base_etag, i.base_size, i.base_len, i.verf, " \
    "i.target, i.extra_meta, i.flight_key, i.flight_size, i.flight_len, "                          \
    "i.flight_mtime"
enum { DB_INODE_COLUMN_COUNT = 25 };
void db_read_inode_row(sqlite3_stmt *stmt, int column, struct db_inode *ret);
void db_bind_u64(sqlite3_stmt *stmt, int param, uint64_t value);
uint64_t db_column_u64(sqlite3_stmt *stmt, int column);
char *db_column_strdup(sqlite3_stmt *stmt, int column); /* NULL for NULL */
void db_column_name(sqlite3_stmt *stmt, int column, char ret[DB_NAME_MAX + 1]);
