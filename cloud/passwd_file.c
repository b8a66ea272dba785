/*
 * Keys as s3fs keeps them: lines KEY:SECRET or BUCKET:KEY:SECRET, and comments that begin with '#'.
 * Source: s3fs(1), "passwd_file".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cloud/credentials.h"

enum { PASSWD_LINE_MAX = 4096 };

static int refuse(struct store_error *reterr, int err, const char *path, const char *why)
{
    (void)snprintf(reterr->text, sizeof(reterr->text), "%.255s: %.200s", path, why);
    return err;
}

/* The part of line up to the next ':' or its end; moves line behind that. */
static char *next_part(char **line)
{
    char *part = strsep(line, ":");

    return part && *part ? part : NULL;
}

static void take(struct credentials *creds, const char *access_key, const char *secret_key)
{
    credentials_clear(creds);
    creds->access_key = mem_strdup(access_key);
    creds->secret_key = mem_strdup(secret_key);
}

/* One line; of_bucket is set once a line has named the bucket, which then counts alone. */
static bool passwd_line(char *line, const char *bucket, struct credentials *creds, bool *of_bucket)
{
    char *parts[3];
    int count = 0;

    line[strcspn(line, "\r\n")] = '\0';
    if (!*line || *line == '#')
        return true;
    if (strpbrk(line, " \t"))
        return false;
    while (line && count < 3) {
        parts[count] = next_part(&line);
        if (!parts[count++])
            return false;
    }
    if (line || count < 2)
        return false;
    if (count == 2 && !*of_bucket) {
        take(creds, parts[0], parts[1]);
    } else if (count == 3 && strcmp(parts[0], bucket) == 0) {
        take(creds, parts[1], parts[2]);
        *of_bucket = true;
    }
    return true;
}

static int passwd_read(FILE *file, const char *path, const char *bucket, struct credentials *creds,
                       struct store_error *reterr)
{
    char line[PASSWD_LINE_MAX];
    bool of_bucket = false, good = true;
    struct stat st;

    if (fstat(fileno(file), &st) || !S_ISREG(st.st_mode))
        return refuse(reterr, -EINVAL, path, "expected a file");
    if (st.st_mode & S_IRWXO)
        return refuse(reterr, -EACCES, path,
                      "everybody may read the keys in it: expected chmod 600");
    while (good && fgets(line, sizeof(line), file))
        good = passwd_line(line, bucket, creds, &of_bucket);
    explicit_bzero(line, sizeof(line));
    if (!good || ferror(file))
        return refuse(reterr, -EINVAL, path, "expected lines KEY:SECRET or BUCKET:KEY:SECRET");
    if (!creds->access_key)
        return refuse(reterr, -EACCES, path, "there are no keys for this bucket in it");
    return 0;
}

int passwd_file_load(const char *path, const char *bucket, struct credentials *ret,
                     struct store_error *reterr)
{
    struct credentials creds = {0};
    FILE *file = fopen(path, "re");

    if (!file)
        return refuse(reterr, -errno, path, strerrordesc_np(errno));
    int err = passwd_read(file, path, bucket, &creds, reterr);
    (void)fclose(file);
    if (err) {
        credentials_clear(&creds);
        return err;
    }
    /* NOLINTBEGIN(concurrency-mt-unsafe): nobody changes the environment */
    const char *region = getenv("AWS_REGION");
    creds.region = mem_strdup(region ? region : getenv("AWS_DEFAULT_REGION"));
    /* NOLINTEND(concurrency-mt-unsafe) */
    creds.source = mem_strdup(path);
    *ret = creds;
    return 0;
}
