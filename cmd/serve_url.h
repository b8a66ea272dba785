/* URL[=/EXPORT]: what to serve, and under which name. */
#pragma once

#include "cmd/options.h"

/* Splits arg and checks both parts. On success the caller frees both strings; on failure -EINVAL
 * and a sentence. */
int serve_url_split(const char *arg, char **ret_url, char **ret_name, struct cmd_error *reterr);
