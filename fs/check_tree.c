/*
 * The tree: every inode has one name, every name an inode, every directory a way up to its root.
 * Names are gathered by inode into a temporary table first, since the database itself has no such
 * index.
 */
#include "fs/check_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* Runs sql and gives each row to fn. */
static void each_row(struct check *c, const char *sql,
                     void (*fn)(struct check *c, struct db_query *row))
{
    CLEANUP_QUERY struct db_query *query = db_query_new(c->view, sql);

    while (db_query_next(query))
        fn(c, query);
}

static uint64_t one_number(struct check *c, const char *sql)
{
    CLEANUP_QUERY struct db_query *query = db_query_new(c->view, sql);

    return db_query_next(query) ? db_row_u64(query, 0) : 0;
}

static const char *row_name(struct db_query *row, int column)
{
    const char *name = db_row_text(row, column);

    return name ? name : "";
}

/* --- what the database says of itself --- */

static void meta_row(struct check *c, struct db_query *row)
{
    const char *name = row_name(row, 0);
    size_t len = db_row_bytes(row, 1);
    const uint8_t *value = db_row_blob(row, 1);

    if (strcmp(name, "id_limit") == 0) {
        if (len != 8) {
            check_problem(c, "the highest id given out is kept in %zu bytes instead of 8", len);
            return;
        }
        for (unsigned i = 0; i < 8; i++)
            c->id_limit |= (uint64_t)value[i] << (8 * i);
    }
    if (strcmp(name, "handle_key") == 0 && len != sizeof(((struct fs *)0)->handle_key))
        check_problem(c, "the key that signs file handles has %zu bytes instead of %zu", len,
                      sizeof(((struct fs *)0)->handle_key));
}

static void volume_row(struct check *c, struct db_query *row)
{
    struct check_volume vol = {.id = db_row_u64(row, 0), .root = db_row_u64(row, 2)};
    bool has_root = !db_row_null(row, 3);

    vol.identity = mem_strdup(row_name(row, 1));
    if (!vol.identity[0])
        check_problem(c, "bucket %" PRIu64 " has no URL", vol.id);
    if (has_root && (db_row_u64(row, 3) != FS_DIR || db_row_u64(row, 4) != vol.id))
        check_problem(c, "the root of %s, inode %" PRIu64 ", is not a directory of it",
                      LOG_Q(vol.identity), vol.root);
    if (!has_root && db_row_u64(row, 5) > 0)
        check_problem(c, "the root of %s, inode %" PRIu64 ", is missing", LOG_Q(vol.identity),
                      vol.root);
    c->volumes = mem_rearray(c->volumes, c->volume_count + 1, sizeof(*c->volumes));
    c->volumes[c->volume_count++] = vol;
    c->counts->volumes++;
}

/* --- names and inodes --- */

static void dangling_name(struct check *c, struct db_query *row)
{
    check_problem(c,
                  "the name %s in directory inode %" PRIu64 " belongs to inode %" PRIu64
                  ", which does not exist",
                  LOG_Q(row_name(row, 1)), db_row_u64(row, 0), db_row_u64(row, 2));
}

static void homeless_name(struct check *c, struct db_query *row)
{
    if (db_row_null(row, 3))
        check_problem(c,
                      "the name %s of inode %" PRIu64 " is in directory inode %" PRIu64
                      ", which does not exist",
                      LOG_Q(row_name(row, 1)), db_row_u64(row, 2), db_row_u64(row, 0));
    else
        check_problem(
            c, "the name %s of inode %" PRIu64 " is in inode %" PRIu64 ", which is not a directory",
            LOG_Q(row_name(row, 1)), db_row_u64(row, 2), db_row_u64(row, 0));
}

static void nameless_inode(struct check *c, struct db_query *row)
{
    check_problem(
        c, "inode %" PRIu64 " has no name in any directory (its parent should be %" PRIu64 ")",
        db_row_u64(row, 0), db_row_u64(row, 1));
}

static void named_twice(struct check *c, struct db_query *row)
{
    check_problem(c,
                  "inode %" PRIu64 " has %" PRIu64 " names, one of them %s in directory inode "
                  "%" PRIu64,
                  db_row_u64(row, 0), db_row_u64(row, 1), LOG_Q(row_name(row, 2)),
                  db_row_u64(row, 3));
}

static void wrong_parent(struct check *c, struct db_query *row)
{
    check_problem(c,
                  "inode %" PRIu64 " says that its parent is inode %" PRIu64 ", but its name %s "
                  "is in directory inode %" PRIu64,
                  db_row_u64(row, 0), db_row_u64(row, 1), LOG_Q(row_name(row, 2)),
                  db_row_u64(row, 3));
}

static void wrong_volume(struct check *c, struct db_query *row)
{
    check_problem(c,
                  "inode %" PRIu64 " is in bucket %" PRIu64 ", its directory inode %" PRIu64
                  " in bucket %" PRIu64,
                  db_row_u64(row, 0), db_row_u64(row, 1), db_row_u64(row, 2), db_row_u64(row, 3));
}

static void no_volume(struct check *c, struct db_query *row)
{
    check_problem(c, "inode %" PRIu64 " is in bucket %" PRIu64 ", which is not known",
                  db_row_u64(row, 0), db_row_u64(row, 1));
}

static void same_cookie(struct check *c, struct db_query *row)
{
    check_problem(c, "%" PRIu64 " names in directory inode %" PRIu64 " have the same id %" PRIu64,
                  db_row_u64(row, 2), db_row_u64(row, 0), db_row_u64(row, 1));
}

static void named_root(struct check *c, struct db_query *row)
{
    check_problem(c, "the root inode %" PRIu64 " has a name, %s in directory inode %" PRIu64,
                  db_row_u64(row, 0), LOG_Q(row_name(row, 1)), db_row_u64(row, 2));
}

static void check_links(struct check *c)
{
    each_row(c,
             "SELECT d.parent, d.name, d.inode FROM dirent d LEFT JOIN inode i ON i.id = d.inode"
             " WHERE i.id IS NULL",
             dangling_name);
    each_row(c,
             "SELECT d.parent, d.name, d.inode, p.type FROM dirent d"
             " LEFT JOIN inode p ON p.id = d.parent WHERE p.id IS NULL OR p.type <> 2",
             homeless_name);
    each_row(c,
             "SELECT i.id, i.parent FROM inode i WHERE i.id NOT IN (SELECT root FROM volume)"
             " AND NOT EXISTS (SELECT 1 FROM temp.link l WHERE l.inode = i.id)",
             nameless_inode);
    each_row(c,
             "SELECT inode, count(*), min(name), parent FROM temp.link GROUP BY inode"
             " HAVING count(*) > 1",
             named_twice);
    each_row(c,
             "SELECT i.id, i.parent, l.name, l.parent FROM temp.link l CROSS JOIN inode i"
             " ON i.id = l.inode WHERE i.parent <> l.parent",
             wrong_parent);
    each_row(c,
             "SELECT i.id, i.volume, p.id, p.volume FROM temp.link l CROSS JOIN inode i"
             " ON i.id = l.inode CROSS JOIN inode p ON p.id = l.parent"
             " WHERE i.volume <> p.volume",
             wrong_volume);
    each_row(c, "SELECT id, volume FROM inode WHERE volume NOT IN (SELECT id FROM volume)",
             no_volume);
    each_row(c,
             "SELECT parent, id, count(*) FROM dirent INDEXED BY dirent_order"
             " GROUP BY parent, id HAVING count(*) > 1",
             same_cookie);
    each_row(c,
             "SELECT l.inode, l.name, l.parent FROM volume v JOIN temp.link l"
             " ON l.inode = v.root",
             named_root);
}

/* --- ways up --- */

/* A directory that no root reaches, though its name is in a directory: is it above itself? Those
 * that only hang below something broken are not told one by one. */
static void unreached_dir(struct check *c, struct db_query *row)
{
    CLEANUP_QUERY struct db_query *up =
        db_query_new(c->view, "SELECT parent FROM temp.link WHERE inode = ?1 LIMIT 1");
    uint64_t id = db_row_u64(row, 0), at = id;

    for (int steps = 0; steps <= DEPTH_MAX; steps++) {
        db_query_u64(up, 1, at);
        at = db_query_next(up) ? db_row_u64(up, 0) : 0;
        db_query_reset(up);
        if (at == 0)
            return;
        if (at == id) {
            check_problem(c, "directory inode %" PRIu64 ", named %s, lies below itself", id,
                          LOG_Q(row_name(row, 1)));
            return;
        }
    }
}

static void check_reach(struct check *c)
{
    db_view_exec(c->view, "CREATE TEMP TABLE reach (id INTEGER PRIMARY KEY);"
                          "WITH RECURSIVE r(id) AS (SELECT root FROM volume UNION"
                          " SELECT d.inode FROM r CROSS JOIN dirent d ON d.parent = r.id"
                          " CROSS JOIN inode i ON i.id = d.inode AND i.type = 2)"
                          "INSERT INTO temp.reach SELECT id FROM r");
    each_row(c,
             "SELECT i.id, l.name FROM inode i CROSS JOIN temp.link l ON l.inode = i.id"
             " WHERE i.type = 2 AND i.id NOT IN (SELECT id FROM temp.reach)",
             unreached_dir);
    db_view_exec(c->view, "DROP TABLE temp.reach");
}

void check_tree(struct check *c)
{
    each_row(c, "SELECT name, value FROM meta", meta_row);
    if (!c->id_limit)
        check_problem(c, "the highest id given out is not known");
    each_row(c,
             "SELECT v.id, v.identity, v.root, i.type, i.volume,"
             " EXISTS (SELECT 1 FROM inode x WHERE x.volume = v.id)"
             " FROM volume v LEFT JOIN inode i ON i.id = v.root ORDER BY v.id",
             volume_row);
    db_view_exec(c->view,
                 "CREATE TEMP TABLE link (inode INTEGER, dirent INTEGER, parent INTEGER, name TEXT,"
                 " PRIMARY KEY (inode, dirent, parent)) WITHOUT ROWID;"
                 "INSERT OR IGNORE INTO temp.link SELECT inode, id, parent, name FROM dirent"
                 " ORDER BY inode, id");
    c->counts->names = one_number(c, "SELECT count(*) FROM temp.link");
    check_links(c);
    check_reach(c);
    check_database_errors(c, "names and directories");
}
