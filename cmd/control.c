/* The control socket's server: libmicrohttpd on a socket of ours, and the table of what it
 * answers. */
#include "cmd/control_int.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/control_socket.h"

enum { CONTROL_CONNECTIONS = 16, CONTROL_TIMEOUT_S = 15, CONTROL_REQUEST_MAX = 16 << 10 };

struct control {
    struct control_config config;
    struct MHD_Daemon *daemon;
    uint64_t start; /* tells this run from others */
    int64_t started_ns;
};

struct control_answer {
    unsigned status;
    char *text; /* malloc'ed */
    const char *type, *allow;
};

void control_facts_get(const struct control_config *config, int64_t started_ns,
                       struct control_facts *ret)
{
    fs_get_disk_status(config->fs, &ret->disk);
    ret->nfs = (struct nfsd_usage){.connections = 0};
    if (config->nfsd)
        nfsd_get_usage(config->nfsd, &ret->nfs);
    ret->uptime_ns = clock_mono_ns() - started_ns;
    ret->exports = mem_array(config->export_count + 1, sizeof(*ret->exports));
    for (size_t i = 0; i < config->export_count; i++)
        fs_get_status(config->exports[i].vol, &ret->exports[i]);
}

void control_facts_clear(const struct control_config *config, struct control_facts *facts)
{
    for (size_t i = 0; i < config->export_count; i++)
        fs_status_clear(&facts->exports[i]);
    free(facts->exports);
}

/* Takes over json. */
static struct control_answer answer_json(unsigned status, json_t *json)
{
    struct control_answer answer = {.status = status, .type = "application/json"};

    answer.text = json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    return answer;
}

/* --- what can be asked --- */

static struct control_answer answer_status(struct control *c, struct MHD_Connection *connection)
{
    struct control_config now;
    struct control_facts facts;

    (void)connection;
    control_exports_now(&c->config, &now);
    control_facts_get(&now, c->started_ns, &facts);
    json_t *json = control_json_status(&now, &facts);
    control_facts_clear(&now, &facts);
    control_exports_clear(&now);
    return answer_json(MHD_HTTP_OK, json);
}

static struct control_answer answer_metrics(struct control *c, struct MHD_Connection *connection)
{
    struct control_answer answer = {.status = MHD_HTTP_OK,
                                    .type = "text/plain; version=0.0.4; charset=utf-8"};
    struct control_config now;
    struct control_facts facts;

    (void)connection;
    control_exports_now(&c->config, &now);
    control_facts_get(&now, c->started_ns, &facts);
    answer.text = control_metrics_text(&now, &facts);
    control_facts_clear(&now, &facts);
    control_exports_clear(&now);
    return answer;
}

static enum MHD_Result check_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    const char **unknown = cls;

    (void)kind;
    if ((strcmp(name, "path") != 0 && strcmp(name, "mark") != 0) || !value)
        *unknown = name;
    return MHD_YES;
}

static const char *argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static struct control_answer answer_flush(struct control *c, struct MHD_Connection *connection)
{
    const char *unknown = NULL;
    json_t *json = NULL;

    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, check_argument, &unknown);
    if (unknown)
        return answer_json(
            MHD_HTTP_BAD_REQUEST,
            control_json_error("argument %.100s: expected path=/EXPORT/PATH or mark=MARK",
                               unknown));
    struct control_config now;
    control_exports_now(&c->config, &now);
    unsigned status = control_flush(&now, c->start, argument(connection, "path"),
                                    argument(connection, "mark"), &json);
    control_exports_clear(&now);
    return answer_json(status, json);
}

static struct control_answer answer_path(struct control *c, struct MHD_Connection *connection,
                                         bool refresh)
{
    const char *unknown = NULL;
    json_t *json = NULL;

    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, check_argument, &unknown);
    if (unknown)
        return answer_json(
            MHD_HTTP_BAD_REQUEST,
            control_json_error("argument %.100s: expected path=/EXPORT/PATH", unknown));
    const char *path = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "path");
    unsigned status = control_stat(&c->config, path, refresh, &json);
    return answer_json(status, json);
}

static struct control_answer answer_stat(struct control *c, struct MHD_Connection *connection)
{
    return answer_path(c, connection, false);
}

static struct control_answer answer_refresh(struct control *c, struct MHD_Connection *connection)
{
    return answer_path(c, connection, true);
}

static struct control_answer answer_submounts(struct control *c, struct MHD_Connection *connection)
{
    json_t *json = NULL;

    (void)connection;
    unsigned status = control_submount_list(&c->config, &json);
    return answer_json(status, json);
}

static struct control_answer answer_submount(struct control *c, struct MHD_Connection *connection,
                                             bool add)
{
    json_t *json = NULL;
    unsigned status = control_submount_change(
        &c->config, add, argument(connection, "path"), argument(connection, "url"),
        argument(connection, "options"), argument(connection, "force"), &json);

    return answer_json(status, json);
}

static struct control_answer answer_mount(struct control *c, struct MHD_Connection *connection)
{
    return answer_submount(c, connection, true);
}

static struct control_answer answer_unmount(struct control *c, struct MHD_Connection *connection)
{
    return answer_submount(c, connection, false);
}

static const struct control_route {
    const char *path, *method;
    struct control_answer (*answer)(struct control *c, struct MHD_Connection *connection);
} routes[] = {
    {"/status", MHD_HTTP_METHOD_GET, answer_status},
    {"/metrics", MHD_HTTP_METHOD_GET, answer_metrics},
    {"/flush", MHD_HTTP_METHOD_POST, answer_flush},
    {"/stat", MHD_HTTP_METHOD_GET, answer_stat},
    {"/refresh", MHD_HTTP_METHOD_POST, answer_refresh},
    {"/submount", MHD_HTTP_METHOD_GET, answer_submounts},
    {"/submount", MHD_HTTP_METHOD_POST, answer_mount},
    {"/submount", MHD_HTTP_METHOD_DELETE, answer_unmount},
};

static struct control_answer answer_any(struct control *c, struct MHD_Connection *connection,
                                        const char *path, const char *method, bool has_body)
{
    const char *allow = NULL;

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct control_route *route = &routes[i];
        if (strcmp(path, route->path) != 0)
            continue;
        allow = allow ? "GET, POST, DELETE" : route->method; /* one, or all of /submount */
        if (strcmp(method, route->method) != 0)
            continue;
        if (has_body)
            return answer_json(
                MHD_HTTP_BAD_REQUEST,
                control_json_error("%s takes its arguments in the URL, no body", path));
        return route->answer(c, connection);
    }
    if (allow) {
        struct control_answer answer = answer_json(
            MHD_HTTP_METHOD_NOT_ALLOWED, control_json_error("%s: expected %s", path, allow));
        answer.allow = allow;
        return answer;
    }
    return answer_json(MHD_HTTP_NOT_FOUND,
                       control_json_error("expected GET /status, /metrics, /stat or /submount, "
                                          "POST /flush, /refresh or /submount, or DELETE "
                                          "/submount"));
}

/* --- libmicrohttpd --- */

static enum MHD_Result send_answer(struct MHD_Connection *connection,
                                   const struct control_answer *answer)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->text ? strlen(answer->text) : 0, answer->text, MHD_RESPMEM_MUST_FREE);

    if (!response) {
        free(answer->text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type);
    if (answer->allow)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    enum MHD_Result result =
        MHD_queue_response(connection, answer->text ? answer->status : 500, response);
    MHD_destroy_response(response);
    return result;
}

/* Called when the headers are there, for each piece of a body, and when all has come. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request)
{
    static char without_body, with_body; /* what *request points at */

    (void)version;
    (void)upload_data;
    if (!*request) {
        *request = &without_body;
        return MHD_YES;
    }
    if (*upload_data_size > 0) {
        *upload_data_size = 0; /* not looked at, not kept */
        *request = &with_body;
        return MHD_YES;
    }
    struct control_answer answer = answer_any(cls, connection, url, method, *request == &with_body);
    return send_answer(connection, &answer);
}

__attribute__((format(printf, 2, 0))) static void log_message(void *cls, const char *fmt,
                                                              va_list ap)
{
    char text[256];

    (void)cls;
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    log_event(LOG_DEBUG, "control", "text=%s", LOG_Q(text));
}

int control_start(const struct control_config *config, struct control **ret,
                  struct cmd_error *reterr)
{
    int fd;
    int err = control_socket_listen(config->state_dir, &fd, reterr);

    if (err)
        return err;
    struct control *c = mem_zalloc(sizeof(*c));
    c->config = *config;
    c->started_ns = clock_mono_ns();
    c->start = (uint64_t)clock_wall_ns();
    c->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                                     MHD_USE_POLL | MHD_USE_ERROR_LOG,
                                 0, NULL, NULL, handle, c, MHD_OPTION_EXTERNAL_LOGGER, log_message,
                                 NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)CONTROL_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)CONTROL_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)CONTROL_REQUEST_MAX, MHD_OPTION_END);
    if (!c->daemon) {
        (void)close(fd);
        control_socket_remove(config->state_dir);
        free(c);
        return cmd_error_set(reterr, -EAGAIN, "the control socket's server cannot be started");
    }
    *ret = c;
    return 0;
}

void control_stop(struct control *control)
{
    if (!control)
        return;
    control_socket_remove(control->config.state_dir);
    MHD_stop_daemon(control->daemon); /* closes the socket */
    free(control);
}
