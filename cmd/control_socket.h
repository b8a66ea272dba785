/* Where the gateway of a state directory can be spoken to: STATE_DIR/control, a Unix socket. */
#pragma once

#include "cmd/options.h"

enum { CONTROL_PATH_MAX = 108 }; /* bytes of sockaddr_un.sun_path */

/* A listening socket there, which only our own user can use. A socket that is there is taken for
 * one that a killed gateway left: the caller holds the lock of the state directory. */
int control_socket_listen(const char *state_dir, int *ret_fd, struct cmd_error *reterr);
void control_socket_remove(const char *state_dir);

/* For clients: a path to the socket that is short enough, and a descriptor that has to stay open
 * as long as the path is used. Fails with a sentence if no gateway answers there. */
int control_socket_find(const char *state_dir, char ret_path[CONTROL_PATH_MAX], int *ret_fd,
                        struct cmd_error *reterr);
