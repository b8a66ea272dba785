/* "pailfs serve", and what "pailfs mount" has in common with it: from options to the first signal,
 * and out. */
#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/background.h"
#include "cmd/command.h"
#include "cmd/notify.h"
#include "cmd/serve_options.h"
#include "cmd/serve_start.h"

void command_serve_help(FILE *out)
{
    serve_options_help(out);
}

/* Connections and stage files need descriptors: as many as we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Blocked before any thread starts, so that only wait_for_signal sees them. */
static void block_signals(sigset_t *ret)
{
    (void)sigemptyset(ret);
    (void)sigaddset(ret, SIGTERM);
    (void)sigaddset(ret, SIGINT);
    (void)sigaddset(ret, SIGHUP);
    (void)sigaddset(ret, SERVE_SIGNAL_UNMOUNTED);
    (void)pthread_sigmask(SIG_BLOCK, ret, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Waits for the first signal. From then on the second one ends the process at once: all is durable
 * that was acknowledged, so nothing is lost by that. */
static int wait_for_signal(sigset_t *signals)
{
    int number = 0;

    while (sigwait(signals, &number) != 0 || (number == SIGHUP && background_hangup()))
        continue;
    (void)sigdelset(signals,
                    SERVE_SIGNAL_UNMOUNTED); /* it comes from us, and changes nothing now */
    (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    return number;
}

/* --- what the log says at the start --- */

static bool is_wildcard(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool listens_beyond_loopback(const struct serve_options *o)
{
    for (size_t i = 0; i < o->listen_count; i++) {
        if (!is_loopback(o->listen[i]))
            return true;
    }
    return false;
}

/* What other hosts would write before the colon of a mount line. */
static void server_name(const struct serve_options *o, char *ret, size_t size)
{
    char host[256] = "HOST";

    if (o->listen_count == 0) {
        (void)snprintf(ret, size, "127.0.0.1");
        return;
    }
    if (is_wildcard(o->listen[0])) {
        (void)gethostname(host, sizeof(host) - 1);
        (void)snprintf(ret, size, "%s", host);
        return;
    }
    bool v6 = strchr(o->listen[0], ':') != NULL;
    (void)snprintf(ret, size, v6 ? "[%s]" : "%s", o->listen[0]);
}

static char *mount_line(const struct serve *serve, const char *name)
{
    const struct serve_options *o = serve->options;
    char server[280];

    server_name(o, server, sizeof(server));
    if (portmap_works(serve->portmap) && o->nfs_port == 2049)
        return mem_printf("mount -t nfs -o nolock %s:%s DIR", server, name);
    return mem_printf("mount -t nfs -o nolock,vers=3,proto=tcp,port=%u,mountport=%u %s:%s DIR",
                      o->nfs_port, o->mount_port, server, name);
}

static char *join_listen(const struct serve_options *o)
{
    char *text = mem_strdup(o->listen_count ? o->listen[0] : "127.0.0.1,::1");

    for (size_t i = 1; i < o->listen_count; i++) {
        char *longer = mem_printf("%s,%s", text, o->listen[i]);
        free(text);
        text = longer;
    }
    return text;
}

static void log_exports(const struct serve *serve)
{
    const struct serve_options *o = serve->options;

    size_t net_count = 0;

    for (size_t i = 0; i < o->export_count; i++) {
        const struct serve_export *e = &o->exports[i];
        if (e->hidden)
            continue;
        CLEANUP_FREE char *line = mount_line(serve, e->name);
        log_event(LOG_INFO, "export", "name=%s url=%s access=%s mount=%s", LOG_Q(e->name),
                  LOG_Q(e->url), e->options.volume.read_only ? "ro" : "rw", LOG_Q(line));
        net_count += e->options.net_count;
    }
    if (listens_beyond_loopback(o) && net_count == 0)
        log_event(LOG_WARN, "nobody_allowed", "note=%s",
                  LOG_Q("listening for other hosts, but without --allow only this host may mount"));
    if (!listens_beyond_loopback(o) && net_count > 0)
        log_event(LOG_WARN, "not_reachable", "note=%s",
                  LOG_Q("other hosts are allowed, but without --listen they cannot reach us"));
}

static void log_ready(const struct serve *serve)
{
    const struct serve_options *o = serve->options;
    CLEANUP_FREE char *listen = join_listen(o);

    if (!o->nfs) {
        log_event(LOG_INFO, "ready", "version=%s mounts=%zu", PAILFS_VERSION, o->mount_count);
        return;
    }
    log_exports(serve);
    log_event(LOG_INFO, "ready",
              "version=%s listen=%s port=%u mount_port=%u exports=%zu mounts=%zu", PAILFS_VERSION,
              listen, o->nfs_port, o->mount_port, o->export_count, o->mount_count);
}

int serve_run(const struct serve_options *options, void (*ready)(void))
{
    struct cmd_error error = {{0}};
    struct serve serve;
    sigset_t signals;

    block_signals(&signals);
    raise_descriptor_limit();
    log_level_set(options->log_level);
    int err = serve_start(&serve, options, &error);
    if (err) {
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
        serve_stop(&serve);
        return COMMAND_FAILED;
    }
    log_ready(&serve);
    if (ready)
        ready();
    notify_send("READY=1");
    int number = wait_for_signal(&signals);
    notify_send("STOPPING=1");
    log_event(LOG_INFO, "stopping", "signal=%s",
              number == SERVE_SIGNAL_UNMOUNTED ? "none, unmounted" : sigabbrev_np(number));
    serve_stop(&serve);
    return 0;
}

int command_serve(int argc, char **argv)
{
    struct serve_options options;
    struct cmd_error error = {{0}};
    int status;

    if (serve_options_parse(argc, argv, &options, &error)) {
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
        status = COMMAND_USAGE;
    } else {
        int err = options.log_file ? background_log(options.log_file) : 0;
        serve_options_tell(&options);
        if (err)
            (void)fprintf(stderr, "pailfs: %s: %s\n", options.log_file, strerrordesc_np(-err));
        status = err ? COMMAND_FAILED : serve_run(&options, NULL);
    }
    serve_options_clear(&options);
    return status;
}
