/* What each row says by itself: flags against each other, ids within what was given out, ends that
 * meet; and whether what it points at is there. */
#include "fs/check_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"

static bool check_id_ok(const struct check *c, uint64_t id)
{
    return c->id_limit == 0 || (id >= 16 && id < c->id_limit);
}

enum inode_column {
    COL_ID,
    COL_TYPE,
    COL_FLAGS,
    COL_SIZE,
    COL_EPOCH,
    COL_BASE_KEY,
    COL_BASE_ETAG,
    COL_BASE_SIZE,
    COL_BASE_LEN,
    COL_TARGET,
    COL_FLIGHT_KEY,
    COL_EXTENTS,
};

/* --- inodes --- */

static void inode_ids(struct check *c, struct db_query *row, uint64_t id, bool is_dir)
{
    uint64_t epoch = db_row_u64(row, COL_EPOCH), since = db_row_u64(row, COL_BASE_LEN);

    if (!check_id_ok(c, id))
        check_problem(c, "%s has an id that was never given out (the highest is %" PRIu64 ")",
                      CHECK_WHO(c, id), c->id_limit - 1);
    if (c->id_limit && epoch >= c->id_limit)
        check_problem(c, "%s was placed at epoch %" PRIu64 ", which was never given out",
                      CHECK_WHO(c, id), epoch);
    if (is_dir && c->id_limit && since >= c->id_limit)
        check_problem(c, "%s moved at epoch %" PRIu64 ", which was never given out",
                      CHECK_WHO(c, id), since);
}

static void inode_file(struct check *c, struct db_query *row, uint64_t id, uint32_t type)
{
    uint32_t flags = (uint32_t)db_row_u64(row, COL_FLAGS);
    uint64_t size = db_row_u64(row, COL_SIZE);
    uint64_t base_size = db_row_u64(row, COL_BASE_SIZE), base_len = db_row_u64(row, COL_BASE_LEN);
    bool base = !db_row_null(row, COL_BASE_ETAG), key = !db_row_null(row, COL_BASE_KEY);
    bool extents = db_row_u64(row, COL_EXTENTS) > 0;

    if (key && !base)
        check_problem(c, "%s has a key for its object but no object", CHECK_WHO(c, id));
    if (key && !(flags & INODE_PLACE))
        check_problem(c, "%s lies under the key %s of an earlier name, and nothing moves it",
                      CHECK_WHO(c, id), LOG_Q(db_row_text(row, COL_BASE_KEY)));
    if (!key && (flags & INODE_PLACE))
        check_problem(c, "%s waits to be moved, but it is not known where from", CHECK_WHO(c, id));
    if (!base && !(flags & INODE_DIRTY))
        check_problem(c, "%s has no object, and no upload is to make one", CHECK_WHO(c, id));
    if (extents && !(flags & INODE_DIRTY))
        check_problem(c, "%s has bytes in the stage, and no upload is to take them",
                      CHECK_WHO(c, id));
    if (base_len > base_size)
        check_problem(c, "%s counts on %" PRIu64 " bytes of an object of %" PRIu64,
                      CHECK_WHO(c, id), base_len, base_size);
    if (type == FS_REG && base && !(flags & INODE_DIRTY) && size != base_len)
        check_problem(c,
                      "%s is %" PRIu64 " bytes long, its object %" PRIu64
                      ", and no upload is to change that",
                      CHECK_WHO(c, id), size, base_len);
    if (size > FS_FILE_MAX)
        check_problem(c, "%s is %" PRIu64 " bytes long, more than a file can be", CHECK_WHO(c, id),
                      size);
    if ((type != FS_LNK) != db_row_null(row, COL_TARGET) && type != FS_LNK)
        check_problem(c, "%s has the target of a symlink and is none", CHECK_WHO(c, id));
}

static void inode_dir(struct check *c, struct db_query *row, uint64_t id)
{
    uint32_t flags = (uint32_t)db_row_u64(row, COL_FLAGS);

    if (db_row_u64(row, COL_EXTENTS) > 0)
        check_problem(c, "%s is a directory with bytes in the stage", CHECK_WHO(c, id));
    if (!db_row_null(row, COL_BASE_KEY) || !db_row_null(row, COL_BASE_ETAG))
        check_problem(c, "%s is a directory with the object of a file", CHECK_WHO(c, id));
    if (flags & INODE_PLACE)
        check_problem(c, "%s is a directory that waits to be moved like a file", CHECK_WHO(c, id));
}

static void inode_row_check(struct check *c, struct db_query *row)
{
    uint64_t id = db_row_u64(row, COL_ID);
    uint32_t type = (uint32_t)db_row_u64(row, COL_TYPE);
    uint32_t flags = (uint32_t)db_row_u64(row, COL_FLAGS);
    const char *flight = db_row_text(row, COL_FLIGHT_KEY);

    inode_ids(c, row, id, type == FS_DIR);
    if (type == FS_REG || type == FS_LNK)
        inode_file(c, row, id, type);
    else if (type == FS_DIR)
        inode_dir(c, row, id);
    else
        check_problem(c, "%s has the unknown type %u", CHECK_WHO(c, id), type);
    if (flags & ~(uint32_t)INODE_KEPT)
        check_problem(c, "%s has flags that are never kept (%x)", CHECK_WHO(c, id), flags);
    if (flight && (!flight[0] || strlen(flight) > STORE_KEY_MAX ||
                   (flight[strlen(flight) - 1] == '/') != (type == FS_DIR)))
        check_problem(c, "%s was being uploaded to %s, which cannot be its key", CHECK_WHO(c, id),
                      LOG_Q(flight));
    c->counts->files += type == FS_REG;
    c->counts->dirs += type == FS_DIR;
    c->counts->links += type == FS_LNK;
    c->counts->dirty += (flags & INODE_TO_STORE) != 0;
}

static void check_inodes(struct check *c)
{
    CLEANUP_QUERY struct db_query *row = db_query_new(
        c->view, "SELECT id, type, flags, size, base_epoch, base_key, base_etag, base_size,"
                 " base_len, target, flight_key,"
                 " EXISTS (SELECT 1 FROM extent e WHERE e.inode = inode.id) FROM inode");

    while (db_query_next(row))
        inode_row_check(c, row);
    check_database_errors(c, "inodes");
}

/* --- names --- */

static void check_names(struct check *c)
{
    CLEANUP_QUERY struct db_query *row =
        db_query_new(c->view, "SELECT name, parent, id FROM dirent");

    while (db_query_next(row)) {
        const char *name = db_row_text(row, 0);
        if (!name || strlen(name) != db_row_bytes(row, 0) || name_check(name))
            check_problem(c, "%s in directory inode %" PRIu64 " cannot be a name", LOG_Q(name),
                          db_row_u64(row, 1));
        if (!check_id_ok(c, db_row_u64(row, 2)))
            check_problem(c,
                          "the name %s in directory inode %" PRIu64 " has the id %" PRIu64
                          ", which was never given out",
                          LOG_Q(name), db_row_u64(row, 1), db_row_u64(row, 2));
    }
    check_database_errors(c, "names");
}

/* --- redirects, intents, replies --- */

static void check_redirects(struct check *c)
{
    CLEANUP_QUERY struct db_query *row = db_query_new(
        c->view, "SELECT r.inode, r.epoch, r.prefix, r.volume, i.type, i.volume FROM redirect r"
                 " LEFT JOIN inode i ON i.id = r.inode");

    for (; db_query_next(row); c->counts->redirects++) {
        uint64_t id = db_row_u64(row, 0), epoch = db_row_u64(row, 1);
        const char *prefix = db_row_text(row, 2);
        size_t len = prefix ? strlen(prefix) : 0;
        if (db_row_null(row, 4))
            check_problem(c,
                          "what lay below %s is to be found through inode %" PRIu64
                          ", which does not exist",
                          LOG_Q(prefix), id);
        else if (db_row_u64(row, 4) != FS_DIR)
            check_problem(c,
                          "what lay below %s is to be found through %s, which is not a directory",
                          LOG_Q(prefix), CHECK_WHO(c, id));
        else if (db_row_u64(row, 3) != db_row_u64(row, 5))
            check_problem(c,
                          "what lay below %s is to be found through %s, which is in another "
                          "bucket",
                          LOG_Q(prefix), CHECK_WHO(c, id));
        if (len == 0 || len > STORE_KEY_MAX || prefix[len - 1] != '/')
            check_problem(c, "%s moved from %s, which cannot be a directory's key",
                          CHECK_WHO(c, id), LOG_Q(prefix));
        if (!check_id_ok(c, epoch))
            check_problem(c, "%s moved from %s at epoch %" PRIu64 ", which was never given out",
                          CHECK_WHO(c, id), LOG_Q(prefix), epoch);
    }
    check_database_errors(c, "renamed directories");
}

static void check_intents(struct check *c)
{
    CLEANUP_QUERY struct db_query *row =
        db_query_new(c->view, "SELECT t.id, t.kind, t.key, t.volume, v.id FROM intent t"
                              " LEFT JOIN volume v ON v.id = t.volume");

    for (; db_query_next(row); c->counts->intents++) {
        uint64_t id = db_row_u64(row, 0);
        const char *key = db_row_text(row, 2);
        if (db_row_u64(row, 1) != INTENT_DELETE)
            check_problem(c, "the intent %" PRIu64 " is of the unknown kind %" PRIu64, id,
                          db_row_u64(row, 1));
        if (!key || !key[0] || strlen(key) > STORE_KEY_MAX)
            check_problem(c, "the intent %" PRIu64 " has no key that could be in a bucket", id);
        if (db_row_null(row, 4))
            check_problem(c, "the intent for %s is for bucket %" PRIu64 ", which is not known",
                          LOG_Q(key), db_row_u64(row, 3));
        if (!check_id_ok(c, id))
            check_problem(c, "the intent for %s has the id %" PRIu64 ", which was never given out",
                          LOG_Q(key), id);
    }
    check_database_errors(c, "intents");
}

static void check_replies(struct check *c)
{
    CLEANUP_QUERY struct db_query *row =
        db_query_new(c->view, "SELECT id, length(key), length(reply) FROM reply");

    for (; db_query_next(row); c->counts->replies++) {
        if (db_row_u64(row, 1) == 0 || db_row_u64(row, 2) == 0)
            check_problem(c, "the kept reply %" PRIu64 " is empty", db_row_u64(row, 0));
    }
    check_database_errors(c, "kept replies");
}

/* --- multipart uploads that a crash may have cut off --- */

static void check_uploads(struct check *c)
{
    CLEANUP_QUERY struct db_query *row = db_query_new(
        c->view, "SELECT u.id, u.inode, u.key, u.upload_id, u.part_size, u.volume, v.id, i.type,"
                 " i.volume FROM upload u LEFT JOIN volume v ON v.id = u.volume"
                 " LEFT JOIN inode i ON i.id = u.inode");

    for (; db_query_next(row); c->counts->uploads++) {
        uint64_t id = db_row_u64(row, 0), inode = db_row_u64(row, 1);
        const char *key = db_row_text(row, 2), *upload_id = db_row_text(row, 3);
        if (!key || !key[0] || strlen(key) > STORE_KEY_MAX || !upload_id || !upload_id[0])
            check_problem(c, "the multipart upload %" PRIu64 " has no key or no name", id);
        if (db_row_null(row, 6))
            check_problem(c,
                          "the multipart upload to %s is in bucket %" PRIu64 ", which is not known",
                          LOG_Q(key), db_row_u64(row, 5));
        /* Of a file that was removed meanwhile it is right: the next start aborts it. */
        if (!db_row_null(row, 7) && db_row_u64(row, 7) != FS_REG)
            check_problem(
                c, "the multipart upload to %s is for inode %" PRIu64 ", which is not a file",
                LOG_Q(key), inode);
        else if (!db_row_null(row, 7) && db_row_u64(row, 8) != db_row_u64(row, 5))
            check_problem(c, "the multipart upload to %s is for %s, which is in another bucket",
                          LOG_Q(key), CHECK_WHO(c, inode));
        if (db_row_u64(row, 4) == 0)
            check_problem(c, "the multipart upload to %s has parts of no size", LOG_Q(key));
        if (!check_id_ok(c, id))
            check_problem(
                c, "the multipart upload to %s has the id %" PRIu64 ", which was never given out",
                LOG_Q(key), id);
    }
    check_database_errors(c, "multipart uploads");
}

static void check_parts(struct check *c)
{
    CLEANUP_QUERY struct db_query *row = db_query_new(
        c->view, "SELECT p.upload, p.number, p.len, p.etag, u.part_size, u.key FROM part p"
                 " LEFT JOIN upload u ON u.id = p.upload");

    for (; db_query_next(row); c->counts->parts++) {
        uint64_t upload = db_row_u64(row, 0), number = db_row_u64(row, 1), len = db_row_u64(row, 2);
        const char *etag = db_row_text(row, 3), *key = db_row_text(row, 5);
        if (db_row_null(row, 4))
            check_problem(c,
                          "the part %" PRIu64 " belongs to multipart upload %" PRIu64
                          ", which is not known",
                          number, upload);
        else if (number == 0 || len == 0 || len > db_row_u64(row, 4))
            check_problem(c,
                          "the part %" PRIu64 " of the multipart upload to %s has %" PRIu64
                          " bytes, with parts of %" PRIu64,
                          number, LOG_Q(key), len, db_row_u64(row, 4));
        if (!etag || !etag[0])
            check_problem(c, "the part %" PRIu64 " of multipart upload %" PRIu64 " has no ETag",
                          number, upload);
    }
    check_database_errors(c, "parts of uploads");
}

void check_rows(struct check *c)
{
    check_inodes(c);
    check_names(c);
    check_redirects(c);
    check_intents(c);
    check_replies(c);
    check_uploads(c);
    check_parts(c);
}
