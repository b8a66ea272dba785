/* Directories of our own. */
#pragma once

/* mkdir -p: 0755 on the way, mode 0700 for the last, which only we may look into. 0 or -errno. */
int dir_make(const char *path);

/* path itself if it is absolute, else with the working directory before it: to free. */
char *dir_absolute(const char *path);
