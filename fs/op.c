/* The loop around every operation, its ways to wait, and the transactions in which state changes.
 */
#include <assert.h>
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"
#include "fs/fs_int.h"

enum { OP_RETRY_MAX_S = 60 };

struct fs_req op_internal(int64_t deadline_ns)
{
    return (struct fs_req){.deadline_ns = deadline_ns, .flags = REQ_INTERNAL};
}

int64_t op_retry_ns(const struct fs *fs, uint32_t tries)
{
    int64_t wait_ns = CLOCK_S << (tries < 12 ? tries : 12);
    int64_t max_ns = fs->config.retry_max_ns ? fs->config.retry_max_ns : OP_RETRY_MAX_S * CLOCK_S;

    return wait_ns < max_ns ? wait_ns : max_ns;
}

int op_run(struct fs_volume *vol, struct fs_req *req, op_fn *fn, void *args)
{
    int err;

    if (req->start_ns == 0)
        req->start_ns = clock_mono_ns();
    req->seq = 0;
    vol_lock(vol);
    do {
        bool gone = vol->mounts->detached && !(req->flags & REQ_INTERNAL);
        err = gone ? -ESTALE : fn(vol, req, args);
    } while (err == -ERESTART);
    vol_unlock(vol);
    return err;
}

int op_wait(struct fs_volume *vol, struct fs_req *req)
{
    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (clock_mono_ns() >= req->deadline_ns)
        return -EAGAIN;
    (void)thread_cond_wait_until(&vol->cond, &vol->lock, req->deadline_ns);
    return -ERESTART;
}

int op_wait_durable(struct fs_volume *vol, struct fs_req *req, uint64_t seq)
{
    if (seq <= db_durable(vol->fs->db))
        return 0;
    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    vol_unlock(vol);
    int err = db_wait(vol->fs->db, seq, req->deadline_ns);
    vol_lock(vol);
    return err ? err : -ERESTART;
}

void change_begin(struct change *c, struct fs_volume *vol)
{
    *c = (struct change){.vol = vol, .txn = db_txn_new(vol->fs->db)};
}

void change_row(struct change *c, struct inode *ino)
{
    if (ino->flags & INODE_IN_CHANGE)
        return;
    if (c->row_count == c->row_room) {
        c->row_room = c->row_room ? c->row_room * 2 : 8;
        c->rows = mem_rearray(c->rows, c->row_room, sizeof(*c->rows));
    }
    ino->flags |= INODE_IN_CHANGE;
    c->rows[c->row_count++] = ino;
}

void change_gone(struct change *c, uint64_t parent, const char *name)
{
    if (c->gone_count == c->gone_room) {
        c->gone_room = c->gone_room ? c->gone_room * 2 : 4;
        c->gone = mem_rearray(c->gone, c->gone_room, sizeof(*c->gone));
    }
    struct name_key *key = &c->gone[c->gone_count++];
    key->parent = parent;
    (void)strlcpy(key->name, name, sizeof(key->name));
    negative_add(c->vol, parent, name, clock_mono_ns(), 0);
}

void change_grave(struct change *c, struct extent_graves *bytes)
{
    if (!bytes)
        return;
    assert(c->grave_count < sizeof(c->graves) / sizeof(c->graves[0]));
    c->graves[c->grave_count++] = bytes;
}

void change_intent(struct change *c, struct intent *intent)
{
    if (c->intent_count == c->intent_room) {
        c->intent_room = c->intent_room ? c->intent_room * 2 : 4;
        c->intents = mem_rearray(c->intents, c->intent_room, sizeof(struct intent *));
    }
    intent->seq = UINT64_MAX; /* not before the transaction has its number */
    c->intents[c->intent_count++] = intent;
}

/* Until this is durable the database still has these names: the negatives have to stay. */
static void change_pin_gone(struct change *c)
{
    for (size_t i = 0; i < c->gone_count; i++) {
        struct negative *neg = negative_find(c->vol, c->gone[i].parent, c->gone[i].name);
        if (neg)
            neg->seq = c->seq;
    }
    free(c->gone);
}

static void change_keep_reply(struct change *c, struct fs_req *req)
{
    struct db_reply reply = {0};
    const void *key, *body;

    if (!req || !req->journal)
        return;
    if (!req->journal(req, &key, &reply.key_len, &body, &reply.reply_len))
        return;
    reply.key = key;
    reply.reply = body;
    db_put_reply(c->txn, &reply);
}

void change_end(struct change *c, struct fs_req *req)
{
    struct db_inode row;

    for (size_t i = 0; i < c->row_count; i++) {
        if (c->rows[i]->flags & (INODE_GONE | INODE_ORPHAN))
            continue;
        inode_row(c->rows[i], &row);
        row.volume = c->vol->id;
        db_put_inode(c->txn, &row);
    }
    change_keep_reply(c, req);
    c->seq = db_submit(c->vol->fs->db, c->txn);
    for (size_t i = 0; i < c->row_count; i++) {
        c->rows[i]->seq = c->seq;
        c->rows[i]->flags |= INODE_MODIFIED;
        c->rows[i]->flags &= ~(uint32_t)INODE_IN_CHANGE;
    }
    free(c->rows);
    change_pin_gone(c);
    for (size_t i = 0; i < c->intent_count; i++)
        c->intents[i]->seq = c->seq;
    free(c->intents);
    for (size_t i = 0; i < c->grave_count; i++)
        grave_add(c->vol, c->seq, c->graves[i]);
    if (req)
        req->seq = c->seq;
}

void change_none(struct fs_volume *vol, struct fs_req *req)
{
    struct change c;

    if (!req->journal)
        return;
    change_begin(&c, vol);
    change_end(&c, req);
}
