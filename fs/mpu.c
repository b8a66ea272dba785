/*
 * Multipart uploads as records: which upload of which file the store knows, and which of its parts,
 * so that a crash costs at most the parts that were on the wire.
 *
 * The upload's id is durable before the first part is sent; each part is recorded when the store
 * has it, without anybody waiting. A part's record says what it was made from (place_sign): ranges
 * of the stage, whose positions are never used twice, and of a base, by its ETag. The next try
 * sends only the parts whose signature is not the recorded one.
 *
 * Why an older upload cannot win over a newer one:
 *  - Within one upload, what counts is the list of ETags that the completion names. A part of an
 *    older version that is still on its way (its sender was killed) may replace ours in the store;
 *    then the ETag is not the one that we name, the store refuses, and the upload begins anew.
 *  - A completion is preceded by a durable note of the version it is for (mpu.version). Without the
 *    note none was ever sent, and the upload may go on with other content. With it, one may still
 *    be on its way: then the upload goes on only with exactly that content, and it does not matter
 *    which of the two arrives. Otherwise it is aborted first, and nothing new is announced before
 *    the store has confirmed that: after that the old completion finds no upload, on any store.
 *  - PUT, COPY and completions carry the ETag of the object that they replace, or that there is
 *    none. One that comes late finds a newer object and is refused. If it comes early, in the
 *    middle of a newer try, that one is refused, and finds by the record of the flight that the
 *    object is an older version of its own (flight.c): that becomes the base, and the newer content
 *    goes over it.
 *  - Where the store has no conditions, the last point is a look just before: a PUT or COPY of a
 *    killed process that arrives after the look of the next one can replace newer content. The
 *    other two hold there too.
 *
 * An upload that nobody wants any more (its file is gone, has another name, is smaller) has inode 0
 * in its row, until the store has confirmed the abort. Only recorded uploads are ever aborted; the
 * one whose id was lost with the reply to its beginning is left to the bucket's own clean-up.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"
#include "base/mem.h"

enum { MPU_DEADLINE_S = 30, MPU_RETRY_MAX_S = 300 };

static void mpu_row(struct fs_volume *vol, const struct mpu *m, struct db_txn *txn)
{
    struct db_upload row = {.id = m->id,
                            .volume = vol->id,
                            .inode = m->inode,
                            .key = m->key,
                            .upload_id = m->upload_id,
                            .part_size = m->part_size,
                            .version = m->version,
                            .mtime_ns = m->mtime_ns,
                            .meta = m->meta,
                            .begun_ns = m->begun_ns};
    db_put_upload(txn, &row);
}

void mpu_free(struct mpu *m)
{
    if (!m)
        return;
    free(m->key);
    free(m->upload_id);
    free(m->parts);
    free(m);
}

uint64_t mpu_begun(struct fs_volume *vol, struct inode *ino, struct mpu *m)
{
    struct db_txn *txn = db_txn_new(vol->fs->db);

    m->id = db_next_id(vol->fs->db);
    m->inode = ino->id;
    ino->mpu = m;
    mpu_row(vol, m, txn);
    return db_submit(vol->fs->db, txn);
}

uint64_t mpu_completing(struct fs_volume *vol, struct mpu *m, uint64_t version)
{
    struct db_txn *txn = db_txn_new(vol->fs->db);

    m->version = version;
    mpu_row(vol, m, txn);
    return db_submit(vol->fs->db, txn);
}

/* The record of part number, if there is one. */
struct mpu_part *mpu_part_find(struct mpu *m, uint32_t number)
{
    return number <= m->part_room && m->parts[number - 1].done.number ? &m->parts[number - 1]
                                                                      : NULL;
}

static struct mpu_part *mpu_part_room(struct mpu *m, uint32_t number)
{
    if (number > m->part_room) {
        uint32_t room = m->part_room ? m->part_room : 16;
        while (room < number)
            room *= 2;
        m->parts = mem_rearray(m->parts, room, sizeof(*m->parts));
        memset(m->parts + m->part_room, 0, (room - m->part_room) * sizeof(*m->parts));
        m->part_room = room;
    }
    return &m->parts[number - 1];
}

void mpu_part_done(struct fs_volume *vol, struct mpu *m, const struct mpu_part *part)
{
    struct db_txn *txn = db_txn_new(vol->fs->db);
    struct db_part row = {.upload = m->id,
                          .number = part->done.number,
                          .len = part->len,
                          .sign = {part->sign[0], part->sign[1]},
                          .copied = part->copied};

    memcpy(row.etag, part->done.etag, sizeof(row.etag));
    memcpy(row.checksum, part->done.checksum, sizeof(row.checksum));
    *mpu_part_room(m, part->done.number) = *part;
    db_put_part(txn, &row);
    (void)db_submit(vol->fs->db, txn);
}

void mpu_finish(struct change *c, struct inode *ino)
{
    if (!ino->mpu)
        return;
    db_del_upload(c->txn, ino->mpu->id);
    mpu_free(ino->mpu);
    ino->mpu = NULL;
}

void mpu_drop(struct fs_volume *vol, struct change *c, struct inode *ino)
{
    struct mpu *m = ino->mpu;

    if (!m)
        return;
    log_event(LOG_DEBUG, "upload_dropped", "ino=%lu key=%s upload=%s", (unsigned long)ino->id,
              LOG_Q(m->key), LOG_Q(m->upload_id));
    ino->mpu = NULL;
    m->inode = 0;
    m->due_ns = clock_mono_ns();
    db_del_upload(c->txn, m->id); /* its parts too; the row comes back at once */
    mpu_row(vol, m, c->txn);
    TAILQ_INSERT_TAIL(&vol->mpu_aborts, m, link);
    upload_kick(vol->fs);
}

void mpu_drop_gone(struct fs_volume *vol, struct inode *ino)
{
    struct change c;

    if (!ino->mpu || !(ino->flags & (INODE_GONE | INODE_ORPHAN)))
        return;
    change_begin(&c, vol);
    mpu_drop(vol, &c, ino);
    change_end(&c, NULL);
}

/* --- what may go on --- */

/* No part but a file's last is smaller. */
static uint64_t part_least(const struct fs_volume *vol)
{
    uint64_t least = vol->config.part_size ? vol->config.part_size : PART_BYTES;
    uint64_t most = vol->fs->part_limit / 2; /* a small file is held in memory whole */

    if (least > most && least > PART_BYTES)
        least = most > PART_BYTES ? most : PART_BYTES;
    return vol->caps.part_max && vol->caps.part_max < least ? vol->caps.part_max : least;
}

/* The bytes of the parts that a file of that size is uploaded in; 0: it is too large. */
uint64_t mpu_part_size(const struct fs_volume *vol, uint64_t size)
{
    const struct store_caps *caps = &vol->caps;
    uint64_t part_size = part_least(vol);

    while (size / part_size >= PARTS_AIM || size / part_size + 1 > caps->part_count_max ||
           part_size < caps->part_min)
        part_size *= 2;
    return caps->part_max && part_size > caps->part_max ? 0 : part_size;
}

bool mpu_wanted(const struct fs_volume *vol, uint64_t size)
{
    uint64_t single = 2 * part_least(vol), most = vol->caps.put_max;

    return size > (most && most < single ? most : single) && vol->caps.part_count_max > 0;
}

/* Stores have rules that throw away what is in the works for too long. */
static bool mpu_too_old(const struct fs_volume *vol, const struct mpu *m)
{
    int64_t age = vol->config.multipart_age_ns;

    return age > 0 && m->begun_ns > 0 && clock_wall_ns() - m->begun_ns > age;
}

/* The next upload of ino can be the one that was begun. Lock held, path in memory. */
static bool mpu_fits(struct fs_volume *vol, const struct inode *ino)
{
    const struct mpu *m = ino->mpu;
    char key[STORE_KEY_MAX + 1];

    if (ino->type != FS_REG || path_key(vol, ino, key) != 0 || strcmp(key, m->key) != 0)
        return false;
    if (mpu_too_old(vol, m))
        return false;
    if (!place_has_content(ino) || !mpu_wanted(vol, ino->size) ||
        (ino->size - 1) / m->part_size >= vol->caps.part_count_max)
        return false;
    return m->version == 0 || (m->version == ino->change && m->mtime_ns == ino->mtime_ns);
}

static int mpu_abort_call(struct fs_volume *vol, const struct mpu *m, int64_t deadline_ns)
{
    struct store_req r = {.op = STORE_MPU_ABORT,
                          .prio = STORE_PRIO_UPLOAD,
                          .deadline_ns = deadline_ns,
                          .key = m->key,
                          .upload_id = m->upload_id};
    int err = store_call(vol->store, &r);

    log_event(err ? LOG_WARN : LOG_DEBUG, "upload_aborted", "key=%s upload=%s err=%d text=%s",
              LOG_Q(m->key), LOG_Q(m->upload_id), err, LOG_Q(r.error_text));
    store_req_clear(&r);
    return err == -ENOENT ? 0 : err;
}

int mpu_check(struct fs_volume *vol, struct fs_req *req, struct inode *ino)
{
    struct mpu *m = ino->mpu;
    struct change c;

    if (!m || mpu_fits(vol, ino))
        return 0;
    if (m->version == 0) {
        change_begin(&c, vol);
        mpu_drop(vol, &c, ino);
        change_end(&c, NULL);
        return 0;
    }
    /* Its completion may be on the wire: see above. The inode is pinned and being uploaded, so the
     * record stays while the lock is not held. */
    m->aborting = true;
    vol_unlock(vol);
    int err = mpu_abort_call(vol, m, req->deadline_ns);
    vol_lock(vol);
    m->aborting = false;
    if (err && err != -EACCES)
        return err;
    change_begin(&c, vol);
    if (err)
        mpu_drop(vol, &c, ino); /* who may write and not abort has only the conditions */
    else
        mpu_finish(&c, ino);
    change_end(&c, NULL);
    return -ERESTART;
}

uint64_t mpu_meta_hash(const struct store_meta *meta)
{
    uint64_t hash = 0;

    for (size_t i = 0; i < meta->count; i++) {
        hash = XXH3_64bits_withSeed(meta->pairs[i].name, strlen(meta->pairs[i].name), hash);
        hash = XXH3_64bits_withSeed(meta->pairs[i].value, strlen(meta->pairs[i].value), hash);
    }
    return hash;
}

bool mpu_made(const struct inode *ino, bool *ret_meta)
{
    const struct mpu *m = ino->mpu;
    struct store_meta meta = {0};

    if (!m || m->version == 0 || m->version != ino->change || m->mtime_ns != ino->mtime_ns)
        return false;
    meta_encode(ino, &meta);
    *ret_meta = mpu_meta_hash(&meta) == m->meta;
    store_meta_clear(&meta);
    return true;
}

/* --- what nobody wants --- */

struct mpu *mpu_abort_take(struct fs_volume *vol, int64_t now, int64_t *ret_next_ns)
{
    struct mpu *m;

    TAILQ_FOREACH (m, &vol->mpu_aborts, link) {
        if (m->due_ns <= now) {
            TAILQ_REMOVE(&vol->mpu_aborts, m, link);
            return m;
        }
        if (m->due_ns < *ret_next_ns)
            *ret_next_ns = m->due_ns;
    }
    return NULL;
}

void mpu_abort_run(struct fs_volume *vol, struct mpu *m)
{
    int err = mpu_abort_call(vol, m, clock_mono_ns() + MPU_DEADLINE_S * CLOCK_S);
    int64_t wait_s = INT64_C(1) << (m->tries < 9 ? m->tries : 9);

    vol_lock(vol);
    if (err) {
        m->tries++;
        m->due_ns =
            clock_mono_ns() + (wait_s < MPU_RETRY_MAX_S ? wait_s : MPU_RETRY_MAX_S) * CLOCK_S;
        TAILQ_INSERT_TAIL(&vol->mpu_aborts, m, link);
    } else {
        struct db_txn *txn = db_txn_new(vol->fs->db);
        db_del_upload(txn, m->id);
        (void)db_submit(vol->fs->db, txn);
        mpu_free(m);
    }
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
}

/* --- at start and end --- */

struct mpu_loading {
    struct fs_volume *vol;
    struct mpu_list list;
};

static bool mpu_load_row(void *ctx, const struct db_upload *row)
{
    struct mpu_loading *l = ctx;
    struct mpu *m = mem_zalloc(sizeof(*m));

    *m = (struct mpu){.id = row->id,
                      .inode = row->inode,
                      .key = mem_strdup(row->key),
                      .upload_id = mem_strdup(row->upload_id),
                      .part_size = row->part_size,
                      .version = row->version,
                      .mtime_ns = row->mtime_ns,
                      .meta = row->meta,
                      .begun_ns = row->begun_ns};
    TAILQ_INSERT_TAIL(&l->list, m, link);
    return true;
}

static bool mpu_load_part(void *ctx, const struct db_part *row)
{
    struct mpu *m = ctx;

    if (row->number < 1 || row->number > MPU_PARTS_MAX)
        return true;
    struct mpu_part *part = mpu_part_room(m, row->number);
    *part = (struct mpu_part){.done.number = row->number,
                              .len = row->len,
                              .sign = {row->sign[0], row->sign[1]},
                              .copied = row->copied};
    memcpy(part->done.etag, row->etag, sizeof(part->done.etag));
    memcpy(part->done.checksum, row->checksum, sizeof(part->done.checksum));
    return true;
}

int mpu_load(struct fs_volume *vol)
{
    struct mpu_loading l = {.vol = vol, .list = TAILQ_HEAD_INITIALIZER(l.list)};
    struct mpu *m;
    int err = db_each_upload(vol->fs->db, vol->id, mpu_load_row, &l);

    while ((m = TAILQ_FIRST(&l.list))) {
        TAILQ_REMOVE(&l.list, m, link);
        struct inode *ino = m->inode ? inode_find(vol, m->inode) : NULL;
        bool wanted = ino && (ino->flags & INODE_ON_DIRTY) && !ino->mpu && m->part_size > 0;
        if (wanted && !err)
            err = db_each_part(vol->fs->db, m->id, mpu_load_part, m);
        if (wanted)
            ino->mpu = m;
        else
            TAILQ_INSERT_TAIL(&vol->mpu_aborts, m, link);
    }
    return err;
}

void mpu_free_all(struct fs_volume *vol)
{
    struct mpu *m;

    while ((m = TAILQ_FIRST(&vol->mpu_aborts))) {
        TAILQ_REMOVE(&vol->mpu_aborts, m, link);
        mpu_free(m);
    }
}
