/* The stage: extents of one file against each other, all of them against the segment files. */
#include "fs/check_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/stage_int.h"

/* --- segment files --- */

static void segments_add(struct check *c, struct db_query *insert, int dir_fd, const char *name)
{
    char again[32];
    struct stat st;
    uint64_t id = strtoull(name, NULL, 16);

    stage_segment_name(id, again);
    if (strcmp(name, again) != 0 || id == 0) {
        check_note(c, "the stage has the file %s, which is not ours", LOG_Q(name));
        return;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)) {
        check_problem(c, "the stage file %s cannot be used", name);
        return;
    }
    db_query_u64(insert, 1, id);
    db_query_u64(insert, 2, (uint64_t)st.st_size);
    db_query_run(insert);
    c->counts->segments++;
    c->counts->segment_bytes += (uint64_t)st.st_size;
}

static void segments_list(struct check *c)
{
    CLEANUP_FREE char *path = mem_printf("%s/stage", c->config->state_dir);
    struct dirent *entry;

    db_view_exec(c->view, "CREATE TEMP TABLE segment (id INTEGER PRIMARY KEY, size INTEGER)");
    DIR *dir = opendir(path);
    if (!dir) {
        if (errno != ENOENT)
            check_problem(c, "the stage directory %s cannot be read: %s", LOG_Q(path),
                          strerrordesc_np(errno));
        return;
    }
    struct db_query *insert =
        db_query_new(c->view, "INSERT OR REPLACE INTO temp.segment VALUES (?1, ?2)");
    db_view_exec(c->view, "BEGIN");
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            segments_add(c, insert, dirfd(dir), entry->d_name);
    }
    db_view_exec(c->view, "COMMIT");
    db_query_free(insert);
    (void)closedir(dir);
}

/* --- extents --- */

static void extents_one(struct check *c, struct db_query *row, uint64_t *last_inode,
                        uint64_t *last_end)
{
    uint64_t id = db_row_u64(row, 0), off = db_row_u64(row, 1), len = db_row_u64(row, 2);
    bool exists = !db_row_null(row, 3);

    if (!exists)
        check_problem(c,
                      "the stage has %" PRIu64 " bytes for inode %" PRIu64 ", which does not exist",
                      len, id);
    if (len == 0 || len > FS_FILE_MAX || off > FS_FILE_MAX)
        check_problem(c, "%s has %" PRIu64 " bytes at %" PRIu64 " in the stage, which cannot be",
                      CHECK_WHO(c, id), len, off);
    else if (exists && off + len > db_row_u64(row, 3))
        check_problem(c, "%s has bytes up to %" PRIu64 " in the stage and is only %" PRIu64 " long",
                      CHECK_WHO(c, id), off + len, db_row_u64(row, 3));
    if (*last_inode == id && *last_end > off)
        check_problem(c, "%s has two versions of the bytes at %" PRIu64 " in the stage",
                      CHECK_WHO(c, id), off);
    *last_end = *last_inode == id && *last_end > off + len ? *last_end : off + len;
    *last_inode = id;
    c->counts->extents++;
    c->counts->dirty_bytes += len;
}

static void extents_by_file(struct check *c)
{
    CLEANUP_QUERY struct db_query *row =
        db_query_new(c->view, "SELECT e.inode, e.off, e.len, i.size FROM extent e"
                              " LEFT JOIN inode i ON i.id = e.inode ORDER BY e.inode, e.off");
    uint64_t last_inode = 0, last_end = 0;

    while (db_query_next(row))
        extents_one(c, row, &last_inode, &last_end);
    check_database_errors(c, "bytes in the stage");
}

/* Reads the bytes for their checksums. */
static void extents_read(struct check *c, struct db_query *row, const char *name)
{
    uint64_t id = db_row_u64(row, 0), off = db_row_u64(row, 1), len = db_row_u64(row, 2);
    uint64_t segment = db_row_u64(row, 3), pos = db_row_u64(row, 4);

    int err = stage_adopt(c->stage, segment, pos, len);
    if (!err)
        err = stage_verify(c->stage, segment, pos, len);
    if (err == -EPROTO)
        check_problem(c, "the stage file %s was written by another version of pailfs", name);
    else if (err)
        check_problem(c,
                      "%s: %" PRIu64 " bytes at %" PRIu64 " are damaged: at %" PRIu64
                      " in the stage file %s is something else than what "
                      "was written",
                      CHECK_WHO(c, id), len, off, pos, name);
}

/* What the next start puts into the stage from the database. */
static void redo_list(struct check *c)
{
    db_view_exec(c->view, "CREATE TEMP TABLE restored AS SELECT segment, pos, length(data) AS len"
                          " FROM redo");
    db_view_exec(c->view, "CREATE INDEX temp.restored_pos ON restored (segment, pos)");
    check_database_errors(c, "bytes for the stage");
}

/* True if these bytes are among that. */
static bool extents_restored(struct check *c, const struct db_query *row)
{
    CLEANUP_QUERY struct db_query *query =
        db_query_new(c->view, "SELECT pos + len FROM temp.restored WHERE segment = ?1 AND pos <= ?2"
                              " ORDER BY pos DESC LIMIT 1");

    db_query_u64(query, 1, db_row_u64(row, 3));
    db_query_u64(query, 2, db_row_u64(row, 4));
    return db_query_next(query) && db_row_u64(row, 4) + db_row_u64(row, 2) <= db_row_u64(query, 0);
}

static void extents_place(struct check *c, struct db_query *row)
{
    uint64_t id = db_row_u64(row, 0), off = db_row_u64(row, 1), len = db_row_u64(row, 2);
    uint64_t pos = db_row_u64(row, 4);
    char name[32];

    if (extents_restored(c, row))
        return;
    stage_segment_name(db_row_u64(row, 3), name);
    if (db_row_null(row, 5))
        check_problem(
            c, "%s: %" PRIu64 " bytes at %" PRIu64 " lie in the stage file %s, which is missing",
            CHECK_WHO(c, id), len, off, name);
    else if (pos + len > db_row_u64(row, 5) || pos + len < pos)
        check_problem(c,
                      "%s: %" PRIu64 " bytes at %" PRIu64 " lie at %" PRIu64
                      " in the stage file %s, which is only %" PRIu64 " long",
                      CHECK_WHO(c, id), len, off, pos, name, db_row_u64(row, 5));
    else if (c->stage && len > 0)
        extents_read(c, row, name);
}

/* Bytes are given out once: no two extents name the same. */
static void extents_by_segment(struct check *c)
{
    CLEANUP_QUERY struct db_query *row =
        db_query_new(c->view, "SELECT e.inode, e.off, e.len, e.segment, e.pos, s.size FROM extent e"
                              " LEFT JOIN temp.segment s ON s.id = e.segment"
                              " WHERE e.segment <> ?1 ORDER BY e.segment, e.pos");
    uint64_t segment = 0, end = 0, owner = 0;
    char name[32];

    db_query_u64(row, 1, STAGE_ZEROS);
    while (db_query_next(row)) {
        uint64_t pos = db_row_u64(row, 4), row_end = pos + db_row_u64(row, 2);
        extents_place(c, row);
        if (db_row_u64(row, 3) == segment && pos < end) {
            stage_segment_name(segment, name);
            check_problem(c, "%s and %s both have the bytes at %" PRIu64 " of the stage file %s",
                          CHECK_WHO(c, owner), CHECK_WHO(c, db_row_u64(row, 0)), pos, name);
        }
        if (db_row_u64(row, 3) != segment || row_end > end) {
            segment = db_row_u64(row, 3);
            end = row_end;
            owner = db_row_u64(row, 0);
        }
    }
    check_database_errors(c, "places in the stage");
}

static void extents_orphans(struct check *c)
{
    CLEANUP_QUERY struct db_query *row =
        db_query_new(c->view, "SELECT count(*), total(size) FROM temp.segment"
                              " WHERE id NOT IN (SELECT segment FROM extent)");

    if (db_query_next(row) && db_row_u64(row, 0) > 0) {
        c->counts->orphan_bytes = db_row_u64(row, 1);
        check_note(c,
                   "%" PRIu64 " stage files (%" PRIu64 " bytes) hold nothing that is needed: the "
                   "next start removes them",
                   db_row_u64(row, 0), db_row_u64(row, 1));
    }
    check_database_errors(c, "stage files");
}

void check_stage(struct check *c)
{
    struct stage_error error = {{0}};

    segments_list(c);
    redo_list(c);
    extents_by_file(c);
    /* It would make its directory. */
    if (c->counts->segments > 0 && stage_open(c->config->state_dir, UINT64_MAX, &c->stage, &error))
        check_problem(c, "%s; so checksums could not be looked at", error.text);
    extents_by_segment(c);
    stage_close(c->stage); /* never told that it was recovered: it removes nothing */
    c->stage = NULL;
    extents_orphans(c);
}
