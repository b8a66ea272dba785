/* The rig of front_rig.h. */
#include "tests/fuse/front_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cloud/store.h"

enum { PATHS = 8, CHILD_WAIT_S = 20, GUARD_POLL_MS = 200 };

static char top[64], state_dir[128], url[160];
char rig_mnt[128], rig_bucket[128];
struct fs *rig_fs;
struct fs_volume *rig_vol;
struct front *rig_front;
struct rig_config rig_config;
atomic_uint rig_reads, rig_commits, rig_store_commits;

int __real_fs_read(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
                   uint32_t count, struct fs_data *ret, bool *ret_eof, struct fs_node *node);
int __wrap_fs_read(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
                   uint32_t count, struct fs_data *ret, bool *ret_eof, struct fs_node *node);
int __real_fs_commit(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
                     uint32_t count, struct fs_wcc *wcc);
int __wrap_fs_commit(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
                     uint32_t count, struct fs_wcc *wcc);

int __wrap_fs_read(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
                   uint32_t count, struct fs_data *ret, bool *ret_eof, struct fs_node *node)
{
    (void)atomic_fetch_add(&rig_reads, 1);
    return __real_fs_read(vol, req, ino, off, count, ret, ret_eof, node);
}

int __wrap_fs_commit(struct fs_volume *vol, struct fs_req *req, uint64_t ino, uint64_t off,
                     uint32_t count, struct fs_wcc *wcc)
{
    if (!(req->flags & FS_AGAIN)) {
        (void)atomic_fetch_add(&rig_commits, 1);
        if (req->flags & FS_TO_STORE)
            (void)atomic_fetch_add(&rig_store_commits, 1);
    }
    return __real_fs_commit(vol, req, ino, off, count, wcc);
}

static void tell_durable(void *ctx, uint64_t seq)
{
    (void)ctx;
    if (rig_front)
        front_durable(rig_front, seq);
}

int rig_front_start(struct front **ret, struct front_error *err)
{
    struct front_config config = {.fs = rig_fs,
                                  .vol = rig_vol,
                                  .mountpoint = rig_mnt,
                                  .fsname = url,
                                  .allow_other = true,
                                  .read_only = rig_config.read_only,
                                  .shared = rig_config.shared,
                                  .commit = rig_config.commit,
                                  .attr_ttl_ns = rig_config.attr_ttl_ns,
                                  .deadline_ns = rig_config.deadline_ns,
                                  .threads_max = rig_config.threads_max};

    return front_start(&config, ret, err);
}

/*
 * A thread of a program that is killed while it waits for the program's own answer never ends. So a
 * second process cuts the mount's connection to the kernel when the program has gone.
 */
static atomic_uint *guard_connection; /* shared with it; 0: none */

/* Is it gone, or about to be killed and not able to? */
static bool guard_dying(pid_t pid)
{
    char path[64], line[128];
    unsigned long own = 0, shared = 0;
    char state = 'Z';

    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        (void)sscanf(line, "State: %c", &state);
        (void)sscanf(line, "SigPnd: %lx", &own);
        (void)sscanf(line, "ShdPnd: %lx", &shared);
    }
    if (f)
        (void)fclose(f);
    return state == 'Z' || ((own | shared) & (1UL << (SIGKILL - 1)));
}

static void guard_main(pid_t pid)
{
    char path[64];

    while (!guard_dying(pid))
        (void)poll(NULL, 0, GUARD_POLL_MS);
    unsigned connection = atomic_load(guard_connection);
    (void)snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", connection);
    int fd = connection ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        (void)!write(fd, "1", 1);
    _exit(0);
}

static void guard_start(void)
{
    (void)mount("none", "/sys/fs/fuse/connections", "fusectl", 0, NULL);
    guard_connection = mmap(NULL, sizeof(*guard_connection), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(guard_connection, MAP_FAILED);
    pid_t pid = getpid();
    if (fork() == 0)
        guard_main(pid);
}

/* The connection's number is that of the device. */
static unsigned mounted_device(void)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[1024], path[256];
    unsigned minor = 0, got;

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*s %*s %*u:%u %*s %255s", &got, path) == 2 && strcmp(path, rig_mnt) == 0)
            minor = got;
    }
    if (f)
        (void)fclose(f);
    return minor;
}

void rig_start(void)
{
    struct fs_config config = {.state_dir = state_dir,
                               .memory_limit = 64 << 20,
                               .stage_limit = 256 << 20,
                               .attr_ttl_ns = rig_config.attr_ttl_ns,
                               .retry_max_ns = rig_config.retry_max_ns,
                               .quiet_ns = rig_config.quiet_ns};
    struct store_config store = {0};
    struct fs_error err = {{0}};
    struct front_error front_err = {{0}};
    struct front *front;

    if (fs_start(&config, &rig_fs, &err) ||
        fs_add_volume(rig_fs, url, &store, NULL, &rig_vol, &err) || fs_run(rig_fs, &err))
        fail_msg("%s", err.text);
    if (rig_front_start(&front, &front_err))
        fail_msg("%s", front_err.text);
    rig_front = front;
    atomic_store(guard_connection, mounted_device());
    fs_on_durable(rig_fs, tell_durable, NULL);
}

void rig_stop(void)
{
    front_stop(rig_front);
    if (rig_fs)
        fs_stop(rig_fs, clock_mono_ns() + RIG_WAIT_S * CLOCK_S, NULL);
    front_free(rig_front);
    rig_front = NULL;
    rig_fs = NULL;
}

int rig_setup(void **state)
{
    (void)state;
    (void)stpcpy(top, "/tmp/pailfs-test-front-XXXXXX");
    assert_non_null(mkdtemp(top));
    (void)snprintf(rig_bucket, sizeof(rig_bucket), "%s/bucket", top);
    (void)snprintf(rig_mnt, sizeof(rig_mnt), "%s/mnt", top);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
    (void)snprintf(url, sizeof(url), "file://%s", rig_bucket);
    assert_int_equal(chmod(top, 0755), 0);
    assert_int_equal(mkdir(rig_bucket, 0755) | mkdir(rig_mnt, 0755), 0);
    rig_config = (struct rig_config){.attr_ttl_ns = 60 * CLOCK_S,
                                     .quiet_ns = 10 * CLOCK_MS,
                                     .retry_max_ns = 100 * CLOCK_MS,
                                     .deadline_ns = RIG_WAIT_S * CLOCK_S};
    assert_int_equal(fault_rules_set(NULL), 0);
    fault_counts_reset();
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int rig_teardown(void **state)
{
    (void)state;
    (void)fault_rules_set(NULL);
    rig_stop();
    atomic_store(guard_connection, 0);
    (void)umount2(rig_mnt, MNT_DETACH);
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int rig_main(const struct CMUnitTest *tests, size_t count)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd < 0 || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        (void)fprintf(stderr, "skipped: no FUSE here, or not root: %s\n", strerror(errno));
        return 77;
    }
    (void)close(fd);
    (void)umask(022);
    guard_start();
    return _cmocka_run_group_tests("fuse", tests, count, NULL, NULL);
}

static const char *path_below(const char *base, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static const char *path_below(const char *base, const char *fmt, va_list args)
{
    static _Thread_local char paths[PATHS][512];
    static _Thread_local unsigned at;
    char *path = paths[at++ % PATHS];
    int len = snprintf(path, sizeof(paths[0]), "%s/", base);

    (void)vsnprintf(path + len, sizeof(paths[0]) - (size_t)len, fmt, args);
    return path;
}

const char *rig_path(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const char *path = path_below(rig_mnt, fmt, args);
    va_end(args);
    return path;
}

const char *rig_bucket_path(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const char *path = path_below(rig_bucket, fmt, args);
    va_end(args);
    return path;
}

static void put(const char *path, const char *body)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    (void)fputs(body, f);
    assert_int_equal(fclose(f), 0);
}

void rig_bucket_put(const char *name, const char *body)
{
    const char *part = rig_bucket_path("../part");

    put(part, body);
    assert_int_equal(rename(part, rig_bucket_path("%s", name)), 0);
}

void rig_put(const char *name, const char *body)
{
    put(rig_path("%s", name), body);
}

bool rig_body_is(const char *path, const char *body)
{
    char buf[4096] = "";
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, buf, sizeof(buf) - 1) == (ssize_t)strlen(body) &&
           strcmp(buf, body) == 0;
}

/* A child that keeps the device open would keep the mount alive, also without anybody to answer. */
static void close_devices(void)
{
    char path[64], target[64];

    for (int fd = 3; fd < 256; fd++) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof(target));
        if (len == 9 && memcmp(target, "/dev/fuse", 9) == 0)
            (void)close(fd);
    }
}

pid_t rig_fork(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        close_devices();
    return pid;
}

pid_t rig_child(int (*fn)(void *arg), void *arg)
{
    pid_t pid = rig_fork();

    if (pid == 0)
        _exit(fn(arg));
    return pid;
}

int rig_child_wait(pid_t pid)
{
    int status = 0;
    int64_t end = clock_mono_ns() + CHILD_WAIT_S * CLOCK_S;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_mono_ns() > end) {
            (void)kill(pid, SIGKILL);
            fail_msg("a child does not end");
        }
        (void)poll(NULL, 0, AWAIT_STEP_MS);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
