/*
 * A store for tests of fs/: one object per key, whose bytes follow from its version and the offset,
 * and which does what the test says: hold requests back, answer them out of order, fail, send short
 * or another version.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cloud/store.h"

struct fake_store;

struct fake_store *fake_store_new(unsigned threads, unsigned seed);
void fake_store_free(struct fake_store *fake);
struct store *fake_store_get(struct fake_store *fake);

/* The object at key now has this version (its ETag is "v<version>") and size. */
void fake_store_put(struct fake_store *fake, const char *key, unsigned version, uint64_t size);
void fake_store_remove(struct fake_store *fake, const char *key);

/* While held, requests wait; fake_store_wait_queued waits until count of them do (10 s at most). */
void fake_store_hold(struct fake_store *fake, bool hold);
bool fake_store_wait_queued(struct fake_store *fake, unsigned count);

/* The next count requests (those that are held first) fail with err / get only half of what they
 * asked for. */
void fake_store_fail(struct fake_store *fake, unsigned count, int err);
void fake_store_cut(struct fake_store *fake, unsigned count);
/* From now on If-Match is not looked at. */
void fake_store_ignore_match(struct fake_store *fake);
/* Each request takes up to so long. */
void fake_store_delay(struct fake_store *fake, unsigned us_max);

struct fake_counts {
    uint64_t gets, bytes; /* as asked for */
};
struct fake_counts fake_store_counts(struct fake_store *fake);

/* The byte at off of any object of this version. */
uint8_t fake_byte(unsigned version, uint64_t off);
void fake_fill(unsigned version, uint64_t off, void *buf, size_t len);
