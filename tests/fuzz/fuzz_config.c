/*
 * Whatever a configuration file or mount's -o may have in it. The first byte chooses: a file as
 * "pailfs check-config" reads it, entries behind -o, or values.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/parse.h"
#include "cmd/serve_options.h"
#include "cmd/setting.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_file(const char *text, size_t len)
{
    struct serve_options o;
    struct cmd_error error = {{0}};

    if (serve_options_check_text("file", text, len, &o, &error)) {
        assert(error.text[0]);
    } else {
        assert(o.export_count > 0);
        for (size_t i = 0; i < o.export_count; i++)
            assert(o.exports[i].url[0] && o.exports[i].name[0] == '/');
        for (size_t i = 0; i < o.mount_count; i++)
            assert(o.mounts[i].dir[0] == '/' && o.mounts[i].name[0] == '/');
        for (size_t i = 0; i < o.submount_count; i++)
            assert(o.submounts[i].path[0] == '/' && o.submounts[i].url[0]);
    }
    serve_options_clear(&o);
}

static void try_entries(const char *text)
{
    struct text_pool pool = {.all = NULL};
    struct setting_reader reader = {.pool = &pool, .file = "file"};
    struct setting_list list = {.all = NULL};
    struct serve_options o;
    struct cmd_error error = {{0}};
    const char *pass = NULL;

    serve_options_default(&o);
    struct setting_target target = {.pool = &pool, .process = &o, .export = &o.defaults};
    if (setting_scan_entries(&reader, SETTING_FOR_MOUNT & ~SETTING_ENTRIES, text, &list, &pass,
                             &error))
        assert(error.text[0]);
    else if (setting_apply(&reader, &list, SETTING_OF_EXPORT | SETTING_OF_PROCESS, &target, &error))
        assert(error.text[0]);
    setting_list_clear(&list);
    free(reader.notes);
    serve_options_clear(&o);
    text_pool_clear(&pool);
}

static int count_part(void *ctx, const char *part, const char **ret_why)
{
    (void)ret_why;
    assert(*part);
    ++*(size_t *)ctx;
    return 0;
}

static void try_values(const char *text)
{
    const char *why = NULL;
    uint64_t size = 0;
    int64_t ns = 0;
    uint32_t mode = 0;
    size_t parts = 0;
    bool flag;

    if (parse_size(text, &size, &why) == 0)
        assert(size <= INT64_MAX);
    if (parse_duration(text, &ns, &why) == 0)
        assert(ns >= 0);
    if (parse_mode(text, &mode, &why) == 0)
        assert(mode <= 07777);
    (void)parse_bool(text, &flag, &why);
    (void)parse_uint(text, 1, 5, &mode, &why);
    if (parse_each(text, count_part, &parts, &why) == 0)
        assert(parts > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    char *text = mem_strndup((const char *)data + 1, len - 1);
    switch (data[0] % 3) {
    case 0: /* not a string: it may have zeros */
        try_file((const char *)data + 1, len - 1);
        break;
    case 1:
        try_entries(text);
        break;
    default:
        try_values(text);
    }
    free(text);
    return 0;
}
