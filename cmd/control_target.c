/* From what a person types, a path on this host as likely as not, to a gateway and a path in it. */
#include "cmd/control_target.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "cmd/mount_state.h"

int control_options_state_dir(void *target, const char *value, const char **ret_why)
{
    return state_dir_set(&((struct control_options *)target)->state_dir, value, ret_why);
}

int control_options_mount(void *target, const char *value, const char **ret_why)
{
    return state_dir_set(&((struct control_options *)target)->mount, value, ret_why);
}

void control_options_clear(struct control_options *options)
{
    free(options->state_dir);
    free(options->mount);
}

/* Takes the state directory of the mount that path is in. False if it is in none. */
static bool find_by_path(const char *path, struct control_target *ret)
{
    CLEANUP_FREE char *whole = NULL;
    const char *rest;

    ret->state_dir = mount_state_find(path, &whole, &rest);
    if (!ret->state_dir)
        return false;
    ret->mountpoint = mem_strndup(whole, (size_t)(rest - whole));
    ret->path = mem_strdup(rest);
    return true;
}

int control_target_find(const char *state_dir, const char *mount, const char *path,
                        struct control_target *ret, struct cmd_error *reterr)
{
    *ret = (struct control_target){.state_dir = NULL};
    if (state_dir && mount)
        return cmd_error_set(reterr, -EINVAL, "--state-dir and --mount exclude each other");
    if (mount) {
        if (!find_by_path(mount, ret))
            return cmd_error_set(
                reterr, -ENOENT,
                "%s: no mount of this user is known there; expected the mountpoint "
                "of a \"pailfs mount\", or --state-dir DIR",
                mount);
        char *below = mem_printf("%s%s", ret->path, path ? path : "");
        free(ret->path);
        ret->path = below;
        return 0;
    }
    if (!state_dir && path && find_by_path(path, ret))
        return 0;
    ret->state_dir = state_dir ? mem_strdup(state_dir) : state_dir_default(reterr);
    ret->path = mem_strdup(path);
    return ret->state_dir ? 0 : -EINVAL;
}

void control_target_clear(struct control_target *target)
{
    free(target->state_dir);
    free(target->mountpoint);
    free(target->path);
    *target = (struct control_target){.state_dir = NULL};
}

/* The name of the export that status says is mounted at mountpoint; NULL if none is. */
static const char *export_at(const json_t *status, const char *mountpoint)
{
    const json_t *export, *at;
    size_t i, k;

    json_array_foreach(json_object_get(status, "exports"), i, export)
    {
        json_array_foreach(json_object_get(export, "mountpoints"), k, at)
        {
            if (json_is_string(at) && strcmp(json_string_value(at), mountpoint) == 0)
                return json_string_value(json_object_get(export, "name"));
        }
    }
    return NULL;
}

int control_target_translate(struct control_target *target, struct control_client *client,
                             struct cmd_error *reterr)
{
    json_t *status = NULL;
    long http = 0;

    if (!target->mountpoint)
        return 0;
    int err = control_client_ask(client, "GET", "/status", &http, &status, reterr);
    if (err)
        return err;
    const char *name = export_at(status, target->mountpoint);
    if (name) {
        char *path = mem_printf("%s%s", name, target->path);
        free(target->path);
        target->path = path;
    } else {
        err =
            cmd_error_set(reterr, -ENOENT, "%s: the process that was mounted there is not any more",
                          target->mountpoint);
    }
    json_decref(status);
    return err;
}
