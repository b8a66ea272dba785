/* Asking a running gateway over its control socket. */
#pragma once

#include <jansson.h>

#include "cmd/options.h"

/* Exit statuses of "pailfs status" and "pailfs flush", beside COMMAND_USAGE. */
enum { CONTROL_ALL_IN = 0, CONTROL_NOT_ALL_IN = 1, CONTROL_NO_GATEWAY = 3 };

struct control_client;

/* Fails with a sentence if no gateway answers there. */
int control_client_open(const char *state_dir, struct control_client **ret,
                        struct cmd_error *reterr);
void control_client_close(struct control_client *client); /* NULL is fine */

/*
 * method path ("/status", "/flush?path=..."). 0 with the parsed answer and its HTTP status,
 * whatever that is; or -errno and a sentence if there was none.
 */
int control_client_ask(struct control_client *client, const char *method, const char *path,
                       long *ret_status, json_t **ret, struct cmd_error *reterr);
/* text as the value of an argument in a URL. */
char *control_client_escape(struct control_client *client, const char *text);
