/*
 * Multipart uploads. An upload is a directory FILE_TMP_DIR/m-<id>, the id being the upload id:
 *
 *   info       key and metadata from MPU_BEGIN, as NUL-terminated strings; gone = the upload is
 * over size       symlink whose text is the slot size: the length of the first part that came data
 * part n of at most that length is at (n - 1) * slot size f<n>       the data of part n if it is
 * longer p<n>       symlink whose text is "<etag> <length> d" or "... f": part n is complete, and
 * where
 *
 * Parts of one size, as nearly all uploads have, so lie in place already: completing is a rename.
 * Others are put together by copying. Symlinks as records are made atomically, and with the fsync
 * of the directory they are durable: an upload goes on after a crash with every part acknowledged
 * before. Concurrent uploads of the same part number are the caller's mistake.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/file_int.h"

enum {
    MPU_ID_LEN = 32,
    MPU_INFO_MAX = STORE_KEY_MAX + 2 * FILE_META_MAX + 16,
    MPU_PART_MAX_NUMBER = 10000,
};

struct mpu_part {
    char etag[64], place; /* 'd' or 'f' */
    uint64_t size;
};

static int mpu_open(struct file_store *fs, const char *upload_id)
{
    char name[MPU_ID_LEN + 3];

    if (strlen(upload_id) != MPU_ID_LEN || strspn(upload_id, "0123456789abcdef") != MPU_ID_LEN)
        return -ENOENT;
    (void)snprintf(name, sizeof(name), "m-%s", upload_id);
    int fd = openat(fs->tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? file_errno() : fd;
}

static int mpu_write_info(int dir_fd, const char *key, const struct store_meta *meta)
{
    char info[MPU_INFO_MAX];
    size_t len = strlen(key) + 1;

    memcpy(info, key, len);
    for (size_t i = 0; meta && i < meta->count; i++) {
        size_t name_len = strlen(meta->pairs[i].name) + 1;
        size_t value_len = strlen(meta->pairs[i].value) + 1;
        if (len + name_len + value_len > sizeof(info))
            return -EINVAL;
        memcpy(info + len, meta->pairs[i].name, name_len);
        memcpy(info + len + name_len, meta->pairs[i].value, value_len);
        len += name_len + value_len;
    }
    CLEANUP_CLOSE int fd = openat(dir_fd, "info", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_errno();
    int err = file_write_all(fd, info, len, 0);
    return !err && (fsync(fd) < 0 || fsync(dir_fd) < 0) ? file_errno() : err;
}

/* The metadata, if the upload is one of this key. */
static int mpu_read_info(int dir_fd, const char *key, struct store_meta *ret)
{
    char info[MPU_INFO_MAX + 1];
    CLEANUP_CLOSE int fd = openat(dir_fd, "info", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t len = fd < 0 ? file_errno() : file_read_some(fd, info, MPU_INFO_MAX, 0);

    if (len < 0)
        return (int)len;
    info[len] = '\0';
    if (strcmp(info, key) != 0)
        return -EINVAL;
    char *at = info + strlen(info) + 1, *end = info + len;
    while (at < end) {
        char *value = at + strlen(at) + 1;
        if (value >= end)
            return -EIO;
        store_meta_set(ret, at, value);
        at = value + strlen(value) + 1;
    }
    return 0;
}

/* A new upload appears under its name only with its info in it. */
static int mpu_make(struct file_store *fs, const char *name, const struct store_req *req)
{
    if (mkdirat(fs->work_fd, name, 0700) < 0)
        return file_errno();
    CLEANUP_CLOSE int fd = openat(fs->work_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 ? file_errno() : mpu_write_info(fd, req->key, req->meta);
    if (!err && renameat(fs->work_fd, name, fs->tmp_fd, name) < 0)
        err = file_errno();
    if (err)
        (void)file_sweep_remove_dir(fs->work_fd, name);
    else if (fsync(fs->tmp_fd) < 0)
        err = file_errno();
    return err;
}

int file_mpu_begin(struct file_store *fs, struct store_req *req)
{
    char id[MPU_ID_LEN + 1], name[MPU_ID_LEN + 3];
    int err = file_path_check(req->key);

    if (!err)
        err = file_meta_check(req->meta);
    if (err)
        return file_fail(req, err, "this key or metadata cannot be kept in a directory of files");
    if (req->key[strlen(req->key) - 1] == '/' || file_meta_type(req->meta) == S_IFLNK)
        return file_fail(req, -EINVAL, "only plain files can be uploaded in parts");
    file_random_id(id);
    (void)snprintf(name, sizeof(name), "m-%s", id);
    err = mpu_make(fs, name, req);
    if (!err)
        req->ret_upload_id = mem_strdup(id);
    return err;
}

/* The slot size of the upload, which is len if there was none before. */
static int mpu_slot_size(int dir_fd, uint64_t len, uint64_t *ret)
{
    char text[32];

    if (len > 0) {
        (void)snprintf(text, sizeof(text), "%" PRIu64, len);
        if (symlinkat(text, dir_fd, "size") < 0 && errno != EEXIST)
            return file_errno();
    }
    ssize_t n = readlinkat(dir_fd, "size", text, sizeof(text) - 1);
    if (n < 0 && errno != ENOENT)
        return file_errno();
    text[n < 0 ? 0 : n] = '\0';
    *ret = strtoull(text, NULL, 10);
    return 0;
}

/* Where part number goes: an open file, and the offset in it. */
static int mpu_place(int dir_fd, uint32_t number, uint64_t len, uint64_t *ret_off, char *ret_place)
{
    char name[16] = "data";
    uint64_t slot = 0;
    int err = mpu_slot_size(dir_fd, len, &slot);

    if (err)
        return err;
    *ret_place = len > 0 && len <= slot && slot <= INT64_MAX / MPU_PART_MAX_NUMBER ? 'd' : 'f';
    *ret_off = *ret_place == 'd' ? (number - 1) * slot : 0;
    if (*ret_place == 'f')
        (void)snprintf(name, sizeof(name), "f%" PRIu32, number);
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    return fd < 0 ? file_errno() : fd;
}

/* Forgets an earlier version of the part, for good, before its bytes are overwritten. */
static int mpu_forget(int dir_fd, const char *record)
{
    if (unlinkat(dir_fd, record, 0) < 0)
        return errno == ENOENT ? 0 : file_errno();
    return fsync(dir_fd) < 0 ? file_errno() : 0;
}

/* Stores one part: from req->buf, or from src_fd when that is not -1. */
static int mpu_store(struct file_store *fs, struct store_req *req, int src_fd, uint64_t len)
{
    char record[16], text[STORE_ETAG_MAX + 32], place = 0;
    uint64_t off = 0;

    if (req->part_number < 1 || req->part_number > MPU_PART_MAX_NUMBER)
        return file_fail(req, -EINVAL, "part numbers are 1 to %d", MPU_PART_MAX_NUMBER);
    CLEANUP_CLOSE int dir_fd = mpu_open(fs, req->upload_id);
    if (dir_fd < 0)
        return dir_fd;
    if (faccessat(dir_fd, "info", F_OK, 0) < 0)
        return file_errno();
    (void)snprintf(record, sizeof(record), "p%" PRIu32, req->part_number);
    int err = mpu_forget(dir_fd, record);
    CLEANUP_CLOSE int fd = err ? err : mpu_place(dir_fd, req->part_number, len, &off, &place);
    if (fd < 0)
        return fd;
    if (place == 'f' && ftruncate(fd, 0) < 0)
        return file_errno();
    err = src_fd < 0 ? file_write_all(fd, req->buf, len, off)
                     : file_copy_range(src_fd, req->range_off, fd, off, len);
    if (!err && fdatasync(fd) < 0)
        err = file_errno();
    if (err)
        return err;
    struct store_part *part = &req->ret_part;
    *part = (struct store_part){.number = req->part_number};
    (void)snprintf(part->etag, sizeof(part->etag), "%" PRIx64, (uint64_t)file_stamp_next(fs));
    (void)snprintf(text, sizeof(text), "%s %" PRIu64 " %c", part->etag, len, place);
    return symlinkat(text, dir_fd, record) < 0 || fsync(dir_fd) < 0 ? file_errno() : 0;
}

int file_mpu_part(struct file_store *fs, struct store_req *req)
{
    return mpu_store(fs, req, /* src_fd= */ -1, req->buf_len);
}

int file_mpu_copy(struct file_store *fs, struct store_req *req)
{
    CLEANUP_PATH struct file_path src = {.dir_fd = -1};
    char before[STORE_ETAG_MAX];
    struct file_info info;

    int err = file_path_open(fs, req->src_key, &src);
    if (!err)
        err = file_info_of_path(&src, &info);
    if (err)
        return err;
    if (info.kind != FILE_REGULAR)
        return file_fail(req, -EINVAL, "only plain files have ranges to copy");
    CLEANUP_CLOSE int fd = file_info_open(src.dir_fd, src.name, &info);
    if (fd < 0)
        return fd;
    if (!file_info_matches(&info, req->src_if_match))
        return -ESTALE;
    if (req->range_len > info.size || req->range_off > info.size - req->range_len)
        return file_fail(req, -EINVAL, "the range goes beyond the end of the source");
    err = mpu_store(fs, req, fd, req->range_len);
    if (err)
        return err;
    file_info_etag(&info, before);
    err = file_info_get(fd, "", &info);
    if (!err && !file_info_matches(&info, before)) /* written to in place while we read it */
        err = req->src_if_match ? -ESTALE : -EAGAIN;
    return err;
}

static int mpu_read_part(int dir_fd, uint32_t number, struct mpu_part *ret)
{
    char record[16], text[128];

    (void)snprintf(record, sizeof(record), "p%" PRIu32, number);
    ssize_t n = readlinkat(dir_fd, record, text, sizeof(text) - 1);
    if (n < 0)
        return errno == ENOENT ? -EINVAL : file_errno();
    text[n] = '\0';
    char *space = strchr(text, ' '), *end;
    size_t len = space ? (size_t)(space - text) : 0;
    if (len == 0 || len >= sizeof(ret->etag))
        return -EIO;
    memcpy(ret->etag, text, len);
    ret->etag[len] = '\0';
    ret->size = strtoull(space + 1, &end, 10);
    if (end[0] != ' ' || (end[1] != 'd' && end[1] != 'f') || end[2] != '\0')
        return -EIO;
    ret->place = end[1];
    return 0;
}

/* Looks at all parts that are to make the object: are they there, how long in all, do they lie in
 * place in the data file already? */
static int mpu_survey(int dir_fd, struct store_req *req, uint64_t slot, uint64_t *ret_total,
                      bool *ret_in_place)
{
    uint64_t total = 0;
    bool in_place = true;

    for (size_t i = 0; i < req->part_count; i++) {
        const struct store_part *want = &req->parts[i];
        struct mpu_part part = {.place = 'f'};
        int err = mpu_read_part(dir_fd, want->number, &part);
        if (err == -EINVAL || (!err && strcmp(part.etag, want->etag) != 0) ||
            (i > 0 && want->number <= req->parts[i - 1].number))
            return file_fail(req, -EINVAL, "part %" PRIu32 " is not there as named", want->number);
        if (err)
            return err;
        in_place = in_place && part.place == 'd' && total == (want->number - 1) * slot;
        total += part.size;
    }
    *ret_total = total;
    *ret_in_place = in_place;
    return 0;
}

/* Parts of odd sizes: puts them together in a new file. */
static int mpu_assemble(int dir_fd, const struct store_req *req, uint64_t slot, int dst_fd)
{
    uint64_t to = 0;

    for (size_t i = 0; i < req->part_count; i++) {
        char name[16] = "data";
        struct mpu_part part = {0};
        uint32_t number = req->parts[i].number;
        int err = mpu_read_part(dir_fd, number, &part);
        if (err)
            return err;
        if (part.place == 'f')
            (void)snprintf(name, sizeof(name), "f%" PRIu32, number);
        CLEANUP_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return file_errno();
        uint64_t from = part.place == 'f' ? 0 : (number - 1) * slot;
        err = file_copy_range(fd, from, dst_fd, to, part.size);
        if (err)
            return err;
        to += part.size;
    }
    return 0;
}

/* The object's file: the data file itself when every byte of it belongs to the object in its place,
 * otherwise a new one. *ret_own = it is a new one. */
static int mpu_gather(struct file_store *fs, int dir_fd, struct store_req *req,
                      struct file_temp *ret, bool *ret_own)
{
    uint64_t slot = 0, total = 0;
    bool in_place = false;
    struct file_info info;

    int err = mpu_slot_size(dir_fd, 0, &slot);
    if (!err)
        err = mpu_survey(dir_fd, req, slot, &total, &in_place);
    if (err)
        return err;
    if (in_place) {
        int fd = openat(dir_fd, "data", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return file_errno();
        *ret = (struct file_temp){.fs = fs, .dir_fd = dir_fd, .fd = fd, .name = "data"};
        *ret_own = false;
        err = file_info_get(fd, "", &info);
        if (err || info.size == total)
            return err;
        (void)close(fd); /* there are parts in it that the object does not want */
        ret->fd = -1;
    }
    err = file_temp_make(fs, ret);
    *ret_own = true;
    return err ? err : mpu_assemble(dir_fd, req, slot, ret->fd);
}

/* Without info the upload is over; what is left of it the sweep would take as well. */
static int mpu_remove(struct file_store *fs, int dir_fd, const char *upload_id)
{
    char name[MPU_ID_LEN + 3];

    if ((unlinkat(dir_fd, "info", 0) < 0 && errno != ENOENT) || fsync(dir_fd) < 0)
        return file_errno();
    (void)snprintf(name, sizeof(name), "m-%s", upload_id);
    (void)file_sweep_remove_dir(fs->tmp_fd, name);
    return 0;
}

int file_mpu_complete(struct file_store *fs, struct store_req *req)
{
    struct file_temp temp = {.fd = -1};
    struct store_meta meta = {0};
    bool own = false;

    if (req->part_count == 0)
        return file_fail(req, -EINVAL, "an upload without parts cannot be completed");
    CLEANUP_CLOSE int dir_fd = mpu_open(fs, req->upload_id);
    if (dir_fd < 0)
        return dir_fd;
    int err = mpu_read_info(dir_fd, req->key, &meta);
    if (err == -EINVAL)
        err = file_fail(req, err, "the upload is one of another key");
    if (!err)
        err = file_check_target_early(fs, req);
    if (!err)
        err = mpu_gather(fs, dir_fd, req, &temp, &own);
    if (!err)
        err = file_temp_publish(&temp, req, meta.count > 0 ? &meta : NULL);
    if (!err)
        (void)mpu_remove(fs, dir_fd, req->upload_id); /* the object is there, whatever this says */
    if (own)
        file_temp_done(&temp);
    else if (temp.fd >= 0)
        (void)close(temp.fd);
    store_meta_clear(&meta);
    return err;
}

int file_mpu_abort(struct file_store *fs, struct store_req *req)
{
    CLEANUP_CLOSE int dir_fd = mpu_open(fs, req->upload_id);

    if (dir_fd < 0)
        return dir_fd == -ENOENT ? 0 : dir_fd;
    return mpu_remove(fs, dir_fd, req->upload_id);
}
