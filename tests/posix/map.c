/* mmap(2) and the file under it: one content, however it is looked at. */
#include "tests/posix/posix.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PAGE = 4096 };

static char *map(int fd, size_t len, int prot, int flags)
{
    char *at = mmap(NULL, len, prot, flags, fd, 0);

    NEED(at != MAP_FAILED);
    return at;
}

CASE(map_shared)
{
    char in[16];

    make_file("file", "in the file", 0644);
    int fd = OK(open("file", O_RDWR));
    OK(ftruncate(fd, 3 * PAGE));
    char *one = map(fd, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *two = map(fd, 3 * PAGE, PROT_READ, MAP_SHARED);
    TRUE(strcmp(one, "in the file") == 0);
    memcpy(one, "by map", 6);
    TRUE(memcmp(two, "by map file", 6) == 0); /* another mapping */
    EQ(6, pread(fd, in, 6, 0));               /* read(2) */
    TRUE(memcmp(in, "by map", 6) == 0);
    EQ(8, pwrite(fd, "by write", 8, PAGE)); /* write(2) */
    TRUE(memcmp(one + PAGE, "by write", 8) == 0);
    int other = OK(open("file", O_RDONLY)); /* another descriptor */
    memcpy(one + 2 * PAGE, "third", 5);
    EQ(5, pread(other, in, 5, 2 * PAGE));
    TRUE(memcmp(in, "third", 5) == 0);
    OK(msync(one, 3 * PAGE, MS_SYNC));
    OK(munmap(one, 3 * PAGE));
    OK(munmap(two, 3 * PAGE));
    OK(close(fd));
    OK(close(other));
    fd = OK(open("file", O_RDONLY | O_DIRECT)); /* past the cache */
    char *buf = aligned_alloc(PAGE, PAGE);
    EQ(PAGE, pread(fd, buf, PAGE, 2 * PAGE));
    TRUE(memcmp(buf, "third", 5) == 0);
    free(buf);
    OK(close(fd));
}

CASE(map_between_processes)
{
    int fd = OK(open("file", O_CREAT | O_RDWR, 0644)), status;

    OK(ftruncate(fd, PAGE));
    volatile char *at = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    pid_t pid = fork();
    if (pid == 0) {
        int own = open("file", O_RDWR);
        volatile char *mine = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
        mine[0] = 'c';
        while (mine[1] != 'p') /* SIGALRM is the limit */
            sched_yield();
        mine[2] = 'e';
        _exit(0);
    }
    while (at[0] != 'c')
        sched_yield();
    at[1] = 'p';
    NEED(waitpid(pid, &status, 0) == pid && status == 0);
    EQ('e', at[2]);
    OK(munmap((void *)at, PAGE));
    OK(close(fd));
    int again = OK(open("file", O_RDONLY));
    char in[3];
    EQ(3, read(again, in, 3));
    TRUE(memcmp(in, "cpe", 3) == 0);
    OK(close(again));
}

CASE(map_private)
{
    make_file("file", "original", 0644);
    int fd = OK(open("file", O_RDONLY));
    char *at = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memcpy(at, "my own", 6);
    TRUE(holds("file", "original"));
    OK(munmap(at, PAGE));
    OK(close(fd));
}

CASE(map_outlives_descriptor)
{
    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));

    OK(ftruncate(fd, PAGE));
    char *at = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    OK(close(fd));
    memcpy(at, "after close", 12);
    OK(munmap(at, PAGE));
    fd = OK(open("file", O_RDONLY));
    char in[12];
    EQ(12, read(fd, in, 12));
    TRUE(strcmp(in, "after close") == 0);
    OK(close(fd));
}

CASE(map_outlives_name)
{
    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));

    OK(ftruncate(fd, PAGE));
    char *at = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    OK(unlink("file"));
    memcpy(at, "no name", 8);
    char in[8];
    EQ(8, pread(fd, in, 8, 0));
    TRUE(strcmp(in, "no name") == 0);
    OK(msync(at, PAGE, MS_SYNC));
    OK(munmap(at, PAGE));
    OK(close(fd));
}

CASE(map_errors)
{
    make_file("file", "x", 0644);
    int fd = OK(open("file", O_WRONLY));
    errno = 0;
    TRUE(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
    OK(close(fd));
    fd = OK(open("file", O_RDONLY));
    errno = 0;
    TRUE(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
         errno == EACCES);
    TRUE(mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL);
    TRUE(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 1) == MAP_FAILED && errno == EINVAL);
    OK(close(fd));
    fd = OK(open(".", O_RDONLY));
    TRUE(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
    OK(close(fd));
}

static void touch_beyond(void *arg)
{
    volatile char *at = arg;
    char c = at[2 * PAGE];

    _exit(c ? 1 : 0);
}

CASE(map_truncated)
{
    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));

    OK(ftruncate(fd, 3 * PAGE));
    char *at = map(fd, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    memset(at, 'x', 3 * PAGE);
    EQ(1, in_child(touch_beyond, at));
    OK(ftruncate(fd, PAGE + 10));
    EQ(-SIGBUS, in_child(touch_beyond, at));
    EQ('x', at[PAGE + 9]);
    EQ(0, at[PAGE + 10]); /* the rest of the last page */
    OK(ftruncate(fd, 3 * PAGE));
    EQ(0, in_child(touch_beyond, at)); /* the old bytes do not come back */
    EQ(0, at[PAGE + 10]);
    OK(munmap(at, 3 * PAGE));
    OK(close(fd));
}

CASE(map_times)
{
    int fd = OK(open("file", O_CREAT | O_RDWR, 0644));

    OK(ftruncate(fd, PAGE));
    struct stat before = stat_of("file");
    tick();
    char *at = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    at[0] = 'x';
    OK(msync(at, PAGE, MS_SYNC));
    struct stat after;
    OK(fstat(fd, &after));
    TRUE(ns_of(after.st_mtim) > ns_of(before.st_mtim));
    OK(munmap(at, PAGE));
    OK(close(fd));
}

/* What one changes through a map is in the file when it is copied, sent or executed from. */
CASE(map_then_append)
{
    char in[16];

    make_file("file", "0123", 0644);
    int fd = OK(open("file", O_RDWR | O_APPEND));
    char *at = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    at[1] = 'M';
    at[10] = 'Z'; /* past the end: nowhere */
    EQ(4, write(fd, "4567", 4));
    EQ(8, pread(fd, in, sizeof(in), 0));
    TRUE(memcmp(in, "0M234567", 8) == 0);
    EQ('4', at[4]);
    OK(munmap(at, PAGE));
    OK(close(fd));
    EQ(8, stat_of("file").st_size);
    TRUE(holds("file", "0M234567"));
}
