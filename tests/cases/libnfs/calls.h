/*
 * The procedures of NFSv3, one function each: sends the call, waits, returns the status. What every
 * reply must have is checked in here: attributes that make sense, in successes and in failures, and
 * no bytes left over. Results (ret...) may be NULL; they are set on success only, but for wcc.
 */
#pragma once

#include "wire.h"

struct fh {
    uint32_t len;
    char data[64];
};

struct node {
    struct fh fh;
    fattr3 attr;
};

/* The last wcc_data of a reply: of the object, or of the (target) directory. */
struct wcc {
    bool before_valid, after_valid;
    wcc_attr before;
    fattr3 after;
};

/* A case: the server, a connection as root, and a directory of its own. */
struct rig {
    struct server *server;
    struct conn *conn;
    struct fh root, dir;
};

/* Mounts path: the root's handle. */
struct fh rig_mount(struct conn *conn, const char *path);
/* For cmocka's group: a server with the default export and --squash none. */
int rig_group_setup(void **state);
int rig_group_teardown(void **state);
/* For each case: a connection and an empty directory. The group's server must be alive afterwards.
 */
int rig_setup(void **state);
int rig_teardown(void **state);
/* A rig around a server with these arguments, see server_new; started. */
struct rig *rig_new(const char *const *extra);
void rig_free(struct rig *rig);
/* Restarts the server and connects again. */
void rig_restart(struct rig *rig, int sig);

sattr3 attr_none(void);
sattr3 attr_mode(uint32_t mode);
sattr3 attr_size(uint64_t size);
sattr3 attr_owner(uint32_t uid, uint32_t gid);

nfsstat3 v3_getattr(struct conn *c, const struct fh *fh, fattr3 *ret);
nfsstat3 v3_setattr(struct conn *c, const struct fh *fh, const sattr3 *set, const nfstime3 *guard,
                    struct wcc *ret);
nfsstat3 v3_lookup(struct conn *c, const struct fh *dir, const char *name, struct node *ret);
nfsstat3 v3_access(struct conn *c, const struct fh *fh, uint32_t mask, uint32_t *ret);
nfsstat3 v3_readlink(struct conn *c, const struct fh *fh, const char **ret);

struct read_result {
    uint32_t count;
    bool eof;
    const char *data;
    fattr3 attr;
};
nfsstat3 v3_read(struct conn *c, const struct fh *fh, uint64_t off, uint32_t count,
                 struct read_result *ret);
struct write_result {
    uint32_t count;
    stable_how committed;
    char verf[8];
    struct wcc wcc;
};
nfsstat3 v3_write(struct conn *c, const struct fh *fh, uint64_t off, const void *data, uint32_t len,
                  stable_how stable, struct write_result *ret);
nfsstat3 v3_create(struct conn *c, const struct fh *dir, const char *name, createmode3 mode,
                   const sattr3 *set, struct node *ret, struct wcc *ret_wcc);
nfsstat3 v3_create_exclusive(struct conn *c, const struct fh *dir, const char *name,
                             const char verf[8], struct node *ret);
nfsstat3 v3_mkdir(struct conn *c, const struct fh *dir, const char *name, const sattr3 *set,
                  struct node *ret, struct wcc *ret_wcc);
nfsstat3 v3_symlink(struct conn *c, const struct fh *dir, const char *name, const char *target,
                    struct node *ret, struct wcc *ret_wcc);
nfsstat3 v3_mknod(struct conn *c, const struct fh *dir, const char *name, ftype3 type);
nfsstat3 v3_remove(struct conn *c, const struct fh *dir, const char *name, struct wcc *ret_wcc);
nfsstat3 v3_rmdir(struct conn *c, const struct fh *dir, const char *name, struct wcc *ret_wcc);
nfsstat3 v3_rename(struct conn *c, const struct fh *from, const char *from_name,
                   const struct fh *to, const char *to_name, struct wcc *ret_from,
                   struct wcc *ret_to);
nfsstat3 v3_link(struct conn *c, const struct fh *fh, const struct fh *dir, const char *name);
nfsstat3 v3_readdir(struct conn *c, const struct fh *dir, uint64_t cookie, const char verf[8],
                    uint32_t count, READDIR3resok *ret);
nfsstat3 v3_readdirplus(struct conn *c, const struct fh *dir, uint64_t cookie, const char verf[8],
                        uint32_t dircount, uint32_t maxcount, READDIRPLUS3resok *ret);
nfsstat3 v3_fsstat(struct conn *c, const struct fh *fh, FSSTAT3resok *ret);
nfsstat3 v3_fsinfo(struct conn *c, const struct fh *fh, FSINFO3resok *ret);
nfsstat3 v3_pathconf(struct conn *c, const struct fh *fh, PATHCONF3resok *ret);
nfsstat3 v3_commit(struct conn *c, const struct fh *fh, uint64_t off, uint32_t count,
                   char ret_verf[8], struct wcc *ret_wcc);

/* Shorthands that must succeed. */
struct node make_file(struct conn *c, const struct fh *dir, const char *name, const char *text);
struct node make_dir(struct conn *c, const struct fh *dir, const char *name);
struct node find(struct conn *c, const struct fh *dir, const char *name);
/* find()'s handle; valid until the next call but seven. */
const struct fh *fh_at(struct conn *c, const struct fh *dir, const char *name);
fattr3 attr_of(struct conn *c, const struct fh *fh);
void assert_text(struct conn *c, const struct fh *fh, const char *want);
bool same_fh(const struct fh *a, const struct fh *b);
bool same_time(nfstime3 a, nfstime3 b);
/* The state before and after that wcc tells are those of the two fattr3. */
void assert_wcc(const struct wcc *wcc, const fattr3 *before, const fattr3 *after);

/* assert_int_equal with the names of the statuses. */
#define assert_status(call, want) status_check((call), (want), #call, __FILE__, __LINE__)
#define assert_ok(call) assert_status(call, NFS3_OK)
void status_check(nfsstat3 got, nfsstat3 want, const char *call, const char *file, int line);
const char *status_name(nfsstat3 status);

/* Arguments for calls that a test sends by itself. */
diropargs3 dirop(const struct fh *dir, const char *name);
nfs_fh3 fh_arg(const struct fh *fh);
#define NFS_CALL(conn, proc, PROC, args, res)                                \
    conn_run((conn), NFS_PROG, 3, (proc), FILTER(zdr_##PROC##3args), (args), \
             FILTER(zdr_##PROC##3res), (res))
enum {
    P_NULL,
    P_GETATTR,
    P_SETATTR,
    P_LOOKUP,
    P_ACCESS,
    P_READLINK,
    P_READ,
    P_WRITE,
    P_CREATE,
    P_MKDIR,
    P_SYMLINK,
    P_MKNOD,
    P_REMOVE,
    P_RMDIR,
    P_RENAME,
    P_LINK,
    P_READDIR,
    P_READDIRPLUS,
    P_FSSTAT,
    P_FSINFO,
    P_PATHCONF,
    P_COMMIT,
};
