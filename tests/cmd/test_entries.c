/* mount's -o, the spellings of goofys, GeeseFS and s3fs, and what mount(8) adds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/clock.h"
#include "cmd/setting.h"
#include "tests/cmd/options_rig.h"

static void parse(const char *line, struct serve_options *ret)
{
    struct cmd_error error = {{0}};

    if (rig_parse(line, ret, &error))
        fail_msg("%s: %s", line, error.text);
}

static void test_entries(void **state)
{
    (void)state;
    struct serve_options o;

    parse("mount -o ro,allow_other,uid=7 -ogid=8,--file-mode=0666,--dir_mode=0777 -o "
          "profile=a\\,b\\\\c,,region=x=y s3://b /tmp",
          &o);
    const struct export_options *e = &o.mounts[0].options;
    assert_true(e->volume.read_only && e->store.read_only && e->allow_other);
    assert_int_equal(e->volume.uid, 7);
    assert_int_equal(e->volume.gid, 8);
    assert_int_equal(e->volume.file_mode, 0666);
    assert_int_equal(e->volume.dir_mode, 0777);
    assert_string_equal(e->store.profile, "a,b\\c");
    assert_string_equal(e->store.region, "x=y");
    assert_null(e->fuse_options);
    assert_string_equal(o.exports[0].name, "/tmp");
    assert_string_equal(o.mounts[0].dir, "/tmp");
    serve_options_clear(&o);

    /* The last one wins, as with mount(8). */
    parse("mount -o ro,rw,uid=7,uid=9 s3://b /tmp", &o);
    assert_false(o.mounts[0].options.volume.read_only);
    assert_int_equal(o.mounts[0].options.volume.uid, 9);
    serve_options_clear(&o);

    parse("mount -o log_level=warn,state-dir=/s,-f s3://b /tmp", &o);
    assert_true(o.foreground);
    assert_int_equal(o.log_level, LOG_WARN);
    assert_string_equal(o.state_dir, "/s");
    serve_options_clear(&o);
}

/* What fstab and mount(8) have: for the kernel, for others, or for nobody. */
static void test_mount_words(void **state)
{
    (void)state;
    struct serve_options o;

    parse("mount.fuse.pailfs s3://b /tmp -n -sv -t fuse.pailfs -o "
          "rw,_netdev,nofail,x-systemd.automount,user,nosuid,nodev,noatime,comment=x,defaults,"
          "nonempty",
          &o);
    assert_string_equal(o.mounts[0].options.fuse_options, "nosuid,nodev,noatime");
    assert_string_equal(o.exports[0].url, "s3://b");
    assert_int_equal(o.note_count, 0);
    serve_options_clear(&o);

    parse("mount --fuse-options noexec -o nosuid s3://b /tmp", &o);
    assert_string_equal(o.mounts[0].options.fuse_options, "noexec,nosuid");
    serve_options_clear(&o);
}

static void test_buckets(void **state)
{
    (void)state;
    static const struct {
        const char *line, *url, *fsname;
    } cases[] = {
        {"mount bucket /tmp", "s3://bucket", NULL},
        {"mount bucket:a/b/ /tmp", "s3://bucket/a/b", NULL},
        {"mount bucket:/ /tmp", "s3://bucket", NULL},
        {"mount goofys#bucket:a /tmp", "s3://bucket/a", NULL},
        {"mount.fuse bucket:a /tmp", "s3://bucket/a", "mount.fuse#bucket:a"},
        {"mount.fuse s3://bucket /tmp", "s3://bucket", NULL},
        {"mount -o fsname=n s3://bucket /tmp", "s3://bucket", "n"},
        {"mount file:///tmp /tmp", "file:///tmp", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct serve_options o;
        parse(cases[i].line, &o);
        assert_string_equal(o.exports[0].url, cases[i].url);
        if (cases[i].fsname)
            assert_string_equal(o.mounts[0].options.fsname, cases[i].fsname);
        else
            assert_null(o.mounts[0].options.fsname);
        serve_options_clear(&o);
    }
}

/* A line of each program's users. */
static void test_foreign(void **state)
{
    (void)state;
    struct serve_options o;
    const struct export_options *e = NULL;

    parse("mount -f --stat-cache-ttl 1m0s --type-cache-ttl=2m --debug_fuse --debug_s3 "
          "--http-timeout 30s --subdomain --cheap --no-implicit-dir --sse --sse-kms aws/s3 --acl "
          "public-read --requester-pays --use-content-type --storage-class STANDARD_IA bucket:p "
          "/tmp",
          &o);
    e = &o.exports[0].options;
    assert_int_equal(e->volume.attr_ttl_ns, 60 * CLOCK_S);
    assert_int_equal(e->volume.list_ttl_ns, 120 * CLOCK_S);
    assert_int_equal(o.log_level, LOG_DEBUG);
    assert_true(o.foreground);
    assert_int_equal(e->store.stall_timeout_ns, 30 * CLOCK_S);
    assert_true(e->store.virtual_style && e->volume.cheap && e->volume.no_implicit_dir);
    assert_int_equal(e->store.sse, STORE_SSE_KMS);
    assert_null(e->store.sse_kms_key);
    assert_string_equal(e->store.acl, "public-read");
    assert_true(e->store.requester_pays && e->volume.use_content_type);
    assert_string_equal(e->store.storage_class, "STANDARD_IA");
    serve_options_clear(&o);

    parse("mount --debug --max-flushers 32 --max-parallel-parts 8 --no-verify-ssl "
          "--sdk-max-retries 3 --sdk-min-retry-delay 30ms --sdk-max-retry-delay 300s --list-type 1 "
          "--multipart-age 48h --memory-limit 1000M --read-ahead 5120 --enable-mtime s3://b /tmp",
          &o);
    e = &o.exports[0].options;
    assert_int_equal(o.uploads, 32);
    assert_int_equal(e->volume.parts, 8);
    assert_true(e->store.no_verify);
    assert_int_equal(e->store.tries_max, 4);
    assert_int_equal(e->store.retry_min_ns, 30 * CLOCK_MS);
    assert_int_equal(e->store.retry_max_ns, 300 * CLOCK_S);
    assert_int_equal(e->store.list, STORE_LIST_V1);
    assert_int_equal(e->volume.multipart_age_ns, 48 * 3600 * CLOCK_S);
    assert_int_equal(o.note_count, 2);
    assert_string_equal(o.notes[1],
                        "--enable-mtime: always so here: modes, owners and times are kept with "
                        "the object");
    serve_options_clear(&o);

    parse("mount -o url=https://s3.example.net,use_path_request_style,allow_other,umask=0022,"
          "uid=1,gid=2,use_sse,storage_class=standard_ia,default_acl=private,multipart_size=52,"
          "parallel_count=20,stat_cache_expire=900,no_check_certificate,retries=5,"
          "readwrite_timeout=120,enable_noobj_cache,use_xattr,compat_dir,dbglevel=warn,"
          "public_bucket=1 bucket:/dir /tmp",
          &o);
    e = &o.mounts[0].options;
    assert_string_equal(e->store.endpoint, "https://s3.example.net");
    assert_true(e->store.path_style && e->allow_other && e->store.no_verify);
    assert_int_equal(e->mount_umask, 022);
    assert_int_equal(e->store.sse, STORE_SSE_S3);
    assert_string_equal(e->store.storage_class, "STANDARD_IA");
    assert_int_equal(e->volume.part_size, 52 << 20);
    assert_int_equal(e->volume.parts, 20);
    assert_int_equal(e->volume.attr_ttl_ns, 900 * CLOCK_S);
    assert_int_equal(e->store.tries_max, 6);
    assert_int_equal(e->store.stall_timeout_ns, 120 * CLOCK_S);
    assert_true(e->store.unsigned_requests);
    assert_int_equal(o.log_level, LOG_WARN);
    assert_int_equal(o.note_count, 3);
    serve_options_clear(&o);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"mount", "expected URL MOUNTPOINT"},
        {"mount s3://b", "expected URL MOUNTPOINT"},
        {"mount s3://b /tmp /var/tmp", "expected URL MOUNTPOINT"},
        {"mount s3:// /tmp", "expected the name of a bucket"},
        {"mount s3://b /nonexistent/dir", "/nonexistent/dir"},
        {"mount -o", "option -o needs a value"},
        {"mount -o colour=red s3://b /tmp", "-o colour=red: there is no such option"},
        {"mount -o alow_other s3://b /tmp",
         "-o alow_other: there is no such option: did you mean allow-other?"},
        {"mount --reed-only s3://b /tmp", "unknown option --reed-only: did you mean read-only?"},
        {"mount --uidd=5 s3://b /tmp", "unknown option --uidd=5: did you mean uid?"},
        {"mount -o uid s3://b /tmp", "-o uid: expected a value"},
        {"mount -o uid=x s3://b /tmp", "-o uid=x: expected a number"},
        {"mount -o ro=perhaps s3://b /tmp", "-o ro=perhaps: expected yes or no"},
        {"mount -o options=ro s3://b /tmp", "-o options=ro: there is no such option"},
        {"mount -o nfs_port=1 s3://b /tmp", "-o nfs_port=1: there is no such option"},
        {"mount --nfs-port 1 s3://b /tmp", "unknown option --nfs-port"},
        {"mount --cache /x s3://b /tmp", "--cache /x: there is no cache of data on disk"},
        {"mount -o use_cache=/x s3://b /tmp", "there is no cache of data on disk"},
        {"mount -o passwd_file=/nonexistent s3://b /tmp", "expected a file that can be read"},
        {"mount -o passwd_file=/dev/null,profile=x s3://b /tmp", "expected one way to get keys"},
        {"mount --iam s3://b /tmp", "keys come from the environment, ~/.aws or passwd-file"},
        {"mount -o iam_role=auto s3://b /tmp", "credentials of instances"},
        {"mount -o endpoint=eu-west-1 s3://b /tmp",
         "the name of a region is for the option region"},
        {"mount --setuid 5 s3://b /tmp", "expected pailfs to be started as that user"},
        {"mount --acl everybody s3://b /tmp", "--acl everybody: expected private, public-read"},
        {"mount --sse-c c2hvcnQ= s3://b /tmp", "expected a key of 256 bits"},
        {"mount --sse-c @/nonexistent s3://b /tmp", "expected a file that can be read"},
        {"mount --part-size 4M s3://b /tmp", "expected a size from 5M to 5G"},
        {"mount --parts 0 s3://b /tmp", "expected a number from 1 to 64"},
        {"mount --list-type ext-v1 s3://b /tmp", "expected auto, 1 or 2"},
        {"mount --commit both s3://b /tmp", "expected close, local or store"},
        {"mount --storage-class a~b s3://b /tmp", "expected the name of a class"},
        {"mount --connections 0 s3://b /tmp", "expected a number from 4 to 1024"},
        {"mount --stall-timeout 0 s3://b /tmp", "expected more than 0"},
        {"mount --retry-min 2s --retry-max 1s s3://b /tmp", "expected no more than retry-max"},
        {"mount --sse-kms-bucket-key s3://b /tmp", "expected sse-kms beside it"},
        {"mount --submount a=s3://c s3://b /tmp", "expected PATH=URL"},
        {"mount --submount /a s3://b /tmp", "expected PATH=URL"},
        {"serve --fuse /tmp", "expected an export to mount"},
        {"serve --fuse /x:/tmp s3://b", "no export is called /x"},
        {"serve --fuse /tmp --fuse /tmp s3://b", "/tmp is to be mounted on twice"},
        {"serve --foreground s3://b", "unknown option --foreground"},
        {"serve --submount /c/x=s3://c s3://b s3://a", "expected a path below an export"},
        {"serve --subdomain --path-style s3://b", "exclude each other"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct serve_options o;
        struct cmd_error error = {{0}};
        if (rig_parse(cases[i].line, &o, &error) == 0)
            fail_msg("%s: not refused", cases[i].line);
        rig_says(cases[i].line, &error, cases[i].sentence);
        serve_options_clear(&o);
    }
}

static void test_serve_mounts(void **state)
{
    (void)state;
    struct serve_options o;

    parse("serve --fuse /var/tmp --fuse /b:/tmp --commit store --allow-other --submount "
          "/a/x=y=s3://c/d=e s3://a s3://b",
          &o);
    assert_true(o.nfs && o.commit_store);
    assert_int_equal(o.mount_count, 2);
    assert_string_equal(o.mounts[0].name, "/a");
    assert_string_equal(o.mounts[0].dir, "/var/tmp");
    assert_string_equal(o.mounts[1].name, "/b");
    assert_int_equal(o.mounts[1].options.mount_commit, FRONT_COMMIT_CLOSE);
    assert_true(o.mounts[1].options.allow_other);
    assert_string_equal(o.submounts[0].path, "/a/x=y");
    assert_string_equal(o.submounts[0].url, "s3://c/d=e");
    serve_options_clear(&o);

    static const struct {
        const char *line, *path;
    } submounts[] = {
        {"mount --submount /x=s3://c s3://a /tmp", "/tmp/x"},
        {"mount --submount /tmp/x=s3://c s3://a /tmp", "/tmp/tmp/x"},
        {"serve --submount /x=s3://c s3://a", "/a/x"},
        {"serve --submount /a/x=s3://c s3://a", "/a/x"},
        {"serve --submount /a/x=s3://c s3://a=/", "/a/x"},
    };
    for (size_t i = 0; i < sizeof(submounts) / sizeof(submounts[0]); i++) {
        parse(submounts[i].line, &o);
        assert_string_equal(o.submounts[0].path, submounts[i].path);
        serve_options_clear(&o);
    }
}

/* Options for a bucket of something that runs. */
static void test_bucket(void **state)
{
    (void)state;
    struct text_pool pool = {.all = NULL};
    struct export_options e;
    struct cmd_error error = {{0}};

    export_options_default(&e);
    e.store.region = "before";
    assert_int_equal(setting_bucket_entries(&pool, "profile=a\\,b,ro,attr_ttl=3s,sse", &e, &error),
                     0);
    assert_string_equal(e.store.profile, "a,b");
    assert_string_equal(e.store.region, "before");
    assert_true(e.volume.read_only);
    assert_int_equal(e.volume.list_ttl_ns, 3 * CLOCK_S);
    assert_int_equal(e.store.sse, STORE_SSE_S3);
    assert_int_equal(setting_bucket_entries(&pool, "allow_other", &e, &error), -EINVAL);
    rig_says("a mount's", &error, "-o allow_other: there is no such option");
    assert_int_equal(setting_bucket_entries(&pool, "sse-c=@/dev/null", &e, &error), -EINVAL);
    text_pool_clear(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),  cmocka_unit_test(test_mount_words),
        cmocka_unit_test(test_buckets),  cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_serve_mounts),
        cmocka_unit_test(test_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
