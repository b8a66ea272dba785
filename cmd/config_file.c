/*
 * Reading a configuration file. libinih splits lines into names and values, knows comments and
 * where lines belong. What it would accept in silence is looked at before it gets a line: it
 * forgets which line it is at, cuts long section names and takes an indented line for more of the
 * value above. So it gets each line without its indentation, and of a section only its number.
 */
#include "cmd/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "nfsd/export.h"

static const struct config_what {
    const char *word;
    unsigned scope;
    bool named;
} kinds[CONFIG_KINDS] = {
    [CONFIG_PAILFS] = {"pailfs", SETTING_PROCESS | SETTING_SERVE | SETTING_DETACH, false},
    [CONFIG_DEFAULTS] = {"defaults", SETTING_OF_EXPORT, false},
    [CONFIG_EXPORT] = {"export", SETTING_EXPORT | SETTING_VOLUME | SETTING_STORE | SETTING_URL,
                       true},
    [CONFIG_MOUNT] = {"mount", SETTING_MOUNT | SETTING_VOLUME | SETTING_STORE | SETTING_URL, true},
    [CONFIG_SUBMOUNT] = {"submount", SETTING_VOLUME | SETTING_STORE | SETTING_URL, true},
};

struct config_reading {
    struct setting_reader *reader;
    struct config_file *file;
    struct cmd_error *reterr;
    const char *at, *end;
    unsigned line;
    int err; /* after the first mistake nothing more is read */
};

static int config_refuse(struct config_reading *r, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int config_refuse(struct config_reading *r, unsigned line, const char *fmt, ...)
{
    char text[768];
    va_list ap;

    va_start(ap, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_start here */
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->err = cmd_error_set(r->reterr, -EINVAL, "%s:%u: %s", r->reader->file, line, text);
    return r->err;
}

/* --- sections --- */

/* Splits "[export /media]" or "[submount "/a b"]", with a comment perhaps behind it. */
static int section_split(struct config_reading *r, char *text, const char **ret_word,
                         const char **ret_name)
{
    char *close = strrchr(text, ']');
    char *comment = strpbrk(text, ";#");

    /* A comment may have brackets, and so may a name. */
    if (comment && comment[-1] != ' ' && comment[-1] != '\t')
        comment = NULL;
    if (comment) {
        *comment = '\0';
        close = strrchr(text, ']');
    }
    if (!close || close[1 + strspn(close + 1, " \t")])
        return config_refuse(r, r->line, "%s: expected a section such as [export /media]", text);
    *close = '\0';
    char *word = text + 1 + strspn(text + 1, " \t");
    char *name = word + strcspn(word, " \t");
    if (*name) {
        *name++ = '\0';
        name += strspn(name, " \t");
    }
    size_t len = strlen(name);
    while (len > 0 && strchr(" \t", name[len - 1]))
        name[--len] = '\0';
    if (len >= 2 && name[0] == '"' && name[len - 1] == '"') {
        name[len - 1] = '\0';
        name++;
    }
    *ret_word = word;
    *ret_name = name;
    return 0;
}

static int section_check_name(struct config_reading *r, const struct config_what *what,
                              const char *name)
{
    if (!what->named && *name)
        return config_refuse(r, r->line, "[%s %s]: expected no name, just [%s]", what->word, name,
                             what->word);
    if (what->named && !*name)
        return config_refuse(r, r->line, "[%s]: expected a name, as in [%s /media]", what->word,
                             what->word);
    if (what == &kinds[CONFIG_EXPORT] && !export_name_valid(name))
        return config_refuse(r, r->line, "[export %s]: expected a path such as /media", name);
    if (what->named && name[0] != '/')
        return config_refuse(r, r->line, "[%s %s]: expected an absolute path", what->word, name);
    return 0;
}

static int section_check_new(struct config_reading *r, const struct config_what *what,
                             const char *name)
{
    for (size_t i = 0; i < r->file->count; i++) {
        const struct config_section *s = &r->file->sections[i];
        if (&kinds[s->kind] == what && (!s->name || strcmp(s->name, name) == 0))
            return config_refuse(r, r->line, "%s is there twice: first in line %u", s->title,
                                 s->line);
    }
    if (r->file->count == CONFIG_SECTIONS_MAX)
        return config_refuse(r, r->line, "expected at most %d sections", CONFIG_SECTIONS_MAX);
    return 0;
}

static int section_begin(struct config_reading *r, char *text)
{
    const struct config_what *what = NULL;
    const char *word = NULL, *name = NULL;

    if (section_split(r, text, &word, &name))
        return r->err;
    for (size_t i = 0; i < CONFIG_KINDS; i++) {
        if (strcmp(word, kinds[i].word) == 0)
            what = &kinds[i];
    }
    if (!what)
        return config_refuse(r, r->line,
                             "unknown section [%s]: expected [pailfs], [defaults], [export NAME], "
                             "[mount DIRECTORY] or [submount PATH]",
                             word);
    if (section_check_name(r, what, name) || section_check_new(r, what, name))
        return r->err;
    struct config_file *f = r->file;
    f->sections = mem_rearray(f->sections, f->count + 1, sizeof(*f->sections));
    f->sections[f->count++] = (struct config_section){
        .kind = (enum config_kind)(what - kinds),
        .name = what->named ? text_pool_copy(r->reader->pool, name) : NULL,
        .title = text_pool_printf(r->reader->pool, "[%s%s%s]", word, *name ? " " : "", name),
        .line = r->line,
    };
    return 0;
}

/* --- lines --- */

/* The next line without its blanks at both ends, to free; NULL at the end or after a mistake. */
static char *line_next(struct config_reading *r)
{
    if (r->err || r->at == r->end)
        return NULL;
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *from = r->at, *to = newline ? newline : r->end;
    r->at = newline ? newline + 1 : r->end;
    r->line++;
    if (r->line == 1 && to - from >= 3 && memcmp(from, "\xef\xbb\xbf", 3) == 0)
        from += 3; /* the mark that some editors begin a file with */
    if (memchr(from, '\0', (size_t)(to - from))) {
        (void)config_refuse(r, r->line, "a zero byte: expected a text file");
        return NULL;
    }
    while (from < to && strchr(" \t\r", *from))
        from++;
    while (to > from && strchr(" \t\r", to[-1]))
        to--;
    return mem_strndup(from, (size_t)(to - from));
}

/* libinih's reader, called as fgets is. */
static char *line_read(char *buf, int size, void *ctx)
{
    struct config_reading *r = ctx;
    CLEANUP_FREE char *text = line_next(r);

    if (!text)
        return NULL;
    if (text[0] == '[') {
        if (section_begin(r, text))
            return NULL;
        (void)snprintf(buf, (size_t)size, "[%zu]\n", r->file->count - 1);
        return buf;
    }
    bool comment = strchr(";#", text[0]) != NULL; /* or an empty line: the terminating zero */
    if (comment)
        text[0] = '\0';
    if (!comment && !strchr(text, '=')) {
        (void)config_refuse(r, r->line, "%s: expected NAME = VALUE", text);
        return NULL;
    }
    if (strlen(text) + 2 > (size_t)size) {
        (void)config_refuse(r, r->line, "expected a line of at most %d bytes", size - 2);
        return NULL;
    }
    (void)snprintf(buf, (size_t)size, "%s\n", text);
    return buf;
}

/* Where an option belongs that was found in another section. */
static int refuse_place(struct config_reading *r, const struct config_section *section,
                        const char *name)
{
    const struct setting_foreign *foreign =
        setting_find(name, UINT_MAX) ? NULL : setting_find_foreign(name);
    const char *own = foreign && foreign->to ? foreign->to : name;

    for (size_t i = 0; i < CONFIG_KINDS; i++) {
        if (setting_find(own, kinds[i].scope))
            return config_refuse(r, r->line, "%s belongs into [%s%s], not into %s", name,
                                 kinds[i].word, kinds[i].named ? " ..." : "", section->title);
    }
    if (setting_find(own, SETTING_FOR_SERVE | SETTING_FOR_MOUNT))
        return config_refuse(r, r->line, "%s: expected on the command line, not in a file", name);
    return config_refuse(r, r->line, "unknown option %s in %s%s", name, section->title,
                         setting_suggest(r->reader->pool, name, kinds[section->kind].scope));
}

static int check_repeated(struct config_reading *r, const struct setting_list *list)
{
    const struct setting_given *last = &list->all[list->count - 1];

    for (size_t i = 0; i + 1 < list->count; i++) {
        if (list->all[i].setting == last->setting && !last->setting->list)
            return config_refuse(r, r->line, "%s is given twice: first in line %u",
                                 last->setting->def.name, list->all[i].line);
    }
    return 0;
}

/* libinih's handler: 0 is a mistake. */
static int value_read(void *ctx, const char *section, const char *name, const char *value)
{
    struct config_reading *r = ctx;
    CLEANUP_FREE char *text = mem_strdup(value ? value : "");
    size_t len = strlen(text);

    if (r->err)
        return 0;
    if (!*section) {
        (void)config_refuse(r, r->line,
                            "%s stands before the first section: expected one such as [pailfs] or "
                            "[export /media]",
                            name);
        return 0;
    }
    struct config_section *s = &r->file->sections[strtoul(section, NULL, 10)];
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        memmove(text, text + 1, len - 2);
        text[len - 2] = '\0';
    }
    CLEANUP_FREE char *what = mem_printf("%s = %s", name, text);
    size_t before = s->settings.count;
    int err = setting_add(r->reader, &s->settings, kinds[s->kind].scope, name, text, what, r->line,
                          r->reterr);
    if (err == -ENOENT)
        (void)refuse_place(r, s, name);
    else if (err)
        r->err = err;
    else if (s->settings.count > before)
        (void)check_repeated(r, &s->settings);
    return r->err == 0;
}

/* --- the whole --- */

int config_parse(struct setting_reader *reader, const char *text, size_t len,
                 struct config_file *ret, struct cmd_error *reterr)
{
    struct config_reading r = {
        .reader = reader, .file = ret, .reterr = reterr, .at = text, .end = text + len};

    *ret = (struct config_file){.sections = NULL};
    int line = ini_parse_stream(line_read, &r, value_read, &r);
    if (!r.err && line > 0)
        (void)config_refuse(&r, (unsigned)line, "expected NAME = VALUE");
    if (!r.err && line < 0)
        r.err = cmd_error_set(reterr, -ENOMEM, "%s: no memory to read it", reader->file);
    for (size_t i = 0; !r.err && i < ret->count; i++) {
        const struct config_section *s = &ret->sections[i];
        if (kinds[s->kind].named && !setting_last(&s->settings, "url"))
            (void)config_refuse(&r, s->line,
                                "%s has no url: expected url = s3://BUCKET or file:///DIRECTORY",
                                s->title);
    }
    return r.err;
}

/* All of a file. The text is to free. */
static int file_load(const char *path, char **ret, size_t *ret_len)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    CLEANUP_FREE char *text = mem_alloc(CONFIG_SIZE_MAX + 1);
    for (;;) {
        ssize_t n = read(fd, text + len, CONFIG_SIZE_MAX + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        len += (size_t)n;
        if (len > CONFIG_SIZE_MAX)
            return -EFBIG;
        if (n == 0)
            break;
    }
    *ret = mem_dup(text, len + 1);
    *ret_len = len;
    return 0;
}

int config_read(struct setting_reader *reader, struct config_file *ret, struct cmd_error *reterr)
{
    CLEANUP_FREE char *text = NULL;
    size_t len = 0;

    *ret = (struct config_file){.sections = NULL};
    int err = file_load(reader->file, &text, &len);
    if (err)
        return cmd_error_set(reterr, err, "%s: %s: expected a configuration file that can be read",
                             reader->file, strerrordesc_np(-err));
    return config_parse(reader, text, len, ret, reterr);
}

void config_clear(struct config_file *config)
{
    for (size_t i = 0; i < config->count; i++)
        setting_list_clear(&config->sections[i].settings);
    free(config->sections);
    *config = (struct config_file){.sections = NULL};
}

const struct config_section *config_find(const struct config_file *config, enum config_kind kind)
{
    for (size_t i = 0; i < config->count; i++) {
        if (config->sections[i].kind == kind)
            return &config->sections[i];
    }
    return NULL;
}
