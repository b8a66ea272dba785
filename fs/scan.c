/*
 * Listing the store into the database, a page at a time.
 *
 * A scan goes through the sources of a directory one after the other. Each page is merged with the
 * rows of the same range of names: new names get inodes and dirents, changed ones new inodes, and
 * names that a page of their own source no longer has are gone. Nothing of a directory is ever held
 * as a whole. Order matters in one place: the store sorts a directory as "name/", the database as
 * "name".
 */
#include "fs/fs_int.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    SCAN_LARGE = 10000,      /* entries of a directory that is not listed again at every glance */
    SCAN_LARGE_SECONDS = 10, /* ... but this long after, for each so many entries */
    SCAN_LONG_SECONDS = 5, /* a scan that took longer counts from its end, or no request would ever
                              be content with it */
};

void scan_free(struct scan *scan)
{
    if (!scan)
        return;
    sources_clear(&scan->sources);
    free(scan->token);
    free(scan->last);
    free(scan);
}

bool scan_complete(const struct fs_volume *vol, const struct fs_req *req, const struct inode *dir)
{
    return fresh_names(vol, req, dir->complete_ns);
}

bool scan_recent(const struct fs_volume *vol, const struct fs_req *req, const struct inode *dir)
{
    if (scan_complete(vol, req, dir))
        return true;
    return dir->complete_ns != 0 && dir->entries > SCAN_LARGE &&
           clock_mono_ns() - dir->complete_ns <
               SCAN_LARGE_SECONDS * CLOCK_S * (int64_t)(dir->entries / SCAN_LARGE);
}

/* One name of a page. */
struct page_name {
    const char *name; /* into text */
    const struct store_object *obj;
    bool is_dir;
    bool in_rows;
    struct db_inode row;
    struct db_dirent dirent;
};

struct page {
    const char *prefix;
    struct page_name *names; /* by name, each once */
    size_t count;
    char **text;
    const struct store_object *marker;
    uint64_t hidden;
    char *lo,
        *hi; /* the keys this page covers: lo < key <= hi; NULL: from the first, to the last */
    struct {
        struct db_inode inode;
        struct db_dirent dirent;
    } * rows; /* rows in the range that the page does not have */
    size_t row_count, row_room;
};

static int page_name_cmp(const void *a, const void *b)
{
    const struct page_name *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    /* Of an object and a directory of one name the directory comes first, and stays. */
    return c ? c : (int)y->is_dir - (int)x->is_dir;
}

static void page_build(struct page *p, const struct store_req *r)
{
    size_t skip = strlen(p->prefix), kept = 0, texts = 0;

    p->names = mem_array(r->object_count ? r->object_count : 1, sizeof(*p->names));
    p->text = mem_array(r->object_count ? r->object_count : 1, sizeof(*p->text));
    for (size_t i = 0; i < r->object_count; i++) {
        const struct store_object *obj = &r->objects[i];
        const char *rel = obj->key + skip;
        size_t len = strlen(rel);
        if (len == 0) {
            p->marker = obj;
            continue;
        }
        char *name = mem_strndup(rel, obj->is_prefix ? len - 1 : len);
        p->text[texts++] = name;
        if (name_check(name) != 0 || strlen(obj->key) > STORE_KEY_MAX) {
            p->hidden++;
            continue;
        }
        p->names[p->count++] =
            (struct page_name){.name = name, .obj = obj, .is_dir = obj->is_prefix};
    }
    qsort(p->names, p->count, sizeof(*p->names), page_name_cmp);
    for (size_t i = 0; i < p->count; i++) {
        if (kept > 0 && strcmp(p->names[kept - 1].name, p->names[i].name) == 0)
            p->hidden++; /* the object that its directory hides */
        else
            p->names[kept++] = p->names[i];
    }
    p->count = kept;
}

static void page_clear_rows(struct page *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->names[i].in_rows)
            db_inode_clear(&p->names[i].row);
        p->names[i].in_rows = false;
    }
    for (size_t i = 0; i < p->row_count; i++)
        db_inode_clear(&p->rows[i].inode);
    p->row_count = 0;
}

static void page_clear(struct page *p, size_t text_count)
{
    page_clear_rows(p);
    for (size_t i = 0; i < text_count && p->text; i++)
        free(p->text[i]);
    free(p->text);
    free(p->names);
    free(p->rows);
    free(p->lo);
    free(p->hi);
}

static bool page_row(void *ctx, const struct db_dirent *dirent, const struct db_inode *inode)
{
    struct page *p = ctx;
    struct page_name want = {.name = dirent->name, .is_dir = true}, *found;
    char sort_key[FS_NAME_MAX + 2];

    found = bsearch(&want, p->names, p->count, sizeof(*p->names), page_name_cmp);
    if (!found) {
        want.is_dir = false;
        found = bsearch(&want, p->names, p->count, sizeof(*p->names), page_name_cmp);
    }
    if (found) {
        if (!found->in_rows) {
            db_inode_copy(&found->row, inode);
            found->dirent = *dirent;
            found->in_rows = true;
        }
        return true;
    }
    (void)stpcpy(stpcpy(sort_key, dirent->name), inode->type == FS_DIR ? "/" : "");
    if ((p->lo && strcmp(sort_key, p->lo) <= 0) || (p->hi && strcmp(sort_key, p->hi) > 0))
        return true;
    if (p->row_count == p->row_room) {
        p->row_room = p->row_room ? p->row_room * 2 : 64;
        p->rows = mem_rearray(p->rows, p->row_room, sizeof(*p->rows));
    }
    db_inode_copy(&p->rows[p->row_count].inode, inode);
    p->rows[p->row_count++].dirent = *dirent;
    return true;
}

/* The rows of the page's range. "a/" sorts after "a-b" while "a" sorts before it: names that are
 * proper beginnings of lo and go on with a byte below '/' belong to the range as directories. No
 * lock. */
static int page_read_rows(struct fs_volume *vol, struct page *p, uint64_t dir_id)
{
    char name[FS_NAME_MAX + 1], hi[FS_NAME_MAX + 2];
    struct db_dirent dirent;
    struct db_inode inode;
    int err = 0;

    for (size_t i = 1; p->lo && i < strlen(p->lo) && i <= FS_NAME_MAX && !err; i++) {
        if ((unsigned char)p->lo[i] >= '/')
            continue;
        memcpy(name, p->lo, i);
        name[i] = '\0';
        err = db_get_dirent(vol->fs->db, dir_id, name, &dirent, &inode);
        if (!err) {
            (void)page_row(p, &dirent, &inode);
            db_inode_clear(&inode);
        }
        err = err == -ENOENT ? 0 : err;
    }
    if (err)
        return err;
    if (p->hi)
        (void)strncpy(hi, p->hi, sizeof(hi) - 1);
    hi[sizeof(hi) - 1] = '\0';
    return db_range_dirents(vol->fs->db, dir_id, p->lo, p->hi ? hi : NULL, page_row, p);
}

/* Takes one name of the page into the state. */
static void page_merge_name(struct fs_volume *vol, struct inode *dir, struct page_name *n,
                            const struct source *src, uint64_t stamp, int64_t now, struct change *c)
{
    struct inode *known = inode_find_name(vol, dir->id, n->name), *ino;

    if (key_unsettled(vol, n->obj->key, stamp) ||
        (n->is_dir && path_moved_away(vol, src->prefix, n->obj->key)))
        return;
    if (!known && !n->in_rows && n->is_dir && key_unsettled_below(vol, n->obj->key, stamp))
        return; /* perhaps it shows only by what is about to go */
    if (!known && n->in_rows) {
        /* As the database knows it: nothing to do, and no need to have it in memory. */
        bool same = n->is_dir
                        ? n->row.type == FS_DIR
                        : n->row.type != FS_DIR && n->row.base_etag &&
                              strcmp(n->row.base_etag, n->obj->etag) == 0 && !n->obj->has_meta;
        if (same || negative_find(vol, dir->id, n->name) || inode_find(vol, n->row.id))
            return;
        known = inode_load(vol, &n->row, &n->dirent);
    }
    if (known && (inode_owned(vol, known) || known->pins > 0 ||
                  known->checked_ns > dir->scan->started_ns)) /* the page may be older */
        return;
    /* A name that an earlier source has is not this source's. */
    if (known && src->until != UINT64_MAX)
        return;
    if (!known && src->until != UINT64_MAX && path_foreign(vol, dir, src->until, n->obj->key))
        return;
    if (n->is_dir)
        observe_dir(vol, dir, n->name, known, NULL, src->until, now, c, &ino);
    else if (!known || known->type != FS_DIR) /* its directory hides an object */
        observe_file(vol, dir, n->name, known, n->obj, src->until, now, c, &ino);
}

/* A row that the page of its source does not have any more. */
static void page_merge_missing(struct fs_volume *vol, struct inode *dir, const struct page *p,
                               const struct db_inode *row, const struct db_dirent *dirent,
                               uint64_t stamp, struct change *c)
{
    char key[STORE_KEY_MAX + 1], natural[STORE_KEY_MAX + 1];
    struct inode *known = inode_find_name(vol, dir->id, dirent->name);

    /* A later page of a listing may be as old as the first, and then does not show what came there
     * since. What is not in memory may have come since if anything was evicted since. */
    if (known ? known->checked_ns > dir->scan->started_ns
              : p->lo && dir->scan->load_gen != vol->load_gen)
        return;
    if (!known) {
        if (negative_find(vol, dir->id, dirent->name) || inode_find(vol, row->id))
            return;
        known = inode_load(vol, row, dirent);
    }
    if (!inode_link(vol, known) || path_key(vol, known, natural) != 0)
        return;
    if (known->type == FS_DIR) {
        /* While a directory has several sources, a child may live in any of them. */
        if (dir->scan->several)
            return;
        memcpy(key, natural, sizeof(key));
        if (key_unsettled_below(vol, key, stamp))
            return; /* what it shows by may have come there since */
    } else if (!known->base_etag || path_base_key(vol, known, key) != 0) {
        return;
    }
    if (strncmp(key, p->prefix, strlen(p->prefix)) != 0 || strcmp(key, natural) != 0)
        return; /* it lies in another source */
    if (!key_unsettled(vol, key, stamp))
        (void)observe_gone(vol, dir, known, c);
}

/* The directory's own marker turned up in an old place of it: it needs one in the new place. */
static bool page_old_marker(struct fs_volume *vol, struct inode *dir, const struct page *p,
                            const struct source *src)
{
    if (!p->marker || src->until == UINT64_MAX || (dir->flags & (INODE_MARKER | INODE_DIRTY)) ||
        intent_find(vol, p->marker->key) || path_foreign(vol, dir, src->until, p->marker->key))
        return false;
    dir->flags |= INODE_DIRTY;
    return true;
}

/* Lock held. True if merged; false if the rows may be old and have to be read again. */
static bool page_merge(struct fs_volume *vol, struct inode *dir, struct page *p, uint64_t gen,
                       uint64_t *ret_seq)
{
    struct scan *scan = dir->scan;
    const struct source *src = &scan->sources.s[scan->at];
    struct change c;

    if (gen != vol->load_gen)
        return false;
    change_begin(&c, vol);
    for (size_t i = 0; i < p->count; i++)
        page_merge_name(vol, dir, &p->names[i], src, scan->stamp, scan->started_ns, &c);
    for (size_t i = 0; i < p->row_count && src->until == UINT64_MAX; i++)
        page_merge_missing(vol, dir, p, &p->rows[i].inode, &p->rows[i].dirent, scan->stamp, &c);
    if (p->marker && src->until == UINT64_MAX && !(dir->flags & INODE_MARKER) &&
        !intent_find(vol, p->marker->key)) {
        dir->flags |= INODE_MARKER;
        change_row(&c, dir);
    }
    bool late = page_old_marker(vol, dir, p, src);
    if (late)
        change_row(&c, dir);
    change_end(&c, NULL);
    if (late)
        dirty_update(vol, dir, 0);
    if (c.seq > dir->child_seq)
        dir->child_seq = c.seq;
    *ret_seq = c.seq;
    return true;
}

static void scan_start(struct fs_volume *vol, struct inode *dir, struct scan *scan, bool empty)
{
    scan->started_ns = clock_mono_ns();
    scan->load_gen = vol->load_gen;
    scan->streaming = empty && !(dir->flags & INODE_LISTED);
    vol->hidden = dir->id == vol->root ? 0 : vol->hidden;
    dir->entries = 0;
}

/* The scan's source has ended: the next one, or all is done. */
static void scan_advance(struct fs_volume *vol, struct inode *dir, uint64_t *ret_seq)
{
    struct scan *scan = dir->scan;
    struct change c;

    free(scan->token);
    free(scan->last);
    scan->token = scan->last = NULL;
    if (++scan->at < scan->sources.count)
        return;
    int64_t now = clock_mono_ns();
    dir->complete_ns =
        now - scan->started_ns > SCAN_LONG_SECONDS * CLOCK_S ? now : scan->started_ns;
    scan_free(scan);
    dir->scan = NULL;
    if (!(dir->flags & INODE_LISTED)) {
        dir->flags |= INODE_LISTED;
        change_begin(&c, vol);
        change_row(&c, dir);
        change_end(&c, NULL);
        *ret_seq = c.seq;
    }
}

/* Fetches a page and its rows, merges. Called without the lock, returns with it; dir is pinned and
 * its scan busy. */
static int scan_page(struct fs_volume *vol, struct inode *dir, struct store_req *r,
                     uint64_t *ret_seq)
{
    struct scan *scan = dir->scan;
    struct page p = {.prefix = scan->sources.s[scan->at].prefix};
    size_t skip = strlen(p.prefix);
    uint64_t gen = 0;
    int err = store_call(vol->store, r);

    if (err == -ENOENT) /* a real directory that is not there: nothing below it */
        err = 0;
    if (err) {
        log_event(LOG_DEBUG, "list_failed", "prefix=%s err=%s text=%s", LOG_Q(p.prefix),
                  strerrordesc_np(-err), LOG_Q(r->error_text));
        vol_lock(vol);
        return err;
    }
    size_t total = r->object_count;
    page_build(&p, r);
    p.lo = scan->last && strlen(scan->last) >= skip ? mem_strdup(scan->last + skip) : NULL;
    if (r->next_token && total > 0)
        p.hi = mem_strdup(r->objects[total - 1].key + skip);
    for (;;) {
        vol_lock(vol);
        gen = vol->load_gen;
        vol_unlock(vol);
        page_clear_rows(&p);
        err = page_read_rows(vol, &p, dir->id);
        vol_lock(vol);
        if (err || (dir->flags & INODE_GONE) || scan->dir_gen != vol->dir_gen ||
            page_merge(vol, dir, &p, gen, ret_seq))
            break;
        vol_unlock(vol);
    }
    if (!err && !(dir->flags & INODE_GONE) && scan->dir_gen == vol->dir_gen) {
        vol->hidden += p.hidden;
        dir->entries += p.count;
        free(scan->last);
        scan->last = total > 0 ? mem_strdup(r->objects[total - 1].key) : NULL;
        free(scan->token);
        scan->token = mem_strdup(r->next_token);
        if (!scan->token)
            scan_advance(vol, dir, ret_seq);
    }
    page_clear(&p, total);
    return err;
}

/* Makes the scan if there is none. -ERESTART after a look into the database. */
static int scan_make(struct fs_volume *vol, struct inode *dir)
{
    struct sources sources;
    uint32_t rows = 0;
    int err = path_sources(vol, dir, &sources);

    if (err)
        return err;
    sources_once(&sources);
    bool several = sources.count > 1;
    sources_unknown(dir, &sources);
    if (sources.count == 0) {
        sources_clear(&sources);
        /* Only the database knows what is here. */
        dir->complete_ns = clock_mono_ns();
        return -ERESTART;
    }
    struct scan *scan = mem_zalloc(sizeof(*scan));
    scan->sources = sources;
    scan->several = several;
    scan->dir_gen = vol->dir_gen;
    scan->busy = true;
    dir->scan = scan;
    inode_pin(vol, dir);
    vol_unlock(vol);
    err = db_count_dirents(vol->fs->db, dir->id, 1, &rows);
    vol_lock(vol);
    scan->busy = false;
    inode_unpin(vol, dir);
    scan_start(vol, dir, scan, !err && rows == 0 && dir->kids == 0);
    (void)pthread_cond_broadcast(&vol->cond);
    return err ? -EIO : -ERESTART;
}

int scan_step(struct fs_volume *vol, struct fs_req *req, struct inode *dir)
{
    struct query q;
    uint64_t seq = 0;

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (clock_mono_ns() >= req->deadline_ns)
        return -EAGAIN;
    if (dir->scan && dir->scan->busy)
        return op_wait(vol, req);
    if (dir->scan && dir->scan->dir_gen != vol->dir_gen) {
        scan_free(dir->scan); /* a directory moved: begin again where things lie now */
        dir->scan = NULL;
    }
    if (!dir->scan)
        return scan_make(vol, dir);
    struct scan *scan = dir->scan;
    scan->busy = true;
    query_begin(vol, &q);
    scan->stamp = q.stamp;
    inode_pin(vol, dir);
    struct store_req r = {.op = STORE_LIST,
                          .prio = STORE_PRIO_READ,
                          .deadline_ns = req->deadline_ns,
                          .prefix = scan->sources.s[scan->at].prefix,
                          .delimiter = true,
                          .token = scan->token};
    vol_unlock(vol);
    int err = scan_page(vol, dir, &r, &seq);
    if (dir->scan)
        dir->scan->busy = false;
    query_end(vol, &q);
    inode_unpin(vol, dir);
    inode_evict(vol);
    (void)pthread_cond_broadcast(&vol->cond);
    vol_unlock(vol);
    store_req_clear(&r);
    if (!err && seq)
        err = db_wait(vol->fs->db, seq, req->deadline_ns);
    vol_lock(vol);
    return err ? err : -ERESTART;
}

/* Lists what the store has below dir until something turns up that is not on its way out. No lock
 * at entry and exit. */
static int scan_empty_ask(struct fs_volume *vol, const struct sources *sources, uint64_t stamp,
                          int64_t deadline_ns, bool *ret_empty)
{
    *ret_empty = true;
    for (size_t i = 0; i < sources->count; i++) {
        CLEANUP_FREE char *token = NULL;
        do {
            struct store_req r = {.op = STORE_LIST,
                                  .prio = STORE_PRIO_READ,
                                  .deadline_ns = deadline_ns,
                                  .prefix = sources->s[i].prefix,
                                  .token = token};
            int err = store_call(vol->store, &r);
            if (err && err != -ENOENT) {
                store_req_clear(&r);
                return err;
            }
            vol_lock(vol);
            for (size_t o = 0; o < r.object_count && *ret_empty; o++) {
                const char *key = r.objects[o].key;
                if (strcmp(key, sources->s[i].prefix) != 0 && !key_unsettled(vol, key, stamp) &&
                    !key_leaving(vol, sources->s[i].prefix, key))
                    *ret_empty = false;
            }
            vol_unlock(vol);
            free(token);
            token = mem_strdup(r.next_token);
            store_req_clear(&r);
        } while (token && *ret_empty);
        if (!*ret_empty)
            break;
    }
    return 0;
}

int scan_empty(struct fs_volume *vol, struct fs_req *req, struct inode *dir)
{
    struct sources sources;
    uint32_t rows = 0;
    bool empty = false;
    int err;

    if (dir->empty_ns >= req->start_ns && dir->empty_gen == dir->gen)
        return 0;
    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    if (clock_mono_ns() >= req->deadline_ns)
        return -EAGAIN;
    err = op_wait_durable(vol, req, dir->child_seq);
    if (err)
        return err;
    uint64_t gen = dir->gen, id = dir->id, dir_gen = vol->dir_gen;
    err = path_sources(vol, dir, &sources);
    if (err)
        return err;
    sources_once(&sources);
    sources_unknown(dir, &sources);
    int64_t now = clock_mono_ns();
    struct query q;
    query_begin(vol, &q);
    inode_pin(vol, dir);
    vol_unlock(vol);
    err = db_count_dirents(vol->fs->db, id, 1, &rows);
    if (!err && rows == 0)
        err = scan_empty_ask(vol, &sources, q.stamp, req->deadline_ns, &empty);
    sources_clear(&sources);
    vol_lock(vol);
    query_end(vol, &q);
    inode_unpin(vol, dir);
    if (err)
        return err;
    if (dir->gen != gen || vol->dir_gen != dir_gen)
        return -ERESTART;
    if (rows > 0) {
        /* Perhaps somebody else removed them: the store has the last word. */
        return scan_complete(vol, req, dir) && dir->complete_ns >= req->start_ns
                   ? -ENOTEMPTY
                   : scan_step(vol, req, dir);
    }
    if (!empty)
        return -ENOTEMPTY;
    dir->empty_ns = now;
    dir->empty_gen = gen;
    return -ERESTART;
}
