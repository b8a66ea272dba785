/*
 * Opening and closing the stage. Until stage_recovered nothing is removed: bytes that the database
 * still points at count as dead until they are adopted.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fs/stage_int.h"

enum { STAGE_VERIFY_CHUNK = 1 << 20 };

/* Beyond this no segment goes; rows that say so are damaged. */
#define STAGE_POS_MAX (UINT64_C(1) << 32)

static int open_fail(struct stage_error *reterr, const char *state_dir, int err, const char *doing)
{
    (void)snprintf(reterr->text, sizeof(reterr->text), "stage directory %s/stage: %s: %s",
                   state_dir, doing, strerrordesc_np(-err));
    return err;
}

/* The id in a segment's name; 0 if it is not one. */
static uint64_t segment_name_parse(const char *name)
{
    char again[32];
    uint64_t id = strtoull(name, NULL, 16);

    stage_segment_name(id, again);
    return strcmp(name, again) == 0 ? id : 0;
}

static int open_scan(struct stage *stage)
{
    struct dirent *entry;
    struct stat st;

    int fd = openat(stage->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int err = -errno;
        (void)close(fd);
        return err;
    }
    int err = 0;
    while (err == 0 && (errno = 0, entry = readdir(dir))) {
        uint64_t id = segment_name_parse(entry->d_name);
        if (id == 0)
            continue;
        if (fstatat(stage->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            err = -errno;
        else if (S_ISREG(st.st_mode))
            (void)stage_segment_add(stage, id, -1, (uint64_t)st.st_size);
    }
    if (err == 0)
        err = -errno;
    (void)closedir(dir);
    return err;
}

static int open_dir(struct stage *stage, const char *state_dir)
{
    CLEANUP_CLOSE int parent = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return -errno;
    if (mkdirat(parent, "stage", 0700) && errno != EEXIST)
        return -errno;
    stage->dir_fd = openat(parent, "stage", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (stage->dir_fd < 0 || fsync(parent))
        return -errno;
    return 0;
}

static void stage_free(struct stage *stage)
{
    struct stage_segment *segment;

    while ((segment = RB_ROOT(&stage->segments))) {
        stage_segment_detach(stage, segment);
        stage_segment_free(segment);
    }
    if (stage->dir_fd >= 0)
        (void)close(stage->dir_fd);
    (void)pthread_cond_destroy(&stage->created);
    (void)pthread_cond_destroy(&stage->sync_done);
    (void)pthread_cond_destroy(&stage->reap_work);
    (void)pthread_mutex_destroy(&stage->lock);
    free(stage);
}

int stage_open(const char *state_dir, uint64_t limit, struct stage **ret,
               struct stage_error *reterr)
{
    struct stage *stage = mem_zalloc(sizeof(*stage));

    stage->dir_fd = -1;
    stage->limit = limit;
    stage->next_id = 1;
    (void)pthread_mutex_init(&stage->lock, NULL);
    thread_cond_init(&stage->created);
    thread_cond_init(&stage->sync_done);
    thread_cond_init(&stage->reap_work);
    RB_INIT(&stage->segments);
    TAILQ_INIT(&stage->dirty);
    TAILQ_INIT(&stage->reap);

    int err = open_dir(stage, state_dir);
    if (err) {
        (void)open_fail(reterr, state_dir, err, "cannot be opened");
    } else if ((err = open_scan(stage))) {
        (void)open_fail(reterr, state_dir, err, "cannot be read");
    } else if ((err = thread_start(&stage->reaper, "stage-reap", stage_reap_main, stage))) {
        (void)open_fail(reterr, state_dir, err, "no thread for it");
    }
    if (err) {
        stage_free(stage);
        return err;
    }
    stage_space_look(stage);
    *ret = stage;
    return 0;
}

/* Removes the segments without a live byte. The reaper must not run, or have nothing to do. */
static int remove_dead(struct stage *stage)
{
    struct stage_segment *segment, *next;
    char name[32];
    int err = 0;

    RB_FOREACH_SAFE (segment, stage_segment_tree, &stage->segments, next) {
        if (segment->live > 0)
            continue;
        stage_segment_name(segment->id, name);
        if (unlinkat(stage->dir_fd, name, 0) && errno != ENOENT)
            err = -errno;
        stage_segment_detach(stage, segment);
        stage_segment_free(segment);
    }
    return err;
}

void stage_close(struct stage *stage)
{
    if (!stage)
        return;
    (void)pthread_mutex_lock(&stage->lock);
    stage->stop = true;
    (void)pthread_cond_signal(&stage->reap_work);
    (void)pthread_mutex_unlock(&stage->lock);
    (void)pthread_join(stage->reaper, NULL);
    stage->current = NULL;
    /* Before that, segments may be needed that nobody has adopted yet. */
    if (stage->recovered)
        (void)remove_dead(stage);
    stage_free(stage);
}

/* The segment of an adopted range; one that is not there gets a place in the tree all the same, so
 * that the range can be referenced like any other. Reading it fails. */
static struct stage_segment *adopt_segment(struct stage *stage, uint64_t id)
{
    struct stage_segment *segment = stage_segment_find(stage, id);

    if (segment)
        return segment;
    segment = stage_segment_add(stage, id, -1, 0);
    segment->damaged = segment->loaded = true;
    segment->load_err = -ENOENT;
    return segment;
}

/* Reads the heads of all its records, the first time. */
static void adopt_load(struct stage *stage, struct stage_segment *segment)
{
    char name[32];

    if (segment->loaded)
        return;
    segment->loaded = true;
    stage_segment_name(segment->id, name);
    CLEANUP_CLOSE int fd = openat(stage->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    segment->load_err = fd < 0 ? -EIO : stage_segment_load(segment, fd);
    segment->damaged = segment->load_err != 0;
}

void stage_ids_from(struct stage *stage, uint64_t id)
{
    LOCK_SCOPE(&stage->lock);
    if (stage->next_id < id)
        stage->next_id = id;
}

int stage_adopt(struct stage *stage, uint64_t id, uint64_t pos, uint64_t len)
{
    uint64_t max = id >= STAGE_ZEROS ? STAGE_NOWHERE : STAGE_POS_MAX;
    if (len == 0 || len > max || pos > max - len || id > STAGE_NOWHERE)
        return -EINVAL;
    if (id == STAGE_ZEROS)
        return 0;
    /* Nobody else uses the stage yet, so nobody waits for this lock. */
    LOCK_SCOPE(&stage->lock);
    struct stage_segment *segment = adopt_segment(stage, id);
    adopt_load(stage, segment);
    const struct stage_record *record = stage_record_find(segment, pos);
    bool whole = record && record->pos <= pos && pos + len <= record->pos + (uint64_t)record->len &&
                 pos + len <= segment->size;
    int err = segment->load_err;
    if (!err && !whole)
        err = -EIO;
    if (err) {
        segment->damaged = true;
        segment->size = segment->size > pos + len ? segment->size : pos + len;
    }
    stage_spans_add(stage, segment, pos, len);
    return err;
}

int stage_verify(struct stage *stage, uint64_t id, uint64_t pos, uint64_t len)
{
    CLEANUP_FREE char *buf = mem_alloc(STAGE_VERIFY_CHUNK);
    int err = 0;

    if (id == STAGE_ZEROS)
        return 0;
    for (uint64_t n; len > 0 && !err; pos += n, len -= n) {
        n = len < STAGE_VERIFY_CHUNK ? len : STAGE_VERIFY_CHUNK;
        err = stage_try_read(stage, id, pos, buf, n);
    }
    return err;
}

uint64_t stage_left(const char *state_dir, uint64_t *ret_bytes)
{
    CLEANUP_FREE char *path = mem_printf("%s/stage", state_dir);
    const struct dirent *entry;
    struct stat st;
    uint64_t count = 0;
    DIR *dir = opendir(path);

    *ret_bytes = 0;
    while (dir && (entry = readdir(dir))) {
        if (segment_name_parse(entry->d_name) == 0 ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        count++;
        *ret_bytes += (uint64_t)st.st_blocks * 512;
    }
    if (dir)
        (void)closedir(dir);
    return count;
}

/* Makes the directory for what nobody adopted. Its descriptor. */
static int orphans_make(struct stage *stage)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "../stage.orphans-%ld", (long)(clock_wall_ns() / CLOCK_S));
    if (mkdirat(stage->dir_fd, name, 0700) && errno != EEXIST)
        return -errno;
    int fd = openat(stage->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        log_event(LOG_WARN, "stage_orphans", "directory=%s note=%s", name + 3,
                  LOG_Q("stage files that the database does not name were moved there"));
    return fd < 0 ? -errno : fd;
}

/* Moves the segments without a live byte aside. */
static int orphans_move(struct stage *stage)
{
    CLEANUP_CLOSE int fd = -1;
    struct stage_segment *segment, *next;
    char name[32];

    RB_FOREACH_SAFE (segment, stage_segment_tree, &stage->segments, next) {
        if (segment->live > 0)
            continue;
        if (fd < 0)
            fd = orphans_make(stage);
        if (fd < 0)
            return fd;
        stage_segment_name(segment->id, name);
        if (renameat(stage->dir_fd, name, fd, name) && errno != ENOENT)
            return -errno;
    }
    return fd >= 0 && fsync(fd) ? -errno : 0;
}

int stage_recovered(struct stage *stage, bool keep)
{
    struct stage_segment *segment;

    /* Nobody appends yet, so nobody waits for this lock. */
    LOCK_SCOPE(&stage->lock);
    int err = keep ? orphans_move(stage) : 0;
    if (!err)
        err = remove_dead(stage);
    RB_FOREACH (segment, stage_segment_tree, &stage->segments) {
        segment->died = true; /* whatever nobody adopted */
        stage_reap_later(stage, segment, STAGE_REAP_DELAY_MS);
    }
    stage->recovered = true;
    (void)pthread_cond_signal(&stage->reap_work);
    return err;
}
