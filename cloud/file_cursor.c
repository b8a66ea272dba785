/*
 * Sorted names of directories of any size, in bounded memory.
 *
 * One pass over a directory keeps the smallest names after a bound, at most CURSOR_NAMES of them
 * and CURSOR_ARENA bytes; when there are more, the upper half is dropped and everything above is
 * ignored from then on. A directory of a million names is read some six times for a whole listing,
 * and each page in between comes from the cursor. Cursors do not change once made; the last ones
 * are kept.
 *
 * Memory: 8 MiB of names and 1 MiB of offsets at most for each cursor in the making; those kept
 * are 9 MiB together.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/file_int.h"
#include "cloud/file_sort.h"

enum {
    CURSOR_NAMES = 256 * 1024,
    CURSOR_ARENA = 8 << 20,
    CURSOR_KEEP_BYTES = 9 << 20, /* of all cursors that are kept */
    CURSOR_MAP = CURSOR_ARENA + CURSOR_NAMES * (int)sizeof(uint32_t),
    CURSOR_SMALL = 64 << 10, /* bytes of names: less is moved to the heap */
    CURSOR_KEEP_MIN = 1024,  /* directories with fewer names are simply read again */
    CURSOR_DIRENTS = 256 * 1024,
};
#define CURSOR_AGE_MAX (30 * CLOCK_S)
/* Times of files move in ticks of at most 10 ms: a directory that changed less than this before it
 * was read may have changed again since without showing it. */
#define CURSOR_TICK (30 * CLOCK_MS)

struct cursor_build {
    struct file_cursor *cursor;
    size_t prefix_len;
    bool cut; /* names not less than limit are being left out */
    char limit[FILE_NAME_MAX + 2];
};

static size_t cursor_bytes(const struct file_cursor *cursor)
{
    return cursor->arena_size + cursor->count * sizeof(uint32_t);
}

void file_cursor_drop(struct file_cursor *cursor)
{
    if (!cursor || atomic_fetch_sub(&cursor->refs, 1) > 1)
        return;
    if (cursor->map) {
        (void)munmap(cursor->map, CURSOR_MAP);
    } else {
        free(cursor->arena);
        free(cursor->offsets);
    }
    free(cursor);
}

void file_cursors_init(struct file_cursors *cursors)
{
    (void)pthread_mutex_init(&cursors->lock, NULL);
}

void file_cursors_done(struct file_cursors *cursors)
{
    for (size_t i = 0; i < FILE_CURSORS; i++)
        file_cursor_drop(cursors->slots[i]);
    (void)pthread_mutex_destroy(&cursors->lock);
}

/* Drops the larger half of the names, and from now on everything that is not less than what is
 * kept. */
static void build_cut(struct cursor_build *build)
{
    struct file_cursor *c = build->cursor;
    size_t keep = c->count / 2, used = 0;

    assert(keep > 0);
    file_sort_select(c->arena, c->offsets, c->count, keep);
    size_t limit_len = strlen(c->arena + c->offsets[keep]) + 1;
    assert(limit_len <= sizeof(build->limit));
    memcpy(build->limit, c->arena + c->offsets[keep], limit_len);
    build->cut = true;
    /* In order of their place, so that each moves down over what is gone already. */
    file_sort_numbers(c->offsets, keep);
    for (size_t i = 0; i < keep; i++) {
        size_t len = strlen(c->arena + c->offsets[i]) + 1;
        memmove(c->arena + used, c->arena + c->offsets[i], len);
        c->offsets[i] = (uint32_t)used;
        used += len;
    }
    c->count = keep;
    c->arena_size = used;
}

static void build_append(struct cursor_build *build, const char *name, size_t len)
{
    struct file_cursor *c = build->cursor;

    if (c->arena_size + len + 1 > CURSOR_ARENA || c->count == CURSOR_NAMES) {
        build_cut(build);
        if (strcmp(name, build->limit) >= 0)
            return;
    }
    memcpy(c->arena + c->arena_size, name, len + 1);
    c->offsets[c->count++] = (uint32_t)c->arena_size;
    c->arena_size += len + 1;
}

static void build_add(struct cursor_build *build, int dir_fd, const char *name, unsigned char type)
{
    const struct file_cursor *c = build->cursor;
    char full[FILE_NAME_MAX + 2];
    struct file_info info;
    size_t len = strlen(name);

    if (len > FILE_NAME_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (type == DT_UNKNOWN) {
        if (file_info_get(dir_fd, name, &info))
            return;
        type = info.kind == FILE_DIRECTORY ? DT_DIR : DT_REG;
    }
    if (type != DT_REG && type != DT_DIR && type != DT_LNK)
        return;
    memcpy(full, name, len + 1);
    if (type == DT_DIR) {
        full[len++] = '/';
        full[len] = '\0';
    }
    if (strncmp(full, c->prefix, build->prefix_len) != 0)
        return;
    int order = strcmp(full, c->lower);
    if (order < 0 || (order == 0 && c->lower_excluded))
        return;
    if (build->cut && strcmp(full, build->limit) >= 0)
        return;
    build_append(build, full, len);
}

/* Gives back the pages of a mapping behind what is used of it. */
static void cursor_unmap_tail(void *map, size_t used, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), from = (used + page - 1) / page * page;

    if (from < len)
        (void)madvise((char *)map + from, len - from, MADV_DONTNEED);
}

/* Sorts, removes names that a changing directory showed twice, and gives back what is not needed.
 */
static void build_finish(struct cursor_build *build)
{
    struct file_cursor *c = build->cursor;
    size_t n = 0;

    file_sort_names(c->arena, c->offsets, c->count);
    for (size_t i = 0; i < c->count; i++) {
        if (n == 0 || strcmp(c->arena + c->offsets[n - 1], c->arena + c->offsets[i]) != 0)
            c->offsets[n++] = c->offsets[i];
    }
    c->count = n;
    c->complete = !build->cut;
    assert(n > 0 || c->complete);
    if (c->arena_size > CURSOR_SMALL) {
        cursor_unmap_tail(c->arena, c->arena_size, CURSOR_ARENA);
        cursor_unmap_tail(c->offsets, n * sizeof(uint32_t), CURSOR_NAMES * sizeof(uint32_t));
        return;
    }
    c->arena = mem_dup(c->arena, c->arena_size);
    c->offsets = mem_dup(c->offsets, n * sizeof(uint32_t));
    (void)munmap(c->map, CURSOR_MAP);
    c->map = NULL;
}

static int build_read(struct cursor_build *build, int dir_fd)
{
    CLEANUP_FREE char *buf = mem_alloc(CURSOR_DIRENTS);
    /* Its own open file, so its own position. */
    CLEANUP_CLOSE int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return file_errno();
    while ((n = getdents64(fd, buf, CURSOR_DIRENTS)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(void *)(buf + at);
            build_add(build, dir_fd, entry->d_name, entry->d_type);
            at += entry->d_reclen;
        }
    }
    return n < 0 ? file_errno() : 0;
}

static int cursor_stat(int dir_fd, struct file_cursor *ret)
{
    struct stat st;

    if (fstat(dir_fd, &st) < 0)
        return file_errno();
    ret->dev = st.st_dev;
    ret->ino = st.st_ino;
    ret->mtime_ns = clock_from_s(st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ret->ctime_ns = clock_from_s(st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    return 0;
}

/* Room for the largest cursor, of which only what is used takes memory. Not from the heap, where
 * blocks of this size that come and go leave holes. */
static int cursor_map(struct file_cursor *c)
{
    void *map = mmap(NULL, CURSOR_MAP, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED)
        return file_errno();
    c->map = map;
    c->arena = map;
    c->offsets = (uint32_t *)(void *)((char *)map + CURSOR_ARENA);
    return 0;
}

static int cursor_make(int dir_fd, const char *prefix, const struct file_bound *bound,
                       struct file_cursor **ret)
{
    struct file_cursor *c = mem_zalloc(sizeof(*c));
    struct cursor_build build = {.cursor = c};

    atomic_init(&c->refs, 1);
    build.prefix_len = strlen(prefix);
    if (build.prefix_len >= sizeof(c->prefix)) { /* no name is as long as that */
        c->complete = true;
        *ret = c;
        return 0;
    }
    memcpy(c->prefix, prefix, build.prefix_len + 1);
    /* Names are shorter than lower[]: cutting a longer bound there does not change any comparison.
     */
    size_t lower_len = strnlen(bound->name, sizeof(c->lower) - 1);
    memcpy(c->lower, bound->name, lower_len);
    c->lower_excluded = bound->excluded;
    c->wall_ns = clock_wall_ns();
    c->mono_ns = clock_mono_ns();
    int err = cursor_stat(dir_fd, c);
    if (!err)
        err = cursor_map(c);
    if (!err)
        err = build_read(&build, dir_fd);
    if (err) {
        file_cursor_drop(c);
        return err;
    }
    build_finish(&build);
    *ret = c;
    return 0;
}

/* Index of the first name after the bound. */
static size_t cursor_seek(const struct file_cursor *c, const struct file_bound *bound)
{
    size_t low = 0, high = c->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(c->arena + c->offsets[mid], bound->name);
        if (order < 0 || (order == 0 && bound->excluded))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Does c, read from the directory that now looks like now, answer for what follows bound? */
static bool cursor_serves(const struct file_cursor *c, const struct file_cursor *now,
                          const char *prefix, const struct file_bound *bound, bool continuing)
{
    if (c->dev != now->dev || c->ino != now->ino || strcmp(c->prefix, prefix) != 0)
        return false;
    bool as_new = c->mtime_ns == now->mtime_ns && c->ctime_ns == now->ctime_ns &&
                  c->ctime_ns < c->wall_ns - CURSOR_TICK;
    if (!as_new && !(continuing && clock_mono_ns() - c->mono_ns < CURSOR_AGE_MAX))
        return false;
    int order = strcmp(bound->name, c->lower);
    if (order < 0 || (order == 0 && c->lower_excluded && !bound->excluded))
        return false;
    return c->complete || cursor_seek(c, bound) < c->count;
}

static struct file_cursor *cursors_find(struct file_cursors *cursors, const struct file_cursor *now,
                                        const char *prefix, const struct file_bound *bound,
                                        bool continuing)
{
    LOCK_SCOPE(&cursors->lock);

    for (size_t i = 0; i < FILE_CURSORS && cursors->slots[i]; i++) {
        struct file_cursor *c = cursors->slots[i];
        if (!cursor_serves(c, now, prefix, bound, continuing))
            continue;
        memmove(&cursors->slots[1], &cursors->slots[0], i * sizeof(struct file_cursor *));
        cursors->slots[0] = c;
        (void)atomic_fetch_add(&c->refs, 1);
        return c;
    }
    return NULL;
}

/* A new look at a directory that has changed: what was seen of it before must not be mixed in. */
static void cursors_forget(struct file_cursors *cursors, const struct file_cursor *now)
{
    size_t n = 0;
    LOCK_SCOPE(&cursors->lock);

    for (size_t i = 0; i < FILE_CURSORS; i++) {
        struct file_cursor *c = cursors->slots[i];
        cursors->slots[i] = NULL;
        if (c && c->dev == now->dev && c->ino == now->ino &&
            (c->mtime_ns != now->mtime_ns || c->ctime_ns != now->ctime_ns))
            file_cursor_drop(c);
        else
            cursors->slots[n++] = c;
    }
}

/* Keeps c, and lets go of the oldest ones that are too many or too large with it. */
static void cursors_keep(struct file_cursors *cursors, struct file_cursor *c)
{
    size_t bytes = cursor_bytes(c);
    LOCK_SCOPE(&cursors->lock);

    file_cursor_drop(cursors->slots[FILE_CURSORS - 1]);
    memmove(&cursors->slots[1], &cursors->slots[0],
            (FILE_CURSORS - 1) * sizeof(struct file_cursor *));
    cursors->slots[0] = c;
    (void)atomic_fetch_add(&c->refs, 1);
    for (size_t i = 1; i < FILE_CURSORS && cursors->slots[i]; i++) {
        bytes += cursor_bytes(cursors->slots[i]);
        if (bytes <= CURSOR_KEEP_BYTES)
            continue;
        for (; i < FILE_CURSORS; i++) {
            file_cursor_drop(cursors->slots[i]);
            cursors->slots[i] = NULL;
        }
    }
}

int file_cursor_get(struct file_store *fs, int dir_fd, const char *prefix,
                    const struct file_bound *bound, bool continuing, struct file_cursor **ret,
                    size_t *ret_index)
{
    struct file_cursor now = {0};
    int err = cursor_stat(dir_fd, &now);

    if (err)
        return err;
    struct file_cursor *c = cursors_find(&fs->cursors, &now, prefix, bound, continuing);
    if (!c) {
        err = cursor_make(dir_fd, prefix, bound, &c);
        if (err)
            return err;
        cursors_forget(&fs->cursors, c);
        if (c->count >= CURSOR_KEEP_MIN)
            cursors_keep(&fs->cursors, c);
    }
    *ret = c;
    *ret_index = cursor_seek(c, bound);
    return 0;
}
