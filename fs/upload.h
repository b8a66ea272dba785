/*
 * Uploads: what is on its way to the store, and what becomes of it. Part of fs_int.h. The volume's
 * lock is held in all calls but detach_fetch, detach_run, place_run and those of upload.c.
 */
#pragma once

#include "fs/fs_int.h"

/* --- flight.c: uploads that survive a crash half done --- */

/* What ino's next upload will write, and how to tell its object, is durable: 0. -ERESTART after
 * waiting. */
int flight_announce(struct fs_volume *vol, struct fs_req *req, struct inode *ino);
/* There is a record of an upload that did not end: finds out whether its object is in the store,
 * and if so makes it the base. -ERESTART; or an error of the store. */
int flight_resolve(struct fs_volume *vol, struct fs_req *req, struct inode *ino);
/* 0 if there is no such record, of a file; else as flight_resolve. To be asked before its objects
 * are deleted by key: by now the key of the record may be another file's. */
int flight_known(struct fs_volume *vol, struct fs_req *req, struct inode *ino);
/* An upload of ino is writing its flight_key now, or may be. */
bool flight_running(struct fs_volume *vol, const struct inode *ino);
void flight_forget(struct fs_volume *vol, struct inode *ino);
/* True if the object looks like what ino's record says. */
bool flight_matches(const struct store_object *obj, uint64_t size, int64_t mtime_ns);

/* The object that was found is what the record old_flight says: the base from now on. Lock held. */
void flight_take_old(struct fs_volume *vol, struct inode *ino, const char *etag, struct change *c);

/* --- detach.c --- */

/* Fetches what still counts of ino's base into the stage, and lets go of the base. 0; -ESTALE: the
 * base is not there any more, or ino has another. Pinned and UPLOADING; without the lock. */
int detach_fetch(struct fs_volume *vol, struct inode *ino);
void detach_run(struct fs_volume *vol, struct inode *ino); /* pinned, UPLOADING and DETACH */

/* --- place.c: one upload --- */

void place_run(struct fs_volume *vol, struct inode *ino); /* pinned, INODE_UPLOADING */
bool place_has_content(const struct inode *ino);          /* else its base is the whole content */

/* --- upload.c --- */

int upload_start(struct fs *fs);
void upload_stop(struct fs *fs);
void upload_kick(struct fs *fs);
/* Something new is due then. */
void upload_due(struct fs *fs, int64_t due_ns);
bool upload_stopping(struct fs *fs);
