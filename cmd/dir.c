/* Directories of our own: made with what is above them, named from the root. */
#include "cmd/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

int dir_make(const char *path)
{
    CLEANUP_FREE char *copy = mem_strdup(path);

    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return mkdir(copy, 0700) && errno != EEXIST ? -errno : 0;
}

char *dir_absolute(const char *path)
{
    CLEANUP_FREE char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

    return here ? mem_printf("%s/%s", here, path) : mem_strdup(path);
}
