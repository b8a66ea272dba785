/* The options of "pailfs serve": one table for parsing and help, then the URLs. */
#include "cmd/serve_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/mount_point.h"
#include "cmd/mount_state.h"
#include "cmd/parse.h"
#include "cmd/serve_url.h"
#include "cmd/store_options.h"

enum { SERVE_LISTEN_MAX = 32, SERVE_NETS_MAX = 1024, SERVE_MOUNTS_MAX = 64, SERVE_PORT = 2049 };

#define SERVE_LIMIT_MIN (UINT64_C(16) << 20)

static int set_state_dir(void *target, const char *value, const char **ret_why)
{
    return state_dir_set(&((struct serve_options *)target)->state_dir, value, ret_why);
}

static int set_listen(void *target, const char *value, const char **ret_why)
{
    struct serve_options *o = target;
    uint8_t bytes[16];

    *ret_why = "expected a numeric address such as 127.0.0.1, 0.0.0.0 or ::";
    if (inet_pton(AF_INET, value, bytes) != 1 && inet_pton(AF_INET6, value, bytes) != 1)
        return -EINVAL;
    *ret_why = "expected at most 32 addresses";
    if (o->listen_count == SERVE_LISTEN_MAX)
        return -EINVAL;
    o->listen = mem_rearray(o->listen, o->listen_count + 1, sizeof(*o->listen));
    o->listen[o->listen_count++] = mem_strdup(value);
    return 0;
}

static int set_port(uint32_t *port, const char *value, const char **ret_why)
{
    int err = parse_uint(value, 1, 65535, port, ret_why);

    *ret_why = "expected a port number from 1 to 65535";
    return err;
}

static int set_nfs_port(void *target, const char *value, const char **ret_why)
{
    return set_port(&((struct serve_options *)target)->nfs_port, value, ret_why);
}

static int set_mount_port(void *target, const char *value, const char **ret_why)
{
    return set_port(&((struct serve_options *)target)->mount_port, value, ret_why);
}

static int set_portmap(void *target, const char *value, const char **ret_why)
{
    static const char *const names[] = {"auto", "on", "off"};

    *ret_why = "expected auto, on or off";
    for (int i = PORTMAP_AUTO; i <= PORTMAP_OFF; i++) {
        if (strcmp(value, names[i]) == 0) {
            ((struct serve_options *)target)->portmap = (enum portmap_mode)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int set_allow(void *target, const char *value, const char **ret_why)
{
    struct serve_options *o = target;
    struct export_net net;

    int err = export_net_parse(value, &net, ret_why);
    if (err)
        return err;
    *ret_why = "expected at most 1024 networks";
    if (o->net_count == SERVE_NETS_MAX)
        return -EINVAL;
    o->nets = mem_rearray(o->nets, o->net_count + 1, sizeof(*o->nets));
    o->nets[o->net_count++] = net;
    return 0;
}

static int set_read_only(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct serve_options *)target)->read_only = true;
    return 0;
}

static int set_accept_damage(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct serve_options *)target)->accept_damage = true;
    return 0;
}

static int set_squash(void *target, const char *value, const char **ret_why)
{
    static const char *const names[] = {"root", "all", "none"};

    *ret_why = "expected root, all or none";
    for (int i = EXPORT_SQUASH_ROOT; i <= EXPORT_SQUASH_NONE; i++) {
        if (strcmp(value, names[i]) == 0) {
            ((struct serve_options *)target)->squash = (enum export_squash)i;
            return 0;
        }
    }
    return -EINVAL;
}

/* 2^32-1 means "leave it" in chown, so it is nobody's id. */
static int set_anonuid(void *target, const char *value, const char **ret_why)
{
    return parse_uint(value, 0, UINT32_MAX - 1, &((struct serve_options *)target)->anon_uid,
                      ret_why);
}

static int set_anongid(void *target, const char *value, const char **ret_why)
{
    return parse_uint(value, 0, UINT32_MAX - 1, &((struct serve_options *)target)->anon_gid,
                      ret_why);
}

static int set_secure(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct serve_options *)target)->secure = true;
    return 0;
}

static int set_insecure_ports(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct serve_options *)target)->secure = false;
    return 0;
}

static int set_attr_ttl(void *target, const char *value, const char **ret_why)
{
    return parse_duration(value, &((struct serve_options *)target)->attr_ttl_ns, ret_why);
}

static int set_commit(void *target, const char *value, const char **ret_why)
{
    static const char *const names[] = {"close", "local", "store"};
    struct serve_options *o = target;

    *ret_why = "expected local, close or store";
    for (int i = FRONT_COMMIT_CLOSE; i <= FRONT_COMMIT_STORE; i++) {
        if (strcmp(value, names[i]) == 0) {
            o->mount_commit = (enum front_commit)i;
            o->commit_store = i == FRONT_COMMIT_STORE;
            return 0;
        }
    }
    return -EINVAL;
}

static int set_retry_max(void *target, const char *value, const char **ret_why)
{
    return parse_duration(value, &((struct serve_options *)target)->retry_max_ns, ret_why);
}

static int set_quiet_time(void *target, const char *value, const char **ret_why)
{
    return parse_duration(value, &((struct serve_options *)target)->quiet_ns, ret_why);
}

static int set_limit(uint64_t *limit, const char *value, const char **ret_why)
{
    uint64_t size;

    int err = parse_size(value, &size, ret_why);
    if (err)
        return err;
    *ret_why = "expected at least 16M";
    if (size < SERVE_LIMIT_MIN)
        return -EINVAL;
    *limit = size;
    return 0;
}

static int set_memory_limit(void *target, const char *value, const char **ret_why)
{
    return set_limit(&((struct serve_options *)target)->memory_limit, value, ret_why);
}

static int set_stage_limit(void *target, const char *value, const char **ret_why)
{
    return set_limit(&((struct serve_options *)target)->stage_limit, value, ret_why);
}

static int set_request_deadline(void *target, const char *value, const char **ret_why)
{
    int64_t ns;

    int err = parse_duration(value, &ns, ret_why);
    if (err)
        return err;
    *ret_why = "expected at least 100ms";
    if (ns < 100 * CLOCK_MS)
        return -EINVAL;
    ((struct serve_options *)target)->deadline_ns = ns;
    return 0;
}

static int set_shutdown_timeout(void *target, const char *value, const char **ret_why)
{
    return parse_duration(value, &((struct serve_options *)target)->shutdown_ns, ret_why);
}

/* [EXPORT:]MOUNTPOINT */
static int set_fuse(void *target, const char *value, const char **ret_why)
{
    struct serve_options *o = target;
    struct cmd_error error = {{0}};
    const char *dir = strstr(value, ":/");

    *ret_why = "expected [EXPORT:]MOUNTPOINT, a directory";
    if (o->mount_count == SERVE_MOUNTS_MAX)
        return -EINVAL;
    char *resolved = mount_point_resolve(dir ? dir + 1 : value, &error);
    if (!resolved)
        return -EINVAL;
    o->mounts = mem_rearray(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
    o->mounts[o->mount_count++] = (struct serve_mount){
        .name = dir ? mem_strndup(value, (size_t)(dir - value)) : NULL, .dir = resolved};
    return 0;
}

static int set_allow_other(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct serve_options *)target)->allow_other = true;
    return 0;
}

static int set_foreground(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct serve_options *)target)->foreground = true;
    return 0;
}

static int set_log_file(void *target, const char *value, const char **ret_why)
{
    return state_dir_set(&((struct serve_options *)target)->log_file, value, ret_why);
}

static int set_fuse_options(void *target, const char *value, const char **ret_why)
{
    return state_dir_set(&((struct serve_options *)target)->fuse_options, value, ret_why);
}

static int set_umask(void *target, const char *value, const char **ret_why)
{
    size_t len = strlen(value);

    *ret_why = "expected octal digits such as 022";
    if (len == 0 || len > 4 || strspn(value, "01234567") != len)
        return -EINVAL;
    ((struct serve_options *)target)->mount_umask = (uint32_t)strtoul(value, NULL, 8) & 07777;
    return 0;
}

static int set_log_level(void *target, const char *value, const char **ret_why)
{
    *ret_why = "expected error, warn, info or debug";
    return log_level_parse(value, &((struct serve_options *)target)->log_level);
}

static const struct option_def serve_table[] = {
    {"Network", "listen", 'l', "ADDR",
     "listen on this numeric address; may be repeated\n(default: 127.0.0.1 and ::1)", set_listen},
    {NULL, "nfs-port", 'p', "PORT", "port of NFS, and of MOUNT too (default: 2049)", set_nfs_port},
    {NULL, "mount-port", 0, "PORT", "one more port for MOUNT (default: none)", set_mount_port},
    {NULL, "portmap", 0, "auto|on|off",
     "port 111: register with rpcbind where it runs, answer\n"
     "there ourselves where none does. auto goes on without\n"
     "when neither works, on does not start (default: auto)",
     set_portmap},

    {"Who may do what", "allow", 'a', "NETWORK",
     "let these clients in: an address or a network such as\n"
     "10.0.0.0/8; may be repeated (default: this host only)",
     set_allow},
    {NULL, "read-only", 'r', NULL, "refuse every change, send none to the store", set_read_only},
    {NULL, "squash", 0, "root|all|none",
     "whose identity becomes the anonymous one\n(default: root)", set_squash},
    {NULL, "anonuid", 0, "UID", "user id of the anonymous (default: 65534)", set_anonuid},
    {NULL, "anongid", 0, "GID", "group id of the anonymous (default: 65534)", set_anongid},
    {NULL, "secure", 0, NULL, "requests must come from ports below 1024 (default)", set_secure},
    {NULL, "insecure-ports", 0, NULL, "requests may come from any port", set_insecure_ports},

    {"FUSE", "fuse", 0, "[EXPORT:]DIR",
     "mount an export (default: the first) on this host\ntoo; may be repeated", set_fuse},
    {NULL, "allow-other", 0, NULL, "let other users into the mount", set_allow_other},
    {NULL, "umask", 0, "MODE", "bits that modes shall not have, octal", set_umask},
    {NULL, "fuse-options", 0, "LIST", "more options of mount(8): nosuid,nodev,...",
     set_fuse_options},
    {NULL, "foreground", 'f', NULL, "stay in the foreground, log to stderr", set_foreground},
    {NULL, "log-file", 0, "FILE", "log in the background (default: syslog)", set_log_file},

    {"Keeping", "state-dir", 's', "DIR", STATE_DIR_HELP, set_state_dir},
    {NULL, "attr-ttl", 0, "TIME",
     "how long to believe what the store said; 0 asks at\nevery open (default: 60s)", set_attr_ttl},
    {NULL, "commit", 0, "local|close|store",
     "what COMMIT and fsync wait for: this host's disk, or\nthe bucket (default: local; on a "
     "FUSE mount\nclose: close waits for the bucket, fsync does not)",
     set_commit},
    {NULL, "quiet-time", 0, "TIME", "from COMMIT to the upload (default: 2s)", set_quiet_time},
    {NULL, "retry-max", 0, "TIME",
     "longest pause between tries of what the store\nrefuses (default: 60s)", set_retry_max},
    {NULL, "memory-limit", 'm', "SIZE", "cache and buffers (default: 512M)", set_memory_limit},
    {NULL, "stage-limit", 0, "SIZE", "bytes on disk that wait for their upload\n(default: 10G)",
     set_stage_limit},
    {NULL, "accept-damage", 0, NULL,
     "serve writable although staged bytes are missing\nor damaged; reading those gives I/O errors",
     set_accept_damage},
    {NULL, "request-deadline", 0, "TIME",
     "after this a request that waits for the store gets\n\"try later\" (default: 20s)",
     set_request_deadline},
    {NULL, "shutdown-timeout", 0, "TIME",
     "how long to go on uploading after SIGTERM\n(default: 30s)", set_shutdown_timeout},
    {NULL, "log-level", 0, "LEVEL", "error, warn, info or debug (default: info)", set_log_level},

    STORE_OPTIONS,
    {NULL, NULL, 0, NULL, NULL, NULL},
};

static void set_defaults(struct serve_options *o)
{
    *o = (struct serve_options){
        .nfs = true,
        .nfs_port = SERVE_PORT,
        .portmap = PORTMAP_AUTO,
        .secure = true,
        .squash = EXPORT_SQUASH_ROOT,
        .anon_uid = EXPORT_ANON_ID,
        .anon_gid = EXPORT_ANON_ID,
        .attr_ttl_ns = 60 * CLOCK_S,
        .quiet_ns = 2 * CLOCK_S,
        .deadline_ns = 20 * CLOCK_S,
        .shutdown_ns = 30 * CLOCK_S,
        .memory_limit = UINT64_C(512) << 20,
        .stage_limit = UINT64_C(10) << 30,
        .log_level = LOG_INFO,
    };
}

static int add_export(struct serve_options *o, const char *arg, struct cmd_error *reterr)
{
    struct serve_export added;

    if (o->export_count == EXPORT_MAX)
        return cmd_error_set(reterr, -EINVAL, "expected at most %d exports", EXPORT_MAX);
    int err = serve_url_split(arg, &added.url, &added.name, reterr);
    if (err)
        return err;
    o->exports = mem_rearray(o->exports, o->export_count + 1, sizeof(*o->exports));
    o->exports[o->export_count++] = added;
    for (size_t i = 0; i + 1 < o->export_count; i++) {
        if (strcmp(o->exports[i].name, added.name) == 0)
            return cmd_error_set(reterr, -EINVAL,
                                 "two exports are called %s: give one another name, as in "
                                 "%s=/OTHER",
                                 added.name, added.url);
        if (strcmp(o->exports[i].url, added.url) == 0)
            return cmd_error_set(reterr, -EINVAL, "%s is given twice", added.url);
    }
    return 0;
}

/* True if listening on a takes what comes to b as well: the wildcard of IPv6 takes IPv4 too. */
static bool covers(const char *a, const char *b)
{
    if (strcmp(a, "::") == 0 || strcmp(a, b) == 0)
        return true;
    return strcmp(a, "0.0.0.0") == 0 && !strchr(b, ':');
}

/* Binding the same twice would fail, and nothing is lost by leaving it out. */
static void drop_covered_addresses(struct serve_options *o)
{
    size_t kept = 0;

    for (size_t i = 0; i < o->listen_count; i++) {
        bool covered = false;
        for (size_t k = 0; k < o->listen_count && !covered; k++) {
            /* Of two that are the same, the first stays. */
            bool same = o->listen[k] && strcmp(o->listen[k], o->listen[i]) == 0;
            covered = o->listen[k] && (same ? k < i : covers(o->listen[k], o->listen[i]));
        }
        if (covered) {
            free(o->listen[i]);
            o->listen[i] = NULL;
        }
    }
    for (size_t i = 0; i < o->listen_count; i++) {
        if (o->listen[i])
            o->listen[kept++] = o->listen[i];
    }
    o->listen_count = kept;
}

static int fill_in(struct serve_options *o, struct cmd_error *reterr)
{
    drop_covered_addresses(o);
    if (o->mount_port == 0)
        o->mount_port = o->nfs_port;
    if (!o->state_dir)
        o->state_dir = state_dir_default(reterr);
    return o->state_dir ? store_options_check(&o->store, reterr) : -EINVAL;
}

int serve_options_parse(int argc, char **argv, struct serve_options *ret, struct cmd_error *reterr)
{
    int first;

    set_defaults(ret);
    int err = options_parse(serve_table, argc, argv, ret, &first, reterr);
    if (err)
        return err;
    if (first == argc)
        return cmd_error_set(reterr, -EINVAL,
                             "nothing to serve: expected a URL such as s3://BUCKET or "
                             "file:///DIRECTORY");
    for (int i = first; i < argc; i++) {
        err = add_export(ret, argv[i], reterr);
        if (err)
            return err;
    }
    ret->store.read_only = ret->read_only;
    return fill_in(ret, reterr);
}

int serve_options_parse_mount(int argc, char **argv, struct serve_options *ret,
                              struct cmd_error *reterr)
{
    struct serve_export export = {NULL, NULL};
    int first;

    set_defaults(ret);
    ret->nfs = false;
    int err = options_parse(serve_table, argc, argv, ret, &first, reterr);
    if (err)
        return err;
    if (argc - first != 2)
        return cmd_error_set(reterr, -EINVAL, "expected URL MOUNTPOINT");
    err = serve_url_split(argv[first], &export.url, &export.name, reterr);
    if (err)
        return err;
    free(export.name);
    export.name = mount_point_resolve(argv[first + 1], reterr);
    ret->exports = mem_dup(&export, sizeof(export));
    ret->export_count = 1;
    if (!export.name)
        return -EINVAL;
    struct serve_mount mount = {.dir = mem_strdup(export.name)};
    ret->mounts = mem_dup(&mount, sizeof(mount));
    ret->mount_count = 1;
    if (!ret->state_dir)
        ret->state_dir = mount_state_default(export.url, mount.dir, reterr);
    ret->store.read_only = ret->read_only;
    return ret->state_dir ? store_options_check(&ret->store, reterr) : -EINVAL;
}

void serve_options_clear(struct serve_options *options)
{
    for (size_t i = 0; i < options->listen_count; i++)
        free(options->listen[i]);
    for (size_t i = 0; i < options->export_count; i++) {
        free(options->exports[i].url);
        free(options->exports[i].name);
    }
    free(options->listen);
    free(options->nets);
    free(options->exports);
    for (size_t i = 0; i < options->mount_count; i++) {
        free(options->mounts[i].name);
        free(options->mounts[i].dir);
    }
    free(options->mounts);
    free(options->fuse_options);
    free(options->log_file);
    free(options->state_dir);
    *options = (struct serve_options){.listen = NULL};
}

void serve_options_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs serve [options] URL[=/EXPORT]...\n"
        "\n"
        "Serves buckets and directories over NFSv3 until SIGTERM or SIGINT.\n"
        "\n"
        "  s3://BUCKET[/PREFIX]   a bucket, or the part of it below PREFIX\n"
        "  file:///DIRECTORY      a directory of plain files on this host\n"
        "\n"
        "EXPORT is the path that clients mount; without it, the name of the bucket or of the\n"
        "directory: s3://media is mounted as host:/media.\n",
        out);
    options_help(serve_table, out);
    (void)fputs(
        "\nExamples:\n"
        "  pailfs serve s3://media\n"
        "  pailfs serve --listen 0.0.0.0 --allow 10.0.0.0/8 s3://media s3://logs/2026=/logs\n"
        "  pailfs serve --endpoint http://127.0.0.1:7070 --path-style s3://media\n"
        "  pailfs serve file:///srv/data\n",
        out);
}

void serve_options_help_mount(FILE *out)
{
    (void)fputs(
        "usage: pailfs mount [options] URL MOUNTPOINT\n"
        "\n"
        "Mounts a bucket or a directory on this host by FUSE, and goes into the background.\n"
        "\"fusermount3 -u MOUNTPOINT\", umount or SIGTERM ends it; what is not in the bucket\n"
        "then is sent first, for at most --shutdown-timeout.\n"
        "\n"
        "-o takes a comma list of mount(8)'s options and of the ones below.\n",
        out);
    options_help(serve_table, out);
}
