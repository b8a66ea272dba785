/* Buckets that speak the Amazon S3 protocol, behind store.h. */
#pragma once

#include "cloud/store.h"

/* store_open for s3:// URLs. */
int s3_store_open(const char *url, const struct store_config *config, struct store **ret,
                  struct store_error *reterr);
