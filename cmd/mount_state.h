/*
 * Where the state of mounts is kept when nobody says: each mount has a directory of its own,
 * BASE/mounts/NAME, BASE being what state_dir_default gives. A link beside them,
 * BASE/mounts/at/MOUNTPOINT-NAME, leads from a mountpoint to the state directory of the process
 * that was mounted there last, wherever that directory is, so that "pailfs status" and "pailfs
 * flush" can be given the mountpoint.
 */
#pragma once

#include "cmd/options.h"

/* To free; NULL and a sentence if there is no place. mountpoint is as mount_point_resolve gave it.
 */
char *mount_state_default(const char *url, const char *mountpoint, struct cmd_error *reterr);

/* Leaves the link. What goes wrong is only logged: the mount works without. */
void mount_state_remember(const char *mountpoint, const char *state_dir);

/* Takes it away again, while the state directory is still ours: a clean end. What was killed leaves
 * its link, and the next mount there has one in its place. */
void mount_state_forget(const char *mountpoint, const char *state_dir);

/*
 * The state directory of what is, or was, mounted at path or at the nearest directory above it: to
 * free, and in *ret_rest the part of path below that mountpoint ("" or "/sub/name"), a pointer into
 * *ret_path, which is path made absolute, to free. NULL if nothing is known.
 */
char *mount_state_find(const char *path, char **ret_path, const char **ret_rest);
