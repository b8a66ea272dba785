/*
 * Whom keys belong to. A key is claimed by the file whose object lies there: by its path, through a
 * redirect, or in so many words (base_key). No two files may claim one key, and nothing that is to
 * be deleted may be claimed by a file that is not about to leave it.
 */
#include "fs/check_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"

struct claim { /* the questions of the search for a key's owner */
    struct check *c;
    struct db_query *inode, *redirect;
    uint64_t volume, root;
    const char *key;
    uint64_t except; /* not this inode */
};

/* The inode, if its object lies under the key, and nothing is about to take it away from there. */
static bool claim_holds(struct claim *q, uint64_t id)
{
    char base[STORE_KEY_MAX + 1], name[FS_NAME_MAX + 1];
    uint64_t parent;
    bool holds = false;

    if (id == 0 || id == q->except || id == q->root)
        return false;
    db_query_u64(q->inode, 1, id);
    if (db_query_next(q->inode)) {
        bool is_dir = db_row_u64(q->inode, 0) == FS_DIR;
        uint32_t flags = (uint32_t)db_row_u64(q->inode, 1);
        uint64_t epoch = db_row_u64(q->inode, 4);
        if (is_dir)
            holds = (flags & INODE_MARKER) && !(flags & INODE_DIRTY) &&
                    check_key(q->c, id, NULL, epoch, base);
        else
            holds = !(flags & INODE_TO_STORE) && db_row_null(q->inode, 2) &&
                    !db_row_null(q->inode, 3) && check_link(q->c, id, &parent, name) &&
                    check_key(q->c, parent, name, epoch, base);
        holds = holds && strcmp(base, q->key) == 0;
    }
    db_query_reset(q->inode);
    return holds;
}

/* The inode that claims q->key and is to stay there; 0 = none. */
static uint64_t claim_owner(struct claim *q)
{
    uint64_t owner = check_resolve(q->c, q->root, q->key);

    if (!claim_holds(q, owner))
        owner = 0;
    db_query_u64(q->redirect, 1, q->volume);
    db_query_text(q->redirect, 2, q->key);
    while (!owner && db_query_next(q->redirect)) {
        const char *prefix = db_row_text(q->redirect, 1);
        uint64_t id = check_resolve(q->c, db_row_u64(q->redirect, 0), q->key + strlen(prefix));
        if (claim_holds(q, id))
            owner = id;
    }
    db_query_reset(q->redirect);
    return owner;
}

static void claim_open(struct check *c, struct claim *q)
{
    *q = (struct claim){.c = c};
    q->inode = db_query_new(
        c->view, "SELECT type, flags, base_key, base_etag, base_epoch FROM inode WHERE id = ?1");
    q->redirect =
        db_query_new(c->view, "SELECT inode, prefix FROM redirect WHERE volume = ?1"
                              " AND substr(?2, 1, length(prefix)) = prefix AND prefix <> ''");
}

static void claim_close(struct claim *q)
{
    db_query_free(q->inode);
    db_query_free(q->redirect);
}

/* Deletions that are queued. */
static void keys_intents(struct check *c, struct claim *q)
{
    CLEANUP_QUERY struct db_query *row = db_query_new(
        c->view, "SELECT t.key, t.volume, v.root FROM intent t JOIN volume v ON v.id = t.volume"
                 " WHERE t.kind = 1 AND t.key IS NOT NULL");

    while (db_query_next(row)) {
        q->key = db_row_text(row, 0);
        q->volume = db_row_u64(row, 1);
        q->root = db_row_u64(row, 2);
        q->except = 0;
        uint64_t owner = claim_owner(q);
        size_t len = strlen(q->key);
        if (owner && len > 0 && q->key[len - 1] == '/')
            check_note(c, "the object %s is to be deleted, and %s counts on it: it gets a new one",
                       LOG_Q(q->key), CHECK_WHO(c, owner));
        else if (owner)
            check_problem(c, "the object %s is to be deleted, but it is that of %s", LOG_Q(q->key),
                          CHECK_WHO(c, owner));
    }
    check_database_errors(c, "deletions that are queued");
}

/* Files that lie under the key of an earlier name. */
static void keys_displaced(struct check *c, struct claim *q)
{
    CLEANUP_QUERY struct db_query *row =
        db_query_new(c->view, "SELECT i.base_key, i.volume, v.root, i.id FROM inode i JOIN volume v"
                              " ON v.id = i.volume WHERE i.base_key IS NOT NULL");

    while (db_query_next(row)) {
        q->key = db_row_text(row, 0);
        q->volume = db_row_u64(row, 1);
        q->root = db_row_u64(row, 2);
        q->except = db_row_u64(row, 3);
        uint64_t owner = claim_owner(q);
        if (owner)
            check_problem(c, "the object %s is claimed by %s and, under an earlier name, by %s",
                          LOG_Q(q->key), CHECK_WHO(c, owner), CHECK_WHO(c, q->except));
    }
    check_database_errors(c, "files that were renamed");
}

static void keys_twice(struct check *c)
{
    CLEANUP_QUERY struct db_query *base = db_query_new(
        c->view, "SELECT base_key, count(*), min(id), max(id) FROM inode"
                 " WHERE base_key IS NOT NULL GROUP BY volume, base_key HAVING count(*) > 1");
    CLEANUP_QUERY struct db_query *intent =
        db_query_new(c->view, "SELECT key, count(*) FROM intent WHERE kind = 1 GROUP BY volume, key"
                              " HAVING count(*) > 1");

    while (db_query_next(base))
        check_problem(
            c, "the object %s is claimed under an earlier name by %" PRIu64 " files: %s and %s",
            LOG_Q(db_row_text(base, 0)), db_row_u64(base, 1), CHECK_WHO(c, db_row_u64(base, 2)),
            CHECK_WHO(c, db_row_u64(base, 3)));
    while (db_query_next(intent))
        check_problem(c, "the object %s is to be deleted %" PRIu64 " times",
                      LOG_Q(db_row_text(intent, 0)), db_row_u64(intent, 1));
    check_database_errors(c, "keys");
}

void check_keys(struct check *c)
{
    struct claim q;

    claim_open(c, &q);
    keys_intents(c, &q);
    keys_displaced(c, &q);
    claim_close(&q);
    keys_twice(c);
}
