/* Where the state of a gateway is kept, when nobody says and when somebody does. */
#include "cmd/store_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

char *state_dir_default(struct cmd_error *reterr)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): read before any thread starts */
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    /* NOLINTEND(concurrency-mt-unsafe) */

    if (geteuid() == 0)
        return mem_strdup("/var/lib/pailfs");
    if (xdg && xdg[0] == '/')
        return mem_printf("%s/pailfs", xdg);
    if (home && home[0] == '/')
        return mem_printf("%s/.local/state/pailfs", home);
    (void)cmd_error_set(reterr, -EINVAL,
                        "no place for the state: HOME is not set, expected --state-dir DIR");
    return NULL;
}

int state_dir_set(char **dir, const char *value, const char **ret_why)
{
    *ret_why = "expected the path of a directory";
    if (!*value)
        return -EINVAL;
    free(*dir);
    *dir = mem_strdup(value);
    return 0;
}
