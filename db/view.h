/*
 * Looking into the database of a state directory that no gateway runs on, for inspection. Nothing
 * in the directory is changed: no file is made, written, truncated or removed, and what the log of
 * a gateway that was killed holds is seen. Temporary tables may be made; they live elsewhere.
 *
 * The text of the questions is the caller's: this is the one door through which SQL passes. A
 * failure (a damaged page, no room for a temporary table) is remembered: the query that met it
 * ends, and db_view_error tells.
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/db.h"

struct db_view;
struct db_query;

/* Holds the directory's lock until db_view_close. -ENOENT: there is no state; -EBUSY: a gateway
 * runs on it; -EUCLEAN: damaged beyond reading; -EPROTO: made by another version; each with a
 * sentence. */
int db_view_open(const char *state_dir, struct db_view **ret, struct db_error *reterr);
void db_view_close(struct db_view *view); /* NULL is fine */

/* The first failure since the last call, and its sentence; 0 if there was none. */
int db_view_error(struct db_view *view, struct db_error *reterr);

/* Every sentence of SQLite's own check of the whole file, at most max. */
typedef void db_view_damage_fn(void *ctx, const char *sentence);
void db_view_damage(struct db_view *view, uint32_t max, db_view_damage_fn *fn, void *ctx);

void db_view_exec(struct db_view *view, const char *sql);
bool db_view_has_table(struct db_view *view, const char *name);

/* A statement, for as many runs as wanted: bind, next until false, reset. Text is borrowed. */
struct db_query *db_query_new(struct db_view *view, const char *sql);
void db_query_free(struct db_query *query); /* NULL is fine */
void db_query_u64(struct db_query *query, int param, uint64_t value);
void db_query_text(struct db_query *query, int param, const char *value);
bool db_query_next(struct db_query *query); /* a row is there */
void db_query_reset(struct db_query *query);
/* Runs it once for what it does, and resets it. */
void db_query_run(struct db_query *query);

/* Columns of the row, from 0; strings until the next call on the query. */
uint64_t db_row_u64(const struct db_query *query, int column);
int64_t db_row_i64(const struct db_query *query, int column);
const char *db_row_text(const struct db_query *query, int column); /* NULL for NULL */
size_t db_row_bytes(const struct db_query *query, int column);     /* length of text or blob */
const void *db_row_blob(const struct db_query *query, int column);
bool db_row_null(const struct db_query *query, int column);

static inline void db_query_cleanup(struct db_query **query)
{
    db_query_free(*query);
}
#define CLEANUP_QUERY __attribute__((cleanup(db_query_cleanup)))
