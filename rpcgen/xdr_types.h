/*
 * Types that the .x files name but whose filters are written by hand: handles kept inline, strings
 * taken from the call's arena, file data by reference, and lists encoded by a loop.
 *
 * Decoding these needs a stream whose x_public points to a struct xdr_ctx: memory for decoded
 * strings comes from its arena and is never freed one by one (XDR_FREE does nothing).
 */
#pragma once

#include <rpc/rpc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libtirpc's macros of these names would hide base/mem.h: include this header, not <rpc/rpc.h>. */
#undef mem_alloc
#undef mem_free

enum {
    XDR_HANDLE_MAX = 64, /* NFS3_FHSIZE */
    XDR_NAME_MAX = 1024, /* decoded; more than 255 is answered by NFS3ERR_NAMETOOLONG */
    XDR_PATH_MAX = 8192, /* decoded; what is too long is answered in NFS */
    XDR_DIRPATH_MAX = 1024,
    XDR_RPCB_STRING_MAX = 256,
    XDR_DATA_MAX = 1 << 20, /* bytes of one WRITE or READ */
};

/* Bytes that leave with a reply without being copied into it. */
struct xdr_ref {
    const void *base;
    size_t len;
    void (*unref)(void *ref); /* NULL: nothing to release */
    void *ref;
};

/* What a stream's x_public points to. */
struct xdr_ctx {
    /* Decoding: count bytes that live as long as the call; NULL = refuse. */
    void *(*alloc)(struct xdr_ctx *ctx, size_t size);
    /* Encoding: at the stream's position the bytes of these references follow. False = refuse. */
    bool (*append)(struct xdr_ctx *ctx, XDR *xdrs, const struct xdr_ref *refs, uint32_t count);
};

static inline void xdr_ctx_set(XDR *xdrs, struct xdr_ctx *ctx)
{
    xdrs->x_public = (char *)ctx;
}

/* --- NFS --- */

struct nfs_fh3 { /* opaque data<64> */
    uint32_t len;
    uint8_t data[XDR_HANDLE_MAX];
};
typedef struct nfs_fh3 nfs_fh3;
bool_t xdr_nfs_fh3(XDR *xdrs, nfs_fh3 *fh);

/* A NUL inside a name is shown as '/', which no name may contain either (NFS3ERR_INVAL). */
typedef char *filename3;
bool_t xdr_filename3(XDR *xdrs, filename3 *name);

typedef char *nfspath3;
bool_t xdr_nfspath3(XDR *xdrs, nfspath3 *path);

/* opaque data<> of READ and WRITE. Decoded: data points into the received record, contiguous, valid
 * until the handler returns. To be encoded: refs (see rpc_payload_add in nfsd/rpc.h), or, when
 * count is 0, data is copied. */
struct nfs_payload {
    uint32_t len;
    uint32_t count;
    const struct xdr_ref *refs;
    const uint8_t *data;
};
typedef struct nfs_payload nfs_payload;
bool_t xdr_nfs_payload(XDR *xdrs, nfs_payload *payload);

/* entry3 * or entryplus3 *, already encoded (struct dirbuf in nfsd/payload.h), without the FALSE
 * that ends the list. */
struct nfs_entries {
    uint32_t count; /* of refs */
    const struct xdr_ref *refs;
};
typedef struct nfs_entries nfs_entries;
bool_t xdr_nfs_entries(XDR *xdrs, nfs_entries *entries);

struct nfstime3 {
    uint32_t seconds;
    uint32_t nseconds;
};
typedef struct nfstime3 nfstime3;
bool_t xdr_nfstime3(XDR *xdrs, nfstime3 *time);

enum ftype3 {
    NF3REG = 1,
    NF3DIR = 2,
    NF3BLK = 3,
    NF3CHR = 4,
    NF3LNK = 5,
    NF3SOCK = 6,
    NF3FIFO = 7,
};
typedef enum ftype3 ftype3;
bool_t xdr_ftype3(XDR *xdrs, ftype3 *type);

struct specdata3 {
    uint32_t specdata1;
    uint32_t specdata2;
};
typedef struct specdata3 specdata3;
bool_t xdr_specdata3(XDR *xdrs, specdata3 *spec);

enum { XDR_FATTR3_SIZE = 84 };
struct fattr3 {
    ftype3 type;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t used;
    specdata3 rdev;
    uint64_t fsid;
    uint64_t fileid;
    nfstime3 atime;
    nfstime3 mtime;
    nfstime3 ctime;
};
typedef struct fattr3 fattr3;
bool_t xdr_fattr3(XDR *xdrs, fattr3 *attr);
/* The same bytes into memory. */
void xdr_fattr3_put(uint8_t out[XDR_FATTR3_SIZE], const fattr3 *attr);

/* --- MOUNT; the lists are only encoded --- */

typedef char *dirpath;
bool_t xdr_dirpath(XDR *xdrs, dirpath *path);

struct mountbody {
    char *ml_hostname;
    char *ml_directory;
    struct mountbody *ml_next;
};
typedef struct mountbody *mountlist;
bool_t xdr_mountlist(XDR *xdrs, mountlist *list);

struct groupnode {
    char *gr_name;
    struct groupnode *gr_next;
};
typedef struct groupnode *groups;

struct exportnode {
    char *ex_dir;
    groups ex_groups;
    struct exportnode *ex_next;
};
typedef struct exportnode *exports;
bool_t xdr_exports(XDR *xdrs, exports *list);

/* --- PORTMAP and RPCBIND; the lists are only encoded --- */

typedef char *pm_string;
bool_t xdr_pm_string(XDR *xdrs, pm_string *string);

struct pm_mapping {
    uint32_t prog;
    uint32_t vers;
    uint32_t prot;
    uint32_t port;
};
typedef struct pm_mapping pm_mapping;
bool_t xdr_pm_mapping(XDR *xdrs, pm_mapping *mapping);

struct pm_node {
    pm_mapping map;
    struct pm_node *next;
};
typedef struct pm_node *pm_list;
bool_t xdr_pm_list(XDR *xdrs, pm_list *list);

struct pm_rpcb {
    uint32_t r_prog;
    uint32_t r_vers;
    pm_string r_netid;
    pm_string r_addr;
    pm_string r_owner;
};
typedef struct pm_rpcb pm_rpcb;
bool_t xdr_pm_rpcb(XDR *xdrs, pm_rpcb *rpcb);

struct pm_rpcb_node {
    pm_rpcb map;
    struct pm_rpcb_node *next;
};
typedef struct pm_rpcb_node *pm_rpcb_list;
bool_t xdr_pm_rpcb_list(XDR *xdrs, pm_rpcb_list *list);

struct pm_entry { /* rpcb_entry of RPCBIND v4 GETADDRLIST */
    pm_string r_maddr;
    pm_string r_nc_netid;
    uint32_t r_nc_semantics;
    pm_string r_nc_protofmly;
    pm_string r_nc_proto;
    struct pm_entry *next;
};
typedef struct pm_entry *pm_entry_list;
bool_t xdr_pm_entry_list(XDR *xdrs, pm_entry_list *list);
