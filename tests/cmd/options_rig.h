/* For tests of options: command lines as one text, configuration files from memory. */
#pragma once

#include "cmd/serve_options.h"

enum { RIG_LINE_MAX = 2048 };

/* Splits line at blanks and parses it: "serve ..." or "mount ..." or "mount.pailfs ...". '~' in a
 * word becomes a blank; "@FILE" the path of the file that rig_write made. ret is to be cleared. */
int rig_parse(const char *line, struct serve_options *ret, struct cmd_error *reterr);
/* Writes a configuration file for rig_parse and rig_check, in place of the one before. */
void rig_write(const char *text);
/* What "pailfs check-config" does with what rig_write wrote. */
int rig_check(struct serve_options *ret, struct cmd_error *reterr);
/* The path of that file. */
const char *rig_path(void);
void rig_remove(void);
/* Fails unless the sentence has the part in it. */
void rig_says(const char *what, const struct cmd_error *error, const char *part);
