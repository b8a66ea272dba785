/* What stores remember of how their tries went, for whoever asks how the store is doing. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cloud/store.h"

static pthread_mutex_t health_lock = PTHREAD_MUTEX_INITIALIZER; /* of all texts; a leaf */

void store_health_ok(struct store *store)
{
    if (atomic_load_explicit(&store->health.failing_since_ns, memory_order_relaxed) != 0)
        atomic_store(&store->health.failing_since_ns, 0);
}

void store_health_failed(struct store *store, const char *text)
{
    struct store_health_state *health = &store->health;
    int64_t ok = 0;
    LOCK_SCOPE(&health_lock);

    atomic_fetch_add(&health->failures, 1);
    (void)atomic_compare_exchange_strong(&health->failing_since_ns, &ok, clock_wall_ns());
    (void)snprintf(health->text, sizeof(health->text), "%s", text);
}

void store_get_health(struct store *store, struct store_health *ret)
{
    LOCK_SCOPE(&health_lock);

    ret->failures = atomic_load(&store->health.failures);
    ret->failing_since_ns = atomic_load(&store->health.failing_since_ns);
    memcpy(ret->text, store->health.text, sizeof(ret->text));
}
