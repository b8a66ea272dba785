/*
 * The dirty extents of one file: which byte ranges lie in the stage, and where. Extents do not
 * overlap; a newer one cuts what it covers. Not thread-safe: the owner's lock protects it.
 *
 * Each carries the version of the write that made it, so that when the upload of version v is done
 * the extents with version <= v can go, while newer ones stay. Stage space is reference-counted by
 * bytes (stage_ref, stage_unref in stage.h): the map owns one reference on every byte it points at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stage;

struct extent {
    uint64_t off, len;
    uint64_t segment, pos; /* stage position of the first byte; STAGE_ZEROS: pos is off */
    uint64_t version;
    bool kept; /* as it is here it is in the database */
};

struct extent_map; /* opaque */

struct extent_map *extent_map_new(struct stage *stage);
/* For the end of the process; NULL is fine. Bytes that rows in the database point at stay in the
 * stage for the next start (see extent_map_bury for a file that is removed), others are given back.
 */
void extent_map_free(struct extent_map *map);

/* Takes over one stage reference on [pos, pos+len) of segment. Merges with a neighbour that is not
 * kept, has the same version and is contiguous in file and stage. */
void extent_map_insert(struct extent_map *map, uint64_t off, uint64_t len, uint64_t version,
                       uint64_t segment, uint64_t pos);
/* An extent read back from the database: like insert, but kept. */
void extent_map_load(struct extent_map *map, const struct extent *extent);
/* Removes [off, off+len) (len UINT64_MAX: to the end), cutting extents at the borders. */
void extent_map_cut(struct extent_map *map, uint64_t off, uint64_t len);
/* Removes every extent with version <= version. */
void extent_map_drop(struct extent_map *map, uint64_t version);

/* The first extent that ends after off, or NULL. */
const struct extent *extent_map_find(const struct extent_map *map, uint64_t off);
const struct extent *extent_map_next(const struct extent_map *map, const struct extent *extent);
size_t extent_map_count(const struct extent_map *map);
uint64_t extent_map_bytes(const struct extent_map *map);
/* True if [off, off+len) lies wholly in extents. */
bool extent_map_covers(const struct extent_map *map, uint64_t off, uint64_t len);

/* A frozen copy for an upload, with stage references of its own: an array in file order. */
struct extent_snapshot {
    struct stage *stage;
    struct extent *extents;
    size_t count;
};
void extent_map_snapshot(const struct extent_map *map, struct extent_snapshot *ret);
/* The same of those that are not kept, in no order. */
void extent_map_unkept(const struct extent_map *map, struct extent_snapshot *ret);
void extent_snapshot_clear(struct extent_snapshot *snapshot);

/*
 * Stage bytes whose rows are still in the database. A cut, a drop or an overwrite of a kept extent
 * must not give its bytes back at once: after a crash the database would point at nothing. The map
 * gathers them; flush and bury hand them over, and the caller frees them when the transaction that
 * removes the rows is durable. (Bytes of extents that were never kept go back to the stage at
 * once.)
 */
struct extent_graves;
void extent_graves_free(struct extent_graves *graves); /* NULL is fine */
/* The transaction did not become durable before the end of the process: the bytes stay. */
void extent_graves_forget(struct extent_graves *graves);
/* Those that only rows of version <= version may point at: for a transaction that removes just
 * these rows. NULL: none. */
struct extent_graves *extent_map_take_graves(struct extent_map *map, uint64_t version);

/* What the database has to be told: calls del(ctx, off) for each row that was kept and is no longer
 * as it was, then put(ctx, extent) for each extent not yet kept; then all count as kept. Returns
 * the bytes to free when that is durable, or NULL. */
struct extent_graves *extent_map_flush(struct extent_map *map, void (*del)(void *ctx, uint64_t off),
                                       void (*put)(void *ctx, const struct extent *extent),
                                       void *ctx);
/* True if extent_map_flush would call anything. */
bool extent_map_unflushed(const struct extent_map *map);
/* For a file that is removed: frees the map; the bytes that rows may point at are in the result (or
 * NULL), the others go back to the stage. */
struct extent_graves *extent_map_bury(struct extent_map *map);
