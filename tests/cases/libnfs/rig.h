/*
 * A gateway of its own for each test program: started on a directory of its own, watched, and
 * killed with the program however that ends. Where the machine allows it the program first moves to
 * a network namespace of its own, so ports and addresses are free to choose.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

enum { RIG_ARGS_MAX = 48 };

/* Call first in main. Takes the path of pailfs from argv[1]. */
void rig_init(int argc, char **argv);
/* True: alone in a network namespace, with all its privileges. Cases that need it skip otherwise.
 */
bool rig_isolated(void);
/* One more address of this host, only in a namespace. */
void rig_add_address(const char *addr);
int64_t rig_now_ms(void); /* monotonic */

struct server {
    struct server *next;
    pid_t pid; /* 0 = not running */
    uint16_t port;
    char dir[64]; /* holds bucket/, other/, state/ and log */
    char *args[RIG_ARGS_MAX];
    int arg_count;
};

/* A server that is not running yet. extra: further arguments, NULL at the end; those that begin
 * with
 * '@' name a directory of the server's, which is exported: "@other" is file://DIR/other as /other.
 * Without one, bucket is exported. */
struct server *server_new(const char *const *extra);
/* Starts it and waits until it answers. The same arguments and state as before if it ran before. */
void server_start(struct server *server);
/* Sends the signal and waits for the end, which must be orderly after SIGTERM. */
void server_stop(struct server *server, int sig);
void server_restart(struct server *server, int sig); /* stop and start */
/* Kills it if it runs, and removes its directory. */
void server_free(struct server *server);
/* Ends the program with what the server has logged when it is no longer alive. */
void server_check_alive(struct server *server);
/* Path of something below the server's directory; valid until the next call but three. */
const char *server_path(const struct server *server, const char *name);
/* The file's text in the bucket (or "", if there is none), to be freed; waits until it equals want
 * when want is given, 20 s at most. */
char *server_bucket_text(const struct server *server, const char *name, const char *want);
