/* READDIR and READDIRPLUS: each name exactly once, whatever the sizes and whatever happens
 * meanwhile. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

enum { MANY = 1500, NAME_ROOM = 40 };

/* What a listing gave. */
struct listing {
    unsigned dots, dotdots, others, pages;
    uint8_t *seen; /* by number of the name "entry-00042" */
    uint64_t cookie, last_fileid;
    char verf[8];
    bool eof;
};

/* One reply, of READDIR if dircount is UINT32_MAX. */
struct page_args {
    const struct fh *dir;
    uint32_t dircount, count;
};

static void entry_name(char *name, unsigned i)
{
    (void)snprintf(name, NAME_ROOM, "entry-%05u", i);
}

static void listing_init(struct listing *l)
{
    *l = (struct listing){.seen = calloc(1, 4 * MANY)};
}

static void take_entry(struct listing *l, const char *name, uint64_t fileid, uint64_t cookie)
{
    unsigned number;

    assert_true(fileid != 0);
    assert_true(cookie != 0 && cookie <= INT64_MAX);
    assert_true(cookie != l->cookie);
    if (strcmp(name, ".") == 0) {
        l->dots++;
    } else if (strcmp(name, "..") == 0) {
        l->dotdots++;
    } else {
        l->others++;
        if (sscanf(name, "entry-%05u", &number) == 1) {
            assert_true(number < 4 * MANY);
            l->seen[number]++;
        }
    }
    l->cookie = cookie;
    l->last_fileid = fileid;
}

static nfsstat3 list_page(struct conn *c, const struct page_args *args, struct listing *l)
{
    nfsstat3 status;

    if (args->dircount == UINT32_MAX) {
        READDIR3resok ok = {0};
        status = v3_readdir(c, args->dir, l->cookie, l->verf, args->count, &ok);
        if (status)
            return status;
        for (const entry3 *e = ok.reply.entries; e; e = e->nextentry)
            take_entry(l, e->name, e->fileid, e->cookie);
        memcpy(l->verf, ok.cookieverf, 8);
        l->eof = ok.reply.eof;
    } else {
        READDIRPLUS3resok ok = {0};
        status = v3_readdirplus(c, args->dir, l->cookie, l->verf, args->dircount, args->count, &ok);
        if (status)
            return status;
        for (const entryplus3 *e = ok.reply.entries; e; e = e->nextentry)
            take_entry(l, e->name, e->fileid, e->cookie);
        memcpy(l->verf, ok.cookieverf, 8);
        l->eof = ok.reply.eof;
    }
    l->pages++;
    return NFS3_OK;
}

static void list_all(struct conn *c, const struct page_args *args, struct listing *l)
{
    while (!l->eof) {
        assert_ok(list_page(c, args, l));
        assert_true(l->pages <= 4 * MANY + 10);
    }
}

static void check_all(const struct listing *l, unsigned count)
{
    assert_int_equal(l->dots, 1);
    assert_int_equal(l->dotdots, 1);
    assert_int_equal(l->others, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(l->seen[i], 1);
}

static void fill_dir(struct rig *rig, const struct fh *dir, unsigned count)
{
    char name[NAME_ROOM];
    sattr3 none = attr_none();

    for (unsigned i = 0; i < count; i++) {
        entry_name(name, i);
        assert_ok(v3_create(rig->conn, dir, name, GUARDED, &none, NULL, NULL));
    }
}

static void empty_directory(void **state)
{
    struct rig *rig = *state;
    struct listing plain, plus;

    listing_init(&plain);
    listing_init(&plus);
    list_all(rig->conn, &(struct page_args){&rig->dir, UINT32_MAX, 4096}, &plain);
    list_all(rig->conn, &(struct page_args){&rig->dir, 4096, 4096}, &plus);
    check_all(&plain, 0);
    check_all(&plus, 0);
    assert_int_equal(plain.pages, 1);
    free(plain.seen);
    free(plus.seen);
}

static void dots_name_the_right_things(void **state)
{
    struct rig *rig = *state;
    struct node dir = make_dir(rig->conn, &rig->dir, "d");
    READDIR3resok ok;
    uint64_t self = dir.attr.fileid, parent = attr_of(rig->conn, &rig->dir).fileid;

    assert_ok(v3_readdir(rig->conn, &dir.fh, 0, NULL, 4096, &ok));
    for (const entry3 *e = ok.reply.entries; e; e = e->nextentry)
        assert_int_equal(e->fileid, strcmp(e->name, ".") == 0 ? self : parent);
    assert_ok(v3_readdir(rig->conn, &rig->root, 0, NULL, 1 << 16, &ok));
    self = attr_of(rig->conn, &rig->root).fileid;
    for (const entry3 *e = ok.reply.entries; e; e = e->nextentry)
        if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
            assert_int_equal(e->fileid, self);
}

static void entries_are_what_lookup_finds(void **state)
{
    struct rig *rig = *state;
    READDIRPLUS3resok ok;
    struct node node;
    unsigned given = 0;

    fill_dir(rig, &rig->dir, 20);
    (void)make_dir(rig->conn, &rig->dir, "sub");
    assert_ok(v3_symlink(rig->conn, &rig->dir, "link", "nowhere", NULL, NULL));
    assert_ok(v3_readdirplus(rig->conn, &rig->dir, 0, NULL, 65536, 65536, &ok));
    for (const entryplus3 *e = ok.reply.entries; e; e = e->nextentry) {
        node = find(rig->conn, &rig->dir, e->name);
        assert_int_equal(node.attr.fileid, e->fileid);
        if (e->name_attributes.attributes_follow) {
            const fattr3 *attr = &e->name_attributes.post_op_attr_u.attributes;
            assert_int_equal(attr->type, node.attr.type);
            assert_int_equal(attr->size, node.attr.size);
            assert_true(same_time(attr->mtime, node.attr.mtime));
            given++;
        }
        if (e->name_handle.handle_follows) {
            const nfs_fh3 *fh = &e->name_handle.post_op_fh3_u.handle;
            assert_int_equal(fh->data.data_len, node.fh.len);
            assert_memory_equal(fh->data.data_val, node.fh.data, node.fh.len);
        }
    }
    assert_true(given >= 22); /* this server made them: it knows */
}

static void too_small_is_said(void **state)
{
    struct rig *rig = *state;
    static const uint32_t tiny[] = {0, 1, 16, 64, 100};
    nfsstat3 status;
    uint32_t count = 100;

    fill_dir(rig, &rig->dir, 3);
    for (unsigned i = 0; i < sizeof(tiny) / sizeof(tiny[0]); i++) {
        assert_status(v3_readdir(rig->conn, &rig->dir, 0, NULL, tiny[i], NULL), NFS3ERR_TOOSMALL);
        assert_status(v3_readdirplus(rig->conn, &rig->dir, 0, NULL, 4096, tiny[i], NULL),
                      NFS3ERR_TOOSMALL);
    }
    /* From the first count that has room for one entry on, there is one. */
    while ((status = v3_readdir(rig->conn, &rig->dir, 0, NULL, count, NULL)) == NFS3ERR_TOOSMALL)
        assert_true(++count < 200);
    assert_ok(status);
    for (; count < 300; count++)
        assert_ok(v3_readdir(rig->conn, &rig->dir, 0, NULL, count, NULL));
}

static void many_entries_in_any_size(void **state)
{
    struct rig *rig = *state;
    static const struct page_args sizes[] = {
        {NULL, UINT32_MAX, 160},
        {NULL, UINT32_MAX, 512},
        {NULL, UINT32_MAX, 4096},
        {NULL, UINT32_MAX, 32768},
        {NULL, UINT32_MAX, 1 << 20},
        {NULL, UINT32_MAX, UINT32_MAX},
        {NULL, 0, 8192},
        {NULL, 1, 1024},
        {NULL, 128, 65536},
        {NULL, 512, 4096},
        {NULL, 8192, 8192},
        {NULL, 65536, 512},
        {NULL, 1 << 20, 1 << 20},
        {NULL, UINT32_MAX - 1, UINT32_MAX},
    };

    fill_dir(rig, &rig->dir, MANY);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct page_args args = sizes[i];
        struct listing l;
        args.dir = &rig->dir;
        listing_init(&l);
        list_all(rig->conn, &args, &l);
        check_all(&l, MANY);
        free(l.seen);
    }
}

static void end_is_the_end(void **state)
{
    struct rig *rig = *state;
    struct listing l;
    READDIR3resok ok;
    READDIRPLUS3resok plus;

    fill_dir(rig, &rig->dir, 10);
    listing_init(&l);
    list_all(rig->conn, &(struct page_args){&rig->dir, UINT32_MAX, 4096}, &l);
    assert_ok(v3_readdir(rig->conn, &rig->dir, l.cookie, l.verf, 4096, &ok));
    assert_true(!ok.reply.entries && ok.reply.eof);
    assert_ok(v3_readdirplus(rig->conn, &rig->dir, l.cookie, l.verf, 4096, 4096, &plus));
    assert_true(!plus.reply.entries && plus.reply.eof);
    assert_ok(v3_readdir(rig->conn, &rig->dir, INT64_MAX, l.verf, 4096, &ok));
    assert_true(!ok.reply.entries && ok.reply.eof);
    free(l.seen);
}

static void verifier_is_constant(void **state)
{
    struct rig *rig = *state;
    struct listing l, again;
    static const char other[8] = "otherone";
    nfsstat3 status;

    listing_init(&l);
    listing_init(&again);
    fill_dir(rig, &rig->dir, 5);
    assert_ok(list_page(rig->conn, &(struct page_args){&rig->dir, UINT32_MAX, 4096}, &l));
    (void)make_file(rig->conn, &rig->dir, "more", "");
    assert_ok(list_page(rig->conn, &(struct page_args){&rig->dir, 4096, 8192}, &again));
    assert_memory_equal(l.verf, again.verf, 8);
    status = v3_readdir(rig->conn, &rig->dir, l.cookie, other, 4096, NULL);
    assert_true(status == NFS3_OK || status == NFS3ERR_BAD_COOKIE);
    free(l.seen);
    free(again.seen);
}

static void removing_while_listing(void **state)
{
    struct rig *rig = *state;
    struct page_args args = {&rig->dir, UINT32_MAX, 1024};
    struct listing l;
    char name[NAME_ROOM];
    unsigned removed = 0;

    fill_dir(rig, &rig->dir, 300);
    listing_init(&l);
    while (!l.eof) { /* as rm -r does: what has been seen goes, the last entry included */
        assert_ok(list_page(rig->conn, &args, &l));
        for (unsigned i = 0; i < 300; i++) {
            if (l.seen[i] != 1)
                continue;
            entry_name(name, i);
            if (v3_remove(rig->conn, &rig->dir, name, NULL) == NFS3_OK)
                removed++;
        }
    }
    assert_int_equal(removed, 300);
    check_all(&l, 300);
    free(l.seen);
    listing_init(&l);
    list_all(rig->conn, &args, &l);
    check_all(&l, 0);
    free(l.seen);
}

static void changing_while_listing(void **state)
{
    struct rig *rig = *state;
    struct page_args args = {&rig->dir, 1024, 2048};
    struct listing l;
    char name[NAME_ROOM], to[NAME_ROOM];

    fill_dir(rig, &rig->dir, 200);
    listing_init(&l);
    for (unsigned i = 0; !l.eof; i++) { /* new names, renames, a removal ahead */
        assert_ok(list_page(rig->conn, &args, &l));
        entry_name(name, 1000 + i);
        (void)make_file(rig->conn, &rig->dir, name, "");
        entry_name(to, 3000 + i);
        assert_ok(v3_rename(rig->conn, &rig->dir, name, &rig->dir, to, NULL, NULL));
        assert_true(i < 1000);
        if (i > 50)
            break;
    }
    for (unsigned i = 0; i < 200; i++) /* what was there all the time is there once */
        assert_int_equal(l.seen[i], l.eof ? 1 : l.seen[i]);
    for (unsigned i = 0; i < 4 * MANY; i++)
        assert_true(l.seen[i] <= 1);
    free(l.seen);
}

static void only_directories_are_listed(void **state)
{
    struct rig *rig = *state;
    struct node file = make_file(rig->conn, &rig->dir, "f", ""), link;

    assert_ok(v3_symlink(rig->conn, &rig->dir, "l", ".", &link, NULL));
    assert_status(v3_readdir(rig->conn, &file.fh, 0, NULL, 4096, NULL), NFS3ERR_NOTDIR);
    assert_status(v3_readdirplus(rig->conn, &file.fh, 0, NULL, 4096, 8192, NULL), NFS3ERR_NOTDIR);
    assert_status(v3_readdir(rig->conn, &link.fh, 0, NULL, 4096, NULL), NFS3ERR_NOTDIR);
}

static void listing_goes_on_after_restart(void **state)
{
    static const char *const args[] = {"--squash", "none", NULL};
    static const int signals[] = {SIGTERM, SIGKILL};
    struct rig *rig = rig_new(args);
    struct page_args page = {&rig->root, UINT32_MAX, 2048};
    struct listing whole, l;

    (void)state;
    fill_dir(rig, &rig->root, 400);
    for (int i = 0; i < 2; i++) {
        listing_init(&l);
        assert_ok(list_page(rig->conn, &page, &l));
        assert_ok(list_page(rig->conn, &page, &l));
        rig_restart(rig, signals[i]);
        assert_false(l.eof);
        list_all(rig->conn, &page, &l);
        check_all(&l, 400);
        free(l.seen);
    }
    listing_init(&whole);
    list_all(rig->conn, &page, &whole);
    check_all(&whole, 400);
    free(whole.seen);
    rig_free(rig);
}

/* Objects that the server has not made and has never seen. */
static void cold_directory(void **state)
{
    static const char *const args[] = {"--squash", "none", NULL};
    struct rig *rig;
    struct server *server = server_new(args);
    struct listing l;
    char name[64];

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "bucket/entry-%05u", i);
        FILE *file = fopen(server_path(server, name), "we");
        assert_non_null(file);
        (void)fclose(file);
    }
    server_start(server);
    rig = calloc(1, sizeof(*rig));
    rig->server = server;
    rig->conn = conn_open(server);
    rig->root = rig_mount(rig->conn, "/bucket");
    listing_init(&l);
    list_all(rig->conn, &(struct page_args){&rig->root, 4096, 16384}, &l);
    check_all(&l, MANY);
    free(l.seen);
    listing_init(&l);
    list_all(rig->conn, &(struct page_args){&rig->root, UINT32_MAX, 8192}, &l);
    check_all(&l, MANY);
    free(l.seen);
    rig_free(rig);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(empty_directory),
        CASE(dots_name_the_right_things),
        CASE(entries_are_what_lookup_finds),
        CASE(too_small_is_said),
        CASE(many_entries_in_any_size),
        CASE(end_is_the_end),
        CASE(verifier_is_constant),
        CASE(removing_while_listing),
        CASE(changing_while_listing),
        CASE(only_directories_are_listed),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(listing_goes_on_after_restart),
        cmocka_unit_test(cold_directory),
    };
    int failed;

    rig_init(argc, argv);
    failed = cmocka_run_group_tests_name("dirs", tests, rig_group_setup, rig_group_teardown);
    return failed + cmocka_run_group_tests_name("servers of their own", alone, NULL, NULL);
}
