/* Whom "pailfs status" and "pailfs flush" ask, and about what: by a state directory, by a
 * mountpoint of this host, or by a path below one. */
#pragma once

#include "cmd/control_client.h"

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

/* The help text of --mount. */
#define CONTROL_TARGET_HELP "ask the process that is mounted there"
