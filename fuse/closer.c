/*
 * Who closes. The kernel tells of every close() of every descriptor of an open file, whoever does
 * it, and not which is the last. Whoever opened the file and wrote it wants to hear how that went.
 * A child that inherited the descriptor and ends closes it too, without knowing that it has it:
 * uploading half a file for each of them would cost a lot, and hand an error to somebody who does
 * not look.
 *
 * So a close() counts if something was written since the last one that counted, and it is done by
 * the opener; or by anybody, once the opener has ended, or closed the file after something was
 * written (until then it may only have moved the descriptor, as shells do), or is not known.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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

void handle_free(struct handle *h)
{
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

void handle_wrote(struct handle *h)
{
    LOCK_SCOPE(&h->lock);
    h->wrote = h->ever_wrote = true;
}

void handle_untold(struct handle *h)
{
    handle_wrote(h);
}

/* The process of a thread; 0 if that cannot be found out. */
static pid_t closer_process(pid_t thread)
{
    char path[64], line[128];
    long process = 0;

    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)thread);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (process == 0 && fgets(line, sizeof(line), f))
        (void)sscanf(line, "Tgid: %ld", &process);
    (void)fclose(f);
    return (pid_t)process;
}

/* Is the closer certainly another process than the opener, which still lives? */
static bool closer_is_other(pid_t opener, pid_t closer)
{
    if (opener <= 0 || closer <= 0)
        return false;
    pid_t a = closer_process(opener), b = closer_process(closer);
    return a != 0 && b != 0 && a != b;
}

bool handle_closes(struct handle *h, pid_t closer, uint64_t files)
{
    LOCK_SCOPE(&h->lock);
    if (!h->wrote)
        return false;
    bool opener = closer == h->opener || (h->opener_files != 0 && files == h->opener_files);
    if (!opener && !h->opener_closed && closer_is_other(h->opener, closer))
        return false;
    if (opener) {
        h->opener_files = files;
        h->opener_closed = true;
    }
    h->wrote = false;
    return true;
}
