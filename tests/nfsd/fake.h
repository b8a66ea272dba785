/*
 * The two sides of a procedure, faked: the RPC core it answers to (fake_rpc.c) and the file system
 * it asks (fake_fs.c). The fake file system does what the test wrote into the script and writes
 * down what it was asked.
 */
#pragma once

#include <rpc/rpc.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"
#include "nfsd/export.h"
#include "nfsd/payload.h"
#include "nfsd/rpc.h"

enum { FAKE_ENTRIES_MAX = 16, FAKE_NAME_MAX = 1100 };

struct fs_volume {
    uint32_t id;
};

struct fake_entry {
    const char *name;
    uint64_t cookie, ino;
    bool attr_valid;
};

/* --- what fs answers, and what it was asked --- */

struct fake_fs {
    struct fs_volume vols[3]; /* handle byte 0 = 0xfa, byte 1 = volume 0 to 2, byte 2.. = ino */
    struct fs_volume *top2;   /* below which volume 2, a sub-mount, is; NULL: nowhere */

    int err;         /* of the next operation */
    int getattr_err; /* of fs_getattr, if not 0 */
    struct fs_attr attr;
    struct fs_node node, dir_node;
    struct fs_wcc wcc, wcc2;
    uint64_t seq;
    bool journals; /* namespace operations call req->journal when they succeed */
    bool fails_after_journal;
    const char *target; /* of readlink */
    const char *bytes;  /* of read: given in two pieces */
    uint32_t granted;
    bool eof;
    struct fake_entry entries[FAKE_ENTRIES_MAX];
    uint32_t entry_count;
    struct fs_space space;
    uint8_t verifier[FS_VERF_SIZE];

    uint32_t calls, getattr_calls, releases;
    struct fs_req req; /* as it came in */
    uint64_t ino, ino2;
    char name[FAKE_NAME_MAX], name2[FAKE_NAME_MAX];
    struct fs_sattr set;
    bool guarded;
    int64_t guard_ns;
    enum fs_create_how how;
    uint8_t create_verf[FS_VERF_SIZE];
    bool has_verf;
    uint64_t off;
    uint32_t count, mask;
    enum fs_stable stable;
    char written[64];
    bool want_attr;
    uint64_t cookie;
    bool journal_said, verifier_asked_first;
    char lookups[8][64]; /* names of all lookups, in order */
    uint32_t lookup_count;
};
extern struct fake_fs fake_fs;

/* A handle that fake_fs takes. */
nfs_fh3 fake_handle(uint32_t vol, uint64_t ino);

/* --- what the core was told --- */

struct fake_rpc {
    struct rpc_call call;
    struct svc_req req;
    bool would_block, dropped, forgotten, discarded, has_key;
    uint64_t hold;
    enum auth_stat auth_error; /* of svcerr_auth(), else AUTH_OK */
    bool noproc;               /* svcerr_noproc() */
    uint32_t encoded;          /* calls of rpc_encode_reply */
    char payload[4096];        /* all bytes handed over by rpc_payload_add */
    size_t payload_len;

    uint32_t dir_room; /* how many entries the next dirbuf takes */
    enum dirbuf_kind dir_kind;
    uint32_t dir_count, dir_dircount; /* as given to dirbuf_open */
    struct {
        char name[64];
        uint64_t fileid, cookie;
        bool attr, handle;
    } entries[FAKE_ENTRIES_MAX];
    uint32_t entry_count;
    bool dir_finished, dir_aborted;
};
extern struct fake_rpc fake_rpc;

/* Resets both and sets up a call of proc from 127.0.0.1, reserved port, uid 1000. */
void fake_begin(uint32_t prog, uint32_t proc, void *service);
/* Frees what the call allocated, releases payload. */
void fake_end(void);
void fake_peer(const char *address, uint16_t port);
void fake_local(const char *address);
