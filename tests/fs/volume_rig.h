/* What tests of the whole file system stand on: a volume over a real directory of files, the calls
 * that they make of it, and a look into the bucket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/fs.h"

enum { RIG_WAIT_S = 60 };

extern char rig_bucket[128];
extern struct fs *rig_fs;
extern struct fs_volume *rig_vol;
extern int64_t rig_quiet_ns, rig_attr_ttl_ns; /* for the next rig_start */
extern void (*rig_before_run)(void); /* called by the next ones between opening and running */

int rig_setup(void **state); /* for cmocka: directories, and starts */
int rig_teardown(void **state);
void rig_start(void);
void rig_stop(int64_t for_ns);

struct fs_req rig_request(void);
void rig_durable(const struct fs_req *req); /* waits for what that request changed */
/* Waits until everything is in the bucket and nothing has to move or go any more. */
void rig_settled(void);

uint64_t rig_make_dir(uint64_t dir, const char *name);
uint64_t rig_put(uint64_t dir, const char *name, const char *body);
int rig_look(uint64_t dir, const char *name, uint64_t *ret);
void rig_check_body(uint64_t dir, const char *name, const char *want);
void rig_rename(uint64_t from_dir, const char *from, uint64_t to_dir, const char *to);
void rig_remove(uint64_t dir, const char *name, bool is_dir);
size_t rig_list(uint64_t dir); /* how many names */

const char *rig_state_dir(void);

/* Of the bucket itself, without what the store keeps for itself. */
size_t rig_bucket_files(const char *dir);
bool rig_bucket_has(const char *path);
void rig_bucket_put(const char *path, const char *body); /* behind pailfs's back */
void rig_bucket_mkdir(const char *path);
