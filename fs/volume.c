/* One export's store: opening it, taking up what an earlier run left, and its threads. */
#include "fs/fs_int.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/thread.h"

enum { VOLUME_KEEP_MS = 100 };

static struct fs_volume *volume_new(struct fs *fs, const char *url)
{
    struct fs_volume *vol = mem_zalloc(sizeof(*vol));

    vol->fs = fs;
    vol->url = mem_strdup(url);
    vol->mounts = mem_zalloc(sizeof(*vol->mounts));
    (void)pthread_mutex_init(&vol->lock, NULL);
    (void)pthread_mutex_init(&vol->walk_lock, NULL);
    thread_cond_init(&vol->cond);
    TAILQ_INIT(&vol->lru);
    TAILQ_INIT(&vol->dirty);
    TAILQ_INIT(&vol->draining);
    TAILQ_INIT(&vol->orphans);
    TAILQ_INIT(&vol->negative_lru);
    TAILQ_INIT(&vol->intent_list);
    TAILQ_INIT(&vol->to_check);
    TAILQ_INIT(&vol->ready);
    RB_INIT(&vol->displaced_keys);
    RB_INIT(&vol->flight_keys);
    RB_INIT(&vol->intent_keys);
    TAILQ_INIT(&vol->queries);
    STAILQ_INIT(&vol->graves);
    TAILQ_INIT(&vol->mpu_aborts);
    vol->epoch = db_next_id(fs->db);
    return vol;
}

static bool volume_load_intent(void *ctx, const struct db_intent *row)
{
    intent_load(ctx, row);
    return true;
}

struct volume_ids {
    uint64_t *ids;
    size_t count, room;
};

static void volume_ids_add(struct volume_ids *v, uint64_t id)
{
    if (v->count == v->room) {
        v->room = v->room ? v->room * 2 : 256;
        v->ids = mem_rearray(v->ids, v->room, sizeof(*v->ids));
    }
    v->ids[v->count++] = id;
}

static bool volume_collect_id(void *ctx, const struct db_inode *inode)
{
    volume_ids_add(ctx, inode->id);
    return true;
}

struct volume_redirects {
    struct volume_ids dirs;
    struct redirect *rows;
};

static bool volume_collect_redirect(void *ctx, const struct db_redirect *row)
{
    struct volume_redirects *v = ctx;

    volume_ids_add(&v->dirs, row->inode);
    v->rows = mem_rearray(v->rows, v->dirs.count, sizeof(*v->rows));
    v->rows[v->dirs.count - 1] =
        (struct redirect){.epoch = row->epoch, .prefix = mem_strdup(row->prefix)};
    return true;
}

static int volume_path_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct inode *ino;
    int err = need_inode(vol, req, *(const uint64_t *)args, &ino);

    return err ? err : need_path(vol, req, ino);
}

static int volume_dirty_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    int err = volume_path_try(vol, req, args);
    struct inode *ino = err ? NULL : inode_find(vol, *(const uint64_t *)args);

    if (ino && ino->flight_key)
        flight_add(vol, ino);
    if (ino)
        dirty_update(vol, ino, ino->flight_key ? 0 : vol->fs->config.quiet_ns);
    return err;
}

/* Directories that drain, then what waits for an upload: targets depend on the redirects. */
static int volume_load_state(struct fs_volume *vol)
{
    struct volume_redirects redirects = {0};
    struct volume_ids dirty = {0};
    struct db *db = vol->fs->db;
    int err = db_each_intent(db, vol->id, volume_load_intent, vol);

    if (!err)
        err = db_each_redirect(db, vol->id, volume_collect_redirect, &redirects);
    for (size_t i = 0; i < redirects.dirs.count && !err; i++) {
        struct fs_req req = op_internal(CLOCK_NEVER);
        err = op_run(vol, &req, volume_path_try, &redirects.dirs.ids[i]);
        struct inode *dir = err ? NULL : inode_find(vol, redirects.dirs.ids[i]);
        if (dir)
            redirect_add(vol, dir, redirects.rows[i].epoch, redirects.rows[i].prefix);
        if (err == -ESTALE)
            err = 0; /* below a directory that is gone */
    }
    for (size_t i = 0; i < redirects.dirs.count; i++)
        free(redirects.rows[i].prefix);
    free(redirects.rows);
    free(redirects.dirs.ids);
    if (!err)
        err = db_each_flagged(db, vol->id, INODE_TO_STORE, volume_collect_id, &dirty);
    for (size_t i = 0; i < dirty.count && !err; i++) {
        struct fs_req req = op_internal(CLOCK_NEVER);
        err = op_run(vol, &req, volume_dirty_try, &dirty.ids[i]);
        if (err == -ESTALE)
            err = 0;
    }
    free(dirty.ids);
    return err ? err : mpu_load(vol);
}

static void volume_make_root(struct fs_volume *vol)
{
    struct change c;
    struct inode *root = inode_new(vol, vol->root, FS_DIR);

    meta_defaults(vol, root, clock_wall_ns());
    root->flags |= INODE_META_KNOWN | INODE_MARKER;
    change_begin(&c, vol);
    change_row(&c, root);
    change_end(&c, NULL);
}

static int volume_load_root(struct fs_volume *vol)
{
    struct db_inode row;
    int err = db_get_inode(vol->fs->db, vol->root, &row);

    if (err == -ENOENT) {
        volume_make_root(vol);
        return 0;
    }
    if (err)
        return err;
    struct inode *root = inode_load(vol, &row, NULL);
    inode_used(vol, root);
    db_inode_clear(&row);
    return 0;
}

void volume_store_config(struct fs *fs, struct store_config *config)
{
    /* The state directory's own: no two gateways that run at the same time have the same. */
    (void)crypto_shorthash((uint8_t *)&config->probe_id, (const uint8_t *)"probe", 5,
                           fs->handle_key);
}

char *volume_identity(const struct store *store, const struct store_config *config)
{
    return config && config->endpoint ? mem_printf("%s at %s", store->url, config->endpoint)
                                      : mem_strdup(store->url);
}

void volume_configure(struct fs_volume *vol, const struct fs_volume_config *config)
{
    vol->config = config ? *config : FS_VOLUME_CONFIG_DEFAULT;
    defaults_resolve(vol->fs, &vol->config);
    vol->read_only = vol->config.read_only || !vol->caps.writable;
}

int volume_open(struct fs *fs, struct store *store, const char *identity,
                const struct fs_volume_config *config, struct fs_volume **ret,
                struct fs_error *reterr)
{
    struct fs_volume *vol = volume_new(fs, identity);

    vol->store = store;
    store_get_caps(store, &vol->caps);
    volume_configure(vol, config);
    int err = db_volume(fs->db, identity, &vol->id, &vol->root);
    if (!err)
        err = volume_load_root(vol);
    if (!err)
        err = volume_load_state(vol);
    if (err) {
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%s: the state of this bucket in %s cannot be read: %s", identity,
                       fs->state_dir, strerrordesc_np(-err));
        volume_free(vol, true);
        return err;
    }
    local_load(vol);
    struct fs_volume *last = fs->volumes;
    while (last && last->next)
        last = last->next;
    if (last)
        last->next = vol;
    else
        fs->volumes = vol;
    *ret = vol;
    return 0;
}

int fs_add_volume(struct fs *fs, const char *url, const struct store_config *store_config,
                  const struct fs_volume_config *config, struct fs_volume **ret,
                  struct fs_error *reterr)
{
    struct store_error store_err = {{0}};
    struct store *store;
    struct store_config own = store_config ? *store_config : (struct store_config){0};

    volume_store_config(fs, &own);
    int err = store_open(url, &own, &store, &store_err);
    if (err) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s", store_err.text);
        return err;
    }
    CLEANUP_FREE char *identity = volume_identity(store, store_config);
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        if (strcmp(vol->url, identity) != 0)
            continue;
        store_close(store);
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s is the same as another URL given",
                       url);
        return -EEXIST;
    }
    err = volume_open(fs, store, identity, config, ret, reterr);
    if (!err)
        atomic_store(&(*ret)->mounts->top, *ret);
    return err;
}

/* Housekeeping: frees what is durably gone, keeps the tables within their limits. */
static void *volume_keep_main(void *arg)
{
    struct fs_volume *vol = arg;

    vol_lock(vol);
    while (!vol->stopping) {
        (void)thread_cond_wait_until(&vol->cond, &vol->lock,
                                     clock_mono_ns() + VOLUME_KEEP_MS * CLOCK_MS);
        inode_evict(vol);
        vol_unlock(vol);
        grave_sweep(vol);
        pressure_look(vol->fs);
        bool high = pressure_high(vol->fs);
        vol_lock(vol);
        vol->flush_all = vol->draining_all || high;
    }
    vol_unlock(vol);
    return NULL;
}

int volume_start(struct fs_volume *vol)
{
    int err = thread_start(&vol->keeper, "keeper", volume_keep_main, vol);

    if (!err)
        err = thread_start(&vol->intenter, "intents", intent_main, vol);
    if (!err)
        err = thread_start(&vol->drainer, "drain", drain_main, vol);
    return err;
}

void volume_stop(struct fs_volume *vol)
{
    vol_lock(vol);
    vol->stopping = true;
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
    (void)pthread_join(vol->keeper, NULL);
    (void)pthread_join(vol->intenter, NULL);
    (void)pthread_join(vol->drainer, NULL);
}

bool volume_idle(struct fs_volume *vol, struct fs_left *left)
{
    const struct inode *ino;
    const struct intent *intent;
    bool idle = true;

    vol_lock(vol);
    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        if (dirty_silly(ino))
            continue;
        left->files++;
        left->bytes += ino->extents ? extent_map_bytes(ino->extents) : 0;
        idle = false;
    }
    TAILQ_FOREACH (intent, &vol->intent_list, link) {
        const struct inode *other = displaced_find(vol, intent->key);
        if ((other && dirty_silly(other)) || wait_is_local(vol, &intent->wait))
            continue; /* goes when the client lets go of the file */
        left->intents++;
        idle = false;
    }
    idle = idle && TAILQ_EMPTY(&vol->draining);
    vol_unlock(vol);
    return idle;
}

void volume_free(struct fs_volume *vol, bool durable)
{
    struct touched *t, *next;
    struct intent *intent;
    struct grave *grave;

    wait_free(vol);
    while ((intent = TAILQ_FIRST(&vol->intent_list))) {
        HASH_DELETE(hh, vol->intents, intent);
        TAILQ_REMOVE(&vol->intent_list, intent, link);
        free(intent->key);
        free(intent->etag);
        free(intent);
    }
    inode_free_all(vol);
    mpu_free_all(vol);
    HASH_ITER (hh, vol->touched, t, next) {
        HASH_DELETE(hh, vol->touched, t);
        free(t);
    }
    while ((grave = STAILQ_FIRST(&vol->graves))) {
        STAILQ_REMOVE_HEAD(&vol->graves, link);
        /* What the database may still point at has to be there at the next start. */
        if (durable)
            extent_graves_free(grave->bytes);
        else
            extent_graves_forget(grave->bytes);
        free(grave);
    }
    store_close(vol->store);
    status_log_clear(&vol->log);
    (void)pthread_mutex_destroy(&vol->walk_lock);
    (void)pthread_mutex_destroy(&vol->lock);
    (void)pthread_cond_destroy(&vol->cond);
    free(vol->mounts->options);
    free(vol->mounts->points);
    free(vol->mounts->local);
    free(vol->mounts);
    free(vol->url);
    free(vol);
}

bool volume_detached(struct fs_volume *vol)
{
    LOCK_SCOPE(&vol->lock);

    return vol->mounts->detached;
}
