/*
 * Making the object. Small ones by one PUT from memory, large ones by parts (place_parts.c),
 * content that did not change by a copy of the whole inside the store.
 */
#include "fs/place_int.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/mime.h"

int place_call(struct place *p, struct store_req *r)
{
    r->prio = STORE_PRIO_UPLOAD;
    r->deadline_ns = p->deadline_ns;
    int err = store_call(p->vol->store, r);
    if (err)
        memcpy(p->error_text, r->error_text, sizeof(p->error_text));
    return err;
}

size_t place_first(const struct place *p, uint64_t off)
{
    size_t lo = 0, hi = p->snapshot.count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct extent *e = &p->snapshot.extents[mid];
        if (e->off + e->len <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Bytes [at, to) of the file, which lie in that extent. A disk that does not read them now may do
 * so later; bytes that are not what was written never will be. */
static int place_staged(const struct place *p, const struct extent *e, uint64_t at, uint64_t to,
                        char *buf)
{
    int err = stage_try_read(p->vol->fs->stage, e->segment, e->pos + (at - e->off), buf, to - at);

    return err == -EIO ? -EAGAIN : err ? -EIO : 0;
}

int place_fill(struct place *p, uint64_t off, size_t len, char *buf)
{
    uint64_t end = off + len, base_end = p->base_len < end ? p->base_len : end;
    uint64_t at = off;
    int err = 0;

    /* What the stage has is read over the base; ranges of the base that it covers are not fetched.
     */
    for (size_t i = place_first(p, off); i <= p->snapshot.count && !err; i++) {
        const struct extent *e = i < p->snapshot.count ? &p->snapshot.extents[i] : NULL;
        uint64_t gap_end = e && e->off < end ? e->off : end;
        if (at < gap_end) {
            uint64_t base_to = base_end < gap_end ? base_end : gap_end;
            if (at < base_to) {
                err = p->base
                          ? reader_copy(p->base, at, base_to - at, p->deadline_ns, buf + (at - off))
                          : -EIO;
                if (err == -ESTALE)
                    p->base_lost = true;
                at = base_to;
            }
            memset(buf + (at - off), 0, gap_end - at);
            at = gap_end;
        }
        if (!e || at >= end || err)
            break;
        uint64_t to = e->off + e->len < end ? e->off + e->len : end;
        err = place_staged(p, e, at, to, buf + (at - off));
        at = to;
    }
    return err;
}

const char *place_content_type(const struct place *p)
{
    bool by_name = p->vol->config.use_content_type;
    bool moved = p->base_etag && mime_other_extension(p->base_key, p->target);
    const char *type;

    if (p->type != FS_REG)
        return NULL;
    /* What somebody gave it stays, unless the name says something else by now. */
    if (!moved && (p->content_type || !p->content || !by_name))
        return p->content ? p->content_type : NULL;
    type = by_name ? mime_of_name(p->target) : NULL;
    return type || !p->content ? type : p->content_type;
}

static int place_put(struct place *p, const void *body, size_t len)
{
    struct store_req r = {.op = STORE_PUT,
                          .key = p->target,
                          .buf = (void *)(uintptr_t)body,
                          .buf_len = len,
                          .meta = &p->meta,
                          .content_type = place_content_type(p),
                          .if_match = p->if_match,
                          .if_none_match = p->if_none_match};
    int err = place_call(p, &r);

    if (!err)
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
    store_req_clear(&r);
    return err;
}

static int place_copy(struct place *p)
{
    struct store_req r = {.op = STORE_COPY,
                          .key = p->target,
                          .src_key = p->base_key,
                          .src_if_match = p->base_etag,
                          .src_size = p->base_size,
                          .meta = &p->meta,
                          .content_type = place_content_type(p)};
    bool self = strcmp(p->target, p->base_key) == 0;

    /* Where the store cannot compare by itself it looks just before, as we did: the later the
     * better. */
    if (!self) {
        r.if_match = p->if_match;
        r.if_none_match = p->if_none_match;
    }
    int err = place_call(p, &r);
    if (!err)
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
    if (err == -ENOENT || (err == -ESTALE && self)) {
        p->base_lost = true;
        err = -ESTALE;
    }
    store_req_clear(&r);
    return err;
}

bool place_untouched(const struct place *p, uint64_t off, uint64_t len)
{
    size_t i = place_first(p, off);

    if (!p->base || off + len > p->base_len)
        return false;
    return i == p->snapshot.count || p->snapshot.extents[i].off >= off + len;
}

void place_take_memory(struct fs *fs, uint64_t bytes)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    while (fs->part_buffers > 0 && fs->part_buffers + bytes > fs->part_limit)
        (void)thread_cond_wait_until(&fs->pool_cond, &fs->pool_lock, CLOCK_NEVER);
    fs->part_buffers += bytes;
    (void)pthread_mutex_unlock(&fs->pool_lock);
}

bool place_try_memory(struct fs *fs, uint64_t bytes)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    bool room = fs->part_buffers + bytes <= fs->part_limit;
    if (room)
        fs->part_buffers += bytes;
    (void)pthread_mutex_unlock(&fs->pool_lock);
    return room;
}

void place_give_memory(struct fs *fs, uint64_t bytes)
{
    (void)pthread_mutex_lock(&fs->pool_lock);
    fs->part_buffers -= bytes;
    (void)pthread_cond_broadcast(&fs->pool_cond);
    (void)pthread_mutex_unlock(&fs->pool_lock);
}

static int place_single(struct place *p)
{
    uint64_t len = p->size;

    place_take_memory(p->vol->fs, len);
    CLEANUP_FREE char *buf = mem_alloc(len ? len : 1);
    int err = place_fill(p, 0, len, buf);
    if (!err)
        err = place_put(p, buf, len);
    place_give_memory(p->vol->fs, len);
    return err;
}

int place_data(struct place *p)
{
    if (p->type == FS_DIR)
        return place_put(p, "", 0);
    if (p->type == FS_LNK && p->symlink)
        return place_put(p, p->symlink, strlen(p->symlink));
    if (!p->content)
        return place_copy(p);
    return mpu_wanted(p->vol, p->size) ? place_multipart(p) : place_single(p);
}
