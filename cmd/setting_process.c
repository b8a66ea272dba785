/* Setters of what is said of the whole process. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/setting_int.h"

enum { LISTEN_MAX = 32, UPLOADS_MAX = 1024 };

#define LIMIT_MIN (UINT64_C(16) << 20)

static int add_listen(void *target, const char *value, const char **ret_why)
{
    struct serve_options *o = setting_process(target);
    uint8_t bytes[16];

    *ret_why = "expected a numeric address such as 127.0.0.1, 0.0.0.0 or ::";
    if (inet_pton(AF_INET, value, bytes) != 1 && inet_pton(AF_INET6, value, bytes) != 1)
        return -EINVAL;
    *ret_why = "expected at most 32 addresses";
    if (o->listen_count == LISTEN_MAX)
        return -EINVAL;
    o->listen = mem_rearray(o->listen, o->listen_count + 1, sizeof(*o->listen));
    o->listen[o->listen_count++] = text_pool_copy(((struct setting_target *)target)->pool, value);
    return 0;
}

SETTING_SETTER(set_listen)
{
    if (!value) {
        setting_process(target)->listen_count = 0;
        return 0;
    }
    return parse_each(value, add_listen, target, ret_why);
}

static int set_port(uint32_t *port, const char *value, const char **ret_why)
{
    int err = parse_uint(value, 1, 65535, port, ret_why);

    *ret_why = "expected a port number from 1 to 65535";
    return err;
}

SETTING_SETTER(set_nfs_port)
{
    return set_port(&setting_process(target)->nfs_port, value, ret_why);
}

SETTING_SETTER(set_mount_port)
{
    return set_port(&setting_process(target)->mount_port, value, ret_why);
}

SETTING_SETTER(set_portmap)
{
    static const char *const names[] = {"auto", "on", "off", NULL};
    int at = parse_word(value, names);

    *ret_why = "expected auto, on or off";
    if (at < 0)
        return -EINVAL;
    setting_process(target)->portmap = (enum portmap_mode)(PORTMAP_AUTO + at);
    return 0;
}

static int set_path(void *target, char **path, const char *value, const char *expected,
                    const char **ret_why)
{
    const char *text = NULL;
    int err = setting_text(target, &text, value, expected, ret_why);

    if (!err) {
        free(*path);
        *path = mem_strdup(text);
    }
    return err;
}

SETTING_SETTER(set_state_dir)
{
    return set_path(target, &setting_process(target)->state_dir, value,
                    "expected the path of a directory", ret_why);
}

SETTING_SETTER(set_log_file)
{
    return set_path(target, &setting_process(target)->log_file, value,
                    "expected the path of a file", ret_why);
}

SETTING_SETTER(set_foreground)
{
    return setting_flag(&setting_process(target)->foreground, value, ret_why);
}

SETTING_SETTER(set_commit)
{
    static const char *const names[] = {"local", "store", NULL};
    int at = parse_word(value, names);

    *ret_why = "expected local or store";
    if (at < 0)
        return -EINVAL;
    setting_process(target)->commit_store = at == 1;
    return 0;
}

SETTING_SETTER(set_quiet_time)
{
    return parse_duration(value, &setting_process(target)->quiet_ns, ret_why);
}

SETTING_SETTER(set_retry_max)
{
    return parse_duration(value, &setting_process(target)->retry_max_ns, ret_why);
}

static int set_limit(uint64_t *limit, const char *value, const char **ret_why)
{
    uint64_t size;

    int err = parse_size(value, &size, ret_why);
    if (err)
        return err;
    *ret_why = "expected at least 16M (a number without a unit is bytes)";
    if (size < LIMIT_MIN)
        return -EINVAL;
    *limit = size;
    return 0;
}

SETTING_SETTER(set_memory_limit)
{
    return set_limit(&setting_process(target)->memory_limit, value, ret_why);
}

SETTING_SETTER(set_stage_limit)
{
    return set_limit(&setting_process(target)->stage_limit, value, ret_why);
}

SETTING_SETTER(set_uploads)
{
    int err = parse_uint(value, 1, UPLOADS_MAX, &setting_process(target)->uploads, ret_why);

    *ret_why = "expected a number from 1 to 1024";
    return err;
}

SETTING_SETTER(set_accept_damage)
{
    return setting_flag(&setting_process(target)->accept_damage, value, ret_why);
}

SETTING_SETTER(set_request_deadline)
{
    int64_t ns;

    int err = parse_duration(value, &ns, ret_why);
    if (err)
        return err;
    *ret_why = "expected at least 100ms";
    if (ns < 100 * CLOCK_MS)
        return -EINVAL;
    setting_process(target)->deadline_ns = ns;
    return 0;
}

SETTING_SETTER(set_shutdown_timeout)
{
    return parse_duration(value, &setting_process(target)->shutdown_ns, ret_why);
}

SETTING_SETTER(set_log_level)
{
    *ret_why = "expected error, warn, info or debug";
    return log_level_parse(value, &setting_process(target)->log_level);
}

/* What has to be known before or after all others is taken from the list. */
SETTING_SETTER(set_kept)
{
    (void)target;
    *ret_why = "expected a value";
    return value && !*value ? -EINVAL : 0;
}
