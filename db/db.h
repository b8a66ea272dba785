/*
 * What must survive a restart, in one SQLite database (WAL) in the state directory.
 *
 * Writing: a caller gathers row changes in a struct db_txn and submits it. Submission only queues:
 * it never touches the disk, so it may be called under a lock, and the order of submissions is the
 * order of the effects. One writer thread groups what is queued into one SQLite transaction, syncs,
 * and then announces the highest sequence number that is durable. A group that fails (disk full,
 * I/O error) is tried again for ever, with a growing delay, and logged: what was submitted is never
 * dropped while the process lives, and never announced before it is durable.
 *
 * Reading: a pool of read-only connections; a read sees everything that was durable when it began
 * and nothing newer is promised. Reads block on the disk; never call them under a lock. Callbacks
 * get rows that were read before, a chunk at a time: they may take long, read and submit, and one
 * walk is not one snapshot.
 *
 * The rows are those of fs/ (see ARCHITECTURE.md, "On disk"); db/ gives them no meaning.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_txn;

enum {
    DB_NAME_MAX = 255,
    DB_KEY_MAX = 1024,
    DB_ETAG_MAX = 128,
    DB_VERF_SIZE = 8,
    DB_CHECKSUM_MAX = 16
};

/* inode: one file, directory or symlink. The strings are borrowed when written; when read they are
 * valid until db_inode_clear. */
struct db_inode {
    uint64_t id;
    uint32_t volume;
    uint8_t type;   /* enum fs_type */
    uint32_t flags; /* enum fs_inode_flag bits that are kept */
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t atime_ns, mtime_ns, ctime_ns;
    uint64_t change;            /* counts changes of content or attributes */
    uint64_t parent;            /* for directories and displaced files: parent inode, else 0 */
    uint64_t base_epoch;        /* when the base got its key, see ARCHITECTURE.md "Redirects" */
    char *base_key;             /* NULL = the key follows from the path */
    char *base_etag;            /* NULL = no base */
    uint64_t base_size;         /* size of the base object */
    uint64_t base_len;          /* bytes of it that still count (truncation) */
    uint8_t verf[DB_VERF_SIZE]; /* of CREATE EXCLUSIVE */
    char *target;               /* of a symlink, else NULL */
    char
        *extra_meta; /* metadata of the object that is not ours, to carry over; "name=value\n"... */
    char *flight_key;     /* an upload that was begun: the key it writes; NULL = none */
    uint64_t flight_size; /* and how to tell its object: size, and mtime_ns in its metadata */
    int64_t flight_mtime_ns;
    uint64_t flight_len; /* bytes of it that still count (truncation) */
};
void db_inode_clear(struct db_inode *row); /* frees the strings */
/* With strings of its own: for rows that have to outlive a callback. */
void db_inode_copy(struct db_inode *dst, const struct db_inode *src);

struct db_dirent {
    uint64_t id; /* the READDIR cookie */
    uint64_t parent, inode;
    char name[DB_NAME_MAX + 1];
};

struct db_extent {
    uint64_t inode, off, len, version;
    uint64_t segment, pos; /* where in the stage */
};

struct db_intent {
    uint64_t id;
    uint32_t volume;
    uint32_t kind; /* enum of fs/ */
    uint64_t inode, arg;
    char *key, *etag; /* borrowed when written; until the callback returns when read; may be NULL */
};

/* A multipart upload that was begun in the store and is not over. */
struct db_upload {
    uint64_t id;
    uint32_t volume;
    uint64_t inode;  /* 0 = nobody wants it any more: it is to be aborted */
    char *key;       /* borrowed when written; until the callback returns when read */
    char *upload_id; /* the store's; likewise */
    uint64_t part_size;
    uint64_t version; /* of the content that was asked to be put together; 0 = not asked yet */
    int64_t mtime_ns; /* in the metadata it was begun with, */
    uint64_t meta;    /* and a hash of all of that metadata */
    int64_t begun_ns; /* wall clock; 0 = not known */
};

struct db_part { /* a part that the store has; (upload, number) is the primary key */
    uint64_t upload;
    uint32_t number; /* part n begins at (n - 1) * part_size */
    uint64_t len;
    uint64_t sign[2]; /* what it was made from */
    bool copied;      /* by the store, from the base */
    char etag[DB_ETAG_MAX];
    char checksum[DB_CHECKSUM_MAX]; /* "" = none */
};

struct db_redirect {
    uint64_t inode, epoch; /* (inode, epoch) is the primary key */
    uint32_t volume;
    char *prefix;
};

struct db_reply { /* one answered request, for retransmissions across a restart */
    const uint8_t *key;
    size_t key_len;
    const uint8_t *reply;
    size_t reply_len;
};

struct db_redo { /* bytes of the stage that are durable here before they are there */
    uint64_t id;
    uint64_t segment, salt, pos;
    const void *data;
    size_t len;
};

struct db_error {
    char text[512];
};

/*
 * Opens or creates state_dir/pailfs.db, holding state_dir/lock against other processes. Negative
 * errno and a sentence on failure: -EBUSY in use by another process, -EUCLEAN damaged, -EPROTO made
 * by a newer version, others as the system gave them.
 */
int db_open(const char *state_dir, struct db **ret, struct db_error *reterr);
/* Waits until all that was submitted is durable, then closes; NULL is fine. While the disk refuses
 * writes it tries once more, then logs how many transactions are lost. No other call may be under
 * way, or follow. False: some were lost. */
bool db_close(struct db *db);

/* --- small values: identity, keys, counters --- */

/* Copies at most cap bytes. Returns the length, or -ENOENT. */
int db_meta_get(struct db *db, const char *name, void *buf, size_t cap);
void db_meta_put(struct db_txn *txn, const char *name, const void *value, size_t len);

/* The volume number of an export's store identity; makes a new one (durable on return) the first
 * time. Numbers start at 1 and are never used again. ret_root: the root's inode id. */
int db_volume(struct db *db, const char *identity, uint32_t *ret_volume, uint64_t *ret_root);

/* A new id, unique for ever in this database, for inodes, dirents, intents and epochs alike;
 * greater than all before, and at least 16. Any thread, does not block: ranges are reserved ahead
 * of use. */
uint64_t db_next_id(struct db *db);

/* --- transactions --- */

struct db_txn *db_txn_new(struct db *db);
void db_txn_free(struct db_txn *txn); /* one that was not submitted; NULL is fine */

void db_put_inode(struct db_txn *txn, const struct db_inode *row); /* insert or replace by id */
/* The inode and its extents and redirects. An upload of it is one that nobody wants from then on,
 * and has no parts. */
void db_del_inode(struct db_txn *txn, uint64_t inode);
/* Insert or replace by (parent, name). */
void db_put_dirent(struct db_txn *txn, uint64_t id, uint64_t parent, const char *name,
                   uint64_t inode);
void db_del_dirent(struct db_txn *txn, uint64_t parent, const char *name);
void db_put_extent(struct db_txn *txn, const struct db_extent *row); /* by (inode, off) */
void db_del_extent(struct db_txn *txn, uint64_t inode, uint64_t off);
void db_del_extents(struct db_txn *txn, uint64_t inode, uint64_t version_max); /* version <= max */
void db_put_intent(struct db_txn *txn, const struct db_intent *row);
void db_del_intent(struct db_txn *txn, uint64_t id);
void db_put_upload(struct db_txn *txn, const struct db_upload *row);
void db_del_upload(struct db_txn *txn, uint64_t id); /* and its parts */
void db_put_part(struct db_txn *txn, const struct db_part *row);
void db_put_redirect(struct db_txn *txn, const struct db_redirect *row);
void db_del_redirect(struct db_txn *txn, uint64_t inode, uint64_t epoch);
/* Kept in arrival order; the oldest go when there are more than DB_REPLY_MAX. Of several with one
 * key the last counts. */
void db_put_reply(struct db_txn *txn, const struct db_reply *row);
enum { DB_REPLY_MAX = 8192 };
void db_put_redo(struct db_txn *txn, const struct db_redo *row); /* copies the bytes */
void db_del_redo(struct db_txn *txn, uint64_t id_max);           /* id <= max */

/* Queues txn (and frees it later); its sequence number. Never blocks on disk or network. An empty
 * transaction is allowed. */
uint64_t db_submit(struct db *db, struct db_txn *txn);

/* The highest sequence number that is durable, with all before it. Lock-free. */
uint64_t db_durable(struct db *db);

/* Waits until seq is durable or the deadline (monotonic ns). 0 or -EAGAIN. */
int db_wait(struct db *db, uint64_t seq, int64_t deadline_ns);

/*
 * How the writer is doing. What was submitted stays in memory until the disk takes it; a caller
 * that looks here before it changes anything keeps that within bounds.
 * 0: all is well. The negative errno of the disk, while it refuses; -EAGAIN while more than
 * DB_QUEUE_BYTES_MAX wait although it does not. Lock-free. ret may be NULL.
 */
enum { DB_QUEUE_BYTES_MAX = 64 << 20 };
struct db_health {
    int err;               /* of the disk: 0, or negative errno */
    int64_t since_ns;      /* wall clock: when it began to refuse; 0 if it does not */
    uint64_t queued_bytes; /* submitted and not durable */
};
int db_health(struct db *db, struct db_health *ret);

/* fn(ctx, seq) runs on the writer thread each time db_durable() has grown. Must be set before the
 * first submission that matters to it, and not block. */
void db_on_durable(struct db *db, void (*fn)(void *ctx, uint64_t seq), void *ctx);

/* --- reads --- 0, -ENOENT where one row was asked for, or another negative errno */

int db_get_inode(struct db *db, uint64_t id, struct db_inode *ret);
/* ret_inode may be NULL. */
int db_get_dirent(struct db *db, uint64_t parent, const char *name, struct db_dirent *ret,
                  struct db_inode *ret_inode);
/* A name of this inode, in the directory that its row has as parent. Without one there, -ENOENT. */
int db_find_dirent(struct db *db, uint64_t inode, struct db_dirent *ret);

/* Rows for a listing, in id order, id > after; the callback returns false to stop. */
typedef bool db_dirent_fn(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode);
int db_list_dirents(struct db *db, uint64_t parent, uint64_t after, uint32_t max, db_dirent_fn *fn,
                    void *ctx);
/* Rows in name order (bytewise), lo < name <= hi; lo NULL = from the first, hi NULL = to the last.
 */
int db_range_dirents(struct db *db, uint64_t parent, const char *lo, const char *hi,
                     db_dirent_fn *fn, void *ctx);
int db_count_dirents(struct db *db, uint64_t parent, uint32_t max, uint32_t *ret);

/* Inodes that have any of these flags, in id order. Of bits 1, 2 and 4 there is an index; others
 * read the whole table. */
typedef bool db_inode_fn(void *ctx, const struct db_inode *inode);
int db_each_flagged(struct db *db, uint32_t volume, uint32_t flags_any, db_inode_fn *fn, void *ctx);
typedef bool db_extent_fn(void *ctx, const struct db_extent *extent);
/* In order of (inode, off); inode 0 = of all. */
int db_each_extent(struct db *db, uint64_t inode, db_extent_fn *fn, void *ctx);
typedef bool db_intent_fn(void *ctx, const struct db_intent *intent);
int db_each_intent(struct db *db, uint32_t volume, db_intent_fn *fn, void *ctx); /* in id order */
typedef bool db_upload_fn(void *ctx, const struct db_upload *upload);
int db_each_upload(struct db *db, uint32_t volume, db_upload_fn *fn, void *ctx); /* in id order */
typedef bool db_part_fn(void *ctx, const struct db_part *part);
int db_each_part(struct db *db, uint64_t upload, db_part_fn *fn, void *ctx); /* in number order */
typedef bool db_redirect_fn(void *ctx, const struct db_redirect *redirect);
int db_each_redirect(struct db *db, uint32_t volume, db_redirect_fn *fn, void *ctx);
typedef bool db_reply_fn(void *ctx, const struct db_reply *reply);
int db_each_reply(struct db *db, db_reply_fn *fn, void *ctx); /* oldest first */
typedef bool db_redo_fn(void *ctx, const struct db_redo *redo);
int db_each_redo(struct db *db, db_redo_fn *fn, void *ctx); /* in id order */
