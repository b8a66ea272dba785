/* URL[=/EXPORT]: what to serve, and under which name. */
#pragma once

#include "cmd/options.h"
#include "cmd/text_pool.h"

/* Splits arg and checks both parts. On success the caller frees both strings; on failure -EINVAL
 * and a sentence. */
int serve_url_split(const char *arg, char **ret_url, char **ret_name, struct cmd_error *reterr);

/* 0 if url is of a kind that pailfs knows; else -EINVAL and a sentence. */
int serve_url_check(const char *url, struct cmd_error *reterr);

/* What goofys, GeeseFS and s3fs call a bucket, "BUCKET[:PREFIX]", as a URL; anything else as it
 * is. In the pool. */
const char *serve_url_of_bucket(struct text_pool *pool, const char *arg);
