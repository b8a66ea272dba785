/* URL[=/EXPORT]: splitting, and the export's name when none is given. */
#include "cmd/serve_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nfsd/export.h"

/* The last "=/" in arg; a URL may contain '=' elsewhere. */
static const char *find_separator(const char *arg)
{
    const char *found = NULL;

    for (const char *p = strstr(arg, "=/"); p; p = strstr(p + 1, "=/"))
        found = p;
    return found;
}

/* The part of the URL behind its scheme that names the data: the bucket, or the path. NULL with a
 * sentence if the URL is not one that pailfs serves. */
static const char *url_part(const char *url, struct cmd_error *reterr)
{
    if (strncmp(url, "s3://", 5) == 0) {
        if (url[5] && url[5] != '/')
            return url + 5;
        (void)cmd_error_set(reterr, -EINVAL, "%s: expected the name of a bucket behind s3://", url);
    } else if (strncmp(url, "file://", 7) == 0) {
        if (url[7] == '/')
            return url + 7;
        (void)cmd_error_set(reterr, -EINVAL,
                            "%s: expected an absolute path, as in file:///srv/data", url);
    } else {
        (void)cmd_error_set(reterr, -EINVAL,
                            "%s: expected a URL such as s3://BUCKET or file:///DIRECTORY", url);
    }
    return NULL;
}

int serve_url_check(const char *url, struct cmd_error *reterr)
{
    return url_part(url, reterr) ? 0 : -EINVAL;
}

const char *serve_url_of_bucket(struct text_pool *pool, const char *arg)
{
    static const char *const programs[] = {"pailfs#", "goofys#", "s3fs#", "geesefs#"};

    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        if (strncmp(arg, programs[i], strlen(programs[i])) == 0)
            arg += strlen(programs[i]);
    }
    size_t len = strcspn(arg, ":/");
    if (len == 0 || strstr(arg, "://") || (arg[len] && arg[len] != ':'))
        return text_pool_copy(pool, arg);
    const char *prefix = arg[len] ? arg + len + 1 : "";
    prefix += strspn(prefix, "/");
    size_t prefix_len = strlen(prefix);
    while (prefix_len > 0 && prefix[prefix_len - 1] == '/')
        prefix_len--;
    return text_pool_printf(pool, "s3://%.*s%s%.*s", (int)len, arg, prefix_len ? "/" : "",
                            (int)prefix_len, prefix);
}

/* "/" and the bucket's name, or the last component of a path; NULL if there is none. */
static char *default_name(const char *url, const char *part)
{
    if (strncmp(url, "s3://", 5) == 0)
        return mem_printf("/%.*s", (int)strcspn(part, "/"), part);
    size_t end = strlen(part);
    while (end > 0 && part[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && part[start - 1] != '/')
        start--;
    if (start == end)
        return NULL;
    return mem_printf("/%.*s", (int)(end - start), part + start);
}

int serve_url_split(const char *arg, char **ret_url, char **ret_name, struct cmd_error *reterr)
{
    const char *separator = find_separator(arg);
    char *url = separator ? mem_strndup(arg, (size_t)(separator - arg)) : mem_strdup(arg);
    char *name = NULL;

    const char *part = url_part(url, reterr);
    if (!part)
        goto fail;
    name = separator ? mem_strdup(separator + 1) : default_name(url, part);
    if (!name || !export_name_valid(name)) {
        (void)cmd_error_set(reterr, -EINVAL,
                            "%s: expected an export's name such as /media, as in %s=/media", arg,
                            url);
        goto fail;
    }
    *ret_url = url;
    *ret_name = name;
    return 0;

fail:
    free(url);
    free(name);
    return -EINVAL;
}
