/*
 * Keys and settings from the environment and the files of Amazon's tools.
 *
 * The files are read by a parser of our own: the INI libraries at hand cut lines (session tokens
 * are longer than a kilobyte) and take ';' inside a value for a comment (secrets may contain it).
 */
#include "cloud/credentials.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { CREDENTIALS_LINE_MAX = 1 << 16 };

static void file_cleanup(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}
#define CLEANUP_FILE __attribute__((cleanup(file_cleanup)))

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

static void replace(char **field, const char *value)
{
    free(*field);
    *field = mem_strdup(value);
}

struct profile {
    char *access_key, *secret_key, *session_token, *region, *endpoint;
    char *other; /* a setting by which keys would have to be fetched */
    bool found;
};

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void profile_clear(struct profile *profile)
{
    wipe(profile->access_key);
    wipe(profile->secret_key);
    wipe(profile->session_token);
    free(profile->region);
    free(profile->endpoint);
    free(profile->other);
    *profile = (struct profile){0};
}

static void profile_set(struct profile *profile, const char *name, const char *value)
{
    static const char *const fetched[] = {
        "role_arn",      "credential_process",      "sso_session",
        "sso_start_url", "web_identity_token_file", "credential_source",
        "login_session",
    };

    if (strcmp(name, "aws_access_key_id") == 0)
        replace(&profile->access_key, value);
    else if (strcmp(name, "aws_secret_access_key") == 0)
        replace(&profile->secret_key, value);
    else if (strcmp(name, "aws_session_token") == 0)
        replace(&profile->session_token, value);
    else if (strcmp(name, "region") == 0)
        replace(&profile->region, value);
    else if (strcmp(name, "endpoint_url") == 0)
        replace(&profile->endpoint, value);
    for (size_t i = 0; i < sizeof(fetched) / sizeof(fetched[0]); i++)
        if (strcmp(name, fetched[i]) == 0)
            replace(&profile->other, name);
}

/* Is "[...]" in line the section of the profile? Both files accept "profile x" here. */
static bool section_is(char *line, const char *name)
{
    char *end = strchr(line, ']');

    if (!end)
        return false;
    *end = '\0';
    char *section = trim(line + 1);
    if (strncmp(section, "profile", 7) == 0 && isspace((unsigned char)section[7]))
        section = trim(section + 7);
    return strcmp(section, name) == 0;
}

/* Reads one profile of a file. A file that is not there is an empty one. */
static int profile_read(const char *path, const char *name, struct profile *profile,
                        struct store_error *reterr)
{
    CLEANUP_FILE FILE *file = fopen(path, "re");
    CLEANUP_FREE char *line = mem_alloc(CREDENTIALS_LINE_MAX);
    bool inside = false;

    if (!file) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        int err = -errno;
        (void)snprintf(reterr->text, sizeof(reterr->text), "%.200s: cannot be read: %s", path,
                       strerrordesc_np(-err));
        return err;
    }
    for (int number = 1; fgets(line, CREDENTIALS_LINE_MAX, file); number++) {
        bool nested = isspace((unsigned char)line[0]); /* "s3 =" and the like */
        char *text = trim(line);
        if (*text == '\0' || *text == '#' || *text == ';')
            continue;
        if (*text == '[') {
            inside = section_is(text, name);
            profile->found |= inside;
            continue;
        }
        char *value = strchr(text, '=');
        if (!inside || nested)
            continue;
        if (!value) {
            (void)snprintf(reterr->text, sizeof(reterr->text),
                           "%.200s line %d: expected NAME = VALUE", path, number);
            return -EINVAL;
        }
        *value++ = '\0';
        profile_set(profile, trim(text), trim(value));
    }
    explicit_bzero(line, CREDENTIALS_LINE_MAX);
    return 0;
}

static const char *env_get(const char *name)
{
    const char *value = secure_getenv(name);

    return value && *value ? value : NULL;
}

static char *config_path(const char *env, const char *name)
{
    const char *path = env_get(env), *home = env_get("HOME");
    struct passwd pw, *found = NULL;
    char buf[4096];

    if (path)
        return mem_strdup(path);
    if (!home && getpwuid_r(getuid(), &pw, buf, sizeof(buf), &found) == 0 && found)
        home = found->pw_dir;
    return mem_printf("%s/.aws/%s", home ? home : "/", name);
}

static int credentials_check_profile(const struct profile *profile, const char *name, bool required,
                                     struct store_error *reterr)
{
    if (required && !profile->found) {
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "profile \"%.100s\" is neither in ~/.aws/credentials nor in ~/.aws/config",
                       name);
        return -ENOENT;
    }
    if (profile->access_key && !profile->secret_key) {
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "profile \"%.100s\" has aws_access_key_id but no aws_secret_access_key",
                       name);
        return -EINVAL;
    }
    if (!profile->access_key && profile->other) {
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "profile \"%.100s\" gets its keys by %.40s, which this version cannot do; "
                       "give keys by AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                       "AWS_SESSION_TOKEN",
                       name, profile->other);
        return -ENOTSUP;
    }
    return 0;
}

static int credentials_from_env(struct credentials *creds, struct store_error *reterr)
{
    const char *access = env_get("AWS_ACCESS_KEY_ID");
    const char *secret = env_get("AWS_SECRET_ACCESS_KEY");

    if (!access && !secret)
        return 0;
    if (!access || !secret) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s is set, but %s is not",
                       access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
        return -EINVAL;
    }
    creds->access_key = mem_strdup(access);
    creds->secret_key = mem_strdup(secret);
    creds->session_token = mem_strdup(env_get("AWS_SESSION_TOKEN"));
    creds->source = mem_strdup("the environment");
    return 0;
}

static void credentials_take(struct credentials *creds, const struct profile *profile,
                             const char *name)
{
    if (!creds->access_key && profile->access_key) {
        creds->access_key = mem_strdup(profile->access_key);
        creds->secret_key = mem_strdup(profile->secret_key);
        creds->session_token = mem_strdup(profile->session_token);
        creds->source = mem_printf("profile \"%s\"", name);
    }
    if (!creds->region)
        creds->region = mem_strdup(profile->region);
    if (!creds->endpoint)
        creds->endpoint = mem_strdup(profile->endpoint);
}

int credentials_load(const char *profile_name, struct credentials *ret, struct store_error *reterr)
{
    __attribute__((cleanup(profile_clear))) struct profile profile = {0};
    __attribute__((cleanup(credentials_clear))) struct credentials creds = {0};
    const char *env_name = env_get("AWS_PROFILE");
    const char *name = profile_name ? profile_name : env_name ? env_name : "default";
    CLEANUP_FREE char *config = config_path("AWS_CONFIG_FILE", "config");
    CLEANUP_FREE char *keys = config_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");

    int err = profile_name ? 0 : credentials_from_env(&creds, reterr);
    if (!err)
        err = profile_read(config, name, &profile, reterr);
    if (!err) /* read last: its keys win over those in config */
        err = profile_read(keys, name, &profile, reterr);
    if (!err && !creds.access_key)
        err = credentials_check_profile(&profile, name, profile_name || env_name, reterr);
    if (err)
        return err;
    const char *region = env_get("AWS_REGION");
    const char *endpoint = env_get("AWS_ENDPOINT_URL_S3");
    if (!profile_name) {
        creds.region = mem_strdup(region ? region : env_get("AWS_DEFAULT_REGION"));
        creds.endpoint = mem_strdup(endpoint ? endpoint : env_get("AWS_ENDPOINT_URL"));
    }
    credentials_take(&creds, &profile, name);
    *ret = creds;
    creds = (struct credentials){0};
    return 0;
}

static bool text_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool credentials_same(const struct credentials *a, const struct credentials *b)
{
    return text_same(a->access_key, b->access_key) && text_same(a->secret_key, b->secret_key) &&
           text_same(a->session_token, b->session_token);
}

void credentials_clear(struct credentials *creds)
{
    wipe(creds->access_key);
    wipe(creds->secret_key);
    wipe(creds->session_token);
    free(creds->region);
    free(creds->endpoint);
    free(creds->source);
    *creds = (struct credentials){0};
}
