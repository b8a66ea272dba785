/* The command line of "pailfs serve": values, defaults, names of exports, sentences of refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/clock.h"
#include "cmd/serve_options.h"

enum { ARGS_MAX = 24 };

/* Splits line at blanks behind "serve" and parses it. The store's strings point into buf. */
static int parse(const char *line, char buf[512], struct serve_options *ret,
                 struct cmd_error *reterr)
{
    static char name[] = "serve";
    char *argv[ARGS_MAX + 1] = {name};
    int argc = 1;
    char *save = NULL;

    assert_true(strlen(line) < 512);
    memcpy(buf, line, strlen(line) + 1);
    for (char *p = strtok_r(buf, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
        assert_true(argc < ARGS_MAX);
        argv[argc++] = p;
    }
    return serve_options_parse(argc, argv, ret, reterr);
}

static void test_defaults(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error;
    char buf[512];

    assert_int_equal(parse("s3://media", buf, &o, &error), 0);
    assert_int_equal(o.listen_count, 0); /* both loopbacks */
    assert_int_equal(o.nfs_port, 2049);
    assert_int_equal(o.mount_port, 2049);
    assert_int_equal(o.portmap, PORTMAP_AUTO);
    assert_int_equal(o.exports[0].options.net_count, 0);
    assert_false(o.exports[0].options.volume.read_only);
    assert_true(o.exports[0].options.secure);
    assert_int_equal(o.exports[0].options.squash, EXPORT_SQUASH_ROOT);
    assert_int_equal(o.exports[0].options.anon_uid, 65534);
    assert_int_equal(o.exports[0].options.anon_gid, 65534);
    assert_int_equal(o.exports[0].options.volume.attr_ttl_ns, 60 * CLOCK_S);
    assert_int_equal(o.memory_limit, 512 << 20);
    assert_false(o.commit_store);
    assert_int_equal(o.shutdown_ns, 30 * CLOCK_S);
    assert_non_null(o.state_dir);
    assert_int_equal(o.export_count, 1);
    assert_null(o.exports[0].options.store.endpoint);
    serve_options_clear(&o);
}

static void test_values(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error;
    char buf[512];

    assert_int_equal(parse("-l 0.0.0.0 --listen=::1 -p 3049 --mount-port 3050 --portmap off -a "
                           "10.0.0.0/8 --allow 192.0.2.7 -r --squash none --anonuid 5 --anongid 6",
                           buf, &o, &error),
                     -EINVAL); /* no URL */
    serve_options_clear(&o);
    assert_int_equal(parse("-l 0.0.0.0 --listen=::1 -p 3049 --mount-port 3050 --portmap off -a "
                           "10.0.0.0/8 --allow 192.0.2.7 -r --squash none --anonuid 5 --anongid 6 "
                           "s3://a",
                           buf, &o, &error),
                     0);
    assert_int_equal(o.listen_count, 2);
    assert_string_equal(o.listen[1], "::1");
    assert_int_equal(o.nfs_port, 3049);
    assert_int_equal(o.mount_port, 3050);
    assert_int_equal(o.portmap, PORTMAP_OFF);
    assert_int_equal(o.exports[0].options.net_count, 2);
    assert_true(o.exports[0].options.volume.read_only);
    assert_true(o.exports[0].options.store.read_only);
    assert_int_equal(o.exports[0].options.squash, EXPORT_SQUASH_NONE);
    assert_int_equal(o.exports[0].options.anon_uid, 5);
    assert_int_equal(o.exports[0].options.anon_gid, 6);
    serve_options_clear(&o);

    assert_int_equal(parse("--state-dir /s --attr-ttl 0 --commit store --quiet-time 50ms -m 64M "
                           "--stage-limit 1G --request-deadline 3s --insecure-ports",
                           buf, &o, &error),
                     -EINVAL);
    serve_options_clear(&o);
    assert_int_equal(parse("--state-dir /s --attr-ttl 0 --commit store --quiet-time 50ms -m 64M "
                           "--stage-limit 1G --request-deadline 3s --insecure-ports s3://a",
                           buf, &o, &error),
                     0);
    assert_string_equal(o.state_dir, "/s");
    assert_int_equal(o.exports[0].options.volume.attr_ttl_ns, 0);
    assert_true(o.commit_store);
    assert_int_equal(o.quiet_ns, 50 * CLOCK_MS);
    assert_int_equal(o.memory_limit, 64 << 20);
    assert_int_equal(o.stage_limit, 1 << 30);
    assert_int_equal(o.deadline_ns, 3 * CLOCK_S);
    assert_false(o.exports[0].options.secure);
    serve_options_clear(&o);

    assert_int_equal(parse("s3://a --endpoint http://127.0.0.1:1 --region r --profile p "
                           "--path-style --ca-file /dev/null --no-verify-tls --unsigned",
                           buf, &o, &error),
                     0);
    const struct store_config *store = &o.exports[0].options.store;
    assert_string_equal(store->endpoint, "http://127.0.0.1:1");
    assert_string_equal(store->region, "r");
    assert_string_equal(store->profile, "p");
    assert_string_equal(store->ca_file, "/dev/null");
    assert_true(store->path_style && store->no_verify && store->unsigned_requests);
    assert_false(store->virtual_style);
    serve_options_clear(&o);
}

static void test_export_names(void **state)
{
    (void)state;
    static const struct {
        const char *arg, *url, *name;
    } cases[] = {
        {"s3://media", "s3://media", "/media"},
        {"s3://media/pics", "s3://media/pics", "/media"},
        {"s3://media/", "s3://media/", "/media"},
        {"s3://media=/m", "s3://media", "/m"},
        {"s3://media/a=b=/m/n", "s3://media/a=b", "/m/n"},
        {"s3://media=/", "s3://media", "/"},
        {"file:///srv/data", "file:///srv/data", "/data"},
        {"file:///srv/data///", "file:///srv/data///", "/data"},
        {"file:///=/all", "file:///", "/all"},
        {"file:///a=/b=/c", "file:///a=/b", "/c"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct serve_options o;
        struct cmd_error error;
        char buf[512];
        assert_int_equal(parse(cases[i].arg, buf, &o, &error), 0);
        assert_string_equal(o.exports[0].url, cases[i].url);
        assert_string_equal(o.exports[0].name, cases[i].name);
        serve_options_clear(&o);
    }
}

static void test_listen_covers(void **state)
{
    (void)state;
    static const struct {
        const char *line, *kept;
    } cases[] = {
        {"-l 127.0.0.1 -l 127.0.0.1 s3://a", "127.0.0.1"},
        {"-l 0.0.0.0 -l :: s3://a", "::"},
        {"-l :: -l :: -l ::1 -l 127.0.0.1 s3://a", "::"},
        {"-l 10.0.0.1 -l 0.0.0.0 -l 0.0.0.0 s3://a", "0.0.0.0"},
        {"-l 0.0.0.0 -l ::1 s3://a", "0.0.0.0 ::1"},
        {"-l 10.0.0.1 -l 10.0.0.2 s3://a", "10.0.0.1 10.0.0.2"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct serve_options o;
        struct cmd_error error;
        char buf[512], kept[256] = "";
        assert_int_equal(parse(cases[i].line, buf, &o, &error), 0);
        for (size_t k = 0; k < o.listen_count; k++) {
            size_t n = strlen(kept);
            (void)snprintf(kept + n, sizeof(kept) - n, "%s%s", k ? " " : "", o.listen[k]);
        }
        assert_string_equal(kept, cases[i].kept);
        serve_options_clear(&o);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"", "nothing to serve"},
        {"--bogus s3://a", "unknown option --bogus"},
        {"-z s3://a", "unknown option -z"},
        {"--read-only=perhaps s3://a", "--read-only perhaps: expected yes or no"},
        {"s3://a --nfs-port", "--nfs-port needs a value"},
        {"--nfs-port 0 s3://a", "--nfs-port 0: expected a port number"},
        {"--nfs-port 65536 s3://a", "expected a port number"},
        {"--listen localhost s3://a", "--listen localhost: expected a numeric address"},
        {"--portmap yes s3://a", "expected auto, on or off"},
        {"--allow 10.0.0.1/8 s3://a", "--allow 10.0.0.1/8: expected all bits"},
        {"--squash user s3://a", "expected root, all or none"},
        {"--anonuid -2 s3://a", "--anonuid -2: expected"},
        {"--anonuid 4294967295 s3://a", "--anonuid 4294967295: expected"},
        {"--attr-ttl 60 s3://a", "expected a time with its unit"},
        {"--commit both s3://a", "expected local or store"},
        {"--memory-limit 1M s3://a", "expected at least 16M"},
        {"--memory-limit lots s3://a", "expected a size"},
        {"--request-deadline 1ms s3://a", "expected at least 100ms"},
        {"--log-level loud s3://a", "expected error, warn, info or debug"},
        {"--endpoint minio:9000 s3://a", "expected a URL"},
        {"--ca-file /nonexistent/pem s3://a", "expected a PEM file that can be read"},
        {"--path-style --virtual-style s3://a", "exclude each other"},
        {"media", "media: expected a URL"},
        {"s3://", "expected the name of a bucket"},
        {"s3:///x", "expected the name of a bucket"},
        {"file://srv", "expected an absolute path"},
        {"file:///", "expected an export's name"},
        {"s3://a=/b/", "expected an export's name"},
        {"s3://a=/../b", "expected an export's name"},
        {"s3://a s3://a/b", "two exports are called /a"},
        {"s3://a s3://a=/b", "s3://a is given twice"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct serve_options o;
        struct cmd_error error = {{0}};
        char buf[512];
        assert_int_equal(parse(cases[i].line, buf, &o, &error), -EINVAL);
        if (!strstr(error.text, cases[i].sentence))
            fail_msg("%s: \"%s\" does not contain \"%s\"", cases[i].line, error.text,
                     cases[i].sentence);
        serve_options_clear(&o);
    }
}

/* Every option of the help text is known to the parser, which is the same table: so check that the
 * text has what people look for first. */
static void test_help(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    serve_options_help(out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "usage: pailfs serve"));
    assert_non_null(strstr(text, "  -l, --listen ADDR"));
    assert_non_null(strstr(text, "      --unsigned"));
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        assert_true(strlen(line) <= 90);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_export_names), cmocka_unit_test(test_listen_covers),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
