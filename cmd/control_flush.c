/* POST /flush: which export a path is in, and what is still missing of it. */
#include "cmd/control_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cloud/store.h"

enum { FLUSH_DEADLINE_S = 5, FLUSH_FAILED_MAX = 100 };

json_t *control_json_error(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not know va_start here */
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_t *o = json_object();
    (void)json_object_set_new(o, "error", control_json_text(text));
    return o;
}

/* True if path is the export's or below it; *ret_rest is what follows. */
static bool flush_in_export(const char *name, const char *path, const char **ret_rest)
{
    size_t len = strcmp(name, "/") == 0 ? 0 : strlen(name);

    if (strncmp(path, name, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return false;
    *ret_rest = path + len;
    return true;
}

const struct control_export *control_export_find(const struct control_config *config,
                                                 const char *path, const char **ret_rest)
{
    const struct control_export *best = NULL;
    const char *rest;

    for (size_t i = 0; i < config->export_count; i++) {
        const struct control_export *export = &config->exports[i];
        if (flush_in_export(export->name, path, &rest) &&
            (!best || strlen(export->name) > strlen(best->name))) {
            best = export;
            *ret_rest = rest;
        }
    }
    return best;
}

/* The digits at *text, which has to go on with the character end. */
static bool flush_parse_number(const char **text, char end, uint64_t *ret)
{
    char *stop = NULL;

    errno = 0;
    if (**text < '0' || **text > '9')
        return false;
    *ret = strtoull(*text, &stop, 10);
    if (errno || *stop != end)
        return false;
    *text = stop + (end != '\0');
    return true;
}

/* "START-TIME-ID". False if it is no such thing. */
static bool flush_parse_mark(const char *text, uint64_t *ret_start, struct fs_mark *ret)
{
    uint64_t at_ns = 0;
    bool good = flush_parse_number(&text, '-', ret_start) &&
                flush_parse_number(&text, '-', &at_ns) && flush_parse_number(&text, '\0', &ret->id);

    ret->at_ns = (int64_t)at_ns;
    return good && at_ns <= INT64_MAX;
}

struct flush_sum {
    const struct control_config *config;
    struct fs_mark mark;
    bool again;
    struct fs_flush all;
    json_t *failed, *stores;
};

/* One export. 200, or another status and *ret_error. */
static unsigned flush_export(struct flush_sum *sum, const struct control_export *export,
                             const char *path, json_t **ret_error)
{
    struct fs_flush one;
    int64_t deadline_ns = clock_mono_ns() + FLUSH_DEADLINE_S * CLOCK_S;
    int err = fs_flush(export->vol, path, sum->mark, sum->again, deadline_ns, &one);

    if (err == -EAGAIN) {
        *ret_error = control_json_error("the store does not answer, so %s%s cannot be looked up",
                                        export->name, path);
        return 503;
    }
    if (err) {
        *ret_error = control_json_error("%s%s: %s", export->name, path, strerrordesc_np(-err));
        return err == -EIO ? 500 : err == -ENOENT || err == -ENOTDIR ? 404 : 400;
    }
    sum->all.files += one.files;
    sum->all.bytes += one.bytes;
    sum->all.deletes += one.deletes;
    sum->all.drains += one.drains;
    sum->all.failing += one.failing;
    json_t *failed = control_json_files(export->name, &one.failed);
    if (json_array_size(sum->failed) < FLUSH_FAILED_MAX)
        (void)json_array_extend(sum->failed, failed);
    json_decref(failed);
    if (one.store_failing_ns)
        (void)json_array_append_new(
            sum->stores, json_pack("{s:o, s:o, s:o}", "export", control_json_text(export->name),
                                   "failing_since", control_json_time(one.store_failing_ns),
                                   "error", control_json_text(one.store_error)));
    fs_flush_clear(&one);
    return 200;
}

/* Sub-mounts below path. */
static unsigned flush_below(struct flush_sum *sum, const char *path, json_t **ret_error)
{
    CLEANUP_FREE char *top = mem_strdup(path);
    unsigned status = 200;
    const char *rest;

    for (size_t len = strlen(top); len > 1 && top[len - 1] == '/'; len--)
        top[len - 1] = '\0';
    for (size_t i = sum->config->top_count; i < sum->config->export_count && status == 200; i++) {
        const struct control_export *export = &sum->config->exports[i];
        if (flush_in_export(top, export->name, &rest) && rest[0] == '/')
            status = flush_export(sum, export, "", ret_error);
    }
    return status;
}

/* The export that path is in, and sub-mounts below path; all for "". */
static unsigned flush_exports(struct flush_sum *sum, const char *path, json_t **ret_error)
{
    const char *rest = "";
    unsigned status = 200;

    if (strspn(path, "/") == strlen(path)) {
        for (size_t i = 0; i < sum->config->export_count && status == 200; i++)
            status = flush_export(sum, &sum->config->exports[i], "", ret_error);
        return status;
    }
    const struct control_export *best = control_export_find(sum->config, path, &rest);
    if (best)
        status = flush_export(sum, best, rest, ret_error);
    if (best)
        return status == 200 ? flush_below(sum, path, ret_error) : status;
    *ret_error =
        control_json_error("%s is in no export: expected a path such as %s/DIRECTORY", path,
                           sum->config->export_count ? sum->config->exports[0].name : "/EXPORT");
    return 404;
}

unsigned control_flush(const struct control_config *config, uint64_t start, const char *path,
                       const char *mark, json_t **ret)
{
    struct flush_sum sum = {.config = config, .again = mark != NULL};
    uint64_t mark_start = start;
    char text[96];

    if (!mark)
        sum.mark = fs_mark_now(config->fs);
    else if (!flush_parse_mark(mark, &mark_start, &sum.mark)) {
        *ret = control_json_error("mark: expected what an earlier answer gave as its mark");
        return 400;
    }
    if (mark_start != start) {
        *ret = control_json_error("the gateway was restarted since that mark: ask without one");
        return 409;
    }
    sum.failed = json_array();
    sum.stores = json_array();
    unsigned status = flush_exports(&sum, path ? path : "", ret);
    if (status != 200) {
        json_decref(sum.failed);
        json_decref(sum.stores);
        return status;
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64 "-%" PRId64 "-%" PRIu64, start, sum.mark.at_ns,
                   sum.mark.id);
    bool all = sum.all.files == 0 && sum.all.deletes == 0 && sum.all.drains == 0;
    *ret =
        json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "mark", text, "in_bucket", all,
                  "files", (json_int_t)sum.all.files, "bytes", (json_int_t)sum.all.bytes, "deletes",
                  (json_int_t)sum.all.deletes, "moves", (json_int_t)sum.all.drains, "failing",
                  (json_int_t)sum.all.failing, "failed", sum.failed, "stores_failing", sum.stores);
    return 200;
}
