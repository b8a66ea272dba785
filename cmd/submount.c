/* "pailfs submount": other buckets below a path of one that is served, while pailfs runs. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/control_target.h"
#include "cmd/store_options.h"

enum submount_verb { SUBMOUNT_ADD, SUBMOUNT_REMOVE, SUBMOUNT_LIST };

struct submount_options {
    struct control_options given; /* first: see control_target.h */
    char *settings;
    bool json, force;
    enum submount_verb verb;
    const char *path, *url;
    struct control_target target;
};

static int set_setting(void *target, const char *value, const char **ret_why)
{
    struct submount_options *o = target;
    char *more = o->settings ? mem_printf("%s,%s", o->settings, value) : mem_strdup(value);

    (void)ret_why;
    free(o->settings);
    o->settings = more;
    return 0;
}

static int set_force(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct submount_options *)target)->force = true;
    return 0;
}

static int set_json(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct submount_options *)target)->json = true;
    return 0;
}

static const struct option_def submount_table[] = {
    CONTROL_OPTIONS,
    {NULL, "options", 'o', "NAME=VALUE,...",
     "add: options of the bucket, as in \"pailfs mount -o\";\n"
     "what is not said is as in the export above",
     set_setting},
    {NULL, "force", 0, NULL, "remove: do not wait for what is not in the bucket yet", set_force},
    {NULL, "json", 'j', NULL, "print the answer as JSON", set_json},
    {NULL, NULL, 0, NULL, NULL, NULL},
};

void command_submount_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs submount add [options] /EXPORT/PATH URL\n"
        "       pailfs submount remove [--force] [options] /EXPORT/PATH\n"
        "       pailfs submount list [options]\n"
        "\n"
        "Shows another bucket, or a prefix of one, in the place of a directory of a\n"
        "running \"pailfs serve\" or \"pailfs mount\"; what lies there is hidden meanwhile.\n"
        "PATH need not exist. It may also be given as a path of this host, below a\n"
        "mountpoint. What is added stays until it is removed, also over restarts.\n"
        "\n"
        "remove fails while files are open there, and waits until all that was written\n"
        "is in the bucket. With --force what is missing waits in the state directory\n"
        "until the same bucket is added again.\n"
        "\n"
        "Exit status: 0 done, 1 refused, 2 called wrongly, 3 no gateway answers for that\n"
        "state directory.\n",
        out);
    options_help(submount_table, out);
}

static int submount_verb(const char *word, enum submount_verb *ret)
{
    static const char *const verbs[] = {"add", "remove", "list"};

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(word, verbs[i]) == 0) {
            *ret = (enum submount_verb)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int submount_parse(int argc, char **argv, struct submount_options *o,
                          struct cmd_error *reterr)
{
    static const int wanted[] = {3, 2, 1}; /* words, the verb too */
    int first;
    int err = options_parse(submount_table, argc, argv, o, &first, reterr);

    if (err)
        return err;
    if (first == argc || submount_verb(argv[first], &o->verb))
        return cmd_error_set(reterr, -EINVAL, "expected add, remove or list");
    if (argc - first != wanted[o->verb])
        return cmd_error_set(reterr, -EINVAL, "%s: expected %s", argv[first],
                             o->verb == SUBMOUNT_ADD      ? "a path and a URL"
                             : o->verb == SUBMOUNT_REMOVE ? "a path"
                                                          : "nothing more");
    o->path = o->verb == SUBMOUNT_LIST ? NULL : argv[first + 1];
    o->url = o->verb == SUBMOUNT_ADD ? argv[first + 2] : NULL;
    return control_target_find(o->given.state_dir, o->given.mount, o->path, &o->target, reterr);
}

static void submount_print(const json_t *answer, FILE *out)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(answer, "submounts"), i, one)
    {
        const char *error = json_string_value(json_object_get(one, "error"));
        (void)fprintf(out, "%s  %s%s%s%s\n", json_string_value(json_object_get(one, "path")),
                      json_string_value(json_object_get(one, "url")),
                      json_is_true(json_object_get(one, "read_only")) ? " (read-only)" : "",
                      error ? "  not mounted: " : "", error ? error : "");
    }
}

/* What is said of an argument that a URL takes: "&name=value". To free. */
static char *argument(struct control_client *client, const char *name, const char *value)
{
    if (!value)
        return mem_strdup("");
    char *escaped = control_client_escape(client, value);
    char *ret = mem_printf("&%s=%s", name, escaped);
    free(escaped);
    return ret;
}

/* The exit status. */
static int submount_ask(struct submount_options *o, struct control_client *client, json_t **ret,
                        struct cmd_error *reterr)
{
    static const char *const methods[] = {"POST", "DELETE", "GET"};
    long http = 0;
    bool again = true;

    if (o->path && control_target_translate(&o->target, client, reterr))
        return CONTROL_NO_GATEWAY;
    CLEANUP_FREE char *path = argument(client, "path", o->path ? o->target.path : NULL);
    CLEANUP_FREE char *store = argument(client, "url", o->url);
    CLEANUP_FREE char *settings = argument(client, "options", o->url ? o->settings : NULL);
    CLEANUP_FREE char *url =
        mem_printf("/submount?%s%s%s%s", path, store, settings, o->force ? "&force=1" : "");
    while (again) {
        json_decref(*ret);
        *ret = NULL;
        if (control_client_ask(client, methods[o->verb], url, &http, ret, reterr))
            return CONTROL_NO_GATEWAY;
        again = o->verb == SUBMOUNT_REMOVE && json_is_true(json_object_get(*ret, "again"));
    }
    if (http == 200)
        return 0;
    const char *text = json_string_value(json_object_get(*ret, "error"));
    (void)cmd_error_set(reterr, -EINVAL, "%s", text ? text : "the gateway refused");
    return COMMAND_FAILED;
}

/* A bucket that could not be opened is there all the same, and tried again: that is worth a word.
 */
static void submount_warn(const struct submount_options *o, const json_t *answer)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(answer, "submounts"), i, one)
    {
        const char *path = json_string_value(json_object_get(one, "path"));
        const char *error = json_string_value(json_object_get(one, "error"));
        if (path && error && strcmp(path, o->target.path) == 0)
            (void)fprintf(stderr,
                          "pailfs: added, but not mounted yet: %s; it is tried again, "
                          "meanwhile the file mount.err says why\n",
                          error);
    }
}

static int submount_run(struct submount_options *o, struct cmd_error *reterr)
{
    struct control_client *client = NULL;
    json_t *answer = NULL;

    if (control_client_open(o->target.state_dir, &client, reterr))
        return CONTROL_NO_GATEWAY;
    int result = submount_ask(o, client, &answer, reterr);
    control_client_close(client);
    if (result == 0 && o->json) {
        (void)json_dumpf(answer, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else if (result == 0 && o->verb == SUBMOUNT_LIST) {
        submount_print(answer, stdout);
    }
    if (result == 0 && o->verb == SUBMOUNT_ADD)
        submount_warn(o, answer);
    json_decref(answer);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)cmd_error_set(reterr, -EIO, "the output cannot be written");
        result = COMMAND_FAILED;
    }
    return result;
}

int command_submount(int argc, char **argv)
{
    struct submount_options options = {.given = {.state_dir = NULL}};
    struct cmd_error error = {{0}};
    int result = COMMAND_USAGE;

    if (submount_parse(argc, argv, &options, &error) == 0)
        result = submount_run(&options, &error);
    if (error.text[0])
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
    control_target_clear(&options.target);
    control_options_clear(&options.given);
    free(options.settings);
    return result;
}
