/* What the files of the control socket's server share. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/mem.h" /* before <rpc/rpc.h>, which has a macro mem_alloc */

#include "cmd/control.h"
#include "nfsd/server.h"

/* What is asked of the process, once per answer. */
struct control_facts {
    struct fs_disk_status disk;
    struct nfsd_usage nfs;
    struct fs_status *exports; /* as many as there are exports */
    int64_t uptime_ns;
};
void control_facts_get(const struct control_config *config, int64_t started_ns,
                       struct control_facts *ret);
void control_facts_clear(const struct control_config *config, struct control_facts *facts);

/* --- control_submount.c --- */

/* config, with sub-mounts among its exports as they are now. To be cleared. */
void control_exports_now(const struct control_config *config, struct control_config *ret);
void control_exports_clear(struct control_config *now);
/* Answer GET /submount, and POST and DELETE: the HTTP status, and the body in *ret. Texts may be
 * NULL. */
unsigned control_submount_list(const struct control_config *config, json_t **ret);
unsigned control_submount_change(const struct control_config *config, bool add, const char *path,
                                 const char *url, const char *options, const char *force,
                                 json_t **ret);

/* --- control_json.c --- */

/* s, or if it is not UTF-8 what of it is ASCII; null for NULL. */
json_t *control_json_text(const char *s);
/* A point in time of the wall clock as ISO 8601 in UTC; null for 0. */
json_t *control_json_time(int64_t wall_ns);
json_t *control_json_files(const char *export_name, const struct fs_status_files *files);
json_t *control_json_status(const struct control_config *config, const struct control_facts *facts);

/* --- control_metrics.c --- */

char *control_metrics_text(const struct control_config *config, const struct control_facts *facts);

/* --- control_flush.c --- */

/* Answers POST /flush: the HTTP status, and the body in *ret. path and mark may be NULL. start
 * tells this run of the gateway from others. */
unsigned control_flush(const struct control_config *config, uint64_t start, const char *path,
                       const char *mark, json_t **ret);
/* The export that path is in, the one with the longest name if there are several; *ret_rest is what
 * follows in path. NULL: in none. */
const struct control_export *control_export_find(const struct control_config *config,
                                                 const char *path, const char **ret_rest);
/* {"error": ...} */
json_t *control_json_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- control_stat.c --- */

/* Answers GET /stat, and POST /refresh: the HTTP status, and the body in *ret. path may be NULL. */
unsigned control_stat(const struct control_config *config, const char *path, bool refresh,
                      json_t **ret);
