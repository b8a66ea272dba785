/*
 * Telling our own changes from other people's. An answer of the store about a key is worthless if
 * we changed that key after the question was asked, or are changing it now: a listing that began
 * before our upload ended would show the old object as if somebody had put it back. Every question
 * takes a stamp from the volume's clock, every key we change one when the change has ended.
 */
#include <string.h>

#include "base/mem.h"
#include "fs/fs_int.h"

void query_begin(struct fs_volume *vol, struct query *q)
{
    q->stamp = ++vol->clock;
    TAILQ_INSERT_TAIL(&vol->queries, q, link);
}

/* Forgets touches that no question that is out can be older than. */
static void touched_prune(struct fs_volume *vol)
{
    const struct query *oldest = TAILQ_FIRST(&vol->queries);
    struct touched *t, *next;

    /* uthash iterates in order of insertion, which is the order of the stamps. */
    HASH_ITER (hh, vol->touched, t, next) {
        if (oldest && t->stamp >= oldest->stamp)
            break;
        HASH_DELETE(hh, vol->touched, t);
        free(t);
    }
}

void query_end(struct fs_volume *vol, struct query *q)
{
    TAILQ_REMOVE(&vol->queries, q, link);
    touched_prune(vol);
}

void key_touch(struct fs_volume *vol, const char *key)
{
    struct touched *t;
    size_t len = strlen(key);

    if (TAILQ_EMPTY(&vol->queries))
        return;
    HASH_FIND(hh, vol->touched, key, len, t);
    if (t) {
        HASH_DELETE(hh, vol->touched, t);
    } else {
        t = mem_alloc(sizeof(*t) + len + 1);
        memset(t, 0, sizeof(*t));
        memcpy(t->key, key, len + 1);
    }
    t->stamp = ++vol->clock;
    HASH_ADD_KEYPTR(hh, vol->touched, t->key, len, t);
}

bool key_unsettled(struct fs_volume *vol, const char *key, uint64_t stamp)
{
    struct touched *t;

    if (intent_find(vol, key))
        return true;
    if (flight_find(vol, key))
        return true;
    HASH_FIND(hh, vol->touched, key, strlen(key), t);
    return t && t->stamp >= stamp;
}

bool key_leaving(struct fs_volume *vol, const char *prefix, const char *key)
{
    return intent_find(vol, key) || path_moved_away(vol, prefix, key);
}

static bool key_below(const char *key, const char *prefix, size_t len)
{
    return strncmp(key, prefix, len) == 0;
}

bool key_unsettled_below(struct fs_volume *vol, const char *prefix, uint64_t stamp)
{
    const struct touched *t, *after;
    const char *below;
    size_t len = strlen(prefix);

    if (intent_find(vol, prefix) || wait_below(vol, prefix, &below) != WAIT_NOTHING)
        return true;
    HASH_ITER (hh, vol->touched, t, after) {
        if (t->stamp >= stamp && key_below(t->key, prefix, len))
            return true;
    }
    return false;
}
