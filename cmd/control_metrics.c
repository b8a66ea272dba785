/* The text of GET /metrics: Prometheus' exposition format, version 0.0.4. */
#include "cmd/control_int.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };

/* A label's value: backslash, quote and newline are escaped, nothing else. */
static void print_label(FILE *out, const char *value)
{
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"')
            (void)fprintf(out, "\\%c", *p);
        else if (*p == '\n')
            (void)fputs("\\n", out);
        else
            (void)fputc(*p, out);
    }
}

static void print_head(FILE *out, const char *name, enum metric_kind kind, const char *help)
{
    (void)fprintf(out, "# HELP pailfs_%s %s\n# TYPE pailfs_%s %s\n", name, help, name,
                  kind == METRIC_GAUGE ? "gauge" : "counter");
}

struct metric_of_export {
    const char *name, *help;
    enum metric_kind kind;
    uint64_t (*get)(const struct fs_status *s);
};

/* Age of the oldest file, in seconds. */
static uint64_t get_oldest(const struct fs_status *s)
{
    return s->oldest.count > 0 ? (uint64_t)(s->oldest.file[0].age_ns / CLOCK_S) : 0;
}

static uint64_t get_store_failing(const struct fs_status *s)
{
    return s->store_failing_ns != 0;
}

#define FIELD(field)                                       \
    static uint64_t get_##field(const struct fs_status *s) \
    {                                                      \
        return s->field;                                   \
    }
FIELD(files)
FIELD(bytes)
FIELD(deletes)
FIELD(drains)
FIELD(uploading)
FIELD(failing)
FIELD(uploads_done)
FIELD(upload_bytes)
FIELD(uploads_failed)
FIELD(deletes_done)
FIELD(deletes_failed)
FIELD(conflicts)
FIELD(hidden)
FIELD(damaged)
FIELD(store_failures)

static const struct metric_of_export export_metrics[] = {
    {"pending_files", "Files that are not in the bucket yet.", METRIC_GAUGE, get_files},
    {"pending_bytes", "Their bytes that wait in the stage.", METRIC_GAUGE, get_bytes},
    {"pending_deletes", "Objects that are still to be deleted.", METRIC_GAUGE, get_deletes},
    {"pending_moves", "Renamed directories whose objects are being moved.", METRIC_GAUGE,
     get_drains},
    {"oldest_pending_seconds", "Age of the oldest change that is not in the bucket.", METRIC_GAUGE,
     get_oldest},
    {"uploads_running", "Files that are being uploaded.", METRIC_GAUGE, get_uploading},
    {"files_failing", "Files whose last upload failed.", METRIC_GAUGE, get_failing},
    {"uploads_total", "Objects that were put into the bucket.", METRIC_COUNTER, get_uploads_done},
    {"upload_bytes_total", "Their bytes.", METRIC_COUNTER, get_upload_bytes},
    {"upload_failures_total", "Uploads that failed and are tried again.", METRIC_COUNTER,
     get_uploads_failed},
    {"deletes_total", "Objects that were deleted.", METRIC_COUNTER, get_deletes_done},
    {"delete_failures_total", "Deletions that failed and are tried again.", METRIC_COUNTER,
     get_deletes_failed},
    {"conflicts_total", "Changes that met somebody else's change of the same object.",
     METRIC_COUNTER, get_conflicts},
    {"damaged_bytes", "Staged bytes that were missing or damaged at the start.", METRIC_GAUGE,
     get_damaged},
    {"hidden_keys", "Keys seen in the bucket that cannot be file names.", METRIC_GAUGE, get_hidden},
    {"store_failures_total", "Single requests to the store that failed.", METRIC_COUNTER,
     get_store_failures},
    {"store_failing", "1 while no request to the store succeeds.", METRIC_GAUGE, get_store_failing},
};

static void print_exports(FILE *out, const struct control_config *config,
                          const struct control_facts *facts)
{
    for (size_t m = 0; m < sizeof(export_metrics) / sizeof(export_metrics[0]); m++) {
        const struct metric_of_export *metric = &export_metrics[m];
        print_head(out, metric->name, metric->kind, metric->help);
        for (size_t i = 0; i < config->export_count; i++) {
            (void)fprintf(out, "pailfs_%s{export=\"", metric->name);
            print_label(out, config->exports[i].name);
            (void)fprintf(out, "\"} %" PRIu64 "\n", metric->get(&facts->exports[i]));
        }
    }
}

static void print_one(FILE *out, const char *name, enum metric_kind kind, uint64_t value,
                      const char *help)
{
    print_head(out, name, kind, help);
    (void)fprintf(out, "pailfs_%s %" PRIu64 "\n", name, value);
}

char *control_metrics_text(const struct control_config *config, const struct control_facts *facts)
{
    const struct fs_disk_status *disk = &facts->disk;
    const struct nfsd_usage *nfs = &facts->nfs;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    print_exports(out, config, facts);
    print_one(out, "stage_bytes", METRIC_GAUGE, disk->stage_used, "Bytes in the stage.");
    print_one(out, "stage_limit_bytes", METRIC_GAUGE, disk->stage_limit,
              "Bytes that the stage may hold.");
    print_one(out, "state_disk_free_bytes", METRIC_GAUGE, disk->disk_free,
              "Bytes free on the disk of the state directory.");
    print_one(out, "state_disk_failing", METRIC_GAUGE, disk->err != 0,
              "1 while the disk of the state directory refuses to write.");
    print_one(out, "nfs_connections", METRIC_GAUGE, nfs->connections, "Connections of clients.");
    print_one(out, "nfs_calls_running", METRIC_GAUGE, nfs->calls, "Calls under way.");
    print_one(out, "nfs_calls_total", METRIC_COUNTER, nfs->calls_served, "Calls answered.");
    print_one(out, "nfs_replays_total", METRIC_COUNTER, nfs->replies_replayed,
              "Retransmitted calls that got the first reply again.");
    print_one(out, "nfs_replies_kept_bytes", METRIC_GAUGE, nfs->replies_kept_bytes,
              "Bytes of replies kept for retransmissions.");
    print_one(out, "uptime_seconds", METRIC_GAUGE, (uint64_t)(facts->uptime_ns / CLOCK_S),
              "Since the start of the gateway.");
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
