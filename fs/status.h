/*
 * What of a volume is not in its bucket yet, and how it is getting there: for "pailfs status" and
 * monitoring; and pushing it there at once, for "pailfs flush".
 *
 * Both take the volume's lock for short moments only, however much there is to look at: what they
 * tell is true of each thing at some moment of the call, not of all of them at one. Everything that
 * is handed out is bounded by the limits below. Any thread; both may wait a little.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct fs_volume;

enum {
    FS_STATUS_FILES_MAX = 10, /* oldest files, files that fail, uploads that run: of each so many */
    FS_STATUS_DRAINS_MAX = 10, /* directories that are being moved */
    FS_STATUS_EVENTS_MAX = 8,  /* errors and conflicts that are remembered: of each so many */
};

struct fs_status_file {
    char *path; /* from the export's root: "/a/b"; a directory's ends in '/' */
    uint64_t size, staged;
    int64_t age_ns; /* since when it is ahead of the bucket */
    bool uploading;
    uint64_t upload_total, upload_done; /* bytes, while uploading */
    uint32_t tries;                     /* that failed, one after the other */
    int err;                            /* of the last of them, negative errno; 0 = none */
    int64_t err_ns;                     /* when, wall clock */
    char *err_text;                     /* what the store said, or NULL */
};
struct fs_status_files {
    struct fs_status_file file[FS_STATUS_FILES_MAX];
    size_t count;
};

struct fs_status_drain { /* a renamed directory whose objects still lie in the old place */
    char *path, *from;   /* where it is now; the oldest place that is not empty yet */
    size_t places;       /* how many of those there are */
    uint64_t moved;      /* files that were sent on their way from them, since the start */
};

struct fs_status_event { /* something that went wrong, or a conflict */
    int64_t at_ns;       /* wall clock; 0 = none */
    const char *what;    /* "upload", "delete", "conflict", ... */
    char *name;          /* key, or for a conflict the name that lost */
    char *text;          /* what the store said, or the name that our version has now */
    int err;             /* negative errno, or 0 */
};

struct fs_status {
    const char *url; /* the volume's */
    bool read_only;
    uint64_t damaged; /* staged bytes that were missing or damaged at the start */

    /* Not in the bucket: */
    uint64_t files, bytes; /* files, links and directories ahead of it; their bytes in the stage */
    uint64_t deletes;      /* objects that are to go */
    uint64_t drains;       /* directories being moved */
    uint64_t uploading;    /* of files: on their way now */
    uint64_t failing;      /* of files: the last try failed */
    uint64_t local; /* ".nfs*" files of clients, and open ones that were removed: never go to the
                       bucket; not in files */
    struct fs_status_files oldest, running, failed;
    struct fs_status_drain drain[FS_STATUS_DRAINS_MAX];
    size_t drain_count;

    /* Since the start: */
    uint64_t uploads_done, upload_bytes, uploads_failed, deletes_done, deletes_failed;
    uint64_t conflicts, hidden; /* hidden: keys seen in the bucket that cannot be names */
    struct fs_status_event errors[FS_STATUS_EVENTS_MAX], conflict[FS_STATUS_EVENTS_MAX]; /* newest
                                                                                            first */
    uint64_t inodes; /* in memory */

    /* The store, by the tries of single requests: */
    uint64_t store_failures;
    int64_t store_failing_ns; /* wall clock: no request has succeeded since; 0 = the last one did */
    char *store_error;        /* what the last one that failed said, or NULL */
};
/* ret has to be cleared. */
void fs_get_status(struct fs_volume *vol, struct fs_status *ret);
void fs_status_clear(struct fs_status *status);
/* True if nothing of the volume is missing in the bucket. */
bool fs_status_all_in(const struct fs_status *status);

struct fs_disk_status { /* of the state directory */
    uint64_t stage_used, stage_limit, stage_segments;
    uint64_t disk_free, disk_size; /* bytes of its file system */
    uint64_t queued_bytes;         /* of transactions that the disk has not taken yet */
    int err;                       /* the disk refuses: negative errno; 0 = all is well */
    int64_t err_since_ns;          /* wall clock */
};
void fs_get_disk_status(struct fs *fs, struct fs_disk_status *ret);

/*
 * A point in time, to know what was changed before it. Opaque; a flush that is asked for again with
 * the mark of its first call speaks of the same changes.
 */
struct fs_mark {
    int64_t at_ns;
    uint64_t id;
};
struct fs_mark fs_mark_now(struct fs *fs);

struct fs_flush { /* what is still missing of what was changed before the mark */
    uint64_t files, bytes, deletes, drains, failing;
    struct fs_status_files failed;
    int64_t store_failing_ns; /* as in struct fs_status */
    char *store_error;
};
/*
 * Sends what was changed before the mark and lies at or below path ("" or "/": all of the volume)
 * on its way to the bucket: nothing of it waits for its quiet time any more, and with again false
 * not for its next try after an error either. Does not wait for the store, unless path has to be
 * looked up there. 0, -ENOENT, -ENOTDIR, -EINVAL (no path), -EAGAIN (the store did not answer by
 * deadline_ns). ret has to be cleared after 0.
 */
int fs_flush(struct fs_volume *vol, const char *path, struct fs_mark mark, bool again,
             int64_t deadline_ns, struct fs_flush *ret);
void fs_flush_clear(struct fs_flush *flush);
