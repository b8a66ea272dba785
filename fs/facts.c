/* What is known of one file: its state here from memory, and its object's from a HEAD. */
#include "fs/facts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/fs_int.h"
#include "fs/xattr_int.h"

enum { FACTS_MAX = 24, FACTS_NAME_MAX = 48 };

struct facts {
    struct fs_volume *vol;
    size_t count;
    struct {
        char name[FACTS_NAME_MAX];
        char *value;
    } fact[FACTS_MAX];
};

struct facts_args {
    uint64_t ino;
    const char *only; /* NULL: all */
    struct facts *facts;
    char key[STORE_KEY_MAX + 1], etag[STORE_ETAG_MAX]; /* of the object; etag "": none */
};

static void facts_clear(struct facts *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->fact[i].value);
    f->count = 0;
}

/* Takes over value; NULL: nothing is known. */
static void facts_add(struct facts *f, const char *space, const char *name, char *value)
{
    if (!value || !value[0] || f->count == FACTS_MAX) {
        free(value);
        return;
    }
    (void)snprintf(f->fact[f->count].name, FACTS_NAME_MAX, "%s.%s", space, name);
    f->fact[f->count++].value = value;
}

static char *fact_u64(uint64_t value)
{
    return mem_printf("%" PRIu64, value);
}

static char *fact_time(int64_t ns)
{
    time_t seconds = (time_t)(ns / CLOCK_S);
    char text[40];
    struct tm tm;

    if (ns == 0 || !gmtime_r(&seconds, &tm) ||
        !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
        return NULL;
    return mem_strdup(text);
}

void facts_space(const struct fs_volume *vol, char ret[FACTS_SPACE_MAX])
{
    (void)snprintf(ret, FACTS_SPACE_MAX, "%.*s", (int)strcspn(vol->url, ":"), vol->url);
}

static const char *facts_state(const struct inode *ino)
{
    if (ino->flags & INODE_UPLOADING)
        return "uploading";
    if ((ino->flags & INODE_TO_STORE) && dirty_local(ino))
        return "local"; /* has a name that is never sent */
    if (ino->flags & INODE_TO_STORE && ino->last_err)
        return "failing";
    if (ino->flags & INODE_DIRTY)
        return "dirty";
    if (ino->flags & INODE_META_DIRTY)
        return "attributes"; /* content is in the store */
    if ((ino->flags & INODE_PLACE) || ino->redirect_count > 0)
        return "moving";
    return "clean";
}

static void facts_of_upload(struct facts *f, const struct inode *ino)
{
    uint64_t staged = ino->extents ? extent_map_bytes(ino->extents) : 0;

    if (staged > 0)
        facts_add(f, "pailfs", "staged", fact_u64(staged));
    if (ino->upload_total > 0) {
        facts_add(f, "pailfs", "upload-total", fact_u64(ino->upload_total));
        facts_add(f, "pailfs", "upload-done", fact_u64(ino->upload_done));
    }
    if (ino->last_err)
        facts_add(
            f, "pailfs", "error",
            mem_strdup(ino->last_err_text ? ino->last_err_text : strerrordesc_np(-ino->last_err)));
}

static int facts_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct facts_args *a = p;
    struct facts *f = a->facts;
    char key[STORE_KEY_MAX + 1], space[FACTS_SPACE_MAX];
    struct inode *ino;
    int err = xattr_need(vol, req, a->ino, &ino);

    if (err)
        return err;
    facts_clear(f);
    facts_space(vol, space);
    facts_add(f, "pailfs", "state", mem_strdup(facts_state(ino)));
    if (ino->id != vol->root && path_key(vol, ino, key) == 0)
        facts_add(f, "pailfs", "key", mem_strdup(key));
    bool stored = ino->type == FS_DIR ? ino->flags & INODE_MARKER : ino->base_etag != NULL;
    if (stored && path_base_key(vol, ino, a->key) == 0) {
        /* A bucket's URL may go on with where it is. */
        int len = (int)(strcmp(space, "file") == 0 ? strlen(vol->url) : strcspn(vol->url, "? "));
        const char *slash = len > 0 && vol->url[len - 1] == '/' ? "" : "/";
        facts_add(f, "pailfs", "source", mem_printf("%.*s%s%s", len, vol->url, slash, a->key));
    }
    facts_add(f, "pailfs", "version", fact_u64(ino->change));
    facts_of_upload(f, ino);
    if (ino->type != FS_DIR && ino->base_etag) {
        (void)snprintf(a->etag, sizeof(a->etag), "%s", ino->base_etag);
        facts_add(f, space, "etag", mem_strdup(ino->base_etag));
        facts_add(f, space, "size", fact_u64(ino->base_size));
    }
    return 0;
}

/* What no inode keeps. */
static int facts_ask(struct facts_args *a, const struct fs_req *req)
{
    struct store_req r = {.op = STORE_HEAD,
                          .prio = STORE_PRIO_READ,
                          .deadline_ns = req->deadline_ns,
                          .key = a->key,
                          .if_match = a->etag};
    struct facts *f = a->facts;
    char space[FACTS_SPACE_MAX];

    if (req->flags & FS_NOWAIT)
        return -EAGAIN;
    int err = store_call(f->vol->store, &r);
    if (!err) {
        facts_space(f->vol, space);
        facts_add(f, space, "storage-class", mem_strdup(r.object.storage_class));
        facts_add(f, space, "content-type", mem_strdup(r.object.content_type));
        facts_add(f, space, "version-id", mem_strdup(r.object.version_id));
        facts_add(f, space, "last-modified", fact_time(r.object.mtime_ns));
    }
    store_req_clear(&r);
    return err;
}

/* Somebody else replaced or removed it, or we did since we looked. */
static int facts_again_try(struct fs_volume *vol, struct fs_req *req, void *p)
{
    struct inode *ino = inode_find(vol, ((struct facts_args *)p)->ino);

    (void)req;
    if (ino && !inode_owned(vol, ino))
        ino->checked_ns = 0;
    return 0;
}

static bool facts_have(const struct facts *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->fact[i].name, name) == 0)
            return true;
    }
    return false;
}

static int facts_get(struct fs_volume *vol, struct fs_req *req, struct facts_args *a)
{
    int err = op_run(vol, req, facts_try, a);

    if (err || !a->etag[0] || (a->only && facts_have(a->facts, a->only)) ||
        (a->only && strncmp(a->only, "pailfs.", 7) == 0))
        return err;
    err = facts_ask(a, req);
    if (err != -ESTALE && err != -ENOENT)
        return err;
    req->start_ns = clock_mono_ns();
    (void)op_run(vol, req, facts_again_try, a);
    return -ESTALE;
}

int fs_facts(struct fs_volume *vol, struct fs_req *req, uint64_t ino, fs_fact_fn *fn, void *ctx)
{
    struct facts facts = {.vol = vol};
    struct facts_args a = {.ino = ino, .facts = &facts};
    int err = facts_get(vol, req, &a);
    bool more = true;

    for (size_t i = 0; i < facts.count && !err && more; i++)
        more = fn(ctx, facts.fact[i].name, facts.fact[i].value);
    facts_clear(&facts);
    return err;
}

int facts_find(struct fs_volume *vol, struct fs_req *req, uint64_t ino, const char *name,
               char **ret)
{
    struct facts facts = {.vol = vol};
    struct facts_args a = {.ino = ino, .only = name, .facts = &facts};
    int err = facts_get(vol, req, &a);

    *ret = NULL;
    for (size_t i = 0; i < facts.count && !err; i++) {
        if (strcmp(facts.fact[i].name, name) == 0)
            *ret = mem_strdup(facts.fact[i].value);
    }
    facts_clear(&facts);
    return err ? err : *ret ? 0 : -ENODATA;
}
