/* Bringing the server up, in the order in which mistakes are cheapest to find, and down again in
 * the opposite order. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include "cmd/serve_start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/dir.h"

enum { SERVE_LOCK_POLL_MS = 100 };
#define SERVE_LOCK_SLACK (5 * CLOCK_S)

/* Waits for ms milliseconds. True if a signal came that is to end us. */
static bool pause_unless_ended(int ms)
{
    struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    return sigtimedwait(&signals, NULL, &limit) > 0;
}

/* fs_start. What was mounted here until a moment ago may still be sending: a mount waits for it, as
 * "umount DIR && mount DIR" has to work. */
static int start_fs_waiting(struct serve *s, const struct fs_config *config, struct fs_error *error)
{
    const struct serve_options *o = s->options;
    int64_t end_ns =
        clock_mono_ns() + (o->nfs || o->shutdown_ns == 0 ? 0 : o->shutdown_ns + SERVE_LOCK_SLACK);
    int err = fs_start(config, &s->fs, error);

    if (err == -EBUSY && !o->nfs)
        (void)fprintf(stderr, "pailfs: %s: waiting for its end\n", error->text);
    while (err == -EBUSY && clock_mono_ns() < end_ns && !pause_unless_ended(SERVE_LOCK_POLL_MS)) {
        error->text[0] = '\0';
        err = fs_start(config, &s->fs, error);
    }
    return err;
}

static int start_fs(struct serve *s, struct cmd_error *reterr)
{
    const struct serve_options *o = s->options;
    struct fs_config config = {
        .state_dir = o->state_dir,
        .memory_limit = o->memory_limit,
        .stage_limit = o->stage_limit,
        .attr_ttl_ns = o->defaults.volume.attr_ttl_ns,
        .quiet_ns = o->quiet_ns,
        .retry_max_ns = o->retry_max_ns,
        .commit_store = o->commit_store,
        .accept_damage = o->accept_damage,
        .uploads = o->uploads,
    };
    struct fs_error error = {{0}};

    int err = dir_make(o->state_dir);
    if (err)
        return cmd_error_set(reterr, err, "cannot make the state directory %s: %s", o->state_dir,
                             strerrordesc_np(-err));
    err = start_fs_waiting(s, &config, &error);
    if (err)
        return cmd_error_set(reterr, err, "%s", error.text);
    return 0;
}

static int add_volume(struct serve *s, const struct serve_export *what, struct cmd_error *reterr)
{
    const struct serve_options *o = s->options;
    struct fs_error error = {{0}};
    struct export entry = {
        .name = what->name,
        .nets = what->options.nets,
        .net_count = what->options.net_count,
        .read_only = what->options.volume.read_only,
        .secure = what->options.secure,
        .squash = what->options.squash,
        .anon_uid = what->options.anon_uid,
        .anon_gid = what->options.anon_gid,
    };

    int err = fs_add_volume(s->fs, what->url, &what->options.store, &what->options.volume,
                            &entry.vol, &error);
    if (err)
        return cmd_error_set(reterr, err, "%s", error.text);
    s->control_exports[what - o->exports] =
        (struct control_export){.name = what->name, .url = what->url, .vol = entry.vol};
    serve_fronts_tell(o, what == o->exports, &s->control_exports[what - o->exports]);
    if (what->hidden)
        return 0;
    err = export_table_add(s->exports, &entry);
    if (err) /* names are known to be good and different, so the data is the same */
        return cmd_error_set(reterr, err, "%s is the same as another URL given", what->url);
    return 0;
}

/* fs_on_durable has one listener: this hands on to all. fs goes on writing while and after they go,
 * so each is here until it has answered what it had to. */
static void tell_durable(void *ctx, uint64_t seq)
{
    struct serve *s = ctx;

    LOCK_SCOPE(&s->durable_mutex);
    if (s->durable_nfsd)
        nfsd_durable(s->durable_nfsd, seq);
    serve_fronts_durable(s, seq);
}

static void set_durable(struct serve *s, struct nfsd *nfsd)
{
    LOCK_SCOPE(&s->durable_mutex);
    s->durable_nfsd = nfsd;
}

static int start_control(struct serve *s, struct cmd_error *reterr)
{
    struct control_config config = {
        .state_dir = s->options->state_dir,
        .fs = s->fs,
        .nfsd = s->nfsd,
        .exports = s->control_exports,
        .export_count = s->options->export_count,
        .options = s->options,
        .pool = &s->submount_pool,
    };

    return control_start(&config, &s->control, reterr);
}

/* Replies kept by an earlier run, durability, and the threads: clients are let in at the end. */
static int run_all(struct serve *s, struct cmd_error *reterr)
{
    struct fs_error fs_error = {{0}};
    struct nfsd_error nfsd_error = {{0}};

    int err = s->nfsd ? fs_each_reply(s->fs, nfsd_load_reply, s->nfsd) : 0;
    if (err)
        return cmd_error_set(reterr, err, "%s: cannot read the kept replies: %s",
                             s->options->state_dir, strerrordesc_np(-err));
    set_durable(s, s->nfsd);
    fs_on_durable(s->fs, tell_durable, s);
    err = fs_run(s->fs, &fs_error);
    if (err)
        return cmd_error_set(reterr, err, "%s", fs_error.text);
    err = start_control(s, reterr);
    if (!err)
        err = serve_fronts_start(s, reterr);
    if (err || !s->nfsd)
        return err;
    err = nfsd_start(s->nfsd, &nfsd_error);
    if (err)
        return cmd_error_set(reterr, err, "%s", nfsd_error.text);
    return 0;
}

int serve_start(struct serve *serve, const struct serve_options *options, struct cmd_error *reterr)
{
    *serve = (struct serve){.options = options};
    (void)pthread_mutex_init(&serve->durable_mutex, NULL);
    serve->exports = export_table_new();
    serve->mounts = mount_list_new();
    serve->control_exports = mem_array(options->export_count + 1, sizeof(*serve->control_exports));
    int err = serve_fronts_check(options, reterr);
    if (!err)
        err = start_fs(serve, reterr);
    for (size_t i = 0; err == 0 && i < options->export_count; i++)
        err = add_volume(serve, &options->exports[i], reterr);
    if (!err)
        err = serve_submounts(serve, reterr);
    if (!err && options->nfs)
        err = serve_nfs_listen(serve, reterr);
    if (!err)
        err = run_all(serve, reterr);
    serve->started = err == 0;
    return err;
}

static void log_left(const struct fs_left *left)
{
    bool all = left->files == 0 && left->intents == 0;

    log_event(all ? LOG_INFO : LOG_WARN, "stopped",
              "left_files=%llu left_bytes=%llu left_changes=%llu%s",
              (unsigned long long)left->files, (unsigned long long)left->bytes,
              (unsigned long long)left->intents,
              all ? "" : " note=\"kept in the state directory, the next run goes on\"");
}

void serve_stop(struct serve *serve)
{
    int64_t deadline_ns = clock_mono_ns() + (serve->started ? serve->options->shutdown_ns : 0);
    struct fs_left left = {.files = 0};

    portmap_unregister(serve->portmap);
    serve_fronts_stop(serve); /* what they still answer may have to be durable first */
    if (serve->started && serve->nfsd && !nfsd_drain(serve->nfsd, deadline_ns))
        log_event(LOG_WARN, "drain_incomplete", "note=%s",
                  LOG_Q("some clients did not get their answer and will ask again"));
    set_durable(serve, NULL);
    if (serve->nfsd)
        nfsd_stop(serve->nfsd);
    if (serve->started)
        fs_drain(serve->fs, deadline_ns); /* may be watched: "pailfs status" */
    control_stop(serve->control);
    serve_fronts_forget(serve);
    if (serve->fs) {
        fs_stop(serve->fs, deadline_ns, &left);
        if (serve->started)
            log_left(&left);
    }
    if (serve->nfsd)
        nfsd_free(serve->nfsd); /* fs called nfsd_durable until it was stopped */
    serve_fronts_free(serve);
    portmap_free(serve->portmap);
    export_table_free(serve->exports);
    mount_list_free(serve->mounts);
    for (size_t i = 0; i < serve->options->export_count; i++)
        free(serve->control_exports[i].mountpoints);
    free(serve->control_exports);
    text_pool_clear(&serve->submount_pool); /* stores and volumes had their strings there */
    (void)pthread_mutex_destroy(&serve->durable_mutex);
}
