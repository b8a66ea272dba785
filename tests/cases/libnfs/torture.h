/*
 * The torture: several clients change one tree through a gateway that is killed again and again,
 * each with several requests in flight. Every client believes every reply, sends what got none once
 * more, unchanged, and knows at every moment what the tree has to be.
 *
 * How the model stays decidable. A client makes names that begin with its letter, in directories of
 * its own and in shared ones, so no two clients ever speak of one name. What a client does next
 * depends on the seed alone: the model is moved on when a request is sent, with the status that it
 * must get, and a request that touches what one in flight touches waits for it (claims). So a seed
 * is a fixed sequence of requests for each client, whatever the gateway and the kills do.
 *
 * Bytes. Of each file there is what was promised (stable: FILE_SYNC, COMMIT, SETATTR), what the
 * client wants, and the list of unstable writes between the two. When the gateway was killed since
 * such a write was answered, each of its bytes may be the old or the new one until it is committed;
 * a COMMIT with another verifier makes the client send the bytes again.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "calls.h"

enum {
    CLIENTS_MAX = 8,
    CLAIMS_MAX = 8,
    QUEUE_MAX = 256,
    NAME_ROOM = 24,
    THINGS_WANTED = 45, /* of one client; with more it makes less and removes more */
    CHUNK = 256 << 10,  /* bytes of one READ or WRITE */
    RING = 12,          /* answered requests that may be sent again */
    PATIENCE_MS = 90000,
};

/* ---- chance (torture_main.c) ---- */

struct chance {
    uint64_t state;
};
uint64_t chance_next(struct chance *chance);
unsigned chance_pick(struct chance *chance, unsigned n); /* 0 ... n-1 */
bool chance_of(struct chance *chance, unsigned percent);

/* ---- the model (torture_model.c) ---- */

enum kind { GONE, DIRECTORY, PLAIN, LINK };

struct unstable { /* a write that was not committed: bytes [off, end) of seed */
    uint64_t off, end;
    uint32_t seed;
    unsigned epoch; /* kills before it was answered */
    bool answered;
    char verf[8];
};

struct thing {
    struct thing *next; /* of all that ever were */
    enum kind kind;
    bool shared; /* a directory that all clients work in; never removed */
    unsigned owner;
    struct thing *parent;
    char name[NAME_ROOM];
    struct fh fh;
    uint64_t fileid;
    uint32_t mode, uid, gid;
    int64_t mtime_ns; /* -1: not known */
    char target[NAME_ROOM];
    struct thing **kids; /* of a directory, in no order */
    size_t kid_count, kid_room;
    /* of a file */
    uint8_t *want, *stable;
    uint64_t size, stable_size;
    struct unstable *pending;
    size_t pending_count, pending_room;
};

struct thing *thing_new(enum kind kind, unsigned owner);
void thing_free_all(void);
void thing_attach(struct thing *thing, struct thing *dir, const char *name);
void thing_detach(struct thing *thing);
struct thing *thing_child(const struct thing *dir, const char *name);
/* Or the same. Looks up to the first shared directory only: what is above that, is not the client's
 * to know. */
bool thing_is_below(const struct thing *thing, const struct thing *dir);
bool thing_in_shared(const struct thing *dir); /* below a shared directory, or one itself */
bool thing_has_shared(const struct thing *thing, unsigned owner); /* below it, or itself */
/* "/a/b"; valid until the next call but seven. */
const char *thing_path(const struct thing *thing);

uint8_t content_byte(uint32_t seed, uint64_t off);
void content_fill(uint8_t *to, uint32_t seed, uint64_t off, uint64_t len);
/* A write, at the time it is sent. Stable: it replaces what unstable ones have there. */
void content_write(struct thing *file, uint64_t off, uint64_t len, uint32_t seed, bool stable);
void content_truncate(struct thing *file, uint64_t size);
/* The reply to an unstable write of [off, end) came. */
void content_answered(struct thing *file, uint64_t off, uint64_t end, const char verf[8],
                      unsigned epoch, bool stable);
/* All that is pending has been committed. */
void content_committed(struct thing *file);
/* NULL, or what is wrong with this size / with these bytes. strict: nothing was lost since. */
const char *content_check_size(const struct thing *file, uint64_t size, bool strict);
const char *content_check(const struct thing *file, uint64_t off, const uint8_t *data, uint64_t len,
                          bool strict);
/* True if every pending write was answered in this epoch. */
bool content_is_strict(const struct thing *file, unsigned epoch);
void content_free(struct thing *file);

/* ---- what a client does next (torture_plan.c) ---- */

enum verb {
    V_CREATE,
    V_MKDIR,
    V_SYMLINK,
    V_REMOVE, /* and RMDIR, by what it is */
    V_RENAME,
    V_WRITE,
    V_COMMIT,
    V_SETATTR, /* and truncation */
    V_READ,
    V_GETATTR,
    V_LOOKUP,
    V_READDIR,
    V_READLINK,
    V_GHOST, /* GETATTR of what was removed */
};

struct want {
    enum verb verb;
    struct thing *dir, *to_dir; /* of names */
    char name[NAME_ROOM], to_name[NAME_ROOM];
    struct thing *thing; /* what is not asked for by name */
    createmode3 how;
    uint64_t off; /* also the new size of a truncation */
    uint32_t len, seed;
    bool sync, truncate, share;
    uint32_t set_mode, set_owner; /* 0: not */
    int64_t set_mtime_ns;         /* 0: not */
};

struct client;
/* Fills the empty queue of a client. */
void plan_next(struct client *client);
/* The directories that all work in; one of them comes first in the queue of each client. */
void plan_shared(struct client *client);
/* Everything that has to be committed / looked at. */
/* What a new file gets, before all that is in the queue. */
void plan_fill(struct client *client, struct thing *file, const struct want *made);
void plan_commit_all(struct client *client);
/* A part of it; goes on from verify_at. */
void plan_verify_all(struct client *client);

/* ---- requests (torture_op.c, torture_reply.c, torture_data.c) ---- */

struct claim {
    const void *what;
    const char *name; /* NULL: the thing itself; else a name in it */
    bool alone;
};

struct op {
    TAILQ_ENTRY(op) link;
    struct client *client;
    unsigned number;
    struct want want;
    struct claim claims[CLAIMS_MAX];
    unsigned claim_count;
    nfsstat3 expect;
    struct thing *thing; /* made, moved, removed, read */
    bool changes;        /* the reply must be given again for ever */
    bool is_dir;         /* RMDIR */
    unsigned calls_out;  /* requests without a reply */
    unsigned rewrites;   /* of a COMMIT */
    bool rewriting;
    uint64_t cookie; /* of a READDIR that goes on */
    unsigned names_seen;
};

struct call;
/* Sends what the want asks for. False: it touches what is in flight. */
bool op_start(struct client *client, const struct want *want);
/* A reply of it came. */
void op_reply(struct op *op, struct call *call, const struct reply *reply);
void op_end(struct op *op);
void op_claim(struct op *op, const void *what, const char *name, bool alone);
/* READDIR, from its cookie on. */
void op_send_readdir(struct op *op);
/* The results of a reply, all of them; what they point to lives until zdr_destroy. */
void reply_take(const struct reply *reply, zdrproc_t filter, void *res, ZDR *ret);
/* Fails unless it is the status that the op must get. */
void reply_check(const struct op *op, nfsstat3 status);
/* The data verbs, from the above. */
bool data_start(struct op *op);
void data_reply(struct op *op, struct call *call, const struct reply *reply);
/* Whether an op is in flight that claims any of these. */
bool op_conflicts(const struct client *client, const struct op *op);

#define FAIL(...) torture_fail(__FILE__, __LINE__, __VA_ARGS__)
void torture_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
/* One line of the trace, with the time. */
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- the wire (torture_wire.c) ---- */

struct call {
    TAILQ_ENTRY(call) link;
    struct op *op;
    uint32_t xid, proc;
    uint64_t off, end; /* of data */
    uint8_t *bytes;    /* the record with its mark */
    size_t len;
    unsigned generation; /* connection that it went out on; 0: none */
    unsigned epoch;      /* kills when it was first sent */
    bool doubled;        /* two copies went out */
    bool later;          /* JUKEBOX: with another xid, not before... */
    int64_t not_before_ms;
    int64_t since_ms; /* waits for a reply since then, with a gateway that runs */
};

struct answered { /* a request that changed something, and what was said to it */
    uint32_t xid;
    uint8_t *call, *reply;
    size_t call_len, reply_len;
    unsigned sent; /* copies whose reply has not come */
};

struct client {
    unsigned number;
    char letter;
    struct chance chance, noise; /* what it does; when things are sent twice */
    struct conn identity;        /* credentials only */
    int fd;
    bool connected;
    unsigned generation; /* of the connection */
    uint32_t xid;
    uint8_t *in, *out;
    size_t in_len, out_len, out_room;
    TAILQ_HEAD(, call) calls;
    TAILQ_HEAD(, op) ops;
    unsigned op_count, op_number;
    struct answered ring[RING];
    unsigned ring_next;
    struct want queue[QUEUE_MAX];
    unsigned queue_at, queue_end;
    struct thing **own; /* everything that is there */
    size_t own_count, own_room;
    struct thing *last_moved, *last_dir; /* for renaming back */
    char last_name[NAME_ROOM];
    struct fh ghosts[8];
    unsigned ghost_next, ghost_count, name_count;
    size_t verify_at;
};

void wire_open(struct client *client);
bool wire_answers(void); /* somebody takes connections */
/* Sends a call of an op; args are encoded at once. */
void wire_call(struct op *op, uint32_t proc, zdrproc_t filter, const void *args, uint64_t off,
               uint64_t end);
/* Connects, sends, receives: everything that can be done without waiting. */
void wire_step(struct client *client, short revents);
/* What poll should look for. */
short wire_events(const struct client *client);
/* The gateway was killed, or the connection is to be another one. */
void wire_drop(struct client *client, const char *why);
void wire_close(struct client *client);

/* ---- all of it (torture_main.c) ---- */

struct torture {
    uint64_t seed;
    unsigned client_count;
    struct client clients[CLIENTS_MAX];
    struct thing *root;
    struct thing *shared[CLIENTS_MAX * 2];
    unsigned shared_count;
    unsigned epoch; /* kills so far */
    unsigned ops, resent, doubled, replayed, dropped, jukebox, rewritten, kills, starts;
    uint16_t port;
    const char *export, *dir;
    char **server; /* the gateway's command line */
    struct chance chance;
    int64_t up_since_ms; /* 0: it does not answer */
};
extern struct torture torture;

/* ---- the gateway (torture_gateway.c) ---- */

/* Looks at the clock: starts it if it does not run, kills it if may_kill. */
void gateway_step(bool may_kill);
/* SIGTERM; waits for the end. */
void gateway_stop(void);
bool gateway_runs(void);
bool gateway_is_ending(void);
/* A reply came. */
void gateway_answers(void);
