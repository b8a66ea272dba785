/* Names, attributes and data through a mount, as programs see them. */
#include "tests/fuse/front_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"

static void check_errno(int result, int err)
{
    assert_int_equal(result, -1);
    assert_int_equal(errno, err);
}

static void test_names(void **state)
{
    struct stat a, b;
    char target[64] = "";

    (void)state;
    rig_start();
    assert_int_equal(mkdir(rig_path("d"), 0750), 0);
    check_errno(mkdir(rig_path("d"), 0750), EEXIST);
    rig_put("d/f", "one");
    assert_true(rig_body_is(rig_path("d/f"), "one"));
    check_errno(open(rig_path("d/f"), O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
    check_errno(open(rig_path("none"), O_RDONLY), ENOENT);
    assert_int_equal(stat(rig_path("d/f"), &a), 0);
    assert_int_equal(rename(rig_path("d/f"), rig_path("g")), 0);
    assert_int_equal(stat(rig_path("g"), &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    check_errno(stat(rig_path("d/f"), &a), ENOENT);
    rig_put("h", "two");
    check_errno(renameat2(AT_FDCWD, rig_path("g"), AT_FDCWD, rig_path("h"), RENAME_NOREPLACE),
                EEXIST);
    assert_int_equal(rename(rig_path("g"), rig_path("h")), 0);
    assert_true(rig_body_is(rig_path("h"), "one"));
    assert_int_equal(symlink("h", rig_path("l")), 0);
    assert_int_equal(readlink(rig_path("l"), target, sizeof(target)), 1);
    assert_string_equal(target, "h");
    assert_true(rig_body_is(rig_path("l"), "one"));
    check_errno(link(rig_path("h"), rig_path("hard")), EPERM);
    check_errno(mknod(rig_path("pipe"), S_IFIFO | 0600, 0), EPERM);
    assert_int_equal(mknod(rig_path("reg"), S_IFREG | 0600, 0), 0);
    check_errno(rmdir(rig_path("h")), ENOTDIR);
    check_errno(unlink(rig_path("d")), EISDIR);
    assert_int_equal(rmdir(rig_path("d")), 0);
    check_errno(rmdir(rig_path("d")), ENOENT);
    assert_int_equal(unlink(rig_path("l")), 0);
}

static void test_attributes(void **state)
{
    struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = -7, .tv_nsec = 9}};
    struct stat st;
    struct statvfs vfs;

    (void)state;
    rig_start();
    rig_put("f", "12345");
    assert_int_equal(chmod(rig_path("f"), 0640), 0);
    assert_int_equal(chown(rig_path("f"), 12, 34), 0);
    assert_int_equal(utimensat(AT_FDCWD, rig_path("f"), times, 0), 0);
    assert_int_equal(stat(rig_path("f"), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    assert_int_equal(st.st_uid, 12);
    assert_int_equal(st.st_gid, 34);
    assert_int_equal(st.st_atim.tv_sec, 1000);
    assert_int_equal(st.st_atim.tv_nsec, 5);
    assert_int_equal(st.st_mtim.tv_sec, -7);
    assert_int_equal(st.st_mtim.tv_nsec, 9);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(truncate(rig_path("f"), 3), 0);
    assert_true(rig_body_is(rig_path("f"), "123"));
    assert_int_equal(statvfs(rig_path("f"), &vfs), 0);
    assert_int_equal(vfs.f_namemax, FS_NAME_MAX);
    assert_int_equal(access(rig_path("f"), R_OK | W_OK), 0);
    check_errno(access(rig_path("f"), X_OK), EACCES);
}

/* Whoever cannot be trusted any more loses set-id bits: after a write, a cut, another owner. */
static void test_set_id(void **state)
{
    struct stat st;

    (void)state;
    rig_start();
    for (int how = 0; how < 3; how++) {
        rig_put("f", "12345");
        assert_int_equal(chown(rig_path("f"), 12, 34), 0);
        assert_int_equal(chmod(rig_path("f"), 06775), 0);
        pid_t pid = rig_fork();
        if (pid == 0) {
            bool changed;
            int fd = open(rig_path("f"), O_RDWR);
            if (how < 2 && (setgid(56) || setuid(12))) /* the owner, without privileges */
                _exit(9);
            changed = how == 0   ? pwrite(fd, "x", 1, 0) == 1
                      : how == 1 ? ftruncate(fd, 2) == 0
                                 : fchown(fd, 13, 34) == 0;
            _exit(changed ? 0 : 8);
        }
        assert_int_equal(rig_child_wait(pid), 0);
        assert_int_equal(stat(rig_path("f"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0775);
        assert_int_equal(unlink(rig_path("f")), 0);
    }
}

static int list(DIR *dir, int stop_at)
{
    int count = 0;

    for (struct dirent *e; count != stop_at && (e = readdir(dir));)
        count += e->d_name[0] != '.';
    return count;
}

static void test_directory(void **state)
{
    enum { FILES = 700 };
    struct stat st;

    (void)state;
    rig_start();
    assert_int_equal(mkdir(rig_path("d"), 0755), 0);
    for (int i = 0; i < FILES; i++)
        assert_int_equal(mknod(rig_path("d/file%d", i), S_IFREG | 0600, 0), 0);
    DIR *dir = opendir(rig_path("d"));
    assert_non_null(dir);
    assert_int_equal(list(dir, -1), FILES);
    rewinddir(dir);
    assert_int_equal(list(dir, 300), 300);
    long at = telldir(dir);
    assert_int_equal(list(dir, -1), FILES - 300);
    seekdir(dir, at); /* what comes after it is the same, whatever has gone before it */
    assert_int_equal(unlink(rig_path("d/file0")), 0);
    assert_int_equal(mknod(rig_path("d/late"), S_IFREG | 0600, 0), 0);
    int rest = list(dir, -1);
    assert_in_range(rest, FILES - 300, FILES - 300 + 1);
    rewinddir(dir);
    for (struct dirent *e; (e = readdir(dir));) { /* all go, while it is read */
        if (e->d_name[0] == '.')
            continue;
        assert_int_equal(e->d_type, DT_REG);
        assert_int_equal(fstatat(dirfd(dir), e->d_name, &st, 0), 0);
        assert_int_equal(st.st_ino, e->d_ino);
        assert_int_equal(unlinkat(dirfd(dir), e->d_name, 0), 0);
    }
    assert_int_equal(fsync(dirfd(dir)), 0);
    (void)closedir(dir);
    assert_int_equal(rmdir(rig_path("d")), 0);
}

static void test_unlinked(void **state)
{
    char buf[16];
    struct stat st;

    (void)state;
    rig_start();
    int fd = open(rig_path("f"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "before", 6), 6);
    assert_int_equal(unlink(rig_path("f")), 0);
    assert_int_equal(pwrite(fd, "after", 5, 3), 5);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(st.st_size, 8);
    assert_int_equal(pread(fd, buf, sizeof(buf), 0), 8);
    assert_memory_equal(buf, "befafter", 8);
    rig_put("f", "another");
    assert_int_equal(pread(fd, buf, sizeof(buf), 0), 8);
    assert_int_equal(close(fd), 0);
    assert_true(rig_body_is(rig_path("f"), "another"));

    fd = open(rig_path("f"), O_RDONLY);
    rig_put("g", "the third");
    assert_int_equal(rename(rig_path("g"), rig_path("f")), 0);
    assert_int_equal(pread(fd, buf, sizeof(buf), 0), 7);
    assert_memory_equal(buf, "another", 7);
    assert_int_equal(close(fd), 0);
}

static int append_lines(void *arg)
{
    int fd = open(arg, O_WRONLY | O_APPEND);

    for (int i = 0; i < 50; i++) {
        if (write(fd, "0123456789abcdef", 16) != 16)
            return 1;
    }
    return close(fd) ? 2 : 0;
}

static void test_append(void **state)
{
    pid_t pids[4];
    struct stat st;
    char buf[16];

    (void)state;
    rig_start();
    rig_put("f", "");
    for (int i = 0; i < 4; i++)
        pids[i] = rig_child(append_lines, (void *)(uintptr_t)rig_path("f"));
    for (int i = 0; i < 4; i++)
        assert_int_equal(rig_child_wait(pids[i]), 0);
    assert_int_equal(stat(rig_path("f"), &st), 0);
    assert_int_equal(st.st_size, 4 * 50 * 16);
    int fd = open(rig_path("f"), O_RDONLY | O_DIRECT);
    for (int i = 0; i < 4 * 50; i++) {
        assert_int_equal(pread(fd, buf, 16, i * 16), 16);
        assert_memory_equal(buf, "0123456789abcdef", 16);
    }
    (void)close(fd);
}

static void test_truncating_open(void **state)
{
    struct stat st;

    (void)state;
    rig_start();
    rig_put("f", "something");
    int fd = open(rig_path("f"), O_WRONLY | O_TRUNC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(close(fd), 0);
    assert_true(rig_body_is(rig_path("f"), "x"));
    assert_true(rig_body_is(rig_bucket_path("f"), "x"));
}

static void test_direct(void **state)
{
    enum { SIZE = 3 << 20 };
    uint8_t *a = mem_alloc(SIZE), *b = mem_alloc(SIZE);

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        a[i] = (uint8_t)(i ^ i >> 9);
    rig_start();
    int fd = open(rig_path("f"), O_RDWR | O_CREAT | O_DIRECT, 0600);
    int cached = open(rig_path("f"), O_RDONLY);
    assert_int_equal(write(fd, a, SIZE), SIZE);
    assert_int_equal(pread(fd, b, SIZE, 0), SIZE);
    assert_memory_equal(a, b, SIZE);
    assert_int_equal(pread(cached, b, SIZE, 0), SIZE);
    assert_memory_equal(a, b, SIZE);
    assert_int_equal(pwrite(fd, "new", 3, 5000), 3);
    assert_int_equal(pread(cached, b, 3, 5000), 3); /* not the page of before */
    assert_memory_equal(b, "new", 3);
    assert_int_equal(close(fd) | close(cached), 0);
    free(a);
    free(b);
}

static void test_mapped(void **state)
{
    enum { SIZE = 64 << 10 };
    char buf[8];

    (void)state;
    rig_start();
    int fd = open(rig_path("f"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    memcpy(map + 100, "mapped", 6);
    assert_int_equal(pread(fd, buf, 6, 100), 6);
    assert_memory_equal(buf, "mapped", 6);
    assert_int_equal(pwrite(fd, "written", 7, 9000), 7);
    assert_memory_equal(map + 9000, "written", 7);
    assert_int_equal(msync(map, SIZE, MS_SYNC), 0);
    memcpy(map + 200, "late", 4);
    assert_int_equal(close(fd), 0); /* takes what is in the map along */
    fd = open(rig_bucket_path("f"), O_RDONLY);
    assert_int_equal(pread(fd, buf, 4, 200), 4);
    assert_memory_equal(buf, "late", 4);
    (void)close(fd);
    memcpy(map + 300, "last", 4);
    assert_int_equal(munmap(map, SIZE), 0);
    fd = open(rig_path("f"), O_RDONLY | O_DIRECT);
    assert_int_equal(pread(fd, buf, 4, 300), 4);
    assert_memory_equal(buf, "last", 4);
    (void)close(fd);
}

static int try_locks(void *arg)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
    int fd = open(arg, O_RDWR), result = 0;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        result |= 1;
    if (fcntl(fd, F_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES))
        result |= 2;
    lock.l_start = 30;
    if (fcntl(fd, F_SETLK, &lock))
        result |= 4;
    return result;
}

static void test_locks(void **state)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = 0, .l_len = 20};

    (void)state;
    rig_start();
    rig_put("f", "locked");
    int fd = open(rig_path("f"), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
    void *path = (void *)(uintptr_t)rig_path("f");
    assert_int_equal(rig_child_wait(rig_child(try_locks, path)), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(rig_child_wait(rig_child(try_locks, path)), 3); /* it gets all of them */
}

static void test_xattr(void **state)
{
    char buf[128];

    (void)state;
    rig_start();
    rig_put("f", "x");
    const char *f = rig_path("f");
    assert_int_equal(setxattr(f, "user.color", "blue", 4, XATTR_CREATE), 0);
    check_errno(setxattr(f, "user.color", "blue", 4, XATTR_CREATE), EEXIST);
    assert_int_equal(getxattr(f, "user.color", NULL, 0), 4);
    assert_int_equal(getxattr(f, "user.color", buf, sizeof(buf)), 4);
    assert_memory_equal(buf, "blue", 4);
    check_errno((int)getxattr(f, "user.color", buf, 2), ERANGE);
    check_errno((int)getxattr(f, "user.none", buf, sizeof(buf)), ENODATA);
    ssize_t len = listxattr(f, buf, sizeof(buf));
    assert_true(len >= 11);
    assert_non_null(memmem(buf, (size_t)len, "user.color", 11));
    assert_int_equal(removexattr(f, "user.color"), 0);
    check_errno(removexattr(f, "user.color"), ENODATA);
}

static void test_ranges(void **state)
{
    struct stat st;
    char buf[8];

    (void)state;
    rig_start();
    int fd = open(rig_path("f"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(pwrite(fd, "data", 4, 1 << 20), 4);
    assert_int_equal(lseek(fd, 0, SEEK_DATA), 1 << 20);
    assert_int_equal(lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 4);
    check_errno((int)lseek(fd, 2 << 20, SEEK_DATA), ENXIO);
    assert_int_equal(lseek(fd, -2, SEEK_END), (1 << 20) + 2);
    assert_int_equal(fallocate(fd, 0, 0, 3 << 20), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 3 << 20);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 2), 0);
    assert_int_equal(pread(fd, buf, 4, 1 << 20), 4);
    assert_memory_equal(buf, "\0\0ta", 4);
    check_errno(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
    int to = open(rig_path("g"), O_RDWR | O_CREAT, 0600);
    loff_t from_off = 1 << 20, to_off = 1;
    assert_int_equal(copy_file_range(fd, &from_off, to, &to_off, 4, 0), 4);
    assert_int_equal(pread(to, buf, 8, 0), 5);
    assert_memory_equal(buf, "\0\0\0ta", 5);
    assert_int_equal(close(fd) | close(to), 0);
}

static void test_read_only(void **state)
{
    (void)state;
    rig_bucket_put("f", "there");
    rig_config.read_only = true;
    rig_start();
    assert_true(rig_body_is(rig_path("f"), "there"));
    check_errno(open(rig_path("g"), O_CREAT | O_WRONLY, 0600), EROFS);
    check_errno(unlink(rig_path("f")), EROFS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_names),           TEST(test_attributes), TEST(test_set_id),
        TEST(test_directory),       TEST(test_unlinked),   TEST(test_append),
        TEST(test_truncating_open), TEST(test_direct),     TEST(test_mapped),
        TEST(test_locks),           TEST(test_xattr),      TEST(test_ranges),
        TEST(test_read_only),
    };

    return rig_main(tests, sizeof(tests) / sizeof(tests[0]));
}
