/* mkdir(2), symlink(2), readlink(2), link(2), mknod(2), statfs(2). */
#include "tests/posix/posix.h"

#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

CASE(mkdir_errors)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    NEED(symlink("nothing", "dangling") == 0 && symlink("loop", "loop") == 0);
    ERR(EEXIST, mkdir("file", 0755));
    ERR(EEXIST, mkdir("dir", 0755));
    ERR(EEXIST, mkdir("dangling", 0755));
    ERR(EEXIST, mkdir("loop", 0755));
    ERR(ENOENT, mkdir("no/x", 0755));
    ERR(ENOENT, mkdir("", 0755));
    ERR(ENOTDIR, mkdir("file/x", 0755));
    ERR(ELOOP, mkdir("loop/x", 0755));
    ERR(EFAULT, mkdir((const char *)1, 0755));
}

CASE(mkdir_makes)
{
    struct stat before = stat_of(".");
    tick();
    OK(mkdir("d", 0710));
    struct stat st = stat_of("d"), after = stat_of(".");
    TRUE(S_ISDIR(st.st_mode));
    EQ(0710, st.st_mode & 07777);
    TRUE(st.st_nlink >= 1);
    EQ(0, st.st_uid);
    TRUE(ns_of(after.st_mtim) > ns_of(before.st_mtim));
    TRUE(ns_of(after.st_ctim) > ns_of(before.st_ctim));
    TRUE(ns_of(st.st_mtim) > ns_of(before.st_mtim) && ns_of(st.st_atim) > ns_of(before.st_mtim));
    OK(mkdir("d/e", 0755));
    OK(mkdir("d/e/f", 0755));
    OK(rmdir("d/e/f"));
    OK(rmdir("d/e"));
}

CASE(symlink_errors)
{
    static char longest[4097];

    memset(longest, 't', 4096);
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    ERR(EEXIST, symlink("x", "file"));
    ERR(EEXIST, symlink("x", "dir"));
    ERR(ENOENT, symlink("", "new"));
    ERR(ENOENT, symlink("x", ""));
    ERR(ENOENT, symlink("x", "no/x"));
    ERR(ENOTDIR, symlink("x", "file/x"));
    ERR(ENAMETOOLONG, symlink(longest, "new"));
    ERR(EFAULT, symlink((const char *)1, "new"));
    OK(symlink("x", "new"));
    ERR(EEXIST, symlink("x", "new"));
}

CASE(symlink_targets)
{
    static char longest[4096], got[4200];
    const char *const targets[] = {
        "a", ".", "..", "/", "/etc/passwd", "a b\n\t", "no/such/thing/", longest};

    memset(longest, 't', 1000);
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        NEED(symlink(targets[i], "l") == 0);
        EQ(strlen(targets[i]), readlink("l", got, sizeof(got)));
        TRUE(memcmp(got, targets[i], strlen(targets[i])) == 0);
        EQ(strlen(targets[i]), stat_of("l").st_size);
        TRUE(S_ISLNK(stat_of("l").st_mode));
        OK(unlink("l"));
    }
    /* NFS: the longest that the kernel's client asks for is a page less its header. */
    memset(longest, 't', posix_mode == NFS ? 1023 : 4095);
    OK(symlink(longest, "l"));
    EQ(strlen(longest), readlink("l", got, sizeof(got)));
    EQ(3, readlink("l", got, 3)); /* cut off, silently */
}

CASE(readlink_errors)
{
    char buf[16];

    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    NEED(symlink("target", "link") == 0);
    ERR(EINVAL, readlink("file", buf, sizeof(buf)));
    ERR(EINVAL, readlink("dir", buf, sizeof(buf)));
    ERR(ENOENT, readlink("nothing", buf, sizeof(buf)));
    ERR(ENOTDIR, readlink("file/x", buf, sizeof(buf)));
    ERR(EINVAL, readlink("link", buf, 0));
    ERR(EFAULT, readlink("link", nowhere, 8));
}

CASE(link_refused)
{
    make_file("file", "x", 0644);
    make_file("other", "x", 0644);
    make_dir("dir", 0755);
    ERR(ENOENT, link("nothing", "new"));
    ERR(ENOENT, link("file", "no/new"));
    ERR(ENOTDIR, link("file", "file/new"));
    ERR(EEXIST, link("file", "other"));
    ERR(EEXIST, link("file", "dir"));
    ERR(EPERM, link("dir", "new"));
    ERR(EXDEV, link("file", "/posix-elsewhere"));
    if (CAN(DIFFER_LINK, link("file", "new")))
        EQ(2, stat_of("file").st_nlink);
    else
        TRUE(!exists("new"));
    EQ(exists("new") ? 2 : 1, stat_of("file").st_nlink);
}

CASE(mknod_kinds)
{
    make_dir("dir", 0755);
    ERR(EEXIST, mknod("dir", S_IFREG | 0644, 0));
    ERR(ENOENT, mknod("no/x", S_IFREG | 0644, 0));
    ERR(EPERM, mknod("d", S_IFDIR | 0755, 0));
    ERR(EINVAL, mknod("l", S_IFLNK | 0755, 0));
    OK(mknod("file", S_IFREG | 0640, 0));
    TRUE(S_ISREG(stat_of("file").st_mode));
    EQ(0640, mode_of("file"));
    OK(mknod("zero", 0600, 0));
    TRUE(S_ISREG(stat_of("zero").st_mode));
    CAN(DIFFER_FIFO, mknod("fifo", S_IFIFO | 0644, 0));
    CAN(DIFFER_NODE, mknod("char", S_IFCHR | 0644, makedev(1, 3)));
    CAN(DIFFER_NODE, mknod("block", S_IFBLK | 0644, makedev(7, 0)));
    CAN(DIFFER_FIFO, mknod("sock", S_IFSOCK | 0644, 0));
    as(ALICE, STAFF);
    ERR(EPERM, mknod("char2", S_IFCHR | 0644, makedev(1, 3)));
    as_root();
    int s = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "bound"};
    CAN(DIFFER_FIFO, bind(s, (struct sockaddr *)&addr, sizeof(addr)));
    OK(close(s));
}

CASE(statfs_figures)
{
    struct statvfs st, by_fd;

    make_file("file", "x", 0644);
    OK(statvfs(".", &st));
    TRUE(st.f_bsize >= 512 && st.f_frsize > 0);
    TRUE(st.f_blocks > 0 && st.f_bavail <= st.f_bfree && st.f_bfree <= st.f_blocks);
    TRUE(st.f_files >= st.f_ffree);
    EQ(255, st.f_namemax);
    int fd = OK(open("file", O_RDONLY));
    OK(fstatvfs(fd, &by_fd));
    EQ(st.f_blocks, by_fd.f_blocks);
    OK(close(fd));
    ERR(ENOENT, statvfs("nothing", &st));
    ERR(ENOENT, statvfs("", &st));
    ERR(ENOTDIR, statvfs("file/x", &st));
}
