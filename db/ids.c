/*
 * Ids that are never given out twice. The limit in the database is ahead of the one in memory,
 * which is ahead of the next id: after a crash, ids go on from the database's limit.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "db/internal.h"

enum { IDS_LOW = 2 * DB_ID_BLOCK, IDS_AHEAD = 4 * DB_ID_BLOCK };

int db_ids_load(struct db *db)
{
    uint64_t limit = DB_ID_FIRST;
    uint8_t bytes[8];

    int len = db_meta_get(db, "id_limit", bytes, sizeof(bytes));
    if (len >= 0) {
        if (len != (int)sizeof(bytes))
            return -EUCLEAN;
        limit = 0;
        for (unsigned i = 0; i < sizeof(bytes); i++)
            limit |= (uint64_t)bytes[i] << (8 * i);
    } else if (len != -ENOENT) {
        return len;
    }
    atomic_store(&db->id_next, limit);
    atomic_store(&db->id_limit, limit);
    atomic_store(&db->id_wanted, true); /* db_writer_begin does */
    return 0;
}

bool db_ids_low(struct db *db)
{
    return atomic_load(&db->id_wanted);
}

uint64_t db_ids_target(struct db *db)
{
    return atomic_load(&db->id_next) + IDS_AHEAD;
}

void db_ids_grown(struct db *db, uint64_t id_limit)
{
    /* In this order: a thread that finds few left after this asks again. */
    atomic_store(&db->id_wanted, false);
    atomic_store(&db->id_limit, id_limit);
    (void)pthread_cond_broadcast(&db->done);
}

static void ids_ask(struct db *db)
{
    if (atomic_exchange(&db->id_wanted, true))
        return;
    LOCK_SCOPE(&db->lock);
    (void)pthread_cond_signal(&db->work);
}

uint64_t db_next_id(struct db *db)
{
    uint64_t id = atomic_fetch_add(&db->id_next, 1);
    uint64_t limit = atomic_load(&db->id_limit);

    if (id + IDS_LOW < limit)
        return id;
    ids_ask(db);
    if (id < limit)
        return id;
    (void)pthread_mutex_lock(&db->lock);
    while (id >= atomic_load(&db->id_limit)) {
        /* What the writer reserved meanwhile may not reach this id: many threads took some. */
        if (!atomic_exchange(&db->id_wanted, true))
            (void)pthread_cond_signal(&db->work);
        (void)thread_cond_wait_until(&db->done, &db->lock, CLOCK_NEVER);
    }
    (void)pthread_mutex_unlock(&db->lock);
    return id;
}
