/* How often each point was passed, in memory that a test can read from outside at any moment. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tests/fault/fault.h"

static struct fault_count *counts;
static pthread_once_t counts_once = PTHREAD_ONCE_INIT;

static const char *const point_names[FAULT_POINTS] = {
    "store.head",      "store.list",      "store.get",      "store.put",      "store.copy",
    "store.delete",    "store.mpu_begin", "store.mpu_part", "store.mpu_copy", "store.mpu_complete",
    "store.mpu_abort", "db.open",         "db.read",        "db.write",       "db.sync",
    "db.truncate",     "db.allocate",     "db.unlink",      "stage.open",     "stage.read",
    "stage.write",     "stage.sync",      "stage.truncate", "stage.allocate", "stage.unlink",
};

const char *fault_point_name(enum fault_point point)
{
    return point_names[point];
}

/* The file survives this process, and goes on with the next one that has the same control file. */
static int counts_file(void)
{
    const char *control = getenv("PAILFS_FAULT"); /* NOLINT(concurrency-mt-unsafe) */

    if (!control)
        return -1;
    CLEANUP_FREE char *path = mem_printf("%s.counts", control);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, FAULT_POINTS * sizeof(*counts))) {
        perror(path);
        abort();
    }
    return fd;
}

static void counts_open(void)
{
    int fd = counts_file();

    counts = mmap(NULL, FAULT_POINTS * sizeof(*counts), PROT_READ | PROT_WRITE,
                  MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
    if (counts == MAP_FAILED) {
        perror("mmap");
        abort();
    }
    if (fd >= 0)
        (void)close(fd);
    for (int i = 0; i < FAULT_POINTS; i++) {
        (void)snprintf(counts[i].name, sizeof(counts[i].name), "%s", point_names[i]);
        atomic_store(&counts[i].in_flight, 0); /* of a process that is gone */
    }
}

struct fault_count *fault_counts(void)
{
    (void)pthread_once(&counts_once, counts_open);
    return counts;
}

void fault_count_begin(enum fault_point point, uint64_t bytes, uint64_t keys)
{
    struct fault_count *c = &fault_counts()[point];
    uint64_t now = atomic_fetch_add(&c->in_flight, 1) + 1, max = atomic_load(&c->in_flight_max);

    while (now > max && !atomic_compare_exchange_weak(&c->in_flight_max, &max, now))
        ;
    atomic_fetch_add(&c->calls, 1);
    atomic_fetch_add(&c->bytes, bytes);
    atomic_fetch_add(&c->keys, keys);
}

void fault_count_end(enum fault_point point)
{
    atomic_fetch_sub(&fault_counts()[point].in_flight, 1);
}

void fault_counts_reset(void)
{
    struct fault_count *c = fault_counts();

    for (int i = 0; i < FAULT_POINTS; i++) {
        atomic_store(&c[i].calls, 0);
        atomic_store(&c[i].faults, 0);
        atomic_store(&c[i].in_flight_max, atomic_load(&c[i].in_flight));
        atomic_store(&c[i].bytes, 0);
        atomic_store(&c[i].keys, 0);
    }
}
