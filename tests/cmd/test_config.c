/* Configuration files: what they say, which level wins, and the sentence for every mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/config_file.h"
#include "tests/cmd/options_rig.h"

static void test_whole(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error = {{0}};

    rig_write("\xef\xbb\xbf# a comment\n"
              "[pailfs]\r\n"
              "nfs-port = 3049\r\n"
              "    listen = 127.0.0.1, 127.0.0.2   ; indented, and with a comment\n"
              "listen = \"::1\"\n"
              "  [ defaults ]\n"
              "region=here\n"
              "attr_ttl = 1m30s\n"
              "\n"
              "[export /media] # the pictures\n"
              "url = s3://media/a=b\n"
              "allow = 10.0.0.0/8\n"
              "allow = 192.0.2.1 192.0.2.2\n"
              "read-only = yes\n"
              "stat-cache-ttl = 5s\n"
              "[mount /mnt/media]\n"
              "url = s3://media/a=b\n"
              "allow_other = on\n"
              "[mount \"/mnt/two words\"]\n"
              "url = file:///srv\n"
              "commit = local\n"
              "[submount \"/media/a ] b\"]\n"
              "url = file:///elsewhere\n"
              "region = there\n");
    if (rig_check(&o, &error))
        fail_msg("%s", error.text);
    assert_true(o.nfs);
    assert_int_equal(o.nfs_port, 3049);
    assert_int_equal(o.mount_port, 3049);
    assert_int_equal(o.listen_count, 3);
    assert_string_equal(o.listen[1], "127.0.0.2");
    assert_int_equal(o.export_count, 2);
    const struct serve_export *e = &o.exports[0];
    assert_string_equal(e->name, "/media");
    assert_string_equal(e->url, "s3://media/a=b");
    assert_false(e->hidden);
    assert_int_equal(e->options.net_count, 3);
    assert_true(e->options.volume.read_only && e->options.store.read_only);
    assert_int_equal(e->options.volume.attr_ttl_ns, 5 * CLOCK_S);
    assert_int_equal(e->options.volume.list_ttl_ns, 5 * CLOCK_S);
    assert_string_equal(e->options.store.region, "here");
    e = &o.exports[1];
    assert_string_equal(e->name, "/mnt/two words");
    assert_true(e->hidden);
    assert_false(e->options.volume.read_only);
    assert_int_equal(e->options.net_count, 0);
    assert_int_equal(e->options.volume.attr_ttl_ns, 90 * CLOCK_S);
    assert_int_equal(o.mount_count, 2);
    assert_string_equal(o.mounts[0].name, "/media");
    assert_string_equal(o.mounts[0].dir, "/mnt/media");
    assert_true(o.mounts[0].options.allow_other);
    assert_int_equal(o.mounts[0].options.volume.attr_ttl_ns, 5 * CLOCK_S); /* the export's */
    assert_string_equal(o.mounts[1].name, "/mnt/two words");
    assert_int_equal(o.mounts[1].options.mount_commit, FRONT_COMMIT_LOCAL);
    assert_int_equal(o.submount_count, 1);
    assert_string_equal(o.submounts[0].path, "/media/a ] b");
    assert_string_equal(o.submounts[0].options.store.region, "there");
    assert_int_equal(o.note_count, 0);
    serve_options_clear(&o);
}

/* Defaults, the file's [defaults], its section, the command line: the later ones win. */
static void test_levels(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error = {{0}};

    rig_write(
        "[pailfs]\nnfs-port = 3049\nquiet-time = 7s\nlisten = 127.0.0.9\n"
        "[defaults]\nregion = file\nprofile = file\nallow = 10.0.0.0/8\nuid = 7\n"
        "cheap = yes\n"
        "[export /a]\nurl = s3://a\nregion = section\nallow = 192.0.2.1\nendpoint = http://e\n"
        "cheap = no\n"
        "[export /b]\nurl = s3://b\n");
    if (rig_parse("serve -c @FILE --quiet-time 9s -a 198.51.100.1 --profile line s3://c", &o,
                  &error))
        fail_msg("%s", error.text);
    assert_int_equal(o.nfs_port, 3049);
    assert_int_equal(o.quiet_ns, 9 * CLOCK_S);
    assert_int_equal(o.listen_count, 1);
    assert_int_equal(o.export_count, 3);
    const struct export_options *c = &o.exports[0].options, *a = &o.exports[1].options,
                                *b = &o.exports[2].options;
    assert_string_equal(o.exports[0].name, "/c");
    assert_string_equal(c->store.region, "file");
    assert_string_equal(a->store.region, "section");
    assert_string_equal(b->store.region, "file");
    assert_string_equal(a->store.profile, "line");
    assert_string_equal(b->store.profile, "line");
    assert_string_equal(a->store.endpoint, "http://e");
    assert_null(b->store.endpoint);
    assert_int_equal(b->volume.uid, 7);
    assert_int_equal(b->volume.file_mode, 0644);
    assert_true(b->volume.cheap && !a->volume.cheap);
    assert_int_equal(a->net_count, 1); /* a level names all networks */
    assert_int_equal(a->nets[0].bytes[0], 198);
    serve_options_clear(&o);

    assert_int_equal(rig_parse("serve -c @FILE", &o, &error), 0);
    assert_int_equal(o.exports[0].options.net_count, 1);
    assert_int_equal(o.exports[0].options.nets[0].bytes[0], 192);
    assert_int_equal(o.exports[1].options.nets[0].bytes[0], 10);
    serve_options_clear(&o);

    assert_int_equal(rig_parse("serve -c @FILE --cheap=no", &o, &error), 0);
    assert_false(o.exports[1].options.volume.cheap);
    serve_options_clear(&o);
}

/* Buckets of the same name at two endpoints are two, and a mount shows the one it means. */
static void test_endpoints(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error = {{0}};

    rig_write("[defaults]\nendpoint = http://one\n"
              "[export /a]\nurl = s3://a\n"
              "[export /b]\nurl = s3://a\nendpoint = http://two\n"
              "[export /c]\nurl = s3://c\nendpoint = http://two\n"
              "[mount /m1]\nurl = s3://a\n"
              "[mount /m2]\nurl = s3://a\nendpoint = http://two\n"
              "[mount /m3]\nurl = s3://a\nendpoint = http://three\nregion = x\n"
              "[mount /m4]\nurl = s3://c\n");
    if (rig_check(&o, &error))
        fail_msg("%s", error.text);
    assert_int_equal(o.export_count, 4);
    assert_string_equal(o.mounts[0].name, "/a");
    assert_string_equal(o.mounts[1].name, "/b");
    assert_string_equal(o.mounts[2].name, "/m3");
    assert_string_equal(o.mounts[3].name, "/c");
    serve_options_clear(&o);
}

/* pailfs mount -c: by its mountpoint, or the only one. Sub-mounts of others are left out. */
static void test_mount(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error = {{0}};

    rig_write("[pailfs]\nstate-dir = /s\ncommit = store\nnfs-port = 1\n"
              "[defaults]\nregion = file\n"
              "[export /x]\nurl = s3://x\n"
              "[mount /tmp]\nurl = s3://tmp\nregion = section\ncommit = store\n"
              "[submount /tmp/s]\nurl = s3://s\n"
              "[submount /x/s]\nurl = s3://s\n");
    for (int i = 0; i < 3; i++) {
        static const char *const lines[] = {"mount -c @FILE", "mount -c @FILE --uid 5 /tmp/",
                                            "mount -o config=@FILE -c @FILE /tmp"};
        if (rig_parse(lines[i == 2 ? 0 : i], &o, &error))
            fail_msg("%s", error.text);
        assert_false(o.nfs);
        assert_int_equal(o.export_count, 1);
        assert_string_equal(o.exports[0].url, "s3://tmp");
        assert_string_equal(o.exports[0].name, "/tmp");
        assert_string_equal(o.exports[0].options.store.region, "section");
        assert_string_equal(o.state_dir, "/s");
        assert_false(o.commit_store); /* that is for NFS */
        assert_int_equal(o.mounts[0].options.mount_commit, FRONT_COMMIT_STORE);
        assert_int_equal(o.submount_count, 1);
        assert_string_equal(o.submounts[0].path, "/tmp/s");
        serve_options_clear(&o);
    }
    assert_int_equal(rig_parse("mount -c @FILE s3://other /var/tmp", &o, &error), 0);
    assert_string_equal(o.exports[0].url, "s3://other");
    assert_string_equal(o.exports[0].options.store.region, "file");
    assert_int_equal(o.submount_count, 0);
    serve_options_clear(&o);
    assert_int_equal(rig_parse("mount -c @FILE /var/tmp", &o, &error), -EINVAL);
    rig_says("another directory", &error, "no section [mount /var/tmp]");
    serve_options_clear(&o);
    rig_write("[mount /tmp]\nurl = s3://a\n[mount /var/tmp]\nurl = s3://b\n");
    assert_int_equal(rig_parse("mount -c @FILE", &o, &error), -EINVAL);
    rig_says("which", &error, "expected the MOUNTPOINT of one");
    serve_options_clear(&o);
}

#define EXPORT "[export /a]\nurl = s3://a\n"

static const struct {
    const char *text, *sentence;
} mistakes[] = {
    {"", "nothing to serve"},
    {"[pailfs]\n", "nothing to serve: expected a URL such as s3://BUCKET or "
                   "file:///DIRECTORY, or a section [export NAME]"},
    {"url = s3://a\n", ":1: url stands before the first section"},
    {"\n[export /a\n", ":2: [export /a: expected a section such as"},
    {"[export /a] x\n", ":1: [export /a] x: expected a section"},
    {"[]\n", ":1: unknown section []: expected [pailfs]"},
    {"[exports /a]\n", ":1: unknown section [exports]"},
    {"[pailfs /a]\n", ":1: [pailfs /a]: expected no name"},
    {"[defaults a]\n", ":1: [defaults a]: expected no name"},
    {"[export]\n", ":1: [export]: expected a name"},
    {"[export a]\n", ":1: [export a]: expected a path such as /media"},
    {"[export /a/../b]\n", "expected a path such as /media"},
    {"[mount mnt]\n", ":1: [mount mnt]: expected an absolute path"},
    {"[submount \"\"]\n", ":1: [submount]: expected a name"},
    {"[pailfs]\n[pailfs]\n", ":2: [pailfs] is there twice: first in line 1"},
    {EXPORT "[export /a]\n", ":3: [export /a] is there twice: first in line 1"},
    {"[export /a]\nregion = r\n", ":1: [export /a] has no url: expected url = s3://BUCKET"},
    {"[mount /a]\n", ":1: [mount /a] has no url"},
    {EXPORT "[submount /a/b]\n", ":3: [submount /a/b] has no url"},
    {EXPORT "colour = red\n", ":3: unknown option colour in [export /a]"},
    {EXPORT "regoin = x\n", ":3: unknown option regoin in [export /a]: did you mean region?"},
    {EXPORT "stat-cache-tll = 1s\n", ":3: unknown option stat-cache-tll in [export /a]"},
    {EXPORT "nfs-port = 1\n", ":3: nfs-port belongs into [pailfs], not into [export /a]"},
    {EXPORT "allow-other = yes\n", ":3: allow-other belongs into [defaults]"},
    {"[pailfs]\nregion = r\n", ":2: region belongs into [defaults], not into [pailfs]"},
    {"[pailfs]\nurl = s3://a\n", ":2: url belongs into [export ...], not into [pailfs]"},
    {"[defaults]\nurl = s3://a\n", ":2: url belongs into [export ...]"},
    {"[defaults]\nstate-dir = /x\n", ":2: state-dir belongs into [pailfs]"},
    {"[mount /m]\nurl = s3://a\nsquash = all\n", ":3: squash belongs into [defaults]"},
    {"[pailfs]\nconfig = x\n", ":2: config: expected on the command line"},
    {"[pailfs]\nfuse = /mnt\n", ":2: fuse: expected on the command line"},
    {EXPORT "region\n", ":3: region: expected NAME = VALUE"},
    {EXPORT "= r\n", ":3: unknown option  in [export /a]"},
    {EXPORT "region =\n", ":3: region = : expected the name of a region"},
    {EXPORT "region = a\nregion = b\n", ":4: region is given twice: first in line 3"},
    {EXPORT "attr-ttl = 1s\nstat_cache_ttl = 2s\n", ":4: attr-ttl is given twice: first in line 3"},
    {EXPORT "url = s3://b\n", ":3: url is given twice: first in line 2"},
    {EXPORT "read-only = perhaps\n", ":3: read-only = perhaps: expected yes or no"},
    {EXPORT "read-only =\n", ":3: read-only = : expected yes or no"},
    {EXPORT "attr-ttl = 60\n", ":3: attr-ttl = 60: expected a time with its unit"},
    {EXPORT "file-mode = 0999\n", ":3: file-mode = 0999: expected permission bits"},
    {EXPORT "allow =\n", ":3: allow = : expected a value"},
    {EXPORT "allow = 10.0.0.1/8\n", ":3: allow = 10.0.0.1/8: expected all bits"},
    {EXPORT "endpoint = eu-west-1\n", ":3: endpoint = eu-west-1: expected a URL such as"},
    {EXPORT "cache = /tmp\n", ":3: cache = /tmp: there is no cache of data on disk"},
    {EXPORT "path-style = yes\nvirtual-style = yes\n",
     ":1: [export /a]: path-style and virtual-style exclude each other"},
    {EXPORT "sse = yes\nsse-c = @/nowhere\n", ":1: [export /a]: sse-c excludes"},
    {"[export /a]\nurl = media\n", ":2: url = media: expected a URL such as"},
    {"[export /a]\nurl =\n", ":2: url = : expected a URL"},
    {EXPORT "[export /b]\nurl = s3://a\n", ":3: s3://a is given twice"},
    {EXPORT "[mount /m]\nurl = s3://a\nregion = x\n",
     ":5: region: expected in the section of /a, which [mount /m] shows"},
    {EXPORT "[mount /m]\nurl = s3://b\n[mount \"/m\"]\nurl = s3://b\n",
     ":5: [mount /m] is there twice: first in line 3"},
    {EXPORT "[submount /b/c]\nurl = s3://b\n",
     "/b/c: expected a path below an export or a mount, such as /a/sub"},
    {EXPORT "[submount /a]\nurl = s3://b\n", "/a: expected a path below"},
    {EXPORT "[submount /a/../b]\nurl = s3://b\n", "expected a path such as /media/sub"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct serve_options o;
        struct cmd_error error = {{0}};
        rig_write(mistakes[i].text);
        assert_int_equal(rig_check(&o, &error), -EINVAL);
        rig_says(mistakes[i].text, &error, mistakes[i].sentence);
        if (mistakes[i].sentence[0] == ':') /* then the file's name is before it */
            assert_memory_equal(error.text, rig_path(), strlen(rig_path()));
        serve_options_clear(&o);
    }
}

/* What libinih has limits for, or could not show. */
static void test_lines(void **state)
{
    (void)state;
    char text[1024];
    struct serve_options o;
    struct cmd_error error = {{0}};

    (void)snprintf(text, sizeof(text), EXPORT "[submount /a/%0*d]\nurl = s3://b\n", 120, 7);
    rig_write(text); /* libinih cuts names of sections at 50 bytes */
    assert_int_equal(rig_check(&o, &error), 0);
    assert_int_equal(strlen(o.submounts[0].path), 3 + 120);
    serve_options_clear(&o);

    (void)snprintf(text, sizeof(text), EXPORT "# %0*d\nregion = %0*d\n", 300, 1, 300, 1);
    rig_write(text);
    assert_int_equal(rig_check(&o, &error), -EINVAL);
    rig_says("a long line", &error, ":4: expected a line of at most ");
    serve_options_clear(&o);

    struct text_pool pool = {.all = NULL};
    struct setting_reader reader = {.pool = &pool, .file = "f"};
    struct config_file file;
    static const char zero[] = "[pailfs]\nlisten = \0\n";
    assert_int_equal(config_parse(&reader, zero, sizeof(zero) - 1, &file, &error), -EINVAL);
    rig_says("a zero byte", &error, "f:2: a zero byte");
    config_clear(&file);
    text_pool_clear(&pool);
}

static void test_files(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error = {{0}};

    assert_int_equal(rig_parse("serve -c /nonexistent/x s3://a", &o, &error), -ENOENT);
    rig_says("no file", &error, "/nonexistent/x: No such file or directory: expected");
    serve_options_clear(&o);
    assert_int_equal(rig_parse("serve -c /tmp s3://a", &o, &error), -EISDIR);
    serve_options_clear(&o);

    char *large = mem_alloc(CONFIG_SIZE_MAX + 2);
    memset(large, '\n', CONFIG_SIZE_MAX + 1);
    large[CONFIG_SIZE_MAX + 1] = '\0';
    rig_write(large);
    assert_int_equal(rig_check(&o, &error), -EFBIG);
    serve_options_clear(&o);
    free(large);
}

static void test_notes(void **state)
{
    (void)state;
    struct serve_options o;
    struct cmd_error error = {{0}};

    rig_write(EXPORT "enable_mtime = yes\n");
    assert_int_equal(rig_check(&o, &error), 0);
    assert_int_equal(o.note_count, 1);
    assert_non_null(strstr(o.notes[0], ":3: enable_mtime = yes: always so here"));
    serve_options_clear(&o);
}

static int teardown(void **state)
{
    (void)state;
    rig_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),     cmocka_unit_test(test_levels),
        cmocka_unit_test(test_endpoints), cmocka_unit_test(test_mount),
        cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_lines),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_notes),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
