/* Exports: networks, path matching, access, squashing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>

#include "nfsd/export.h"

static struct export_addr addr_of(const char *text, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct export_addr ret;

    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        assert_true(export_addr_from((const struct sockaddr *)&in, &ret));
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        assert_true(export_addr_from((const struct sockaddr *)&in6, &ret));
    }
    return ret;
}

static struct export_net net_of(const char *text)
{
    struct export_net net;
    const char *why;

    assert_int_equal(export_net_parse(text, &net, &why), 0);
    return net;
}

static void test_net_parse_accepts(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"10.0.0.0/8", "10.0.0.0/8"},         {"192.0.2.7", "192.0.2.7"},
        {"192.0.2.7/32", "192.0.2.7"},        {"0.0.0.0/0", "0.0.0.0/0"},
        {"192.0.2.128/25", "192.0.2.128/25"}, {"::/0", "::/0"},
        {"2001:DB8::/32", "2001:db8::/32"},   {"::1", "::1"},
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct export_net net = net_of(good[i][0]);
        char text[EXPORT_NET_TEXT];
        export_net_format(&net, text);
        assert_string_equal(text, good[i][1]);
    }
}

static void test_net_parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "/8",         "10.0.0.0/",    "10.0.0.0/33",   "10.0.0.0/-1", "10.0.0.0/8x",
        "10.0.0/8",  "10.0.0.1/8", "localhost",    "::/129",        "::1/64",      "10.0.0.0/ 8",
        "fe80::%lo", "*",          "10.0.0.0/08 ", "10.0.0.0/0000",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct export_net net;
        const char *why = NULL;
        assert_int_equal(export_net_parse(bad[i], &net, &why), -EINVAL);
        assert_non_null(strstr(why, "expected"));
    }
}

static void test_net_match(void **state)
{
    (void)state;
    static const struct {
        const char *net, *addr;
        bool match;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "203.0.113.9", false},
        {"::/0", "2001:db8::1", true},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"::/0", "::ffff:10.1.1.1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct export_net net = net_of(cases[i].net);
        struct export_addr addr = addr_of(cases[i].addr, 1);
        assert_int_equal(export_net_match(&net, &addr), cases[i].match);
    }
}

static void test_addr_loopback(void **state)
{
    (void)state;
    struct export_addr a = addr_of("127.9.9.9", 1), b = addr_of("::1", 1),
                       c = addr_of("::ffff:127.0.0.1", 1), d = addr_of("128.0.0.1", 1),
                       e = addr_of("::2", 1);
    struct sockaddr unix_addr = {.sa_family = AF_UNIX};
    struct export_addr none;

    assert_true(export_addr_is_loopback(&a));
    assert_true(export_addr_is_loopback(&b));
    assert_true(export_addr_is_loopback(&c));
    assert_false(export_addr_is_loopback(&d));
    assert_false(export_addr_is_loopback(&e));
    assert_false(export_addr_from(&unix_addr, &none));
}

static void test_name_valid(void **state)
{
    (void)state;
    char name[EXPORT_NAME_MAX + 2];

    assert_true(export_name_valid("/"));
    assert_true(export_name_valid("/media"));
    assert_true(export_name_valid("/a/b c/\xc3\xa9"));
    assert_false(export_name_valid(""));
    assert_false(export_name_valid("media"));
    assert_false(export_name_valid("//"));
    assert_false(export_name_valid("/a/"));
    assert_false(export_name_valid("/a//b"));
    assert_false(export_name_valid("/."));
    assert_false(export_name_valid("/a/.."));
    assert_true(export_name_valid("/..a"));
    assert_false(export_name_valid("/a\nb"));
    assert_false(export_name_valid("/\xff"));
    memset(name, 'x', sizeof(name));
    name[0] = '/';
    name[EXPORT_NAME_MAX] = '\0';
    assert_true(export_name_valid(name));
    name[EXPORT_NAME_MAX] = 'x';
    name[EXPORT_NAME_MAX + 1] = '\0';
    assert_false(export_name_valid(name));
}

static struct fs_volume *volume(int n)
{
    static char volumes[8]; /* only their addresses count */

    return (struct fs_volume *)(void *)&volumes[n];
}

static struct export_table *table_of(const char *a, const char *b, const char *c)
{
    struct export_table *table = export_table_new();
    const char *names[] = {a, b, c};

    for (int i = 0; i < 3; i++) {
        if (names[i]) {
            struct export entry = {.name = names[i], .vol = volume(i)};
            assert_int_equal(export_table_add(table, &entry), 0);
        }
    }
    return table;
}

static void test_table_refuses_duplicates(void **state)
{
    (void)state;
    struct export_table *table = table_of("/a", NULL, NULL);
    struct export same_name = {.name = "/a", .vol = volume(1)};
    struct export same_vol = {.name = "/b", .vol = volume(0)};
    struct export bad_name = {.name = "b", .vol = volume(1)};

    assert_int_equal(export_table_add(table, &same_name), -EEXIST);
    assert_int_equal(export_table_add(table, &same_vol), -EEXIST);
    assert_int_equal(export_table_add(table, &bad_name), -EINVAL);
    assert_int_equal(export_table_count(table), 1);
    assert_ptr_equal(export_find_volume(table, volume(0)), export_table_at(table, 0));
    assert_null(export_find_volume(table, volume(1)));
    export_table_free(table);
    export_table_free(NULL);
}

static void test_find_path(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name, *rest;
    } cases[] = {
        {"/a", "/a", ""},         {"/a/", "/a", ""},          {"//a//", "/a", ""},
        {"/a/x", "/a", "x"},      {"/a//x/y/", "/a", "x/y/"}, {"/a/b", "/a/b", ""},
        {"/a//b/c", "/a/b", "c"}, {"/a/bc", "/a", "bc"},      {"/ab", NULL, NULL},
        {"/", NULL, NULL},        {"a", NULL, NULL},          {"", NULL, NULL},
        {"/c", "/c", ""},         {"/A", NULL, NULL},
    };
    struct export_table *table = table_of("/a", "/a/b", "/c");

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *rest = NULL;
        const struct export *found = export_find_path(table, cases[i].path, &rest);
        if (!cases[i].name) {
            assert_null(found);
            continue;
        }
        assert_non_null(found);
        assert_string_equal(found->name, cases[i].name);
        assert_string_equal(rest, cases[i].rest);
    }
    export_table_free(table);
}

static void test_find_path_root_export(void **state)
{
    (void)state;
    struct export_table *table = table_of("/", "/a", NULL);
    const char *rest;

    assert_string_equal(export_find_path(table, "/", &rest)->name, "/");
    assert_string_equal(rest, "");
    assert_string_equal(export_find_path(table, "//x", &rest)->name, "/");
    assert_string_equal(rest, "x");
    assert_string_equal(export_find_path(table, "/a/x", &rest)->name, "/a");
    assert_string_equal(rest, "x");
    export_table_free(table);
}

static void test_check_access(void **state)
{
    (void)state;
    struct export_net net = net_of("10.0.0.0/8");
    struct export entry = {.name = "/a", .nets = &net, .net_count = 1, .secure = true};
    struct export_addr low = addr_of("10.0.0.1", EXPORT_PORT_RESERVED - 1),
                       high = addr_of("10.0.0.1", EXPORT_PORT_RESERVED),
                       other = addr_of("192.0.2.1", 1), local = addr_of("127.0.0.1", 1000),
                       local_high = addr_of("::1", 40000);

    assert_int_equal(export_check(&entry, &low), EXPORT_ALLOWED);
    assert_int_equal(export_check(&entry, &high), EXPORT_BAD_PORT);
    assert_int_equal(export_check(&entry, &other), EXPORT_NOT_LISTED);
    assert_int_equal(export_check(&entry, &local), EXPORT_ALLOWED);
    assert_int_equal(export_check(&entry, &local_high), EXPORT_BAD_PORT);
    entry.secure = false;
    assert_int_equal(export_check(&entry, &high), EXPORT_ALLOWED);
    assert_int_equal(export_check(&entry, &local_high), EXPORT_ALLOWED);
}

static void test_find_only(void **state)
{
    (void)state;
    struct export_net net = net_of("10.0.0.0/8");
    struct export_table *table = export_table_new();
    struct export a = {.name = "/a", .vol = volume(0)};
    struct export b = {.name = "/b", .vol = volume(1), .nets = &net, .net_count = 1};
    struct export_addr local = addr_of("127.0.0.1", 1), ten = addr_of("10.0.0.1", 1),
                       other = addr_of("192.0.2.1", 1);

    assert_int_equal(export_table_add(table, &a), 0);
    assert_int_equal(export_table_add(table, &b), 0);
    assert_null(export_find_only(table, &local)); /* two */
    assert_string_equal(export_find_only(table, &ten)->name, "/b");
    assert_null(export_find_only(table, &other));
    export_table_free(table);
}

static void test_squash(void **state)
{
    (void)state;
    struct export entry = {.squash = EXPORT_SQUASH_ROOT, .anon_uid = 77, .anon_gid = 88};
    struct fs_cred root = {.uid = 0, .gid = 0, .group_count = 3, .groups = {4, 0, 6}};
    struct fs_cred user = {.uid = 1000, .gid = 100, .group_count = 1, .groups = {27}};
    struct fs_cred ret;

    export_squash_cred(&entry, &root, &ret);
    assert_int_equal(ret.uid, 77);
    assert_int_equal(ret.gid, 88);
    assert_int_equal(ret.group_count, 3);
    assert_int_equal(ret.groups[0], 4);
    assert_int_equal(ret.groups[1], 88);
    export_squash_cred(&entry, &user, &ret);
    assert_memory_equal(&ret, &user, sizeof(ret));
    export_squash_cred(&entry, NULL, &ret);
    assert_int_equal(ret.uid, 77);
    assert_int_equal(ret.gid, 88);
    assert_int_equal(ret.group_count, 0);

    entry.squash = EXPORT_SQUASH_ALL;
    export_squash_cred(&entry, &user, &ret);
    assert_int_equal(ret.uid, 77);
    assert_int_equal(ret.gid, 88);
    assert_int_equal(ret.group_count, 0);

    entry.squash = EXPORT_SQUASH_NONE;
    export_squash_cred(&entry, &root, &ret);
    assert_int_equal(ret.uid, 0);
    assert_int_equal(ret.groups[1], 0);
    export_squash_cred(&entry, NULL, &ret);
    assert_int_equal(ret.uid, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_net_parse_accepts),
        cmocka_unit_test(test_net_parse_refuses),
        cmocka_unit_test(test_net_match),
        cmocka_unit_test(test_addr_loopback),
        cmocka_unit_test(test_name_valid),
        cmocka_unit_test(test_table_refuses_duplicates),
        cmocka_unit_test(test_find_path),
        cmocka_unit_test(test_find_path_root_export),
        cmocka_unit_test(test_check_access),
        cmocka_unit_test(test_find_only),
        cmocka_unit_test(test_squash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
