/* copy_file_range(2): bytes of one file into another without a way through the client. */
#include <errno.h>

#include "fs/fs_int.h"

/* One piece, as much as a read gives. */
static int copy_piece(struct fs_volume *vol, struct fs_req *req, uint64_t from, uint64_t from_off,
                      uint64_t to, uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
    uint32_t count = len < FS_IO_MAX ? (uint32_t)len : FS_IO_MAX;
    struct fs_data data;
    struct fs_node node;
    struct fs_wcc wcc;
    bool eof;
    int err = fs_read(vol, req, from, from_off, count, &data, &eof, &node);

    if (err)
        return err;
    *ret_len = data.len;
    if (data.len > 0)
        err = fs_write(vol, req, to, to_off, data.iov, (int)data.count, FS_UNSTABLE, &wcc);
    fs_data_release(&data);
    return err;
}

int fs_copy_range(struct fs_volume *vol, struct fs_req *req, uint64_t from, uint64_t from_off,
                  uint64_t to, uint64_t to_off, uint64_t len, uint64_t *ret_len)
{
    uint64_t done = 0, piece = 1;
    int err = 0;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (from == to && from_off < to_off + len && to_off < from_off + len)
        return -EINVAL;
    while (done < len && piece > 0 && !err) {
        piece = 0;
        err = copy_piece(vol, req, from, from_off + done, to, to_off + done, len - done, &piece);
        if (!err)
            done += piece;
    }
    if (err && done == 0)
        return err;
    *ret_len = done;
    return 0;
}
