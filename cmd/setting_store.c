/* Setters of how a bucket is talked to. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/dir.h"
#include "cmd/setting_int.h"

enum { KEY_TEXT_MAX = 256, CONNECTIONS_MAX = 1024, RETRIES_MAX = 1000 };

static struct store_config *store_of(void *target)
{
    return &setting_export(target)->store;
}

static bool may_look(const void *target)
{
    return ((const struct setting_target *)target)->look;
}

/* A file that is read later: "pailfs mount" leaves the working directory. */
static int keep_path(void *target, const char **path, const char *value)
{
    if (!*value || (may_look(target) && access(value, R_OK)))
        return -EINVAL;
    *path = text_pool_take(((struct setting_target *)target)->pool, dir_absolute(value));
    return 0;
}

SETTING_SETTER(set_endpoint)
{
    *ret_why = "expected a URL such as https://s3.example.net:9000 (the name of a region is for "
               "the option region)";
    if (strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0)
        return -EINVAL;
    return setting_text(target, &store_of(target)->endpoint, value, *ret_why, ret_why);
}

SETTING_SETTER(set_region)
{
    return setting_text(target, &store_of(target)->region, value, "expected the name of a region",
                        ret_why);
}

SETTING_SETTER(set_profile)
{
    return setting_text(target, &store_of(target)->profile, value, "expected the name of a profile",
                        ret_why);
}

SETTING_SETTER(set_ca_file)
{
    *ret_why = "expected a PEM file that can be read";
    return keep_path(target, &store_of(target)->ca_file, value);
}

SETTING_SETTER(set_passwd_file)
{
    *ret_why = "expected a file that can be read, with lines KEY:SECRET";
    return keep_path(target, &store_of(target)->passwd_file, value);
}

SETTING_SETTER(set_path_style)
{
    return setting_flag(&store_of(target)->path_style, value, ret_why);
}

SETTING_SETTER(set_virtual_style)
{
    return setting_flag(&store_of(target)->virtual_style, value, ret_why);
}

SETTING_SETTER(set_no_verify)
{
    return setting_flag(&store_of(target)->no_verify, value, ret_why);
}

SETTING_SETTER(set_unsigned)
{
    return setting_flag(&store_of(target)->unsigned_requests, value, ret_why);
}

SETTING_SETTER(set_no_detect)
{
    return setting_flag(&store_of(target)->no_detect, value, ret_why);
}

SETTING_SETTER(set_no_checksum)
{
    return setting_flag(&store_of(target)->no_checksum, value, ret_why);
}

SETTING_SETTER(set_requester_pays)
{
    return setting_flag(&store_of(target)->requester_pays, value, ret_why);
}

/* Stores other than Amazon's have classes of their own, so only the letters are checked. s3fs has
 * them in small ones. */
SETTING_SETTER(set_storage_class)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

    *ret_why = "expected the name of a class such as STANDARD_IA";
    if (!*value || value[strspn(value, letters)])
        return -EINVAL;
    char *name = text_pool_copy(((struct setting_target *)target)->pool, value);
    for (char *p = name; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    store_of(target)->storage_class = name;
    return 0;
}

SETTING_SETTER(set_cold_min_size)
{
    uint64_t size;
    int err = parse_size(value, &size, ret_why);

    if (!err)
        store_of(target)->cold_min_size = size ? size : 1; /* 0 would be the store's own choice */
    return err;
}

SETTING_SETTER(set_acl)
{
    static const char *const names[] = {
        "private",       "public-read",       "public-read-write",         "authenticated-read",
        "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control", NULL};

    *ret_why = "expected private, public-read, public-read-write, authenticated-read, "
               "aws-exec-read, bucket-owner-read or bucket-owner-full-control";
    if (parse_word(value, names) < 0)
        return -EINVAL;
    return setting_text(target, &store_of(target)->acl, value, *ret_why, ret_why);
}

SETTING_SETTER(set_sse)
{
    return setting_flag(&setting_export(target)->sse_s3, value, ret_why);
}

SETTING_SETTER(set_sse_kms)
{
    int err =
        setting_text(target, &store_of(target)->sse_kms_key, value,
                     "expected the id of a key of KMS, or aws/s3 for the account's own", ret_why);

    if (!err)
        setting_export(target)->sse_kms = true;
    if (!err && strcmp(value, "aws/s3") == 0)
        store_of(target)->sse_kms_key = NULL;
    return err;
}

SETTING_SETTER(set_sse_kms_bucket_key)
{
    return setting_flag(&store_of(target)->sse_bucket_key, value, ret_why);
}

/* The first line of a file. */
static int read_key(const char *path, char buf[KEY_TEXT_MAX])
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, KEY_TEXT_MAX - 1);

    if (n < 0)
        return -EINVAL;
    buf[n] = '\0';
    buf[strcspn(buf, "\r\n")] = '\0';
    return 0;
}

SETTING_SETTER(set_sse_c)
{
    uint8_t key[STORE_SSE_C_KEY_SIZE];
    char text[KEY_TEXT_MAX];
    const char *end = NULL;
    size_t len = 0;

    setting_export(target)->sse_c = true;
    if (value[0] == '@') {
        *ret_why = "expected a file that can be read, with the key in base64";
        if (!may_look(target))
            return value[1] ? 0 : -EINVAL;
        if (read_key(value + 1, text))
            return -EINVAL;
        value = text;
    }
    *ret_why = "expected a key of 256 bits in base64: 44 characters";
    if (sodium_base642bin(key, sizeof(key), value, strlen(value), NULL, &len, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        *end || len != sizeof(key))
        return -EINVAL;
    memcpy(store_of(target)->sse_c_key, key, sizeof(key));
    return 0;
}

SETTING_SETTER(set_list_type)
{
    static const char *const names[] = {"auto", "1", "2", NULL};
    int at = parse_word(value, names);

    *ret_why = "expected auto, 1 or 2";
    if (at < 0)
        return -EINVAL;
    store_of(target)->list = (enum store_list)(STORE_LIST_AUTO + at);
    return 0;
}

SETTING_SETTER(set_connections)
{
    int err = parse_uint(value, 4, CONNECTIONS_MAX, &store_of(target)->connections, ret_why);

    *ret_why = "expected a number from 4 to 1024";
    return err;
}

static int set_positive_time(int64_t *ns, const char *value, const char **ret_why)
{
    int64_t given;
    int err = parse_duration(value, &given, ret_why);

    if (err)
        return err;
    *ret_why = "expected more than 0";
    if (given == 0)
        return -EINVAL;
    *ns = given;
    return 0;
}

SETTING_SETTER(set_connect_timeout)
{
    return set_positive_time(&store_of(target)->connect_timeout_ns, value, ret_why);
}

SETTING_SETTER(set_stall_timeout)
{
    return set_positive_time(&store_of(target)->stall_timeout_ns, value, ret_why);
}

SETTING_SETTER(set_retries)
{
    uint32_t retries;
    int err = parse_uint(value, 0, RETRIES_MAX, &retries, ret_why);

    *ret_why = "expected a number from 0 to 1000";
    if (!err)
        store_of(target)->tries_max = retries ? retries + 1 : 0;
    return err;
}

SETTING_SETTER(set_retry_min)
{
    return set_positive_time(&store_of(target)->retry_min_ns, value, ret_why);
}
