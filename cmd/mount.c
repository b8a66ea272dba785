/* "pailfs mount": one bucket as a FUSE file system on this host, in the background. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/background.h"
#include "cmd/command.h"
#include "cmd/dir.h"
#include "cmd/serve_options.h"
#include "cmd/serve_start.h"

void command_mount_help(FILE *out)
{
    serve_options_help_mount(out);
}

/* "mount -a" of an init script has neither PATH, where fusermount3 is found, nor HOME, where
 * credentials are; and mount.fuse3 says HOME=/root where mount(8) has cleared a user's environment.
 */
static void fill_environment(void)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): before any thread starts */
    if (!getenv("PATH"))
        (void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    const char *home = getenv("HOME");
    if (!home || access(home, X_OK)) {
        const struct passwd *user = getpwuid(geteuid());
        if (user)
            (void)setenv("HOME", user->pw_dir, 1);
    }
    /* NOLINTEND(concurrency-mt-unsafe) */
}

static int mount_run(struct serve_options *o, struct cmd_error *reterr)
{
    char *state_dir = dir_absolute(o->state_dir);

    free(o->state_dir);
    o->state_dir = state_dir;
    int err = o->foreground && !o->log_file ? 0 : background_log(o->log_file);
    if (err) {
        (void)cmd_error_set(reterr, err, "%s: %s", o->log_file, strerrordesc_np(-err));
        return COMMAND_FAILED;
    }
    if (o->foreground)
        return serve_run(o, NULL);
    err = background_begin();
    if (err) {
        (void)cmd_error_set(reterr, err, "no process for the background: %s",
                            strerrordesc_np(-err));
        return COMMAND_FAILED;
    }
    return serve_run(o, background_ready);
}

int command_mount(int argc, char **argv)
{
    struct serve_options options = {.listen = NULL};
    struct cmd_error error = {{0}};
    int status = COMMAND_USAGE;

    fill_environment();
    if (serve_options_parse_mount(argc, argv, &options, &error) == 0) {
        serve_options_tell(&options);
        status = mount_run(&options, &error);
    }
    if (error.text[0])
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
    serve_options_clear(&options);
    return status;
}
