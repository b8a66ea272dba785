/* "pailfs status": what a running gateway says of itself. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cmd/command.h"
#include "cmd/control_target.h"
#include "cmd/status_print.h"
#include "cmd/store_options.h"

struct status_options {
    struct control_options given; /* first: see control_target.h */
    bool json;
    struct control_target target;
};

static int set_json(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct status_options *)target)->json = true;
    return 0;
}

static const struct option_def status_table[] = {
    CONTROL_OPTIONS,
    {NULL, "json", 'j', NULL, "print everything as JSON", set_json},
    {NULL, NULL, 0, NULL, NULL, NULL},
};

void command_status_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs status [options] [MOUNTPOINT]\n"
        "\n"
        "Asks a running \"pailfs serve\" or \"pailfs mount\" what is not in the buckets yet,\n"
        "how it is getting there, and what went wrong. May be run by the user that the\n"
        "gateway runs as, and by root.\n"
        "\n"
        "Exit status: 0 everything is in the buckets, 1 not everything, 2 called wrongly,\n"
        "3 no gateway answers for that state directory.\n",
        out);
    options_help(status_table, out);
    (void)fputs("\nThe same for other programs, over the socket STATE_DIR/control:\n"
                "  curl --unix-socket /var/lib/pailfs/control http://localhost/status\n"
                "  curl --unix-socket /var/lib/pailfs/control http://localhost/metrics\n",
                out);
}

static int status_parse(int argc, char **argv, struct status_options *o, struct cmd_error *reterr)
{
    int first;
    int err = options_parse(status_table, argc, argv, o, &first, reterr);

    if (err)
        return err;
    if (first < argc && (o->given.mount || argc - first > 1))
        return cmd_error_set(reterr, -EINVAL, "unexpected argument %s", argv[argc - 1]);
    return control_target_find(o->given.state_dir, first < argc ? argv[first] : o->given.mount,
                               NULL, &o->target, reterr);
}

static int status_run(const struct status_options *o, struct cmd_error *reterr)
{
    struct control_client *client = NULL;
    json_t *status = NULL;
    long http = 0;
    int err = control_client_open(o->target.state_dir, &client, reterr);

    if (!err)
        err = control_client_ask(client, "GET", "/status", &http, &status, reterr);
    control_client_close(client);
    if (!err && http != 200)
        err = cmd_error_set(reterr, -EBADMSG, "the gateway answered GET /status with %ld", http);
    if (err) {
        json_decref(status);
        return CONTROL_NO_GATEWAY;
    }
    int result =
        json_is_true(json_object_get(status, "in_bucket")) ? CONTROL_ALL_IN : CONTROL_NOT_ALL_IN;
    if (o->json) {
        (void)json_dumpf(status, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else {
        status_print(status, stdout);
    }
    json_decref(status);
    /* What was not printed was not said. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)cmd_error_set(reterr, -EIO, "the output cannot be written");
        return CONTROL_NO_GATEWAY;
    }
    return result;
}

int command_status(int argc, char **argv)
{
    struct status_options options = {.given = {.state_dir = NULL}};
    struct cmd_error error = {{0}};
    int err = status_parse(argc, argv, &options, &error);
    int result = err == 0         ? status_run(&options, &error)
                 : err == -ENOENT ? CONTROL_NO_GATEWAY
                                  : COMMAND_USAGE;

    if (error.text[0])
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
    control_target_clear(&options.target);
    control_options_clear(&options.given);
    return result;
}
