/* Where keys and settings come from, and which win. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cloud/credentials.h"

static char home[] = "/tmp/test_credentials.XXXXXX";

static void env_set(const char *name, const char *value)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread */
    assert_int_equal(setenv(name, value, 1), 0);
}

static void write_file(const char *name, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/.aws/%s", home, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int setup_home(void **state)
{
    char path[128];

    (void)state;
    if (!mkdtemp(home))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/.aws", home);
    env_set("HOME", home);
    return mkdir(path, 0700);
}

static int teardown_home(void **state)
{
    static const char *const names[] = {"/.aws/config", "/.aws/credentials", "/.aws", ""};
    char path[128];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", home, names[i]);
        (void)remove(path);
    }
    return access(home, F_OK) == 0 ? -1 : 0;
}

static int clear_environment(void **state)
{
    static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN", "AWS_PROFILE",
                                        "AWS_REGION",        "AWS_DEFAULT_REGION",
                                        "AWS_ENDPOINT_URL",  "AWS_ENDPOINT_URL_S3",
                                        "AWS_CONFIG_FILE",   "AWS_SHARED_CREDENTIALS_FILE"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unsetenv(names[i]); /* NOLINT(concurrency-mt-unsafe): no other thread */
    write_file("config", "");
    write_file("credentials", "");
    return 0;
}

static void expect_refused(const char *profile, int err, const char *words)
{
    struct credentials creds;
    struct store_error error = {{0}};

    assert_int_equal(credentials_load(profile, &creds, &error), err);
    assert_non_null(strstr(error.text, words));
}

static struct credentials load(const char *profile)
{
    struct credentials creds = {0};
    struct store_error error = {{0}};

    int err = credentials_load(profile, &creds, &error);
    if (err)
        print_error("%s\n", error.text);
    assert_int_equal(err, 0);
    return creds;
}

/* s3fs's file. */
static void test_passwd_file(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bucket, *keys, *sentence;
    } cases[] = {
        {"# c\n\nAK:SK/+=\n", "b", "AK SK/+=", NULL},
        {"AK:SK\r\nb:BK:BS\nc:CK:CS", "b", "BK BS", NULL},
        {"b:BK:BS\nAK:SK\n", "b", "BK BS", NULL},
        {"b:BK:BS\nAK:SK\n", "c", "AK SK", NULL},
        {"b:BK:BS\n", "c", NULL, "no keys for this bucket"},
        {"", "c", NULL, "no keys for this bucket"},
        {"AK\n", "b", NULL, "expected lines KEY:SECRET"},
        {"AK:\n", "b", NULL, "expected lines"},
        {":SK\n", "b", NULL, "expected lines"},
        {"AK:SK:\n", "b", NULL, "expected lines"},
        {"b:AK:SK:x\n", "b", NULL, "expected lines"},
        {"AK: SK\n", "b", NULL, "expected lines"},
    };
    char path[128], found[64];

    (void)snprintf(path, sizeof(path), "%s/.aws/credentials", home);
    assert_int_equal(chmod(path, 0640), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct credentials creds = {0};
        struct store_error error = {{0}};
        write_file("credentials", cases[i].text);
        int err = passwd_file_load(path, cases[i].bucket, &creds, &error);
        if ((err == 0) != (cases[i].keys != NULL))
            fail_msg("%s: %d %s", cases[i].text, err, error.text);
        if (cases[i].sentence && !strstr(error.text, cases[i].sentence))
            fail_msg("%s: %s", cases[i].text, error.text);
        if (!err) {
            (void)snprintf(found, sizeof(found), "%s %s", creds.access_key, creds.secret_key);
            assert_string_equal(found, cases[i].keys);
            assert_string_equal(creds.source, path);
        }
        credentials_clear(&creds);
    }
    struct credentials creds = {0};
    struct store_error error = {{0}};
    write_file("credentials", "AK:SK\n");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(passwd_file_load(path, "b", &creds, &error), -EACCES);
    assert_non_null(strstr(error.text, "expected chmod 600"));
    assert_int_equal(passwd_file_load(home, "b", &creds, &error), -EINVAL);
    assert_int_equal(passwd_file_load("/nonexistent", "b", &creds, &error), -ENOENT);
}

static void test_nothing(void **state)
{
    (void)state;
    struct credentials creds = load(NULL);

    assert_null(creds.access_key);
    assert_null(creds.region);
    credentials_clear(&creds);
    expect_refused("work", -ENOENT, "\"work\"");
    env_set("AWS_PROFILE", "work");
    expect_refused(NULL, -ENOENT, "\"work\"");
}

static void test_environment(void **state)
{
    (void)state;
    write_file("credentials", "[default]\naws_access_key_id=f\naws_secret_access_key=g\n"
                              "aws_session_token=h\nregion=file-1\n");
    env_set("AWS_ACCESS_KEY_ID", "a");
    expect_refused(NULL, -EINVAL, "AWS_SECRET_ACCESS_KEY");
    env_set("AWS_SECRET_ACCESS_KEY", "s");
    env_set("AWS_REGION", "env-1");
    env_set("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    struct credentials creds = load(NULL);
    assert_string_equal(creds.access_key, "a");
    assert_string_equal(creds.secret_key, "s");
    assert_null(creds.session_token); /* not that of another key */
    assert_string_equal(creds.region, "env-1");
    assert_string_equal(creds.endpoint, "http://127.0.0.1:9");
    credentials_clear(&creds);
    /* a profile asked for by name wins over the environment */
    creds = load("default");
    assert_string_equal(creds.access_key, "f");
    assert_string_equal(creds.session_token, "h");
    assert_string_equal(creds.region, "file-1");
    assert_null(creds.endpoint);
    credentials_clear(&creds);
}

static void test_files(void **state)
{
    (void)state;
    write_file("config", "# comment\n[default]\nregion = us-west-2\n\n[profile work]\n"
                         "region=eu-central-1\nendpoint_url = https://s3.example.com\n"
                         "aws_access_key_id = from-config\naws_secret_access_key = x\n"
                         "s3 =\n  addressing_style = path\n  region = nested\n");
    write_file("credentials", "[default]\r\naws_access_key_id = AKID\r\n"
                              "aws_secret_access_key = se;cr#et=/+ \r\n[work]\n"
                              "aws_access_key_id=W\naws_secret_access_key=X\n[other]\n"
                              "aws_access_key_id=O\n");
    struct credentials creds = load(NULL);
    assert_string_equal(creds.access_key, "AKID");
    assert_string_equal(creds.secret_key, "se;cr#et=/+");
    assert_string_equal(creds.region, "us-west-2");
    assert_non_null(strstr(creds.source, "default"));
    credentials_clear(&creds);
    env_set("AWS_PROFILE", "work");
    creds = load(NULL);
    assert_string_equal(creds.access_key, "W");
    assert_string_equal(creds.region, "eu-central-1");
    assert_string_equal(creds.endpoint, "https://s3.example.com");
    credentials_clear(&creds);
    expect_refused("other", -EINVAL, "aws_secret_access_key");
}

static void test_long_token(void **state)
{
    (void)state;
    char *text = mem_alloc(8192);
    char *p = stpcpy(text, "[default]\naws_access_key_id=a\naws_secret_access_key=b\n"
                           "aws_session_token=");
    memset(p, 't', 4000);
    p[4000] = '\0';
    write_file("credentials", text);
    struct credentials creds = load(NULL);
    assert_int_equal(strlen(creds.session_token), 4000);
    credentials_clear(&creds);
    free(text);
}

static void test_fetched_keys(void **state)
{
    (void)state;
    write_file("config", "[profile role]\nrole_arn = arn:aws:iam::1:role/x\n"
                         "source_profile = default\n[profile sso]\nsso_session = corp\n"
                         "[profile prog]\ncredential_process = /bin/false\n"
                         "[profile both]\nrole_arn=x\naws_access_key_id=a\n"
                         "aws_secret_access_key=b\n");
    expect_refused("role", -ENOTSUP, "role_arn");
    expect_refused("sso", -ENOTSUP, "sso_session");
    expect_refused("prog", -ENOTSUP, "credential_process");
    struct credentials creds = load("both");
    assert_string_equal(creds.access_key, "a");
    credentials_clear(&creds);
}

static void test_bad_file(void **state)
{
    (void)state;
    write_file("config", "[default]\nregion = a-1\nwhat is this\n");
    expect_refused(NULL, -EINVAL, "line 3");
    /* not in a profile that nobody asks for */
    write_file("config", "[profile x]\nwhat is this\n[default]\nregion=a-1\n");
    struct credentials creds = load(NULL);
    assert_string_equal(creds.region, "a-1");
    credentials_clear(&creds);
    env_set("AWS_CONFIG_FILE", home); /* a directory */
    creds = load(NULL);
    assert_null(creds.region);
    credentials_clear(&creds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing, clear_environment),
        cmocka_unit_test_setup(test_passwd_file, clear_environment),
        cmocka_unit_test_setup(test_environment, clear_environment),
        cmocka_unit_test_setup(test_files, clear_environment),
        cmocka_unit_test_setup(test_long_token, clear_environment),
        cmocka_unit_test_setup(test_fetched_keys, clear_environment),
        cmocka_unit_test_setup(test_bad_file, clear_environment),
    };
    return cmocka_run_group_tests(tests, setup_home, teardown_home);
}
