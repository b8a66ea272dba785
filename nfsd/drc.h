/*
 * The duplicate request cache: what makes a retransmitted REMOVE or CREATE get the first answer. A
 * request is known by who sent it (address without port: a client that reconnects has a new one),
 * its xid, its procedure, and a checksum of its arguments.
 *
 * States of an entry: busy (its owner is under way), done (with the reply). Busy entries stay,
 * bounded by the limit on calls. Done ones have a budget of bytes. A client that was cut off comes
 * back for its last few answers, perhaps long after, while others went on: so the newest
 * DRC_CLIENT_KEEP of each client are dropped only after everybody's older ones, and then those of
 * the client that has been quiet longest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drc;
struct drc_entry;

enum { DRC_CLIENT_KEEP = 256 };

/* Kept in the database as it is: host byte order, no padding. */
struct drc_key {
    uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint32_t xid, prog, vers, proc;
    uint64_t checksum;
};
_Static_assert(sizeof(struct drc_key) == 40, "part of the database");

struct drc_reply; /* immutable, reference-counted */
const void *drc_reply_data(const struct drc_reply *reply, size_t *ret_len);
void drc_reply_unref(struct drc_reply *reply);

/* Called with the cache's lock held when a duplicate of a busy request comes: the reply must go to
 * where the newcomer came from. */
typedef void drc_rebind_fn(void *owner, void *newcomer);

struct drc *drc_new(uint64_t bytes_max, drc_rebind_fn *rebind);
void drc_free(struct drc *drc); /* NULL is fine */

enum drc_state { DRC_NEW, DRC_BUSY, DRC_DONE };
/* DRC_NEW: the request is the owner's to answer; *ret_entry must get drc_done or drc_cancel.
 * DRC_BUSY: rebind has been called. DRC_DONE: *ret_reply is the reply, with a reference. */
enum drc_state drc_begin(struct drc *drc, const struct drc_key *key, void *owner,
                         struct drc_entry **ret_entry, struct drc_reply **ret_reply);
/* After either, rebind is not called with this owner any more. */
void drc_done(struct drc *drc, struct drc_entry *entry, const void *reply, size_t len);
void drc_cancel(struct drc *drc, struct drc_entry *entry);

/* A reply of an earlier run; they come oldest first, so it takes the place of one with that key.
 * Only while nothing is busy. */
void drc_load(struct drc *drc, const struct drc_key *key, const void *reply, size_t len);

struct drc_usage {
    uint64_t entries, bytes, bytes_max;
};
void drc_get_usage(struct drc *drc, struct drc_usage *ret);
