/* Rigs, and the shorthands of calls.h that must succeed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

struct node make_file(struct conn *c, const struct fh *dir, const char *name, const char *text)
{
    struct node node;
    sattr3 set = attr_mode(0644);
    uint32_t len = (uint32_t)strlen(text);

    assert_ok(v3_create(c, dir, name, GUARDED, &set, &node, NULL));
    if (len > 0)
        assert_ok(v3_write(c, &node.fh, 0, text, len, FILE_SYNC, NULL));
    assert_ok(v3_getattr(c, &node.fh, &node.attr));
    assert_int_equal(node.attr.size, len);
    return node;
}

struct node make_dir(struct conn *c, const struct fh *dir, const char *name)
{
    struct node node;
    sattr3 set = attr_mode(0755);

    assert_ok(v3_mkdir(c, dir, name, &set, &node, NULL));
    return node;
}

struct node find(struct conn *c, const struct fh *dir, const char *name)
{
    struct node node;

    assert_ok(v3_lookup(c, dir, name, &node));
    return node;
}

const struct fh *fh_at(struct conn *c, const struct fh *dir, const char *name)
{
    static struct fh ring[8];
    static unsigned turn;
    struct fh *fh = &ring[turn++ % 8];

    *fh = find(c, dir, name).fh;
    return fh;
}

fattr3 attr_of(struct conn *c, const struct fh *fh)
{
    fattr3 attr;

    assert_ok(v3_getattr(c, fh, &attr));
    return attr;
}

void assert_text(struct conn *c, const struct fh *fh, const char *want)
{
    struct read_result got;

    assert_ok(v3_read(c, fh, 0, 1 << 16, &got));
    assert_true(got.eof);
    assert_int_equal(got.count, strlen(want));
    assert_memory_equal(got.data, want, got.count);
}

bool same_fh(const struct fh *a, const struct fh *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

bool same_time(nfstime3 a, nfstime3 b)
{
    return a.seconds == b.seconds && a.nseconds == b.nseconds;
}

void assert_wcc(const struct wcc *wcc, const fattr3 *before, const fattr3 *after)
{
    assert_true(wcc->before_valid && wcc->after_valid);
    assert_int_equal(wcc->before.size, before->size);
    assert_true(same_time(wcc->before.mtime, before->mtime));
    assert_true(same_time(wcc->before.ctime, before->ctime));
    assert_int_equal(wcc->after.fileid, after->fileid);
    assert_int_equal(wcc->after.size, after->size);
    assert_true(same_time(wcc->after.mtime, after->mtime));
    assert_true(same_time(wcc->after.ctime, after->ctime));
}

/* ---- rigs ---- */

struct fh rig_mount(struct conn *conn, const char *path)
{
    mountres3 res = {0};
    struct fh fh;
    char *arg = (char *)(uintptr_t)path;

    conn_run(conn, MOUNT_PROG, 3, MOUNT3_MNT, FILTER(zdr_dirpath), &arg, FILTER(zdr_mountres3),
             &res);
    if (res.fhs_status != MNT3_OK)
        fail_msg("MNT %s: %d", path, res.fhs_status);
    fh.len = res.mountres3_u.mountinfo.fhandle.fhandle3_len;
    assert_in_range(fh.len, 1, 56);
    memcpy(fh.data, res.mountres3_u.mountinfo.fhandle.fhandle3_val, fh.len);
    return fh;
}

static void connect_rig(struct rig *rig)
{
    const char *name = strrchr(rig->server->args[rig->server->arg_count - 1], '/');

    rig->conn = conn_open(rig->server);
    rig->root = rig_mount(rig->conn, name);
}

struct rig *rig_new(const char *const *extra)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    rig->server = server_new(extra);
    server_start(rig->server);
    connect_rig(rig);
    rig->dir = rig->root;
    return rig;
}

void rig_free(struct rig *rig)
{
    conn_close(rig->conn);
    server_free(rig->server);
    free(rig);
}

void rig_restart(struct rig *rig, int sig)
{
    conn_close(rig->conn);
    server_restart(rig->server, sig);
    rig->conn = conn_open(rig->server);
}

static struct server *group_server;

int rig_group_setup(void **state)
{
    static const char *const args[] = {"--squash", "none", NULL};

    (void)state;
    group_server = server_new(args);
    server_start(group_server);
    return 0;
}

int rig_group_teardown(void **state)
{
    (void)state;
    server_free(group_server);
    return 0;
}

int rig_setup(void **state)
{
    static unsigned count;
    struct rig *rig = calloc(1, sizeof(*rig));
    char name[32];

    rig->server = group_server;
    connect_rig(rig);
    (void)snprintf(name, sizeof(name), "case%u", ++count);
    rig->dir = make_dir(rig->conn, &rig->root, name).fh;
    *state = rig;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;

    server_check_alive(rig->server);
    conn_close(rig->conn);
    free(rig);
    return 0;
}
