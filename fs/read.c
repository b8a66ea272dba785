/* Reading: what the stage has lies over what the base has; beyond the base's end are zeros. */
#include "fs/fs_int.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

enum { READ_SEGMENTS_MAX = 512 };

struct read_segment { /* of the range asked for */
    uint64_t off, len;
    bool staged, base; /* neither: zeros */
    uint64_t segment, pos;
};

struct read_plan {
    uint64_t ino, off;
    uint32_t count;
    struct fs_node *node;
    bool eof, overlaid; /* anything but base */
    uint64_t len;
    struct reader_file *file;
    struct read_segment *segments;
    size_t segment_count;
    uint64_t path_gen;
};

struct reader_file *read_file(struct fs_volume *vol, struct inode *ino)
{
    char key[STORE_KEY_MAX + 1];

    if (!ino->base_etag)
        return NULL;
    if (ino->file && ino->file_gen == vol->path_gen)
        return reader_file_ref(ino->file);
    if (path_base_key(vol, ino, key) != 0)
        return NULL;
    if (!ino->file)
        ino->file =
            reader_file_new(vol->fs->reader, vol->store, atomic_fetch_add(&vol->fs->content_id, 1),
                            key, ino->base_etag, ino->base_size);
    else
        reader_file_move(ino->file, key, ino->base_etag);
    ino->file_gen = vol->path_gen;
    return reader_file_ref(ino->file);
}

static void read_add(struct read_plan *p, const struct read_segment *seg)
{
    p->segments = mem_rearray(p->segments, p->segment_count + 1, sizeof(*p->segments));
    p->segments[p->segment_count++] = *seg;
}

/* The part of [off, end) that no extent covers: base, then zeros. */
static void read_plan_gap(struct read_plan *p, const struct inode *ino, uint64_t off, uint64_t end)
{
    uint64_t base_end = ino->base_len < end ? ino->base_len : end;

    if (off < base_end) {
        read_add(p, &(struct read_segment){.off = off, .len = base_end - off, .base = true});
        off = base_end;
    }
    if (off < end) {
        read_add(p, &(struct read_segment){.off = off, .len = end - off});
        p->overlaid = true;
    }
}

static void read_plan_range(struct fs_volume *vol, struct read_plan *p, const struct inode *ino)
{
    uint64_t off = p->off, end = p->off + p->len;
    const struct extent *e = ino->extents ? extent_map_find(ino->extents, off) : NULL;

    if (!e && end <= ino->base_len)
        return; /* the usual case needs no list */
    for (; e && e->off < end && p->segment_count < READ_SEGMENTS_MAX;
         e = extent_map_next(ino->extents, e)) {
        if (off < e->off)
            read_plan_gap(p, ino, off, e->off);
        uint64_t from = off > e->off ? off : e->off;
        uint64_t to = e->off + e->len < end ? e->off + e->len : end;
        struct read_segment seg = {.off = from,
                                   .len = to - from,
                                   .staged = true,
                                   .segment = e->segment,
                                   .pos = e->pos + (from - e->off)};
        stage_ref(vol->fs->stage, seg.segment, seg.pos, seg.len);
        read_add(p, &seg);
        p->overlaid = true;
        off = from = to;
    }
    if (e && e->off < end && p->segment_count >= READ_SEGMENTS_MAX) {
        p->len = off - p->off; /* a short read; the client comes back */
        p->eof = false;
    } else if (off < end) {
        read_plan_gap(p, ino, off, end);
    }
}

static int read_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct read_plan *p = args;
    struct inode *ino;
    int err = need_fresh(vol, req, p->ino, &ino);

    if (err)
        return err;
    inode_node(ino, vol, p->node);
    if (ino->type != FS_REG)
        return ino->type == FS_DIR ? -EISDIR : -EINVAL;
    /* The owner may, whatever the bits say: the client checked at open, before a chmod perhaps. Who
     * may execute may read: the client has to fetch the program. */
    if (!(req->flags & FS_CHECKED) && req->cred.uid != ino->uid &&
        !(access_bits(ino, &req->cred) & 5))
        return -EACCES;
    p->len = 0;
    p->eof = true;
    if (p->off >= ino->size)
        return 0;
    p->len = ino->size - p->off;
    if (p->len > p->count) {
        p->len = p->count;
        p->eof = false;
    }
    p->path_gen = vol->path_gen;
    read_plan_range(vol, p, ino);
    p->file = read_file(vol, ino);
    return 0;
}

static void read_unref_buffer(void *ref)
{
    free(ref);
}

/* Copies one segment's bytes into buf. */
static int read_segment_copy(struct fs_volume *vol, const struct read_plan *p,
                             const struct read_segment *seg, int64_t deadline_ns, char *buf)
{
    struct fs_data part = {0};
    char *at = buf;

    if (seg->staged)
        return stage_read(vol->fs->stage, seg->segment, seg->pos, buf, seg->len);
    if (!seg->base) {
        memset(buf, 0, seg->len);
        return 0;
    }
    int err = reader_read(p->file, seg->off, seg->len, false, deadline_ns, &part);
    for (uint32_t i = 0; !err && i < part.count; i++) {
        memcpy(at, part.iov[i].iov_base, part.iov[i].iov_len);
        at += part.iov[i].iov_len;
    }
    fs_data_release(&part);
    return err;
}

static int read_overlaid(struct fs_volume *vol, const struct read_plan *p, int64_t deadline_ns,
                         struct fs_data *ret)
{
    char *buf = mem_alloc(p->len);
    int err = 0;

    for (size_t i = 0; i < p->segment_count && !err; i++)
        err = read_segment_copy(vol, p, &p->segments[i], deadline_ns,
                                buf + (p->segments[i].off - p->off));
    if (err) {
        free(buf);
        return err;
    }
    ret->iov[0] = (struct iovec){.iov_base = buf, .iov_len = p->len};
    ret->ref[0] = buf;
    ret->unref[0] = read_unref_buffer;
    ret->count = 1;
    ret->len = p->len;
    return 0;
}

static int read_fetch(struct fs_volume *vol, struct fs_req *req, const struct read_plan *p,
                      struct fs_data *ret)
{
    if (p->len == 0)
        return 0;
    if (!p->overlaid)
        return p->file ? reader_read(p->file, p->off, p->len, req->flags & FS_NOWAIT,
                                     req->deadline_ns, ret)
                       : -EIO;
    if (req->flags & FS_NOWAIT)
        return -EAGAIN; /* the stage may have to read the disk */
    return read_overlaid(vol, p, req->deadline_ns, ret);
}

static void read_plan_clear(struct fs_volume *vol, struct read_plan *p)
{
    for (size_t i = 0; i < p->segment_count; i++) {
        const struct read_segment *seg = &p->segments[i];
        if (seg->staged)
            stage_unref(vol->fs->stage, seg->segment, seg->pos, seg->len);
    }
    free(p->segments);
    p->segments = NULL;
    p->segment_count = 0;
    p->overlaid = false;
    reader_file_unref(p->file);
    p->file = NULL;
}

struct read_again {
    const struct read_plan *plan;
    uint64_t path_gen;
};

/* The base was not what the plan said. If an upload or a rename of ours put another in its place,
 * the plan has to be made anew; if one is about to end, after it. Otherwise the next look at the
 * name finds out what somebody else did. */
static int read_again_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    const struct read_again *a = args;
    struct inode *ino = inode_find(vol, a->plan->ino);

    if (!ino || (ino->flags & INODE_GONE))
        return -ESTALE;
    if (vol->path_gen != a->path_gen)
        return 0;
    if (ino->flags & INODE_UPLOADING)
        return op_wait(vol, req);
    if (ino->flight_key) /* cut off by a crash */
        return flight_resolve(vol, req, ino);
    if (ino->flags & INODE_ORPHAN)
        return -ESTALE;
    if (inode_owned(vol, ino))
        return -EIO; /* part of a file with changes of ours is gone from the store */
    ino->checked_ns = 0;
    return 0;
}

int fs_read(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off, uint32_t count,
            struct fs_data *ret, bool *ret_eof, struct fs_node *node)
{
    struct read_plan p = {.ino = ino, .off = off, .node = node};
    int err;

    p.count = count < FS_IO_MAX ? count : FS_IO_MAX;
    node->attr_valid = false;
    *ret = (struct fs_data){0};
    for (;;) {
        struct read_again again = {.plan = &p};
        err = op_run(vol, req, read_try, &p);
        again.path_gen = p.path_gen;
        if (!err)
            err = read_fetch(vol, req, &p, ret);
        read_plan_clear(vol, &p);
        if (err != -ESTALE || !node->attr_valid)
            break;
        if (req->flags & FS_NOWAIT)
            return -EAGAIN;
        node->attr_valid = false;
        if (clock_mono_ns() >= req->deadline_ns)
            return -EAGAIN;
        req->start_ns = clock_mono_ns();
        err = op_run(vol, req, read_again_try, &again);
        if (err)
            break;
    }
    if (!err)
        *ret_eof = p.eof;
    return err;
}
