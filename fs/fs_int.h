/*
 * What the files of fs/ share. The three ideas of ARCHITECTURE.md are here as types: a file's
 * content is a base plus extents (struct inode), a directory's content is a list of sources (struct
 * source), a namespace change is new state plus an intent (struct change, struct intent).
 *
 * Locks. Each volume has one mutex, volume->lock, which protects every inode, name, intent and
 * redirect of the volume. It is held for microseconds: never over a call that can wait for the
 * store, the disk or the database (db_submit only queues, so it may be called under it). Order:
 * volume->walk_lock (whoever counts), volume->lock, then the private locks inside db, stage,
 * reader, cloud and redo, then fs->pool_lock; fs->room_lock is a leaf.
 *
 * Looking again. A function whose name starts with need_ is called with the lock held and gives
 * what it names from memory. If it has to wait, it drops the lock, fetches, takes the lock again
 * and returns -ERESTART: the caller must start from the beginning, since anything may have changed.
 * With FS_NOWAIT it returns -EAGAIN instead of waiting. op_run() in op.c is that loop.
 *
 * Memory and database. What is in memory wins. An inode or a negative name whose last transaction
 * is not durable yet stays in memory, so a read from the database, which sees only what is durable,
 * never brings back what was changed meanwhile; load_gen tells a reader that something it might
 * have read an old row of was evicted while it read.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/clock.h"
#include "cloud/store.h"
#include "db/db.h"
#include "fs/copy.h"
#include "fs/defaults.h"
#include "fs/extent.h"
#include "fs/fs.h"
#include "fs/mpu.h"
#include "fs/reader.h"
#include "fs/stage.h"
#include "fs/status.h"
#include "fs/wait.h"

enum {
    SOURCES_RENAME_MAX =
        32, /* places of one directory: with more, a rename of it waits for drains */
    DEPTH_MAX = STORE_KEY_MAX / 2, /* every level takes two bytes of a key at least */
    UPLOAD_THREADS_MAX = 128,      /* as many as there is work for: a copy inside the store costs us
                                      nothing but a thread that waits */
    PART_BYTES = 8 << 20,          /* the smallest part we make; single PUT up to twice this */
    PARTS_AIM = 9000,              /* parts grow so that a file has fewer */
    PARTS_IN_FLIGHT = 16,          /* of one upload */
    LISTENERS_MAX = 16,
    INODE_BYTES = 768, /* about, with hash entries and strings: for the memory limit */
};

/* Kept in the database. The first three are what makes an inode wait for an upload, and are
 * indexed. */
enum inode_flag {
    INODE_DIRTY = 1,      /* content, or a directory's marker, is not in the store */
    INODE_META_DIRTY = 2, /* attributes are newer than the object's metadata */
    INODE_PLACE = 4,      /* the base lies under another key than the name says */
    INODE_META_KNOWN = 8, /* attributes come from the object's metadata or from us */
    INODE_MARKER = 16,    /* directory: the store has the object "d/" */
    INODE_LISTED = 32,    /* directory: was listed to the end once, or made here: what lies in
                             older places of it is known by name */
    INODE_EXCLUSIVE = 64, /* verf is that of the CREATE that made it */
    INODE_LOCAL = 128,    /* directory on the way to a sub-mount: only here; see mounts_int.h */
    INODE_TO_STORE = INODE_DIRTY | INODE_META_DIRTY | INODE_PLACE,
    INODE_KEPT = 255 | INODE_DEFAULTS,
    /* Only in memory. */
    INODE_GONE = 1 << 16,      /* removed; stays until that is durable */
    INODE_UPLOADING = 1 << 17, /* an upload thread works on it */
    INODE_ON_DIRTY = 1 << 18,  /* on volume->dirty */
    INODE_MODIFIED = 1 << 19,  /* its row was written since it was loaded */
    INODE_OBSERVED = 1 << 20,  /* directory: a client may have cached its names */
    INODE_LINKED = 1 << 21,    /* counted in its parent's kids: the way up is in memory */
    INODE_IN_CHANGE = 1 << 22, /* on change->rows */
    INODE_DETACH = 1 << 23,    /* its base has to be let go: see detach.c */
    INODE_MOVING = 1 << 24,    /* counted in volume->moving */
    INODE_RESCUING = 1 << 25,  /* its unsynced bytes are being staged again */
    INODE_RESCUED = 1 << 26,   /* they were, and not synced since */
    INODE_MOUNTED = 1 << 27,   /* directory: another volume's root shows in its place */
};

/* (parent, name), contiguous for the hash. */
struct name_key {
    uint64_t parent;
    char name[FS_NAME_MAX + 1];
};

struct redirect { /* of a renamed directory: bases older than epoch lie below prefix */
    uint64_t epoch;
    char *prefix;    /* ends in '/' */
    uint32_t rounds; /* looks that found something though nothing was on its way */
    uint64_t moved;  /* files that were sent on their way to the new place, in this run */
};

struct source {     /* one place where a directory's children may lie */
    uint64_t until; /* epoch of the redirect; UINT64_MAX for the natural prefix */
    char *prefix;
};
struct sources {
    struct source *s;
    size_t count, room;
};

struct scan { /* a listing of the store into the database, on its way */
    struct sources sources;
    size_t at;          /* source being listed */
    char *token, *last; /* continuation, and the last key seen, of it */
    int64_t started_ns;
    uint64_t load_gen; /* volume->load_gen then */
    uint64_t stamp;
    uint64_t dir_gen; /* volume->dir_gen when the sources were right */
    bool several;     /* the directory has more sources, of names that are known */
    bool busy;        /* somebody fetches a page */
    bool streaming;   /* the directory had no rows: what there is, is fresh */
};

struct inode {
    UT_hash_handle hh_id, hh_name, hh_target, hh_base, hh_flight;
    TAILQ_ENTRY(inode) lru;   /* on volume->lru if it may be evicted */
    TAILQ_ENTRY(inode) dirty; /* on volume->dirty if INODE_ON_DIRTY */
    TAILQ_ENTRY(inode) drain; /* on volume->draining if redirect_count > 0 */
    struct waiter wait;       /* in volume->uploads or parked, while on volume->dirty */
    struct key_node base_node, flight_node; /* in displaced_keys, flight_keys */
    uint64_t id;
    struct name_key *key; /* NULL: root, or the name is not loaded */
    size_t key_len;
    uint64_t dirent_id;
    uint32_t flags;
    uint32_t kids;            /* linked children: keep it in memory */
    uint32_t pins;            /* somebody uses it without the lock: no eviction, no free */
    uint32_t opens;           /* references of fs_open: no eviction either */
    uint64_t content_version; /* see fs_open.version; 0: not asked for yet */
    bool in_lru;

    enum fs_type type;
    uint32_t mode, uid, gid;
    uint64_t size;
    uint64_t disk_size; /* of what is durable: rows carry it while extents are not flushed */
    int64_t atime_ns, mtime_ns, ctime_ns;
    uint64_t change;
    uint8_t verf[FS_VERF_SIZE];
    char *target, *extra_meta;

    /* base */
    char *base_key, *base_etag; /* key NULL: follows from path and epoch; etag NULL: no base */
    uint64_t base_size, base_len, base_epoch;
    struct reader_file *file; /* made when first read */
    uint64_t file_gen;        /* volume->path_gen when its key was right */

    /* dirty extents */
    struct extent_map *extents; /* NULL = none ever */
    uint64_t write_version;     /* of the last write */
    uint64_t stage_mark;        /* of the last append */
    uint64_t first_mark;        /* of the first one after synced_mark, or earlier */
    uint64_t rescue_mark;       /* the lowest since a rescue began */
    uint64_t synced_mark;       /* up to here the stage is on the disk */

    uint64_t seq;       /* last transaction with its row or name; durable before eviction */
    int64_t checked_ns; /* when the store last confirmed it; 0 = never in this run */

    /* directory */
    uint64_t child_seq;  /* last transaction that changed its entries */
    uint64_t gen;        /* counts changes of its entries, in memory */
    int64_t complete_ns; /* start of the last scan that ended; 0 = none in this run */
    int64_t empty_ns;    /* when the store was last seen to have nothing below it */
    uint64_t empty_gen;  /* gen at that time */
    uint64_t entries;    /* about how many, from the last scan */
    uint64_t since; /* epoch of its last move, or its id if MKDIR made it: what was placed before
                       never lay below an older place of the directories above. 0: not known */
    struct scan *scan;
    struct redirect *redirects;
    size_t redirect_count;

    /* upload */
    char *target_key; /* on volume->targets while on volume->dirty */
    int64_t due_ns, dirty_since_ns;
    uint32_t tries;
    int sticky_err;        /* told to the next WRITE or COMMIT: see commit_late_error */
    bool lost_bytes;       /* sticky_err is about bytes that are nowhere: no upload makes it good */
    int told_err;          /* the last one that was told, */
    uint64_t told_version; /* and the write_version then */
    char
        *flight_key; /* key that an upload writes, or was writing before a crash: durable before the
                        upload begins, until its outcome is. On volume->flights while it runs */
    uint64_t flight_size; /* how to tell that upload's object */
    int64_t flight_mtime_ns;
    uint64_t flight_len;   /* bytes of it that still count: truncation lowers it */
    bool flight_live;      /* announced by an upload of this run that has not ended */
    bool flight_listed;    /* on volume->flights */
    uint64_t meta_version; /* counts changes of attributes that go into metadata */
    struct mpu *mpu;       /* begun in the store; the uploader's while UPLOADING */
    bool old_flight;       /* one before it may still be on the wire: as flight_... */
    uint64_t old_flight_size, old_flight_len;
    int64_t old_flight_mtime_ns;
    uint64_t upload_total, upload_done; /* bytes of the upload that runs; 0 if none does */
    int last_err;                       /* why its last upload failed; 0 after one that did not */
    int64_t last_err_ns;                /* when, wall clock */
    char *last_err_text;                /* what the store said; NULL if nothing */
};

struct negative { /* a name that is known not to be there */
    UT_hash_handle hh;
    TAILQ_ENTRY(negative) lru;
    int64_t checked_ns;
    uint64_t seq;
    size_t key_len;
    struct name_key key;
};

enum intent_kind { INTENT_DELETE = 1 };

struct intent {        /* something to do to a key, after the state has it */
    UT_hash_handle hh; /* by key */
    TAILQ_ENTRY(intent) link, ready_link;
    struct waiter wait;
    struct key_node node; /* in intent_keys */
    uint64_t id;
    enum intent_kind kind;
    char *key, *etag; /* etag NULL: whatever is there */
    uint64_t dir;     /* the directory it was removed from: its marker goes first */
    bool in_flight;
    bool again;           /* changed while in flight: once more */
    bool ready;           /* on volume->ready */
    bool checking;        /* on volume->to_check */
    uint64_t checked_gen; /* a marker: volume->dir_gen + 1 when no directory relied on it */
    bool alone;           /* waits for no upload that would absorb it, or make a marker first */
    int64_t due_ns;
    uint32_t tries;
    uint64_t seq;
};

struct touched { /* a key that we changed; answers to older questions do not count */
    UT_hash_handle hh;
    uint64_t stamp;
    char key[];
};

struct query { /* a question to the store that is out */
    TAILQ_ENTRY(query) link;
    uint64_t stamp;
};

struct grave {
    STAILQ_ENTRY(grave) link;
    uint64_t seq;
    struct extent_graves *bytes;
};

TAILQ_HEAD(inode_list, inode);
TAILQ_HEAD(negative_list, negative);
TAILQ_HEAD(intent_list, intent);
TAILQ_HEAD(query_list, query);
STAILQ_HEAD(grave_list, grave);

struct status_log { /* what "pailfs status" tells of the past */
    uint64_t uploads_done, upload_bytes, uploads_failed, deletes_done, deletes_failed;
    struct fs_status_event errors[FS_STATUS_EVENTS_MAX], conflicts[FS_STATUS_EVENTS_MAX];
    size_t error_at, conflict_at; /* the oldest of each ring */
};

struct fs_volume {
    struct fs *fs;
    struct fs_volume *_Atomic next; /* on fs->volumes, until the end */
    struct volume_mounts *mounts;   /* mounts_int.h */
    uint32_t id;
    uint64_t root;
    struct store *store;
    struct store_caps caps;
    bool read_only; /* by configuration, or because it cannot be written */
    struct fs_volume_config config;
    char *url;

    pthread_mutex_t lock;
    pthread_cond_t cond; /* something changed that a waiter may wait for */
    struct inode *by_id, *by_name;
    struct inode *targets;   /* on the dirty list, by the key they will have */
    struct inode *displaced; /* with a base_key, by it */
    struct inode *flights;   /* being uploaded, by the key they are written to */
    struct inode_list lru;   /* least recently used first */
    struct inode_list dirty;
    struct wait_queue uploads;   /* those of dirty that are to be looked at, by time */
    struct wait_queue deletions; /* intents, the same */
    struct wait_key *wait_keys;  /* what the others are parked on */
    struct key_tree displaced_keys, flight_keys, intent_keys;
    size_t moving; /* files that drains put on their way and that can go on */
    bool hurried;  /* flush_all was heeded */
    struct inode_list draining;
    struct inode_list orphans; /* by drain: orphan.c */
    struct negative *negatives;
    struct negative_list negative_lru;
    struct intent *intents;
    struct intent_list intent_list; /* in id order */
    struct intent_list to_check;    /* markers: does a directory live there? */
    struct intent_list ready;       /* gathered for the next request */
    size_t ready_count;
    int64_t ready_first_ns, ready_last_ns, ready_many_ns;
    bool intent_urgent; /* an upload waits for one: gather no longer */
    struct touched *touched;
    struct query_list queries; /* oldest first */
    struct grave_list graves;
    struct mpu_list mpu_aborts; /* uploads to abort */
    uint32_t uploading;         /* uploaders at work on it */
    uint64_t clock;             /* stamps of queries and touches */
    uint64_t load_gen;          /* counts evictions of rows that a reader may have read too early */
    uint64_t path_gen; /* counts renames and placements: keys made before one may be wrong */
    uint64_t dir_gen;  /* counts renames of directories: sources made before one may be wrong */
    uint64_t epoch;    /* of bases that are placed now */
    uint64_t inode_count, negative_count;
    uint64_t hidden; /* names in the store that cannot be paths, seen by listings */
    uint64_t conflicts;
    int64_t conflict_ms;    /* wall clock, in the last conflict name */
    uint64_t damaged_bytes; /* staged ones that were missing or damaged at the start */
    struct status_log log;
    struct copy_memory copies;   /* copy.c */
    pthread_mutex_t walk_lock;   /* one walk at a time; taken before lock */
    struct inode *walk_at_dirty; /* where the walk over a list goes on; see walk.c */
    struct intent *walk_at_intent;
    pthread_t keeper, intenter, drainer;
    bool stopping;
    bool flush_all;    /* stage pressure: nothing waits for its quiet time */
    bool draining_all; /* shutdown: the same, until the end */
};

typedef void fs_durable_fn(void *ctx, uint64_t seq);

struct fs {
    struct fs_config config;
    char *state_dir;
    struct db *db;
    struct stage *stage;
    struct redo *redo; /* redo.h */
    struct reader *reader;
    struct fs_volume *_Atomic volumes;
    struct mounts *mounts; /* mounts_int.h */
    uint8_t handle_key[16];
    _Atomic uint64_t verifier;
    _Atomic uint64_t content_id;
    uint64_t inode_limit; /* per volume */
    _Atomic(fs_durable_fn *) on_durable;
    void *on_durable_ctx; /* set before on_durable */
    struct fs_listener {
        fs_invalid_fn *fn;
        void *ctx;
    } listeners[LISTENERS_MAX];
    _Atomic unsigned listener_count;

    pthread_mutex_t room_lock; /* a leaf */
    pthread_cond_t room_cond;  /* something left the stage */
    uint32_t room_waiters;
    uint64_t room_live; /* live bytes, at the last look */
    int64_t room_ns;    /* when something last left */

    pthread_mutex_t pool_lock;
    pthread_cond_t pool_cond;
    pthread_cond_t upload_cond; /* idle uploaders; uploader_count has changed */
    uint32_t uploader_count, uploaders_idle;
    bool upload_watched;            /* one of the idle wakes when something gets due, */
    _Atomic int64_t upload_next_ns; /* then at the latest; INT64_MAX while none does */
    uint64_t part_buffers;          /* bytes that uploads hold; at most part_limit */
    uint64_t part_limit;
    uint64_t upload_gen; /* counts kicks */
    bool stopping;
    bool running;
};

static inline void vol_lock(struct fs_volume *vol)
{
    (void)pthread_mutex_lock(&vol->lock);
}
static inline void vol_unlock(struct fs_volume *vol)
{
    (void)pthread_mutex_unlock(&vol->lock);
}

/* --- op.c: the loop, waiting, transactions --- */

typedef int op_fn(struct fs_volume *vol, struct fs_req *req, void *args);
/* Calls fn with the lock held until it returns something else than -ERESTART, or the deadline. */
int op_run(struct fs_volume *vol, struct fs_req *req, op_fn *fn, void *args);
/* A request of the file system itself: may wait, is root. */
struct fs_req op_internal(int64_t deadline_ns);
/* The pause after that many failures of what the store is asked to do. */
int64_t op_retry_ns(const struct fs *fs, uint32_t tries);
/* Waits for vol->cond (dropping the lock). -ERESTART; -EAGAIN past the deadline or with FS_NOWAIT.
 */
int op_wait(struct fs_volume *vol, struct fs_req *req);
/* Like op_wait, until the transaction seq is durable. 0 if it is already. */
int op_wait_durable(struct fs_volume *vol, struct fs_req *req, uint64_t seq);

/* State that changes in one transaction. Lock held from begin to end. */
struct change {
    struct fs_volume *vol;
    struct db_txn *txn;
    struct inode **rows; /* rows to write and mark */
    size_t row_count, row_room;
    struct name_key *gone; /* names that this takes away */
    size_t gone_count, gone_room;
    struct intent **intents; /* made or changed by it */
    size_t intent_count, intent_room;
    struct extent_graves *graves[4]; /* to free once it is durable */
    size_t grave_count;
    uint64_t seq;
};
void change_begin(struct change *c, struct fs_volume *vol);
void change_row(struct change *c, struct inode *ino);                  /* twice is once */
void change_gone(struct change *c, uint64_t parent, const char *name); /* makes a negative */
void change_grave(struct change *c, struct extent_graves *bytes);      /* NULL is fine */
void change_intent(struct change *c, struct intent *intent);
/* Writes the rows, asks req (may be NULL) for the reply to keep, submits; sets seq everywhere. */
void change_end(struct change *c, struct fs_req *req);
/* For an operation that succeeded and had nothing to change: its reply is kept all the same,
 * because the second time there may be something to change. */
void change_none(struct fs_volume *vol, struct fs_req *req);

/* --- inode.c: the tables in memory --- */

struct inode *inode_find(struct fs_volume *vol, uint64_t id); /* memory only; may be GONE */
struct inode *inode_find_name(struct fs_volume *vol, uint64_t parent, const char *name);
struct inode *inode_new(struct fs_volume *vol, uint64_t id, enum fs_type type); /* in by_id */
/* From rows; if it is in memory already, that one. */
struct inode *inode_load(struct fs_volume *vol, const struct db_inode *row,
                         const struct db_dirent *dirent);
void inode_set_name(struct fs_volume *vol, struct inode *ino, uint64_t parent, const char *name,
                    uint64_t dirent_id); /* name NULL: none; replaces a negative */
void inode_set_base(struct fs_volume *vol, struct inode *ino, const char *key, const char *etag,
                    uint64_t size); /* key NULL: natural; etag NULL: no base */
/* The same base under another key; NULL: natural. */
void inode_move_base(struct fs_volume *vol, struct inode *ino, const char *key);
void inode_set_gone(struct fs_volume *vol, struct change *c, struct inode *ino);
void inode_row(const struct inode *ino, struct db_inode *ret); /* borrows the strings */
/* Counts ino in its parent's kids, if the parent is in memory. True if it is counted. */
bool inode_link(struct fs_volume *vol, struct inode *ino);
void inode_pin(struct fs_volume *vol, struct inode *ino);
void inode_unpin(struct fs_volume *vol, struct inode *ino);
void inode_used(struct fs_volume *vol, struct inode *ino); /* to the young end of the lru */
void inode_evict(struct fs_volume *vol);                   /* down to the limits */
void inode_free_all(struct fs_volume *vol);
void inode_attr(const struct inode *ino, const struct fs_volume *vol, struct fs_attr *ret);
void inode_node(const struct inode *ino, const struct fs_volume *vol, struct fs_node *ret);
void inode_stamp(struct inode *ino, bool content); /* ctime, change, and mtime if content */
bool inode_dirty_extents(const struct inode *ino);
struct negative *negative_find(struct fs_volume *vol, uint64_t parent, const char *name);
void negative_add(struct fs_volume *vol, uint64_t parent, const char *name, int64_t checked_ns,
                  uint64_t seq);
void negative_drop(struct fs_volume *vol, uint64_t parent, const char *name);
/* Frees bytes when seq is durable. */
void grave_add(struct fs_volume *vol, uint64_t seq, struct extent_graves *bytes);
void grave_sweep(struct fs_volume *vol);

/* --- need.c: what operations stand on --- */

int need_inode(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret);
int need_dir(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret);
/* need_inode, and its attributes are as fresh as attr_ttl wants. */
int need_fresh(struct fs_volume *vol, struct fs_req *req, uint64_t id, struct inode **ret);
/* All directories above ino are in memory, up to the root. -ESTALE if the chain is broken. */
int need_path(struct fs_volume *vol, struct fs_req *req, struct inode *ino);
/* The child of that name, fresh: 0, -ENOENT, ... The name was checked. */
int need_name(struct fs_volume *vol, struct fs_req *req, struct inode *dir, const char *name,
              struct inode **ret);
/* The child as memory and database know it; the store is not asked. -ENOENT, perhaps after waiting.
 */
int need_known(struct fs_volume *vol, struct fs_req *req, struct inode *dir, const char *name,
               struct inode **ret);
bool fresh_enough(const struct fs_volume *vol, const struct fs_req *req, int64_t checked_ns);
/* The same for which names a directory has. */
bool fresh_names(const struct fs_volume *vol, const struct fs_req *req, int64_t checked_ns);

/* --- path.c: keys, sources --- (path of ino must be in memory: need_path) */

/* The key that the name asks for; directories end in '/', the root is "". -ENAMETOOLONG. */
int path_key(struct fs_volume *vol, const struct inode *ino, char buf[STORE_KEY_MAX + 1]);
int path_child_key(struct fs_volume *vol, const struct inode *dir, const char *name, bool is_dir,
                   char buf[STORE_KEY_MAX + 1]);
/* Where the base lies now. */
int path_base_key(struct fs_volume *vol, const struct inode *ino, char buf[STORE_KEY_MAX + 1]);
/* Every place where something below dir may lie, with the epoch up to which it does. One prefix can
 * come twice, of different epochs. */
int path_sources(struct fs_volume *vol, const struct inode *dir, struct sources *ret);
void sources_clear(struct sources *s);
/* Each prefix once, the first of it: for those who look into the places. */
void sources_once(struct sources *s);
/* Only those where a name that is not known can turn up: of a directory that was listed the natural
 * one. */
void sources_unknown(const struct inode *dir, struct sources *s);
/* True if ino is dir or below it. */
bool path_below(struct fs_volume *vol, const struct inode *ino, const struct inode *dir);
/* The prefix of a drain that is under way and that key belongs to, not to whoever lives there now;
 * or NULL. */
const char *path_reserved(struct fs_volume *vol, const char *key);
/* True if key, found in the source prefix, belongs to a directory that was moved away from there.
 */
bool path_moved_away(struct fs_volume *vol, const char *prefix, const char *key);
/* True if key, found in the place prefix of a redirect, lies below a longer redirect: it belongs to
 * the directory that has that one, even if this lives there again. */
bool path_drains_below(struct fs_volume *vol, const char *prefix, const char *key);
/* Changes whenever dir comes to lie elsewhere, or comes back. */
uint64_t path_moved_at(struct fs_volume *vol, const struct inode *dir);
/* dir is where its redirect r points: true if what is found through r is found there without it
 * too, and nobody else's drain takes it for his. */
bool path_home_settled(struct fs_volume *vol, const struct inode *dir, const struct redirect *r);
/* True if key, found for dir through a redirect of epoch until, and not known, is what an older
 * drain has not taken away yet: it belongs to the directory that was there before dir. */
bool path_foreign(struct fs_volume *vol, const struct inode *dir, uint64_t until, const char *key);
void redirect_add(struct fs_volume *vol, struct inode *dir, uint64_t epoch, const char *prefix);
void redirect_remove(struct fs_volume *vol, struct inode *dir, uint64_t epoch);
int name_check(const char *name); /* 0, -EINVAL, -ENAMETOOLONG; "." and ".." are -EINVAL */

/* --- settle.c: our changes against what the store said before them --- */

void query_begin(struct fs_volume *vol, struct query *q);
void query_end(struct fs_volume *vol, struct query *q);
void key_touch(struct fs_volume *vol, const char *key);
/* The same for a directory that shows only by what lies below it. */
bool key_unsettled_below(struct fs_volume *vol, const char *prefix, uint64_t stamp);
/* True if what lies under key, in the source prefix, is on its way out: deleted, or moved away. */
bool key_leaving(struct fs_volume *vol, const char *prefix, const char *key);
/* True if an answer of that stamp about key must not be believed. */
bool key_unsettled(struct fs_volume *vol, const char *key, uint64_t stamp);

/* --- ask.c: what the store says of one name --- */

/* Submits all and waits for all. */
void ask_all(struct store *store, struct store_req *reqs, size_t count);
/* Asks for name in dir, and merges the answer. known may be NULL. -ERESTART on success. */
int ask_name(struct fs_volume *vol, struct fs_req *req, struct inode *dir, const char *name);

/* --- observe.c: what the store showed, against what we know --- */

/* A file object. known may be NULL. Replaces, refreshes or makes the inode; *ret is it. */
void observe_file(struct fs_volume *vol, struct inode *dir, const char *name, struct inode *known,
                  const struct store_object *obj, uint64_t until, int64_t now, struct change *c,
                  struct inode **ret);
/* A directory; marker is the "d/" object or NULL. */
void observe_dir(struct fs_volume *vol, struct inode *dir, const char *name, struct inode *known,
                 const struct store_object *marker, uint64_t until, int64_t now, struct change *c,
                 struct inode **ret);
/* True if something below dir is not in the store yet, or drains. */
bool observe_work_below(struct fs_volume *vol, const struct inode *dir);
/* Nothing there any more. False if it must stay (not all of it is in the store). */
bool observe_gone(struct fs_volume *vol, struct inode *dir, struct inode *known, struct change *c);
bool inode_owned(const struct fs_volume *vol, const struct inode *ino); /* ahead of the store */

/* --- scan.c --- */

/* Brings the listing of dir one page further; always drops the lock or fails. -ERESTART on
 * progress. */
int scan_step(struct fs_volume *vol, struct fs_req *req, struct inode *dir);
bool scan_complete(const struct fs_volume *vol, const struct fs_req *req, const struct inode *dir);
/* The same, with more patience for a large directory. */
bool scan_recent(const struct fs_volume *vol, const struct fs_req *req, const struct inode *dir);
void scan_free(struct scan *scan);
/* -ERESTART until the store was asked, since this request began, whether anything lies below dir;
 * then 0 or -ENOTEMPTY. */
int scan_empty(struct fs_volume *vol, struct fs_req *req, struct inode *dir);

/* --- access.c --- */

uint32_t access_bits(const struct inode *ino, const struct fs_cred *cred); /* rwx as 4 2 1 */
bool access_in_group(const struct fs_cred *cred, uint32_t gid);
int access_check(const struct inode *ino, const struct fs_req *req, uint32_t want); /* FS_CHECKED */
/* May this caller remove or replace child in dir: write, search, sticky bit. */
int access_remove(const struct inode *dir, const struct inode *child, const struct fs_req *req);

/* --- dirty.c: what waits for an upload --- */

/* Puts ino on the dirty list with its flags, or takes it off if nothing is left; recomputes its
 * target key. Path must be in memory. To be called whenever INODE_UPLOADING was cleared, too. */
void dirty_update(struct fs_volume *vol, struct inode *ino, int64_t delay_ns);
/* When to look at ino next. Nobody else writes due_ns. */
void dirty_due_at(struct fs_volume *vol, struct inode *ino, int64_t due_ns);
/* After a directory moved: targets below it, and all that waits is looked at again. */
void dirty_retarget_below(struct fs_volume *vol, const struct inode *dir);
bool dirty_silly(const struct inode *ino); /* .nfs*, or has no name: stays local */
bool dirty_local(const struct inode *ino); /* that, or its key would be too long */
void dirty_marker(struct fs_volume *vol, struct change *c, struct inode *dir); /* needs "d/" */
/* Counts ino in volume->moving until it is placed, or cannot go on. */
void dirty_moving(struct fs_volume *vol, struct inode *ino);
/* Nothing stands in the way of uploading ino, which is on the dirty list, to its target key. */
bool dirty_way_clear(struct fs_volume *vol, const struct inode *ino);
/* What is to be uploaded now (or detached: INODE_DETACH), or NULL and when to ask again. The caller
 * sets INODE_UPLOADING. */
struct inode *dirty_pick(struct fs_volume *vol, int64_t now, int64_t *ret_next_ns);
void displaced_add(struct fs_volume *vol, struct inode *ino); /* has base_key */
void displaced_remove(struct fs_volume *vol, struct inode *ino);
struct inode *displaced_find(struct fs_volume *vol, const char *key);
/* The key that ino's upload writes, or wrote when a crash or an error cut it off and nobody knows
 * what became of it, is nobody else's: no other upload, no deletion. Twice is once. */
void flight_add(struct fs_volume *vol, struct inode *ino); /* has flight_key */
void flight_remove(struct fs_volume *vol, struct inode *ino);
struct inode *flight_find(struct fs_volume *vol, const char *key);
struct inode *target_find(struct fs_volume *vol, const char *key);

/* --- attr.c --- */

void attr_truncate(struct inode *ino, uint64_t size);
void attr_set(struct inode *ino, const struct fs_req *req, const struct fs_sattr *set);
void attr_drop_setid(struct inode *ino); /* it was written to, or given away */

/* --- remove.c --- */

/* Intents for every object that ino may have in the store. dir: the directory it is removed from.
 */
int remove_objects(struct fs_volume *vol, struct change *c, struct inode *dir, struct inode *ino);

/* --- conflict.c --- (more in place_int.h) */

/* A deletion met another version: it is left alone, and is to be seen again. Lock held. */
void conflict_delete(struct fs_volume *vol, const struct intent *intent);

/* --- write.c --- */

void write_wcc_before(const struct inode *ino, const struct fs_volume *vol, struct fs_wcc *wcc);

/* --- commit.c --- */

/* Stage and extent map durable: -ERESTART after waiting; 0 when all is flushed and submitted, the
 * sequence in *ret_seq. */
int commit_inode(struct fs_volume *vol, struct fs_req *req, struct inode *ino, uint64_t *ret_seq);

/* Writes the extent map's changes into c, and the row. The stage must be synced. */
void commit_flush(struct change *c, struct inode *ino);
/* An append with that mark is in the extent map now. */
void commit_note_mark(struct inode *ino, uint64_t mark);
/* Something failed after its WRITE or COMMIT was answered: the next one tells. The same failure of
 * the same content is told once, however often it is tried again. */
void commit_late_error(struct inode *ino, int err);
/* What is to be told, once; or 0. */
int commit_take_late(struct inode *ino);
/* Nothing is wrong any more. */
void commit_clear_late(struct inode *ino);
/* The write verifier changes: unstable writes may be lost. */
void commit_lost(struct fs *fs);
/* Handle on the base for reading, with a reference; path in memory. NULL: no base. */
struct reader_file *read_file(struct fs_volume *vol, struct inode *ino);

/* --- pressure.c: as the state directory fills up --- */

/* May this request change anything now: 0, -EROFS, or what the database's disk says (-ENOSPC,
 * -EAGAIN). Before an operation changes anything; lock held or not. */
int pressure_change(struct fs_volume *vol, const struct fs_req *req);
int pressure_db(struct fs *fs); /* the last part of it */
/* Before bytes are staged: holds a write back as the stage fills. 0 or -EAGAIN. Without the lock.
 */
int pressure_slow(struct fs *fs, const struct fs_req *req);
/* The stage had no room: -ERESTART after a wait, -EAGAIN, or -ENOSPC: nothing will make room.
 * Without the lock. */
int pressure_full(struct fs_volume *vol, const struct fs_req *req);
bool pressure_high(struct fs *fs); /* nothing waits for its quiet time */
void pressure_look(struct fs *fs); /* every now and then: tells those who wait for room */

/* --- rescue.c --- */

/* A sync failed: ino's unsynced bytes are staged again. Lock held, but not meanwhile; ino is
 * pinned. 0, or why they could not be. */
int rescue_run(struct fs_volume *vol, struct inode *ino);

/* --- intent.c --- */

void intent_delete(struct fs_volume *vol, struct change *c, uint64_t dir, const char *key,
                   const char *etag);
void intent_load(struct fs_volume *vol, const struct db_intent *row);
struct intent *intent_find(struct fs_volume *vol, const char *key);
void intent_drop(struct fs_volume *vol, struct change *c, struct intent *intent);
/* When to look at it next. Nobody else writes due_ns. */
void intent_due_at(struct fs_volume *vol, struct intent *intent, int64_t due_ns);
/* An upload waits for it. */
void intent_hurry(struct fs_volume *vol, struct intent *intent);
/* When to look at one that was parked and is woken at at_ns. */
int64_t intent_again_ns(const struct intent *intent, int64_t at_ns);
void *intent_main(void *vol);

/* --- drain.c --- */

void *drain_main(void *vol);
/* The prefix of a drain below key, or NULL. */
const char *drain_below(struct fs_volume *vol, const char *key);

#include "fs/meta.h"
#include "fs/mounts_int.h" /* volumes, and those below others */
#include "fs/open.h"       /* open files and listeners: open.c, invalid.c, orphan.c */
#include "fs/status_int.h" /* what is remembered and counted for "pailfs status" */
#include "fs/upload.h"     /* uploads: flight.c, detach.c, place.c, upload.c */
