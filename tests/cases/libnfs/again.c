/* The requests of test_retransmit.c. Each works on the names x and y of a directory of its own. */
#include "again.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char verifier[8] = "\x01\x02\x03\x04\x05\x06\x07\x08";

const struct kind kinds[KINDS] = {
    {"CREATE UNCHECKED", P_CREATE, NONE, NONE, UNCHECKED, false, false, NFS3_OK},
    {"CREATE UNCHECKED of a file that is there", P_CREATE, REGULAR, NONE, UNCHECKED, false, false,
     NFS3_OK},
    {"CREATE UNCHECKED that truncates", P_CREATE, REGULAR, NONE, UNCHECKED, true, false, NFS3_OK},
    {"CREATE GUARDED", P_CREATE, NONE, NONE, GUARDED, false, false, NFS3_OK},
    {"CREATE EXCLUSIVE", P_CREATE, NONE, NONE, EXCLUSIVE, false, false, NFS3_OK},
    {"REMOVE", P_REMOVE, REGULAR, NONE, 0, false, false, NFS3_OK},
    {"RENAME", P_RENAME, REGULAR, NONE, 0, false, false, NFS3_OK},
    {"RENAME over a file", P_RENAME, REGULAR, REGULAR, 0, false, false, NFS3_OK},
    {"RENAME of a directory", P_RENAME, DIRECTORY, NONE, 0, false, false, NFS3_OK},
    {"RENAME to the same name", P_RENAME, REGULAR, NONE, 0, false, true, NFS3_OK},
    {"MKDIR", P_MKDIR, NONE, NONE, 0, false, false, NFS3_OK},
    {"RMDIR", P_RMDIR, DIRECTORY, NONE, 0, false, false, NFS3_OK},
    {"SYMLINK", P_SYMLINK, NONE, NONE, 0, false, false, NFS3_OK},
    {"SETATTR with guard", P_SETATTR, REGULAR, NONE, 0, false, false, NFS3_OK},
    {"SETATTR of the size with guard", P_SETATTR, REGULAR, NONE, 0, true, false, NFS3_OK},
    {"CREATE GUARDED that fails", P_CREATE, REGULAR, NONE, GUARDED, false, false, NFS3ERR_EXIST},
    {"MKDIR that fails", P_MKDIR, REGULAR, NONE, 0, false, false, NFS3ERR_EXIST},
    {"REMOVE that fails", P_REMOVE, NONE, NONE, 0, false, false, NFS3ERR_NOENT},
    {"RENAME that fails", P_RENAME, NONE, NONE, 0, false, false, NFS3ERR_NOENT},
};

/* ---- the names ---- */

static void put_thing(struct conn *c, const struct fh *dir, const char *name, enum thing thing)
{
    if (thing == REGULAR)
        (void)make_file(c, dir, name, "text");
    else if (thing == DIRECTORY)
        (void)make_dir(c, dir, name);
}

static void clear_name(struct conn *c, const struct fh *dir, const char *name)
{
    struct node node;

    if (v3_lookup(c, dir, name, &node) == NFS3ERR_NOENT)
        return;
    if (node.attr.type == NF3DIR)
        assert_ok(v3_rmdir(c, dir, name, NULL));
    else
        assert_ok(v3_remove(c, dir, name, NULL));
}

/* Attributes that stay as they are when nobody changes the object; zeros when there is none. */
static fattr3 look_at(struct conn *c, const struct fh *dir, const char *name)
{
    fattr3 none = {0};
    struct node node;

    return v3_lookup(c, dir, name, &node) == NFS3_OK ? node.attr : none;
}

void again_put_back(struct conn *c, struct again *a)
{
    clear_name(c, &a->dir, "x");
    clear_name(c, &a->dir, "y");
    if (a->kind->status == NFS3_OK) {
        put_thing(c, &a->dir, "x", a->kind->x);
        put_thing(c, &a->dir, "y", a->kind->y);
    } else if (a->kind->status == NFS3ERR_NOENT) {
        put_thing(c, &a->dir, "x", REGULAR); /* so that it would succeed now */
    }
    a->dir_attr = attr_of(c, &a->dir);
    a->x_attr = look_at(c, &a->dir, "x");
    a->y_attr = look_at(c, &a->dir, "y");
}

static void check_same(const struct again *a, const char *what, const fattr3 *was,
                       const fattr3 *now)
{
    if (was->fileid != now->fileid || was->size != now->size || was->mode != now->mode ||
        !same_time(was->mtime, now->mtime) || !same_time(was->ctime, now->ctime))
        fail_msg("%s was done twice: %s has changed", a->kind->name, what);
}

static void check_untouched(struct conn *c, const struct again *a)
{
    fattr3 dir = attr_of(c, &a->dir), x = look_at(c, &a->dir, "x"), y = look_at(c, &a->dir, "y");

    check_same(a, "the directory", &a->dir_attr, &dir);
    check_same(a, "x", &a->x_attr, &x);
    check_same(a, "y", &a->y_attr, &y);
}

/* ---- requests ---- */

static struct bytes encode_create(struct conn *c, const struct again *a)
{
    CREATE3args args = {.where = dirop(&a->dir, "x"), .how = {.mode = a->kind->mode}};
    sattr3 set = a->kind->size ? attr_size(0) : attr_none();

    if (a->kind->mode == UNCHECKED)
        args.how.createhow3_u.obj_attributes = set;
    else if (a->kind->mode == GUARDED)
        args.how.createhow3_u.g_obj_attributes = set;
    else
        memcpy(args.how.createhow3_u.verf, verifier, sizeof(verifier));
    return call_encode(c, ++c->xid, NFS_PROG, 3, P_CREATE, FILTER(zdr_CREATE3args), &args);
}

static struct bytes encode_setattr(struct conn *c, const struct again *a)
{
    SETATTR3args args = {.object = fh_arg(&a->x.fh),
                         .new_attributes = a->kind->size ? attr_size(1) : attr_mode(0600)};

    args.guard.check = 1;
    args.guard.sattrguard3_u.obj_ctime = a->x.attr.ctime;
    return call_encode(c, ++c->xid, NFS_PROG, 3, P_SETATTR, FILTER(zdr_SETATTR3args), &args);
}

struct bytes again_encode(struct conn *c, const struct again *a)
{
    MKDIR3args mkdir = {.where = dirop(&a->dir, "x")};
    SYMLINK3args symlink = {.where = dirop(&a->dir, "x")};
    REMOVE3args remove = {.object = dirop(&a->dir, "x")}; /* and RMDIR's are of the same form */
    RENAME3args rename = {.from = dirop(&a->dir, "x"),
                          .to = dirop(&a->dir, a->kind->same ? "x" : "y")};

    symlink.symlink.symlink_data = (char[]){"target"};
    switch (a->kind->proc) {
    case P_CREATE:
        return encode_create(c, a);
    case P_SETATTR:
        return encode_setattr(c, a);
    case P_MKDIR:
        return call_encode(c, ++c->xid, NFS_PROG, 3, P_MKDIR, FILTER(zdr_MKDIR3args), &mkdir);
    case P_SYMLINK:
        return call_encode(c, ++c->xid, NFS_PROG, 3, P_SYMLINK, FILTER(zdr_SYMLINK3args), &symlink);
    case P_RENAME:
        return call_encode(c, ++c->xid, NFS_PROG, 3, P_RENAME, FILTER(zdr_RENAME3args), &rename);
    default:
        return call_encode(c, ++c->xid, NFS_PROG, 3, a->kind->proc, FILTER(zdr_REMOVE3args),
                           &remove);
    }
}

void again_prepare(struct rig *rig, struct again *all, int count)
{
    static unsigned turn;
    char name[32];

    turn++;
    for (int i = 0; i < count; i++) {
        struct again *a = &all[i];

        *a = (struct again){.kind = &kinds[i]};
        (void)snprintf(name, sizeof(name), "%u-%d", turn, i);
        a->dir = make_dir(rig->conn, &rig->root, name).fh;
        put_thing(rig->conn, &a->dir, "x", a->kind->x);
        put_thing(rig->conn, &a->dir, "y", a->kind->y);
        if (a->kind->x != NONE)
            a->x = find(rig->conn, &a->dir, "x");
        a->call = again_encode(rig->conn, a);
    }
}

void again_clean(struct again *all, int count)
{
    for (int i = 0; i < count; i++) {
        free(all[i].call.data);
        free(all[i].reply.data);
    }
}

void again_take_reply(struct again *a, const struct reply *reply)
{
    nfsstat3 status;

    assert_int_equal(reply->stat, MSG_ACCEPTED);
    assert_int_equal(reply->accept, SUCCESS);
    status = (nfsstat3)(reply->body[2] << 8 | reply->body[3]);
    if (status != a->kind->status)
        fail_msg("%s: %s instead of %s", a->kind->name, status_name(status),
                 status_name(a->kind->status));
    if (!a->reply.data) {
        a->reply.len = reply->bytes.len;
        a->reply.data = malloc(a->reply.len);
        memcpy(a->reply.data, reply->bytes.data, a->reply.len);
        return;
    }
    if (reply->bytes.len != a->reply.len ||
        memcmp(reply->bytes.data, a->reply.data, a->reply.len) != 0)
        fail_msg("%s: the second reply is not the first", a->kind->name);
}

void again_send(struct conn *c, struct again *a)
{
    struct reply reply;

    conn_send(c, a->call.data, a->call.len);
    assert_true(conn_recv(c, &reply));
    again_take_reply(a, &reply);
}

void again_send_first(struct rig *rig, struct again *all, int count)
{
    again_prepare(rig, all, count);
    for (int i = 0; i < count; i++) {
        again_send(rig->conn, &all[i]);
        again_put_back(rig->conn, &all[i]);
    }
}

void again_send_second(struct rig *rig, struct conn *c, struct again *all, int count)
{
    for (int i = 0; i < count; i++)
        again_send(c, &all[i]);
    for (int i = 0; i < count; i++)
        check_untouched(rig->conn, &all[i]);
}
