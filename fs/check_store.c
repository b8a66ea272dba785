/*
 * The state against the buckets: one listing of each into a temporary table, then every inode that
 * has an object is looked up there. No request per file.
 */
#include "fs/check_int.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

enum { CHECK_LIST_S = 120 };

struct check_bucket {
    struct check *c;
    const struct check_volume *vol;
    const char *url;
    struct db_query *find, *mark;
    uint64_t markers; /* directories whose object is not there */
};

/* --- listing --- */

static void bucket_page(const struct store_req *r, struct check *c, struct db_query *insert)
{
    db_view_exec(c->view, "BEGIN");
    for (size_t i = 0; i < r->object_count; i++) {
        db_query_text(insert, 1, r->objects[i].key);
        db_query_text(insert, 2, r->objects[i].etag);
        db_query_u64(insert, 3, r->objects[i].size);
        db_query_run(insert);
        c->counts->objects++;
    }
    db_view_exec(c->view, "COMMIT");
}

static bool bucket_list(struct check_bucket *b, struct store *store)
{
    CLEANUP_QUERY struct db_query *insert =
        db_query_new(b->c->view, "INSERT OR REPLACE INTO temp.object VALUES (?1, ?2, ?3, 0)");
    char *token = NULL;
    bool more = true;
    int err = 0;

    while (more && !err) {
        struct store_req r = {.op = STORE_LIST,
                              .deadline_ns = clock_mono_ns() + CHECK_LIST_S * CLOCK_S,
                              .prefix = "",
                              .token = token};
        err = store_call(store, &r);
        if (!err)
            bucket_page(&r, b->c, insert);
        else
            check_problem(b->c, "%s cannot be listed: %s %s", b->url, strerrordesc_np(-err),
                          r.error_text);
        free(token);
        token = mem_strdup(r.next_token);
        more = token != NULL;
        store_req_clear(&r);
    }
    free(token);
    return !err;
}

/* --- comparing --- */

enum name_column {
    COL_PARENT,
    COL_NAME,
    COL_ID,
    COL_TYPE,
    COL_FLAGS,
    COL_EPOCH,
    COL_BASE_KEY,
    COL_BASE_ETAG,
    COL_BASE_SIZE,
    COL_FLIGHT_KEY,
};

/* Looks key up and notes that the state knows it. */
static bool bucket_find(struct check_bucket *b, const char *key, char etag[STORE_ETAG_MAX],
                        uint64_t *ret_size)
{
    db_query_text(b->find, 1, key);
    bool found = db_query_next(b->find);
    if (found && etag) {
        const char *text = db_row_text(b->find, 0);
        (void)strlcpy(etag, text ? text : "", STORE_ETAG_MAX);
        *ret_size = db_row_u64(b->find, 1);
    }
    db_query_reset(b->find);
    if (found) {
        db_query_text(b->mark, 1, key);
        db_query_run(b->mark);
    }
    return found;
}

static void bucket_file(struct check_bucket *b, struct db_query *row, uint64_t id, const char *key)
{
    char etag[STORE_ETAG_MAX];
    uint64_t size = 0, want = db_row_u64(row, COL_BASE_SIZE);
    /* An upload that was cut off may have replaced it; the gateway looks before it goes on. */
    bool flight = !db_row_null(row, COL_FLIGHT_KEY);

    if (!bucket_find(b, key, etag, &size)) {
        if (!flight)
            check_problem(b->c, "%s: its object %s is not in %s", CHECK_WHO(b->c, id), LOG_Q(key),
                          b->url);
    } else if (strcmp(etag, db_row_text(row, COL_BASE_ETAG)) != 0 || size != want) {
        if (!flight)
            check_problem(b->c,
                          "%s: its object %s in %s is another version (ETag %s, %" PRIu64
                          " bytes) than the state knows (%s, %" PRIu64 ")",
                          CHECK_WHO(b->c, id), LOG_Q(key), b->url, LOG_Q(etag), size,
                          LOG_Q(db_row_text(row, COL_BASE_ETAG)), want);
    } else {
        b->c->counts->matched++;
    }
}

static void bucket_name(struct check_bucket *b, struct db_query *row)
{
    char key[STORE_KEY_MAX + 1];
    const char *name = db_row_text(row, COL_NAME), *base_key = db_row_text(row, COL_BASE_KEY);
    uint64_t id = db_row_u64(row, COL_ID), parent = db_row_u64(row, COL_PARENT);
    uint64_t epoch = db_row_u64(row, COL_EPOCH);
    uint32_t flags = (uint32_t)db_row_u64(row, COL_FLAGS);

    if (!db_row_null(row, COL_FLIGHT_KEY))
        (void)bucket_find(b, db_row_text(row, COL_FLIGHT_KEY), NULL, NULL);
    if (db_row_u64(row, COL_TYPE) == FS_DIR) {
        if (!check_key(b->c, id, NULL, epoch, key))
            return;
        bool found = bucket_find(b, key, NULL, NULL);
        b->markers += !found && (flags & INODE_MARKER) && !(flags & INODE_DIRTY);
        return;
    }
    if (db_row_null(row, COL_BASE_ETAG) || !name)
        return;
    if (base_key || check_key(b->c, parent, name, epoch, key))
        bucket_file(b, row, id, base_key ? base_key : key);
}

static void bucket_rest(struct check_bucket *b)
{
    CLEANUP_QUERY struct db_query *row = db_query_new(
        b->c->view, "SELECT count(*), total(size), min(key) FROM temp.object WHERE known = 0");

    if (db_query_next(row) && db_row_u64(row, 0) > 0) {
        b->c->counts->unknown += db_row_u64(row, 0);
        check_note(b->c,
                   "%s has %" PRIu64 " objects (%" PRIu64 " bytes) that the state does not "
                   "know yet, the first of them %s",
                   b->url, db_row_u64(row, 0), db_row_u64(row, 1), LOG_Q(db_row_text(row, 2)));
    }
    if (b->markers > 0)
        check_note(b->c, "%s has no object for %" PRIu64 " directories that had one", b->url,
                   b->markers);
}

static void bucket_compare(struct check_bucket *b)
{
    CLEANUP_QUERY struct db_query *row = db_query_new(
        b->c->view, "SELECT d.parent, d.name, i.id, i.type, i.flags, i.base_epoch, i.base_key,"
                    " i.base_etag, i.base_size, i.flight_key FROM dirent d CROSS JOIN inode i"
                    " ON i.id = d.inode WHERE i.volume = ?1 ORDER BY d.parent, d.name");
    CLEANUP_QUERY struct db_query *intents =
        db_query_new(b->c->view, "SELECT key FROM intent WHERE volume = ?1");

    db_query_u64(row, 1, b->vol->id);
    while (db_query_next(row))
        bucket_name(b, row);
    db_query_u64(intents, 1, b->vol->id);
    while (db_query_next(intents))
        (void)bucket_find(b, db_row_text(intents, 0), NULL, NULL);
    bucket_rest(b);
}

/* --- buckets --- */

static void check_bucket(struct check_bucket *b, const char *endpoint)
{
    struct check *c = b->c;
    struct store_config config = *c->config->store;
    struct store_error error = {{0}};
    struct store *store;

    config.read_only = true;
    if (!config.endpoint)
        config.endpoint = endpoint;
    if (store_open(b->url, &config, &store, &error)) {
        check_problem(c, "cannot be compared: %s", error.text);
        return;
    }
    db_view_exec(c->view, "CREATE TEMP TABLE object (key TEXT PRIMARY KEY, etag TEXT, size INTEGER,"
                          " known INTEGER) WITHOUT ROWID");
    b->find = db_query_new(c->view, "SELECT etag, size FROM temp.object WHERE key = ?1");
    b->mark = db_query_new(c->view, "UPDATE temp.object SET known = 1 WHERE key = ?1");
    if (bucket_list(b, store))
        bucket_compare(b);
    db_query_free(b->find);
    db_query_free(b->mark);
    db_view_exec(c->view, "DROP TABLE temp.object");
    store_close(store);
    check_database_errors(c, "the buckets");
}

/* What an identity was made from: "URL", "s3://BUCKET?endpoint=URL", and with either " at URL" if
 * the endpoint was given as an option. To free. */
static char *identity_url(const char *identity, char **ret_endpoint)
{
    static const char option[] = " at http", part[] = "?endpoint=http";
    char *url = mem_strdup(identity), *at;

    *ret_endpoint = NULL;
    at = strstr(url, option);
    if (at)
        *at = '\0';
    at = strncmp(url, "s3://", 5) == 0 ? strstr(url, part) : NULL;
    if (at) {
        *ret_endpoint = mem_strdup(strchr(at, '=') + 1);
        *at = '\0';
    }
    return url;
}

void check_stores(struct check *c)
{
    for (size_t i = 0; i < c->volume_count; i++) {
        CLEANUP_FREE char *endpoint = NULL;
        CLEANUP_FREE char *url = identity_url(c->volumes[i].identity, &endpoint);
        struct check_bucket b = {.c = c, .vol = &c->volumes[i], .url = url};
        check_bucket(&b, endpoint);
    }
}
