/* A sub-mount's options: those of the export it is below, and what is said of it. */
#include "cmd/submount_options.h"

#include <errno.h>

#include "cmd/setting.h"

int submount_options_parse(struct text_pool *pool, const struct export_options *base,
                           const char *text, struct export_options *ret, struct cmd_error *reterr)
{
    struct setting_reader reader = {.pool = pool};
    struct setting_list list = {.all = NULL};
    struct setting_target target = {.pool = pool, .export = ret, .look = true};
    const unsigned scope = SETTING_VOLUME | SETTING_STORE;
    const char *pass = NULL;
    int err = 0;

    *ret = *base;
    if (text && text[0])
        err = setting_scan_entries(&reader, scope, text, &list, &pass, reterr);
    if (!err && pass)
        err = cmd_error_set(reterr, -EINVAL, "%s: expected options of a bucket", pass);
    if (!err)
        err = setting_apply(&reader, &list, scope, &target, reterr);
    if (!err)
        err = export_options_finish(ret, reterr);
    setting_list_clear(&list);
    return err;
}
