/* Extended attributes, xattr(7). */
#include "tests/posix/posix.h"

#include <sys/xattr.h>

/* Does this mount have them? If not: is that what the table says? */
static bool have_xattr(void)
{
    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    if (differs(DIFFER_XATTR)) {
        ERR(differ_errno(DIFFER_XATTR), setxattr("file", "user.a", "1", 1, 0));
        ERR(differ_errno(DIFFER_XATTR), getxattr("file", "user.a", NULL, 0));
        return false;
    }
    if (posix_mode == LOCAL && setxattr("file", "user.probe", "1", 1, 0) != 0)
        posix_skip("no user xattrs on this kernel's tmpfs");
    (void)removexattr("file", "user.probe");
    return true;
}

static bool value_is(const char *path, const char *name, const char *want, size_t len)
{
    char buf[4096];
    ssize_t got = getxattr(path, name, buf, sizeof(buf));

    return got == (ssize_t)len && memcmp(buf, want, len) == 0;
}

CASE(xattr_values)
{
    char buf[256], bytes[256];

    if (!have_xattr())
        return;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    OK(setxattr("file", "user.text", "some text", 9, 0));
    OK(setxattr("file", "user.bytes", bytes, sizeof(bytes), 0));
    OK(setxattr("file", "user.empty", "", 0, 0));
    OK(setxattr("file", "user.Mixed_Case.and-more", " lead and trail ", 16, 0));
    OK(setxattr("file", "user.\xc3\xbcml", "\xc3\xa4", 2, 0));
    TRUE(value_is("file", "user.text", "some text", 9));
    TRUE(value_is("file", "user.bytes", bytes, sizeof(bytes)));
    TRUE(value_is("file", "user.empty", "", 0));
    TRUE(value_is("file", "user.Mixed_Case.and-more", " lead and trail ", 16));
    TRUE(value_is("file", "user.\xc3\xbcml", "\xc3\xa4", 2));
    EQ(9, getxattr("file", "user.text", NULL, 0));
    ERR(ERANGE, getxattr("file", "user.text", buf, 8));
    OK(setxattr("file", "user.text", "another", 7, 0));
    TRUE(value_is("file", "user.text", "another", 7));
    OK(removexattr("file", "user.text"));
    ERR(ENODATA, getxattr("file", "user.text", buf, sizeof(buf)));
    ERR(ENODATA, removexattr("file", "user.text"));
    TRUE(value_is("file", "user.bytes", bytes, sizeof(bytes)));
    OK(setxattr("dir", "user.dir", "d", 1, 0));
    TRUE(value_is("dir", "user.dir", "d", 1));
}

CASE(xattr_list)
{
    char buf[1024];
    ssize_t n;

    if (!have_xattr())
        return;
    OK(setxattr("file", "user.a", "1", 1, 0));
    OK(setxattr("file", "user.b", "2", 1, 0));
    n = listxattr("file", buf, sizeof(buf));
    NEED(n > 0);
    int user = 0;
    for (const char *at = buf; at < buf + n; at += strlen(at) + 1)
        user += strcmp(at, "user.a") == 0 || strcmp(at, "user.b") == 0;
    EQ(2, user);
    EQ(n, listxattr("file", NULL, 0));
    ERR(ERANGE, listxattr("file", buf, (size_t)n - 1));
    int fd = OK(open("file", O_RDONLY));
    EQ(n, flistxattr(fd, buf, sizeof(buf)));
    EQ(1, fgetxattr(fd, "user.a", buf, sizeof(buf)));
    OK(fsetxattr(fd, "user.c", "3", 1, 0));
    OK(fremovexattr(fd, "user.a"));
    OK(close(fd));
    ERR(ENODATA, getxattr("file", "user.a", buf, sizeof(buf)));
    TRUE(value_is("file", "user.c", "3", 1));
}

CASE(xattr_flags)
{
    if (!have_xattr())
        return;
    ERR(ENODATA, setxattr("file", "user.a", "1", 1, XATTR_REPLACE));
    OK(setxattr("file", "user.a", "1", 1, XATTR_CREATE));
    ERR(EEXIST, setxattr("file", "user.a", "2", 1, XATTR_CREATE));
    OK(setxattr("file", "user.a", "3", 1, XATTR_REPLACE));
    TRUE(value_is("file", "user.a", "3", 1));
    ERR(EINVAL, setxattr("file", "user.a", "4", 1, 8));
}

CASE(xattr_errors)
{
    char buf[16], name[300];

    if (!have_xattr())
        return;
    NEED(symlink("file", "link") == 0 && symlink("nothing", "dangling") == 0);
    ERR(ENODATA, getxattr("file", "user.no", buf, sizeof(buf)));
    ERR(ENOENT, getxattr("nothing", "user.a", buf, sizeof(buf)));
    ERR(ENOENT, getxattr("dangling", "user.a", buf, sizeof(buf)));
    ERR(ENOTDIR, getxattr("file/x", "user.a", buf, sizeof(buf)));
    ERR(ENOENT, setxattr("nothing", "user.a", "1", 1, 0));
    ERR(EPERM, lsetxattr("link", "user.a", "1", 1, 0)); /* symlinks have none */
    OK(setxattr("link", "user.a", "1", 1, 0));
    TRUE(value_is("file", "user.a", "1", 1));
    ERR(EOPNOTSUPP, setxattr("file", "nonsense.a", "1", 1, 0));
    ERR(EOPNOTSUPP, setxattr("file", "plain", "1", 1, 0));
    if (posix_mode == FUSE)
        ERR(differ_errno(DIFFER_XATTR_OTHER), setxattr("file", "trusted.a", "1", 1, 0));
    (void)snprintf(name, sizeof(name), "user.%0251d", 0);
    ERR(ERANGE, setxattr("file", name, "1", 1, 0)); /* 256 bytes */
    ERR(ERANGE, setxattr("file", "", "1", 1, 0));
    static char large[65537];
    ERR(E2BIG, setxattr("file", "user.large", large, sizeof(large), 0));
}

CASE(xattr_permissions)
{
    char buf[16];

    if (!have_xattr())
        return;
    make_owned("mine", ALICE, STAFF, 0640);
    as(ALICE, STAFF);
    OK(setxattr("mine", "user.a", "1", 1, 0));
    as(BOB, STAFF);
    EQ(1, getxattr("mine", "user.a", buf, sizeof(buf)));
    ERR(EACCES, setxattr("mine", "user.a", "2", 1, 0));
    ERR(EACCES, removexattr("mine", "user.a"));
    as(BOB, OTHERS);
    ERR(EACCES, getxattr("mine", "user.a", buf, sizeof(buf)));
    as_root();
    TRUE(value_is("mine", "user.a", "1", 1));
}

CASE(xattr_stays)
{
    if (!have_xattr())
        return;
    OK(setxattr("file", "user.a", "1", 1, 0));
    struct stat before = stat_of("file");
    tick();
    OK(setxattr("file", "user.b", "2", 1, 0));
    struct stat after = stat_of("file");
    TRUE(ns_of(after.st_ctim) > ns_of(before.st_ctim));
    EQ(ns_of(before.st_mtim), ns_of(after.st_mtim));
    OK(rename("file", "moved"));
    TRUE(value_is("moved", "user.a", "1", 1));
    int fd = OK(open("moved", O_WRONLY | O_TRUNC));
    EQ(3, write(fd, "new", 3));
    OK(close(fd));
    OK(chmod("moved", 0600));
    TRUE(value_is("moved", "user.a", "1", 1));
    TRUE(value_is("moved", "user.b", "2", 1));
    OK(unlink("moved"));
    make_file("moved", "x", 0644);
    TRUE(getxattr("moved", "user.a", NULL, 0) == -1);
}
