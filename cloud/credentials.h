/*
 * Credentials and settings of Amazon's own tools: environment, ~/.aws/credentials, ~/.aws/config.
 *
 * Only keys that are written down there are used. Profiles that need to call something to get keys
 * (role_arn, sso_*, credential_process, ...) are refused with a sentence.
 */
#pragma once

#include <stdbool.h>

#include "cloud/store.h"

struct credentials {
    char *access_key, *secret_key; /* both or none */
    char *session_token;           /* or NULL */
    char *region, *endpoint;       /* or NULL */
    char *source;                  /* where the keys are from, for messages */
};
/* profile: NULL = AWS_PROFILE or "default". With a profile given here the keys of the environment
 * do not count. 0 also if there are no keys at all. */
int credentials_load(const char *profile, struct credentials *ret, struct store_error *reterr);
/* Keys of a file of s3fs instead; those of a line that names the bucket win. -EACCES if there are
 * none, or everybody may read the file. */
int passwd_file_load(const char *path, const char *bucket, struct credentials *ret,
                     struct store_error *reterr);
bool credentials_same(const struct credentials *a, const struct credentials *b); /* the keys */
void credentials_clear(struct credentials *creds); /* wipes the secrets */
