/* "pailfs status" for a person: what is not in the bucket first, what is well in few words. */
#include "cmd/status_print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "cmd/text.h"

enum { PRINT_FILES_MAX = 5, PRINT_ERRORS_MAX = 3 };

static uint64_t number(const json_t *o, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(o, name));

    return value > 0 ? (uint64_t)value : 0;
}

/* "" if there is none. */
static const char *text(const json_t *o, const char *name)
{
    const char *value = json_string_value(json_object_get(o, name));

    return value ? value : "";
}

static bool is(const json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}

/* Names come from outside: what would move the cursor is not printed as it is. */
static void print_name(const char *name, FILE *out)
{
    for (const char *p = name; *p; p++)
        (void)fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, out);
}

static void print_count(uint64_t count, const char *one, const char *many, bool *comma, FILE *out)
{
    if (count == 0)
        return;
    (void)fprintf(out, "%s%" PRIu64 " %s", *comma ? ", " : "", count, count == 1 ? one : many);
    *comma = true;
}

static void print_missing(const json_t *export, FILE *out)
{
    bool comma = false;

    if (is(export, "in_bucket")) {
        (void)fputs("  everything is in the bucket\n", out);
        return;
    }
    (void)fputs("  not in the bucket: ", out);
    print_count(number(export, "files"), "file", "files", &comma, out);
    if (number(export, "bytes") > 0)
        (void)fprintf(out, " (%s)", TEXT_BYTES(number(export, "bytes")));
    print_count(number(export, "deletes"), "delete", "deletes", &comma, out);
    print_count(number(export, "moves"), "renamed directory being moved",
                "renamed directories being moved", &comma, out);
    (void)fputc('\n', out);
}

static void print_error(const json_t *o, FILE *out)
{
    (void)fputs(text(o, "error"), out);
    if (text(o, "error_text")[0]) {
        (void)fputs(": ", out);
        print_name(text(o, "error_text"), out);
    }
}

static void print_oldest(const json_t *export, FILE *out)
{
    const json_t *file;
    size_t i;

    json_array_foreach(json_object_get(export, "oldest"), i, file)
    {
        if (i == PRINT_FILES_MAX)
            break;
        (void)fprintf(out, "  %-10s %-11s %-10s ", i == 0 ? "oldest" : "",
                      TEXT_TIME((int64_t)number(file, "age_seconds")),
                      TEXT_BYTES(number(file, "size")));
        print_name(text(file, "path"), out);
        (void)fputc('\n', out);
    }
}

static void print_uploads(const json_t *export, FILE *out)
{
    const json_t *file;
    size_t i;

    json_array_foreach(json_object_get(export, "uploads"), i, file)
    {
        uint64_t total = number(file, "upload_total"), done = number(file, "upload_done");
        if (i == PRINT_FILES_MAX)
            break;
        (void)fprintf(out, "  %-10s %3u%%        %-10s ", i == 0 ? "uploading" : "",
                      total ? (unsigned)(100 * (double)done / (double)total) : 0,
                      TEXT_BYTES(total));
        print_name(text(file, "path"), out);
        (void)fputc('\n', out);
    }
}

static void print_failed(const json_t *export, FILE *out)
{
    const json_t *file;
    size_t i;

    json_array_foreach(json_object_get(export, "failed"), i, file)
    {
        if (i == PRINT_FILES_MAX)
            break;
        (void)fprintf(out, "  %-10s ", i == 0 ? "failing" : "");
        print_name(text(file, "path"), out);
        (void)fprintf(out, ", %" PRIu64 " times, the last at %s: ", number(file, "failed_tries"),
                      text(file, "error_time"));
        print_error(file, out);
        (void)fputc('\n', out);
    }
}

static void print_moving(const json_t *export, FILE *out)
{
    const json_t *dir;
    size_t i;

    json_array_foreach(json_object_get(export, "moving"), i, dir)
    {
        if (i == PRINT_FILES_MAX)
            break;
        (void)fprintf(out, "  %-10s ", i == 0 ? "moving" : "");
        print_name(text(dir, "from"), out);
        (void)fputs(" to ", out);
        print_name(text(dir, "path"), out);
        (void)fprintf(out, ", %" PRIu64 " files sent so far\n", number(dir, "files_sent"));
    }
}

static void print_trouble(const json_t *export, FILE *out)
{
    const json_t *store = json_object_get(export, "store"), *event;
    size_t i;

    if (text(export, "mount_error")[0]) {
        (void)fprintf(out, "  %-10s not yet: ", "mounted");
        print_name(text(export, "mount_error"), out);
        (void)fputc('\n', out);
    }
    if (!is(store, "answering")) {
        (void)fprintf(out, "  %-10s no request has succeeded since %s: ", "store",
                      text(store, "failing_since"));
        print_name(text(store, "last_error"), out);
        (void)fputc('\n', out);
    }
    json_array_foreach(json_object_get(export, "errors"), i, event)
    {
        if (i == PRINT_ERRORS_MAX)
            break;
        (void)fprintf(out, "  %-10s %s %s ", i == 0 ? "errors" : "", text(event, "time"),
                      text(event, "what"));
        print_name(text(event, "key"), out);
        (void)fputs(": ", out);
        print_error(event, out);
        (void)fputc('\n', out);
    }
    if (number(export, "conflicts") > 0)
        (void)fprintf(out, "  %-10s %" PRIu64 " since the start\n", "conflicts",
                      number(export, "conflicts"));
    json_array_foreach(json_object_get(export, "last_conflicts"), i, event)
    {
        if (i == PRINT_ERRORS_MAX)
            break;
        (void)fprintf(out, "  %-10s %s ", "", text(event, "time"));
        print_name(text(event, "path"), out);
        (void)fputs(text(event, "kept_as")[0] ? ", ours is " : ", theirs was left alone", out);
        print_name(text(event, "kept_as"), out);
        (void)fputc('\n', out);
    }
    if (number(export, "damaged_bytes") > 0)
        (void)fprintf(out, "  %-10s %s that clients wrote were missing or damaged at the start\n",
                      "DAMAGED", TEXT_BYTES(number(export, "damaged_bytes")));
    if (number(export, "hidden_keys") > 0)
        (void)fprintf(out, "  %-10s %" PRIu64 " keys that cannot be file names\n", "not shown",
                      number(export, "hidden_keys"));
}

static void print_export(const json_t *export, FILE *out)
{
    const json_t *at;
    size_t i;

    (void)fprintf(out, "\n%s  %s%s\n", text(export, "name"), text(export, "url"),
                  is(export, "read_only") ? "  (read-only)" : "");
    json_array_foreach(json_object_get(export, "mountpoints"), i, at)
    {
        if (json_is_string(at) && strcmp(json_string_value(at), text(export, "name")) != 0)
            (void)fprintf(out, "  mounted on %s\n", json_string_value(at));
    }
    print_missing(export, out);
    print_oldest(export, out);
    print_uploads(export, out);
    print_moving(export, out);
    print_failed(export, out);
    print_trouble(export, out);
}

static void print_state(const json_t *status, FILE *out)
{
    const json_t *state = json_object_get(status, "state"), *nfs = json_object_get(status, "nfs");

    (void)fprintf(out, "\nstage       %s of %s\n", TEXT_BYTES(number(state, "stage_used")),
                  TEXT_BYTES(number(state, "stage_limit")));
    (void)fprintf(out, "state disk  %s free of %s\n", TEXT_BYTES(number(state, "disk_free")),
                  TEXT_BYTES(number(state, "disk_size")));
    if (text(state, "error")[0])
        (void)fprintf(out, "            REFUSES TO WRITE since %s: %s\n",
                      text(state, "error_since"), text(state, "error"));
    if (!json_is_object(nfs))
        return;
    (void)fprintf(
        out, "replies     %" PRIu64 " kept for retransmissions, %s of %s; %" PRIu64 " sent again\n",
        number(nfs, "replies_kept"), TEXT_BYTES(number(nfs, "replies_kept_bytes")),
        TEXT_BYTES(number(nfs, "replies_kept_limit")), number(nfs, "replies_replayed"));
    (void)fprintf(out, "clients     %" PRIu64 " connections, %" PRIu64 " calls under way\n",
                  number(nfs, "connections"), number(nfs, "calls"));
}

void status_print(const json_t *status, FILE *out)
{
    const json_t *export;
    size_t i;

    (void)fprintf(out, "pailfs %s, process %" PRIu64 ", up %s, state in %s\n",
                  text(status, "version"), number(status, "pid"),
                  TEXT_TIME((int64_t)number(status, "uptime_seconds")),
                  text(json_object_get(status, "state"), "directory"));
    json_array_foreach(json_object_get(status, "exports"), i, export)
    {
        print_export(export, out);
    }
    print_state(status, out);
    (void)fprintf(out, "\n%s\n",
                  is(status, "in_bucket") ? "Everything is in the bucket."
                                          : "Not everything is in the bucket yet.");
}
