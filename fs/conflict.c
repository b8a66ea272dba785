/*
 * Two writers of one object. The one that is in the bucket stays; ours moves aside under a name of
 * its own, NAME.conflict-HOST-TIME, in the same directory, and is uploaded there. Nothing is
 * overwritten.
 */
#include "fs/fs_int.h"

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static void conflict_name(const char *name, char ret[FS_NAME_MAX + 1])
{
    char host[64] = "host", when[32], suffix[128];
    time_t now = (time_t)(clock_wall_ns() / CLOCK_S);
    struct tm tm;

    (void)gethostname(host, sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    (void)gmtime_r(&now, &tm);
    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    int n = snprintf(suffix, sizeof(suffix), ".conflict-%s-%s", host, when);
    const char *earlier = strstr(name, ".conflict-");
    size_t keep = earlier ? (size_t)(earlier - name) : strlen(name), room = FS_NAME_MAX - (size_t)n;
    if (keep > room) {
        keep = room;
        while (keep > 0 && ((unsigned char)name[keep] & 0xc0) == 0x80)
            keep--; /* not in the middle of a character */
    }
    (void)snprintf(ret, FS_NAME_MAX + 1, "%.*s%s", (int)keep, name, suffix);
}

void conflict_rename(struct fs_volume *vol, struct inode *ino, bool base_lost)
{
    char name[FS_NAME_MAX + 1], old[FS_NAME_MAX + 1], key[STORE_KEY_MAX + 1];
    struct inode *dir = ino->key ? inode_find(vol, ino->key->parent) : NULL;
    struct intent *intent;
    struct change c;

    vol->conflicts++;
    conflict_name(ino->key->name, name);
    bool again = strstr(ino->key->name, ".conflict-") != NULL && ino->tries == 0;
    if (base_lost || again || !dir || inode_find_name(vol, dir->id, name)) {
        /* Part of the content is nowhere any more, or this second had a conflict already. What we
         * have stays in the stage; the next COMMIT tells. */
        commit_late_error(ino, -EIO);
        ino->tries++;
        ino->due_ns = clock_mono_ns() + 5 * CLOCK_S;
        log_event(LOG_ERROR, "conflict_kept_local", "name=%s base_lost=%d", LOG_Q(ino->key->name),
                  base_lost);
        return;
    }
    (void)strlcpy(old, ino->key->name, sizeof(old));
    log_event(LOG_WARN, "conflict", "name=%s kept_as=%s", LOG_Q(old), LOG_Q(name));
    change_begin(&c, vol);
    if (path_key(vol, ino, key) == 0) {
        intent = intent_find(vol, key);
        if (intent && !intent->in_flight)
            intent_drop(vol, &c, intent); /* what it was to delete is somebody else's now */
        if (ino->base_etag && !ino->base_key)
            inode_set_base(vol, ino, NULL, NULL, 0); /* replaced: all of the content is staged */
    }
    uint64_t dirent_id = db_next_id(vol->fs->db), dir_id = dir->id;
    db_del_dirent(c.txn, dir_id, old);
    db_put_dirent(c.txn, dirent_id, dir_id, name, ino->id);
    inode_set_name(vol, ino, dir_id, name, dirent_id);
    change_gone(&c, dir_id, old);
    inode_stamp(ino, false);
    inode_stamp(dir, true);
    dir->gen++;
    vol->path_gen++;
    change_row(&c, ino);
    change_row(&c, dir);
    change_end(&c, NULL);
    struct negative *neg = negative_find(vol, dir_id, old);
    if (neg)
        neg->checked_ns = 0; /* the winner is there: ask */
    dir->child_seq = c.seq;
    dir->complete_ns = 0;
    dirty_update(vol, ino, 0);
}
