/* A misbehaving HTTP server for tests: one thread that accepts, one thread for each connection. */
#include "tests/cloud/fault_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { CONNECTIONS_MAX = 256, HEAD_MAX = 16384 };

struct fault_connection {
    struct fault_server *server;
    pthread_t thread;
    int fd;
};

struct fault_server {
    int fd;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    const struct fault_step *script;
    unsigned used[64];
    char *requests[FAULT_REQUESTS_MAX];
    unsigned request_count;
    struct fault_connection connections[CONNECTIONS_MAX];
    unsigned connection_count;
};

static const struct fault_step no_step = {
    .match = "", .status = "418 I am a teapot", .body = "the script has no step for this"};

/* A copy: the script may be another one by the time the answer is out. */
static struct fault_step step_take(struct fault_server *server, const char *head)
{
    const struct fault_step *step = NULL;

    (void)pthread_mutex_lock(&server->lock);
    if (server->request_count < FAULT_REQUESTS_MAX)
        server->requests[server->request_count++] = mem_strdup(head);
    for (unsigned i = 0; !step && server->script[i].match; i++) {
        const struct fault_step *s = &server->script[i];
        if (strncmp(head, s->match, strlen(s->match)) == 0 &&
            server->used[i] < (s->times ? s->times : 1)) {
            server->used[i]++;
            step = s;
        }
    }
    struct fault_step copy = step ? *step : no_step;
    (void)pthread_mutex_unlock(&server->lock);
    return copy;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

static void wait_for_end(int fd)
{
    char buf[256];

    while (recv(fd, buf, sizeof(buf), 0) > 0)
        ;
}

/* False: the connection is done with. */
static bool step_play(int fd, const struct fault_step *step, bool is_head)
{
    char head[2048];
    size_t len = step->body ? strlen(step->body) : 0;

    if (step->hang)
        wait_for_end(fd);
    if (!step->status)
        return false;
    int n =
        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", step->status,
                 step->length ? step->length : len, step->headers ? step->headers : "");
    assert(n > 0 && (size_t)n < sizeof(head));
    send_all(fd, head, (size_t)n);
    if (is_head)
        return true;
    if (len > 0)
        send_all(fd, step->body, len);
    return !step->reset && (step->length == 0 || step->length == len);
}

/* Reads one request: its head to head, its body to nowhere. */
static bool request_read(int fd, char *head)
{
    size_t len = 0;
    char *end = NULL;

    while (!end) {
        ssize_t n = len < HEAD_MAX - 1 ? recv(fd, head + len, HEAD_MAX - 1 - len, 0) : 0;
        if (n <= 0)
            return false;
        len += (size_t)n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    const char *length = strcasestr(head, "\r\nContent-Length:");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    size_t have = len - (size_t)(end + 4 - head);
    if (strcasestr(head, "\r\nExpect: 100-continue"))
        send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    end[4] = '\0';
    while (have < body) {
        char buf[4096];
        ssize_t n = recv(fd, buf, sizeof(buf), 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

static void *connection_main(void *arg)
{
    struct fault_connection *connection = arg;
    char *head = mem_alloc(HEAD_MAX);
    bool more = true, reset = false;

    while (more && request_read(connection->fd, head)) {
        struct fault_step step = step_take(connection->server, head);
        if (step.deaf)
            (void)shutdown(connection->server->fd, SHUT_RDWR);
        more = step_play(connection->fd, &step, strncmp(head, "HEAD ", 5) == 0);
        reset = step.reset;
    }
    if (reset) {
        struct linger linger = {.l_onoff = 1};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    free(head);
    (void)pthread_mutex_lock(&connection->server->lock);
    (void)close(connection->fd);
    connection->fd = -1;
    (void)pthread_mutex_unlock(&connection->server->lock);
    return NULL;
}

static void *server_main(void *arg)
{
    struct fault_server *server = arg;
    int fd;

    while ((fd = accept(server->fd, NULL, NULL)) >= 0) {
        (void)pthread_mutex_lock(&server->lock);
        assert(server->connection_count < CONNECTIONS_MAX);
        struct fault_connection *connection = &server->connections[server->connection_count++];
        connection->server = server;
        connection->fd = fd;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (pthread_create(&connection->thread, NULL, connection_main, connection))
            abort();
        (void)pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

struct fault_server *fault_server_start(const struct fault_step *script)
{
    struct fault_server *server = mem_zalloc(sizeof(*server));
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);

    (void)pthread_mutex_init(&server->lock, NULL);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->script = script;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&addr, sizeof(addr)) ||
        listen(server->fd, 64) || getsockname(server->fd, (struct sockaddr *)&addr, &len) ||
        pthread_create(&server->thread, NULL, server_main, server))
        abort();
    server->port = ntohs(addr.sin_port);
    return server;
}

static void requests_forget(struct fault_server *server)
{
    for (unsigned i = 0; i < server->request_count; i++)
        free(server->requests[i]);
    server->request_count = 0;
}

void fault_server_stop(struct fault_server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->fd);
    for (unsigned i = 0; i < server->connection_count; i++) {
        (void)pthread_mutex_lock(&server->lock);
        if (server->connections[i].fd >= 0)
            (void)shutdown(server->connections[i].fd, SHUT_RDWR);
        (void)pthread_mutex_unlock(&server->lock);
        (void)pthread_join(server->connections[i].thread, NULL);
    }
    requests_forget(server);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

unsigned fault_server_port(const struct fault_server *server)
{
    return server->port;
}

void fault_server_script(struct fault_server *server, const struct fault_step *script)
{
    (void)pthread_mutex_lock(&server->lock);
    server->script = script;
    memset(server->used, 0, sizeof(server->used));
    requests_forget(server);
    (void)pthread_mutex_unlock(&server->lock);
}

unsigned fault_server_count(struct fault_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    unsigned count = server->request_count;
    (void)pthread_mutex_unlock(&server->lock);
    return count;
}

const char *fault_server_request(struct fault_server *server, unsigned n)
{
    (void)pthread_mutex_lock(&server->lock);
    const char *request = n < server->request_count ? server->requests[n] : "";
    (void)pthread_mutex_unlock(&server->lock);
    return request;
}
