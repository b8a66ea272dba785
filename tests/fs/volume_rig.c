/* The rig of volume_rig.h. */
#include "tests/fs/volume_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/store.h"

static char top[] = "/tmp/pailfs-test-volume-XXXXXX";
char rig_bucket[128];
static char state_dir[128], url[160];
struct fs *rig_fs;
struct fs_volume *rig_vol;
int64_t rig_quiet_ns = 10 * CLOCK_MS, rig_attr_ttl_ns;
void (*rig_before_run)(void);

const char *rig_state_dir(void)
{
    return state_dir;
}

struct fs_req rig_request(void)
{
    return (struct fs_req){.deadline_ns = clock_mono_ns() + RIG_WAIT_S * CLOCK_S};
}

void rig_start(void)
{
    struct fs_config config = {.state_dir = state_dir,
                               .memory_limit = 64 << 20,
                               .stage_limit = 256 << 20,
                               .attr_ttl_ns = rig_attr_ttl_ns,
                               .quiet_ns = rig_quiet_ns};
    struct store_config store = {0};
    struct fs_error err = {{0}};

    if (fs_start(&config, &rig_fs, &err) ||
        fs_add_volume(rig_fs, url, &store, NULL, &rig_vol, &err))
        fail_msg("%s", err.text);
    if (rig_before_run)
        rig_before_run();
    if (fs_run(rig_fs, &err))
        fail_msg("%s", err.text);
}

void rig_stop(int64_t for_ns)
{
    fs_stop(rig_fs, clock_mono_ns() + for_ns, NULL);
    rig_fs = NULL;
}

/* Waits for what the last request changed. */
void rig_durable(const struct fs_req *req)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;

    while (fs_durable(rig_fs) < req->seq) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(1000);
    }
}

/* Everything is in the rig_bucket, and nothing has to move or go any more. */
void rig_settled(void)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    struct fs_left left;

    do {
        assert_true(clock_mono_ns() < end);
        (void)usleep(10 * 1000);
        fs_get_left(rig_fs, &left);
    } while (left.files + left.intents > 0);
}

uint64_t rig_make_dir(uint64_t dir, const char *name)
{
    struct fs_req req = rig_request();
    struct fs_sattr set = {0};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(fs_mkdir(rig_vol, &req, dir, name, &set, &node, &wcc), 0);
    rig_durable(&req);
    return node.ino;
}

uint64_t rig_put(uint64_t dir, const char *name, const char *body)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)body, .iov_len = strlen(body)};
    struct fs_req req = rig_request();
    struct fs_sattr set = {.set = FS_SET_SIZE};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(
        fs_create(rig_vol, &req, dir, name, FS_CREATE_UNCHECKED, &set, NULL, &node, &wcc), 0);
    req = rig_request();
    assert_int_equal(fs_write(rig_vol, &req, node.ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
    rig_durable(&req);
    return node.ino;
}

int rig_look(uint64_t dir, const char *name, uint64_t *ret)
{
    struct fs_req req = rig_request();
    struct fs_node node, dir_node;
    int err = fs_lookup(rig_vol, &req, dir, name, &node, &dir_node);

    if (!err && ret)
        *ret = node.ino;
    return err;
}

void rig_check_body(uint64_t dir, const char *name, const char *want)
{
    struct fs_req req = rig_request();
    struct fs_node node;
    struct fs_data data;
    uint64_t ino;
    bool eof;

    assert_int_equal(rig_look(dir, name, &ino), 0);
    assert_int_equal(fs_read(rig_vol, &req, ino, 0, 1000, &data, &eof, &node), 0);
    assert_int_equal(data.len, strlen(want));
    if (data.len > 0)
        assert_memory_equal(data.iov[0].iov_base, want, data.len);
    assert_true(eof);
    fs_data_release(&data);
}

void rig_rename(uint64_t from_dir, const char *from, uint64_t to_dir, const char *to)
{
    int64_t end = clock_mono_ns() + RIG_WAIT_S * CLOCK_S;
    struct fs_req req;
    struct fs_wcc a, b;
    int err;

    /* A directory that lies in too many places at once has to wait for its drains. */
    while (req = rig_request(),
           (err = fs_rename(rig_vol, &req, from_dir, from, to_dir, to, &a, &b)) == -EAGAIN) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(20 * 1000);
    }
    assert_int_equal(err, 0);
    rig_durable(&req);
}

static bool count_entry(void *ctx, const struct fs_dir_entry *entry)
{
    if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
        ++*(size_t *)ctx;
    return true;
}

size_t rig_list(uint64_t dir)
{
    struct fs_req req = rig_request();
    struct fs_node node;
    size_t count = 0;
    bool eof = false;

    assert_int_equal(fs_readdir(rig_vol, &req, dir, 0, false, count_entry, &count, &eof, &node), 0);
    assert_true(eof);
    return count;
}

/* Of the rig_bucket itself, without what the store keeps for itself. */
size_t rig_bucket_files(const char *dir)
{
    CLEANUP_FREE char *path = mem_printf("%s/%s", rig_bucket, dir);
    DIR *d = opendir(path);
    size_t count = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return count;
}

void rig_remove(uint64_t dir, const char *name, bool is_dir)
{
    struct fs_req req = rig_request();
    struct fs_wcc wcc;

    assert_int_equal(is_dir ? fs_rmdir(rig_vol, &req, dir, name, &wcc)
                            : fs_remove(rig_vol, &req, dir, name, &wcc),
                     0);
}

bool rig_bucket_has(const char *path)
{
    CLEANUP_FREE char *full = mem_printf("%s/%s", rig_bucket, path);
    struct stat st;

    return lstat(full, &st) == 0;
}

void rig_bucket_put(const char *path, const char *body)
{
    CLEANUP_FREE char *full = mem_printf("%s/%s", rig_bucket, path);
    FILE *f = fopen(full, "we");

    assert_non_null(f);
    (void)fputs(body, f);
    assert_int_equal(fclose(f), 0);
}

void rig_bucket_mkdir(const char *path)
{
    CLEANUP_FREE char *full = mem_printf("%s/%s", rig_bucket, path);

    assert_int_equal(mkdir(full, 0755), 0);
}

int rig_setup(void **state)
{
    (void)state;
    (void)memcpy(top + sizeof(top) - 7, "XXXXXX", 6); /* also the second time */
    assert_non_null(mkdtemp(top));
    (void)snprintf(rig_bucket, sizeof(rig_bucket), "%s/bucket", top);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
    (void)snprintf(url, sizeof(url), "file://%s", rig_bucket);
    assert_int_equal(mkdir(rig_bucket, 0700), 0);
    rig_start();
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int rig_teardown(void **state)
{
    (void)state;
    if (rig_fs)
        rig_stop(RIG_WAIT_S * CLOCK_S);
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
