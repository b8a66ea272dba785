/* "pailfs stat": all that a running gateway knows of one path. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/control_target.h"
#include "cmd/store_options.h"
#include "cmd/text.h"

struct stat_options {
    struct control_options given; /* first: see control_target.h */
    bool json, refresh;
    struct control_target target;
};

static int set_json(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct stat_options *)target)->json = true;
    return 0;
}

static int set_refresh(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct stat_options *)target)->refresh = true;
    return 0;
}

static const struct option_def stat_table[] = {
    CONTROL_OPTIONS,
    {NULL, "refresh", 'r', NULL, "ask the store anew, for it and all that lies below it",
     set_refresh},
    {NULL, "json", 'j', NULL, "print everything as JSON", set_json},
    {NULL, NULL, 0, NULL, NULL, NULL},
};

void command_stat_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs stat [options] /EXPORT[/PATH] | MOUNTPOINT[/PATH]\n"
        "\n"
        "Tells what a running \"pailfs serve\" or \"pailfs mount\" knows of one file or\n"
        "directory: its attributes, whether it is in the bucket as it is here, its object,\n"
        "and its extended attributes (user.*), which are the object's metadata.\n"
        "\n"
        "pailfs.state is clean (in the bucket), dirty, uploading, failing (tried again; see\n"
        "pailfs.error), attributes (only they are newer here), moving, or local (never\n"
        "sent). On a mount the same can be had with getfattr(1): -n pailfs.state,\n"
        "-n s3.etag; \"setfattr -n pailfs.invalidate PATH\" is --refresh.\n"
        "\n"
        "Exit status: 0 told, 1 no such path, or the store does not answer, 2 called\n"
        "wrongly, 3 no gateway answers for that state directory.\n",
        out);
    options_help(stat_table, out);
}

static int stat_parse(int argc, char **argv, struct stat_options *o, struct cmd_error *reterr)
{
    int first;
    int err = options_parse(stat_table, argc, argv, o, &first, reterr);

    if (err)
        return err;
    if (argc - first != 1)
        return cmd_error_set(reterr, -EINVAL, "expected one path, such as /media/file");
    return control_target_find(o->given.state_dir, o->given.mount, argv[first], &o->target, reterr);
}

/* --- telling --- */

static void print_member(const char *name, const json_t *value, FILE *out)
{
    const char *text = json_string_value(value);

    if (text)
        (void)fprintf(out, "  %-22s %s\n", name, text);
    else if (json_is_integer(value))
        (void)fprintf(out, "  %-22s %" PRId64 "\n", name, (int64_t)json_integer_value(value));
}

static void stat_print(json_t *answer, FILE *out)
{
    static const char *const attributes[] = {"type", "mode",     "uid",     "gid",
                                             "size", "modified", "changed", "inode"};
    static const char *const groups[] = {"facts", "xattrs"};
    const char *path = json_string_value(json_object_get(answer, "path")), *name;
    json_t *value;

    (void)fprintf(out, "%s\n", path ? path : "");
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
        print_member(attributes[i], json_object_get(answer, attributes[i]), out);
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        json_object_foreach(json_object_get(answer, groups[i]), name, value)
        {
            print_member(name, value, out);
        }
    }
}

/* The exit status. */
static int stat_ask(struct stat_options *o, struct control_client *client, json_t **ret,
                    struct cmd_error *reterr)
{
    long http = 0;

    if (control_target_translate(&o->target, client, reterr))
        return CONTROL_NO_GATEWAY;
    CLEANUP_FREE char *path = control_client_escape(client, o->target.path);
    CLEANUP_FREE char *url = mem_printf("/%s?path=%s", o->refresh ? "refresh" : "stat", path);
    if (control_client_ask(client, o->refresh ? "POST" : "GET", url, &http, ret, reterr))
        return CONTROL_NO_GATEWAY;
    if (http == 200)
        return 0;
    const char *text = json_string_value(json_object_get(*ret, "error"));
    (void)cmd_error_set(reterr, -EINVAL, "%s", text ? text : "the gateway refused");
    return COMMAND_FAILED;
}

static int stat_run(struct stat_options *o, struct cmd_error *reterr)
{
    struct control_client *client = NULL;
    json_t *answer = NULL;

    if (control_client_open(o->target.state_dir, &client, reterr))
        return CONTROL_NO_GATEWAY;
    int result = stat_ask(o, client, &answer, reterr);
    control_client_close(client);
    if (result == 0 && o->json) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else if (result == 0) {
        stat_print(answer, stdout);
    }
    json_decref(answer);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)cmd_error_set(reterr, -EIO, "the output cannot be written");
        result = COMMAND_FAILED;
    }
    return result;
}

int command_stat(int argc, char **argv)
{
    struct stat_options options = {.given = {.state_dir = NULL}};
    struct cmd_error error = {{0}};
    int err = stat_parse(argc, argv, &options, &error);
    int result = err == 0         ? stat_run(&options, &error)
                 : err == -ENOENT ? CONTROL_NO_GATEWAY
                                  : COMMAND_USAGE;

    if (error.text[0])
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
    control_target_clear(&options.target);
    control_options_clear(&options.given);
    return result;
}
