/* What the cases have in common: identities, files to begin with, looking. */
#include "tests/posix/posix.h"

#include <grp.h>
#include <sys/wait.h>
#include <time.h>

char *volatile nowhere = (char *)1;

void as_root(void)
{
    NEED(setresuid(0, 0, 0) == 0);
    NEED(setresgid(0, 0, 0) == 0);
    NEED(setgroups(0, NULL) == 0);
}

static void as_groups(uid_t uid, gid_t gid, size_t count, const gid_t *more)
{
    as_root();
    NEED(setgroups(count, more) == 0);
    NEED(setresgid(gid, gid, 0) == 0);
    NEED(setresuid(uid, uid, 0) == 0);
}

void as(uid_t uid, gid_t gid)
{
    as_groups(uid, gid, 0, NULL);
}

void as_with(uid_t uid, gid_t gid, gid_t more)
{
    as_groups(uid, gid, 1, &more);
}

void make_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

    NEED(fd >= 0);
    NEED(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    NEED(fchmod(fd, mode) == 0);
    NEED(close(fd) == 0);
}

void make_dir(const char *path, mode_t mode)
{
    NEED(mkdir(path, 0700) == 0);
    NEED(chmod(path, mode) == 0);
}

void make_owned(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    make_file(path, "text", 0600);
    NEED(chown(path, uid, gid) == 0);
    NEED(chmod(path, mode) == 0);
}

void make_owned_dir(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    NEED(mkdir(path, 0700) == 0);
    NEED(chown(path, uid, gid) == 0);
    NEED(chmod(path, mode) == 0);
}

bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

struct stat stat_of(const char *path)
{
    struct stat st = {0};

    NEED(lstat(path, &st) == 0);
    return st;
}

mode_t mode_of(const char *path)
{
    return stat_of(path).st_mode & 07777;
}

bool holds(const char *path, const char *text)
{
    char buf[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, sizeof(buf));
    close(fd);
    return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void tick(void)
{
    struct timespec first, now;
    int changes = 0;

    /* What time stamps are taken from goes in steps; the second one is surely later. */
    clock_gettime(CLOCK_REALTIME_COARSE, &first);
    while (changes < 2) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        changes += ns_of(now) != ns_of(first);
        first = now;
    }
}

int in_child(void (*fn)(void *arg), void *arg)
{
    int status;

    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    NEED(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
