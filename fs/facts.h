/*
 * What is known of one file, beside its attributes: for "pailfs stat", and each fact as an extended
 * attribute of that name. Those of the store are called as it is (s3.etag, file.etag); pailfs.* say
 * how the file stands to its object. And forgetting what is believed of the store.
 */
#pragma once

#include "fs/fs.h"

/* Called without locks. False: no more. */
typedef bool fs_fact_fn(void *ctx, const char *name, const char *value);
/* Asks the store for what nothing here remembers, if the file has an object. -ESTALE: it is another
 * one now; look the name up again. */
int fs_facts(struct fs_volume *vol, struct fs_req *req, uint64_t ino, fs_fact_fn *fn, void *ctx);

/* Whoever looks at ino next, or at anything below it, asks the store, and front ends' clients are
 * told to forget it too. What is ahead of the store stays as it is. */
int fs_refresh(struct fs_volume *vol, struct fs_req *req, uint64_t ino);
