/*
 * At a start: the staged bytes that an earlier run left, looked at before anybody gets them.
 *
 * What is missing or damaged is never guessed at. Reading such a range gives EIO and the file is
 * not uploaded; overwriting, cutting or removing it mends it. As long as nobody has said that this
 * is known (accept_damage) a volume with damage is served read-only.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"

enum {
    ADOPT_VERIFY_S = 20, /* so long the bytes themselves are looked at; later when they are read */
    ADOPT_LOG_MAX = 100, /* damaged ranges that are logged one by one */
};

struct adopt {
    struct fs *fs;
    int64_t verify_until_ns;
    uint64_t ranges, bytes; /* damaged */
    uint64_t unverified;    /* bytes */
    uint64_t elsewhere;     /* damaged, of buckets that are not served now */
    int fatal;
};

static const char *adopt_why(int err)
{
    switch (err) {
    case -ENOENT:
        return "the stage file is missing";
    case -EINVAL:
        return "the database names a place that cannot be";
    case -EBADMSG:
        return "the bytes are not what was written";
    case -ECANCELED:
        return "the disk cannot read them";
    default:
        return "the stage file is too short or damaged";
    }
}

static void adopt_damaged(struct adopt *a, struct fs_volume *vol, const struct inode *ino,
                          const struct db_extent *row, int err)
{
    char key[STORE_KEY_MAX + 1] = "?";
    char segment[24];

    a->ranges++;
    a->bytes += row->len;
    if (!vol)
        a->elsewhere += row->len;
    else
        vol->damaged_bytes += row->len;
    if (a->ranges > ADOPT_LOG_MAX)
        return;
    if (vol && path_key(vol, ino, key) != 0)
        (void)snprintf(key, sizeof(key), "?");
    (void)snprintf(segment, sizeof(segment), "%016lx", (unsigned long)row->segment);
    log_event(LOG_ERROR, "stage_damage",
              "name=%s ino=%lu off=%lu len=%lu segment=%s pos=%lu why=%s", LOG_Q(key),
              (unsigned long)row->inode, (unsigned long)row->off, (unsigned long)row->len, segment,
              (unsigned long)row->pos, LOG_Q(adopt_why(err)));
}

/* The row, in ino's extent map. */
static void adopt_load(struct fs *fs, struct inode *ino, const struct db_extent *row)
{
    struct extent e = {.off = row->off,
                       .len = row->len,
                       .segment = row->segment,
                       .pos = row->pos,
                       .version = row->version};

    if (!ino->extents)
        ino->extents = extent_map_new(fs->stage);
    extent_map_load(ino->extents, &e);
    if (e.version > ino->write_version)
        ino->write_version = e.version;
}

/* A reference on the bytes, whatever their state is; that is returned. */
static int adopt_bytes(struct adopt *a, struct db_extent *row)
{
    int err = stage_adopt(a->fs->stage, row->segment, row->pos, row->len);

    if (err == -EINVAL) {
        row->segment = STAGE_NOWHERE;
        row->pos = 0;
        if (stage_adopt(a->fs->stage, row->segment, row->pos, row->len) == -EINVAL)
            a->fatal = -EUCLEAN;
        return err;
    }
    if (err == -EPROTO)
        a->fatal = err;
    if (err)
        return err;
    if (clock_mono_ns() >= a->verify_until_ns) {
        a->unverified += row->len;
        return 0;
    }
    err = stage_verify(a->fs->stage, row->segment, row->pos, row->len);
    return err == -EIO ? -ECANCELED : err;
}

static bool adopt_extent(void *ctx, const struct db_extent *row)
{
    struct adopt *a = ctx;
    struct db_extent at = *row;
    struct inode *ino = NULL;
    struct fs_volume *vol;
    int err = adopt_bytes(a, &at);

    if (a->fatal)
        return false;
    /* What belongs to a bucket that is not served now is kept for when it is. */
    for (vol = a->fs->volumes; vol; vol = vol->next) {
        ino = inode_find(vol, row->inode);
        if (ino)
            break;
    }
    if (err)
        adopt_damaged(a, vol, ino, row, err);
    if (!ino)
        return true;
    adopt_load(a->fs, ino, &at);
    return true;
}

static void adopt_protect(struct adopt *a)
{
    log_event(LOG_ERROR, "stage_damage_total", "ranges=%lu bytes=%lu elsewhere_bytes=%lu",
              (unsigned long)a->ranges, (unsigned long)a->bytes, (unsigned long)a->elsewhere);
    for (struct fs_volume *vol = a->fs->volumes; vol; vol = vol->next) {
        if (vol->damaged_bytes == 0)
            continue;
        vol->read_only = vol->read_only || !a->fs->config.accept_damage;
        log_event(
            LOG_ERROR, "export_damaged", "url=%s bytes=%lu access=%s note=%s", LOG_Q(vol->url),
            (unsigned long)vol->damaged_bytes, vol->read_only ? "ro" : "rw",
            LOG_Q(vol->read_only
                      ? "bytes that clients wrote are missing or damaged: read-only until the "
                        "state directory is put right, or --accept-damage is given"
                      : "damaged ranges cannot be read, and their files are not uploaded, "
                        "until they are overwritten, cut off or removed"));
    }
}

int adopt_run(struct fs *fs, struct fs_error *reterr)
{
    struct adopt a = {.fs = fs, .verify_until_ns = clock_mono_ns() + ADOPT_VERIFY_S * CLOCK_S};
    int err = db_each_extent(fs->db, 0, adopt_extent, &a);

    if (a.fatal == -EPROTO) {
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%s/stage was written by another version of pailfs: let that version upload "
                       "what is in it",
                       fs->state_dir);
        return a.fatal;
    }
    if (a.fatal || err) {
        err = a.fatal ? a.fatal : err;
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%s: the list of staged bytes in the database cannot be read: %s",
                       fs->state_dir, strerrordesc_np(-err));
        return err;
    }
    if (a.unverified > 0)
        log_event(LOG_INFO, "stage_not_all_verified", "bytes=%lu note=%s",
                  (unsigned long)a.unverified, LOG_Q("they are checked when they are read"));
    if (a.ranges > 0)
        adopt_protect(&a);
    err = stage_recovered(fs->stage, a.ranges > 0);
    if (err)
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%s/stage: files that nobody needs cannot be %s: %s", fs->state_dir,
                       a.ranges > 0 ? "moved aside" : "removed", strerrordesc_np(-err));
    return err;
}

/* --- a volume that comes later: adopt_run has taken the references on its bytes --- */

struct adopt_late {
    struct adopt a;
    struct fs_volume *vol;
};

static bool adopt_late_extent(void *ctx, const struct db_extent *row)
{
    struct adopt_late *late = ctx;
    struct db_extent at = *row;
    struct inode *ino = inode_find(late->vol, row->inode);
    int err = 0;

    if (!ino)
        return true;
    if (row->segment > STAGE_NOWHERE || row->len == 0) {
        at.segment = STAGE_NOWHERE;
        at.pos = 0;
        err = -EINVAL;
    } else if (clock_mono_ns() < late->a.verify_until_ns) {
        err = stage_verify(late->a.fs->stage, row->segment, row->pos, row->len);
    }
    if (err)
        adopt_damaged(&late->a, late->vol, ino, row, err == -EIO ? -ECANCELED : err);
    adopt_load(late->a.fs, ino, &at);
    return true;
}

int adopt_late(struct fs_volume *vol)
{
    struct adopt_late late = {
        .a = {.fs = vol->fs, .verify_until_ns = clock_mono_ns() + ADOPT_VERIFY_S * CLOCK_S},
        .vol = vol};
    struct inode *ino, *next;
    int err = 0;

    /* Nobody else uses it yet. */
    HASH_ITER (hh_id, vol->by_id, ino, next) {
        if (!err && ino->type == FS_REG && (ino->flags & INODE_TO_STORE))
            err = db_each_extent(vol->fs->db, ino->id, adopt_late_extent, &late);
    }
    if (late.a.ranges > 0)
        adopt_protect(&late.a);
    return err;
}
