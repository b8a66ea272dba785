/* Getting into the tree of mounts, and out of it. */
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "fuse/front_int.h"

extern char **environ;

/* What libfuse said last: it has no other way to tell why something failed. */
static pthread_mutex_t mount_said_lock = PTHREAD_MUTEX_INITIALIZER;
static char mount_said[256];

static void mount_log(enum fuse_log_level level, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void mount_log(enum fuse_log_level level, const char *fmt, va_list args)
{
    char text[256];
    int len = vsnprintf(text, sizeof(text), fmt, args);

    if (len > (int)sizeof(text) - 1)
        len = sizeof(text) - 1;
    while (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    log_event(level <= FUSE_LOG_ERR ? LOG_WARN : LOG_DEBUG, "libfuse", "text=%s", LOG_Q(text));
    LOCK_SCOPE(&mount_said_lock);
    (void)snprintf(mount_said, sizeof(mount_said), "%s", text);
}

static void mount_said_take(char *ret, size_t size)
{
    LOCK_SCOPE(&mount_said_lock);
    (void)snprintf(ret, size, "%s", mount_said);
    mount_said[0] = '\0';
}

bool front_is_dead_mount(const char *dir)
{
    struct statfs st; /* unlike attributes, the kernel has this from nowhere else */

    return statfs(dir, &st) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

static int mount_wait_ms(int64_t end_ns)
{
    int64_t left = end_ns == CLOCK_NEVER ? INT32_MAX : (end_ns - clock_mono_ns()) / CLOCK_MS;

    return left < 0 ? 0 : left < INT32_MAX ? (int)left : -1;
}

/* Runs a program with an argument that is a path, and waits until end_ns. 0; -EIO: it failed;
 * -ETIMEDOUT: it runs on. */
static int mount_run(const char *const *argv, int64_t end_ns)
{
    struct pollfd ended = {.events = POLLIN};
    pid_t pid;
    int status = 0;
    int err = posix_spawnp(&pid, argv[0], NULL, NULL, (char **)(uintptr_t)argv, environ);

    if (err)
        return -err;
    CLEANUP_CLOSE int fd = ended.fd = pidfd_open(pid, 0);
    while (fd >= 0 && poll(&ended, 1, mount_wait_ms(end_ns)) < 0 && errno == EINTR)
        ;
    if (fd >= 0 && !ended.revents)
        return -ETIMEDOUT;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* fusermount3 may unmount what this user mounted; root needs no help. */
static int mount_detach(const char *dir)
{
    const char *argv[] = {"fusermount3", "-u", "-z", "-q", "--", dir, NULL};

    if (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    return mount_run(argv, CLOCK_NEVER) ? -EPERM : 0;
}

/* By other processes: one that asks itself, and is killed while it waits for the answer, could not
 * end any more. */
void mount_leave(struct front *front)
{
    const char *sync[] = {"sync", "-f", "--", front->mountpoint, NULL};
    const char *unmount[] = {"fusermount3", "-u", "-q", "--", front->mountpoint, NULL};
    int64_t end_ns = clock_mono_ns() + front->config.deadline_ns;

    int err = mount_run(sync, end_ns);
    if (err)
        log_event(LOG_WARN, "fuse_sync", "mountpoint=%s err=%s", LOG_Q(front->mountpoint),
                  strerrordesc_np(-err));
    (void)mount_run(unmount, end_ns); /* busy: mount_close takes it away all the same */
}

/* /proc writes blanks and backslashes of paths as \ooo. */
static void mount_unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

/* Is a pailfs mounted right there, on top? */
static bool mount_live(const char *dir)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *line = NULL;
    size_t room = 0;
    bool live = false;

    while (f && getline(&line, &room, f) > 0) {
        char path[PATH_MAX], type[64];
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1 ||
            sscanf(rest, " - %63s", type) != 1)
            continue;
        mount_unescape(path);
        if (strcmp(path, dir) == 0)
            live = strcmp(type, "fuse.pailfs") == 0;
    }
    if (f)
        (void)fclose(f);
    return live;
}

int mount_prepare(const char *mountpoint, struct front_error *reterr)
{
    struct stat st;

    for (int i = 0; i < 16 && front_is_dead_mount(mountpoint); i++) {
        log_event(LOG_WARN, "fuse_dead_mount", "mountpoint=%s", LOG_Q(mountpoint));
        int err = mount_detach(mountpoint);
        if (err) {
            (void)snprintf(reterr->text, sizeof(reterr->text),
                           "%s: a file system whose program has died is mounted there, and cannot "
                           "be unmounted: %s",
                           mountpoint, strerrordesc_np(-err));
            return err;
        }
    }
    if (stat(mountpoint, &st)) {
        int err = -errno;
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s: %s", mountpoint,
                       strerrordesc_np(-err));
        return err;
    }
    if (!S_ISDIR(st.st_mode)) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s is not a directory", mountpoint);
        return -ENOTDIR;
    }
    if (mount_live(mountpoint)) {
        (void)snprintf(reterr->text, sizeof(reterr->text),
                       "%s: a pailfs is mounted there already; \"fusermount3 -u %s\" unmounts it",
                       mountpoint, mountpoint);
        return -EBUSY;
    }
    return 0;
}

/* The options, as one argument; commas in the name are not separators. */
static char *mount_options(const struct front *front)
{
    char *opts = NULL;
    CLEANUP_FREE char *fsname = mem_printf("fsname=%s", front->fsname);

    if (fuse_opt_add_opt_escaped(&opts, fsname) || fuse_opt_add_opt(&opts, "subtype=pailfs") ||
        fuse_opt_add_opt(&opts, "default_permissions") ||
        (front->config.allow_other && fuse_opt_add_opt(&opts, "allow_other")) ||
        (front->config.read_only && fuse_opt_add_opt(&opts, "ro")) ||
        (front->fuse_options && fuse_opt_add_opt(&opts, front->fuse_options))) {
        free(opts);
        return NULL;
    }
    return opts;
}

int mount_open(struct front *front, const struct fuse_lowlevel_ops *ops, struct front_error *reterr)
{
    CLEANUP_FREE char *opts = mount_options(front);
    struct fuse_args args = {0};
    char said[256];
    int err = mount_prepare(front->mountpoint, reterr);

    if (err)
        return err;
    fuse_set_log_func(mount_log);
    mount_said_take(said, sizeof(said));
    bool ready = opts && !fuse_opt_add_arg(&args, "pailfs") && !fuse_opt_add_arg(&args, "-o") &&
                 !fuse_opt_add_arg(&args, opts);
    front->session = ready ? fuse_session_new(&args, ops, sizeof(*ops), front) : NULL;
    fuse_opt_free_args(&args);
    if (!front->session || fuse_session_mount(front->session, front->mountpoint)) {
        mount_said_take(said, sizeof(said));
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s: cannot be mounted%s%s",
                       front->mountpoint, *said ? ": " : "", said);
        return -EIO;
    }
    front->mounted = true;
    err = device_adopt(front);
    if (err) {
        (void)snprintf(reterr->text, sizeof(reterr->text), "%s: %s", front->mountpoint,
                       strerrordesc_np(-err));
        return err;
    }
    return 0;
}

void mount_close(struct front *front)
{
    if (front->session && front->mounted)
        fuse_session_unmount(front->session);
    front->mounted = false;
    if (front->session)
        fuse_session_destroy(front->session);
    front->session = NULL;
}
