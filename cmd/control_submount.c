/* GET, POST and DELETE /submount: what is mounted below exports, while pailfs runs. */
#include "cmd/control_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd/serve_options.h"
#include "cmd/setting.h"
#include "fs/mounts.h"

enum { SUBMOUNT_ADD_S = 30, SUBMOUNT_REMOVE_S = 5 };

static pthread_mutex_t submount_lock = PTHREAD_MUTEX_INITIALIZER; /* of the pool; a leaf */

static char *join(const char *export, const char *path)
{
    return mem_printf("%s%s", strcmp(export, "/") == 0 ? "" : export, path);
}

/* The export of a top volume. */
static const struct control_export *export_of(const struct control_config *config,
                                              const struct fs_volume *top)
{
    for (size_t i = 0; i < config->export_count; i++) {
        if (config->exports[i].vol == top)
            return &config->exports[i];
    }
    return NULL;
}

void control_exports_now(const struct control_config *config, struct control_config *ret)
{
    struct fs_mount_info *infos;
    size_t count;

    fs_mounts_get(config->fs, &infos, &count);
    struct control_export *all = mem_array(config->export_count + count + 1, sizeof(*all));
    *ret = *config;
    ret->exports = all;
    ret->top_count = config->export_count;
    memcpy(all, config->exports, config->export_count * sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        const struct control_export *top = export_of(config, infos[i].top);
        if (!top || !infos[i].vol)
            continue;
        all[ret->export_count++] = (struct control_export){
            .name = join(top->name, infos[i].path),
            .url = mem_strdup(infos[i].url),
            .vol = infos[i].vol,
            .mount_error = infos[i].failed ? mem_strdup(infos[i].error) : NULL};
    }
    fs_mounts_free(infos, count);
}

void control_exports_clear(struct control_config *now)
{
    for (size_t i = now->top_count; i < now->export_count; i++) {
        free((char *)now->exports[i].name);
        free((char *)now->exports[i].url);
        free(now->exports[i].mount_error);
    }
    free((struct control_export *)now->exports);
}

/* --- what is asked --- */

static json_t *submount_json(const struct control_export *top, const struct fs_mount_info *info)
{
    CLEANUP_FREE char *path = join(top->name, info->path);

    return json_pack("{s:o, s:o, s:s?, s:b, s:b, s:b, s:o}", "path", control_json_text(path), "url",
                     control_json_text(info->url), "options", info->options, "kept", info->keep,
                     "read_only", info->read_only, "mounted", !info->failed, "error",
                     control_json_text(info->failed ? info->error : NULL));
}

unsigned control_submount_list(const struct control_config *config, json_t **ret)
{
    struct fs_mount_info *infos;
    size_t count;
    json_t *list = json_array();

    fs_mounts_get(config->fs, &infos, &count);
    for (size_t i = 0; i < count; i++) {
        const struct control_export *top = export_of(config, infos[i].top);
        if (top)
            (void)json_array_append_new(list, submount_json(top, &infos[i]));
    }
    fs_mounts_free(infos, count);
    *ret = json_pack("{s:o}", "submounts", list);
    return 200;
}

static unsigned submount_status(int err)
{
    switch (err) {
    case 0:
        return 200;
    case -EINVAL:
    case -ENOTSUP:
    case -ENAMETOOLONG:
    case -ENOTDIR:
        return 400;
    case -ENOENT:
        return 404;
    case -EEXIST:
    case -EBUSY:
        return 409;
    default:
        return 503;
    }
}

/* What was said of the export: the base of what is said of the sub-mount. */
static const struct export_options *options_of(const struct control_config *config,
                                               const struct control_export *export)
{
    for (size_t i = 0; i < config->options->export_count; i++) {
        if (strcmp(config->options->exports[i].name, export->name) == 0)
            return &config->options->exports[i].options;
    }
    return &config->options->defaults;
}

static int submount_add(const struct control_config *config, const struct control_export *export,
                        const char *path, const char *url, const char *options,
                        struct cmd_error *reterr)
{
    struct fs_error error = {{0}};

    (void)pthread_mutex_lock(&submount_lock);
    struct export_options *parsed = text_pool_take(config->pool, mem_zalloc(sizeof(*parsed)));
    *parsed = *options_of(config, export);
    int err = setting_bucket_entries(config->pool, options ? options : "", parsed, reterr);
    (void)pthread_mutex_unlock(&submount_lock);
    if (err)
        return err;
    struct fs_mount what = {.path = path,
                            .url = url,
                            .options = options ? options : "",
                            .keep = true,
                            .store = &parsed->store,
                            .volume = &parsed->volume};
    err = fs_mount(config->fs, export->vol, &what, 1, clock_mono_ns() + SUBMOUNT_ADD_S * CLOCK_S,
                   &error);
    return err ? cmd_error_set(reterr, err, "%s", error.text) : 0;
}

/* The answer to a change: how it is now, or why there was none. */
static unsigned submount_answer(const struct control_config *config, int err,
                                const struct cmd_error *error, json_t **ret)
{
    if (!err)
        return control_submount_list(config, ret);
    *ret = control_json_error("%s", error->text);
    (void)json_object_set_new(*ret, "again", json_boolean(err == -EAGAIN));
    return submount_status(err);
}

unsigned control_submount_change(const struct control_config *config, bool add, const char *path,
                                 const char *url, const char *options, const char *force,
                                 json_t **ret)
{
    struct cmd_error error = {{0}};
    struct fs_error fs_error = {{0}};
    const char *rest = "";
    const struct control_export *export = control_export_find(config, path ? path : "", &rest);
    int err;

    if (!export) {
        *ret = control_json_error("%s is in no export: expected path=/EXPORT/PATH, such as %s/sub",
                                  path ? path : "nothing",
                                  config->export_count ? config->exports[0].name : "/EXPORT");
        return 404;
    }
    if (add && !url) {
        *ret = control_json_error("expected url=URL, such as s3://BUCKET");
        return 400;
    }
    if (add) {
        err = submount_add(config, export, rest, url, options, &error);
    } else {
        err = fs_unmount(config->fs, export->vol, rest, force && strcmp(force, "0") != 0,
                         clock_mono_ns() + SUBMOUNT_REMOVE_S * CLOCK_S, &fs_error);
        (void)cmd_error_set(&error, err, "%s", fs_error.text);
    }
    return submount_answer(config, err, &error, ret);
}
