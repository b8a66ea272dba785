/* Options of a sub-mount that is made while pailfs runs. */
#pragma once

#include "cmd/export_options.h"
#include "cmd/text_pool.h"

/* text is "name=value,name=value" as after mount's -o, or NULL; what it does not say is as in base,
 * the export's. Strings are the pool's. 0, or -EINVAL and a sentence. */
int submount_options_parse(struct text_pool *pool, const struct export_options *base,
                           const char *text, struct export_options *ret, struct cmd_error *reterr);
