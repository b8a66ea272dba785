/*
 * What options of a volume do: defaults of attributes, how long things are believed, how many
 * requests a question costs, types of content. The bucket is a server that plays a script and
 * counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fs/script_rig.h"

static void check_attr(struct fs_attr attr, uint32_t mode, uint32_t uid, uint32_t gid)
{
    assert_int_equal(attr.mode, mode);
    assert_int_equal(attr.uid, uid);
    assert_int_equal(attr.gid, gid);
}

static void check_root(uint32_t mode, uint32_t uid, uint32_t gid)
{
    struct fs_req req = script_request();
    struct fs_attr attr;

    assert_int_equal(fs_getattr(script_vol, &req, fs_root(script_vol), &attr), 0);
    check_attr(attr, mode, uid, gid);
}

struct seen {
    uint32_t uid;
    unsigned count, with_attr;
};

static bool see(void *ctx, const struct fs_dir_entry *entry)
{
    struct seen *seen = ctx;

    seen->count++;
    if (entry->node.attr_valid && entry->cookie > 2 && strcmp(entry->name, "own") != 0 &&
        strcmp(entry->name, "mine") != 0) {
        assert_int_equal(entry->node.attr.uid, seen->uid);
        seen->with_attr++;
    }
    return true;
}

static unsigned list(uint32_t uid, unsigned *ret_with_attr)
{
    struct fs_req req = script_request();
    struct seen seen = {.uid = uid};
    struct fs_node node;
    bool eof;

    assert_int_equal(
        fs_readdir(script_vol, &req, fs_root(script_vol), 0, true, see, &seen, &eof, &node), 0);
    if (ret_with_attr)
        *ret_with_attr = seen.with_attr;
    return seen.count;
}

/* ---- attributes ---- */

static void test_defaults(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;

    config.read_only = true;
    script_start(NULL, true);
    check_attr(script_look("a", 0).attr, 0644, geteuid(), getegid());
    check_attr(script_look("implied", 0).attr, 0755, geteuid(), getegid());
    check_root(0777, geteuid(), getegid());
    script_stop();
    /* what has nothing of its own follows, what has something does not */
    config.uid = 1001;
    config.gid = 1002;
    config.file_mode = 0666;
    config.dir_mode = 0775;
    config.umask = 02;
    script_start(&config, true);
    unsigned with_attr;
    assert_int_equal(list(1001, &with_attr), 2 + 4);
    assert_true(with_attr >= 1);
    check_attr(script_look("a", 0).attr, 0664, 1001, 1002);
    check_attr(script_look("implied", 0).attr, 0775, 1001, 1002);
    check_attr(script_look("marked", 0).attr, 0775, 1001, 1002);
    check_attr(script_look("own", 0).attr, 0600, 5, 1002);
    check_root(0775, 1001, 1002);
    script_stop();
    /* from the database alone */
    config.uid = 1003;
    config.umask = 0;
    script_start(&config, true);
    assert_int_equal(list(1003, &with_attr), 2 + 4);
    assert_int_equal(with_attr, 3);
    check_root(0775, 1003, 1002);
    check_attr(script_look("own", 0).attr, 0600, 5, 1002);
}

/* What was changed once is the file's own, whatever the options say later. */
static void test_changed(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    struct fs_left left;

    config.uid = 1001;
    config.dir_mode = 0700;
    script_start(&config, false);
    script_set_mode(script_look("a", 0).ino, 0640);
    script_set_mode(fs_root(script_vol), 0711);
    check_root(0711, 1001, getegid());
    for (int64_t end = clock_mono_ns() + SCRIPT_WAIT_S * CLOCK_S;;) {
        fs_get_left(script_fs, &left);
        if (left.files == 0)
            break;
        assert_true(clock_mono_ns() < end);
        (void)usleep(1000);
    }
    script_stop();
    /* The object is as the copy left it. */
    static const struct fault_step later[] = {
        {.match = "HEAD /bkt/a ",
         .status = "200 OK",
         .headers = "ETag: \"e2\"\r\nx-amz-meta-file-permissions: 0100640\r\n"
                    "x-amz-meta-file-owner: 1001\r\nx-amz-meta-file-group: 0\r\n",
         .length = 5,
         .times = ANY},
        BUCKET,
        {0}};
    config.uid = 1002;
    config.file_mode = 0666;
    config.dir_mode = 0777;
    config.read_only = true;
    script_start(&config, true);
    fault_server_script(script_server, later);
    struct fs_node node = script_look("a", 0);
    assert_int_equal(node.attr.mode, 0640);
    assert_int_equal(node.attr.uid, 1001);
    check_root(0711, 1001, getegid());
    check_attr(script_look("marked", 0).attr, 0777, 1002, getegid());
}

/* The last PUT of that key, waiting for it. */
static const char *put_of(const char *key)
{
    CLEANUP_FREE char *line = mem_printf("PUT /bkt/%s ", key);

    for (int64_t end = clock_mono_ns() + SCRIPT_WAIT_S * CLOCK_S; clock_mono_ns() < end;) {
        for (unsigned i = fault_server_count(script_server); i-- > 0;)
            if (strncmp(fault_server_request(script_server, i), line, strlen(line)) == 0)
                return fault_server_request(script_server, i);
        (void)usleep(1000);
    }
    fail_msg("no PUT of %s", key);
    return "";
}

/* What is only moved, or written to, says no more of itself than before. */
static void test_moved(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    static const struct fault_step later[] = {
        {.match = "HEAD /bkt/moved ",
         .status = "200 OK",
         .headers = "ETag: \"e2\"\r\nx-amz-meta-file-mtime: 1000ns\r\n",
         .length = 5,
         .times = ANY},
        BUCKET,
        {0}};

    config.uid = 1001;
    script_start(&config, false);
    (void)script_look("a", 0);
    script_rename("a", "moved");
    script_settled();
    const char *copy = put_of("moved");
    assert_non_null(strstr(copy, "\r\nx-amz-meta-file-mtime: "));
    assert_null(strstr(copy, "\r\nx-amz-meta-file-owner"));
    assert_null(strstr(copy, "\r\nx-amz-meta-file-group"));
    assert_null(strstr(copy, "\r\nx-amz-meta-file-permissions"));
    script_stop();
    config.uid = 1002;
    config.read_only = true;
    script_start(&config, true);
    fault_server_script(script_server, later);
    check_attr(script_look("moved", 0).attr, 0644, 1002, getegid());
}

/* ---- what questions cost ---- */

/* The requests since the last call, in order, by their first letters: F is HEAD of the name, D is
 * HEAD of name/, L is LIST. */
static const char *costs(const char *name, char ret[16])
{
    CLEANUP_FREE char *file = mem_printf("HEAD /bkt/%s ", name);
    CLEANUP_FREE char *dir = mem_printf("HEAD /bkt/%s/ ", name);
    unsigned count = fault_server_count(script_server);

    assert_true(count < 16);
    for (unsigned i = 0; i < count; i++) {
        const char *head = fault_server_request(script_server, i);
        ret[i] = strncmp(head, file, strlen(file)) == 0 ? 'F'
                 : strncmp(head, dir, strlen(dir)) == 0 ? 'D'
                 : strncmp(head, "GET /bkt/?", 10) == 0 ? 'L'
                                                        : '?';
    }
    ret[count] = '\0';
    fault_server_script(script_server, script_bucket);
    return ret;
}

static int letter_compare(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static void check_cost(const char *name, int err, const char *want, bool in_turn)
{
    char got[16];

    fault_server_script(script_server, script_bucket);
    (void)script_look(name, err);
    (void)costs(name, got);
    if (!in_turn)
        qsort(got, strlen(got), 1, letter_compare);
    assert_string_equal(got, want);
    (void)script_look(name, err); /* now it is known */
    assert_string_equal(costs(name, got), "");
}

static void test_cost(void **state)
{
    (void)state;
    static const struct {
        bool cheap, no_implicit;
        const char *file, *marked, *implied, *nothing;
        int implied_err;
    } table[] = {
        {false, false, "DFL", "DFL", "DFL", "DFL", 0},
        {false, true, "DF", "DF", "DF", "DF", -ENOENT},
        {true, false, "F", "FD", "FDL", "FDL", 0},
        {true, true, "F", "FD", "FD", "FD", -ENOENT},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
        config.read_only = true;
        config.cheap = table[i].cheap;
        config.no_implicit_dir = table[i].no_implicit;
        script_start(&config, true);
        check_cost("a", 0, table[i].file, config.cheap);
        check_cost("marked", 0, table[i].marked, config.cheap);
        check_cost("implied", table[i].implied_err, table[i].implied, config.cheap);
        check_cost("nothing", -ENOENT, table[i].nothing, config.cheap);
        script_stop();
        script_forget();
    }
}

/* After a listing nothing is asked about names that it did not have, and one HEAD about others. */
static void test_cost_listed(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    char got[16];

    config.read_only = config.cheap = true;
    script_start(&config, true);
    assert_int_equal(list(geteuid(), NULL), 2 + 4);
    assert_string_equal(costs("", got), "L");
    (void)script_look("nothing", -ENOENT);
    assert_string_equal(costs("nothing", got), "");
    (void)script_look("a", 0);
    assert_string_equal(costs("a", got), "F");
    (void)script_look("marked", 0);
    assert_string_equal(costs("marked", got), "D");
    (void)script_look("implied", 0);
    assert_string_equal(costs("implied", got), "DL");
    assert_int_equal(list(geteuid(), NULL), 2 + 4);
    assert_string_equal(costs("", got), "");
}

/* Without implicit directories what a listing shows is one all the same: it is not taken away by a
 * look that finds no marker. */
static void test_no_implicit_listed(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    char got[16];

    config.read_only = config.no_implicit_dir = true;
    config.attr_ttl_ns = config.list_ttl_ns = 0;
    script_start(&config, true);
    (void)script_look("implied", -ENOENT);
    assert_int_equal(list(geteuid(), NULL), 2 + 4);
    fault_server_script(script_server, script_bucket);
    (void)script_look("implied", 0);
    assert_string_equal(costs("implied", got), "D");
    (void)script_look("implied", 0);
}

/* ---- how long things are believed ---- */

static void test_ttl(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    char got[16];

    /* names are good for long, attributes are not */
    config.read_only = config.cheap = true;
    config.attr_ttl_ns = 0;
    config.list_ttl_ns = LONG;
    script_start(&config, true);
    assert_int_equal(list(geteuid(), NULL), 2 + 4);
    (void)script_look("a", 0);
    fault_server_script(script_server, script_bucket);
    (void)script_look("a", 0);
    (void)script_look("nothing", -ENOENT);
    assert_int_equal(list(geteuid(), NULL), 2 + 4);
    assert_string_equal(costs("a", got), "F");
    script_stop();
    /* the other way round */
    config.attr_ttl_ns = LONG;
    config.list_ttl_ns = 0;
    script_start(&config, true);
    (void)script_look("a", 0);
    assert_int_equal(list(geteuid(), NULL), 2 + 4);
    fault_server_script(script_server, script_bucket);
    (void)script_look("a", 0);
    assert_string_equal(costs("a", got), "");
    assert_int_equal(list(geteuid(), NULL), 2 + 4);
    assert_string_equal(costs("", got), "L");
    (void)script_look("nothing", -ENOENT);
    assert_string_equal(costs("nothing", got), "FDL");
}

/* ---- refusals ---- */

/* goofys's TestRead403, TestWriteAnonymous: what the store refuses is EACCES. */
static void test_read_403(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    static const struct fault_step refused[] = {
        {.match = "GET /bkt/a ",
         .status = "403 Forbidden",
         .body = "<Error><Code>AccessDenied</Code></Error>",
         .times = ANY},
        {.match = "HEAD /bkt/hidden", .status = "403 Forbidden", .times = ANY},
        BUCKET,
        {0}};
    struct fs_req req;
    struct fs_node node;
    struct fs_data data = {0};
    bool eof;

    config.read_only = true;
    script_start(&config, true);
    uint64_t ino = script_look("a", 0).ino;
    fault_server_script(script_server, refused);
    req = script_request();
    assert_int_equal(fs_read(script_vol, &req, ino, 0, 5, &data, &eof, &node), -EACCES);
    (void)script_look("hidden", -EACCES);
}

/* goofys's TestWriteAnonymous: nobody asked for read-only, it is the credentials. */
static void test_write_anonymous(void **state)
{
    (void)state;
    static const struct fault_step may_not_write[] = {
        BUCKET,
        {.match = "PUT",
         .status = "403 Forbidden",
         .body = "<Error><Code>AccessDenied</Code></Error>",
         .times = ANY},
        {0}};
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    fault_server_script(script_server, may_not_write);
    for (int read_only = 0; read_only < 2; read_only++) {
        config.read_only = read_only;
        script_start(&config, false);
        struct fs_req req = script_request();
        assert_int_equal(fs_mkdir(script_vol, &req, fs_root(script_vol), "new", &set, &node, &wcc),
                         read_only ? -EROFS : -EACCES);
        (void)script_look("new", -ENOENT);
        script_stop();
        fault_server_script(script_server, may_not_write);
    }
}

/* ---- types of content ---- */

static void check_type(const char *key, const char *type)
{
    CLEANUP_FREE char *line = mem_printf("\r\ncontent-type: %s\r\n", type ? type : "");
    const char *head = put_of(key);

    if (type)
        assert_non_null(strcasestr(head, line));
    else
        assert_null(strcasestr(head, "\r\ncontent-type:"));
}

/* goofys's TestPutMimeType. The type of the source of a copy is what the bucket says. */
static void test_put_mime_type(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    static const struct fault_step written[] = {
        {.match = "HEAD /bkt/test.jpg ",
         .status = "200 OK",
         .headers = "ETag: \"e2\"\r\nContent-Type: image/x-own\r\n",
         .length = 5,
         .times = ANY},
        {.match = "HEAD /bkt/test ",
         .status = "200 OK",
         .headers = "ETag: \"e2\"\r\nContent-Type: image/x-own\r\n",
         .length = 5,
         .times = ANY},
        {.match = "PUT",
         .status = "200 OK",
         .headers = "ETag: \"e2\"\r\n",
         .body = COPIED,
         .times = ANY},
        BUCKET,
        {0}};

    script_start(&config, false);
    (void)script_create("no.css");
    check_type("no.css", NULL); /* not asked for */
    script_settled();
    script_stop();
    config.use_content_type = true;
    script_start(&config, false);
    (void)script_create("style.css");
    (void)script_create("README");
    uint64_t ino = script_create("test.jpg");
    check_type("style.css", "text/css");
    check_type("README", NULL);
    check_type("test.jpg", "image/jpeg");
    script_settled();
    fault_server_script(script_server, written);
    script_set_mode(ino, 0600);
    check_type("test.jpg", "image/x-own"); /* a copy keeps what it has */
    script_settled();
    script_rename("test.jpg", "test");
    check_type("test", "image/x-own"); /* no extension says anything else */
    script_settled();
    script_rename("test", "test2.jpg");
    check_type("test2.jpg", "image/jpeg");
    script_settled();
}

/* An object that is written anew keeps the type that somebody gave it, also over a restart. */
static void test_type_stays(void **state)
{
    (void)state;
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    static const struct fault_step typed[] = {
        {.match = "HEAD /bkt/page ",
         .status = "200 OK",
         .headers = "ETag: \"e\"\r\nContent-Type: text/x-own; charset=utf-8\r\n"
                    "x-amz-meta-color: blue\r\n",
         .length = 5,
         .times = ANY},
        {.match = "HEAD /bkt/bytes.css ",
         .status = "200 OK",
         .headers = "ETag: \"e\"\r\nContent-Type: binary/octet-stream\r\n",
         .length = 5,
         .times = ANY},
        {.match = "PUT", .status = "200 OK", .headers = "ETag: \"e2\"\r\n", .times = ANY},
        BUCKET,
        {0}};
    static const char *const names[] = {"page", "bytes.css"};
    static const char *const types[][2] = {{"text/x-own; charset=utf-8", NULL},
                                           {"text/x-own; charset=utf-8", "text/css"}};

    for (int use = 0; use < 2; use++) {
        config.use_content_type = use;
        script_start(&config, false);
        fault_server_script(script_server, typed);
        for (int i = 0; i < 2; i++) {
            struct iovec iov = {(void *)(uintptr_t) "HELLO", 5};
            struct fs_req req = script_request();
            struct fs_wcc wcc;
            uint64_t ino = script_look(names[i], 0).ino;
            assert_int_equal(fs_write(script_vol, &req, ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
            check_type(names[i], types[use][i]);
        }
        script_settled();
        char list[64];
        size_t len;
        struct fs_req req = script_request();
        assert_int_equal(
            fs_listxattr(script_vol, &req, script_look("page", 0).ino, list, sizeof(list), &len),
            0);
        assert_int_equal(len, sizeof("user.color"));
        assert_string_equal(list, "user.color");
        script_stop();
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, script_setup, script_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_defaults),      CASE(test_changed),     CASE(test_moved),
        CASE(test_cost),          CASE(test_cost_listed), CASE(test_no_implicit_listed),
        CASE(test_ttl),           CASE(test_read_403),    CASE(test_write_anonymous),
        CASE(test_put_mime_type), CASE(test_type_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
