/* Setters of what is said of one export or mount: who may do what, how files look, how long what
 * the store said is believed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/setting_int.h"
#include "fs/fs.h"

enum { NETS_MAX = 1024, PARTS_MAX = 64 };

#define PART_SIZE_MIN (UINT64_C(5) << 20)
#define PART_SIZE_MAX (UINT64_C(5) << 30)

int setting_text(void *target, const char **text, const char *value, const char *expected,
                 const char **ret_why)
{
    *ret_why = expected;
    if (!*value)
        return -EINVAL;
    *text = text_pool_copy(((struct setting_target *)target)->pool, value);
    return 0;
}

static int add_net(void *target, const char *value, const char **ret_why)
{
    struct export_options *e = setting_export(target);
    struct export_net net, *longer;

    int err = export_net_parse(value, &net, ret_why);
    if (err)
        return err;
    *ret_why = "expected at most 1024 networks";
    if (e->net_count == NETS_MAX)
        return -EINVAL;
    /* Copies of the options share the array, so it does not grow in its place. */
    longer = mem_array(e->net_count + 1, sizeof(*longer));
    if (e->net_count)
        memcpy(longer, e->nets, e->net_count * sizeof(*longer));
    longer[e->net_count++] = net;
    e->nets = text_pool_take(((struct setting_target *)target)->pool, longer);
    return 0;
}

SETTING_SETTER(set_allow)
{
    struct export_options *e = setting_export(target);

    if (!value) {
        e->nets = NULL;
        e->net_count = 0;
        return 0;
    }
    return parse_each(value, add_net, target, ret_why);
}

SETTING_SETTER(set_squash)
{
    static const char *const names[] = {"root", "all", "none", NULL};
    int at = parse_word(value, names);

    *ret_why = "expected root, all or none";
    if (at < 0)
        return -EINVAL;
    setting_export(target)->squash = (enum export_squash)(EXPORT_SQUASH_ROOT + at);
    return 0;
}

/* 2^32-1 means "leave it" in chown, so it is nobody's id. */
static int set_id(uint32_t *id, const char *value, const char **ret_why)
{
    int err = parse_uint(value, 0, UINT32_MAX - 1, id, ret_why);

    *ret_why = "expected a number from 0 to 4294967294";
    return err;
}

SETTING_SETTER(set_anonuid)
{
    return set_id(&setting_export(target)->anon_uid, value, ret_why);
}

SETTING_SETTER(set_anongid)
{
    return set_id(&setting_export(target)->anon_gid, value, ret_why);
}

SETTING_SETTER(set_secure)
{
    return setting_flag(&setting_export(target)->secure, value, ret_why);
}

SETTING_SETTER(set_insecure_ports)
{
    bool open = true;
    int err = setting_flag(&open, value, ret_why);

    if (!err)
        setting_export(target)->secure = !open;
    return err;
}

SETTING_SETTER(set_read_only)
{
    int err = setting_flag(&setting_export(target)->volume.read_only, value, ret_why);

    setting_export(target)->store.read_only = setting_export(target)->volume.read_only;
    return err;
}

SETTING_SETTER(set_attr_ttl)
{
    return parse_duration(value, &setting_export(target)->volume.attr_ttl_ns, ret_why);
}

SETTING_SETTER(set_list_ttl)
{
    return parse_duration(value, &setting_export(target)->volume.list_ttl_ns, ret_why);
}

SETTING_SETTER(set_uid)
{
    return set_id(&setting_export(target)->volume.uid, value, ret_why);
}

SETTING_SETTER(set_gid)
{
    return set_id(&setting_export(target)->volume.gid, value, ret_why);
}

SETTING_SETTER(set_file_mode)
{
    return parse_mode(value, &setting_export(target)->volume.file_mode, ret_why);
}

SETTING_SETTER(set_dir_mode)
{
    return parse_mode(value, &setting_export(target)->volume.dir_mode, ret_why);
}

SETTING_SETTER(set_umask)
{
    struct export_options *e = setting_export(target);
    int err = parse_mode(value, &e->volume.umask, ret_why);

    e->mount_umask = e->volume.umask;
    return err;
}

SETTING_SETTER(set_no_implicit_dir)
{
    return setting_flag(&setting_export(target)->volume.no_implicit_dir, value, ret_why);
}

SETTING_SETTER(set_cheap)
{
    return setting_flag(&setting_export(target)->volume.cheap, value, ret_why);
}

SETTING_SETTER(set_use_content_type)
{
    return setting_flag(&setting_export(target)->volume.use_content_type, value, ret_why);
}

SETTING_SETTER(set_part_size)
{
    uint64_t size;
    int err = parse_size(value, &size, ret_why);

    if (err)
        return err;
    *ret_why = "expected a size from 5M to 5G";
    if (size < PART_SIZE_MIN || size > PART_SIZE_MAX)
        return -EINVAL;
    setting_export(target)->volume.part_size = size;
    return 0;
}

SETTING_SETTER(set_parts)
{
    int err = parse_uint(value, 1, PARTS_MAX, &setting_export(target)->volume.parts, ret_why);

    *ret_why = "expected a number from 1 to 64";
    return err;
}

SETTING_SETTER(set_multipart_age)
{
    return parse_duration(value, &setting_export(target)->volume.multipart_age_ns, ret_why);
}

SETTING_SETTER(set_allow_other)
{
    return setting_flag(&setting_export(target)->allow_other, value, ret_why);
}

SETTING_SETTER(set_mount_commit)
{
    static const char *const names[] = {"close", "local", "store", NULL};
    int at = parse_word(value, names);

    *ret_why = "expected close, local or store";
    if (at < 0)
        return -EINVAL;
    setting_export(target)->mount_commit = (enum front_commit)(FRONT_COMMIT_CLOSE + at);
    return 0;
}

SETTING_SETTER(set_fsname)
{
    return setting_text(target, &setting_export(target)->fsname, value, "expected a name", ret_why);
}

SETTING_SETTER(set_fuse_options)
{
    return setting_text(target, &setting_export(target)->fuse_options, value,
                        "expected options of mount(8) such as nosuid,nodev", ret_why);
}

SETTING_SETTER(set_url)
{
    return setting_text(target, &setting_export(target)->url, value,
                        "expected a URL such as s3://BUCKET or file:///DIRECTORY", ret_why);
}

void export_options_default(struct export_options *ret)
{
    *ret = (struct export_options){
        .volume = FS_VOLUME_CONFIG_DEFAULT,
        .secure = true,
        .squash = EXPORT_SQUASH_ROOT,
        .anon_uid = EXPORT_ANON_ID,
        .anon_gid = EXPORT_ANON_ID,
        .mount_commit = FRONT_COMMIT_CLOSE,
    };
    ret->volume.file_mode = 0644;
    ret->volume.attr_ttl_ns = 60 * CLOCK_S;
}

int export_options_finish(struct export_options *e, struct cmd_error *reterr)
{
    if (e->store.path_style && e->store.virtual_style)
        return cmd_error_set(reterr, -EINVAL,
                             "path-style and virtual-style exclude each other: expected one of "
                             "them");
    if (e->store.passwd_file && (e->store.profile || e->store.unsigned_requests))
        return cmd_error_set(reterr, -EINVAL,
                             "passwd-file excludes profile and unsigned: expected one way to get "
                             "keys");
    if (e->sse_c && (e->sse_s3 || e->sse_kms))
        return cmd_error_set(reterr, -EINVAL,
                             "sse-c excludes sse and sse-kms: expected one way to encrypt");
    if (e->store.sse_bucket_key && !e->sse_kms)
        return cmd_error_set(reterr, -EINVAL, "sse-kms-bucket-key: expected sse-kms beside it");
    if (e->store.retry_min_ns && e->store.retry_max_ns &&
        e->store.retry_min_ns > e->store.retry_max_ns)
        return cmd_error_set(reterr, -EINVAL, "retry-min: expected no more than retry-max");
    if (e->volume.list_ttl_ns == FS_TTL_DEFAULT)
        e->volume.list_ttl_ns = e->volume.attr_ttl_ns;
    e->store.sse = e->sse_c     ? STORE_SSE_C
                   : e->sse_kms ? STORE_SSE_KMS
                   : e->sse_s3  ? STORE_SSE_S3
                                : STORE_SSE_NONE;
    return 0;
}
