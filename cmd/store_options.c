/* Options that several commands have: how buckets are opened, and where the state is kept. */
#include "cmd/store_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static int set_text(const char **text, const char *value, const char *what, const char **ret_why)
{
    *ret_why = what;
    if (!*value)
        return -EINVAL;
    *text = value;
    return 0;
}

int store_option_endpoint(void *target, const char *value, const char **ret_why)
{
    *ret_why = "expected a URL such as https://s3.example.net:9000";
    if (strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0)
        return -EINVAL;
    ((struct store_config *)target)->endpoint = value;
    return 0;
}

int store_option_region(void *target, const char *value, const char **ret_why)
{
    return set_text(&((struct store_config *)target)->region, value,
                    "expected the name of a region", ret_why);
}

int store_option_profile(void *target, const char *value, const char **ret_why)
{
    return set_text(&((struct store_config *)target)->profile, value,
                    "expected the name of a profile", ret_why);
}

int store_option_ca_file(void *target, const char *value, const char **ret_why)
{
    *ret_why = "expected a PEM file that can be read";
    if (access(value, R_OK))
        return -EINVAL;
    ((struct store_config *)target)->ca_file = value;
    return 0;
}

int store_option_path_style(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct store_config *)target)->path_style = true;
    return 0;
}

int store_option_virtual_style(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct store_config *)target)->virtual_style = true;
    return 0;
}

int store_option_no_verify(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct store_config *)target)->no_verify = true;
    return 0;
}

int store_option_unsigned(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct store_config *)target)->unsigned_requests = true;
    return 0;
}

int store_options_check(const struct store_config *config, struct cmd_error *reterr)
{
    if (config->path_style && config->virtual_style)
        return cmd_error_set(reterr, -EINVAL,
                             "--path-style and --virtual-style exclude each other");
    return 0;
}

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
