/* The options of every command that opens buckets, and where the state is kept. The target of such
 * a command's table begins with a struct store_config. */
#pragma once

#include "cloud/store.h"
#include "cmd/options.h"

int store_option_endpoint(void *target, const char *value, const char **ret_why);
int store_option_region(void *target, const char *value, const char **ret_why);
int store_option_profile(void *target, const char *value, const char **ret_why);
int store_option_path_style(void *target, const char *value, const char **ret_why);
int store_option_virtual_style(void *target, const char *value, const char **ret_why);
int store_option_ca_file(void *target, const char *value, const char **ret_why);
int store_option_no_verify(void *target, const char *value, const char **ret_why);
int store_option_unsigned(void *target, const char *value, const char **ret_why);

/* clang-format off */
#define STORE_OPTIONS                                                                              \
    {"S3", "endpoint", 'e', "URL", "server to talk to (default: AWS)", store_option_endpoint},     \
    {NULL, "region", 0, "NAME", "region (default: environment, profile, or asked for)",            \
     store_option_region},                                                                         \
    {NULL, "profile", 0, "NAME", "profile in ~/.aws (default: AWS_PROFILE or \"default\")",        \
     store_option_profile},                                                                        \
    {NULL, "path-style", 0, NULL, "put the bucket's name into the path of requests",               \
     store_option_path_style},                                                                     \
    {NULL, "virtual-style", 0, NULL, "put the bucket's name into the host name",                   \
     store_option_virtual_style},                                                                  \
    {NULL, "ca-file", 0, "FILE", "certificates to trust, PEM", store_option_ca_file},              \
    {NULL, "no-verify-tls", 0, NULL, "trust any certificate: only for tests",                      \
     store_option_no_verify},                                                                      \
    {NULL, "unsigned", 0, NULL, "send no credentials: for public buckets", store_option_unsigned}
/* clang-format on */

/* What the options say together. 0, or -EINVAL with a sentence. */
int store_options_check(const struct store_config *config, struct cmd_error *reterr);

/* The help text of --state-dir. */
#define STATE_DIR_HELP                          \
    "what has to survive a restart (default:\n" \
    "/var/lib/pailfs for root, else\n"          \
    "$XDG_STATE_HOME/pailfs or ~/.local/state/pailfs)"
/* Where the state is when nobody said: to free. NULL: the environment does not say where home is,
 * and a sentence is set. */
char *state_dir_default(struct cmd_error *reterr);
/* For the option: replaces *dir, which is to free. */
int state_dir_set(char **dir, const char *value, const char **ret_why);
