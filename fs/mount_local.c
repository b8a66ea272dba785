/*
 * Directories that are only here: the parts of a mount's path that the volume does not have. The
 * list of them is written with them, so that a start after a crash finds those that nobody needs.
 */
#include "fs/fs_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { LOCAL_MAX = 4096, LOCAL_KEY_MAX = 32, LOCAL_DELAY_MS = 1000, LOCAL_DEADLINE_S = 10 };

static void local_key(const struct fs_volume *vol, char ret[LOCAL_KEY_MAX])
{
    (void)snprintf(ret, LOCAL_KEY_MAX, "local_dirs.%u", vol->id);
}

void local_load(struct fs_volume *vol)
{
    struct volume_mounts *m = vol->mounts;
    char key[LOCAL_KEY_MAX];

    local_key(vol, key);
    m->local = mem_array(LOCAL_MAX, sizeof(*m->local));
    int n = db_meta_get(vol->fs->db, key, m->local, LOCAL_MAX * sizeof(*m->local));
    m->local_count = n > 0 ? (size_t)n / sizeof(*m->local) : 0;
}

static void local_keep(struct fs_volume *vol, struct change *c)
{
    char key[LOCAL_KEY_MAX];

    local_key(vol, key);
    db_meta_put(c->txn, key, vol->mounts->local,
                vol->mounts->local_count * sizeof(*vol->mounts->local));
}

static void local_drop(struct fs_volume *vol, struct change *c, uint64_t id)
{
    struct volume_mounts *m = vol->mounts;
    size_t kept = 0;

    for (size_t i = 0; i < m->local_count; i++) {
        if (m->local[i] != id)
            m->local[kept++] = m->local[i];
    }
    m->local_count = kept;
    local_keep(vol, c);
}

struct inode *local_make(struct fs_volume *vol, struct inode *dir, const char *name)
{
    struct volume_mounts *m = vol->mounts;
    struct change c;

    if (m->local_count == LOCAL_MAX)
        return NULL;
    change_begin(&c, vol);
    struct inode *ino = inode_new(vol, db_next_id(vol->fs->db), FS_DIR);
    meta_defaults(vol, ino, clock_wall_ns());
    ino->mode = 0755;
    ino->uid = geteuid();
    ino->gid = getegid();
    defaults_end(ino);
    ino->flags |= INODE_LOCAL | INODE_META_KNOWN | INODE_LISTED;
    ino->since = ino->id;
    uint64_t dirent_id = db_next_id(vol->fs->db);
    inode_set_name(vol, ino, dir->id, name, dirent_id);
    db_put_dirent(c.txn, dirent_id, dir->id, name, ino->id);
    change_row(&c, ino);
    inode_stamp(dir, true);
    dir->gen++;
    change_row(&c, dir);
    m->local[m->local_count++] = ino->id;
    local_keep(vol, &c);
    invalid_name(vol, NULL, dir->id, name);
    change_end(&c, NULL);
    dir->child_seq = c.seq;
    return ino;
}

void local_used(struct fs_volume *vol, struct change *c, struct inode *dir)
{
    if (!(dir->flags & INODE_LOCAL))
        return;
    dir->flags = (dir->flags & ~(uint32_t)INODE_LOCAL) | INODE_DIRTY;
    local_drop(vol, c, dir->id);
    change_row(c, dir);
    dirty_update(vol, dir, LOCAL_DELAY_MS * CLOCK_MS);
}

int local_check(struct fs_volume *vol, struct fs_req *req, const struct inode *dir)
{
    if (!(dir->flags & INODE_LOCAL))
        return 0;
    if (dir->flags & INODE_MOUNTED)
        return -ESTALE; /* by a handle from before: nobody would see it */
    return mount_keeps(vol, dir) ? 0 : op_wait(vol, req);
}

static void local_remove(struct fs_volume *vol, struct inode *dir, struct inode *ino)
{
    struct change c;

    invalid_name(vol, NULL, dir->id, ino->key->name);
    change_begin(&c, vol);
    local_drop(vol, &c, ino->id);
    ino->flags &= ~(uint32_t)INODE_LOCAL;
    inode_set_gone(vol, &c, ino);
    inode_stamp(dir, true);
    dir->gen++;
    change_row(&c, dir);
    change_end(&c, NULL);
    dir->child_seq = c.seq;
    (void)pthread_cond_broadcast(&vol->cond);
}

/* What was found in it, from the store, is what makes it a directory there. */
static void local_settle(struct fs_volume *vol, struct inode *ino)
{
    struct change c;

    change_begin(&c, vol);
    local_drop(vol, &c, ino->id);
    ino->flags &= ~(uint32_t)INODE_LOCAL;
    change_row(&c, ino);
    dirty_update(vol, ino, LOCAL_DELAY_MS * CLOCK_MS);
    change_end(&c, NULL);
    (void)pthread_cond_broadcast(&vol->cond);
}

/* 0: it is gone, or ordinary. */
static int local_end_try(struct fs_volume *vol, struct fs_req *req, void *args)
{
    uint64_t id = *(const uint64_t *)args;
    struct inode *ino = NULL, *dir = NULL;
    uint32_t rows = 0;
    int err = need_inode(vol, req, id, &ino);

    if (!err)
        err = need_path(vol, req, ino);
    if (err || !(ino->flags & INODE_LOCAL) || mount_keeps(vol, ino))
        return err;
    err = op_wait_durable(vol, req, ino->child_seq);
    if (err)
        return err;
    uint64_t gen = ino->gen, seq = ino->child_seq;
    inode_pin(vol, ino);
    vol_unlock(vol);
    err = db_count_dirents(vol->fs->db, id, 1, &rows);
    vol_lock(vol);
    inode_unpin(vol, ino);
    if (err)
        return -EIO;
    if (ino->flags & INODE_GONE || ino->gen != gen || ino->child_seq != seq || ino->pins > 0)
        return op_wait(vol, req);
    if (rows > 0 || ino->opens > 0) {
        local_settle(vol, ino);
        return 0;
    }
    dir = inode_find(vol, ino->key->parent);
    local_remove(vol, dir, ino);
    return 0;
}

/* It is gone otherwise. */
static void local_forget(struct fs_volume *vol, uint64_t id)
{
    struct change c;

    vol_lock(vol);
    change_begin(&c, vol);
    local_drop(vol, &c, id);
    change_end(&c, NULL);
    vol_unlock(vol);
}

void local_sweep(struct fs_volume *vol)
{
    struct volume_mounts *m = vol->mounts;

    vol_lock(vol);
    size_t count = m->local_count;
    uint64_t *ids = mem_array(count + 1, sizeof(*ids));
    memcpy(ids, m->local, count * sizeof(*ids));
    vol_unlock(vol);
    for (size_t i = count; i-- > 0;) { /* children have greater ids: they come first */
        struct fs_req req = op_internal(clock_mono_ns() + LOCAL_DEADLINE_S * CLOCK_S);
        int err = op_run(vol, &req, local_end_try, &ids[i]);
        if (err == -ESTALE)
            local_forget(vol, ids[i]);
        else if (err)
            log_event(LOG_WARN, "local_directory_stays", "ino=%lu err=%s", (unsigned long)ids[i],
                      strerrordesc_np(-err));
    }
    free(ids);
}
