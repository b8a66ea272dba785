/* DELETE of many keys; the directories they were in are fsynced once per run of neighbours. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cloud/file_int.h"

/* Length of the parent's part of a key, with its slash. */
static size_t delete_parent_len(const char *key)
{
    size_t len = strlen(key);

    if (len > 0 && key[len - 1] == '/')
        len--;
    while (len > 0 && key[len - 1] != '/')
        len--;
    return len;
}

static bool delete_same_parent(const char *a, const char *b)
{
    size_t len = delete_parent_len(a);

    return len == delete_parent_len(b) && memcmp(a, b, len) == 0;
}

/* What is not there, or is a directory with something in it, is no error: nothing changes. */
static int delete_one(struct file_store *fs, const struct file_path *path,
                      const struct store_delete *del)
{
    struct file_info info;
    LOCK_SCOPE(file_key_lock(fs, del->key));

    int err = file_info_of_path(path, &info);
    if (err)
        return err == -ENOENT ? 0 : err;
    if (!file_info_matches(&info, del->if_match))
        return -ESTALE;
    if (unlinkat(path->dir_fd, path->name, path->is_dir ? AT_REMOVEDIR : 0) == 0)
        return 0;
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EEXIST:
        return 0;
    default:
        return file_errno();
    }
}

/* fsyncs the parent of keys from..to, which share it; a failure counts for each of them. */
static void delete_sync(const struct file_path *path, struct store_delete *from,
                        const struct store_delete *to)
{
    CLEANUP_CLOSE int fd = openat(path->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 || fsync(fd) < 0 ? file_errno() : 0;

    if (err == -ENOENT) /* the directory itself has gone, and everything in it */
        err = 0;
    for (; from < to; from++) {
        if (from->err == 0)
            from->err = file_err(err);
    }
}

/* The keys from del on that have the same parent as it; returns the first that does not. */
static struct store_delete *delete_run(struct file_store *fs, struct store_delete *del,
                                       struct store_delete *end)
{
    CLEANUP_PATH struct file_path parent = {.dir_fd = -1};
    char ignored[STORE_KEY_MAX + 1];
    struct store_delete *first = del;
    int err = file_path_open(fs, del->key, &parent);

    for (; del < end && delete_same_parent(first->key, del->key); del++) {
        struct file_path path;
        if (file_path_check(del->key)) {
            del->err = 0; /* there cannot be such a key */
            continue;
        }
        file_path_split(del->key, &path, ignored);
        path.dir_fd = parent.dir_fd;
        if (err)
            del->err = err == -ENOENT ? 0 : file_err(err);
        else
            del->err = file_err(delete_one(fs, &path, del));
    }
    if (!err)
        delete_sync(&parent, first, del);
    return del;
}

int file_delete(struct file_store *fs, struct store_req *req)
{
    struct store_delete *del = req->deletes, *end = del + req->delete_count;

    while (del < end) {
        if (file_path_check(del->key))
            (del++)->err = 0;
        else
            del = delete_run(fs, del, end);
    }
    return 0;
}
