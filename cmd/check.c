/* "pailfs check": inspects a state directory, and tells what it finds, in sentences or as JSON. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/export_options.h"
#include "cmd/setting.h"
#include "cmd/store_options.h"
#include "fs/check.h"

struct check_options {
    struct setting_target target; /* first: what the setters of the table get */
    struct text_pool pool;
    struct export_options export;
    char *state_dir;
    bool with_store, json;
};

static int set_store(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct check_options *)target)->with_store = true;
    return 0;
}

static int set_state_dir(void *target, const char *value, const char **ret_why)
{
    return state_dir_set(&((struct check_options *)target)->state_dir, value, ret_why);
}

static int set_json(void *target, const char *value, const char **ret_why)
{
    (void)value;
    (void)ret_why;
    ((struct check_options *)target)->json = true;
    return 0;
}

static const struct option_def check_table[] = {
    {"What", "state-dir", 's', "DIR", STATE_DIR_HELP, set_state_dir},
    {NULL, "store", 0, NULL, "compare with the buckets too: one listing of each", set_store},
    {NULL, "json", 0, NULL, "one JSON object per line instead of sentences", set_json},
};
enum { CHECK_OWN = sizeof(check_table) / sizeof(check_table[0]) };

/* Ours and those that say how buckets are talked to. */
static void fill_table(struct option_def ret[OPTIONS_MAX + 1])
{
    size_t count = CHECK_OWN;

    memcpy(ret, check_table, sizeof(check_table));
    for (size_t i = 0; i < setting_count; i++) {
        if (!(setting_table[i].scope & SETTING_STORE))
            continue;
        assert(count < OPTIONS_MAX);
        ret[count++] = setting_table[i].def;
    }
    ret[count] = (struct option_def){.name = NULL};
}

void command_check_help(FILE *out)
{
    (void)fputs(
        "usage: pailfs check [options]\n"
        "\n"
        "Inspects the state directory of a pailfs that does not run: whether names, files,\n"
        "staged bytes and queued changes fit together. Changes nothing. Each thing that must\n"
        "not be is one line that begins with \"problem: \"; what begins with \"note: \" is right\n"
        "and worth knowing. With --store, whether the buckets hold what the state says; the\n"
        "endpoint is the one that was served unless --endpoint names another.\n"
        "\n"
        "Exit status: 0 no problem, 1 problems or nothing that could be checked, 2 called\n"
        "wrongly.\n",
        out);
    struct option_def own[CHECK_OWN + 1] = {{.name = NULL}};
    memcpy(own, check_table, sizeof(check_table));
    options_help(own, out);
    setting_help(SETTING_STORE, out);
    (void)fputs("\nExamples:\n"
                "  pailfs check\n"
                "  pailfs check --state-dir /var/lib/pailfs --store --profile backup\n",
                out);
}

/* Text as a JSON string; what is not ASCII stays as it is. */
static void print_json_text(const char *text)
{
    (void)putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            (void)printf("\\u%04x", (unsigned)(unsigned char)*text);
        else
            (void)putchar(*text);
    }
    (void)putchar('"');
}

static void print_finding(void *ctx, enum fs_check_kind kind, const char *sentence)
{
    const struct check_options *o = ctx;
    const char *word = kind == FS_CHECK_PROBLEM ? "problem" : "note";

    if (!o->json) {
        (void)printf("%s: %s\n", word, sentence);
        return;
    }
    (void)printf("{\"kind\": \"%s\", \"text\": ", word);
    print_json_text(sentence);
    (void)puts("}");
}

static void print_summary(const struct check_options *o, const struct fs_check_counts *n)
{
    (void)printf("%" PRIu64 " %s: %" PRIu64 " files, %" PRIu64 " directories, %" PRIu64
                 " symlinks, %" PRIu64 " not in the store yet (%" PRIu64 " bytes staged in %" PRIu64
                 " pieces), %" PRIu64 " deletions queued, %" PRIu64
                 " renamed directories under way, %" PRIu64 " kept replies, %" PRIu64
                 " stage files of %" PRIu64 " bytes",
                 n->problems, n->problems == 1 ? "problem" : "problems", n->files, n->dirs,
                 n->links, n->dirty, n->dirty_bytes, n->extents, n->intents, n->redirects,
                 n->replies, n->segments, n->segment_bytes);
    if (n->uploads > 0)
        (void)printf(", %" PRIu64 " uploads under way with %" PRIu64 " parts", n->uploads,
                     n->parts);
    if (o->with_store)
        (void)printf("; %" PRIu64 " objects listed, %" PRIu64 " as the state says, %" PRIu64
                     " unknown to it",
                     n->objects, n->matched, n->unknown);
    (void)putchar('\n');
}

static void print_json_summary(const struct fs_check_counts *n)
{
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {
        {"problems", n->problems},
        {"volumes", n->volumes},
        {"files", n->files},
        {"dirs", n->dirs},
        {"links", n->links},
        {"names", n->names},
        {"dirty", n->dirty},
        {"dirty_bytes", n->dirty_bytes},
        {"extents", n->extents},
        {"intents", n->intents},
        {"redirects", n->redirects},
        {"replies", n->replies},
        {"uploads", n->uploads},
        {"parts", n->parts},
        {"segments", n->segments},
        {"segment_bytes", n->segment_bytes},
        {"orphan_bytes", n->orphan_bytes},
        {"objects", n->objects},
        {"matched", n->matched},
        {"unknown", n->unknown},
    };

    (void)printf("{\"kind\": \"summary\"");
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        (void)printf(", \"%s\": %" PRIu64, all[i].name, all[i].value);
    (void)puts("}");
}

static int check_run(struct check_options *o)
{
    struct fs_check_config config = {.state_dir = o->state_dir,
                                     .store = o->with_store ? &o->export.store : NULL};
    struct fs_check_counts counts;
    struct fs_error error = {{0}};

    log_level_set(LOG_ERROR);
    int err = fs_check(&config, print_finding, o, &counts, &error);
    if (err) {
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
        return COMMAND_FAILED;
    }
    if (o->json)
        print_json_summary(&counts);
    else
        print_summary(o, &counts);
    return fflush(stdout) == 0 && counts.problems == 0 ? 0 : COMMAND_FAILED;
}

static int check_parse(int argc, char **argv, struct check_options *o, struct cmd_error *reterr)
{
    int first;

    struct option_def table[OPTIONS_MAX + 1];

    fill_table(table);
    export_options_default(&o->export);
    o->target = (struct setting_target){.pool = &o->pool, .export = &o->export, .look = true};
    int err = options_parse(table, argc, argv, o, &first, reterr);
    if (err)
        return err;
    if (first < argc)
        return cmd_error_set(reterr, -EINVAL, "unexpected argument %s: the state knows its buckets",
                             argv[first]);
    if (!o->state_dir)
        o->state_dir = state_dir_default(reterr);
    return o->state_dir ? export_options_finish(&o->export, reterr) : -EINVAL;
}

int command_check(int argc, char **argv)
{
    struct check_options options = {.state_dir = NULL};
    struct cmd_error error = {{0}};
    int status;

    if (check_parse(argc, argv, &options, &error)) {
        (void)fprintf(stderr, "pailfs: %s\n", error.text);
        status = COMMAND_USAGE;
    } else {
        status = check_run(&options);
    }
    free(options.state_dir);
    text_pool_clear(&options.pool);
    return status;
}
