/*
 * The control socket's place in the file system. Addresses of Unix sockets are short (108 bytes);
 * the way around for a state directory with a long path is a descriptor on that directory and
 * /proc/self/fd.
 */
#include "cmd/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { CONTROL_BACKLOG = 16 };

static const char control_name[] = "control";

/* dir_fd is on state_dir. */
static void control_path(const char *state_dir, int dir_fd, char ret[CONTROL_PATH_MAX])
{
    int n = snprintf(ret, CONTROL_PATH_MAX, "%s/%s", state_dir, control_name);

    if (n >= CONTROL_PATH_MAX)
        (void)snprintf(ret, CONTROL_PATH_MAX, "/proc/self/fd/%d/%s", dir_fd, control_name);
}

static int control_open_dir(const char *state_dir)
{
    int fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static struct sockaddr_un control_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strnlen(path, sizeof(address.sun_path) - 1));
    return address;
}

/* What a gateway that was killed left behind. Something that is no socket is not ours to remove. */
static int control_remove_stale(int dir_fd)
{
    struct stat info;

    if (fstatat(dir_fd, control_name, &info, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(info.st_mode))
        return -EEXIST;
    return unlinkat(dir_fd, control_name, 0) ? -errno : 0;
}

static int control_bind(const char *state_dir, int dir_fd, int fd)
{
    char path[CONTROL_PATH_MAX];
    int err = control_remove_stale(dir_fd);

    if (err)
        return err;
    control_path(state_dir, dir_fd, path);
    struct sockaddr_un address = control_address(path);
    /* The mode of the descriptor becomes that of the file: nobody else can slip in before a chmod.
     */
    if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
        listen(fd, CONTROL_BACKLOG))
        return -errno;
    return 0;
}

int control_socket_listen(const char *state_dir, int *ret_fd, struct cmd_error *reterr)
{
    CLEANUP_CLOSE int dir_fd = control_open_dir(state_dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err = dir_fd < 0 ? dir_fd : fd < 0 ? -errno : control_bind(state_dir, dir_fd, fd);

    if (err) {
        if (fd >= 0)
            (void)close(fd);
        return cmd_error_set(
            reterr, err, "cannot make the control socket %s/%s: %s", state_dir, control_name,
            err == -EEXIST ? "something that is no socket has that name" : strerrordesc_np(-err));
    }
    *ret_fd = fd;
    return 0;
}

void control_socket_remove(const char *state_dir)
{
    CLEANUP_CLOSE int dir_fd = control_open_dir(state_dir);

    if (dir_fd >= 0)
        (void)control_remove_stale(dir_fd);
}

static int control_try(const char *path)
{
    struct sockaddr_un address = control_address(path);
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
}

int control_socket_find(const char *state_dir, char ret_path[CONTROL_PATH_MAX], int *ret_fd,
                        struct cmd_error *reterr)
{
    int dir_fd = control_open_dir(state_dir), err = dir_fd < 0 ? dir_fd : 0;

    if (!err) {
        control_path(state_dir, dir_fd, ret_path);
        err = control_try(ret_path);
    }
    if (!err) {
        *ret_fd = dir_fd;
        return 0;
    }
    if (dir_fd >= 0)
        (void)close(dir_fd);
    if (err == -ENOENT || err == -ECONNREFUSED || err == -ENOTDIR)
        return cmd_error_set(reterr, err,
                             "no gateway is running with the state directory %s; expected "
                             "--state-dir DIR to name that of \"pailfs serve\"",
                             state_dir);
    if (err == -EACCES || err == -EPERM)
        return cmd_error_set(reterr, err,
                             "%s/%s: %s: only the user that the gateway runs as, and root, may ask",
                             state_dir, control_name, strerrordesc_np(-err));
    return cmd_error_set(reterr, err, "%s/%s: %s", state_dir, control_name, strerrordesc_np(-err));
}
