/* The file system, faked; see fake.h. */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fake_fs fake_fs;

enum { FAKE_TAG = 0xfa };

nfs_fh3 fake_handle(uint32_t vol, uint64_t ino)
{
    nfs_fh3 fh = {.len = FS_HANDLE_SIZE};

    fs_handle_encode(&fake_fs.vols[vol], ino, fh.data);
    return fh;
}

void fs_handle_encode(struct fs_volume *vol, uint64_t ino, uint8_t ret[FS_HANDLE_SIZE])
{
    memset(ret, 0, FS_HANDLE_SIZE);
    ret[0] = FAKE_TAG;
    ret[1] = (uint8_t)(vol - fake_fs.vols);
    memcpy(ret + 2, &ino, sizeof(ino));
}

int fs_handle_decode(struct fs *fs, const void *data, size_t len, struct fs_volume **ret_vol,
                     uint64_t *ret_ino)
{
    const uint8_t *bytes = data;

    (void)fs;
    if (len != FS_HANDLE_SIZE || bytes[0] != FAKE_TAG)
        return -EBADF;
    if (bytes[1] > 2)
        return -ESTALE;
    *ret_vol = &fake_fs.vols[bytes[1]];
    memcpy(ret_ino, bytes + 2, sizeof(*ret_ino));
    return 0;
}

uint64_t fs_root(struct fs_volume *vol)
{
    return vol->id;
}

struct fs_volume *fs_volume_top(struct fs_volume *vol)
{
    return vol == &fake_fs.vols[2] ? fake_fs.top2 : vol;
}

uint32_t fs_volume_id(struct fs_volume *vol)
{
    return vol->id;
}

void fs_write_verifier(struct fs *fs, uint8_t ret[FS_VERF_SIZE])
{
    (void)fs;
    fake_fs.verifier_asked_first = fake_fs.calls == 0;
    memcpy(ret, fake_fs.verifier, FS_VERF_SIZE);
}

static void keep_name(char out[FAKE_NAME_MAX], const char *name)
{
    size_t len = strnlen(name, FAKE_NAME_MAX - 1);

    memcpy(out, name, len);
    out[len] = '\0';
}

/* Every operation begins here. */
static int called(struct fs_req *req, uint64_t ino, const char *name)
{
    fake_fs.calls++;
    fake_fs.req = *req;
    fake_fs.ino = ino;
    if (name)
        keep_name(fake_fs.name, name);
    req->seq = fake_fs.seq;
    return fake_fs.err;
}

/* What changes the namespace ends here: out-parameters are set. */
static int change(struct fs_req *req, int err)
{
    const void *key, *reply;
    size_t key_len, reply_len;

    if (err || !fake_fs.journals || !req->journal)
        return err;
    fake_fs.journal_said = req->journal(req, &key, &key_len, &reply, &reply_len);
    return fake_fs.fails_after_journal ? -EIO : 0;
}

int fs_getattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_attr *ret)
{
    (void)vol;
    fake_fs.getattr_calls++;
    fake_fs.req = *req;
    fake_fs.ino = ino;
    req->seq = fake_fs.seq;
    if (fake_fs.getattr_err)
        return fake_fs.getattr_err;
    *ret = fake_fs.attr;
    return 0;
}

int fs_setattr(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const struct fs_sattr *set,
               const int64_t *guard_ctime_ns, struct fs_wcc *wcc)
{
    (void)vol;
    int err = called(req, ino, NULL);
    fake_fs.set = *set;
    fake_fs.guarded = guard_ctime_ns != NULL;
    fake_fs.guard_ns = guard_ctime_ns ? *guard_ctime_ns : 0;
    *wcc = fake_fs.wcc;
    return change(req, err);
}

int fs_lookup(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              struct fs_node *ret, struct fs_node *dir_node)
{
    int err = called(req, dir, name);
    if (fake_fs.lookup_count < 8)
        memcpy(fake_fs.lookups[fake_fs.lookup_count++], name, strnlen(name, 63) + 1);
    *dir_node = fake_fs.dir_node;
    if (err == 0)
        *ret = fake_fs.node;
    if (err == 0 && !ret->vol)
        ret->vol = vol;
    return err;
}

int fs_access(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint32_t mask,
              uint32_t *ret_mask, struct fs_node *node)
{
    (void)vol;
    int err = called(req, ino, NULL);
    fake_fs.mask = mask;
    *node = fake_fs.node;
    if (err == 0)
        *ret_mask = fake_fs.granted;
    return err;
}

int fs_readlink(struct fs_volume *vol, struct fs_req *req, uint64_t ino, char *buf,
                struct fs_node *node)
{
    (void)vol;
    int err = called(req, ino, NULL);
    *node = fake_fs.node;
    if (err == 0)
        memcpy(buf, fake_fs.target, strlen(fake_fs.target) + 1);
    return err;
}

static void count_release(void *ref)
{
    (void)ref;
    fake_fs.releases++;
}

void fs_data_release(struct fs_data *data)
{
    for (uint32_t i = 0; i < data->count; i++) {
        if (data->ref[i])
            data->unref[i](data->ref[i]);
    }
    data->count = 0;
}

int fs_read(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint32_t count,
            struct fs_data *ret, bool *ret_eof, struct fs_node *node)
{
    (void)vol;
    int err = called(req, ino, NULL);
    size_t len = strlen(fake_fs.bytes), half = len / 2;

    fake_fs.off = off;
    fake_fs.count = count;
    *node = fake_fs.node;
    if (err)
        return err;
    ret->iov[0] = (struct iovec){.iov_base = (void *)fake_fs.bytes, .iov_len = half};
    ret->iov[1] = (struct iovec){.iov_base = (void *)(fake_fs.bytes + half), .iov_len = len - half};
    ret->ref[0] = &fake_fs;
    ret->unref[0] = count_release;
    ret->ref[1] = NULL; /* nothing to release */
    ret->unref[1] = NULL;
    ret->count = 2;
    ret->len = len;
    *ret_eof = fake_fs.eof;
    return 0;
}

int fs_write(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
             const struct iovec *iov, int iov_count, enum fs_stable stable, struct fs_wcc *wcc)
{
    (void)vol;
    int err = called(req, ino, NULL);
    size_t len = 0;

    for (int i = 0; i < iov_count; i++) {
        if (len + iov[i].iov_len < sizeof(fake_fs.written))
            memcpy(fake_fs.written + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    fake_fs.off = off;
    fake_fs.count = (uint32_t)len;
    fake_fs.stable = stable;
    *wcc = fake_fs.wcc;
    return err;
}

static int make(struct fs_req *req, uint64_t dir, const char *name, const struct fs_sattr *set,
                struct fs_node *ret, struct fs_wcc *dir_wcc)
{
    int err = called(req, dir, name);

    fake_fs.set = *set;
    *dir_wcc = fake_fs.wcc;
    if (err == 0)
        *ret = fake_fs.node;
    return change(req, err);
}

int fs_create(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              enum fs_create_how how, const struct fs_sattr *set, const uint8_t verf[FS_VERF_SIZE],
              struct fs_node *ret, struct fs_wcc *dir_wcc)
{
    (void)vol;
    fake_fs.how = how;
    fake_fs.has_verf = verf != NULL;
    if (verf)
        memcpy(fake_fs.create_verf, verf, FS_VERF_SIZE);
    return make(req, dir, name, set, ret, dir_wcc);
}

int fs_mkdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
             const struct fs_sattr *set, struct fs_node *ret, struct fs_wcc *dir_wcc)
{
    (void)vol;
    return make(req, dir, name, set, ret, dir_wcc);
}

int fs_symlink(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
               const char *target, const struct fs_sattr *set, struct fs_node *ret,
               struct fs_wcc *dir_wcc)
{
    (void)vol;
    keep_name(fake_fs.name2, target);
    return make(req, dir, name, set, ret, dir_wcc);
}

int fs_remove(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
              struct fs_wcc *dir_wcc)
{
    (void)vol;
    int err = called(req, dir, name);
    *dir_wcc = fake_fs.wcc;
    return change(req, err);
}

int fs_rmdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, const char *name,
             struct fs_wcc *dir_wcc)
{
    return fs_remove(vol, req, dir, name, dir_wcc);
}

int fs_rename(struct fs_volume *vol, struct fs_req *req, uint64_t from_dir, const char *from,
              uint64_t to_dir, const char *to, struct fs_wcc *from_wcc, struct fs_wcc *to_wcc)
{
    (void)vol;
    int err = called(req, from_dir, from);
    fake_fs.ino2 = to_dir;
    keep_name(fake_fs.name2, to);
    *from_wcc = fake_fs.wcc;
    *to_wcc = fake_fs.wcc2;
    return change(req, err);
}

int fs_readdir(struct fs_volume *vol, struct fs_req *req, uint64_t dir, uint64_t cookie,
               bool want_attr, fs_emit_fn *emit, void *ctx, bool *ret_eof, struct fs_node *dir_node)
{
    (void)vol;
    int err = called(req, dir, NULL);
    bool all = true;

    fake_fs.cookie = cookie;
    fake_fs.want_attr = want_attr;
    *dir_node = fake_fs.dir_node;
    for (uint32_t i = 0; i < fake_fs.entry_count && all; i++) {
        struct fs_dir_entry entry = {
            .cookie = fake_fs.entries[i].cookie,
            .name = fake_fs.entries[i].name,
            .node = {.vol = vol,
                     .ino = fake_fs.entries[i].ino,
                     .attr_valid = fake_fs.entries[i].attr_valid},
        };
        if (entry.cookie > cookie)
            all = emit(ctx, &entry);
    }
    if (err == 0)
        *ret_eof = all;
    return err;
}

int fs_statfs(struct fs_volume *vol, struct fs_req *req, uint64_t ino, struct fs_space *ret,
              struct fs_node *node)
{
    (void)vol;
    int err = called(req, ino, NULL);
    *node = fake_fs.node;
    if (err == 0)
        *ret = fake_fs.space;
    return err;
}

int fs_commit(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint32_t count,
              struct fs_wcc *wcc)
{
    (void)vol;
    int err = called(req, ino, NULL);
    fake_fs.off = off;
    fake_fs.count = count;
    *wcc = fake_fs.wcc;
    return err;
}
