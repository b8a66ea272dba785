/*
 * What goes through /dev/fuse, where libfuse leaves something out: up to 3.16 it knows
 * FUSE_CAP_PARALLEL_DIROPS but does not pass it on, and the kernel then looks up one name of a
 * directory at a time. With a store that takes 20 ms for a question that is 50 names a second, and
 * one question without an answer stops all that want something in that directory.
 *
 * Source: the kernel's include/uapi/linux/fuse.h.
 */
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse/front_int.h"

/* The first reply of a session is that to INIT. */
static bool device_is_init(const struct iovec *iov, int count)
{
    const struct fuse_out_header *head = iov[0].iov_base;
    const struct fuse_init_out *init = count == 2 ? iov[1].iov_base : NULL;

    return init && head->error == 0 && iov[1].iov_len == sizeof(*init) &&
           init->major == FUSE_KERNEL_VERSION;
}

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct front *front = userdata;
    struct fuse_init_out init;
    struct iovec own[2];

    if (atomic_load_explicit(&front->greeted, memory_order_relaxed) ||
        atomic_exchange(&front->greeted, true) || !front->parallel_dirops ||
        !device_is_init(iov, count))
        return writev(fd, iov, count);
    init = *(const struct fuse_init_out *)iov[1].iov_base;
    init.flags |= FUSE_PARALLEL_DIROPS;
    own[0] = iov[0];
    own[1] = (struct iovec){.iov_base = &init, .iov_len = sizeof(init)};
    return writev(fd, own, 2);
}

static ssize_t device_read(int fd, void *buf, size_t size, void *userdata)
{
    (void)userdata;
    return read(fd, buf, size);
}

int device_adopt(struct front *front)
{
    const struct fuse_custom_io io = {.writev = device_writev, .read = device_read};

    return fuse_session_custom_io(front->session, &io, fuse_session_fd(front->session));
}
