/*
 * What operations cost: the requests of each, counted at a server that can do all that S3 does with
 * preconditions. The table is what README and the bill say.
 */
#include "tests/fs/script_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define PROBE "/bkt/.pailfs-probe-"
#define OK_E .status = "200 OK", .headers = "ETag: \"e2\"\r\n", .body = COPIED

/* Answers to what the opening tries, in its order: conditions on PUT, a wrong checksum, conditions
 * on COPY, on DELETE. */
static const struct fault_step able[] = {
    {.match = "PUT " PROBE, OK_E},
    {.match = "PUT " PROBE, .status = "412 P", .times = 2},
    {.match = "PUT " PROBE, OK_E},
    {.match = "PUT " PROBE,
     .status = "400 B",
     .body = "<Error><Code>InvalidRequest</Code></Error>"},
    {.match = "PUT " PROBE, OK_E, .times = 2},
    {.match = "PUT " PROBE, .status = "412 P", .times = 2},
    {.match = "PUT " PROBE, OK_E, .times = ANY},
    {.match = "HEAD " PROBE, .status = "200 OK", .length = 66, .times = ANY},
    {.match = "DELETE " PROBE, .status = "412 P"},
    {.match = "POST", .status = "501 N", .times = ANY},
    BUCKET,
    {0}};

static const struct fault_step takes_all[] = {{.match = "PUT", OK_E, .times = ANY}, BUCKET, {0}};

static char letter(const char *head)
{
    if (strncmp(head, "PUT", 3) == 0)
        return strstr(head, "x-amz-copy-source:") ? 'C' : 'P';
    return strncmp(head, "GET /bkt/?", 10) == 0 ? 'L' : head[0]; /* H, G, D */
}

/* Waits until all is in the bucket. The requests since the last call, by letter. */
static void check_cost(const char *what, const char *want)
{
    char got[FAULT_REQUESTS_MAX + 1];
    unsigned count;

    script_settled();
    count = fault_server_count(script_server);
    for (unsigned i = 0; i < count; i++)
        got[i] = letter(fault_server_request(script_server, i));
    got[count] = '\0';
    if (strcmp(got, want) != 0) {
        print_error("%s\n", what);
        for (unsigned i = 0; i < count; i++)
            print_error("%.60s\n", fault_server_request(script_server, i));
    }
    assert_string_equal(got, want);
    fault_server_script(script_server, takes_all);
}

static void overwrite(uint64_t ino)
{
    struct iovec iov = {(void *)(uintptr_t) "HELLO", 5};
    struct fs_req req = script_request();
    struct fs_wcc wcc;

    assert_int_equal(fs_write(script_vol, &req, ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
}

static uint64_t make_dir(const char *name)
{
    struct fs_req req = script_request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(fs_mkdir(script_vol, &req, fs_root(script_vol), name, &set, &node, &wcc), 0);
    return node.ino;
}

static void make_link(const char *name)
{
    struct fs_req req = script_request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(
        fs_symlink(script_vol, &req, fs_root(script_vol), name, "a", &set, &node, &wcc), 0);
}

static void take_away(const char *name, bool is_dir)
{
    struct fs_req req = script_request();
    struct fs_wcc wcc;

    assert_int_equal(is_dir ? fs_rmdir(script_vol, &req, fs_root(script_vol), name, &wcc)
                            : fs_remove(script_vol, &req, fs_root(script_vol), name, &wcc),
                     0);
}

/* One name after the other, each seen for the first time where it is made. */
static void test_cheap(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;

    config.cheap = true;
    fault_server_script(script_server, able);
    script_start(&config, false);
    fault_server_script(script_server, takes_all);
    uint64_t a = script_look("a", 0).ino;
    check_cost("lookup", "H");
    overwrite(a);
    check_cost("write", "P");
    script_set_mode(a, 0600);
    check_cost("chmod", "HC");
    script_rename("a", "b");
    check_cost("rename", "HHLHCD");
    take_away("b", false);
    check_cost("remove", "D");
    (void)script_create("new");
    check_cost("create and write", "HHLP");
    make_link("link");
    check_cost("symlink", "HHLP");
    (void)make_dir("dir");
    check_cost("mkdir", "HHLP");
    take_away("dir", true);
    check_cost("rmdir", "LD");
    (void)script_look("nothing", -2);
    check_cost("lookup of nothing", "HHL");
    (void)script_look("nothing", -2);
    check_cost("lookup of nothing again", "");
}

/* A store that knows no preconditions is looked at before each change: once. */
static void test_cheap_simple_store(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;

    config.cheap = true;
    script_start(&config, false);
    fault_server_script(script_server, takes_all);
    uint64_t a = script_look("a", 0).ino;
    check_cost("lookup", "H");
    overwrite(a);
    check_cost("write", "HP");
    (void)script_create("new");
    check_cost("create and write", "HHLHP");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, script_setup, script_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_cheap), CASE(test_cheap_simple_store)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
