/* The setters of setting_table; each says in ret_why what was expected. */
#pragma once

#include "cmd/export_options.h"
#include "cmd/parse.h"
#include "cmd/serve_options.h"
#include "cmd/setting.h"

#define SETTING_SETTER(name) int name(void *target, const char *value, const char **ret_why)

static inline struct serve_options *setting_process(void *target)
{
    return ((struct setting_target *)target)->process;
}

static inline struct export_options *setting_export(void *target)
{
    return ((struct setting_target *)target)->export;
}

/* A flag: no value is yes. */
static inline int setting_flag(bool *flag, const char *value, const char **ret_why)
{
    return value ? parse_bool(value, flag, ret_why) : (*flag = true, 0);
}

/* Keeps a text that must not be empty. */
int setting_text(void *target, const char **text, const char *value, const char *expected,
                 const char **ret_why);

/* setting_process.c */
SETTING_SETTER(set_listen);
SETTING_SETTER(set_nfs_port);
SETTING_SETTER(set_mount_port);
SETTING_SETTER(set_portmap);
SETTING_SETTER(set_state_dir);
SETTING_SETTER(set_commit);
SETTING_SETTER(set_quiet_time);
SETTING_SETTER(set_retry_max);
SETTING_SETTER(set_memory_limit);
SETTING_SETTER(set_stage_limit);
SETTING_SETTER(set_uploads);
SETTING_SETTER(set_accept_damage);
SETTING_SETTER(set_request_deadline);
SETTING_SETTER(set_shutdown_timeout);
SETTING_SETTER(set_log_level);
SETTING_SETTER(set_log_file);
SETTING_SETTER(set_foreground);
SETTING_SETTER(set_kept); /* looked at where it was given */

/* setting_export.c */
SETTING_SETTER(set_allow);
SETTING_SETTER(set_squash);
SETTING_SETTER(set_anonuid);
SETTING_SETTER(set_anongid);
SETTING_SETTER(set_secure);
SETTING_SETTER(set_insecure_ports);
SETTING_SETTER(set_read_only);
SETTING_SETTER(set_attr_ttl);
SETTING_SETTER(set_list_ttl);
SETTING_SETTER(set_uid);
SETTING_SETTER(set_gid);
SETTING_SETTER(set_file_mode);
SETTING_SETTER(set_dir_mode);
SETTING_SETTER(set_umask);
SETTING_SETTER(set_no_implicit_dir);
SETTING_SETTER(set_cheap);
SETTING_SETTER(set_use_content_type);
SETTING_SETTER(set_part_size);
SETTING_SETTER(set_parts);
SETTING_SETTER(set_multipart_age);
SETTING_SETTER(set_allow_other);
SETTING_SETTER(set_mount_commit);
SETTING_SETTER(set_fsname);
SETTING_SETTER(set_fuse_options);
SETTING_SETTER(set_url);

/* setting_store.c */
SETTING_SETTER(set_endpoint);
SETTING_SETTER(set_region);
SETTING_SETTER(set_profile);
SETTING_SETTER(set_passwd_file);
SETTING_SETTER(set_path_style);
SETTING_SETTER(set_virtual_style);
SETTING_SETTER(set_ca_file);
SETTING_SETTER(set_no_verify);
SETTING_SETTER(set_unsigned);
SETTING_SETTER(set_storage_class);
SETTING_SETTER(set_cold_min_size);
SETTING_SETTER(set_acl);
SETTING_SETTER(set_sse);
SETTING_SETTER(set_sse_kms);
SETTING_SETTER(set_sse_kms_bucket_key);
SETTING_SETTER(set_sse_c);
SETTING_SETTER(set_requester_pays);
SETTING_SETTER(set_no_detect);
SETTING_SETTER(set_no_checksum);
SETTING_SETTER(set_list_type);
SETTING_SETTER(set_connections);
SETTING_SETTER(set_connect_timeout);
SETTING_SETTER(set_stall_timeout);
SETTING_SETTER(set_retries);
SETTING_SETTER(set_retry_min);
