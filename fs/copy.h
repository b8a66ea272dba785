/* Copies of whole objects that the store makes. Part of fs_int.h. */
#pragma once

#include <stdint.h>

#include "cloud/store.h"

enum { COPY_RECENT = 8 };

/* The base of to is a copy of the base of from, of which to may show only a part yet: a copy of a
 * large file comes in several calls, and the first has done it all. */
struct copy_recent {
    uint64_t from, to;
    char from_etag[STORE_ETAG_MAX], to_etag[STORE_ETAG_MAX];
};

struct copy_memory {
    struct copy_recent recent[COPY_RECENT];
    unsigned next; /* to be overwritten */
};
