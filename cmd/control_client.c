/* The client's side of the control socket: libcurl over a Unix socket, answers in JSON. */
#include "cmd/control_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/control_socket.h"

enum { CLIENT_ANSWER_MAX = 16 << 20, CLIENT_TIMEOUT_S = 60 };

struct control_client {
    CURL *curl;
    int dir_fd;
    char *text; /* of the answer */
    size_t len;
};

static size_t client_take(const char *data, size_t size, size_t count, void *ctx)
{
    struct control_client *client = ctx;
    size_t more = size * count;

    if (client->len + more > CLIENT_ANSWER_MAX)
        return 0;
    client->text = mem_realloc(client->text, client->len + more + 1);
    memcpy(client->text + client->len, data, more);
    client->len += more;
    client->text[client->len] = '\0';
    return more;
}

int control_client_open(const char *state_dir, struct control_client **ret,
                        struct cmd_error *reterr)
{
    char path[CONTROL_PATH_MAX];
    int dir_fd, err = control_socket_find(state_dir, path, &dir_fd, reterr);

    if (err)
        return err;
    struct control_client *client = mem_zalloc(sizeof(*client));
    client->dir_fd = dir_fd;
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    client->curl = curl_easy_init();
    if (!client->curl) {
        control_client_close(client);
        return cmd_error_set(reterr, -ENOMEM, "libcurl cannot be used");
    }
    (void)curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, path);
    (void)curl_easy_setopt(client->curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(client->curl, CURLOPT_TIMEOUT, (long)CLIENT_TIMEOUT_S);
    (void)curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, client_take);
    (void)curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client);
    *ret = client;
    return 0;
}

void control_client_close(struct control_client *client)
{
    if (!client)
        return;
    if (client->curl)
        curl_easy_cleanup(client->curl);
    (void)close(client->dir_fd);
    free(client->text);
    free(client);
    curl_global_cleanup();
}

int control_client_ask(struct control_client *client, const char *method, const char *path,
                       long *ret_status, json_t **ret, struct cmd_error *reterr)
{
    char *url = mem_printf("http://localhost%s", path);
    json_error_t json_error;

    client->len = 0;
    (void)curl_easy_setopt(client->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode code = curl_easy_perform(client->curl);
    free(url);
    if (code != CURLE_OK)
        return cmd_error_set(reterr, code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -ECONNREFUSED,
                             "the gateway does not answer: %s", curl_easy_strerror(code));
    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, ret_status);
    *ret = client->len ? json_loads(client->text, 0, &json_error) : NULL;
    if (!*ret)
        return cmd_error_set(reterr, -EBADMSG, "the gateway's answer to %s %s is no JSON", method,
                             path);
    return 0;
}

char *control_client_escape(struct control_client *client, const char *text)
{
    char *escaped = curl_easy_escape(client->curl, text, 0);
    char *copy = mem_strdup(escaped ? escaped : "");

    curl_free(escaped);
    return copy;
}
