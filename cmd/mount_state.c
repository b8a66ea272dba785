/* The state directories of mounts: their names, and finding them again by the mountpoint. */
#include "cmd/mount_state.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/dir.h"
#include "cmd/store_options.h"

enum { STATE_NAME_MAX = 100, STATE_PATH_MAX = 4096 };

/* A file name that a person recognises: text with all that is not plain as '-'; the hash of text
 * and more tells those apart that look the same. */
static char *readable_name(const char *text, const char *more)
{
    char plain[STATE_NAME_MAX + 1];
    size_t n = 0;

    for (const char *p = text; *p && n < STATE_NAME_MAX; p++) {
        bool keep = isalnum((unsigned char)*p) || *p == '.' || *p == '_';
        if (keep && (n > 0 || *p != '.'))
            plain[n++] = *p;
        else if (n > 0 && plain[n - 1] != '-')
            plain[n++] = '-';
    }
    plain[n] = '\0';
    uint64_t hash = XXH3_64bits_withSeed(more, strlen(more), XXH3_64bits(text, strlen(text)));
    return mem_printf("%s%s%016llx", plain, n > 0 && plain[n - 1] != '-' ? "-" : "",
                      (unsigned long long)hash);
}

char *mount_state_default(const char *url, const char *mountpoint, struct cmd_error *reterr)
{
    CLEANUP_FREE char *base = state_dir_default(reterr);
    CLEANUP_FREE char *name = readable_name(url, mountpoint);

    return base ? mem_printf("%s/mounts/%s", base, name) : NULL;
}

static char *link_path(const char *base, const char *mountpoint)
{
    CLEANUP_FREE char *name = readable_name(mountpoint, "");

    return mem_printf("%s/mounts/at/%s", base, name);
}

void mount_state_remember(const char *mountpoint, const char *state_dir)
{
    struct cmd_error error = {{0}};
    CLEANUP_FREE char *base = state_dir_default(&error);

    if (!base)
        return;
    CLEANUP_FREE char *to = dir_absolute(state_dir);
    CLEANUP_FREE char *path = link_path(base, mountpoint);
    CLEANUP_FREE char *fresh = mem_printf("%s.%ld", path, (long)getpid());
    CLEANUP_FREE char *dir = mem_printf("%s/mounts/at", base);
    int err = dir_make(dir);
    if (!err && (symlink(to, fresh) || rename(fresh, path)))
        err = -errno;
    if (err)
        log_event(LOG_WARN, "mount_not_remembered", "path=%s err=%s note=%s", LOG_Q(path),
                  strerrordesc_np(-err),
                  LOG_Q("status and flush need --state-dir for this mountpoint"));
}

/* What the link of mountpoint leads to, or NULL. */
static char *read_link(const char *base, const char *mountpoint)
{
    CLEANUP_FREE char *path = link_path(base, mountpoint);
    char target[STATE_PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target));

    return n > 0 && n < (ssize_t)sizeof(target) ? mem_strndup(target, (size_t)n) : NULL;
}

void mount_state_forget(const char *mountpoint, const char *state_dir)
{
    struct cmd_error error = {{0}};
    CLEANUP_FREE char *base = state_dir_default(&error);
    CLEANUP_FREE char *mine = dir_absolute(state_dir);
    CLEANUP_FREE char *found = base ? read_link(base, mountpoint) : NULL;

    if (found && strcmp(found, mine) == 0) {
        CLEANUP_FREE char *path = link_path(base, mountpoint);
        (void)unlink(path);
    }
}

/* The longest directory at or above whole that a link is known for; what it leads to, and its
 * length.
 */
static char *find_above(const char *base, const char *whole, size_t *ret_len)
{
    for (size_t len = strlen(whole); len > 0; len--) {
        if (whole[len] != '/' && whole[len] != '\0')
            continue;
        CLEANUP_FREE char *at = mem_strndup(whole, len);
        char *found = read_link(base, at);
        if (found) {
            *ret_len = len;
            return found;
        }
    }
    return NULL;
}

char *mount_state_find(const char *path, char **ret_path, const char **ret_rest)
{
    struct cmd_error error = {{0}};
    CLEANUP_FREE char *base = state_dir_default(&error);
    CLEANUP_FREE char *links = mem_printf("%s/mounts/at", base ? base : "");
    char *whole = dir_absolute(path);
    size_t len = 0;

    if (!base || access(links, F_OK)) {
        free(whole);
        return NULL;
    }
    /* As it is written first: what is dead, or does not answer, must not be looked at. */
    char *found = find_above(base, whole, &len);
    char *resolved = found ? NULL : realpath(path, NULL);
    if (resolved) {
        free(whole);
        whole = resolved;
        found = find_above(base, whole, &len);
    }
    if (!found) {
        free(whole);
        return NULL;
    }
    *ret_path = whole;
    *ret_rest = whole + len;
    return found;
}
