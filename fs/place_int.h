/* One upload: what it was made from, frozen. Private to place*.c. */
#pragma once

#include "fs/fs_int.h"

enum conflict_kind {
    CONFLICT_NONE,  /* the target is as it should be */
    CONFLICT_SAME,  /* it has what was to be put there */
    CONFLICT_TAKEN, /* somebody else's object is there */
    CONFLICT_GONE,  /* nothing is there, though there should be */
};

struct place {
    struct fs_volume *vol;
    struct inode *ino; /* pinned; its lock for anything in it but mpu */
    int64_t deadline_ns;
    enum fs_type type;
    char target[STORE_KEY_MAX + 1], base_key[STORE_KEY_MAX + 1];
    char *base_etag, *symlink;
    char *content_type; /* that the object had; NULL: none that matters */
    uint64_t base_size, base_len, base_epoch, size;
    struct reader_file *base;
    struct extent_snapshot snapshot;
    struct store_meta meta;
    int64_t mtime_ns; /* in the object's metadata */
    int64_t frozen_ns;
    bool content;       /* else the base is the content */
    char *if_match;     /* or */
    bool if_none_match; /* precondition on target */
    uint64_t write_version, meta_version;
    uint64_t change;           /* inode->change of what is frozen */
    char etag[STORE_ETAG_MAX]; /* result */
    char error_text[STORE_ERROR_MAX];
    bool base_lost;              /* the error is that the base is gone */
    enum conflict_kind conflict; /* after conflict_look */
    bool meta_old;               /* the object has older metadata than meta */
    bool progress;               /* parts that are recorded were sent */
    bool mpu_over;               /* the multipart upload was completed */
    bool mpu_dead;               /* it cannot be used any more */
    bool copy;                   /* the base is another file's, and stays: see copy.c */
    uint64_t copy_len;           /* how much of it is to show */
    bool copied;                 /* it does */
    bool older; /* the object that is there is that of inode->old_flight, with that etag */
};

/* The object at target, from what is frozen. 0 or negative errno; -ESTALE: a precondition, or the
 * base. */
int place_data(struct place *p);
/* One request with its outcome taken into p. */
int place_call(struct place *p, struct store_req *r);

/* --- place.c, for copy.c --- */

/* What must hold of the target for the upload to be ours to make. Lock held. */
void place_precondition(struct fs_volume *vol, struct place *p, const struct inode *ino);
/* For stores without conditional writes: looks just before. Without the lock. */
int place_look_before(struct place *p);
/* Takes the outcome into the state. Lock held. */
void place_settle(struct fs_volume *vol, struct inode *ino, struct place *p, int err);
void place_clear(struct place *p);

/* --- for place_parts.c --- */

/* The Content-Type to make it with; NULL: none, or of a copy: as its source has it. */
const char *place_content_type(const struct place *p);

/* Bytes [off, off+len) of the frozen file. */
int place_fill(struct place *p, uint64_t off, size_t len, char *buf);
/* The index of the first extent of the snapshot that ends after off. */
size_t place_first(const struct place *p, uint64_t off);
/* The whole of [off, off+len) is unchanged base. */
bool place_untouched(const struct place *p, uint64_t off, uint64_t len);
/* Memory for parts is limited over all uploads together: waits for it, unless other than that of
 * this upload would have to be given back first (try). */
void place_take_memory(struct fs *fs, uint64_t bytes);
bool place_try_memory(struct fs *fs, uint64_t bytes);
void place_give_memory(struct fs *fs, uint64_t bytes);
/* By parts, going on with p->ino's upload if there is one. */
int place_multipart(struct place *p);

/* --- conflict.c --- */

/* A precondition did not hold, or the base is gone: finds out what is there now, and saves what the
 * file still needs of a base that was replaced. Without the lock. 0: what was to be made is there,
 * with p->etag; -ESTALE: conflict_settle knows what to do (or p->older says it); other errors: not
 * known, to be tried again. */
int conflict_look(struct place *p);
/* Takes it into the state. Lock held. ino->due_ns says when to upload again. */
void conflict_settle(struct fs_volume *vol, struct inode *ino, const struct place *p,
                     struct change *c);
/* Whose object is at the target now is not ours to delete: forgets that it was to be. Lock held. */
void conflict_spare(struct fs_volume *vol, const struct place *p, struct change *c);
