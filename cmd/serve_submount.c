/* Sub-mounts at a start: those of the configuration, and those that were made while an earlier run
 * was running. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include "cmd/serve_start.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/setting.h"
#include "fs/mounts.h"

enum { SUBMOUNT_DEADLINE_S = 60 };

struct submount_list { /* of one export */
    struct serve *serve;
    size_t export; /* its index */
    struct fs_mount mounts[FS_MOUNTS_MAX];
    size_t count, configured;
};

/* path below the export, or NULL. */
static const char *path_in(const char *name, const char *path)
{
    size_t len = strcmp(name, "/") == 0 ? 0 : strlen(name);

    return strncmp(path, name, len) == 0 && path[len] == '/' ? path + len : NULL;
}

/* The export with the longest name that path is below. */
static size_t export_of(const struct serve_options *o, const char *path)
{
    size_t best = o->export_count;

    for (size_t i = 0; i < o->export_count; i++) {
        if (path_in(o->exports[i].name, path) &&
            (best == o->export_count || strlen(o->exports[i].name) > strlen(o->exports[best].name)))
            best = i;
    }
    return best;
}

static void take_configured(struct submount_list *list)
{
    const struct serve_options *o = list->serve->options;

    for (size_t i = 0; i < o->submount_count && list->count < FS_MOUNTS_MAX; i++) {
        const struct serve_submount *sub = &o->submounts[i];
        if (export_of(o, sub->path) != list->export)
            continue;
        list->mounts[list->count++] =
            (struct fs_mount){.path = path_in(o->exports[list->export].name, sub->path),
                              .url = sub->url,
                              .store = &sub->options.store,
                              .volume = &sub->options.volume};
    }
    list->configured = list->count;
}

/* The configuration wins. */
static bool is_configured(const struct submount_list *list, const struct fs_mount *kept)
{
    for (size_t i = 0; i < list->configured; i++) {
        if (strcmp(list->mounts[i].path, kept->path) == 0 ||
            strcmp(list->mounts[i].url, kept->url) == 0)
            return true;
    }
    return false;
}

static bool take_kept(void *ctx, const struct fs_mount *kept)
{
    struct submount_list *list = ctx;
    struct serve *s = list->serve;
    struct text_pool *pool = &s->submount_pool;
    struct cmd_error error = {{0}};
    struct export_options *options = text_pool_take(pool, mem_zalloc(sizeof(*options)));

    if (list->count == FS_MOUNTS_MAX || is_configured(list, kept))
        return true;
    *options = s->options->exports[list->export].options;
    if (setting_bucket_entries(pool, kept->options, options, &error)) {
        log_event(LOG_ERROR, "submount_lost", "path=%s url=%s why=%s", LOG_Q(kept->path),
                  LOG_Q(kept->url), LOG_Q(error.text));
        return true;
    }
    list->mounts[list->count++] = (struct fs_mount){.path = text_pool_copy(pool, kept->path),
                                                    .url = text_pool_copy(pool, kept->url),
                                                    .options = text_pool_copy(pool, kept->options),
                                                    .keep = true,
                                                    .store = &options->store,
                                                    .volume = &options->volume};
    return true;
}

static int mount_some(struct submount_list *list, size_t from, size_t count,
                      struct fs_error *reterr)
{
    struct serve *s = list->serve;

    if (count == 0)
        return 0;
    return fs_mount(s->fs, s->control_exports[list->export].vol, list->mounts + from, count,
                    clock_mono_ns() + SUBMOUNT_DEADLINE_S * CLOCK_S, reterr);
}

/* What was made at run time and is impossible now does not stop the start. */
static int mount_list(struct submount_list *list, struct cmd_error *reterr)
{
    struct fs_error error = {{0}};

    if (mount_some(list, 0, list->count, &error) == 0)
        return 0;
    int err = mount_some(list, 0, list->configured, &error);
    if (err)
        return cmd_error_set(reterr, err, "%s", error.text);
    for (size_t i = list->configured; i < list->count; i++) {
        if (mount_some(list, i, 1, &error))
            log_event(LOG_ERROR, "submount_lost", "path=%s url=%s why=%s",
                      LOG_Q(list->mounts[i].path), LOG_Q(list->mounts[i].url), LOG_Q(error.text));
    }
    return 0;
}

int serve_submounts(struct serve *s, struct cmd_error *reterr)
{
    int err = 0;

    for (size_t i = 0; i < s->options->export_count && !err; i++) {
        struct submount_list *list = mem_zalloc(sizeof(*list));
        list->serve = s;
        list->export = i;
        take_configured(list);
        (void)fs_mounts_kept(s->fs, s->control_exports[i].vol, take_kept, list);
        err = mount_list(list, reterr);
        free(list);
    }
    return err;
}
