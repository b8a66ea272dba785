/* Asking the store for one name: is there an object, a directory, both, or nothing. */
#include "fs/fs_int.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/thread.h"

struct ask_latch {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    size_t left;
};

static void ask_done(struct store_req *req)
{
    struct ask_latch *latch = req->ctx;

    (void)pthread_mutex_lock(&latch->lock);
    if (--latch->left == 0)
        (void)pthread_cond_signal(&latch->cond);
    (void)pthread_mutex_unlock(&latch->lock);
}

void ask_all(struct store *store, struct store_req *reqs, size_t count)
{
    struct ask_latch latch = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = count};

    thread_cond_init(&latch.cond);
    for (size_t i = 0; i < count; i++) {
        reqs[i].done = ask_done;
        reqs[i].ctx = &latch;
        store_submit(store, &reqs[i]);
    }
    (void)pthread_mutex_lock(&latch.lock);
    while (latch.left > 0)
        (void)thread_cond_wait_until(&latch.cond, &latch.lock, CLOCK_NEVER);
    (void)pthread_mutex_unlock(&latch.lock);
    (void)pthread_cond_destroy(&latch.cond);
}

enum { ASK_FILE, ASK_MARKER, ASK_BELOW, ASK_COUNT, ASK_PAGE = 32 };

struct ask { /* one source's answer */
    struct store_req reqs[ASK_COUNT];
    bool asked[ASK_COUNT]; /* and answered */
    char file_key[STORE_KEY_MAX + 1], dir_key[STORE_KEY_MAX + 2];
    char prefix[STORE_KEY_MAX + 1];
    uint64_t until;
    uint64_t stamp;
};

static int ask_err(const struct store_req *r)
{
    return r->err == -ENOENT ? 0 : r->err;
}

static struct store_req ask_question(const struct ask *a, size_t which, int64_t deadline_ns)
{
    struct store_req r = {.op = which == ASK_BELOW ? STORE_LIST : STORE_HEAD,
                          .prio = STORE_PRIO_READ,
                          .deadline_ns = deadline_ns};

    if (which == ASK_BELOW) {
        r.prefix = a->dir_key;
        r.max_keys = ASK_PAGE;
    } else {
        r.key = which == ASK_FILE ? a->file_key : a->dir_key;
    }
    return r;
}

/* True if that answer says what the name is, so that nothing else need be asked. No lock. */
static bool ask_settles(struct fs_volume *vol, const struct ask *a, size_t which)
{
    bool leaving;

    if (a->reqs[which].err || which == ASK_BELOW)
        return false;
    vol_lock(vol);
    leaving = which == ASK_FILE ? intent_find(vol, a->file_key) != NULL
                                : key_leaving(vol, a->prefix, a->dir_key);
    vol_unlock(vol);
    return !leaving;
}

/* Cheaply: one question after the other, until one is answered. The cheap ones come first: a LIST
 * costs twelve HEADs. No lock. */
static int ask_in_turn(struct fs_volume *vol, struct ask *a, int64_t deadline_ns, bool *ret_settled)
{
    for (size_t i = 0; i < ASK_COUNT; i++) {
        if (!a->asked[i])
            continue;
        a->reqs[i] = ask_question(a, i, deadline_ns);
        ask_all(vol->store, &a->reqs[i], 1);
        int err = ask_err(&a->reqs[i]);
        if (err)
            return err;
        if (ask_settles(vol, a, i)) {
            for (i++; i < ASK_COUNT; i++)
                a->asked[i] = false;
            *ret_settled = true;
        }
    }
    return 0;
}

/* All questions at once. No lock. */
static int ask_at_once(struct fs_volume *vol, struct ask *a, int64_t deadline_ns)
{
    struct store_req reqs[ASK_COUNT];
    size_t map[ASK_COUNT], n = 0;
    int err = 0;

    for (size_t i = 0; i < ASK_COUNT; i++) {
        if (!a->asked[i])
            continue;
        reqs[n] = ask_question(a, i, deadline_ns);
        map[n++] = i;
    }
    ask_all(vol->store, reqs, n);
    for (size_t i = 0; i < n; i++) {
        a->reqs[map[i]] = reqs[i];
        if (!err)
            err = ask_err(&reqs[i]);
    }
    return err;
}

/* Sends the questions that matter for what is known of the name. *ret_settled: no other source need
 * be asked. No lock. */
static int ask_source(struct fs_volume *vol, struct ask *a, int known_type, int64_t deadline_ns,
                      bool *ret_settled)
{
    const struct fs_volume_config *config = &vol->config;
    bool may_be_dir = strlen(a->dir_key) <= STORE_KEY_MAX; /* the longest key is a file's */

    a->asked[ASK_FILE] = known_type != FS_DIR;
    a->asked[ASK_MARKER] = (known_type == 0 || known_type == FS_DIR) && may_be_dir;
    /* A real directory answers for itself; a prefix only shows by what is below it. */
    a->asked[ASK_BELOW] = a->asked[ASK_MARKER] && !vol->caps.real_dirs && !config->no_implicit_dir;
    return config->cheap ? ask_in_turn(vol, a, deadline_ns, ret_settled)
                         : ask_at_once(vol, a, deadline_ns);
}

/* True if something below the directory is there and not about to be deleted by us. Lock held. */
static bool ask_has_below(struct fs_volume *vol, const struct ask *a)
{
    const struct store_req *r = &a->reqs[ASK_BELOW];

    if (!a->asked[ASK_BELOW] || r->err)
        return false;
    for (size_t i = 0; i < r->object_count; i++) {
        const char *key = r->objects[i].key;
        if (!key_leaving(vol, a->prefix, key) && !key_unsettled(vol, key, a->stamp))
            return true;
    }
    /* A whole page of what is about to go: the rest is looked at when it has gone. */
    return false;
}

static void ask_merge_source(struct fs_volume *vol, struct inode *dir, const char *name,
                             struct inode *known, const struct ask *a, int64_t now,
                             struct change *c, struct inode **ret)
{
    const struct store_req *marker = &a->reqs[ASK_MARKER], *file = &a->reqs[ASK_FILE];
    bool has_marker =
        a->asked[ASK_MARKER] && !marker->err && !key_leaving(vol, a->prefix, a->dir_key);

    if (!known && a->until != UINT64_MAX && path_foreign(vol, dir, a->until, a->dir_key))
        return;
    if (has_marker || ask_has_below(vol, a)) {
        observe_dir(vol, dir, name, known, has_marker ? &marker->object : NULL, a->until, now, c,
                    ret);
        if (!((*ret)->flags & INODE_META_KNOWN)) {
            (*ret)->flags |= INODE_META_KNOWN; /* asked, and there is none */
            change_row(c, *ret);
        }
    } else if (a->asked[ASK_FILE] && !file->err && !intent_find(vol, a->file_key)) {
        observe_file(vol, dir, name, known, &file->object, a->until, now, c, ret);
    }
}

/* True if a known file lies where it was asked for: a drain may have moved it meanwhile, and the
 * deletion that took it from there need not be over yet. */
static bool ask_still_there(struct fs_volume *vol, const struct inode *known,
                            const struct ask *asks, size_t count)
{
    char base[STORE_KEY_MAX + 1];

    if (!known || known->type == FS_DIR)
        return true;
    return count > 0 && path_base_key(vol, known, base) == 0 && strcmp(base, asks[0].file_key) == 0;
}

/* True if that nothing was found does not say that the directory is gone: a marker that is about to
 * go says nothing of the directory that lives there by now, nor do questions to several places
 * while what is below goes from one to the other. */
static bool ask_is_mute(struct fs_volume *vol, const struct inode *known, const struct ask *asks,
                        size_t count)
{
    for (size_t i = 0; i < count && known && known->type == FS_DIR; i++) {
        if (key_unsettled_below(vol, asks[i].dir_key, asks[i].stamp))
            return true;
    }
    return false;
}

/* True if a directory without a marker is one all the same: where nobody looks below names for
 * directories, what a listing showed is one until a listing shows otherwise. */
static bool ask_listed(const struct fs_volume *vol, const struct inode *known)
{
    return vol->config.no_implicit_dir && known && known->type == FS_DIR &&
           !(known->flags & INODE_MARKER);
}

/* Takes the answers into the state. Lock held. */
static int ask_merge(struct fs_volume *vol, uint64_t dir_id, const char *name, struct ask *asks,
                     size_t count, int known_type, uint64_t dir_gen, int64_t now)
{
    struct inode *dir = inode_find(vol, dir_id), *found = NULL;
    struct change c;
    if (!dir || (dir->flags & INODE_GONE) || dir_gen != vol->dir_gen)
        return -ERESTART;
    struct inode *known = inode_find_name(vol, dir_id, name);
    if ((known ? (int)known->type : 0) != known_type || (known && inode_owned(vol, known)) ||
        !ask_still_there(vol, known, asks, count))
        return -ERESTART;
    for (size_t i = 0; i < count; i++) {
        if ((key_unsettled(vol, asks[i].file_key, asks[i].stamp) &&
             !intent_find(vol, asks[i].file_key)) ||
            (key_unsettled(vol, asks[i].dir_key, asks[i].stamp) &&
             !intent_find(vol, asks[i].dir_key)))
            return -ERESTART;
    }
    change_begin(&c, vol);
    for (size_t i = 0; i < count && !found; i++)
        ask_merge_source(vol, dir, name, known, &asks[i], now, &c, &found);
    if (!found && known && !ask_listed(vol, known) && !ask_is_mute(vol, known, asks, count) &&
        observe_gone(vol, dir, known, &c))
        known = NULL;
    else if (!found && known)
        known->checked_ns = now;
    if (!found && ask_listed(vol, known) && !(known->flags & INODE_META_KNOWN)) {
        known->flags |= INODE_META_KNOWN; /* asked, and there is none */
        change_row(&c, known);
    }
    if (!found && !known && !negative_find(vol, dir_id, name))
        negative_add(vol, dir_id, name, now, 0);
    else if (!found && !known)
        negative_find(vol, dir_id, name)->checked_ns = now;
    change_end(&c, NULL);
    if (c.seq > dir->child_seq)
        dir->child_seq = c.seq;
    inode_evict(vol);
    return -ERESTART;
}

/* Under no lock: the database may have got the name meanwhile, from a listing that was evicted
 * again. */
static int ask_recheck(struct fs_volume *vol, uint64_t dir_id, const char *name)
{
    for (;;) {
        struct db_dirent dirent;
        struct db_inode row;
        vol_lock(vol);
        uint64_t gen = vol->load_gen;
        vol_unlock(vol);
        int err = db_get_dirent(vol->fs->db, dir_id, name, &dirent, &row);
        vol_lock(vol);
        if (gen == vol->load_gen) {
            if (!err) {
                (void)inode_load(vol, &row, &dirent);
                db_inode_clear(&row);
            }
            return err && err != -ENOENT ? -EIO : 0; /* with the lock */
        }
        vol_unlock(vol);
        if (!err)
            db_inode_clear(&row);
    }
}

/* One more place to ask about; twice is once. */
static void ask_add(struct ask *asks, size_t *count, const char *prefix, const char *name,
                    uint64_t until)
{
    struct ask *a = &asks[*count];

    if (strlen(prefix) + strlen(name) > STORE_KEY_MAX)
        return; /* no such key can be there */
    (void)stpcpy(a->prefix, prefix);
    (void)stpcpy(stpcpy(a->file_key, a->prefix), name);
    (void)stpcpy(stpcpy(a->dir_key, a->file_key), "/");
    a->until = until;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(asks[i].file_key, a->file_key) == 0)
            return;
    }
    ++*count;
}

/* Where the base of what is known lies, whatever the sources are now. */
static void ask_add_base(struct fs_volume *vol, const struct inode *known, const char *name,
                         struct ask *asks, size_t *count)
{
    char base[STORE_KEY_MAX + 1];
    size_t len, tail = strlen(name) + (known->type == FS_DIR ? 1 : 0);

    if (path_base_key(vol, known, base) != 0)
        return;
    len = strlen(base);
    if (len < tail || strncmp(base + len - tail, name, strlen(name)) != 0)
        return;
    base[len - tail] = '\0';
    ask_add(asks, count, base, name, UINT64_MAX);
}

/* The keys to ask about, per source, and the stamp. Lock held. */
static int ask_prepare(struct fs_volume *vol, const struct inode *dir, const char *name,
                       const struct inode *known, struct ask **ret, size_t *ret_count)
{
    struct sources sources;
    int err = path_sources(vol, dir, &sources);

    if (err)
        return err;
    sources_once(&sources);
    if (!known)
        sources_unknown(dir, &sources);
    struct ask *asks = mem_array(sources.count + 2, sizeof(*asks));
    *ret_count = 0;
    if (known)
        ask_add_base(vol, known, name, asks, ret_count);
    /* A known file is looked for where its base lies, nowhere else. */
    for (size_t i = 0; i < sources.count && !(known && known->type != FS_DIR); i++)
        ask_add(asks, ret_count, sources.s[i].prefix, name, sources.s[i].until);
    sources_clear(&sources);
    *ret = asks;
    return 0;
}

int ask_name(struct fs_volume *vol, struct fs_req *req, struct inode *dir, const char *name)
{
    struct inode *known = inode_find_name(vol, dir->id, name);
    int known_type = known ? (int)known->type : 0;
    uint64_t dir_id = dir->id, dir_gen = vol->dir_gen;
    char *name_copy;
    struct query q;
    struct ask *asks;
    size_t count;
    bool settled = false;
    int err;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (clock_mono_ns() >= req->deadline_ns || pressure_db(vol->fs)) /* new names need rows */
        return -EAGAIN;
    err = ask_prepare(vol, dir, name, known, &asks, &count);
    if (err)
        return err;
    name_copy = mem_strdup(name); /* name may be the inode's own */
    query_begin(vol, &q);
    int64_t now = clock_mono_ns();
    vol_unlock(vol);
    for (size_t i = 0; i < count; i++)
        asks[i].stamp = q.stamp;
    for (size_t i = 0; i < count && !err && !settled; i++)
        err = ask_source(vol, &asks[i], known_type, req->deadline_ns, &settled);
    int recheck = ask_recheck(vol, dir_id, name_copy);
    if (!err)
        err = recheck;
    if (!err)
        err = ask_merge(vol, dir_id, name_copy, asks, count, known_type, dir_gen, now);
    query_end(vol, &q);
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < ASK_COUNT; r++)
            store_req_clear(&asks[i].reqs[r]);
    }
    free(asks);
    free(name_copy);
    return err;
}
