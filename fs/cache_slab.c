/* The memory behind the blocks of one GET: one piece, so that the GET needs no copy, given back to
 * the system block by block, so that one long-lived block does not keep megabytes. */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "fs/cache.h"

struct cache_slab *cache_slab_new(size_t size, unsigned count)
{
    struct cache_slab *slab = mem_zalloc(sizeof(*slab));

    assert(size > CACHE_MALLOC_MAX || count == 1);
    slab->size = size;
    slab->mapped = size > CACHE_MALLOC_MAX;
    atomic_init(&slab->refs, count);
    if (slab->mapped) {
        slab->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (slab->mem == MAP_FAILED)
            slab->mem = NULL;
    } else {
        slab->mem = malloc(size);
    }
    if (slab->mem)
        return slab;
    free(slab);
    return NULL;
}

void cache_slab_drop(struct cache_slab *slab, void *data, size_t len)
{
    if (atomic_load(&slab->refs) > 1) /* else all of it goes below */
        (void)madvise(data, len, MADV_DONTNEED);
    if (atomic_fetch_sub(&slab->refs, 1) > 1)
        return;
    if (slab->mapped)
        (void)munmap(slab->mem, slab->size);
    else
        free(slab->mem);
    free(slab);
}
