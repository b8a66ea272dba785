/* Where the state is kept: for every command that needs it. */
#pragma once

#include "cmd/options.h"

/* The help text of --state-dir. */
#define STATE_DIR_HELP                          \
    "what has to survive a restart (default:\n" \
    "/var/lib/pailfs for root, else\n"          \
    "$XDG_STATE_HOME/pailfs or ~/.local/state/pailfs)"
/* Where the state is when nobody said: to free. NULL: the environment does not say where home is,
 * and a sentence is set. */
char *state_dir_default(struct cmd_error *reterr);
/* For the option: replaces *dir, which is to free. */
int state_dir_set(char **dir, const char *value, const char **ret_why);
