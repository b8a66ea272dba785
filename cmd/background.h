/*
 * Going into the background so that whoever called knows how it went: the process they started ends
 * only when its child says that it is ready, or has ended itself.
 */
#pragma once

/* Before any thread is started. Returns 0 in the child, which goes on with the caller's work; the
 * parent waits and exits: with 0 after background_ready, else as the child does. -errno: no child.
 */
int background_begin(void);

/* In the child, once: lets the parent go, and the terminal. Nothing without a background_begin. */
void background_ready(void);
