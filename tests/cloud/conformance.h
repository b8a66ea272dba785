/* Helpers of store_conformance: requests that wait, on keys of this run. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cloud/store.h"

extern struct store *conf_store;
extern struct store_caps conf_caps;

/* NAME below the directory of this run. In a ring of static buffers: good for a few at a time. */
const char *conf_key(const char *name);

struct conf_put {
    const char *if_match;
    bool if_none_match;
    const struct store_meta *meta;
};
/* Results of the request; err is in req.err. The caller clears it. */
struct store_req conf_do(struct store_req req);
int conf_put(const char *key, const void *data, size_t len, struct conf_put how, char *ret_etag);
int conf_head(const char *key, struct store_object *ret); /* ret may be NULL */
int conf_get(const char *key, uint64_t off, void *buf, size_t len, const char *if_match,
             size_t *ret_got);
int conf_delete(const char *key, const char *if_match);
/* A directory that nobody put, but that a store with real ones lists. */
bool conf_is_directory(const struct store_object *obj);
void conf_fill(uint8_t *buf, size_t len, unsigned seed);

extern const struct CMUnitTest conf_object_tests[], conf_list_tests[], conf_multi_tests[];
extern const size_t conf_object_count, conf_list_count, conf_multi_count;
