/* Reading directories: all of it, once, also while it changes. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <sys/syscall.h>

enum { MANY = 1200 };

static void make_many(int count)
{
    char name[32];

    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "d/entry-%d", i);
        NEED(mknod(name, S_IFREG | 0644, 0) == 0); /* nothing to close: nobody waits for a store */
    }
}

/* Marks entry-N's; returns how many names there were, "." and ".." too. */
static int read_all(DIR *d, unsigned char *seen, int count)
{
    int names = 0;

    for (struct dirent *e; errno = 0, (e = readdir(d)); names++) {
        if (strncmp(e->d_name, "entry-", 6) != 0)
            continue;
        long n = strtol(e->d_name + 6, NULL, 10);
        NEED(n >= 0 && n < count);
        seen[n]++;
    }
    EQ(0, errno);
    return names;
}

static void expect_each(const unsigned char *seen, int count, int want)
{
    int wrong = 0;

    for (int i = 0; i < count; i++)
        wrong += seen[i] != want;
    EQ(0, wrong);
}

CASE(dir_many)
{
    static unsigned char seen[MANY], again[MANY];

    make_dir("d", 0755);
    make_many(MANY);
    DIR *d = opendir("d");
    NEED(d);
    EQ(MANY + 2, read_all(d, seen, MANY));
    expect_each(seen, MANY, 1);
    rewinddir(d);
    EQ(MANY + 2, read_all(d, again, MANY));
    expect_each(again, MANY, 1);
    closedir(d);
    /* All of them removed while they are read. */
    d = opendir("d");
    NEED(d);
    int removed = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        removed += unlinkat(dirfd(d), e->d_name, 0) == 0;
    }
    closedir(d);
    EQ(MANY, removed);
    OK(rmdir("d"));
}

CASE(dir_types_and_inodes)
{
    make_dir("d", 0755);
    make_dir("d/dir", 0755);
    make_file("d/file", "x", 0644);
    NEED(symlink("x", "d/link") == 0);
    DIR *d = opendir("d");
    NEED(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        OK(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
        EQ(st.st_ino, e->d_ino);
        if (e->d_type != DT_UNKNOWN)
            EQ(IFTODT(st.st_mode), e->d_type);
    }
    closedir(d);
}

/* What is not touched is seen once, whatever happens to the others. */
CASE(dir_changes_while_read)
{
    static unsigned char seen[2000];
    char name[32];
    int names = 0;

    make_dir("d", 0755);
    make_many(1000);
    DIR *d = opendir("d");
    NEED(d);
    for (struct dirent *e; (e = readdir(d)) && names < 4000; names++) {
        if (e->d_name[0] == '.')
            continue;
        long n = strtol(e->d_name + 6, NULL, 10);
        NEED(n >= 0 && n < 2000);
        seen[n]++;
        if (names % 4 == 0 && names < 800) { /* one goes, one comes */
            (void)snprintf(name, sizeof(name), "d/entry-%d", 500 + names / 4);
            (void)unlink(name);
            (void)snprintf(name, sizeof(name), "d/entry-%d", 1000 + names);
            OK(mknod(name, S_IFREG | 0644, 0));
        }
    }
    closedir(d);
    expect_each(seen, 500, 1);
    expect_each(seen + 700, 300, 1);
    for (int i = 0; i < 2000; i++)
        TRUE(seen[i] <= 1);
}

CASE(dir_rewind_sees_new)
{
    static unsigned char seen[60];

    make_dir("d", 0755);
    make_many(30);
    DIR *d = opendir("d");
    NEED(d);
    EQ(32, read_all(d, seen, 30));
    OK(close(OK(open("d/entry-30", O_CREAT | O_WRONLY, 0644))));
    OK(unlink("d/entry-3"));
    memset(seen, 0, sizeof(seen));
    rewinddir(d);
    EQ(32, read_all(d, seen, 31));
    EQ(1, seen[30]);
    EQ(0, seen[3]);
    closedir(d);
}

CASE(dir_seek)
{
    enum { COUNT = 500 };
    static struct {
        long at;
        char name[32];
    } spots[COUNT + 2];
    int count = 0;

    make_dir("d", 0755);
    make_many(COUNT);
    DIR *d = opendir("d");
    NEED(d);
    for (;;) {
        long at = telldir(d);
        struct dirent *e = readdir(d);
        if (!e)
            break;
        NEED(count < COUNT + 2);
        spots[count].at = at;
        (void)snprintf(spots[count++].name, sizeof(spots[0].name), "%.31s", e->d_name);
    }
    EQ(COUNT + 2, count);
    for (int i = count - 1; i >= 0; i -= 7) {
        seekdir(d, spots[i].at);
        struct dirent *e = readdir(d);
        TRUE(e && strcmp(e->d_name, spots[i].name) == 0);
    }
    /* The place stays right when what lies before it, and at it, goes. */
    int half = count / 2;
    for (int i = 0; i <= half; i++) {
        if (spots[i].name[0] != '.')
            OK(unlinkat(dirfd(d), spots[i].name, 0));
    }
    seekdir(d, spots[half + 1].at);
    for (int i = half + 1; i < count; i++) {
        struct dirent *e = readdir(d);
        TRUE(e && strcmp(e->d_name, spots[i].name) == 0);
    }
    TRUE(readdir(d) == NULL);
    closedir(d);
}

CASE(dir_errors)
{
    char buf[1024];

    make_file("file", "x", 0644);
    make_owned_dir("closed", ALICE, STAFF, 0300);
    TRUE(!opendir("nothing") && errno == ENOENT);
    TRUE(!opendir("file") && errno == ENOTDIR);
    TRUE(!opendir("") && errno == ENOENT);
    int fd = OK(open("file", O_RDONLY));
    ERR(ENOTDIR, syscall(SYS_getdents64, fd, buf, sizeof(buf)));
    OK(close(fd));
    ERR(EBADF, syscall(SYS_getdents64, fd, buf, sizeof(buf)));
    fd = OK(open(".", O_RDONLY));
    ERR(EINVAL, syscall(SYS_getdents64, fd, buf, 8)); /* no room for one */
    OK(close(fd));
    as(ALICE, STAFF);
    TRUE(!opendir("closed") && errno == EACCES);
}

/* A directory that is removed while it is open is empty, or gone; it is no other one. */
CASE(dir_removed_while_open)
{
    make_dir("d", 0755);
    make_many(5);
    DIR *d = opendir("d");
    NEED(d);
    for (int i = 0; i < 5; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "entry-%d", i);
        OK(unlinkat(dirfd(d), name, 0));
    }
    OK(rmdir("d"));
    make_dir("d", 0755);
    make_many(2);
    int names = 0;
    rewinddir(d);
    while (readdir(d))
        names++;
    TRUE(names <= 2); /* "." and ".." at most */
    TRUE(openat(dirfd(d), "new", O_CREAT | O_WRONLY, 0644) == -1);
    TRUE(errno == ENOENT || (errno == ESTALE && posix_mode != LOCAL));
    closedir(d);
}

CASE(dir_rename_while_read)
{
    static unsigned char seen[200];

    make_dir("d", 0755);
    make_many(200);
    DIR *d = opendir("d");
    NEED(d && readdir(d) && readdir(d));
    OK(rename("d", "e"));
    (void)read_all(d, seen, 200);
    int missing = 0;
    for (int i = 0; i < 200; i++)
        missing += seen[i] == 0;
    TRUE(missing <= 2); /* the two read before, if they were no dots */
    closedir(d);
}
