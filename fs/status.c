/* What of a volume is not in its bucket yet, and what went wrong: counted when somebody asks, by a
 * walk that does not keep the lock; and the few lines that are remembered. */
#include "fs/status_int.h"

#include <string.h>
#include <sys/statvfs.h>

#include "base/mem.h"

/* --- remembering; lock held --- */

static void status_event_clear(struct fs_status_event *event)
{
    free(event->name);
    free(event->text);
    *event = (struct fs_status_event){0};
}

static void status_remember(struct fs_status_event *ring, size_t *at, const char *what,
                            const char *name, int err, const char *text)
{
    struct fs_status_event *event = &ring[*at];

    status_event_clear(event);
    event->at_ns = clock_wall_ns();
    event->what = what;
    event->name = mem_strdup(name);
    event->text = text && text[0] ? mem_strdup(text) : NULL;
    event->err = err;
    *at = (*at + 1) % FS_STATUS_EVENTS_MAX;
}

void status_uploaded(struct fs_volume *vol, uint64_t bytes)
{
    vol->log.uploads_done++;
    vol->log.upload_bytes += bytes;
}

void status_deleted(struct fs_volume *vol, uint64_t count)
{
    vol->log.deletes_done += count;
}

void status_failed(struct fs_volume *vol, const char *what, const char *name, int err,
                   const char *text)
{
    if (strcmp(what, "delete") == 0)
        vol->log.deletes_failed++;
    else
        vol->log.uploads_failed++;
    status_remember(vol->log.errors, &vol->log.error_at, what, name, err, text);
}

void status_conflict(struct fs_volume *vol, const char *what, const char *path, const char *kept_as)
{
    vol->conflicts++;
    status_remember(vol->log.conflicts, &vol->log.conflict_at, what, path, 0, kept_as);
}

void status_log_clear(struct status_log *log)
{
    for (size_t i = 0; i < FS_STATUS_EVENTS_MAX; i++) {
        status_event_clear(&log->errors[i]);
        status_event_clear(&log->conflicts[i]);
    }
}

/* Copies a ring, newest first. */
static void status_copy_events(const struct fs_status_event *ring, size_t at,
                               struct fs_status_event *ret)
{
    for (size_t i = 0; i < FS_STATUS_EVENTS_MAX; i++) {
        at = (at + FS_STATUS_EVENTS_MAX - 1) % FS_STATUS_EVENTS_MAX;
        ret[i] = ring[at];
        ret[i].name = mem_strdup(ring[at].name);
        ret[i].text = mem_strdup(ring[at].text);
    }
}

/* --- one file --- */

char *status_path(struct fs_volume *vol, const struct inode *ino)
{
    char *path = mem_strdup(ino->type == FS_DIR ? "/" : "");

    for (const struct inode *i = ino; i->id != vol->root;) {
        const struct inode *dir = i->key ? inode_find(vol, i->key->parent) : NULL;
        char *longer = mem_printf("/%s%s", i->key ? i->key->name : "?", path);
        free(path);
        path = longer;
        if (!dir)
            break;
        i = dir;
    }
    return path;
}

/* All ages of an answer are of one moment, its beginning. */
static int64_t status_age(const struct inode *ino, int64_t now_ns)
{
    return now_ns > ino->dirty_since_ns ? now_ns - ino->dirty_since_ns : 0;
}

void status_file(struct fs_volume *vol, const struct inode *ino, int64_t now_ns,
                 struct fs_status_file *ret)
{
    *ret = (struct fs_status_file){
        .path = status_path(vol, ino),
        .size = ino->type == FS_DIR ? 0 : ino->size,
        .staged = ino->extents ? extent_map_bytes(ino->extents) : 0,
        .age_ns = status_age(ino, now_ns),
        .uploading = ino->flags & INODE_UPLOADING,
        .upload_total = ino->upload_total,
        .upload_done = ino->upload_done,
        .tries = ino->tries,
        .err = ino->last_err,
        .err_ns = ino->last_err_ns,
        .err_text = mem_strdup(ino->last_err_text),
    };
}

void status_file_clear(struct fs_status_file *file)
{
    free(file->path);
    free(file->err_text);
    *file = (struct fs_status_file){0};
}

static void status_files_clear(struct fs_status_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        status_file_clear(&files->file[i]);
    files->count = 0;
}

/* Keeps the oldest, oldest first. */
static void status_keep_oldest(struct fs_volume *vol, const struct inode *ino, int64_t now_ns,
                               struct fs_status_files *files)
{
    int64_t age_ns = status_age(ino, now_ns);
    size_t at = files->count;

    while (at > 0 && files->file[at - 1].age_ns < age_ns)
        at--;
    if (at == FS_STATUS_FILES_MAX)
        return;
    if (files->count == FS_STATUS_FILES_MAX)
        status_file_clear(&files->file[--files->count]);
    memmove(&files->file[at + 1], &files->file[at], (files->count - at) * sizeof(files->file[0]));
    status_file(vol, ino, now_ns, &files->file[at]);
    files->count++;
}

static void status_keep_first(struct fs_volume *vol, const struct inode *ino, int64_t now_ns,
                              struct fs_status_files *files)
{
    if (files->count < FS_STATUS_FILES_MAX)
        status_file(vol, ino, now_ns, &files->file[files->count++]);
}

/* --- the whole --- */

struct status_walk {
    struct fs_status *ret;
    int64_t now_ns;
    uint64_t local_deletes; /* of the bases of ".nfs*" files: when the client lets go of them */
};

static void status_count(struct fs_volume *vol, struct inode *ino, void *ctx)
{
    struct status_walk *walk = ctx;
    struct fs_status *s = walk->ret;

    if (dirty_silly(ino)) {
        s->local++;
        if (ino->base_key && intent_find(vol, ino->base_key))
            walk->local_deletes++;
        return;
    }
    s->files++;
    s->bytes += ino->extents ? extent_map_bytes(ino->extents) : 0;
    status_keep_oldest(vol, ino, walk->now_ns, &s->oldest);
    if (ino->flags & INODE_UPLOADING) {
        s->uploading++;
        status_keep_first(vol, ino, walk->now_ns, &s->running);
    }
    if (ino->last_err) {
        s->failing++;
        status_keep_first(vol, ino, walk->now_ns, &s->failed);
    }
}

static void status_count_drains(struct fs_volume *vol, struct fs_status *s)
{
    const struct inode *dir;

    TAILQ_FOREACH (dir, &vol->draining, drain) {
        if (dir->flags & INODE_GONE)
            continue;
        s->drains++;
        if (s->drain_count == FS_STATUS_DRAINS_MAX)
            continue;
        const struct redirect *oldest = &dir->redirects[0];
        uint64_t moved = oldest->moved;
        for (size_t i = 1; i < dir->redirect_count; i++) {
            moved += dir->redirects[i].moved;
            if (dir->redirects[i].epoch < oldest->epoch)
                oldest = &dir->redirects[i];
        }
        s->drain[s->drain_count++] = (struct fs_status_drain){
            .path = status_path(vol, dir),
            .from = mem_printf("/%s", oldest->prefix),
            .places = dir->redirect_count,
            .moved = moved,
        };
    }
}

uint64_t status_store(struct fs_volume *vol, int64_t *ret_failing_ns, char **ret_error)
{
    struct store_health health;

    store_get_health(vol->store, &health);
    *ret_failing_ns = health.failing_since_ns;
    *ret_error = health.text[0] ? mem_strdup(health.text) : NULL;
    return health.failures;
}

void fs_get_status(struct fs_volume *vol, struct fs_status *ret)
{
    struct status_walk walk = {.ret = ret, .now_ns = clock_mono_ns()};
    const struct inode *orphan;

    *ret = (struct fs_status){.url = vol->url, .read_only = vol->read_only};
    /* In the order in which work goes on: a drain leaves files, an upload deletes. What moves on
     * meanwhile is seen twice rather than not at all. */
    vol_lock(vol);
    status_count_drains(vol, ret);
    vol_unlock(vol);
    walk_dirty(vol, status_count, &walk);
    vol_lock(vol);
    uint64_t intents = HASH_COUNT(vol->intents);
    TAILQ_FOREACH (orphan, &vol->orphans, drain) {
        ret->local++;
        walk.local_deletes += orphan_deletions(vol, orphan);
    }
    ret->deletes = intents > walk.local_deletes ? intents - walk.local_deletes : 0;
    ret->uploads_done = vol->log.uploads_done;
    ret->upload_bytes = vol->log.upload_bytes;
    ret->uploads_failed = vol->log.uploads_failed;
    ret->deletes_done = vol->log.deletes_done;
    ret->deletes_failed = vol->log.deletes_failed;
    ret->conflicts = vol->conflicts;
    ret->hidden = vol->hidden;
    ret->damaged = vol->damaged_bytes;
    ret->inodes = vol->inode_count;
    status_copy_events(vol->log.errors, vol->log.error_at, ret->errors);
    status_copy_events(vol->log.conflicts, vol->log.conflict_at, ret->conflict);
    vol_unlock(vol);
    ret->store_failures = status_store(vol, &ret->store_failing_ns, &ret->store_error);
}

void fs_status_clear(struct fs_status *status)
{
    status_files_clear(&status->oldest);
    status_files_clear(&status->running);
    status_files_clear(&status->failed);
    for (size_t i = 0; i < status->drain_count; i++) {
        free(status->drain[i].path);
        free(status->drain[i].from);
    }
    for (size_t i = 0; i < FS_STATUS_EVENTS_MAX; i++) {
        status_event_clear(&status->errors[i]);
        status_event_clear(&status->conflict[i]);
    }
    free(status->store_error);
    *status = (struct fs_status){0};
}

bool fs_status_all_in(const struct fs_status *status)
{
    return status->files == 0 && status->deletes == 0 && status->drains == 0;
}

void fs_get_disk_status(struct fs *fs, struct fs_disk_status *ret)
{
    struct stage_usage usage;
    struct db_health health;
    struct statvfs disk;

    *ret = (struct fs_disk_status){0};
    stage_get_usage(fs->stage, &usage);
    ret->stage_used = usage.live;
    ret->stage_limit = usage.limit;
    ret->stage_segments = usage.segments;
    if (statvfs(fs->state_dir, &disk) == 0) {
        ret->disk_free = (uint64_t)disk.f_bavail * disk.f_frsize;
        ret->disk_size = (uint64_t)disk.f_blocks * disk.f_frsize;
    }
    (void)db_health(fs->db, &health);
    ret->err = health.err;
    ret->err_since_ns = health.since_ns;
    ret->queued_bytes = health.queued_bytes;
}

void fs_flush_clear(struct fs_flush *flush)
{
    status_files_clear(&flush->failed);
    free(flush->store_error);
    flush->store_error = NULL;
}
