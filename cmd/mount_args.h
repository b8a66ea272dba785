/*
 * The arguments of "pailfs mount" in all the forms in which they come, made into plain ones: lists
 * behind -o become long options, what is mount(8)'s own is passed on to the kernel or left out.
 */
#pragma once

#include "cmd/options.h"

struct mount_args {
    int argc;
    char **argv; /* NULL at the end */
};

/* argv[0] is kept. 0, or -EINVAL and a sentence; ret is to be cleared in both cases. */
int mount_args_make(int argc, char **argv, struct mount_args *ret, struct cmd_error *reterr);
void mount_args_clear(struct mount_args *args);
