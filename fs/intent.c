/*
 * Intents: deletions that the state has already and the store not yet. One per key; the key is
 * hidden from listings while its intent lives. An intent waits for its row to be durable, for the
 * marker of the directory it empties, for a file whose base still lies there, and for an upload to
 * the same key, which absorbs it: the upload carries the precondition, and no moment without the
 * object is seen.
 */
#include "fs/fs_int.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum {
    INTENT_DELAY_MS = 200, /* gathers what one rm -rf removes */
    INTENT_RETRY_MAX_S = 60,
    INTENT_DEADLINE_S = 60,
    INTENT_POLL_MS = 100,
};

struct intent *intent_find(struct fs_volume *vol, const char *key)
{
    struct intent *intent;

    HASH_FIND(hh, vol->intents, key, strlen(key), intent);
    return intent;
}

static struct intent *intent_add(struct fs_volume *vol, uint64_t id, uint64_t dir, const char *key,
                                 const char *etag)
{
    struct intent *intent = mem_zalloc(sizeof(*intent));

    intent->id = id;
    intent->kind = INTENT_DELETE;
    intent->dir = dir;
    intent->key = mem_strdup(key);
    intent->etag = mem_strdup(etag);
    HASH_ADD_KEYPTR(hh, vol->intents, intent->key, strlen(intent->key), intent);
    TAILQ_INSERT_TAIL(&vol->intent_list, intent, link);
    return intent;
}

static void intent_free(struct fs_volume *vol, struct intent *intent)
{
    HASH_DELETE(hh, vol->intents, intent);
    walk_left_intent(vol, intent);
    TAILQ_REMOVE(&vol->intent_list, intent, link);
    free(intent->key);
    free(intent->etag);
    free(intent);
}

void intent_load(struct fs_volume *vol, const struct db_intent *row)
{
    (void)intent_add(vol, row->id, row->inode, row->key, row->etag);
}

void intent_delete(struct fs_volume *vol, struct change *c, uint64_t dir, const char *key,
                   const char *etag)
{
    struct intent *intent = intent_find(vol, key);

    if (!intent)
        intent = intent_add(vol, db_next_id(vol->fs->db), dir, key, etag);
    else {
        free(intent->etag);
        intent->etag = mem_strdup(etag);
        intent->again = intent->in_flight; /* what is under way was asked for before */
    }
    log_event(LOG_DEBUG, "to_delete", "key=%s etag=%s id=%lu", LOG_Q(key), LOG_Q(etag),
              (unsigned long)intent->id);
    struct db_intent row = {.id = intent->id,
                            .volume = vol->id,
                            .kind = INTENT_DELETE,
                            .inode = dir,
                            .key = intent->key,
                            .etag = intent->etag};
    db_put_intent(c->txn, &row);
    change_intent(c, intent);
    intent->due_ns = clock_mono_ns() + INTENT_DELAY_MS * CLOCK_MS;
}

void intent_drop(struct fs_volume *vol, struct change *c, struct intent *intent)
{
    for (size_t i = 0; i < c->intent_count; i++) {
        if (c->intents[i] == intent)
            c->intents[i--] = c->intents[--c->intent_count];
    }
    log_event(LOG_DEBUG, "no_longer_to_delete", "key=%s", LOG_Q(intent->key));
    db_del_intent(c->txn, intent->id);
    intent_free(vol, intent);
}

static bool key_starts(const char *key, const char *prefix)
{
    return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* All keys that are to go, sorted, for one round of intent_collect. */
struct intent_keys {
    const char **keys; /* NULL until the first directory asks */
    size_t count;
};

static int intent_key_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void intent_keys_make(struct fs_volume *vol, struct intent_keys *k)
{
    const struct intent *intent;

    k->keys = mem_array(HASH_COUNT(vol->intents) + 1, sizeof(*k->keys));
    TAILQ_FOREACH (intent, &vol->intent_list, link) {
        k->keys[k->count++] = intent->key;
    }
    qsort(k->keys, k->count, sizeof(*k->keys), intent_key_cmp);
}

/* Something below a directory's key is still to go: its marker goes last. A real directory could
 * not be removed before, and servers that keep objects in directories leave an empty one behind. */
static bool intent_has_below(struct fs_volume *vol, const struct intent *intent,
                             struct intent_keys *k)
{
    const struct inode *ino, *next;
    const char *key = intent->key;

    TAILQ_FOREACH (ino, &vol->draining, drain) {
        for (size_t i = 0; i < ino->redirect_count; i++) {
            if (key_starts(ino->redirects[i].prefix, key) &&
                strcmp(ino->redirects[i].prefix, key) != 0)
                return true;
        }
    }
    HASH_ITER (hh_base, vol->displaced, ino, next) {
        if (key_starts(ino->base_key, key))
            return true;
    }
    HASH_ITER (hh_flight, vol->flights, ino, next) {
        if (key_starts(ino->flight_key, key))
            return true;
    }
    if (!k->keys)
        intent_keys_make(vol, k);
    const char **at = bsearch(&key, k->keys, k->count, sizeof(*k->keys), intent_key_cmp);
    return at && at + 1 < k->keys + k->count && key_starts(at[1], key);
}

static bool intent_ready(struct fs_volume *vol, struct intent *intent, struct intent_keys *keys,
                         int64_t now)
{
    if (intent->in_flight || (intent->due_ns > now && !vol->flush_all))
        return false;
    if (intent->seq > db_durable(vol->fs->db))
        return false;
    if (flight_find(vol, intent->key) || displaced_find(vol, intent->key))
        return false;
    const struct inode *next = target_find(vol, intent->key);
    if (next && !dirty_silly(next) && !path_reserved(vol, intent->key))
        return false; /* its upload absorbs this */
    size_t len = strlen(intent->key);
    if (intent->key[len - 1] == '/' && intent_has_below(vol, intent, keys))
        return false;
    const struct inode *dir = inode_find(vol, intent->dir);
    return !(dir && (dir->flags & INODE_DIRTY) && !(dir->flags & INODE_GONE) && dir->target_key &&
             !path_reserved(vol, dir->target_key) && strcmp(dir->target_key, intent->key) != 0);
}

struct intent_batch {
    struct store_delete *deletes;
    struct intent **intents;
    char **etags; /* copies: an intent may get another while its deletion is under way */
    size_t count;
};

static void intent_collect(struct fs_volume *vol, struct intent_batch *b)
{
    int64_t now = clock_mono_ns();
    size_t max = vol->caps.delete_max ? vol->caps.delete_max : 1;
    struct intent_keys keys = {0};
    struct intent *intent;

    b->count = 0;
    TAILQ_FOREACH (intent, &vol->intent_list, link) {
        if (b->count == max)
            break;
        if (!intent_ready(vol, intent, &keys, now))
            continue;
        intent->in_flight = true;
        b->intents[b->count] = intent;
        b->etags[b->count] = vol->caps.cond_delete ? mem_strdup(intent->etag) : NULL;
        b->deletes[b->count] =
            (struct store_delete){.key = intent->key, .if_match = b->etags[b->count]};
        b->count++;
    }
    free(keys.keys);
}

static void intent_settle(struct fs_volume *vol, struct intent_batch *b, const struct store_req *r)
{
    int64_t now = clock_mono_ns();
    struct change c;

    change_begin(&c, vol);
    for (size_t i = 0; i < b->count; i++) {
        struct intent *intent = b->intents[i];
        int err = r->err ? r->err : b->deletes[i].err;
        intent->in_flight = false;
        key_touch(vol, intent->key);
        free(b->etags[i]);
        if (intent->again) {
            intent->again = false;
            intent->due_ns = now;
        } else if (!err || err == -ENOENT) {
            status_deleted(vol, 1);
            intent_drop(vol, &c, intent);
        } else if (err == -ESTALE) {
            log_event(LOG_WARN, "delete_conflict", "key=%s note=\"changed by others, left alone\"",
                      LOG_Q(intent->key));
            status_conflict(vol, intent->key, NULL);
            intent_drop(vol, &c, intent);
        } else {
            int64_t wait_s = INT64_C(1) << (intent->tries < 6 ? intent->tries : 6);
            intent->tries++;
            intent->due_ns =
                now + (wait_s < INTENT_RETRY_MAX_S ? wait_s : INTENT_RETRY_MAX_S) * CLOCK_S;
            status_failed(vol, "delete", intent->key, err, r->error_text);
            if (i == 0)
                log_event(LOG_WARN, "delete_failed", "key=%s err=%s text=%s", LOG_Q(intent->key),
                          strerrordesc_np(-err), LOG_Q(r->error_text));
        }
    }
    change_end(&c, NULL);
    (void)pthread_cond_broadcast(&vol->cond);
}

void *intent_main(void *arg)
{
    struct fs_volume *vol = arg;
    size_t max = vol->caps.delete_max ? vol->caps.delete_max : 1;
    struct intent_batch b = {.deletes = mem_array(max, sizeof(*b.deletes)),
                             .intents = mem_array(max, sizeof(struct intent *)),
                             .etags = mem_array(max, sizeof(char *))};

    vol_lock(vol);
    while (!vol->stopping) {
        intent_collect(vol, &b);
        if (b.count == 0) {
            (void)thread_cond_wait_until(&vol->cond, &vol->lock,
                                         clock_mono_ns() + INTENT_POLL_MS * CLOCK_MS);
            continue;
        }
        vol_unlock(vol);
        struct store_req r = {.op = STORE_DELETE,
                              .prio = STORE_PRIO_UPLOAD,
                              .deadline_ns = clock_mono_ns() + INTENT_DEADLINE_S * CLOCK_S,
                              .deletes = b.deletes,
                              .delete_count = b.count};
        (void)store_call(vol->store, &r);
        vol_lock(vol);
        intent_settle(vol, &b, &r);
        store_req_clear(&r);
        upload_kick(vol->fs);
    }
    vol_unlock(vol);
    free(b.deletes);
    free(b.intents);
    free(b.etags);
    return NULL;
}
