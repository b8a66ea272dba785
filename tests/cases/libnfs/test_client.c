/* The whole of libnfs as a client: its own transport, mount and file calls, as programs use it. */
#include <fcntl.h>
#include <nfsc/libnfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "rig.h"

enum { BIG = (5 << 20) + 4321 };

struct client {
    struct server *server;
    struct nfs_context *nfs;
};

#define OK(call)                                                   \
    do {                                                           \
        if ((call) < 0)                                            \
            fail_msg("%s: %s", #call, nfs_get_error(client->nfs)); \
    } while (0)

static struct nfs_context *mount_server(struct server *server)
{
    struct nfs_context *nfs = nfs_init_context();
    char url[128];
    struct nfs_url *parsed;

    (void)snprintf(url, sizeof(url),
                   "nfs://127.0.0.1/bucket/?version=3&nfsport=%u&mountport=%u&uid=0&gid=0",
                   server->port, server->port);
    parsed = nfs_parse_url_dir(nfs, url);
    if (!parsed)
        fail_msg("%s", nfs_get_error(nfs));
    if (nfs_mount(nfs, parsed->server, parsed->path))
        fail_msg("mount: %s", nfs_get_error(nfs));
    nfs_destroy_url(parsed);
    return nfs;
}

static int setup(void **state)
{
    static const char *const args[] = {"--squash", "none", NULL};
    struct client *client = calloc(1, sizeof(*client));

    client->server = server_new(args);
    server_start(client->server);
    client->nfs = mount_server(client->server);
    *state = client;
    return 0;
}

static int teardown(void **state)
{
    struct client *client = *state;

    server_check_alive(client->server);
    nfs_destroy_context(client->nfs);
    server_free(client->server);
    free(client);
    return 0;
}

static void fill(char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 31 + i / 1021);
}

static void write_file(struct client *client, const char *path, char *data, size_t len)
{
    struct nfsfh *fh;

    OK(nfs_creat(client->nfs, path, 0644, &fh));
    for (size_t at = 0; at < len;) {
        int n = nfs_pwrite(client->nfs, fh, at, len - at, data + at);
        OK(n);
        assert_true(n > 0);
        at += (size_t)n;
    }
    OK(nfs_fsync(client->nfs, fh));
    OK(nfs_close(client->nfs, fh));
}

static void check_file(struct client *client, const char *path, const char *want, size_t len)
{
    struct nfsfh *fh;
    char *got = malloc(len + 1);
    size_t at = 0;

    OK(nfs_open(client->nfs, path, O_RDONLY, &fh));
    for (;;) {
        int n = nfs_pread(client->nfs, fh, at, len + 1 - at, got + at);
        OK(n);
        if (n == 0)
            break;
        at += (size_t)n;
        assert_true(at <= len);
    }
    assert_int_equal(at, len);
    assert_memory_equal(got, want, len);
    OK(nfs_close(client->nfs, fh));
    free(got);
}

static void files_go_and_come_back(void **state)
{
    struct client *client = *state;
    char *data = malloc(BIG);
    struct nfs_stat_64 st;

    fill(data, BIG);
    write_file(client, "/big", data, BIG);
    check_file(client, "/big", data, BIG);
    OK(nfs_stat64(client->nfs, "/big", &st));
    assert_int_equal(st.nfs_size, BIG);
    OK(nfs_truncate(client->nfs, "/big", 100000));
    check_file(client, "/big", data, 100000);
    OK(nfs_rename(client->nfs, "/big", "/small"));
    check_file(client, "/small", data, 100000);
    OK(nfs_unlink(client->nfs, "/small"));
    assert_true(nfs_stat64(client->nfs, "/small", &st) < 0);
    free(data);
}

static void trees_are_made_and_listed(void **state)
{
    struct client *client = *state;
    struct nfsdir *dir;
    struct nfsdirent *entry;
    char path[64];
    unsigned count = 0;

    OK(nfs_mkdir(client->nfs, "/tree"));
    for (int i = 0; i < 200; i++) {
        (void)snprintf(path, sizeof(path), "/tree/d%03d", i);
        OK(nfs_mkdir(client->nfs, path));
        (void)snprintf(path, sizeof(path), "/tree/d%03d/file", i);
        write_file(client, path, path, strlen(path));
    }
    OK(nfs_opendir(client->nfs, "/tree", &dir));
    while ((entry = nfs_readdir(client->nfs, dir)))
        count += entry->name[0] == 'd' && S_ISDIR(entry->mode);
    nfs_closedir(client->nfs, dir);
    assert_int_equal(count, 200);
    OK(nfs_rename(client->nfs, "/tree", "/forest"));
    (void)snprintf(path, sizeof(path), "/tree/d123/file");
    check_file(client, "/forest/d123/file", path, strlen(path));
    for (int i = 0; i < 200; i++) {
        (void)snprintf(path, sizeof(path), "/forest/d%03d/file", i);
        OK(nfs_unlink(client->nfs, path));
        (void)snprintf(path, sizeof(path), "/forest/d%03d", i);
        OK(nfs_rmdir(client->nfs, path));
    }
    OK(nfs_rmdir(client->nfs, "/forest"));
}

static void links_and_modes(void **state)
{
    struct client *client = *state;
    struct nfs_stat_64 st;
    char target[64];

    write_file(client, "/file", (char[]){"text"}, 4);
    OK(nfs_symlink(client->nfs, "file", "/link"));
    OK(nfs_readlink(client->nfs, "/link", target, sizeof(target)));
    assert_string_equal(target, "file");
    check_file(client, "/link", "text", 4);
    OK(nfs_chmod(client->nfs, "/file", 0600));
    OK(nfs_chown(client->nfs, "/file", 11, 22));
    OK(nfs_stat64(client->nfs, "/file", &st));
    assert_int_equal(st.nfs_mode & 07777, 0600);
    assert_int_equal(st.nfs_uid, 11);
    assert_int_equal(st.nfs_gid, 22);
    OK(nfs_lstat64(client->nfs, "/link", &st));
    assert_true(S_ISLNK(st.nfs_mode));
    assert_true(nfs_link(client->nfs, "/file", "/hard") < 0);
    assert_true(nfs_rmdir(client->nfs, "/file") < 0);
}

/* libnfs reconnects by itself: the mount goes on over a restart. */
static void mount_outlives_the_server(void **state)
{
    struct client *client = *state;
    char *data = malloc(BIG);
    struct nfsfh *fh;

    fill(data, BIG);
    write_file(client, "/before", data, 1000);
    OK(nfs_open(client->nfs, "/before", O_RDWR, &fh));
    server_restart(client->server, 9);
    OK(nfs_pwrite(client->nfs, fh, 1000, 1000, data + 1000));
    OK(nfs_fsync(client->nfs, fh));
    OK(nfs_close(client->nfs, fh));
    check_file(client, "/before", data, 2000);
    write_file(client, "/after", data, BIG);
    server_restart(client->server, 15);
    check_file(client, "/after", data, BIG);
    free(data);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(files_go_and_come_back),
        CASE(trees_are_made_and_listed),
        CASE(links_and_modes),
        CASE(mount_outlives_the_server),
    };

    rig_init(argc, argv);
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
