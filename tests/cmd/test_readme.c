/*
 * README's tables of options are those of the program: they are made from setting_table and
 * setting_foreign_table and compared. With "--write" they are put into README instead. Each stands
 * between "<!-- table NAME -->" and "<!-- end -->".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/serve_options.h"
#include "cmd/setting.h"

/* '|' ends a cell, in code too. */
static void put_cell_text(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

static const char *scope_name(const struct setting *s)
{
    return s->scope & SETTING_PROCESS                     ? "process"
           : s->scope & SETTING_SERVE                     ? "server"
           : s->scope & SETTING_DETACH                    ? "mount process"
           : s->scope & SETTING_EXPORT                    ? "export"
           : s->scope & SETTING_MOUNT                     ? "mount"
           : s->scope & (SETTING_VOLUME | SETTING_STORE)  ? "bucket"
           : s->scope & SETTING_URL                       ? "file only"
           : s->scope & (SETTING_ENTRIES)                 ? "`mount` only"
           : s->scope & (SETTING_FUSE)                    ? "`serve` only"
           : s->scope & (SETTING_FILE | SETTING_SUBMOUNT) ? "command line"
                                                          : NULL;
}

static void write_options(FILE *out)
{
    (void)fputs("| option | default | of | |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        const char *fallback = s->fallback ? s->fallback : "";
        size_t len = strlen(fallback);
        bool words = *fallback == '(';
        if (s->def.group)
            (void)fprintf(out, "| **%s** | | | |\n", s->def.group);
        (void)fputs("| `", out);
        if (s->def.letter)
            (void)fprintf(out, "-%c, ", s->def.letter);
        (void)fprintf(out, "%s%s%s", s->scope & SETTING_URL ? "" : "--", s->def.name,
                      s->def.arg ? " " : "");
        put_cell_text(s->def.arg ? s->def.arg : "", out);
        (void)fprintf(out, "` | %.*s | %s | ", (int)(words ? len - 2 : len), fallback + words,
                      scope_name(s));
        put_cell_text(s->def.help, out);
        (void)fputs(" |\n", out);
    }
}

static bool same_answer(const struct setting_foreign *a, const struct setting_foreign *b)
{
    return a->kind == b->kind && a->programs == b->programs && a->to == b->to &&
           a->value == b->value && a->unit == b->unit && a->note && a->note == b->note;
}

static void write_answer(const struct setting_foreign *f, FILE *out)
{
    switch (f->kind) {
    case FOREIGN_SAME:
    case FOREIGN_OTHER:
    case FOREIGN_AS:
        (void)fprintf(out, "`%s%s%s`", f->to, f->value ? " = " : "", f->value ? f->value : "");
        break;
    case FOREIGN_NOTED:
        (void)fputs("accepted, nothing to do", out);
        break;
    case FOREIGN_REFUSED:
        (void)fputs("not there", out);
        break;
    }
    (void)fputs(" | ", out);
    if (f->unit)
        (void)fprintf(out, "digits alone are `%s`%s", f->unit, f->note ? "; " : "");
    put_cell_text(f->note ? f->note : "", out);
    (void)fputs(" |\n", out);
}

/* The rows of a program, but not those that without has too. s3fs writes underscores. */
static void write_foreign(unsigned program, unsigned without, bool underscores, FILE *out)
{
    bool first = true;

    (void)fputs("| option | here | |\n|---|---|---|\n", out);
    for (size_t i = 0; i < setting_foreign_count; i++) {
        const struct setting_foreign *f = &setting_foreign_table[i];
        bool in = f->programs & program && !(f->programs & without);
        if (!in)
            continue;
        (void)fputs(first ? "| `" : ", `", out);
        for (const char *p = f->name; *p; p++)
            (void)fputc(underscores && *p == '-' ? '_' : *p, out);
        (void)fputc('`', out);
        first = i + 1 == setting_foreign_count || !same_answer(f, f + 1);
        if (first) {
            (void)fputs(" | ", out);
            write_answer(f, out);
        }
    }
}

static void write_table(const char *name, FILE *out)
{
    if (strcmp(name, "options") == 0)
        write_options(out);
    else if (strcmp(name, "goofys") == 0)
        write_foreign(FOREIGN_GOOFYS, 0, false, out);
    else if (strcmp(name, "geesefs") == 0)
        write_foreign(FOREIGN_GEESEFS, FOREIGN_GOOFYS, false, out);
    else if (strcmp(name, "s3fs") == 0)
        write_foreign(FOREIGN_S3FS, 0, true, out);
    else
        fail_msg("README has a table called %s", name);
}

static const char readme_path[] = README_PATH;

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int c;

    assert_non_null(f);
    assert_non_null(out);
    while ((c = fgetc(f)) != EOF)
        (void)fputc(c, out);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(f), 0);
    return text;
}

/* README with the tables of the program. */
static char *make_readme(const char *text, int *ret_tables)
{
    static const char begin[] = "<!-- table ", end[] = "<!-- end -->";
    char *made = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&made, &len);

    assert_non_null(out);
    *ret_tables = 0;
    for (;;) {
        const char *at = strstr(text, begin);
        if (!at)
            break;
        const char *name = at + strlen(begin), *newline = strchr(at, '\n');
        const char *stop = strstr(at, end);
        assert_non_null(newline);
        assert_non_null(stop);
        CLEANUP_FREE char *word = mem_strndup(name, strcspn(name, " "));
        (void)fwrite(text, 1, (size_t)(newline + 1 - text), out);
        (void)fputc('\n', out);
        write_table(word, out);
        (void)fputc('\n', out);
        text = stop;
        (void)fwrite(text, 1, strlen(end), out);
        text += strlen(end);
        (*ret_tables)++;
    }
    (void)fputs(text, out);
    assert_int_equal(fclose(out), 0);
    return made;
}

static void test_tables(void **state)
{
    (void)state;
    int tables;
    CLEANUP_FREE char *text = read_file(readme_path);
    CLEANUP_FREE char *made = make_readme(text, &tables);
    size_t same = 0, line = 1;

    assert_int_equal(tables, 4);
    while (text[same] && text[same] == made[same])
        line += text[same++] == '\n';
    if (text[same] || made[same])
        fail_msg("README differs from the table of options in line %zu; \"%s --write\" puts it "
                 "right",
                 line, program_invocation_name);
}

/* The configuration file that README shows is one. */
static void test_example(void **state)
{
    (void)state;
    CLEANUP_FREE char *text = read_file(readme_path);
    CLEANUP_FREE char *example = mem_zalloc(strlen(text) + 1);
    const char *at = strstr(text, "\n    [pailfs]\n");
    struct serve_options o;
    struct cmd_error error = {{0}};

    assert_non_null(at);
    for (at++; *at == '\n' || strncmp(at, "    ", 4) == 0; at = strchr(at, '\n') + 1)
        (void)strncat(example, at, strcspn(at, "\n") + 1);
    if (serve_options_check_text("README", example, strlen(example), &o, &error))
        fail_msg("%s", error.text);
    assert_int_equal(o.submount_count, 1);
    assert_true(o.export_count > 1);
    serve_options_clear(&o);
}

/* The one in deploy/ too, and with what is commented out in it. */
static void test_deployed(void **state)
{
    (void)state;
    static const char path[] = DEPLOY_PATH "/pailfs.conf";
    CLEANUP_FREE char *text = read_file(path);
    struct serve_options o;
    struct cmd_error error = {{0}};

    for (int i = 0; i < 2; i++) {
        if (serve_options_check_text(path, text, strlen(text), &o, &error))
            fail_msg("%s", error.text);
        assert_int_equal(o.mount_count, i);
        assert_int_equal(o.submount_count, i);
        serve_options_clear(&o);
        for (char *p = text; *p; p++)
            *p = *p == ';' ? ' ' : *p;
    }
}

static int write_readme(void)
{
    int tables;
    CLEANUP_FREE char *text = read_file(readme_path);
    CLEANUP_FREE char *made = make_readme(text, &tables);
    FILE *f = fopen(readme_path, "w");

    return f && fputs(made, f) >= 0 && fclose(f) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables),
                                       cmocka_unit_test(test_example),
                                       cmocka_unit_test(test_deployed)};

    if (argc > 1 && strcmp(argv[1], "--write") == 0)
        return write_readme();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
