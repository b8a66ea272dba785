/* The JSON of GET /status. */
#include "cmd/control_int.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

json_t *control_json_text(const char *s)
{
    if (!s)
        return json_null();
    json_t *text = json_string(s);
    if (text)
        return text;
    CLEANUP_FREE char *copy = mem_strdup(s);
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    }
    return json_string(copy);
}

json_t *control_json_time(int64_t wall_ns)
{
    char text[32];
    time_t seconds = (time_t)(wall_ns / CLOCK_S);
    struct tm tm;

    if (wall_ns == 0)
        return json_null();
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

static json_t *json_u64(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *json_error_name(int err)
{
    return err ? json_string(strerrordesc_np(-err)) : json_null();
}

static void put(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

/* Paths are told as clients know them: below the export's name. */
static json_t *json_path(const char *export_name, const char *path)
{
    CLEANUP_FREE char *whole =
        mem_printf("%s%s", strcmp(export_name, "/") == 0 ? "" : export_name, path);

    return control_json_text(whole);
}

json_t *control_json_files(const char *export_name, const struct fs_status_files *files)
{
    json_t *list = json_array();

    for (size_t i = 0; i < files->count; i++) {
        const struct fs_status_file *file = &files->file[i];
        json_t *o = json_object();
        put(o, "path", json_path(export_name, file->path));
        put(o, "size", json_u64(file->size));
        put(o, "staged", json_u64(file->staged));
        put(o, "age_seconds", json_integer(file->age_ns / CLOCK_S));
        put(o, "uploading", json_boolean(file->uploading));
        put(o, "upload_total", json_u64(file->upload_total));
        put(o, "upload_done", json_u64(file->upload_done));
        put(o, "failed_tries", json_integer(file->tries));
        put(o, "error", json_error_name(file->err));
        put(o, "error_text", control_json_text(file->err_text));
        put(o, "error_time", control_json_time(file->err_ns));
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_moving(const char *export_name, const struct fs_status *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->drain_count; i++) {
        json_t *o = json_object();
        put(o, "path", json_path(export_name, s->drain[i].path));
        put(o, "from", json_path(export_name, s->drain[i].from));
        put(o, "places", json_u64(s->drain[i].places));
        put(o, "files_sent", json_u64(s->drain[i].moved));
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_errors(const struct fs_status *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < FS_STATUS_EVENTS_MAX && s->errors[i].at_ns; i++) {
        const struct fs_status_event *event = &s->errors[i];
        json_t *o = json_object();
        put(o, "time", control_json_time(event->at_ns));
        put(o, "what", control_json_text(event->what));
        put(o, "key", control_json_text(event->name));
        put(o, "error", json_error_name(event->err));
        put(o, "error_text", control_json_text(event->text));
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_conflicts(const char *export_name, const struct fs_status *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < FS_STATUS_EVENTS_MAX && s->conflict[i].at_ns; i++) {
        const struct fs_status_event *event = &s->conflict[i];
        json_t *o = json_object();
        put(o, "time", control_json_time(event->at_ns));
        put(o, "what", control_json_text(event->what));
        put(o, "path", json_path(export_name, event->name));
        put(o, "kept_as", event->text ? json_path(export_name, event->text) : json_null());
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_store(const struct fs_status *s)
{
    json_t *o = json_object();

    put(o, "answering", json_boolean(s->store_failing_ns == 0));
    put(o, "failing_since", control_json_time(s->store_failing_ns));
    put(o, "failures", json_u64(s->store_failures));
    put(o, "last_error", control_json_text(s->store_error));
    return o;
}

static json_t *json_totals(const struct fs_status *s)
{
    json_t *o = json_object();

    put(o, "uploads", json_u64(s->uploads_done));
    put(o, "upload_bytes", json_u64(s->upload_bytes));
    put(o, "uploads_failed", json_u64(s->uploads_failed));
    put(o, "deletes", json_u64(s->deletes_done));
    put(o, "deletes_failed", json_u64(s->deletes_failed));
    return o;
}

static json_t *json_mountpoints(const struct control_export *export)
{
    json_t *list = json_array();

    for (size_t i = 0; i < export->mountpoint_count; i++)
        (void)json_array_append_new(list, control_json_text(export->mountpoints[i]));
    return list;
}

static json_t *json_export(const struct control_export *export, const struct fs_status *s)
{
    json_t *o = json_object();

    put(o, "name", control_json_text(export->name));
    put(o, "url", control_json_text(export->url));
    put(o, "mountpoints", json_mountpoints(export));
    put(o, "read_only", json_boolean(s->read_only));
    put(o, "in_bucket", json_boolean(fs_status_all_in(s)));
    put(o, "files", json_u64(s->files));
    put(o, "bytes", json_u64(s->bytes));
    put(o, "deletes", json_u64(s->deletes));
    put(o, "moves", json_u64(s->drains));
    put(o, "uploading", json_u64(s->uploading));
    put(o, "failing", json_u64(s->failing));
    put(o, "local_files", json_u64(s->local));
    put(o, "oldest", control_json_files(export->name, &s->oldest));
    put(o, "uploads", control_json_files(export->name, &s->running));
    put(o, "failed", control_json_files(export->name, &s->failed));
    put(o, "moving", json_moving(export->name, s));
    put(o, "store", json_store(s));
    if (export->mount_error)
        put(o, "mount_error", control_json_text(export->mount_error));
    put(o, "totals", json_totals(s));
    put(o, "errors", json_errors(s));
    put(o, "conflicts", json_u64(s->conflicts));
    put(o, "last_conflicts", json_conflicts(export->name, s));
    put(o, "damaged_bytes", json_u64(s->damaged));
    put(o, "hidden_keys", json_u64(s->hidden));
    put(o, "inodes_in_memory", json_u64(s->inodes));
    return o;
}

static json_t *json_state(const struct control_config *config, const struct fs_disk_status *disk)
{
    json_t *o = json_object();

    put(o, "directory", control_json_text(config->state_dir));
    put(o, "stage_used", json_u64(disk->stage_used));
    put(o, "stage_limit", json_u64(disk->stage_limit));
    put(o, "stage_segments", json_u64(disk->stage_segments));
    put(o, "disk_free", json_u64(disk->disk_free));
    put(o, "disk_size", json_u64(disk->disk_size));
    put(o, "queued_bytes", json_u64(disk->queued_bytes));
    put(o, "error", json_error_name(disk->err));
    put(o, "error_since", control_json_time(disk->err_since_ns));
    return o;
}

static json_t *json_nfs(const struct nfsd_usage *usage)
{
    json_t *o = json_object();

    put(o, "connections", json_integer(usage->connections));
    put(o, "connections_refused", json_u64(usage->connections_refused));
    put(o, "calls", json_integer(usage->calls));
    put(o, "calls_held", json_integer(usage->calls_held));
    put(o, "calls_served", json_u64(usage->calls_served));
    put(o, "workers", json_integer(usage->workers));
    put(o, "replies_kept", json_u64(usage->replies_kept));
    put(o, "replies_kept_bytes", json_u64(usage->replies_kept_bytes));
    put(o, "replies_kept_limit", json_u64(usage->replies_kept_max));
    put(o, "replies_replayed", json_u64(usage->replies_replayed));
    return o;
}

json_t *control_json_status(const struct control_config *config, const struct control_facts *facts)
{
    json_t *o = json_object(), *exports = json_array();
    bool all = true;

    for (size_t i = 0; i < config->export_count; i++) {
        (void)json_array_append_new(exports, json_export(&config->exports[i], &facts->exports[i]));
        all = all && fs_status_all_in(&facts->exports[i]);
    }
    put(o, "version", json_string(PAILFS_VERSION));
    put(o, "pid", json_integer(getpid()));
    put(o, "uptime_seconds", json_integer(facts->uptime_ns / CLOCK_S));
    put(o, "in_bucket", json_boolean(all));
    put(o, "exports", exports);
    put(o, "state", json_state(config, &facts->disk));
    put(o, "nfs", config->nfsd ? json_nfs(&facts->nfs) : json_null());
    return o;
}
