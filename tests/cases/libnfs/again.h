/*
 * Every kind of request that must not be done twice, with what shows whether it was: for
 * test_retransmit.c.
 */
#pragma once

#include "calls.h"

/* What a name is before the request. */
enum thing { NONE, REGULAR, DIRECTORY };

struct kind {
    const char *name;
    uint32_t proc;
    enum thing x, y;
    createmode3 mode;
    bool size; /* of the attributes: set it to 0 */
    bool same; /* RENAME x to x */
    nfsstat3 status;
};

/* The failures are kept in memory only: they have changed nothing, so after a restart they may come
 * out otherwise. They are the last. */
enum { KINDS_DURABLE = 15, KINDS = 19 };
extern const struct kind kinds[KINDS];

/* One request and what became of it. */
struct again {
    const struct kind *kind;
    struct fh dir;
    struct node x;
    struct bytes call, reply;
    fattr3 dir_attr, x_attr, y_attr; /* when both names had been put back */
};

/* The call for kind, dir and x, to be sent as it is. */
struct bytes again_encode(struct conn *c, const struct again *a);
/* The directory and the request of each kind. */
void again_prepare(struct rig *rig, struct again *all, int count);
void again_clean(struct again *all, int count);
/* The reply that came for a request. The first is kept, others have to be equal to it. */
void again_take_reply(struct again *a, const struct reply *reply);
/* Sends it and takes the reply. */
void again_send(struct conn *c, struct again *a);
/* Undoes what the request did, so that it could be done once more. */
void again_put_back(struct conn *c, struct again *a);
/* Prepares and sends all, and puts back. */
void again_send_first(struct rig *rig, struct again *all, int count);
/* Once more over c, then what rig->conn sees must be untouched. */
void again_send_second(struct rig *rig, struct conn *c, struct again *all, int count);
