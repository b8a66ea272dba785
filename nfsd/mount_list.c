/* Who has mounted what. Invariants: count <= MOUNT_LIST_MAX is the number of entries in the queue;
 * no two entries have the same host and path. The mutex protects everything and is taken alone. */
#include "nfsd/mount_list.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/sys/queue.h>

#include "base/cleanup.h"
#include "base/mem.h"

struct mount_entry {
    TAILQ_ENTRY(mount_entry) link;
    char *host, *path;
};

struct mount_list {
    pthread_mutex_t mutex;
    TAILQ_HEAD(, mount_entry) entries;
    size_t count;
};

struct mount_list *mount_list_new(void)
{
    struct mount_list *list = mem_zalloc(sizeof(*list));

    (void)pthread_mutex_init(&list->mutex, NULL);
    TAILQ_INIT(&list->entries);
    return list;
}

static void drop_entry(struct mount_list *list, struct mount_entry *entry)
{
    assert(list->count > 0);
    TAILQ_REMOVE(&list->entries, entry, link);
    list->count--;
    free(entry->host);
    free(entry->path);
    free(entry);
}

/* NULL matches all. */
static void remove_matching(struct mount_list *list, const char *host, const char *path)
{
    struct mount_entry *entry, *next;

    for (entry = TAILQ_FIRST(&list->entries); entry; entry = next) {
        next = TAILQ_NEXT(entry, link);
        if ((!host || strcmp(entry->host, host) == 0) && (!path || strcmp(entry->path, path) == 0))
            drop_entry(list, entry);
    }
}

void mount_list_free(struct mount_list *list)
{
    if (!list)
        return;
    remove_matching(list, NULL, NULL);
    (void)pthread_mutex_destroy(&list->mutex);
    free(list);
}

void mount_list_add(struct mount_list *list, const char *host, const char *path)
{
    struct mount_entry *added = mem_zalloc(sizeof(*added));

    added->host = mem_strdup(host);
    added->path = mem_strdup(path);
    LOCK_SCOPE(&list->mutex);
    remove_matching(list, host, path);
    if (list->count == MOUNT_LIST_MAX)
        drop_entry(list, TAILQ_FIRST(&list->entries));
    TAILQ_INSERT_TAIL(&list->entries, added, link);
    list->count++;
}

void mount_list_remove(struct mount_list *list, const char *host, const char *path)
{
    LOCK_SCOPE(&list->mutex);
    remove_matching(list, host, path);
}

void mount_list_each(struct mount_list *list, mount_list_fn *fn, void *ctx)
{
    struct mount_entry *entry;

    LOCK_SCOPE(&list->mutex);
    TAILQ_FOREACH (entry, &list->entries, link) {
        if (!fn(ctx, entry->host, entry->path))
            return;
    }
}
