/*
 * Opening the stores of mounts. A store that does not answer takes its time, so each is opened on a
 * thread of its own, which touches nothing but what it was given: nobody has to wait for it, not
 * even the end of the process.
 */
#include "fs/mounts_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "cloud/failed_store.h"

enum { OPEN_STRINGS = 7, OPEN_RETRY_MAX = 5, OPEN_REATTACH_S = 10, OPEN_RETIRE_S = 600 };

struct opening {
    pthread_mutex_t lock; /* protects all below */
    pthread_cond_t cond;  /* done */
    unsigned refs;
    bool done;
    char *url;
    struct store_config config;
    struct store *store;
    int err;
    struct store_error error;
};

/* The strings of a configuration are its caller's, and may go before the thread ends. */
static void opening_strings(struct store_config *c, const char **ret[OPEN_STRINGS])
{
    const char **all[OPEN_STRINGS] = {&c->endpoint,      &c->region, &c->profile,    &c->ca_file,
                                      &c->storage_class, &c->acl,    &c->sse_kms_key};

    memcpy(ret, all, sizeof(all));
}

static void opening_configure(struct opening *o, const struct store_config *config)
{
    const char **strings[OPEN_STRINGS];

    o->config = *config;
    opening_strings(&o->config, strings);
    for (size_t i = 0; i < OPEN_STRINGS; i++)
        *strings[i] = mem_strdup(*strings[i]);
}

static void opening_unref(struct opening *o)
{
    const char **strings[OPEN_STRINGS];

    (void)pthread_mutex_lock(&o->lock);
    bool last = --o->refs == 0;
    (void)pthread_mutex_unlock(&o->lock);
    if (!last)
        return;
    store_close(o->store);
    opening_strings(&o->config, strings);
    for (size_t i = 0; i < OPEN_STRINGS; i++)
        free((char *)*strings[i]);
    (void)pthread_mutex_destroy(&o->lock);
    (void)pthread_cond_destroy(&o->cond);
    free(o->url);
    free(o);
}

static void *opening_main(void *arg)
{
    struct opening *o = arg;
    struct store_error error = {{0}};
    struct store *store = NULL;
    int err = store_open(o->url, &o->config, &store, &error);

    (void)pthread_mutex_lock(&o->lock);
    o->err = err;
    o->store = store;
    o->error = error;
    o->done = true;
    (void)pthread_cond_signal(&o->cond);
    (void)pthread_mutex_unlock(&o->lock);
    opening_unref(o);
    return NULL;
}

static bool opening_done(struct opening *o)
{
    LOCK_SCOPE(&o->lock);

    return o->done;
}

void mount_open_begin(struct mounts *mounts, struct mount *m)
{
    struct opening *o = mem_zalloc(sizeof(*o));
    pthread_t thread;

    (void)pthread_mutex_init(&o->lock, NULL);
    thread_cond_init(&o->cond);
    o->refs = 2;
    o->url = mem_strdup(m->url);
    opening_configure(o, &m->store);
    m->open_err = 0;
    volume_store_config(mounts->fs, &o->config);
    m->opening = o;
    int err = thread_start(&thread, "mount", opening_main, o);
    if (!err) {
        (void)pthread_detach(thread);
        return;
    }
    o->err = err;
    o->refs = 1;
    o->done = true;
    (void)snprintf(o->error.text, sizeof(o->error.text), "%.300s: cannot start a thread", m->url);
}

void mount_open_forget(struct mount *m)
{
    if (m->opening)
        opening_unref(m->opening);
    m->opening = NULL;
}

void mount_open_wait(struct mount *const *list, size_t count, int64_t deadline_ns)
{
    for (size_t i = 0; i < count; i++) {
        struct opening *o = list[i]->opening;
        if (!o)
            continue;
        (void)pthread_mutex_lock(&o->lock);
        while (!o->done && thread_cond_wait_until(&o->cond, &o->lock, deadline_ns))
            continue;
        (void)pthread_mutex_unlock(&o->lock);
    }
}

static void mount_fail(struct mounts *mounts, struct mount *m, int err, const char *text)
{
    (void)pthread_mutex_lock(&mounts->lock);
    m->open_err = err;
    (void)snprintf(m->error, sizeof(m->error), "%s", text);
    m->next_ns = clock_mono_ns() +
                 op_retry_ns(mounts->fs, m->tries < OPEN_RETRY_MAX ? m->tries : OPEN_RETRY_MAX);
    m->tries++;
    (void)pthread_mutex_unlock(&mounts->lock);
}

/* --- a volume that was there before --- */

static bool text_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* A store that may have requests out is closed when all of them have passed their deadlines. */
static void mount_retire(struct mounts *mounts, struct store *store)
{
    mounts->retired =
        mem_rearray(mounts->retired, mounts->retired_count + 1, sizeof(*mounts->retired));
    mounts->retired[mounts->retired_count++] =
        (struct retired){.store = store, .close_ns = clock_mono_ns() + OPEN_RETIRE_S * CLOCK_S};
}

/* All content is read through the new store from now on. Lock held. */
static struct store *mount_swap_store(struct fs_volume *vol, struct store *store)
{
    struct store *old = vol->store;
    struct inode *ino, *next;

    HASH_ITER (hh_id, vol->by_id, ino, next) {
        if (ino->file)
            reader_file_unref(ino->file);
        ino->file = NULL;
    }
    vol->store = store;
    store_get_caps(store, &vol->caps);
    return old;
}

/* Takes store over. */
static int mount_reattach(struct mounts *mounts, struct mount *m, struct fs_volume *vol,
                          struct store *store)
{
    int64_t end = clock_mono_ns() + OPEN_REATTACH_S * CLOCK_S;

    vol_lock(vol);
    while (vol->mounts->detached && !vol->mounts->stopped && clock_mono_ns() < end)
        (void)thread_cond_wait_until(&vol->cond, &vol->lock, end);
    if (!vol->mounts->stopped) {
        bool busy = vol->mounts->detached;
        vol_unlock(vol);
        store_close(store);
        mount_fail(mounts, m, busy ? -EAGAIN : -EEXIST,
                   busy ? "the store's last requests from before it was removed are not over yet"
                        : "this store is served already, here or elsewhere");
        return busy ? -EAGAIN : -EEXIST;
    }
    bool same = text_same(vol->mounts->options, m->options);
    struct store *old = same ? store : mount_swap_store(vol, store);
    free(vol->mounts->options);
    vol->mounts->options = mem_strdup(m->options);
    volume_configure(vol, &m->config);
    defaults_apply(vol, inode_find(vol, vol->root));
    vol->mounts->stopped = vol->mounts->detached = vol->stopping = false;
    vol_unlock(vol);
    if (same)
        store_close(old);
    else
        mount_retire(mounts, old);
    return mounts->running ? volume_start(vol) : 0;
}

/* --- a new one --- */

/* Takes store over. */
static int mount_new_volume(struct mounts *mounts, struct mount *m, struct store *store,
                            const char *identity, struct fs_volume **ret)
{
    struct fs *fs = mounts->fs;
    struct fs_error error = {{0}};
    struct fs_volume *vol;
    int err = volume_open(fs, store, identity, &m->config, &vol, &error);

    if (err) {
        mount_fail(mounts, m, err, error.text);
        return err;
    }
    vol->mounts->options = mem_strdup(m->options);
    *ret = vol;
    if (!fs->running)
        return 0; /* fs_run does the rest */
    err = fs_check_known(fs, &error);
    if (!err)
        err = adopt_late(vol);
    return err ? err : volume_start(vol);
}

void mount_open_end(struct mounts *mounts, struct mount *m)
{
    struct opening *o = m->opening;
    struct fs_volume *vol = NULL;

    if (!o || !opening_done(o)) {
        (void)pthread_mutex_lock(&mounts->lock);
        if (o && !m->real && m->error[0] == '\0')
            (void)snprintf(m->error, sizeof(m->error), "%.400s: no answer yet", m->url);
        (void)pthread_mutex_unlock(&mounts->lock);
        return;
    }
    if (o->err) {
        mount_fail(mounts, m, o->err, o->error.text);
        mount_open_forget(m);
        return;
    }
    CLEANUP_FREE char *identity = volume_identity(o->store, &m->store);
    struct store *store = o->store;
    o->store = NULL;
    mount_open_forget(m);
    for (vol = mounts->fs->volumes; vol && strcmp(vol->url, identity) != 0; vol = vol->next)
        continue;
    int err = vol ? mount_reattach(mounts, m, vol, store)
                  : mount_new_volume(mounts, m, store, identity, &vol);
    if (err) {
        if (m->open_err == 0)
            mount_fail(mounts, m, err, strerrordesc_np(-err));
        return;
    }
    (void)pthread_mutex_lock(&mounts->lock);
    m->real = vol;
    m->tries = 0;
    m->next_ns = CLOCK_NEVER;
    m->open_err = 0;
    m->error[0] = '\0';
    (void)pthread_mutex_unlock(&mounts->lock);
    log_event(LOG_INFO, "mounted", "path=%s url=%s access=%s", LOG_Q(m->path), LOG_Q(m->url),
              vol->read_only ? "ro" : "rw");
}

/* --- what shows meanwhile --- */

int mount_open_failed(struct mounts *mounts, struct mount *m)
{
    struct fs *fs = mounts->fs;
    CLEANUP_FREE char *identity = mem_printf("mount.err of %s%s", m->top->url, m->path);
    struct fs_volume_config config = FS_VOLUME_CONFIG_DEFAULT;
    struct fs_error error;
    struct store *store = NULL;
    struct fs_volume *vol;

    config.read_only = true;
    config.attr_ttl_ns = config.list_ttl_ns = 0;
    for (vol = fs->volumes; vol && strcmp(vol->url, identity) != 0; vol = vol->next)
        continue;
    if (vol) {
        failed_store_tell(vol->store, m->error);
        vol_lock(vol);
        vol->mounts->detached = false;
        vol_unlock(vol);
        m->failed = vol;
        return 0;
    }
    int err = failed_store_open(identity, m->error, &store);
    if (!err)
        err = volume_open(fs, store, identity, &config, &vol, &error);
    if (err)
        return err;
    vol->mounts->failed = true;
    m->failed = vol;
    return fs->running ? volume_start(vol) : 0;
}
