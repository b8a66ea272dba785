/* What stands in for the FUSE front end in a build that has none. */
#include "fuse/front.h"

#include <errno.h>
#include <stdio.h>

int front_start(const struct front_config *config, struct front **ret, struct front_error *reterr)
{
    (void)config;
    (void)ret;
    (void)snprintf(reterr->text, sizeof(reterr->text), "this pailfs was built without FUSE");
    return -ENOTSUP;
}

void front_durable(struct front *front, uint64_t seq)
{
    (void)front;
    (void)seq;
}

void front_on_end(struct front *front, void (*fn)(void *ctx), void *ctx)
{
    (void)front;
    (void)fn;
    (void)ctx;
}

void front_stop(struct front *front)
{
    (void)front;
}

void front_free(struct front *front)
{
    (void)front;
}
