/* A directory of plain files as an object store, behind store.h. */
#pragma once

#include "cloud/store.h"

/* store_open for file:// URLs. */
int file_store_open(const char *url, const struct store_config *config, struct store **ret,
                    struct store_error *reterr);
