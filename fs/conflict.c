/*
 * Two writers of one object. The version that is in the bucket stays. What becomes of ours:
 *
 *  - another object is where our file was to go: ours moves aside to NAME.conflict-HOST-TIME in the
 *    same directory and is uploaded there. What of its content still lay in the object that was
 *    replaced is fetched first (from the cache, mostly); if that cannot be had any more, the copy
 *    has zeros there, and the next COMMIT tells an error. Both writers wrote the same bytes: no
 *    conflict, nothing would be lost.
 *  - nothing is there any more: others removed what we wrote to. Our version goes up under its own
 *    name, as if it had been written after the removal.
 *  - a renamed file whose object others replaced or removed under its old name, and that has
 *    nothing of ours in it: there is nothing left to move. The name goes; theirs stays.
 *  - only attributes were changed: theirs stay.
 *  - a deletion: theirs is left alone, and shows again.
 */
#include "fs/place_int.h"

#include <assert.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    CONFLICT_CHUNK = 1 << 20,
    CONFLICT_COMPARE_MAX = 64 << 20, /* larger files are told apart by size and mtime */
};
static const char conflict_word[] = ".conflict-";

/* --- finding out; without the lock --- */

enum conflict_same { SAME_YES, SAME_NO, SAME_UNKNOWN };

/* Are the bytes of the object those that we were to put there? */
static enum conflict_same conflict_compare(struct place *p, const char *etag)
{
    CLEANUP_FREE char *ours = mem_alloc(CONFLICT_CHUNK);
    CLEANUP_FREE char *theirs = mem_alloc(CONFLICT_CHUNK);

    for (uint64_t off = 0; off < p->size; off += CONFLICT_CHUNK) {
        size_t len = p->size - off < CONFLICT_CHUNK ? p->size - off : CONFLICT_CHUNK;
        struct store_req r = {.op = STORE_GET,
                              .key = p->target,
                              .if_match = etag,
                              .range_off = off,
                              .range_len = len,
                              .buf = theirs};
        bool lost = p->base_lost; /* place_fill says so if it is; that is not the question here */
        int err = place_fill(p, off, len, ours);
        p->base_lost = lost;
        if (!err)
            err = place_call(p, &r);
        bool whole = r.got == len;
        store_req_clear(&r);
        if (err || !whole)
            return SAME_UNKNOWN;
        if (memcmp(ours, theirs, len) != 0)
            return SAME_NO;
    }
    return SAME_YES;
}

/* True if the object is what we were about to make: an earlier try of ours did get through and its
 * reply was lost; or somebody else wrote the same. */
static bool conflict_is_same(struct place *p, const struct store_object *object)
{
    uint64_t size = p->type == FS_LNK && p->symlink ? strlen(p->symlink) : p->size;
    bool announced = flight_matches(object, size, p->mtime_ns);

    if (object->size != size)
        return false;
    if (p->type != FS_REG || !p->content || size > CONFLICT_COMPARE_MAX)
        return announced;
    switch (conflict_compare(p, object->etag)) {
    case SAME_YES:
        return true;
    case SAME_NO:
        return false;
    default: /* what it was made from is gone: as after a successful upload of ours */
        return announced;
    }
}

/* What is where the upload was to go. 0, or an error: not known. */
static int conflict_look_target(struct place *p)
{
    struct store_req r = {.op = STORE_HEAD, .key = p->target};
    int err = place_call(p, &r);

    if (err == -ENOENT) {
        p->conflict = p->if_match ? CONFLICT_GONE : CONFLICT_NONE;
        err = 0;
    } else if (!err && conflict_is_same(p, &r.object)) {
        p->conflict = CONFLICT_SAME;
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
    } else if (!err) {
        vol_lock(p->vol);
        p->older = p->ino->old_flight &&
                   flight_matches(&r.object, p->ino->old_flight_size, p->ino->old_flight_mtime_ns);
        vol_unlock(p->vol);
        memcpy(p->etag, r.object.etag, sizeof(p->etag));
        bool expected = p->if_match && strcmp(p->if_match, r.object.etag) == 0;
        p->conflict =
            expected || (!p->if_match && !p->if_none_match) ? CONFLICT_NONE : CONFLICT_TAKEN;
    }
    store_req_clear(&r);
    return err;
}

/* Is the base, where it does not lie at the target, what it was? 0 with p->base_lost, or an error.
 */
static int conflict_look_base(struct place *p)
{
    struct store_req r = {.op = STORE_HEAD, .key = p->base_key};
    int err = place_call(p, &r);

    p->base_lost = err == -ENOENT || (!err && strcmp(r.object.etag, p->base_etag) != 0);
    store_req_clear(&r);
    return err == -ENOENT ? 0 : err;
}

/* True if the upload has bytes of ours; else it is the base, elsewhere or with other attributes. */
static bool conflict_has_ours(const struct place *p)
{
    return p->type == FS_LNK ? p->symlink != NULL : p->content;
}

int conflict_look(struct place *p)
{
    bool elsewhere = p->base_etag && strcmp(p->base_key, p->target) != 0;
    int err = conflict_look_target(p);

    if (!err && (p->conflict == CONFLICT_SAME || p->older))
        return p->older ? -ESTALE : 0;
    p->base_lost = false;
    if (!err && elsewhere)
        err = conflict_look_base(p);
    /* The base was replaced where it lies; the file may need some of its bytes. */
    if (!err && p->base_etag && !elsewhere && p->content && p->type == FS_REG &&
        p->conflict != CONFLICT_NONE) {
        err = detach_fetch(p->vol, p->ino);
        p->base_lost = err == -ESTALE;
        if (err == -ESTALE)
            err = 0;
    }
    if (err)
        return err == -ESTALE ? -EAGAIN : err;
    return -ESTALE;
}

/* --- settling; with the lock --- */

/* NAME.conflict-HOST-TIME; an earlier suffix of this kind goes. Times of one volume differ. */
static void conflict_name(struct fs_volume *vol, const struct inode *dir, const char *name,
                          char ret[FS_NAME_MAX + 1])
{
    char host[64] = "host", when[32], suffix[160], key[STORE_KEY_MAX + 1];
    int64_t ms = clock_wall_ns() / CLOCK_MS;
    struct tm tm;

    if (ms <= vol->conflict_ms)
        ms = vol->conflict_ms + 1;
    vol->conflict_ms = ms;
    time_t seconds = (time_t)(ms / 1000);
    (void)gethostname(host, sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%S", &tm);
    int n = snprintf(suffix, sizeof(suffix), "%s%s-%s.%03dZ", conflict_word, host, when,
                     (int)(ms % 1000));
    const char *earlier = strstr(name, conflict_word);
    size_t keep = earlier && earlier > name ? (size_t)(earlier - name) : strlen(name);
    size_t room = FS_NAME_MAX - (size_t)n, used = 0;
    /* The key has to fit as well, if that can be done at all. */
    if (path_key(vol, dir, key) == 0)
        used = strlen(key) + (size_t)n;
    if (used < STORE_KEY_MAX && STORE_KEY_MAX - used < room)
        room = STORE_KEY_MAX - used;
    if (keep > room) {
        keep = room;
        while (keep > 0 && ((unsigned char)name[keep] & 0xc0) == 0x80)
            keep--; /* not in the middle of a character */
    }
    (void)snprintf(ret, FS_NAME_MAX + 1, "%.*s%s", (int)keep, name, suffix);
}

/* The directory has to be asked for again what has this name. */
static void conflict_ask_again(struct fs_volume *vol, uint64_t dir_id, const char *name)
{
    struct inode *dir = inode_find(vol, dir_id);
    struct negative *neg = negative_find(vol, dir_id, name);

    invalid_name(vol, NULL, dir_id, name);
    if (neg)
        neg->checked_ns = 0;
    if (dir) {
        dir->complete_ns = 0;
        dir->gen++;
    }
}

static void conflict_show_again(struct fs_volume *vol, uint64_t dir, const char *key)
{
    const char *slash = strrchr(key, '/');

    if (strlen(slash ? slash + 1 : key) <= FS_NAME_MAX)
        conflict_ask_again(vol, dir, slash ? slash + 1 : key);
}

static void conflict_rename_row(struct fs_volume *vol, struct change *c, struct inode *ino,
                                struct inode *dir, const char *name)
{
    char old[FS_NAME_MAX + 1];
    uint64_t dirent_id = db_next_id(vol->fs->db), dir_id = dir->id;

    (void)strlcpy(old, ino->key->name, sizeof(old));
    db_del_dirent(c->txn, dir_id, old);
    db_put_dirent(c->txn, dirent_id, dir_id, name, ino->id);
    inode_set_name(vol, ino, dir_id, name, dirent_id);
    change_gone(c, dir_id, old);
    inode_stamp(ino, false);
    inode_stamp(dir, true);
    invalid_name(vol, NULL, dir_id, name);
    conflict_ask_again(vol, dir_id, old); /* the winner is there */
    vol->path_gen++;
    change_row(c, ino);
    change_row(c, dir);
}

/* What ino is made from is not what it was: without it. What an intent was to delete there is
 * somebody else's now. */
static void conflict_drop_base(struct fs_volume *vol, struct change *c, struct inode *ino,
                               const char *key)
{
    struct intent *intent = intent_find(vol, key);

    if (intent && !intent->in_flight)
        intent_drop(vol, c, intent);
    if (!ino->base_etag)
        return;
    inode_set_base(vol, ino, NULL, NULL, 0);
    ino->flags &= ~(uint32_t)INODE_PLACE;
    ino->flags |= INODE_DIRTY;
    vol->path_gen++;
    invalid_content(vol, NULL, ino);
    change_row(c, ino);
}

/* The base lies elsewhere and stays the base: its key must not follow from the name any more. */
static void conflict_fix_base(struct fs_volume *vol, struct change *c, struct inode *ino,
                              const struct place *p)
{
    if (!intent_find(vol, p->base_key))
        intent_delete(vol, c, ino->key->parent, p->base_key, ino->base_etag);
    if (!ino->base_key)
        inode_move_base(vol, ino, p->base_key);
    ino->flags |= INODE_PLACE;
}

/* Ours gets a conflict name. */
static void conflict_move_aside(struct fs_volume *vol, struct inode *ino, const struct place *p,
                                struct change *c)
{
    char name[FS_NAME_MAX + 1];
    struct inode *dir = inode_find(vol, ino->key->parent);

    assert(dir); /* the path of what is being uploaded stays in memory */
    CLEANUP_FREE char *old = status_path(vol, ino);
    if (p->base_lost)
        conflict_drop_base(vol, c, ino, p->base_key);
    else if (ino->base_etag && strcmp(p->base_key, p->target) != 0)
        conflict_fix_base(vol, c, ino, p);
    else
        conflict_drop_base(vol, c, ino, p->target);
    struct intent *intent = intent_find(vol, p->target);
    if (intent && !intent->in_flight)
        intent_drop(vol, c, intent); /* what it was to delete is somebody else's now */
    conflict_name(vol, dir, ino->key->name, name);
    conflict_rename_row(vol, c, ino, dir, name);
    CLEANUP_FREE char *kept_as = status_path(vol, ino);
    log_event(p->base_lost ? LOG_ERROR : LOG_WARN, "conflict", "path=%s kept_as=%s complete=%s",
              LOG_Q(old), LOG_Q(kept_as), p->base_lost ? "no" : "yes");
    status_conflict(vol, "write", old, kept_as);
    if (p->base_lost) {
        commit_late_error(ino, -EIO);
        ino->lost_bytes = true;
    }
}

/* A file that was renamed here, and replaced or removed by others under its old name. */
static void conflict_unname(struct fs_volume *vol, struct inode *ino, const struct place *p,
                            struct change *c)
{
    CLEANUP_FREE char *path = status_path(vol, ino);
    struct inode *dir = inode_find(vol, ino->key->parent);
    struct intent *intent = intent_find(vol, p->base_key);

    log_event(LOG_WARN, "conflict", "path=%s was=%s note=\"changed by others before it was moved\"",
              LOG_Q(path), LOG_Q(p->base_key));
    if (intent) {
        conflict_show_again(vol, intent->dir, intent->key);
        if (!intent->in_flight)
            intent_drop(vol, c, intent);
    }
    invalid_content(vol, NULL, ino);
    invalid_name(vol, NULL, ino->key->parent, ino->key->name);
    inode_set_gone(vol, c, ino);
    if (dir) {
        inode_stamp(dir, true);
        dir->gen++;
        change_row(c, dir);
    }
    status_conflict(vol, "rename", path, NULL);
}

/* Others removed what we wrote to: ours goes up all the same, as new. */
static void conflict_recreate(struct fs_volume *vol, struct inode *ino, const struct place *p,
                              struct change *c)
{
    CLEANUP_FREE char *path = status_path(vol, ino);
    struct intent *intent = intent_find(vol, p->target);

    /* A new file, or one that came by a rename, where another was: that one's object has gone
     * already, perhaps by our own deletion before a crash. Nothing of ours was there. */
    if (!p->base_etag || strcmp(p->base_key, p->target) != 0) {
        if (intent && !intent->in_flight)
            intent_drop(vol, c, intent);
        return;
    }
    log_event(LOG_WARN, "removed_by_others", "path=%s note=\"and written here: it is made again\"",
              LOG_Q(path));
    conflict_drop_base(vol, c, ino, p->target);
}

/* The file was renamed here while its upload was under way: what is at its old name is not about it
 * any more, but must not be deleted for it. True if that was all. */
static bool conflict_left(struct fs_volume *vol, struct inode *ino, const struct place *p,
                          struct change *c)
{
    char natural[STORE_KEY_MAX + 1];

    if (p->base_lost || (path_key(vol, ino, natural) == 0 && strcmp(natural, p->target) == 0))
        return false;
    if (!p->base_etag || strcmp(p->base_key, p->target) != 0)
        conflict_spare(vol, p, c);
    else if (conflict_has_ours(p))
        conflict_drop_base(vol, c, ino, p->target);
    return true;
}

void conflict_spare(struct fs_volume *vol, const struct place *p, struct change *c)
{
    struct intent *intent = p->conflict == CONFLICT_TAKEN ? intent_find(vol, p->target) : NULL;

    if (!intent || intent->in_flight)
        return;
    conflict_delete(vol, intent);
    intent_drop(vol, c, intent);
}

void conflict_settle(struct fs_volume *vol, struct inode *ino, const struct place *p,
                     struct change *c)
{
    bool again = strstr(ino->key->name, conflict_word) && ino->tries == 0;

    ino->due_ns = clock_mono_ns();
    if (!conflict_has_ours(p) && !(ino->flags & INODE_PLACE)) {
        /* Only attributes were changed, of an object that is not there any more. */
        ino->flags &= ~(uint32_t)INODE_META_DIRTY;
        ino->checked_ns = 0;
        invalid_inode(vol, NULL, ino);
        flight_forget(vol, ino);
        change_row(c, ino);
        return;
    }
    /* Something is not as it was, and then it is: a moment later it may be clear. The same for a
     * second conflict right after one. */
    bool written = ino->write_version != p->write_version; /* since: another upload */
    if ((p->conflict == CONFLICT_NONE && !p->base_lost) || again ||
        (p->base_lost && (ino->tries == 0 || (written && !conflict_has_ours(p))))) {
        ino->tries++;
        ino->due_ns += CLOCK_S;
        return;
    }
    flight_forget(vol, ino); /* what is there is not that, */
    ino->old_flight = false; /* and what comes late finds another object than it wants */
    change_row(c, ino);
    if (conflict_left(vol, ino, p, c))
        return;
    if (p->base_lost && !conflict_has_ours(p))
        conflict_unname(vol, ino, p, c);
    else if (p->conflict == CONFLICT_GONE && !p->base_lost)
        conflict_recreate(vol, ino, p, c);
    else
        conflict_move_aside(vol, ino, p, c);
    ino->tries = 0;
}

void conflict_delete(struct fs_volume *vol, const struct intent *intent)
{
    CLEANUP_FREE char *path = mem_printf("/%s", intent->key);

    log_event(LOG_WARN, "conflict", "path=%s note=\"changed by others, not deleted\"", LOG_Q(path));
    conflict_show_again(vol, intent->dir, intent->key);
    status_conflict(vol, "delete", path, NULL);
}
