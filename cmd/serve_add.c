/* Exports, mounts and sub-mounts, each with the options that hold for it, as a command line and a
 * configuration file ask for them. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/mount_point.h"
#include "cmd/serve_reading.h"
#include "cmd/serve_url.h"

enum { SERVE_MOUNTS_MAX = 64, SERVE_SUBMOUNTS_MAX = 256 };

int reading_refuse(struct reading *r, unsigned line, const char *fmt, ...)
{
    char text[768];
    va_list ap;

    va_start(ap, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_start here */
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (line)
        return cmd_error_set(r->reterr, -EINVAL, "%s:%u: %s", r->reader.file, line, text);
    return cmd_error_set(r->reterr, -EINVAL, "%s", text);
}

/* --- options of one --- */

int reading_apply(struct reading *r, const struct setting_list *list, unsigned scope,
                  struct export_options *export)
{
    struct setting_target target = {
        .pool = &r->o->pool, .process = r->o, .export = export, .look = r->look};

    return setting_apply(&r->reader, list, scope, &target, r->reterr);
}

/* section NULL: there is none. */
int reading_make_options(struct reading *r, const struct config_section *section,
                         struct export_options *ret)
{
    struct cmd_error error = {{0}};
    int err = 0;

    *ret = r->o->defaults;
    if (section)
        err = reading_apply(r, &section->settings, SETTING_OF_EXPORT | SETTING_URL, ret);
    if (!err)
        err = reading_apply(r, &r->line, SETTING_OF_EXPORT, ret);
    if (err)
        return err;
    if (r->pass)
        ret->fuse_options = ret->fuse_options
                                ? text_pool_printf(&r->o->pool, "%s,%s", ret->fuse_options, r->pass)
                                : r->pass;
    ret->store.retry_max_ns = r->o->retry_max_ns;
    if (export_options_finish(ret, &error))
        return reading_refuse(r, section ? section->line : 0, "%s%s%s",
                              section ? section->title : "", section ? ": " : "", error.text);
    return 0;
}

/* --- what is served --- */

/* Two stores may have buckets of the same name. */
static bool same_endpoint(const struct export_options *a, const struct export_options *b)
{
    const char *x = a->store.endpoint, *y = b->store.endpoint;

    return x && y ? strcmp(x, y) == 0 : x == y;
}

int reading_add_export(struct reading *r, const char *url, const char *name, unsigned line,
                       bool hidden, const struct export_options *options)
{
    struct serve_options *o = r->o;

    if (o->export_count == EXPORT_MAX)
        return reading_refuse(r, line, "expected at most %d exports", EXPORT_MAX);
    for (size_t i = 0; i < o->export_count; i++) {
        if (strcmp(o->exports[i].name, name) == 0)
            return reading_refuse(
                r, line, "two exports are called %s: give one another name, as in %s=/OTHER", name,
                url);
        if (strcmp(o->exports[i].url, url) == 0 && same_endpoint(&o->exports[i].options, options))
            return reading_refuse(r, line, "%s is given twice", url);
    }
    o->exports = mem_rearray(o->exports, o->export_count + 1, sizeof(*o->exports));
    o->exports[o->export_count++] = (struct serve_export){
        .url = text_pool_copy(&o->pool, url),
        .name = text_pool_copy(&o->pool, name),
        .hidden = hidden,
        .options = *options,
    };
    return 0;
}

int reading_add_mount(struct reading *r, const char *name, const char *dir, unsigned line,
                      const struct export_options *options)
{
    struct serve_options *o = r->o;

    if (o->mount_count == SERVE_MOUNTS_MAX)
        return reading_refuse(r, line, "expected at most %d mounts", SERVE_MOUNTS_MAX);
    for (size_t i = 0; i < o->mount_count; i++) {
        if (strcmp(o->mounts[i].dir, dir) == 0)
            return reading_refuse(r, line, "%s is to be mounted on twice", dir);
    }
    o->mounts = mem_rearray(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
    o->mounts[o->mount_count++] = (struct serve_mount){
        .name = text_pool_copy(&o->pool, name),
        .dir = text_pool_copy(&o->pool, dir),
        .options = *options,
    };
    return 0;
}

const char *reading_resolve(struct reading *r, const char *dir, unsigned line)
{
    struct cmd_error error = {{0}};

    if (!r->look)
        return text_pool_copy(&r->o->pool, dir);
    char *found = mount_point_resolve(dir, &error);
    if (!found) {
        (void)reading_refuse(r, line, "%s", error.text);
        return NULL;
    }
    return text_pool_take(&r->o->pool, found);
}

int reading_check_url(struct reading *r, const struct config_section *section, const char *url)
{
    struct cmd_error error = {{0}};

    if (serve_url_check(url, &error))
        return reading_refuse(r, setting_last(&section->settings, "url")->line, "url = %s",
                              error.text);
    return 0;
}

int reading_add_section_export(struct reading *r, const struct config_section *section)
{
    struct export_options options;
    int err = reading_make_options(r, section, &options);

    if (!err)
        err = reading_check_url(r, section, options.url);
    return err ? err
               : reading_add_export(r, options.url, section->name, section->line, false, &options);
}

/* A mount of what is exported shows that: what is said of the bucket is said of the export. */
static int check_shared(struct reading *r, const struct config_section *section,
                        const struct serve_export *export)
{
    for (size_t i = 0; i < section->settings.count; i++) {
        const struct setting_given *given = &section->settings.all[i];
        const char *name = given->setting->def.name;
        if (given->setting->scope & (SETTING_VOLUME | SETTING_STORE) &&
            strcmp(name, "read-only") != 0 && strcmp(name, "umask") != 0 &&
            strcmp(name, "endpoint") != 0)
            return reading_refuse(r, given->line,
                                  "%s: expected in the section of %s, which %s shows on this host",
                                  name, export->name, section->title);
    }
    return 0;
}

/* The export that a mount shows: of the same bucket. Without an endpoint of its own it is meant to
 * have that of the export. */
static const struct serve_export *find_shared(struct reading *r,
                                              const struct config_section *section,
                                              const struct export_options *options)
{
    const struct serve_export *found = NULL;

    for (size_t i = 0; i < r->o->export_count; i++) {
        const struct serve_export *e = &r->o->exports[i];
        if (strcmp(e->url, options->url) != 0)
            continue;
        if (same_endpoint(&e->options, options))
            return e;
        if (!found && !setting_last(&section->settings, "endpoint"))
            found = e;
    }
    return found;
}

int reading_add_section_mount(struct reading *r, const struct config_section *section)
{
    struct export_options options;
    int err = reading_make_options(r, section, &options);

    if (!err)
        err = reading_check_url(r, section, options.url);
    const char *dir = err ? NULL : reading_resolve(r, section->name, section->line);
    if (!dir)
        return -EINVAL;
    const struct serve_export *found = find_shared(r, section, &options);
    const char *name = found ? found->name : dir;
    if (found) {
        err = check_shared(r, section, found);
        options.volume.attr_ttl_ns = found->options.volume.attr_ttl_ns;
    } else {
        err = reading_add_export(r, options.url, dir, section->line, true, &options);
    }
    return err ? err : reading_add_mount(r, name, dir, section->line, &options);
}

/* Whether path lies below what is called name. */
static bool lies_below(const char *path, const char *name)
{
    size_t len = strcmp(name, "/") == 0 ? 0 : strlen(name);

    return strncmp(path, name, len) == 0 && path[len] == '/' && path[len + 1];
}

static int add_submount(struct reading *r, const char *path, const char *url, unsigned line,
                        const struct export_options *options)
{
    struct serve_options *o = r->o;
    bool below = false;

    if (!export_name_valid(path))
        return reading_refuse(r, line, "%s: expected a path such as /media/sub", path);
    for (size_t i = 0; i < o->export_count; i++)
        below = below || lies_below(path, o->exports[i].name);
    if (!below && r->mount)
        return 0; /* another mount's: the file may have several */
    if (!below)
        return reading_refuse(r, line,
                              "%s: expected a path below an export or a mount, such as %s/sub",
                              path, o->exports[0].name);
    for (size_t i = 0; i < o->submount_count; i++) {
        if (strcmp(o->submounts[i].path, path) == 0)
            return reading_refuse(r, line, "two sub-mounts are at %s", path);
    }
    if (o->submount_count == SERVE_SUBMOUNTS_MAX)
        return reading_refuse(r, line, "expected at most %d sub-mounts", SERVE_SUBMOUNTS_MAX);
    o->submounts = mem_rearray(o->submounts, o->submount_count + 1, sizeof(*o->submounts));
    o->submounts[o->submount_count++] = (struct serve_submount){
        .path = text_pool_copy(&o->pool, path),
        .url = text_pool_copy(&o->pool, url),
        .options = *options,
    };
    return 0;
}

int reading_add_section_submount(struct reading *r, const struct config_section *section)
{
    struct export_options options;
    int err = reading_make_options(r, section, &options);

    if (!err)
        err = reading_check_url(r, section, options.url);
    return err ? err : add_submount(r, section->name, options.url, section->line, &options);
}

/* PATH=URL. Both may have '=' in them: the one in the middle is followed by a scheme. */
int reading_add_line_submount(struct reading *r, const char *value)
{
    struct export_options options;
    const char *at = value;
    struct cmd_error error = {{0}};

    do
        at = strchr(at, '=') ? strchr(at, '=') + 1 : NULL;
    while (at && serve_url_check(at, &error));
    if (!at || value[0] != '/')
        return reading_refuse(r, 0, "--submount %s: expected PATH=URL, as in /media/sub=s3://other",
                              value);
    CLEANUP_FREE char *path = mem_strndup(value, (size_t)(at - 1 - value));
    const char *name = r->o->exports[0].name;
    bool whose = r->o->export_count > 1 || (!r->mount && lies_below(path, name));
    CLEANUP_FREE char *whole =
        whose || strcmp(name, "/") == 0 ? mem_strdup(path) : mem_printf("%s%s", name, path);
    int err = reading_make_options(r, NULL, &options);
    return err ? err : add_submount(r, whole, at, 0, &options);
}

/* [EXPORT:]MOUNTPOINT */
int reading_add_line_fuse(struct reading *r, const char *value)
{
    struct export_options options;
    const char *dir = strstr(value, ":/");
    CLEANUP_FREE char *name = dir ? mem_strndup(value, (size_t)(dir - value)) : NULL;
    const struct serve_export *found = name ? NULL : &r->o->exports[0];

    for (size_t i = 0; i < r->o->export_count && name; i++) {
        if (strcmp(r->o->exports[i].name, name) == 0)
            found = &r->o->exports[i];
    }
    if (!found)
        return reading_refuse(r, 0, "--fuse %s: no export is called %s", value, name);
    dir = reading_resolve(r, dir ? dir + 1 : value, 0);
    int err = dir ? reading_make_options(r, NULL, &options) : -EINVAL;
    if (err)
        return err;
    options.volume.attr_ttl_ns = found->options.volume.attr_ttl_ns;
    return reading_add_mount(r, found->name, dir, 0, &options);
}
