/* Mountpoints: their names, and whether a pailfs, living or dead, is mounted there already. */
#include "cmd/mount_point.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fuse/front.h"

static const char mount_type[] = "fuse.pailfs";

/* The parent resolved, the last part as it is: a dead mount cannot be looked at. */
static char *resolve_parent(const char *path)
{
    CLEANUP_FREE char *copy = mem_strdup(path);
    size_t len = strlen(copy);

    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy, *parent = slash == copy ? "/" : slash ? copy : ".";
    if (slash)
        *slash = '\0';
    CLEANUP_FREE char *resolved = realpath(parent, NULL);
    if (!resolved || !*name)
        return NULL;
    return mem_printf("%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, name);
}

char *mount_point_resolve(const char *path, struct cmd_error *reterr)
{
    struct stat info;
    char *resolved = realpath(path, NULL);

    if (!resolved && errno == ENOTCONN)
        resolved = resolve_parent(path);
    if (!resolved || (stat(resolved, &info) && errno != ENOTCONN && errno != EACCES)) {
        (void)cmd_error_set(reterr, -errno, "%s: %s: expected a directory to mount on", path,
                            strerrordesc_np(errno));
        free(resolved);
        return NULL;
    }
    if (stat(resolved, &info) == 0 && !S_ISDIR(info.st_mode)) {
        (void)cmd_error_set(reterr, -ENOTDIR, "%s: expected a directory to mount on", path);
        free(resolved);
        return NULL;
    }
    return resolved;
}

/* "\040" and its like, in place. */
static void decode_octal(char *text)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* One line of /proc/self/mountinfo: ID PARENT DEV ROOT POINT OPTIONS [FIELDS...] - TYPE SOURCE ...
 */
static bool line_is_at(char *line, const char *dir, bool *ret_ours)
{
    char *save = NULL, *point = NULL, *type = NULL, *word = strtok_r(line, " ", &save);

    for (int i = 0; word; i++, word = strtok_r(NULL, " ", &save)) {
        if (i == 4)
            point = word;
        if (i > 4 && strcmp(word, "-") == 0) {
            type = strtok_r(NULL, " ", &save);
            break;
        }
    }
    if (!point || !type)
        return false;
    decode_octal(point);
    *ret_ours = strcmp(type, mount_type) == 0;
    return strcmp(point, dir) == 0;
}

/* Whether the uppermost mount at dir is one of ours. */
static bool is_ours(const char *dir)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *line = NULL;
    size_t size = 0;
    bool ours = false;

    if (!file)
        return false;
    while (getline(&line, &size, file) > 0) {
        bool line_ours;
        if (line_is_at(line, dir, &line_ours))
            ours = line_ours; /* later lines lie above */
    }
    (void)fclose(file);
    return ours;
}

int mount_point_check(const char *dir, struct cmd_error *reterr)
{
    if (!is_ours(dir) || front_is_dead_mount(dir))
        return 0;
    return cmd_error_set(reterr, -EBUSY,
                         "%s: a pailfs is mounted there already and answers; \"fusermount3 -u %s\" "
                         "or \"umount %s\" ends it",
                         dir, dir, dir);
}
