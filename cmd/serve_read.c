/*
 * From the command line and the configuration file to what is to be served: which options hold for
 * which export, mount and sub-mount. Levels, the later ones winning: defaults, the file's
 * [defaults], its section, the command line.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/config_file.h"
#include "cmd/mount_point.h"
#include "cmd/mount_state.h"
#include "cmd/serve_options.h"
#include "cmd/serve_url.h"
#include "cmd/setting.h"
#include "cmd/store_options.h"

enum { SERVE_MOUNTS_MAX = 64, SERVE_SUBMOUNTS_MAX = 256 };

struct reading {
    struct serve_options *o;
    struct setting_reader reader;
    struct setting_list line; /* the command line */
    struct config_file file;
    const char *text; /* of the file; NULL: it is read */
    size_t text_len;
    bool mount, look;
    unsigned scope;   /* of the process's options */
    const char *pass; /* from -o, for mount(8) */
    /* Called as a mount program, under this name: fstab has NAME#BUCKET, which "mount -a" looks for
     * among what is mounted. */
    const char *helper;
    char **args; /* behind the options */
    int arg_count;
    struct cmd_error *reterr;
};

static int refuse(struct reading *r, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* line: of the file; 0: the command line. */
static int refuse(struct reading *r, unsigned line, const char *fmt, ...)
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

static int apply(struct reading *r, const struct setting_list *list, unsigned scope,
                 struct export_options *export)
{
    struct setting_target target = {
        .pool = &r->o->pool, .process = r->o, .export = export, .look = r->look};

    return setting_apply(&r->reader, list, scope, &target, r->reterr);
}

/* section NULL: there is none. */
static int make_options(struct reading *r, const struct config_section *section,
                        struct export_options *ret)
{
    struct cmd_error error = {{0}};
    int err = 0;

    *ret = r->o->defaults;
    if (section)
        err = apply(r, &section->settings, SETTING_OF_EXPORT | SETTING_URL, ret);
    if (!err)
        err = apply(r, &r->line, SETTING_OF_EXPORT, ret);
    if (err)
        return err;
    if (r->pass)
        ret->fuse_options = ret->fuse_options
                                ? text_pool_printf(&r->o->pool, "%s,%s", ret->fuse_options, r->pass)
                                : r->pass;
    ret->store.retry_max_ns = r->o->retry_max_ns;
    if (export_options_finish(ret, &error))
        return refuse(r, section ? section->line : 0, "%s%s%s", section ? section->title : "",
                      section ? ": " : "", error.text);
    return 0;
}

/* --- what is served --- */

static int add_export(struct reading *r, const char *url, const char *name, unsigned line,
                      bool hidden, const struct export_options *options)
{
    struct serve_options *o = r->o;

    if (o->export_count == EXPORT_MAX)
        return refuse(r, line, "expected at most %d exports", EXPORT_MAX);
    for (size_t i = 0; i < o->export_count; i++) {
        if (strcmp(o->exports[i].name, name) == 0)
            return refuse(r, line,
                          "two exports are called %s: give one another name, as in %s=/OTHER", name,
                          url);
        if (strcmp(o->exports[i].url, url) == 0)
            return refuse(r, line, "%s is given twice", url);
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

static int add_mount(struct reading *r, const char *name, const char *dir, unsigned line,
                     const struct export_options *options)
{
    struct serve_options *o = r->o;

    if (o->mount_count == SERVE_MOUNTS_MAX)
        return refuse(r, line, "expected at most %d mounts", SERVE_MOUNTS_MAX);
    for (size_t i = 0; i < o->mount_count; i++) {
        if (strcmp(o->mounts[i].dir, dir) == 0)
            return refuse(r, line, "%s is to be mounted on twice", dir);
    }
    o->mounts = mem_rearray(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
    o->mounts[o->mount_count++] = (struct serve_mount){
        .name = text_pool_copy(&o->pool, name),
        .dir = text_pool_copy(&o->pool, dir),
        .options = *options,
    };
    return 0;
}

/* The mountpoint as it is on this host; of the pool. NULL and a sentence. */
static const char *resolve(struct reading *r, const char *dir, unsigned line)
{
    struct cmd_error error = {{0}};

    if (!r->look)
        return text_pool_copy(&r->o->pool, dir);
    char *found = mount_point_resolve(dir, &error);
    if (!found) {
        (void)refuse(r, line, "%s", error.text);
        return NULL;
    }
    return text_pool_take(&r->o->pool, found);
}

static int check_section_url(struct reading *r, const struct config_section *section,
                             const char *url)
{
    struct cmd_error error = {{0}};

    if (serve_url_check(url, &error))
        return refuse(r, setting_last(&section->settings, "url")->line, "url = %s", error.text);
    return 0;
}

static int add_section_export(struct reading *r, const struct config_section *section)
{
    struct export_options options;
    int err = make_options(r, section, &options);

    if (!err)
        err = check_section_url(r, section, options.url);
    return err ? err : add_export(r, options.url, section->name, section->line, false, &options);
}

/* A mount of what is exported shows that: what is said of the bucket is said of the export. */
static int check_shared(struct reading *r, const struct config_section *section,
                        const struct serve_export *export)
{
    for (size_t i = 0; i < section->settings.count; i++) {
        const struct setting_given *given = &section->settings.all[i];
        const char *name = given->setting->def.name;
        if (given->setting->scope & (SETTING_VOLUME | SETTING_STORE) &&
            strcmp(name, "read-only") != 0 && strcmp(name, "umask") != 0)
            return refuse(r, given->line,
                          "%s: expected in the section of %s, which %s shows on this host", name,
                          export->name, section->title);
    }
    return 0;
}

static int add_section_mount(struct reading *r, const struct config_section *section)
{
    struct export_options options;
    int err = make_options(r, section, &options);

    if (!err)
        err = check_section_url(r, section, options.url);
    const char *dir = err ? NULL : resolve(r, section->name, section->line);
    if (!dir)
        return -EINVAL;
    const struct serve_export *found = NULL;
    for (size_t i = 0; i < r->o->export_count && !found; i++) {
        if (strcmp(r->o->exports[i].url, options.url) == 0)
            found = &r->o->exports[i];
    }
    const char *name = found ? found->name : dir;
    if (found) {
        err = check_shared(r, section, found);
        options.volume.attr_ttl_ns = found->options.volume.attr_ttl_ns;
    } else {
        err = add_export(r, options.url, dir, section->line, true, &options);
    }
    return err ? err : add_mount(r, name, dir, section->line, &options);
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
        return refuse(r, line, "%s: expected a path such as /media/sub", path);
    for (size_t i = 0; i < o->export_count; i++)
        below = below || lies_below(path, o->exports[i].name);
    if (!below && r->mount)
        return 0; /* another mount's: the file may have several */
    if (!below)
        return refuse(r, line, "%s: expected a path below an export or a mount, such as %s/sub",
                      path, o->exports[0].name);
    for (size_t i = 0; i < o->submount_count; i++) {
        if (strcmp(o->submounts[i].path, path) == 0)
            return refuse(r, line, "two sub-mounts are at %s", path);
    }
    if (o->submount_count == SERVE_SUBMOUNTS_MAX)
        return refuse(r, line, "expected at most %d sub-mounts", SERVE_SUBMOUNTS_MAX);
    o->submounts = mem_rearray(o->submounts, o->submount_count + 1, sizeof(*o->submounts));
    o->submounts[o->submount_count++] = (struct serve_submount){
        .path = text_pool_copy(&o->pool, path),
        .url = text_pool_copy(&o->pool, url),
        .options = *options,
    };
    return 0;
}

static int add_section_submount(struct reading *r, const struct config_section *section)
{
    struct export_options options;
    int err = make_options(r, section, &options);

    if (!err)
        err = check_section_url(r, section, options.url);
    return err ? err : add_submount(r, section->name, options.url, section->line, &options);
}

/* PATH=URL. Both may have '=' in them: the one in the middle is followed by a scheme. */
static int add_line_submount(struct reading *r, const char *value)
{
    struct export_options options;
    const char *at = value;
    struct cmd_error error = {{0}};

    do
        at = strchr(at, '=') ? strchr(at, '=') + 1 : NULL;
    while (at && serve_url_check(at, &error));
    if (!at || value[0] != '/')
        return refuse(r, 0, "--submount %s: expected PATH=URL, as in /media/sub=s3://other", value);
    CLEANUP_FREE char *path = mem_strndup(value, (size_t)(at - 1 - value));
    const char *name = r->o->exports[0].name;
    bool whose = r->o->export_count > 1 || (!r->mount && lies_below(path, name));
    CLEANUP_FREE char *whole =
        whose || strcmp(name, "/") == 0 ? mem_strdup(path) : mem_printf("%s%s", name, path);
    int err = make_options(r, NULL, &options);
    return err ? err : add_submount(r, whole, at, 0, &options);
}

/* [EXPORT:]MOUNTPOINT */
static int add_line_fuse(struct reading *r, const char *value)
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
        return refuse(r, 0, "--fuse %s: no export is called %s", value, name);
    dir = resolve(r, dir ? dir + 1 : value, 0);
    int err = dir ? make_options(r, NULL, &options) : -EINVAL;
    if (err)
        return err;
    options.volume.attr_ttl_ns = found->options.volume.attr_ttl_ns;
    return add_mount(r, found->name, dir, 0, &options);
}

/* --- reading --- */

static int read_line(struct reading *r, unsigned scope, int argc, char **argv)
{
    int first, err = setting_scan(&r->reader, scope, argc, argv, &r->line, &first, r->reterr);
    size_t count = r->line.count;

    if (err)
        return err;
    r->args = argv + first;
    r->arg_count = argc - first;
    for (size_t i = 0; i < count && !err; i++) {
        const struct setting_given given = r->line.all[i];
        if (given.setting->scope & SETTING_ENTRIES)
            err = setting_scan_entries(&r->reader, scope & ~(unsigned)SETTING_ENTRIES, given.value,
                                       &r->line, &r->pass, r->reterr);
    }
    return err;
}

/* The file, if there is one, and what holds for all. */
static int read_common(struct reading *r)
{
    const struct setting_given *given = setting_last(&r->line, "config");
    const struct config_section *section;
    int err = 0;

    if (given) {
        r->reader.file = given->value;
        err = r->text ? config_parse(&r->reader, r->text, r->text_len, &r->file, r->reterr)
                      : config_read(&r->reader, &r->file, r->reterr);
    }
    section = config_find(&r->file, CONFIG_PAILFS);
    if (!err && section)
        err = apply(r, &section->settings, r->scope, &r->o->defaults);
    if (!err)
        err = apply(r, &r->line, r->scope, &r->o->defaults);
    section = config_find(&r->file, CONFIG_DEFAULTS);
    if (!err && section)
        err = apply(r, &section->settings, SETTING_OF_EXPORT, &r->o->defaults);
    return err;
}

static int each_section(struct reading *r, enum config_kind kind,
                        int (*fn)(struct reading *r, const struct config_section *section))
{
    for (size_t i = 0; i < r->file.count; i++) {
        int err = r->file.sections[i].kind == kind ? fn(r, &r->file.sections[i]) : 0;
        if (err)
            return err;
    }
    return 0;
}

static int each_given(struct reading *r, unsigned scope,
                      int (*fn)(struct reading *r, const char *value))
{
    for (size_t i = 0; i < r->line.count; i++) {
        int err = r->line.all[i].setting->scope & scope ? fn(r, r->line.all[i].value) : 0;
        if (err)
            return err;
    }
    return 0;
}

static int add_url(struct reading *r, const char *arg)
{
    struct export_options options;
    char *url = NULL, *name = NULL;
    int err = serve_url_split(arg, &url, &name, r->reterr);

    if (!err)
        err = make_options(r, NULL, &options);
    if (!err)
        err = add_export(r, url, name, 0, false, &options);
    free(url);
    free(name);
    return err;
}

/* True if listening on a takes what comes to b as well: the wildcard of IPv6 takes IPv4 too. */
static bool covers(const char *a, const char *b)
{
    if (strcmp(a, "::") == 0 || strcmp(a, b) == 0)
        return true;
    return strcmp(a, "0.0.0.0") == 0 && !strchr(b, ':');
}

/* Binding the same twice would fail, and nothing is lost by leaving it out. */
static void drop_covered_addresses(struct serve_options *o)
{
    size_t kept = 0;

    for (size_t i = 0; i < o->listen_count; i++) {
        bool covered = false;
        for (size_t k = 0; k < o->listen_count && !covered; k++) {
            /* Of two that are the same, the first stays. */
            bool same = o->listen[k] && strcmp(o->listen[k], o->listen[i]) == 0;
            covered = o->listen[k] && (same ? k < i : covers(o->listen[k], o->listen[i]));
        }
        if (covered)
            o->listen[i] = NULL;
    }
    for (size_t i = 0; i < o->listen_count; i++) {
        if (o->listen[i])
            o->listen[kept++] = o->listen[i];
    }
    o->listen_count = kept;
}

static int read_serve(struct reading *r)
{
    struct serve_options *o = r->o;
    int err = read_common(r);

    for (int i = 0; i < r->arg_count && !err; i++)
        err = add_url(r, r->args[i]);
    if (!err)
        err = each_section(r, CONFIG_EXPORT, add_section_export);
    size_t exports = o->export_count;
    if (!err && exports == 0 && setting_last(&r->line, "fuse"))
        err = refuse(r, 0, "--fuse: expected an export to mount, as a URL or in the file");
    if (!err)
        err = each_given(r, SETTING_FUSE, add_line_fuse);
    if (!err)
        err = each_section(r, CONFIG_MOUNT, add_section_mount);
    if (!err && o->export_count == 0)
        err = refuse(r, 0,
                     "nothing to serve: expected a URL such as s3://BUCKET or file:///DIRECTORY%s",
                     r->file.count ? ", or a section [export NAME] in the file" : "");
    if (!err)
        err = each_section(r, CONFIG_SUBMOUNT, add_section_submount);
    if (!err)
        err = each_given(r, SETTING_SUBMOUNT, add_line_submount);
    if (err)
        return err;
    o->nfs = exports > 0;
    drop_covered_addresses(o);
    if (o->mount_port == 0)
        o->mount_port = o->nfs_port;
    if (!o->state_dir && r->look)
        o->state_dir = state_dir_default(r->reterr);
    return o->state_dir || !r->look ? 0 : -EINVAL;
}

/* The file's [mount DIR] of a mountpoint; dir NULL: the only one there is. */
static const struct config_section *find_mount_section(struct reading *r, const char *dir)
{
    const struct config_section *found = NULL;
    size_t count = 0;

    for (size_t i = 0; i < r->file.count; i++) {
        const struct config_section *s = &r->file.sections[i];
        if (s->kind != CONFIG_MOUNT)
            continue;
        if (!dir || strcmp(s->name, dir) == 0) {
            found = s;
            count++;
        }
    }
    return count == 1 ? found : NULL;
}

static int read_mount(struct reading *r)
{
    struct serve_options *o = r->o;
    struct export_options options;
    int err = read_common(r);

    if (err)
        return err;
    const char *given_dir = r->arg_count > 0 ? r->args[r->arg_count - 1] : NULL;
    const char *dir = NULL;
    const struct config_section *section = NULL;
    if (r->arg_count > 2 || (r->arg_count < 2 && !r->file.count))
        return refuse(r, 0, "expected URL MOUNTPOINT");
    if (given_dir) {
        dir = resolve(r, given_dir, 0);
        if (!dir)
            return -EINVAL;
        section = find_mount_section(r, dir);
        section = section ? section : find_mount_section(r, given_dir);
    } else {
        section = find_mount_section(r, NULL);
    }
    if (r->arg_count < 2 && !section)
        return given_dir
                   ? refuse(r, 0, "%s has no section [mount %s]: expected one, or URL MOUNTPOINT",
                            r->reader.file, given_dir)
                   : refuse(r, 0,
                            "%s has no or several sections [mount DIRECTORY]: expected the "
                            "MOUNTPOINT of one",
                            r->reader.file);
    err = make_options(r, section, &options);
    if (!err && !dir)
        dir = resolve(r, section->name, section->line);
    if (err || !dir)
        return -EINVAL;
    const char *url = r->arg_count == 2 ? serve_url_of_bucket(&o->pool, r->args[0]) : options.url;
    if (r->helper && r->arg_count == 2 && !options.fsname && strcmp(url, r->args[0]) != 0)
        options.fsname = text_pool_printf(&o->pool, "%s#%s", r->helper, r->args[0]);
    if (r->arg_count == 2)
        err = serve_url_check(url, r->reterr);
    else
        err = check_section_url(r, section, url);
    if (!err)
        err = add_export(r, url, dir, 0, true, &options);
    if (!err)
        err = add_mount(r, dir, dir, 0, &options);
    if (!err)
        err = each_section(r, CONFIG_SUBMOUNT, add_section_submount);
    if (!err)
        err = each_given(r, SETTING_SUBMOUNT, add_line_submount);
    if (!err && !o->state_dir)
        o->state_dir = mount_state_default(url, dir, r->reterr);
    return err || !o->state_dir ? -EINVAL : 0;
}

/* What is not the options' own. */
static void reading_clear(struct reading *r)
{
    r->o->notes = r->reader.notes;
    r->o->note_count = r->reader.note_count;
    setting_list_clear(&r->line);
    config_clear(&r->file);
}

static void reading_init(struct reading *r, struct serve_options *ret, struct cmd_error *reterr)
{
    serve_options_default(ret);
    *r = (struct reading){
        .o = ret,
        .reader = {.pool = &ret->pool},
        .look = true,
        .scope = SETTING_OF_PROCESS,
        .reterr = reterr,
    };
}

int serve_options_parse(int argc, char **argv, struct serve_options *ret, struct cmd_error *reterr)
{
    struct reading r;

    reading_init(&r, ret, reterr);
    int err = read_line(&r, SETTING_FOR_SERVE, argc, argv);
    if (!err)
        err = read_serve(&r);
    reading_clear(&r);
    return err;
}

/* What mount(8) gives to a program called mount.TYPE beside -o: -s -n -v -w change nothing here, -t
 * and -N have a value. Returns the new argc. */
static int drop_helper_words(int argc, char **argv)
{
    int kept = 1;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-t") == 0 || strcmp(word, "-N") == 0)
            i++;
        else if (word[0] != '-' || !word[1] || word[1 + strspn(word + 1, "snvw")])
            argv[kept++] = argv[i];
        if (strcmp(word, "-o") == 0 && i + 1 < argc)
            argv[kept++] = argv[++i];
    }
    argv[kept] = NULL;
    return kept;
}

int serve_options_parse_mount(int argc, char **argv, struct serve_options *ret,
                              struct cmd_error *reterr)
{
    struct reading r;

    reading_init(&r, ret, reterr);
    ret->nfs = false;
    r.mount = true;
    r.scope = SETTING_OF_PROCESS & ~(unsigned)SETTING_SERVE;
    const char *slash = strrchr(argv[0], '/');
    const char *called = slash ? slash + 1 : argv[0];
    r.helper = strcmp(called, "mount") == 0 ? NULL : called;
    if (strncmp(called, "mount.", 6) == 0)
        argc = drop_helper_words(argc, argv);
    int err = read_line(&r, SETTING_FOR_MOUNT, argc, argv);
    if (!err)
        err = read_mount(&r);
    reading_clear(&r);
    return err;
}

int serve_options_check_text(const char *path, const char *text, size_t len,
                             struct serve_options *ret, struct cmd_error *reterr)
{
    struct reading r;

    reading_init(&r, ret, reterr);
    r.text = text;
    r.text_len = len;
    r.look = false;
    int err = setting_add(&r.reader, &r.line, SETTING_FILE, "config", path, path, 0, reterr);
    if (!err)
        err = read_serve(&r);
    reading_clear(&r);
    return err;
}

int serve_options_check_file(const char *path, struct serve_options *ret, struct cmd_error *reterr)
{
    return serve_options_check_text(path, NULL, 0, ret, reterr);
}
