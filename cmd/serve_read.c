/*
 * From the command line and the configuration file to what is to be served: which options hold for
 * which export, mount and sub-mount. Levels, the later ones winning: defaults, the file's
 * [defaults], its section, the command line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mount_state.h"
#include "cmd/serve_reading.h"
#include "cmd/serve_url.h"
#include "cmd/store_options.h"

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
        err = reading_apply(r, &section->settings, r->scope, &r->o->defaults);
    if (!err)
        err = reading_apply(r, &r->line, r->scope, &r->o->defaults);
    section = config_find(&r->file, CONFIG_DEFAULTS);
    if (!err && section)
        err = reading_apply(r, &section->settings, SETTING_OF_EXPORT, &r->o->defaults);
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
        err = reading_make_options(r, NULL, &options);
    if (!err)
        err = reading_add_export(r, url, name, 0, false, &options);
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
        err = each_section(r, CONFIG_EXPORT, reading_add_section_export);
    size_t exports = o->export_count;
    if (!err && exports == 0 && setting_last(&r->line, "fuse"))
        err = reading_refuse(r, 0, "--fuse: expected an export to mount, as a URL or in the file");
    if (!err)
        err = each_given(r, SETTING_FUSE, reading_add_line_fuse);
    if (!err)
        err = each_section(r, CONFIG_MOUNT, reading_add_section_mount);
    if (!err && o->export_count == 0)
        err = reading_refuse(
            r, 0, "nothing to serve: expected a URL such as s3://BUCKET or file:///DIRECTORY%s",
            r->file.count ? ", or a section [export NAME] in the file" : "");
    if (!err)
        err = each_section(r, CONFIG_SUBMOUNT, reading_add_section_submount);
    if (!err)
        err = each_given(r, SETTING_SUBMOUNT, reading_add_line_submount);
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
        return reading_refuse(r, 0, "expected URL MOUNTPOINT");
    if (given_dir) {
        dir = reading_resolve(r, given_dir, 0);
        if (!dir)
            return -EINVAL;
        section = find_mount_section(r, dir);
        section = section ? section : find_mount_section(r, given_dir);
    } else {
        section = find_mount_section(r, NULL);
    }
    if (r->arg_count < 2 && !section)
        return given_dir
                   ? reading_refuse(r, 0,
                                    "%s has no section [mount %s]: expected one, or URL MOUNTPOINT",
                                    r->reader.file, given_dir)
                   : reading_refuse(r, 0,
                                    "%s has no or several sections [mount DIRECTORY]: expected the "
                                    "MOUNTPOINT of one",
                                    r->reader.file);
    err = reading_make_options(r, section, &options);
    if (!err && !dir)
        dir = reading_resolve(r, section->name, section->line);
    if (err || !dir)
        return -EINVAL;
    const char *url = r->arg_count == 2 ? serve_url_of_bucket(&o->pool, r->args[0]) : options.url;
    if (r->helper && r->arg_count == 2 && !options.fsname && strcmp(url, r->args[0]) != 0)
        options.fsname = text_pool_printf(&o->pool, "%s#%s", r->helper, r->args[0]);
    if (r->arg_count == 2)
        err = serve_url_check(url, r->reterr);
    else
        err = reading_check_url(r, section, url);
    if (!err)
        err = reading_add_export(r, url, dir, 0, true, &options);
    if (!err)
        err = reading_add_mount(r, dir, dir, 0, &options);
    if (!err)
        err = each_section(r, CONFIG_SUBMOUNT, reading_add_section_submount);
    if (!err)
        err = each_given(r, SETTING_SUBMOUNT, reading_add_line_submount);
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
