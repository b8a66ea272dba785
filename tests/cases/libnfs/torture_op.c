/* Requests on names: what they must be told, what they change in the model, and their replies. */
#include <stdlib.h>
#include <string.h>

#include "torture.h"

/* ---- claims ---- */

void op_claim(struct op *op, const void *what, const char *name, bool alone)
{
    op->claims[op->claim_count++] = (struct claim){what, name, alone};
}

static bool claims_meet(const struct claim *a, const struct claim *b)
{
    if (a->what != b->what || !a->name != !b->name || (a->name && strcmp(a->name, b->name) != 0))
        return false;
    return a->alone || b->alone;
}

bool op_conflicts(const struct client *client, const struct op *op)
{
    struct op *other;

    TAILQ_FOREACH (other, &client->ops, link)
        for (unsigned i = 0; i < op->claim_count; i++)
            for (unsigned k = 0; k < other->claim_count; k++)
                if (claims_meet(&op->claims[i], &other->claims[k]))
                    return true;
    return false;
}

/* A name in a directory: nobody else looks at the name, nobody removes or lists the directory. */
static void claim_name(struct op *op, struct thing *dir, const char *name)
{
    op_claim(op, dir, NULL, false);
    op_claim(op, dir, name, true);
}

/* ---- a client's list of what is there ---- */

static void own_add(struct client *c, struct thing *thing)
{
    if (c->own_count == c->own_room) {
        c->own_room = c->own_room * 2 + 64;
        c->own = reallocarray(c->own, c->own_room, sizeof(struct thing *));
    }
    c->own[c->own_count++] = thing;
}

static void own_remove(struct client *c, const struct thing *thing)
{
    size_t i = 0;

    while (c->own[i] != thing)
        i++;
    c->own[i] = c->own[--c->own_count];
}

static struct thing *make(struct op *op, enum kind kind)
{
    struct client *c = op->client;
    struct thing *thing = thing_new(kind, c->number);

    thing->mode = op->want.set_mode;
    thing_attach(thing, op->want.dir, op->want.name);
    thing->shared = op->want.share;
    own_add(c, thing);
    op_claim(op, thing, NULL, true); /* its handle is not known yet */
    op->changes = true;
    return thing;
}

/* It has no name any more. The handle is stale once the reply is there. */
static void unmake(struct client *c, struct thing *thing)
{
    thing_detach(thing);
    own_remove(c, thing);
    thing->kind = GONE;
    content_free(thing);
    if (c->last_moved == thing)
        c->last_moved = NULL;
}

/* ---- making ---- */

static void send_create(struct op *op)
{
    const struct want *w = &op->want;
    CREATE3args args = {.where = dirop(&w->dir->fh, w->name), .how = {.mode = w->how}};

    if (w->how == EXCLUSIVE) {
        memcpy(args.how.createhow3_u.verf, &w->seed, sizeof(w->seed));
        memcpy(args.how.createhow3_u.verf + 4, &op->number, sizeof(op->number));
    } else {
        args.how.createhow3_u.obj_attributes = attr_mode(w->set_mode);
        if (w->truncate)
            args.how.createhow3_u.obj_attributes.size.set_it = 1;
    }
    wire_call(op, P_CREATE, FILTER(zdr_CREATE3args), &args, 0, 0);
}

static bool start_create(struct op *op)
{
    const struct want *w = &op->want;
    struct thing *there = thing_child(w->dir, w->name);

    claim_name(op, w->dir, w->name);
    if (there)
        op_claim(op, there, NULL, true);
    if (op_conflicts(op->client, op))
        return false;
    if (!there) {
        op->thing = make(op, PLAIN);
        if (w->how == EXCLUSIVE)
            op->thing->mode = 0644;
        if (w->len)
            plan_fill(op->client, op->thing, w);
    } else if (w->how != UNCHECKED || there->kind != PLAIN) {
        op->expect = NFS3ERR_EXIST;
    } else {
        op->thing = there;
        if (w->truncate && there->size > 0)
            content_truncate(there, 0);
    }
    send_create(op);
    return true;
}

static bool start_mkdir(struct op *op)
{
    const struct want *w = &op->want;
    MKDIR3args args = {.where = dirop(&w->dir->fh, w->name), .attributes = attr_mode(w->set_mode)};

    claim_name(op, w->dir, w->name);
    if (op_conflicts(op->client, op))
        return false;
    if (thing_child(w->dir, w->name))
        op->expect = NFS3ERR_EXIST;
    else
        op->thing = make(op, DIRECTORY);
    wire_call(op, P_MKDIR, FILTER(zdr_MKDIR3args), &args, 0, 0);
    return true;
}

static bool start_symlink(struct op *op)
{
    struct want *w = &op->want;
    SYMLINK3args args = {.where = dirop(&w->dir->fh, w->name)};
    char target[NAME_ROOM];

    claim_name(op, w->dir, w->name);
    if (op_conflicts(op->client, op))
        return false;
    (void)snprintf(target, sizeof(target), "to/%c/%u", op->client->letter, w->seed);
    if (thing_child(w->dir, w->name)) {
        op->expect = NFS3ERR_EXIST;
    } else {
        op->thing = make(op, LINK);
        memcpy(op->thing->target, target, sizeof(target));
    }
    args.symlink.symlink_data = target;
    wire_call(op, P_SYMLINK, FILTER(zdr_SYMLINK3args), &args, 0, 0);
    return true;
}

/* ---- removing and renaming ---- */

static bool start_remove(struct op *op)
{
    const struct want *w = &op->want;
    struct thing *there = thing_child(w->dir, w->name);
    REMOVE3args args = {.object = dirop(&w->dir->fh, w->name)};

    if (there && there->shared)
        return true;
    claim_name(op, w->dir, w->name);
    if (there)
        op_claim(op, there, NULL, true);
    if (op_conflicts(op->client, op))
        return false;
    op->is_dir = there && there->kind == DIRECTORY;
    if (!there) {
        op->expect = NFS3ERR_NOENT;
    } else if (op->is_dir && there->kid_count) {
        op->expect = NFS3ERR_NOTEMPTY;
    } else {
        op->thing = there;
        op->changes = true;
        unmake(op->client, there);
    }
    wire_call(op, op->is_dir ? P_RMDIR : P_REMOVE, FILTER(zdr_REMOVE3args), &args, 0, 0);
    return true;
}

static nfsstat3 rename_status(const struct thing *thing, const struct thing *dir,
                              const struct thing *old)
{
    bool is_dir = thing->kind == DIRECTORY;

    if (old == thing)
        return NFS3_OK;
    if (is_dir && thing_is_below(dir, thing))
        return NFS3ERR_INVAL;
    if (!old)
        return NFS3_OK;
    if (is_dir && old->kind != DIRECTORY)
        return NFS3ERR_NOTDIR;
    if (!is_dir && old->kind == DIRECTORY)
        return NFS3ERR_ISDIR;
    return is_dir && old->kid_count ? NFS3ERR_NOTEMPTY : NFS3_OK;
}

static void apply_rename(struct op *op, struct thing *thing, struct thing *old)
{
    struct client *c = op->client;
    const struct want *w = &op->want;

    if (old == thing)
        return;
    if (old)
        unmake(c, old);
    op->changes = true;
    c->last_moved = thing;
    c->last_dir = w->dir;
    memcpy(c->last_name, w->name, sizeof(c->last_name));
    thing_detach(thing);
    thing_attach(thing, w->to_dir, w->to_name);
}

/* A shared directory that another client may have put under one of ours must not come below that
 * again: what has one below it moves where no other client has a say. */
static bool may_move(const struct op *op, const struct thing *thing, const struct thing *old)
{
    if (old && old->kind == DIRECTORY && thing_has_shared(old, op->client->number))
        return false;
    return !thing_has_shared(thing, op->client->number) || !thing_in_shared(op->want.to_dir);
}

static bool start_rename(struct op *op)
{
    struct want *w = &op->want;
    struct thing *thing = thing_child(w->dir, w->name);
    struct thing *old = thing_child(w->to_dir, w->to_name);
    RENAME3args args = {.from = dirop(&w->dir->fh, w->name),
                        .to = dirop(&w->to_dir->fh, w->to_name)};

    if (thing && !may_move(op, thing, old))
        return true;
    claim_name(op, w->dir, w->name);
    claim_name(op, w->to_dir, w->to_name);
    if (thing && thing->kind == DIRECTORY)
        op_claim(op, op->client, NULL, true); /* what is below what changes by one at a time */
    if (old && old != thing)
        op_claim(op, old, NULL, true);
    if (op_conflicts(op->client, op))
        return false;
    op->expect = thing ? rename_status(thing, w->to_dir, old) : NFS3ERR_NOENT;
    op->thing = thing;
    trace("%c #%u      %s of kind %d over kind %d", op->client->letter, op->number,
          thing ? thing_path(thing) : "nothing", thing ? (int)thing->kind : 0,
          old ? (int)old->kind : 0);
    if (op->expect == NFS3_OK)
        apply_rename(op, thing, old);
    wire_call(op, P_RENAME, FILTER(zdr_RENAME3args), &args, 0, 0);
    return true;
}

/* ---- looking ---- */

static bool start_lookup(struct op *op)
{
    const struct want *w = &op->want;
    LOOKUP3args args = {.what = dirop(&w->dir->fh, w->name)};

    claim_name(op, w->dir, w->name);
    if (op_conflicts(op->client, op))
        return false;
    op->thing = thing_child(w->dir, w->name);
    op->expect = op->thing ? NFS3_OK : NFS3ERR_NOENT;
    wire_call(op, P_LOOKUP, FILTER(zdr_LOOKUP3args), &args, 0, 0);
    return true;
}

void op_send_readdir(struct op *op)
{
    READDIR3args args = {.dir = fh_arg(&op->want.dir->fh), .cookie = op->cookie, .count = 8192};

    wire_call(op, P_READDIR, FILTER(zdr_READDIR3args), &args, 0, 0);
}

static bool start_look(struct op *op)
{
    const struct want *w = &op->want;
    struct thing *thing = w->verb == V_READDIR ? w->dir : w->thing;
    READLINK3args link = {.symlink = fh_arg(&thing->fh)};
    GETATTR3args attr = {.object = fh_arg(&thing->fh)};

    op_claim(op, thing, NULL, true);
    if (op_conflicts(op->client, op))
        return false;
    op->thing = thing;
    if (w->verb == V_READDIR)
        op_send_readdir(op);
    else if (w->verb == V_READLINK)
        wire_call(op, P_READLINK, FILTER(zdr_READLINK3args), &link, 0, 0);
    else
        wire_call(op, P_GETATTR, FILTER(zdr_GETATTR3args), &attr, 0, 0);
    return true;
}

static bool start_ghost(struct op *op)
{
    struct client *c = op->client;
    GETATTR3args args = {0};

    if (c->ghost_count == 0)
        return true;
    args.object = fh_arg(&c->ghosts[op->want.seed % c->ghost_count]);
    op->expect = NFS3ERR_STALE;
    wire_call(op, P_GETATTR, FILTER(zdr_GETATTR3args), &args, 0, 0);
    return true;
}

/* ---- all of them ---- */

static bool is_gone(const struct want *w)
{
    return (w->dir && w->dir->kind == GONE) || (w->to_dir && w->to_dir->kind == GONE) ||
           (w->thing && w->thing->kind == GONE);
}

static bool start(struct op *op)
{
    switch (op->want.verb) {
    case V_CREATE:
        return start_create(op);
    case V_MKDIR:
        return start_mkdir(op);
    case V_SYMLINK:
        return start_symlink(op);
    case V_REMOVE:
        return start_remove(op);
    case V_RENAME:
        return start_rename(op);
    case V_LOOKUP:
        return start_lookup(op);
    case V_READDIR:
    case V_READLINK:
    case V_GETATTR:
        return start_look(op);
    case V_GHOST:
        return start_ghost(op);
    default:
        return data_start(op);
    }
}

static void trace_op(const struct op *op)
{
    static const char *const names[] = {"CREATE", "MKDIR",   "SYMLINK",  "REMOVE", "RENAME",
                                        "WRITE",  "COMMIT",  "SETATTR",  "READ",   "GETATTR",
                                        "LOOKUP", "READDIR", "READLINK", "GHOST"};
    const struct want *w = &op->want;

    trace("%c #%u %s dir=%s name=%s thing=%s to=%s/%s off=%lu len=%u how=%d%s%s expect=%s",
          op->client->letter, op->number, names[w->verb], w->dir ? thing_path(w->dir) : "-",
          w->name, w->thing ? thing_path(w->thing) : "-", w->to_dir ? thing_path(w->to_dir) : "-",
          w->to_name, (unsigned long)w->off, w->len, (int)w->how, w->sync ? " sync" : "",
          w->truncate ? " truncate" : "", status_name(op->expect));
}

bool op_start(struct client *client, const struct want *want)
{
    struct op *op = calloc(1, sizeof(*op));

    op->client = client;
    op->want = *want;
    op->number = client->op_number;
    if (!is_gone(want) && !start(op)) {
        free(op);
        return false;
    }
    client->op_number++;
    if (op->calls_out == 0) { /* nothing to do */
        free(op);
        return true;
    }
    trace_op(op);
    TAILQ_INSERT_TAIL(&client->ops, op, link);
    client->op_count++;
    torture.ops++;
    return true;
}

void op_end(struct op *op)
{
    TAILQ_REMOVE(&op->client->ops, op, link);
    op->client->op_count--;
    free(op);
}
