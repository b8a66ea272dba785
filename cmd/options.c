/* Options of a command: getopt_long driven by a table, and the help text made from the same table.
 */
#include "cmd/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

enum { OPTION_VALUE_BASE = 256, OPTION_HELP_COLUMN = 31 };

int cmd_error_set(struct cmd_error *error, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_start here */
    (void)vsnprintf(error->text, sizeof(error->text), fmt, ap);
    va_end(ap);
    return err;
}

/* Fills what getopt_long wants; returns the number of entries. */
static int make_getopt_tables(const struct option_def *table, struct option *longs, char *letters)
{
    int count = 0;

    *letters++ = ':'; /* tell a missing value from an unknown option */
    for (; table[count].name; count++) {
        assert(count < OPTIONS_MAX);
        longs[count] = (struct option){
            .name = table[count].name,
            .has_arg = table[count].arg ? required_argument : no_argument,
            .val = OPTION_VALUE_BASE + count,
        };
        if (table[count].letter) {
            *letters++ = table[count].letter;
            if (table[count].arg)
                *letters++ = ':';
        }
    }
    longs[count] = (struct option){.name = NULL};
    *letters = '\0';
    return count;
}

static const struct option_def *find_option(const struct option_def *table, int count, int value)
{
    if (value >= OPTION_VALUE_BASE && value < OPTION_VALUE_BASE + count)
        return &table[value - OPTION_VALUE_BASE];
    for (int i = 0; i < count; i++) {
        if (table[i].letter && table[i].letter == value)
            return &table[i];
    }
    return NULL;
}

static int report_unknown(char **argv, struct cmd_error *reterr)
{
    /* For a long option optopt is 0, or the option's number if it got a value that it cannot take.
     */
    if (optopt >= OPTION_VALUE_BASE)
        return cmd_error_set(reterr, -EINVAL, "option %.*s takes no value",
                             (int)strcspn(argv[optind - 1], "="), argv[optind - 1]);
    if (optopt)
        return cmd_error_set(reterr, -EINVAL, "unknown option -%c", optopt);
    return cmd_error_set(reterr, -EINVAL, "unknown option %s", argv[optind - 1]);
}

int options_parse(const struct option_def *table, int argc, char **argv, void *target,
                  int *ret_first, struct cmd_error *reterr)
{
    struct option longs[OPTIONS_MAX + 1];
    char letters[2 * OPTIONS_MAX + 2];
    int count = make_getopt_tables(table, longs, letters);
    int value;

    opterr = 0;
    optind = 0; /* GNU: start afresh */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): options are read before any thread starts */
    while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const char *why = NULL;
        if (value == '?')
            return report_unknown(argv, reterr);
        if (value == ':')
            return cmd_error_set(reterr, -EINVAL, "option %s needs a value", argv[optind - 1]);
        const struct option_def *def = find_option(table, count, value);
        assert(def);
        if (def->set(target, def->arg ? optarg : NULL, &why))
            return cmd_error_set(reterr, -EINVAL, "--%s %s: %s", def->name, def->arg ? optarg : "",
                                 why);
    }
    *ret_first = optind;
    return 0;
}

/* Prints text with every line but the first indented to the help column. */
static void print_indented(const char *text, FILE *out)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        (void)fprintf(out, "%.*s\n", (int)len, text);
        text += len;
        if (*text == '\n') {
            text++;
            (void)fprintf(out, "%*s", OPTION_HELP_COLUMN, "");
        }
    }
}

void options_help(const struct option_def *table, FILE *out)
{
    char left[64];

    for (; table->name; table++) {
        if (table->group)
            (void)fprintf(out, "\n%s:\n", table->group);
        char letter[5] = "    ";
        if (table->letter)
            (void)snprintf(letter, sizeof(letter), "-%c, ", table->letter);
        (void)snprintf(left, sizeof(left), "  %s--%s%s%s", letter, table->name,
                       table->arg ? " " : "", table->arg ? table->arg : "");
        int width = (int)strlen(left);
        (void)fputs(left, out);
        if (width >= OPTION_HELP_COLUMN)
            (void)fprintf(out, "\n%*s", OPTION_HELP_COLUMN, "");
        else
            (void)fprintf(out, "%*s", OPTION_HELP_COLUMN - width, "");
        print_indented(table->help, out);
    }
}
