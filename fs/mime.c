/*
 * Content-Type by extension: as /etc/mime.types says, read once, when the first type is wanted. For
 * what it does not know, and for machines that have none, a small table of the commonest.
 */
#include "fs/mime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define MIME_FILE "/etc/mime.types"

enum { MIME_EXTENSION_MAX = 32, MIME_COUNT_MAX = 20000 };

struct mime {
    const char *extension, *type;
    size_t line;
};

/* Sorted. */
static const struct mime common[] = {
    {"avi", "video/x-msvideo", 0},
    {"bmp", "image/bmp", 0},
    {"bz2", "application/x-bzip2", 0},
    {"css", "text/css", 0},
    {"csv", "text/csv", 0},
    {"doc", "application/msword", 0},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", 0},
    {"epub", "application/epub+zip", 0},
    {"flac", "audio/flac", 0},
    {"gif", "image/gif", 0},
    {"gz", "application/gzip", 0},
    {"htm", "text/html", 0},
    {"html", "text/html", 0},
    {"ico", "image/vnd.microsoft.icon", 0},
    {"jpeg", "image/jpeg", 0},
    {"jpg", "image/jpeg", 0},
    {"js", "text/javascript", 0},
    {"json", "application/json", 0},
    {"m4a", "audio/mp4", 0},
    {"md", "text/markdown", 0},
    {"mjs", "text/javascript", 0},
    {"mkv", "video/x-matroska", 0},
    {"mov", "video/quicktime", 0},
    {"mp3", "audio/mpeg", 0},
    {"mp4", "video/mp4", 0},
    {"mpeg", "video/mpeg", 0},
    {"odt", "application/vnd.oasis.opendocument.text", 0},
    {"ogg", "audio/ogg", 0},
    {"otf", "font/otf", 0},
    {"parquet", "application/vnd.apache.parquet", 0},
    {"pdf", "application/pdf", 0},
    {"png", "image/png", 0},
    {"ppt", "application/vnd.ms-powerpoint", 0},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", 0},
    {"rtf", "application/rtf", 0},
    {"svg", "image/svg+xml", 0},
    {"tar", "application/x-tar", 0},
    {"tif", "image/tiff", 0},
    {"tiff", "image/tiff", 0},
    {"ttf", "font/ttf", 0},
    {"txt", "text/plain", 0},
    {"wasm", "application/wasm", 0},
    {"wav", "audio/x-wav", 0},
    {"webm", "video/webm", 0},
    {"webp", "image/webp", 0},
    {"woff", "font/woff", 0},
    {"woff2", "font/woff2", 0},
    {"xls", "application/vnd.ms-excel", 0},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 0},
    {"xml", "application/xml", 0},
    {"yaml", "application/yaml", 0},
    {"yml", "application/yaml", 0},
    {"zip", "application/zip", 0},
    {"zst", "application/zstd", 0},
};

enum { COMMON_COUNT = sizeof(common) / sizeof(common[0]) };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct mime *table; /* of the file, by extension; of equal ones as they stand there */
static size_t table_count;

static int mime_compare(const void *a, const void *b)
{
    const struct mime *x = a, *y = b;
    int order = strcasecmp(x->extension, y->extension);

    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* "text/html  html htm": without parameters, as programs expect them. */
static void mime_read_line(char *line)
{
    char *save = NULL;
    char *type = strtok_r(line, " \t\r\n", &save), *extension;

    if (!type || type[0] == '#' || !strchr(type, '/'))
        return;
    type[strcspn(type, ";")] = '\0';
    char *kept = NULL;
    while ((extension = strtok_r(NULL, " \t\r\n", &save)) && table_count < MIME_COUNT_MAX) {
        if (strlen(extension) > MIME_EXTENSION_MAX)
            continue;
        if (!kept)
            kept = mem_strdup(type);
        table = mem_rearray(table, table_count + 1, sizeof(*table));
        table[table_count] = (struct mime){mem_strdup(extension), kept, table_count};
        table_count++;
    }
}

static void mime_load(void)
{
    FILE *file = fopen(MIME_FILE, "re");
    char *line = NULL;
    size_t room = 0;

    while (file && getline(&line, &room, file) > 0)
        mime_read_line(line);
    free(line);
    if (file)
        (void)fclose(file);
    if (table_count > 1)
        qsort(table, table_count, sizeof(*table), mime_compare);
}

/* What follows the last dot; NULL if there is none, or only at the beginning. */
static const char *extension_of(const char *name)
{
    const char *slash = strrchr(name, '/'), *start = slash ? slash + 1 : name;
    const char *dot = strrchr(start, '.');

    return dot && dot > start && dot[1] ? dot + 1 : NULL;
}

/* The first with that extension. */
static const struct mime *mime_find(const struct mime *mimes, size_t count, const char *extension)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcasecmp(mimes[mid].extension, extension) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && strcasecmp(mimes[low].extension, extension) == 0 ? &mimes[low] : NULL;
}

const char *mime_of_name(const char *name)
{
    const char *extension = extension_of(name);

    if (!extension)
        return NULL;
    (void)pthread_once(&once, mime_load);
    const struct mime *mime = mime_find(table, table_count, extension);
    if (!mime)
        mime = mime_find(common, COMMON_COUNT, extension);
    return mime ? mime->type : NULL;
}

bool mime_other_extension(const char *a, const char *b)
{
    const char *x = extension_of(a), *y = extension_of(b);

    return x && y ? strcasecmp(x, y) != 0 : x != y;
}
