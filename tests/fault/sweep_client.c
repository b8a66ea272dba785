/* The gateway of a job and its client, in one process. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/fault/sweep.h"

enum { CLIENT_PAUSE_US = 10 * 1000, CLIENT_DURABLE_US = 3000 };

static void die(const char *what)
{
    (void)fprintf(stderr, "refused to start: %s\n", what);
    _exit(SWEEP_REFUSED); /* whatever else runs */
}

const char *sweep_always;

void sweep_rules(const char *rules)
{
    CLEANUP_FREE char *text =
        mem_printf("%s\n%s", rules ? rules : "", sweep_always ? sweep_always : "");

    if (fault_rules_set(text))
        die("the rules cannot be read");
}

void gateway_start(struct gateway *g, const struct sweep_place *place, const char *rules)
{
    uint64_t part = SWEEP_PART_UNITS * sweep_unit;
    CLEANUP_FREE char *caps =
        mem_printf("caps part_max=%lu put_max=%lu\n", (unsigned long)part, 2 * (unsigned long)part);
    CLEANUP_FREE char *text =
        mem_printf("%s%s", place->small_parts ? caps : "", rules ? rules : "");
    struct fs_config config = {.state_dir = place->state_dir,
                               .memory_limit = 256 << 20,
                               .stage_limit = UINT64_C(4) << 30,
                               .attr_ttl_ns = 0,
                               .quiet_ns = 10 * CLOCK_MS};
    struct store_config store = {.endpoint = place->endpoint, .path_style = true};
    struct store_error plain = {{0}};
    struct fs_error err = {{0}};

    sweep_rules(text);
    if (fault_plain_store_open(place->url, &store, &g->plain, &plain))
        die(plain.text);
    if (fs_start(&config, &g->fs, &err) ||
        fs_add_volume(g->fs, place->url, &store, NULL, &g->vol, &err) || fs_run(g->fs, &err))
        die(err.text);
}

void gateway_stop(struct gateway *g, int wait_s)
{
    fs_stop(g->fs, clock_mono_ns() + wait_s * CLOCK_S, NULL);
    store_close(g->plain);
}

/* ---- single calls ---- */

struct call {
    struct gateway *g;
    int64_t deadline_ns;
    struct fs_req req;
};

static struct fs_req *call_begin(struct call *call)
{
    call->req = (struct fs_req){.deadline_ns = call->deadline_ns};
    return &call->req;
}

/* The reply comes when what it says is durable. */
static int call_reply(struct call *call, int err)
{
    while (fs_durable(call->g->fs) < call->req.seq) {
        if (clock_mono_ns() >= call->deadline_ns)
            return -EAGAIN;
        (void)usleep(CLIENT_DURABLE_US);
    }
    return err;
}

/* Told to come back later: true until the deadline. */
static bool call_again(const struct call *call, int err)
{
    if (err != -EAGAIN || clock_mono_ns() >= call->deadline_ns)
        return false;
    (void)usleep(CLIENT_PAUSE_US);
    return true;
}

static int call_lookup(struct call *call, uint64_t dir, const char *name, uint64_t *ret)
{
    struct fs_node node, dir_node;
    int err;

    do {
        err = fs_lookup(call->g->vol, call_begin(call), dir, name, &node, &dir_node);
        err = call_reply(call, err);
    } while (call_again(call, err));
    if (!err)
        *ret = node.ino;
    return err;
}

/* The directory that path lies in; ret_name: its last name. */
static int call_walk(struct call *call, uint64_t dir, const char *path, uint64_t *ret,
                     const char **ret_name)
{
    const char *slash;
    int err = 0;

    for (; !err && (slash = strchr(path, '/')); path = slash + 1) {
        CLEANUP_FREE char *name = mem_strndup(path, (size_t)(slash - path));
        err = call_lookup(call, dir, name, &dir);
    }
    *ret = dir;
    *ret_name = path;
    return err;
}

static int call_commit(struct call *call, uint64_t ino)
{
    struct fs_wcc wcc;
    int err;

    do {
        err = fs_commit(call->g->vol, call_begin(call), ino, 0, 0, &wcc);
        err = call_reply(call, err);
    } while (call_again(call, err));
    return err;
}

/* Punch, or copy: unstable, as writes are. */
static int call_change(struct call *call, uint64_t dir, uint64_t ino, const struct step *step)
{
    uint64_t from_dir, from = 0, at = 0, done = 1;
    struct fs_wcc wcc;
    const char *name;
    int err = 0;

    if (step->op == STEP_COPY) {
        err = call_walk(call, dir, step->to, &from_dir, &name);
        if (!err)
            err = call_lookup(call, from_dir, name, &from);
    }
    while (!err && done > 0) {
        done = 0;
        err = step->op == STEP_PUNCH
                  ? fs_allocate(call->g->vol, call_begin(call), ino, step->off, step->len,
                                FS_ALLOCATE_PUNCH | FS_ALLOCATE_KEEP_SIZE, &wcc)
                  : fs_copy_range(call->g->vol, call_begin(call), from, at, ino, at, UINT32_MAX,
                                  &done);
        if (call_again(call, err)) {
            err = 0;
            done = 1;
        } else {
            at += done;
        }
    }
    return err;
}

static int call_change_commit(struct call *call, uint64_t dir, uint64_t ino,
                              const struct step *step)
{
    uint8_t before[FS_VERF_SIZE], after[FS_VERF_SIZE];
    int err;

    do {
        fs_write_verifier(call->g->fs, before);
        err = call_change(call, dir, ino, step);
        if (!err)
            err = call_commit(call, ino);
        fs_write_verifier(call->g->fs, after);
    } while (!err && memcmp(before, after, sizeof(before)) != 0);
    return err;
}

static int call_write(struct call *call, uint64_t ino, const struct step *step, uint64_t off,
                      uint64_t len)
{
    CLEANUP_FREE char *body = mem_alloc(len);
    struct iovec iov = {body, len};
    struct fs_wcc wcc;
    int err;

    for (uint64_t i = 0; i < len; i++)
        body[i] = step_byte(step->value, off + i);
    do {
        err = fs_write(call->g->vol, call_begin(call), ino, off, &iov, 1,
                       step->op == STEP_WRITE ? FS_UNSTABLE : FS_FILE_SYNC, &wcc);
        err = call_reply(call, err);
    } while (call_again(call, err));
    return err;
}

/* What a client does: all of it again if the gateway says that unstable writes may be lost. */
static int call_write_commit(struct call *call, uint64_t ino, const struct step *step)
{
    uint64_t piece = 2 * sweep_unit < FS_IO_MAX ? 2 * sweep_unit : FS_IO_MAX;
    uint8_t before[FS_VERF_SIZE], after[FS_VERF_SIZE];
    int err;

    do {
        err = 0;
        fs_write_verifier(call->g->fs, before);
        for (uint64_t at = 0; at < step->len && !err; at += piece)
            err = call_write(call, ino, step, step->off + at,
                             step->len - at < piece ? step->len - at : piece);
        err = err ? err : call_commit(call, ino);
        fs_write_verifier(call->g->fs, after);
    } while (!err && memcmp(before, after, sizeof(before)) != 0);
    return err;
}

static int call_setattr(struct call *call, uint64_t ino, const struct step *step)
{
    struct fs_sattr set = {.set = step->op == STEP_CHMOD ? FS_SET_MODE : FS_SET_SIZE,
                           .mode = step->value,
                           .size = step->len};
    struct fs_wcc wcc;

    return fs_setattr(call->g->vol, call_begin(call), ino, &set, NULL, &wcc);
}

/* What happens to the file after its removal is nobody's business but that of whoever has it open.
 */
static void call_use_removed(struct call *call, uint64_t ino)
{
    struct fs_req req = {.deadline_ns = call->deadline_ns};
    char text[] = "without a name", buf[64];
    struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
    struct fs_node node;
    struct fs_data data;
    struct fs_wcc wcc;
    bool eof;

    int err = fs_write(call->g->vol, &req, ino, 0, &iov, 1, FS_FILE_SYNC, &wcc);
    req = (struct fs_req){.deadline_ns = call->deadline_ns};
    if (!err && !fs_read(call->g->vol, &req, ino, 0, sizeof(buf), &data, &eof, &node)) {
        if (data.len < sizeof(text) || memcmp(data.iov[0].iov_base, text, sizeof(text)) != 0)
            die("an open file that was removed has other bytes than were written to it");
        fs_data_release(&data);
    }
}

static int call_remove_open(struct call *call, uint64_t dir, const char *name)
{
    struct fs_node node, dir_node;
    struct fs_open open;
    struct fs_wcc wcc;
    int err = fs_lookup(call->g->vol, call_begin(call), dir, name, &node, &dir_node);

    if (!err)
        err = fs_open(call->g->vol, call_begin(call), node.ino, FS_ACCESS_READ, &open);
    if (err)
        return err;
    err = fs_remove(call->g->vol, call_begin(call), dir, name, &wcc);
    if (!err)
        call_use_removed(call, node.ino);
    fs_release(call->g->vol, node.ino);
    return err;
}

/* Steps that name an entry of a directory, once. */
static int call_name(struct call *call, uint64_t top, uint64_t dir, const char *name,
                     const struct step *step, uint64_t *ret_ino)
{
    struct fs_sattr set = {.set = FS_SET_MODE, .mode = step->op == STEP_MKDIR ? 0755 : 0644};
    struct fs_volume *vol = call->g->vol;
    struct fs_node node;
    struct fs_wcc wcc, to_wcc;
    const char *to_name;
    uint64_t to_dir;
    int err;

    switch (step->op) {
    case STEP_MKDIR:
        err = fs_mkdir(vol, call_begin(call), dir, name, &set, &node, &wcc);
        break;
    case STEP_CREATE:
        err =
            fs_create(vol, call_begin(call), dir, name, FS_CREATE_GUARDED, &set, NULL, &node, &wcc);
        break;
    case STEP_REMOVE:
        return fs_remove(vol, call_begin(call), dir, name, &wcc);
    case STEP_REMOVE_OPEN:
        return call_remove_open(call, dir, name);
    case STEP_RMDIR:
        return fs_rmdir(vol, call_begin(call), dir, name, &wcc);
    default:
        err = call_walk(call, top, step->to, &to_dir, &to_name);
        return err ? err
                   : fs_rename_with(vol, call_begin(call), dir, name, to_dir, to_name,
                                    step->op == STEP_EXCHANGE ? FS_RENAME_EXCHANGE : 0, &wcc,
                                    &to_wcc);
    }
    if (!err)
        *ret_ino = node.ino;
    return err;
}

int client_step(struct gateway *g, uint64_t dir, const struct step *step, int64_t deadline_ns,
                uint64_t *ret_ino)
{
    struct call call = {.g = g, .deadline_ns = deadline_ns};
    bool by_name = step->op == STEP_MKDIR || step->op == STEP_CREATE || step->op >= STEP_RENAME;
    const char *name;
    uint64_t parent, ino;

    *ret_ino = 0;
    int err = call_walk(&call, dir, step->path, &parent, &name);
    if (!err && !by_name)
        err = call_lookup(&call, parent, name, &ino);
    if (err)
        return err;
    if (step->op == STEP_WRITE)
        return call_write_commit(&call, ino, step);
    if (step->op == STEP_PUNCH || step->op == STEP_COPY)
        return call_change_commit(&call, dir, ino, step);
    if (step->op == STEP_SYNC_WRITE)
        return call_write(&call, ino, step, step->off, step->len);
    do {
        err = by_name ? call_name(&call, dir, parent, name, step, ret_ino)
                      : call_setattr(&call, ino, step);
        err = call_reply(&call, err);
    } while (call_again(&call, err));
    return err;
}

int client_make_dir(struct gateway *g, uint64_t dir, const char *name, uint64_t *ret_ino)
{
    struct step step = {STEP_MKDIR, .path = name};

    return client_step(g, dir, &step, clock_mono_ns() + SWEEP_WAIT_S * CLOCK_S, ret_ino);
}

int client_lookup(struct gateway *g, uint64_t dir, const char *name, uint64_t *ret_ino)
{
    struct call call = {.g = g, .deadline_ns = clock_mono_ns() + SWEEP_WAIT_S * CLOCK_S};

    return call_lookup(&call, dir, name, ret_ino);
}

/* ---- the view ---- */

struct names {
    char **names;
    size_t count;
};

static bool collect(void *ctx, const struct fs_dir_entry *entry)
{
    struct names *n = ctx;

    if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
        return true;
    n->names = mem_rearray(n->names, n->count + 1, sizeof(char *));
    n->names[n->count++] = mem_strdup(entry->name);
    return true;
}

static void names_clear(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
    free(n->names);
    *n = (struct names){0};
}

static int call_list(struct call *call, uint64_t dir, struct names *ret)
{
    struct fs_node node;
    bool eof;
    int err;

    do {
        names_clear(ret);
        err = fs_readdir(call->g->vol, call_begin(call), dir, 0, false, collect, ret, &eof, &node);
        err = call_reply(call, err);
    } while (call_again(call, err));
    return err;
}

static int call_read(struct call *call, uint64_t ino, struct node *node, uint64_t size)
{
    int err = 0;
    bool eof = size == 0;

    node->body = mem_zalloc(size + 1);
    while (node->len < size && !err && !eof) {
        struct fs_data data = {0};
        struct fs_node attr;
        uint32_t want = size - node->len < FS_IO_MAX ? (uint32_t)(size - node->len) : FS_IO_MAX;
        do {
            err = fs_read(call->g->vol, call_begin(call), ino, node->len, want, &data, &eof, &attr);
            err = call_reply(call, err);
        } while (call_again(call, err));
        if (err)
            break;
        for (uint32_t i = 0; i < data.count; i++) {
            memcpy(node->body + node->len, data.iov[i].iov_base, data.iov[i].iov_len);
            node->len += data.iov[i].iov_len;
        }
        fs_data_release(&data);
    }
    return err;
}

static int view_entry(struct call *call, uint64_t dir, const char *path, const char *name,
                      struct tree *ret);

static int view_dir(struct call *call, uint64_t dir, const char *path, struct tree *ret)
{
    struct names names = {0};
    int err = call_list(call, dir, &names);

    for (size_t i = 0; i < names.count && !err; i++) {
        CLEANUP_FREE char *below = mem_printf("%s%s%s", path, path[0] ? "/" : "", names.names[i]);
        err = view_entry(call, dir, below, names.names[i], ret);
    }
    names_clear(&names);
    return err;
}

static int view_entry(struct call *call, uint64_t dir, const char *path, const char *name,
                      struct tree *ret)
{
    struct fs_attr attr;
    uint64_t ino;
    int err = call_lookup(call, dir, name, &ino);

    while (!err) {
        err = fs_getattr(call->g->vol, call_begin(call), ino, &attr);
        err = call_reply(call, err);
        if (!call_again(call, err))
            break;
        err = 0;
    }
    if (err) {
        (void)fprintf(stderr, "sweep: %s is listed, and then: %s\n", path, strerrordesc_np(-err));
        return err;
    }
    struct node *node = tree_add(ret, path, attr.type == FS_DIR, attr.mode);
    node->ino = ino;
    if (attr.type == FS_DIR)
        return view_dir(call, ino, path, ret);
    err = call_read(call, ino, node, attr.size);
    if (err)
        (void)fprintf(stderr, "sweep: %s cannot be read: %s\n", path, strerrordesc_np(-err));
    return err;
}

int client_view(struct gateway *g, uint64_t dir, struct tree *ret)
{
    struct call call = {.g = g, .deadline_ns = clock_mono_ns() + SWEEP_WAIT_S * CLOCK_S};

    tree_clear(ret);
    return view_dir(&call, dir, "", ret);
}
