/* Names and paths: limits, bytes, dots, slashes. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <limits.h>

static void fill(char *buf, size_t len, char c)
{
    memset(buf, c, len);
    buf[len] = '\0';
}

CASE(name_limit)
{
    char most[256], more[257];
    struct stat st;

    fill(most, 255, 'n');
    fill(more, 256, 'n');
    make_file(most, "x", 0644);
    TRUE(holds(most, "x"));
    ERR(ENAMETOOLONG, open(more, O_CREAT | O_WRONLY, 0644));
    ERR(ENAMETOOLONG, open(more, O_RDONLY));
    ERR(ENAMETOOLONG, mkdir(more, 0755));
    ERR(ENAMETOOLONG, symlink("x", more));
    ERR(ENAMETOOLONG, unlink(more));
    ERR(ENAMETOOLONG, rmdir(more));
    ERR(ENAMETOOLONG, rename(most, more));
    ERR(ENAMETOOLONG, rename(more, most));
    ERR(ENAMETOOLONG, link(most, more));
    ERR(ENAMETOOLONG, lstat(more, &st));
    ERR(ENAMETOOLONG, truncate(more, 0));
    ERR(ENAMETOOLONG, chmod(more, 0600));
    ERR(ENAMETOOLONG, chown(more, 0, 0));
    ERR(ENAMETOOLONG, access(more, F_OK));
    ERR(ENAMETOOLONG, utimensat(AT_FDCWD, more, NULL, 0));
    ERR(ENAMETOOLONG, readlink(more, most, 10));
    ERR(ENAMETOOLONG, mknod(more, S_IFREG | 0644, 0));
    OK(rename(most, "short"));
    OK(rename("short", most));
    OK(unlink(most));
    OK(mkdir(most, 0755));
    OK(rmdir(most));
    OK(symlink("x", most));
    OK(unlink(most));
}

CASE(path_limit)
{
    char path[PATH_MAX + 2];
    struct stat st;

    for (size_t i = 0; i < sizeof(path); i++)
        path[i] = i % 2 ? '/' : '.';
    path[PATH_MAX - 1] = '\0';
    OK(stat(path, &st));
    path[PATH_MAX - 1] = '/';
    path[PATH_MAX] = '\0';
    ERR(ENAMETOOLONG, stat(path, &st));
    ERR(ENAMETOOLONG, open(path, O_RDONLY));
    ERR(ENAMETOOLONG, mkdir(path, 0755));
    ERR(ENAMETOOLONG, unlink(path));
    ERR(ENAMETOOLONG, rename("x", path));
}

/* Deeper and deeper: to the longest key an object store takes, no further. */
CASE(path_deep)
{
    char name[101];
    int depth = 0;

    fill(name, 100, 'd');
    while (depth < 12 && mkdir(name, 0755) == 0 && chdir(name) == 0)
        depth++;
    if (differs(DIFFER_DEEP)) {
        EQ(10, depth); /* "path_deep" and ten times 101 bytes */
        ERR(ENAMETOOLONG, mkdir(name, 0755));
        ERR(ENAMETOOLONG, open(name, O_CREAT | O_WRONLY, 0644));
        ERR(ENAMETOOLONG, symlink("x", name));
        make_file("f", "x", 0644);
        ERR(ENAMETOOLONG, rename("f", name));
        ERR(ENOENT, unlink(name));
    } else {
        EQ(12, depth);
    }
    make_file("last", "deep", 0644); /* 1024 bytes */
    TRUE(holds("last", "deep"));
    if (differs(DIFFER_DEEP))
        ERR(ENAMETOOLONG, open("last5", O_CREAT | O_WRONLY, 0644));
}

/* A short path becomes a long one when what is above it is renamed: refused or served, not lost. */
CASE(path_deep_by_rename)
{
    char name[201], deep[1100] = "a";

    fill(name, 200, 'd');
    make_dir("a", 0755);
    for (int i = 0; i < 4; i++) {
        (void)strncat(deep, "/", sizeof(deep) - strlen(deep) - 1);
        (void)strncat(deep, name, sizeof(deep) - strlen(deep) - 1);
        NEED(mkdir(deep, 0755) == 0);
    }
    (void)strncat(deep, "/file", sizeof(deep) - strlen(deep) - 1);
    make_file(deep, "x", 0644);
    if (rename("a", name) == 0)
        NEED(rename(name, "a") == 0);
    else
        EQ(differs(DIFFER_DEEP) ? ENAMETOOLONG : 0, errno);
    TRUE(holds(deep, "x"));
}

CASE(name_bytes)
{
    static const char *const names[] = {"a b",
                                        " lead",
                                        "trail ",
                                        "new\nline",
                                        "tab\t",
                                        "back\\slash",
                                        "\x7f",
                                        "q?u*o[t]e'\"`$",
                                        "a:b|c<d>",
                                        "%2F",
                                        "+",
                                        "&amp;",
                                        "#hash",
                                        "~tilde",
                                        "-dash",
                                        "...",
                                        "..a",
                                        ".a",
                                        "a.",
                                        "\xc3\xa9",
                                        "e\xcc\x81",
                                        "\xe6\x97\xa5\xe6\x9c\xac",
                                        "\xf0\x9f\x98\x80",
                                        "Case",
                                        "case",
                                        "\xef\xbf\xbd",
                                        "CON",
                                        "=eq",
                                        "semi;colon",
                                        "@at",
                                        "com,ma",
                                        "{brace}",
                                        "\xc2\x85"};
    size_t count = sizeof(names) / sizeof(*names), seen = 0;

    for (size_t i = 0; i < count; i++)
        make_file(names[i], names[i], 0644);
    DIR *d = opendir(".");
    NEED(d);
    for (struct dirent *e; (e = readdir(d));) {
        for (size_t i = 0; i < count; i++)
            seen += strcmp(e->d_name, names[i]) == 0;
    }
    closedir(d);
    EQ(count, seen);
    for (size_t i = 0; i < count; i++) {
        TRUE(holds(names[i], names[i]));
        OK(unlink(names[i]));
    }
}

/* Not on servers that list objects in XML that cannot say these, and do not encode them. */
CASE(name_control_bytes)
{
    make_dir("d", 0755);
    make_file("d/\x01\x02\x1f", "x", 0644);
    TRUE(holds("d/\x01\x02\x1f", "x"));
    OK(rename("d/\x01\x02\x1f", "d/\x1b[0m"));
    OK(unlink("d/\x1b[0m"));
    OK(rmdir("d"));
}

CASE(name_utf8_limit)
{
    char name[259] = "";

    for (int i = 0; i < 85; i++) /* 85 of three bytes: 255 */
        memcpy(name + 3 * i, "\xe6\x97\xa5", 4);
    make_file(name, "x", 0644);
    TRUE(holds(name, "x"));
    (void)strncat(name, "x", sizeof(name) - strlen(name) - 1);
    ERR(ENAMETOOLONG, open(name, O_CREAT | O_WRONLY, 0644));
}

CASE(name_not_utf8)
{
    static const char *const names[] = {
        "\xff", "a\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "latin1-\xe9-x"};
    struct stat st;

    make_file("file", "x", 0644);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *name = names[i];
        if (CAN(DIFFER_NAME_UTF8, open(name, O_CREAT | O_WRONLY, 0644)))
            OK(unlink(name));
        if (CAN(DIFFER_NAME_UTF8, mkdir(name, 0755)))
            OK(rmdir(name));
        if (CAN(DIFFER_NAME_UTF8, symlink("x", name)))
            OK(unlink(name));
        if (CAN(DIFFER_NAME_UTF8, rename("file", name)))
            OK(rename(name, "file"));
        int absent = differs(DIFFER_NAME_UTF8) ? differ_errno(DIFFER_NAME_UTF8) : ENOENT;
        ERR(absent, lstat(name, &st));
        ERR(absent, open(name, O_RDONLY));
        ERR(absent, unlink(name));
        ERR(absent, rmdir(name));
        ERR(absent, rename(name, "other"));
    }
    OK(symlink("\xff\xfe", "link")); /* targets are bytes */
    char buf[8];
    EQ(2, readlink("link", buf, sizeof(buf)));
    TRUE(memcmp(buf, "\xff\xfe", 2) == 0);
}

CASE(name_dots)
{
    make_dir("d", 0755);
    ERR(EEXIST, mkdir(".", 0755));
    ERR(EEXIST, mkdir("..", 0755));
    ERR(EEXIST, mkdir("d/.", 0755));
    ERR(EEXIST, mkdir("d/..", 0755));
    ERR(ENOENT, mkdir("new/.", 0755));
    ERR(EINVAL, rmdir("."));
    ERR(EINVAL, rmdir("d/."));
    ERR(ENOTEMPTY, rmdir(".."));
    ERR(ENOTEMPTY, rmdir("d/.."));
    ERR(EISDIR, unlink("."));
    ERR(EISDIR, unlink("d/.."));
    ERR(EBUSY, rename(".", "x"));
    ERR(EBUSY, rename("d/.", "x"));
    ERR(EBUSY, rename("d", "."));
    ERR(EBUSY, rename("d", "d/.."));
    ERR(EEXIST, symlink("x", "."));
    ERR(EEXIST, mknod("..", S_IFREG | 0644, 0));
    struct stat here, back, up, parent;
    OK(stat(".", &here));
    OK(stat("d/..", &back));
    EQ(here.st_ino, back.st_ino);
    OK(stat("d/../d/./../.", &back));
    EQ(here.st_ino, back.st_ino);
    OK(chdir("d"));
    OK(stat("..", &back));
    EQ(here.st_ino, back.st_ino);
    OK(stat("../..", &up));
    OK(chdir("../.."));
    OK(stat(".", &parent));
    EQ(up.st_ino, parent.st_ino);
}

CASE(name_slashes)
{
    struct stat st;

    make_file("file", "x", 0644);
    make_dir("dir", 0755);
    NEED(symlink("dir", "dirlink") == 0 && symlink("file", "filelink") == 0);
    OK(mkdir("new/", 0755));
    OK(rename("new/", "newer/"));
    OK(rename("newer", "new///"));
    OK(rmdir("new//"));
    OK(stat("dir//", &st));
    OK(stat(".//dir", &st));
    ERR(ENOTDIR, stat("file/", &st));
    ERR(ENOTDIR, lstat("filelink/", &st));
    OK(lstat("dirlink/", &st));
    TRUE(S_ISDIR(st.st_mode));
    ERR(ENOTDIR, unlink("file/"));
    ERR(ENOTDIR, rmdir("file/"));
    ERR(ENOTDIR, rename("file/", "g"));
    ERR(ENOTDIR, rename("file", "g/"));
    ERR(ENOTDIR, unlink("dirlink/"));
    ERR(ENOTDIR, rmdir("dirlink"));
    ERR(ENOTDIR, rmdir("dirlink/"));
    ERR(EEXIST, mkdir("file/", 0755));
    ERR(EEXIST, mkdir("dirlink/", 0755));
    ERR(EISDIR, open("absent/", O_CREAT | O_WRONLY, 0644));
    ERR(ENOENT, symlink("x", "absent/"));
    ERR(EEXIST, symlink("x", "dir/"));
    ERR(ENOENT, mknod("absent/", S_IFREG | 0644, 0));
    ERR(ENOTDIR, truncate("file/", 0));
    ERR(ENOTDIR, chmod("file/", 0600));
    TRUE(holds("file", "x"));
}

/* What a store keeps beside files, or a server gives a meaning, is a name like any other. */
CASE(name_of_markers)
{
    static const char *const names[] = {"index",      ".keep",     "_$folder$",
                                        "x_$folder$", ".DS_Store", "lost+found"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        make_file(names[i], names[i], 0644);
        TRUE(holds(names[i], names[i]));
        OK(unlink(names[i]));
        OK(mkdir(names[i], 0755));
        OK(rmdir(names[i]));
    }
}
