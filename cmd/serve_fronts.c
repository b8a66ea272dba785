/* The FUSE side of a server: which volume is mounted where on this host, and its end. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include "cmd/serve_start.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/mount_point.h"
#include "cmd/mount_state.h"

static const char fuse_conf[] = "/etc/fuse.conf";

/* Whether the administrator lets users mount for others: a line of its own in fuse.conf. */
static bool users_may_allow_other(void)
{
    FILE *file = fopen(fuse_conf, "re");
    CLEANUP_FREE char *line = NULL;
    size_t size = 0;
    bool found = false;

    if (!file)
        return false;
    while (!found && getline(&line, &size, file) > 0) {
        const char *word = line + strspn(line, " \t");
        size_t len = strcspn(word, " \t\n#");
        found = len == strlen("user_allow_other") && strncmp(word, "user_allow_other", len) == 0;
    }
    (void)fclose(file);
    return found;
}

int serve_fronts_check(const struct serve_options *options, struct cmd_error *reterr)
{
    if (options->mount_count == 0)
        return 0;
    if (access("/dev/fuse", R_OK | W_OK))
        return cmd_error_set(
            reterr, -errno,
            errno == EACCES ? "/dev/fuse: %s: expected a device that everybody may open"
                            : "/dev/fuse: %s: expected a kernel with FUSE (\"modprobe fuse\"); "
                              "a container needs the device given to it",
            strerrordesc_np(errno));
    for (size_t i = 0; i < options->mount_count; i++) {
        const char *dir = options->mounts[i].dir;
        if (options->mounts[i].options.allow_other && geteuid() != 0 && !users_may_allow_other())
            return cmd_error_set(reterr, -EPERM,
                                 "allow_other: only root may let other users in, unless %s has a "
                                 "line \"user_allow_other\"",
                                 fuse_conf);
        int err = mount_point_check(dir, reterr);
        if (err)
            return err;
        if (geteuid() != 0 && access(dir, W_OK) && errno == EACCES)
            return cmd_error_set(reterr, -EACCES,
                                 "%s: expected a directory that you may write to: others can be "
                                 "mounted on only by root",
                                 dir);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(options->mounts[k].dir, dir) == 0)
                return cmd_error_set(reterr, -EINVAL, "%s is to be mounted on twice", dir);
        }
    }
    return 0;
}

void serve_fronts_tell(const struct serve_options *o, bool first, struct control_export *export)
{
    export->mountpoints = mem_array(o->mount_count + 1, sizeof(*export->mountpoints));
    for (size_t i = 0; i < o->mount_count; i++) {
        const char *name = o->mounts[i].name;
        if (name ? strcmp(name, export->name) == 0 : first)
            export->mountpoints[export->mountpoint_count++] = o->mounts[i].dir;
    }
}

/* The export that a mount names; the first if it names none. */
static const struct control_export *find_export(const struct serve *s, const char *name)
{
    for (size_t i = 0; i < s->options->export_count; i++) {
        if (!name || strcmp(s->control_exports[i].name, name) == 0)
            return &s->control_exports[i];
    }
    return NULL;
}

static bool is_shared(const struct serve *s, const struct serve_front *front)
{
    bool shared = s->options->nfs;

    for (size_t i = 0; i < s->front_count; i++)
        shared = shared || (&s->fronts[i] != front && s->fronts[i].vol == front->vol);
    return shared;
}

/* front_on_end: somebody unmounted it. A server that only mounts ends with its last mount. */
static void front_ended(void *ctx)
{
    struct serve_front *front = ctx;
    struct serve *s = front->serve;

    log_event(LOG_INFO, "unmounted", "mountpoint=%s", LOG_Q(front->mount->dir));
    if (atomic_fetch_sub(&s->fronts_mounted, 1) == 1 && !s->options->nfs)
        (void)kill(getpid(), SERVE_SIGNAL_UNMOUNTED);
}

static int start_front(struct serve *s, struct serve_front *front, const char *url,
                       struct cmd_error *reterr)
{
    const struct serve_options *o = s->options;
    const struct export_options *mine = &front->mount->options;
    struct front_error error = {{0}};
    struct front *made = NULL;
    struct front_config config = {
        .fs = s->fs,
        .vol = front->vol,
        .mountpoint = front->mount->dir,
        .fsname = mine->fsname ? mine->fsname : url,
        .fuse_options = mine->fuse_options,
        .read_only = mine->volume.read_only,
        .allow_other = mine->allow_other,
        .shared = is_shared(s, front),
        .commit = mine->mount_commit,
        .attr_ttl_ns = mine->volume.attr_ttl_ns,
        .deadline_ns = o->deadline_ns,
        .umask = mine->mount_umask,
    };

    int err = front_start(&config, &made, &error);
    if (err)
        return cmd_error_set(reterr, err, "%s", error.text);
    (void)atomic_fetch_add(&s->fronts_mounted, 1);
    (void)pthread_mutex_lock(&s->durable_mutex);
    front->front = made;
    (void)pthread_mutex_unlock(&s->durable_mutex);
    front_durable(made, fs_durable(s->fs)); /* what grew meanwhile was told to nobody */
    front_on_end(made, front_ended, front);
    mount_state_remember(front->mount->dir, o->state_dir);
    log_event(LOG_INFO, "mounted", "mountpoint=%s url=%s access=%s", LOG_Q(front->mount->dir),
              LOG_Q(url), mine->volume.read_only ? "ro" : "rw");
    return 0;
}

int serve_fronts_start(struct serve *s, struct cmd_error *reterr)
{
    const struct serve_options *o = s->options;
    struct serve_front *fronts = mem_array(o->mount_count + 1, sizeof(*fronts));

    for (size_t i = 0; i < o->mount_count; i++) {
        const struct control_export *export = find_export(s, o->mounts[i].name);
        if (!export) {
            free(fronts);
            return cmd_error_set(reterr, -EINVAL, "--fuse %s:%s: no export is called %s",
                                 o->mounts[i].name, o->mounts[i].dir, o->mounts[i].name);
        }
        fronts[i] = (struct serve_front){.serve = s, .mount = &o->mounts[i], .vol = export->vol};
    }
    (void)pthread_mutex_lock(&s->durable_mutex);
    s->fronts = fronts;
    s->front_count = o->mount_count;
    (void)pthread_mutex_unlock(&s->durable_mutex);
    for (size_t i = 0; i < o->mount_count; i++) {
        int err = start_front(s, &fronts[i], find_export(s, o->mounts[i].name)->url, reterr);
        if (err)
            return err;
    }
    return 0;
}

void serve_fronts_durable(struct serve *s, uint64_t seq)
{
    for (size_t i = 0; i < s->front_count; i++) {
        if (s->fronts[i].front)
            front_durable(s->fronts[i].front, seq);
    }
}

void serve_fronts_stop(struct serve *s)
{
    for (size_t i = 0; i < s->front_count; i++)
        front_stop(s->fronts[i].front);
}

void serve_fronts_forget(struct serve *s)
{
    for (size_t i = 0; i < s->front_count; i++) {
        if (s->fronts[i].front)
            mount_state_forget(s->fronts[i].mount->dir, s->options->state_dir);
    }
}

void serve_fronts_free(struct serve *s)
{
    for (size_t i = 0; i < s->front_count; i++)
        front_free(s->fronts[i].front);
    free(s->fronts);
}
