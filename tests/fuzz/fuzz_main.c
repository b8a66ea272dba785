/* Runs a fuzz target over the files and directories that are named, without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs;

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes;
    size_t len;
    long end;

    if (!f || fseek(f, 0, SEEK_END) < 0 || (end = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) < 0) {
        perror(path);
        exit(1);
    }
    bytes = malloc((size_t)end + 1);
    if (!bytes)
        exit(1);
    len = fread(bytes, 1, (size_t)end, f);
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(bytes, len);
    for (size_t cut = 0; cut < len; cut++) { /* and cut off at every byte, in memory of that size */
        uint8_t *part = malloc(cut + 1);

        if (!part)
            exit(1);
        memcpy(part, bytes, cut);
        (void)LLVMFuzzerTestOneInput(part, cut);
        free(part);
    }
    free(bytes);
    inputs++;
}

static void run_path(const char *path)
{
    struct stat st;
    struct dirent *entry;
    DIR *dir;

    if (stat(path, &st) < 0)
        return; /* no corpus is no failure: a directory without files is not in the repository */
    if (!S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    dir = opendir(path);
    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        run_path(name);
    }
    (void)closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    (void)printf("%u inputs\n", inputs);
    return inputs == 0;
}
