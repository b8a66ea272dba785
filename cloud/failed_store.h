/* The store in the place of one that cannot be opened: empty and read-only, but for a file that
 * says why. */
#pragma once

#include "cloud/store.h"

#define FAILED_STORE_FILE "mount.err"

/* url is what the store is called; text is what the file says, a newline is added. */
int failed_store_open(const char *url, const char *text, struct store **ret);
/* Another text from now on: another version of the file. */
void failed_store_tell(struct store *store, const char *text);
