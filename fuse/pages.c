/*
 * Of which version the kernel has pages. A table of fixed size: what it does not know costs a file
 * its cached pages at the next open, no more. Node ids are never used again, so nothing has to be
 * taken out.
 */
#include <string.h>

#include "base/cleanup.h"
#include "fuse/front_int.h"

bool pages_keep(struct front *front, fuse_ino_t node, uint64_t version)
{
    struct page_version *set = front->pages[node % PAGES_SETS];
    size_t at = 0;
    bool same;

    LOCK_SCOPE(&front->page_lock);
    while (at < PAGES_WAYS - 1 && set[at].node != node)
        at++; /* the last one if it is not there: the longest unused */
    same = set[at].node == node && set[at].version == version;
    memmove(set + 1, set, at * sizeof(*set));
    set[0] = (struct page_version){.node = node, .version = version};
    return same;
}
