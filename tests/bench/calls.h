/* The NFS and MOUNT calls of the bench: what each encodes, and what of its reply is looked at. */
#pragma once

#include "rows.h"

extern const struct conn_series calls_null, calls_getattr, calls_lookup, calls_read4k, calls_read1m,
    calls_write1m, calls_commit, calls_create, calls_write4k, calls_remove, calls_readdirplus;

/* One call each, at preparation. */
void calls_mount(struct bench *b, const char *host, const char *port, const char *export);
void calls_mkdir(struct bench *b, const struct wire_handle *dir, const char *name,
                 struct wire_handle *ret);
void calls_create_one(struct bench *b, const struct wire_handle *dir, const char *name,
                      struct wire_handle *ret);
