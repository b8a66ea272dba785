/* The process's part of the file system: database, stage, cache, volumes; start and stop. */
#include "fs/fs_int.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/redo.h"

enum {
    FS_STOP_POLL_MS = 50,
    FS_INODES_MIN = 10000,
    FS_SEGMENT_BITS = 20,    /* so many segments can be made between two starts */
    FS_KNOWN_MAX = 64 << 10, /* bytes of the list of buckets that a state directory has served */
};
static const char fs_meta_key[] = "handle_key", fs_meta_known[] = "served";

static void fs_durable_grew(void *ctx, uint64_t seq)
{
    struct fs *fs = ctx;
    fs_durable_fn *fn = atomic_load_explicit(&fs->on_durable, memory_order_acquire);

    if (fn)
        fn(fs->on_durable_ctx, seq);
}

/* The key that signs handles: made once, kept for ever. */
static int fs_load_key(struct fs *fs)
{
    int n = db_meta_get(fs->db, fs_meta_key, fs->handle_key, sizeof(fs->handle_key));

    if (n == (int)sizeof(fs->handle_key))
        return 0;
    if (n != -ENOENT)
        return n < 0 ? n : -EUCLEAN;
    randombytes_buf(fs->handle_key, sizeof(fs->handle_key));
    struct db_txn *txn = db_txn_new(fs->db);
    db_meta_put(txn, fs_meta_key, fs->handle_key, sizeof(fs->handle_key));
    return db_wait(fs->db, db_submit(fs->db, txn), CLOCK_NEVER);
}

/* Staged bytes that the database does not know of would be taken for rubbish. */
static int fs_check_stage_left(const char *state_dir, bool db_there, struct fs_error *reterr)
{
    uint64_t bytes, count = stage_left(state_dir, &bytes);

    if (count == 0)
        return 0;
    (void)snprintf(
        reterr->text, sizeof(reterr->text),
        "%s/pailfs.db is %s, but %s/stage has %lu files (%lu MiB) that clients wrote and "
        "only the database can name; put the database back, or move %s/stage away to "
        "begin without them",
        state_dir, db_there ? "new" : "missing", state_dir, (unsigned long)count,
        (unsigned long)(bytes >> 20), state_dir);
    return -EUCLEAN;
}

static int fs_open_db(struct fs *fs, struct fs_error *reterr)
{
    CLEANUP_FREE char *path = mem_printf("%s/pailfs.db", fs->state_dir);
    struct db_error db_err = {{0}};
    int err = 0;

    if (access(path, F_OK) && errno == ENOENT)
        err = fs_check_stage_left(fs->state_dir, false, reterr);
    if (err)
        return err;
    err = db_open(fs->state_dir, &fs->db, &db_err);
    if (err == -EUCLEAN)
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%.300s; nothing was changed: put a copy of it back, or mend it with "
                       "\"sqlite3 pailfs.db .recover\"",
                       db_err.text);
    else if (err)
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s", db_err.text);
    if (err)
        return err;
    if (db_meta_get(fs->db, fs_meta_key, fs->handle_key, sizeof(fs->handle_key)) == -ENOENT)
        err = fs_check_stage_left(fs->state_dir, true, reterr);
    if (err)
        return err;
    err = fs_load_key(fs);
    if (err)
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s: the database cannot be used: %s",
                       fs->state_dir, strerrordesc_np(-err));
    return err;
}

int fs_start(const struct fs_config *config, struct fs **ret, struct fs_error *reterr)
{
    struct stage_error stage_err = {{0}};
    struct fs *fs = mem_zalloc(sizeof(*fs));
    uint64_t verifier;
    int err;

    if (sodium_init() < 0)
        abort();
    fs->config = *config;
    fs->state_dir = mem_strdup(config->state_dir);
    fs->config.state_dir = fs->state_dir;
    (void)pthread_mutex_init(&fs->room_lock, NULL);
    thread_cond_init(&fs->room_cond);
    fs->room_ns = clock_mono_ns() - 60 * CLOCK_S; /* nothing left it just now */
    (void)pthread_mutex_init(&fs->pool_lock, NULL);
    thread_cond_init(&fs->pool_cond);
    thread_cond_init(&fs->upload_cond);
    randombytes_buf(&verifier, sizeof(verifier));
    atomic_store(&fs->verifier, verifier);
    atomic_store(&fs->content_id, 1);
    fs->inode_limit = config->memory_limit / 8 / INODE_BYTES;
    if (fs->inode_limit < FS_INODES_MIN)
        fs->inode_limit = FS_INODES_MIN;
    fs->part_limit = config->memory_limit / 4;
    err = fs_open_db(fs, reterr);
    if (err)
        goto fail;
    err = stage_open(config->state_dir, config->stage_limit, &fs->stage, &stage_err);
    if (err) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s", stage_err.text);
        goto fail;
    }
    stage_ids_from(fs->stage, db_next_id(fs->db) << FS_SEGMENT_BITS);
    fs->reader = reader_new(config->memory_limit / 2);
    fs->redo = redo_new(fs);
    fs->mounts = mounts_new(fs);
    db_on_durable(fs->db, fs_durable_grew, fs);
    *ret = fs;
    return 0;
fail:
    if (fs->db)
        (void)db_close(fs->db);
    free(fs->state_dir);
    free(fs);
    return err;
}

/* --- which buckets this state directory belongs to --- */

/* True if url is one of the lines of known. */
static bool fs_knows(const char *known, const char *url)
{
    size_t len = strlen(url);

    for (const char *at = known; (at = strstr(at, url)); at += len) {
        if ((at == known || at[-1] == '\n') && at[len] == '\n')
            return true;
    }
    return false;
}

int fs_check_known(struct fs *fs, struct fs_error *reterr)
{
    CLEANUP_FREE char *known = mem_zalloc(FS_KNOWN_MAX + 1);
    CLEANUP_FREE char *first = NULL;
    int n = db_meta_get(fs->db, fs_meta_known, known, FS_KNOWN_MAX);
    bool any = false, all = true;

    if (n < 0 && n != -ENOENT)
        return n;
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        any = any || fs_knows(known, vol->url);
        all = all && (vol->mounts->failed || fs_knows(known, vol->url));
    }
    if (n > 0 && !any) {
        first = mem_strndup(known, strcspn(known, "\n"));
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%s: this state directory was made for %s; give %s one of its own "
                       "(--state-dir)",
                       fs->state_dir, first, fs->volumes ? fs->volumes->url : "another bucket");
        return -EEXIST;
    }
    if (all)
        return 0;
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        size_t used = strlen(known), len = strlen(vol->url);
        if (!vol->mounts->failed && !fs_knows(known, vol->url) && used + len + 1 < FS_KNOWN_MAX)
            (void)stpcpy(stpcpy(known + used, vol->url), "\n");
    }
    struct db_txn *txn = db_txn_new(fs->db);
    db_meta_put(txn, fs_meta_known, known, strlen(known));
    return db_wait(fs->db, db_submit(fs->db, txn), CLOCK_NEVER);
}

int fs_run(struct fs *fs, struct fs_error *reterr)
{
    int err = fs_check_known(fs, reterr);

    if (err) {
        if (!reterr->text[0])
            (void)snprintf(reterr->text, sizeof(reterr->text),
                           "%s: the database cannot be used: %s", fs->state_dir,
                           strerrordesc_np(-err));
        return err;
    }
    err = redo_load(fs->redo, reterr);
    if (!err)
        err = adopt_run(fs, reterr);
    if (err)
        return err;
    for (struct fs_volume *vol = fs->volumes; vol && !err; vol = vol->next)
        err = vol->mounts->stopped ? 0 : volume_start(vol);
    if (!err)
        err = redo_start(fs->redo);
    if (!err)
        err = upload_start(fs);
    if (err)
        (void)snprintf(reterr->text, sizeof(reterr->text), "threads cannot be started: %s",
                       strerrordesc_np(-err));
    fs->running = !err;
    return err ? err : mounts_run(fs, reterr);
}

void fs_get_left(struct fs *fs, struct fs_left *ret)
{
    *ret = (struct fs_left){0};
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next)
        (void)volume_idle(vol, ret);
}

/* Uploads everything, as far as time allows. */
static void fs_upload_all(struct fs *fs, int64_t deadline_ns)
{
    for (;;) {
        struct fs_left left = {0};
        bool idle = true;
        for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
            vol_lock(vol);
            vol->draining_all = vol->flush_all = true;
            vol_unlock(vol);
            idle = (volume_detached(vol) || volume_idle(vol, &left)) && idle;
        }
        if (idle || clock_mono_ns() >= deadline_ns)
            return;
        upload_kick(fs);
        (void)pthread_mutex_lock(&fs->pool_lock);
        (void)thread_cond_wait_until(&fs->pool_cond, &fs->pool_lock,
                                     clock_mono_ns() + FS_STOP_POLL_MS * CLOCK_MS);
        (void)pthread_mutex_unlock(&fs->pool_lock);
    }
}

/* Unstable writes that no COMMIT asked for yet: durable all the same. */
static int fs_commit_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    struct inode *ino;
    uint64_t seq;

    (void)args;
    TAILQ_FOREACH (ino, &vol->dirty, dirty) {
        int err = commit_inode(vol, req, ino, &seq);
        if (err == -ERESTART || err == -EAGAIN)
            return err;
    }
    return 0;
}

void fs_commit_all(struct fs_volume *vol)
{
    struct fs_req req = op_internal(CLOCK_NEVER);

    (void)op_run(vol, &req, fs_commit_try, NULL);
}

void fs_drain(struct fs *fs, int64_t deadline_ns)
{
    for (struct fs_volume *vol = fs->volumes; vol; vol = vol->next) {
        orphan_end_all(vol);
        fs_commit_all(vol);
    }
    fs_upload_all(fs, deadline_ns);
}

void fs_stop(struct fs *fs, int64_t deadline_ns, struct fs_left *ret_left)
{
    struct fs_volume *vol, *next;

    mounts_stop(fs);
    if (fs->running) {
        fs_drain(fs, deadline_ns);
        /* A store that does not answer has had its time; what is cut off is asked for at the next
         * start. */
        for (vol = fs->volumes; vol; vol = vol->next)
            store_cut(vol->store, clock_mono_ns());
        upload_stop(fs);
        for (vol = fs->volumes; vol; vol = vol->next)
            if (!vol->mounts->stopped)
                volume_stop(vol);
    }
    if (ret_left)
        fs_get_left(fs, ret_left);
    redo_stop(fs->redo);
    bool durable = db_close(fs->db);
    for (vol = fs->volumes; vol; vol = next) {
        next = vol->next;
        vol->fs->db = NULL;
        volume_free(vol, durable);
    }
    mounts_free(fs->mounts);
    stage_close(fs->stage);
    reader_free(fs->reader);
    redo_free(fs->redo);
    (void)pthread_mutex_destroy(&fs->room_lock);
    (void)pthread_cond_destroy(&fs->room_cond);
    (void)pthread_mutex_destroy(&fs->pool_lock);
    (void)pthread_cond_destroy(&fs->pool_cond);
    (void)pthread_cond_destroy(&fs->upload_cond);
    free(fs->state_dir);
    free(fs);
}

uint64_t fs_durable(struct fs *fs)
{
    return db_durable(fs->db);
}

void fs_on_durable(struct fs *fs, void (*fn)(void *ctx, uint64_t seq), void *ctx)
{
    fs->on_durable_ctx = ctx;
    atomic_store_explicit(&fs->on_durable, fn, memory_order_release);
}

struct fs_replies {
    fs_reply_fn *fn;
    void *ctx;
};

static bool fs_pass_reply(void *ctx, const struct db_reply *reply)
{
    const struct fs_replies *r = ctx;

    return r->fn(r->ctx, reply->key, reply->key_len, reply->reply, reply->reply_len);
}

int fs_each_reply(struct fs *fs, fs_reply_fn *fn, void *ctx)
{
    struct fs_replies r = {.fn = fn, .ctx = ctx};

    return db_each_reply(fs->db, fs_pass_reply, &r);
}

void fs_write_verifier(struct fs *fs, uint8_t ret[FS_VERF_SIZE])
{
    uint64_t v = atomic_load(&fs->verifier);

    memcpy(ret, &v, FS_VERF_SIZE);
}

uint64_t fs_root(struct fs_volume *vol)
{
    return vol->root;
}

uint32_t fs_volume_id(struct fs_volume *vol)
{
    return vol->id;
}
