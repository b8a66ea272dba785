/*
 * Multipart uploads that outlive a crash: their records, and which of them may go on. Why that is
 * safe is written in mpu.c. The volume's lock is held in all calls but mpu_abort_run.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "cloud/store.h"

struct change;
struct fs_req;
struct fs_volume;
struct inode;

enum { MPU_PARTS_MAX = 100000 /* no store knows more */ };

struct mpu_part { /* a part that the store has */
    struct store_part done;
    uint64_t len, sign[2]; /* of what it was made from */
    bool copied;           /* by the store, from the base */
};

struct mpu {               /* a multipart upload that was begun; see mpu.c */
    TAILQ_ENTRY(mpu) link; /* on volume->mpu_aborts if nobody wants it */
    uint64_t id, inode;    /* inode 0: nobody's */
    char *key, *upload_id;
    uint64_t part_size;
    uint64_t version;       /* inode->change of what a completion was sent for; 0: none was */
    int64_t mtime_ns;       /* in the metadata it was begun with, */
    uint64_t meta;          /* and a hash of all of it */
    int64_t begun_ns;       /* wall clock; 0: not known */
    struct mpu_part *parts; /* number n at n - 1; done.number 0: not there */
    uint32_t part_room;
    bool aborting;  /* in a thread's hands, without the lock */
    uint32_t tries; /* to abort it */
    int64_t due_ns;
};
TAILQ_HEAD(mpu_list, mpu);

/* Records that m was begun for ino; the sequence to wait for before a part is sent. */
uint64_t mpu_begun(struct fs_volume *vol, struct inode *ino, struct mpu *m);
/* The same before its completion is sent, for that version of the content. */
uint64_t mpu_completing(struct fs_volume *vol, struct mpu *m, uint64_t version);
struct mpu_part *mpu_part_find(struct mpu *m, uint32_t number); /* or NULL; the uploader's */
void mpu_part_done(struct fs_volume *vol, struct mpu *m, const struct mpu_part *part);
/* ino's upload is over in the store. */
void mpu_finish(struct change *c, struct inode *ino);
/* Nobody wants ino's upload any more: it is aborted in time. */
void mpu_drop(struct fs_volume *vol, struct change *c, struct inode *ino);
/* The same if ino was removed while it was UPLOADING, which it is no longer. */
void mpu_drop_gone(struct fs_volume *vol, struct inode *ino);
/* Before an upload of ino is announced: if it cannot be the one that was begun, that one is out of
 * the way. 0; -ERESTART; or an error of the store. */
int mpu_check(struct fs_volume *vol, struct fs_req *req, struct inode *ino);
bool mpu_wanted(const struct fs_volume *vol, uint64_t size); /* a file of that size goes by parts */
/* The bytes of the parts that a file of that size is uploaded in; 0: it is too large. */
uint64_t mpu_part_size(const struct fs_volume *vol, uint64_t size);
uint64_t mpu_meta_hash(const struct store_meta *meta);
/* If ino's upload was completed, what came out is the content as it is now; and the metadata too.
 */
bool mpu_made(const struct inode *ino, bool *ret_meta);
struct mpu *mpu_abort_take(struct fs_volume *vol, int64_t now, int64_t *ret_next_ns);
void mpu_abort_run(struct fs_volume *vol, struct mpu *m);
int mpu_load(struct fs_volume *vol); /* what an earlier run left; the dirty list is there */
void mpu_free(struct mpu *m);        /* NULL is fine */
void mpu_free_all(struct fs_volume *vol);
