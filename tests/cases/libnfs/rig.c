/* Starting, watching and ending a gateway; the namespace around it. */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RIG_PORT = 20499, RIG_START_MS = 60000, RIG_STOP_MS = 120000, RIG_STEP_MS = 5 };

static const char *rig_binary;
static bool rig_alone;
static struct server *rig_servers; /* not freed yet: a case that fails leaves its own */

int64_t rig_now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        (void)close(fd);
    }
}

static void if_up(const char *name, const char *addr)
{
    struct ifreq ifr = {0};
    struct sockaddr_in sin = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    if (addr) {
        assert_int_equal(inet_pton(AF_INET, addr, &sin.sin_addr), 1);
        memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
        assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
    } else {
        ifr.ifr_flags = IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &ifr))
            perror("lo");
    }
    (void)close(fd);
}

void rig_add_address(const char *addr)
{
    static int count;
    char name[IFNAMSIZ];

    assert_true(rig_alone);
    (void)snprintf(name, sizeof(name), "lo:%d", ++count);
    if_up(name, addr);
}

/* A network of our own; as an ordinary user, with a user namespace in which we are root. */
static bool isolate(void)
{
    char map[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (uid == 0)
        return unshare(CLONE_NEWNET) == 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return false;
    put_file("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
    put_file("/proc/self/uid_map", map);
    (void)snprintf(map, sizeof(map), "0 %u 1", (unsigned)gid);
    put_file("/proc/self/gid_map", map);
    return geteuid() == 0;
}

static void free_servers(void)
{
    while (rig_servers)
        server_free(rig_servers);
}

void rig_init(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s PAILFS [PATTERN]\n", argv[0]);
        exit(2);
    }
    rig_binary = argv[1];
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)atexit(free_servers);
    rig_alone = isolate();
    if (rig_alone)
        if_up("lo", NULL);
}

bool rig_isolated(void)
{
    return rig_alone;
}

static uint16_t free_port(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    (void)close(fd);
    return ntohs(sin.sin_port);
}

const char *server_path(const struct server *server, const char *name)
{
    static char paths[4][2048];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", server->dir, name);
    return path;
}

static void add_arg(struct server *server, const char *arg)
{
    assert_true(server->arg_count + 1 < RIG_ARGS_MAX);
    server->args[server->arg_count++] = strdup(arg);
}

static void add_export(struct server *server, const char *name)
{
    char url[256];

    assert_int_equal(mkdir(server_path(server, name), 0755), 0);
    (void)snprintf(url, sizeof(url), "file://%s", server_path(server, name));
    add_arg(server, url);
}

struct server *server_new(const char *const *extra)
{
    static uint16_t next_port = RIG_PORT;
    struct server *server = calloc(1, sizeof(*server));
    char port[8];
    bool exported = false;

    (void)snprintf(server->dir, sizeof(server->dir), "/tmp/pailfs-case-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    server->next = rig_servers;
    rig_servers = server;
    server->port = rig_alone ? next_port++ : free_port();
    (void)snprintf(port, sizeof(port), "%u", server->port);
    add_arg(server, rig_binary);
    add_arg(server, "serve");
    add_arg(server, "--state-dir");
    add_arg(server, server_path(server, "state"));
    add_arg(server, "--nfs-port");
    add_arg(server, port);
    add_arg(server, "--insecure-ports");
    add_arg(server, "--listen");
    add_arg(server, rig_alone ? "0.0.0.0" : "127.0.0.1");
    add_arg(server, "--portmap");
    add_arg(server, "off");
    for (; extra && *extra; extra++) {
        if (**extra == '@')
            add_export(server, *extra + 1);
        else
            add_arg(server, *extra);
        exported |= **extra == '@';
    }
    if (!exported)
        add_export(server, "bucket");
    return server;
}

static void show_log(const struct server *server)
{
    char buf[4096];
    FILE *log = fopen(server_path(server, "log"), "re");
    size_t len;

    if (!log)
        return;
    if (fseek(log, -(long)sizeof(buf) + 1, SEEK_END))
        rewind(log);
    len = fread(buf, 1, sizeof(buf) - 1, log);
    (void)fprintf(stderr, "--- the server's log ends:\n%.*s---\n", (int)len, buf);
    (void)fclose(log);
}

void server_check_alive(struct server *server)
{
    int status;

    if (server->pid == 0 || waitpid(server->pid, &status, WNOHANG) == 0)
        return;
    server->pid = 0;
    (void)fprintf(stderr, "the server has ended with status %#x\n", (unsigned)status);
    show_log(server);
    fail_msg("the server has ended");
}

static void run_server(struct server *server, pid_t parent)
{
    sigset_t none;
    int log = open(server_path(server, "log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    execv(server->args[0], server->args);
    perror(server->args[0]);
    _exit(126);
}

static bool answers(const struct server *server)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons(server->port),
                              .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* NULL of NFS with AUTH_NONE */
    static const uint8_t null_call[44] = {0x80, 0, 0, 40, 0, 0, 0,    1,    0, 0, 0, 0,
                                          0,    0, 0, 2,  0, 1, 0x86, 0xa3, 0, 0, 0, 3};
    uint8_t reply[28];
    bool ok = connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
              send(fd, null_call, sizeof(null_call), MSG_NOSIGNAL) == (ssize_t)sizeof(null_call) &&
              recv(fd, reply, sizeof(reply), MSG_WAITALL) == (ssize_t)sizeof(reply);

    (void)close(fd);
    return ok;
}

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

void server_start(struct server *server)
{
    int64_t end = rig_now_ms() + RIG_START_MS;
    pid_t parent = getpid();

    assert_int_equal(server->pid, 0);
    server->pid = fork();
    if (server->pid == 0)
        run_server(server, parent);
    assert_true(server->pid > 0);
    while (!answers(server)) {
        server_check_alive(server);
        if (rig_now_ms() > end) {
            show_log(server);
            fail_msg("the server does not answer");
        }
        pause_ms(RIG_STEP_MS);
    }
}

void server_stop(struct server *server, int sig)
{
    int status = 0;
    int64_t end = rig_now_ms() + RIG_STOP_MS;

    assert_true(server->pid > 0);
    assert_int_equal(kill(server->pid, sig), 0);
    while (waitpid(server->pid, &status, WNOHANG) == 0) {
        if (rig_now_ms() > end) {
            (void)kill(server->pid, SIGKILL);
            show_log(server);
            fail_msg("the server does not end");
        }
        pause_ms(RIG_STEP_MS);
    }
    server->pid = 0;
    if (sig == SIGTERM && status != 0) {
        show_log(server);
        fail_msg("after SIGTERM the server has ended with status %#x", (unsigned)status);
    }
}

void server_restart(struct server *server, int sig)
{
    server_stop(server, sig);
    server_start(server);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void server_free(struct server *server)
{
    struct server **at = &rig_servers;
    const char *keep = getenv("KEEP");

    while (*at != server)
        at = &(*at)->next;
    *at = server->next;
    if (server->pid > 0) {
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
    }
    if (keep && *keep)
        (void)fprintf(stderr, "kept: %s\n", server->dir);
    else
        (void)nftw(server->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (int i = 0; i < server->arg_count; i++)
        free(server->args[i]);
    free(server);
}

static char *file_text(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *file = fopen(path, "re");

    if (file) {
        text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
        (void)fclose(file);
    }
    return text;
}

char *server_bucket_text(const struct server *server, const char *name, const char *want)
{
    int64_t end = rig_now_ms() + 20000;
    char path[2048];

    (void)snprintf(path, sizeof(path), "%s/bucket/%s", server->dir, name);
    for (;;) {
        char *text = file_text(path);
        if (!want || strcmp(text, want) == 0 || rig_now_ms() > end)
            return text;
        free(text);
        pause_ms(RIG_STEP_MS);
    }
}
