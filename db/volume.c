/* The numbers of exports, by the identity of their store. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "db/internal.h"

static int volume_find(struct db *db, const char *identity, uint32_t *ret_volume,
                       uint64_t *ret_root)
{
    CLEANUP_CURSOR struct db_cursor cursor;

    int err = db_cursor_open(db, DB_READ_VOLUME, &cursor);
    if (err)
        return err;
    (void)sqlite3_bind_text(cursor.stmt, 1, identity, -1, SQLITE_STATIC);
    int rows = db_cursor_next(&cursor);
    if (rows <= 0)
        return rows < 0 ? rows : -ENOENT;
    *ret_volume = (uint32_t)sqlite3_column_int64(cursor.stmt, 0);
    *ret_root = db_column_u64(cursor.stmt, 1);
    return 0;
}

int db_volume(struct db *db, const char *identity, uint32_t *ret_volume, uint64_t *ret_root)
{
    int err = volume_find(db, identity, ret_volume, ret_root);
    if (err != -ENOENT)
        return err;

    /* Of two callers with one new identity the first insert counts; both read what it made. */
    struct db_txn *txn = db_txn_new(db);
    db_put_volume(txn, identity, db_next_id(db));
    err = db_wait(db, db_submit(db, txn), CLOCK_NEVER);
    return err ? err : volume_find(db, identity, ret_volume, ret_root);
}
