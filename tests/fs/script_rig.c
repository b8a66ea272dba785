/* The rig of script_rig.h. */
#include "tests/fs/script_rig.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cloud/store.h"

static char top[] = "/tmp/pailfs-test-options-XXXXXX";
struct fault_server *script_server;
struct fs *script_fs;
struct fs_volume *script_vol;

const struct fault_step script_bucket[] = {BUCKET,
                                           {.match = "PUT",
                                            .status = "200 OK",
                                            .headers = "ETag: \"e2\"\r\n",
                                            .body = COPIED,
                                            .times = ANY},
                                           {.match = "POST", .status = "501 N", .times = ANY},
                                           {0}};

void script_start(const struct fs_volume_config *config, bool read_only)
{
    char state_dir[128], endpoint[64];
    struct fs_error err = {{0}};

    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", top);
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u",
                   fault_server_port(script_server));
    struct fs_config process = {.state_dir = state_dir,
                                .memory_limit = 64 << 20,
                                .stage_limit = 64 << 20,
                                .attr_ttl_ns = LONG,
                                .quiet_ns = CLOCK_MS};
    struct store_config store = {
        .endpoint = endpoint, .region = "us-west-1", .read_only = read_only, .probe_id = 1};
    if (fs_start(&process, &script_fs, &err) ||
        fs_add_volume(script_fs, "s3://bkt", &store, config, &script_vol, &err) ||
        fs_run(script_fs, &err))
        fail_msg("%s", err.text);
    fault_server_script(script_server, script_bucket);
}

void script_stop(void)
{
    fs_stop(script_fs, clock_mono_ns() + SCRIPT_WAIT_S * CLOCK_S, NULL);
    script_fs = NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int script_setup(void **state)
{
    (void)state;
    /* NOLINTBEGIN(concurrency-mt-unsafe): there is no other thread yet */
    (void)setenv("no_proxy", "127.0.0.1", 1);
    (void)setenv("AWS_ACCESS_KEY_ID", "key", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    (void)setenv("AWS_CONFIG_FILE", "/dev/null", 1);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
    (void)snprintf(top, sizeof(top), "/tmp/pailfs-test-options-XXXXXX");
    script_server = fault_server_start(script_bucket);
    return mkdtemp(top) ? 0 : -1;
}

int script_teardown(void **state)
{
    (void)state;
    if (script_fs)
        script_stop();
    fault_server_stop(script_server);
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct fs_req script_request(void)
{
    return (struct fs_req){.deadline_ns = clock_mono_ns() + SCRIPT_WAIT_S * CLOCK_S};
}

struct fs_node script_look(const char *name, int want)
{
    struct fs_req req = script_request();
    struct fs_node node = {0}, dir_node;

    assert_int_equal(fs_lookup(script_vol, &req, fs_root(script_vol), name, &node, &dir_node),
                     want);
    return node;
}

void script_set_mode(uint64_t ino, uint32_t mode)
{
    struct fs_req req = script_request();
    struct fs_sattr set = {.set = FS_SET_MODE, .mode = mode};
    struct fs_wcc wcc;

    assert_int_equal(fs_setattr(script_vol, &req, ino, &set, NULL, &wcc), 0);
}

uint64_t script_create(const char *name)
{
    struct fs_req req = script_request();
    struct fs_sattr set = {.set = FS_SET_MODE, .mode = 0644};
    struct iovec iov = {(void *)(uintptr_t) "hello", 5};
    struct fs_node node;
    struct fs_wcc wcc;

    assert_int_equal(fs_create(script_vol, &req, fs_root(script_vol), name, FS_CREATE_GUARDED, &set,
                               NULL, &node, &wcc),
                     0);
    assert_int_equal(fs_write(script_vol, &req, node.ino, 0, &iov, 1, FS_FILE_SYNC, &wcc), 0);
    return node.ino;
}

void script_rename(const char *from, const char *to)
{
    struct fs_req req = script_request();
    struct fs_wcc from_wcc, to_wcc;

    assert_int_equal(fs_rename(script_vol, &req, fs_root(script_vol), from, fs_root(script_vol), to,
                               &from_wcc, &to_wcc),
                     0);
}

void script_settled(void)
{
    int64_t end = clock_mono_ns() + SCRIPT_WAIT_S * CLOCK_S;
    struct fs_left left;

    for (fs_get_left(script_fs, &left); left.files + left.intents > 0;
         fs_get_left(script_fs, &left)) {
        assert_true(clock_mono_ns() < end);
        (void)usleep(1000);
    }
}

void script_forget(void)
{
    CLEANUP_FREE char *state_dir = mem_printf("%s/state", top);

    (void)nftw(state_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
