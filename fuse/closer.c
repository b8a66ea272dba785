/*
 * Who closes. The kernel tells of every close() of every descriptor of an open file, whoever does
 * it, and not which is the last. Whoever opened the file and wrote it wants to hear how that went.
 * A child that inherited the descriptor and ends closes it too, without knowing that it has it:
 * uploading half a file for each of them would cost a lot, and hand an error to somebody who does
 * not look.
 *
 * So a close() counts if something was written since the last one that counted, and it is done by
 * the opener; or by anybody, once the opener has ended, or closed the file after something was
 * written (until then it may only have moved the descriptor, as shells do), or is not known. One of
 * a file that is new or was cut, and not written yet, counts if it was the opener's only
 * descriptor: a shell opens the file of a redirection, moves the descriptor and closes the first.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fuse/front_int.h"

struct handle *handle_new(struct front *front, struct fs_volume *vol, uint64_t ino, pid_t opener)
{
    struct handle *h = mem_zalloc(sizeof(*h));

    h->front = front;
    h->vol = vol;
    h->ino = ino;
    h->opener = opener;
    (void)pthread_mutex_init(&h->lock, NULL);
    LOCK_SCOPE(&front->handle_lock);
    LIST_INSERT_HEAD(&front->handles, h, link);
    return h;
}

/* The kernel gives it back to whichever thread; the lock is how the memory gets there too. */
struct handle *handle_of(fuse_req_t req, const struct fuse_file_info *fi)
{
    struct front *front = fuse_req_userdata(req);

    LOCK_SCOPE(&front->handle_lock);
    return (struct handle *)(uintptr_t)fi->fh;
}

void handle_free(struct handle *h)
{
    (void)pthread_mutex_lock(&h->lock);
    (void)pthread_mutex_unlock(&h->lock);
    (void)pthread_mutex_lock(&h->front->handle_lock);
    LIST_REMOVE(h, link);
    (void)pthread_mutex_unlock(&h->front->handle_lock);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

void handle_free_all(struct front *front)
{
    struct handle *h;

    while ((h = LIST_FIRST(&front->handles))) {
        fs_release(h->vol, h->ino);
        handle_free(h);
    }
}

void handle_made(struct handle *h)
{
    LOCK_SCOPE(&h->lock);
    h->wrote = true;
}

void handle_wrote(struct handle *h)
{
    LOCK_SCOPE(&h->lock);
    h->wrote = h->ever_wrote = true;
}

/* The process of a thread; 0 if it has ended, or that cannot be found out. */
static pid_t closer_process(pid_t thread)
{
    char path[64], line[128], state = 'Z';
    long process = 0;

    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)thread);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (process == 0 && fgets(line, sizeof(line), f)) {
        (void)sscanf(line, "State: %c", &state); /* comes before the other */
        (void)sscanf(line, "Tgid: %ld", &process);
    }
    (void)fclose(f);
    return state == 'Z' || state == 'X' ? 0 : (pid_t)process;
}

/* Is the closer certainly another process than the opener, which still lives? */
static bool closer_is_other(pid_t opener, pid_t closer)
{
    if (opener <= 0 || closer <= 0)
        return false;
    pid_t a = closer_process(opener), b = closer_process(closer);
    return a != 0 && b != 0 && a != b;
}

/* Is that descriptor one of this node? The kernel tells of what is open without asking us. */
static bool closer_same_node(const char *fdinfo, fuse_ino_t node)
{
    char line[128];
    unsigned long ino = 0;
    FILE *f = fopen(fdinfo, "re");

    while (f && ino == 0 && fgets(line, sizeof(line), f))
        (void)sscanf(line, "ino: %lu", &ino);
    if (f)
        (void)fclose(f);
    return ino == node;
}

/* Has the process another descriptor of the file? False if that cannot be found out. */
static bool closer_has_more(const struct handle *h, pid_t thread)
{
    fuse_ino_t node = node_id(h->front, h->vol, h->ino);
    size_t len = strlen(h->front->mountpoint);
    char path[64], info[64], target[PATH_MAX];
    bool more = false;
    int count = 0;

    (void)snprintf(path, sizeof(path), "/proc/%ld/fd", (long)thread);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && !more && count < CLOSER_FDS_MAX && (e = readdir(dir)); count++) {
        ssize_t got = readlinkat(dirfd(dir), e->d_name, target, sizeof(target));
        if (got <= (ssize_t)len || memcmp(target, h->front->mountpoint, len) != 0)
            continue;
        (void)snprintf(info, sizeof(info), "/proc/%ld/fdinfo/%.10s", (long)thread, e->d_name);
        more = closer_same_node(info, node);
    }
    if (dir)
        (void)closedir(dir);
    return more;
}

bool handle_closes(struct handle *h, pid_t closer, uint64_t files)
{
    LOCK_SCOPE(&h->lock);
    if (!h->wrote)
        return false;
    if (!h->ever_wrote && closer_has_more(h, closer))
        return false;
    bool opener = closer == h->opener || (h->opener_files != 0 && files == h->opener_files);
    if (!opener && !h->opener_closed && closer_is_other(h->opener, closer))
        return false;
    if (opener) {
        h->opener_files = files;
        h->opener_closed = h->ever_wrote;
    }
    h->wrote = false;
    return true;
}
