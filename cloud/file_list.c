/*
 * LIST. Keys come in order of their bytes, which is the order of a walk that sorts each directory
 * by name with '/' after the names of directories. A token is the last key (or prefix) of the page
 * before, so it stays good across restarts; the cursors behind it only save reading directories
 * anew.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/file_int.h"

enum { LIST_PAGE = 1000, LIST_PAGE_MAX = 10000 };

struct list_walk {
    struct file_store *fs;
    struct store_req *req;
    size_t max, room;
    bool continuing; /* from a token */
    bool full;       /* there is more than fits the page */
    size_t len;
    char path[PATH_MAX]; /* of the directory being listed, with its '/'; "" = root */
};

static int list_dir(struct list_walk *walk, const char *prefix, const char *after);

/* Room for one more object in the page, its key set; NULL when the page is full. */
static struct store_object *list_add(struct list_walk *walk, const char *name)
{
    struct store_req *req = walk->req;
    size_t name_len = strlen(name);

    if (req->object_count == walk->max) {
        walk->full = true;
        return NULL;
    }
    if (req->object_count == walk->room) {
        walk->room = walk->room ? 2 * walk->room : 32;
        req->objects = mem_rearray(req->objects, walk->room, sizeof(*req->objects));
    }
    struct store_object *obj = &req->objects[req->object_count++];
    *obj = (struct store_object){.key = mem_alloc(walk->len + name_len + 1)};
    memcpy(obj->key, walk->path, walk->len);
    memcpy(obj->key + walk->len, name, name_len + 1);
    return obj;
}

/* Adds what info describes, with its metadata. False: the page is full. */
static bool list_add_object(struct list_walk *walk, int dir_fd, const char *name,
                            const char *key_name, struct file_info *info)
{
    struct store_object *obj = list_add(walk, key_name);

    if (!obj)
        return false;
    CLEANUP_CLOSE int fd = info->kind == FILE_SYMLINK ? -1 : file_info_open(dir_fd, name, info);
    file_info_etag(info, obj->etag);
    obj->size = info->size;
    obj->mtime_ns = info->mtime_ns;
    obj->has_meta = true;
    file_meta_read(walk->fs, fd, info, &obj->meta);
    return true;
}

/* Goes into the directory name (with its '/') of the one being listed. */
static int list_descend(struct list_walk *walk, const char *name, const char *after)
{
    size_t len = strlen(name);

    if (walk->len + len >= sizeof(walk->path))
        return 0; /* no call of the system reaches what is below */
    memcpy(walk->path + walk->len, name, len + 1);
    walk->len += len;
    int err = list_dir(walk, "", after && after[0] ? after : NULL);
    walk->len -= len;
    walk->path[walk->len] = '\0';
    return err;
}

/* One name of a directory, as the cursor has it. */
static int list_entry(struct list_walk *walk, int dir_fd, const char *entry, const char *after)
{
    char name[FILE_NAME_MAX + 1];
    struct file_info info;
    size_t len = strlen(entry);
    bool is_dir = entry[len - 1] == '/';

    if (walk->len == 0 && strcmp(entry, FILE_TMP_DIR "/") == 0)
        return 0;
    bool within = is_dir && after && strncmp(after, entry, len) == 0;
    if (within) /* the page before ended at it, or in it */
        return walk->req->delimiter ? 0 : list_descend(walk, entry, after + len);
    memcpy(name, entry, len - is_dir);
    name[len - is_dir] = '\0';
    int err = file_info_get(dir_fd, name, &info);
    if (err == -ENOENT || (!err && (info.kind == FILE_DIRECTORY) != is_dir))
        return 0; /* removed or replaced since the directory was read */
    if (err)
        return err;
    if (is_dir && walk->req->delimiter) {
        struct store_object *obj = list_add(walk, entry);
        if (obj)
            obj->is_prefix = true;
        return 0;
    }
    if (!list_add_object(walk, dir_fd, name, entry, &info) || !is_dir)
        return 0;
    return list_descend(walk, entry, NULL);
}

/* Where in a directory its names that may hold keys greater than after begin. */
static struct file_bound list_bound(const char *after, char buf[static FILE_NAME_MAX + 3])
{
    const char *slash = after ? strchr(after, '/') : NULL;

    if (!after)
        return (struct file_bound){.name = ""};
    if (!slash)
        return (struct file_bound){.name = after, .excluded = true};
    /* After "c/x", the directory "c/" itself is not listed again, but what is in it may be. */
    size_t len = (size_t)(slash - after) + 1;
    if (len > FILE_NAME_MAX + 2)
        len = FILE_NAME_MAX + 2; /* longer than any name: the rest does not matter */
    memcpy(buf, after, len);
    buf[len] = '\0';
    return (struct file_bound){.name = buf};
}

/* The names of one directory from the bound on, cursor by cursor. */
static int list_names(struct list_walk *walk, int dir_fd, const char *prefix, const char *after)
{
    char buf[FILE_NAME_MAX + 3];
    struct file_bound bound = list_bound(after, buf);
    bool continuing = walk->continuing, complete = false;
    int err = 0;

    while (!err && !walk->full && !complete) {
        struct file_cursor *cursor;
        size_t at;
        err = file_cursor_get(walk->fs, dir_fd, prefix, &bound, continuing, &cursor, &at);
        if (err)
            return err;
        for (; !err && !walk->full && at < cursor->count; at++)
            err = list_entry(walk, dir_fd, cursor->arena + cursor->offsets[at], after);
        complete = cursor->complete;
        if (cursor->count > 0) {
            const char *last = cursor->arena + cursor->offsets[cursor->count - 1];
            memcpy(buf, last, strlen(last) + 1);
            bound = (struct file_bound){.name = buf, .excluded = true};
        }
        continuing = true;
        file_cursor_drop(cursor);
    }
    return err;
}

/* Lists walk->path: names with this prefix, keys greater than after (relative to it, or NULL). */
static int list_dir(struct list_walk *walk, const char *prefix, const char *after)
{
    char rel[PATH_MAX];

    memcpy(rel, walk->path, walk->len);
    rel[walk->len > 0 ? walk->len - 1 : 0] = '\0';
    CLEANUP_CLOSE int dir_fd = file_path_openat(walk->fs, rel, O_RDONLY | O_DIRECTORY);
    if (dir_fd == -ENOENT || dir_fd == -ENOTDIR || dir_fd == -ELOOP || dir_fd == -EXDEV)
        return 0;
    return dir_fd < 0 ? dir_fd : list_names(walk, dir_fd, prefix, after);
}

/* The marker of the directory that the prefix names comes before everything in it. */
static int list_marker(struct list_walk *walk)
{
    CLEANUP_PATH struct file_path path = {.dir_fd = -1};
    struct file_info info;
    int err = file_path_open(walk->fs, walk->path, &path);

    if (!err)
        err = file_info_of_path(&path, &info);
    if (err)
        return err == -ENOENT ? 0 : err;
    (void)list_add_object(walk, path.dir_fd, path.name, "", &info);
    return 0;
}

/* Sets walk->path to the directory part of the prefix. False: there cannot be such a directory. */
static bool list_set_path(struct list_walk *walk, const char *prefix)
{
    const char *slash = strrchr(prefix, '/');

    walk->len = slash ? (size_t)(slash - prefix) + 1 : 0;
    if (walk->len >= sizeof(walk->path))
        return false;
    memcpy(walk->path, prefix, walk->len);
    walk->path[walk->len] = '\0';
    return walk->len == 0 || file_path_check(walk->path) == 0;
}

int file_list(struct file_store *fs, struct store_req *req)
{
    struct list_walk walk = {.fs = fs, .req = req, .max = req->max_keys, .continuing = req->token};
    const char *after = req->token ? req->token : req->start_after;
    const char *prefix = req->prefix ? req->prefix : "";
    int err = 0;

    if (walk.max == 0 || walk.max > LIST_PAGE_MAX)
        walk.max = walk.max ? LIST_PAGE_MAX : LIST_PAGE;
    if (!list_set_path(&walk, prefix))
        return 0;
    const char *rest = prefix + walk.len; /* of the prefix: the beginning of names */
    bool marker = walk.len > 0 && !rest[0] && (!after || strcmp(walk.path, after) > 0);
    if (after && strncmp(after, walk.path, walk.len) == 0)
        after = after[walk.len] ? after + walk.len : NULL;
    else if (after && strcmp(after, walk.path) < 0)
        after = NULL; /* everything here comes after it */
    else if (after)
        return 0; /* everything here comes before it */
    if (marker)
        err = list_marker(&walk);
    if (!err)
        err = list_dir(&walk, rest, after);
    if (!err && walk.full) {
        assert(req->object_count == walk.max);
        req->next_token = mem_strdup(req->objects[req->object_count - 1].key);
    }
    return err;
}
