/* What tests of options stand on: a volume over an S3 bucket that plays a script and counts. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "base/clock.h"
#include "fs/fs.h"
#include "tests/cloud/fault_server.h"

enum { SCRIPT_WAIT_S = 30 };

#define LONG (1000 * CLOCK_S) /* attr_ttl of the process */

extern struct fault_server *script_server;
extern struct fs *script_fs;
extern struct fs_volume *script_vol;

#define LIST(inside)                                                                  \
    "<ListBucketResult><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>" inside \
    "</ListBucketResult>"
#define KEY(key) "<Contents><Key>" key "</Key><Size>5</Size><ETag>e</ETag></Contents>"
#define DIR(key) "<CommonPrefixes><Prefix>" key "</Prefix></CommonPrefixes>"
#define ANY FAULT_ALWAYS
#define COPIED "<CopyObjectResult><ETag>\"e2\"</ETag></CopyObjectResult>"

/* Files a, own (which says who owns it), a directory with a marker, one that only shows by what is
 * below it. Whatever is written is taken, and nothing that could be tried works. */
#define BUCKET                                                                             \
    {.match = "HEAD /bkt/a ",                                                              \
     .status = "200 OK",                                                                   \
     .headers = "ETag: \"e\"\r\n",                                                         \
     .length = 5,                                                                          \
     .times = ANY},                                                                        \
        {.match = "HEAD /bkt/own ",                                                        \
         .status = "200 OK",                                                               \
         .headers = "ETag: \"e\"\r\nx-amz-meta-file-permissions: 0100600\r\n"              \
                    "x-amz-meta-file-owner: 5\r\n",                                        \
         .length = 5,                                                                      \
         .times = ANY},                                                                    \
        {.match = "HEAD /bkt/marked/ ",                                                    \
         .status = "200 OK",                                                               \
         .headers = "ETag: \"d\"\r\n",                                                     \
         .times = ANY},                                                                    \
        {.match = "HEAD", .status = "404 No", .times = ANY},                               \
        {.match = "GET /bkt/?encoding-type=url&list-type=2&max-keys=32&prefix=implied%2F", \
         .status = "200 OK",                                                               \
         .body = LIST(KEY("implied/x")),                                                   \
         .times = ANY},                                                                    \
        {.match = "GET /bkt/?delimiter=%2F&encoding-type=url&list-type=2 ",                \
         .status = "200 OK",                                                               \
         .body = LIST(KEY("a") DIR("implied/") DIR("marked/") KEY("own")),                 \
         .times = ANY},                                                                    \
        {.match = "GET /bkt/?", .status = "200 OK", .body = LIST(""), .times = ANY},       \
    {                                                                                      \
        .match = "DELETE", .status = "204 No", .times = ANY                                \
    }

/* BUCKET, and what takes everything. In force after each start. */
extern const struct fault_step script_bucket[];

int script_setup(void **state); /* for cmocka */
int script_teardown(void **state);
/* Opens the volume; read_only: nothing is tried of the store. Until it is open the server plays
 * what it was told last, then script_bucket. */
void script_start(const struct fs_volume_config *config, bool read_only);
void script_stop(void);
void script_forget(void);  /* removes the state directory */
void script_settled(void); /* waits until all is in the bucket */

struct fs_req script_request(void);
struct fs_node script_look(const char *name, int want); /* in the root */
void script_set_mode(uint64_t ino, uint32_t mode);
uint64_t script_create(const char *name); /* with five bytes, durable */
void script_rename(const char *from, const char *to);
