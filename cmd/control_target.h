/* Whom "pailfs status" and "pailfs flush" ask, and about what: by a state directory, by a
 * mountpoint of this host, or by a path below one. */
#pragma once

#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/store_options.h"

/* What was said of it. The first member of a command's options, so that these options are the same
 * in all their tables. */
struct control_options {
    char *state_dir, *mount;
};
int control_options_state_dir(void *target, const char *value, const char **ret_why);
int control_options_mount(void *target, const char *value, const char **ret_why);
void control_options_clear(struct control_options *options);

/* clang-format off */
#define CONTROL_OPTIONS                                                                           \
    {"Options", "state-dir", 's', "DIR", STATE_DIR_HELP, control_options_state_dir},              \
    {NULL, "mount", 0, "DIR", "ask the process that is mounted there", control_options_mount}
/* clang-format on */

struct control_target {
    char *state_dir;
    char *mountpoint; /* NULL: given by its state directory, and path is the gateway's own */
    char *path;       /* below the mountpoint, "" or "/a/b"; or as the gateway names it; or NULL */
};

/*
 * state_dir: of --state-dir, or NULL; mount: of --mount, or NULL; path: the argument, or NULL: one
 * of this host if it lies below a mountpoint and neither option was given, else the gateway's. 0,
 * or -EINVAL, or -ENOENT if nothing is known of mount, and a sentence. ret is to be cleared in both
 * cases.
 */
int control_target_find(const char *state_dir, const char *mount, const char *path,
                        struct control_target *ret, struct cmd_error *reterr);
void control_target_clear(struct control_target *target);

/* Makes path what the gateway calls it, by asking which export is mounted there. 0 or -errno and a
 * sentence. */
int control_target_translate(struct control_target *target, struct control_client *client,
                             struct cmd_error *reterr);
