/* Into the background: a child that works, a parent that waits until it has begun to. */
#include "cmd/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/dir.h"

static int ready_fd = -1; /* the child's end of the pipe */
static bool is_child;
static char *log_path; /* NULL: syslog */
static int log_fd = -1;

static int open_log(void)
{
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    return fd < 0 ? -errno : fd;
}

int background_log(const char *path)
{
    if (!path) {
        log_to_syslog();
        return 0;
    }
    log_path = dir_absolute(path); /* the working directory changes */
    log_fd = open_log();
    if (log_fd < 0)
        return log_fd;
    log_to_fd(log_fd);
    return 0;
}

bool background_hangup(void)
{
    if (!is_child && !log_path)
        return false;
    int fd = log_path ? open_log() : -1;
    if (fd >= 0) { /* in the old one's place, at once, whoever is writing */
        (void)dup3(fd, log_fd, O_CLOEXEC);
        (void)close(fd);
    }
    return true;
}

/* The child has said that it is ready, or its end of the pipe was closed by its end. */
__attribute__((noreturn)) static void wait_for_child(int fd, pid_t child)
{
    char byte;
    int status = 0;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "pailfs: the process in the background was ended by signal %d\n",
                      WTERMSIG(status));
    _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

int background_begin(void)
{
    int fds[2];

    (void)fflush(NULL);
    if (pipe2(fds, O_CLOEXEC))
        return -errno;
    pid_t child = fork();
    if (child < 0) {
        int err = -errno;
        (void)close(fds[0]);
        (void)close(fds[1]);
        return err;
    }
    (void)close(child ? fds[1] : fds[0]);
    if (child)
        wait_for_child(fds[0], child);
    ready_fd = fds[1];
    is_child = true;
    return 0;
}

void background_ready(void)
{
    if (ready_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)setsid();
    bool moved = chdir("/") == 0; /* nobody's file system stays busy because of us */
    (void)moved;
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            (void)close(null);
    }
    ssize_t done = write(ready_fd, "", 1);
    (void)done; /* a parent that is gone does not ask */
    (void)close(ready_fd);
    ready_fd = -1;
}
