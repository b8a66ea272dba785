/* Options of the table as they come from the command line (by getopt_long) and from mount(8)'s -o.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/export_options.h"
#include "cmd/setting.h"

enum { SCAN_BASE = 256 };

struct scan_name { /* what a number that getopt_long returns stands for */
    const char *name;
    bool has_value;
};

struct scan {
    struct option *longs;
    struct scan_name *names; /* the same ones in the same order */
    size_t count;
    char *letters;
    size_t letter_count;
};

static void scan_add_one(struct scan *s, char *name, bool has_value)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->longs[i].name, name) == 0) {
            free(name);
            return;
        }
    }
    s->longs = mem_rearray(s->longs, s->count + 2, sizeof(*s->longs));
    s->names = mem_rearray(s->names, s->count + 1, sizeof(*s->names));
    s->longs[s->count] = (struct option){
        .name = name,
        .has_arg = has_value ? required_argument : optional_argument,
        .val = SCAN_BASE + (int)s->count,
    };
    s->names[s->count++] = (struct scan_name){.name = name, .has_value = has_value};
    s->longs[s->count] = (struct option){.name = NULL};
}

/* A name in both spellings: goofys has --debug_fuse. */
static void scan_add(struct scan *s, const char *name, bool has_value)
{
    char *other = mem_strdup(name);

    for (char *p = other; *p; p++)
        *p = *p == '-' ? '_' : *p;
    scan_add_one(s, mem_strdup(name), has_value);
    scan_add_one(s, other, has_value);
}

static void scan_letter(struct scan *s, char letter, bool has_value)
{
    s->letters = mem_rearray(s->letters, s->letter_count + 3, 1);
    s->letters[s->letter_count++] = letter;
    if (has_value)
        s->letters[s->letter_count++] = ':';
    s->letters[s->letter_count] = '\0';
}

static void scan_init(struct scan *s, unsigned scope)
{
    *s = (struct scan){.longs = NULL};
    scan_letter(s, ':', false); /* tell a missing value from an unknown option */
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *setting = &setting_table[i];
        if (!(setting->scope & scope))
            continue;
        scan_add(s, setting->def.name, setting->def.arg);
        if (setting->def.letter)
            scan_letter(s, setting->def.letter, setting->def.arg);
    }
    for (size_t i = 0; i < setting_foreign_count; i++) {
        const struct setting_foreign *f = &setting_foreign_table[i];
        if (f->kind >= FOREIGN_AS && strlen(f->name) > 1)
            scan_add(s, f->name, f->has_value);
    }
}

static void scan_clear(struct scan *s)
{
    for (size_t i = 0; i < s->count; i++)
        free((char *)s->names[i].name);
    free(s->longs);
    free(s->names);
    free(s->letters);
}

static int scan_refuse(struct setting_reader *reader, unsigned scope, int value, char **argv,
                       struct cmd_error *reterr)
{
    if (value == ':')
        return cmd_error_set(reterr, -EINVAL, "option %s needs a value", argv[optind - 1]);
    if (optopt && optopt < SCAN_BASE)
        return cmd_error_set(reterr, -EINVAL, "unknown option -%c", optopt);
    const char *word = argv[optind - 1];
    CLEANUP_FREE char *name = mem_strndup(word, strcspn(word, "="));
    return cmd_error_set(reterr, -EINVAL, "unknown option %s%s", word,
                         setting_suggest(reader->pool, name + strspn(name, "-"), scope));
}

static const char *letter_name(unsigned scope, int letter)
{
    for (size_t i = 0; i < setting_count; i++) {
        if (setting_table[i].scope & scope && setting_table[i].def.letter == letter)
            return setting_table[i].def.name;
    }
    return NULL;
}

int setting_scan(struct setting_reader *reader, unsigned scope, int argc, char **argv,
                 struct setting_list *list, int *ret_first, struct cmd_error *reterr)
{
    struct scan scan;
    int value, err = 0;

    scan_init(&scan, scope);
    opterr = 0;
    optind = 0; /* GNU: start afresh */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): options are read before any thread starts */
    while (!err && (value = getopt_long(argc, argv, scan.letters, scan.longs, NULL)) != -1) {
        if (value == '?' || value == ':') {
            err = scan_refuse(reader, scope, value, argv, reterr);
            break;
        }
        const char *name =
            value >= SCAN_BASE ? scan.names[value - SCAN_BASE].name : letter_name(scope, value);
        assert(name);
        CLEANUP_FREE char *what =
            optarg ? mem_printf("--%s %s", name, optarg) : mem_printf("--%s", name);
        err = setting_add(reader, list, scope, name, optarg, what, 0, reterr);
        if (err == -ENOENT) /* what it stands for is no option of this command */
            err = cmd_error_set(reterr, -EINVAL, "option %s has no meaning here", what);
    }
    scan_clear(&scan);
    *ret_first = optind;
    return err;
}

/* --- mount's -o --- */

/* For mount(8) and its callers, or true of every mount here. '*' stands for the rest of a name. */
static const char *const ignored[] = {
    "defaults",      "user",         "user=*",
    "users",         "nouser",       "group",
    "owner",         "auto",         "noauto",
    "nofail",        "_netdev",      "x-*",
    "X-*",           "comment=*",    "nonempty",
    "async",         "mand",         "nomand",
    "silent",        "big_writes",   "default_permissions",
    "noallow_other", "subtype=*",    "loud",
    "hard_remove",   "kernel_cache", "auto_cache",
};
/* What the kernel and fusermount3 know. */
static const char *const passed[] = {
    "nosuid", "suid",       "nodev",       "dev",      "noexec",     "exec",        "noatime",
    "atime",  "nodiratime", "diratime",    "relatime", "norelatime", "strictatime", "nostrictatime",
    "sync",   "dirsync",    "nosymfollow", "lazytime", "nolazytime", "context=*",   "max_read=*",
};

static bool is_one_of(const char *word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        if (names[i][len - 1] == '*' ? strncmp(word, names[i], len - 1) == 0
                                     : strcmp(word, names[i]) == 0)
            return true;
    }
    return false;
}
#define IS_ONE_OF(word, names) is_one_of(word, names, sizeof(names) / sizeof((names)[0]))

/* One entry: "ro", "uid=7", or as goofys has it "--file-mode=0666". */
static int add_entry(struct setting_reader *reader, unsigned scope, char *word,
                     struct setting_list *list, const char **pass, struct cmd_error *reterr)
{
    if (!*word || IS_ONE_OF(word, ignored))
        return 0;
    if (IS_ONE_OF(word, passed)) {
        *pass = *pass ? text_pool_printf(reader->pool, "%s,%s", *pass, word)
                      : text_pool_copy(reader->pool, word);
        return 0;
    }
    CLEANUP_FREE char *what = mem_printf("-o %s", word);
    const char *name = word + strspn(word, "-");
    char *value = strchr(name, '=');
    if (value)
        *value++ = '\0';
    if (name == word + 1 && strlen(name) == 1) /* "-f" */
        name = letter_name(scope, *name) ? letter_name(scope, *name) : name;
    int err = setting_add(reader, list, scope, name, value, what, 0, reterr);
    if (err == -ENOENT)
        err = cmd_error_set(reterr, -EINVAL, "%s: there is no such option%s", what,
                            setting_suggest(reader->pool, name, scope));
    return err;
}

int setting_scan_entries(struct setting_reader *reader, unsigned scope, const char *entries,
                         struct setting_list *list, const char **pass, struct cmd_error *reterr)
{
    CLEANUP_FREE char *word = mem_alloc(strlen(entries) + 1);
    size_t len = 0;
    int err = 0;

    for (const char *p = entries; !err; p++) {
        if (p[0] == '\\' && (p[1] == ',' || p[1] == '\\')) {
            word[len++] = *++p;
        } else if (*p == ',' || *p == '\0') {
            word[len] = '\0';
            err = add_entry(reader, scope, word, list, pass, reterr);
            len = 0;
            if (!*p)
                break;
        } else {
            word[len++] = *p;
        }
    }
    return err;
}

int setting_bucket_entries(struct text_pool *pool, const char *entries, struct export_options *ret,
                           struct cmd_error *reterr)
{
    struct setting_reader reader = {.pool = pool};
    struct setting_target target = {.pool = pool, .export = ret, .look = true};
    struct setting_list list = {.all = NULL};
    const char *pass = NULL;

    int err = setting_scan_entries(&reader, SETTING_VOLUME | SETTING_STORE, entries, &list, &pass,
                                   reterr);
    if (!err)
        err = setting_apply(&reader, &list, SETTING_VOLUME | SETTING_STORE, &target, reterr);
    if (!err)
        err = export_options_finish(ret, reterr);
    setting_list_clear(&list);
    free(reader.notes);
    return err;
}
