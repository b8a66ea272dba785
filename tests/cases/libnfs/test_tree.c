/*
 * Random work on names, compared with a model in memory: files, directories and links made, removed
 * and renamed, directories with all that is below them, over each other, there and back, while the
 * store is still catching up, and across restarts. Handles must go on naming the same things, and
 * at the end the bucket holds exactly the tree.
 *
 * The seed is printed; PAILFS_SEED repeats a run, PAILFS_TRACE shows its steps.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calls.h"

enum { NODES = 60, NAMES = 5, STEPS = 1500, PATH_ROOM = 1024, TEXT_ROOM = 32 };

enum kind { NONE, DIRECTORY, PLAIN, LINK };

struct item { /* [0] is the root */
    enum kind kind;
    int parent;
    char name[8];
    struct fh fh;
    uint64_t fileid;
    char text[TEXT_ROOM]; /* of a file, or a link's target */
};

struct tree {
    struct rig *rig;
    struct item items[NODES];
    unsigned seed, step;
};

static unsigned pick(struct tree *t, unsigned n)
{
    return (unsigned)rand_r(&t->seed) % n;
}

/* The path of an item, for traces; valid until the next call but three. */
static const char *path_of(const struct tree *t, int item)
{
    static char ring[4][PATH_ROOM];
    static unsigned turn;
    char *path = ring[turn++ % 4], rest[PATH_ROOM];

    path[0] = '\0';
    for (; item > 0; item = t->items[item].parent) {
        (void)snprintf(rest, sizeof(rest), "%s", path);
        (void)snprintf(path, PATH_ROOM, "/%s%.900s", t->items[item].name, rest);
    }
    return path;
}

/* PAILFS_TRACE shows what is about to be done. */
#define TRACE(t, ...)                         \
    do {                                      \
        if (getenv("PAILFS_TRACE")) {         \
            print_message("%u: ", (t)->step); \
            print_message(__VA_ARGS__);       \
            print_message("\n");              \
        }                                     \
    } while (0)

static int child(const struct tree *t, int parent, const char *name)
{
    for (int i = 1; i < NODES; i++)
        if (t->items[i].kind != NONE && t->items[i].parent == parent &&
            strcmp(t->items[i].name, name) == 0)
            return i;
    return -1;
}

static bool is_empty(const struct tree *t, int dir)
{
    for (int i = 1; i < NODES; i++)
        if (t->items[i].kind != NONE && t->items[i].parent == dir)
            return false;
    return true;
}

static bool is_below(const struct tree *t, int item, int dir)
{
    for (; item > 0; item = t->items[item].parent)
        if (item == dir)
            return true;
    return item == dir;
}

static int pick_dir(struct tree *t)
{
    for (int tries = 0; tries < 100; tries++) {
        int i = (int)pick(t, NODES);
        if (t->items[i].kind == DIRECTORY)
            return i;
    }
    return 0;
}

static int pick_item(struct tree *t)
{
    for (int tries = 0; tries < 100; tries++) {
        int i = 1 + (int)pick(t, NODES - 1);
        if (t->items[i].kind != NONE)
            return i;
    }
    return -1;
}

static void pick_name(struct tree *t, char name[8])
{
    (void)snprintf(name, 8, "n%u", pick(t, NAMES));
}

static int free_item(const struct tree *t)
{
    for (int i = 1; i < NODES; i++)
        if (t->items[i].kind == NONE)
            return i;
    return -1;
}

static void do_make(struct tree *t, enum kind kind)
{
    int dir = pick_dir(t), i = free_item(t);
    struct conn *c = t->rig->conn;
    struct item *item = i < 0 ? NULL : &t->items[i];
    struct node node;
    sattr3 set = attr_mode(kind == DIRECTORY ? 0755 : 0644);
    nfsstat3 status;

    if (!item)
        return;
    pick_name(t, item->name);
    bool there = child(t, dir, item->name) >= 0;
    (void)snprintf(item->text, sizeof(item->text), "step %u", t->step);
    TRACE(t, "make %d %s/%s there %d", kind, path_of(t, dir), item->name, there);
    if (kind == DIRECTORY)
        status = v3_mkdir(c, &t->items[dir].fh, item->name, &set, &node, NULL);
    else if (kind == LINK)
        status = v3_symlink(c, &t->items[dir].fh, item->name, item->text, &node, NULL);
    else
        status = v3_create(c, &t->items[dir].fh, item->name, GUARDED, &set, &node, NULL);
    assert_status(status, there ? NFS3ERR_EXIST : NFS3_OK);
    if (there)
        return;
    if (kind == PLAIN)
        assert_ok(
            v3_write(c, &node.fh, 0, item->text, (uint32_t)strlen(item->text), FILE_SYNC, NULL));
    item->kind = kind;
    item->parent = dir;
    item->fh = node.fh;
    item->fileid = node.attr.fileid;
}

static void do_rewrite(struct tree *t)
{
    int i = pick_item(t);
    sattr3 size = attr_size(0);
    struct item *item = i < 0 ? NULL : &t->items[i];

    if (!item || item->kind != PLAIN)
        return;
    TRACE(t, "rewrite %s", path_of(t, i));
    (void)snprintf(item->text, sizeof(item->text), "rewritten in step %u", t->step);
    assert_ok(v3_setattr(t->rig->conn, &item->fh, &size, NULL, NULL));
    assert_ok(v3_write(t->rig->conn, &item->fh, 0, item->text, (uint32_t)strlen(item->text),
                       FILE_SYNC, NULL));
}

static void do_remove(struct tree *t)
{
    int i = pick_item(t);
    struct item *item = i < 0 ? NULL : &t->items[i];

    if (!item)
        return;
    TRACE(t, "remove %d %s", item->kind, path_of(t, i));
    const struct fh *dir = &t->items[item->parent].fh;
    if (item->kind != DIRECTORY) {
        assert_ok(v3_remove(t->rig->conn, dir, item->name, NULL));
    } else if (!is_empty(t, i)) {
        assert_status(v3_rmdir(t->rig->conn, dir, item->name, NULL), NFS3ERR_NOTEMPTY);
        return;
    } else {
        assert_ok(v3_rmdir(t->rig->conn, dir, item->name, NULL));
    }
    item->kind = NONE;
    assert_status(v3_getattr(t->rig->conn, &item->fh, NULL), NFS3ERR_STALE);
}

/* What RENAME has to say to item i going to (dir, name), where old is now. */
static nfsstat3 rename_status(const struct tree *t, int i, int dir, int old)
{
    bool is_dir = t->items[i].kind == DIRECTORY;

    if (old == i)
        return NFS3_OK;
    if (is_dir && is_below(t, dir, i))
        return NFS3ERR_INVAL;
    if (old < 0)
        return NFS3_OK;
    if (is_dir && t->items[old].kind != DIRECTORY)
        return NFS3ERR_NOTDIR;
    if (!is_dir && t->items[old].kind == DIRECTORY)
        return NFS3ERR_ISDIR;
    return is_dir && !is_empty(t, old) ? NFS3ERR_NOTEMPTY : NFS3_OK;
}

static void do_rename(struct tree *t)
{
    int i = pick_item(t), dir = pick_dir(t);
    char name[8];

    if (i < 0)
        return;
    pick_name(t, name);
    int old = child(t, dir, name);
    nfsstat3 want = rename_status(t, i, dir, old);
    TRACE(t, "rename %d %s to %s/%s: %s", t->items[i].kind, path_of(t, i), path_of(t, dir), name,
          status_name(want));
    assert_status(v3_rename(t->rig->conn, &t->items[t->items[i].parent].fh, t->items[i].name,
                            &t->items[dir].fh, name, NULL, NULL),
                  want);
    if (want != NFS3_OK)
        return;
    if (old >= 0 && old != i) {
        t->items[old].kind = NONE;
        assert_status(v3_getattr(t->rig->conn, &t->items[old].fh, NULL), NFS3ERR_STALE);
    }
    t->items[i].parent = dir;
    memcpy(t->items[i].name, name, sizeof(name));
}

/* ---- checks ---- */

static void check_item(struct tree *t, int i)
{
    struct item *item = &t->items[i];
    const char *target;
    struct node node;

    TRACE(t, "check %d %s", item->kind, path_of(t, i));
    node = find(t->rig->conn, &t->items[item->parent].fh, item->name);

    if (!same_fh(&node.fh, &item->fh))
        fail_msg("step %u: %s in item %d is another one", t->step, item->name, item->parent);
    assert_int_equal(node.attr.fileid, item->fileid);
    assert_int_equal(node.attr.type, item->kind == DIRECTORY ? NF3DIR
                                     : item->kind == PLAIN   ? NF3REG
                                                             : NF3LNK);
    if (item->kind == PLAIN)
        assert_text(t->rig->conn, &item->fh, item->text);
    if (item->kind == LINK) {
        assert_ok(v3_readlink(t->rig->conn, &item->fh, &target));
        assert_string_equal(target, item->text);
    }
    if (item->kind == DIRECTORY)
        assert_true(same_fh(fh_at(t->rig->conn, &item->fh, ".."), &t->items[item->parent].fh));
}

static void check_listing(struct tree *t, int dir)
{
    READDIR3resok ok;
    unsigned seen = 0, want = 0;

    TRACE(t, "list %s", path_of(t, dir));
    assert_ok(v3_readdir(t->rig->conn, &t->items[dir].fh, 0, NULL, 8192, &ok));
    assert_true(ok.reply.eof);
    for (const entry3 *e = ok.reply.entries; e; e = e->nextentry) {
        if (e->name[0] == '.')
            continue;
        int i = child(t, dir, e->name);
        if (i < 0)
            fail_msg("step %u: %s is listed in item %d", t->step, e->name, dir);
        assert_int_equal(e->fileid, t->items[i].fileid);
        seen++;
    }
    for (int i = 1; i < NODES; i++)
        want += t->items[i].kind != NONE && t->items[i].parent == dir;
    assert_int_equal(seen, want);
    for (unsigned n = 0; n < NAMES; n++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "n%u", n);
        if (child(t, dir, name) < 0)
            assert_status(v3_lookup(t->rig->conn, &t->items[dir].fh, name, NULL), NFS3ERR_NOENT);
    }
}

static void check_everything(struct tree *t)
{
    for (int i = 1; i < NODES; i++)
        if (t->items[i].kind != NONE)
            check_item(t, i);
    for (int i = 0; i < NODES; i++)
        if (t->items[i].kind == DIRECTORY)
            check_listing(t, i);
}

static void check_bucket_file(const struct item *item, const char *path, const struct stat *st)
{
    char text[TEXT_ROOM] = {0};
    FILE *file;

    if (item->kind == LINK && S_ISLNK(st->st_mode))
        return;
    assert_true(S_ISREG(st->st_mode));
    if (item->kind == LINK)
        return; /* how a link is kept is the store's business */
    file = fopen(path, "re");
    assert_non_null(file);
    (void)!fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    if (strcmp(text, item->text) != 0)
        fail_msg("the bucket has \"%s\" in %s instead of \"%s\"", text, path, item->text);
}

static void check_bucket(struct tree *t, int dir, const char *path)
{
    unsigned seen = 0, want = 0;
    struct dirent *entry;
    DIR *d = opendir(path);

    assert_non_null(d);
    while ((entry = readdir(d))) {
        char sub[PATH_ROOM];
        struct stat st;
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(sub, sizeof(sub), "%s/%s", path, entry->d_name);
        int i = child(t, dir, entry->d_name);
        if (i < 0)
            fail_msg("the bucket has %s", sub);
        assert_int_equal(lstat(sub, &st), 0);
        if (t->items[i].kind == DIRECTORY) {
            assert_true(S_ISDIR(st.st_mode));
            check_bucket(t, i, sub);
        } else {
            check_bucket_file(&t->items[i], sub, &st);
        }
        seen++;
    }
    (void)closedir(d);
    for (int i = 1; i < NODES; i++)
        want += t->items[i].kind != NONE && t->items[i].parent == dir;
    if (seen != want)
        fail_msg("the bucket has %u names instead of %u in %s", seen, want, path);
}

static void do_step(struct tree *t, unsigned restarts)
{
    unsigned what = pick(t, 1000);

    if (what < 200)
        do_make(t, PLAIN);
    else if (what < 350)
        do_make(t, DIRECTORY);
    else if (what < 380)
        do_make(t, LINK);
    else if (what < 450)
        do_rewrite(t);
    else if (what < 650)
        do_remove(t);
    else if (what < 970)
        do_rename(t);
    else if (what < 1000 - restarts)
        check_everything(t);
    else {
        TRACE(t, "restart");
        rig_restart(t->rig, pick(t, 2) ? SIGKILL : SIGTERM);
        t->rig->conn->patient = true;
        check_everything(t);
    }
}

static void run_tree(const char *const *args, unsigned seed, unsigned restarts)
{
    struct tree t = {.seed = seed};
    const char *given = getenv("PAILFS_SEED");

    if (given)
        t.seed = (unsigned)strtoul(given, NULL, 10);
    print_message("seed %u\n", t.seed);
    t.rig = rig_new(args);
    t.rig->conn->patient = true;
    t.items[0] = (struct item){.kind = DIRECTORY, .fh = t.rig->root};
    for (t.step = 0; t.step < STEPS; t.step++) {
        do_step(&t, restarts);
        server_check_alive(t.rig->server);
    }
    check_everything(&t);
    server_stop(t.rig->server, SIGTERM);
    check_bucket(&t, 0, server_path(t.rig->server, "bucket"));
    server_start(t.rig->server);
    conn_close(t.rig->conn);
    t.rig->conn = conn_open(t.rig->server);
    t.rig->conn->patient = true;
    check_everything(&t);
    rig_free(t.rig);
}

static void while_the_store_catches_up(void **state)
{
    static const char *const args[] = {"--squash", "none", "--quiet-time", "1ms", "--attr-ttl",
                                       "0",        NULL};

    (void)state;
    run_tree(args, 1, 0);
}

static void across_restarts(void **state)
{
    static const char *const args[] = {"--squash", "none", "--quiet-time", "30ms", NULL};

    (void)state;
    run_tree(args, 2, 20);
}

static void before_the_store_knows(void **state)
{
    static const char *const args[] = {"--squash", "none", "--quiet-time", "1h", NULL};

    (void)state;
    run_tree(args, 3, 5);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_the_store_catches_up),
        cmocka_unit_test(across_restarts),
        cmocka_unit_test(before_the_store_knows),
    };

    rig_init(argc, argv);
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
