/* Writes the seeds of fuzz_rpc into a directory: one well-formed call of each procedure, AUTH_SYS
 * and AUTH_NONE, whole and in fragments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mount3.h"
#include "nfs3.h"
#include "portmap.h"

static const char *directory;

static void put_u32(uint8_t **at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        *(*at)++ = (uint8_t)(v >> (24 - 8 * i));
}

static void put_head(uint8_t **at, uint32_t prog, uint32_t vers, uint32_t proc)
{
    /* AUTH_SYS: stamp 1, machine "abcd", uid 1000, gid 100, groups 4 and 27; then no verifier */
    static const uint32_t cred[] = {AUTH_SYS, 32, 1, 4, 0x61626364, 1000, 100, 2, 4, 27, 0, 0};
    const uint32_t head[] = {0x1234, CALL, 2, prog, vers, proc};

    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        put_u32(at, head[i]);
    for (size_t i = 0; i < sizeof(cred) / sizeof(cred[0]); i++)
        put_u32(at, cred[i]);
}

static void write_seed(const char *name, const uint8_t *bytes, size_t len)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, len, f) != len || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void seed(const char *name, uint32_t prog, uint32_t vers, uint32_t proc, xdrproc_t filter,
                 void *args)
{
    uint8_t call[2048], *at = call, file[4096], *out = file;
    uint32_t len, half;
    char split[64];
    XDR xdrs;

    put_head(&at, prog, vers, proc);
    xdrmem_create(&xdrs, (char *)at, (u_int)(sizeof(call) - (size_t)(at - call)), XDR_ENCODE);
    if (filter && !filter(&xdrs, args)) {
        (void)fprintf(stderr, "%s: does not encode\n", name);
        exit(1);
    }
    len = (uint32_t)(at - call) + XDR_GETPOS(&xdrs);
    *out++ = 255;
    put_u32(&out, 0x80000000u | len);
    memcpy(out, call, len);
    write_seed(name, file, (size_t)(out - file) + len);

    out = file; /* in two fragments, arriving in small pieces */
    half = len / 2;
    *out++ = 1;
    put_u32(&out, half);
    memcpy(out, call, half);
    out += half;
    put_u32(&out, 0x80000000u | (len - half));
    memcpy(out, call + half, len - half);
    (void)snprintf(split, sizeof(split), "%s.split", name);
    write_seed(split, file, (size_t)(out - file) + len - half);
}

#define NFS(name, proc, ...)                                             \
    seed(#name, NFS_PROGRAM, NFS_V3, proc, (xdrproc_t)xdr_##name##3args, \
         &(name##3args){__VA_ARGS__})

static void nfs_seeds(void)
{
    const nfs_fh3 fh = {.len = 32, .data = "handle"};
    const diropargs3 what = {.dir = fh, .name = (char *)(uintptr_t) "a name"};
    const sattr3 sattr = {.mode = {.set_it = TRUE, .set_mode3_u.mode = 0644},
                          .size = {.set_it = TRUE},
                          .mtime = {.set_it = SET_TO_CLIENT_TIME}};
    char path[] = "a/target";

    NFS(GETATTR, NFSPROC3_GETATTR, .object = fh);
    NFS(SETATTR, NFSPROC3_SETATTR, .object = fh, .new_attributes = sattr, .guard.check = TRUE);
    NFS(LOOKUP, NFSPROC3_LOOKUP, .what = what);
    NFS(ACCESS, NFSPROC3_ACCESS, .object = fh, .access = 63);
    NFS(READLINK, NFSPROC3_READLINK, .symlink = fh);
    NFS(READ, NFSPROC3_READ, .file = fh, .offset = 4096, .count = 1 << 20);
    NFS(WRITE, NFSPROC3_WRITE, .file = fh, .count = 5, .stable = FILE_SYNC, .data.len = 5,
        .data.data = (const uint8_t *)"hello");
    NFS(CREATE, NFSPROC3_CREATE, .where = what, .how.mode = EXCLUSIVE);
    NFS(CREATE, NFSPROC3_CREATE, .where = what, .how = {GUARDED, {.g_obj_attributes = sattr}});
    NFS(MKDIR, NFSPROC3_MKDIR, .where = what, .attributes = sattr);
    NFS(SYMLINK, NFSPROC3_SYMLINK, .where = what,
        .symlink = {.symlink_attributes = sattr, .symlink_data = path});
    NFS(MKNOD, NFSPROC3_MKNOD, .where = what, .what.type = NF3CHR);
    NFS(REMOVE, NFSPROC3_REMOVE, .object = what);
    NFS(RMDIR, NFSPROC3_RMDIR, .object = what);
    NFS(RENAME, NFSPROC3_RENAME, .from = what, .to = what);
    NFS(LINK, NFSPROC3_LINK, .file = fh, .link = what);
    NFS(READDIR, NFSPROC3_READDIR, .dir = fh, .count = 4096);
    NFS(READDIRPLUS, NFSPROC3_READDIRPLUS, .dir = fh, .dircount = 512, .maxcount = 4096);
    NFS(FSSTAT, NFSPROC3_FSSTAT, .fsroot = fh);
    NFS(FSINFO, NFSPROC3_FSINFO, .fsroot = fh);
    NFS(PATHCONF, NFSPROC3_PATHCONF, .object = fh);
    NFS(COMMIT, NFSPROC3_COMMIT, .file = fh);
}

int main(int argc, char **argv)
{
    char name[] = "/export", netid[] = "tcp", addr[] = "127.0.0.1.8.1", owner[] = "0";
    dirpath path = name;
    pm_mapping mapping = {.prog = NFS_PROGRAM, .vers = 3, .prot = 6};
    pm_rpcb rpcb = {
        .r_prog = NFS_PROGRAM, .r_vers = 3, .r_netid = netid, .r_addr = addr, .r_owner = owner};

    if (argc != 2) {
        (void)fprintf(stderr, "usage: fuzz_rpc_seeds DIRECTORY\n");
        return 2;
    }
    directory = argv[1];
    nfs_seeds();
    seed("NULL", NFS_PROGRAM, NFS_V3, 0, NULL, NULL);
    seed("MNT", MOUNT_PROGRAM, MOUNT_V3, MOUNTPROC3_MNT, (xdrproc_t)xdr_dirpath, &path);
    seed("GETPORT", PM_PROGRAM, PM_V2, PM2_GETPORT, (xdrproc_t)xdr_pm_mapping, &mapping);
    seed("GETADDR", PM_PROGRAM, PM_V4, PM4_GETADDRLIST, (xdrproc_t)xdr_pm_rpcb, &rpcb);
    return 0;
}
