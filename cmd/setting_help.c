/* The help text of the options of a command. */
#include <string.h>

#include "cmd/setting.h"

enum { HELP_COLUMN = 31, HELP_WIDTH = 88 };

/* Prints words from column on, in lines of HELP_WIDTH. */
static void print_wrapped(const char *text, size_t *column, FILE *out)
{
    while (*text) {
        size_t len = strcspn(text, " ");
        if (*column + 1 + len > HELP_WIDTH && *column > HELP_COLUMN) {
            (void)fprintf(out, "\n%*s", HELP_COLUMN, "");
            *column = HELP_COLUMN;
        } else if (*column > HELP_COLUMN) {
            (void)fputc(' ', out);
            (*column)++;
        }
        (void)fprintf(out, "%.*s", (int)len, text);
        *column += len;
        text += len;
        text += strspn(text, " ");
    }
}

static void print_default(const struct setting *setting, size_t *column, FILE *out)
{
    char text[128];
    const char *fallback = setting->fallback;

    if (!fallback || strcmp(fallback, "no") == 0 || strcmp(fallback, "(none)") == 0)
        return;
    size_t len = strlen(fallback);
    bool words = fallback[0] == '(';
    (void)snprintf(text, sizeof(text), "(default: %.*s)", (int)(words ? len - 2 : len),
                   fallback + words);
    print_wrapped(text, column, out);
}

static void print_setting(const struct setting *setting, FILE *out)
{
    char left[64], letter[5] = "    ";
    size_t column = HELP_COLUMN;

    if (setting->def.letter)
        (void)snprintf(letter, sizeof(letter), "-%c, ", setting->def.letter);
    (void)snprintf(left, sizeof(left), "  %s--%s%s%s", letter, setting->def.name,
                   setting->def.arg ? " " : "", setting->def.arg ? setting->def.arg : "");
    if (strlen(left) >= HELP_COLUMN)
        (void)fprintf(out, "%s\n%*s", left, HELP_COLUMN, "");
    else
        (void)fprintf(out, "%-*s", HELP_COLUMN, left);
    print_wrapped(setting->def.help, &column, out);
    print_default(setting, &column, out);
    (void)fputc('\n', out);
}

void setting_help(unsigned scope, FILE *out)
{
    const char *group = NULL, *printed = NULL;

    for (size_t i = 0; i < setting_count; i++) {
        if (setting_table[i].def.group)
            group = setting_table[i].def.group;
        /* Of two that have the same name, the command has the first. */
        if (setting_find(setting_table[i].def.name, scope) != &setting_table[i])
            continue;
        if (group != printed)
            (void)fprintf(out, "\n%s:\n", group);
        printed = group;
        print_setting(&setting_table[i], out);
    }
}
