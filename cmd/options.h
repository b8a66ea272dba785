/*
 * Options of a command, from one table that also makes the help text. Parsing is getopt_long's:
 * "--name value", "--name=value", "-x value"; "--" ends the options.
 */
#pragma once

#include <stdio.h>

/* One sentence for a person, without the program's name and the newline. */
struct cmd_error {
    char text[1024];
};

/* Sets the sentence; returns err, so that "return cmd_error_set(e, -EINVAL, ...)" reads well. */
int cmd_error_set(struct cmd_error *error, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct option_def {
    const char *group; /* heading in the help text above this option; NULL = as the one before */
    const char *name;
    char letter;      /* 0 = none */
    const char *arg;  /* what the value is called in the help text; NULL = takes none */
    const char *help; /* may have several lines */
    /* value is NULL if arg is. 0, or -EINVAL with *ret_why = "expected ...". */
    int (*set)(void *target, const char *value, const char **ret_why);
};

enum { OPTIONS_MAX = 64 }; /* entries of a table */

/* Parses argv[1..]; a table ends with name NULL. ret_first: index of the first argument that is no
 * option (argv may be reordered). 0, or -EINVAL with the sentence in reterr. */
int options_parse(const struct option_def *table, int argc, char **argv, void *target,
                  int *ret_first, struct cmd_error *reterr);

void options_help(const struct option_def *table, FILE *out);
