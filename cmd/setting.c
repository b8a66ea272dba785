/* Options of the table by their names, and applying what was given of them. */
#include "cmd/setting.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void setting_list_clear(struct setting_list *list)
{
    free(list->all);
    *list = (struct setting_list){.all = NULL};
}

void setting_note(struct setting_reader *reader, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_start here */
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    reader->notes = mem_rearray(reader->notes, reader->note_count + 1, sizeof(*reader->notes));
    reader->notes[reader->note_count++] = text_pool_copy(reader->pool, text);
}

bool setting_name_is(const char *given, const char *name)
{
    for (; *given && *name; given++, name++) {
        char c = *given == '_' ? '-' : *given;
        if (c != (*name == '_' ? '-' : *name))
            return false;
    }
    return *given == *name;
}

const struct setting *setting_find(const char *name, unsigned scope)
{
    for (size_t i = 0; i < setting_count; i++) {
        if (setting_table[i].scope & scope && setting_name_is(name, setting_table[i].def.name))
            return &setting_table[i];
    }
    return NULL;
}

const struct setting_foreign *setting_find_foreign(const char *name)
{
    for (size_t i = 0; i < setting_foreign_count; i++) {
        const struct setting_foreign *f = &setting_foreign_table[i];
        if (f->kind >= FOREIGN_AS && setting_name_is(name, f->name))
            return f;
    }
    return NULL;
}

const struct setting_given *setting_last(const struct setting_list *list, const char *name)
{
    for (size_t i = list->count; i-- > 0;) {
        if (strcmp(list->all[i].setting->def.name, name) == 0)
            return &list->all[i];
    }
    return NULL;
}

/* "FILE:LINE: what: why", or without the place on the command line. */
static int refuse(const struct setting_reader *reader, const char *what, unsigned line,
                  const char *why, struct cmd_error *reterr)
{
    if (line)
        return cmd_error_set(reterr, -EINVAL, "%s:%u: %s: %s", reader->file, line, what, why);
    return cmd_error_set(reterr, -EINVAL, "%s: %s", what, why);
}

/* The value that another program's option has in our words. */
static const char *translate(struct setting_reader *reader, const struct setting_foreign *foreign,
                             const char *value)
{
    if (foreign->value || !value || !foreign->unit)
        return foreign->value ? foreign->value : value;
    if (!*value || value[strspn(value, "0123456789")])
        return value;
    return text_pool_printf(reader->pool, "%s%s", value, foreign->unit);
}

int setting_add(struct setting_reader *reader, struct setting_list *list, unsigned scope,
                const char *name, const char *value, const char *what, unsigned line,
                struct cmd_error *reterr)
{
    const struct setting *setting = setting_find(name, scope);
    const struct setting_foreign *foreign = setting ? NULL : setting_find_foreign(name);

    /* In a file url is what a section serves, wherever it stands; s3fs's is only for -o. */
    if (foreign && line && setting_find(name, UINT_MAX))
        return -ENOENT;
    if (foreign) {
        if (foreign->kind == FOREIGN_REFUSED)
            return refuse(reader, what, line, foreign->note, reterr);
        if (foreign->kind == FOREIGN_NOTED) {
            if (line)
                setting_note(reader, "%s:%u: %s: %s", reader->file, line, what, foreign->note);
            else
                setting_note(reader, "%s: %s", what, foreign->note);
            return 0;
        }
        setting = setting_find(foreign->to, scope);
        value = translate(reader, foreign, value);
    }
    if (!setting)
        return -ENOENT;
    if (setting->def.arg && !value)
        return refuse(reader, what, line, "expected a value", reterr);
    list->all = mem_rearray(list->all, list->count + 1, sizeof(*list->all));
    list->all[list->count++] = (struct setting_given){
        .setting = setting,
        .value = text_pool_copy(reader->pool, value),
        .what = text_pool_copy(reader->pool, what),
        .line = line,
    };
    return 0;
}

static bool is_first(const struct setting_list *list, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (list->all[i].setting == list->all[at].setting)
            return false;
    }
    return true;
}

int setting_apply(const struct setting_reader *reader, const struct setting_list *list,
                  unsigned scope, struct setting_target *target, struct cmd_error *reterr)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct setting_given *given = &list->all[i];
        const struct setting *setting = given->setting;
        const char *why = "expected another value";

        if (!(setting->scope & scope))
            continue;
        /* A level that names networks, say, names all of them. */
        int err = setting->list && is_first(list, i) ? setting->def.set(target, NULL, &why) : 0;
        if (!err)
            err = setting->def.set(target, given->value, &why);
        if (err)
            return refuse(reader, given->what, given->line, why, reterr);
    }
    return 0;
}
