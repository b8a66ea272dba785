/* One upload: what it was made from, frozen. Private to place.c and place_data.c. */
#pragma once

#include "fs/fs_int.h"

struct place {
    struct fs_volume *vol;
    int64_t deadline_ns;
    enum fs_type type;
    char target[STORE_KEY_MAX + 1], base_key[STORE_KEY_MAX + 1];
    char *base_etag, *symlink;
    uint64_t base_size, base_len, base_epoch, size;
    struct reader_file *base;
    struct extent_snapshot snapshot;
    struct store_meta meta;
    int64_t mtime_ns, frozen_ns;
    bool content;       /* else the base is the content */
    char *if_match;     /* or */
    bool if_none_match; /* precondition on target */
    uint64_t write_version, meta_version;
    char etag[STORE_ETAG_MAX]; /* result */
    char error_text[STORE_ERROR_MAX];
    bool base_lost; /* the error is that the base is gone */
};

/* The object at target, from what is frozen. 0 or negative errno; -ESTALE: a precondition, or the
 * base. */
int place_data(struct place *p);
/* One request with its outcome taken into p. */
int place_call(struct place *p, struct store_req *r);
