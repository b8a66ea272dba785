/* Places where file systems are mounted, and what lies there. */
#pragma once

#include "cmd/options.h"

/*
 * path as an absolute path without symlinks, to free: a directory, or what a dead mount left of
 * one. NULL and a sentence if it is none.
 */
char *mount_point_resolve(const char *path, struct cmd_error *reterr);

/* 0 if dir can be mounted on: nothing of pailfs is there, or a mount whose process is dead, which
 * front_start removes. -EBUSY and a sentence if a pailfs that lives is mounted there. */
int mount_point_check(const char *dir, struct cmd_error *reterr);
