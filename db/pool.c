/*
 * The read connections: opened when first needed, DB_POOL_MAX at most, handed to one reader at a
 * time. A reader that finds none waits for one to be given back; readers never hold two.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/internal.h"

void db_pool_init(struct db_pool *pool)
{
    (void)pthread_mutex_init(&pool->lock, NULL);
    thread_cond_init(&pool->given_back);
    SLIST_INIT(&pool->idle);
}

static void conn_close(struct db_conn *conn)
{
    for (int i = 0; i < DB_READ_COUNT; i++)
        (void)sqlite3_finalize(conn->stmts[i]);
    (void)sqlite3_close(conn->sql);
    free(conn);
}

void db_pool_close(struct db_pool *pool)
{
    struct db_conn *conn;

    while ((conn = SLIST_FIRST(&pool->idle))) {
        SLIST_REMOVE_HEAD(&pool->idle, next);
        conn_close(conn);
    }
    (void)pthread_cond_destroy(&pool->given_back);
    (void)pthread_mutex_destroy(&pool->lock);
}

static void conn_give_back(struct db_pool *pool, struct db_conn *conn)
{
    LOCK_SCOPE(&pool->lock);
    if (conn)
        SLIST_INSERT_HEAD(&pool->idle, conn, next);
    else
        pool->open--;
    (void)pthread_cond_signal(&pool->given_back);
}

/* NULL: the caller is to open one; its place is taken. */
static struct db_conn *conn_take(struct db_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (SLIST_EMPTY(&pool->idle) && pool->open == DB_POOL_MAX)
        (void)thread_cond_wait_until(&pool->given_back, &pool->lock, CLOCK_NEVER);
    struct db_conn *conn = SLIST_FIRST(&pool->idle);
    if (conn)
        SLIST_REMOVE_HEAD(&pool->idle, next);
    else
        pool->open++;
    (void)pthread_mutex_unlock(&pool->lock);
    return conn;
}

int db_cursor_open(struct db *db, enum db_read which, struct db_cursor *ret)
{
    struct db_conn *conn = conn_take(&db->pool);

    *ret = (struct db_cursor){.db = db};
    if (!conn) {
        conn = mem_zalloc(sizeof(*conn));
        int err = db_sqlite_open(db->path, SQLITE_OPEN_READONLY, DB_READ_CACHE_KIB, &conn->sql);
        if (err) {
            free(conn);
            conn_give_back(&db->pool, NULL);
            return err;
        }
    }
    if (!conn->stmts[which]) {
        int rc = db_sqlite_prepare(conn->sql, db_read_sql[which], &conn->stmts[which]);
        if (rc != SQLITE_OK) {
            int err = db_sqlite_errno(conn->sql, rc);
            conn_give_back(&db->pool, conn);
            return err;
        }
    }
    ret->conn = conn;
    ret->stmt = conn->stmts[which];
    return 0;
}

int db_cursor_next(struct db_cursor *cursor)
{
    int rc = sqlite3_step(cursor->stmt);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : db_sqlite_errno(cursor->conn->sql, rc);
}

void db_cursor_close(struct db_cursor *cursor)
{
    if (!cursor->conn)
        return;
    (void)sqlite3_reset(cursor->stmt);
    (void)sqlite3_clear_bindings(cursor->stmt); /* they point into the reader's memory */
    conn_give_back(&cursor->db->pool, cursor->conn);
    cursor->conn = NULL;
}
