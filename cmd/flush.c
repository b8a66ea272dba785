/* "pailfs flush": has a running gateway send what waits, and waits until it is in the bucket. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/control_target.h"
#include "cmd/flush_progress.h"
#include "cmd/parse.h"
#include "cmd/store_options.h"
#include "cmd/text.h"

enum { FLUSH_POLL_MIN_MS = 50, FLUSH_POLL_MAX_MS = 1000 };

struct flush_options {
    struct control_options given; /* first: see control_target.h */
    struct control_target target; /* path NULL: everything */
    bool wait;
    int64_t timeout_ns; /* 0: for ever */
};

struct flush {
    const struct flush_options *options;
    struct control_client *client;
    struct flush_progress progress;
    int64_t end_ns;
    char *mark;   /* as the gateway gave it; NULL before the first answer */
    bool moves;   /* directories were being moved: more comes of that */
    json_t *last; /* answer */
};

/* --- options --- */

static int set_wait(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct flush_options *)target)->wait = true;
    return 0;
}

static int set_timeout(void *target, const char *value, const char **ret_why)
{
    struct flush_options *o = target;

    o->wait = true;
    return parse_duration(value, &o->timeout_ns, ret_why);
}

static const struct option_def flush_table[] = {
    CONTROL_OPTIONS,
    {NULL, "wait", 'w', NULL, "wait until it is in the bucket", set_wait},
    {NULL, "timeout", 't', "TIME", "wait, but no longer than this (default: for ever)",
     set_timeout},
    {NULL, NULL, 0, NULL, NULL, NULL},
};

void command_flush_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs flush [options] [/EXPORT[/PATH] | MOUNTPOINT[/PATH]]\n"
        "\n"
        "Has a running \"pailfs serve\" or \"pailfs mount\" send at once what is not in the\n"
        "bucket yet: of all exports, of one, or of what lies at or below a path.\n"
        "\n"
        "Exit status: 0 all of it is in the bucket; 1 it is not (yet): without --wait it is\n"
        "on its way, with --timeout the time was up; 2 called wrongly, or no such path; 3 no\n"
        "gateway answers for that state directory. What is changed after the call began\n"
        "does not count. Files whose upload fails are named, with the reason; the gateway\n"
        "goes on trying.\n",
        out);
    options_help(flush_table, out);
    (void)fputs("\nExamples:\n"
                "  pailfs flush --wait\n"
                "  pailfs flush --timeout 5m /media/incoming\n",
                out);
}

static int flush_parse(int argc, char **argv, struct flush_options *o, struct cmd_error *reterr)
{
    int first;
    int err = options_parse(flush_table, argc, argv, o, &first, reterr);

    if (err)
        return err;
    if (argc - first > 1)
        return cmd_error_set(reterr, -EINVAL, "expected one path at most, not also %s",
                             argv[first + 1]);
    err = control_target_find(o->given.state_dir, o->given.mount, first < argc ? argv[first] : NULL,
                              &o->target, reterr);
    if (err)
        return err;
    if (o->target.path && o->target.path[0] && o->target.path[0] != '/')
        return cmd_error_set(reterr, -EINVAL,
                             "%s: expected a path that begins with an export's "
                             "name, such as /media/incoming, or lies below a mountpoint",
                             o->target.path);
    return 0;
}

/* --- asking --- */

static uint64_t number(const json_t *o, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(o, name));

    return value > 0 ? (uint64_t)value : 0;
}

static char *flush_url(const struct flush *f)
{
    CLEANUP_FREE char *path =
        control_client_escape(f->client, f->options->target.path ? f->options->target.path : "");

    return mem_printf("/flush?path=%s%s%s", path, f->mark ? "&mark=" : "", f->mark ? f->mark : "");
}

/* Asks once. 0 with f->last; -EAGAIN: ask again; or an exit status of the command and a sentence.
 */
static int flush_ask(struct flush *f, struct cmd_error *reterr)
{
    CLEANUP_FREE char *url = flush_url(f);
    json_t *answer = NULL;
    long http = 0;

    if (control_client_ask(f->client, "POST", url, &http, &answer, reterr))
        return CONTROL_NO_GATEWAY;
    if (http != 200) {
        const char *text = json_string_value(json_object_get(answer, "error"));
        (void)cmd_error_set(reterr, -EINVAL, "%s", text ? text : "the gateway refused");
        json_decref(answer);
        if (http == 409) { /* restarted: what it has now is what it had */
            free(f->mark);
            f->mark = NULL;
        }
        return http == 409 || http == 503 ? -EAGAIN
               : http >= 500              ? CONTROL_NOT_ALL_IN
                                          : COMMAND_USAGE;
    }
    reterr->text[0] = '\0';
    const char *mark = json_string_value(json_object_get(answer, "mark"));
    free(f->mark);
    f->mark = mem_strdup(mark);
    json_decref(f->last);
    f->last = answer;
    return 0;
}

/* True when all is in the bucket. What a directory that was moved leaves behind are uploads and
 * deletes that began later than the mark: they get a new one. */
static bool flush_done(struct flush *f)
{
    f->moves = f->moves || number(f->last, "moves") > 0;
    if (!json_is_true(json_object_get(f->last, "in_bucket")))
        return false;
    if (!f->moves)
        return true;
    f->moves = false;
    free(f->mark);
    f->mark = NULL;
    return false;
}

static void flush_pause(struct flush *f, int64_t *poll_ns)
{
    int64_t left = f->end_ns - clock_mono_ns(), ns = *poll_ns < left ? *poll_ns : left;

    if (ns > 0)
        (void)poll(NULL, 0, (int)(ns / CLOCK_MS));
    *poll_ns =
        *poll_ns * 2 < FLUSH_POLL_MAX_MS * CLOCK_MS ? *poll_ns * 2 : FLUSH_POLL_MAX_MS * CLOCK_MS;
}

/* The exit status. */
static int flush_wait(struct flush *f, struct cmd_error *reterr)
{
    int64_t poll_ns = FLUSH_POLL_MIN_MS * CLOCK_MS;

    for (;;) {
        int status = flush_ask(f, reterr);
        if (status > 0)
            return status;
        if (status == 0 && flush_done(f))
            return CONTROL_ALL_IN;
        if (status == 0 && f->options->wait) {
            struct flush_left left = {.files = number(f->last, "files"),
                                      .bytes = number(f->last, "bytes"),
                                      .deletes = number(f->last, "deletes"),
                                      .moves = number(f->last, "moves")};
            flush_progress_show(&f->progress, &left);
        }
        if (!f->options->wait || clock_mono_ns() >= f->end_ns)
            return CONTROL_NOT_ALL_IN;
        flush_pause(f, &poll_ns);
    }
}

/* --- telling --- */

static const char *text_of(const json_t *o, const char *name)
{
    const char *value = json_string_value(json_object_get(o, name));

    return value ? value : "";
}

static void flush_tell_failed(const struct flush *f)
{
    const json_t *file, *store, *list = json_object_get(f->last, "failed");
    size_t i;

    json_array_foreach(json_object_get(f->last, "stores_failing"), i, store)
    {
        (void)fprintf(stderr, "pailfs: %s: no request to the store has succeeded since %s: %s\n",
                      text_of(store, "export"), text_of(store, "failing_since"),
                      text_of(store, "error"));
    }
    json_array_foreach(list, i, file)
    {
        (void)fprintf(stderr, "pailfs: %s: %s%s%s, tried %" PRIu64 " times\n",
                      text_of(file, "path"), text_of(file, "error"),
                      text_of(file, "error_text")[0] ? ": " : "", text_of(file, "error_text"),
                      number(file, "failed_tries"));
    }
    if (number(f->last, "failing") > json_array_size(list))
        (void)fprintf(stderr, "pailfs: and %" PRIu64 " more files whose upload fails\n",
                      number(f->last, "failing") - json_array_size(list));
}

static void flush_tell(const struct flush *f, int status)
{
    if (status == CONTROL_ALL_IN) {
        (void)puts("all of it is in the bucket");
        return;
    }
    if (status != CONTROL_NOT_ALL_IN || !f->last)
        return;
    flush_tell_failed(f);
    (void)printf("%s: %" PRIu64 " files (%s), %" PRIu64 " deletes, %" PRIu64 " moves\n",
                 f->options->wait ? "the time is up; not in the bucket"
                                  : "on the way to the bucket",
                 number(f->last, "files"), TEXT_BYTES(number(f->last, "bytes")),
                 number(f->last, "deletes"), number(f->last, "moves"));
}

static int flush_run(struct flush_options *o, struct cmd_error *reterr)
{
    struct flush f = {
        .options = o,
        .end_ns = o->timeout_ns ? clock_mono_ns() + o->timeout_ns : CLOCK_NEVER,
    };

    if (control_client_open(o->target.state_dir, &f.client, reterr))
        return CONTROL_NO_GATEWAY;
    if (control_target_translate(&o->target, f.client, reterr)) {
        control_client_close(f.client);
        return CONTROL_NO_GATEWAY;
    }
    flush_progress_start(&f.progress, stdout);
    int status = flush_wait(&f, reterr);
    flush_progress_clear(&f.progress);
    flush_tell(&f, status);
    if (fflush(stdout) != 0 && status == CONTROL_ALL_IN) {
        (void)cmd_error_set(reterr, -EIO, "the output cannot be written");
        status = CONTROL_NOT_ALL_IN;
    }
    control_client_close(f.client);
    json_decref(f.last);
    free(f.mark);
    return status;
}

int command_flush(int argc, char **argv)
{
    struct flush_options options = {.given = {.state_dir = NULL}};
    struct cmd_error error = {{0}};
    int err = flush_parse(argc, argv, &options, &error);
    int status = err == 0         ? flush_run(&options, &error)
                 : err == -ENOENT ? CONTROL_NO_GATEWAY
                                  : COMMAND_USAGE;

    if (error.text[0])
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
    control_target_clear(&options.target);
    control_options_clear(&options.given);
    return status;
}
