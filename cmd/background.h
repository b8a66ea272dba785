/*
 * Going into the background so that whoever called knows how it went: the process they started ends
 * only when its child says that it is ready, or has ended itself.
 */
#pragma once

#include <stdbool.h>

/* Before any thread is started. Returns 0 in the child, which goes on with the caller's work; the
 * parent waits and exits: with 0 after background_ready, else as the child does. -errno: no child.
 */
int background_begin(void);

/* Before background_begin: the log goes to the file at path, or to syslog if that is NULL. 0 or
 * -errno. */
int background_log(const char *path);
/* In the child, when somebody sends SIGHUP: the file may have been renamed, so begins a new one.
 * False if there is neither a child nor a log file, and the signal means what it always does. */
bool background_hangup(void);

/* In the child, once: lets the parent go, and the terminal. Nothing without a background_begin. */
void background_ready(void);
