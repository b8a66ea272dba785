/* Opens a bucket. */
#include "cloud/s3_store.h"

#include <errno.h>
#include <stdio.h>

int s3_store_open(const char *url, const struct store_config *config, struct store **ret,
                  struct store_error *reterr)
{
    (void)config;
    (void)ret;
    (void)snprintf(reterr->text, sizeof(reterr->text), "%s: not supported", url);
    return -ENOTSUP;
}
