/* The list of sub-mounts: making and removing them, keeping them for the next start, and trying
 * again what failed. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/mounts_list.h"

enum {
    MOUNTS_WAIT_S = 5, /* so long stores may take to be opened before "mount.err" shows */
    MOUNTS_POLL_MS = 200,
    MOUNTS_PATH_MAX = 1024,
    MOUNTS_KEPT_MAX = 256 << 10,
};
static const char mounts_meta_key[] = "submounts";

struct mounts *mounts_new(struct fs *fs)
{
    struct mounts *mounts = mem_zalloc(sizeof(*mounts));

    mounts->fs = fs;
    (void)pthread_mutex_init(&mounts->lock, NULL);
    thread_cond_init(&mounts->cond);
    return mounts;
}

static void mount_detach(struct mounts *mounts, struct fs_volume *vol);

static void mount_free(struct mount *m)
{
    mount_open_forget(m);
    free(m->path);
    free(m->url);
    free(m->options);
    free(m);
}

void mounts_free(struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        mount_free(mounts->list[i]);
    for (size_t i = 0; i < mounts->retired_count; i++)
        store_close(mounts->retired[i].store);
    free(mounts->retired);
    free(mounts->list);
    (void)pthread_mutex_destroy(&mounts->lock);
    (void)pthread_cond_destroy(&mounts->cond);
    free(mounts);
}

/* --- one changes the list at a time --- */

static int mounts_enter(struct mounts *mounts, int64_t deadline_ns)
{
    int err = 0;

    (void)pthread_mutex_lock(&mounts->lock);
    while (mounts->busy && !err) {
        if (!thread_cond_wait_until(&mounts->cond, &mounts->lock, deadline_ns))
            err = -EAGAIN;
    }
    if (mounts->stopping)
        err = -ESHUTDOWN;
    if (!err)
        mounts->busy = true;
    (void)pthread_mutex_unlock(&mounts->lock);
    return err;
}

static void mounts_leave(struct mounts *mounts)
{
    (void)pthread_mutex_lock(&mounts->lock);
    mounts->busy = false;
    (void)pthread_cond_broadcast(&mounts->cond);
    (void)pthread_mutex_unlock(&mounts->lock);
}

static struct mount *mounts_find(const struct mounts *mounts, const struct fs_volume *top,
                                 const char *path)
{
    for (size_t i = 0; i < mounts->count; i++) {
        if (mounts->list[i]->top == top && strcmp(mounts->list[i]->path, path) == 0)
            return mounts->list[i];
    }
    return NULL;
}

static void mounts_link(struct mounts *mounts, struct mount *m)
{
    LOCK_SCOPE(&mounts->lock);

    mounts->list = mem_rearray(mounts->list, mounts->count + 1, sizeof(*mounts->list));
    mounts->list[mounts->count++] = m;
}

static void mounts_unlink(struct mounts *mounts, const struct mount *m)
{
    size_t kept = 0;
    LOCK_SCOPE(&mounts->lock);

    for (size_t i = 0; i < mounts->count; i++) {
        if (mounts->list[i] != m)
            mounts->list[kept++] = mounts->list[i];
    }
    mounts->count = kept;
}

/* "/a/b" of "a//b/": to free; NULL if it is no path. */
static char *mounts_path(const char *path)
{
    char *ret = mem_zalloc(MOUNTS_PATH_MAX + 1), *end = ret;
    char name[FS_NAME_MAX + 1];
    bool good = true;

    for (path += strspn(path, "/"); *path && good; path += strspn(path, "/")) {
        size_t len = strcspn(path, "/");
        good = len <= FS_NAME_MAX && (size_t)(end - ret) + 1 + len <= MOUNTS_PATH_MAX;
        if (!good)
            break;
        memcpy(name, path, len);
        name[len] = '\0';
        good = name_check(name) == 0;
        end = stpcpy(stpcpy(end, "/"), name);
        path += len;
    }
    if (good && end > ret)
        return ret;
    free(ret);
    return NULL;
}

/* --- kept for the next start --- */

/* The lines that are kept now, with a NUL; to free. */
static char *mounts_kept_text(struct fs *fs)
{
    char *text = mem_zalloc(MOUNTS_KEPT_MAX + 1);

    if (db_meta_get(fs->db, mounts_meta_key, text, MOUNTS_KEPT_MAX) < 0)
        text[0] = '\0';
    return text;
}

struct mount_lines {
    char *text;
    size_t len;
};

static void mounts_keep_line(struct mount_lines *lines, const char *line)
{
    size_t more = strlen(line);

    if (lines->len + more + 1 > MOUNTS_KEPT_MAX) {
        log_event(LOG_WARN, "mount_not_kept", "mount=%s", LOG_Q(line));
        return;
    }
    lines->text = mem_realloc(lines->text, lines->len + more + 2);
    (void)stpcpy(stpcpy(lines->text + lines->len, line), "\n");
    lines->len += more + 1;
}

/* True if the line is of a top volume that is served in this run. */
static bool mounts_line_served(struct fs *fs, const char *line)
{
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        size_t len = strlen(vol->url);
        if (fs_volume_top(vol) == vol && strncmp(line, vol->url, len) == 0 && line[len] == '\t')
            return true;
    }
    return false;
}

static void mounts_keep(struct mounts *mounts)
{
    CLEANUP_FREE char *old = mounts_kept_text(mounts->fs);
    struct mount_lines lines = {.text = mem_strdup("")};
    char *rest = NULL;

    for (char *line = strtok_r(old, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (!mounts_line_served(mounts->fs, line))
            mounts_keep_line(&lines, line);
    }
    for (size_t i = 0; i < mounts->count; i++) {
        const struct mount *m = mounts->list[i];
        if (!m->keep)
            continue;
        CLEANUP_FREE char *line = mem_printf("%s\t%s\t%s\t%s", m->top->url, m->path, m->url,
                                             m->options ? m->options : "");
        mounts_keep_line(&lines, line);
    }
    struct db_txn *txn = db_txn_new(mounts->fs->db);
    db_meta_put(txn, mounts_meta_key, lines.text, lines.len);
    (void)db_wait(mounts->fs->db, db_submit(mounts->fs->db, txn), CLOCK_NEVER);
    free(lines.text);
}

int fs_mounts_kept(struct fs *fs, struct fs_volume *top, fs_mount_kept_fn *fn, void *ctx)
{
    CLEANUP_FREE char *text = mounts_kept_text(fs);
    char *lines = NULL;

    for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        char *rest = line;
        const char *url = strsep(&rest, "\t");
        struct fs_mount kept = {.keep = true};
        kept.path = strsep(&rest, "\t");
        kept.url = strsep(&rest, "\t");
        kept.options = rest;
        if (!kept.options || strcmp(url, top->url) != 0)
            continue;
        if (!fn(ctx, &kept))
            break;
    }
    return 0;
}

/* --- making --- */

static int mounts_refuse(struct fs_error *reterr, int err, const char *path, const char *why)
{
    (void)snprintf(reterr->text, sizeof(reterr->text), "%.200s: %.280s", path, why);
    return err;
}

/* What is kept is in lines of words with tabs between. */
static bool text_plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

static int mount_new(struct mounts *mounts, struct fs_volume *top, const struct fs_mount *what,
                     struct mount **ret, struct fs_error *reterr)
{
    CLEANUP_FREE char *path = mounts_path(what->path);

    if (!path || !text_plain(path))
        return mounts_refuse(reterr, -EINVAL, what->path,
                             "expected a path below the volume, such as /a/b");
    if (what->keep && (!text_plain(what->url) || !text_plain(what->options ? what->options : "")))
        return mounts_refuse(reterr, -EINVAL, path, "expected no control characters");
    if (mounts_find(mounts, top, path))
        return mounts_refuse(reterr, -EEXIST, path, "something is mounted there already");
    if (mounts->count == FS_MOUNTS_MAX)
        return mounts_refuse(reterr, -ENOSPC, path, "too many mounts");
    struct mount *m = mem_zalloc(sizeof(*m));
    m->top = top;
    m->path = mem_strdup(path);
    m->url = mem_strdup(what->url);
    m->options = mem_strdup(what->options);
    m->keep = what->keep;
    m->store = what->store ? *what->store : (struct store_config){0};
    if (strncmp(m->url, "file://", 7) == 0)
        m->store.endpoint = NULL; /* of another kind of store: no part of what this one is called */
    m->config = what->volume ? *what->volume : FS_VOLUME_CONFIG_DEFAULT;
    m->next_ns = CLOCK_NEVER;
    *ret = m;
    return 0;
}

/* All that is being opened has its volume, or a failed one. */
static int mounts_open_all(struct mounts *mounts)
{
    int err = 0;

    for (size_t i = 0; i < mounts->count; i++) {
        struct mount *m = mounts->list[i];
        mount_open_end(mounts, m);
        if (!m->real && !m->failed && !err)
            err = mount_open_failed(mounts, m);
    }
    return err;
}

/* Takes m back. The volume that it has got is detached. */
static void mount_undo(struct mounts *mounts, struct mount *m)
{
    struct fs_volume *vol = m->real;

    mounts_unlink(mounts, m);
    mount_place_clear(m);
    if (mounts->running)
        mount_place_all(mounts);
    if (vol)
        mount_detach(mounts, vol);
    mount_free(m);
}

/* What cannot be mended by trying again. */
static int mount_verdict(const struct mount *m, struct fs_error *reterr)
{
    if (m->open_err == -EEXIST || m->open_err == -EINVAL || m->open_err == -ENOTSUP)
        return mounts_refuse(reterr, m->open_err, m->path, m->error);
    if (m->place_err == -ENOTDIR || m->place_err == -ENAMETOOLONG || m->place_err == -ENOSPC)
        return mounts_refuse(reterr, m->place_err, m->path, m->place_error);
    return 0;
}

/* What fs_mount does with the list to itself. added: as many as count. */
static int mounts_add(struct mounts *mounts, struct fs_volume *top, const struct fs_mount *what,
                      size_t count, struct mount **added, struct fs_error *reterr)
{
    size_t made = 0;
    int err = 0;

    for (; made < count && !err; made += !err) {
        err = mount_new(mounts, top, &what[made], &added[made], reterr);
        if (!err)
            mounts_link(mounts, added[made]);
    }
    for (size_t i = 0; i < made && !err; i++)
        mount_open_begin(mounts, added[i]);
    if (!err) {
        mount_open_wait(added, made, clock_mono_ns() + MOUNTS_WAIT_S * CLOCK_S);
        err = mounts_open_all(mounts);
    }
    if (!err && mounts->running)
        mount_place_all(mounts);
    for (size_t i = 0; i < made && !err; i++)
        err = mount_verdict(added[i], reterr);
    for (size_t i = 0; i < made && err; i++)
        mount_undo(mounts, added[i]);
    if (!err && mounts->running) /* before that, not all that are kept are in the list again */
        mounts_keep(mounts);
    return err;
}

int fs_mount(struct fs *fs, struct fs_volume *top, const struct fs_mount *what, size_t count,
             int64_t deadline_ns, struct fs_error *reterr)
{
    struct mounts *mounts = fs->mounts;
    CLEANUP_FREE struct mount **added = mem_array(count + 1, sizeof(*added));
    int err = mounts_enter(mounts, deadline_ns);

    if (err)
        return mounts_refuse(reterr, err, "mounts", "somebody else is changing them");
    reterr->text[0] = '\0';
    err = mounts_add(mounts, top, what, count, added, reterr);
    mounts_leave(mounts);
    if (err && reterr->text[0] == '\0')
        return mounts_refuse(reterr, err, "mounts", strerrordesc_np(-err));
    return err;
}

/* --- removing --- */

/* Waits until nothing of vol is missing in its store. */
static int mount_drain(struct fs_volume *vol, int64_t deadline_ns)
{
    struct fs_left left = {0};
    int err = 0;

    fs_commit_all(vol);
    vol_lock(vol);
    vol->draining_all = vol->flush_all = true;
    vol_unlock(vol);
    while (!err && !volume_idle(vol, &left)) {
        upload_kick(vol->fs);
        (void)pthread_mutex_lock(&vol->fs->pool_lock);
        (void)thread_cond_wait_until(&vol->fs->pool_cond, &vol->fs->pool_lock,
                                     clock_mono_ns() + MOUNTS_POLL_MS / 4 * CLOCK_MS);
        (void)pthread_mutex_unlock(&vol->fs->pool_lock);
        err = clock_mono_ns() >= deadline_ns ? -EAGAIN : 0;
    }
    vol_lock(vol);
    vol->draining_all = vol->flush_all = false;
    vol_unlock(vol);
    return err;
}

/* Nobody uses it any more; what it has to upload waits. */
static void mount_detach(struct mounts *mounts, struct fs_volume *vol)
{
    vol_lock(vol);
    vol->mounts->detached = true;
    vol->mounts->stopped = !mounts->running; /* then its threads were never started */
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
    if (!mounts->running)
        return;
    fs_commit_all(vol);
    (void)pthread_mutex_lock(&mounts->lock);
    mounts->ending = true; /* mounts_main ends its threads */
    (void)pthread_cond_broadcast(&mounts->cond);
    (void)pthread_mutex_unlock(&mounts->lock);
}

static bool volume_has_opens(struct fs_volume *vol)
{
    LOCK_SCOPE(&vol->lock);

    return vol->mounts->opens > 0;
}

static int mount_remove(struct mounts *mounts, struct mount *m, bool force, int64_t deadline_ns,
                        struct fs_error *reterr)
{
    if (m->real && volume_has_opens(m->real))
        return mounts_refuse(reterr, -EBUSY, m->path, "files are open there");
    if (m->real && !force && mount_drain(m->real, deadline_ns))
        return mounts_refuse(reterr, -EAGAIN, m->path,
                             "not everything is in the bucket yet; with force the rest waits in "
                             "the state directory");
    if (m->real && volume_has_opens(m->real))
        return mounts_refuse(reterr, -EBUSY, m->path, "files are open there");
    struct fs_left left = {0};
    if (m->real)
        (void)volume_idle(m->real, &left);
    log_event(LOG_INFO, "unmounted", "path=%s url=%s left_files=%lu left_bytes=%lu", LOG_Q(m->path),
              LOG_Q(m->url), (unsigned long)left.files, (unsigned long)left.bytes);
    mount_undo(mounts, m);
    mounts_keep(mounts);
    return 0;
}

int fs_unmount(struct fs *fs, struct fs_volume *top, const char *path, bool force,
               int64_t deadline_ns, struct fs_error *reterr)
{
    struct mounts *mounts = fs->mounts;
    CLEANUP_FREE char *clean = mounts_path(path);
    int err = mounts_enter(mounts, deadline_ns);

    if (err)
        return mounts_refuse(reterr, err, path, "somebody else is changing the mounts");
    struct mount *m = clean ? mounts_find(mounts, top, clean) : NULL;
    err = m ? mount_remove(mounts, m, force, deadline_ns, reterr)
            : mounts_refuse(reterr, -ENOENT, path, "nothing is mounted there");
    mounts_leave(mounts);
    return err;
}

/* --- who looks after them --- */

/* Ends the threads of volumes that are not mounted any more. */
static void mounts_end_volumes(struct fs *fs)
{
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        vol_lock(vol);
        bool end = vol->mounts->detached && !vol->mounts->stopped;
        vol_unlock(vol);
        if (!end)
            continue;
        volume_stop(vol);
        vol_lock(vol);
        while (vol->uploading > 0)
            (void)thread_cond_wait_until(&vol->cond, &vol->lock,
                                         clock_mono_ns() + MOUNTS_POLL_MS * CLOCK_MS);
        vol->mounts->stopped = true;
        (void)pthread_cond_broadcast(&vol->cond);
        vol_unlock(vol);
    }
}

/* Tries again what is due. True if something is to be placed anew. With the list to itself. */
static bool mounts_look(struct mounts *mounts)
{
    int64_t now = clock_mono_ns();
    bool changed = false;

    for (size_t i = 0; i < mounts->count; i++) {
        struct mount *m = mounts->list[i];
        bool was = m->real != NULL;
        mount_open_end(mounts, m);
        if (!m->real && !m->opening && m->next_ns <= now)
            mount_open_begin(mounts, m);
        else if (!m->real && m->failed && mount_open_failed(mounts, m))
            continue; /* only the text is as it was */
        else if (m->real && !m->in && m->next_ns <= now)
            changed = true;
        changed = changed || was != (m->real != NULL);
    }
    size_t kept = 0;
    for (size_t i = 0; i < mounts->retired_count; i++) {
        if (mounts->retired[i].close_ns > now)
            mounts->retired[kept++] = mounts->retired[i];
        else
            store_close(mounts->retired[i].store);
    }
    mounts->retired_count = kept;
    return changed;
}

/* True if there is something to look at before long: otherwise nothing wakes up for it. */
static bool mounts_restless(const struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        if (!mounts->list[i]->real || !mounts->list[i]->in)
            return true;
    }
    return mounts->retired_count > 0;
}

static void *mounts_main(void *arg)
{
    struct mounts *mounts = arg;

    (void)pthread_mutex_lock(&mounts->lock);
    while (!mounts->stopping) {
        int64_t until = mounts->busy || !mounts_restless(mounts)
                            ? CLOCK_NEVER
                            : clock_mono_ns() + MOUNTS_POLL_MS * CLOCK_MS;
        if (!mounts->ending)
            (void)thread_cond_wait_until(&mounts->cond, &mounts->lock, until);
        bool end = mounts->ending;
        mounts->ending = false;
        if (mounts->stopping || (mounts->busy && !end))
            continue;
        (void)pthread_mutex_unlock(&mounts->lock);
        if (end)
            mounts_end_volumes(mounts->fs);
        else if (mounts_enter(mounts, clock_mono_ns()) == 0) {
            if (mounts_look(mounts))
                mount_place_all(mounts);
            mounts_leave(mounts);
        }
        (void)pthread_mutex_lock(&mounts->lock);
    }
    (void)pthread_mutex_unlock(&mounts->lock);
    return NULL;
}

int mounts_run(struct fs *fs, struct fs_error *reterr)
{
    struct mounts *mounts = fs->mounts;

    mounts->running = true;
    mount_place_all(mounts);
    int err = thread_start(&mounts->thread, "mounts", mounts_main, mounts);
    if (err) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "threads cannot be started: %s",
                       strerrordesc_np(-err));
        mounts->running = false;
    }
    return err;
}

void mounts_stop(struct fs *fs)
{
    struct mounts *mounts = fs->mounts;

    if (!mounts->running)
        return;
    (void)pthread_mutex_lock(&mounts->lock);
    while (mounts->busy)
        (void)thread_cond_wait_until(&mounts->cond, &mounts->lock, CLOCK_NEVER);
    mounts->stopping = true;
    (void)pthread_cond_broadcast(&mounts->cond);
    (void)pthread_mutex_unlock(&mounts->lock);
    (void)pthread_join(mounts->thread, NULL);
    mounts->running = false;
}

/* --- telling --- */

bool mounts_wanting(struct fs *fs)
{
    const struct mounts *mounts = fs->mounts;
    LOCK_SCOPE(&fs->mounts->lock);

    for (size_t i = 0; i < mounts->count; i++) {
        if (!mounts->list[i]->real)
            return true;
    }
    return false;
}

void fs_mounts_get(struct fs *fs, struct fs_mount_info **ret, size_t *ret_count)
{
    struct mounts *mounts = fs->mounts;
    LOCK_SCOPE(&mounts->lock);

    *ret = mem_array(mounts->count + 1, sizeof(**ret));
    *ret_count = mounts->count;
    for (size_t i = 0; i < mounts->count; i++) {
        const struct mount *m = mounts->list[i];
        struct fs_mount_info *info = &(*ret)[i];
        *info = (struct fs_mount_info){.top = m->top,
                                       .vol = m->shown,
                                       .path = mem_strdup(m->path),
                                       .url = mem_strdup(m->url),
                                       .options = mem_strdup(m->options),
                                       .keep = m->keep,
                                       .read_only = m->config.read_only,
                                       .failed = !m->real || m->shown != m->real};
        (void)snprintf(info->error, sizeof(info->error), "%s", m->real ? m->place_error : m->error);
    }
}

void fs_mounts_free(struct fs_mount_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(infos[i].path);
        free(infos[i].url);
        free(infos[i].options);
    }
    free(infos);
}
