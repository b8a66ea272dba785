/* The file:// store: a directory of plain files is the bucket. */
#pragma once

#include "cloud/store.h"

/*
 * Opens file:///absolute/path (percent-encoding is undone; file://localhost/path is the same). What
 * store_open promises, without the network: never blocks for long, one sentence in reterr on
 * failure. A directory that cannot be written to opens with caps.writable = false.
 */
int file_store_open(const char *url, const struct store_config *config, struct store **ret,
                    struct store_error *reterr);
