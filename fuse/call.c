/* One request: what fs is asked with, for how long, and its reply. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fuse/front_int.h"

bool call_begin(struct call *c, fuse_req_t req, fuse_ino_t node)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct front *front = fuse_req_userdata(req);
    int64_t now = clock_mono_ns();

    *c = (struct call){.front = front, .req = req, .end_ns = now + front->config.deadline_ns};
    c->fs = (struct fs_req){.cred = {.uid = ctx->uid, .gid = ctx->gid},
                            .flags = FS_CHECKED | (front->config.read_only ? FS_READ_ONLY : 0),
                            .deadline_ns = now + SLICE_MS * CLOCK_MS,
                            .ctx = front};
    if (node_find(front, node, &c->vol, &c->ino))
        return true;
    (void)fuse_reply_err(req, ESTALE);
    return false;
}

/* Signals that end a process if it does nothing about them; the others wake it from a wait that it
 * would rather have gone on with (SIGCHLD, SIGALRM with a handler). */
static const uint64_t call_harmless =
    1ULL << (SIGCHLD - 1) | 1ULL << (SIGCONT - 1) | 1ULL << (SIGURG - 1) | 1ULL << (SIGWINCH - 1) |
    1ULL << (SIGSTOP - 1) | 1ULL << (SIGTSTP - 1) | 1ULL << (SIGTTIN - 1) | 1ULL << (SIGTTOU - 1);

/* Is the process about to end? The kernel interrupts a request for every signal, but a program that
 * has a handler for SIGCHLD does not expect that a read of a file fails with EINTR. True if that
 * cannot be found out. */
static bool call_dying(pid_t pid)
{
    uint64_t pending = 0, shared = 0, blocked = 0, ignored = 0, caught = 0;
    char path[64], line[256];

    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    FILE *f = pid > 0 ? fopen(path, "re") : NULL;
    if (!f)
        return true;
    while (fgets(line, sizeof(line), f)) {
        (void)sscanf(line, "SigPnd: %lx", &pending);
        (void)sscanf(line, "ShdPnd: %lx", &shared);
        (void)sscanf(line, "SigBlk: %lx", &blocked);
        (void)sscanf(line, "SigIgn: %lx", &ignored);
        (void)sscanf(line, "SigCgt: %lx", &caught);
    }
    (void)fclose(f);
    return (pending | shared) & ~blocked & ~ignored & ~caught & ~call_harmless;
}

/* A close() of a large file may take as long as its bytes need; the deadline is for those that do
 * not get on. */
static void call_look(struct call *c, int64_t now)
{
    bool uploading;
    uint64_t progress = fs_progress(c->vol, c->ino, &uploading);

    if (uploading || progress != c->progress)
        c->end_ns = now + c->front->config.deadline_ns;
    c->progress = progress;
}

bool call_again(struct call *c, int *err)
{
    int64_t now;

    if (*err != -EAGAIN)
        return false;
    now = clock_mono_ns();
    if (c->patient)
        call_look(c, now);
    c->fs.flags |= FS_AGAIN;
    if (fuse_req_interrupted(c->req) && call_dying(fuse_req_ctx(c->req)->pid))
        *err = -EINTR;
    else if (atomic_load(&c->front->stopping) || now >= c->end_ns)
        *err = -EIO;
    if (*err != -EAGAIN)
        return false;
    c->fs.deadline_ns = now + SLICE_MS * CLOCK_MS;
    if (c->fs.deadline_ns > c->end_ns)
        c->fs.deadline_ns = c->end_ns;
    return true;
}

static struct held *reply_new(const struct call *c, enum held_kind kind)
{
    struct held *h = mem_zalloc(sizeof(*h));

    h->req = c->req;
    h->seq = c->fs.seq;
    h->kind = kind;
    return h;
}

void reply_err(struct call *c, int err)
{
    if (err || c->fs.seq == 0) {
        (void)fuse_reply_err(c->req, error_number(err));
        return;
    }
    hold_reply(c->front, reply_new(c, HELD_ERR));
}

void reply_entry(struct call *c, const struct fs_node *node)
{
    struct held *h = reply_new(c, HELD_ENTRY);

    node_entry(c->front, node, &h->entry);
    hold_reply(c->front, h);
}

void reply_attr(struct call *c, const struct fs_node *node)
{
    struct held *h = reply_new(c, HELD_ATTR);

    node_stat(c->front, &node->attr, &h->entry.attr);
    h->attr_timeout = node_timeout(c->front, node->valid_ns);
    hold_reply(c->front, h);
}

void reply_create(struct call *c, const struct fs_node *node, const struct fuse_file_info *fi)
{
    struct held *h = reply_new(c, HELD_CREATE);

    node_entry(c->front, node, &h->entry);
    h->fi = *fi;
    hold_reply(c->front, h);
}

void reply_write(struct call *c, size_t count)
{
    struct held *h = reply_new(c, HELD_WRITE);

    h->count = count;
    hold_reply(c->front, h);
}
